"""The market data feeds over real sockets, alone and under the core's stream."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import WSMsgType
from stream_host import StreamHost
from streaming_core import Core

from broker_alpaca.config import AlpacaSettings
from broker_alpaca.data_feed import CONNECTION_WAITS, DataFeed, data_feeds
from broker_alpaca.transport import Sockets
from broker_alpaca.wire.drift import Drift
from broker_core.errors import AuthError, NotSupported, RateLimited, Unavailable, WireError
from broker_core.families import Feed
from broker_core.models import Channel, News, OrderBookUpdate, Quote, SignedIn, Wish
from broker_core.secret import Secret

OPTION = "AAPL240315C00172500"
AT = "2026-03-02T15:00:00.123456789Z"
QUOTE = {"T": "q", "S": "A", "bx": "K", "bp": 1, "bs": 2, "ax": "Q", "ap": 3, "as": 4, "c": ["R"], "z": "C", "t": AT}
QUOTED = Quote("A", 1_772_463_600_123_456_789, 1.0, 2.0, 3.0, 4.0, "K", "Q", ("R",), "C")
PACKED = (
    bytes.fromhex("91")
    + b"\x88"
    + b"\xa1T\xa1q"
    + b"\xa1S\xb3"
    + OPTION.encode()
    + b"\xa2bp\x01\xa2bs\x02\xa2ap\x03\xa2as\x04"
    + (b"\xa1t\xd7\xff" + (123_456_789 << 34 | 1_772_463_600).to_bytes(8, "big") + b"\xa1c\xa1A")
)
PACKED_QUOTE = Quote(OPTION, 1_772_463_600_123_456_789, 1.0, 2.0, 3.0, 4.0, conditions=("A",))


@pytest.fixture
async def host() -> AsyncIterator[StreamHost]:
    async with StreamHost() as host:
        yield host


@pytest.fixture
async def sockets() -> AsyncIterator[Sockets]:
    sockets = Sockets()
    yield sockets
    await sockets.close()


Feeds = Callable[..., dict[str, DataFeed]]


@pytest.fixture
def feeds(host: StreamHost, sockets: Sockets) -> Feeds:
    """The feeds of an account whose host is on loopback, by name."""

    def make(**changes: Any) -> dict[str, DataFeed]:
        settings = AlpacaSettings(**({"key": "PKMADEUP", "secret": "made up", "stream_url": host.url, "codec": "json"} | changes))
        return {feed.name: feed for feed in data_feeds(settings, sockets, Drift())}

    return make


@asynccontextmanager
async def connected(feed: DataFeed) -> AsyncIterator[AsyncIterator[Any]]:
    """A connection that has signed in; what it yields that is not empty."""
    connection = feed.connect()

    async def batches() -> AsyncIterator[Any]:
        async for batch in connection:
            if batch:
                yield batch

    running = batches()
    try:
        assert await anext(running) == [SignedIn()]
        yield running
    finally:
        await running.aclose()
        await connection.aclose()


async def test_each_kind_of_symbol_has_its_feed(feeds: Feeds):
    """A pair is crypto, a contract is an option, all else is a stock; news takes any; every feed is one of the core's."""
    made = feeds()

    assert all(isinstance(feed, Feed) for feed in made.values())
    for symbol, name in {"AAPL": "stocks", "BRK.B": "stocks", "FAKEPACA": "stocks", "BTC/USD": "crypto", OPTION: "options"}.items():
        assert [feed.name for feed in made.values() if feed.accepts(symbol)] == [name, "news"]


