"""What the account can afford: money and shares that are free, and what open orders keep for themselves.

There is no margin. A long position ties up its price. A short sale brings money in, and ties up that and as much again, so what is free
is ``cash - 2 x market value of all shorts - claims of open orders``, and positions of both kinds together are never worth more
than the equity. An order either opens or closes, never both: whoever holds shares sells no more of them than are free, and turns
around by closing first. Orders that open in opposite directions are not taken side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from broker_core.models import Asset
from broker_core.orders import ZERO
from broker_core.requests import OrderClass, OrderRequest, Side
from broker_demo.admission import CRYPTO, is_fractional
from broker_demo.ledger import Ledger
from broker_demo.matching import Quote, stop_price
from broker_demo.order_book import OrderBook
from broker_demo.paper_order import SMALLEST_QTY, PaperOrder, Role
from broker_demo.refusals import Refusal, broken_rule, forbidden, plain

SHORT_OF_MONEY = "insufficient buying power"
NOTHING_TO_CLOSE = "the position it was to close is gone"


class Funds:
    """Answers from the books; ``mark`` gives the present price of a symbol."""

    def __init__(self, ledger: Ledger, book: OrderBook, mark: Callable[[str], Decimal]) -> None:
        self._ledger = ledger
        self._book = book
        self._mark = mark

    def claimed_amount(self, *, without: PaperOrder | None = None) -> Decimal:
        """The money that open orders, but for one, keep for themselves. Exits claim none."""
        mine = without.claimed_amount if without is not None and without.is_open and without.opens else ZERO
        return self._book.claimed_amount - mine

    def buying_power(self, *, without: PaperOrder | None = None) -> Decimal:
        """The money that is free, not counting the claim of one order; below zero when shorts have risen too far."""
        shorts = sum((-held.qty * self._mark(symbol) for symbol, held in self._ledger.shorts.items()), start=ZERO)
        return self._ledger.cash - 2 * shorts - self.claimed_amount(without=without)

    def held(self, symbol: str, side: Side) -> Decimal:
        """How many shares an order of this side could close if there were no others."""
        qty = self._ledger.holding(symbol).qty
        return max(qty if side is Side.SELL else -qty, ZERO)

    def claimed_qty(self, symbol: str, side: Side, *, without: PaperOrder | None = None) -> Decimal:
        """How many shares open orders of this side, but for one and its group, are about to close."""
        return sum((order.claimed_qty for order in self._closing(symbol, side, without)), start=ZERO)

    def _closing(self, symbol: str, side: Side, without: PaperOrder | None) -> Iterator[PaperOrder]:
        """The open orders that claim shares: of two exits of a group only one does."""
        for order in self._book.open_on(symbol, side):
            if order.opens or order.waiting or order is without:
                continue
            if order.group_id is not None and without is not None and order.group_id == without.group_id:
                continue
            if order.role is Role.STOP_LOSS and self._book.sibling(order) is not None:
                continue
            yield order

    def opens(self, request: OrderRequest) -> bool:
        """Whether an order with these terms opens or enlarges a position, rather than closing one."""
        qty = self._ledger.holding(request.symbol).qty
        return qty >= 0 if request.side is Side.BUY else qty <= 0

    def check(self, order: PaperOrder, asset: Asset, *, shorting: bool, replaced: PaperOrder | None = None) -> None:
        """Refuse an order that the account cannot afford. ``replaced`` is the one whose place it takes. Raises Refusal."""
        if order.waiting:
            return
        if order.opens:
            self._check_direction(order, asset, shorting=shorting)
            free = self.buying_power(without=replaced)
            if order.claimed_amount > free:
                raise forbidden(SHORT_OF_MONEY, buying_power=max(free, ZERO), cost_basis=order.claimed_amount)
        else:
            self._check_shares(order, asset, replaced)

    def _check_direction(self, order: PaperOrder, asset: Asset, *, shorting: bool) -> None:
        if order.request.order_class is OrderClass.OCO:
            raise broken_rule("oco orders must be exit orders")
        against = any(other.opens for other in self._book.open_against(order.symbol, order.side))
        if order.side is Side.BUY:
            if against:
                raise forbidden("cannot open a long buy while a short sell order is open")
            return
        wanted = order.request.qty or order.request.notional or ZERO
        if asset.asset_class == CRYPTO:
            raise _short_of_coins(order.symbol, wanted, ZERO, ZERO)
        if not shorting:
            raise forbidden(f"insufficient qty available for order (requested: {plain(wanted)}, available: 0)")
        if not asset.shortable:
            raise broken_rule(f'asset "{order.symbol}" cannot be sold short')
        if is_fractional(order.request):
            raise broken_rule("fractional orders cannot be sold short")
        if against:
            raise forbidden("cannot open a short sell while a long buy order is open")

    def _check_shares(self, order: PaperOrder, asset: Asset, replaced: PaperOrder | None) -> None:
        kind = order.request.order_class
        if kind in (OrderClass.BRACKET, OrderClass.OTO):
            raise broken_rule(f"{kind} orders must be entry orders")
        held = self.held(order.symbol, order.side)
        closing = list(self._closing(order.symbol, order.side, replaced))
        claimed = sum((other.claimed_qty for other in closing), start=ZERO)
        available = max(held - claimed, ZERO)
        if order.claimed_qty <= available:
            return
        if asset.asset_class == CRYPTO:
            raise _short_of_coins(order.symbol, order.claimed_qty, held, available)
        raise forbidden(
            f"insufficient qty available for order (requested: {plain(order.claimed_qty)}, available: {plain(available)})",
            symbol=order.symbol,
            existing_qty=held,
            held_for_orders=claimed,
            available=available,
            related_orders=[other.order_id for other in closing],
        )

    def allowed(self, order: PaperOrder, qty: Decimal, quote: Quote) -> Decimal:
        """How much of ``qty`` may trade at this quote: prices have moved since the order was taken, and so may the position have."""
        closing = self.held(order.symbol, order.side)
        if not order.opens:
            return min(qty, closing)
        if qty <= closing:
            return qty
        free = max(self.buying_power(without=order), ZERO)
        step = SMALLEST_QTY if is_fractional(order.request) else Decimal(1)
        shares = (free / unit_cost(order.side, quote) / step).to_integral_value(ROUND_DOWN) * step
        return min(qty, closing + shares)


def _short_of_coins(pair: str, wanted: Decimal, held: Decimal, available: Decimal) -> Refusal:
    coin = pair.partition("/")[0]
    message = f"insufficient balance for {coin} (requested: {plain(wanted)}, available: {plain(available)})"
    return forbidden(message, symbol=coin, balance=held, available=available)


def unit_cost(side: Side, quote: Quote) -> Decimal:
    """How much less money is free after one share more is held long, or is sold short, at this quote."""
    return quote.ask if side is Side.BUY else 2 * quote.price - quote.bid


def reserve_price(request: OrderRequest, quote: Quote) -> Decimal:
    """What each share of an opening order claims: its limit, or what it would cost now, or at its stop, whichever is more."""
    if request.side is Side.BUY and request.limit_price is not None:
        return request.limit_price
    return max(request.limit_price or ZERO, stop_price(request, quote.price) or ZERO, unit_cost(request.side, quote))


def reserve_qty(request: OrderRequest, quote: Quote) -> Decimal | None:
    """The shares that a closing order by amount trades at most: what the amount is worth now. None for an order by quantity."""
    if request.notional is None:
        return None
    return (request.notional / quote.touch(request.side)).quantize(SMALLEST_QTY, ROUND_UP)
