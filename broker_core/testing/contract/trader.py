"""A hand that trades in a session: what the tests have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NoReturn

import attrs
import pytest

from broker_core.account_sync import AccountSync
from broker_core.errors import NotSupported, RequestRefused
from broker_core.families import Orders
from broker_core.market_data import MarketData
from broker_core.models import Capabilities, Channel
from broker_core.order_manager import OrderManager
from broker_core.orders import Order, OrderChange, OrderEvent, ReplaceTerms, State
from broker_core.requests import (
    Amount,
    LimitOrder,
    MarketOrder,
    OrderClass,
    OrderRequest,
    OrderType,
    Side,
    StopLimitOrder,
    StopOrder,
    TimeInForce,
    TrailingStopOrder,
)
from broker_core.session import Session
from broker_core.streaming import Streaming
from broker_core.testing.contract.laws import check_history
from broker_core.testing.contract.subject import Subject
from broker_core.timeframe import Unit

_TURNS = 10
_TURN, _STEP = 0.01, 0.5


def skip(reason: str) -> NoReturn:
    """Skip the test, for the lack of a declared capability or of something that the subject leaves out."""
    pytest.skip(reason)


def declares(can: Capabilities, what: object) -> bool:
    """Whether this is among the capabilities: a member of an enum, or the name of a flag."""
    kinds: list[tuple[type, frozenset[Any]]] = [
        (OrderType, can.order_types),
        (OrderClass, can.order_classes),
        (TimeInForce, can.times_in_force),
        (Channel, can.channels),
        (Unit, can.timeframes),
    ]
    for kind, declared in kinds:
        if isinstance(what, kind):
            return what in declared
    return bool(getattr(can, str(what)))


class Trader:
    """The subject and one open session."""

    def __init__(self, subject: Subject, session: Session) -> None:
        self.subject = subject
        self.session = session

    # What the broker has

    def can(self, what: object) -> bool:
        """Whether the broker declares this."""
        return declares(self.session.capabilities, what)

    def needs(self, *what: object) -> None:
        """Skip unless the broker declares all of this."""
        for one in what:
            if not self.can(one):
                kind = "capability" if type(one) is str else type(one).__name__
                skip(f"{self.session.connection.broker} does not declare {kind} {one}")

    def given(self, hook: str) -> Any:
        """What the subject gives under this name; skip where it is None."""
        value = getattr(self.subject, hook)
        if value is None:
            skip(f"the subject leaves out {hook}")
        return value

    @property
    def orders(self) -> OrderManager:
        """The session's orders; skip where the broker takes none."""
        return self._offered("orders")  # type: ignore[no-any-return]

    @property
    def sync(self) -> AccountSync:
        """The account reads; skip where the broker offers none."""
        return self._offered("sync")  # type: ignore[no-any-return]

    @property
    def stream(self) -> Streaming:
        """The stream; skip where the broker has none."""
        return self._offered("stream")  # type: ignore[no-any-return]

    @property
    def market_data(self) -> MarketData:
        """The market data; skip where there is none."""
        return self._offered("market_data")  # type: ignore[no-any-return]

    @property
    def family(self) -> Orders:
        """The broker's own orders family, below the session."""
        return self.orders._orders  # the session hides it from hosts, and it is what this package tests

    def _offered(self, family: str) -> Any:
        try:
            return getattr(self.session, family)
        except NotSupported as error:
            skip(str(error))

    # Time

    async def until(self, condition: Callable[[], object], what: str = "", *, step: float = _STEP) -> None:
        """Let time pass until ``condition`` holds. Raises AssertionError after ``lots_of_time``."""
        passed, turns = 0.0, 0
        while not condition():
            assert passed < self.subject.lots_of_time, f"not within {passed:g} s of the market: {what or 'what was waited for'}"
            pause = _TURN if turns < _TURNS else step
            turns += 1
            passed += pause
            await self.subject.pass_time(pause)

    async def settled(self) -> None:
        """Let everything happen that needs next to no time."""
        for _ in range(_TURNS // 2):
            await self.subject.pass_time(_TURN)

    # Orders

    async def price(self, symbol: str | None = None) -> Decimal:
        """About what the symbol costs."""
        return await self.subject.price(self.session, symbol or self.subject.symbol)

    async def request(
        self,
        order_type: OrderType = OrderType.MARKET,
        side: Side = Side.BUY,
        *,
        at_once: bool = False,
        symbol: str | None = None,
        qty: Amount | None = None,
        **terms: Any,
    ) -> OrderRequest:
        """A request of this type that is filled ``at_once``, or rests; a market order does only the one. Terms may be added."""
        subject = self.subject
        symbol = symbol or subject.symbol
        if "notional" not in terms:
            terms["qty"] = subject.qty if qty is None else qty
        terms.setdefault("time_in_force", self.day)
        if order_type is OrderType.MARKET:
            return MarketOrder(symbol, side, **terms)
        price = await self.price(symbol)
        limit = subject.near(side, price) if at_once else subject.far(side, price)
        stop = subject.reached_stop(side, price) if at_once else subject.far_stop(side, price)
        if order_type is OrderType.LIMIT:
            return LimitOrder(symbol, side, **{"limit_price": limit, **terms})
        if order_type is OrderType.STOP:
            return StopOrder(symbol, side, **{"stop_price": stop, **terms})
        if order_type is OrderType.STOP_LIMIT:
            # Beyond the stop, so that it is filled where the stop is reached.
            beyond = limit if at_once else subject.near(side, stop)
            return StopLimitOrder(symbol, side, **{"stop_price": stop, "limit_price": beyond, **terms})
        trail = subject.tick if at_once else subject.rounded(price / 4)
        return TrailingStopOrder(symbol, side, **{"trail_price": trail, **terms})

    @property
    def day(self) -> TimeInForce:
        """The time in force that the tests use where it does not matter."""
        return TimeInForce.DAY if self.can(TimeInForce.DAY) else min(self.session.capabilities.times_in_force)

    async def submit(self, request: OrderRequest) -> Order:
        """Send it."""
        return await self.orders.submit(request)

    async def resting(self, side: Side = Side.BUY, *, order_type: OrderType = OrderType.LIMIT, **terms: Any) -> Order:
        """Send an order that rests, and wait until the broker has it."""
        self.needs(order_type)
        order = await self.submit(await self.request(order_type, side, **terms))
        await self.until(lambda: self.now(order).broker_ids, "the broker's id of an order")
        assert self.now(order).state is State.ACCEPTED, self.now(order)
        return self.now(order)

    async def bought(self, qty: Amount | None = None, symbol: str | None = None, side: Side = Side.BUY) -> Order:
        """Trade at the market, and wait for the end."""
        self.needs(OrderType.MARKET)
        order = await self.end_of(await self.submit(await self.request(OrderType.MARKET, side, qty=qty, symbol=symbol)))
        assert order.state is State.FILLED, order
        return order

    async def sold(self, qty: Amount | None = None, symbol: str | None = None) -> Order:
        """Sell at the market, and wait for the end."""
        return await self.bought(qty, symbol, Side.SELL)

    async def ready_to(self, side: Side, *, factor: int = 1, symbol: str | None = None) -> None:
        """Before a sale: come to hold enough shares."""
        if side is Side.SELL:
            await self.bought(self.subject.qty * factor, symbol)

    def now(self, order: Order | str) -> Order:
        """The order as it stands."""
        found = self.orders.get(order if isinstance(order, str) else order.local_id)
        assert found is not None
        return found

    async def end_of(self, order: Order) -> Order:
        """Wait until it has ended, and hold its history against the lifecycle."""
        await self.until(lambda: self.now(order).is_terminal, f"the end of {order}")
        # What follows the last fill in the same breath is part of the story.
        await self.subject.pass_time(0)
        await self.check(order)
        return self.now(order)

    async def ended(self, order: Order) -> Order:
        """Cancel it where it still works, and wait for the end."""
        if not self.now(order).is_terminal:
            try:
                await self.orders.cancel(order)
            except RequestRefused:
                # It ended in the meantime, or with another of its group.
                await self.settled()
        return await self.end_of(order)

    async def replaced(self, order: Order, terms: ReplaceTerms) -> Order:
        """Give it new terms, and wait until the broker has said that they count."""
        await self.orders.replace(order, terms)
        await self.until(lambda: self.now(order).replacement is None, "the broker's word on a replacement")
        return self.now(order)

    async def check(self, order: Order) -> Sequence[OrderChange]:
        """Hold its history against the lifecycle, and return it."""
        changes = await self.orders.history(order.local_id)
        check_history(changes)
        assert changes[-1].order.state is self.now(order).state
        assert changes[-1].order.filled_qty == self.now(order).filled_qty
        return changes

    async def at_broker(self, order: Order) -> OrderEvent | None:
        """What the broker says of it."""
        return await self.family.find(order.local_id)

    async def open_at_broker(self) -> set[str]:
        """The client order ids of the orders that the broker works on, exits included."""
        found: set[str] = set()
        waiting = list(await self.family.listing(None))
        while waiting:
            event = waiting.pop()
            waiting += event.legs
            is_open = event.status is None or not event.status.is_terminal
            if is_open and event.client_order_id is not None:
                found.add(event.client_order_id)
        return found

    def exits(self, order: Order) -> list[Order]:
        """The orders that came with this one, as they stand."""
        return [other for other in self.orders.book.orders() if other.parent_id == order.local_id]


@attrs.define
class Heard:
    """A callback that keeps what it was called with."""

    items: list[Any] = attrs.field(factory=list)

    def __call__(self, item: Any) -> None:
        """Keep it."""
        self.items.append(item)

    def __len__(self) -> int:
        return len(self.items)
