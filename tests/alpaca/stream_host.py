"""A market data host on loopback: signs in, acknowledges, and otherwise sends what the test gives it."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from types import TracebackType
from typing import Any, Self

import msgspec
from aiohttp import WSMsgType, web


class StreamHost:
    """Serves every path. ``refusals`` are error codes for the next sign-ins; None accepts, and so does an empty list."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.heard: list[dict[str, Any]] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.refusals: deque[int | None] = deque()
        self.answers_pings = True
        self.compressed: list[bool] = []
        self._runner: web.AppRunner | None = None
        self._packed: set[web.WebSocketResponse] = set()
        self._news = asyncio.Event()
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"ws://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        assert self._runner is not None
        for socket in self.sockets:
            await socket.close()
        await self._runner.cleanup()

    async def send(self, batch: Any) -> None:
        """One frame on the newest connection, in its codec."""
        await self._send(self.sockets[-1], batch)

    async def _send(self, socket: web.WebSocketResponse, batch: Any) -> None:
        if self.is_packed(socket):
            await socket.send_bytes(batch if isinstance(batch, bytes) else msgspec.msgpack.encode(batch))
        else:
            await socket.send_str(json.dumps(batch))

    async def until(self, count: int) -> None:
        """Return when so many messages were heard on all connections."""
        while len(self.heard) < count:
            self._news.clear()
            await self._news.wait()

    def is_packed(self, socket: web.WebSocketResponse) -> bool:
        """Whether a connection speaks MessagePack."""
        return socket in self._packed

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=self.answers_pings)
        await socket.prepare(request)
        if request.headers["Content-Type"] == "application/msgpack":
            self._packed.add(socket)
        self.paths.append(request.path)
        self.compressed.append("permessage-deflate" in request.headers.get("Sec-WebSocket-Extensions", ""))
        self.sockets.append(socket)
        held: dict[str, set[str]] = {}
        await self._send(socket, [{"T": "success", "msg": "connected"}])
        async for message in socket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                continue
            assert (message.type is WSMsgType.BINARY) == self.is_packed(socket)
            said = msgspec.msgpack.decode(message.data) if self.is_packed(socket) else json.loads(message.data)
            self.heard.append(said)
            self._news.set()
            if said["action"] == "auth":
                code = self.refusals.popleft() if self.refusals else None
                if code is None:
                    await self._send(socket, [{"T": "success", "msg": "authenticated"}])
                else:
                    await self._send(socket, [{"T": "error", "code": code, "msg": "refused"}])
                    await socket.close()
                continue
            for name, symbols in said.items():
                if name != "action":
                    change = held.setdefault(name, set())
                    change.update(symbols) if said["action"] == "subscribe" else change.difference_update(symbols)
            await self._send(socket, [{"T": "subscription", **{name: sorted(symbols) for name, symbols in held.items()}}])
        return socket
