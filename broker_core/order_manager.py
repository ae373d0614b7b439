"""``session.orders``: an order from the host's call to its end.

What a host may rely on:

- ``submit`` raises what proves that there is no order (refused, vetoed, not reachable, not recorded), and otherwise returns it: also when
  it is in doubt, because then the one thing a host must not do is send it again.
- Cancelling the task that awaits ``submit`` stops the waiting, not the exchange with the broker.
- Every change is committed before anybody is told of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import attrs

from broker_core import lifecycle
from broker_core.backoff import Backoff
from broker_core.clock import Clock, IdFactory, within
from broker_core.errors import (
    BrokerError,
    IllegalTransition,
    NotSupported,
    OrderVetoed,
    RemoteError,
    RequestRefused,
)
from broker_core.families import Orders
from broker_core.findings import Findings
from broker_core.gate import Gate
from broker_core.inbox import Inbox
from broker_core.models import Capabilities
from broker_core.order_book import OrderBook
from broker_core.order_log import OrderLog
from broker_core.orders import EventKind, Order, OrderChange, OrderEvent, ReplaceTerms, Source, State
from broker_core.reconcile import Reconciler
from broker_core.requests import OrderRequest
from broker_core.submission import OrderPolicy, Submission
from broker_core.subscriptions import CallbackTask, Subscription, Updates

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_LONGEST_ID = 48
_CLOSING = 1.0
"""Seconds that exchanges under way are given when the session closes."""
_IN_FLIGHT = 10_000
"""How many pieces of news may be on their way into the book before the stream is made to wait."""


class OrderManager:
    """The orders of one session. Made by the session; a host finds it as ``session.orders``."""

    def __init__(
        self,
        orders: Orders,
        order_log: OrderLog,
        *,
        clock: Clock,
        ids: IdFactory,
        backoff: Backoff,
        capabilities: Capabilities,
        policy: OrderPolicy,
        findings: Findings,
        gate: Gate,
        vetoes: Callable[[OrderRequest], Awaitable[Sequence[tuple[str, str]]]],
        changed: Callable[[OrderChange], Awaitable[None]],
        stream_healthy: Callable[[], bool],
    ) -> None:
        self._orders = orders
        self._log = order_log
        self._clock = clock
        self._ids = ids
        self._capabilities = capabilities
        self._policy = policy
        self._findings = findings
        self._gate = gate
        self._vetoes = vetoes
        self._changed = changed
        self._inboxes: list[Inbox[OrderChange]] = []
        self._callbacks: list[CallbackTask[OrderChange]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self.book = OrderBook(order_log, clock=clock, ids=ids, findings=findings, changed=self._tell, hold=policy.hold)
        self._submission = Submission(orders, self.book, clock=clock, policy=policy, settle=self._settle)
        self.reconciler = Reconciler(
            orders,
            self.book,
            clock=clock,
            policy=policy,
            findings=findings,
            backoff=backoff,
            stream_healthy=stream_healthy,
            resend=self._submission.resend,
        )

    async def submit(self, request: OrderRequest) -> Order:
        """Send an order exactly once and return it as the broker's answer leaves it.

        Raises NotSupported (the broker does not declare what it needs), OrderVetoed (a plugin or the gate refused), RequestRefused and
        AuthError (the broker refused), RateLimited and Unavailable (it was never there), StorageError (it could not be recorded, so it was
        not sent). All but the first and the last carry the order. An order whose answer is missing is returned with ``in_doubt`` set; it
        settles by itself, and ``done`` waits for it.
        """
        self._check(request)
        return await self._finish(self._submit(request))

    async def _submit(self, request: OrderRequest) -> Order:
        local_id = self._ids()
        if len(local_id) > _LONGEST_ID:
            raise ValueError(f"id: {local_id!r} is longer than {_LONGEST_ID} characters; pass another id factory")
        order, event = lifecycle.create(local_id, request, self._clock.now())
        await self.book.add(order, event)
        await self._pass_gate(order)
        return await self._submission.send(local_id)

    async def _pass_gate(self, order: Order) -> None:
        closed = await self._gate.wait(order.symbol, self._policy.gate)
        refusals = [("gate", closed)] if closed else list(await self._vetoes(order.request))
        if not refusals:
            # Asking took time; what shut the gate meanwhile still counts.
            closed = self._gate.closed(order.symbol)
            refusals = [("gate", closed)] if closed else []
        if not refusals:
            return
        reasons = [f"{plugin}: {reason}" for plugin, reason in refusals]
        rejected = await self.book.receive(
            self._local(order.local_id, EventKind.REJECTED, State.REJECTED, reason="; ".join(reasons), origin=refusals[0][0])
        )
        raise OrderVetoed(f"{order.symbol}: {'; '.join(reasons)}", rejected or order, [reason for _, reason in refusals])

    async def cancel(self, order: Order | str) -> Order:
        """Ask for an order's end and return it as it then stands: a cancel is a request, and a fill may still win.

        An order that has ended is returned as it is; one in doubt is cancelled as soon as it is found. Raises RequestRefused when the
        broker refuses and the order still works, Unavailable when it cannot be reached, KeyError for an unknown id.
        """
        return await self._finish(self._cancel(self._known(order).local_id))

    async def _cancel(self, local_id: str) -> Order:
        order = self._known(local_id)
        if order.is_terminal:
            return order
        if order.state is State.PENDING:
            event = self._local(local_id, EventKind.CANCELED, State.CANCELED, reason="canceled before it was sent", origin="user")
            return await self.book.receive(event) or order
        # A way out is not blocked by a full disk: the wish is kept for the next write.
        order = await self.book.receive(self._local(local_id, EventKind.CANCEL_REQUESTED, None)) or order
        if order.is_terminal or not order.broker_ids:
            return order
        try:
            await within(self._clock, self._policy.deadline, self._orders.cancel(order))
        except RemoteError as error:
            if isinstance(error, RequestRefused):
                await self.book.receive(self._local(local_id, EventKind.CANCEL_REFUSED, None, reason=str(error)))
            await self.reconciler.look_up(local_id)
            order = self._known(local_id)
            if not order.is_terminal:
                error.order = order
                raise
        except TimeoutError:
            await self.reconciler.look_up(local_id)
        return self._known(local_id)

    async def cancel_all(self) -> list[Order]:
        """Ask for the end of every open order, all at once, and return them as they then stand.

        Refusals of single orders (their exits may go with them) are kept in their history. Raises the first other failure, after every
        order was asked for.
        """
        working = self.open()
        results = await asyncio.gather(*(self.cancel(order) for order in working), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, RequestRefused):
                raise result
        return [self._known(order) for order in working]

    async def replace(self, order: Order | str, terms: ReplaceTerms) -> Order:
        """Change a working order; it stays one order here, with a chain of ids at the broker.

        The terms count once the broker says so. Raises NotSupported, ValueError (the new terms make no sense), IllegalTransition (it does
        not work), RequestRefused, Unavailable, InDoubt, each leaving the order as it was.
        """
        return await self._finish(self._replace(self._known(order).local_id, terms))

    async def _replace(self, local_id: str, terms: ReplaceTerms) -> Order:
        order = self._known(local_id)
        if not self._capabilities.replace or not hasattr(self._orders, "replace"):
            raise NotSupported("this broker does not replace orders; cancel it and submit another")
        if order.is_terminal or not order.broker_ids:
            raise IllegalTransition(f"order {local_id} is {order.state}; only a working order can be replaced")
        if order.replacement is not None:
            raise IllegalTransition(f"order {local_id} is being replaced already; wait for that to end")
        request = lifecycle.merge_terms(order.request, **attrs.asdict(terms))
        client_order_id = self._ids()
        asked = attrs.evolve(self._local(local_id, EventKind.REPLACE_REQUESTED, None), client_order_id=client_order_id, request=request)
        self.book.name(client_order_id, local_id)
        await self.book.intend(local_id, asked)
        try:
            answer = await within(self._clock, self._policy.deadline, self._orders.replace(order, terms, client_order_id))
        except (RequestRefused, NotSupported) as error:
            await self.book.receive(self._local(local_id, EventKind.REPLACE_REFUSED, None, reason=str(error)))
            await self.reconciler.look_up(local_id)
            raise
        except (RemoteError, TimeoutError):
            await self.reconciler.look_up(local_id)
            raise
        await self.book.receive(attrs.evolve(answer, client_order_id=local_id))
        return self._known(local_id)

    async def done(self, order: Order | str, timeout: float | None = None) -> Order:
        """Wait until an order has ended and return its last state.

        Raises TimeoutError after ``timeout`` seconds, KeyError for an unknown id.
        """
        local_id = self._known(order).local_id
        if timeout is None:
            return await self._until_ended(local_id)
        return await within(self._clock, timeout, self._until_ended(local_id))

    async def _until_ended(self, local_id: str) -> Order:
        while not (order := self._known(local_id)).is_terminal:
            await self.book.wait(local_id)
        return order

    def get(self, local_id: str) -> Order | None:
        """The order with this id of ours, as it stands."""
        return self.book.get(local_id)

    def open(self) -> list[Order]:
        """The orders that have not ended, oldest first."""
        return self.book.active()

    async def history(self, local_id: str) -> Sequence[OrderChange]:
        """Every change of an order, oldest first, with where it came from and the rule that let it through."""
        return await self._log.history(local_id)

    def on_change(self, callback: Callable[[OrderChange], object]) -> Subscription:
        """Call a function, plain or ``async def``, with every change from now on, in order, after it was written.

        It runs in a task of its own, so a slow one holds up nobody; none is ever dropped. What it raises is logged and counted.
        """
        subscription = self._subscribe()
        self._callbacks.append(CallbackTask("order changes", subscription.inbox, callback, subscription.callback_raised))
        return subscription

    def changes(self) -> Updates[OrderChange]:
        """Every change from now on, as an asynchronous iterator. None is ever dropped: a slow reader costs memory."""
        return Updates(self._subscribe())

    def _subscribe(self) -> Subscription:
        inbox: Inbox[OrderChange] = Inbox()
        self._inboxes.append(inbox)
        return Subscription(None, (), inbox, lambda _: self._inboxes.remove(inbox) if inbox in self._inboxes else None)

    def positions_from_fills(self) -> Mapping[str, Decimal]:
        """What this session has seen filled, by symbol: bought less sold."""
        return self.book.net_filled

    async def restore(self) -> int:
        """Take up the orders that the last run left unfinished; how many there are. Raises StorageError."""
        unfinished = await self._log.unfinished()
        for changes in unfinished:
            try:
                self.book.restore(changes)
            except ValueError as error:
                self._findings.critical(changes[0].order.local_id, f"an order in the log cannot be rebuilt: {error}")
        return len(unfinished)

    async def receive(self, event: OrderEvent) -> None:
        """Take one piece of news from the stream. Returns once its turn is booked; different orders do not wait for each other.

        Turns of one order are taken in the order of the calls.
        """
        self.reconciler.nudge()
        while len(self._tasks) >= _IN_FLIGHT:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        self._spawn(self.book.receive(event), "news")
        # Let the task take its place in the order's queue before the next piece of news can.
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Let exchanges that are under way come to their end, within a deadline, then stop everything else."""
        await self.reconciler.close()
        if self._tasks:
            with contextlib.suppress(TimeoutError):
                await within(self._clock, _CLOSING, asyncio.wait(self._tasks))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.book.close()
        for inbox in self._inboxes:
            inbox.end()
        for callback in self._callbacks:
            try:
                await within(self._clock, _CLOSING, callback.finish())
            except TimeoutError:
                await callback.cancel()

    async def _tell(self, change: OrderChange) -> None:
        for inbox in self._inboxes:
            inbox.put(change)
        self._act_on(change)
        await self._changed(change)

    def _act_on(self, change: OrderChange) -> None:
        order = change.order
        if order.qty is not None and order.filled_qty > order.qty and change.booked is not None:
            self._gate.shut_symbol(order.symbol, f"{order.symbol}: order {order.local_id} was filled beyond its quantity; look into it")
        just_found = change.previous is State.SUBMITTED and bool(order.broker_ids) and not order.is_terminal
        if just_found and order.cancel_requested_at is not None and change.event.kind is not EventKind.CANCEL_REQUESTED:
            self._spawn(self._cancel_quietly(order.local_id), "cancel")

    async def _cancel_quietly(self, local_id: str) -> None:
        """Carry out the cancel that was asked for while the order was in doubt."""
        try:
            await self._cancel(local_id)
        except BrokerError as error:
            log.warning("order %s could not be cancelled after it was found: %s", local_id, error)

    def _check(self, request: OrderRequest) -> None:
        """Refuse what the broker does not declare, before anything is recorded or sent."""
        can = self._capabilities
        checks: list[tuple[bool, str]] = [
            (request.order_type in can.order_types, f"{request.order_type} orders"),
            (request.order_class in can.order_classes, f"{request.order_class} orders"),
            (request.time_in_force in can.times_in_force, f"time in force {request.time_in_force}"),
            (request.notional is None or can.notional, "orders by notional amount"),
            (
                request.qty is None or request.qty == request.qty.to_integral_value() or can.fractional,
                f"fractional quantities ({request.qty})",
            ),
            (not request.extended_hours or can.extended_hours, "orders in extended hours"),
        ]
        for is_declared, what in checks:
            if not is_declared:
                raise NotSupported(f"{request.symbol}: this broker does not offer {what}; see `broker plugins` for what it does")

    def _settle(self, local_id: str) -> None:
        self.reconciler.settle(local_id)

    def _local(
        self, local_id: str, kind: EventKind, status: State | None, *, reason: str | None = None, origin: str | None = None
    ) -> OrderEvent:
        return OrderEvent(
            kind=kind,
            source=Source.LOCAL,
            at=self._clock.now(),
            status=status,
            client_order_id=local_id,
            reason=reason,
            origin=origin,
        )

    def _known(self, order: Order | str) -> Order:
        local_id = order if isinstance(order, str) else order.local_id
        found = self.book.get(local_id)
        if found is None:
            raise KeyError(f"there is no order {local_id} in this session")
        return found

    def _spawn(self, work: Coroutine[Any, Any, _T], name: str) -> asyncio.Task[_T]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done_with)
        return task

    def _done_with(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), Exception) and task.get_name() != "host":
            log.error("%s failed: %s", task.get_name(), error, exc_info=error)

    async def _finish(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run to the end what a host's call began, whether or not the host goes on waiting for it."""
        return await asyncio.shield(self._spawn(work, "host"))
