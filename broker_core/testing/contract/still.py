"""A subject whose time stands still between two steps of a test, for a broker that takes a clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime

from broker_core.clock import StillClock, TimeSortedIds, seeded
from broker_core.config import Settings
from broker_core.records import Records
from broker_core.session import Session, connect
from broker_core.testing.contract.subject import Subject

LATE_EVENING = datetime(2026, 3, 3, 4, 56, tzinfo=UTC)
"""A Monday, four minutes before midnight in New York, where trading days are counted."""
_TURNS = 10
_TEN_SECONDS, _FIVE_MINUTES = 10, 5 * 60


class StillSubject(Subject):
    """A broker in this process that goes by ``clock``. Session, ids and records go by it too, and chance is the same in every run.

    ``session`` is the open one, for hooks that reach behind it.
    """

    def __init__(self, start: datetime = LATE_EVENING) -> None:
        self.clock = StillClock(start)
        self.session: Session | None = None
        self._ids = TimeSortedIds(self.clock, seeded(11).getrandbits)

    def open(
        self, name: str, *plugins: object, database: str = "off", environ: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[Session]:
        """A session on this clock, with nothing in it from outside the test: what ``connect`` of a subclass returns."""
        return self._open(name, plugins, {"BROKER_DATABASE": database, **(environ or {})})

    @asynccontextmanager
    async def _open(self, name: str, plugins: tuple[object, ...], environ: Mapping[str, str]) -> AsyncIterator[Session]:
        # The installed records would go by the machine's clock, and find everything that happened here long past.
        own, settings = (*plugins, Records(self.clock)), Settings(disable=("records",))
        connecting = connect(name, plugins=own, environ=environ, settings=settings, clock=self.clock, ids=self._ids, random=seeded(5))
        async with connecting as self.session:
            try:
                yield self.session
            finally:
                self.session = None

    async def pass_time(self, seconds: float) -> None:
        """Move the clock. The records, which a thread of its own writes, are given the time to catch up."""
        await self._written()
        await self.clock.advance(seconds, turns=_TURNS)
        await self._written()

    async def midnight(self) -> None:
        """Let time pass until five minutes later: from ``LATE_EVENING`` the next day. For ``end_day``."""
        for _ in range(_FIVE_MINUTES // _TEN_SECONDS):
            await self.pass_time(_TEN_SECONDS)

    async def _written(self) -> None:
        journal = None if self.session is None else self.session.journal
        if journal is not None:
            await journal.history("")
