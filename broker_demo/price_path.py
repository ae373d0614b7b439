"""The path of an invented price: a pure function of a key and the moment.

Prices are counted in points, whole price increments. From one minute to the next the price is a random walk, found by halving: the
ends of a cell of half a year are given, its middle is their mean and a random step, and so on down to the minute. Inside a minute the
price goes from the open over the two extremes to the close. Its seconds lie in pairs around the middle of each of these three
stretches, alike in size and opposite in price; that is why a minute's bar, its sum of price times size included, follows from its
corners alone, without a look at its seconds.

The same text computes one minute with Python's integers and many with NumPy's arrays of 64 bits, so that the two cannot drift apart.
Everything is integer arithmetic but the way from the walk to the price, which takes only the operations that IEEE 754 rounds exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import Any, TypeAlias

import attrs

Whole: TypeAlias = Any
"""An ``int``, or a NumPy array of int64."""

SECONDS = 60
LEAST = 8
"""The lowest price, in points: room for a book below it."""

_WORD = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15

# Which draw a number is for: added to the key.
_ENDS, _MINUTE, _BUSTLE, _PAIR, _BOOK = range(20, 25)

_CELL = 18
"""The largest cell holds two to this power minutes, some 182 days."""
_GROUP = 3
"""So many halvings share a draw: its 63 bits are the nine bits of 1 + 2 + 4 middles."""
_HOUR = 6
"""Down to cells of two to this power minutes the walk is remembered."""
_ONE = 511 << 20
"""One minute's standard deviation, in units of the walk."""
_PAIRS = (SECONDS - 4) // 2


def symbol_key(seed: int, symbol: str) -> int:
    """The 64 bits from which everything about a symbol is drawn."""
    return int.from_bytes(blake2b(f"{seed}:{symbol}".encode(), digest_size=8).digest(), "little")


def draw(key: int, index: int) -> int:
    """63 random bits: the finalizer of SplitMix64 (Steele, Lea and Flood, 2014) over the key and a number, without its lowest bit."""
    bits = key + index * _GAMMA & _WORD
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & _WORD
    return (bits ^ bits >> 31) >> 1