@pytest.mark.parametrize(
    ("changes", "name", "path"),
    [
        ({}, "stocks", "/v2/iex"),
        ({"feed": "sip"}, "stocks", "/v2/sip"),
        ({"feed": "delayed_sip"}, "stocks", "/v2/delayed_sip"),
        ({"feed": "test"}, "stocks", "/v2/test"),
        ({"feed": "boats"}, "stocks", "/v1beta1/boats"),
        ({"feed": "overnight"}, "stocks", "/v1beta1/overnight"),
        ({"crypto_location": "eu-1"}, "crypto", "/v1beta3/crypto/eu-1"),
        ({}, "options", "/v1beta1/indicative"),
        ({"options_feed": "opra"}, "options", "/v1beta1/opra"),
        ({}, "news", "/v1beta1/news"),
    ],
)
async def test_each_feed_has_its_address(feeds: Feeds, host: StreamHost, changes: dict[str, str], name: str, path: str):
    """The address follows from the settings."""
    async with connected(feeds(**changes)[name]):
        assert host.paths == [path]


@pytest.mark.parametrize("codec", ["json", "msgpack"])
async def test_a_connection(feeds: Feeds, host: StreamHost, codec: str):
    """A feed signs in, subscribes to what was wanted before and what is wanted meanwhile, and brings what is sent."""
    feed = feeds(codec=codec)["stocks"]
    assert feed.want(Wish({Channel.QUOTES: frozenset("A"), Channel.ORDERBOOKS: frozenset({"BTC/USD"})})) is None
    async with connected(feed) as batches:
        reading = asyncio.ensure_future(anext(batches))
        await host.until(2)
        answer = feed.want(Wish({Channel.QUOTES: frozenset("AB")}))
        assert answer is not None
        await answer
        await host.until(3)
        await host.send([QUOTE] if codec == "json" else PACKED)
        assert await reading == [QUOTED if codec == "json" else PACKED_QUOTE]

    assert host.heard == [
        {"action": "auth", "key": "PKMADEUP", "secret": "made up"},
        {"action": "subscribe", "quotes": ["A"]},
        {"action": "subscribe", "quotes": ["B"]},
    ]
    assert host.compressed == [True]


async def test_options_speak_message_pack(feeds: Feeds, host: StreamHost):
    """Options are sent in MessagePack whatever is chosen for the others, and their quotes only by name."""
    feed = feeds(codec="json")["options"]
    feed.want(Wish({Channel.QUOTES: frozenset({OPTION})}))
    async with connected(feed) as batches:
        reading = asyncio.ensure_future(anext(batches))
        await host.until(2)
        await host.send(PACKED)
        assert await reading == [PACKED_QUOTE]

    assert host.is_packed(host.sockets[0])
    assert feed.star_channels == {Channel.TRADES}


async def test_crypto_and_news(feeds: Feeds, host: StreamHost):
    """Order books come from crypto's feed, articles from the one for news."""
    book = {"T": "o", "S": "BTC/USD", "t": AT, "b": [{"p": 1, "s": 2}], "a": [], "r": True}
    article = {"T": "n", "id": 1, "headline": "Up", "created_at": AT, "updated_at": AT, "symbols": ["A"]}
    for name, record, kind in (("crypto", book, OrderBookUpdate), ("news", article, News)):
        async with connected(feeds()[name]) as batches:
            await host.send([record])
            ((item,)) = await anext(batches)
            assert type(item) is kind


async def test_news_of_a_pair_comes_under_its_name(feeds: Feeds, host: StreamHost):
    """Alpaca's news knows no slash; articles bear the names that were asked for, and all others as they are."""
    feed = feeds()["news"]
    feed.want(Wish({Channel.NEWS: frozenset({"BTC/USD", "ETHUSD", "ETH/USD", "A"})}))
    article = {"T": "n", "id": 1, "headline": "Up", "created_at": AT, "updated_at": AT}
    async with connected(feed) as batches:
        reading = asyncio.ensure_future(anext(batches))
        await host.until(2)
        await host.send([{**article, "symbols": ["A", "BTCUSD", "SOLUSD"]}, {**article, "symbols": ["ETHUSD"]}])
        first, second = await reading

    assert host.heard[1] == {"action": "subscribe", "news": ["A", "BTCUSD", "ETHUSD"]}
    assert first.symbols == ("A", "BTC/USD", "SOLUSD")
    assert second.symbols == ("ETH/USD", "ETHUSD")


