"""The trading socket as a feed, over real sockets: alone, and kept alive by the core."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from accounts import KEY, SECRET, settings_for
from streaming_core import Core
from trading_host import Refusal, TradingHost

from broker_alpaca.trading_feed import TradingFeed
from broker_alpaca.transport import Sockets
from broker_alpaca.wire.drift import Drift
from broker_core.clock import StillClock
from broker_core.errors import AuthError, RateLimited, RemoteError, Unavailable
from broker_core.families import Feed
from broker_core.models import Channel, SignedIn, Wish
from broker_core.orders import EventKind, State

FIRST, SECOND = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
RUBBISH = b"\x00\xff{" * (5_000_000 // 3)


def update(order_id: str = FIRST, event: str = "new", **members: Any) -> dict[str, Any]:
    """One event of the stream."""
    order = {"id": order_id, "client_order_id": "T1", "status": event, "symbol": "AAPL", "side": "buy", "qty": "10"}
    return {"stream": "trade_updates", "data": {"event": event, "timestamp": "2026-03-02T15:00:00Z", "order": order, **members}}


@pytest.fixture(params=["binary", "text"])
async def host(request: pytest.FixtureRequest) -> AsyncIterator[TradingHost]:
    """A trading socket with the frames of a paper account, and one with those of a live account."""
    async with TradingHost() as host:
        host.sends_text = request.param == "text"
        yield host


@pytest.fixture
async def paper() -> AsyncIterator[TradingHost]:
    """A trading socket, where its frames make no difference."""
    async with TradingHost() as host:
        yield host


@pytest.fixture
async def feed_at() -> AsyncIterator[Callable[..., TradingFeed]]:
    """Make the feed of an account at a host."""
    sockets = Sockets()
    yield lambda host, drift=None: TradingFeed(settings_for(host.url), sockets, clock=StillClock(), drift=drift or Drift())
    await sockets.close()


FeedAt = Callable[..., TradingFeed]


@asynccontextmanager
async def connected(feed: TradingFeed) -> AsyncIterator[AsyncIterator[Any]]:
    """A connection that has signed in; what it yields."""
    connection = feed.connect()
    try:
        assert await anext(connection) == (SignedIn(),)
        yield connection
    finally:
        await connection.aclose()  # type: ignore[attr-defined]


async def test_a_connection(feed_at: FeedAt, host: TradingHost):
    """It says who it is, asks for order events, and brings each, whether frames are binary or text."""
    feed = feed_at(host)
    assert isinstance(feed, Feed)
    assert feed.want(Wish({Channel.ORDERS: frozenset()})) is None
    async with connected(feed) as batches:
        await host.send(update())
        await host.send(update(event="fill", execution_id="e1", qty="10", price="150.5"))
        ((first,), (second,)) = await anext(batches), await anext(batches)

    assert host.heard == [
        {"action": "authenticate", "data": {"key_id": KEY, "secret_key": SECRET}},
        {"action": "listen", "data": {"streams": ["trade_updates"]}},
    ]
    assert (first.kind, first.broker_order_id, first.status) == (EventKind.ACCEPTED, FIRST, State.ACCEPTED)
    assert (second.kind, second.execution_id, second.qty, str(second.price)) == (EventKind.FILL, "e1", 10, "150.5")


async def test_closing_the_connection_closes_the_socket(feed_at: FeedAt, paper: TradingHost):
    """Whoever stops listening leaves nothing open, and a connection after it is another one."""
    feed = feed_at(paper)
    async with connected(feed):
        pass
    assert not await feed.probe()
    async with connected(feed) as batches:
        assert paper.sockets[0].closed
        await paper.send(update())
        assert len(await anext(batches)) == 1


@pytest.mark.parametrize(
    ("frame", "counted"),
    [
        (RUBBISH, "trade stream, a frame that is no JSON"),
        (b'{"stream":"trade_updates","data":"' + b"x" * 5_000_000 + b'"}', "trade_updates (left out)"),
        (b"[" * 5_000_000, "trade stream, a frame that is no JSON"),
        (b'{"stream":"trade_updates","data":{"qty":' + b"7" * 5_000_000 + b"}}", "trade"),
    ],
    ids=["noise", "text", "depth", "digits"],
)
async def test_five_megabytes_of_rubbish_cost_nothing_but_themselves(feed_at: FeedAt, paper: TradingHost, frame: bytes, counted: str):
    """A frame that makes no sense is counted, in a few characters, and the next one is heard."""
    drift = Drift()
    async with connected(feed_at(paper, drift)) as batches:
        await paper.send(frame)
        await paper.send(update())
        (event,) = await anext(batches)

    assert event.broker_order_id == FIRST
    ((said, count),) = drift.counts.items()
    assert said.startswith(counted)
    assert (count, len(said) < 200) == (1, True)


async def test_a_probe_is_a_ping(feed_at: FeedAt, paper: TradingHost):
    """A probe is answered while a connection is read, and says no without one."""
    feed = feed_at(paper)
    assert not await feed.probe()
    async with connected(feed) as batches:
        reading = asyncio.ensure_future(anext(batches))
        assert await feed.probe()
        await paper.sockets[0].close()
        with pytest.raises(Unavailable, match="closed with code 1000"):
            await reading
        assert not await feed.probe()


async def test_a_probe_of_a_broken_connection_says_no(feed_at: FeedAt, paper: TradingHost):
    """A ping that cannot be sent is an answer too."""
    feed = feed_at(paper)
    async with connected(feed):
        assert feed._socket is not None
        feed._socket._socket._writer.transport.abort()

        assert not await feed.probe()


async def first_batch(feed: TradingFeed) -> Any:
    connection = feed.connect()
    try:
        return await anext(connection)
    finally:
        await connection.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("refusal", "error", "wait"),
    [
        (Refusal(429, {"Retry-After": "7"}), RateLimited, 7.0),
        (Refusal(429), RateLimited, 5.0),
        (Refusal(429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), RateLimited, 5.0),
        (Refusal(401), AuthError, None),
        (Refusal(403), AuthError, None),
        (Refusal(404), Unavailable, None),
        (Refusal(500), Unavailable, None),
        (Refusal(503, {"Retry-After": "7"}), Unavailable, None),
        (Refusal(200), Unavailable, None),
    ],
    ids=lambda value: f"{value.status} {value.headers.get('Retry-After', '')}".strip() if isinstance(value, Refusal) else None,
)
async def test_a_refused_handshake(feed_at: FeedAt, paper: TradingHost, refusal: Refusal, error: type[RemoteError], wait: float | None):
    """The status says whether to come again, and when; the error says which address, and no secret."""
    paper.refusals.append(refusal)
    with pytest.raises(error, match=f"/stream: .*{refusal.status}") as raised:
        await first_batch(feed_at(paper))

    assert type(raised.value) is error
    assert getattr(raised.value, "wait", None) == wait
    assert raised.value.__cause__ is None
    assert not [secret for secret in (KEY, SECRET) if secret in repr(raised.value)]


async def test_nobody_there_is_unavailable(feed_at: FeedAt, paper: TradingHost):
    """A host that takes no connections is one to come back to."""
    feed = feed_at(paper)
    await paper.__aexit__(None, None, None)
    with pytest.raises(Unavailable, match="/stream: Client"):
        await first_batch(feed)


@pytest.mark.parametrize(("word", "error"), [("unauthorized", AuthError), ("exceeded", Unavailable)])
async def test_a_refused_sign_in(feed_at: FeedAt, host: TradingHost, word: str, error: type[RemoteError]):
    """Wrong keys are for good; too many connections are not. Either way the socket is closed."""
    host.words.append(word)
    with pytest.raises(error, match="the trading socket"):
        await first_batch(feed_at(host))

    assert [said["action"] for said in host.heard] == ["authenticate"]
    await host.sockets[0].close()


@pytest.fixture
async def core(feed_at: FeedAt, paper: TradingHost) -> AsyncIterator[Core]:
    """The core's stream, not started yet."""
    made = Core(feed_at(paper))
    yield made
    await made.streaming.close()


