"""Locates: stock that is borrowed for a short sale, where it is not easy to borrow. Each is paid for when it is made.

Source: https://docs.alpaca.markets/reference (Locates: list, create, get, quotes). Refusals have words for codes, such as
``easy_to_borrow``. A locate is good until it expires, at the latest the trading day's end in New York (20:00).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

import attrs

from broker_alpaca.wire import reading
from broker_alpaca.wire.call import Call, Lane, members, segment
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.reading import Moment, Page, Record, word

LARGEST_PAGE = 10_000
MOST_SYMBOLS = 100
"""That can be quoted at once."""


class Status(StrEnum):
    """What became of a locate."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REJECTED = "rejected"


@attrs.frozen(kw_only=True)
class Locate(Record):
    """Shares that were asked for, and what was found. Prices are fees for one share, in US dollars."""

    id: str
    symbol: str
    status: str = word(frozenset(Status))
    requested_qty: int | None = None
    located_qty: int | None = None
    located_price: Decimal | None = None
    limit_price: Decimal | None = None
    total_fee: Decimal | None = None
    all_or_none: bool = False
    rejection_reason: str | None = None
    created_at: Moment | None = None
    expires_at: Moment | None = None


@attrs.frozen(kw_only=True)
class LocateQuote(Record):
    """How many shares of one symbol can be located, and for which fee each."""

    symbol: str
    available_qty: int
    price: Decimal | None = None
    quoted_at: Moment | None = None


@attrs.frozen(kw_only=True)
class NoQuote(Record):
    """Why there is no quote of a symbol."""

    symbol: str
    code: str = ""
    message: str = ""


@attrs.frozen(kw_only=True)
class LocateQuotes:
    """The answer to a question for quotes: those there are, and why the others are not there, both by symbol."""

    quotes: Mapping[str, LocateQuote]
    errors: Mapping[str, NoQuote]


_one = reading.one(Locate, "locate")
_quotes = reading.many(LocateQuote, "locate quote", "quotes")
_errors = reading.many(NoQuote, "locate quote error", "errors")


def page(
    *,
    status: Status | None = None,
    symbol: str | None = None,
    start: date | None = None,
    end: date | None = None,
    limit: int = 1000,
    page_token: str | None = None,
) -> Call[Page[Locate]]:
    """One page, the newest first: of trading days from ``start`` (included) to ``end`` (not included)."""
    if not 1 <= limit <= LARGEST_PAGE:
        raise ValueError(f"limit: {limit} is not from 1 to {LARGEST_PAGE}")
    return Call(
        method="GET",
        path="/v1/locates",
        query=members(status=status, symbol=symbol, start=start, end=end, limit=limit, page_token=page_token),
        read=reading.many(Locate, "locates", "locates"),
    )


def get(locate_id: str) -> Call[Locate]:
    """One locate."""
    return Call(method="GET", path=f"/v1/locates/{segment(locate_id)}", read=_one)


def create(symbol: str, qty: int, *, limit_price: Decimal | None = None, all_or_none: bool = False) -> Call[Locate]:
    """Locate shares, for at most ``limit_price`` each; without one, for whatever is asked.

    There is no id of our own on it: where no answer came, look through the list before asking again, or pay twice.
    """
    if qty < 1:
        raise ValueError(f"qty: {qty} is not above zero")
    body: dict[str, Any] = {"symbol": symbol, "qty": qty, "all_or_none": all_or_none, **members(limit_price=limit_price)}
    return Call(method="POST", path="/v1/locates", body=body, lane=Lane.ORDER, read=_one)


def quotes(symbols: Sequence[str]) -> Call[LocateQuotes]:
    """What locating would cost. Raises ValueError for no symbol, or more than 100."""
    if not 1 <= len(set(symbols)) <= MOST_SYMBOLS:
        raise ValueError(f"symbols: {len(set(symbols))} is not from 1 to {MOST_SYMBOLS}")
    return Call(method="GET", path="/v1/locates/quotes", query=members(symbols=symbols), read=_read_quotes)


def _read_quotes(body: bytes, drift: Drift) -> LocateQuotes:
    found, failed = _quotes(body, drift), _errors(body, drift)
    return LocateQuotes(quotes={quote.symbol: quote for quote in found.records}, errors={error.symbol: error for error in failed.records})
