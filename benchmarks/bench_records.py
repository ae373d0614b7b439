"""How fast orders' events become durable, and what that costs the event loop.

    python benchmarks/bench_records.py [--rounds N] [--json]

Three sides store the same events, round by round: the journal, the naive way (a Peewee ``save()``, and so a transaction, for every row) and
the floor (the ``sqlite3`` module with nothing around it). Every event is a full row of the order log; encoding it, detail included, is part
of the work on every side. Each side has a SQLite file of its own with the same tables and indexes, a write-ahead log, and ``synchronous``
FULL unless its line says otherwise. Cases take turns; medians count, ratios are taken within a round, and in the end the files are compared
row by row.

The stall is how late a heartbeat of one millisecond comes, 99th percentile, while 2,000 events a second arrive in bursts of 100.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import statistics
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import peewee as pw

from broker_core.orders import EventKind, Execution, Order, OrderChange, OrderEvent, Source, State
from broker_core.records import DatabaseJournal, Location, models_for
from broker_core.records.codec import COLUMNS, encode
from broker_core.requests import LimitOrder, Side

CONNECTION = "bench:paper:PA3ABCDEFGH"
START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
MODELS = models_for("bench")
SINGLE, GROUPED, STALL = 400, 8_000, 4_000


def make_changes(count: int) -> list[OrderChange]:
    """Partial fills, a hundred an order."""
    return [make_change(*divmod(index, 100), index) for index in range(count)]


def make_change(number: int, step: int, index: int) -> OrderChange:
    """One partial fill, as a stream tells of it."""
    at = START + timedelta(microseconds=1_237 * index)
    qty, price = Decimal(step + 1), Decimal("185.42") + Decimal(step) / 100
    broker_id, execution_id = f"904837e3-3b76-47ec-b432-{number:012d}", f"2f63ea93-423d-4169-b3f6-{index:012d}"
    order = Order(
        local_id=f"01KJWQ2M0000000000{number:08d}",
        request=LimitOrder("AAPL", Side.BUY, qty=100, limit_price="186.50", strategy="momentum", signal_id=f"S{number}"),
        state=State.PARTIAL_FILL,
        created_at=START,
        updated_at=at,
        filled_qty=qty,
        filled_avg_price=price,
        broker_ids=(broker_id,),
        raw_status="partially_filled",
        as_of=at,
    )
    event = OrderEvent(
        kind=EventKind.FILL,
        source=Source.STREAM,
        at=at,
        status=State.PARTIAL_FILL,
        client_order_id=order.local_id,
        broker_order_id=broker_id,
        raw_status="partially_filled",
        execution_id=execution_id,
        qty=Decimal(1),
        price=price,
        filled_qty=qty,
        filled_avg_price=price,
    )
    booked = Execution(execution_id, Decimal(1), price, at)
    return OrderChange(order=order, event=event, previous=State.PARTIAL_FILL, rule="fill", booked=booked)


class Contender(ABC):
    """One side, over a file of its own in which the tables are there already."""

    def __init__(self, folder: Path, synchronous: Literal["FULL", "NORMAL"] = "FULL") -> None:
        self.location = Location("sqlite", str(folder / f"{type(self).__name__}-{synchronous}.sqlite3"), synchronous=synchronous)

    async def open(self) -> None:
        """Make the file."""
        journal = DatabaseJournal(self.location, MODELS, CONNECTION)
        await journal.unfinished()
        await journal.close()

    @abstractmethod
    async def one_by_one(self, changes: Sequence[OrderChange]) -> None:
        """Store each change and wait for its commit before the next."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of the file."""

    def stored(self) -> set[tuple[object, ...]]:
        """The rows that are in the file now."""
        with sqlite3.connect(self.location.target) as connection:
            return set(connection.execute(f"SELECT {', '.join(COLUMNS)} FROM bench_order_log"))


class Journal(Contender):
    """This project."""

    async def open(self) -> None:
        """Open the journal too."""
        await super().open()
        self.journal = DatabaseJournal(self.location, MODELS, CONNECTION)
        await self.journal.unfinished()

    async def one_by_one(self, changes: Sequence[OrderChange]) -> None:
        """An append for each change."""
        for change in changes:
            await self.journal.append([change])

    async def side_by_side(self, changes: Sequence[OrderChange]) -> None:
        """An append for each change, five hundred of them waiting at once."""
        for first in range(0, len(changes), 500):
            await asyncio.gather(*(self.journal.append([change]) for change in changes[first : first + 500]))

    async def batches(self, changes: Sequence[OrderChange]) -> None:
        """Appends of a hundred changes, eight of them waiting at once."""
        for first in range(0, len(changes), 800):
            part = changes[first : first + 800]
            await asyncio.gather(*(self.journal.append(part[start : start + 100]) for start in range(0, len(part), 100)))

    async def close(self) -> None:
        """Close the journal."""
        await self.journal.close()