async def test_under_the_core_order_events_arrive_in_order(core: Core, paper: TradingHost):
    """Every one of them, one after the other."""
    await core.streaming.start()
    await core.streaming.ready(Channel.ORDERS)
    ids = [f"{number:08d}-0000-4000-8000-000000000000" for number in range(300)]
    for order_id in ids:
        await paper.send(update(order_id))
    await core.until(lambda: len(core.events) == len(ids))

    assert [event.broker_order_id for event in core.events] == ids


async def test_under_the_core_a_refused_sign_in_stops(core: Core, paper: TradingHost):
    """Wrong keys are not tried again, and whoever waits for the stream is told what to do."""
    paper.words.append("unauthorized")
    await core.streaming.start()
    with pytest.raises(AuthError, match="check the key, the secret, and whether they are paper or live"):
        await core.streaming.ready(Channel.ORDERS)

    await core.until_state("stopped")
    await core.clock.advance(3600)
    assert paper.handshakes == 1


async def test_under_the_core_a_dropped_socket_comes_back(core: Core, paper: TradingHost):
    """After a drop it waits, signs in again, has what was missed recovered, and tells the gap."""
    await core.streaming.start()
    await core.streaming.ready(Channel.ORDERS)
    await paper.send(update())
    await core.until(lambda: len(core.events) == 1)
    last_heard = core.clock.now()
    await paper.sockets[0].close(code=1001)
    wait = await core.next_wait()
    assert 0.8 <= wait <= 1.0
    await core.clock.advance(wait - 0.01)
    assert paper.handshakes == 1

    await core.clock.advance(0.01)
    await paper.until(4)
    await core.streaming.ready(Channel.ORDERS)
    await core.until(lambda: bool(core.gaps))
    await paper.send(update(SECOND))
    await core.until(lambda: len(core.events) == 2)

    assert [said["action"] for said in paper.heard] == ["authenticate", "listen"] * 2
    assert [start for start, _ in core.recovered] == [last_heard]
    assert core.gaps[0].recovered == ("all of it",)
    assert core.events[1].broker_order_id == SECOND


