"""So many requests a minute, and what their answers say of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sandboxes import Visitor, sandbox

from broker_core.clock import StillClock, to_ns

NAMES = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


@pytest.fixture
async def limited(clock: StillClock) -> AsyncIterator[Visitor]:
    """Somebody at a sandbox whose hosts take three requests a minute."""
    async with sandbox(clock, {"rate_limit": 3}) as box, Visitor(box) as visitor:
        yield visitor


async def test_the_fourth_request_of_a_minute_is_one_too_many(limited: Visitor, clock: StillClock):
    """Every answer says how many are left, refusals too; the next minute takes as many again."""
    next_minute = str((to_ns(clock.now()) // 60_000_000_000 + 1) * 60)
    paths = ("/v2/account", "/v2/orders/none", "/v2/clock", "/v2/account")
    replies = [await limited.get(path) for path in paths]

    assert [reply.status for reply in replies] == [200, 422, 200, 429]
    assert [[reply.headers[name] for name in NAMES] for reply in replies] == [["3", left, next_minute] for left in "2100"]
    assert replies[-1].json == {"message": "too many requests."}
    await clock.advance(60)
    assert (await limited.get("/v2/account")).headers["X-RateLimit-Remaining"] == "2"


async def test_an_order_beyond_the_limit_does_not_take_effect(limited: Visitor):
    """It is refused before it is looked at."""
    for _ in range(3):
        await limited.get("/v2/clock")
    reply = await limited.post("/v2/orders", {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"})

    assert reply.status == 429
    assert limited.box.desk.exchange.orders() == ()


async def test_each_host_counts_for_itself_and_strangers_not_at_all(limited: Visitor):
    """Market data has a limit of its own, and whoever has the wrong keys uses nothing up."""
    async with Visitor(limited.box, key="PKWRONG") as stranger:
        for _ in range(5):
            assert (await stranger.get("/v2/account")).status == 401
    for _ in range(3):
        await limited.get("/v2/account")

    assert (await limited.get("/v2/stocks/quotes/latest", symbols="AAPL")).headers["X-RateLimit-Remaining"] == "2"
    assert (await limited.get("/v2/account")).status == 429


async def test_without_a_limit_nothing_is_said_of_one(visitor: Visitor):
    """Nobody is taught a limit that there is not."""
    assert not set(NAMES) & set((await visitor.get("/v2/account")).headers)
