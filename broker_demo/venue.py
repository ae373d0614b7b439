"""The exchange in time: has the market's clock drive it, its account written down, and its news told.

News is told after it was written, so that nobody knows more than a restart would.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from broker_core.clock import Clock, within
from broker_core.errors import StorageError, Unavailable
from broker_core.orders import OrderEvent
from broker_demo.exchange import Exchange
from broker_demo.market_time import MarketTime
from broker_demo.prices import Prices
from broker_demo.state import StateFile
from broker_demo.trading_hours import NEVER_NS

log = logging.getLogger(__name__)

_T = TypeVar("_T")


class OrderNews(Protocol):
    """Who is told of order events, once they are written down."""

    def tell(self, events: Sequence[OrderEvent]) -> None:
        """Take what has happened to orders."""

    def stop(self, error: Unavailable | None = None) -> None:
        """Take note that the market has stopped, and why."""


class MarketNews(Protocol):
    """Who is told what the market does."""

    def next_moment(self, prices: Prices, after_ns: int) -> int:
        """The next moment at which there is something to tell; ``NEVER_NS`` when there is none."""

    def tell(self, prices: Prices, after_ns: int, until_ns: int) -> None:
        """Take what the market has done after one moment and no later than another."""

    def stop(self, error: Unavailable | None = None) -> None:
        """Take note that the market has stopped, and why."""


class Venue:
    """One exchange, its clock, its file and its feeds. ``run`` is the task that keeps it going by itself."""

    def __init__(
        self, exchange: Exchange, *, clock: Clock, time: MarketTime, file: StateFile | None, trading: OrderNews, data: MarketNews
    ) -> None:
        self.exchange = exchange
        self.unsaved: StorageError | None = None
        """Why the account could not be written down the last time; None when it was."""
        self._clock = clock
        self._time = time
        self._file = file
        self._trading = trading
        self._data = data
        self._events: list[OrderEvent] = []
        self._told_ns = exchange.now_ns
        self._wake = asyncio.Event()
        exchange.listen(self._events.append)

    @property
    def prices(self) -> Prices:
        """Where prices come from."""
        return self.exchange.prices

    def now_ns(self) -> int:
        """The market's moment."""
        return self._time.now_ns()

    def settle(self) -> None:
        """Let happen, and tell, all that time has brought."""
        self.exchange.advance(self.now_ns())
        self._publish()

    def change(self, act: Callable[[int], _T]) -> _T:
        """Do something to the exchange now, and tell what came of it. What ``act`` raises is raised after that."""
        try:
            return act(self.now_ns())
        finally:
            self._publish()
            self.wake()

    def wake(self) -> None:
        """Have ``run`` look anew at what comes next."""
        self._wake.set()

    def save(self) -> None:
        """Write the account down. Where that fails it is said once, and tried again with the next news."""
        if self._file is None:
            return
        try:
            self._file.save(self.exchange.state)
        except StorageError as error:
            if self.unsaved is None:
                log.error("%s", error)  # noqa: TRY400  # the text says all; a trace of our own code adds nothing
            self.unsaved = error
        else:
            self.unsaved = None

    def _publish(self) -> None:
        events = self._events.copy()
        self._events.clear()
        if events or self.unsaved is not None:
            self.save()
        self._trading.tell(events)
        after_ns, self._told_ns = self._told_ns, self.exchange.now_ns
        self._data.tell(self.prices, after_ns, self._told_ns)

    async def run(self) -> None:
        """Let time pass until cancelled, stopping at every moment at which something may happen."""
        try:
            while True:
                self._wake.clear()
                self.settle()
                await self._pause()
        except Exception as error:
            for feed in (self._trading, self._data):
                feed.stop(Unavailable(f"demo: the market has stopped: {error}"))
            raise

    async def _pause(self) -> None:
        next_ns = min(self.exchange.next_moment(), self._data.next_moment(self.prices, self.exchange.now_ns))
        if next_ns == NEVER_NS:
            await self._wake.wait()
            return
        with contextlib.suppress(TimeoutError):
            await within(self._clock, self._time.seconds_until(next_ns), self._wake.wait())
