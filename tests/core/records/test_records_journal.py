"""What happened to orders outlives the process."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

import broker_core
from broker_core.append_only import AppendOnlyMap
from broker_core.clock import StillClock
from broker_core.errors import StorageError
from broker_core.families import Journal
from broker_core.orders import Ledger, OrderChange, State
from broker_core.records import DatabaseJournal, locate, models_for

MODELS = models_for("acme")
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

OpenJournal = Callable[..., DatabaseJournal]


@pytest.fixture
async def open_journal(url: str) -> AsyncIterator[OpenJournal]:
    """A function that opens a journal over one and the same database; all are closed at the end."""
    journals: list[DatabaseJournal] = []

    def open_it(connection_id: str = "acme:1") -> DatabaseJournal:
        location = locate({"BROKER_DATABASE": url})
        assert location is not None
        journals.append(DatabaseJournal(location, MODELS, connection_id, StillClock(NOON)))
        return journals[-1]

    yield open_it
    for journal in journals:
        await journal.close()


async def sql(journal: DatabaseJournal, statement: str) -> Any:
    """Run one statement behind the journal's back."""
    return await journal.writer.call(lambda store: store.write(lambda database: database.execute_sql(statement)))


def ids(orders: Any) -> list[str]:
    """The orders of an answer of ``unfinished``."""
    return [changes[0].order.local_id for changes in orders]


def test_it_is_a_journal() -> None:
    """It does what the core asks of a journal."""
    location = locate({"BROKER_DATABASE": ":memory:"})
    assert location is not None
    assert isinstance(DatabaseJournal(location, MODELS, "acme:1"), Journal)


async def test_the_next_process_finds_everything(open_journal: OpenJournal, make_change) -> None:
    """Changes written through one journal are read through another, in the order of the appends."""
    first, second = open_journal(), open_journal()
    await first.append([make_change("ORDER1", 1), make_change("ORDER2", 1)])
    await first.append([make_change("ORDER1", 2)])
    await first.close()

    assert await second.history("ORDER1") == [make_change("ORDER1", 1), make_change("ORDER1", 2)]
    assert await second.unfinished() == [[make_change("ORDER1", 1), make_change("ORDER1", 2)], [make_change("ORDER2", 1)]]


async def test_an_empty_append_and_an_unknown_order(open_journal: OpenJournal) -> None:
    """Nothing to write is nothing to wait for, and an order never heard of has no history."""
    journal = open_journal()
    await journal.append([])

    assert await journal.history("ORDER1") == []
    assert await journal.unfinished() == []


async def test_many_appends_at_once_keep_their_order(open_journal: OpenJournal, make_change) -> None:
    """Appends that run side by side are numbered in the order in which they were begun."""
    journal = open_journal()
    await asyncio.gather(*(journal.append([make_change("ORDER1", step)]) for step in range(200)))

    assert [change.event.execution_id for change in await journal.history("ORDER1")] == [f"ORDER1-{step}" for step in range(200)]


async def test_the_callers_list_stays_the_callers(open_journal: OpenJournal, make_change) -> None:
    """What the caller does to its list after the append began does not matter."""
    journal, free = open_journal(), threading.Event()
    busy = asyncio.ensure_future(journal.writer.call(lambda store: free.wait()))
    changes = [make_change("ORDER1")]
    append = asyncio.ensure_future(journal.append(changes))
    await asyncio.sleep(0)
    changes.clear()
    free.set()
    await asyncio.gather(busy, append)

    assert len(await journal.history("ORDER1")) == 1


async def test_accounts_do_not_mix(open_journal: OpenJournal, make_change) -> None:
    """A journal gives back the orders of its own account only."""
    mine, other = open_journal("acme:1"), open_journal("acme:2")
    await mine.append([make_change("ORDER1")])
    await other.append([make_change("ORDER1"), make_change("ORDER2")])

    assert ids(await mine.unfinished()) == ["ORDER1"]
    assert len(await mine.history("ORDER1")) == 1
    assert await mine.history("ORDER2") == []
    assert await mine.row_counts() == {"connections": 0, "order_log": 1, "position_snapshots": 0}


@pytest.mark.parametrize("state", State)
async def test_which_orders_are_unfinished(open_journal: OpenJournal, make_change, state: State) -> None:
    """An order is unfinished by its last row: whatever is no end, however old, and no end that is older than the window."""
    journal = open_journal()
    for age in (timedelta(days=1), timedelta(days=6, hours=23), timedelta(days=7, hours=1), timedelta(days=400)):
        await journal.append(
            [make_change(f"OLD{age.days}", state=State.SUBMITTED, at=NOON - age), make_change(f"OLD{age.days}", state=state, at=NOON - age)]
        )

    expected = ["OLD1", "OLD6"] if state.is_terminal else ["OLD1", "OLD6", "OLD7", "OLD400"]
    assert ids(await journal.unfinished()) == expected
    assert ids(await journal.unfinished(timedelta(days=8))) == (["OLD1", "OLD6", "OLD7"] if state.is_terminal else expected)


async def test_an_end_that_was_not_the_end(open_journal: OpenJournal, make_change) -> None:
    """An order that the broker brought back from the dead is unfinished, with everything that was before."""
    long_ago = NOON - timedelta(days=30)
    journal = open_journal()
    await journal.append([make_change("ORDER1", 1, State.FAILED, at=long_ago), make_change("ORDER1", 2, State.ACCEPTED, at=long_ago)])

    (changes,) = await journal.unfinished()
    assert [change.order.state for change in changes] == [State.FAILED, State.ACCEPTED]


