"""PostgreSQL through psycopg 3, for records that several hosts share.

A connection that was cut leaves open whether the last commit took effect. The rows keep the numbers that the table's sequence gave
them before the first attempt, so the second one adds just those that are missing: the unique key makes it wait for the first, if that is
still under way at the server, and then do nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import peewee as pw
import psycopg
from psycopg.conninfo import conninfo_to_dict

from broker_core.errors import StorageError
from broker_core.records.engine import Engine, UnfitValueError, first_line
from broker_core.records.fields import COLUMN_TYPES
from broker_core.records.location import Location, masked

# Where the URL says nothing: seconds to connect, and settings that notice a dead network within half a minute.
_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
_LOCK_KEY = int.from_bytes(b"broker")
"""The advisory lock of everybody who changes the schema."""
_LONGEST_UPGRADE = "60s"

_REASONS = {
    "25006": "the server is read-only; name the primary server in BROKER_DATABASE",
    "42501": "this user may not do that; grant it the right to create and write tables",
    "53100": "the server's disk is full; free some space",
    "55P03": "another process has kept it locked for too long; end that one, or try again",
}
_UNFIT = ("22", "23")


class PostgresEngine(Engine):
    """A connection to one PostgreSQL database; its tables are in the first schema of the search path."""

    driver_error = psycopg.Error

    def __init__(self, location: Location) -> None:
        self.location = location
        said = self._read_url()
        patience: dict[str, Any] = {name: value for name, value in _PATIENCE.items() if name not in said}
        self.database = pw.PostgresqlDatabase(
            location.target,
            prefer_psycopg3=True,
            field_types=dict(COLUMN_TYPES["postgresql"]),
            autoconnect=False,
            **patience,
        )

    def _read_url(self) -> dict[str, Any]:
        said: dict[str, Any] = {}
        with contextlib.suppress(psycopg.ProgrammingError):
            said = conninfo_to_dict(self.location.target)
        # Part of a password that was not escaped is read as host, port or name, and the driver's errors would repeat it.
        place = f"{said.get('host')} {said.get('dbname')}"
        if not said or "@" in place or not all(port.isdecimal() for port in str(said.get("port") or 0).split(",")):
            raise self.failure("is not a valid URL; escape special characters of user and password (@ as %40, / as %2F)")
        return said

    def connect(self) -> None:
        """Sign in."""
        self.database.connect()
        # Waits of a statement for a lock end, as SQLite's do, unless the URL or the server already says when.
        self.rows(
            "SELECT set_config('lock_timeout', %s, false) WHERE current_setting('lock_timeout') = '0'",
            f"{round(self.location.timeout * 1000)}ms",
        )

    def is_lost(self) -> bool:
        """Whether the driver has given the connection up."""
        return not self.database.is_closed() and bool(self.database.connection().closed)  # type: ignore[no-untyped-call]  # Peewee's stubs leave it open

    def writing(self) -> AbstractContextManager[object]:
        """An ordinary transaction."""
        return self.database.atomic()

    def lock_schema(self) -> None:
        """Wait for the advisory lock, which ends with the transaction."""
        self.rows("SELECT set_config('lock_timeout', %s, true)", _LONGEST_UPGRADE)
        self.rows("SELECT pg_advisory_xact_lock(%s)", _LOCK_KEY)

    def numbers(self, table: str, count: int) -> Sequence[int | None]:
        """Taken from the sequence of the table's ``id``."""
        taken = self.rows("SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)", f'"{table}"', count)
        return sorted(number for (number,) in taken)

    def size(self) -> int:
        """The tables of the current schema with their indexes."""
        ((size,),) = self.rows(
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
        )
        return int(size)

    def explain(self, error: BaseException) -> StorageError:
        """By the server's code; without one, the connection did not come about."""
        code = getattr(error, "sqlstate", None) or ""
        if isinstance(error, UnicodeEncodeError | psycopg.DataError) or code.startswith(_UNFIT):
            return UnfitValueError(f"{self.location}: a value cannot be stored: {first_line(error)}")
        if isinstance(error, psycopg.OperationalError) and not code:
            return self.failure(f"{masked(first_line(error))}; start the server, or correct BROKER_DATABASE")
        return self.failure(_REASONS.get(code) or masked(first_line(error)))
