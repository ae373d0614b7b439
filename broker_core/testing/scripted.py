"""A stream whose every connection follows a script, for tests of whatever listens to one.

::

    feed = ScriptedFeed(
        "data",
        {Channel.QUOTES},
        [[SignedIn()], [quote], Unavailable("the line is cut")],  # the first connection
        [[SignedIn()], clock_pause, [other_quote], CLOSE],        # the second
    )
    streaming = Streaming(ScriptedStream([feed]), ...)

Past its script a connection stays open and brings what the test sends; past the last script a connection signs in and stays open.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import Final, TypeAlias

from broker_core.errors import NotSupported
from broker_core.families import Feed
from broker_core.models import Channel, SignedIn, StreamItem, Wish


class Close:
    """The type of ``CLOSE``."""

    def __repr__(self) -> str:
        return "CLOSE"


CLOSE: Final = Close()
"""The step at which the broker closes the connection cleanly."""

Step: TypeAlias = Sequence[StreamItem] | BaseException | Callable[[], Awaitable[object]] | Close
"""A batch to yield, an error to raise, a function to call and await (an event's ``wait``, a sleep of the clock), or ``CLOSE``."""


class ScriptedFeed:
    """A ``Feed`` that keeps what it was told and plays one script per connection."""

    def __init__(self, name: str, channels: Collection[Channel], *connections: Sequence[Step]) -> None:
        self.name = name
        self.channels = frozenset(channels)
        self.wishes: list[Wish] = []
        """Every wish it was told, the latest last."""
        self.connects = 0
        """How often a connection was begun."""
        self.connected = False
        """Whether a connection is open."""
        self._scripts = list(connections)
        self.alive: bool | None = None
        """What a probe answers."""
        self._steps: asyncio.Queue[Step] = asyncio.Queue()

    def want(self, wish: Wish) -> Awaitable[None] | None:
        """Keep the wish."""
        self.wishes.append(wish)
        return None

    async def connect(self) -> AsyncIterator[Sequence[StreamItem]]:
        """Play the next script, then what is sent."""
        script: Sequence[Step] = self._scripts[self.connects] if self.connects < len(self._scripts) else [[SignedIn()]]
        self.connects += 1
        self._steps = asyncio.Queue()
        for step in script:
            self._steps.put_nowait(step)
        self.connected = True
        try:
            while True:
                step = await self._steps.get()
                if isinstance(step, Close):
                    return
                if isinstance(step, BaseException):
                    raise step
                if isinstance(step, Sequence):
                    yield step
                else:
                    await step()
        finally:
            self.connected = False

    async def probe(self) -> bool:
        """Answer with ``alive``; NotSupported while it is None."""
        if self.alive is None:
            raise NotSupported(f"feed {self.name}: the script says nothing about probes")
        return self.alive

    def send(self, *items: StreamItem) -> None:
        """Bring a batch on the open connection, after its script."""
        self._steps.put_nowait(items)

    def drop(self, error: BaseException | None = None) -> None:
        """End the open connection, after its script and what was sent: with an error, or cleanly without."""
        self._steps.put_nowait(CLOSE if error is None else error)


class ScriptedStream:
    """A ``Stream`` of scripted feeds."""

    def __init__(self, feeds: Sequence[ScriptedFeed]) -> None:
        self.feeds: Sequence[Feed] = feeds
