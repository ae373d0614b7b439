"""SQLite: one file, one writer at a time, readers never in its way.

Write-ahead log, and by default ``synchronous`` FULL: an answered commit survives a power cut. A lock held by another process is waited for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import peewee as pw

from broker_core.errors import StorageError
from broker_core.records.engine import Engine, UnfitValueError, first_line
from broker_core.records.fields import COLUMN_TYPES
from broker_core.records.location import Location

_SWITCHES = 100
"""How often to try to switch to the write-ahead log while others do the same."""

_UNFIT = {sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG}
_REASONS = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space",
    sqlite3.SQLITE_READONLY: "is read-only; make the file and its folder writable for this user",
    sqlite3.SQLITE_PERM: "is read-only; make the file and its folder writable for this user",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; make the file and its folder writable for this user, or name another in BROKER_DATABASE",
    sqlite3.SQLITE_CORRUPT: "is damaged; put a copy back, or move it away to begin anew",
    sqlite3.SQLITE_NOTADB: "is not a SQLite database; name another file in BROKER_DATABASE",
}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class SqliteEngine(Engine):
    """A connection to one SQLite file."""

    driver_error = sqlite3.Error

    def __init__(self, location: Location) -> None:
        self.location = location
        self.database = pw.SqliteDatabase(
            location.target,
            timeout=location.timeout,
            # Apple's fsync leaves the data in the drive's cache unless it is asked to be thorough.
            pragmas={"synchronous": location.synchronous, "fullfsync": int(location.synchronous == "FULL")},
            field_types=dict(COLUMN_TYPES["sqlite"]),
            autoconnect=False,
        )

    def connect(self) -> None:
        """Open the file; one that is not there is made, for its owner alone, and so is its folder."""
        if not self.location.in_memory:
            path = Path(self.location.target)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                path.touch(mode=0o600)
        self.database.connect()
        self._switch_to_wal()

    def _switch_to_wal(self) -> None:
        for _ in range(_SWITCHES):
            try:
                self.rows("PRAGMA journal_mode = wal")
            except pw.OperationalError as error:
                if _code(error.__context__) not in _LOCKED:
                    raise
            else:
                return
            # The switch gives up at once when another process holds a lock. A transaction waits for it.
            with self.writing():
                pass
        raise self._locked()

    def is_lost(self) -> bool:
        """A file does not go away."""
        return False

    def writing(self) -> AbstractContextManager[object]:
        """Take the file's one place for a writer at once: to begin reading and then want to write fails without waiting."""
        return self.database.atomic("IMMEDIATE")

    def lock_schema(self) -> None:
        """The transaction is the lock."""

    def numbers(self, table: str, count: int) -> Sequence[int | None]:  # noqa: ARG002 - SQLite numbers every table by itself
        """The file numbers them: a commit that fails is undone before it is reported, so none is ever tried twice."""
        return [None] * count

    def size(self) -> int:
        """The file and its write-ahead log."""
        return sum(path.stat().st_size for suffix in ("", "-wal") if (path := Path(self.location.target + suffix)).exists())

    def explain(self, error: BaseException) -> StorageError:
        """By SQLite's own code."""
        code = _code(error)
        if code in _UNFIT or isinstance(error, UnicodeEncodeError):
            return UnfitValueError(f"{self.location}: a value cannot be stored: {first_line(error)}")
        if code in _LOCKED:
            return self._locked()
        if isinstance(error, OSError):
            return self.failure(f"cannot be opened: {error.strerror}; name another file in BROKER_DATABASE")
        return self.failure(_REASONS.get(code, first_line(error)))

    def _locked(self) -> StorageError:
        return self.failure(f"another process has kept it locked for more than {self.location.timeout:g} s; end that one, or try again")


def _code(error: BaseException | None) -> int:
    """The primary code of an SQLite error; 0 for any other."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
