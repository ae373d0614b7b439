"""Send an order exactly once: one POST, and a verdict about it that is never guessed.

The rules are those of section 4 of the order lifecycle: what proves that the broker took the order, what proves that it did not, and
everything else, which is doubt. A doubtful order stays ``submitted`` and is settled by looking it up under our own id.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import attrs

from broker_core.clock import Clock, within
from broker_core.errors import (
    AuthError,
    DuplicateOrder,
    NotSupported,
    RateLimited,
    RemoteError,
    RequestRefused,
    StorageError,
    Unavailable,
)
from broker_core.families import Orders
from broker_core.order_book import OrderBook
from broker_core.orders import EventKind, Order, OrderEvent, Source, State

log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class OrderPolicy:
    """How long things may take, and what counts as proof of absence. All times in seconds."""

    deadline: float = 15.0
    """For one exchange with the broker about one order."""
    gate: float = 30.0
    """How long a submit waits for the session to be ready before it is refused."""
    hold: float = 5.0
    """How long news about an unknown order waits for its subject."""
    lookups: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
    """The waits between look-ups of an order in doubt; the last one repeats."""
    absences: int = 3
    absent_for: float = 10.0
    """An order in doubt was not sent when it is absent this often, over at least this long, and from a complete listing."""
    resend: bool = False
    """What proof of absence leads to: ``failed``, or one more send under the same id."""


class Submission:
    """The exchange with the broker that begins an order's life there. ``settle`` is told the orders that are in doubt."""

    def __init__(self, orders: Orders, book: OrderBook, *, clock: Clock, policy: OrderPolicy, settle: Callable[[str], None]) -> None:
        self._orders = orders
        self._book = book
        self._clock = clock
        self._policy = policy
        self._settle = settle

    async def send(self, local_id: str) -> Order:
        """Record the intent, send once, and return the order as the answer leaves it; in doubt, if there is none.

        Raises StorageError (not recorded, so not sent), and what proves that there is no such order at the broker, each with the order:
        RequestRefused, AuthError, RateLimited, Unavailable, NotSupported.
        """
        order = await self._intend(local_id)
        if order.state is not State.SUBMITTED:
            # It was cancelled while it waited for the gate: there is no intent to send, and so nothing is sent.
            return order
        return await self._post(local_id, may_wait=True)

    async def resend(self, local_id: str) -> Order:
        """Send an order that is proven absent once more, under the same id. Raises what ``send`` raises."""
        return await self._post(local_id, may_wait=True)

    async def _intend(self, local_id: str) -> Order:
        try:
            return await self._book.intend(local_id, self._event(EventKind.SUBMITTED, Source.LOCAL, State.SUBMITTED, local_id))
        except StorageError as error:
            failed = self._event(EventKind.FAILED, Source.LOCAL, State.FAILED, local_id, f"not recorded, so not sent: {error}")
            await self._book.receive(failed)
            raise

    async def _post(self, local_id: str, *, may_wait: bool) -> Order:
        order = self._known(local_id)
        try:
            answer = await within(self._clock, self._policy.deadline, self._orders.submit(order))
        except RateLimited as error:
            if may_wait:
                log.warning("order %s: the broker asks for a pause of %.3g s", local_id, error.wait)
                await self._clock.sleep(error.wait)
                return await self._post(local_id, may_wait=False)
            raise await self._ended(error, EventKind.FAILED, Source.PROOF, State.FAILED, local_id) from None
        except DuplicateOrder:
            return await self._found(local_id)
        except (RequestRefused, AuthError) as error:
            raise await self._ended(error, EventKind.REJECTED, Source.ANSWER, State.REJECTED, local_id) from None
        except Unavailable as error:
            raise await self._ended(error, EventKind.FAILED, Source.PROOF, State.FAILED, local_id) from None
        except NotSupported as error:
            await self._book.receive(self._event(EventKind.FAILED, Source.PROOF, State.FAILED, local_id, str(error)))
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # The session ends in the middle of the exchange; the next one settles it.
                raise
            return await self._doubt(local_id, "the exchange was cancelled")
        except Exception as error:  # noqa: BLE001  # whatever else happens here leaves open whether the broker has the order
            return await self._doubt(local_id, f"{type(error).__name__}: {error}")
        order = await self._book.receive(attrs.evolve(answer, client_order_id=local_id)) or order
        await self._book.release(order)
        return self._known(local_id)

    async def _found(self, local_id: str) -> Order:
        """The broker says that it holds this id already: an earlier send of ours took effect, and a look-up tells how."""
        try:
            found = await within(self._clock, self._policy.deadline, self._orders.find(local_id))
        except (RemoteError, TimeoutError) as error:
            return await self._doubt(local_id, f"the id exists at the broker, but cannot be looked up: {error}")
        if found is None:
            return await self._doubt(local_id, "the id exists at the broker, but a look-up finds no order")
        await self._book.receive(found)
        return self._known(local_id)

    async def _ended(self, error: RemoteError, kind: EventKind, source: Source, state: State, local_id: str) -> RemoteError:
        event = self._event(kind, source, state, local_id, str(error))
        error.order = await self._book.receive(event)
        return error

    async def _doubt(self, local_id: str, reason: str) -> Order:
        log.warning("order %s is in doubt: %s", local_id, reason)
        await self._book.receive(self._event(EventKind.IN_DOUBT, Source.LOCAL, None, local_id, reason))
        order = self._known(local_id)
        if order.in_doubt:
            self._settle(local_id)
        return order

    def _event(self, kind: EventKind, source: Source, status: State | None, local_id: str, reason: str | None = None) -> OrderEvent:
        return OrderEvent(kind=kind, source=source, at=self._clock.now(), status=status, client_order_id=local_id, reason=reason)

    def _known(self, local_id: str) -> Order:
        order = self._book.get(local_id)
        if order is None:
            raise KeyError(local_id)
        return order
