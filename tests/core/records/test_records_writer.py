"""One thread writes; what comes together is committed together; the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from broker_core.errors import StorageError
from broker_core.records import Location, models_for
from broker_core.records.codec import Row, encode
from broker_core.records.store import Store
from broker_core.records.writer import Writer

MODELS = models_for("acme")


class WatchedStore(Store):
    """A store that remembers how many rows each transaction had."""

    def __init__(self, location: Location) -> None:
        super().__init__(location, MODELS)
        self.groups: list[int] = []

    def insert(self, items: Sequence[Any], encode: Callable[[Any], Row]) -> None:
        self.groups.append(len(items))
        super().insert(items, encode)


def as_it_is(row: Row) -> Row:
    """Rows that are rows already."""
    return row


class Held:
    """Work that keeps the writer's thread busy until it is released."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self._released = threading.Event()

    def __call__(self, store: Store) -> None:
        self.began.set()
        self._released.wait()

    def release(self) -> None:
        """Let the thread go on."""
        self._released.set()


@pytest.fixture
def store(tmp_path: Path) -> WatchedStore:
    """An empty SQLite file."""
    return WatchedStore(Location("sqlite", str(tmp_path / "records.sqlite3")))


@pytest.fixture
async def writer(store: WatchedStore) -> AsyncIterator[Writer]:
    """A writer over it, closed at the end."""
    found = Writer(store, as_it_is)
    yield found
    await found.close()


@pytest.fixture
def row(make_change) -> Callable[..., Row]:
    """A function that makes a row."""
    return lambda *arguments: encode("demo:1", make_change(*arguments))


def exists(store: Store, suffix: str = "") -> bool:
    """Whether the file of a SQLite database is there, or one beside it."""
    return Path(store.location.target + suffix).exists()


async def held(writer: Writer) -> tuple[Held, asyncio.Task[None]]:
    """Keep the thread busy; what is handed over from now on waits."""
    work = Held()
    task = asyncio.ensure_future(writer.call(work))
    await asyncio.to_thread(work.began.wait)
    return work, task


async def handed_over(*inserts: asyncio.Task[None]) -> None:
    """Return when these tasks have run up to the point where they wait."""
    await asyncio.sleep(0)
    assert not any(task.done() for task in inserts)


async def ids(writer: Writer) -> list[str]:
    """The stored rows' orders, in the order of their numbers."""
    log = MODELS.order_log
    return await writer.call(
        lambda store: store.read(lambda database: [row.local_id for row in log.select().order_by(log.id).execute(database)])
    )


async def test_what_comes_together_is_committed_together(writer: Writer, store: WatchedStore, row) -> None:
    """All that was handed over while the thread was busy goes into one transaction, in the order it came."""
    work, busy = await held(writer)
    inserts = [asyncio.ensure_future(writer.insert([row(f"ORDER{index:02}")])) for index in range(20)]
    await handed_over(*inserts)
    work.release()
    await asyncio.gather(busy, *inserts)

    assert store.groups == [20]
    assert await ids(writer) == [f"ORDER{index:02}" for index in range(20)]


