"""Which orders the exchange takes at all: the rules that follow from the request, the asset and the present price.

What the account can afford is another question (``funds``). The wash trade rule is left out: a demo account may trade with itself.
"""

from __future__ import annotations

from decimal import Decimal

from broker_core.models import Asset
from broker_core.requests import OrderClass, OrderRequest, OrderType, Side, TimeInForce
from broker_demo.matching import Quote, is_whole
from broker_demo.paper_order import SMALLEST_QTY
from broker_demo.refusals import bad_field, broken_rule, forbidden, plain

_UNTIL_ENDED = frozenset({TimeInForce.DAY, TimeInForce.GTC})
_ANY_TIME = frozenset({OrderType.MARKET, OrderType.LIMIT})
_PENNY = Decimal("0.01")
_HUNDREDTH_OF_A_PENNY = Decimal("0.0001")
_LONGEST_ID = 128
CRYPTO = "crypto"
"""The class of coins, which trade as pairs."""


def check_client_order_id(client_order_id: str) -> None:
    """Refuse an id that is empty or too long."""
    if not 1 <= len(client_order_id) <= _LONGEST_ID:
        raise bad_field(f"client_order_id must have 1 to {_LONGEST_ID} characters")


def check_terms(request: OrderRequest, asset: Asset, quote: Quote) -> None:
    """Refuse terms that break a rule. Raises Refusal."""
    if not asset.tradable:
        raise bad_field(f"asset {asset.symbol} is not active")
    _check_time_in_force(request)
    _check_prices(request, asset)
    _check_qty(request, asset)
    if request.order_class in (OrderClass.BRACKET, OrderClass.OTO):
        _check_exits(request, quote)


def _check_time_in_force(request: OrderRequest) -> None:
    if request.order_type not in _ANY_TIME and request.time_in_force not in _UNTIL_ENDED:
        raise broken_rule(f"{request.order_type} orders must be DAY or GTC orders")
    if request.extended_hours and request.time_in_force not in _UNTIL_ENDED:
        raise broken_rule("extended hours order must be DAY or GTC limit orders")


def _check_prices(request: OrderRequest, asset: Asset) -> None:
    prices = [("limit_price", request.limit_price), ("stop_price", request.stop_price)]
    if request.take_profit is not None:
        prices.append(("take_profit.limit_price", request.take_profit.limit_price))
    if request.stop_loss is not None:
        prices += [("stop_loss.stop_price", request.stop_loss.stop_price), ("stop_loss.limit_price", request.stop_loss.limit_price)]
    for name, price in prices:
        if price is not None and price % _increment(asset, price):
            raise broken_rule(f"invalid {name} {plain(price)}. sub-penny increment does not fulfill minimum pricing criteria")


def _increment(asset: Asset, price: Decimal) -> Decimal:
    return min(asset.price_increment, _HUNDREDTH_OF_A_PENNY) if price < 1 else asset.price_increment


def _check_qty(request: OrderRequest, asset: Asset) -> None:
    if request.notional is not None:
        if request.notional < 1:
            raise bad_field("notional must be >= 1.00")
        if request.notional % _PENNY:
            raise broken_rule("notional value must be limited to 2 decimal places")
    elif request.qty is not None and request.qty % SMALLEST_QTY:
        raise broken_rule("qty must be limited to 9 decimal places")
    if not is_fractional(request) or asset.asset_class == CRYPTO:
        return
    if not asset.fractionable:
        raise forbidden(f'asset "{asset.symbol}" is not fractionable')
    if request.time_in_force is not TimeInForce.DAY:
        raise broken_rule("fractional orders must be DAY orders")
    if request.order_class is not OrderClass.SIMPLE:
        raise broken_rule("fractional orders must be simple orders")
    if request.order_type is OrderType.TRAILING_STOP:
        raise broken_rule("fractional orders cannot be trailing_stop orders")


def is_fractional(request: OrderRequest) -> bool:
    """Whether the order may trade parts of a share."""
    return request.notional is not None or (request.qty is not None and not is_whole(request.qty))


def _check_exits(request: OrderRequest, quote: Quote) -> None:
    """An exit that would be reached at once is a mistake: each lies at least a cent on its side of the entry's price."""
    base = request.limit_price or request.stop_price or quote.price
    is_long = request.side is Side.BUY
    if request.take_profit is not None:
        _check_distance("take_profit.limit_price", request.take_profit.limit_price, base, above=is_long)
    if request.stop_loss is not None:
        _check_distance("stop_loss.stop_price", request.stop_loss.stop_price, base, above=not is_long)


def _check_distance(name: str, price: Decimal, base: Decimal, *, above: bool) -> None:
    if above and price < base + _PENNY:
        raise broken_rule(f"{name} must be >= base_price + 0.01", base_price=base)
    if not above and price > base - _PENNY:
        raise broken_rule(f"{name} must be <= base_price - 0.01", base_price=base)
