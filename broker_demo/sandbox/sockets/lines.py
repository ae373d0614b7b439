"""The open sockets. Whatever is sent over one waits in its queue for its one writer, so that nobody waits for a slow client.

A line is also where faults take hold: it can break, close, fall silent, stop answering or become slow, and everything sent over it can
be bent on the way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, TypeAlias

import attrs
import msgspec
from aiohttp import WSMsgType, web

from broker_core.clock import Clock
from broker_demo.sandbox.resets import reset
from broker_demo.sandbox.sockets.codec import Codec, Message, Parcel, half_frame

GIVES_UP = 90.0
"""Seconds after which this side of a half-open connection gives it up too."""
_GOING_AWAY = 1001
_POLICY = 1008
_INTERNAL_ERROR = 1011
_WAIT_FOR_CLOSE = 1.0
_LARGEST_MESSAGE = 1 << 20

Bend: TypeAlias = Callable[[str, list[dict[str, Any]]], list[dict[str, Any]]]
"""What becomes of messages on their way out, from the line's kind and the messages."""


class Kind(StrEnum):
    """Which of the two sockets."""

    TRADING = "trading"
    DATA = "data"


@attrs.define
class Limits:
    """What Alpaca's plans limit. None is no limit."""

    symbols: int | None = None
    """Symbols that one line may subscribe to, those of trades and of quotes counted together."""
    connections: int | None = 1
    """Open data lines for each path."""
    feeds: frozenset[str] | None = None
    """Paths that the plan has."""
    unsent: int = 8 << 20
    """Bytes that may wait for a client that reads too slowly."""


