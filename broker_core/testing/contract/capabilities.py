"""What a broker declares, it does; what it does not declare is refused before anything is sent."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from broker_core.errors import NotSupported, RequestRefused
from broker_core.families import HOOK_API, Client, Feed, MarketDataSource, Orders, Sync
from broker_core.models import Channel
from broker_core.option_orders import MultiLegOrder, OptionLeg
from broker_core.order_terms import order_request
from broker_core.orders import ReplaceTerms
from broker_core.requests import LimitOrder, MarketOrder, OrderClass, OrderRequest, OrderType, Side, StopLoss, TakeProfit, TimeInForce
from broker_core.testing.contract.suite import Suite
from broker_core.testing.contract.trader import Trader
from broker_core.timeframe import Timeframe, Unit

_PRICE = Decimal(100)


async def _price(trader: Trader) -> Decimal:
    """What the symbol costs; made up where the broker has nothing that a price is needed for."""
    return await trader.price() if trader.can(OrderType.LIMIT) or trader.can(OrderType.STOP) else _PRICE


async def _taken(trader: Trader, request: OrderRequest) -> None:
    """The broker is asked, and it may have reasons of its own to refuse this order."""
    try:
        order = await trader.submit(request)
    except RequestRefused as refused:
        assert str(refused)
        assert refused.order is not None
        await trader.check(refused.order)
    else:
        assert await trader.at_broker(order) is not None
        await trader.ended(order)


async def _refused_here(trader: Trader, request: OrderRequest) -> None:
    """Nothing is recorded and nothing is sent."""
    with pytest.raises(NotSupported, match=re.escape(request.symbol)):
        await trader.submit(request)
    assert trader.orders.open() == []
    assert await trader.open_at_broker() == set()


async def _offered(trader: Trader, *, declared: bool, request: OrderRequest) -> None:
    await (_taken if declared else _refused_here)(trader, request)


class TestCapabilities(Suite):
    """The declaration, held against what happens."""

    async def test_client_is_written_for_these_hooks(self, trader: Trader) -> None:
        """It says so, and has what every client must have."""
        assert trader.session.client.hook_api == HOOK_API
        assert isinstance(trader.session.client, Client)

    @pytest.mark.parametrize(
        ("field", "kind"),
        [
            ("order_types", OrderType),
            ("order_classes", OrderClass),
            ("times_in_force", TimeInForce),
            ("channels", Channel),
            ("timeframes", str),
        ],
    )
    async def test_declarations_are_sets_of_the_framework_words(self, trader: Trader, field: str, kind: type) -> None:
        """A word of the broker's own would match nothing."""
        declared = getattr(trader.session.capabilities, field)
        assert isinstance(declared, frozenset)
        assert all(isinstance(one, kind) for one in declared)
        if field == "timeframes":
            assert declared <= {str(unit) for unit in Unit}

    @pytest.mark.parametrize("protocol", [Orders, Sync, MarketDataSource])
    async def test_families_have_all_that_they_must_have(self, trader: Trader, protocol: Any) -> None:
        """A family that is offered is complete but for what it may leave out."""
        offered: object
        if protocol is Orders:
            offered = trader.family
        elif protocol is Sync:
            offered = trader.sync._sync
        else:
            offered = trader.market_data._source
        may = {"fills", "replace", "assets"}
        needed = {name for name in vars(protocol) if not name.startswith("_")} - may
        assert {name for name in needed if not callable(getattr(offered, name, None))} == set()

    async def test_feeds_have_names_and_channels(self, trader: Trader) -> None:
        """Every feed is one, no two have the same name, and none carries nothing."""
        status = trader.stream.status
        assert status
        assert all(name == one.name for name, one in status.items())
        feeds = [runner._feed for runner in trader.stream._runners.values()]
        needed = {name for name in vars(Feed) if not name.startswith("_")} - {"probe"}
        assert [name for feed in feeds for name in needed if not callable(getattr(feed, name, None))] == []
        assert all(feed.channels for feed in feeds)

    @pytest.mark.parametrize("order_type", list(OrderType))
    async def test_order_types_are_taken_or_refused_here(self, trader: Trader, order_type: OrderType) -> None:
        """A declared one reaches the broker; another is refused before anything is sent."""
        _ = trader.orders
        declared = trader.can(order_type)
        request = await trader.request(order_type) if declared else _of_type(order_type, trader)
        await _offered(trader, declared=declared, request=request)

    @pytest.mark.parametrize("order_class", list(OrderClass))
    async def test_order_classes_are_taken_or_refused_here(self, trader: Trader, order_class: OrderClass) -> None:
        """A declared one reaches the broker; another is refused before anything is sent."""
        _ = trader.orders
        declared = trader.can(order_class) and (trader.can(OrderType.LIMIT) or order_class is OrderClass.SIMPLE)
        request = _of_class(order_class, trader, await _price(trader))
        if declared and order_class is OrderClass.OCO:
            await trader.ready_to(Side.SELL)
        await _offered(trader, declared=declared, request=request)

    @pytest.mark.parametrize("time_in_force", list(TimeInForce))
    async def test_times_in_force_are_taken_or_refused_here(self, trader: Trader, time_in_force: TimeInForce) -> None:
        """A declared one reaches the broker; another is refused before anything is sent."""
        _ = trader.orders
        order_type = OrderType.LIMIT if trader.can(OrderType.LIMIT) else OrderType.MARKET
        request = await trader.request(order_type, time_in_force=time_in_force)
        await _offered(trader, declared=trader.can(time_in_force), request=request)

    async def test_amounts_of_money_are_taken_or_refused_here(self, trader: Trader) -> None:
        """An order by notional amount reaches the broker, or is refused before anything is sent."""
        request = MarketOrder(trader.subject.symbol, Side.BUY, notional=500, time_in_force=trader.day)
        _ = trader.orders
        await _offered(trader, declared=trader.can("notional"), request=request)

    async def test_fractions_are_taken_or_refused_here(self, trader: Trader) -> None:
        """An order of one and a half reaches the broker, or is refused before anything is sent."""
        request = MarketOrder(trader.subject.symbol, Side.BUY, qty="1.5", time_in_force=trader.day)
        _ = trader.orders
        await _offered(trader, declared=trader.can("fractional"), request=request)

    async def test_extended_hours_are_taken_or_refused_here(self, trader: Trader) -> None:
        """An order for them reaches the broker, or is refused before anything is sent."""
        price = await _price(trader)
        limit = trader.subject.far(Side.BUY, price)
        request = LimitOrder(trader.subject.symbol, Side.BUY, qty=2, limit_price=limit, extended_hours=True, time_in_force=trader.day)
        _ = trader.orders
        await _offered(trader, declared=trader.can("extended_hours") and trader.can(OrderType.LIMIT), request=request)

    async def test_replacing_is_done_or_refused_here(self, trader: Trader) -> None:
        """Where it is declared the terms change; elsewhere the order stays what it is, and the refusal says what to do."""
        order = await trader.resting()
        terms = ReplaceTerms(qty=trader.subject.qty + 1)
        if trader.can("replace"):
            assert (await trader.replaced(order, terms)).request.qty == terms.qty
        else:
            with pytest.raises(NotSupported, match="cancel it and submit another"):
                await trader.orders.replace(order, terms)
            assert trader.now(order).request == order.request

    @pytest.mark.parametrize("channel", list(Channel))
    async def test_channels_are_carried_or_refused_here(self, trader: Trader, channel: Channel) -> None:
        """A declared one has a feed; of another nobody can want anything."""
        if trader.can(channel):
            assert trader.session.stream.carries(channel)
            return
        stream = trader.stream
        assert not stream.carries(channel)
        with pytest.raises(NotSupported, match=channel.value):
            stream.updates(channel, trader.subject.symbol)

    @pytest.mark.parametrize("unit", list(Unit))
    async def test_timeframes_are_served_or_refused_here(self, trader: Trader, unit: Unit) -> None:
        """A declared unit has bars; another is refused before anything is sent."""
        data, timeframe = trader.market_data, Timeframe(1, unit)
        if trader.can(unit):
            assert len(await data.bars(trader.subject.symbol, timeframe, limit=2)) == 2
        else:
            with pytest.raises(NotSupported, match=str(timeframe)):
                await data.bars(trader.subject.symbol, timeframe, limit=2)

    async def test_orders_are_not_a_channel_to_subscribe_to(self, trader: Trader) -> None:
        """Their news reaches the orders by itself, and the refusal says where to look."""
        with pytest.raises(NotSupported, match="orders"):
            trader.stream.updates(Channel.ORDERS, trader.subject.symbol)


