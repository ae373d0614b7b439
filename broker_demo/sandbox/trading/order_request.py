"""What somebody asks for with ``POST /v2/orders``: the body, read into an order request in the refusals' own order.

Which rules of trading the order meets after that is ``rules``' business, and the exchange's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from broker_core.models import Asset
from broker_core.requests import (
    ORDER_TYPES,
    OrderClass,
    OrderRequest,
    OrderType,
    Side,
    StopLoss,
    TakeProfit,
    TimeInForce,
)
from broker_demo.refusals import Refusal, bad_field, broken_rule, forbidden
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.trading.body import Body, amount, bad_member, flag, given, part, word

_OPTION = re.compile(r"[A-Z]{1,6}\d{6}[CP]\d{8}\Z", re.ASCII)
_UNTIL_ENDED = frozenset({TimeInForce.DAY, TimeInForce.GTC})
_PRICES: Mapping[OrderType, tuple[str, ...]] = MappingProxyType(
    {
        OrderType.MARKET: (),
        OrderType.LIMIT: ("limit_price",),
        OrderType.STOP: ("stop_price",),
        OrderType.STOP_LIMIT: ("stop_price", "limit_price"),
        OrderType.TRAILING_STOP: (),
    }
)
_PRICE_RULES: Mapping[OrderType, str] = MappingProxyType(
    {
        OrderType.MARKET: "market orders require no stop or limit price",
        OrderType.LIMIT: "limit orders require a limit price",
        OrderType.STOP: "stop orders require a stop price",
        OrderType.STOP_LIMIT: "stop limit orders require both stop and limit price",
        OrderType.TRAILING_STOP: "trailing stop orders require no stop or limit price",
    }
)


def order_request(desk: Desk, body: Body) -> tuple[OrderRequest, Asset]:
    """The order that a body asks for, and what it is to trade. Members that mean nothing here are not looked at.

    Raises Refused, RequestRefused.
    """
    order_class = OrderClass.SIMPLE if given(body, "order_class") is None else word(body, "order_class", OrderClass)
    if order_class is OrderClass.MLEG:
        raise _no_options()
    asset = _asset(desk, body)
    terms: dict[str, Any] = _size(body)
    side = word(body, "side", Side)
    order_type = word(body, "type", OrderType)
    time_in_force = word(body, "time_in_force", TimeInForce)
    terms |= _prices(body, order_type, order_class)
    exits = _exits(body, order_type, order_class, time_in_force)
    if order_class is not OrderClass.SIMPLE and "notional" in terms:
        raise broken_rule("fractional orders must be simple orders")
    if order_class is OrderClass.OCO:
        terms["limit_price"] = exits["take_profit"].limit_price
    if order_type is OrderType.TRAILING_STOP:
        terms |= _trail(body, order_class, time_in_force)
    elif given(body, "trail_price") is not None or given(body, "trail_percent") is not None:
        raise bad_member("trail_price and trail_percent are only for trailing stop orders")
    if flag(body, "extended_hours"):
        terms["extended_hours"] = _checked_hours(order_type, order_class, time_in_force)
    _check_sides(side, order_class, exits)
    try:
        return ORDER_TYPES[order_type](asset.symbol, side, time_in_force=time_in_force, order_class=order_class, **terms, **exits), asset
    except ValueError as error:
        raise bad_member(str(error)) from None


def _no_options() -> Refusal:
    return forbidden("us_option orders not allowed for account")


def _asset(desk: Desk, body: Body) -> Asset:
    symbol = given(body, "symbol")
    if symbol is None:
        raise bad_member("symbol is required")
    if not isinstance(symbol, str):
        raise bad_member("invalid symbol")
    asset = desk.asset(symbol)
    if asset is not None:
        return asset
    if _OPTION.match(symbol):
        raise _no_options()
    raise bad_field(f'could not find asset "{symbol}"')


def _size(body: Body) -> dict[str, Any]:
    has_qty, has_notional = given(body, "qty") is not None, given(body, "notional") is not None
    if not has_qty and not has_notional:
        raise bad_member("qty or notional is required")
    if has_qty and has_notional:
        raise bad_member("only one of qty or notional is accepted")
    name = "qty" if has_qty else "notional"
    return {name: amount(body, name)}


def _prices(body: Body, order_type: OrderType, order_class: OrderClass) -> dict[str, Decimal]:
    """The prices of the order itself; those that its type has no use for are refused."""
    found = {name: price for name in ("stop_price", "limit_price") if (price := amount(body, name)) is not None}
    wanted = _PRICES[order_type]
    # The limit of an oco order is its gain's.
    if order_class is OrderClass.OCO and "stop_price" not in found:
        return found
    missing = any(name not in found for name in wanted)
    if missing or (found and not wanted):
        raise bad_member(_PRICE_RULES[order_type])
    if len(found) > len(wanted):
        (only,) = wanted
        raise bad_member(f"{order_type} orders require only {only.replace('_', ' ')}")
    return found


def _exits(body: Body, order_type: OrderType, order_class: OrderClass, time_in_force: TimeInForce) -> dict[str, Any]:
    gain, loss = part(body, "take_profit"), part(body, "stop_loss")
    gain_limit = amount(gain, "limit_price", "take_profit.limit_price")
    loss_stop = amount(loss, "stop_price", "stop_loss.stop_price")
    loss_limit = amount(loss, "limit_price", "stop_loss.limit_price")
    if order_class is OrderClass.SIMPLE:
        if gain or loss:
            raise broken_rule("simple orders must not have take_profit or stop_loss")
        return {}
    if order_type is OrderType.TRAILING_STOP:
        raise broken_rule("trailing stop orders must be simple orders")
    if order_class is OrderClass.OCO and order_type is not OrderType.LIMIT:
        raise broken_rule("oco orders must be limit orders")
    if order_class is OrderClass.OTO:
        if (gain_limit is None) == (loss_stop is None):
            raise broken_rule("oto orders require either take_profit.limit_price or stop_loss.stop_price")
    elif gain_limit is None:
        raise broken_rule(f"{order_class} orders require take_profit.limit_price")
    elif loss_stop is None:
        raise broken_rule(f"{order_class} orders require stop_loss.stop_price")
    if time_in_force not in _UNTIL_ENDED:
        raise broken_rule(f"{order_class} orders must be DAY or GTC orders")
    return {
        "take_profit": None if gain_limit is None else TakeProfit(gain_limit),
        "stop_loss": None if loss_stop is None else StopLoss(loss_stop, loss_limit),
    }


def _check_sides(side: Side, order_class: OrderClass, exits: Mapping[str, Any]) -> None:
    """A long position gains above its loss, a short one below."""
    gain, loss = exits.get("take_profit"), exits.get("stop_loss")
    if gain is None or loss is None:
        return
    closes_long = (side is Side.SELL) == (order_class is OrderClass.OCO)
    if closes_long and gain.limit_price <= loss.stop_price:
        raise broken_rule("take_profit.limit_price must be > stop_loss.stop_price")
    if not closes_long and gain.limit_price >= loss.stop_price:
        raise broken_rule("take_profit.limit_price must be < stop_loss.stop_price")


def _trail(body: Body, order_class: OrderClass, time_in_force: TimeInForce) -> dict[str, Decimal]:
    found = {name: distance for name in ("trail_price", "trail_percent") if (distance := amount(body, name)) is not None}
    if len(found) != 1:
        raise bad_member("trailing stop orders must specify one of trail_price or trail_percent")
    if order_class is not OrderClass.SIMPLE:
        raise broken_rule("trailing stop orders must be simple orders")
    if time_in_force not in _UNTIL_ENDED:
        raise broken_rule("trailing stop orders must be DAY or GTC orders")
    if found.get("trail_percent", 0) >= 100:
        raise bad_member("trail percent must be < 100")
    return found


def _checked_hours(order_type: OrderType, order_class: OrderClass, time_in_force: TimeInForce) -> bool:
    if order_type is not OrderType.LIMIT or time_in_force not in _UNTIL_ENDED:
        raise broken_rule("extended hours order must be DAY or GTC limit orders")
    if order_class is not OrderClass.SIMPLE:
        raise broken_rule("extended hours orders must be simple orders")
    return True
