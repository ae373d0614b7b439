"""The cassettes of sockets, played by a server to the plugin's feeds over real sockets: as they were, and with something going wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from replaying import receive, signs_in
from streaming_core import Core

from broker_alpaca.config import AlpacaSettings
from broker_alpaca.data_feed import data_feeds
from broker_alpaca.recording.tape import word_for
from broker_alpaca.trading_feed import TradingFeed
from broker_alpaca.transport import Sockets
from broker_alpaca.wire.drift import Drift
from broker_core.clock import StillClock
from broker_core.errors import Unavailable, WireError
from broker_core.families import Feed
from broker_core.models import Channel, Environment, Quote, Trade, Wish
from broker_core.orders import EventKind, Order, OrderEvent
from broker_core.testing.transcripts import Delay, Drop, Duplicate, End, Garble, Lose, Mute, Swap, TranscriptServer, Truncate, read

FOLDER = Path(__file__).parents[2] / "cassettes" / "stream"
TRADING = ("trading_paper", "trading_live")
DATA = tuple(sorted(file.stem for file in FOLDER.iterdir() if file.stem not in TRADING))


def cassette(name: str) -> Path:
    return FOLDER / f"{name}.jsonl"


FeedAt = Callable[..., Feed]


@pytest.fixture
async def feed_at() -> AsyncIterator[FeedAt]:
    """The feed that a cassette was recorded with, at a server that plays it."""
    sockets = Sockets()

    def make(name: str, server: TranscriptServer, drift: Drift | None = None) -> Feed:
        drift = Drift() if drift is None else drift
        if name in TRADING:
            key, secret = signs_in(read(cassette(name))[1])
            environment = Environment.LIVE if name == "trading_live" else Environment.PAPER
            address = f"{server.url}/stream"
            settings = AlpacaSettings(key=key, secret=secret, environment=environment, trading_stream_url=address)
            return TradingFeed(settings, sockets, clock=StillClock(), drift=drift)
        kind, _, codec = name.partition("_")
        settings = AlpacaSettings(key="PKMADEUP", secret="made up", stream_url=server.url, codec=codec)
        return next(feed for feed in data_feeds(settings, sockets, drift) if feed.name == kind)

    yield make
    await sockets.close()


async def listen(feed: Feed, server: TranscriptServer, items: list[Any]) -> None:
    """Put what one connection brings into a list."""
    feed.want(Wish({Channel(channel): frozenset(symbols.split()) for channel, symbols in server.transcript.wish.items()}))
    async with aclosing(feed.connect()) as batches:  # type: ignore[type-var]  # the feeds here are generators
        async for batch in batches:
            items += batch


async def heard(feed: Feed, server: TranscriptServer) -> list[Any]:
    """What one connection brings up to its end, which is in good order."""
    items: list[Any] = []
    with pytest.raises(Unavailable, match="closed with code 1000"):
        await listen(feed, server, items)
    return items


def words(items: list[Any]) -> list[str]:
    return [word_for(item) for item in items]


def ends(items: list[Any]) -> dict[str, str]:
    """Where the orders that the news is about have come to."""
    orders: dict[str, Order] = {}
    places: dict[str, str] = {}
    for event in items:
        if isinstance(event, OrderEvent):
            receive(event, orders, places)
    return {place: f"{order.state} {order.filled_qty} {order.filled_avg_price}" for place, order in orders.items()}


@pytest.mark.parametrize("name", [*DATA, *TRADING])
async def test_a_feed_hears_what_was_recorded(feed_at: FeedAt, name: str):
    """It says the very words of the cassette, and brings the items that the first line states, every word of them known."""
    drift = Drift()
    async with TranscriptServer(cassette(name), strict=True) as server:
        items = await heard(feed_at(name, server, drift), server)

    assert server.differences == []
    assert words(items) == server.transcript.items
    assert drift.counts == {}


@pytest.mark.parametrize("name", TRADING)
async def test_every_frame_twice_gives_no_second_fill(feed_at: FeedAt, name: str):
    """Orders end with the same totals and averages."""
    async with TranscriptServer(cassette(name)) as server:
        once = await heard(feed_at(name, server), server)
    twice = [Duplicate(number) for number in range(3, 24)]
    async with TranscriptServer(cassette(name), faults=twice) as server:
        items = await heard(feed_at(name, server), server)

    assert len(items) == 2 * len(once) - 1
    assert ends(items) == ends(once)
    assert any(end.startswith("filled 10 ") for end in ends(once).values())


async def test_fills_in_the_wrong_order_come_to_the_same(feed_at: FeedAt):
    """The two parts of an order may change places."""
    name = "trading_paper"
    async with TranscriptServer(cassette(name)) as server:
        right = await heard(feed_at(name, server), server)
    async with TranscriptServer(cassette(name), faults=[Swap(5)]) as server:
        wrong = await heard(feed_at(name, server), server)

    def parts(items: list[Any]) -> list[str]:
        return [str(item.qty) for item in items if isinstance(item, OrderEvent) and item.kind is EventKind.FILL][:2]

    assert (parts(right), parts(wrong)) == (["3", "7"], ["7", "3"])
    assert ends(wrong) == ends(right)


@pytest.mark.parametrize("fault", [Lose(5), Truncate(5), Garble(5)], ids=repr)
async def test_a_fill_that_never_arrives_is_known_from_the_next(feed_at: FeedAt, fault: Any):
    """Every event holds the order's own totals; a frame that cannot be read is counted, and breaks nothing."""
    name, drift = "trading_paper", Drift()
    async with TranscriptServer(cassette(name)) as server:
        whole = await heard(feed_at(name, server), server)
    async with TranscriptServer(cassette(name), faults=[fault]) as server:
        items = await heard(feed_at(name, server, drift), server)

    assert len(items) == len(whole) - 1
    assert ends(items)["cassette-filled"] == ends(whole)["cassette-filled"] == "filled 10 399.994"
    assert sum(drift.counts.values()) == (0 if isinstance(fault, Lose) else 1)


