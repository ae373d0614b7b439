"""All orders of a session, and the one entrance through which news changes them.

One lock per order is held around "apply, write, tell", so nobody sees Filled before Accepted, however slow an observer is. News finds its
order by our own id first, which was registered before anything was sent, then by the broker's; news that finds none is held for a
few seconds, because the answer that explains it may be on its way, and then adopted as an order placed elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from decimal import Decimal

import attrs

from broker_core import lifecycle
from broker_core.clock import Clock, IdFactory
from broker_core.findings import Findings
from broker_core.lifecycle import Rule, Step
from broker_core.order_log import OrderLog
from broker_core.orders import ZERO, Order, OrderChange, OrderEvent, State
from broker_core.requests import OrderClass, Side

log = logging.getLogger(__name__)


class OrderBook:
    """The orders, their ids, and the entrance. ``changed`` is awaited with every accepted change, after it was written."""

    def __init__(
        self,
        order_log: OrderLog,
        *,
        clock: Clock,
        ids: IdFactory,
        findings: Findings,
        changed: Callable[[OrderChange], Awaitable[None]],
        hold: float = 5.0,
    ) -> None:
        self._log = order_log
        self._clock = clock
        self._ids = ids
        self._findings = findings
        self._changed = changed
        self._hold = hold
        self._orders: dict[str, Order] = {}
        self._by_client_id: dict[str, str] = {}
        self._by_broker_id: dict[str, str] = {}
        self._client_ids: dict[str, list[str]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._held: dict[str, list[OrderEvent]] = {}
        self._holding: set[asyncio.Task[None]] = set()
        self._moved: dict[str, asyncio.Event] = {}
        self._told_illegal: set[tuple[str, State, State | None]] = set()
        self.net_filled: dict[str, Decimal] = {}
        """What this session has seen filled, by symbol: bought less sold."""
        self.counts: Counter[str] = Counter()
        """How much news was ``accepted``, ``repeated``, ``unchanged``, ``illegal``, ``held``, ``adopted``."""

    def get(self, local_id: str) -> Order | None:
        """The order as it stands."""
        return self._orders.get(local_id)

    def orders(self) -> list[Order]:
        """Every order of the book, in the order they came to it."""
        return list(self._orders.values())

    def active(self) -> list[Order]:
        """The orders that have not ended."""
        return [order for order in self._orders.values() if not order.is_terminal]

    def find(self, event: OrderEvent) -> str | None:
        """The local id of the order that a piece of news is about."""
        if event.client_order_id is not None and event.client_order_id in self._by_client_id:
            return self._by_client_id[event.client_order_id]
        for broker_id in (event.broker_order_id, event.replaces, event.replaced_by):
            if broker_id is not None and broker_id in self._by_broker_id:
                return self._by_broker_id[broker_id]
        return None

    def restore(self, changes: Sequence[OrderChange]) -> Order:
        """Put an order back as its written changes made it. Raises ValueError where they cannot have made one."""
        order = lifecycle.replay(changes)
        self._orders[order.local_id] = order
        for change in changes:
            self._index(order, change.event)
        return order

    def name(self, client_order_id: str, local_id: str) -> None:
        """Let news under an id of ours find the order: its own, or a replacement's."""
        if client_order_id not in self._by_client_id:
            self._by_client_id[client_order_id] = local_id
            self._client_ids.setdefault(local_id, []).append(client_order_id)

    def names(self, local_id: str) -> tuple[str, ...]:
        """Every id of ours under which the broker may hold the order, the first one first."""
        return tuple(self._client_ids.get(local_id, ()))

    async def add(self, order: Order, event: OrderEvent) -> Order:
        """Enter an order of our own, committed before it is. Raises StorageError: then there is no such order."""
        change = OrderChange(order=order, event=event, previous=None, rule=Rule.NORMAL.value)
        await self._log.intend(change)
        self._index(order, event)
        await self._accept(change)
        return order

    async def intend(self, local_id: str, event: OrderEvent) -> Order:
        """Record what we are about to do to an order. Raises StorageError: then it must not be done."""
        async with self._lock(local_id):
            step = lifecycle.apply(self._orders[local_id], event)
            if step.changed:
                change = self._change(self._orders[local_id], event, step)
                await self._log.intend(change)
                await self._accept(change)
            return step.order

    async def receive(self, event: OrderEvent) -> Order | None:
        """Take news from the broker. None when it is held because no order is known to be its subject."""
        local_id = self.find(event)
        if local_id is None:
            self._keep(event)
            return None
        order = await self._apply(local_id, event)
        for leg in event.legs:
            await self._receive_leg(order, leg)
        return order

    async def adopt(self, event: OrderEvent, parent_id: str | None = None) -> Order | None:
        """Take an order that the broker holds and we did not place, or the news about one we know. None when it cannot be adopted."""
        if self.find(event) is not None:
            return await self.receive(event)
        local_id = event.client_order_id or self._ids()
        async with self._lock(local_id):
            if self.find(event) is None and not await self._bear(local_id, event, parent_id):
                return None
        for leg in event.legs:
            await self._receive_leg(self._orders[local_id], leg)
        await self.release(self._orders[local_id])
        return self._orders[local_id]

    async def _bear(self, local_id: str, event: OrderEvent, parent_id: str | None) -> bool:
        try:
            step = lifecycle.adopt(local_id, event, parent_id)
        except ValueError as error:
            subject = event.broker_order_id or local_id
            self._findings.warning(subject, f"order {subject}, placed elsewhere, cannot be adopted: {error}")
            return False
        self.counts["adopted"] += 1
        self._index(step.order, event)
        change = attrs.evolve(self._change(step.order, event, step), previous=None)
        await self._log.observe([change])
        await self._accept(change)
        return True

    async def wait(self, local_id: str) -> Order:
        """Wait for the order's next change."""
        moved = self._moved.setdefault(local_id, asyncio.Event())
        await moved.wait()
        return self._orders[local_id]

    async def close(self) -> None:
        """Stop waiting for the subjects of held news."""
        for task in self._holding:
            task.cancel()
        await asyncio.gather(*self._holding, return_exceptions=True)

    async def _apply(self, local_id: str, event: OrderEvent) -> Order:
        async with self._lock(local_id):
            before = self._orders[local_id]
            step = lifecycle.apply(before, event)
            self._index(step.order, event)
            if step.changed:
                change = self._change(before, event, step)
                await self._log.observe([change])
                await self._accept(change)
            else:
                self._orders[local_id] = step.order
                self._count(before, event, step)
            return step.order

    def _count(self, order: Order, event: OrderEvent, step: Step) -> None:
        self.counts["repeated" if step.repeated else "illegal" if step.rule is Rule.ILLEGAL else "unchanged"] += 1
        sign = (order.local_id, order.state, event.status)
        if step.rule is Rule.ILLEGAL and sign not in self._told_illegal:
            self._told_illegal.add(sign)
            log.info("order %s is %s; news of %s from %s changes nothing", order.local_id, order.state, event.status, event.source)

    async def _accept(self, change: OrderChange) -> None:
        """Make a written change the present one, then tell."""
        order = change.order
        before = self._orders.get(order.local_id)
        self._orders[order.local_id] = order
        self.counts["accepted"] += 1
        filled = order.filled_qty - (before.filled_qty if before is not None else ZERO)
        # The legs of a multi-leg order are orders of their own; the whole is no holding of anything.
        if filled and order.request.order_class is not OrderClass.MLEG:
            signed = filled if order.side is Side.BUY else -filled
            self.net_filled[order.symbol] = self.net_filled.get(order.symbol, ZERO) + signed
        if change.finding is not None:
            self._findings.critical(order.symbol, change.finding)
        await self._changed(change)
        moved = self._moved.pop(order.local_id, None)
        if moved is not None:
            moved.set()

    def _change(self, before: Order, event: OrderEvent, step: Step) -> OrderChange:
        return OrderChange(
            order=step.order, event=event, previous=before.state, rule=step.rule.value, booked=step.booked, finding=step.finding
        )

    def _index(self, order: Order, event: OrderEvent) -> None:
        self.name(order.local_id, order.local_id)
        if event.client_order_id is not None:
            self.name(event.client_order_id, order.local_id)
        for broker_id in order.broker_ids:
            self._by_broker_id.setdefault(broker_id, order.local_id)

    async def _receive_leg(self, parent: Order, leg: OrderEvent) -> None:
        if self.find(leg) is None:
            await self.adopt(leg, parent.local_id)
        else:
            await self.receive(leg)

    def _keep(self, event: OrderEvent) -> None:
        """Hold news without a subject; when its time is up and there still is none, it is somebody else's order."""
        self.counts["held"] += 1
        key = event.broker_order_id or event.client_order_id or ""
        held = self._held.setdefault(key, [])
        held.append(event)
        if len(held) == 1:
            task = asyncio.get_running_loop().create_task(self._adopt_later(key), name=f"hold {key}")
            self._holding.add(task)
            task.add_done_callback(self._holding.discard)

    async def _adopt_later(self, key: str) -> None:
        await self._clock.sleep(self._hold)
        held = self._held.pop(key, [])
        for event in _terms_first(held):
            await self.adopt(event)

    async def release(self, order: Order) -> None:
        """Hand an order the news that was held under the ids it has learned."""
        for key in (*order.broker_ids, order.local_id):
            for held in self._held.pop(key, []):
                await self.receive(held)

    def _lock(self, local_id: str) -> asyncio.Lock:
        lock = self._locks.get(local_id)
        if lock is None:
            lock = self._locks[local_id] = asyncio.Lock()
        return lock


def _terms_first(events: Iterable[OrderEvent]) -> list[OrderEvent]:
    """The same news, beginning with a piece that carries the terms an adoption needs."""
    return sorted(events, key=lambda event: event.request is None)
