"""The bucket: how fast it lets calls go, what it learns, and that the way out is never blocked."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker_alpaca.rate_limit import RateLimit
from broker_alpaca.wire.answers import Answer
from broker_alpaca.wire.call import Lane
from broker_core.clock import StillClock
from broker_core.errors import RateLimited


def answer(status: int = 200, **headers: object) -> Answer:
    """An answer with rate limit headers, in mixed case as they are seen."""
    return Answer(status, {f"X-Ratelimit-{name.title()}": str(value) for name, value in headers.items()}, b"")


async def drain(limit: RateLimit, lane: Lane = Lane.ORDER) -> int:
    """Take until the next one would have to wait; how many went."""
    taken = 0
    while limit.tokens >= 1:
        await limit.take(lane)
        taken += 1
    return taken


async def test_a_full_bucket_lets_its_limit_go_at_once_and_then_its_rate():
    """Two hundred go, the next after three tenths of a second."""
    clock = StillClock()
    limit = RateLimit(clock, 200)
    assert await drain(limit) == 200
    waiting = asyncio.create_task(limit.take(Lane.ORDER))
    await clock.advance(0.29)
    assert not waiting.done()
    await clock.advance(0.02)
    assert waiting.done()


async def test_ordinary_calls_leave_a_reserve_for_orders():
    """A tenth stays: orders go at once where ordinary calls have to wait."""
    clock = StillClock()
    limit = RateLimit(clock, 200)
    for _ in range(180):
        await limit.take(Lane.ORDINARY)
    ordinary = asyncio.create_task(limit.take(Lane.ORDINARY))
    await clock.advance(0)
    assert not ordinary.done()
    await asyncio.wait_for(limit.take(Lane.ORDER), 1)
    ordinary.cancel()


async def test_a_cancel_goes_on_an_empty_bucket_and_past_those_who_wait():
    """It goes on credit, and what comes after waits for it to be paid back."""
    clock = StillClock()
    limit = RateLimit(clock, 60)
    await drain(limit)
    waiting = asyncio.create_task(limit.take(Lane.ORDER))
    await clock.advance(0)
    for _ in range(5):
        await asyncio.wait_for(limit.take(Lane.CANCEL), 1)
    assert limit.tokens == pytest.approx(-5)
    await clock.advance(5.5)
    assert not waiting.done()
    await clock.advance(0.6)
    assert waiting.done()


async def test_a_cancel_goes_even_while_the_broker_refuses():
    """The broker may refuse it too, but that is the broker's word, not ours."""
    limit = RateLimit(StillClock(), 60)
    limit.learn(answer(429))

    await asyncio.wait_for(limit.take(Lane.CANCEL), 1)


async def test_the_headers_say_how_large_the_bucket_is_and_what_is_left():
    """Whatever the case of their names."""
    clock = StillClock()
    limit = RateLimit(clock, 200)
    limit.learn(answer(limit=10_000, remaining=9_000))
    assert limit.limit == 10_000
    assert limit.tokens == pytest.approx(9_000)
    limit.learn(answer(limit=100, remaining=3))
    assert limit.tokens == pytest.approx(3)
    await clock.advance(60)
    assert limit.tokens == pytest.approx(100)


@pytest.mark.parametrize("headers", [{"limit": "many"}, {"limit": "0"}, {"limit": "-3"}, {"limit": "nan"}, {"remaining": "inf"}])
def test_headers_that_make_no_sense_change_nothing(headers: dict[str, str]):
    """A limit of nothing would stop everything for ever."""
    limit = RateLimit(StillClock(), 200)
    limit.learn(answer(**headers))

    assert (limit.limit, limit.tokens) == (200, 200)


def test_a_refusal_without_headers_waits_longer_each_time_until_something_succeeds():
    """1, 2, 4 … up to a minute."""
    limit = RateLimit(StillClock(), 200)

    assert [limit.learn(answer(429)) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    limit.learn(answer(200))
    assert limit.learn(answer(429)) == 1


def test_a_refusal_names_its_wait():
    """Retry-After first, then the reset, unless the two clocks cannot agree."""
    clock = StillClock()
    now = clock.now_ns() / 1e9
    limit = RateLimit(clock, 200)

    assert limit.learn(Answer(429, {"retry-after": "7"}, b"")) == 7
    assert limit.learn(answer(429, reset=now + 12)) == pytest.approx(12)
    assert limit.learn(answer(429, reset=now - 5)) == 1
    assert limit.learn(answer(429, reset=now + 86_400)) == 2


async def test_after_a_refusal_nobody_but_cancels_goes_until_the_wait_is_over():
    """Orders wait too: they would only be refused again."""
    clock = StillClock()
    limit = RateLimit(clock, 6_000)
    limit.learn(Answer(429, {"Retry-After": "7"}, b""))
    waiting = asyncio.create_task(limit.take(Lane.ORDER))
    await clock.advance(6.9)
    assert not waiting.done()
    await clock.advance(0.2)
    assert waiting.done()


async def test_a_wait_beyond_patience_is_refused_at_once():
    """Nothing is sent and no token is gone."""
    clock = StillClock()
    limit = RateLimit(clock, 60, patience=5)
    limit.learn(Answer(429, {"Retry-After": "30"}, b""))
    with pytest.raises(RateLimited) as caught:
        await limit.take(Lane.ORDER)

    assert caught.value.wait == pytest.approx(30)


async def test_an_order_does_not_stand_in_a_line_that_is_too_long():
    """Given up in line it would look like one that was sent; so it is refused before, and the line goes on."""
    clock = StillClock()
    limit = RateLimit(clock, 60, patience=5)
    await drain(limit)
    line = [asyncio.create_task(limit.take(Lane.ORDER)) for _ in range(8)]
    await clock.advance(0)
    refused = [task for task in line if task.done()]
    await clock.advance(5.1)

    assert [type(task.exception()) for task in refused] == [RateLimited] * 3
    assert all(task.done() for task in line)


async def test_whoever_gives_up_in_line_leaves_no_trace():
    """The next order counts only those that still wait."""
    clock = StillClock()
    limit = RateLimit(clock, 60, patience=5)
    await drain(limit)
    line = [asyncio.create_task(limit.take(Lane.ORDER)) for _ in range(5)]
    await clock.advance(0)
    for task in line:
        task.cancel()
    await clock.advance(0)
    late = asyncio.create_task(limit.take(Lane.ORDER))
    await clock.advance(1.1)

    assert late.done()
    assert late.exception() is None


@given(limit=st.integers(1, 1000), gaps=st.lists(st.floats(0, 5), max_size=30))
def test_no_minute_sees_more_than_twice_the_limit(limit: int, gaps: list[float]):
    """A full bucket and what flows in during the minute: that is all that can go."""

    async def run() -> None:
        clock = StillClock()
        bucket = RateLimit(clock, limit)
        gone = await drain(bucket)
        for gap in gaps:
            await clock.advance(gap, turns=1)
            gone += await drain(bucket)
        assert gone <= limit + clock.monotonic() * limit / 60 + 1e-6

    asyncio.run(run())
