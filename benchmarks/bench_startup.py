"""How long a fresh process takes to start, beside the least that its dependencies cost.

    python benchmarks/bench_startup.py [--rounds N] [--json]

The aim is a ratio of at most 1.6 for each pair. Programs take turns, so that a busy machine slows both of a pair alike; medians count.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

AIM = 1.6
PAIRS = {
    "import broker_core": (
        [sys.executable, "-c", "import broker_core"],
        [sys.executable, "-c", "import asyncio, attrs, pluggy"],
    ),
    "import broker_core, connect": (
        [sys.executable, "-c", "from broker_core import connect"],
        [sys.executable, "-c", "import asyncio, attrs, pluggy, importlib.metadata, zoneinfo"],
    ),
    "broker --help": (
        [sys.executable, "-m", "broker_core.cli", "--help"],
        [sys.executable, "-c", "import click, importlib.metadata"],
    ),
}


def seconds(command: list[str]) -> float:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environ)
    return time.perf_counter() - start


def measure(rounds: int) -> list[dict[str, object]]:
    programs = [command for pair in PAIRS.values() for command in pair]
    for command in programs:
        seconds(command)
    times: list[list[float]] = [[] for _ in programs]
    for _ in range(rounds):
        for command, taken in zip(programs, times, strict=True):
            taken.append(seconds(command))
    medians = [statistics.median(taken) for taken in times]
    return [
        {
            "name": name,
            "milliseconds": round(ours * 1000, 1),
            "floor_milliseconds": round(floor * 1000, 1),
            "ratio": round(ours / floor, 2),
            "aim": AIM,
        }
        for name, ours, floor in zip(PAIRS, medians[::2], medians[1::2], strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = measure(arguments.rounds)
    if arguments.json:
        print(json.dumps(results))
        return
    print(f"{'':<30} {'ours':>9} {'floor':>9} {'ratio':>6}   aim {AIM}")
    for result in results:
        print(f"{result['name']:<30} {result['milliseconds']:>6} ms {result['floor_milliseconds']:>6} ms {result['ratio']:>6}")


if __name__ == "__main__":
    main()
