"""What an order's news costs: a move of the lifecycle, the way through the order book, a hook call.

    python benchmarks/bench_lifecycle.py [--rounds N] [--json]

The floor of a move is a mutable object whose state, total and set of seen executions are changed in place: no values, no evidence, no
exact sums. An order of thousands of fills is measured beside orders of twenty, a fill each. The order book adds the look-up, a lock, a
journal in memory and an observer that does nothing. The floor of a hook call is the same function called directly. Cases take turns;
medians count, and ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import attrs
import pluggy

from broker_core import (
    CountingIds,
    EventKind,
    LimitOrder,
    Order,
    OrderChange,
    OrderEvent,
    Source,
    State,
    StillClock,
    hookimpl,
    hookspecs,
    lifecycle,
)
from broker_core.findings import Findings
from broker_core.notify import Notifier
from broker_core.order_book import OrderBook
from broker_core.order_log import MemoryJournal, OrderLog
from broker_core.plugins import Plugins

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
LIVES = 400
FILLS = 4_000
CALLS = 5_000


def life() -> list[OrderEvent]:
    """Submitted, accepted, three fills: five moves."""
    events = [
        OrderEvent(kind=EventKind.SUBMITTED, source=Source.LOCAL, at=START, status=State.SUBMITTED),
        OrderEvent(kind=EventKind.ACCEPTED, source=Source.STREAM, at=START, status=State.ACCEPTED, broker_order_id="b", raw_status="new"),
    ]
    total = Decimal(0)
    for number, qty in enumerate((2, 3, 5), 1):
        total += qty
        events.append(
            OrderEvent(
                kind=EventKind.FILL,
                source=Source.STREAM,
                at=START + timedelta(seconds=number),
                status=State.FILLED if total == 10 else State.PARTIAL_FILL,
                broker_order_id="b",
                execution_id=f"e{number}",
                qty=Decimal(qty),
                price=Decimal(100),
                filled_qty=total,
                filled_avg_price=Decimal(100),
            )
        )
    return events


class Mutable:
    """The floor's order."""

    __slots__ = ("cost", "filled", "seen", "state")

    def __init__(self) -> None:
        self.state, self.filled, self.cost, self.seen = State.PENDING, Decimal(0), Decimal(0), set()

    def apply(self, event: OrderEvent) -> None:
        if event.execution_id is not None:
            if event.execution_id in self.seen:
                return
            self.seen.add(event.execution_id)
            self.filled += event.qty
            self.cost += event.qty * event.price
        self.state = event.status


def ours(events: list[OrderEvent]) -> None:
    request = LimitOrder("AAPL", "buy", qty=10, limit_price=100)
    for number in range(LIVES):
        order, _ = lifecycle.create(str(number), request, START)
        for event in events:
            order = lifecycle.apply(order, event).order
        check(order)


def floor(events: list[OrderEvent]) -> None:
    for _ in range(LIVES):
        order = Mutable()
        for event in events:
            order.apply(event)
        check(order)


def fills(count: int) -> list[OrderEvent]:
    """An order of so many fills, as the stream tells it."""
    return [
        OrderEvent(
            kind=EventKind.FILL,
            source=Source.STREAM,
            at=START + timedelta(seconds=number),
            status=State.FILLED if number == count else State.PARTIAL_FILL,
            broker_order_id="b",
            execution_id=f"e{number}",
            qty=Decimal(1),
            price=Decimal(100),
            filled_qty=Decimal(number),
            filled_avg_price=Decimal(100),
        )
        for number in range(1, count + 1)
    ]


