"""A connection breaks, and what was missed is known again, or said to be lost."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from itertools import pairwise
from typing import Any

from broker_core.hookspecs import hookimpl
from broker_core.models import Channel, Connection, Gap
from broker_core.orders import State
from broker_core.requests import OrderType
from broker_core.testing.contract.subject import Subject
from broker_core.testing.contract.suite import Suite
from broker_core.testing.contract.trader import Heard, Trader


class TestReconnect(Suite):
    """Cut lines, from the broker's side."""

    async def _cut_orders(self, trader: Trader) -> Heard:
        """Break the order stream and wait until it is healthy again; the gaps that were told."""
        cut = trader.given("cut_orders")
        stream = trader.stream
        trader.needs(Channel.ORDERS)
        await trader.until(lambda: stream.healthy(Channel.ORDERS), "a healthy order stream")
        gaps = Heard()
        stream.on_gap(gaps)
        await cut()
        await trader.until(lambda: len(gaps) > 0, "a gap")
        await trader.until(lambda: stream.healthy(Channel.ORDERS), "a healthy order stream")
        return gaps

    async def test_a_gap_says_from_when_to_when_and_what_is_known_again(self, trader: Trader) -> None:
        """And of which feed."""
        gaps = await self._cut_orders(trader)
        gap: Gap = gaps.items[0]
        assert gap.feed in trader.stream.status
        assert gap.start <= gap.end
        assert gap.recovered
        assert gap.lost == ()

    async def test_the_feed_counts_its_reconnects(self, trader: Trader) -> None:
        """One cut, one reconnect."""
        gaps = await self._cut_orders(trader)
        assert trader.stream.status[gaps.items[0].feed].reconnects == 1

    async def test_an_order_that_rests_rests_on(self, trader: Trader) -> None:
        """A cut line changes nothing about it."""
        trader.needs(OrderType.LIMIT)
        order = await trader.resting()
        await self._cut_orders(trader)
        assert trader.now(order).state is State.ACCEPTED
        assert order.local_id in await trader.open_at_broker()
        assert (await trader.ended(order)).state is State.CANCELED

    async def test_what_was_filled_meanwhile_is_known_and_counted_once(self, trader: Trader) -> None:
        """Pieces before, during and after the gap make the whole."""
        symbol, cut = trader.given("pieces_symbol"), trader.given("cut_orders")
        stream = trader.stream
        trader.needs(OrderType.MARKET, Channel.ORDERS)
        known: list[Decimal] = []
        held: list[Decimal | None] = []

        async def compare(gap: Gap) -> None:
            known.append(trader.now(order).filled_qty)
            event = await trader.at_broker(order)
            held.append(None if event is None else event.filled_qty)

        stream.on_gap(compare)
        order = await trader.submit(await trader.request(symbol=symbol, qty=8))
        await trader.until(lambda: trader.now(order).filled_qty > 0, "the first piece")
        before = trader.now(order).filled_qty
        # A connection may be back before the next piece; then it breaks again.
        while before < 8 and held in ([], [before]):
            before = trader.now(order).filled_qty
            known.clear()
            held.clear()
            await cut()
            await trader.until(lambda: held, "a gap")
            assert known == held, "when the gap was told, not all was known that it says is recovered"
        ended = await trader.end_of(order)
        assert ended.state is State.FILLED
        assert ended.filled_qty == 8
        await trader.settled()
        assert trader.now(order).filled_qty == 8
        assert trader.now(order).filled_avg_price == ended.filled_avg_price
        assert trader.orders.positions_from_fills() == {symbol: 8}
        assert list(trader.session.findings) == []

    async def test_a_cancel_while_the_line_is_down_takes_effect(self, trader: Trader) -> None:
        """Its end is known after the sign-in at the latest."""
        cut = trader.given("cut_orders")
        _ = trader.stream
        order = await trader.resting()
        await cut()
        await trader.orders.cancel(order)
        assert (await trader.end_of(order)).state is State.CANCELED

    async def test_new_orders_wait_for_the_line(self, trader: Trader) -> None:
        """They go out once what was missed is known, and are filled once."""
        cut = trader.given("cut_orders")
        _ = trader.stream
        trader.needs(OrderType.MARKET, Channel.ORDERS)
        await trader.bought()
        await cut()
        await trader.settled()
        submitting = asyncio.ensure_future(trader.submit(await trader.request()))
        await trader.until(submitting.done, "a submission")
        assert (await trader.end_of(await submitting)).state is State.FILLED
        assert trader.orders.positions_from_fills() == {trader.subject.symbol: trader.subject.qty * 2}

    async def test_the_gate_is_shut_while_the_line_is_down(self, trader: Trader) -> None:
        """And says why."""
        cut = trader.given("cut_orders")
        stream = trader.stream
        await trader.until(lambda: stream.healthy(Channel.ORDERS) and not trader.session.gate.reasons, "a healthy order stream")
        seen: list[dict[str, str]] = []

        def look() -> bool:
            seen.append(trader.session.gate.reasons)
            return bool(seen[-1])

        await cut()
        await trader.until(look, "a shut gate", step=0.05)
        assert "stream" in seen[-1]
        await trader.until(lambda: not trader.session.gate.reasons, "an open gate")

    async def test_it_may_break_again_and_again(self, trader: Trader) -> None:
        """Every time the gap is told, and nothing is booked twice."""
        trader.given("cut_orders")
        order = await trader.bought()
        for _ in range(2):
            assert len(await self._cut_orders(trader)) == 1
        assert trader.now(order) == order
        assert trader.orders.positions_from_fills() == {order.symbol: order.filled_qty}
        assert list(trader.session.findings) == []

    async def test_observers_are_told_of_loss_and_gap(self, subject: Subject) -> None:
        """The hooks hear the feed's states and the gap itself."""
        states: list[tuple[str, str]] = []
        told: list[Gap] = []

        class Observer:
            @hookimpl
            def broker_stream_changed(self, connection: Connection, feed: str, state: str) -> None:
                states.append((feed, state))

            @hookimpl
            def broker_gap(self, gap: Any) -> None:
                told.append(gap)

        async with subject.connect(Observer()) as session:
            trader = Trader(subject, session)
            gaps = await self._cut_orders(trader)
            await trader.until(lambda: told, "the hook")
            feed = gaps.items[0].feed
            assert told == gaps.items
        walked = [state for name, state in states if name == feed]
        assert "waiting" in walked
        assert walked.index("connected") < walked.index("waiting")
        assert "connected" in walked[walked.index("waiting") :]

    # Market data

    async def test_subscriptions_outlive_their_connection(self, trader: Trader) -> None:
        """What was wanted is wanted again, by those who wanted it, without a word of theirs."""
        cut = trader.given("cut_data")
        stream = trader.stream
        trader.needs(Channel.QUOTES)
        heard = Heard()
        subscription = stream.on_quote(trader.subject.symbol, heard)
        await trader.until(lambda: len(heard) >= 2, "quotes", step=1)
        await cut()
        told = len(heard)
        await trader.until(lambda: len(heard) >= told + 3, "quotes after the cut", step=1)
        assert subscription in stream.subscriptions
        assert {quote.symbol for quote in heard.items} == {trader.subject.symbol}

    async def test_the_gap_comes_before_what_follows_it(self, trader: Trader) -> None:
        """It names what is lost of market data, and no quote of the new connection overtakes it."""
        cut = trader.given("cut_data")
        stream = trader.stream
        trader.needs(Channel.QUOTES)
        heard = Heard()
        stream.on_quote(trader.subject.symbol, heard)
        stream.on_gap(heard)
        await trader.until(lambda: len(heard) >= 2, "quotes", step=1)
        await cut()
        await trader.until(lambda: any(isinstance(item, Gap) for item in heard.items[:-1]), "a gap, and quotes after it", step=1)
        (place,) = [place for place, item in enumerate(heard.items) if isinstance(item, Gap)]
        gap: Gap = heard.items[place]
        assert any(trader.subject.symbol in sentence for sentence in gap.lost)
        quotes = [item for item in heard.items if not isinstance(item, Gap)]
        assert all(before.timestamp_ns <= after.timestamp_ns for before, after in pairwise(quotes))
        assert heard.items[place - 1].timestamp <= gap.end

    async def test_what_was_wanted_meanwhile_comes_too(self, trader: Trader) -> None:
        """A subscription made while the line is down is told with the others."""
        cut, other = trader.given("cut_data"), trader.given("other_symbol")
        stream = trader.stream
        trader.needs(Channel.QUOTES)
        first, second = Heard(), Heard()
        stream.on_quote(trader.subject.symbol, first)
        await trader.until(lambda: len(first) >= 1, "quotes", step=1)
        await cut()
        stream.on_quote(other, second)
        await trader.until(lambda: len(second) >= 2, "quotes of the other symbol", step=1)
        told = len(first)
        await trader.until(lambda: len(first) > told, "quotes of the first symbol", step=1)
