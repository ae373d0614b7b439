"""Every type of order, with every time in force, to every end that it can come to."""

from __future__ import annotations

import pytest

from broker_core.errors import RequestRefused
from broker_core.orders import State
from broker_core.requests import OrderType, Side, StopLimitOrder, TimeInForce
from broker_core.testing.contract.suite import Suite
from broker_core.testing.contract.trader import Trader

TYPES = list(OrderType)
RESTING = [order_type for order_type in OrderType if order_type is not OrderType.MARKET]
AT_ONCE = [TimeInForce.IOC, TimeInForce.FOK]
UNTIL_ENDED = (TimeInForce.DAY, TimeInForce.GTC)
COMBINATIONS = [
    (order_type, time_in_force)
    for order_type in OrderType
    for time_in_force in TimeInForce
    # The request itself refuses the others.
    if order_type is not OrderType.TRAILING_STOP or time_in_force in UNTIL_ENDED
]


class TestOrderTypes(Suite):
    """Types by time in force, by side and by end."""

    @pytest.mark.parametrize(("order_type", "time_in_force"), COMBINATIONS)
    async def test_every_combination_is_refused_in_words_or_comes_to_an_end(
        self, trader: Trader, order_type: OrderType, time_in_force: TimeInForce
    ) -> None:
        """Not every type goes with every time in force; whatever the broker says to one, both sides agree on what became of it."""
        trader.needs(order_type, time_in_force)
        request = await trader.request(order_type, time_in_force=time_in_force)
        try:
            order = await trader.submit(request)
        except RequestRefused as refused:
            assert refused.order is not None
            assert refused.order.state is State.REJECTED
            assert refused.order.reason
            await trader.check(refused.order)
        else:
            ended = await trader.ended(order)
            assert ended.state in (State.FILLED, State.CANCELED, State.REJECTED, State.EXPIRED)
        assert await trader.open_at_broker() == set()
        assert trader.orders.open() == []

    @pytest.mark.parametrize("side", list(Side))
    @pytest.mark.parametrize("order_type", TYPES)
    async def test_every_type_is_filled_when_its_price_is_reached(self, trader: Trader, order_type: OrderType, side: Side) -> None:
        """Whole, and never beyond its limit."""
        trader.needs(order_type)
        await trader.ready_to(side)
        request = await trader.request(order_type, side, at_once=True)
        order = await trader.end_of(await trader.submit(request))
        assert order.state is State.FILLED, order
        assert order.filled_qty == trader.subject.qty
        if request.limit_price is not None:
            assert order.filled_avg_price is not None
            is_kept = order.filled_avg_price <= request.limit_price if side is Side.BUY else order.filled_avg_price >= request.limit_price
            assert is_kept

    @pytest.mark.parametrize("side", list(Side))
    @pytest.mark.parametrize("order_type", RESTING)
    async def test_every_type_that_rests_can_be_cancelled(self, trader: Trader, order_type: OrderType, side: Side) -> None:
        """It ends cancelled by its user, with nothing filled."""
        trader.needs(order_type)
        await trader.ready_to(side)
        order = await trader.resting(side, order_type=order_type)
        ended = await trader.ended(order)
        assert ended.state is State.CANCELED
        assert ended.filled_qty == 0
        assert ended.reason is not None
        assert ended.reason.startswith("user")

    @pytest.mark.parametrize("order_type", RESTING)
    async def test_the_broker_holds_the_terms_that_were_sent(self, trader: Trader, order_type: OrderType) -> None:
        """Symbol, side, type, quantity, prices and time in force, exactly."""
        order = await trader.resting(order_type=order_type)
        event = await trader.at_broker(order)
        assert event is not None
        assert event.request is not None
        names = ("symbol", "side", "order_type", "qty", "limit_price", "stop_price", "trail_price", "trail_percent", "time_in_force")
        held = {name: getattr(event.request, name) for name in names}
        if order_type is OrderType.TRAILING_STOP:
            # Where its stop stands now is the broker's to say.
            held["stop_price"] = None
        assert held == {name: getattr(order.request, name) for name in names}

    @pytest.mark.parametrize("order_type", RESTING)
    async def test_an_order_that_is_not_reached_goes_on_resting(self, trader: Trader, order_type: OrderType) -> None:
        """Time alone changes nothing about it."""
        order = await trader.resting(order_type=order_type)
        for _ in range(5):
            await trader.subject.pass_time(1)
        assert trader.now(order).state is State.ACCEPTED
        assert order.local_id in await trader.open_at_broker()

    async def test_a_trailing_stop_may_keep_its_distance_in_percent(self, trader: Trader) -> None:
        """The broker holds the percentage, and the order rests."""
        trader.needs(OrderType.TRAILING_STOP)
        order = await trader.resting(order_type=OrderType.TRAILING_STOP, trail_price=None, trail_percent=20)
        event = await trader.at_broker(order)
        assert event is not None
        assert event.request is not None
        assert event.request.trail_percent == 20
        assert (await trader.ended(order)).state is State.CANCELED

    @pytest.mark.parametrize("side", list(Side))
    async def test_a_stop_limit_that_is_reached_may_still_rest_at_its_limit(self, trader: Trader, side: Side) -> None:
        """The stop wakes it; nothing trades beyond the limit."""
        trader.needs(OrderType.STOP_LIMIT)
        await trader.ready_to(side)
        price = await trader.price()
        stop, limit = trader.subject.reached_stop(side, price), trader.subject.far(side, price)
        request = StopLimitOrder(
            trader.subject.symbol, side, qty=trader.subject.qty, stop_price=stop, limit_price=limit, time_in_force=trader.day
        )
        order = await trader.submit(request)
        for _ in range(3):
            await trader.subject.pass_time(1)
        assert trader.now(order).state is State.ACCEPTED
        assert (await trader.ended(order)).filled_qty == 0

    @pytest.mark.parametrize("time_in_force", AT_ONCE)
    async def test_at_once_means_at_once(self, trader: Trader, time_in_force: TimeInForce) -> None:
        """What can trade trades; nothing is left to rest."""
        trader.needs(OrderType.LIMIT, time_in_force)
        order = await trader.end_of(await trader.submit(await trader.request(OrderType.LIMIT, at_once=True, time_in_force=time_in_force)))
        assert order.state is State.FILLED

    @pytest.mark.parametrize("time_in_force", AT_ONCE)
    async def test_what_cannot_trade_at_once_is_cancelled_by_the_broker(self, trader: Trader, time_in_force: TimeInForce) -> None:
        """Without a cancel of ours, and with nothing filled."""
        trader.needs(OrderType.LIMIT, time_in_force)
        order = await trader.end_of(await trader.submit(await trader.request(OrderType.LIMIT, time_in_force=time_in_force)))
        assert order.state in (State.CANCELED, State.EXPIRED)
        assert order.filled_qty == 0
        assert order.cancel_requested_at is None

    @pytest.mark.parametrize("side", list(Side))
    async def test_all_or_nothing_leaves_nothing_in_between(self, trader: Trader, side: Side) -> None:
        """An order that is filled in pieces elsewhere is not filled at all."""
        symbol = trader.given("pieces_symbol")
        trader.needs(OrderType.LIMIT, TimeInForce.FOK)
        if side is Side.SELL:
            await trader.end_of(await trader.submit(await trader.request(symbol=symbol, qty=8)))
        request = await trader.request(OrderType.LIMIT, side, at_once=True, symbol=symbol, qty=8, time_in_force=TimeInForce.FOK)
        order = await trader.end_of(await trader.submit(request))
        assert order.state is State.CANCELED
        assert order.filled_qty == 0

    async def test_at_once_in_part_keeps_the_part(self, trader: Trader) -> None:
        """The rest is cancelled, and what was filled counts."""
        symbol = trader.given("pieces_symbol")
        trader.needs(OrderType.LIMIT, TimeInForce.IOC)
        request = await trader.request(OrderType.LIMIT, at_once=True, symbol=symbol, qty=8, time_in_force=TimeInForce.IOC)
        order = await trader.end_of(await trader.submit(request))
        assert order.state is State.CANCELED
        assert 0 < order.filled_qty < 8
        assert trader.orders.positions_from_fills() == {symbol: order.filled_qty}

    @pytest.mark.parametrize("order_type", RESTING)
    async def test_a_day_order_expires_with_its_day(self, trader: Trader, order_type: OrderType) -> None:
        """By itself, with nothing filled."""
        end_day = trader.given("end_day")
        trader.needs(TimeInForce.DAY)
        order = await trader.resting(order_type=order_type, time_in_force=TimeInForce.DAY)
        await end_day()
        ended = await trader.end_of(order)
        assert ended.state is State.EXPIRED
        assert ended.filled_qty == 0
        assert await trader.open_at_broker() == set()

    async def test_an_order_until_cancelled_outlives_the_day(self, trader: Trader) -> None:
        """It rests on the next day as it did on this one."""
        end_day = trader.given("end_day")
        trader.needs(TimeInForce.GTC)
        order = await trader.resting(time_in_force=TimeInForce.GTC)
        await end_day()
        await trader.settled()
        assert trader.now(order).state is State.ACCEPTED
        assert order.local_id in await trader.open_at_broker()

    async def test_an_order_for_the_close_ends_with_the_day(self, trader: Trader) -> None:
        """Filled at the close or cancelled with it, and not before."""
        end_day = trader.given("end_day")
        trader.needs(OrderType.MARKET, TimeInForce.CLS)
        order = await trader.submit(await trader.request(time_in_force=TimeInForce.CLS))
        await trader.subject.pass_time(2)
        assert trader.now(order).state is State.ACCEPTED
        await end_day()
        assert (await trader.end_of(order)).state in (State.FILLED, State.CANCELED, State.EXPIRED)

    async def test_an_order_for_the_open_waits_for_the_next_day(self, trader: Trader) -> None:
        """Nothing trades before."""
        end_day = trader.given("end_day")
        trader.needs(OrderType.MARKET, TimeInForce.OPG)
        order = await trader.submit(await trader.request(time_in_force=TimeInForce.OPG))
        await trader.subject.pass_time(2)
        assert trader.now(order).state is State.ACCEPTED
        await end_day()
        assert (await trader.end_of(order)).state in (State.FILLED, State.CANCELED, State.EXPIRED)