def filling(count: int) -> Callable[[], None]:
    """FILLS fills, in orders of so many each."""
    events = [OrderEvent(kind=EventKind.SUBMITTED, source=Source.LOCAL, at=START, status=State.SUBMITTED), *fills(count)]
    request = LimitOrder("AAPL", "buy", qty=count, limit_price=100)

    def case() -> None:
        for number in range(FILLS // count):
            order, _ = lifecycle.create(str(number), request, START)
            for event in events:
                order = lifecycle.apply(order, event).order
            check(order)

    return case


def book_cases(events: list[OrderEvent]) -> dict[str, Callable[[], None]]:
    request = LimitOrder("AAPL", "buy", qty=10, limit_price=100)
    named = [(str(number), [attrs.evolve(event, client_order_id=str(number)) for event in events]) for number in range(LIVES)]

    def alone() -> None:
        for name, news in named:
            order, _ = lifecycle.create(name, request, START)
            for event in news:
                order = lifecycle.apply(order, event).order
            check(order)

    async def entered() -> None:
        clock = StillClock()
        log = OrderLog(MemoryJournal(), shut=lambda error: None, opened=lambda: None)
        book = OrderBook(log, clock=clock, ids=CountingIds(), findings=Findings(clock=clock), changed=observe)
        for name, news in named:
            await book.add(*lifecycle.create(name, request, START))
            for event in news:
                order = await book.receive(event)
            check(order)

    return {"lifecycle alone": alone, "order book": lambda: asyncio.run(entered())}


async def observe(change: OrderChange) -> None:
    """Be told."""


def check(order: Order | Mutable) -> None:
    if order.state is not State.FILLED:
        raise SystemExit("the order did not end filled")


class Observer:
    """An observer that does next to nothing."""

    @hookimpl
    def broker_gap(self, gap: object) -> None:
        self.last = gap


def hook_cases() -> dict[str, Callable[[], None]]:
    observers = [Observer() for _ in range(3)]
    manager = pluggy.PluginManager(hookspecs.NAME)
    manager.add_hookspecs(hookspecs)
    for observer in observers:
        manager.register(observer)
    notifier = Notifier(Plugins.load(observers, disabled=("demo", "records")), clock=StillClock())

    def direct() -> None:
        for _ in range(CALLS):
            for observer in observers:
                observer.broker_gap(None)

    def through_pluggy() -> None:
        for _ in range(CALLS):
            manager.hook.broker_gap(connection=None, gap=None)

    async def tell() -> None:
        for _ in range(CALLS):
            await notifier.tell("broker_gap", connection=None, gap=None)

    return {"direct": direct, "through pluggy": through_pluggy, "ours": lambda: asyncio.run(tell())}


def measure(cases: dict[str, Callable[[], None]], rounds: int, work: int, base: str) -> list[dict[str, object]]:
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds + 1):
        for name, case in cases.items():
            started = time.perf_counter()
            case()
            seconds[name].append(time.perf_counter() - started)
    # The first round warms up.
    kept = {name: figures[1:] for name, figures in seconds.items()}
    return [
        {
            "case": name,
            "microseconds": round(statistics.median(figures) / work * 1e6, 2),
            "per_second": round(work / statistics.median(figures)),
            "ratio": round(statistics.median(one / other for one, other in zip(figures, kept[base], strict=True)), 2),
        }
        for name, figures in kept.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    events = life()
    moves = {"floor": lambda: floor(events), "ours": lambda: ours(events)}
    long_and_short = {"of 20": filling(20), f"of {FILLS:,}": filling(FILLS)}
    results = {
        "a move of the lifecycle": measure(moves, arguments.rounds, LIVES * len(events), "floor"),
        "a fill of an order": measure(long_and_short, arguments.rounds, FILLS, "of 20"),
        "news through the order book": measure(book_cases(events), arguments.rounds, LIVES * len(events), "lifecycle alone"),
        "three observers told": measure(hook_cases(), arguments.rounds, CALLS, "direct"),
    }
    if arguments.json:
        print(json.dumps(results))
        return
    for title, rows in results.items():
        print(title)
        for row in rows:
            print(f"  {row['case']:<16}{row['microseconds']:>9} us{row['per_second']:>12,}/s{row['ratio']:>8}x")


if __name__ == "__main__":
    main()