class Naive(Contender):
    """A model's ``save()`` for every row, in the event loop. Its columns are plain text, so that it gets our encoding for nothing."""

    journal_mode = "wal"

    async def open(self) -> None:
        """Declare the model."""
        await super().open()
        pragmas = {"journal_mode": self.journal_mode, "synchronous": self.location.synchronous}
        self.database = pw.SqliteDatabase(self.location.target, pragmas=pragmas)
        meta = type("Meta", (), {"database": self.database, "table_name": "bench_order_log"})
        columns = {name: pw.TextField(null=True) for name in COLUMNS}
        self.model: Any = type("NaiveOrderLog", (pw.Model,), {"Meta": meta, **columns})
        self.database.connect()

    async def one_by_one(self, changes: Sequence[OrderChange]) -> None:
        """Save each."""
        for change in changes:
            self.model(**dict(zip(COLUMNS, encode(CONNECTION, change), strict=True))).save()

    async def close(self) -> None:
        """Close the database."""
        self.database.close()


class NaiveDefault(Naive):
    """The same with SQLite's default, a rollback journal."""

    journal_mode = "delete"


class NaiveWithOrder(Naive):
    """The usual way: a log row and the order's present row, ``create``, ``get_or_create`` and ``save`` in a transaction an event."""

    async def open(self) -> None:
        """Declare the second model too, and make its table."""
        await super().open()
        columns = {name: pw.TextField(null=True) for name in ("status", "filled_qty", "filled_avg_price")}
        meta = type("Meta", (), {"database": self.database, "table_name": "bench_orders"})
        self.orders: Any = type("NaiveOrder", (pw.Model,), {"Meta": meta, "local_id": pw.TextField(primary_key=True), **columns})
        self.database.create_tables([self.orders])

    async def one_by_one(self, changes: Sequence[OrderChange]) -> None:
        """Save each, and what the order is after it."""
        for change in changes:
            row = dict(zip(COLUMNS, encode(CONNECTION, change), strict=True))
            with self.database.atomic():
                self.model.create(**row)
                order, _ = self.orders.get_or_create(local_id=row["local_id"])
                order.status, order.filled_qty, order.filled_avg_price = row["status"], row["filled_qty"], row["filled_avg_price"]
                order.save()


class Floor(Contender):
    """Prepared statements on a bare connection, in the event loop."""

    async def open(self) -> None:
        """Connect."""
        await super().open()
        self.connection = sqlite3.connect(self.location.target, isolation_level=None)
        self.connection.execute(f"PRAGMA synchronous = {self.location.synchronous}")
        self.statement = f"INSERT INTO bench_order_log ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"

    async def one_by_one(self, changes: Sequence[OrderChange]) -> None:
        """A transaction for each."""
        await self.groups(changes, 1)

    async def groups(self, changes: Sequence[OrderChange], size: int = 500) -> None:
        """A transaction for each group."""
        for first in range(0, len(changes), size):
            rows = [encode(CONNECTION, change) for change in changes[first : first + size]]
            self.connection.execute("BEGIN IMMEDIATE")
            self.connection.executemany(self.statement, rows)
            self.connection.execute("COMMIT")

    async def close(self) -> None:
        """Disconnect."""
        self.connection.close()