class Line:
    """One open socket, made by ``Lines.open``.

    ``overflow`` is the last thing it says to a client that reads too slowly: one for whom more than ``room`` bytes wait when there is more
    to say. What is said at once may be longer, as it is after a pause of this side's own.
    """

    def __init__(
        self,
        kind: Kind,
        path: str,
        codec: Codec,
        *,
        response: web.WebSocketResponse,
        request: web.Request,
        clock: Clock,
        overflow: Message,
        room: int,
    ) -> None:
        self.kind = kind
        self.path = path
        self.codec = codec
        self.response = response
        self.is_signed_in = False
        self.was_dropped = False
        self.bend: Bend | None = None
        self._request = request
        self._clock = clock
        self._overflow = overflow
        self._room = room
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._news = asyncio.Event()
        self._delay = 0.0
        self._is_mute = False
        self._is_half_open = False
        self._torn: bytes | None = None
        """The last bytes before it breaks; None while it need not."""
        self._code: int | None = None
        self._is_closing = False

    # What is said

    def send(self, messages: Sequence[Message] | Parcel) -> None:
        """Put messages into the queue; does nothing on a line that is closing or silent. Never waits."""
        if self._is_mute or self._code is not None:
            return
        if self._queued > self._room:
            self._forget()
            self._put(Parcel([self._overflow]).frames(self.codec))
            self.close(_POLICY)
            return
        parcel = messages if isinstance(messages, Parcel) else Parcel(messages)
        if self.bend is None:
            frames = parcel.frames(self.codec)
        else:
            frames = self.codec.frames(self.bend(self.kind.value, [_as_object(message) for message in parcel.messages]))
        self._put(frames)

    def close(self, code: int = 1000) -> None:
        """Close it as the protocol has it, after what is in the queue."""
        if self._code is None:
            self._code = code
            self._news.set()

    # What goes wrong

    def drop(self) -> None:
        """Break it: the client sees a reset, and nothing of what is in the queue."""
        self._forget()
        self._code = self._code or _GOING_AWAY
        self.was_dropped = True
        reset(self._request.transport)

    def tear(self, message: Message | None = None) -> None:
        """Break it, but after what is in the queue, and in the middle of this message's frame where one is given."""
        frame = b"" if message is None else b"".join(self.codec.frames([message]))
        self._torn = half_frame(frame, is_binary=self.codec.is_binary) if frame else b""
        self._code = self._code or _GOING_AWAY
        self._news.set()

    def mute(self) -> None:
        """Say nothing any more but the answers to pings."""
        self._is_mute = True
        self._forget()

    def half_open(self) -> None:
        """Neither say nor hear anything any more. After ``GIVES_UP`` seconds the line is dropped."""
        self.mute()
        self._is_half_open = True
        transport = self._request.transport
        if transport is not None:
            transport.pause_reading()
        self._news.set()

    def slow(self, seconds: float) -> None:
        """Hold every frame back for this long before it is written."""
        self._delay = seconds

    def stop(self, last: Message | None = None) -> None:
        """End it because the sandbox stops; ``last`` is said first where that is for an error."""
        if self._is_half_open or self._delay:
            self.drop()
        elif last is None:
            self.close(_GOING_AWAY)
        else:
            self.send([last])
            self.close(_INTERNAL_ERROR)

    def _put(self, frames: Sequence[bytes]) -> None:
        self._queue.extend(frames)
        self._queued += sum(map(len, frames))
        self._news.set()

    def _forget(self) -> None:
        self._queue.clear()
        self._queued = 0

    # The work

    async def hear(self) -> AsyncIterator[str | bytes]:
        """Yield what the client says until the connection ends."""
        while True:
            message = await self.response.receive()
            if message.type is WSMsgType.PING:
                await self._pong(message.data)
            elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                if self._code is None:
                    yield message.data
            elif message.type is not WSMsgType.PONG:
                return

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Write what is in the queue as long as this lasts; a close that has been asked for is carried out first."""
        writer = asyncio.create_task(self._write(), name=f"sandbox {self.kind} line")
        try:
            yield
            if self._is_closing:
                # A client that is cut off while its answer to the close is on the way may lose the last messages.
                await asyncio.gather(writer, return_exceptions=True)
        finally:
            self._code = self._code or _GOING_AWAY
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    def _break(self) -> None:
        transport = self._request.transport
        if transport is not None and self._torn:
            transport.write(self._torn)
        self.drop()

    async def _pong(self, body: bytes) -> None:
        try:
            await self.response.pong(body)
        except ConnectionError:
            return

    async def _write(self) -> None:
        kind = WSMsgType.BINARY if self.codec.is_binary else WSMsgType.TEXT
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._queue:
                    if self._delay:
                        await self._clock.sleep(self._delay)
                    if self._queue:
                        frame = self._queue.popleft()
                        self._queued -= len(frame)
                        await self.response.send_frame(frame, kind)
                if self._torn is not None:
                    self._break()
                    return
                if self._is_half_open:
                    await self._clock.sleep(GIVES_UP)
                    self.drop()
                    return
                if self._code is not None:
                    self._is_closing = True
                    await self.response.close(code=self._code)
                    return
        except ConnectionError:
            # The client has gone; the reader sees that too.
            return


class Lines:
    """Every socket that is open now, and how many there ever were."""

    def __init__(self) -> None:
        self.limits = Limits()
        self.opened = 0
        self.dropped = 0
        """How many of them were broken from this side."""
        self.on_open: Callable[[Line], None] | None = None
        """Told of every new line before it says or hears anything."""
        self._open: dict[Line, None] = {}

    def __iter__(self) -> Iterator[Line]:
        return iter(tuple(self._open))

    def __len__(self) -> int:
        return len(self._open)

    def of(self, kind: Kind, path: str | None = None) -> list[Line]:
        """The open lines of a kind, of one path or of all, the oldest first."""
        return [line for line in self._open if line.kind is kind and path in (None, line.path)]

    @asynccontextmanager
    async def open(
        self, request: web.Request, kind: Kind, path: str, codec: Codec, *, clock: Clock, overflow: Message
    ) -> AsyncIterator[Line]:
        """Shake hands; the line ends with the context. Raises aiohttp's HTTPBadRequest where the request is none for a WebSocket."""
        response = web.WebSocketResponse(autoping=False, timeout=_WAIT_FOR_CLOSE, max_msg_size=_LARGEST_MESSAGE)
        await response.prepare(request)
        line = Line(kind, path, codec, response=response, request=request, clock=clock, overflow=overflow, room=self.limits.unsent)
        self._open[line] = None
        self.opened += 1
        if self.on_open is not None:
            self.on_open(line)
        try:
            async with line.writing():
                yield line
        finally:
            del self._open[line]
            self.dropped += line.was_dropped

    def stop(self, kind: Kind, last: Message | None = None) -> None:
        """End all lines of a kind because the sandbox stops; ``last`` is said first where that is for an error."""
        for line in self.of(kind):
            line.stop(last)


def _as_object(message: Message) -> dict[str, Any]:
    if isinstance(message, dict):
        return dict(message)
    found: dict[str, Any] = msgspec.structs.asdict(message)
    return found
