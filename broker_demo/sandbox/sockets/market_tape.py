"""Market data on its way to the data sockets (alpaca-api 13.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeAlias

import attrs

from broker_core.errors import Unavailable
from broker_core.models import Bar
from broker_core.timeframe import Timeframe, Unit
from broker_demo.feeds import bars_of
from broker_demo.price_path import symbol_key
from broker_demo.prices import Prices, SeededPrices, Tick
from broker_demo.sandbox.data import articles
from broker_demo.sandbox.data.records import bar_record, book_record, home, quote_record, trade_record
from broker_demo.sandbox.sockets.codec import Moment, Parcel
from broker_demo.sandbox.sockets.feeds import EVERYTHING, FAKE, Feed, Market
from broker_demo.sandbox.sockets.lines import Kind, Line, Lines
from broker_demo.sandbox.sockets.subscriptions import Wish
from broker_demo.trading_hours import NEVER_NS, AlwaysOpen
from broker_demo.venue import MarketNews

_MINUTE = Timeframe(1, Unit.MINUTE)
_DAY = Timeframe(1, Unit.DAY)
_MINUTE_NS = 60_000_000_000
_HALF_NS = _MINUTE_NS // 2
_UPDATED_ONE_IN = 8
"""So rare are bars that are sent a second time, as if a late trade had changed them."""

_CHANNELS: Mapping[str, str] = MappingProxyType(
    {
        "t": "trades",
        "q": "quotes",
        "b": "bars",
        "u": "updatedBars",
        "d": "dailyBars",
        "s": "statuses",
        "l": "lulds",
        "o": "orderbooks",
        "c": "corrections",
        "x": "cancelErrors",
        "n": "news",
        "i": "imbalances",
    }
)
_FAILED: Mapping[str, Any] = MappingProxyType({"T": "error", "code": 500, "msg": "internal error"})
_TICKS = ("t", "q", "o")
_FOLLOWS = MappingProxyType({"c": "t", "x": "t"})

_Told: TypeAlias = list[tuple[int, dict[str, Any]]]
"""Messages and the moments at which they are due."""


@attrs.define(eq=False)
class _Audience:
    """All lines of one feed with the same wish: they get the same frames. ``symbols`` are those of each kind of message."""

    feed: Feed
    symbols: Mapping[str, frozenset[str]]
    listed: Sequence[str]
    """What a wish for everything stands for."""
    lines: list[Line] = attrs.field(factory=list)
    told: _Told = attrs.field(factory=list)

    def of(self, kind: str) -> Sequence[str]:
        """The symbols for which it wants messages of this kind, in alphabetical order."""
        wanted = self.symbols.get(kind, frozenset())
        return self.listed if EVERYTHING in wanted else sorted(wanted)

    def wants(self, kind: str, symbol: str) -> bool:
        """Whether it wants messages of this kind about this symbol."""
        wanted = self.symbols.get(_FOLLOWS.get(kind, kind), frozenset())
        return symbol in wanted or EVERYTHING in wanted


_Source: TypeAlias = tuple[Market, int]
"""Where ticks come from, and by how many nanoseconds they are late."""
_Hearers: TypeAlias = list[tuple[str, _Told]]
"""Who wants ticks of one symbol: a kind of message, and where it goes."""


class MarketTape(MarketNews):
    """Sends what the market does to the data sockets that have subscribed to it.

    Every symbol that anybody has subscribed to is walked through once, and every message is made once.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._wishes: dict[Line, tuple[Feed, Wish]] = {}
        self._audiences: list[_Audience] = []
        self._hearers: dict[_Source, dict[str, _Hearers]] = {}
        self._next: dict[_Source, int] = {}
        """The next moment at which a source has a tick for anybody."""

    # Who listens

    def route(self, line: Line, feed: Feed, wish: Wish, prices: Prices, now_ns: int) -> None:
        """Send a line what it wishes from this moment on, in place of what it wished before."""
        before = dict(self._wishes[line][1]) if line in self._wishes else {}
        self._wishes[line] = feed, wish
        self._sort(prices)
        books = dict(wish).get("orderbooks", frozenset()) - before.get("orderbooks", frozenset())
        for symbol in sorted(feed.symbols(prices)) if EVERYTHING in books else sorted(books):
            tick = self._prices(feed.market, prices).tick(symbol, now_ns)
            if tick is not None:
                line.send([_message("o", symbol, {**book_record(tick), "r": True}, Moment(tick.timestamp_ns))])

    def leave(self, line: Line) -> None:
        """Send a line nothing any more."""
        if self._wishes.pop(line, None) is not None:
            for audience in self._audiences:
                if line in audience.lines:
                    audience.lines.remove(line)
            self._audiences = [audience for audience in self._audiences if audience.lines]
            self._listen()

    def _sort(self, prices: Prices) -> None:
        found: dict[tuple[Feed, Wish], _Audience] = {}
        for line, (feed, wish) in self._wishes.items():
            if any(symbols for _, symbols in wish):
                wanted = dict(wish)
                if (feed, wish) not in found:
                    kinds = {kind: wanted[channel] for kind, channel in _CHANNELS.items() if wanted.get(channel)}
                    found[feed, wish] = _Audience(feed, kinds, sorted(feed.symbols(prices)))
                found[feed, wish].lines.append(line)
        self._audiences = list(found.values())
        self._listen()

    def _listen(self) -> None:
        self._next = {}
        self._hearers = {}
        for audience in self._audiences:
            hearers = self._hearers.setdefault((audience.feed.market, audience.feed.delay_ns), {})
            for kind in _TICKS:
                for symbol in audience.of(kind):
                    hearers.setdefault(symbol, []).append((kind, audience.told))

    # What happens

    def next_moment(self, prices: Prices, after_ns: int) -> int:
        """The next moment at which there is something to tell."""
        moments = [NEVER_NS, *(self._next_tick(source, prices, after_ns) for source in self._hearers)]
        for audience in self._audiences:
            wanted = audience.symbols.keys()
            if "b" in wanted or "d" in wanted:
                moments.append((after_ns // _MINUTE_NS + 1) * _MINUTE_NS)
            if "u" in wanted:
                moments.append((after_ns + _HALF_NS) // _MINUTE_NS * _MINUTE_NS + _HALF_NS)
            if "n" in wanted:
                moments.append((after_ns // articles.EVERY_NS + 1) * articles.EVERY_NS)
            if "s" in wanted:
                late_ns = audience.feed.delay_ns
                moments.append(self._prices(audience.feed.market, prices).hours.next_open(after_ns - late_ns) + late_ns)
        return min(moments)

    def _next_tick(self, source: _Source, prices: Prices, after_ns: int) -> int:
        # Asked with every order and every request, while the answer changes with every tick.
        if self._next.get(source, 0) <= after_ns:
            market, late_ns = source
            found = self._prices(market, prices)
            ticks = (found.next_tick_ns(symbol, after_ns - late_ns) for symbol in self._hearers[source])
            self._next[source] = min((at_ns + late_ns for at_ns in ticks if at_ns is not None), default=NEVER_NS)
        return self._next[source]

    def tell(self, prices: Prices, after_ns: int, until_ns: int) -> None:
        """Send what the market has done."""
        if not self._audiences or until_ns <= after_ns:
            return
        for source, hearers in self._hearers.items():
            if self._next_tick(source, prices, after_ns) <= until_ns:
                market, late_ns = source
                self._tell_ticks(self._prices(market, prices), hearers, after_ns - late_ns, until_ns - late_ns)
        bars = _Bars()
        for audience in self._audiences:
            late_ns = audience.feed.delay_ns
            found, span = self._prices(audience.feed.market, prices), (after_ns - late_ns, until_ns - late_ns)
            audience.told += bars.told(found, audience.of, *span)
            if "s" in audience.symbols:
                audience.told += _openings(found, audience.of("s"), *span)
            if "n" in audience.symbols:
                audience.told += _news(found, audience.symbols["n"], *span)
            if audience.told:
                audience.told.sort(key=_due)
                parcel = Parcel([message for _, message in audience.told])
                audience.told.clear()
                for line in audience.lines:
                    line.send(parcel)

    def announce(self, kind: str, symbol: str, record: Mapping[str, Any], at_ns: int) -> None:
        """Send a message that the market did not bring about, such as a halt, to all who have subscribed to its like.

        ``kind`` is its ``T`` and ``record`` its members without ``T``, ``S`` and ``t``.
        """
        parcel = Parcel([_message(kind, symbol, record, Moment(at_ns))])
        for audience in self._audiences:
            if audience.wants(kind, symbol):
                for line in audience.lines:
                    line.send(parcel)

    def stop(self, error: Unavailable | None = None) -> None:
        """The market has stopped: end the sockets, with a word if an error was the reason."""
        self._lines.stop(Kind.DATA, None if error is None else dict(_FAILED))

    def _prices(self, market: Market, prices: Prices) -> Prices:
        return self._fake if market is Market.FAKE else prices

    @cached_property
    def _fake(self) -> Prices:
        """Prices of the test feed: the same everywhere, and round the clock."""
        return SeededPrices(0, AlwaysOpen(), (FAKE,))

    @staticmethod
    def _tell_ticks(prices: Prices, hearers: Mapping[str, _Hearers], after_ns: int, until_ns: int) -> None:
        moments: dict[int, Moment] = {}
        for symbol, wanted in hearers.items():
            for tick in prices.ticks(symbol, after_ns, until_ns):
                at_ns = tick.timestamp_ns
                moment = moments.get(at_ns)
                if moment is None:
                    moment = moments[at_ns] = Moment(at_ns)
                made: dict[str, dict[str, Any]] = {}
                for kind, told in wanted:
                    message = made.get(kind)
                    if message is None:
                        record = _book_change(prices, symbol, tick) if kind == "o" else _RECORDS[kind](symbol, tick)
                        message = made[kind] = {"T": kind, "S": symbol, **record, "t": moment}
                    told.append((at_ns, message))


class _Bars:
    """The bars that are due in one stretch of time, each made once."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, str, str, int], dict[str, Any] | None] = {}

    def told(self, prices: Prices, wanted: Callable[[str], Sequence[str]], after_ns: int, until_ns: int) -> _Told:
        """The bars of all three kinds that somebody wants."""
        return [
            (due_ns, message)
            for kind, due, edge_ns in _edges(after_ns, until_ns)
            for due_ns, symbol in ((due, symbol) for symbol in wanted(kind))
            if (message := self._bar(prices, kind, symbol, edge_ns)) is not None
        ]

    def _bar(self, prices: Prices, kind: str, symbol: str, edge_ns: int) -> dict[str, Any] | None:
        """The bar of this kind that was complete, or as far as it had come, at the end of a minute."""
        key = id(prices), kind, symbol, edge_ns
        if key not in self._made:
            self._made[key] = _bar_at(prices, kind, symbol, edge_ns)
        return self._made[key]


def _bar_at(prices: Prices, kind: str, symbol: str, edge_ns: int) -> dict[str, Any] | None:
    if kind == "u" and (symbol_key(0, symbol) + edge_ns // _MINUTE_NS) % _UPDATED_ONE_IN:
        return None
    start_ns = edge_ns - _MINUTE_NS
    if not prices.hours.spans(start_ns, edge_ns):
        return None
    if kind == "d":
        start_ns = _DAY.floor(start_ns)
    found: list[Bar] = bars_of(prices, symbol, _DAY if kind == "d" else _MINUTE, start_ns, edge_ns, edge_ns - 1)
    return _message(kind, symbol, bar_record(found[-1]), Moment(found[-1].timestamp_ns)) if found else None


def _edges(after_ns: int, until_ns: int) -> Iterator[tuple[str, int, int]]:
    """What is due after one moment and no later than another: a kind of bar, when it is due, and the end of its minute."""
    for edge_ns in range((after_ns // _MINUTE_NS + 1) * _MINUTE_NS, until_ns + 1, _MINUTE_NS):
        yield "b", edge_ns, edge_ns
        yield "d", edge_ns, edge_ns
    first_ns = ((after_ns - _HALF_NS) // _MINUTE_NS + 1) * _MINUTE_NS
    for edge_ns in range(first_ns, until_ns - _HALF_NS + 1, _MINUTE_NS):
        yield "u", edge_ns + _HALF_NS, edge_ns


def _openings(prices: Prices, symbols: Sequence[str], after_ns: int, until_ns: int) -> _Told:
    """The word with which each session begins."""
    told: _Told = []
    while (after_ns := prices.hours.next_open(after_ns)) <= until_ns:
        for symbol in symbols:
            tape = home(symbol).tape
            code, name = ("T", "Trading Resumption") if tape == "C" else ("3", "Resume")
            record = {"sc": code, "sm": name, "rc": "", "rm": "", "z": tape}
            told.append((after_ns, _message("s", symbol, record, Moment(after_ns))))
    return told


def _news(prices: Prices, wanted: frozenset[str], after_ns: int, until_ns: int) -> _Told:
    """The articles about the symbols that somebody wants."""
    told: _Told = []
    for number in range(after_ns // articles.EVERY_NS + 1, until_ns // articles.EVERY_NS + 1):
        article = articles.article(prices, number)
        if article is not None and (EVERYTHING in wanted or wanted.intersection(article["symbols"])):
            moment = Moment(number * articles.EVERY_NS)
            pictureless = {name: value for name, value in article.items() if name != "images"}
            told.append((moment.ns, {"T": "n", **pictureless, "created_at": moment, "updated_at": moment}))
    return told


def _book_change(prices: Prices, symbol: str, tick: Tick) -> dict[str, Any]:
    """The levels of the book that a tick has changed; a size of zero takes one away."""
    now, before_tick = book_record(tick), prices.tick(symbol, tick.timestamp_ns - 1)
    if before_tick is None:
        return {**now, "r": True}
    before = book_record(before_tick)
    return {side: _levels_changed(before[side], now[side]) for side in ("b", "a")}


def _levels_changed(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    old, new = ({level["p"]: level["s"] for level in levels} for levels in (before, now))
    gone = [{"p": price, "s": 0} for price in old if price not in new]
    return gone + [{"p": price, "s": size} for price, size in new.items() if old.get(price) != size]


def _message(kind: str, symbol: str, record: Mapping[str, Any], moment: Moment) -> dict[str, Any]:
    return {"T": kind, "S": symbol, **record, "t": moment}


def _due(pair: tuple[int, dict[str, Any]]) -> int:
    return pair[0]


_RECORDS: Mapping[str, Callable[[str, Tick], dict[str, Any]]] = MappingProxyType({"t": trade_record, "q": quote_record})
