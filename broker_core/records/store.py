"""The tables of one broker in one database: rows into the order log, and whatever else is to be read or written beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import peewee as pw

from broker_core.records import schema
from broker_core.records.codec import COLUMNS, Row
from broker_core.records.engine import Engine, open_engine
from broker_core.records.location import Location
from broker_core.records.models import RecordModels, table_name

T = TypeVar("T")


class Store:
    """Opens at the first unit of work, and brings the schema up to date then. Used from one thread; every method raises StorageError."""

    def __init__(self, location: Location, models: RecordModels) -> None:
        self.models = models
        self._engine: Engine = open_engine(location)
        self._statement = ""

    @property
    def location(self) -> Location:
        """Where it is."""
        return self._engine.location

    def insert(self, items: Sequence[T], encode: Callable[[T], Row]) -> None:
        """Commit a row of the order log for each item in one transaction; their numbers rise in this order.

        Raises UnfitValueError when the fault lies in a row and not in the database.
        """
        numbers: list[int | None] = []

        def unit() -> None:
            self._prepare()
            if not numbers:
                numbers.extend(self._engine.numbers(table_name(self.models.order_log), len(items)))
            with self._engine.writing():
                # Encoded one by one on the way in: between two rows SQLite gives other threads a turn.
                rows = ((number, *encode(item)) for number, item in zip(numbers, items, strict=True))
                self._engine.execute_many(self._statement, rows)

        self._engine.attempt(unit)

    def write(self, work: Callable[[pw.Database], T]) -> T:
        """Do this in one transaction; twice, where the server goes away the first time."""

        def unit() -> T:
            self._prepare()
            with self._engine.writing():
                return work(self._engine.database)

        return self._engine.attempt(unit)

    def read(self, work: Callable[[pw.Database], T]) -> T:
        """Do this outside of a transaction."""

        def unit() -> T:
            self._prepare()
            return work(self._engine.database)

        return self._engine.attempt(unit)

    def close(self) -> None:
        """Let go of the database."""
        self._statement = ""
        self._engine.close()

    def _prepare(self) -> None:
        if not self._statement:
            schema.upgrade(self._engine, self.models.prefix)
            self._statement = _insert_statement(self._engine.database, self.models)


def _insert_statement(database: pw.Database, models: RecordModels) -> str:
    """The statement for rows of a number and ``COLUMNS``. A number that is there already is left alone."""
    model = models.order_log
    fields = [model.id, *(getattr(model, name) for name in COLUMNS)]
    query = model.insert_many([(None,) * len(fields)], fields=fields).on_conflict(action="nothing", conflict_target=[model.id])
    statement, _ = query.bind(database).sql()
    return str(statement)
