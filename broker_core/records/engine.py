"""One connection to one database, used from one thread, and what can go wrong with it said in one line.

SQLite and PostgreSQL differ in how they connect, what they lock, how they number rows and how they fail; all else is here. A unit of
work is tried once more on a new connection where the server went away under it, so it must do no harm the second time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, TypeVar

import peewee as pw

from broker_core.errors import StorageError
from broker_core.records.location import Location

T = TypeVar("T")


class UnfitValueError(StorageError):
    """The database is well, but will not take these very values."""


class Engine(ABC):
    """A connection that opens itself when it is needed. Every method raises StorageError."""

    location: Location
    database: pw.Database
    """Peewee's; never bound to record types, so that two engines can serve the same types."""
    driver_error: ClassVar[type[Exception]]
    """The base of what the driver raises."""

    def attempt(self, unit: Callable[[], T]) -> T:
        """Do this over an open connection; a second time over a new one, where the server went away."""
        failures: tuple[type[BaseException], ...] = (*self._database_errors, OSError, UnicodeEncodeError)
        try:
            if self.database.is_closed():
                self._connect()
            try:
                return unit()
            except failures:
                if not self.is_lost():
                    raise
            self.close()
            self._connect()
            return unit()
        except failures as error:
            raise self.explain(self._first(error)) from error

    def _connect(self) -> None:
        try:
            self.connect()
        except BaseException:
            # Half a connection would pass for a whole one the next time.
            self.close()
            raise

    def close(self) -> None:
        """Let go of the database; the next attempt opens it again."""
        self.database.close()

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of one statement. To be called within ``attempt``, as ``execute_many``."""
        cursor = self.database.execute_sql(statement, values)  # type: ignore[no-untyped-call]  # Peewee's stubs leave it open
        found: list[tuple[Any, ...]] = cursor.fetchall() if cursor.description else []
        return found

    def execute_many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """One statement for many rows, straight to the driver: building SQL for each row would take ten times as long."""
        self.database.cursor().executemany(statement, rows)  # type: ignore[no-untyped-call]  # likewise

    @property
    def _database_errors(self) -> tuple[type[BaseException], ...]:
        return (pw.PeeweeException, self.driver_error)

    def _first(self, error: BaseException) -> BaseException:
        """The error that began it: Peewee's stands for its driver's, and a rollback that fails hides why it was needed."""
        while isinstance(error.__context__, self._database_errors):
            error = error.__context__
        return error

    def failure(self, text: str) -> StorageError:
        """A failure of this database, in one line that names it."""
        return StorageError(f"{self.location}: {text}")

    @abstractmethod
    def connect(self) -> None:
        """Open the connection, making the database where there is none and that can be done."""

    @abstractmethod
    def is_lost(self) -> bool:
        """Whether a connection that was open is of no use any more."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[object]:
        """A transaction that is going to write; it waits for others that do, no longer than the timeout."""

    @abstractmethod
    def lock_schema(self) -> None:
        """Within a transaction that writes: wait until nobody else is changing the schema."""

    @abstractmethod
    def numbers(self, table: str, count: int) -> Sequence[int | None]:
        """The numbers of the next rows of this table, rising; None for each where the database numbers them as they come."""

    @abstractmethod
    def size(self) -> int:
        """How many bytes the database takes."""

    @abstractmethod
    def explain(self, error: BaseException) -> StorageError:
        """The failure behind a driver's error, with what can be done about it."""


def open_engine(location: Location) -> Engine:
    """The engine of this database, not yet connected. Raises StorageError where its driver is not installed."""
    if location.kind == "sqlite":
        from broker_core.records.sqlite import SqliteEngine

        return SqliteEngine(location)
    try:
        from broker_core.records.postgres import PostgresEngine
    except ImportError as error:
        raise StorageError(f"{location}: the driver psycopg is not installed; pip install 'broker-core[postgres]'") from error
    return PostgresEngine(location)


def first_line(error: BaseException) -> str:
    """The first line of what an error says."""
    return next(iter(str(error).splitlines()), type(error).__name__).strip()