async def test_an_oauth_token_signs_in(feeds: Feeds, host: StreamHost):
    """With a token the key is the word oauth."""
    async with connected(feeds(key="", secret="", oauth_token=Secret("a token"))["stocks"]):
        assert host.heard == [{"action": "auth", "key": "oauth", "secret": "a token"}]


async def test_a_message_in_pieces_is_one_message(feeds: Feeds, host: StreamHost):
    """A message that arrives as several frames of the protocol is put together."""
    async with connected(feeds()["stocks"]) as batches:
        text = json.dumps([QUOTE, QUOTE]).encode()
        writer = host.sockets[0]._writer
        writer.transport.write(bytes([WSMsgType.TEXT, 100]) + text[:100])
        writer.transport.write(bytes([0x80 | WSMsgType.CONTINUATION, 126]) + (len(text) - 100).to_bytes(2, "big") + text[100:])

        assert await anext(batches) == [QUOTED, QUOTED]


async def test_a_probe_is_a_ping(feeds: Feeds, host: StreamHost):
    """A probe is answered while a connection is read, and says no without one."""
    feed = feeds()["stocks"]
    assert not await feed.probe()
    async with connected(feed) as batches:
        reading = asyncio.ensure_future(anext(batches))
        assert await feed.probe()
        await host.sockets[0].close()
        with pytest.raises(Unavailable, match="closed with code 1000"):
            await reading
        assert not await feed.probe()
        assert feed.want(Wish({Channel.QUOTES: frozenset("B")})) is None


async def test_a_probe_says_no_to_a_socket_that_is_silent_while_the_market_moves(host: StreamHost, sockets: Sockets):
    """Newer quotes at the other host count only as long as the socket brings nothing: every frame begins another silence."""
    moments = itertools.count(1)

    async def latest(symbols: Sequence[str]) -> dict[str, Quote]:
        moment = next(moments)
        return {symbol: Quote(symbol, moment, 1.0, 1, 2.0, 1) for symbol in symbols}

    settings = AlpacaSettings(key="PKMADEUP", secret="made up", stream_url=host.url, codec="json")
    feed = next(feed for feed in data_feeds(settings, sockets, Drift(), quotes=latest, trades=latest) if feed.name == "stocks")
    feed.want(Wish({Channel.QUOTES: frozenset({"A"})}))
    async with connected(feed) as batches:
        reading = asyncio.ensure_future(anext(batches))
        for _ in range(5):
            assert await feed.probe()
            await host.send([QUOTE])
            await reading
            reading = asyncio.ensure_future(anext(batches))
        silent = [await feed.probe() for _ in range(3)]
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

        assert silent == [True, True, False]


async def test_a_probe_of_a_broken_connection_says_no(feeds: Feeds, host: StreamHost):
    """A ping that cannot be sent is an answer too."""
    feed = feeds()["stocks"]
    async with connected(feed):
        assert feed._socket is not None
        feed._socket._socket._writer.transport.abort()

        assert not await feed.probe()


async def test_what_is_no_frame_ends_the_connection(feeds: Feeds, host: StreamHost):
    """A frame that cannot be read is an error of the wire, after which the socket is closed."""
    async with connected(feeds()["stocks"]) as batches:
        await host.sockets[0].send_str("<html>")
        with pytest.raises(WireError, match="cannot be read"):
            await anext(batches)
    await host.sockets[0].close()

    assert host.sockets[0].closed


async def test_the_schedule_of_a_second_connection(feeds: Feeds, host: StreamHost):
    """Each time that another connection is open the feed asks to stay away longer, and a sign-in begins anew."""
    feed = feeds()["stocks"]
    host.refusals.extend([406] * 7)
    waits = []
    for _ in range(7):
        with pytest.raises(RateLimited, match="another connection of this account") as refused:
            await anext(aiter_nonempty(feed))
        waits.append(refused.value.wait)
    assert waits == [*CONNECTION_WAITS, CONNECTION_WAITS[-1], CONNECTION_WAITS[-1]]
    assert CONNECTION_WAITS[0] + CONNECTION_WAITS[1] >= 90

    async with connected(feed):
        pass
    host.refusals.append(406)
    with pytest.raises(RateLimited) as refused:
        await anext(aiter_nonempty(feed))
    assert refused.value.wait == CONNECTION_WAITS[0]


