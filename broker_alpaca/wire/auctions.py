"""Opening and closing auctions of stocks, day by day.

Source: https://docs.alpaca.markets/reference/stockauctions, .../stockauctionsingle.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Unpack

import attrs
import msgspec

from broker_alpaca.wire import by_symbol, moments
from broker_alpaca.wire.by_symbol import BySymbol
from broker_alpaca.wire.call import Call, segment
from broker_alpaca.wire.data_host import StockRange, get
from broker_alpaca.wire.drift import Drift
from broker_core.clock import from_ns


@attrs.frozen
class AuctionPrint:
    """What one exchange printed of an auction."""

    timestamp_ns: int
    price: float
    exchange: str = ""
    condition: str = ""
    """``Q`` and ``O`` are official and market centre openings, ``M`` and ``6`` closings."""
    size: float | None = None

    @property
    def timestamp(self) -> datetime:
        """The moment, aware UTC, cut to microseconds."""
        return from_ns(self.timestamp_ns)


@attrs.frozen
class AuctionDay:
    """The auctions of one symbol on one trading day."""

    symbol: str
    day: date
    opening: tuple[AuctionPrint, ...]
    closing: tuple[AuctionPrint, ...]


class _Print(msgspec.Struct, rename={"time": "t", "exchange": "x", "price": "p", "size": "s", "condition": "c"}):
    time: str
    price: float
    exchange: str | None = None
    condition: str | None = None
    size: float | None = None


class _Day(msgspec.Struct, rename={"day": "d", "opening": "o", "closing": "c"}):
    day: date
    opening: list[_Print] | None = None
    closing: list[_Print] | None = None


def _to_day(symbol: str, row: _Day, drift: Drift) -> AuctionDay:
    def prints(rows: list[_Print] | None) -> tuple[AuctionPrint, ...]:
        made = (by_symbol.part(_to_print, symbol, one, "auction print", drift) for one in rows or ())
        return tuple(one for one in made if one is not None)

    return AuctionDay(symbol, row.day, prints(row.opening), prints(row.closing))


def _to_print(symbol: str, row: _Print, drift: Drift) -> AuctionPrint:  # noqa: ARG001  # what every maker of a value takes
    return AuctionPrint(moments.parse_ns(row.time), row.price, row.exchange or "", row.condition or "", row.size)


_history = by_symbol.history(_Day, _to_day, "auction", "auctions")


def stocks(symbols: Sequence[str], **given: Unpack[StockRange]) -> Call[BySymbol[tuple[AuctionDay, ...]]]:
    """A page of auctions; ``feed`` can only be ``sip``."""
    return get("/v2/stocks/auctions", _history, symbols, **given)


def stock(symbol: str, **given: Unpack[StockRange]) -> Call[BySymbol[tuple[AuctionDay, ...]]]:
    """A page of auctions of one stock."""
    return get(f"/v2/stocks/{segment(symbol)}/auctions", _history, **given)
