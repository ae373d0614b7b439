"""The present of a symbol: the last of each kind of record, and all of them together in a snapshot. None where there was none yet.

Bars are made of whole minutes (see ``bars``), trades and quotes are those of this very moment, so that they may be ahead of the bars.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from broker_core.timeframe import Timeframe, Unit
from broker_demo.feeds import MINUTE
from broker_demo.prices import Prices
from broker_demo.sandbox.data.bars import last_whole_minute_ns
from broker_demo.sandbox.data.records import BarRow, bar_rows, book_record, quote_record, trade_record
from broker_demo.sandbox.data.ticks import timed
from broker_demo.sandbox.moments import moment_text

DAY = Timeframe(1, Unit.DAY)

Last: TypeAlias = Callable[[Prices, str, int], Any]
"""What is known of a symbol at a moment, for example ``last_trade``."""


def last_trade(prices: Prices, symbol: str, now_ns: int) -> dict[str, Any] | None:
    """The last print."""
    tick = prices.tick(symbol, now_ns)
    return None if tick is None else timed(trade_record, symbol, tick)


def last_quote(prices: Prices, symbol: str, now_ns: int) -> dict[str, Any] | None:
    """The standing quote."""
    tick = prices.tick(symbol, now_ns)
    return None if tick is None else timed(quote_record, symbol, tick)


def last_book(prices: Prices, symbol: str, now_ns: int) -> dict[str, Any] | None:
    """The standing order book."""
    tick = prices.tick(symbol, now_ns)
    return None if tick is None else {"t": moment_text(tick.timestamp_ns), **book_record(tick)}


def last_bar(prices: Prices, symbol: str, now_ns: int) -> BarRow | None:
    """The last minute that is over, of those that traded."""
    return bar_until(prices, symbol, MINUTE, last_whole_minute_ns(now_ns))


def bar_until(prices: Prices, symbol: str, timeframe: Timeframe, until_ns: int) -> BarRow | None:
    """The last bar made of the ticks up to this moment, this included."""
    tick = prices.tick(symbol, until_ns)
    if tick is None:
        return None
    edge_ns = timeframe.floor(tick.timestamp_ns)
    (row,) = bar_rows(prices.columns(symbol, timeframe, edge_ns, edge_ns + 1, until_ns))
    return row


def snapshot(prices: Prices, symbol: str, now_ns: int) -> dict[str, Any] | None:
    """The last trade, quote and minute, the running day as far as its minutes are over, and the trading day before it."""
    tick = prices.tick(symbol, now_ns)
    if tick is None:
        return None
    until_ns = last_whole_minute_ns(now_ns)
    known = prices.tick(symbol, until_ns)
    return {
        "latestTrade": timed(trade_record, symbol, tick),
        "latestQuote": timed(quote_record, symbol, tick),
        "minuteBar": bar_until(prices, symbol, MINUTE, until_ns),
        "dailyBar": bar_until(prices, symbol, DAY, until_ns),
        "prevDailyBar": None if known is None else bar_until(prices, symbol, DAY, DAY.floor(known.timestamp_ns) - 1),
    }
