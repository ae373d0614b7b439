"""The trading floor: lets time pass, has open orders meet ticks and bells, and tells what becomes of them.

Ticks and bells happen in order of time; at one moment bells come first. Open orders in a tick's symbol meet it in the order they were
placed, and share the size it displays; what is left over waits for the next tick. An order placed between two ticks meets what is
left of the standing one. All of it happens at the time of the tick or the placement, not of the call, so it makes no difference how often
the floor is asked to go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from heapq import merge

import attrs

from broker_core.orders import ZERO, EventKind, OrderEvent
from broker_core.requests import OrderRequest, TimeInForce
from broker_demo import assets
from broker_demo.account import AccountState, Depth, EquityPoint
from broker_demo.funds import NOTHING_TO_CLOSE, SHORT_OF_MONEY, Funds, reserve_price
from broker_demo.ledger import Fill
from broker_demo.matching import AT_ONCE, Quote, exact, execution_price, fillable, is_triggered
from broker_demo.order_book import OrderBook
from broker_demo.paper_order import PaperOrder, Role, Status
from broker_demo.prices import Prices, Tick
from broker_demo.schedule import Bell, Bells, Schedule
from broker_demo.statement import portfolio
from broker_demo.trading_hours import NEVER_NS

TicksOf = Callable[[str, int, int], Iterator[Tick]]
"""The ticks of a symbol after one moment and no later than another."""


class Floor:
    """The open orders of one account. ``tell`` is handed every event as it happens."""

    def __init__(self, prices: Prices, state: AccountState, tell: Callable[[OrderEvent], None]) -> None:
        self.prices = prices
        self.state = state
        self.book = OrderBook(state.orders)
        self.funds = Funds(state.ledger, self.book, self.mark)
        self.schedule = Schedule(prices.hours)
        self.tell = tell
        self._quiet_until_ns = 0
        """Before this moment no symbol with open orders has a tick that was not met."""
        self._bells = Bells()
        self._bells.set(prices.hours.next_close(state.now_ns), Bell.CLOSE)
        for order in self.book.open():
            self._set_bells(order)

    # Prices

    def quote(self, symbol: str) -> Quote | None:
        """The latest quote; None before the first."""
        tick = self.prices.tick(symbol, self.state.now_ns)
        return None if tick is None else exact(tick)

    def mark(self, symbol: str) -> Decimal:
        """The price at which positions are valued: the last trade's."""
        quote = self.quote(symbol)
        return ZERO if quote is None else quote.price

    def _standing(self, symbol: str, at_ns: int) -> Quote | None:
        """The quote an order meets at this moment; no session begins with the quote that ended the one before."""
        tick = self.prices.tick(symbol, at_ns)
        if tick is None or tick.timestamp_ns < self.schedule.at(at_ns).start_ns:
            return None
        return exact(tick)

    # Time

    def advance(self, now_ns: int, ticks: TicksOf) -> None:
        """Let everything up to this moment happen. A moment that has passed already changes nothing."""
        if now_ns < self.state.now_ns:
            return
        self._match_unmatched()
        if now_ns >= min(self._quiet_until_ns, self._bells.next_ns):
            self._meet_ticks(now_ns, ticks)
        self.state.now_ns = now_ns

    def _meet_ticks(self, now_ns: int, ticks: TicksOf) -> None:
        def while_open(symbol: str) -> Iterator[tuple[Tick, str]]:
            for tick in ticks(symbol, self.state.now_ns, now_ns):
                if not self.book.open_in(symbol):
                    return
                yield tick, symbol

        streams = [while_open(symbol) for symbol in self.book.open_symbols()]
        for tick, symbol in merge(*streams, key=lambda pair: pair[0].timestamp_ns):
            self._ring(tick.timestamp_ns)
            self.state.now_ns = tick.timestamp_ns
            self._meet_all(symbol, tick)
        self._ring(now_ns)
        self.state.now_ns = now_ns
        self._quiet_until_ns = self._first_tick_ns()

    def _first_tick_ns(self) -> int:
        return min((self._next_tick_ns(symbol, self.state.now_ns) for symbol in self.book.open_symbols()), default=NEVER_NS)

    def _next_tick_ns(self, symbol: str, after_ns: int) -> int:
        following = self.prices.next_tick_ns(symbol, after_ns)
        return NEVER_NS if following is None else following

    def next_moment(self) -> int:
        """The next moment at which something may happen by itself; the present one while an order waits to be matched."""
        if self.state.unmatched:
            return self.state.now_ns
        # Asked after every order, so the symbols with open orders are not gone through each time.
        if self._quiet_until_ns <= self.state.now_ns:
            self._quiet_until_ns = self._first_tick_ns()
        return self._bells.next_ns if self.book.is_quiet else min(self._bells.next_ns, self._quiet_until_ns)

    def _ring(self, until_ns: int) -> None:
        while self._bells.next_ns <= until_ns:
            self.state.now_ns, bell, order_id = self._bells.ring()
            order = self.book.get(order_id)
            if bell is Bell.CLOSE:
                self.state.closes.append(EquityPoint(self.state.now_ns, portfolio(self.state, self.funds, self.mark).equity))
                self._bells.set(self.prices.hours.next_close(self.state.now_ns), Bell.CLOSE)
            elif order is not None and order.is_open:
                if bell is Bell.OPEN:
                    self._begin(order)
                elif order.cancels_ns == self.state.now_ns:
                    self.end(order, Status.CANCELED, origin="user")
                elif order.expires_ns == self.state.now_ns:
                    self._expire(order)

    def _set_bells(self, order: PaperOrder) -> None:
        if order.works_from_ns > self.state.now_ns:
            self._bells.set(order.works_from_ns, Bell.OPEN, order.order_id)
        if order.expires_ns is not None:
            self._bells.set(order.expires_ns, Bell.END, order.order_id)
        if order.cancels_ns is not None:
            self._bells.set(order.cancels_ns, Bell.END, order.order_id)

    def _begin(self, order: PaperOrder) -> None:
        if order.status is Status.ACCEPTED:
            order.status, order.updated_ns = Status.NEW, self.state.now_ns
            self.tell(order.event(EventKind.ACCEPTED))

    def _expire(self, order: PaperOrder) -> None:
        if order.request.time_in_force is TimeInForce.DAY:
            self.end(order, Status.EXPIRED)
            return
        if order.request.time_in_force is TimeInForce.CLS:
            quote = self._standing(order.symbol, self.state.now_ns - 1)
            if quote is not None:
                self._meet(order, quote)
        if order.is_open:
            self.end(order, Status.CANCELED, reason="the session ended before the rest could trade")

    # Orders come and go

    def place(self, order: PaperOrder) -> None:
        """Enter an order that was taken at this moment, and tell of it. It is matched when time goes on."""
        self._enter(order)
        self.state.unmatched.append(order.order_id)
        self.tell(order.event(EventKind.ACCEPTED))

    def _enter(self, order: PaperOrder) -> None:
        self.state.orders.append(order)
        self.book.add(order)
        self._quiet_until_ns = min(self._quiet_until_ns, self._next_tick_ns(order.symbol, self.state.now_ns))
        self._set_bells(order)

    def end(self, order: PaperOrder, status: Status, *, reason: str | None = None, origin: str | None = None) -> None:
        """End an open order. Where it was cancelled or rejected, the rest of its group goes with it."""
        order.end(status, self.state.now_ns, reason)
        self.book.retire(order)
        kind = {Status.CANCELED: EventKind.CANCELED, Status.EXPIRED: EventKind.EXPIRED, Status.REJECTED: EventKind.REJECTED}[status]
        self.tell(order.event(kind, origin=origin))
        if status is not Status.EXPIRED:
            for other in self.book.companions(order):
                if other.is_open:
                    self.end(other, Status.CANCELED, reason="another order of its group has ended", origin=origin)

    def end_later(self, order: PaperOrder, delay_ns: int) -> None:
        """Have an open order cancelled when this much time has gone by; until then it is at work, and its status says so."""
        order.status, order.updated_ns, order.cancels_ns = Status.PENDING_CANCEL, self.state.now_ns, self.state.now_ns + delay_ns
        self._bells.set(order.cancels_ns, Bell.END, order.order_id)

    def successor(self, old: PaperOrder, request: OrderRequest, client_order_id: str | None = None) -> PaperOrder:
        """The order that would carry on from ``old`` with these terms; nothing has happened yet."""
        quote = self.quote(old.symbol)
        new = attrs.evolve(
            old,
            order_id=self.state.ids(),
            client_order_id=client_order_id or self.state.ids(),
            request=request,
            updated_ns=self.state.now_ns,
            submitted_ns=self.state.now_ns,
            replaces=old.order_id,
            reserve_price=old.reserve_price if quote is None else reserve_price(request, quote),
        )
        terms = (request.stop_price, request.trail_price, request.trail_percent)
        if terms != (old.request.stop_price, old.request.trail_price, old.request.trail_percent):
            new.triggered = False
        if request.time_in_force is not old.request.time_in_force:
            new.works_from_ns, new.expires_ns = self.schedule.span(request, self.state.now_ns)
            if new.works_from_ns > self.state.now_ns and new.status is Status.NEW:
                new.status = Status.ACCEPTED
        return new

    def supersede(self, old: PaperOrder, new: PaperOrder) -> None:
        """Put the successor in the place of an open order."""
        old.replaced_by = new.order_id
        old.end(Status.REPLACED, self.state.now_ns)
        self.book.retire(old)
        self._enter(new)
        self.tell(old.event(EventKind.REPLACED))
        self.tell(new.event(EventKind.ACCEPTED))

    def resize(self, order: PaperOrder, qty: Decimal | None, time_in_force: TimeInForce) -> PaperOrder:
        """The exit itself where it fits what has become of the rest of its group, else the one that replaces it."""
        request = attrs.evolve(order.request, qty=qty, time_in_force=time_in_force)
        if request == order.request:
            return order
        new = self.successor(order, request)
        self.supersede(order, new)
        return new

    # Orders meet ticks

    def _match_unmatched(self) -> None:
        order_ids, self.state.unmatched = self.state.unmatched, []
        for order_id in order_ids:
            order = self.book.get(order_id)
            if order is not None and self._may_trade(order):
                quote = self._standing(order.symbol, self.state.now_ns)
                if quote is not None:
                    self._meet(order, quote)

    def _meet_all(self, symbol: str, tick: Tick) -> None:
        quote = exact(tick)
        # Exits that come alive here wait for the next tick.
        for order in [order for order in self.book.open_in(symbol) if self._may_trade(order)]:
            if order.is_open:
                self._meet(order, quote)

    def _may_trade(self, order: PaperOrder) -> bool:
        now_ns = self.state.now_ns
        if not order.is_open or order.waiting or order.works_from_ns > now_ns or order.request.time_in_force is TimeInForce.CLS:
            return False
        return order.request.extended_hours or self.schedule.at(now_ns).is_open

    def _meet(self, order: PaperOrder, quote: Quote) -> None:
        if order.symbol == assets.REJECT:
            self.end(order, Status.REJECTED, reason=f"{order.symbol} rejects every order")
            return
        if is_triggered(order, quote.price):
            price = execution_price(order.request, quote)
            if price is not None:
                self._trade(order, price, quote)
        if order.is_open and order.request.time_in_force in AT_ONCE:
            self.end(order, Status.CANCELED, reason="the rest could not trade at once")

    def _trade(self, order: PaperOrder, price: Decimal, quote: Quote) -> None:
        depth = self._depth(order.symbol, quote)
        qty = fillable(order, price, depth.left(order.side))
        allowed = self.funds.allowed(order, qty, quote)
        if allowed < qty and order.request.time_in_force is TimeInForce.FOK:
            allowed = ZERO
        if allowed:
            depth.take(order.side, allowed)
            self._fill(order, allowed, price)
        if allowed < qty and order.is_open:
            self.end(order, Status.CANCELED, reason=SHORT_OF_MONEY if order.opens else NOTHING_TO_CLOSE)

    def _depth(self, symbol: str, quote: Quote) -> Depth:
        depth = self.state.depths.get(symbol)
        if depth is None or depth.at_ns != quote.at_ns:
            depth = self.state.depths[symbol] = Depth(quote.at_ns, quote.bid_size, quote.ask_size)
        return depth

    def _fill(self, order: PaperOrder, qty: Decimal, price: Decimal) -> None:
        order.book(qty, price, self.state.now_ns)
        self.book.claim(order)
        fill = Fill(
            execution_id=self.state.ids(),
            order_id=order.order_id,
            symbol=order.symbol,
            side=order.side,
            qty=qty,
            price=price,
            at_ns=self.state.now_ns,
            filled_qty=order.filled_qty,
            filled_avg_price=order.filled_avg_price or price,
        )
        self.state.ledger.book(fill)
        if order.remaining(price):
            if order.status is not Status.PENDING_CANCEL:
                order.status = Status.PARTIALLY_FILLED
        else:
            order.end(Status.FILLED, self.state.now_ns)
            self.book.retire(order)
        self.tell(order.event(EventKind.FILL, execution_id=fill.execution_id, qty=qty, price=price))
        if order.role is Role.ENTRY:
            if not order.is_open:
                self._activate_exits(order)
        else:
            self._follow(order)

    def _activate_exits(self, entry: PaperOrder) -> None:
        for leg in self.book.companions(entry):
            leg.waiting = False
        for leg in self.book.companions(entry):
            # Part of the entry's shares may have been closed by other orders while the rest was still to come.
            free = self.funds.held(leg.symbol, leg.side) - self.funds.claimed_qty(leg.symbol, leg.side, without=leg)
            if free <= 0:
                self.end(leg, Status.CANCELED, reason=NOTHING_TO_CLOSE)
                return
            fitting = self.resize(leg, min(leg.claimed_qty, free), leg.request.time_in_force)
            if fitting.role is Role.TAKE_PROFIT or self.book.sibling(fitting) is None:
                fitting.status, fitting.updated_ns = Status.NEW, self.state.now_ns
                self.tell(fitting.event(EventKind.ACCEPTED))

    def _follow(self, exit_order: PaperOrder) -> None:
        """Have the other exit follow one that was filled."""
        other = self.book.sibling(exit_order)
        if other is None:
            return
        if exit_order.is_open:
            self.resize(other, other.filled_qty + exit_order.claimed_qty, other.request.time_in_force)
        else:
            self.end(other, Status.CANCELED, reason="the other exit was filled")