def draw_many(key: int, index: Whole) -> Whole:
    """``draw`` for an array of int64."""
    import numpy as np

    bits = index.astype(np.uint64) * np.uint64(_GAMMA) + np.uint64(key & _WORD)
    bits = (bits ^ bits >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ bits >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return ((bits ^ bits >> np.uint64(31)) >> np.uint64(1)).view(np.int64)


def book(price: int, depth: int, bits: int) -> tuple[int, int, int, int]:
    """Bid, ask and their sizes around a print: ``bid <= price <= ask`` and ``bid < ask``, in points; sizes about ``depth``."""
    spread = 1 + (price >> 15) + (bits & 1)
    bid = price - (bits >> 1 & 1023) % (spread + 1)
    return bid, bid + spread, 1 + (depth * (512 + (bits >> 11 & 1023)) >> 10), 1 + (depth * (512 + (bits >> 21 & 1023)) >> 10)


@attrs.define
class Minute:
    """The sixty seconds of one minute, or of many as arrays. Prices in points, sizes in whole shares.

    The price is ``open`` at second 0, ``first`` after ``before`` pairs of seconds, ``second`` after ``between`` more, and ``close``
    at second 59. Never changed once made.
    """

    open: Whole
    high: Whole
    low: Whole
    close: Whole
    first: Whole
    second: Whole
    before: Whole
    between: Whole
    volume: Whole

    @property
    def notional(self) -> Whole:
        """The sum of price times size over all seconds."""
        corners = self.open + self.first + self.second + self.close
        pairs = self.before * (self.open + self.first) + self.between * (self.first + self.second)
        pairs = pairs + (_PAIRS - self.before - self.between) * (self.second + self.close)
        return self.volume // SECONDS * (corners + pairs) + self.volume % SECONDS * self.open


class PricePath:
    """The path of one symbol around ``base`` points.

    ``volatility`` is the standard deviation of a day's logarithmic return; ``shares`` is about what a minute trades on average.
    The base is at most 2**27 points, the shares at most 2**20, so that 64 bits hold every product.
    """

    def __init__(self, key: int, *, base: int, volatility: float, shares: int) -> None:
        self._key = key
        self._base = float(base)
        self._unit = volatility / math.sqrt(1440) / _ONE
        self._reach = round(volatility / math.sqrt(1440) * 1.5 * 2**20)
        self._shares = shares
        self._depth = shares // 10
        # Nothing but pure functions is remembered: the moments asked for lie close together.
        self._hour_ends = lru_cache(maxsize=32)(self._find_hour_ends)
        self.minute = lru_cache(maxsize=32)(self._find_minute)
        """One minute, counted from the Unix epoch."""

    def minutes(self, minutes: Whole) -> Minute:
        """Many minutes, counted from the Unix epoch, at once: an array of int64 in, arrays out."""
        left, right = self._ends(minutes >> _CELL, draw_many)
        return self._shape(minutes, *_halve(self._key, minutes, _LEVELS, left, right, draw_many), draw_many, _whole_many)

    def second(self, moment: int) -> tuple[int, int, int, int, int, int]:
        """Price, size, bid, ask, bid size and ask size of a second, counted from the Unix epoch. Prices in points."""
        minute, second = divmod(moment, SECONDS)
        price, size = self._inside(self.minute(minute), minute, second)
        return price, size, *book(price, self._depth, draw(self._key + _BOOK, moment))

    def _find_minute(self, minute: int) -> Minute:
        left, right = _halve(self._key, minute, _FINE_LEVELS, *self._hour_ends(minute >> _HOUR), draw)
        return self._shape(minute, left, right, draw, int)

    def _find_hour_ends(self, hour: int) -> tuple[int, int]:
        minute = hour << _HOUR
        return _halve(self._key, minute, _COARSE_LEVELS, *self._ends(minute >> _CELL, draw), draw)

    def _ends(self, cell: Whole, draw: _Draw) -> tuple[Whole, Whole]:
        return _step(draw(self._key + _ENDS, cell)) * _END_STEP, _step(draw(self._key + _ENDS, cell + 1)) * _END_STEP

    def _points(self, walk: Whole, whole: Callable[[Any], Whole]) -> Whole:
        log = walk * self._unit
        # Padé's approximant of the exponential function: always positive, and unlike exp() the same everywhere.
        return _larger(whole(self._base * (((log + 6.0) * log + 12.0) / ((log - 6.0) * log + 12.0))), LEAST)

    def _shape(self, minute: Whole, left: Whole, right: Whole, draw: _Draw, whole: Callable[[Any], Whole]) -> Minute:
        open_, close = self._points(left, whole), self._points(right, whole)
        bits = draw(self._key + _MINUTE, minute)
        top, bottom = _larger(open_, close), open_ + close - _larger(open_, close)
        high = top + (open_ * self._reach * (bits & 1023) ** 2 >> 40)
        low = _larger(bottom - (open_ * self._reach * (bits >> 10 & 1023) ** 2 >> 40), LEAST)
        first = low + (bits >> 20 & 1) * (high - low)
        bustle = 64 + (draw(self._key + _BUSTLE, minute >> 9) & 255)
        return Minute(
            open=open_,
            high=high,
            low=low,
            close=close,
            first=first,
            second=high + low - first,
            before=(bits >> 21 & 1023) * 14 >> 10,
            between=1 + ((bits >> 31 & 1023) * 14 >> 10),
            volume=SECONDS + ((self._shares * bustle >> 7) * ((bits >> 43) + (1 << 18)) ** 2 >> 40),
        )

    def _inside(self, shape: Minute, minute: int, second: int) -> tuple[int, int]:
        """Price and size of one second."""
        start, pairs, left, right = 0, shape.before, shape.open, shape.first
        if second > 2 * pairs:
            start, pairs, left, right = 2 * pairs + 1, shape.between, shape.first, shape.second
            if second > start + 2 * pairs:
                start, pairs, left, right = start + 2 * pairs + 1, _PAIRS - shape.before - pairs, shape.second, shape.close
        step, length, lot = second - start, 2 * pairs + 1, shape.volume // SECONDS
        if step == 0:
            return left, lot if start else lot + shape.volume % SECONDS
        if second == SECONDS - 1:
            return right, lot
        place = step if 2 * step < length else length - step
        odd = place & 1
        # Two neighbouring pairs share a draw: what the one trades more than the mean, the other trades less.
        bits = draw(self._key + _PAIR, minute * SECONDS + start + place + odd)
        surplus = 0 if odd and place == pairs else ((bits & 511) - 255) * (lot - 1) >> 8
        low, high, both = shape.low, shape.high, left + right
        price = left + (right - left) * place // length + (((bits >> (9 if odd else 17) & 255) - 128) * (high - low) >> 9)
        # What the near second of a pair gains the far one loses, so both must stay within the minute's extremes.
        lowest, highest = (both - high, high) if both > low + high else (low, both - low)
        if price < lowest:
            price = lowest
        elif price > highest:
            price = highest
        return price if place == step else both - price, lot + surplus if odd else lot - surplus


_Draw: TypeAlias = Callable[[int, Whole], Whole]
_Level: TypeAlias = tuple[int, tuple[tuple[int, int, int], ...]]


def _levels() -> tuple[_Level, ...]:
    """For each draw its cell's size as a shift, and for each of its halvings the half's shift, the step's weight, and the bits of a half.

    Brownian motion: the middle of a cell deviates from the mean of its ends by half the square root of its length. The square
    root of three turns an even distribution's reach into its standard deviation.
    """
    return tuple(
        (
            top,
            tuple((top - depth - 1, round(math.sqrt(3 * 2 ** (top - depth)) / 2 * 2**20), jump) for depth, jump in enumerate((27, 9, 0))),
        )
        for top in range(_CELL, 0, -_GROUP)
    )


_LEVELS = _levels()
_COARSE_LEVELS = tuple(level for level in _LEVELS if level[0] > _HOUR)
_FINE_LEVELS = _LEVELS[len(_COARSE_LEVELS) :]
_END_STEP = round(math.sqrt(3 * 2 ** (_CELL - 1)) * 2**20)


def _step(bits: Whole) -> Whole:
    """An even spread over the odd numbers from -511 to 511."""
    return (bits & 511) * 2 - 511


def _halve(key: int, minute: Whole, levels: tuple[_Level, ...], left: Whole, right: Whole, draw: _Draw) -> tuple[Whole, Whole]:
    """The ends of the smallest cell that holds the minute, from the ends of the largest."""
    for top, halvings in levels:
        bits = draw(key + top, minute >> top)
        for shift, weight, jump in halvings:
            middle = (left + right >> 1) + _step(bits) * weight
            later = minute >> shift & 1
            left = left + later * (middle - left)
            right = middle + later * (right - middle)
            bits = bits >> 9 + later * jump
    return left, right


def _larger(one: Whole, other: Whole) -> Whole:
    return one + other + abs(one - other) >> 1


def _whole_many(numbers: Any) -> Whole:
    return numbers.astype("int64")
