"""Whether a connection is alive: it must sign in within a limit, and once it has gone quiet it must answer a probe.

How long is quiet depends on the feed's own rhythm: ``QUIET_FRAMES`` times the pause that was usual between two frames, within bounds.
Silence alone never ends a connection, because a market may just be asleep; a feed that has no probe is trusted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn

from broker_core.clock import Clock, within
from broker_core.errors import NotSupported, Unavailable

log = logging.getLogger(__name__)

SIGN_IN_LIMIT = 30.0
"""Seconds within which a connection must sign in."""
PROBE_LIMIT = 10.0
"""Seconds within which a probe must answer."""
SHORTEST_PATIENCE = 5.0
LONGEST_PATIENCE = 60.0
"""The bounds, in seconds, of how long a feed may be quiet before it is probed."""
QUIET_FRAMES = 20


async def watch(
    name: str, probe: Callable[[], Awaitable[bool]] | None, *, clock: Clock, signed_in: Callable[[], bool], frames: Callable[[], int]
) -> NoReturn:
    """Watch one connection until it is cancelled; ``frames`` counts what has arrived on it.

    Raises Unavailable when the connection does not sign in in time, or is quiet and its probe fails, or does not answer.
    """
    await clock.sleep(SIGN_IN_LIMIT)
    if not signed_in():
        raise Unavailable(f"feed {name}: no sign-in within {SIGN_IN_LIMIT:g} s")
    patience = SIGN_IN_LIMIT
    while probe is not None:
        seen = frames()
        await clock.sleep(patience)
        arrived = frames() - seen
        if arrived:
            patience = min(max(QUIET_FRAMES * patience / arrived, SHORTEST_PATIENCE), LONGEST_PATIENCE)
            continue
        try:
            alive = await within(clock, PROBE_LIMIT, probe())
        except NotSupported:
            break
        except TimeoutError:
            alive = False
        if not alive:
            raise Unavailable(f"feed {name}: quiet for {patience:g} s, and its probe failed")
        log.debug("feed %s: quiet for %g s, but alive", name, patience)
        patience = min(patience * 2, LONGEST_PATIENCE)
    while True:
        await asyncio.get_running_loop().create_future()
