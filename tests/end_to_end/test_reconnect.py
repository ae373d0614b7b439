"""Sockets that break, go mute or are refused, and what a session makes of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from accounts import FastClock
from paired import Pair, box_on, pair, session_at
from quiet import quiet_days

from broker_core import LimitOrder, State
from broker_core.clock import StillClock, SystemClock
from broker_core.errors import AuthError
from broker_core.models import Channel, Gap
from broker_core.orders import ReplaceTerms
from broker_core.requests import MarketOrder
from broker_demo.paper_order import Status


async def until(is_so: Callable[[], Any]) -> None:
    """Let the loop turn until something is so."""
    while not is_so():  # noqa: ASYNC110  # it may become so anywhere, also on the other side of a socket
        await asyncio.sleep(0)


@pytest.fixture
async def in_real_time() -> AsyncIterator[Pair]:
    """A sandbox and a session on the machine's own clock."""
    clock = SystemClock()
    async with box_on(clock) as box, session_at(box, clock) as session:
        yield Pair(box, session, clock)


async def test_everything_that_happened_behind_a_broken_socket_is_known_within_two_seconds(in_real_time: Pair):
    """Of 450 orders 250 end while the socket is down: all are known soon after the sign-in, by four requests at most, and a gap is told."""
    session, exchange = in_real_time.session, in_real_time.box.desk.exchange
    await session.stream.ready(Channel.ORDERS)
    request = LimitOrder("KO", "buy", qty=1, limit_price="1.5", time_in_force="gtc")
    resting = await asyncio.gather(*(session.orders.submit(request) for _ in range(300)))
    gaps: list[tuple[Gap, int, float]] = []
    session.stream.on_gap(lambda gap: gaps.append((gap, known(), in_real_time.clock.monotonic())))
    in_real_time.faults({"kind": "refuse_handshake", "socket": "trading", "status": 503})
    for line in tuple(in_real_time.box.desk.lines):
        line.drop()
    await until(lambda: not session.stream.healthy(Channel.ORDERS))

    def behind_its_back(now_ns: int) -> None:
        for order in resting[:100]:
            exchange.cancel(order.broker_ids[0], now_ns)
        for order in resting[100:200]:
            exchange.replace(order.broker_ids[0], ReplaceTerms(limit_price="500"), now_ns)
        for number in range(50):
            exchange.submit(MarketOrder("AAPL", "buy", qty=2), f"elsewhere-{number}", now_ns)

    in_real_time.box.desk.venue.change(behind_its_back)
    await until(lambda: sum(order.status is Status.FILLED for order in in_real_time.held) == 150)

    def known() -> int:
        orders = session.orders.book.orders()
        cancelled = {order.local_id for order in resting[:100]}
        return sum(order.state is State.FILLED or (order.state is State.CANCELED and order.local_id in cancelled) for order in orders)

    in_real_time.faults({"kind": "latency", "seconds": 0, "method": "GET", "path": "/v2/orders*"})
    *_, refusing, counting = in_real_time.box.desk.faults
    in_real_time.box.desk.faults.remove(refusing.fault_id)
    await until(lambda: session.stream.status["trading"].state == "connected")
    signed_in = in_real_time.clock.monotonic()
    await session.stream.ready(Channel.ORDERS)
    await until(lambda: gaps)

    ((gap, known_then, told_at),) = gaps
    assert told_at - signed_in < 2
    assert counting.struck <= 4
    assert (gap.feed, gap.lost, known_then) == ("trading", (), 250)
    assert session.orders.positions_from_fills() == {"AAPL": 100, "KO": 100}


async def test_waits_between_tries_double_up_to_a_minute(caplog: pytest.LogCaptureFixture):
    """A host that is down is tried after 1, 2, 4 … 60 s, less what chance takes away, on a clock that stands still between."""
    clock = StillClock()
    async with box_on(FastClock()) as box, session_at(box, clock) as session:
        both = Pair(box, session, clock)
        await until(lambda: session.stream.healthy(Channel.ORDERS))
        both.faults({"kind": "refuse_handshake", "socket": "trading", "status": 503})
        for line in tuple(box.desk.lines):
            line.drop()
        waits: list[float] = []
        while len(waits) < 9:
            await until(lambda: len(found := _waits(caplog)) > len(waits) and waits.append(found[len(waits)]) is None)
            await clock.advance(waits[-1] + 0.1)

        for wait, longest in zip(waits, (1, 2, 4, 8, 16, 32, 60, 60, 60), strict=True):
            assert longest * 0.8 - 0.1 <= wait <= longest


def _waits(caplog: pytest.LogCaptureFixture) -> list[float]:
    return [float(found[1]) for record in caplog.records if (found := re.search(r"next try in ([\d.]+) s", record.getMessage()))]


async def test_a_refused_sign_in_stops():
    """Keys that are refused on the socket are not tried again."""
    clock = FastClock()
    async with box_on(clock) as box:
        Pair(box, None, clock).faults({"kind": "refuse_sign_in", "socket": "trading"})  # type: ignore[arg-type]  # none yet
        async with session_at(box, clock) as session:
            with pytest.raises(AuthError):
                await session.stream.ready(Channel.ORDERS)
            (refusal,) = box.desk.faults
            await clock.sleep(20)

            assert refusal.struck == 1


@pytest.mark.parametrize("kind", ["mute", "half_open"])
async def test_a_trading_socket_that_says_nothing_is_left_and_nothing_is_lost(kind: str):
    """Open and silent, with pings answered or not: the session finds the fills, tells a gap, and is connected anew."""
    async with pair() as both:
        await both.session.stream.ready(Channel.ORDERS)
        gaps: list[Gap] = []
        both.session.stream.on_gap(gaps.append)
        both.faults({"kind": kind, "socket": "trading", "count": 1})
        await both.clock.sleep(5)
        orders = [await both.session.orders.submit(MarketOrder("AAPL", "buy", qty=1)) for _ in range(3)]
        done = await asyncio.gather(*(both.session.orders.done(order) for order in orders))
        await until(lambda: gaps)
        await both.session.stream.ready(Channel.ORDERS)

        assert {order.state for order in done} == {State.FILLED}
        assert gaps[0].lost == ()


@pytest.mark.parametrize("kind", ["mute", "half_open"])
async def test_a_data_socket_that_says_nothing_is_left(kind: str):
    """A market that moves, and a socket that is open and silent: the session connects anew, names the gap, and quotes flow again."""
    async with pair() as both:
        gaps: list[Gap] = []
        both.session.stream.on_gap(gaps.append)
        quotes: list[Any] = []
        both.session.stream.on_quote("AAPL", quotes.append)
        await both.session.stream.ready(Channel.QUOTES)
        await until(lambda: len(quotes) > 3)
        both.faults({"kind": kind, "socket": "data", "count": 1})
        await until(lambda: gaps)
        seen = len(quotes)
        await until(lambda: len(quotes) > seen + 3)

        assert gaps[0].feed == "stocks"
        assert gaps[0].lost == ("quotes: AAPL",)


async def test_a_quiet_socket_is_left_alone_while_the_market_sleeps():
    """From Friday's close on, through hours without a single message, the same two sockets stay open."""
    quiet = await quiet_days(0.1)

    assert (quiet.sockets, quiet.gaps) == (2, 0)
    assert quiet.questions > 60
