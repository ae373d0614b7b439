"""One order from the host's call to its end."""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta
from decimal import Decimal
from itertools import pairwise

import attrs
import pytest

from broker_core.errors import DuplicateOrder, OrderVetoed, RequestRefused
from broker_core.hookspecs import hookimpl
from broker_core.models import Connection
from broker_core.orders import ZERO, EventKind, OrderChange, Source, State
from broker_core.requests import MarketOrder, OrderRequest, OrderType, Side
from broker_core.testing.contract.laws import check_steps
from broker_core.testing.contract.subject import Subject
from broker_core.testing.contract.suite import Suite
from broker_core.testing.contract.trader import Heard, Trader


class TestOrders(Suite):
    """Identity, money, news and waiting."""

    @pytest.mark.parametrize("side", list(Side))
    async def test_a_market_order_is_filled(self, trader: Trader, side: Side) -> None:
        """Whole, at a price above zero, both exact decimals."""
        await trader.ready_to(side)
        order = await trader.bought(side=side)
        assert order.filled_qty == trader.subject.qty
        assert isinstance(order.filled_avg_price, Decimal)
        assert order.filled_avg_price > 0
        assert order.remaining_qty == 0
        assert order.side is side

    async def test_the_broker_keeps_our_id(self, trader: Trader) -> None:
        """It finds the order by the id that we gave it, and says the id back."""
        order = await trader.bought()
        event = await trader.at_broker(order)
        assert event is not None
        assert event.client_order_id == order.local_id
        assert event.broker_order_id == order.broker_order_id
        assert event.source is Source.LOOKUP or event.source is Source.ANSWER

    async def test_the_broker_states_what_was_filled(self, trader: Trader) -> None:
        """A look-up and a listing tell the same total and average as the stream did."""
        order = await trader.bought()
        event = await trader.at_broker(order)
        listed = await trader.family.listing(trader.session.connection.opened_at - timedelta(minutes=1))
        (found,) = [one for one in listed if one.client_order_id == order.local_id]
        for told in (event, found):
            assert told is not None
            assert told.status is State.FILLED
            assert told.filled_qty == order.filled_qty
            assert told.filled_avg_price is not None
            assert order.filled_avg_price is not None
            assert abs(told.filled_avg_price - order.filled_avg_price) < Decimal("0.0001")

    async def test_the_broker_knows_no_order_of_an_id_it_never_saw(self, trader: Trader) -> None:
        """None is its own word for that."""
        assert await trader.family.find("never-sent-000001") is None

    async def test_an_order_carries_the_ids_and_the_word_of_the_broker(self, trader: Trader) -> None:
        """Its id there, the broker's own word for how it stands, and no doubt."""
        order = await trader.bought()
        assert order.broker_order_id
        assert order.broker_order_id == order.broker_ids[-1]
        assert order.raw_status
        assert order.in_doubt is False

    async def test_labels_of_the_host_stay_with_the_order(self, trader: Trader) -> None:
        """Strategy and signal are the host's, whatever the broker says of the terms."""
        request = await trader.request(strategy="turtles", signal_id="S-17")
        order = await trader.end_of(await trader.submit(request))
        assert (order.request.strategy, order.request.signal_id) == ("turtles", "S-17")

    async def test_two_orders_are_two(self, trader: Trader) -> None:
        """Their ids differ here and there."""
        first, second = await trader.bought(), await trader.bought()
        assert first.local_id != second.local_id
        assert first.broker_order_id != second.broker_order_id

    async def test_moments_are_aware_and_in_order(self, trader: Trader) -> None:
        """Made, changed, ended: in UTC, none before the one before it."""
        order = await trader.bought()
        assert order.ended_at is not None
        assert [moment.tzinfo for moment in (order.created_at, order.updated_at, order.ended_at)] == [UTC] * 3
        assert order.created_at <= order.updated_at

    async def test_an_order_is_a_value(self, trader: Trader) -> None:
        """What was returned first does not change with the order's life."""
        order = await trader.submit(await trader.request())
        state, filled = order.state, order.filled_qty
        await trader.end_of(order)
        assert (order.state, order.filled_qty) == (state, filled)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            order.state = State.FAILED  # type: ignore[misc]  # that this cannot be done is the point

    async def test_done_waits_for_the_end(self, trader: Trader) -> None:
        """It returns the order as it ended."""
        order = await trader.submit(await trader.request())
        waiting = asyncio.ensure_future(trader.orders.done(order))
        await trader.until(waiting.done, "the end of an order")
        assert (await waiting).state is State.FILLED
        assert await waiting == trader.now(order)

    async def test_done_with_an_ended_order_returns_at_once(self, trader: Trader) -> None:
        """There is nothing to wait for."""
        order = await trader.bought()
        assert await trader.orders.done(order.local_id) == order

    async def test_several_may_wait_for_one_order(self, trader: Trader) -> None:
        """All are woken with the same order."""
        order = await trader.resting()
        waiting = [asyncio.ensure_future(trader.orders.done(order)) for _ in range(3)]
        await trader.ended(order)
        await trader.until(lambda: all(one.done() for one in waiting), "all who wait")
        assert {(await one).state for one in waiting} == {State.CANCELED}

    async def test_done_gives_up_after_its_time(self, trader: Trader) -> None:
        """The order goes on as if nobody had waited."""
        order = await trader.resting()
        waiting = asyncio.ensure_future(trader.orders.done(order, timeout=1))
        await trader.until(waiting.done, "a timeout")
        with pytest.raises(TimeoutError):
            await waiting
        assert trader.now(order).state is State.ACCEPTED

    @pytest.mark.parametrize("call", ["cancel", "done"])
    async def test_an_unknown_id_is_a_key_error(self, trader: Trader, call: str) -> None:
        """Nothing is asked of the broker."""
        with pytest.raises(KeyError, match="nobody-knows"):
            await getattr(trader.orders, call)("nobody-knows")
        assert trader.orders.get("nobody-knows") is None
        assert list(await trader.orders.history("nobody-knows")) == []

    async def test_open_orders_are_those_that_have_not_ended(self, trader: Trader) -> None:
        """The oldest first."""
        first, second = await trader.resting(), await trader.resting()
        await trader.bought()
        assert [order.local_id for order in trader.orders.open()] == [first.local_id, second.local_id]
        await trader.ended(first)
        assert [order.local_id for order in trader.orders.open()] == [second.local_id]

    async def test_an_order_that_rests_is_held_by_the_broker(self, trader: Trader) -> None:
        """The broker lists it among those it works on."""
        order = await trader.resting()
        assert order.local_id in await trader.open_at_broker()
        assert order.filled_qty == 0

    # News

    async def test_changes_are_told_in_legal_order(self, trader: Trader) -> None:
        """Every step of an order's life, the last of which is its end."""
        heard = Heard()
        trader.orders.on_change(heard)
        order = await trader.bought()
        steps: list[OrderChange] = [change for change in heard.items if change.order.local_id == order.local_id]
        check_steps(steps)
        assert steps[0].event.kind is EventKind.CREATED
        assert steps[-1].order.state is State.FILLED

    async def test_history_is_what_was_told(self, trader: Trader) -> None:
        """The same changes, in the same order."""
        heard = Heard()
        trader.orders.on_change(heard)
        order = await trader.bought()
        assert list(await trader.orders.history(order.local_id)) == heard.items

    async def test_the_intent_to_send_is_written_before_anything_is_heard(self, trader: Trader) -> None:
        """Created, submitted, and only then the broker's word."""
        order = await trader.bought()
        changes = await trader.orders.history(order.local_id)
        kinds = [change.event.kind for change in changes[:2]]
        assert kinds == [EventKind.CREATED, EventKind.SUBMITTED]
        assert {change.event.source for change in changes[:2]} == {Source.LOCAL}
        assert Source.LOCAL not in {change.event.source for change in changes[2:]}

    async def test_an_iterator_brings_every_change(self, trader: Trader) -> None:
        """From the moment it is made, also when it is read later."""
        updates = trader.orders.changes()
        order = await trader.bought()
        told = [await anext(updates) for _ in await trader.orders.history(order.local_id)]
        await updates.aclose()
        assert told == list(await trader.orders.history(order.local_id))

    async def test_a_slow_callback_misses_nothing_and_holds_up_nobody(self, trader: Trader) -> None:
        """The order has ended while the first call is still under way; every change is called with in the end."""
        going_on, told = asyncio.Event(), Heard()

        async def slow(change: OrderChange) -> None:
            await going_on.wait()
            told(change)

        trader.orders.on_change(slow)
        order = await trader.bought()
        assert len(told) == 0
        going_on.set()
        await trader.until(lambda: len(told) >= 3, "the changes")
        assert told.items == list(await trader.orders.history(order.local_id))

    async def test_a_callback_that_raises_is_counted_and_loses_nothing(self, trader: Trader) -> None:
        """Neither for the order nor for the others who listen."""
        heard = Heard()

        def broken(change: OrderChange) -> None:
            raise RuntimeError("the disk is full")

        subscription = trader.orders.on_change(broken)
        trader.orders.on_change(heard)
        order = await trader.bought()
        assert heard.items == list(await trader.orders.history(order.local_id))
        assert subscription.counters.raised == len(heard)

    async def test_one_who_has_cancelled_hears_nothing_more(self, trader: Trader) -> None:
        """The others do."""
        heard = Heard()
        subscription = trader.orders.on_change(heard)
        await trader.bought()
        told = len(heard)
        subscription.cancel()
        await trader.bought()
        assert len(heard) == told > 0

    async def test_observers_are_told_the_same(self, subject: Subject) -> None:
        """The hook hears every change in order; one that raises costs neither the order nor the others anything."""
        heard: list[OrderChange] = []

        class Observer:
            @hookimpl
            async def broker_order_changed(self, connection: Connection, change: OrderChange) -> None:
                heard.append(change)

        class Broken:
            @hookimpl
            def broker_order_changed(self, change: OrderChange) -> None:
                raise RuntimeError("the observer is broken")

        async with subject.connect(Broken(), Observer()) as session:
            trader = Trader(subject, session)
            order = await trader.bought()
            assert heard == list(await trader.orders.history(order.local_id))

    # Once, and once only

    async def test_one_id_never_makes_two_orders(self, trader: Trader) -> None:
        """A second submission under the same id is refused as a duplicate, or answered with the order that there is."""
        order = await trader.bought()
        try:
            answer = await trader.family.submit(order)
        except DuplicateOrder as refused:
            assert str(refused)
        else:
            assert answer.broker_order_id == order.broker_order_id
        await trader.settled()
        assert trader.now(order).filled_qty == trader.subject.qty
        assert trader.orders.positions_from_fills() == {order.symbol: trader.subject.qty}

    async def test_asking_again_books_nothing_twice(self, trader: Trader) -> None:
        """Listing and executions, read after the fact, hold no news."""
        order = await trader.bought()
        told = len(await trader.orders.history(order.local_id))
        for _ in range(2):
            await trader.orders.reconciler.catch_up(trader.session.connection.opened_at)
        assert trader.now(order).filled_qty == order.filled_qty
        assert trader.now(order).filled_avg_price == order.filled_avg_price
        assert len(await trader.orders.history(order.local_id)) == told
        assert list(trader.session.findings) == []

    async def test_a_caller_that_gives_up_stops_waiting_not_the_order(self, trader: Trader) -> None:
        """The submission goes through, and its order can be followed."""
        heard = Heard()
        trader.orders.on_change(heard)
        task = asyncio.ensure_future(trader.submit(await trader.request()))
        await trader.until(lambda: heard.items, "the order")
        task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(outcome, asyncio.CancelledError) or not isinstance(outcome, BaseException)
        order = await trader.end_of(heard.items[0].order)
        assert order.state is State.FILLED

    async def test_orders_sent_at_once_do_not_mix(self, trader: Trader) -> None:
        """Five submissions side by side: five orders, each filled with what was asked for."""
        requests = [await trader.request(qty=qty) for qty in range(1, 6)]
        orders = await asyncio.gather(*(trader.submit(request) for request in requests))
        ended = [await trader.end_of(order) for order in orders]
        assert len({order.local_id for order in ended}) == 5
        assert len({order.broker_order_id for order in ended}) == 5
        assert [order.filled_qty for order in ended] == [Decimal(qty) for qty in range(1, 6)]
        assert trader.orders.positions_from_fills() == {trader.subject.symbol: Decimal(15)}

    # Fills

    async def test_an_order_may_be_filled_in_pieces(self, trader: Trader) -> None:
        """Partial fills one after the other; the pieces are what the whole is made of."""
        symbol = trader.given("pieces_symbol")
        trader.needs(OrderType.MARKET)
        heard = Heard()
        trader.orders.on_change(heard)
        order = await trader.end_of(await trader.submit(await trader.request(symbol=symbol, qty=8)))
        assert order.state is State.FILLED
        pieces = [change.booked for change in heard.items if change.booked is not None]
        assert len(pieces) > 1
        assert sum(piece.qty for piece in pieces) == order.filled_qty == 8
        states = [change.order.state for change in heard.items if change.booked is not None]
        assert states == [State.PARTIAL_FILL] * (len(pieces) - 1) + [State.FILLED]
        assert len({piece.execution_id for piece in pieces}) == len(pieces)

    async def test_totals_grow_with_every_piece(self, trader: Trader) -> None:
        """What is filled and what remains make the whole at every step."""
        symbol = trader.given("pieces_symbol")
        trader.needs(OrderType.MARKET)
        heard = Heard()
        trader.orders.on_change(heard)
        await trader.end_of(await trader.submit(await trader.request(symbol=symbol, qty=8)))
        orders = [change.order for change in heard.items if change.booked is not None]
        assert all(before.filled_qty < after.filled_qty for before, after in pairwise(orders))
        assert all(order.filled_qty + (order.remaining_qty or ZERO) == 8 for order in orders)

    async def test_average_price_lies_between_the_pieces(self, trader: Trader) -> None:
        """And is exactly their mean, weighted by quantity, within what the broker rounds."""
        symbol = trader.given("pieces_symbol")
        trader.needs(OrderType.MARKET)
        order = await trader.end_of(await trader.submit(await trader.request(symbol=symbol, qty=8)))
        pieces = order.ledger.executions.values()
        mean = sum((piece.qty * piece.price for piece in pieces), ZERO) / 8
        assert order.filled_avg_price is not None
        assert min(piece.price for piece in pieces) <= order.filled_avg_price <= max(piece.price for piece in pieces)
        assert abs(order.filled_avg_price - mean) < Decimal("0.0001")

    async def test_fractions_of_shares_are_filled_exactly(self, trader: Trader) -> None:
        """To the last digit that was asked for."""
        trader.needs("fractional")
        order = await trader.bought("1.25")
        assert order.filled_qty == Decimal("1.25")

    async def test_an_order_by_amount_spends_no_more_than_that(self, trader: Trader) -> None:
        """And no cent less."""
        trader.needs("notional", OrderType.MARKET)
        order = await trader.end_of(await trader.submit(await trader.request(notional=1000)))
        assert order.state is State.FILLED
        assert order.qty is None
        spent = order.filled_qty * (order.filled_avg_price or ZERO)
        assert Decimal("999.99") < spent <= 1000

    # Refusals

    async def test_what_the_broker_refuses_ends_rejected_with_its_words(self, trader: Trader) -> None:
        """The error carries the order; its reason is what the broker said."""
        refused = await self._refused(trader)
        order = refused.order
        assert order is not None
        assert order.state is State.REJECTED
        assert order.origin == "broker"
        assert order.reason
        assert order.reason in str(refused)

    async def test_a_refused_order_leaves_nothing_behind(self, trader: Trader) -> None:
        """Neither here nor there."""
        refused = await self._refused(trader)
        assert refused.order is not None
        await trader.check(refused.order)
        assert trader.orders.open() == []
        assert await trader.open_at_broker() == set()
        assert await trader.at_broker(refused.order) is None
        assert trader.orders.positions_from_fills() == {}

    async def test_waiting_for_a_refused_order_ends_at_once(self, trader: Trader) -> None:
        """It has ended already."""
        refused = await self._refused(trader)
        assert refused.order is not None
        assert (await trader.orders.done(refused.order)).state is State.REJECTED

    async def test_an_order_may_be_rejected_after_it_was_accepted(self, trader: Trader) -> None:
        """It ends rejected with the reason, and who waits is woken."""
        symbol = trader.given("rejecting_symbol")
        order = await trader.submit(await trader.request(symbol=symbol))
        ended = await trader.end_of(order)
        assert ended.state is State.REJECTED
        assert ended.origin == "broker"
        assert ended.filled_qty == 0
        assert await trader.orders.done(order) == ended

    async def test_a_veto_keeps_an_order_from_being_sent(self, subject: Subject) -> None:
        """It ends rejected by the plugin's name, with every reason, and the broker never hears of it."""
        trader_orders: list[str] = []

        class Cautious:
            name = "cautious"

            @hookimpl
            def broker_veto_order(self, request: OrderRequest) -> str:
                trader_orders.append(request.symbol)
                return "not on a Monday"

        async with subject.connect(Cautious()) as session:
            trader = Trader(subject, session)
            with pytest.raises(OrderVetoed, match="not on a Monday") as caught:
                await trader.submit(MarketOrder(subject.symbol, Side.BUY, qty=subject.qty, time_in_force=trader.day))
            order = caught.value.order
            assert order.state is State.REJECTED
            assert caught.value.reasons == ("not on a Monday",)
            assert trader_orders == [subject.symbol]
            assert await trader.at_broker(order) is None
            await trader.check(order)

    async def test_a_veto_that_breaks_refuses(self, subject: Subject) -> None:
        """It fails closed."""

        class Broken:
            @hookimpl
            async def broker_veto_order(self, request: OrderRequest) -> None:
                raise RuntimeError("the limits cannot be read")

        async with subject.connect(Broken()) as session:
            trader = Trader(subject, session)
            with pytest.raises(OrderVetoed, match="the limits cannot be read") as caught:
                await trader.submit(MarketOrder(subject.symbol, Side.BUY, qty=subject.qty, time_in_force=trader.day))
            assert await trader.at_broker(caught.value.order) is None

    async def _refused(self, trader: Trader) -> RequestRefused:
        symbol = trader.given("unknown_symbol")
        with pytest.raises(RequestRefused) as caught:
            await trader.submit(MarketOrder(symbol, Side.BUY, qty=trader.subject.qty, time_in_force=trader.day))
        return caught.value

    # Doubt, and orders from elsewhere

    async def test_an_order_without_an_answer_is_in_doubt_and_then_found(self, trader: Trader) -> None:
        """It is returned as submitted, is never failed, and settles as what it was: filled once."""
        symbol = await trader.given("lose_answer")()
        order = await trader.submit(await trader.request(symbol=symbol))
        ended = await trader.end_of(order)
        assert ended.state is State.FILLED
        assert ended.in_doubt is False
        states = {change.order.state for change in await trader.orders.history(order.local_id)}
        assert State.FAILED not in states
        assert trader.orders.positions_from_fills() == {symbol: trader.subject.qty}

    async def test_an_order_that_never_arrived_fails_only_with_proof(self, trader: Trader) -> None:
        """It stays in doubt until the broker has denied it again and again, for a while, and lists it nowhere."""
        symbol = await trader.given("lose_order")()
        order = await trader.submit(await trader.request(symbol=symbol))
        assert (order.state, order.in_doubt) == (State.SUBMITTED, True)
        began = order.updated_at
        ended = await trader.end_of(order)
        assert ended.state is State.FAILED
        assert ended.ended_at is not None
        assert (ended.ended_at - began).total_seconds() >= 10
        last = (await trader.orders.history(order.local_id))[-1]
        assert last.event.source is Source.PROOF

    async def test_an_order_placed_elsewhere_is_taken_up(self, trader: Trader) -> None:
        """With its own id and the broker's terms, and it can be cancelled here."""
        place = trader.given("place_elsewhere")
        request = await trader.request(OrderType.LIMIT)
        client_order_id = await place(request)
        await trader.until(lambda: trader.orders.get(client_order_id), "an order placed elsewhere")
        order = trader.now(client_order_id)
        assert order.qty == request.qty
        assert order.request.limit_price == request.limit_price
        await trader.orders.cancel(order)
        await trader.until(lambda: trader.now(order).is_terminal, "its end")
        assert trader.now(order).state is State.CANCELED
