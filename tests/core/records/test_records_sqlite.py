"""One SQLite file: how it is made, and how it fails."""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path

import pytest

from broker_core.errors import StorageError
from broker_core.records import DatabaseJournal, Location, locate, models_for
from broker_core.records.sqlite import SqliteEngine
from broker_core.records.store import Store

MODELS = models_for("acme")
NOBODY = 65534


def opened(location: Location) -> Store:
    """A store that is connected and has its tables."""
    store = Store(location, MODELS)
    store.read(lambda database: None)
    return store


def refusal(location: Location) -> str:
    """What opening this database fails with; always one line that begins with the place."""
    store = Store(location, MODELS)
    try:
        with pytest.raises(StorageError) as caught:
            store.read(lambda database: None)
    finally:
        store.close()
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{location}: ")
    return text.removeprefix(f"{location}: ")


@contextmanager
def without_privileges() -> Iterator[None]:
    """The file system's permissions apply, also where the tests are run by the superuser."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that everybody may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    """A database that is made is readable by nobody else, and so is the folder made for it."""
    path = tmp_path / "new" / "records.sqlite3"
    opened(Location("sqlite", str(path))).close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(("query", "level"), [("", 2), ("?synchronous=full", 2), ("?synchronous=normal", 1)])
def test_durability_is_full_unless_chosen(tmp_path: Path, query: str, level: int) -> None:
    """Commits survive a power cut by default, with a write-ahead log."""
    location = locate({"BROKER_DATABASE": f"sqlite:///{tmp_path}/records.sqlite3{query}"})
    assert location is not None
    store = opened(location)
    try:
        pragmas = store.read(
            lambda database: [database.execute_sql(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")]
        )
    finally:
        store.close()

    assert pragmas == [level, "wal"]


def test_a_read_only_file(public_folder: Path) -> None:
    """A file this user may not write is said to be read-only."""
    path = public_folder / "records.sqlite3"
    opened(Location("sqlite", str(path))).close()
    path.chmod(0o444)
    with without_privileges():
        assert "make the file and its folder writable" in refusal(Location("sqlite", str(path)))


def test_a_read_only_folder(public_folder: Path) -> None:
    """A folder in which nothing can be made is said to be the reason."""
    public_folder.chmod(0o555)
    with without_privileges():
        assert refusal(Location("sqlite", str(public_folder / "records.sqlite3"))) == (
            "cannot be opened: Permission denied; name another file in BROKER_DATABASE"
        )


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"These are not the bytes of a database.\n" * 100, "is not a SQLite database; name another file in BROKER_DATABASE")],
)
def test_a_file_of_another_kind(tmp_path: Path, content: bytes, complaint: str) -> None:
    """A file that is no database is left as it is."""
    path = tmp_path / "notes.txt"
    path.write_bytes(content)

    assert refusal(Location("sqlite", str(path))) == complaint
    assert path.read_bytes() == content


def test_a_damaged_file(tmp_path: Path) -> None:
    """A database whose pages are destroyed is said to be damaged."""
    path = tmp_path / "records.sqlite3"
    opened(Location("sqlite", str(path))).close()
    pages = path.read_bytes()
    path.write_bytes(pages[:100] + b"\xff" * (len(pages) - 100))

    assert refusal(Location("sqlite", str(path))) == "is damaged; put a copy back, or move it away to begin anew"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A folder in the place of the file is refused."""
    assert refusal(Location("sqlite", str(tmp_path))).startswith("cannot be opened")


def test_a_file_in_a_read_only_folder(public_folder: Path) -> None:
    """A database beside which nothing can be written cannot be used."""
    path = public_folder / "records.sqlite3"
    opened(Location("sqlite", str(path))).close()
    path.chmod(0o666)
    public_folder.chmod(0o555)
    with without_privileges():
        assert "make the file and its folder writable" in refusal(Location("sqlite", str(path)))


def test_an_error_of_another_kind(tmp_path: Path) -> None:
    """What has no advice of its own is told in SQLite's words."""
    store = opened(Location("sqlite", str(tmp_path / "records.sqlite3")))
    with pytest.raises(StorageError, match=r"records\.sqlite3: no such table: missing"):
        store.read(lambda database: database.execute_sql("SELECT * FROM missing"))
    store.close()


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    """A path that leads through a file is refused."""
    (tmp_path / "notes.txt").touch()

    assert refusal(Location("sqlite", str(tmp_path / "notes.txt" / "records.sqlite3"))).startswith("cannot be opened: ")


async def test_locked_by_another_process(tmp_path: Path, make_change) -> None:
    """An append that waits too long for another's lock fails; once the lock is gone the next one works."""
    path = tmp_path / "records.sqlite3"
    journal = DatabaseJournal(Location("sqlite", str(path), timeout=0.01), MODELS, "demo:1")
    await journal.append([make_change("BEFORE")])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError) as caught:
            await journal.append([make_change("DURING")])
        other.execute("ROLLBACK")
    await journal.append([make_change("AFTER")])

    assert str(caught.value) == f"{path}: another process has kept it locked for more than 0.01 s; end that one, or try again"
    assert [len(await journal.history(local_id)) for local_id in ("BEFORE", "DURING", "AFTER")] == [1, 0, 1]
    await journal.close()


async def test_a_full_disk(tmp_path: Path, make_change) -> None:
    """When there is no room the append fails, what was there stays, and with room again the next one works."""
    path = tmp_path / "records.sqlite3"
    journal = DatabaseJournal(Location("sqlite", str(path)), MODELS, "demo:1")
    await journal.append([make_change("BEFORE")])

    async def allow(pages: int) -> None:
        await journal.writer.call(lambda store: store.read(lambda database: database.execute_sql(f"PRAGMA max_page_count = {pages}")))

    await allow(1)
    with pytest.raises(StorageError) as caught:
        await journal.append([make_change("DURING", step) for step in range(500)])
    await allow(1_000_000)
    await journal.append([make_change("AFTER")])

    assert str(caught.value) == f"{path}: the disk is full; free some space"
    assert [len(await journal.history(local_id)) for local_id in ("BEFORE", "DURING", "AFTER")] == [1, 0, 1]
    await journal.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_memory_lasts_as_long_as_the_journal(make_change) -> None:
    """A database in memory works like any other until it is closed."""
    journal = DatabaseJournal(Location("sqlite", ":memory:"), MODELS, "demo:1")
    await journal.append([make_change("ORDER1")])

    assert len(await journal.history("ORDER1")) == 1
    await journal.close()


def test_the_first_to_open_a_file_do_not_stumble_over_each_other(tmp_path: Path) -> None:
    """Where another process is at work on a file that has no write-ahead log yet, opening waits for it, then makes the switch."""
    path = tmp_path / "records.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE theirs (a)")
        other.execute("BEGIN IMMEDIATE")

        class Patient(SqliteEngine):
            def writing(self) -> AbstractContextManager[object]:
                if other.in_transaction:
                    other.execute("ROLLBACK")
                return super().writing()

        class Hasty(SqliteEngine):
            def writing(self) -> AbstractContextManager[object]:
                return nullcontext()

        hasty = Hasty(Location("sqlite", str(path), timeout=0.01))
        with pytest.raises(StorageError, match="another process has kept it locked"):
            hasty.attempt(lambda: None)
        assert hasty.database.is_closed()
        engine = Patient(Location("sqlite", str(path), timeout=0.01))
        mode = engine.attempt(lambda: engine.rows("PRAGMA journal_mode"))
        engine.close()

    assert mode == [("wal",)]
