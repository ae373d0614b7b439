"""Trades, quotes, bars and order books as the data host writes them, in its answers and on its sockets alike.

A record, a ``dict``, is without its moment, the ``t`` of every record, because the sockets also send moments in binary: it is the
``timestamp_ns`` of the tick or the bar it was made of. Prices and sizes are numbers, sizes in shares. A symbol with a slash is a pair,
whose records have members of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import attrs
import msgspec

from broker_core.models import Bar, BarColumns
from broker_demo.assets import LISTINGS
from broker_demo.prices import Tick
from broker_demo.sandbox.moments import moment_text
from broker_demo.sandbox.pairs import is_pair

LEVELS = 10
"""On each side of an order book."""


@attrs.frozen
class Home:
    """Where a share is listed: the letter of the exchange, the tape that carries it, and that tape's code for a regular sale."""

    exchange: str
    tape: str
    regular_sale: str


_NASDAQ = Home("Q", "C", "@")
_HOMES: Mapping[str, Home] = MappingProxyType({"NYSE": Home("N", "A", " "), "ARCA": Home("P", "B", " "), "NASDAQ": _NASDAQ})


@lru_cache(maxsize=1024)
def home(symbol: str) -> Home:
    """Where a share is listed: NASDAQ if it is listed nowhere else."""
    listing = LISTINGS.get(symbol)
    return _HOMES.get(listing.asset.exchange, _NASDAQ) if listing else _NASDAQ


def trade_id(at_ns: int) -> int:
    """A trade's number among those of its symbol: it grows with time, is the same in every run, and a double holds it exactly."""
    return at_ns // 1000


def trade_record(symbol: str, tick: Tick) -> dict[str, Any]:
    """The print of a tick, without its moment."""
    number = trade_id(tick.timestamp_ns)
    if is_pair(symbol):
        taker = "B" if tick.ask - tick.price <= tick.price - tick.bid else "S"
        return {"p": tick.price, "s": tick.size, "tks": taker, "i": number}
    where = home(symbol)
    return {"x": where.exchange, "p": tick.price, "s": tick.size, "c": [where.regular_sale], "i": number, "z": where.tape}


def quote_record(symbol: str, tick: Tick) -> dict[str, Any]:
    """The best bid and offer of a tick, without its moment."""
    if is_pair(symbol):
        return {"bp": tick.bid, "bs": tick.bid_size, "ap": tick.ask, "as": tick.ask_size}
    where = home(symbol)
    return {
        "ax": where.exchange,
        "ap": tick.ask,
        "as": tick.ask_size,
        "bx": where.exchange,
        "bp": tick.bid,
        "bs": tick.bid_size,
        "c": ["R"],
        "z": where.tape,
    }


def bar_record(bar: Bar) -> dict[str, Any]:
    """A bar, without its moment."""
    return {
        "o": bar.open,
        "h": bar.high,
        "l": bar.low,
        "c": bar.close,
        "v": int(bar.volume),
        "n": bar.trade_count,
        "vw": bar.vwap,
    }


class BarRow(msgspec.Struct, gc=False):
    """A bar with its moment in words. A page holds ten thousand, which is why these are not dictionaries."""

    t: str
    o: float
    h: float
    l: float  # noqa: E741  # the wire's own name
    c: float
    v: int
    n: int
    vw: float


def bar_rows(columns: BarColumns) -> list[BarRow]:
    """Columns of bars as rows, oldest first."""
    import numpy as np

    prices = (np.asarray(column).tolist() for column in (columns.open, columns.high, columns.low, columns.close))
    return list(
        map(
            BarRow,
            map(moment_text, np.asarray(columns.timestamp_ns).tolist()),
            *prices,
            np.asarray(columns.volume).astype(np.int64).tolist(),
            np.asarray(columns.trade_count).tolist(),
            np.asarray(columns.vwap).tolist(),
        )
    )


def book_record(tick: Tick) -> dict[str, Any]:
    """The order book around a tick, without its moment: the best bid and offer, and levels behind them, one spread apart and deeper."""
    spread = tick.ask - tick.bid
    depths = range(LEVELS)
    bids = [{"p": round(tick.bid - depth * spread, 9), "s": tick.bid_size * (1 + depth)} for depth in depths]
    asks = [{"p": round(tick.ask + depth * spread, 9), "s": tick.ask_size * (1 + depth)} for depth in depths]
    return {"b": [level for level in bids if level["p"] > 0], "a": asks}
