"""alpaca-py places, reads, replaces and cancels orders at the sandbox."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
from accounts import SDK_MISSING

pytest.importorskip("alpaca", reason=SDK_MISSING)

from alpaca.common.enums import Sort
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import AssetClass, OrderClass, OrderSide, OrderStatus, OrderType, QueryOrderStatus, TimeInForce
from alpaca.trading.models import Order
from alpaca.trading.requests import (
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    OrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopLossRequest,
    StopOrderRequest,
    TakeProfitRequest,
    TrailingStopOrderRequest,
)
from alpaca_py import AlpacaPy

KINDS = {
    OrderType.MARKET: MarketOrderRequest,
    OrderType.LIMIT: LimitOrderRequest,
    OrderType.STOP: StopOrderRequest,
    OrderType.STOP_LIMIT: StopLimitOrderRequest,
    OrderType.TRAILING_STOP: TrailingStopOrderRequest,
}
UNTIL_ENDED = (TimeInForce.DAY, TimeInForce.GTC)
ON_ARRIVAL = {OrderStatus.PENDING_NEW, OrderStatus.ACCEPTED, OrderStatus.NEW}


def request(kind: OrderType, time_in_force: TimeInForce, **terms: Any) -> OrderRequest:
    """One share of AAPL to buy, unless told otherwise."""
    size = {} if "notional" in terms else {"qty": 1}
    return KINDS[kind](**{"symbol": "AAPL", "side": OrderSide.BUY, "time_in_force": time_in_force, **size, **terms})


def assert_as_asked(order: Order, asked: OrderRequest) -> None:
    """The model that was read back says what was sent."""
    for name, value in asked.model_dump(exclude_none=True, exclude={"order_class", "take_profit", "stop_loss", "symbol"}).items():
        found = getattr(order, name)
        assert (float(found) if isinstance(value, float) else found) == value, name
    assert order.order_class is (asked.order_class or OrderClass.SIMPLE)
    assert order.order_type is asked.type


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        (OrderType.MARKET, {}),
        (OrderType.LIMIT, {"limit_price": 0.5}),
        (OrderType.STOP, {"stop_price": 1.5}),
        (OrderType.STOP_LIMIT, {"stop_price": 1.5, "limit_price": 1.6}),
        (OrderType.TRAILING_STOP, {"trail_percent": 50}),
        (OrderType.TRAILING_STOP, {"trail_price": 100}),
    ],
)
def test_every_type_of_order_for_shares(sdk: AlpacaPy, kind: OrderType, parts: dict[str, float]):
    """With every time in force that its type may have, an order is taken, read back as it was sent, and comes to its end."""
    last = sdk.price("AAPL")
    prices = {name: round(last * part, 2) if name.endswith("_price") and name != "trail_price" else part for name, part in parts.items()}
    times = TimeInForce if kind in (OrderType.MARKET, OrderType.LIMIT) else UNTIL_ENDED
    for time_in_force in times:
        asked = request(kind, time_in_force, client_order_id=str(uuid4()), **prices)

        order = sdk.trading.submit_order(asked)

        assert_as_asked(order, asked)
        assert (order.symbol, order.asset_class, order.status in ON_ARRIVAL) == ("AAPL", AssetClass.US_EQUITY, True)
        assert sdk.trading.get_order_by_client_id(asked.client_order_id).id == order.id
        if time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            ended = OrderStatus.FILLED if kind is OrderType.MARKET else OrderStatus.CANCELED
        elif kind is OrderType.MARKET and time_in_force in UNTIL_ENDED:
            ended = OrderStatus.FILLED
        else:
            sdk.trading.cancel_order_by_id(order.id)
            ended = OrderStatus.CANCELED
        found = sdk.once(order, ended)
        assert_as_asked(found, asked)
        assert (found.filled_at or found.canceled_at) >= found.submitted_at
        if ended is OrderStatus.FILLED:
            assert (found.filled_qty, float(found.filled_avg_price)) == ("1", pytest.approx(last, rel=0.05))


@pytest.mark.parametrize(
    "terms",
    [
        {"kind": OrderType.MARKET, "qty": 0.25},
        {"kind": OrderType.MARKET, "notional": 123.45},
        {"kind": OrderType.LIMIT, "qty": 0.25, "limit_price": 10_000},
        {"kind": OrderType.LIMIT, "qty": 1, "limit_price": 10_000, "extended_hours": True},
    ],
)
def test_parts_of_shares_amounts_and_extended_hours(sdk: AlpacaPy, terms: dict[str, Any]):
    """They are filled to the end of what was asked for."""
    asked = request(time_in_force=TimeInForce.DAY, **terms)

    order = sdk.trading.submit_order(asked)
    filled = sdk.once(order, OrderStatus.FILLED)

    assert_as_asked(filled, asked)
    worth = float(filled.filled_qty) * float(filled.filled_avg_price)
    assert worth == pytest.approx(terms["notional"], rel=1e-6) if "notional" in terms else float(filled.filled_qty) == terms["qty"]


@pytest.mark.parametrize(
    ("kind", "terms"),
    [
        (OrderType.MARKET, {"qty": 0.01}),
        (OrderType.MARKET, {"notional": 500}),
        (OrderType.LIMIT, {"qty": 0.01, "limit_price": 1_000_000}),
        (OrderType.LIMIT, {"qty": 0.01, "limit_price": 2_000}),
        (OrderType.STOP_LIMIT, {"qty": 0.01, "stop_price": 1_000_000, "limit_price": 1_000_001}),
    ],
)
def test_crypto(sdk: AlpacaPy, kind: OrderType, terms: dict[str, float]):
    """Orders for pairs are taken with either time in force."""
    for time_in_force in (TimeInForce.GTC, TimeInForce.IOC)[: 1 if kind is OrderType.STOP_LIMIT else 2]:
        asked = request(kind, time_in_force, symbol="BTC/USD", **terms)

        order = sdk.trading.submit_order(asked)

        assert_as_asked(order, asked)
        assert (order.symbol, order.asset_class) == ("BTC/USD", AssetClass.CRYPTO)
        if kind is OrderType.MARKET or terms.get("limit_price") == 1_000_000:
            sdk.once(order, OrderStatus.FILLED)
        elif time_in_force is TimeInForce.GTC:
            sdk.trading.cancel_order_by_id(order.id)
            sdk.once(order, OrderStatus.CANCELED)


@pytest.mark.parametrize("kind", [OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT])
def test_brackets(sdk: AlpacaPy, kind: OrderType):
    """An entry of any type brings both its exits, with a plain stop or one with a limit; nested they stand inside it."""
    last = sdk.price("AAPL")
    entry = {OrderType.MARKET: {}, OrderType.LIMIT: {"limit_price": last * 0.9}}
    entry |= {OrderType.STOP: {"stop_price": last * 1.1}, OrderType.STOP_LIMIT: {"stop_price": last * 1.1, "limit_price": last * 1.2}}
    gain = TakeProfitRequest(limit_price=round(last * 1.5, 2))
    losses = (
        StopLossRequest(stop_price=round(last / 2, 2)),
        StopLossRequest(stop_price=round(last / 2, 2), limit_price=round(last / 3, 2)),
    )
    for time_in_force, loss in product(UNTIL_ENDED, losses):
        terms = {name: round(price, 2) for name, price in entry[kind].items()}
        asked = request(kind, time_in_force, order_class=OrderClass.BRACKET, take_profit=gain, stop_loss=loss, **terms)

        order = sdk.trading.submit_order(asked)

        assert_as_asked(order, asked)
        limit, stop = order.legs
        assert (limit.order_type, float(limit.limit_price), limit.side) == (OrderType.LIMIT, gain.limit_price, OrderSide.SELL)
        assert stop.order_type is (OrderType.STOP if loss.limit_price is None else OrderType.STOP_LIMIT)
        assert float(stop.stop_price) == loss.stop_price
        nested = sdk.trading.get_order_by_id(order.id, GetOrderByIdRequest(nested=True))
        assert [leg.id for leg in nested.legs] == [limit.id, stop.id]
        assert sdk.trading.get_order_by_id(limit.id).order_class is OrderClass.BRACKET


def test_the_exits_of_a_bracket_work_once_it_is_filled(sdk: AlpacaPy):
    """The gain is in the market, the loss is held, and the end of one is the end of both."""
    last = sdk.price("AAPL")
    exits = {"take_profit": TakeProfitRequest(limit_price=last * 2 // 1), "stop_loss": StopLossRequest(stop_price=last // 2)}
    order = sdk.trading.submit_order(request(OrderType.MARKET, TimeInForce.GTC, order_class=OrderClass.BRACKET, **exits))
    gain, loss = order.legs
    assert sdk.once(gain, OrderStatus.NEW).filled_qty == "0"

    (listed,) = [found for found in sdk.trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, nested=True)) if found.legs]
    assert (listed.id, [leg.status for leg in listed.legs]) == (order.id, [OrderStatus.NEW, OrderStatus.HELD])

    sdk.trading.cancel_order_by_id(gain.id)
    sdk.once(gain, OrderStatus.CANCELED)
    sdk.once(loss, OrderStatus.CANCELED)


def test_exits_for_what_is_held(sdk: AlpacaPy):
    """An oco order is its own gain, with the loss as its leg."""
    sdk.bought("AAPL", 2)
    last = sdk.price("AAPL")
    exits = {"take_profit": TakeProfitRequest(limit_price=last * 2 // 1), "stop_loss": StopLossRequest(stop_price=last // 2)}
    for time_in_force in UNTIL_ENDED:
        asked = request(OrderType.LIMIT, time_in_force, side=OrderSide.SELL, order_class=OrderClass.OCO, **exits)

        order = sdk.trading.submit_order(asked)

        assert (order.order_class, float(order.limit_price)) == (OrderClass.OCO, exits["take_profit"].limit_price)
        (loss,) = order.legs
        assert float(loss.stop_price) == exits["stop_loss"].stop_price


@pytest.mark.parametrize("name", ["take_profit", "stop_loss"])
def test_an_entry_with_one_exit(sdk: AlpacaPy, name: str):
    """An oto order has one leg, which waits for it."""
    last = sdk.price("AAPL")
    leg = TakeProfitRequest(limit_price=last * 2 // 1) if name == "take_profit" else StopLossRequest(stop_price=last // 2)
    for time_in_force in UNTIL_ENDED:
        asked = request(OrderType.LIMIT, time_in_force, order_class=OrderClass.OTO, limit_price=round(last * 0.9, 2), **{name: leg})

        order = sdk.trading.submit_order(asked)

        assert_as_asked(order, asked)
        assert [found.status for found in order.legs] == [OrderStatus.HELD]


def resting(sdk: AlpacaPy, **terms: Any) -> Order:
    """An order that is in the market and stays there."""
    asked = {"limit_price": 10.0, **terms}
    return sdk.once(sdk.trading.submit_order(request(OrderType.LIMIT, TimeInForce.GTC, **asked)), OrderStatus.NEW)


def test_a_chain_of_replacements(sdk: AlpacaPy):
    """Each is a new order that names the one it replaces, which names it in turn."""
    first = resting(sdk, qty=5)

    second = sdk.trading.replace_order_by_id(first.id, ReplaceOrderRequest(qty=7, limit_price=11.5))
    second = sdk.once(second, OrderStatus.NEW)
    third = sdk.trading.replace_order_by_id(second.id, ReplaceOrderRequest(time_in_force=TimeInForce.DAY, client_order_id="third"))
    third = sdk.once(third, OrderStatus.NEW)

    replaced = sdk.once(first, OrderStatus.REPLACED)
    assert (replaced.replaced_by, second.replaces, third.replaces) == (second.id, first.id, second.id)
    assert replaced.replaced_at >= replaced.created_at
    assert (third.qty, third.limit_price, third.time_in_force, third.client_order_id) == ("7", "11.5", TimeInForce.DAY, "third")
    assert [order.id for order in sdk.trading.get_orders()] == [third.id]


def test_the_prices_of_stops_and_trails_are_replaced(sdk: AlpacaPy):
    """Stop price, limit price and trail are taken in turn."""
    stop = sdk.trading.submit_order(request(OrderType.STOP_LIMIT, TimeInForce.GTC, stop_price=5000, limit_price=5001))
    trail = sdk.trading.submit_order(request(OrderType.TRAILING_STOP, TimeInForce.GTC, trail_price=100))

    stop = sdk.trading.replace_order_by_id(sdk.once(stop, OrderStatus.NEW).id, ReplaceOrderRequest(stop_price=5005, limit_price=5006))
    trail = sdk.trading.replace_order_by_id(sdk.once(trail, OrderStatus.NEW).id, ReplaceOrderRequest(trail=101))

    assert (stop.stop_price, stop.limit_price, trail.trail_price) == ("5005", "5006", "101")


def test_cancelling_all(sdk: AlpacaPy):
    """Every open order is named with its status, and ends."""
    orders = [resting(sdk, limit_price=10.0 + step) for step in range(3)]

    asked = sdk.trading.cancel_orders()

    assert {(answer.id, answer.status) for answer in asked} == {(order.id, 200) for order in orders}
    assert {sdk.once(order, OrderStatus.CANCELED).id for order in orders} == {order.id for order in orders}
    assert sdk.trading.cancel_orders() == []


def test_lists(sdk: AlpacaPy):
    """Status, symbols, side, direction, limit and both bounds of time narrow the list down."""
    filled = sdk.bought("MSFT", 1)
    orders = [resting(sdk, symbol=symbol, limit_price=1.0 + step) for step, symbol in enumerate(["AAPL", "SPY", "AAPL"])]
    ids = [order.id for order in orders]

    def listed(**query: Any) -> list[Any]:
        return [order.id for order in sdk.trading.get_orders(GetOrdersRequest(**query))]

    assert [order.id for order in sdk.trading.get_orders()] == ids[::-1]
    assert listed(status=QueryOrderStatus.ALL, direction=Sort.ASC) == [filled.id, *ids]
    assert listed(status=QueryOrderStatus.CLOSED) == [filled.id]
    assert listed(symbols=["AAPL"]) == [ids[2], ids[0]]
    assert listed(side=OrderSide.SELL) == []
    assert listed(limit=2) == ids[:0:-1]
    # Its moments end at the microsecond, those of the wire do not: the first begins before its own moment ends.
    moment = timedelta(microseconds=1)
    assert listed(after=orders[0].submitted_at + moment, until=orders[2].submitted_at) == [ids[1]]


def test_refusals_have_a_code_and_a_message(sdk: AlpacaPy):
    """The client's own error gives both, and its status."""
    resting(sdk, client_order_id="only once")

    def refused(asked: OrderRequest) -> tuple[int, int, str]:
        with pytest.raises(APIError) as error:
            sdk.trading.submit_order(asked)
        return error.value.status_code, error.value.code, error.value.message

    again = request(OrderType.LIMIT, TimeInForce.GTC, limit_price=10, client_order_id="only once")
    assert refused(again) == (422, 40010001, "client_order_id must be unique")
    unheard = request(OrderType.MARKET, TimeInForce.DAY, symbol="FACEBOOK")
    assert refused(unheard) == (422, 40010001, 'could not find asset "FACEBOOK"')
    assert refused(request(OrderType.MARKET, TimeInForce.GTC, qty=100_000))[:2] == (403, 40310000)
    with pytest.raises(APIError) as error:
        sdk.trading.get_order_by_id(uuid4())
    assert (error.value.status_code, error.value.code) == (404, 40410000)
    done = sdk.bought("MSFT", 1)
    with pytest.raises(APIError) as error:
        sdk.trading.cancel_order_by_id(done.id)
    assert (error.value.status_code, error.value.code) == (422, 42210000)
