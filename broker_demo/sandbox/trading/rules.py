"""The rules of Alpaca's that the exchange does not have, asked before it is: what may trade with what, when, and how much of it.

Each raises the exchange's own ``Refusal``.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from decimal import Decimal

from broker_core.clock import from_ns
from broker_core.models import Asset
from broker_core.orders import ZERO
from broker_core.requests import OrderClass, OrderRequest, OrderType, Side, TimeInForce
from broker_core.timeframe import exchange_zone
from broker_demo.admission import CRYPTO, is_fractional
from broker_demo.matching import exact
from broker_demo.paper_order import PaperOrder
from broker_demo.refusals import Refusal, bad_field, broken_rule, forbidden
from broker_demo.sandbox.desk import Desk
from broker_demo.trading_hours import AlwaysOpen, TradingHours

_CRYPTO_TYPES = frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.STOP_LIMIT})
_CRYPTO_TIMES = frozenset({TimeInForce.GTC, TimeInForce.IOC})
_CRYPTO_LEAST = 10
_CRYPTO_MOST = 200_000
_AT_ANY_PRICE = frozenset({OrderType.MARKET, OrderType.STOP})
_LEAST_EQUITY_TO_SHORT = 2000
_AUCTION_ENTRY_OPENS = time(19)
_OPEN_CUTOFF = timedelta(minutes=2)
_CLOSE_CUTOFF = timedelta(minutes=10)


def check_order(desk: Desk, request: OrderRequest, asset: Asset, now_ns: int, *, closes: bool = False) -> None:
    """Refuse a new order that breaks one of them. The exchange has come as far as this moment.

    With ``closes`` it is what remains of a position that is to be sold, which may be less than an order must be worth.
    """
    choices = desk.profile.configurations
    if choices.suspend_trade:
        raise forbidden("new orders are rejected by user request")
    if asset.asset_class == CRYPTO:
        _check_crypto(request)
        if not closes:
            _check_crypto_cost(desk, request, now_ns)
    elif not choices.fractional_trading and not closes and is_fractional(request):
        raise forbidden("fractional trading is not allowed for account")
    elif request.time_in_force in (TimeInForce.OPG, TimeInForce.CLS):
        _check_auction(desk.prices.hours, request.time_in_force, now_ns)
    if request.order_class is OrderClass.SIMPLE and request.order_type is not OrderType.TRAILING_STOP:
        check_wash(request.side, request.order_type, request.limit_price, desk.exchange.open_against(request.symbol, request.side))
    if request.side is Side.SELL and asset.asset_class != CRYPTO:
        _check_short(desk, request.symbol)


def _check_crypto(request: OrderRequest) -> None:
    if request.order_type not in _CRYPTO_TYPES:
        raise bad_field("invalid order type for crypto order")
    if request.time_in_force not in _CRYPTO_TIMES:
        raise broken_rule("invalid crypto time_in_force")
    if request.order_class is not OrderClass.SIMPLE:
        raise broken_rule(f"crypto orders not allowed for advanced order_class: {request.order_class}")


def _check_crypto_cost(desk: Desk, request: OrderRequest, now_ns: int) -> None:
    cost = request.notional
    if cost is None:
        price = request.limit_price
        if price is None:
            tick = desk.prices.tick(request.symbol, now_ns)
            if tick is None:
                return
            price = exact(tick).touch(request.side)
        cost = (request.qty or ZERO) * price
    if cost < _CRYPTO_LEAST:
        raise forbidden(f"cost basis must be >= minimal amount of order {_CRYPTO_LEAST}")
    if cost > _CRYPTO_MOST:
        raise forbidden(f"cost basis must be <= maximal amount of order {_CRYPTO_MOST}")


def _check_auction(hours: TradingHours, time_in_force: TimeInForce, now_ns: int) -> None:
    """No order joins an auction from shortly before it until the evening, on the days of a real calendar."""
    if isinstance(hours, AlwaysOpen):
        return
    now = from_ns(now_ns)
    local = now.astimezone(exchange_zone())
    today = hours.days(local.date(), local.date())
    if not today:
        return
    begins = today[0].open - _OPEN_CUTOFF if time_in_force is TimeInForce.OPG else today[0].close - _CLOSE_CUTOFF
    ends = datetime.combine(local.date(), _AUCTION_ENTRY_OPENS, exchange_zone())
    if begins <= now < ends:
        raise broken_rule(f"{time_in_force} orders are not accepted between {begins.astimezone(exchange_zone()):%H:%M} and {ends:%H:%M} ET")


def check_wash(side: Side, order_type: OrderType, limit_price: Decimal | None, against: Iterable[PaperOrder]) -> None:
    """Refuse an order that could trade with one of those that go the other way. Groups and trailing stops may."""
    for other in against:
        if other.group_id is not None or other.request.order_type is OrderType.TRAILING_STOP:
            continue
        if other.request.order_type in _AT_ANY_PRICE:
            raise _wash(other, "opposite side market/stop order exists")
        if order_type in _AT_ANY_PRICE or _cross(side, limit_price, other.request.limit_price):
            raise _wash(other, "opposite side limit order exists")


def _cross(side: Side, limit_price: Decimal | None, other: Decimal | None) -> bool:
    if limit_price is None or other is None:
        return True
    return limit_price >= other if side is Side.BUY else limit_price <= other


def _wash(other: PaperOrder, reason: str) -> Refusal:
    return forbidden("potential wash trade detected. use complex orders", existing_order_id=other.order_id, reject_reason=reason)


def _check_short(desk: Desk, symbol: str) -> None:
    exchange = desk.exchange
    if exchange.state.ledger.holding(symbol).qty > 0:
        return
    if not exchange.shorting or desk.profile.configurations.no_shorting or exchange.portfolio().equity < _LEAST_EQUITY_TO_SHORT:
        raise forbidden("account is not allowed to short")
