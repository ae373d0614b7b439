"""Whether a connection is alive: it must sign in within a limit, and once it has gone quiet it must answer a probe.

How long is quiet depends on the feed's own rhythm: ``QUIET_FRAMES`` times the pause that was usual between two frames, within bounds.
Silence alone never ends a connection, because a market may just be asleep; a feed that has no probe is trusted. A feed that answers
its probe and keeps its news to itself is found by what the broker tells when it is asked (``Arrears``).
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
_MARGIN_NS = 2_000_000_000
"""By how much the broker's clock and ours may differ."""
NEWS_LIMIT = 10.0
"""Seconds within which a feed must bring what the broker already tells when it is asked."""


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


class Arrears:
    """News of a feed that came another way, and for which the feed still has some time.

    ``heard_ns`` is the moment at which the connection last brought anything, its sign-in included.
    """

    def __init__(self, name: str, *, clock: Clock, heard_ns: Callable[[], int]) -> None:
        self._name = name
        self._clock = clock
        self._heard_ns = heard_ns
        self._came_ns = 0
        self._came = asyncio.Event()

    def came_another_way(self, at_ns: int) -> None:
        """Note news of this moment that the feed should have brought, or should bring soon."""
        if at_ns > self._heard_ns() + _MARGIN_NS:
            self._came_ns = self._clock.now_ns()
            self._came.set()

    async def watch(self) -> NoReturn:
        """Raise Unavailable when the feed has brought nothing at all since such news, and had time to."""
        while True:
            self._came.clear()
            await self._came.wait()
            await self._clock.sleep(NEWS_LIMIT)
            # A feed that has spoken since is not mute; what it left out is found by other means.
            if self._heard_ns() < self._came_ns:
                raise Unavailable(f"feed {self._name}: it is mute, the broker tells of news when it is asked that the feed did not bring")
