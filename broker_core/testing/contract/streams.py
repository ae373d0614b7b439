"""Market data as it happens: callbacks and iterators, side by side."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from broker_core.feed_status import FeedState
from broker_core.models import Bar, Channel, Quote, Trade
from broker_core.testing.contract.prices import check_quote, check_trade
from broker_core.testing.contract.suite import Suite
from broker_core.testing.contract.trader import Heard, Trader

KINDS: dict[Channel, type] = {Channel.QUOTES: Quote, Channel.TRADES: Trade, Channel.BARS: Bar}
CHANNELS = list(KINDS)
QUICK = [Channel.QUOTES, Channel.TRADES]
"""Those that bring something every few seconds."""
_MINUTE = 5.0


def check_item(item: Any, channel: Channel, symbol: str) -> None:
    """An item is of its channel's type, and plausible. Raises AssertionError."""
    if channel is Channel.QUOTES:
        check_quote(item, symbol)
    elif channel is Channel.TRADES:
        check_trade(item, symbol)
    else:
        assert isinstance(item, Bar)
        assert item.symbol == symbol
        assert 0 < item.low <= min(item.open, item.close) <= max(item.open, item.close) <= item.high
        assert item.volume >= 0
        assert item.timestamp_ns % 60_000_000_000 == 0


