"""The demo exchange: takes orders, refuses what makes no sense or cannot be afforded, and says how the account stands.

Synchronous and without a clock: whoever calls says what time it is. ``advance(now_ns)`` lets everything up to that moment happen (see
``floor``); a change (``submit``, ``cancel``, ``replace``, ``bust``) advances first. Reads tell the state as of the last advance.

**Groups.** Exits wait until their entry is completely filled. When one exit is filled, the other is cancelled; when one is
filled in part, the other shrinks, which at this broker means that a smaller one replaces it. Cancelling a member cancels the rest.
An exit never opens a position: where the shares are gone, it is cancelled.

**Fees** are zero. **Money and shares** that open orders claim: see ``funds``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Reversible, Sequence
from decimal import Decimal
from typing import Any

import attrs

from broker_core.models import Account, Asset, Position
from broker_core.orders import ZERO, EventKind, OrderEvent, ReplaceTerms, Source
from broker_core.requests import LimitOrder, OrderClass, OrderRequest, Side, StopLimitOrder, StopOrder, TakeProfit
from broker_demo import assets, statement
from broker_demo.account import AccountState
from broker_demo.admission import check_client_order_id, check_terms, is_fractional
from broker_demo.floor import Floor
from broker_demo.funds import reserve_price, reserve_qty
from broker_demo.ledger import Bust
from broker_demo.matching import Quote, is_whole
from broker_demo.paper_order import PaperOrder, Role, Status
from broker_demo.prices import Prices, Tick
from broker_demo.refusals import bad_field, broken_rule, duplicate, forbidden, not_found

_MINUTE_NS = 60_000_000_000
_FINE_NS = 6 * 60 * _MINUTE_NS
_LONGEST_CATCH_UP = 20_000


class Exchange:
    """One account at the demo exchange. ``shorting`` says whether it may sell what it does not hold."""

    def __init__(self, prices: Prices, state: AccountState, *, shorting: bool = True) -> None:
        self.prices = prices
        self.state = state
        self.shorting = shorting
        self.cancels_late: Callable[[PaperOrder], int] | None = None
        """How many nanoseconds go by before the cancellation of an order is carried out; it may trade until then. None is at once."""
        self._listeners: list[Callable[[OrderEvent], None]] = []
        self._floor = Floor(prices, state, self._tell)
        self._book = self._floor.book
        self._funds = self._floor.funds

    @property
    def account_id(self) -> str:
        """The account's id."""
        return self.state.account_id

    @property
    def now_ns(self) -> int:
        """How far time has come."""
        return self.state.now_ns

    def listen(self, listener: Callable[[OrderEvent], None]) -> None:
        """Have every order event from now on told to ``listener`` at the moment it happens, with ``Source.STREAM``."""
        self._listeners.append(listener)

    def _tell(self, event: OrderEvent) -> None:
        for listener in self._listeners:
            listener(event)

    # Time

    def advance(self, now_ns: int) -> None:
        """Let everything up to this moment happen. A moment that has passed already changes nothing."""
        self._floor.advance(now_ns, self.prices.ticks)

    def catch_up(self, now_ns: int) -> None:
        """Advance over an absence of any length in bearable time.

        The last six hours happen tick by tick. Before them orders meet one tick a minute, or fewer where that would be more than 20,000
        for a symbol: a limit that was touched only between two of them is not found.
        """
        coarse_until_ns = now_ns - _FINE_NS
        step_ns = max(_MINUTE_NS, (coarse_until_ns - self.now_ns) // _LONGEST_CATCH_UP)

        def sampled(symbol: str, after_ns: int, until_ns: int) -> Iterator[Tick]:
            for at_ns in [*range(after_ns + step_ns, until_ns, step_ns), until_ns]:
                tick = self.prices.tick(symbol, at_ns)
                if tick is not None and tick.timestamp_ns > after_ns:
                    after_ns = tick.timestamp_ns
                    yield tick

        self._floor.advance(coarse_until_ns, sampled)
        self.advance(now_ns)

    def next_moment(self) -> int:
        """The next moment at which something may happen by itself; the present one while an order waits to be matched."""
        return self._floor.next_moment()

    # Changes

    def submit(self, request: OrderRequest, client_order_id: str, now_ns: int) -> PaperOrder:
        """Take an order. Raises RequestRefused, DuplicateOrder."""
        self.advance(now_ns)
        self._check_new_id(client_order_id)
        if request.symbol == assets.REFUSE:
            raise forbidden(f'asset "{request.symbol}" refuses every order')
        order = self._draft(request, client_order_id)
        self._check(order)
        legs = [self._leg(order, role, terms) for role, terms in _exits(request)]
        for placed in (order, *legs):
            self._floor.place(placed)
        return order

    def cancel(self, order_id: str, now_ns: int) -> None:
        """End an order, and the rest of its group; see ``cancels_late``. Raises RequestRefused for one that is unknown or has ended."""
        self.advance(now_ns)
        order = self._known(order_id)
        if not order.is_open or order.status is Status.PENDING_CANCEL:
            raise broken_rule(f'order is already in "{order.status}" state')
        delay_ns = 0 if self.cancels_late is None else self.cancels_late(order)
        if delay_ns > 0:
            self._floor.end_later(order, delay_ns)
        else:
            self._floor.end(order, Status.CANCELED, origin="user")

    def replace(self, order_id: str, terms: ReplaceTerms, now_ns: int, client_order_id: str | None = None) -> PaperOrder:
        """Put an order with new terms in the place of an open one, and return it. Raises RequestRefused, DuplicateOrder.

        ``qty`` is the total of the whole chain of replacements: what is filled already counts.
        """
        self.advance(now_ns)
        old = self._known(order_id)
        if not old.is_open:
            raise broken_rule("order is not open")
        if old.status is Status.PENDING_CANCEL:
            raise broken_rule(f"cannot replace order in {old.status} status")
        if client_order_id is not None:
            self._check_new_id(client_order_id)
        request = _changed(old, terms)
        new = self._floor.successor(old, request, client_order_id)
        self._check(new, replaced=old)
        self._floor.supersede(old, new)
        self.state.unmatched.append(new.order_id)
        if not new.is_leg:
            for leg in self._book.companions(new):
                qty = request.qty if leg.waiting else leg.filled_qty + new.claimed_qty
                self._floor.resize(leg, qty, request.time_in_force)
        return new

    def bust(self, execution_id: str, now_ns: int) -> None:
        """Take an execution back. An order that has ended stays so; an open one works for the shares again. Raises RequestRefused."""
        self.advance(now_ns)
        fill = self.state.ledger.fill(execution_id)
        if fill is None:
            raise not_found(f"execution not found for {execution_id}")
        if self.state.ledger.is_busted(execution_id):
            raise broken_rule("execution is already taken back")
        bust = Bust(bust_id=self.state.ids(), execution_id=execution_id, at_ns=self.now_ns)
        self.state.ledger.bust(bust)
        order: PaperOrder | None = self._known(fill.order_id)
        while order is not None:
            order.book(-fill.qty, fill.price, self.now_ns)
            self._book.claim(order)
            if order.status is Status.PARTIALLY_FILLED and not order.filled_qty:
                order.status = Status.NEW
            order = self._book.get(order.replaced_by or "")
        self._tell(statement.bust_event(bust, fill, self._known(fill.order_id)))

    def _check_new_id(self, client_order_id: str) -> None:
        check_client_order_id(client_order_id)
        if self._book.by_client_id(client_order_id) is not None:
            raise duplicate()

    def _known(self, order_id: str) -> PaperOrder:
        order = self._book.get(order_id)
        if order is None:
            raise not_found(f"order not found for {order_id}")
        return order

    def _listed(self, symbol: str) -> tuple[Asset, Quote]:
        asset = self.prices.asset(symbol)
        if asset is None:
            raise bad_field(f'could not find asset "{symbol}"')
        quote = self._floor.quote(symbol)
        if quote is None:
            raise broken_rule(f'asset "{symbol}" has no price yet')
        return asset, quote

    def _check(self, order: PaperOrder, replaced: PaperOrder | None = None) -> None:
        asset, quote = self._listed(order.symbol)
        check_terms(order.request, asset, quote)
        self._funds.check(order, asset, shorting=self.shorting, replaced=replaced)

    def _draft(self, request: OrderRequest, client_order_id: str) -> PaperOrder:
        _, quote = self._listed(request.symbol)
        works_from_ns, expires_ns = self._floor.schedule.span(request, self.now_ns)
        order_id, opens = self.state.ids(), self._funds.opens(request)
        return PaperOrder(
            order_id=order_id,
            client_order_id=client_order_id,
            request=request,
            status=Status.NEW if works_from_ns <= self.now_ns else Status.ACCEPTED,
            created_ns=self.now_ns,
            updated_ns=self.now_ns,
            works_from_ns=works_from_ns,
            expires_ns=expires_ns,
            opens=opens,
            reserve_price=reserve_price(request, quote),
            reserve_qty=None if opens else reserve_qty(request, quote),
            role=Role.TAKE_PROFIT if request.order_class is OrderClass.OCO else Role.ENTRY,
            group_id=None if request.order_class is OrderClass.SIMPLE else order_id,
            group_class=request.order_class,
        )

    def _leg(self, parent: PaperOrder, role: Role, request: OrderRequest) -> PaperOrder:
        return attrs.evolve(
            parent,
            order_id=self.state.ids(),
            client_order_id=self.state.ids(),
            request=request,
            status=Status.HELD,
            opens=False,
            reserve_price=ZERO,
            role=role,
            is_leg=True,
            waiting=parent.role is Role.ENTRY,
        )

    # Reads

    def order(self, order_id: str) -> PaperOrder | None:
        """The order of this id, ended or not."""
        return self._book.get(order_id)

    def order_by_client_id(self, client_order_id: str) -> PaperOrder | None:
        """The order of this client order id. After a replacement that is the old one; see ``present``."""
        return self._book.by_client_id(client_order_id)

    def present(self, order: PaperOrder) -> PaperOrder:
        """The order that has taken the place of this one by now; itself where none has."""
        while (later := self._book.get(order.replaced_by or "")) is not None:
            order = later
        return order

    def orders(self) -> Sequence[PaperOrder]:
        """Every order there ever was, legs too, the oldest first."""
        return tuple(self.state.orders)

    def open_orders(self) -> Reversible[PaperOrder]:
        """The open orders, legs too, the oldest first: a view, which changes with them."""
        return self._book.open_by_time()

    def open_against(self, symbol: str, side: Side) -> Sequence[PaperOrder]:
        """The open orders in a symbol that go the other way than this one, legs too, the oldest first."""
        return self._book.open_against(symbol, side)

    def free_qty(self, symbol: str) -> Decimal:
        """How many shares of a position, long or short, no open order is about to close."""
        side = Side.SELL if self.state.ledger.holding(symbol).qty > 0 else Side.BUY
        return max(self._funds.held(symbol, side) - self._funds.claimed_qty(symbol, side), ZERO)

    def legs(self, order: PaperOrder) -> Sequence[PaperOrder]:
        """The orders that came with this one, under their present ids."""
        return self._book.legs(order)

    def snapshot(self, order: PaperOrder, source: Source) -> OrderEvent:
        """The order as it stands, its legs inside."""
        legs = tuple(leg.event(EventKind.SNAPSHOT, source) for leg in self._book.legs(order))
        return order.event(EventKind.SNAPSHOT, source, legs=legs)

    def listing(self, since_ns: int | None = None) -> list[OrderEvent]:
        """Snapshots of all open orders and, with ``since_ns``, of every order placed or changed after it (source ``listing``).

        With ``since_ns`` the oldest come first, so that a chain of replacements can be followed. Legs are told inside the order they came
        with, or by themselves where that one has ended and is not asked for.
        """
        found = self._book.open()
        if since_ns is not None:
            found = [order for order in self.state.orders if order.is_open or order.updated_ns > since_ns]
        inside = {leg.order_id for order in found for leg in self._book.legs(order)}
        return [self.snapshot(order, Source.LISTING) for order in found if order.order_id not in inside]

    def executions(self, since_ns: int) -> list[OrderEvent]:
        """Fills after this moment, and those taken back after it, in order of time (source ``activity``)."""
        return statement.executions(self.state, self._known, since_ns)

    def mark(self, symbol: str) -> Decimal:
        """The present price of a symbol; zero before its first."""
        return self._floor.mark(symbol)

    def positions(self) -> list[Position]:
        """All positions, at present prices."""
        return statement.positions(self.state.ledger, self._floor.mark)

    def portfolio(self) -> statement.Portfolio:
        """The figures of the whole account, at present prices."""
        return statement.portfolio(self.state, self._funds, self._floor.mark)

    def account(self) -> Account:
        """The account as a broker states it."""
        figures = self.portfolio()
        return Account(
            account_id=self.account_id,
            currency="USD",
            cash=figures.cash,
            equity=figures.equity,
            buying_power=figures.buying_power,
            shorting_enabled=self.shorting,
            last_equity=figures.last_equity,
        )


def _exits(request: OrderRequest) -> list[tuple[Role, OrderRequest]]:
    """The orders that come with this one."""
    if request.order_class is OrderClass.SIMPLE:
        return []
    is_oco = request.order_class is OrderClass.OCO
    side = request.side if is_oco else Side.SELL if request.side is Side.BUY else Side.BUY
    shared: dict[str, Any] = {"qty": request.qty, "time_in_force": request.time_in_force}
    exits: list[tuple[Role, OrderRequest]] = []
    gain, loss = request.take_profit, request.stop_loss
    if gain is not None and not is_oco:
        exits.append((Role.TAKE_PROFIT, LimitOrder(request.symbol, side, limit_price=gain.limit_price, **shared)))
    if loss is not None and loss.limit_price is None:
        exits.append((Role.STOP_LOSS, StopOrder(request.symbol, side, stop_price=loss.stop_price, **shared)))
    elif loss is not None:
        limited = StopLimitOrder(request.symbol, side, stop_price=loss.stop_price, limit_price=loss.limit_price, **shared)
        exits.append((Role.STOP_LOSS, limited))
    return exits


def _changed(order: PaperOrder, terms: ReplaceTerms) -> OrderRequest:
    """The order's request with new terms. Raises Refusal."""
    request = order.request
    if request.notional is not None:
        raise broken_rule("notional orders cannot be replaced")
    changes: dict[str, Any] = {}
    if terms.qty is not None:
        if is_fractional(request) or not is_whole(terms.qty):
            raise bad_field("qty must be integer")
        if order.is_leg and terms.qty != request.qty:
            raise broken_rule("qty of an exit follows its entry")
        if terms.qty <= order.filled_qty:
            raise broken_rule("qty must be > filled_qty", filled_qty=order.filled_qty)
        changes["qty"] = terms.qty
    trail_name = "trail_price" if request.trail_price is not None else "trail_percent"
    for name, value in (("limit_price", terms.limit_price), ("stop_price", terms.stop_price), (trail_name, terms.trail)):
        if value is None:
            continue
        if getattr(request, name) is None:
            raise broken_rule(f"{name} cannot be set on a {request.order_type} order")
        changes[name] = value
    if "limit_price" in changes and request.order_class is OrderClass.OCO and request.take_profit is not None:
        changes["take_profit"] = TakeProfit(terms.limit_price or ZERO)
    if terms.time_in_force is not None:
        changes["time_in_force"] = terms.time_in_force
    try:
        changed = attrs.evolve(request, **changes)
    except ValueError as error:
        raise broken_rule(str(error)) from None
    if changed == request:
        raise forbidden("order parameters are not changed")
    return changed
