"""Prices out of the user's own bars."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import attrs

from broker_core.models import Asset, BarColumns
from broker_core.timeframe import Timeframe
from broker_demo.assets import LISTINGS, unheard_of
from broker_demo.bar_columns import bar_columns, covered, gathered, no_bars, single_ticks
from broker_demo.bar_file import FileBar, read_bar_file
from broker_demo.price_path import LEAST, book, draw, symbol_key
from broker_demo.prices import Prices, Tick
from broker_demo.trading_hours import AlwaysOpen, ListedHours, Sessions

_PARTS = 4
_FINEST = 10**9
"""The scale of the finest price increment."""


class ReplayPrices(Prices):
    """The bars of a file, each as four ticks: its open at its left edge, then its extremes, then its close, a quarter of its length apart.

    The low comes first in a bar that closes no lower than it opens, else the high. A quarter of the volume falls to each tick, and
    what is left over to the first. The book around each print is invented from the seed. Ticks add up to the file's bars again:
    prices and volumes exactly, the VWAP within the rounding of floats. Prices are rounded to nine decimals.

    The hours are those of the file: a session is a New York day in which it has bars, from the first to the end of the last one.
    """

    def __init__(self, bars: Mapping[str, Sequence[FileBar]], length_ns: int, seed: int) -> None:
        self._tapes = {symbol: _Tape.of(symbol, bars[symbol], length_ns, symbol_key(seed, symbol)) for symbol in sorted(bars)}
        self.hours = ListedHours(_sessions(sorted({bar.timestamp_ns for series in bars.values() for bar in series}), length_ns))
        self.first_ns = min(tape.times[0] for tape in self._tapes.values())
        """The moment of the first tick."""
        self.last_ns = max(tape.times[-1] for tape in self._tapes.values())
        """The moment of the last tick."""

    @classmethod
    def load(cls, path: str | Path, *, symbol: str | None = None, seed: int = 0) -> ReplayPrices:
        """Read a CSV or Parquet file as ``broker_demo.bar_file`` describes.

        ``symbol`` says what a file without a column ``symbol`` is about; else it is the file's name without its suffix, upper-cased.
        Raises ConfigError naming the file, the line or row, and the rule that it breaks.
        """
        file = read_bar_file(Path(path), symbol)
        return cls(file.bars, file.length_ns, seed)

    def asset(self, symbol: str) -> Asset | None:
        """What is traded under this symbol; None when the file does not hold it."""
        tape = self._tapes.get(symbol)
        return tape.asset if tape else None

    def symbols(self) -> Sequence[str]:
        """The symbols of the file, sorted."""
        return tuple(self._tapes)

    def tick(self, symbol: str, at_ns: int) -> Tick | None:
        """The latest tick at or before this moment; None before the first."""
        tape = self._tapes.get(symbol)
        place = bisect_right(tape.times, at_ns) if tape else 0
        return tape.tick(place - 1) if tape and place else None

    def next_tick_ns(self, symbol: str, after_ns: int) -> int | None:
        """The moment of the first tick strictly after this one; None after the last."""
        tape = self._tapes.get(symbol)
        place = bisect_right(tape.times, after_ns) if tape else 0
        return tape.times[place] if tape and place < len(tape.times) else None

    def ticks(self, symbol: str, after_ns: int, until_ns: int) -> Iterator[Tick]:
        """All ticks after ``after_ns`` and no later than ``until_ns``, in order of time."""
        tape = self._tapes.get(symbol)
        if tape:
            yield from map(tape.tick, range(bisect_right(tape.times, after_ns), bisect_right(tape.times, until_ns)))

    def columns(self, symbol: str, timeframe: Timeframe, start_ns: int, end_ns: int, now_ns: int) -> BarColumns:
        """The bars whose left edge lies in ``[start_ns, end_ns)``, made of the ticks at or before ``now_ns``."""
        tape = self._tapes.get(symbol)
        return tape.columns(timeframe, *covered(timeframe, start_ns, end_ns), now_ns) if tape else no_bars()


@attrs.frozen(eq=False)
class _Tape:
    """The ticks of one symbol: nanoseconds, prices and sizes in columns of equal length."""

    asset: Asset
    times: array[int]
    prices: array[float]
    sizes: array[int]
    scale: int
    depth: int
    key: int

    @classmethod
    def of(cls, symbol: str, bars: Sequence[FileBar], length_ns: int, key: int) -> _Tape:
        scale = _scale({price for bar in bars for price in (bar.open, bar.high, bar.low, bar.close)})
        times, prices, sizes = array("q"), array("d"), array("q")
        offsets = [part * length_ns // _PARTS for part in range(_PARTS)]
        for bar in bars:
            quarter = bar.volume // _PARTS
            extremes = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)
            times.extend([bar.timestamp_ns + offset for offset in offsets])
            prices.extend((bar.open, *extremes, bar.close))
            sizes.extend((bar.volume - (_PARTS - 1) * quarter, quarter, quarter, quarter))
        if scale == _FINEST:
            prices = array("d", [round(price * scale) / scale for price in prices])
        listing = LISTINGS.get(symbol) or unheard_of(symbol, Decimal(1))
        asset = attrs.evolve(listing.asset, price_increment=1 / Decimal(scale))
        return cls(asset, times, prices, sizes, scale, sum(sizes) // len(sizes), key)

    def tick(self, place: int) -> Tick:
        price, scale = self.prices[place], self.scale
        bid, ask, bid_size, ask_size = book(round(price * scale), self.depth, draw(self.key, place))
        return Tick(self.times[place], price, self.sizes[place], bid / scale, ask / scale, bid_size, ask_size)

    def columns(self, timeframe: Timeframe, start_ns: int, end_ns: int, now_ns: int) -> BarColumns:
        import numpy as np

        chosen = slice(bisect_left(self.times, start_ns), min(bisect_left(self.times, end_ns), bisect_right(self.times, now_ns)))
        times, prices, sizes = (np.asarray(column)[chosen] for column in (self.times, self.prices, self.sizes))
        return bar_columns(gathered(single_ticks(times, prices, sizes), timeframe), 1)


def _scale(prices: Iterable[float]) -> int:
    """How many price increments make one unit of the currency: the least power of ten, from 100 on, that leaves every price as it is."""
    for decimals in range(2, 9):
        scale: int = 10**decimals
        if all(price * scale >= LEAST and round(price * scale) / scale == price for price in prices):
            return scale
    return _FINEST


def _sessions(starts: Sequence[int], length_ns: int) -> Sessions:
    """The New York days that hold bars, each from its first bar's left edge to its last one's end."""
    calendar = AlwaysOpen()
    days: list[date] = []
    opens: list[int] = []
    closes: list[int] = []
    midnight = starts[0]
    for start in starts:
        if start >= midnight:
            if closes:
                closes[-1] = min(closes[-1], start)
            midnight = calendar.next_open(start)
            days.append(calendar.session_day(start))
            opens.append(start)
            closes.append(start)
        closes[-1] = start + length_ns
    return Sessions(days, opens, closes)
