"""The two feeds: order events and market data."""

from __future__ import annotations

import pytest

from broker_core.clock import to_ns
from broker_core.errors import Unavailable
from broker_core.models import Bar, Channel, Quote, SignedIn, Trade, Wish
from broker_core.requests import LimitOrder, MarketOrder

SECOND = 1_000_000_000


def wish(**symbols):
    return Wish({Channel(channel): frozenset(names.split()) for channel, names in symbols.items()})


async def test_connection_begins_with_the_sign_in(open_broker):
    """The first batch of every connection says that it is signed in, and says nothing else."""
    broker = await open_broker()
    connection = broker.trading.connect()

    assert await anext(connection) == [SignedIn()]
    await connection.aclose()
    assert not broker.trading.is_heard


async def test_slow_reader_loses_nothing(open_broker, clock):
    """What happens while a connected reader is busy waits for it, in order, in one batch."""
    broker = await open_broker()
    connection = broker.trading.connect()
    await anext(connection)
    for count in range(50):
        await broker.submit(LimitOrder("AAPL", "buy", qty=1, limit_price="100"), f"L{count}")
        await clock.advance(1)

    batch = await anext(connection)

    assert [event.client_order_id for event in batch] == [f"L{count}" for count in range(50)]
    await connection.aclose()


async def test_what_happens_unheard_is_not_kept(open_broker):
    """Events of the time without a connection are not sent later."""
    broker = await open_broker()
    await broker.submit(MarketOrder("AAPL", "buy", qty=1))
    await broker.turn()

    heard = broker.listen(broker.trading)
    await broker.turn()

    assert heard == [SignedIn()]


async def test_every_connection_hears_everything(open_broker):
    """Two connections to one feed both get each event."""
    broker = await open_broker()
    first, second = broker.listen(broker.trading), broker.listen(broker.trading)
    await broker.turn()
    await broker.submit(MarketOrder("AAPL", "buy", qty=1))
    await broker.turn()

    assert len(first) == 3
    assert first == second


async def test_feed_of_a_closed_client_is_down(open_broker):
    """Closing the client ends connections cleanly; a new one is refused, and a probe says so."""
    broker = await open_broker()
    heard = broker.listen(broker.data)
    await broker.turn()
    assert await broker.data.probe()

    await broker.client.close()
    await broker.turn()

    assert heard == [SignedIn()]
    assert not await broker.data.probe()
    with pytest.raises(Unavailable, match="the data feed is down"):
        await anext(broker.data.connect())


async def test_trades_and_quotes_of_every_tick(open_broker, clock):
    """A wished symbol's ticks come at their own second, a trade and a quote each, like those that a read would give."""
    broker = await open_broker()
    broker.data.want(wish(trades="AAPL", quotes="AAPL MSFT"))
    heard = broker.listen(broker.data)

    await clock.advance(3)

    start = to_ns(clock.now()) - 3 * SECOND
    told = heard[1:]
    for count in (1, 2, 3):
        at_ns = start + count * SECOND
        moment = [item for item in told if item.timestamp_ns == at_ns]
        assert [(type(item), item.symbol) for item in moment] == [(Trade, "AAPL"), (Quote, "AAPL"), (Quote, "MSFT")]
    assert len(told) == 9
    assert told[-2:] == list((await broker.market_data.quotes(["AAPL", "MSFT"])).values())
    assert told[-3] == (await broker.market_data.trades(["AAPL"]))["AAPL"]


async def test_minute_bar_comes_at_its_close(open_broker, clock):
    """A minute bar is sent when its minute is over, whole, and once."""
    broker = await open_broker()
    broker.data.want(wish(bars="AAPL"))
    heard = broker.listen(broker.data)
    await clock.advance(59)
    assert heard == [SignedIn()]

    await clock.advance(61)

    start = to_ns(clock.now()) - 120 * SECOND
    first, second = heard[1:]
    assert isinstance(first, Bar)
    assert (first.timestamp_ns, second.timestamp_ns) == (start, start + 60 * SECOND)
    assert first.trade_count == 60


async def test_wish_replaces_the_former_one(open_broker, clock):
    """The last wish counts, whole: before, during and between connections; what is not for this feed is ignored."""
    broker = await open_broker()
    broker.data.want(wish(trades="AAPL"))
    heard = broker.listen(broker.data)
    await clock.advance(1)
    broker.data.want(Wish({Channel.QUOTES: frozenset({"MSFT"}), Channel.ORDERS: frozenset()}))
    await clock.advance(1)
    broker.data.want(Wish())
    await clock.advance(5)

    assert [(type(item), item.symbol) for item in heard[1:]] == [(Trade, "AAPL"), (Quote, "MSFT")]


async def test_unknown_symbol_is_silent(open_broker, clock):
    """A wish for a symbol that is not listed brings nothing and harms nobody."""
    broker = await open_broker()
    broker.data.want(wish(trades="NOPE AAPL", bars="NOPE"))
    heard = broker.listen(broker.data)

    await clock.advance(61)

    assert {item.symbol for item in heard[1:]} == {"AAPL"}


async def test_long_step_is_told_in_order_of_time(open_broker):
    """However far time has gone at once, items come in the order of their moments, a bar at its close."""
    broker = await open_broker()
    broker.data.want(wish(trades="AAPL MSFT", quotes="SPY", bars="MSFT AAPL"))
    heard = broker.listen(broker.data)
    await broker.turn()

    broker.data.tell(broker.client.venue.prices, broker.client.venue.now_ns(), broker.client.venue.now_ns() + 130 * SECOND)
    await broker.turn()

    places = [item.timestamp_ns + (60 * SECOND if isinstance(item, Bar) else 0) for item in heard[1:]]
    assert len(places) == 3 * 130 + 4
    assert places == sorted(places)


async def test_data_does_not_depend_on_the_steps_of_time(open_broker, clock):
    """One long step of an accelerated market brings the same items, in the same order, as real time does."""
    slow, fast = await open_broker(START="2026-03-02T15:00:00Z"), await open_broker(START="2026-03-02T15:00:00Z", SPEED=10)
    heard = []
    for broker in (slow, fast):
        broker.data.want(wish(trades="AAPL MSFT", bars="MSFT AAPL"))
        heard.append(broker.listen(broker.data))
    await clock.advance(1.3)
    await clock.advance(65 - 1.3)

    until = to_ns(clock.now())
    early = [[item for item in told[1:] if item.timestamp_ns <= until] for told in heard]
    trades = [[item for item in told if isinstance(item, Trade)] for told in early]
    assert len(trades[0]) == 130
    assert trades[0] == trades[1]
    bars = [[item for item in told if isinstance(item, Bar)] for told in early]
    assert bars[0] == bars[1][: len(bars[0])]
