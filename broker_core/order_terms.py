"""Requests as flat terms, and back: what a command line is given, and what a record keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from broker_core.option_orders import MultiLegOrder, OptionLeg
from broker_core.requests import (
    ORDER_TYPES,
    ForeignOrder,
    OrderClass,
    OrderRequest,
    OrderType,
    Side,
    StopLoss,
    TakeProfit,
    refuse,
    to_word,
)

_PRICES = ("limit_price", "stop_price", "trail_price", "trail_percent")


def order_request(order_type: OrderType | str, symbol: str, side: Side | str, **terms: Any) -> OrderRequest:
    """Make the request of the named type out of flat terms; terms that are None count as not given.

    Raises ValueError for an unknown type, and for a term that this type does not have.
    """
    try:
        kind = ORDER_TYPES[OrderType(order_type)]
    except ValueError:
        raise refuse("order_type", repr(order_type), f"is not one of {', '.join(OrderType)}") from None
    return _of_kind(kind, kind.order_type, symbol, side, terms)


def _of_kind(kind: type[OrderRequest], order_type: str, symbol: str, side: Side | str, terms: Mapping[str, Any]) -> OrderRequest:
    given = {name: value for name, value in terms.items() if value is not None}
    known = {field.name for field in attrs.fields(kind)}
    for name in given:
        if name not in known:
            raise refuse(name, given[name], f"has no place in a {order_type} order")
    return kind(symbol, side=side, **given)


def as_terms(request: OrderRequest) -> dict[str, Any]:
    """The request as a flat mapping of plain texts, numbers of it as text: what a record keeps. ``from_terms`` turns it back."""
    terms: dict[str, Any] = {"symbol": request.symbol, "side": request.side.value, "order_type": request.order_type.value}
    if isinstance(request, ForeignOrder):
        terms["foreign"] = True
    for name in ("qty", "notional", *_PRICES):
        value = getattr(request, name)
        if value is not None:
            terms[name] = format(value, "f")
    terms["time_in_force"] = request.time_in_force.value
    if request.extended_hours:
        terms["extended_hours"] = True
    if request.order_class is not OrderClass.SIMPLE:
        terms["order_class"] = request.order_class.value
    if isinstance(request, MultiLegOrder):
        terms["legs"] = [_as_plain(leg) for leg in request.legs]
    if request.take_profit is not None:
        terms["take_profit"] = format(request.take_profit.limit_price, "f")
    if request.stop_loss is not None:
        terms["stop_loss"] = format(request.stop_loss.stop_price, "f")
        if request.stop_loss.limit_price is not None:
            terms["stop_loss_limit"] = format(request.stop_loss.limit_price, "f")
    for name in ("strategy", "signal_id"):
        if getattr(request, name) is not None:
            terms[name] = getattr(request, name)
    return terms


def _as_plain(leg: OptionLeg) -> dict[str, str]:
    plain = {"symbol": leg.symbol, "side": leg.side.value, "ratio_qty": format(leg.ratio_qty, "f")}
    return plain if leg.position_intent is None else plain | {"position_intent": leg.position_intent.value}


def from_terms(terms: Mapping[str, Any]) -> OrderRequest:
    """The request that ``as_terms`` described. Raises ValueError where the terms break a rule."""
    rest = dict(terms)
    for name in ("order_type", "symbol", "side"):
        if name not in rest:
            raise refuse(name, None, "is missing among the terms")
    order_type, symbol, side = rest.pop("order_type"), rest.pop("symbol"), rest.pop("side")
    gain, loss, loss_limit = rest.pop("take_profit", None), rest.pop("stop_loss", None), rest.pop("stop_loss_limit", None)
    if loss is None and loss_limit is not None:
        raise refuse("stop_loss_limit", loss_limit, "without stop_loss")
    rest["take_profit"] = None if gain is None else TakeProfit(gain)
    rest["stop_loss"] = None if loss is None else StopLoss(loss, loss_limit)
    if (legs := rest.pop("legs", None)) is not None:
        rest["legs"] = tuple(OptionLeg(**leg) for leg in legs)
        return _of_kind(MultiLegOrder, OrderClass.MLEG, symbol, side, rest)
    if rest.pop("foreign", False):
        rest["order_type"] = to_word(OrderType, "order_type", order_type)
        return _of_kind(ForeignOrder, f"foreign {order_type}", symbol, side, rest)
    return order_request(order_type, symbol, side, **rest)