async def test_under_the_core_a_broker_that_throws_us_out_is_not_hammered(core: Core, paper: TradingHost):
    """Waits grow while no order event follows a sign-in, up to a minute, and begin anew after one."""
    await core.streaming.start()
    waits = []
    for number in range(1, 9):
        await core.streaming.ready(Channel.ORDERS)
        if number == 8:
            await paper.send(update())
            await core.until(lambda: len(core.events) == 1)
        await paper.sockets[-1].close()
        waits.append(await core.next_wait())
        await core.clock.advance(waits[-1])
        await paper.until(2 * number + 2)

    for wait, most in zip(waits, (1, 2, 4, 8, 16, 32, 60, 1), strict=True):
        assert 0.8 * most <= wait <= most


async def test_under_the_core_a_told_wait_is_kept(core: Core, paper: TradingHost):
    """After a handshake refused with a wait, nobody comes earlier; without one, no earlier than five seconds."""
    paper.refusals.extend([Refusal(429, {"Retry-After": "30"}), Refusal(429), Refusal(500)])
    await core.streaming.start()
    assert await core.next_wait() == 30
    await core.clock.advance(30)
    await core.until(lambda: len(core.states) == 4)
    assert await core.next_wait() == 5
    await core.clock.advance(5)
    await core.until(lambda: len(core.states) == 6)
    assert 3.2 <= await core.next_wait() <= 4
    await core.clock.advance(4)
    await core.streaming.ready(Channel.ORDERS)

    assert [told.state for told in core.states] == ["connecting", "waiting"] * 3 + ["connecting", "connected"]
    assert "429: too many connections were opened" in core.states[1].reason


async def test_under_the_core_a_sign_in_without_an_answer_is_given_up(core: Core, paper: TradingHost):
    """A socket that opens and says nothing is left after half a minute."""
    paper.answers = False
    await core.streaming.start()
    await paper.until(1)
    await core.clock.advance(30)

    assert "no sign-in within 30 s" in await core.until_state("waiting")


async def test_under_the_core_a_mute_socket_is_left(core: Core, paper: TradingHost):
    """A connection that is quiet and answers no ping is given up and made anew."""
    paper.answers_pings = False
    await core.streaming.start()
    await core.until_state("connected")
    while core.states[-1].state == "connected":
        await core.clock.advance(1)

    assert core.states[-1].state == "waiting"
    assert "its probe failed" in core.states[-1].reason


async def test_under_the_core_a_quiet_socket_that_answers_pings_stays(core: Core, paper: TradingHost):
    """Accounts without orders are quiet for days."""
    await core.streaming.start()
    await core.until_state("connected")
    for _ in range(40):
        # A ping and its answer take a turn through the operating system, which this clock knows nothing of.
        await core.clock.advance(10, turns=200)

    assert [told.state for told in core.states] == ["connecting", "connected"]
    assert paper.handshakes == 1
