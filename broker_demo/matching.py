"""How one order meets one tick. Plain functions of values: no account, no time, no order book.

A stop looks at the price of the last trade. What trades, trades against the other side's quote: a buy at the ask, a sell at the bid; a
limit order does so whenever that quote is its limit or better, so a price improvement goes to the account.
"""

from __future__ import annotations

from decimal import ROUND_UP, Decimal

import attrs

from broker_core.requests import OrderRequest, OrderType, Side, TimeInForce
from broker_demo import assets
from broker_demo.paper_order import SMALLEST_QTY, PaperOrder
from broker_demo.prices import Tick

AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK, TimeInForce.OPG})
"""Times in force that give an order a single chance."""

_STOP_STEP = Decimal("0.0001")
_PIECES = 4


@attrs.frozen
class Quote:
    """A tick in exact numbers."""

    at_ns: int
    price: Decimal
    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal

    def touch(self, side: Side) -> Decimal:
        """What an order of this side trades at."""
        return self.ask if side is Side.BUY else self.bid


def exact(tick: Tick) -> Quote:
    """The tick in exact numbers: each float by its shortest text, as a person reads it."""
    return Quote(
        tick.timestamp_ns,
        Decimal(str(tick.price)),
        Decimal(str(tick.bid)),
        Decimal(str(tick.ask)),
        Decimal(tick.bid_size),
        Decimal(tick.ask_size),
    )


def watermark(request: OrderRequest, before: Decimal | None, price: Decimal) -> Decimal:
    """The best price that a trailing stop has seen, after this one."""
    if before is None:
        return price
    return max(before, price) if request.side is Side.SELL else min(before, price)


def stop_price(request: OrderRequest, mark: Decimal | None) -> Decimal | None:
    """The price at which a stop is triggered now; None for an order without a stop. ``mark`` is a trailing stop's watermark."""
    if request.order_type is not OrderType.TRAILING_STOP or mark is None:
        return request.stop_price
    distance = request.trail_price
    if distance is None:
        distance = mark * (request.trail_percent or Decimal(0)) / 100
    stop = mark - distance if request.side is Side.SELL else mark + distance
    return stop.quantize(_STOP_STEP)


def is_triggered(order: PaperOrder, price: Decimal) -> bool:
    """Whether the order is live once a trade was made at this price: it has no stop, or its stop has been reached.

    Moves a trailing stop along.
    """
    if order.request.order_type is OrderType.TRAILING_STOP and not order.triggered:
        order.watermark = watermark(order.request, order.watermark, price)
    stop = stop_price(order.request, order.watermark)
    if stop is None or order.triggered:
        return True
    order.triggered = price >= stop if order.side is Side.BUY else price <= stop
    return order.triggered


def execution_price(request: OrderRequest, quote: Quote) -> Decimal | None:
    """The price at which the order trades against this quote; None when its limit forbids it."""
    touch, limit = quote.touch(request.side), request.limit_price
    if limit is None or (touch <= limit if request.side is Side.BUY else touch >= limit):
        return touch
    return None


def fillable(order: PaperOrder, price: Decimal, displayed: Decimal) -> Decimal:
    """How many shares trade now, the account's means apart: at most what is displayed, and all or nothing for fok."""
    wanted = order.remaining(price)
    qty = min(wanted, displayed)
    if order.symbol == assets.PARTIAL:
        qty = min(qty, _piece(order, price))
    if order.request.time_in_force is TimeInForce.FOK and qty < wanted:
        return Decimal(0)
    return qty


def _piece(order: PaperOrder, price: Decimal) -> Decimal:
    """The share of an order that a symbol which fills in pieces gives away at once."""
    whole = order.request.qty if order.request.qty is not None else (order.request.notional or Decimal(0)) / price
    step = Decimal(1) if order.request.qty is not None and is_whole(order.request.qty) else SMALLEST_QTY
    return (whole / _PIECES / step).quantize(Decimal(1), ROUND_UP) * step


def is_whole(qty: Decimal) -> bool:
    """Whether this is a number of whole shares."""
    return qty == qty.to_integral_value()
