"""The demo broker's two sockets, so to speak: one for order events, one for market data.

While a connection is open nothing meant for it is lost: what its reader has not taken yet waits. What happens while nobody is
connected is not kept, as at real brokers; whoever comes back asks for the orders and executions since.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from broker_core.errors import Unavailable
from broker_core.models import Bar, Channel, Quote, SignedIn, StreamItem, Trade, Wish
from broker_core.orders import OrderEvent
from broker_core.timeframe import Timeframe, Unit
from broker_demo.trading_hours import NEVER_NS

if TYPE_CHECKING:
    from broker_demo.prices import Prices, Tick

MINUTE = Timeframe(1, Unit.MINUTE)


class _Line:
    """One connection."""

    def __init__(self) -> None:
        self._items: list[StreamItem] = []
        self._ended = False
        self._error: Unavailable | None = None
        self._news = asyncio.Event()

    def send(self, items: Sequence[StreamItem]) -> None:
        self._items += items
        self._news.set()

    def end(self, error: Unavailable | None = None) -> None:
        self._ended, self._error = True, error
        self._news.set()

    async def take(self) -> list[StreamItem]:
        """All that has come; nothing once the connection has ended. Raises the error that ended it, after the last item."""
        while not self._items and not self._ended:
            self._news.clear()
            await self._news.wait()
        batch, self._items = self._items, []
        if not batch and self._error is not None:
            raise self._error
        return batch


class DemoFeed:
    """One of the two. ``wake`` is called when there is a new wish or a new connection: more may have to be told than before."""

    def __init__(self, name: str, channels: frozenset[Channel], wake: Callable[[], None]) -> None:
        self.name = name
        self.channels = channels
        self._wake = wake
        self._lines: list[_Line] = []
        self._is_up = False
        self.wish: Mapping[Channel, frozenset[str]] = {}

    def want(self, wish: Wish) -> None:
        """Take the whole wish in place of the former one."""
        self.wish = {channel: symbols for channel, symbols in wish.symbols.items() if channel in self.channels}
        self._wake()

    async def connect(self) -> AsyncIterator[Sequence[StreamItem]]:
        """Open a connection and yield what comes over it. Raises Unavailable."""
        if not self._is_up:
            raise Unavailable(f"demo: the {self.name} feed is down because the client is not open")
        line = _Line()
        self._lines.append(line)
        self._wake()
        try:
            yield [SignedIn()]
            while batch := await line.take():
                yield batch
        finally:
            if line in self._lines:
                self._lines.remove(line)

    async def probe(self) -> bool:
        """Whether the market still runs: a feed in the same process cannot be cut off from it."""
        return self._is_up

    @property
    def is_heard(self) -> bool:
        """Whether anybody is connected."""
        return bool(self._lines)

    def start(self) -> None:
        """Let connections in."""
        self._is_up = True

    def stop(self, error: Unavailable | None = None) -> None:
        """End all connections and let none in."""
        self._is_up = False
        self.drop(error)

    def drop(self, error: Unavailable | None = None) -> None:
        """End all connections, by an error or cleanly; new ones are welcome."""
        lines, self._lines = self._lines, []
        for line in lines:
            line.end(error)

    def send(self, items: Sequence[StreamItem]) -> None:
        """Put news on every open connection, as one batch where its reader keeps up."""
        if items:
            for line in self._lines:
                line.send(items)


class TradingFeed(DemoFeed):
    """Order events."""

    carried = frozenset({Channel.ORDERS})

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__("trading", self.carried, wake)

    def tell(self, events: Sequence[OrderEvent]) -> None:
        """Pass on what has happened to orders."""
        self.send(events)


class DataFeed(DemoFeed):
    """Trades and quotes of every tick, and each minute bar at its close."""

    carried = frozenset({Channel.TRADES, Channel.QUOTES, Channel.BARS})

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__("data", self.carried, wake)

    def next_moment(self, prices: Prices, after_ns: int) -> int:
        """The next moment at which there is something to tell."""
        if not self.is_heard:
            return NEVER_NS
        moments = [prices.next_tick_ns(symbol, after_ns) for symbol in self._symbols(Channel.TRADES) | self._symbols(Channel.QUOTES)]
        if self._symbols(Channel.BARS):
            moments.append(MINUTE.following(MINUTE.floor(after_ns)))
        return min((at_ns for at_ns in moments if at_ns is not None), default=NEVER_NS)

    def tell(self, prices: Prices, after_ns: int, until_ns: int) -> None:
        """Pass on what the market has done after one moment and no later than another, in order of time."""
        if not self.is_heard:
            return
        told: list[tuple[int, StreamItem]] = []
        trades, quotes = self._symbols(Channel.TRADES), self._symbols(Channel.QUOTES)
        for symbol in sorted(trades | quotes):
            for tick in prices.ticks(symbol, after_ns, until_ns):
                if symbol in trades:
                    told.append((tick.timestamp_ns, trade_of(symbol, tick)))
                if symbol in quotes:
                    told.append((tick.timestamp_ns, quote_of(symbol, tick)))
        first_ns, last_ns = MINUTE.floor(after_ns), MINUTE.floor(until_ns)
        if first_ns < last_ns:
            for symbol in sorted(self._symbols(Channel.BARS)):
                bars = bars_of(prices, symbol, MINUTE, first_ns, last_ns, until_ns)
                told += [(MINUTE.following(bar.timestamp_ns), bar) for bar in bars]
        told.sort(key=lambda pair: pair[0])
        self.send([item for _, item in told])

    def _symbols(self, channel: Channel) -> frozenset[str]:
        return self.wish.get(channel, frozenset())


def trade_of(symbol: str, tick: Tick) -> Trade:
    """The print of a tick."""
    return Trade(symbol, tick.timestamp_ns, tick.price, tick.size)


def quote_of(symbol: str, tick: Tick) -> Quote:
    """The book of a tick."""
    return Quote(symbol, tick.timestamp_ns, tick.bid, tick.bid_size, tick.ask, tick.ask_size)


def bars_of(prices: Prices, symbol: str, timeframe: Timeframe, start_ns: int, end_ns: int, now_ns: int) -> list[Bar]:
    """The bars whose left edge lies in ``[start_ns, end_ns)``, as values."""
    columns = prices.columns(symbol, timeframe, start_ns, end_ns, now_ns)
    return [
        Bar(symbol, int(at_ns), float(first), float(high), float(low), float(last), float(volume), int(count), float(vwap))
        for at_ns, first, high, low, last, volume, count, vwap in zip(
            columns.timestamp_ns,
            columns.open,
            columns.high,
            columns.low,
            columns.close,
            columns.volume,
            columns.trade_count,
            columns.vwap,
            strict=True,
        )
    ]
