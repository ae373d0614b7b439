"""The plugin object of one session: offers the journal, and keeps account and positions as the session reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import peewee as pw

from broker_core.clock import Clock, SystemClock
from broker_core.errors import PluginError
from broker_core.families import Client, Journal
from broker_core.hookspecs import hookimpl
from broker_core.models import Account, Connection, Position
from broker_core.records import accounts
from broker_core.records.journal import DatabaseJournal
from broker_core.records.location import locate, masked
from broker_core.records.models import RecordModels, models_for


class Records:
    """Records of one session. ``snapshot_every`` is the longest time between two pictures of positions that do not change."""

    def __init__(self, clock: Clock | None = None, snapshot_every: timedelta = timedelta(minutes=15)) -> None:
        self._clock = clock or SystemClock()
        self._snapshot_every = snapshot_every
        self._environ: Mapping[str, str] = {}
        self._journal: DatabaseJournal | None = None

    @hookimpl
    def broker_journal(self, client: Client, connection: Connection, environ: Mapping[str, str], models: object | None) -> Journal | None:
        """Offer a journal where ``BROKER_DATABASE`` says; None when it says ``off``. Raises ConfigError, StorageError, PluginError."""
        if models is None:
            models = _named_after(client.name)
        elif not isinstance(models, RecordModels):
            raise PluginError(f"{client.name}: broker_record_models answered {type(models).__name__}; it must answer RecordModels")
        location = locate(environ)
        if location is None:
            return None
        self._environ = environ
        self._journal = DatabaseJournal(location, models, connection.connection_id, self._clock)
        return self._journal

    @hookimpl
    async def broker_connected(self, connection: Connection) -> None:
        """Note that the session is open, and how it came about."""
        row = accounts.connection_row(
            connection,
            "connected",
            self._clock.now(),
            error_message=None,
            config_json=accounts.configuration(connection, self._environ),
        )
        await self._write(lambda database, models: accounts.put_connection(database, models, row))

    @hookimpl
    async def broker_synced(self, connection: Connection, account: Account, positions: Sequence[Position]) -> None:
        """Note the account's amounts, and its positions where they changed."""
        now = self._clock.now()
        row = accounts.connection_row(connection, "connected", now, **accounts.account_columns(account, positions, now))

        def write(database: pw.Database, models: RecordModels) -> None:
            accounts.put_connection(database, models, row)
            accounts.put_positions(database, models, connection.connection_id, positions, now, self._snapshot_every)

        await self._write(write)

    @hookimpl
    async def broker_disconnected(self, connection: Connection, error: str | None) -> None:
        """Note that the session has closed, and why where it was not wanted."""
        row = accounts.connection_row(
            connection,
            "failed" if error else "disconnected",
            self._clock.now(),
            error_message=None if error is None else masked(error),
        )
        await self._write(lambda database, models: accounts.put_connection(database, models, row))

    async def _write(self, work: Callable[[pw.Database, RecordModels], object]) -> None:
        journal = self._journal
        if journal is not None:
            await journal.writer.call(lambda store: store.write(lambda database: work(database, journal.models)))


def _named_after(broker: str) -> RecordModels:
    try:
        return models_for(broker)
    except ValueError as error:
        raise PluginError(f"{broker}: {error}; answer broker_record_models to name the tables otherwise") from error
