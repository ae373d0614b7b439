"""A host on loopback that answers as it is told, or fails as it is told: below HTTP, so that it can break off anywhere."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from enum import Enum, auto
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote

import attrs


@attrs.frozen
class Request:
    """What arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    target: str = ""
    """Path and query as they came."""

    @property
    def json(self) -> Any:
        """The body as plain values."""
        return json.loads(self.body)


@attrs.frozen
class Reply:
    """What to answer. A body that is not bytes is sent as JSON; ``cut`` sends only so many bytes of it and breaks off."""

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    cut: int | None = None


class Fault(Enum):
    """What to do instead of answering."""

    SILENT = auto()
    """Say nothing, for ever."""
    RESET = auto()
    """Break the connection after the request was read."""
    RESET_UNREAD = auto()
    """Break the connection before anything was read: it stands for every request on a new connection."""


Answer = Reply | Fault
Handler = Callable[[Request], "Answer | Awaitable[Answer]"]


class ScriptedHost:
    """Entered with ``async with``; ``url`` is where it listens, ``requests`` what it has received."""

    def __init__(self, handler: Handler | None = None) -> None:
        self.handler = handler or (lambda _: Reply(404, {"code": 40410000, "message": "not found"}))
        self.requests: list[Request] = []
        self.unread = 0
        """How many coming connections are broken before anything is read."""
        self._server: asyncio.Server | None = None
        self._port = 0
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The address without a path."""
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            if self.unread:
                self.unread -= 1
                _reset(writer)
                return
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                if not await self._answer(request, writer):
                    return
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            with suppress(Exception):
                writer.close()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        answer = self.handler(request)
        if not isinstance(answer, Reply | Fault):
            answer = await answer
        if answer is Fault.SILENT:
            await asyncio.get_running_loop().create_future()
        if not isinstance(answer, Reply):
            _reset(writer)
            return False
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **answer.headers}
        if answer.status == 204:
            headers.pop("Content-Length")
        lines = [f"HTTP/1.1 {answer.status} Whatever", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        writer.write("\r\n".join(lines).encode() + body[: answer.cut])
        await writer.drain()
        return answer.cut is None


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    path, _, query = target.partition("?")
    return Request(method, unquote(path), dict(parse_qsl(query)), headers, body, target)