async def test_the_order_that_comes_back(open_journal: OpenJournal, make_change) -> None:
    """The order of a row is the order as it stood then, but for the ledger, which replaying makes anew."""
    change: OrderChange = make_change(
        in_doubt=True, cancel_requested_at=NOON, reason="lost", origin="broker", parent_id="PARENT", raw_status="pending_cancel"
    )
    journal = open_journal()
    await journal.append([attrs.evolve(change, order=attrs.evolve(change.order, ledger=Ledger(AppendOnlyMap().plus("key", None))))])

    assert await journal.history("ORDER1") == [change]


async def test_a_change_that_cannot_be_written(open_journal: OpenJournal, make_change) -> None:
    """An impossible value fails the append by name of the order: nothing of it is stored, and those beside it are."""
    journal = open_journal()
    impossible = make_change("ORDER2", at=datetime(2026, 3, 2))  # noqa: DTZ001 - the naive moment is the subject
    appends = ([make_change("ORDER0")], [make_change("ORDER1"), impossible], [make_change("ORDER3")])
    first, failure, last = await asyncio.gather(*map(journal.append, appends), return_exceptions=True)

    assert (first, type(failure), last) == (None, StorageError, None)
    assert re.search("order ORDER2 cannot be written down: .* has no time zone", str(failure))
    assert [len(await journal.history(f"ORDER{index}")) for index in range(4)] == [1, 0, 0, 1]


@pytest.mark.parametrize(
    "damage",
    [
        """detail = '{"rule": 1}'""",
        """detail = '{"order": {"created_at": "2026-03-02T12:00:00Z", "updated_at": "today"}}'""",
        "status = 'thinking'",
        "side = 'sideways'",
    ],
)
async def test_a_row_nobody_understands(open_journal: OpenJournal, make_change, damage: str) -> None:
    """A row that makes no sense is never passed over: the error names the table, the row and the order."""
    journal = open_journal()
    await journal.append([make_change("ORDER1")])
    await sql(journal, f"UPDATE acme_order_log SET {damage}")

    for reading in (journal.unfinished(), journal.history("ORDER1")):
        with pytest.raises(StorageError, match=r"row 1 of acme_order_log, order ORDER1, cannot be understood: .*newer version"):
            await reading


async def test_the_newest_rows(open_journal: OpenJournal, make_change) -> None:
    """The tail is the newest rows, oldest first, as values of Python."""
    journal = open_journal()
    await journal.append([make_change("ORDER1", step) for step in range(5)])

    rows = await journal.tail(count=2)

    assert [row["execution_id"] for row in rows] == ["ORDER1-3", "ORDER1-4"]
    assert rows[-1]["occurred_at"] == NOON + timedelta(seconds=4)
    assert rows[-1]["limit_price"] == make_change().order.request.limit_price
    assert rows[-1]["detail"]["rule"] == "fill"
    assert await journal.tail("connections") == []


async def test_the_place_is_told(open_journal: OpenJournal, url: str) -> None:
    """The journal says where its rows are."""
    assert open_journal().location == url


async def test_a_newer_schema_stops_everything(open_journal: OpenJournal, make_change) -> None:
    """Nothing is written into a database that a newer version has changed."""
    first, second = open_journal(), open_journal()
    await first.append([make_change("ORDER1")])
    await sql(first, "INSERT INTO acme_schema_migration (name, applied) VALUES ('0002_more', '2027-01-01 00:00:00')")
    with pytest.raises(StorageError, match="the tables of acme are at 0002_more"):
        await second.append([make_change("ORDER2")])

    assert await first.row_counts() == {"connections": 0, "order_log": 1, "position_snapshots": 0}


BURST = """
import asyncio, os, sys
from datetime import UTC, datetime
from broker_core.orders import EventKind, Order, OrderChange, OrderEvent, Source, State
from broker_core.records import DatabaseJournal, locate, models_for
from broker_core.requests import MarketOrder, Side

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

def change(local_id, number):
    order = Order(local_id=local_id, request=MarketOrder("AAPL", Side.BUY, qty=1), state=State.SUBMITTED, created_at=NOON, updated_at=NOON)
    event = OrderEvent(kind=EventKind.SUBMITTED, source=Source.LOCAL, at=NOON, reason=str(number))
    return OrderChange(order=order, event=event, previous=None, rule="test")

async def send(journal, local_id):
    number = 0
    while True:
        await journal.append([change(local_id, number), change(local_id, number + 1), change(local_id, number + 2)])
        number += 3
        os.write(1, f"{local_id} {number}\\n".encode())

async def main():
    journal = DatabaseJournal(locate({"BROKER_DATABASE": sys.argv[1]}), models_for("acme"), "acme:1")
    await asyncio.gather(*(send(journal, f"ORDER{index}") for index in range(8)))

asyncio.run(main())
"""


async def test_killed_in_the_middle_of_a_burst(open_journal: OpenJournal, url: str) -> None:
    """After kill -9 every acknowledged change is there, every append is there whole or not at all, and the journal goes on."""
    acknowledged = dict.fromkeys((f"ORDER{index}" for index in range(8)), 0)
    folder = Path(broker_core.__file__).parents[1]
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", BURST, url, cwd=folder, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    lines = [await process.stdout.readline() for _ in range(400)]
    process.kill()
    lines += (await process.stdout.read()).splitlines()
    await process.wait()
    for line in lines:
        local_id, number = line.decode().split()
        acknowledged[local_id] = int(number)

    journal = open_journal()
    found = {changes[0].order.local_id: [change.event.reason for change in changes] for changes in await journal.unfinished()}
    assert found.keys() == acknowledged.keys()
    for local_id, reasons in found.items():
        assert reasons == [str(number) for number in range(len(reasons))]
        assert len(reasons) >= acknowledged[local_id]
        assert len(reasons) % 3 == 0
    assert sum(acknowledged.values()) >= 1200
