"""A trading socket on loopback: it signs in and sends what the test gives it, refuses, or keeps silent."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import attrs
from aiohttp import WSMsgType, web


@attrs.frozen
class Refusal:
    """What a handshake is answered with in the place of a socket."""

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict)


class TradingHost:
    """Serves every path. ``words`` are the statuses that the next sign-ins are answered with; an empty list authorizes."""

    def __init__(self) -> None:
        self.refusals: deque[Refusal] = deque()
        self.words: deque[str] = deque()
        self.sends_text = False
        """Whether frames are text, as a live account's are."""
        self.answers_pings = True
        self.answers = True
        """Whether anything is answered."""
        self.handshakes = 0
        self.heard: list[dict[str, Any]] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.url = ""
        self._runner: web.AppRunner | None = None
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        assert self._runner is not None
        for socket in self.sockets:
            await socket.close()
        await self._runner.cleanup()

    async def until(self, count: int) -> None:
        """Return when so many messages were heard on all connections."""
        while len(self.heard) < count:
            self._news.clear()
            await self._news.wait()

    async def send(self, message: Any) -> None:
        """One frame on the newest connection; what is no bytes is sent as JSON."""
        frame = message if isinstance(message, bytes) else json.dumps(message).encode()
        if self.sends_text:
            await self.sockets[-1].send_str(frame.decode())
        else:
            await self.sockets[-1].send_bytes(frame)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.handshakes += 1
        if self.refusals:
            refusal = self.refusals.popleft()
            return web.Response(status=refusal.status, headers=refusal.headers)
        socket = web.WebSocketResponse(autoping=self.answers_pings)
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                said = json.loads(message.data)
                self.heard.append(said)
                self._news.set()
                if self.answers:
                    await self._answer(said)
        return socket

    async def _answer(self, said: Mapping[str, Any]) -> None:
        if said["action"] == "authenticate":
            word = self.words.popleft() if self.words else "authorized"
            await self.send({"stream": "authorization", "data": {"status": word, "action": "authenticate"}})
        else:
            await self.send({"stream": "listening", "data": said["data"]})