def _of_type(order_type: OrderType, trader: Trader) -> OrderRequest:
    prices: dict[str, dict[str, Decimal]] = {
        OrderType.MARKET: {},
        OrderType.LIMIT: {"limit_price": _PRICE},
        OrderType.STOP: {"stop_price": _PRICE},
        OrderType.STOP_LIMIT: {"stop_price": _PRICE, "limit_price": _PRICE},
        OrderType.TRAILING_STOP: {"trail_price": Decimal(1)},
    }
    return order_request(order_type, trader.subject.symbol, Side.BUY, qty=2, time_in_force=TimeInForce.DAY, **prices[order_type])


def _of_class(order_class: OrderClass, trader: Trader, price: Decimal) -> OrderRequest:
    subject, symbol = trader.subject, trader.subject.symbol
    low, high = subject.far(Side.BUY, price), subject.far(Side.SELL, price)
    if order_class is OrderClass.MLEG:
        # Contracts that have long expired: nobody trades them.
        legs = (OptionLeg("XYZ200117C00100000", Side.BUY), OptionLeg("XYZ200117C00110000", Side.SELL))
        return MultiLegOrder("XYZ", qty=1, limit_price=1, legs=legs)
    if order_class is OrderClass.SIMPLE:
        order_type = OrderType.LIMIT if trader.can(OrderType.LIMIT) else OrderType.MARKET
        if order_type is OrderType.MARKET:
            return MarketOrder(symbol, Side.BUY, qty=subject.qty, time_in_force=trader.day)
        return LimitOrder(symbol, Side.BUY, qty=subject.qty, limit_price=low, time_in_force=trader.day)
    if order_class is OrderClass.OCO:
        return LimitOrder(
            symbol, Side.SELL, qty=subject.qty, limit_price=high, order_class=order_class, stop_loss=StopLoss(low), time_in_force="day"
        )
    gain = TakeProfit(high)
    loss = StopLoss(subject.rounded(low / 2)) if order_class is OrderClass.BRACKET else None
    return LimitOrder(
        symbol, Side.BUY, qty=subject.qty, limit_price=low, order_class=order_class, take_profit=gain, stop_loss=loss, time_in_force="day"
    )
