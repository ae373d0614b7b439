"""Bars: histories as columns straight from the bytes, and the latest ones.

Source: https://docs.alpaca.markets/reference/stockbars, .../stockbarsingle, .../cryptobars, .../optionbars, .../stocklatestbars,
.../stocklatestbarsingle, .../cryptolatestbars, .../cryptoperplatestbars. Daily bars of stocks begin at midnight in New York, those of
crypto at midnight UTC. A minute without eligible trades has no bar; a bar of crypto may have no volume: its prices come from quotes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, Unpack

import msgspec

from broker_alpaca.wire import by_symbol, moments
from broker_alpaca.wire.by_symbol import BySymbol
from broker_alpaca.wire.call import Call, segment
from broker_alpaca.wire.columns import timestamps
from broker_alpaca.wire.data_host import Range, StockPrices, StockRange, get
from broker_alpaca.wire.drift import Drift
from broker_core.models import Bar, BarColumns
from broker_core.timeframe import Timeframe

_MOST_TRADES = 2**63 - 1
_FLOATS = ("open", "high", "low", "close", "volume", "vwap")
_PACK = struct.Struct("=6dq").pack


class BarRow(
    msgspec.Struct,
    gc=False,
    rename={"close": "c", "high": "h", "low": "l", "trade_count": "n", "open": "o", "time": "t", "volume": "v", "vwap": "vw"},
):
    """One bar of the wire; in its order, by which the decoder finds members soonest."""

    close: float
    high: float
    low: float
    trade_count: int
    open: float
    time: str
    volume: float
    vwap: float


def to_bar(symbol: str, row: BarRow, drift: Drift) -> Bar:  # noqa: ARG001  # what every maker of a value takes
    """A row in the core's words. Raises ValueError for a time that is none."""
    return Bar(symbol, moments.parse_ns(row.time), row.open, row.high, row.low, row.close, row.volume, row.trade_count, row.vwap)


def to_columns(rows: Mapping[str, Sequence[BarRow]]) -> dict[str, BarColumns]:
    """Rows as columns of NumPy arrays. Raises ValueError, OverflowError or struct.error where a time or a count cannot be."""
    import numpy as np

    # All symbols at once, because a column costs as much to begin as a hundred bars; and packed row by row, because each row is fetched
    # from memory once then: half the time of seven lists.
    whole = [row for of_one in rows.values() for row in of_one]
    packed = b"".join([_PACK(row.open, row.high, row.low, row.close, row.volume, row.vwap, row.trade_count) for row in whole])
    table = np.frombuffer(packed, [*((name, np.float64) for name in _FLOATS), ("trade_count", np.int64)])
    columns: dict[str, Any] = {"timestamp_ns": timestamps([row.time for row in whole])}
    columns |= {name: table[name] for name in (*_FLOATS, "trade_count")}
    edges = [0, *accumulate(len(of_one) for of_one in rows.values())]
    return {
        symbol: BarColumns(**{name: column[first:last] for name, column in columns.items()})
        for symbol, (first, last) in zip(rows, pairwise(edges), strict=True)
    }


def _columns(rows: Mapping[str, Sequence[BarRow]], drift: Drift, leave_out: Callable[[object], None]) -> dict[str, BarColumns]:  # noqa: ARG001  # likewise
    try:
        return to_columns(rows)
    except (ValueError, OverflowError, struct.error):
        sound = {symbol: [row for row in of_one if _is_sound(row, leave_out)] for symbol, of_one in rows.items()}
        return to_columns({symbol: of_one for symbol, of_one in sound.items() if of_one})


def _is_sound(row: BarRow, leave_out: Callable[[object], None]) -> bool:
    try:
        timestamps([row.time])
    except (ValueError, OverflowError) as error:
        leave_out(error)
        return False
    if not -_MOST_TRADES - 1 <= row.trade_count <= _MOST_TRADES:
        leave_out(f"n: {row.trade_count}")
        return False
    return True


_history = by_symbol.lists(BarRow, _columns, "bar", "bars")
_latest = by_symbol.latest(BarRow, to_bar, "bar", "bars")
_latest_of_one = by_symbol.latest_of_one(BarRow, to_bar, "bar", "bar")


def stocks(
    symbols: Sequence[str], timeframe: Timeframe | str, *, adjustment: str | None = None, **given: Unpack[StockRange]
) -> Call[BySymbol[BarColumns]]:
    """A page of bars of stocks. ``adjustment``: ``raw`` (the default), ``split``, ``dividend``, ``spin-off`` or ``all``."""
    return get("/v2/stocks/bars", _history, symbols, timeframe=str(timeframe), adjustment=adjustment, **given)


def stock(
    symbol: str, timeframe: Timeframe | str, *, adjustment: str | None = None, **given: Unpack[StockRange]
) -> Call[BySymbol[BarColumns]]:
    """A page of bars of one stock."""
    return get(f"/v2/stocks/{segment(symbol)}/bars", _history, timeframe=str(timeframe), adjustment=adjustment, **given)


def crypto(
    symbols: Sequence[str], timeframe: Timeframe | str, *, location: str = "us", **given: Unpack[Range]
) -> Call[BySymbol[BarColumns]]:
    """A page of bars of crypto pairs. ``location``: ``us`` (Alpaca), ``us-1`` or ``eu-1`` (Kraken)."""
    return get(f"/v1beta3/crypto/{segment(location)}/bars", _history, symbols, timeframe=str(timeframe), **given)


def options(symbols: Sequence[str], timeframe: Timeframe | str, **given: Unpack[Range]) -> Call[BySymbol[BarColumns]]:
    """A page of bars of option contracts."""
    return get("/v1beta1/options/bars", _history, symbols, timeframe=str(timeframe), **given)


def latest_stocks(symbols: Sequence[str], **given: Unpack[StockPrices]) -> Call[BySymbol[Bar]]:
    """The latest minute bar of each stock."""
    return get("/v2/stocks/bars/latest", _latest, symbols, **given)


def latest_stock(symbol: str, **given: Unpack[StockPrices]) -> Call[BySymbol[Bar]]:
    """The latest minute bar of one stock."""
    return get(f"/v2/stocks/{segment(symbol)}/bars/latest", _latest_of_one, **given)


def latest_crypto(symbols: Sequence[str], *, location: str = "us") -> Call[BySymbol[Bar]]:
    """The latest minute bar of each crypto pair."""
    return get(f"/v1beta3/crypto/{segment(location)}/latest/bars", _latest, symbols)


def latest_perpetuals(symbols: Sequence[str], *, location: str = "global") -> Call[BySymbol[Bar]]:
    """The latest minute bar of each perpetual future on crypto."""
    return get(f"/v1beta1/crypto-perps/{segment(location)}/latest/bars", _latest, symbols)
