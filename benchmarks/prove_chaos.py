"""Ten minutes of chaos between a session and the sandbox; then the book, the records, the session and the exchange must be one.

    python benchmarks/prove_chaos.py [--minutes N] [--seed N] [--json]

In one process and over real sockets: 5,000 messages of market data and 20 orders a second, one of the two sockets broken every 0.5 to 5 s,
one request in ten reset, answered with 502, 503 or 504, cut short or late. Then the faults end, every order is taken to its end, and
everything is compared: orders, fills, positions. Exits with 1 unless all agree, no task and no socket is left behind, and memory has
grown by no more than what the orders themselves are kept in, at both ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / folder) for folder in ("alpaca", "end_to_end")]

from chaos import Chaos, chaos  # noqa: E402  # found on the path that was just set

_MOST_BYTES_AN_ORDER = 40_000
"""An order with its history in the session, and with its executions at the exchange, takes about half of that."""


def is_well(outcome: Chaos) -> bool:
    """Whether the promises were kept."""
    all_agree = not (outcome.duplicates or outcome.forgotten or outcome.wrong)
    return all_agree and not outcome.tasks_left and not outcome.sockets_left and outcome.bytes_an_order <= _MOST_BYTES_AN_ORDER


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    with TemporaryDirectory() as folder:
        outcome = asyncio.run(chaos(options.minutes * 60, seed=options.seed, folder=Path(folder)))
    found = attrs.asdict(outcome) | {"bytes_an_order": round(outcome.bytes_an_order), "well": is_well(outcome)}
    if options.json:
        print(json.dumps(found))
    else:
        found["memory"] = " ".join(f"{resident / 1e6:.0f}" for _, resident, _ in outcome.memory[::6]) + " MB"
        for name, value in found.items():
            print(f"{name:17} {', '.join(value) or 'none' if isinstance(value, list) else value}")
    return 0 if found["well"] else 1


if __name__ == "__main__":
    sys.exit(main())
