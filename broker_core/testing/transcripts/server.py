"""A web-socket server on loopback that holds its side of a transcript with whoever connects, whatever the path."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import WSCloseCode, WSMsgType, web

from broker_core.clock import Clock, SystemClock
from broker_core.testing.transcripts.faults import Fault, Said, Step, Stop, steps_of
from broker_core.testing.transcripts.matching import Difference, action_of, meaning
from broker_core.testing.transcripts.transcript import Frame, Transcript

RECORDED = 1.0
"""The pace at which it was recorded."""
FAST = math.inf
"""As fast as it goes: nothing is waited for but the client's own words."""

_LARGEST_FRAME = 64 * 2**20
_CLOSING = 0.2
"""Seconds that a client has to answer the end of a connection."""


class End(Enum):
    """What comes after the last frame."""

    CLOSE = "close"
    """The connection is closed in good order."""
    STAY = "stay"
    """The connection stays open, and pings are answered."""
    LOOP = "loop"
    """What follows the client's last word, and the answer to it, comes again and again."""


class TranscriptServer:
    """Plays a transcript on each connection, from its beginning. Use it as an asynchronous context manager.

    Its frames come at the recorded pace (``RECORDED``), as fast as it goes (``FAST``), or so many times as fast as recorded, by ``clock``.
    Where the transcript has the client speak, it waits for that. Other words than the script's are kept in ``differences``: with the
    action of the script they count as the answer, else the server goes on waiting. ``strict`` wants the very bytes, and closes the
    connection with code 1008 on anything else. Raises ValueError for lines that are no transcript, and for faults that do not fit it.
    """

    def __init__(
        self,
        source: str | Path | Iterable[Mapping[str, Any]] | Transcript,
        *,
        pace: float = FAST,
        clock: Clock | None = None,
        faults: Sequence[Fault] = (),
        end: End = End.CLOSE,
        strict: bool = False,
    ) -> None:
        if not pace > 0:
            raise ValueError(f"pace: {pace} is not above zero; give RECORDED, FAST, or how many times as fast as recorded")
        self.transcript = Transcript.of(source)
        self.differences: list[Difference] = []
        """What clients said that is not in the script, in the order in which it was heard."""
        self.connections = 0
        """How many there were so far."""
        self.paths: list[str] = []
        """Where each connection went."""
        self.url = ""
        """Where clients connect: an address of loopback that begins with ``ws://`` and has no path."""
        self._pace = pace
        self._clock = clock or SystemClock()
        self._faults = tuple(faults)
        self._end = end
        self._strict = strict
        self._played = 0
        self._news = asyncio.Event()
        self._open: set[web.WebSocketResponse] = set()
        self._runner: web.AppRunner | None = None
        # Faults that do not fit are the author's mistake, and told before anybody connects.
        for connection in {1, *(fault.connection for fault in self._faults if fault.connection)}:
            self._steps(connection)

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_get("/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=_CLOSING)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"ws://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        runner, self._runner = self._runner, None
        for socket in tuple(self._open):
            await socket.close(code=WSCloseCode.GOING_AWAY)
        if runner is not None:
            await runner.cleanup()

    async def connected(self, count: int = 1) -> None:
        """Return when there were so many connections."""
        while self.connections < count:
            await self._next_news()

    async def played(self, count: int = 1) -> None:
        """Return when so many connections have come to the end of the script, or to the fault that ends it."""
        while self._played < count:
            await self._next_news()

    async def _next_news(self) -> None:
        self._news.clear()
        await self._news.wait()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=False, timeout=_CLOSING, max_msg_size=_LARGEST_FRAME)
        await socket.prepare(request)
        self.connections += 1
        self.paths.append(request.path)
        self._news.set()
        self._open.add(socket)
        try:
            await self._talk(_Connection(socket, request, self.connections))
        except ConnectionError:
            pass  # The client has gone; what it does next is what the test is about.
        finally:
            self._open.discard(socket)
        return socket

    async def _talk(self, connection: _Connection) -> None:
        playing = asyncio.create_task(self._play(connection))
        connection.attend(playing.cancel)
        try:
            await asyncio.wait((playing,))
            if not playing.cancelled():
                playing.result()
        finally:
            playing.cancel()
            await connection.stop_listening()
            self._keep_unheard(connection)

    async def _play(self, connection: _Connection) -> None:
        stop = await self._take(connection, self._steps(connection.number))
        self._played += 1
        self._news.set()
        if stop is not None:
            await connection.end(stop)
        elif self._end is End.CLOSE:
            await connection.close(WSCloseCode.OK)
        else:
            again = self.transcript.frames[self.transcript.opening :]
            while self._end is End.LOOP and again:
                await self._take(connection, steps_of(again, ()))
                # At full pace nothing else here would let others run.
                await asyncio.sleep(0)
            await connection.forever()

    def _steps(self, connection: int) -> list[Step]:
        return steps_of(self.transcript.frames, [fault for fault in self._faults if fault.befalls(connection)])

    async def _take(self, connection: _Connection, steps: Sequence[Step]) -> Stop | None:
        """Take every step up to one that ends the talking, and return that."""
        first = next((step.frame.at for step in steps if isinstance(step, Said)), 0.0)
        begin = self._clock.monotonic() - first / self._pace
        for step in steps:
            if isinstance(step, Stop):
                return step
            if step.frame.is_ours:
                if not await self._hear(connection, step.frame):
                    return Stop.REFUSE
                # The client takes its own time; from here on the pace is the recorded one again.
                begin = self._clock.monotonic() - step.frame.at / self._pace
                continue
            begin += step.late
            wait = begin + step.frame.at / self._pace - self._clock.monotonic()
            if wait > 0:
                await self._clock.sleep(wait)
            await connection.say(step.frame.data)
        return None

    async def _hear(self, connection: _Connection, expected: Frame) -> bool:
        """Wait for what the script has the client say; False where the client must not go on."""
        wanted = meaning(expected.data)
        while True:
            frame = await connection.heard.get()
            said = meaning(frame)
            is_right = frame == expected.data if self._strict else said == wanted
            if not is_right:
                self.differences.append(Difference(connection.number, said, wanted))
            if is_right or self._strict or _same_action(said, wanted):
                connection.answered += 1
                return is_right or not self._strict

    def _keep_unheard(self, connection: _Connection) -> None:
        """What nobody waited for is a difference, too, unless it only came too late for a connection that broke."""
        owed = [meaning(frame.data) for frame in self.transcript.frames if frame.is_ours][connection.answered :]
        while not connection.heard.empty():
            said = meaning(connection.heard.get_nowait())
            if said in owed:
                owed.remove(said)
            else:
                self.differences.append(Difference(connection.number, said))


