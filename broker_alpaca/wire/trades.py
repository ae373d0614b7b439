"""Trades: histories and the latest ones.

Source: https://docs.alpaca.markets/reference/stocktrades, .../stocktradesingle, .../cryptotrades, .../optiontrades, .../stocklatesttrades,
.../stocklatesttradesingle, .../cryptolatesttrades, .../optionlatesttrades, .../cryptoperplatesttrades. The latest trade of a stock leaves
out odd lots that do not move the last price.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import attrs
import msgspec

from broker_alpaca.wire import by_symbol, moments
from broker_alpaca.wire.by_symbol import BySymbol
from broker_alpaca.wire.call import Call, segment
from broker_alpaca.wire.data_host import Range, StockPrices, StockRange, get
from broker_alpaca.wire.drift import Drift
from broker_core.models import Trade
from broker_core.requests import Side

UPDATES = frozenset({"canceled", "incorrect", "corrected"})
_TAKERS = {"B": Side.BUY, "S": Side.SELL}


@attrs.define(unsafe_hash=True)
class RevisedTrade(Trade):
    """A print that was withdrawn later, or that corrects another."""

    update: str = ""
    """``canceled`` or ``incorrect``: it does not count any more; ``corrected``: it stands in place of one that was wrong."""


class TradeRow(
    msgspec.Struct,
    gc=False,
    rename={
        "conditions": "c",
        "trade_id": "i",
        "price": "p",
        "size": "s",
        "time": "t",
        "taker": "tks",
        "update": "u",
        "exchange": "x",
        "tape": "z",
    },
):
    """One trade of the wire."""

    price: float
    size: float
    time: str
    conditions: list[str] | str | None = None
    """A list for stocks, a text for options."""
    trade_id: int | str | None = None
    """Beyond what a float can hold."""
    taker: str | None = None
    update: str | None = None
    exchange: str | None = None
    tape: str | None = None


def conditions_of(raw: list[str] | str | None) -> tuple[str, ...]:
    """Condition codes as the wire has them; a blank is one of stocks' codes, and says nothing of an option."""
    if isinstance(raw, str):
        return (raw,) if raw.strip() else ()
    return tuple(raw or ())


def to_trade(symbol: str, row: TradeRow, drift: Drift) -> Trade:
    """A row in the core's words. Raises ValueError for a time that is none."""
    drift.word("trade.tks", row.taker, frozenset(_TAKERS))
    at_ns = moments.parse_ns(row.time)
    trade_id = "" if row.trade_id is None else str(row.trade_id)
    rest = (row.price, row.size, row.exchange or "", trade_id, conditions_of(row.conditions), row.tape or "", _TAKERS.get(row.taker or ""))
    if not row.update:
        return Trade(symbol, at_ns, *rest)
    drift.word("trade.u", row.update, UPDATES)
    return RevisedTrade(symbol, at_ns, *rest, row.update)


_history = by_symbol.history(TradeRow, to_trade, "trade", "trades")
_latest = by_symbol.latest(TradeRow, to_trade, "trade", "trades")
_latest_of_one = by_symbol.latest_of_one(TradeRow, to_trade, "trade", "trade")


def stocks(symbols: Sequence[str], **given: Unpack[StockRange]) -> Call[BySymbol[tuple[Trade, ...]]]:
    """A page of trades of stocks; those that were revised later are ``RevisedTrade``."""
    return get("/v2/stocks/trades", _history, symbols, **given)


def stock(symbol: str, **given: Unpack[StockRange]) -> Call[BySymbol[tuple[Trade, ...]]]:
    """A page of trades of one stock."""
    return get(f"/v2/stocks/{segment(symbol)}/trades", _history, **given)


def crypto(symbols: Sequence[str], *, location: str = "us", **given: Unpack[Range]) -> Call[BySymbol[tuple[Trade, ...]]]:
    """A page of trades of crypto pairs, with who took."""
    return get(f"/v1beta3/crypto/{segment(location)}/trades", _history, symbols, **given)


def options(symbols: Sequence[str], **given: Unpack[Range]) -> Call[BySymbol[tuple[Trade, ...]]]:
    """A page of trades of option contracts."""
    return get("/v1beta1/options/trades", _history, symbols, **given)


def latest_stocks(symbols: Sequence[str], **given: Unpack[StockPrices]) -> Call[BySymbol[Trade]]:
    """The latest trade of each stock."""
    return get("/v2/stocks/trades/latest", _latest, symbols, **given)


def latest_stock(symbol: str, **given: Unpack[StockPrices]) -> Call[BySymbol[Trade]]:
    """The latest trade of one stock."""
    return get(f"/v2/stocks/{segment(symbol)}/trades/latest", _latest_of_one, **given)


def latest_crypto(symbols: Sequence[str], *, location: str = "us") -> Call[BySymbol[Trade]]:
    """The latest trade of each crypto pair."""
    return get(f"/v1beta3/crypto/{segment(location)}/latest/trades", _latest, symbols)


def latest_options(symbols: Sequence[str], *, feed: str | None = None) -> Call[BySymbol[Trade]]:
    """The latest trade of each option contract. ``feed``: ``opra`` or ``indicative``."""
    return get("/v1beta1/options/trades/latest", _latest, symbols, feed=feed)


def latest_perpetuals(symbols: Sequence[str], *, location: str = "global") -> Call[BySymbol[Trade]]:
    """The latest trade of each perpetual future on crypto."""
    return get(f"/v1beta1/crypto-perps/{segment(location)}/latest/trades", _latest, symbols)