class TestStreams(Suite):
    """Who wants what gets it, and nobody pays for anybody else."""

    async def _wait(self, trader: Trader, heard: Heard, count: int, channel: Channel = Channel.QUOTES) -> None:
        step = _MINUTE if channel is Channel.BARS else 1.0
        await trader.until(lambda: len(heard) >= count, f"{count} items of {channel}", step=step)

    @pytest.mark.parametrize("channel", CHANNELS)
    async def test_a_callback_is_called_with_every_item(self, trader: Trader, channel: Channel) -> None:
        """Of its channel and symbol, typed and plausible."""
        stream = trader.stream
        trader.needs(channel)
        heard = Heard()
        stream.on(channel, trader.subject.symbol, heard)
        await self._wait(trader, heard, 1 if channel is Channel.BARS else 3, channel)
        for item in heard.items:
            check_item(item, channel, trader.subject.symbol)

    @pytest.mark.parametrize("channel", CHANNELS)
    async def test_an_iterator_brings_every_item(self, trader: Trader, channel: Channel) -> None:
        """Until it is left."""
        stream = trader.stream
        trader.needs(channel)
        updates = stream.updates(channel, trader.subject.symbol)
        first = asyncio.ensure_future(anext(updates))
        await trader.until(first.done, f"an item of {channel}", step=_MINUTE if channel is Channel.BARS else 1.0)
        check_item(await first, channel, trader.subject.symbol)
        await updates.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(updates)

    @pytest.mark.parametrize("channel", QUICK)
    async def test_items_come_in_order_of_time(self, trader: Trader, channel: Channel) -> None:
        """None is older than the one before it."""
        stream = trader.stream
        trader.needs(channel)
        heard = Heard()
        stream.on(channel, trader.subject.symbol, heard)
        await self._wait(trader, heard, 5, channel)
        assert all(before.timestamp_ns <= after.timestamp_ns for before, after in pairwise(heard.items))

    @pytest.mark.parametrize("channel", QUICK)
    async def test_unsubscribing_ends_it(self, trader: Trader, channel: Channel) -> None:
        """Not one item more, and the subscription is gone."""
        stream = trader.stream
        trader.needs(channel)
        heard = Heard()
        subscription = stream.on(channel, trader.subject.symbol, heard)
        await self._wait(trader, heard, 1, channel)
        subscription.cancel()
        told = len(heard)
        for _ in range(3):
            await trader.subject.pass_time(1)
        assert len(heard) == told
        assert subscription not in stream.subscriptions
        subscription.cancel()

    @pytest.mark.parametrize("channel", QUICK)
    async def test_two_subscribers_get_the_same(self, trader: Trader, channel: Channel) -> None:
        """Each all of it; when one leaves, the other stays."""
        stream = trader.stream
        trader.needs(channel)
        one, two = Heard(), Heard()
        leaving = stream.on(channel, trader.subject.symbol, one)
        stream.on(channel, trader.subject.symbol, two)
        await self._wait(trader, two, 3, channel)
        assert one.items == two.items
        leaving.cancel()
        told = len(two)
        await self._wait(trader, two, told + 2, channel)
        assert len(one) == told

    async def test_a_subscriber_gets_its_own_symbols_only(self, trader: Trader) -> None:
        """Whatever others want."""
        stream, other = trader.stream, trader.given("other_symbol")
        trader.needs(Channel.QUOTES)
        mine, theirs = Heard(), Heard()
        stream.on_quote(trader.subject.symbol, mine)
        stream.on_quote(other, theirs)
        await self._wait(trader, mine, 3)
        await self._wait(trader, theirs, 3)
        assert {quote.symbol for quote in mine.items} == {trader.subject.symbol}
        assert {quote.symbol for quote in theirs.items} == {other}

    async def test_one_subscriber_may_want_several_symbols(self, trader: Trader) -> None:
        """It gets them all."""
        stream, other = trader.stream, trader.given("other_symbol")
        trader.needs(Channel.QUOTES)
        heard = Heard()
        stream.on(Channel.QUOTES, [trader.subject.symbol, other], heard)
        await trader.until(lambda: len({quote.symbol for quote in heard.items}) == 2, "both symbols", step=1)

    async def test_channels_of_one_symbol_do_not_mix(self, trader: Trader) -> None:
        """Who wants quotes gets no trades."""
        stream = trader.stream
        trader.needs(Channel.QUOTES, Channel.TRADES)
        quotes, trades = Heard(), Heard()
        stream.on_quote(trader.subject.symbol, quotes)
        stream.on_trade(trader.subject.symbol, trades)
        await self._wait(trader, quotes, 2)
        await self._wait(trader, trades, 2)
        assert {type(item) for item in quotes.items} == {Quote}
        assert {type(item) for item in trades.items} == {Trade}

    async def test_a_slow_subscriber_costs_the_others_nothing(self, trader: Trader) -> None:
        """It gets the latest when it comes round, and what it missed is counted."""
        stream = trader.stream
        trader.needs(Channel.QUOTES)
        going_on, slow_heard, quick = asyncio.Event(), Heard(), Heard()

        async def slow(quote: Quote) -> None:
            await going_on.wait()
            slow_heard(quote)

        subscription = stream.on_quote(trader.subject.symbol, slow, limit=1)
        stream.on_quote(trader.subject.symbol, quick)
        await self._wait(trader, quick, 4)
        assert len(slow_heard) == 0
        assert subscription.counters.conflated > 0
        latest = quick.items[-1]
        going_on.set()
        await self._wait(trader, slow_heard, 2)
        assert slow_heard.items[1].timestamp_ns >= latest.timestamp_ns

    async def test_a_subscriber_that_raises_costs_the_others_nothing(self, trader: Trader) -> None:
        """It stays subscribed, and is counted."""
        stream = trader.stream
        trader.needs(Channel.QUOTES)
        heard = Heard()

        def broken(quote: Quote) -> None:
            raise RuntimeError("the chart is closed")

        subscription = stream.on_quote(trader.subject.symbol, broken)
        stream.on_quote(trader.subject.symbol, heard)
        await self._wait(trader, heard, 3)
        assert subscription.counters.raised == len(heard)

    async def test_what_was_delivered_is_counted(self, trader: Trader) -> None:
        """Nothing was dropped where somebody kept up."""
        stream = trader.stream
        trader.needs(Channel.TRADES)
        heard = Heard()
        subscription = stream.on_trade(trader.subject.symbol, heard)
        await self._wait(trader, heard, 3, Channel.TRADES)
        counters = subscription.counters
        assert (counters.delivered, counters.dropped, counters.raised) == (len(heard), 0, 0)

    async def test_nobody_connects_what_nobody_wants(self, trader: Trader) -> None:
        """A feed of market data is idle until somebody subscribes, and healthy once it is signed in."""
        stream = trader.stream
        trader.needs(Channel.QUOTES)
        assert not stream.healthy(Channel.QUOTES)
        stream.on_quote(trader.subject.symbol, Heard())
        ready = asyncio.ensure_future(stream.ready(Channel.QUOTES, trader.subject.symbol))
        await trader.until(ready.done, "a healthy feed")
        await ready
        assert stream.healthy(Channel.QUOTES, trader.subject.symbol)
        assert FeedState.CONNECTED in {status.state for status in stream.status.values()}

    async def test_the_order_stream_is_there_from_the_start(self, trader: Trader) -> None:
        """Nobody has to subscribe to it."""
        stream = trader.stream
        trader.needs(Channel.ORDERS)
        await trader.until(lambda: stream.healthy(Channel.ORDERS), "a healthy order stream")

    async def test_order_news_comes_over_the_stream(self, trader: Trader) -> None:
        """A fill is heard of without asking."""
        _ = trader.stream
        trader.needs(Channel.ORDERS)
        await trader.until(lambda: trader.stream.healthy(Channel.ORDERS), "a healthy order stream")
        order = await trader.resting()
        await trader.ended(order)
        sources = {change.event.source.value for change in await trader.orders.history(order.local_id)}
        assert "stream" in sources

    async def test_iterators_end_with_the_session(self, trader: Trader) -> None:
        """They do not raise."""
        stream = trader.stream
        trader.needs(Channel.QUOTES)
        updates = stream.quotes(trader.subject.symbol)
        await trader.session.close()
        assert [quote async for quote in updates if False] == []

    @pytest.mark.parametrize("symbols", [[], [" "]], ids=str)
    async def test_what_is_no_symbol_cannot_be_wanted(self, trader: Trader, symbols: list[str]) -> None:
        """It is refused where it is asked for."""
        stream = trader.stream
        trader.needs(Channel.QUOTES)
        with pytest.raises(ValueError, match="symbols"):
            stream.on(Channel.QUOTES, symbols, Heard())

    async def test_subscribing_again_begins_again(self, trader: Trader) -> None:
        """Also after nobody wanted anything for a while."""
        stream = trader.stream
        trader.needs(Channel.QUOTES)
        for _ in range(2):
            heard = Heard()
            subscription = stream.on_quote(trader.subject.symbol, heard)
            await self._wait(trader, heard, 2)
            subscription.cancel()
            await trader.subject.pass_time(2)

    async def test_streams_and_orders_do_not_hold_each_other_up(self, trader: Trader) -> None:
        """An order is filled while quotes flow, and quotes flow while it is."""
        stream = trader.stream
        trader.needs(Channel.QUOTES)
        heard = Heard()
        stream.on_quote(trader.subject.symbol, heard)
        await self._wait(trader, heard, 1)
        await trader.bought()
        told = len(heard)
        await self._wait(trader, heard, told + 2)
