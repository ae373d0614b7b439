"""Days on which the market sleeps, over real sockets: nobody may take that for a broken line."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import attrs
from paired import box_on, session_at

from broker_core.clock import StillClock
from broker_core.models import Channel, Gap
from broker_demo.sandbox.faults.script import read_fault

FRIDAY_NIGHT = datetime(2026, 3, 6, 21, 30, tzinfo=UTC)
_SELDOM = {f"BROKER_SYNC_{part}_INTERVAL": "3600" for part in ("ACCOUNT", "POSITIONS", "ORDERS")}
"""What is read on a timer has no part in this."""


@attrs.frozen
class Quiet:
    """What happened in the quiet."""

    sockets: int
    """How many were opened."""
    gaps: int
    """How many were told."""
    questions: int
    """How often the latest quote was asked for, to find out whose silence it is."""


async def quiet_days(days: float) -> Quiet:
    """Let so many days pass, from a Friday's close on, for a session that listens to quotes and orders.

    The market opens and closes in between where the days are enough for it. The clock stands still while anything is on the wire, so
    that no answer is late.
    """
    clock = StillClock(FRIDAY_NIGHT)
    async with box_on(clock, calendar="XNYS") as box, session_at(box, clock, environ=_SELDOM) as session:
        gaps: list[Gap] = []
        box.desk.faults.add(read_fault({"kind": "latency", "seconds": 0, "path": "*/quotes/latest"}, "a counter"))
        session.stream.on_gap(gaps.append)
        session.stream.on_quote("AAPL", lambda quote: None)
        await session.stream.ready(Channel.ORDERS)
        await session.stream.ready(Channel.QUOTES)
        while clock.monotonic() < days * 24 * 3600:
            await clock.advance(max(clock.sleeping[0], 0.001), turns=3)
            # What was sent because of it goes back and forth.
            for _ in range(40):
                await asyncio.sleep(0)
        (counter,) = box.desk.faults
        return Quiet(box.desk.lines.opened, len(gaps), counter.struck)
