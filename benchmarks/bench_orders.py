"""Order events from the stream's entrance to durable rows, through lock, lifecycle, journal and observers.

    python benchmarks/bench_orders.py [--rounds N] [--json]

Three sides in one run: the whole way into a SQLite file, the same without storing, and the floor, which moves the orders and nothing
else. 2,000 events come at once for the rate; then 2,000 a second in bursts of 100 for the event loop's stall (how late a one-millisecond
heartbeat is, 99th percentile and worst).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import broker_core
from broker_core import EventKind, LimitOrder, OrderEvent, Session, Source, State, StillClock, lifecycle
from broker_core.config import Settings
from broker_core.testing.scripted_broker import ScriptedBroker

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
ORDERS, FILLS = 100, 20
REQUEST = LimitOrder("AAPL", "buy", qty=FILLS, limit_price=100)


def news(names: list[str]) -> list[OrderEvent]:
    """Fills of a hundred orders in turn, each with the totals a broker sends."""
    return [
        OrderEvent(
            kind=EventKind.FILL,
            source=Source.STREAM,
            at=START + timedelta(milliseconds=number),
            status=State.FILLED if number == FILLS else State.PARTIAL_FILL,
            client_order_id=name,
            broker_order_id=f"b-{name}",
            execution_id=f"{name}-{number}",
            raw_status="partially_filled",
            qty=Decimal(1),
            price=Decimal(100),
            filled_qty=Decimal(number),
            filled_avg_price=Decimal(100),
        )
        for number in range(1, FILLS + 1)
        for name in names
    ]


async def open_session(database: Path | None) -> Session:
    disabled = ("demo",) if database is not None else ("demo", "records")
    environ = {"BROKER_DATABASE": str(database)} if database is not None else {}
    broker = ScriptedBroker(StillClock(), has_stream=False)
    settings = Settings(disable=disabled, database=str(database) if database is not None else None)
    session = await broker_core.connect(plugins=[broker], environ=environ, settings=settings)
    await session.gate.wait("AAPL", 10)
    return session


async def place(session: Session) -> list[str]:
    orders = await asyncio.gather(*(session.orders.submit(REQUEST) for _ in range(ORDERS)))
    return [order.local_id for order in orders]


async def settle(session: Session, names: list[str]) -> None:
    for name in names:
        await session.orders.done(name)


async def rate_of(session: Session) -> float:
    names = await place(session)
    events = news(names)
    started = time.perf_counter()
    for event in events:
        await session.orders.receive(event)
    await settle(session, names)
    return (time.perf_counter() - started) / len(events)


async def rate_of_floor() -> float:
    orders = {str(number): lifecycle.create(str(number), REQUEST, START)[0] for number in range(ORDERS)}
    events = news(list(orders))
    started = time.perf_counter()
    for event in events:
        name = event.client_order_id or ""
        orders[name] = lifecycle.apply(orders[name], event).order
    return (time.perf_counter() - started) / len(events)


async def stall_of(names: list[str], receive: Callable[[OrderEvent], Awaitable[None]]) -> tuple[float, float]:
    loop = asyncio.get_running_loop()
    late: list[float] = []
    events = news(names)

    async def heartbeat() -> None:
        while True:
            due = loop.time() + 0.001
            await asyncio.sleep(0.001)
            late.append(loop.time() - due)

    beating = asyncio.ensure_future(heartbeat())
    began = loop.time()
    for burst, first in enumerate(range(0, len(events), 100)):
        await asyncio.sleep(max(began + burst * 0.05 - loop.time(), 0))
        for event in events[first : first + 100]:
            await receive(event)
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
    return statistics.quantiles(late, n=100)[98], max(late)


async def nothing(_event: OrderEvent) -> None:
    await asyncio.sleep(0)


async def run(rounds: int) -> dict[str, dict[str, list[float]]]:
    rates: dict[str, list[float]] = {"floor: moves only": [], "not stored": [], "durable": []}
    p99: dict[str, list[float]] = {"nothing done": [], "not stored": [], "durable": []}
    worst: dict[str, list[float]] = {name: [] for name in p99}
    with tempfile.TemporaryDirectory() as folder:
        sessions = {"not stored": await open_session(None), "durable": await open_session(Path(folder) / "bench.sqlite3")}
        for _ in range(rounds):
            rates["floor: moves only"].append(await rate_of_floor())
            figures = await stall_of([str(number) for number in range(ORDERS)], nothing)
            p99["nothing done"].append(figures[0])
            worst["nothing done"].append(figures[1])
            for name, session in sessions.items():
                rates[name].append(await rate_of(session))
                names = await place(session)
                figures = await stall_of(names, session.orders.receive)
                p99[name].append(figures[0])
                worst[name].append(figures[1])
                await settle(session, names)
        for session in sessions.values():
            await session.close()
    return {"an event": rates, "stall, p99": p99, "stall, worst": worst}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = {}
    for title, cases in asyncio.run(run(arguments.rounds)).items():
        base = next(iter(cases.values()))
        results[title] = [
            {
                "case": name,
                "microseconds": round(statistics.median(figures) * 1e6, 1),
                "ratio": round(statistics.median(one / other for one, other in zip(figures, base, strict=True)), 2),
            }
            for name, figures in cases.items()
        ]
    if arguments.json:
        print(json.dumps(results))
        return
    for title, rows in results.items():
        print(title)
        for row in rows:
            rate = f"{1e6 / row['microseconds']:>12,.0f}/s" if title == "an event" else ""
            print(f"  {row['case']:<20}{row['microseconds']:>10} us{rate}{row['ratio']:>8}x")


if __name__ == "__main__":
    main()