def _same_action(said: Any, wanted: Any) -> bool:
    return action_of(said) is not None and action_of(said) == action_of(wanted)


class _Connection:
    """One client."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, number: int) -> None:
        self.socket = socket
        self.number = number
        self.heard: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.answered = 0
        """How many of the client's frames in the script were waited for and heard."""
        self._request = request
        self._is_mute = False
        self._listening: asyncio.Task[None] | None = None

    def attend(self, gone: Callable[[], object]) -> None:
        """Begin to listen; ``gone`` is called when the client has left."""
        self._listening = asyncio.create_task(self._listen())
        self._listening.add_done_callback(lambda task: None if task.cancelled() else gone())

    async def stop_listening(self) -> None:
        """Whatever the client says from now on is not heard."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            message = await self.socket.receive()
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    self.heard.put_nowait(message.data)
                case WSMsgType.PING:
                    if not self._is_mute:
                        await self.socket.pong(message.data)
                case WSMsgType.PONG:
                    pass
                case _:
                    return

    async def say(self, data: str | bytes) -> None:
        """Send one frame."""
        if isinstance(data, str):
            await self.socket.send_str(data)
        else:
            await self.socket.send_bytes(data)

    async def end(self, stop: Stop) -> None:
        """Break the connection, turn the client away, or keep silent until it leaves."""
        match stop:
            case Stop.MUTE:
                self._is_mute = True
                await self.forever()
            case Stop.REFUSE:
                await self.close(WSCloseCode.POLICY_VIOLATION, b"not in the transcript")
            case Stop.DROP:
                await self.stop_listening()
                # What was said before is still delivered; only the farewell is missing.
                if self._request.transport is not None:
                    self._request.transport.close()

    async def close(self, code: int, message: bytes = b"") -> None:
        """Take leave in good order."""
        await self.stop_listening()
        await self.socket.close(code=code, message=message)

    async def forever(self) -> None:
        """Wait for the end of the connection, which only the client brings."""
        await asyncio.get_running_loop().create_future()
