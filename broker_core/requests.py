"""What a host asks for: an order, by type, with everything it needs and nothing it may not have.

Each constructor checks its own rules and raises a ``ValueError`` that names the field, the value and the rule, so a request that
exists makes sense by itself. Whether a broker can do it is asked later, against the broker's capabilities.

Money and quantities are ``Decimal``; integers and strings are taken as they are, floats by their shortest text (``0.1`` is 0.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import ClassVar, TypeAlias, TypeVar

import attrs

Amount: TypeAlias = Decimal | int | str | float
"""What a constructor takes for an amount."""

_Word = TypeVar("_Word", bound=StrEnum)


class Side(StrEnum):
    """Which way an order goes."""

    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    """How an order's price is found."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAILING_STOP = "trailing_stop"


class OrderClass(StrEnum):
    """One order alone, or a group in which one's fate decides the others'."""

    SIMPLE = "simple"
    BRACKET = "bracket"
    OCO = "oco"
    OTO = "oto"
    MLEG = "mleg"
    """Several option legs at once: see ``broker_core.option_orders``."""


class TimeInForce(StrEnum):
    """How long an order works: the day, until cancelled, at the open, at the close, at once or in part, at once or not at all."""

    DAY = "day"
    GTC = "gtc"
    OPG = "opg"
    CLS = "cls"
    IOC = "ioc"
    FOK = "fok"


def refuse(field: str, value: object, rule: str) -> ValueError:
    """The error of a value that breaks a rule: one line with the field, the value and the rule."""
    return ValueError(f"{field}: {value} {rule}")


def to_decimal(value: Amount, field: str = "amount") -> Decimal:
    """The exact decimal of a number or its text; ValueError for anything that is not a finite number."""
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        raise refuse(field, repr(value), "is not a number") from None
    if not number.is_finite():
        raise refuse(field, value, "is not a finite number")
    return number


def _given(field: str, value: Amount | None) -> Decimal:
    if value is None:
        raise refuse(field, None, "is missing; this order type needs it")
    return to_decimal(value, field)


def _given_or_none(field: str, value: Amount | None) -> Decimal | None:
    return None if value is None else to_decimal(value, field)


def to_word(kind: type[_Word], field: str, value: _Word | str) -> _Word:
    """The enum's member of this value; ValueError names the others."""
    if isinstance(value, kind):
        return value
    try:
        return kind(value)
    except ValueError:
        raise refuse(field, repr(value), f"is not one of {', '.join(kind)}") from None


# One converter a field, so that its error can name the field and a type checker knows what the constructor takes.
def _side(value: Side | str) -> Side:
    return to_word(Side, "side", value)


def _time_in_force(value: TimeInForce | str) -> TimeInForce:
    return to_word(TimeInForce, "time_in_force", value)


def _order_class(value: OrderClass | str) -> OrderClass:
    return to_word(OrderClass, "order_class", value)


def _qty(value: Amount | None) -> Decimal | None:
    return _given_or_none("qty", value)


def _notional(value: Amount | None) -> Decimal | None:
    return _given_or_none("notional", value)


def _limit_price(value: Amount | None) -> Decimal:
    return _given("limit_price", value)


def _limit_price_or_none(value: Amount | None) -> Decimal | None:
    return _given_or_none("limit_price", value)


def _stop_price(value: Amount | None) -> Decimal:
    return _given("stop_price", value)


def _stop_price_or_none(value: Amount | None) -> Decimal | None:
    return _given_or_none("stop_price", value)


def _trail_price(value: Amount | None) -> Decimal | None:
    return _given_or_none("trail_price", value)


def _trail_percent(value: Amount | None) -> Decimal | None:
    return _given_or_none("trail_percent", value)


def check_positive(field: str, value: Decimal | None) -> None:
    """ValueError unless the amount is absent or above zero."""
    if value is not None and value <= 0:
        raise refuse(field, value, "is not above zero")


