"""Reads that serve any of the three tables."""

from __future__ import annotations

from typing import Any

import peewee as pw

from broker_core.records.models import ConnectionRecord, OrderLogRecord


def count(database: pw.Database, model: type[pw.Model], connection_id: str | None = None) -> int:
    """How many rows: of one account, or of all."""
    return int(_of(model.select(pw.fn.COUNT(pw.SQL("*"))), model, connection_id).scalar(database))


def tail(database: pw.Database, model: type[pw.Model], count: int, connection_id: str | None = None) -> list[dict[str, Any]]:
    """The newest rows, of one account or of all, oldest first: columns to Python values."""
    rows = list(_of(model.select(), model, connection_id).order_by(*_newest_first(model)).limit(count).dicts().execute(database))
    return rows[::-1]


def _of(query: Any, model: Any, connection_id: str | None) -> Any:
    return query if connection_id is None else query.where(model.connection_id == connection_id)


def _newest_first(model: Any) -> list[Any]:
    if issubclass(model, OrderLogRecord):
        return [model.id.desc()]
    if issubclass(model, ConnectionRecord):
        return [model.updated_at.desc(), model.connection_id.desc()]
    return [model.snapshot_at.desc(), model.symbol.desc()]