async def test_a_group_wakes_the_loop_once(writer: Writer, row, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait for a commit, the event loop is called from the thread once."""
    work, busy = await held(writer)
    inserts = [asyncio.ensure_future(writer.insert([row()])) for _ in range(50)]
    await handed_over(*inserts)
    loop = asyncio.get_running_loop()
    calls = []
    call = loop.call_soon_threadsafe
    monkeypatch.setattr(
        loop, "call_soon_threadsafe", lambda *arguments, **options: (calls.append(arguments), call(*arguments, **options))[1]
    )
    work.release()
    await asyncio.gather(busy, *inserts)

    assert len(calls) == 2


async def test_the_loop_goes_on_while_the_database_does_not(writer: Writer, row) -> None:
    """A database that takes its time holds up nobody but those who wait for it."""
    work, busy = await held(writer)
    insert = asyncio.ensure_future(writer.insert([row()]))
    for _ in range(100):
        await asyncio.sleep(0)

    assert not insert.done()
    work.release()
    await asyncio.gather(busy, insert)


async def test_giving_up_waiting_takes_nothing_back(writer: Writer, row) -> None:
    """A cancelled insert is written all the same, whole, and those beside it hear of their own."""
    work, busy = await held(writer)
    cancelled = asyncio.ensure_future(writer.insert([row("CANCELED"), row("CANCELED")]))
    other = asyncio.ensure_future(writer.insert([row("OTHER")]))
    await handed_over(cancelled, other)
    cancelled.cancel()
    work.release()
    await asyncio.gather(busy, other)

    assert cancelled.cancelled()
    assert await ids(writer) == ["CANCELED", "CANCELED", "OTHER"]


async def test_an_unfit_row_fails_alone(writer: Writer, row) -> None:
    """What the database cannot take fails whoever sent it, and nobody in the same group."""
    unfit = ("\ud800", *row()[1:])
    work, busy = await held(writer)
    inserts = [asyncio.ensure_future(writer.insert(rows)) for rows in ([row("FIRST")], [row("UNFIT"), unfit], [row("LAST")])]
    await handed_over(*inserts)
    work.release()
    results = await asyncio.gather(busy, *inserts, return_exceptions=True)

    assert [type(result) for result in results] == [type(None), type(None), StorageError, type(None)]
    assert "a value cannot be stored" in str(results[2])
    assert await ids(writer) == ["FIRST", "LAST"]


async def test_rows_are_made_in_the_thread(store: WatchedStore, row) -> None:
    """Encoding holds up the event loop no more than storing does."""
    makers = []

    def encode_it(made: Row) -> Row:
        makers.append(threading.current_thread())
        return made

    writer = Writer(store, encode_it)
    await writer.insert([row(), row()])
    await writer.close()

    assert len(makers) == 2
    assert threading.current_thread() not in makers


async def test_a_failing_commit_fails_everybody_who_waits(writer: Writer, store: WatchedStore, row) -> None:
    """Each waiter of a group that failed gets an error of its own, nothing of the group is stored, and the next insert works."""

    def forbid(value: int) -> Callable[[Store], None]:
        return lambda store: store.read(lambda database: database.execute_sql(f"PRAGMA query_only = {value}"))

    await writer.insert([row("BEFORE")])
    await writer.call(forbid(1))
    work, busy = await held(writer)
    inserts = [asyncio.ensure_future(writer.insert([row("DURING")])) for _ in range(3)]
    await handed_over(*inserts)
    work.release()
    _, *failures = await asyncio.gather(busy, *inserts, return_exceptions=True)
    await writer.call(forbid(0))
    await writer.insert([row("AFTER")])

    assert store.groups == [1, 3, 1]
    assert {str(failure) for failure in failures} == {
        f"{store.location}: is read-only; make the file and its folder writable for this user"
    }
    assert all(type(failure) is StorageError for failure in failures)
    assert len({id(failure) for failure in failures}) == 3
    assert await ids(writer) == ["BEFORE", "AFTER"]


async def test_an_unexpected_error_is_a_storage_error(writer: Writer, row) -> None:
    """Whatever goes wrong in the thread reaches who waits for it, and the thread lives on."""

    def stumble(store: Store) -> None:
        raise ZeroDivisionError("by chance")

    with pytest.raises(StorageError, match="ZeroDivisionError: by chance") as caught:
        await writer.call(stumble)
    await writer.insert([row("AFTER")])

    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert await ids(writer) == ["AFTER"]


async def test_closing_finishes_what_was_handed_over(store: WatchedStore, row) -> None:
    """Everything handed over before the close is committed, and nothing is taken after it."""
    writer = Writer(store, as_it_is)
    work, busy = await held(writer)
    inserts = [asyncio.ensure_future(writer.insert([row(f"ORDER{index}")])) for index in range(3)]
    await handed_over(*inserts)
    closing = [asyncio.ensure_future(writer.close()) for _ in range(2)]
    await handed_over(*closing)
    work.release()
    await asyncio.gather(busy, *inserts, *closing)

    with pytest.raises(StorageError, match="the records of this session are closed"):
        await writer.insert([row("LATE")])
    again = Writer(store, as_it_is)
    assert await ids(again) == ["ORDER0", "ORDER1", "ORDER2"]
    await again.close()


async def test_closing_what_never_began(store: WatchedStore) -> None:
    """A writer that had nothing to do makes no database."""
    writer = Writer(store, as_it_is)
    await writer.close()
    await writer.close()

    assert not exists(store)


async def test_a_cancelled_close_still_closes(store: WatchedStore, row) -> None:
    """Whoever gives up waiting for the end does not prevent it."""
    writer = Writer(store, as_it_is)
    await writer.insert([row()])
    work, busy = await held(writer)
    closing = asyncio.ensure_future(writer.close())
    await handed_over(closing)
    closing.cancel()
    work.release()
    await busy
    await writer.close()

    assert closing.cancelled()
    assert exists(store)
    assert not exists(store, "-wal")


def test_a_loop_that_has_gone(store: WatchedStore, row) -> None:
    """Work whose event loop is closed before it is done is done all the same, and the thread ends in order."""
    threads = set(threading.enumerate())
    work = Held()

    async def leave() -> None:
        writer = Writer(store, as_it_is)
        task = asyncio.ensure_future(writer.call(work))
        await asyncio.to_thread(work.began.wait)
        insert = asyncio.ensure_future(writer.insert([row("ORDER1")]))
        closing = asyncio.ensure_future(writer.close())
        await handed_over(task, insert, closing)

    asyncio.run(leave())
    work.release()
    for thread in set(threading.enumerate()) - threads:
        thread.join()

    async def look() -> list[str]:
        writer = Writer(WatchedStore(store.location), as_it_is)
        try:
            return await ids(writer)
        finally:
            await writer.close()

    assert asyncio.run(look()) == ["ORDER1"]
