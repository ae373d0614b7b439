"""A broker in memory that does as it is told: an honest book, and a fault at whatever step of an exchange a test asks for.

It holds orders, answers look-ups and listings truthfully, and fills nothing by itself. ``faults`` says what happens to the next submits:
an exception raised before the order took effect, or after it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import attrs

from broker_core.clock import Clock
from broker_core.errors import DuplicateOrder, RequestRefused, Unavailable
from broker_core.families import HOOK_API, Client, Feed
from broker_core.hookspecs import hookimpl
from broker_core.models import Account, Capabilities, Channel, Environment, Position, SignedIn, StreamItem, Wish
from broker_core.orders import ZERO, EventKind, Order, OrderEvent, ReplaceTerms, Source, State
from broker_core.requests import OrderClass, OrderRequest, OrderType, Side, TimeInForce

_FLOORS: Mapping[str, State] = {
    "new": State.ACCEPTED,
    "partially_filled": State.PARTIAL_FILL,
    "filled": State.FILLED,
    "canceled": State.CANCELED,
    "rejected": State.REJECTED,
    "expired": State.EXPIRED,
}
EVERYTHING = Capabilities(
    order_types=frozenset(OrderType),
    order_classes=frozenset(OrderClass),
    times_in_force=frozenset(TimeInForce),
    channels=frozenset({Channel.ORDERS}),
    notional=True,
    fractional=True,
    short=True,
    extended_hours=True,
    replace=True,
)


@attrs.define
class HeldOrder:
    """An order as the scripted broker holds it."""

    broker_order_id: str
    client_order_id: str
    request: OrderRequest
    updated_at: datetime
    status: str = "new"
    filled_qty: Decimal = ZERO
    cost: Decimal = ZERO

    @property
    def is_open(self) -> bool:
        """Whether it still works."""
        return not _FLOORS[self.status].is_terminal


@attrs.frozen
class Fault:
    """What goes wrong with one submit: ``error`` is raised, and the order has taken effect or not."""

    error: BaseException
    takes_effect: bool = False


class ScriptedBroker:
    """The plugin, its client and its families in one object. ``name`` is what ``connect`` calls it by."""

    name = "scripted"
    mode = "memory"
    environment = Environment.PAPER
    hook_api = HOOK_API

    def __init__(self, clock: Clock, *, capabilities: Capabilities = EVERYTHING, has_stream: bool = True) -> None:
        self.clock = clock
        self.capabilities = capabilities
        self.held: dict[str, HeldOrder] = {}
        """By client order id."""
        self.sent: list[str] = []
        """The client order id of every submit that reached the broker, also those it refused."""
        self.faults: deque[Fault] = deque()
        self.before_answer: Callable[[HeldOrder], None] | None = None
        """Called after a submit took effect and before it is answered."""
        self.unreachable: bool = False
        """While set, nothing but the stream works."""
        self.calls: list[str] = []
        """Every call in order: ``submit``, ``cancel``, ``find``, ``listing``, …"""
        self.opened = self.closed = 0
        self.positions_held: dict[str, Decimal] = {}
        self.executions: list[OrderEvent] = []
        self.feed = ScriptedOrderFeed(self)
        self.feeds: Sequence[Feed] = (self.feed,) if has_stream else ()

    @hookimpl
    def broker_client(self) -> Client:
        """Offer this object."""
        return self

    @hookimpl
    def broker_orders(self, client: Client) -> ScriptedBroker | None:
        """Offer its orders."""
        return self if client is self else None

    @hookimpl
    def broker_stream(self, client: Client) -> ScriptedBroker | None:
        """Offer its stream, if it has one."""
        return self if client is self and self.feeds else None

    @hookimpl
    def broker_sync(self, client: Client) -> ScriptedBroker | None:
        """Offer its account."""
        return self if client is self else None

    async def open(self) -> Account:
        """Open; counted."""
        self.opened += 1
        return await self.account()

    async def close(self) -> None:
        """Close; counted."""
        self.closed += 1

    async def submit(self, order: Order) -> OrderEvent:
        """Take an order, unless the next fault says otherwise."""
        self._called("submit")
        self.sent.append(order.local_id)
        fault = self.faults.popleft() if self.faults else None
        if fault is not None and not fault.takes_effect:
            raise fault.error
        if order.local_id in self.held:
            raise DuplicateOrder("client_order_id must be unique", status=422, code=40010001)
        held = HeldOrder(f"b{len(self.held) + 1}", order.local_id, order.request, self.clock.now())
        self.held[order.local_id] = held
        if self.before_answer is not None:
            self.before_answer(held)
        if fault is not None:
            raise fault.error
        return self._snapshot(held, Source.ANSWER)

    async def cancel(self, order: Order) -> None:
        """Cancel a working order at once; refuse one that has ended."""
        self._called("cancel")
        held = self.held[order.local_id]
        if not held.is_open:
            raise RequestRefused(f"order is {held.status}", status=422, code=42210000)
        self.move(held.client_order_id, "canceled")

    async def find(self, client_order_id: str) -> OrderEvent | None:
        """Tell what it holds under an id."""
        self._called("find")
        held = self.held.get(client_order_id)
        return None if held is None else self._snapshot(held, Source.LOOKUP)

    async def listing(self, since: datetime | None) -> Sequence[OrderEvent]:
        """Tell everything it holds."""
        self._called("listing")
        return [self._snapshot(held, Source.LISTING) for held in self.held.values() if held.is_open or since is not None]

    async def fills(self, since: datetime) -> Sequence[OrderEvent]:
        """Tell every execution."""
        self._called("fills")
        return [attrs.evolve(event, source=Source.ACTIVITY) for event in self.executions if event.at >= since]

    async def replace(self, order: Order, terms: ReplaceTerms, client_order_id: str) -> OrderEvent:
        """Replace at once: the stream tells it, the answer names the new id."""
        self._called("replace")
        held = self.held[order.local_id]
        if not held.is_open:
            raise RequestRefused(f"order is {held.status}", status=422, code=42210000)
        old_id, held.broker_order_id, held.updated_at = held.broker_order_id, f"{held.broker_order_id}r", self.clock.now()
        changes = {name: value for name, value in attrs.asdict(terms).items() if value is not None}
        held.request = attrs.evolve(held.request, **changes)
        replaced = OrderEvent(
            kind=EventKind.REPLACED,
            source=Source.STREAM,
            at=self.clock.now(),
            client_order_id=order.local_id,
            broker_order_id=old_id,
            replaced_by=held.broker_order_id,
            raw_status="replaced",
        )
        self.feed.say(replaced)
        return attrs.evolve(self._snapshot(held, Source.ANSWER), client_order_id=client_order_id, replaces=old_id)

    async def account(self) -> Account:
        """A little money."""
        self._called("account")
        return Account(account_id="S1", currency="USD", cash=Decimal(1000), equity=Decimal(1000), buying_power=Decimal(1000))

    async def positions(self) -> Sequence[Position]:
        """What the fills made, and what a test put there."""
        self._called("positions")
        return [Position(symbol=symbol, qty=qty, avg_entry_price=Decimal(1)) for symbol, qty in self.positions_held.items() if qty]

    async def open_orders(self) -> Sequence[OrderEvent]:
        """The orders that work."""
        return await self.listing(None)

    def fill(self, client_order_id: str, qty: Decimal | int, price: Decimal | int, *, told: bool = True) -> OrderEvent:
        """Fill an order in part or whole; ``told=False`` keeps it from the stream."""
        held = self.held[client_order_id]
        held.filled_qty += qty
        held.cost += qty * Decimal(price)
        held.status = "filled" if held.request.qty is not None and held.filled_qty >= held.request.qty else "partially_filled"
        held.updated_at = self.clock.now()
        signed = Decimal(qty) if held.request.side is Side.BUY else -Decimal(qty)
        symbol = held.request.symbol
        self.positions_held[symbol] = self.positions_held.get(symbol, ZERO) + signed
        event = attrs.evolve(
            self._snapshot(held, Source.STREAM),
            kind=EventKind.FILL,
            execution_id=f"x{len(self.executions) + 1}",
            qty=Decimal(qty),
            price=Decimal(price),
        )
        self.executions.append(event)
        if told:
            self.feed.say(event)
        return event

    def move(self, client_order_id: str, status: str, *, told: bool = True, reason: str | None = None) -> OrderEvent:
        """Give an order another status; ``told=False`` keeps it from the stream."""
        held = self.held[client_order_id]
        held.status, held.updated_at = status, self.clock.now()
        kinds = {"new": EventKind.ACCEPTED, "canceled": EventKind.CANCELED, "rejected": EventKind.REJECTED, "expired": EventKind.EXPIRED}
        event = attrs.evolve(self._snapshot(held, Source.STREAM), kind=kinds[status], reason=reason)
        if told:
            self.feed.say(event)
        return event

    def place_elsewhere(self, client_order_id: str, request: OrderRequest) -> HeldOrder:
        """An order that reached the broker by another way than through here."""
        held = HeldOrder(f"b{len(self.held) + 1}", client_order_id, request, self.clock.now())
        self.held[client_order_id] = held
        return held

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.unreachable and name != "submit":
            raise Unavailable("the scripted broker is unreachable")

    def _snapshot(self, held: HeldOrder, source: Source) -> OrderEvent:
        return OrderEvent(
            kind=EventKind.SNAPSHOT,
            source=source,
            at=held.updated_at,
            status=_FLOORS[held.status],
            raw_status=held.status,
            client_order_id=held.client_order_id,
            broker_order_id=held.broker_order_id,
            filled_qty=held.filled_qty,
            filled_avg_price=held.cost / held.filled_qty if held.filled_qty else None,
            request=held.request,
        )


class ScriptedOrderFeed:
    """The broker's order stream. ``drop`` ends the present connection; what is said while nobody listens is lost, as it is in life."""

    name = "trading"
    channels = frozenset({Channel.ORDERS})

    def __init__(self, broker: ScriptedBroker) -> None:
        self._broker = broker
        self._connections: set[asyncio.Queue[OrderEvent | Exception]] = set()
        self.connections = 0
        self.refusing: Exception | None = None
        """Raised instead of a sign-in, while set."""

    def want(self, wish: Wish) -> None:
        """There is nothing to choose."""

    async def connect(self) -> AsyncIterator[Sequence[StreamItem]]:
        """One connection."""
        if self.refusing is not None:
            raise self.refusing
        queue: asyncio.Queue[OrderEvent | Exception] = asyncio.Queue()
        self._connections.add(queue)
        self.connections += 1
        try:
            yield [SignedIn()]
            while True:
                item = await queue.get()
                if isinstance(item, Exception):
                    raise item
                yield [item]
        finally:
            self._connections.discard(queue)

    async def probe(self) -> bool:
        """It is always well."""
        return True

    def say(self, event: OrderEvent) -> None:
        """Tell whoever is connected."""
        for queue in self._connections:
            queue.put_nowait(event)

    def drop(self) -> None:
        """End every present connection."""
        for queue in self._connections:
            queue.put_nowait(Unavailable("the scripted broker dropped the connection"))
