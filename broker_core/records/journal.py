"""The journal of one account: what happened to its orders, kept and given back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import peewee as pw

from broker_core.clock import Clock, SystemClock
from broker_core.errors import StorageError
from broker_core.orders import OrderChange, State
from broker_core.records import queries
from broker_core.records.codec import COLUMNS, Row, decode, encode
from broker_core.records.engine import UnfitValueError
from broker_core.records.location import Location
from broker_core.records.models import RecordModels, table_name
from broker_core.records.store import Store
from broker_core.records.writer import Writer

_ENDS = [state.value for state in State if state.is_terminal]


class DatabaseJournal:
    """A ``Journal`` over one broker's tables. Its first call opens the database and brings the schema up to date.

    All methods raise StorageError. One event loop may use it; none of its work is done there.
    """

    def __init__(self, location: Location, models: RecordModels, connection_id: str, clock: Clock | None = None) -> None:
        self.connection_id = connection_id
        self.models = models
        self.writer = Writer(Store(location, models), self._row)
        self._location = location
        self._clock = clock or SystemClock()

    @property
    def location(self) -> str:
        """Where the rows are, for people."""
        return str(self._location)

    async def append(self, changes: Sequence[OrderChange]) -> None:
        """Add a row for each change, in this order, and return when all of them are committed.

        They share one transaction, and with whatever else is appended meanwhile. An append that raised has left nothing behind, and the
        next may succeed. Only a server that goes away in the middle of a commit and stays away leaves the outcome open.
        """
        if changes:
            await self.writer.insert(tuple(changes))

    async def unfinished(self, ended_within: timedelta = timedelta(days=7)) -> Sequence[Sequence[OrderChange]]:
        """Every order of this account whose last row is no end, or is an end not older than this; changes oldest first.

        Those that ended lately belong to it because late fills and repeated news must still be recognised. Orders stand in the order of
        their first rows.
        """
        log = self.models.order_log
        since = self._clock.now() - ended_within

        def read(store: Store) -> list[OrderChange]:
            newest = log.select(pw.fn.MAX(log.id)).where(log.connection_id == self.connection_id).group_by(log.local_id)
            alive = log.status.not_in(_ENDS) | (log.occurred_at >= since)
            return self._changes(store, log.local_id.in_(log.select(log.local_id).where(log.id.in_(newest) & alive)))

        orders: dict[str, list[OrderChange]] = {}
        for change in await self.writer.call(read):
            orders.setdefault(change.order.local_id, []).append(change)
        return list(orders.values())

    async def history(self, local_id: str) -> Sequence[OrderChange]:
        """Every change of one order, oldest first; empty for an id that is unknown."""
        return await self.writer.call(lambda store: self._changes(store, self.models.order_log.local_id == local_id))

    async def tail(self, kind: str = "order_log", count: int = 20) -> list[dict[str, Any]]:
        """The newest rows of this account in one of its tables, oldest first, as mappings of columns to Python values.

        ``kind`` is ``connections``, ``order_log`` or ``position_snapshots``.
        """
        model = self.models.by_kind[kind]
        return await self.writer.call(lambda store: store.read(lambda db: queries.tail(db, model, count, self.connection_id)))

    async def row_counts(self) -> dict[str, int]:
        """How many rows of this account each of the three tables holds."""
        kinds = self.models.by_kind.items()
        return await self.writer.call(
            lambda store: store.read(lambda db: {kind: queries.count(db, model, self.connection_id) for kind, model in kinds})
        )

    async def close(self) -> None:
        """Commit what is under way and let go of the database. May be called again."""
        await self.writer.close()

    def _row(self, change: OrderChange) -> Row:
        try:
            return encode(self.connection_id, change)
        except (ValueError, TypeError) as error:
            raise UnfitValueError(f"{self.location}: order {change.order.local_id} cannot be written down: {error}") from error

    def _changes(self, store: Store, condition: pw.Expression) -> list[OrderChange]:
        log = self.models.order_log
        columns = [getattr(log, name) for name in COLUMNS if name != "detail"]
        # As text on both databases; psycopg would make objects of it, and not those that are wanted.
        detail = log.detail.cast("text").alias("detail")
        query = log.select(log.id, *columns, detail).where((log.connection_id == self.connection_id) & condition).order_by(log.id)
        return store.read(lambda database: [self._change(row) for row in query.dicts().iterator(database)])

    def _change(self, row: Mapping[str, Any]) -> OrderChange:
        try:
            return decode(row)
        except (ValueError, KeyError, TypeError, msgspec.MsgspecError) as error:
            table = table_name(self.models.order_log)
            raise StorageError(
                f"{self.location}: row {row['id']} of {table}, order {row['local_id']}, cannot be understood: {error}; "
                "a newer version of broker-core may have written it"
            ) from error