def _check_kind(field: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise refuse(field, repr(value), f"is not a {kind.__name__}")


def check_text(field: str, value: object, longest: int) -> None:
    """ValueError unless the value is a printable text of 1 to ``longest`` characters."""
    if not isinstance(value, str) or not value or len(value) > longest or not value.isprintable():
        raise refuse(field, repr(value), f"is not a printable text of 1 to {longest} characters")


@attrs.frozen
class TakeProfit:
    """The exit with a gain: a limit order at ``limit_price``."""

    limit_price: Decimal = attrs.field(converter=_limit_price)

    def __attrs_post_init__(self) -> None:
        check_positive("take_profit.limit_price", self.limit_price)


@attrs.frozen
class StopLoss:
    """The exit with a loss: a stop order at ``stop_price``, or a stop-limit order when ``limit_price`` is given."""

    stop_price: Decimal = attrs.field(converter=_stop_price)
    limit_price: Decimal | None = attrs.field(default=None, converter=_limit_price_or_none)

    def __attrs_post_init__(self) -> None:
        check_positive("stop_loss.stop_price", self.stop_price)
        check_positive("stop_loss.limit_price", self.limit_price)


@attrs.frozen
class OrderRequest:
    """What every order has. Use one of the five order types below; this class alone is nobody's order.

    ``qty`` (shares, may be fractional) or ``notional`` (an amount of the account's currency), never both. ``strategy`` and
    ``signal_id`` are the host's own labels, kept in every record of the order.
    """

    order_type: ClassVar[OrderType]

    symbol: str
    side: Side = attrs.field(converter=_side)
    qty: Decimal | None = attrs.field(default=None, kw_only=True, converter=_qty)
    notional: Decimal | None = attrs.field(default=None, kw_only=True, converter=_notional)
    time_in_force: TimeInForce = attrs.field(default=TimeInForce.DAY, kw_only=True, converter=_time_in_force)
    extended_hours: bool = attrs.field(default=False, kw_only=True)
    order_class: OrderClass = attrs.field(default=OrderClass.SIMPLE, kw_only=True, converter=_order_class)
    take_profit: TakeProfit | None = attrs.field(default=None, kw_only=True)
    stop_loss: StopLoss | None = attrs.field(default=None, kw_only=True)
    strategy: str | None = attrs.field(default=None, kw_only=True)
    signal_id: str | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raise ValueError for the first rule that this request breaks."""
        if type(self) is OrderRequest:
            raise refuse("order_type", None, f"is missing: use {', '.join(kind.__name__ for kind in ORDER_TYPES.values())}")
        check_text("symbol", self.symbol, 32)
        if " " in self.symbol:
            raise refuse("symbol", repr(self.symbol), "holds a space")
        _check_kind("extended_hours", self.extended_hours, bool)
        if self.take_profit is not None:
            _check_kind("take_profit", self.take_profit, TakeProfit)
        if self.stop_loss is not None:
            _check_kind("stop_loss", self.stop_loss, StopLoss)
        self._check_labels()
        if self.qty is None and self.notional is None:
            raise refuse("qty", None, "and notional None: give one of the two")
        if self.qty is not None and self.notional is not None:
            raise refuse("notional", self.notional, f"beside qty {self.qty}: give one of the two, not both")
        for name in ("qty", "notional", "limit_price", "stop_price", "trail_price", "trail_percent"):
            check_positive(name, getattr(self, name))
        if self.extended_hours and self.order_type is not OrderType.LIMIT:
            raise refuse("extended_hours", True, f"on a {self.order_type} order: only limit orders trade outside regular hours")
        self._check_class()

    def _check_labels(self) -> None:
        for label in ("strategy", "signal_id"):
            if getattr(self, label) is not None:
                check_text(label, getattr(self, label), 64)

    def _check_class(self) -> None:
        kind, gain, loss = self.order_class, self.take_profit, self.stop_loss
        if kind is OrderClass.SIMPLE:
            if gain is not None or loss is not None:
                raise refuse("order_class", kind, "with take_profit or stop_loss: exits need bracket, oco or oto")
            return
        if self.notional is not None:
            raise refuse("notional", self.notional, f"in a {kind} order: exits need a qty")
        if self.extended_hours:
            raise refuse("extended_hours", True, f"in a {kind} order: groups trade in regular hours only")
        if kind is OrderClass.MLEG:
            raise refuse("order_class", kind, f"on a {self.order_type} order: use MultiLegOrder")
        if self.time_in_force not in (TimeInForce.DAY, TimeInForce.GTC):
            raise refuse("time_in_force", self.time_in_force, f"in a {kind} order: use day or gtc")
        if kind is OrderClass.BRACKET and (gain is None or loss is None):
            raise refuse("order_class", kind, "without both take_profit and stop_loss: a bracket needs the two")
        if kind is OrderClass.OTO and (gain is None) == (loss is None):
            raise refuse("order_class", kind, "needs exactly one of take_profit and stop_loss")
        if kind is OrderClass.OCO:
            self._check_oco()
        elif gain is not None and loss is not None:
            # The exits go the other way: a bought position gains above and loses below.
            self._check_sides(gain.limit_price, loss.stop_price, gains_above=self.side is Side.BUY)

    def _check_oco(self) -> None:
        if not isinstance(self, LimitOrder):
            raise refuse("order_class", "oco", f"on a {self.order_type} order: its gain side is a limit order")
        if self.stop_loss is None:
            raise refuse("stop_loss", None, "in an oco order: it needs the loss side")
        if self.take_profit is not None and self.take_profit.limit_price != self.limit_price:
            raise refuse(
                "take_profit.limit_price",
                self.take_profit.limit_price,
                f"differs from limit_price {self.limit_price}: in an oco order the two are one price",
            )
        self._check_sides(self.limit_price, self.stop_loss.stop_price, gains_above=self.side is Side.SELL)

    @staticmethod
    def _check_sides(gain: Decimal, loss: Decimal, *, gains_above: bool) -> None:
        if gains_above and gain <= loss:
            raise refuse("take_profit.limit_price", gain, f"is not above stop_loss.stop_price {loss}")
        if not gains_above and gain >= loss:
            raise refuse("take_profit.limit_price", gain, f"is not below stop_loss.stop_price {loss}")

    @property
    def limit_price(self) -> Decimal | None:
        """The worst price accepted, for the types that have one."""
        return None

    @property
    def stop_price(self) -> Decimal | None:
        """The price that wakes the order, for the types that have one."""
        return None

    @property
    def trail_price(self) -> Decimal | None:
        """The distance of a trailing stop as an amount."""
        return None

    @property
    def trail_percent(self) -> Decimal | None:
        """The distance of a trailing stop in percent (1 is one percent)."""
        return None


@attrs.frozen
class MarketOrder(OrderRequest):
    """Buy or sell at whatever price there is."""

    order_type = OrderType.MARKET


@attrs.frozen
class LimitOrder(OrderRequest):
    """Buy or sell at ``limit_price`` or better."""

    order_type = OrderType.LIMIT
    limit_price: Decimal = attrs.field(default=None, kw_only=True, converter=_limit_price)


@attrs.frozen
class StopOrder(OrderRequest):
    """Becomes a market order once the price reaches ``stop_price``."""

    order_type = OrderType.STOP
    stop_price: Decimal = attrs.field(default=None, kw_only=True, converter=_stop_price)


@attrs.frozen
class StopLimitOrder(OrderRequest):
    """Becomes a limit order at ``limit_price`` once the price reaches ``stop_price``."""

    order_type = OrderType.STOP_LIMIT
    stop_price: Decimal = attrs.field(default=None, kw_only=True, converter=_stop_price)
    limit_price: Decimal = attrs.field(default=None, kw_only=True, converter=_limit_price)


@attrs.frozen
class TrailingStopOrder(OrderRequest):
    """A stop that follows the best price at a distance: ``trail_price`` (an amount) or ``trail_percent`` (1 is one percent)."""

    order_type = OrderType.TRAILING_STOP
    trail_price: Decimal | None = attrs.field(default=None, kw_only=True, converter=_trail_price)
    trail_percent: Decimal | None = attrs.field(default=None, kw_only=True, converter=_trail_percent)

    def check(self) -> None:
        """Also: exactly one distance, a percentage below 100, day or gtc, no group."""
        super().check()
        if (self.trail_price is None) == (self.trail_percent is None):
            raise refuse("trail_price", self.trail_price, f"and trail_percent {self.trail_percent}: give exactly one of the two")
        if self.trail_percent is not None and self.trail_percent >= 100:
            raise refuse("trail_percent", self.trail_percent, "is not below 100")
        if self.time_in_force not in (TimeInForce.DAY, TimeInForce.GTC):
            raise refuse("time_in_force", self.time_in_force, "on a trailing_stop order: use day or gtc")
        if self.order_class is not OrderClass.SIMPLE:
            raise refuse("order_class", self.order_class, "on a trailing_stop order: it stands alone")


@attrs.frozen
class ForeignOrder(OrderRequest):
    """The terms of an order placed elsewhere, as the broker states them: a fact, so nothing is refused."""

    order_type: OrderType = attrs.field(default=OrderType.MARKET, kw_only=True)  # type: ignore[misc]  # here it varies by instance
    limit_price: Decimal | None = attrs.field(default=None, kw_only=True, converter=_limit_price_or_none)
    stop_price: Decimal | None = attrs.field(default=None, kw_only=True, converter=_stop_price_or_none)
    trail_price: Decimal | None = attrs.field(default=None, kw_only=True, converter=_trail_price)
    trail_percent: Decimal | None = attrs.field(default=None, kw_only=True, converter=_trail_percent)

    def check(self) -> None:
        """Whatever the broker holds is so."""


ORDER_TYPES: Mapping[OrderType, type[OrderRequest]] = {
    OrderType.MARKET: MarketOrder,
    OrderType.LIMIT: LimitOrder,
    OrderType.STOP: StopOrder,
    OrderType.STOP_LIMIT: StopLimitOrder,
    OrderType.TRAILING_STOP: TrailingStopOrder,
}
"""The class of each type's requests."""
