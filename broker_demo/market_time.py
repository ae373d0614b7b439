"""The market's time: the passed-in clock, begun at a moment of choice and run at a speed of choice."""

from __future__ import annotations

import math
from fractions import Fraction

from broker_core.clock import Clock

_SHORTEST_NS = 10_000_000


class MarketTime:
    """Maps the clock to the market. ``start_ns`` is the market's moment at the time of construction; it never goes back."""

    def __init__(self, clock: Clock, start_ns: int, speed: Fraction = Fraction(1)) -> None:
        self._clock = clock
        self._origin_ns = clock.now_ns()
        self._start_ns = start_ns
        self._speed = speed
        self._last_ns = start_ns

    def now_ns(self) -> int:
        """The market's moment, in nanoseconds since the Unix epoch."""
        elapsed_ns = self._clock.now_ns() - self._origin_ns
        self._last_ns = max(self._last_ns, self._start_ns + math.floor(elapsed_ns * self._speed))
        return self._last_ns

    def seconds_until(self, market_ns: int) -> float:
        """How many seconds of the clock pass until the market has come to this moment.

        Never less than ten milliseconds, lest a fast market do nothing but wake up.
        """
        wait_ns = math.ceil((market_ns - self.now_ns()) / self._speed)
        return max(wait_ns, _SHORTEST_NS) / 1e9
