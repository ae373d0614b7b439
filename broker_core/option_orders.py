"""Orders of several option legs that are filled together or not at all.

Their rules are those that hold at every broker that has them; what a broker asks besides, it says itself.
Source: https://docs.alpaca.markets/docs/options-level-3-trading
"""

from __future__ import annotations

import math
from decimal import Decimal
from enum import StrEnum

import attrs

from broker_core.requests import (
    Amount,
    OrderClass,
    OrderRequest,
    OrderType,
    Side,
    TimeInForce,
    check_positive,
    check_text,
    refuse,
    to_decimal,
    to_word,
)

_FEWEST, _MOST = 2, 4


class PositionIntent(StrEnum):
    """Whether a leg begins a position or ends one."""

    BUY_TO_OPEN = "buy_to_open"
    BUY_TO_CLOSE = "buy_to_close"
    SELL_TO_OPEN = "sell_to_open"
    SELL_TO_CLOSE = "sell_to_close"


def _leg_side(value: Side | str) -> Side:
    return to_word(Side, "legs.side", value)


def _ratio(value: Amount) -> Decimal:
    return to_decimal(value, "legs.ratio_qty")


def _intent(value: PositionIntent | str | None) -> PositionIntent | None:
    return None if value is None else to_word(PositionIntent, "legs.position_intent", value)


@attrs.frozen
class OptionLeg:
    """One contract of a multi-leg order: ``ratio_qty`` of it for each unit of the order."""

    symbol: str
    side: Side = attrs.field(converter=_leg_side)
    ratio_qty: Decimal = attrs.field(default=Decimal(1), converter=_ratio)
    position_intent: PositionIntent | None = attrs.field(default=None, converter=_intent)

    def __attrs_post_init__(self) -> None:
        check_text("legs.symbol", self.symbol, 32)
        check_positive("legs.ratio_qty", self.ratio_qty)
        if self.ratio_qty != self.ratio_qty.to_integral_value():
            raise refuse("legs.ratio_qty", self.ratio_qty, "is not a whole number")
        if self.position_intent is not None and not self.position_intent.startswith(self.side):
            raise refuse("legs.position_intent", self.position_intent, f"on a leg to {self.side}")


def _legs(value: object) -> tuple[OptionLeg, ...]:
    legs = tuple(value) if isinstance(value, list | tuple) else ()
    if not all(isinstance(leg, OptionLeg) for leg in legs):
        raise refuse("legs", repr(value), "are not OptionLeg objects")
    return legs


def _net_price(value: Amount | None) -> Decimal | None:
    return None if value is None else to_decimal(value, "limit_price")


@attrs.frozen
class MultiLegOrder(OrderRequest):
    """Two to four option legs of one underlying, ``symbol``. ``qty`` counts units of the whole strategy.

    ``limit_price`` is the net price of a unit: above zero it is paid, below zero it is received; without one it is a market order. What
    the legs do is said by the legs; ``side`` says nothing.
    """

    side: Side = attrs.field(default=Side.BUY, kw_only=True, converter=_leg_side)
    order_class: OrderClass = attrs.field(default=OrderClass.MLEG, kw_only=True, converter=OrderClass)
    legs: tuple[OptionLeg, ...] = attrs.field(default=(), kw_only=True, converter=_legs)
    limit_price: Decimal | None = attrs.field(default=None, kw_only=True, converter=_net_price)

    @property
    def order_type(self) -> OrderType:  # type: ignore[override]  # here it follows from the price
        """Limit with a net price, market without."""
        return OrderType.MARKET if self.limit_price is None else OrderType.LIMIT

    def check(self) -> None:
        """Whole units, 2 to 4 different contracts in their smallest ratio, day or gtc, nothing that belongs to other orders."""
        check_text("symbol", self.symbol, 32)
        self._check_labels()
        if self.qty is None or self.notional is not None:
            raise refuse("qty", self.qty, "in a multi-leg order: give a whole number of units, and no notional")
        check_positive("qty", self.qty)
        if self.qty != self.qty.to_integral_value():
            raise refuse("qty", self.qty, "in a multi-leg order is not a whole number of units")
        if not _FEWEST <= len(self.legs) <= _MOST:
            raise refuse("legs", len(self.legs), f"of them; a multi-leg order has {_FEWEST} to {_MOST}")
        if len({leg.symbol for leg in self.legs}) < len(self.legs):
            raise refuse("legs", " ".join(leg.symbol for leg in self.legs), "name one contract twice")
        if math.gcd(*(int(leg.ratio_qty) for leg in self.legs)) != 1:
            raise refuse("legs.ratio_qty", " ".join(str(leg.ratio_qty) for leg in self.legs), "have a common divisor; put it into qty")
        if self.order_class is not OrderClass.MLEG or self.take_profit is not None or self.stop_loss is not None:
            raise refuse("order_class", self.order_class, "or exits in a multi-leg order: it has legs and nothing else")
        if self.extended_hours:
            raise refuse("extended_hours", True, "on a multi-leg order: options trade in regular hours only")
        if self.time_in_force not in (TimeInForce.DAY, TimeInForce.GTC):
            raise refuse("time_in_force", self.time_in_force, "on a multi-leg order: use day or gtc")
