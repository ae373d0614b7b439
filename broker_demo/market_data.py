"""Prices, past and present, of the demo market."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from itertools import chain

from broker_core.clock import from_ns, to_ns
from broker_core.models import Asset, Bar, BarColumns, BarPage, BarQuery, MarketClock, MarketHours, Quote, Snapshot, Trade
from broker_core.timeframe import Timeframe, Unit
from broker_demo.client import DemoClient
from broker_demo.feeds import MINUTE, bars_of, quote_of, trade_of
from broker_demo.prices import Prices, Tick
from broker_demo.refusals import bad_field

PAGE = 10_000
"""Bars in one answer, over all symbols."""

_DAY = Timeframe(1, Unit.DAY)
_DAY_NS = 24 * 60 * 60 * 1_000_000_000
_LONGEST_BREAK_NS = 14 * _DAY_NS
_LONG_NS = 14 * _DAY_NS


class DemoMarketData:
    """Market data out of the prices themselves. Unknown symbols are refused by name."""

    def __init__(self, client: DemoClient) -> None:
        self._client = client

    async def bars(self, query: BarQuery, token: str | None) -> BarPage:
        """One page; a token names the symbol and the left edge with which the next one begins. Raises RequestRefused, Unavailable."""
        venue = self._client.venue
        self._check(query.symbols)
        first, from_edge_ns = _resume(query, token)
        work = partial(_page, venue.prices, query, first, from_edge_ns, venue.now_ns(), PAGE)
        if to_ns(query.end) - from_edge_ns > _LONG_NS:
            # Prices are pure functions, and years of them take long enough for the event loop to notice.
            return await asyncio.to_thread(work)
        return work()

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """The standing quotes. Raises RequestRefused, Unavailable."""
        return {symbol: quote_of(symbol, tick) for symbol, tick in self._ticks(symbols).items()}

    async def trades(self, symbols: Sequence[str]) -> Mapping[str, Trade]:
        """The last trades. Raises RequestRefused, Unavailable."""
        return {symbol: trade_of(symbol, tick) for symbol, tick in self._ticks(symbols).items()}

    async def snapshots(self, symbols: Sequence[str]) -> Mapping[str, Snapshot]:
        """The present of each symbol: its last trade, and the bars that hold it. Raises RequestRefused, Unavailable."""
        prices, ticks = self._client.venue.prices, self._ticks(symbols)
        return {symbol: _snapshot(prices, symbol, ticks[symbol]) if symbol in ticks else Snapshot(symbol=symbol) for symbol in symbols}

    async def clock(self) -> MarketClock:
        """The market's own time, and its next bells. Raises Unavailable."""
        venue = self._client.venue
        now_ns, hours = venue.now_ns(), venue.prices.hours
        return MarketClock(
            at=from_ns(now_ns),
            is_open=hours.is_open(now_ns),
            next_open=from_ns(hours.next_open(now_ns)),
            next_close=from_ns(hours.next_close(now_ns)),
        )

    async def hours(self, start: date, end: date) -> Sequence[MarketHours]:
        """The trading days from ``start`` to ``end``, both included. Raises Unavailable."""
        return self._client.venue.prices.hours.days(start, end)

    async def asset(self, symbol: str) -> Asset | None:
        """What is traded under this symbol. Raises Unavailable."""
        return self._client.venue.prices.asset(symbol)

    async def assets(self) -> Sequence[Asset]:
        """Everything that is listed, and tradable. Raises Unavailable."""
        prices = self._client.venue.prices
        found = (prices.asset(symbol) for symbol in prices.symbols())
        return [asset for asset in found if asset is not None and asset.tradable]

    def _check(self, symbols: Sequence[str]) -> None:
        prices = self._client.venue.prices
        unknown = [symbol for symbol in symbols if prices.asset(symbol) is None]
        if unknown:
            raise bad_field(f"could not find asset {', '.join(map(repr, unknown))}")

    def _ticks(self, symbols: Sequence[str]) -> dict[str, Tick]:
        self._check(symbols)
        venue = self._client.venue
        now_ns = venue.now_ns()
        ticks = ((symbol, venue.prices.tick(symbol, now_ns)) for symbol in symbols)
        return {symbol: tick for symbol, tick in ticks if tick is not None}


