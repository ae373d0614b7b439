"""What waits for one consumer, and what becomes of it when the consumer is slow.

An inbox lives on one event loop, has one reader and never makes whoever puts something in wait.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from broker_core.errors import AuthError
from broker_core.models import OrderBookUpdate, Quote

T = TypeVar("T")
K = TypeVar("K", bound=Quote | OrderBookUpdate)


class Inbox(Generic[T]):
    """Keeps every item, in order, however many; the kinds below keep within a limit.

    ``put`` is the hot path of market data: it is called once per item and consumer, and does nothing but append.
    """

    __slots__ = ("_alarm", "_ended", "_error", "_items", "conflated", "delivered", "dropped")

    def __init__(self, limit: int | None = None) -> None:
        if limit is not None and limit < 1:
            raise ValueError(f"limit: {limit} is below 1; a consumer needs room for one item")
        self._items: deque[T] = deque(maxlen=limit)
        self._alarm: Callable[[], None] | None = None
        self._ended = False
        self._error: AuthError | None = None
        self.delivered = 0
        self.conflated = 0
        self.dropped = 0

    def put(self, item: T) -> None:
        """Take an item in."""
        self._items.append(item)
        if self._alarm is not None:
            self._ring()

    def take(self) -> T | None:
        """The next item, or None when there is none now."""
        if not self._items:
            return None
        self.delivered += 1
        return self._items.popleft()

    def alert(self, alarm: Callable[[], None]) -> None:
        """Call ``alarm`` once: when there is an item, or there never will be one; at once where that is so already.

        Raises RuntimeError when there is an alarm already: an inbox has one reader.
        """
        if self._alarm is not None:
            raise RuntimeError("two readers wait for one inbox; give each consumer its own")
        if self.waiting or self._ended:
            alarm()
        else:
            self._alarm = alarm

    def silence(self) -> None:
        """Forget the alarm."""
        self._alarm = None

    async def wait(self) -> bool:
        """Return True as soon as there is an item, False when there is none and never will be.

        Raises the AuthError that ended the inbox, after its last item; RuntimeError like ``alert``.
        """
        while not self.waiting:
            if self._error is not None:
                raise AuthError(str(self._error))
            if self._ended:
                return False
            future = asyncio.get_running_loop().create_future()
            self.alert(partial(_complete, future))
            try:
                await future
            finally:
                self.silence()
        return True

    def end(self, error: AuthError | None = None) -> None:
        """No more will come; what is here may still be taken. The first end counts."""
        if not self._ended:
            self._ended = True
            self._error = error
            self._ring()

    @property
    def ended(self) -> bool:
        """Whether no more will come."""
        return self._ended

    def shut(self) -> None:
        """Nothing is wanted any more: forget what is here and whatever is still put in."""
        self._items = deque(maxlen=0)
        self.end()

    @property
    def waiting(self) -> int:
        """How many items are here."""
        return len(self._items)

    def _ring(self) -> None:
        alarm, self._alarm = self._alarm, None
        if alarm is not None:
            alarm()


class NewestInbox(Inbox[T]):
    """Keeps the newest ``limit`` items; the oldest make room and are counted as dropped."""

    __slots__ = ()

    def put(self, item: T) -> None:
        """Take an item in, at the price of the oldest when full."""
        items = self._items
        if len(items) == items.maxlen:
            self.dropped += 1
        items.append(item)
        if self._alarm is not None:
            self._ring()


class ConflatingInbox(Inbox[K]):
    """Keeps every item while its reader keeps up; one that falls ``limit`` behind gets only one item of each symbol, which says it all.

    It stays so until the reader has caught up, so that a slow reader sees the present and never works through the past. The items passed
    over are counted as conflated; a limit of 1 conflates from the start.
    """

    __slots__ = ("_latest", "_limit")

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._limit = limit
        self._latest: OrderedDict[str, K] = OrderedDict()

    def put(self, item: K) -> None:
        """Take an item in, in place of the symbol's former one when the reader is behind."""
        if self._latest:
            self._replace(item)
        elif len(self._items) < self._limit:
            self._items.append(item)
        else:
            for waiting in self._items:
                self._replace(waiting)
            self._items.clear()
            self._replace(item)
        if self._alarm is not None:
            self._ring()

    def take(self) -> K | None:
        """The next item, or None when there is none now."""
        if not self._latest:
            return super().take()
        self.delivered += 1
        return self._latest.popitem(last=False)[1]

    def shut(self) -> None:
        """Nothing is wanted any more: forget what is here and whatever is still put in."""
        self._latest.clear()
        super().shut()

    @property
    def waiting(self) -> int:
        """How many items are here."""
        return len(self._items) + len(self._latest)

    def _replace(self, item: K) -> None:
        former = self._latest.get(item.symbol)
        if former is not None:
            self.conflated += 1
            item = self._merged(former, item)
        # The symbol keeps its place in the line, so that a busy one cannot hold up the others.
        self._latest[item.symbol] = item

    def _merged(self, _former: K, item: K) -> K:
        """The one item that says what both say."""
        return item


class QuoteInbox(ConflatingInbox[Quote]):
    """For quotes: the latest says all that counts now."""

    __slots__ = ()


class BookInbox(ConflatingInbox[OrderBookUpdate]):
    """For order books: an update that is passed over lives on in the next one of its symbol, because a book cannot miss any."""

    __slots__ = ()

    def _merged(self, former: OrderBookUpdate, item: OrderBookUpdate) -> OrderBookUpdate:
        if item.is_reset:
            return item
        bids, asks = {**dict(former.bids), **dict(item.bids)}, {**dict(former.asks), **dict(item.asks)}
        return OrderBookUpdate(item.symbol, item.timestamp_ns, tuple(bids.items()), tuple(asks.items()), former.is_reset)


def _complete(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
