"""What a feed missed: getting it back, and saying what was lost.

The order of things after a reconnect: the feed signs in; order events flow at once, while what was missed is being recovered, because both
go through the same entrance, which takes news in any order and twice; market data is held; then the gap is told; then market data flows.
Market data itself cannot be asked for again here, so a feed without orders tells its gap at once.

A recovery that fails is told as lost, market data flows, and recovery is tried again, with backoff and at every further sign-in, until it
succeeds; then the gap is told once more, as recovered. It is never interrupted by another loss of contact: what went missing
meanwhile is recovered next, and told with it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TypeAlias

from broker_core.backoff import Backoff
from broker_core.clock import Clock, within
from broker_core.errors import AuthError, BrokerError, RateLimited
from broker_core.models import Gap

log = logging.getLogger(__name__)

Recover: TypeAlias = Callable[[str, datetime, datetime], Awaitable[tuple[Sequence[str], Sequence[str]]]]
"""Given a feed's name, from and to: gets back what was missed, and says what was recovered and what was lost, a sentence each."""


class Gaps:
    """The gaps of one feed. ``recover`` is None for a feed without orders; ``tell`` is called with every gap, before what follows it."""

    def __init__(self, feed: str, *, recover: Recover | None, tell: Callable[[Gap], None], clock: Clock, chance: random.Random) -> None:
        self._feed = feed
        self._recover = recover
        self._tell = tell
        self._clock = clock
        self._chance = chance
        self._missing_since: datetime | None = None
        self._missing_again: datetime | None = None
        self._lost_data: tuple[str, ...] = ()
        self._owed = False
        self._closing = False
        self._in_contact = asyncio.Event()
        self._nudge = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def missing(self) -> bool:
        """Whether something was missed and is not recovered."""
        return self._missing_since is not None

    @property
    def owed(self) -> bool:
        """Whether a gap is still to be told before market data may flow."""
        return self._owed

    def contact_lost(self, since: datetime, lost_data: Sequence[str]) -> None:
        """Nothing is known after ``since``; ``lost_data`` says in sentences what of market data that concerns."""
        self._in_contact.clear()
        self._lost_data = tuple(dict.fromkeys((*self._lost_data, *lost_data)))
        self._miss(since)

    def contact_made(self) -> None:
        """The feed has signed in. Without orders to recover, the gap is told before this returns."""
        self._in_contact.set()
        if self._missing_since is None:
            return
        self._owed = True
        if self._recover is None:
            start, self._missing_since = self._missing_since, None
            self._missing_again = None
            self._tell_gap(start, (), ())
        else:
            self._begin(self._recover, self._missing_since)

    def recover_from(self, since: datetime) -> None:
        """An item that arrived at ``since`` could not be processed: it counts as missed, and recovery begins."""
        self._miss(since)
        if self._recover is not None:
            self._begin(self._recover, since)

    async def close(self) -> None:
        """End a recovery under way."""
        self._closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def _miss(self, since: datetime) -> None:
        if self._missing_since is None:
            self._missing_since = since
        elif self._missing_again is None:
            self._missing_again = since

    def _begin(self, recover: Recover, start: datetime) -> None:
        self._nudge.set()
        if not self._closing and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._recover_all(recover, start), name=f"recover {self._feed}")

    async def _recover_all(self, recover: Recover, start: datetime) -> None:
        recovered: list[str] = []
        lost: list[str] = []
        backoff = Backoff(self._chance)
        while self._missing_since is not None:
            await self._in_contact.wait()
            self._missing_again = None
            try:
                found, gone = await recover(self._feed, self._missing_since, self._clock.now())
            except (Exception, asyncio.CancelledError) as error:
                if self._closing:
                    raise
                self._recovery_failed(error, start)
                await self._pause(error, backoff)
                continue
            recovered += found
            lost += gone
            self._missing_since = self._missing_again
        self._tell_gap(start, recovered, lost)

    def _recovery_failed(self, error: BaseException, start: datetime) -> None:
        # The traceback of a broker's error leads to nobody's fault here.
        trace = None if isinstance(error, BrokerError) else error
        log.error("feed %s: recovery failed and is tried again (%s: %s)", self._feed, type(error).__name__, error, exc_info=trace)
        # One gap a sign-in says so; the tries after it would say nothing new.
        if self._owed:
            self._tell_gap(start, (), (f"orders: recovery failed and is tried again ({type(error).__name__}: {error})",))

    async def _pause(self, error: BaseException, backoff: Backoff) -> None:
        self._nudge.clear()
        if isinstance(error, AuthError):
            # Asking again with the same credentials is pointless; a sign-in proves that they are good again.
            await self._nudge.wait()
            return
        wait = backoff.next(error.wait if isinstance(error, RateLimited) else None)
        with suppress(TimeoutError):
            await within(self._clock, wait, self._nudge.wait())

    def _tell_gap(self, start: datetime, recovered: Sequence[str], lost: Sequence[str]) -> None:
        gap = Gap(feed=self._feed, start=start, end=self._clock.now(), recovered=tuple(recovered), lost=(*lost, *self._lost_data))
        self._lost_data = ()
        self._owed = False
        self._tell(gap)
