"""A price for every listed symbol at every moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Protocol

import attrs

from broker_core.models import Asset, BarColumns
from broker_core.timeframe import Timeframe
from broker_demo.assets import LISTINGS, Listing, check_symbol, unheard_of
from broker_demo.bar_columns import Array, Rows, bar_columns, covered, gathered, joined, no_bars, single_ticks
from broker_demo.price_path import SECONDS, PricePath, symbol_key
from broker_demo.trading_hours import NEVER_NS, TradingHours

_SECOND_NS = 1_000_000_000
_MINUTE_NS = SECONDS * _SECOND_NS
_BLOCK = 1 << 15


@attrs.define(unsafe_hash=True)
class Tick:
    """The print and the book of one moment. Prices lie on the symbol's tick grid, and ``bid <= price <= ask``, ``bid < ask``.

    Never changed once made; a frozen class would take twice as long to make, and there are a hundred thousand a second.
    """

    timestamp_ns: int
    price: float
    size: int
    bid: float
    ask: float
    bid_size: int
    ask_size: int


class Prices(Protocol):
    """Where the demo broker's prices come from. Moments are integer nanoseconds since the Unix epoch.

    A symbol that is not listed has no ticks and no bars.
    """

    hours: TradingHours

    def asset(self, symbol: str) -> Asset | None:
        """What is traded under this symbol; None when it is not listed."""

    def symbols(self) -> Sequence[str]:
        """All listed symbols, sorted."""

    def tick(self, symbol: str, at_ns: int) -> Tick | None:
        """The latest tick at or before this moment; None when there never was one."""

    def next_tick_ns(self, symbol: str, after_ns: int) -> int | None:
        """The moment of the first tick strictly after this one; None when there will be none."""

    def ticks(self, symbol: str, after_ns: int, until_ns: int) -> Iterator[Tick]:
        """All ticks after ``after_ns`` and no later than ``until_ns``, in order of time."""

    def columns(self, symbol: str, timeframe: Timeframe, start_ns: int, end_ns: int, now_ns: int) -> BarColumns:
        """The bars whose left edge lies in ``[start_ns, end_ns)``, made of the ticks at or before ``now_ns``: the running bar is partial.

        A bar's ``trade_count`` counts its ticks, its ``volume`` sums their sizes. Stretches without ticks have no bar.
        """


class SeededPrices(Prices):
    """Invented prices: a tick in every second of the trading hours, each a pure function of the seed, the symbol and the moment.

    Every process on every machine sees the same ones, and the bars are exactly what the ticks add up to. Listed are the symbols of
    ``broker_demo.assets`` and ``extra_symbols``, whose base prices lie between 20 and 400. The hours begin and end on whole minutes.
    Raises ConfigError for a symbol that no order could name.
    """

    def __init__(self, seed: int, hours: TradingHours, extra_symbols: Sequence[str] = ()) -> None:
        self.hours = hours
        listings = {symbol: unheard_of(symbol, _base_price(seed, symbol)) for symbol in extra_symbols} | dict(LISTINGS)
        self._seed = seed
        self._listings = dict(sorted(listings.items()))
        # Made when they are first asked for: nobody asks for all.
        self._lines: dict[str, _Line] = {}

    def asset(self, symbol: str) -> Asset | None:
        """What is traded under this symbol; None when it is not listed."""
        listing = self._listings.get(symbol)
        return listing.asset if listing else None

    def symbols(self) -> Sequence[str]:
        """All listed symbols, sorted."""
        return tuple(self._listings)

    def tick(self, symbol: str, at_ns: int) -> Tick | None:
        """The latest tick at or before this moment; None before the first session."""
        line = self._lines.get(symbol) or self._line(symbol)
        if line is None:
            return None
        if not self.hours.is_open(at_ns):
            close = self.hours.previous_close(at_ns)
            if close is None:
                return None
            at_ns = close - 1
        return line.tick(at_ns // _SECOND_NS)

    def next_tick_ns(self, symbol: str, after_ns: int) -> int | None:
        """The next whole second of the trading hours; None for a symbol that is not listed and when there are no more hours."""
        if symbol not in self._listings:
            return None
        following = (after_ns // _SECOND_NS + 1) * _SECOND_NS
        if self.hours.is_open(following):
            return following
        following = self.hours.next_open(following)
        return None if following == NEVER_NS else following

    def ticks(self, symbol: str, after_ns: int, until_ns: int) -> Iterator[Tick]:
        """All ticks after ``after_ns`` and no later than ``until_ns``, in order of time."""
        line = self._lines.get(symbol) or self._line(symbol)
        if line is not None:
            for start, end in self.hours.spans(after_ns + 1, until_ns + 1):
                yield from map(line.tick, range(-(-start // _SECOND_NS), -(-end // _SECOND_NS)))

    def columns(self, symbol: str, timeframe: Timeframe, start_ns: int, end_ns: int, now_ns: int) -> BarColumns:
        """The bars whose left edge lies in ``[start_ns, end_ns)``, made of the ticks at or before ``now_ns``."""
        line = self._lines.get(symbol) or self._line(symbol)
        start, end = covered(timeframe, start_ns, end_ns)
        spans = self.hours.spans(start, min(end, now_ns + 1))
        if line is None or not spans:
            return no_bars()
        return bar_columns(gathered(joined([gathered(rows, timeframe) for rows in line.rows(spans)]), timeframe), line.scale)

    def _line(self, symbol: str) -> _Line | None:
        listing = self._listings.get(symbol)
        if listing is None:
            return None
        line = self._lines[symbol] = _Line.of(listing, symbol_key(self._seed, symbol))
        return line


@attrs.frozen
class _Line:
    """One listed symbol: its asset, its path, and how many points of the path make one unit of the currency."""

    asset: Asset
    path: PricePath
    scale: int

    @classmethod
    def of(cls, listing: Listing, key: int) -> _Line:
        scale = int(1 / listing.asset.price_increment)
        return cls(
            listing.asset,
            PricePath(
                key,
                base=int(listing.base_price * scale),
                volatility=listing.daily_volatility,
                shares=min(int(listing.minute_turnover / listing.base_price), 1 << 20),
            ),
            scale,
        )

    def tick(self, second: int) -> Tick:
        price, size, bid, ask, bid_size, ask_size = self.path.second(second)
        # Dividing by a power of ten gives the float nearest to the decimal price; multiplying by 0.01 would not.
        scale = self.scale
        return Tick(second * _SECOND_NS, price / scale, size, bid / scale, ask / scale, bid_size, ask_size)

    def rows(self, spans: Sequence[tuple[int, int]]) -> Iterator[Rows]:
        """The minutes of the spans, in blocks small enough for a processor's cache, then the seconds of a last minute cut short."""
        import numpy as np

        ends = [end // _MINUTE_NS for _, end in spans]
        minutes = np.concatenate([np.arange(start // _MINUTE_NS, end, dtype=np.int64) for (start, _), end in zip(spans, ends, strict=True)])
        for block in range(0, len(minutes), _BLOCK):
            yield self._minutes(minutes[block : block + _BLOCK])
        seconds = range(ends[-1] * SECONDS, -(-spans[-1][1] // _SECOND_NS))
        if seconds:
            prints = [self.path.second(second)[:2] for second in seconds]
            price, size = np.array(prints, np.int64).T
            yield single_ticks(np.array(seconds, np.int64) * _SECOND_NS, price, size)

    def _minutes(self, minutes: Array) -> Rows:
        import numpy as np

        shape = self.path.minutes(minutes)
        return Rows(
            timestamp_ns=minutes * _MINUTE_NS,
            open=shape.open,
            high=shape.high,
            low=shape.low,
            close=shape.close,
            volume=shape.volume,
            trade_count=np.full(len(minutes), SECONDS, np.int64),
            notional=shape.notional,
        )


def _base_price(seed: int, symbol: str) -> Decimal:
    return Decimal(2000 + symbol_key(seed, check_symbol(symbol, "extra_symbols")) % 38_000) / 100
