"""Conversations over a socket as lines of JSON: how they are taken down, and how they are read again.

The first line holds the wish and what comes of the whole (``items``); each further line is one frame, with the seconds since the first
(``at``), its direction as the client sees it (``dir``), and what it holds: ``text``, or ``base64`` of a binary frame.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from scrubbing import Scrubber

from broker_alpaca.transport import Socket, Sockets
from broker_core.clock import Clock
from broker_core.models import StreamItem
from broker_core.orders import OrderEvent

Line = dict[str, Any]


def read(path: Path) -> tuple[Line, list[Line]]:
    """The first line, and the lines of frames."""
    first, *others = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return first, others


def frame_of(line: Mapping[str, Any]) -> str | bytes:
    """The frame that a line holds."""
    return line["text"] if "text" in line else base64.b64decode(line["base64"])


def word_for(item: StreamItem) -> str:
    """What stands for an item in the first line: of an order event its kind, else the type's name."""
    return item.kind.value if isinstance(item, OrderEvent) else type(item).__name__


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

    def written(self, wish: Mapping[str, str], items: list[str], scrubber: Scrubber) -> str:
        """The whole, scrubbed. Raises Leak where something is left."""
        lines: list[Line] = [{"wish": dict(wish), "items": items}]
        for at, direction, frame in self._frames:
            kept = scrubber.frame(frame)
            holds = {"text": kept} if isinstance(kept, str) else {"base64": base64.b64encode(kept).decode()}
            lines.append({"at": round(at - self._frames[0][0], 3), "dir": direction, **holds})
        return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)


class TapedSocket(Socket):
    """A socket of which every message is taken down. Pings are not: they belong to the connection."""

    def __init__(self, socket: Socket, tape: Tape) -> None:
        self._taped = socket
        self._tape = tape

    async def send(self, message: str | bytes) -> None:
        """Send one message. Raises Unavailable when the socket is closed."""
        self._tape.add("out", message)
        await self._taped.send(message)

    async def receive(self) -> str | bytes:
        """The next message. Raises Unavailable when the socket is closed."""
        message = await self._taped.receive()
        self._tape.add("in", message)
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
