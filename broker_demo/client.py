"""The demo account, opened and closed: finds its file, its prices and its time, and keeps its market going.

The exchange is loaded by ``open``, so that a process which only looks whether there is a demo broker does not pay for it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from functools import partial
from typing import TYPE_CHECKING

from broker_core.clock import Clock, IdFactory
from broker_core.errors import Unavailable
from broker_core.families import HOOK_API
from broker_core.models import Account, Capabilities, Environment
from broker_core.requests import OrderClass, OrderType, TimeInForce
from broker_core.timeframe import Unit
from broker_demo.config import ALWAYS, DemoSettings
from broker_demo.feeds import DataFeed, TradingFeed

if TYPE_CHECKING:
    from broker_demo.state import StateFile
    from broker_demo.venue import Venue

log = logging.getLogger(__name__)

_SEEDS = 2**31

CAPABILITIES = Capabilities(
    order_types=frozenset(OrderType),
    order_classes=frozenset(OrderClass) - {OrderClass.MLEG},
    times_in_force=frozenset(TimeInForce),
    channels=TradingFeed.carried | DataFeed.carried,
    timeframes=frozenset(Unit),
    notional=True,
    fractional=True,
    short=True,
    extended_hours=True,
    replace=True,
)


class DemoClient:
    """One demo account. ``seed`` decides its prices and ids: with the same seed, settings and calls everything happens again."""

    name = "demo"
    mode = "demo"
    environment = Environment.DEMO
    hook_api = HOOK_API
    capabilities = CAPABILITIES

    def __init__(self, settings: DemoSettings, *, clock: Clock, ids: IdFactory, random: random.Random) -> None:
        self.settings = settings
        self.seed: int = random.randrange(_SEEDS) if settings.seed is None else settings.seed
        """That of the account in the file, once it is open, where there is one."""
        self.trading = TradingFeed(self._wake)
        self.data = DataFeed(self._wake)
        self._clock = clock
        self._ids = ids
        self._file: StateFile | None = None
        self._venue: Venue | None = None
        self._running: asyncio.Task[None] | None = None

    @property
    def venue(self) -> Venue:
        """The market this account is at. Raises Unavailable while it is not open."""
        if self._venue is None:
            raise Unavailable("demo: the client is not open; connect first")
        return self._venue

    async def open(self) -> Account:
        """Find or make the account and start the market. Raises ConfigError, StorageError."""
        from broker_demo.opening import prepare, take_file
        from broker_demo.venue import Venue

        self._file, kept = await take_file(self.settings)
        if kept is not None:
            self.seed = kept.ids.seed
        work = partial(prepare, self.settings, self.seed, kept, clock=self._clock, ids=self._ids)
        if kept is None and self.settings.calendar == ALWAYS and self.settings.replay is None:
            exchange, time = work()
        else:
            # Reading a calendar or a file, or working through a long absence, takes long enough for the event loop to notice.
            exchange, time = await asyncio.to_thread(work)
        self._venue = venue = Venue(exchange, clock=self._clock, time=time, file=self._file, trading=self.trading, data=self.data)
        venue.save()
        if venue.unsaved is not None:
            raise venue.unsaved
        log.info("demo account %s, seed %d", exchange.account_id, self.seed)
        for feed in (self.trading, self.data):
            feed.start()
        self._running = asyncio.create_task(venue.run(), name="demo market")
        return exchange.account()

    async def close(self) -> None:
        """Stop the market, write the account down and let go of its file."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            (outcome,) = await asyncio.gather(running, return_exceptions=True)
            if isinstance(outcome, Exception):
                log.error("demo: the market had stopped", exc_info=outcome)
        for feed in (self.trading, self.data):
            feed.stop()
        venue, self._venue = self._venue, None
        if venue is not None:
            venue.save()
        if self._file is not None:
            self._file.release()

    def _wake(self) -> None:
        if self._venue is not None:
            self._venue.wake()