@pytest.mark.parametrize("name", ["stocks_json", "stocks_msgpack"])
@pytest.mark.parametrize("fault", [Truncate, Garble])
async def test_market_data_that_is_no_frame_ends_the_connection(feed_at: FeedAt, name: str, fault: Any):
    """Whoever sends half a frame may have lost more than that."""
    async with TranscriptServer(cassette(name), faults=[fault(5)], end=End.STAY) as server:
        items: list[Any] = []
        with pytest.raises(WireError):
            await listen(feed_at(name, server), server, items)

    assert words(items) == ["SignedIn", "Quote"]


@pytest.fixture
async def under() -> AsyncIterator[Callable[[Feed], Core]]:
    """The core's stream over a feed."""
    made: list[Core] = []

    def make(feed: Feed) -> Core:
        made.append(Core(feed))
        return made[-1]

    yield make
    for core in made:
        await core.streaming.close()


Under = Callable[[Feed], Core]


async def test_a_drop_leads_to_a_second_connection_and_what_was_lost_is_asked_for(feed_at: FeedAt, under: Under):
    """A fill is lost and the connection breaks: the core comes back, has the time since recovered, and names the gap."""
    name = "trading_paper"
    async with TranscriptServer(cassette(name), faults=[Lose(6), Drop(after=6)], end=End.STAY) as server:
        core = under(feed_at(name, server))
        await core.streaming.start()
        await core.until(lambda: len(core.events) == 3)
        first = ends(list(core.events))
        wait = await core.next_wait()
        assert server.connections == 1
        await core.clock.advance(wait)
        gap = await core.next_gap()
        await core.until(lambda: len(core.events) == 3 + len(server.transcript.items) - 1)

    assert server.connections == 2
    assert first == {"cassette-filled": "partial_fill 3 399.98"}
    assert gap.recovered == ("all of it",)
    assert core.recovered == [(gap.start, gap.end)]
    assert ends(list(core.events))["cassette-filled"] == "filled 10 399.994"
    assert server.differences == []


async def test_a_mute_connection_is_found_and_left(feed_at: FeedAt, under: Under):
    """Nothing comes, not even answers to pings: the core looks for another."""
    name = "trading_paper"
    async with TranscriptServer(cassette(name), faults=[Mute(after=4)], end=End.STAY) as server:
        core = under(feed_at(name, server))
        await core.streaming.start()
        await core.until(lambda: len(core.events) == 2)
        while core.states[-1].state == "connected":
            await core.clock.advance(1)
        assert "its probe failed" in core.states[-1].reason
        await core.clock.advance(await core.next_wait())
        await server.connected(2)


async def test_a_sign_in_that_takes_too_long_is_given_up(feed_at: FeedAt, under: Under):
    """The server and the core have one clock: half a minute is enough, and the next try is prompt."""
    name, clock = "trading_paper", StillClock()
    async with TranscriptServer(cassette(name), faults=[Delay(1, 31.0)], clock=clock, end=End.STAY) as server:
        core = under(feed_at(name, server))
        await core.streaming.start()
        await server.connected()
        await core.clock.advance(30)
        assert "no sign-in within 30 s" in await core.until_state("waiting")
        await core.clock.advance(await core.next_wait())
        await core.streaming.ready(Channel.ORDERS)

    assert server.connections == 2


@pytest.mark.parametrize(("name", "symbol"), [("stocks_json", "AAPL"), ("options_msgpack", "AAPL260320C00240000")])
async def test_lost_market_data_is_named(feed_at: FeedAt, under: Under, name: str, symbol: str):
    """It cannot be asked for again: after a drop the gap says which channels and symbols it concerns, and then it flows again."""
    async with TranscriptServer(cassette(name), faults=[Drop(after=4)], end=End.STAY) as server:
        core = under(feed_at(name, server))
        await core.streaming.start()
        quotes, trades = core.streaming.quotes(symbol), core.streaming.trades(symbol)
        first = await anext(quotes)
        await core.clock.advance(await core.next_wait())
        gap = await core.next_gap()
        again, trade = await anext(quotes), await anext(trades)

    assert server.connections == 2
    assert gap.lost == (f"quotes: {symbol}", f"trades: {symbol}")
    assert isinstance(first, Quote)
    assert isinstance(trade, Trade)
    assert first == again
