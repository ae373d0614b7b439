"""What the broker says against what we hold: at the start, after a gap, on a timer, and for one order in doubt.

Everything learned goes through the book's entrance like any other news. "Not reachable" is never taken for "not found": only the broker's
own word of absence counts, several times, over a while, and confirmed by a complete listing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from broker_core.backoff import Backoff
from broker_core.clock import Clock, within
from broker_core.errors import AuthError, NotSupported, RemoteError
from broker_core.families import Orders
from broker_core.findings import Findings
from broker_core.order_book import OrderBook
from broker_core.orders import EventKind, Order, OrderEvent, Source, State
from broker_core.submission import OrderPolicy

log = logging.getLogger(__name__)

_T = TypeVar("_T")

# Brokers' clocks and ours differ a little, and an order's time may be rounded: ask for a little more than is missing.
_OVERLAP = timedelta(seconds=30)


class Reconciler:
    """Asks the broker and feeds the answers to the book. ``resend`` sends an order that is proven absent once more."""

    def __init__(
        self,
        orders: Orders,
        book: OrderBook,
        *,
        clock: Clock,
        policy: OrderPolicy,
        findings: Findings,
        backoff: Backoff,
        stream_healthy: Callable[[], bool],
        resend: Callable[[str], Awaitable[Order]],
    ) -> None:
        self._orders = orders
        self._book = book
        self._clock = clock
        self._policy = policy
        self._findings = findings
        self._backoff = backoff
        self._stream_healthy = stream_healthy
        self._resend = resend
        self._settling: dict[str, asyncio.Task[None]] = {}
        self._nudges: dict[str, asyncio.Event] = {}
        self._resent: set[str] = set()
        self._began = clock.now()
        self.tried = asyncio.Event()
        """Set when the first listing at the start was read, or could not be."""

    async def start(self) -> None:
        """Settle every order that the last run left unfinished. Returns when the truth about each is known; tries until it is.

        Raises AuthError.
        """
        active = self._book.active()
        since = min((order.created_at for order in active), default=self._clock.now())
        while not await self._try_to_catch_up(since):
            await self._clock.sleep(self._backoff.next())
        self._backoff.reset()
        for order in self._book.active():
            if order.state is State.PENDING:
                await self._book.receive(self._proof(order.local_id, "it was recorded, but never sent"))
            elif order.state is State.SUBMITTED and not order.broker_ids:
                self.settle(order.local_id)
        await asyncio.gather(*self._settling.values())

    async def _try_to_catch_up(self, since: datetime) -> bool:
        try:
            await self.catch_up(since)
        except AuthError:
            raise
        except (RemoteError, TimeoutError) as error:
            log.warning("start-up: the broker's orders cannot be listed; this is tried again: %s", error)
            return False
        finally:
            self.tried.set()
        return True

    async def catch_up(self, since: datetime) -> tuple[int, int]:
        """Read all that may have happened since a moment: how many orders and how many executions were read.

        Orders that we hold for working and the complete listing lacks are looked up one by one. Raises RemoteError, TimeoutError.
        """
        asked_at = self._clock.now()
        listing = await self._ask(self._orders.listing(since - _OVERLAP))
        for event in listing:
            if not self._is_past(event):
                await self._book.adopt(event)
        fills = await self._fills(since - _OVERLAP)
        for event in fills:
            if not self._is_past(event):
                await self._book.receive(event)
        await self._look_up_missing(listing, asked_at)
        return len(listing), len(fills)

    async def recover(self, feed: str, start: datetime, end: datetime) -> tuple[Sequence[str], Sequence[str]]:
        """After a gap in the order stream: what is known again. Raises RemoteError when the broker does not answer."""
        accepted = self._book.counts["accepted"]
        orders, fills = await self.catch_up(start)
        news = self._book.counts["accepted"] - accepted
        seconds = (end - start).total_seconds()
        return (f"{feed}: {orders} orders and {fills} executions of {seconds:.1f} s were read again; {news} held news",), ()

    async def observe_open(self, listing: Sequence[OrderEvent]) -> None:
        """Take a listing of the open orders: what it names is news, what it lacks is looked up."""
        asked_at = self._clock.now()
        for event in listing:
            await self._book.receive(event)
        await self._look_up_missing(listing, asked_at)

    def settle(self, local_id: str, *, denied: bool = False) -> None:
        """Begin to find out what became of an order in doubt, unless that is under way.

        ``denied``: the broker confirmed the order once and does not know it now, so that its ids prove nothing any more.
        """
        if local_id not in self._settling:
            task = asyncio.get_running_loop().create_task(self._settle(local_id, denied=denied), name=f"settle {local_id}")
            self._settling[local_id] = task
            task.add_done_callback(lambda _: self._settling.pop(local_id, None))

    def nudge(self) -> None:
        """The stream has said something: orders in doubt are looked up now rather than later."""
        for event in self._nudges.values():
            event.set()

    async def close(self) -> None:
        """Stop settling; what is not settled is taken up again at the next start."""
        tasks = list(self._settling.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def look_up(self, local_id: str) -> bool | None:
        """Ask the broker for one order: whether it holds it; None when it did not answer."""
        try:
            answers = [await self._ask(self._orders.find(name)) for name in self._book.names(local_id)]
        except (RemoteError, TimeoutError) as error:
            log.warning("order %s cannot be looked up: %s", local_id, error)
            return None
        found = [answer for answer in answers if answer is not None]
        for answer in found:
            await self._book.receive(answer)
        order = self._book.get(local_id)
        if order is not None:
            await self._book.release(order)
        return bool(found)

    async def _settle(self, local_id: str, *, denied: bool) -> None:
        nudged = self._nudges[local_id] = asyncio.Event()
        waits = iter(self._policy.lookups)
        wait = next(waits)
        absences, first_absence = 0, 0.0
        try:
            while self._is_open_question(local_id, denied=denied):
                await self._pause(wait, nudged)
                wait = next(waits, wait)
                if not self._is_open_question(local_id, denied=denied):
                    return
                found = await self.look_up(local_id)
                if found:
                    return
                if found is None:
                    # Silence proves nothing, and so it does not end a run of absences either.
                    continue
                first_absence = first_absence if absences else self._clock.monotonic()
                absences += 1
                long_enough = self._clock.monotonic() - first_absence >= self._policy.absent_for
                if absences >= self._policy.absences and long_enough and await self._is_absent(local_id):
                    await self._conclude(local_id, absences)
                    absences = 0
        finally:
            self._nudges.pop(local_id, None)

    async def _pause(self, seconds: float, nudged: asyncio.Event) -> None:
        """Wait, or less when nudged; never less than the shortest wait, so that a busy stream makes no storm of look-ups."""
        shortest = min(self._policy.lookups)
        await self._clock.sleep(min(seconds, shortest))
        nudged.clear()
        if seconds <= shortest:
            return
        sleep = asyncio.ensure_future(self._clock.sleep(seconds - shortest))
        nudge = asyncio.ensure_future(nudged.wait())
        try:
            await asyncio.wait({sleep, nudge}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            nudge.cancel()
            await asyncio.gather(sleep, nudge, return_exceptions=True)

    async def _is_absent(self, local_id: str) -> bool:
        """The last two proofs: a healthy stream that has said nothing of it, and a complete listing without it."""
        order = self._book.get(local_id)
        if order is None or not self._stream_healthy():
            return False
        try:
            listing = await self._ask(self._orders.listing(order.created_at - _OVERLAP))
        except (RemoteError, TimeoutError) as error:
            log.warning("order %s: the listing that would prove its absence cannot be had: %s", local_id, error)
            return False
        for event in listing:
            if self._book.find(event) == local_id:
                await self._book.receive(event)
                return False
        return True

    async def _conclude(self, local_id: str, absences: int) -> None:
        reason = f"absent from {absences} look-ups over {self._policy.absent_for:g} s and from the complete listing"
        if self._policy.resend and local_id not in self._resent:
            self._resent.add(local_id)
            log.warning("order %s was %s; it is sent once more under the same id", local_id, reason)
            try:
                await self._resend(local_id)
            except RemoteError as error:
                log.warning("order %s: %s", local_id, error)
            return
        await self._book.receive(self._proof(local_id, reason))

    def _is_past(self, event: OrderEvent) -> bool:
        """Whether this is of an order that nobody here holds, and that had ended, or been filled so far, before we began.

        An order that has been open for long makes the first listing reach back to before what the journal still gives out; what ended
        since would be taken for somebody else's, and written down a second time. Of one that still works, the listing tells.
        """
        is_over = event.source is Source.ACTIVITY or (event.status is not None and event.status.is_terminal)
        return is_over and event.at < self._began and self._book.find(event) is None

    async def _look_up_missing(self, listing: Sequence[OrderEvent], asked_at: datetime) -> None:
        """Orders that we hold for working, sent before the listing was asked for, and not in it: each is asked after."""
        listed = {self._book.find(event) for event in _with_legs(listing)}
        for order in self._book.active():
            if order.local_id in listed or order.updated_at > asked_at or order.local_id in self._settling:
                continue
            if not order.broker_ids:
                continue
            if await self.look_up(order.local_id) is False:
                self._findings.warning(order.symbol, f"order {order.local_id} is {order.state} here and unknown to the broker")
                self.settle(order.local_id, denied=True)

    def _is_open_question(self, local_id: str, *, denied: bool) -> bool:
        order = self._book.get(local_id)
        return order is not None and not order.is_terminal and (denied or not order.broker_ids)

    def _proof(self, local_id: str, reason: str) -> OrderEvent:
        return OrderEvent(
            kind=EventKind.FAILED,
            source=Source.PROOF,
            at=self._clock.now(),
            status=State.FAILED,
            client_order_id=local_id,
            reason=reason,
        )

    async def _fills(self, since: datetime) -> Sequence[OrderEvent]:
        if getattr(self._orders, "fills", None) is None:
            return ()
        try:
            return await self._ask(self._orders.fills(since))
        except NotSupported:
            return ()

    async def _ask(self, call: Awaitable[_T]) -> _T:
        return await within(self._clock, self._policy.deadline, call)


def _with_legs(events: Iterable[OrderEvent]) -> Iterable[OrderEvent]:
    for event in events:
        yield event
        yield from _with_legs(event.legs)
