"""The database from outside of a session: its state, its newest rows, and its schema up and down.

All of it blocks and is meant for a command line; an event loop calls it by ``asyncio.to_thread``. All of it raises ConfigError for
a ``BROKER_DATABASE`` that makes no sense, and StorageError.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import attrs

from broker_core.errors import StorageError
from broker_core.records import queries, schema
from broker_core.records.engine import Engine, open_engine
from broker_core.records.location import OFF, VARIABLE, Location, locate
from broker_core.records.models import models_for, table_name


@attrs.frozen
class BrokerTables:
    """The tables of one broker: their schema, and how many rows each kind of table has."""

    prefix: str
    schema: schema.Schema
    rows: Mapping[str, int]


@attrs.frozen
class DatabaseStatus:
    """One database: where, its kind (``sqlite``, ``postgresql`` or ``off``), its size in bytes, and whose tables it holds.

    ``size`` is None where there is no database yet.
    """

    location: str
    kind: str
    size: int | None = None
    brokers: tuple[BrokerTables, ...] = ()


def status(environ: Mapping[str, str]) -> DatabaseStatus:
    """Look at the database; one that is not there is not made."""
    location = locate(environ)
    if location is None:
        return DatabaseStatus(OFF, OFF)
    if _is_missing(location):
        return DatabaseStatus(str(location), location.kind)
    with _engine(location) as engine:
        return engine.attempt(lambda: _look(engine))


def upgrade(environ: Mapping[str, str], prefix: str | None = None) -> dict[str, list[str]]:
    """Apply the migrations that are pending, for one broker's tables or for all that are here: their names by prefix.

    A prefix that has no tables gets them.
    """

    def unit(engine: Engine) -> dict[str, list[str]]:
        wanted = schema.prefixes(engine.database) if prefix is None else [_prefix(prefix)]
        return {each: schema.upgrade(engine, each) for each in wanted}

    with _engine(_required(environ)) as engine:
        return engine.attempt(lambda: unit(engine))


def downgrade(environ: Mapping[str, str], prefix: str, target: str | None = None) -> list[str]:
    """Take back the newest migration of one broker's tables, or all down to and including ``target``: their names.

    What those migrations made is dropped with the rows in it. Stop the sessions that use the tables first.
    """
    with _existing(environ) as engine:
        return engine.attempt(lambda: schema.downgrade(engine, _prefix(prefix), target))


def tail(environ: Mapping[str, str], table: str, count: int = 20) -> list[dict[str, Any]]:
    """The newest rows of a table such as ``demo_order_log``, oldest first, as mappings of columns to Python values."""
    with _existing(environ) as engine:
        return engine.attempt(lambda: _tail(engine, table, count))


def _tail(engine: Engine, table: str, count: int) -> list[dict[str, Any]]:
    models = {table_name(model): model for prefix in schema.prefixes(engine.database) for model in models_for(prefix).by_kind.values()}
    if table not in models:
        raise engine.failure(f"there is no table {table}; there are {', '.join(models) or 'none'}")
    return queries.tail(engine.database, models[table], count)


def _look(engine: Engine) -> DatabaseStatus:
    database = engine.database
    brokers = tuple(
        BrokerTables(
            prefix=prefix,
            schema=schema.state(database, prefix),
            rows={kind: queries.count(database, model) for kind, model in models_for(prefix).by_kind.items()},
        )
        for prefix in schema.prefixes(database)
    )
    return DatabaseStatus(str(engine.location), engine.location.kind, engine.size(), brokers)


def _prefix(broker: str) -> str:
    try:
        return models_for(broker).prefix
    except ValueError as error:
        raise StorageError(f"{broker}: there are no tables of that name: {error}") from error


@contextmanager
def _engine(location: Location) -> Iterator[Engine]:
    engine = open_engine(location)
    try:
        yield engine
    finally:
        engine.close()


def _existing(environ: Mapping[str, str]) -> AbstractContextManager[Engine]:
    location = _required(environ)
    if _is_missing(location):
        raise StorageError(f"{location}: there is no database yet")
    return _engine(location)


def _required(environ: Mapping[str, str]) -> Location:
    location = locate(environ)
    if location is None:
        raise StorageError(f"{VARIABLE} is {OFF}: there is no database")
    return location


def _is_missing(location: Location) -> bool:
    return location.kind == "sqlite" and (location.in_memory or not Path(location.target).exists())