def _resume(query: BarQuery, token: str | None) -> tuple[int, int]:
    """The place of the symbol, and the left edge, with which a page begins."""
    if token is None:
        return 0, to_ns(query.start)
    symbol, _, edge = token.rpartition("|")
    if symbol not in query.symbols or not edge.isdecimal():
        raise bad_field(f"page_token {token!r} does not belong to this query")
    return query.symbols.index(symbol), int(edge)


def _page(prices: Prices, query: BarQuery, first: int, from_edge_ns: int, now_ns: int, room: int) -> BarPage:
    columns: dict[str, BarColumns] = {}
    for symbol in query.symbols[first:]:
        found, next_ns = _gather(prices, symbol, query.timeframe, from_edge_ns, to_ns(query.end), now_ns, room)
        if len(found.timestamp_ns):
            columns[symbol] = found
        room -= len(found.timestamp_ns)
        if next_ns is not None:
            return BarPage(columns=columns, next_token=f"{symbol}|{next_ns}")
        from_edge_ns = to_ns(query.start)
    return BarPage(columns=columns)


def _gather(
    prices: Prices, symbol: str, timeframe: Timeframe, start_ns: int, end_ns: int, now_ns: int, room: int
) -> tuple[BarColumns, int | None]:
    """At most ``room`` bars from ``start_ns`` on, and the left edge of the one that follows; None when there is none."""
    parts: list[BarColumns] = []
    end_ns = min(end_ns, now_ns + 1)
    while start_ns < end_ns:
        # One stretch holds a page at most, so that no bars are made that are not asked for yet.
        until_ns = min(end_ns, start_ns + PAGE * _shortest_ns(timeframe))
        part = prices.columns(symbol, timeframe, start_ns, until_ns, now_ns)
        if len(part.timestamp_ns) > room:
            parts.append(_slice(part, room))
            return _join(parts), int(part.timestamp_ns[room])
        parts.append(part)
        room -= len(part.timestamp_ns)
        start_ns = until_ns
    return _join(parts), None


def _shortest_ns(timeframe: Timeframe) -> int:
    lengths = {Unit.MINUTE: 60, Unit.HOUR: 3600, Unit.DAY: 23 * 3600, Unit.WEEK: 6 * 86_400, Unit.MONTH: 27 * 86_400}
    return timeframe.amount * lengths[timeframe.unit] * 1_000_000_000


def _slice(columns: BarColumns, count: int) -> BarColumns:
    return BarColumns(
        timestamp_ns=columns.timestamp_ns[:count],
        open=columns.open[:count],
        high=columns.high[:count],
        low=columns.low[:count],
        close=columns.close[:count],
        volume=columns.volume[:count],
        trade_count=columns.trade_count[:count],
        vwap=columns.vwap[:count],
    )


def _join(parts: Sequence[BarColumns]) -> BarColumns:
    if len(parts) == 1:
        return parts[0]

    def integers(name: str) -> array[int]:
        return array("q", chain.from_iterable(getattr(part, name) for part in parts))

    def floats(name: str) -> array[float]:
        return array("d", chain.from_iterable(getattr(part, name) for part in parts))

    return BarColumns(
        timestamp_ns=integers("timestamp_ns"),
        open=floats("open"),
        high=floats("high"),
        low=floats("low"),
        close=floats("close"),
        volume=floats("volume"),
        trade_count=integers("trade_count"),
        vwap=floats("vwap"),
    )


def _snapshot(prices: Prices, symbol: str, tick: Tick) -> Snapshot:
    at_ns = tick.timestamp_ns
    day_ns = _DAY.floor(at_ns)

    def last(timeframe: Timeframe, start_ns: int, end_ns: int) -> Bar | None:
        found = bars_of(prices, symbol, timeframe, start_ns, end_ns, at_ns)
        return found[-1] if found else None

    return Snapshot(
        symbol=symbol,
        quote=quote_of(symbol, tick),
        trade=trade_of(symbol, tick),
        minute_bar=last(MINUTE, MINUTE.floor(at_ns), at_ns + 1),
        daily_bar=last(_DAY, day_ns, at_ns + 1),
        previous_daily_bar=last(_DAY, day_ns - _LONGEST_BREAK_NS, day_ns),
    )
