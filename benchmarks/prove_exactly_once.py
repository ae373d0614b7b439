"""Thousands of orders while faults fall somewhere into their sending: none may take effect twice, be forgotten, or end wrongly.

    python benchmarks/prove_exactly_once.py [--orders N] [--seed N] [--at-once N] [--mode http|sdk] [--peer N] [--json]

The orders go through a session with the plugin for Alpaca, over real sockets, to a sandbox in this process; both run on one clock, fifty
times as fast. Every second order or so meets a fault: a connection refused or reset before, after or in the middle of the answer, 502,
503, 504, 429, an answer cut short or empty, a request carried out twice or long after its sender has given up; the look-ups and
cancellations that follow meet theirs. Then the session's book is held against the exchange's. Exits with 1 unless they agree on every
order.

``--peer`` has alpaca-py send so many market orders under the same faults, as its own examples do, and prints what became of them: the
one thing its caller has is the answer or the exception of each call.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs

from broker_alpaca.config import Mode
from broker_demo.sandbox.faults.script import read_fault

sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / folder) for folder in ("alpaca", "end_to_end")]

from accounts import FastClock  # noqa: E402  # found on the path that was just set
from exactly_once import SYMBOLS, Outcome, prove, script  # noqa: E402  # found on the path that was just set
from paired import KEY, SECRET, box_on  # noqa: E402  # found on the path that was just set

_BATCH = 2_000
"""So many orders share an account and a session."""


async def ours(orders: int, *, seed: int, at_once: int, mode: Mode) -> Outcome:
    """All orders, batch by batch, and the sum of what became of them."""
    outcomes: list[Outcome] = []
    while (done := sum(outcome.orders for outcome in outcomes)) < orders:
        outcomes.append(await prove(min(_BATCH, orders - done), seed=seed + len(outcomes), at_once=at_once, mode=mode))
        print(f"{done + outcomes[-1].orders:,} of {orders:,} orders", file=sys.stderr)
    return Outcome(
        orders=sum(outcome.orders for outcome in outcomes),
        states=dict(sum((Counter(outcome.states) for outcome in outcomes), Counter())),
        struck=dict(sum((Counter(outcome.struck) for outcome in outcomes), Counter())),
        doubted=sum(outcome.doubted for outcome in outcomes),
        duplicates=[line for outcome in outcomes for line in outcome.duplicates],
        forgotten=[line for outcome in outcomes for line in outcome.forgotten],
        wrong=[line for outcome in outcomes for line in outcome.wrong],
    )


async def peer(orders: int, *, seed: int) -> dict[str, int]:
    """What alpaca-py does with so many orders under the same faults."""
    from alpaca.common.exceptions import APIError
    from alpaca.trading.client import TradingClient
    from alpaca.trading.enums import OrderSide, TimeInForce
    from alpaca.trading.requests import MarketOrderRequest
    from requests.exceptions import RequestException

    counts: Counter[str] = Counter()
    async with box_on(FastClock()) as box:
        for written in script(seed):
            if written.get("method") == "POST":
                box.desk.faults.add(read_fault(written, "a fault"))
        client = TradingClient(KEY, SECRET, paper=True, url_override=box.addresses.trading_url)

        def send(number: int) -> str:
            request = MarketOrderRequest(symbol=SYMBOLS[number % len(SYMBOLS)], qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)
            try:
                return str(client.submit_order(request).id)  # type: ignore[union-attr]  # raw answers were not asked for
            except (APIError, RequestException, ValueError, TypeError):
                # The last two are what an answer cut short, or empty, comes out as.
                return ""

        lanes = asyncio.Semaphore(20)

        async def one(number: int) -> str:
            async with lanes:
                return await asyncio.to_thread(send, number)

        answers = await asyncio.gather(*(one(number) for number in range(orders)))
        held = {order.order_id for order in box.desk.settled().orders()}
        told = {answer for answer in answers if answer}
        counts["orders asked for"] = orders
        counts["orders at the exchange"] = len(held)
        counts["known to the caller"] = len(held & told)
        counts["at the exchange, unknown to the caller"] = len(held - told)
        counts["calls that ended in an exception"] = answers.count("")
    return dict(counts)


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=60)
    parser.add_argument("--mode", choices=tuple(Mode), default="http")
    parser.add_argument("--peer", type=int, default=0, metavar="N")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    began = time.monotonic()
    outcome = asyncio.run(ours(options.orders, seed=options.seed, at_once=options.at_once, mode=Mode(options.mode)))
    found: dict[str, Any] = attrs.asdict(outcome) | {"seconds": round(time.monotonic() - began, 1), "mode": options.mode}
    if options.peer and find_spec("alpaca") is None:
        print("alpaca-py is not installed: nothing to compare with", file=sys.stderr)
    elif options.peer:
        found["alpaca-py"] = asyncio.run(peer(options.peer, seed=options.seed))
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:12} {', '.join(value) or 'none' if isinstance(value, list) else value}")
    return 1 if outcome.duplicates or outcome.forgotten or outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
