"""Conversations over a socket as lines of JSON: how they are taken down.

The first line holds the wish and what comes of the whole (``items``); each further line is one frame, with the seconds since the first
(``at``), its direction as the client sees it (``dir``), and what it holds: ``text``, or ``base64`` of a binary frame.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from broker_alpaca.recording.scrubbing import Scrubber
from broker_alpaca.transport import Socket, Sockets
from broker_core.clock import Clock
from broker_core.models import StreamItem
from broker_core.orders import OrderEvent

IN, OUT = "in", "out"
"""The directions of a frame, as the client sees them."""


def word_for(item: StreamItem) -> str:
    """What stands for an item in the first line: of an order event its kind, else the type's name."""
    return item.kind.value if isinstance(item, OrderEvent) else type(item).__name__


def first_line(wish: Mapping[str, str], items: Sequence[str] | None) -> str:
    """The line that a conversation begins with; ``items`` are None while nobody knows what will come of it."""
    return _line({"wish": dict(wish), "items": items if items is None else list(items)})


def frame_line(at: float, direction: str, frame: str | bytes) -> str:
    """The line of one frame, as it is given."""
    holds = {"text": frame} if isinstance(frame, str) else {"base64": base64.b64encode(frame).decode()}
    return _line({"at": round(at, 3), "dir": direction, **holds})


def _line(value: object) -> str:
    return f"{json.dumps(value, ensure_ascii=False)}\n"


class Tape:
    """Takes down one conversation, in the order in which it is held."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._frames: list[tuple[float, str, str | bytes]] = []

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, direction: str, frame: str | bytes) -> None:
        """Take down one frame that was sent (``out``) or received (``in``)."""
        self._frames.append((self._clock.monotonic(), direction, frame))

    def written(self, wish: Mapping[str, str], items: Sequence[str], scrubber: Scrubber) -> str:
        """The whole, scrubbed. Raises Leak where something is left."""
        lines = [frame_line(at - self._frames[0][0], direction, scrubber.frame(frame)) for at, direction, frame in self._frames]
        return "".join((first_line(wish, items), *lines))


class TapedSocket(Socket):
    """A socket of which every message is taken down. Pings are not: they belong to the connection."""

    def __init__(self, socket: Socket, tape: Tape) -> None:
        self._taped = socket
        self._tape = tape

    async def send(self, message: str | bytes) -> None:
        """Send one message. Raises Unavailable when the socket is closed."""
        self._tape.add(OUT, message)
        await self._taped.send(message)

    async def receive(self) -> str | bytes:
        """The next message. Raises Unavailable when the socket is closed."""
        message = await self._taped.receive()
        self._tape.add(IN, message)
        return message

    async def is_alive(self) -> bool:
        """True when the other side has answered a ping, False on a closed socket."""
        return await self._taped.is_alive()


class TapedSockets(Sockets):
    """Opens sockets, and takes down what goes over them."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self._tape = tape

    @asynccontextmanager
    async def open(self, url: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Socket]:
        """Connect, and close at the end. Raises AuthError, RateLimited and Unavailable when the handshake fails."""
        async with super().open(url, headers) as socket:
            yield TapedSocket(socket, self._tape)
