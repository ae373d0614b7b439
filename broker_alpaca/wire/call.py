"""A request to Alpaca as a value: what is asked, where, and how its answer is read. Whoever sends it decides how it travels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any, Generic, TypeAlias, TypeVar
from urllib.parse import quote, urlencode

import attrs
import msgspec

from broker_alpaca.wire import moments
from broker_alpaca.wire.drift import Drift

T = TypeVar("T")

Plain: TypeAlias = str | int | float | bool | Decimal | date | Enum | Iterable[Any] | None
"""What a query's or a body's member may be given as."""


class Host(StrEnum):
    """Which of Alpaca's hosts answers."""

    TRADING = "trading"
    DATA = "data"


class Lane(StrEnum):
    """How urgent a call is when the rate limit is near."""

    CANCEL = "cancel"
    """The way out: goes first and never waits."""
    ORDER = "order"
    """May use what is kept in reserve for orders."""
    ORDINARY = "ordinary"


@attrs.frozen(kw_only=True)
class Call(Generic[T]):
    """One request. ``read`` makes the answer's value out of the body of a success and raises WireError where it cannot."""

    method: str
    path: str
    """Below the host, with the version: ``/v2/orders``. Already quoted."""
    read: Callable[[bytes, Drift], T]
    host: Host = Host.TRADING
    query: Mapping[str, str] = MappingProxyType({})
    body: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    lane: Lane = Lane.ORDINARY

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing, so that it may be repeated at will."""
        return self.method == "GET"

    @property
    def query_text(self) -> str:
        """The query as it stands in the URL, without the question mark; a slash in a symbol is quoted."""
        return urlencode(self.query)

    @property
    def body_bytes(self) -> bytes | None:
        """The body as JSON."""
        return None if self.body is None else msgspec.json.encode(self.body)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def segment(text: str) -> str:
    """A part of a path, quoted: ``BTC/USD`` is ``BTC%2FUSD``. Raises ValueError for an empty one, which would name the whole list."""
    if not text or text in (".", ".."):
        raise ValueError(f"path: {text!r} cannot be a part of an address")
    return quote(text, safe="")


def members(**given: Plain) -> dict[str, str]:
    """A query's members as texts; those that are None are left out. Lists are joined by commas, as Alpaca wants them."""
    return {name: _text(value) for name, value in given.items() if value is not None}


def _text(value: Any) -> str:
    # What an order consists of comes first; words of an enum are texts, too.
    if type(value) is str:
        return value
    if type(value) is Decimal:
        return format(value, "f")
    match value:
        case Enum():
            return str(value.value)
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case datetime():
            return moments.to_text(value)
        case date():
            return moments.day_text(value)
        case int() | float():
            return str(value)
        case _:
            return ",".join(_text(item) for item in value)
