import asyncio

import pytest

from broker_core.errors import NotSupported, Unavailable
from broker_core.families import Feed, Stream
from broker_core.models import Channel, Quote, SignedIn, Wish
from broker_core.testing.scripted import CLOSE, ScriptedFeed, ScriptedStream

IN = [SignedIn()]
QUOTE = Quote("A", 1, 1.0, 1.0, 2.0, 1.0)


async def brought(feed):
    return [batch async for batch in feed.connect()]


async def test_it_is_what_it_stands_for():
    """
    The scripted feed and stream have all that the contract asks of a feed and a stream.
    """
    feed = ScriptedFeed("data", {Channel.QUOTES})

    assert isinstance(feed, Feed)
    assert isinstance(ScriptedStream([feed]), Stream)


async def test_every_connection_plays_its_script():
    """
    Each connection plays the next script: batches, pauses, a clean close or an error.
    """
    gate = asyncio.Event()
    feed = ScriptedFeed("data", {Channel.QUOTES}, [IN, gate.wait, [QUOTE], CLOSE], [Unavailable("down")])
    first = asyncio.create_task(brought(feed))
    await asyncio.sleep(0)
    assert feed.connected
    gate.set()

    assert await first == [IN, [QUOTE]]
    assert not feed.connected
    with pytest.raises(Unavailable, match="down"):
        await brought(feed)
    assert feed.connects == 2


async def test_past_the_script_the_test_goes_on():
    """
    Past its script a connection brings what is sent and ends when it is dropped; past the last script it signs in by itself.
    """
    feed = ScriptedFeed("data", {Channel.QUOTES})
    connection = feed.connect()
    assert await anext(connection) == IN

    feed.send(QUOTE, QUOTE)
    feed.drop(Unavailable("cut"))

    assert list(await anext(connection)) == [QUOTE, QUOTE]
    with pytest.raises(Unavailable, match="cut"):
        await anext(connection)


async def test_it_keeps_what_it_was_told():
    """
    Every wish is kept, and probes are answered as the test says.
    """
    feed = ScriptedFeed("data", {Channel.QUOTES})
    wish = Wish({Channel.QUOTES: frozenset({"A"})})
    feed.want(wish)

    assert feed.wishes == [wish]
    with pytest.raises(NotSupported):
        await feed.probe()
    feed.alive = True
    assert await feed.probe()
