"""Who wants which news, and how it gets to them: callbacks and iterators, each behind an inbox of its own.

A plain function is called on the spot; whatever has to be awaited waits in an inbox and a task of its own, and costs nobody else anything.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, TypeVar

import attrs

from broker_core.errors import AuthError
from broker_core.inbox import Inbox
from broker_core.models import Channel

log = logging.getLogger(__name__)

T = TypeVar("T")

# After so many calls in a row for what has waited, the loop gets to do something else.
_STRETCH = 1024


@attrs.frozen(kw_only=True)
class Counters:
    """What became of one consumer's items so far."""

    delivered: int
    """Handed to the callback or the iterator's loop."""
    conflated: int
    """Quotes passed over for a later one of the same symbol; changes of order books merged into a later one."""
    dropped: int
    """Items of all other kinds that made room for newer ones."""
    raised: int
    """Calls of the callback that raised."""
    waiting: int
    """In the inbox now."""


class CallbackTask(Generic[T]):
    """Calls one callback with item after item, in order; what an ``async`` one returns is awaited before the next item.

    Items come by ``put``, or into the inbox directly. A plain function is called at once by ``put``, as long as nothing waits: that is the
    shortest way, and one that takes long would hold up the whole loop wherever it were called. The first answer that must be awaited
    makes a task, which takes over from the inbox. What the callback raises goes to ``failed`` and ends nothing.
    """

    def __init__(self, name: str, inbox: Inbox[T], callback: Callable[[T], object], failed: Callable[[T, BaseException], None]) -> None:
        self._name = name
        self._inbox = inbox
        self._callback = callback
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._first: Awaitable[object] | None = None
        self._idle = True
        inbox.alert(self._call_soon)

    def put(self, item: T) -> None:
        """Take an item in."""
        if not self._idle:
            self._inbox.put(item)
            return
        self._inbox.delivered += 1
        # As in `_call`, without the price of another call for every item of the stream.
        try:
            answer = self._callback(item)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # `failed` logs it, with the consumer's name
            self._failed(item, error)
            return
        if answer is not None and inspect.isawaitable(answer):
            self._begin(item, answer)

    def _call_soon(self) -> None:
        """Something has been put into the inbox, or it has ended."""
        self._idle = False
        self._loop.call_soon(self._call_all)

    def _call_all(self) -> None:
        """Call until nothing is left, something is to be awaited, or it is somebody else's turn."""
        for _ in range(_STRETCH):
            item = self._inbox.take()
            if item is None:
                if not self._inbox.ended:
                    self._inbox.alert(self._call_soon)
                    self._idle = True
                return
            answer = self._call(item)
            if answer is not None:
                self._begin(item, answer)
                return
        self._call_soon()

    def _call(self, item: T) -> Awaitable[object] | None:
        """Call once; what is to be awaited of it, if anything."""
        try:
            answer = self._callback(item)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # `failed` logs it, with the consumer's name
            self._failed(item, error)
            return None
        return answer if answer is not None and inspect.isawaitable(answer) else None

    def _begin(self, item: T, answer: Awaitable[object]) -> None:
        self._inbox.silence()
        self._idle = False
        self._first = answer
        self._task = self._loop.create_task(self._serve(item, answer), name=self._name)

    async def _serve(self, item: T, answer: Awaitable[object]) -> None:
        self._first = None
        await self._settle(item, answer)
        while await self._more():
            while (news := self._inbox.take()) is not None:
                promise = self._call(news)
                if promise is not None:
                    await self._settle(news, promise)

    async def _settle(self, item: T, answer: Awaitable[object]) -> None:
        try:
            await answer
        except asyncio.CancelledError as error:
            # A callback may stumble over something else that was cancelled; only our own end is ours.
            if self._task is not None and self._task.cancelling():
                raise
            self._failed(item, error)
        except Exception as error:  # noqa: BLE001  # `failed` logs it, with the consumer's name
            self._failed(item, error)

    async def _more(self) -> bool:
        try:
            return await self._inbox.wait()
        except AuthError:
            # An iterator raises it; a callback has nobody to raise it to, and that its feed has stopped is logged and told.
            return False

    def when_idle(self, then: Callable[[], None]) -> None:
        """Call ``then`` once no call is under way and, its inbox having ended, none will be."""
        if self._task is None:
            then()
        else:
            self._task.add_done_callback(lambda _: then())

    async def finish(self) -> None:
        """Let the callback have what is in the inbox, then end. From inside the callback: end after it."""
        self._inbox.end()
        while self._task is None and self._inbox.waiting:
            self._call_all()
        await self._ended()

    async def cancel(self) -> None:
        """End now, in the middle of a call if need be. From inside the callback: end after it."""
        self._inbox.shut()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        await self._ended()
        if inspect.iscoroutine(self._first):
            # Its task was cancelled before it could begin.
            self._first.close()

    async def _ended(self) -> None:
        if self._task is not None and self._task is not asyncio.current_task():
            await asyncio.wait({self._task})


class Subscription:
    """One consumer's standing wish. ``channel`` is None for news that has no symbols."""

    def __init__(
        self, channel: Channel | None, symbols: tuple[str, ...], inbox: Inbox[Any], cancelled: Callable[[Subscription], None]
    ) -> None:
        self.channel = channel
        self.symbols = symbols
        self.inbox = inbox
        self.put: Callable[[Any], None] = inbox.put
        self._cancelled = cancelled
        self._raised = 0

    def cancel(self) -> None:
        """Deliver nothing more. A call under way is not interrupted; a second cancel does nothing."""
        self.inbox.shut()
        self._cancelled(self)

    @property
    def counters(self) -> Counters:
        """What became of its items so far."""
        inbox = self.inbox
        return Counters(
            delivered=inbox.delivered, conflated=inbox.conflated, dropped=inbox.dropped, raised=self._raised, waiting=inbox.waiting
        )

    def callback_raised(self, _item: object, error: BaseException) -> None:
        """Count it; log the first one in full, because the hundredth says nothing new."""
        self._raised += 1
        if self._raised == 1:
            log.error("the callback of %s raised; it stays subscribed, further ones are only counted", self, exc_info=error)

    def __repr__(self) -> str:
        return f"<subscription to {self.channel}: {' '.join(self.symbols)}>" if self.channel else "<subscription without symbols>"


class Updates(Generic[T]):
    """News as an asynchronous iterator, for one task at a time.

    ::

        async for quote in session.stream.quotes("AAPL"):
            ...

    It is subscribed from the moment it is made until it is closed, dropped or left behind by ``break``, and ends when the stream is closed.
    Raises AuthError when the broker refused the credentials for good.
    """

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._inbox: Inbox[T] = subscription.inbox
        self._loop = asyncio.get_running_loop()

    def __aiter__(self) -> Updates[T]:
        return self

    async def __anext__(self) -> T:
        while (item := self._inbox.take()) is None:
            if not await self._inbox.wait():
                raise StopAsyncIteration
        return item

    async def aclose(self) -> None:
        """Unsubscribe; a loop over it ends."""
        self._subscription.cancel()

    @property
    def counters(self) -> Counters:
        """What became of its items so far."""
        return self._subscription.counters

    async def __aenter__(self) -> Updates[T]:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    def __del__(self) -> None:
        # `break` leaves nothing but this behind. The collector may run in any thread; unsubscribing belongs to the loop's.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._subscription.cancel)