async def aiter_nonempty(feed: DataFeed) -> AsyncIterator[Any]:
    async for batch in feed.connect():
        if batch:
            yield batch


@pytest.fixture
async def core(feeds: Feeds) -> AsyncIterator[Callable[..., Any]]:
    made: list[Core] = []

    async def make(**changes: Any) -> Core:
        made.append(Core(*feeds(**changes).values()))
        await made[-1].streaming.start()
        return made[-1]

    yield make
    for each in made:
        await each.streaming.close()


async def test_under_the_core_each_symbol_finds_its_socket(core: Callable[..., Any], host: StreamHost):
    """Stocks, crypto and options are subscribed on sockets of their own; those of which nothing is wanted are not opened."""
    under = await core()
    under.streaming.on(Channel.QUOTES, ["A", "BTC/USD"], print)
    await host.until(4)

    assert sorted(host.paths) == ["/v1beta3/crypto/us", "/v2/iex"]
    subscribed = [said["quotes"] for said in host.heard if said["action"] == "subscribe"]
    assert sorted(subscribed) == [["A"], ["BTC/USD"]]
    with pytest.raises(NotSupported, match="orderbooks of A"):
        under.streaming.on(Channel.ORDERBOOKS, "A", print)


@pytest.mark.parametrize("codec", ["json", "msgpack"])
async def test_under_the_core_a_broken_socket_comes_back(core: Callable[..., Any], host: StreamHost, codec: str):
    """After the connection broke, the feed signs in again, sends the whole wish again, tells the gap and goes on."""
    under = await core(codec=codec)
    symbol, item, frame = ("A", QUOTED, [QUOTE]) if codec == "json" else (OPTION, PACKED_QUOTE, PACKED)
    quotes = under.streaming.quotes(symbol)
    await host.until(2)
    await host.send(frame)
    assert await anext(quotes) == item
    await host.sockets[0].close()
    await under.until_state("waiting")

    await under.clock.advance(1.0)
    await host.until(4)
    await under.streaming.ready(Channel.QUOTES)

    assert [said["action"] for said in host.heard] == ["auth", "subscribe"] * 2
    assert host.heard[3] == host.heard[1]
    assert (await under.next_gap()).lost == (f"quotes: {symbol}",)
    await host.send(frame)
    assert await anext(quotes) == item


async def test_under_the_core_a_refused_sign_in_stops(core: Callable[..., Any], host: StreamHost):
    """Wrong credentials are not tried again; who listens is told what to do."""
    host.refusals.append(402)
    under = await core()
    quotes = under.streaming.quotes("A")
    with pytest.raises(AuthError, match="the key or the secret is wrong"):
        await anext(quotes)

    await under.until_state("stopped")
    await under.clock.advance(3600)
    assert len(host.sockets) == 1


async def test_under_the_core_a_second_connection_is_waited_for(core: Callable[..., Any], host: StreamHost):
    """While another connection is open the feed stays away for as long as its schedule says, then signs in."""
    host.refusals.append(406)
    under = await core()
    under.streaming.on_quote("A", print)
    await under.until_state("waiting")
    assert "another connection" in under.states[-1].reason

    await under.clock.advance(CONNECTION_WAITS[0] - 1)
    assert len(host.sockets) == 1
    await under.clock.advance(1)
    await host.until(3)

    assert [said["action"] for said in host.heard] == ["auth", "auth", "subscribe"]


async def test_under_the_core_a_mute_socket_is_left(core: Callable[..., Any], host: StreamHost):
    """A connection that is quiet and answers no ping is given up and made anew."""
    host.answers_pings = False
    under = await core()
    under.streaming.on_quote("A", print)
    await host.until(2)
    await under.until_state("connected")
    while under.states[-1].state == "connected":
        await under.clock.advance(10)

    assert "its probe failed" in under.states[-1].reason
    assert under.states[-1].state == "waiting"
