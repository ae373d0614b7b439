"""The cheapest HTTP client there is on asyncio: what benchmarks drive servers with, and the floor beside real clients."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any


def length_of(head: bytes) -> int:
    """What a head says about the length of its body."""
    after = head.lower().partition(b"\r\ncontent-length:")[2]
    return int(after.partition(b"\r\n")[0] or 0)


class PlainConnection(asyncio.Protocol):
    """One connection, one request at a time, and no more of HTTP than the length of a body."""

    def __init__(self) -> None:
        self._heard: list[bytes] = []
        self._missing = 0
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def connection_lost(self, error: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the server has closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._heard.append(data)
        if self._missing:
            self._missing -= len(data)
        else:
            whole = b"".join(self._heard)
            head, end, body = whole.partition(b"\r\n\r\n")
            if not end:
                return
            self._heard = [body]
            self._missing = length_of(head) - len(body)
        if not self._missing:
            heard, self._heard = self._heard, []
            self._answer.set_result(b"".join(heard))

    async def ask(self, request: bytes) -> bytes:
        """Send a request; the body of its answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        self._transport.close()


class PlainClient:
    """Keeps as many connections as it takes."""

    def __init__(self, port: int, headers: Mapping[str, str]) -> None:
        self._port = port
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._lines = f" HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{lines}Content-Length: ".encode()
        self._idle: list[PlainConnection] = []

    async def ask(self, what: bytes, body: bytes = b"") -> bytes:
        """The body of the answer to a request such as ``POST /v2/orders``."""
        if self._idle:
            connection = self._idle.pop()
        else:
            _, connection = await asyncio.get_running_loop().create_connection(PlainConnection, "127.0.0.1", self._port)
        answer = await connection.ask(b"%b%b%d\r\n\r\n%b" % (what, self._lines, len(body), body))
        self._idle.append(connection)
        return answer

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
