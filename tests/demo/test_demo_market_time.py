"""The market's time."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest

from broker_core.clock import StillClock
from broker_demo.market_time import MarketTime

SECOND = 1_000_000_000


async def test_market_begins_where_it_is_told_and_runs_at_its_speed():
    """At a speed of 60 a second of the clock is a minute of the market, from the moment of choice on."""
    clock = StillClock()
    time = MarketTime(clock, 1000 * SECOND, Fraction(60))
    assert time.now_ns() == 1000 * SECOND

    await clock.advance(2)

    assert time.now_ns() == 1120 * SECOND
    assert time.seconds_until(1180 * SECOND) == 1


def test_market_time_never_goes_back():
    """When the machine's clock is set back, the market stands still until it has caught up."""

    class SetBack(StillClock):
        shift = timedelta(0)

        def now_ns(self):
            return super().now_ns() + int(self.shift.total_seconds()) * SECOND

    clock = SetBack()
    time = MarketTime(clock, clock.now_ns())
    clock.shift = timedelta(seconds=5)
    ahead = time.now_ns()
    clock.shift = timedelta(seconds=-5)

    assert time.now_ns() == ahead


@pytest.mark.parametrize("speed", [Fraction(1), Fraction(1000), Fraction(1, 3), Fraction(7, 11)])
async def test_waiting_as_long_as_told_is_long_enough(speed):
    """After the seconds that a moment is away the market has come to it, at any speed; a wait is never shorter than ten milliseconds."""
    clock = StillClock()
    time = MarketTime(clock, 0, speed)
    for target in (1, 999_999_937, 5 * SECOND + 1):
        seconds = time.seconds_until(target)
        assert seconds >= 0.01
        await clock.advance(seconds)
        assert time.now_ns() >= target
    assert time.seconds_until(0) == 0.01
