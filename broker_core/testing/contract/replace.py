"""New terms for an order that works: one order here, a chain of ids at the broker."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from broker_core.errors import IllegalTransition, RequestRefused
from broker_core.orders import EventKind, ReplaceTerms, State
from broker_core.requests import OrderType, Side, TimeInForce
from broker_core.testing.contract.suite import Suite
from broker_core.testing.contract.trader import Trader


class TestReplace(Suite):
    """Terms, identity and totals of a replaced order."""

    @pytest.mark.parametrize("term", ["qty", "limit_price", "time_in_force"])
    async def test_new_terms_count_here_and_there(self, trader: Trader, term: str) -> None:
        """What was not asked for stays as it was."""
        trader.needs("replace")
        order = await trader.resting()
        limit = order.request.limit_price
        assert limit is not None
        if term == "time_in_force":
            trader.needs(TimeInForce.GTC)
        value = {"qty": trader.subject.qty + 2, "limit_price": trader.subject.rounded(limit * Decimal("1.02")), "time_in_force": "gtc"}[
            term
        ]
        changed = await trader.replaced(order, ReplaceTerms(**{term: TimeInForce.GTC if value == "gtc" else value}))  # type: ignore[arg-type]  # each term has its own type
        assert getattr(changed.request, term) == value
        event = await trader.at_broker(order)
        assert event is not None
        assert event.request is not None
        assert getattr(event.request, term) == value
        for other in {"qty", "limit_price", "time_in_force"} - {term}:
            assert getattr(changed.request, other) == getattr(order.request, other)
            assert getattr(event.request, other) == getattr(order.request, other)

    async def test_a_stop_can_be_moved(self, trader: Trader) -> None:
        """The new stop price counts."""
        trader.needs("replace")
        order = await trader.resting(order_type=OrderType.STOP)
        assert order.request.stop_price is not None
        stop = trader.subject.rounded(order.request.stop_price * Decimal("1.02"))
        changed = await trader.replaced(order, ReplaceTerms(stop_price=stop))
        assert changed.request.stop_price == stop
        assert changed.state is State.ACCEPTED

    async def test_a_trailing_stop_can_be_given_another_distance(self, trader: Trader) -> None:
        """In the order's own unit."""
        trader.needs("replace")
        order = await trader.resting(order_type=OrderType.TRAILING_STOP)
        assert order.request.trail_price is not None
        trail = trader.subject.rounded(order.request.trail_price * Decimal("1.1"))
        changed = await trader.replaced(order, ReplaceTerms(trail=trail))
        assert changed.request.trail_price == trail
        assert changed.state is State.ACCEPTED

    async def test_it_stays_one_order_with_a_chain_of_ids(self, trader: Trader) -> None:
        """Our id stays, the broker's is added, and the latest is the present one."""
        trader.needs("replace")
        order = await trader.resting()
        changed = await trader.replaced(order, ReplaceTerms(qty=trader.subject.qty + 1))
        assert changed.local_id == order.local_id
        assert changed.broker_ids[0] == order.broker_ids[0]
        assert changed.replacement is None
        assert [one.local_id for one in trader.orders.open()] == [order.local_id]
        assert len(await trader.open_at_broker()) == 1

    async def test_it_can_be_replaced_again_and_again(self, trader: Trader) -> None:
        """Every time the latest terms count."""
        trader.needs("replace")
        order = await trader.resting()
        for more in (1, 2, 3):
            order = await trader.replaced(order, ReplaceTerms(qty=trader.subject.qty + more))
            assert order.request.qty == trader.subject.qty + more
        assert len(set(order.broker_ids)) == len(order.broker_ids)
        await trader.settled()
        assert trader.now(order).request.qty == trader.subject.qty + 3

    async def test_a_replaced_order_can_be_cancelled(self, trader: Trader) -> None:
        """What works now is what is cancelled."""
        trader.needs("replace")
        order = await trader.resting()
        await trader.replaced(order, ReplaceTerms(qty=trader.subject.qty + 1))
        ended = await trader.ended(order)
        assert ended.state is State.CANCELED
        assert ended.filled_qty == 0
        assert await trader.open_at_broker() == set()

    @pytest.mark.parametrize("side", list(Side))
    async def test_a_replaced_order_is_filled_once(self, trader: Trader, side: Side) -> None:
        """With a limit that is reached, for the quantity it has now."""
        trader.needs("replace")
        await trader.ready_to(side, factor=2)
        before = trader.orders.positions_from_fills().get(trader.subject.symbol, Decimal(0))
        order = await trader.resting(side)
        near, qty = trader.subject.near(side, await trader.price()), trader.subject.qty + 1
        await trader.replaced(order, ReplaceTerms(qty=qty, limit_price=near))
        ended = await trader.end_of(order)
        assert ended.state is State.FILLED
        assert ended.filled_qty == qty
        signed = qty if side is Side.BUY else -qty
        assert trader.orders.positions_from_fills() == {order.symbol: before + signed}

    async def test_totals_run_over_the_whole_chain(self, trader: Trader) -> None:
        """What was filled before the replacement counts towards the new quantity."""
        trader.needs("replace", OrderType.LIMIT)
        symbol = trader.given("pieces_symbol")
        order = await trader.submit(await trader.request(OrderType.LIMIT, at_once=True, symbol=symbol, qty=8))
        await trader.until(lambda: trader.now(order).filled_qty > 0, "the first piece")
        await trader.replaced(order, ReplaceTerms(qty=Decimal(12)))
        ended = await trader.end_of(order)
        assert ended.state is State.FILLED
        assert ended.filled_qty == 12
        assert trader.orders.positions_from_fills() == {symbol: 12}
        assert list(trader.session.findings) == []

    async def test_history_tells_wish_and_fulfilment(self, trader: Trader) -> None:
        """First that it was asked for, with the terms, and never a step back."""
        trader.needs("replace")
        order = await trader.resting()
        await trader.replaced(order, ReplaceTerms(qty=trader.subject.qty + 1))
        changes = await trader.check(order)
        kinds = [change.event.kind for change in changes]
        assert kinds.count(EventKind.REPLACE_REQUESTED) == 1
        asked = changes[kinds.index(EventKind.REPLACE_REQUESTED)]
        assert asked.event.request is not None
        assert asked.event.request.qty == trader.subject.qty + 1
        assert asked.order.request.qty == trader.subject.qty

    async def test_an_ended_order_is_not_replaced(self, trader: Trader) -> None:
        """It is refused before anything is sent."""
        trader.needs("replace")
        order = await trader.bought()
        with pytest.raises(IllegalTransition, match=order.local_id):
            await trader.orders.replace(order, ReplaceTerms(qty=trader.subject.qty + 1))

    async def test_an_unknown_order_is_not_replaced(self, trader: Trader) -> None:
        """Its id is a key error."""
        trader.needs("replace")
        with pytest.raises(KeyError, match="nobody-knows"):
            await trader.orders.replace("nobody-knows", ReplaceTerms(qty=Decimal(1)))

    async def test_terms_that_make_no_sense_change_nothing(self, trader: Trader) -> None:
        """They are refused before anything is sent."""
        trader.needs("replace")
        order = await trader.resting()
        with pytest.raises(ValueError, match="qty"):
            await trader.orders.replace(order, ReplaceTerms(qty=Decimal(-1)))
        assert trader.now(order) == order

    async def test_terms_that_the_broker_refuses_change_nothing(self, trader: Trader) -> None:
        """The order works on as it was, and the refusal is in its history."""
        trader.needs("replace", OrderType.LIMIT)
        symbol = trader.given("pieces_symbol")
        order = await trader.submit(await trader.request(OrderType.LIMIT, at_once=True, symbol=symbol, qty=8))
        await trader.until(lambda: trader.now(order).filled_qty > 1, "the first piece")
        with pytest.raises(RequestRefused):
            await trader.orders.replace(order, ReplaceTerms(qty=Decimal(1)))
        assert trader.now(order).request.qty == 8
        assert trader.now(order).replacement is None
        kinds = [change.event.kind for change in await trader.orders.history(order.local_id)]
        assert EventKind.REPLACE_REFUSED in kinds
        assert (await trader.end_of(order)).filled_qty == 8

    async def test_two_replacements_at_once_are_one_and_a_refusal(self, trader: Trader) -> None:
        """The second is told to wait; the first goes through."""
        trader.needs("replace")
        order = await trader.resting()
        wishes = [ReplaceTerms(qty=trader.subject.qty + more) for more in (1, 2)]
        outcomes = await asyncio.gather(*(trader.orders.replace(order, wish) for wish in wishes), return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert all(isinstance(error, IllegalTransition | RequestRefused) for error in refused)
        assert len(refused) <= 1
        await trader.settled()
        assert trader.now(order).request.qty in (trader.subject.qty + 1, trader.subject.qty + 2)
        assert len(await trader.open_at_broker()) == 1

    async def test_reading_again_keeps_the_terms(self, trader: Trader) -> None:
        """The listing tells the chain again, and nothing changes."""
        trader.needs("replace")
        order = await trader.resting()
        changed = await trader.replaced(order, ReplaceTerms(qty=trader.subject.qty + 1))
        await trader.settled()
        await trader.orders.reconciler.catch_up(trader.session.connection.opened_at)
        assert trader.now(order).request == changed.request
        assert trader.now(order).broker_order_id == changed.broker_order_id
        assert [one.local_id for one in trader.orders.open()] == [order.local_id]
