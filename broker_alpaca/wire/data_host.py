"""What requests to the data host have in common: from when to when, in which order, how much on a page.

``start`` and ``end`` are both included, aware moments or dates, which mean their midnight in New York. Without them a history begins
today and ends now, or 15 minutes ago where the plan has no real-time data. ``limit`` counts rows on a page over all symbols. Pages go
symbol by symbol, each by time.
Source: https://docs.alpaca.markets/reference/stockbars.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import TypedDict, TypeVar

from broker_alpaca.wire.call import Call, Host, Plain, members
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.moments import midnight
from broker_core.timeframe import exchange_zone

T = TypeVar("T")

LARGEST_PAGE = 10_000


class Sort(StrEnum):
    """In which order a symbol's rows come."""

    ASC = "asc"
    DESC = "desc"


class Range(TypedDict, total=False):
    """A stretch of history, and which page of it."""

    start: datetime | date | None
    end: datetime | date | None
    limit: int | None
    """1 to 10,000; Alpaca takes 1,000 where none is given."""
    page_token: str | None
    sort: Sort | None


class StockRange(Range, total=False):
    """A stretch of stocks' history."""

    feed: str | None
    """``sip`` (all exchanges, the default), ``iex``, ``otc`` or ``boats``."""
    asof: date | str | None
    """The day as of which symbols are meant, so that renamed ones are found; ``-`` takes them as they are written."""
    currency: str | None
    """ISO code of the currency that prices are converted to; US dollars where none is given."""


class StockPrices(TypedDict, total=False):
    """Which prices of stocks are the latest."""

    feed: str | None
    """``sip``, ``iex``, ``delayed_sip``, ``boats``, ``overnight`` or ``otc``; by the plan ``sip`` or ``iex`` where none is given."""
    currency: str | None
    """ISO code of the currency that prices are converted to; US dollars where none is given."""


def get(
    path: str,
    read: Callable[[bytes, Drift], T],
    symbols: str | Sequence[str] | None = None,
    /,
    *,
    largest: int = LARGEST_PAGE,
    **given: Plain,
) -> Call[T]:
    """A request to the data host. Raises ValueError for no symbols at all and for a page of no allowed size."""
    if symbols is not None and not symbols:
        raise ValueError("symbols: none given; name at least one")
    limit = given.get("limit")
    if isinstance(limit, int) and not 1 <= limit <= largest:
        raise ValueError(f"limit: {limit} is not from 1 to {largest}")
    for name in ("start", "end"):
        # Said as a moment, because what Alpaca takes a bare date for depends on the endpoint.
        if isinstance(day := given.get(name), date):
            given[name] = midnight(day, exchange_zone())
    return Call(method="GET", host=Host.DATA, path=path, query=members(symbols=symbols, **given), read=read)
