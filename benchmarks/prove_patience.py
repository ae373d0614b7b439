"""Thirty days beside a market that sleeps most of the time: nobody may take its silence for a broken line.

    python benchmarks/prove_patience.py [--days N]

A session listens to quotes and orders of a sandbox with New York's hours, over real sockets, from a Friday's close on. The clock stands
still while anything is on the wire, so a month takes minutes. Exits with 1 unless the two sockets that were opened first are still open
and no gap was told.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / folder) for folder in ("alpaca", "end_to_end")]

from quiet import quiet_days  # noqa: E402  # found on the path that was just set


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=30)
    options = parser.parse_args()
    began = time.monotonic()
    quiet = asyncio.run(quiet_days(options.days))
    took = time.monotonic() - began
    print(f"{options.days:g} days in {took:.0f} s: {quiet.sockets} sockets opened, {quiet.gaps} gaps, {quiet.questions:,} times asked")
    return 0 if (quiet.sockets, quiet.gaps) == (2, 0) else 1


if __name__ == "__main__":
    sys.exit(main())