async def durability(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds an event takes until it is durable: by case, a figure a round."""
    journal, quick, naive, default, floor = Journal(folder), Journal(folder, "NORMAL"), Naive(folder), NaiveDefault(folder), Floor(folder)
    usual = NaiveWithOrder(folder)
    sides: tuple[Contender, ...] = (journal, quick, naive, default, floor, usual)
    for side in sides:
        await side.open()
    changes = make_changes(GROUPED)
    cases: list[tuple[str, Callable[[Sequence[OrderChange]], Awaitable[None]], int]] = [
        ("naive, one a commit", naive.one_by_one, SINGLE),
        ("naive, rollback journal", default.one_by_one, SINGLE),
        ("naive, with the order's row", usual.one_by_one, SINGLE),
        ("floor, one a commit", floor.one_by_one, SINGLE),
        ("journal, one by one", journal.one_by_one, SINGLE),
        ("journal, one by one, NORMAL", quick.one_by_one, SINGLE),
        ("floor, 500 a commit", floor.groups, GROUPED),
        ("journal, 500 side by side", journal.side_by_side, GROUPED),
        ("journal, batches of 100", journal.batches, GROUPED),
        ("journal, batches of 100, NORMAL", quick.batches, GROUPED),
    ]
    seconds: dict[str, list[float]] = {name: [] for name, _, _ in cases}
    for turn in range(rounds):
        for name, work, count in rotated(cases, turn):
            began = time.perf_counter()
            await work(changes[:count])
            seconds[name].append((time.perf_counter() - began) / count)
    for side in sides:
        await side.close()
        expected = {encode(CONNECTION, change) for change in changes[: SINGLE if isinstance(side, Naive) else GROUPED]}
        if side.stored() != expected:
            raise SystemExit(f"{side.location}: the rows are not those of the other sides")
    return seconds


async def stalls(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds by which the event loop is late: by case, a figure a round."""
    journal, quick, naive = Journal(folder), Journal(folder, "NORMAL"), Naive(folder)
    sides: tuple[Contender, ...] = (journal, quick, naive)
    for side in sides:
        await side.open()
    changes = make_changes(STALL)
    cases: list[tuple[str, Callable[[OrderChange], Awaitable[None]]]] = [
        ("nothing stored", lambda change: asyncio.sleep(0)),
        ("journal", lambda change: journal.journal.append([change])),
        ("journal, NORMAL", lambda change: quick.journal.append([change])),
        ("naive", lambda change: naive.one_by_one([change])),
    ]
    seconds: dict[str, list[float]] = {name: [] for name, _ in cases}
    for turn in range(rounds):
        for name, store in rotated(cases, turn):
            seconds[name].append(await stall(store, changes))
    for side in sides:
        await side.close()
    return seconds


async def stall(store: Callable[[OrderChange], Awaitable[None]], changes: Sequence[OrderChange]) -> float:
    """How late the heartbeat is while these changes arrive."""
    loop = asyncio.get_running_loop()
    late: list[float] = []

    async def heartbeat() -> None:
        while True:
            due = loop.time() + 0.001
            await asyncio.sleep(0.001)
            late.append(loop.time() - due)

    beating = loop.create_task(heartbeat())
    began = loop.time()
    storing = []
    for burst, first in enumerate(range(0, len(changes), 100)):
        await asyncio.sleep(max(began + burst * 0.05 - loop.time(), 0))
        storing += [asyncio.ensure_future(store(change)) for change in changes[first : first + 100]]
    await asyncio.gather(*storing)
    beating.cancel()
    return statistics.quantiles(late, n=100)[98]


def rotated(cases: list[Any], turn: int) -> list[Any]:
    """The cases beginning with another one each turn."""
    first = turn % len(cases)
    return cases[first:] + cases[:first]


def report(title: str, seconds: Mapping[str, Sequence[float]], *, rates: bool) -> dict[str, dict[str, float]]:
    """Print medians, spread, and ratios to the first case; return them."""
    print(f"\n{title}")
    base = next(iter(seconds.values()))
    found = {}
    for name, figures in seconds.items():
        median = statistics.median(figures)
        ratio = statistics.median(other / own if rates else own / other for own, other in zip(figures, base, strict=True))
        rate = f"{1 / median:>10,.0f}/s" if rates else ""
        print(f"  {name:<34}{median * 1e6:>9,.0f} us  ({min(figures) * 1e6:,.0f} to {max(figures) * 1e6:,.0f}){rate}{ratio:>8.2f}x")
        found[name] = {"microseconds": median * 1e6, "low": min(figures) * 1e6, "high": max(figures) * 1e6, "ratio": ratio}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON in the end")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as durable, tempfile.TemporaryDirectory() as stalled:
        figures = {
            "durable": report(
                "one event durable (naive = 1x, more is better)", asyncio.run(durability(Path(durable), options.rounds)), rates=True
            ),
            "stall": report(
                "event loop late, p99 (nothing stored = 1x, less is better)",
                asyncio.run(stalls(Path(stalled), options.rounds)),
                rates=False,
            ),
        }
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
