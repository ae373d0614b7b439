"""Columns that keep what they are given: exact money, moments in UTC, documents as JSON text.

Each has its own column type on each database, named in ``COLUMN_TYPES``; hand that to a Peewee database of your own as
``field_types`` before binding record types to it. The names of the types are part of the schema's history: add one, never change one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
import peewee as pw

from broker_core.requests import Amount, to_decimal

if TYPE_CHECKING:
    _MoneyBase = pw.Field[Decimal | None]
    _UtcBase = pw.Field[datetime | None]
    _JsonBase = pw.Field[dict[str, Any] | None]
else:
    # Peewee's fields take a type argument in their stubs only.
    _MoneyBase = _UtcBase = _JsonBase = pw.Field

COLUMN_TYPES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        # SQLite has no exact number wider than 64 bits: a NUMERIC column there rounds money to a float.
        "sqlite": MappingProxyType({"EXACT_MONEY": "TEXT", "UTC_MOMENT": "TEXT", "JSON_DOCUMENT": "TEXT"}),
        # json, not jsonb: it keeps the text as written, any character of it included.
        "postgresql": MappingProxyType({"EXACT_MONEY": "NUMERIC", "UTC_MOMENT": "TIMESTAMPTZ", "JSON_DOCUMENT": "JSON"}),
    }
)
"""Peewee's ``field_types`` for each kind of database."""


def money_text(value: Decimal) -> str:
    """The digits of an amount without an exponent, trailing zeros kept. Raises ValueError for anything that is not finite."""
    if not value.is_finite():
        raise ValueError(f"amount: {value} is not a finite number")
    text = str(value)
    return format(value, "f") if "E" in text else text


def utc_text(moment: datetime) -> str:
    """An aware moment as text of one width, which sorts by time. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError(f"moment: {moment.isoformat()} has no time zone; give an aware datetime")
    # As isoformat(timespec="microseconds") would write it, in a fifth of the time: it is on the path of every event.
    text = msgspec.json.encode(moment.astimezone(UTC)).decode()[1:-2]
    return f"{text}+00:00" if len(text) > len("2026-01-01T00:00:00") else f"{text}.000000+00:00"


class MoneyField(_MoneyBase):
    """An exact ``Decimal``. On SQLite it is text: read it, do not sort, compare or sum it in SQL."""

    field_type = "EXACT_MONEY"

    def db_value(self, value: Amount | None) -> str | None:
        """The digits as text, which both databases take without rounding."""
        return None if value is None else money_text(to_decimal(value))

    def python_value(self, value: str | Decimal | None) -> Decimal | None:
        """The ``Decimal`` that was stored."""
        return None if value is None else Decimal(value)


class UtcField(_UtcBase):
    """An aware moment to the microsecond. Naive ones are refused; what is read is in UTC, whatever zone the database answers in."""

    field_type = "UTC_MOMENT"

    def db_value(self, value: datetime | None) -> str | None:
        """The moment in UTC, as text that sorts by time."""
        return None if value is None else utc_text(value)

    def python_value(self, value: str | datetime | None) -> datetime | None:
        """The moment in UTC."""
        if value is None:
            return None
        return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)


class JsonField(_JsonBase):
    """A document: a mapping of plain values, kept as JSON text."""

    field_type = "JSON_DOCUMENT"

    def db_value(self, value: Mapping[str, Any] | None) -> str | None:
        """The document as text."""
        return None if value is None else msgspec.json.encode(value).decode()

    def python_value(self, value: str | dict[str, Any] | None) -> dict[str, Any] | None:
        """The document; a driver may have read its text already."""
        if value is None or isinstance(value, dict):
            return value
        document: dict[str, Any] = msgspec.json.decode(value)
        return document
