"""The core's stream over feeds of the plugin, on a clock that stands still; what it tells is kept."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from broker_core.clock import StillClock
from broker_core.families import Feed
from broker_core.models import Gap
from broker_core.orders import OrderEvent
from broker_core.streaming import Streaming


class Told(NamedTuple):
    """A feed's new state."""

    name: str
    state: str
    reason: str


class Core:
    """Not started yet; close ``streaming`` at the end."""

    def __init__(self, *feeds: Feed) -> None:
        self.feeds = feeds
        self.clock = StillClock()
        self.states: list[Told] = []
        self.events: list[OrderEvent] = []
        self.recovered: list[tuple[datetime, datetime]] = []
        self.gaps: list[Gap] = []
        self._news = asyncio.Event()
        self.streaming = Streaming(
            self,
            clock=self.clock,
            random=random.Random(1),
            on_order=self._order,
            recover=self._recover,
            changed=self._changed,
            gap=self._gap,
        )

    async def _order(self, event: OrderEvent) -> None:
        self.events.append(event)
        self._news.set()

    async def _recover(self, name: str, start: datetime, end: datetime) -> tuple[list[str], list[str]]:
        self.recovered.append((start, end))
        return ["all of it"], []

    async def _changed(self, name: str, state: str, reason: str | None) -> None:
        self.states.append(Told(name, str(state), reason or ""))
        self._news.set()

    async def _gap(self, gap: Gap) -> None:
        self.gaps.append(gap)
        self._news.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Return when it is so; things can only become so when something is told."""
        while not is_so():
            self._news.clear()
            await self._news.wait()

    async def until_state(self, state: str) -> str:
        """Return the reason that came with a state, once it is the present one."""
        await self.until(lambda: bool(self.states) and self.states[-1].state == state)
        return self.states[-1].reason

    async def next_wait(self) -> float:
        """Seconds until the next try, once it is decided upon."""
        await self.until_state("waiting")
        (wait,) = self.clock.sleeping
        return wait

    async def next_gap(self) -> Gap:
        """The latest gap, once one is told; it is told no second time."""
        await self.until(lambda: bool(self.gaps))
        return self.gaps.pop()
