"""Asking for an order's end: a wish, which a fill may still overtake."""

from __future__ import annotations

import asyncio

import pytest

from broker_core.orders import EventKind, State
from broker_core.requests import OrderType, Side
from broker_core.testing.contract.suite import Suite
from broker_core.testing.contract.trader import Trader


class TestCancel(Suite):
    """What a cancel does, and what it does not."""

    @pytest.mark.parametrize("side", list(Side))
    async def test_a_resting_order_is_cancelled(self, trader: Trader, side: Side) -> None:
        """It ends cancelled by its user, here and at the broker."""
        await trader.ready_to(side)
        order = await trader.resting(side)
        ended = await trader.ended(order)
        assert ended.state is State.CANCELED
        assert ended.reason is not None
        assert ended.reason.startswith("user")
        assert order.local_id not in await trader.open_at_broker()

    async def test_the_wish_is_on_record_before_the_end(self, trader: Trader) -> None:
        """Asked for first, then cancelled."""
        order = await trader.ended(await trader.resting())
        kinds = [change.event.kind for change in await trader.orders.history(order.local_id)]
        assert EventKind.CANCEL_REQUESTED in kinds
        states = [change.order.state for change in await trader.orders.history(order.local_id)]
        assert kinds.index(EventKind.CANCEL_REQUESTED) < states.index(State.CANCELED)

    async def test_cancelling_by_id_is_the_same(self, trader: Trader) -> None:
        """The id is enough."""
        order = await trader.resting()
        await trader.orders.cancel(order.local_id)
        assert (await trader.end_of(order)).state is State.CANCELED

    async def test_cancelling_twice_is_harmless(self, trader: Trader) -> None:
        """The second time the order is returned as it is."""
        order = await trader.ended(await trader.resting())
        told = len(await trader.orders.history(order.local_id))
        assert await trader.orders.cancel(order) == order
        assert len(await trader.orders.history(order.local_id)) == told

    async def test_two_cancels_at_once_are_one(self, trader: Trader) -> None:
        """Neither raises, and the order ends once."""
        order = await trader.resting()
        await asyncio.gather(trader.orders.cancel(order), trader.orders.cancel(order))
        ended = await trader.end_of(order)
        assert ended.state is State.CANCELED
        ends = [change for change in await trader.orders.history(order.local_id) if change.order.is_terminal]
        assert len({change.previous for change in ends if change.previous is not State.CANCELED}) == 1

    async def test_a_filled_order_stays_filled(self, trader: Trader) -> None:
        """A cancel that comes too late returns it as it is."""
        order = await trader.bought()
        assert await trader.orders.cancel(order) == order
        assert trader.now(order).state is State.FILLED

    async def test_a_race_with_a_fill_ends_in_one_truth(self, trader: Trader) -> None:
        """Filled or cancelled: what was filled is what counts, on both sides."""
        trader.needs(OrderType.MARKET)
        order = await trader.submit(await trader.request())
        ended = await trader.ended(order)
        assert ended.state in (State.FILLED, State.CANCELED)
        event = await trader.at_broker(order)
        assert event is not None
        assert event.filled_qty == ended.filled_qty
        held = trader.orders.positions_from_fills().get(order.symbol, 0)
        assert held == ended.filled_qty

    async def test_what_was_filled_before_the_cancel_stays(self, trader: Trader) -> None:
        """The order ends cancelled with its part, and the part counts."""
        symbol = trader.given("pieces_symbol")
        trader.needs(OrderType.MARKET)
        order = await trader.submit(await trader.request(symbol=symbol, qty=8))
        await trader.until(lambda: trader.now(order).filled_qty > 0, "the first piece")
        ended = await trader.ended(order)
        assert ended.state is State.CANCELED
        assert 0 < ended.filled_qty < 8
        assert trader.orders.positions_from_fills() == {symbol: ended.filled_qty}

    async def test_cancelling_an_order_that_fills_in_pieces_again_and_again_loses_none(self, trader: Trader) -> None:
        """Two orders side by side, one cancelled: each has its own pieces."""
        symbol = trader.given("pieces_symbol")
        trader.needs(OrderType.MARKET)
        first, second = [await trader.submit(await trader.request(symbol=symbol, qty=8)) for _ in range(2)]
        await trader.until(lambda: trader.now(first).filled_qty > 0, "the first piece")
        gone, whole = await trader.ended(first), await trader.end_of(second)
        assert whole.filled_qty == 8
        assert trader.orders.positions_from_fills() == {symbol: gone.filled_qty + 8}

    @pytest.mark.parametrize("count", [1, 3])
    async def test_all_can_be_cancelled_at_once(self, trader: Trader, count: int) -> None:
        """Every open order ends; those that ended before are left alone."""
        filled = await trader.bought()
        orders = [await trader.resting() for _ in range(count)]
        returned = await trader.orders.cancel_all()
        assert {order.local_id for order in returned} == {order.local_id for order in orders}
        for order in orders:
            assert (await trader.end_of(order)).state is State.CANCELED
        assert trader.now(filled).state is State.FILLED
        assert await trader.open_at_broker() == set()

    async def test_with_nothing_open_there_is_nothing_to_cancel(self, trader: Trader) -> None:
        """And nothing is wrong with that."""
        assert await trader.orders.cancel_all() == []

    async def test_a_way_out_is_never_blocked(self, trader: Trader) -> None:
        """A gate that is shut for new orders lets a cancel through."""
        order = await trader.resting()
        trader.session.gate.shut("test", "nothing new today")
        try:
            assert (await trader.ended(order)).state is State.CANCELED
        finally:
            trader.session.gate.open("test")

    async def test_a_cancelled_order_trades_no_more(self, trader: Trader) -> None:
        """Not even where its price is reached later."""
        order = await trader.ended(await trader.resting())
        await trader.bought()
        for _ in range(3):
            await trader.subject.pass_time(1)
        assert trader.now(order) == order
        event = await trader.at_broker(order)
        assert event is not None
        assert event.status is State.CANCELED
        assert event.filled_qty == 0
