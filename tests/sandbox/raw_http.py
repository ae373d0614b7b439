"""HTTP over a bare connection, for what a client library would hide: how an answer ends, and what came before."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import msgspec
import pytest
from sandboxes import KEY, SECRET

from broker_core.clock import StillClock
from broker_demo.sandbox.server import Sandbox


@attrs.frozen
class Outcome:
    """All that came back, and whether the connection was reset instead of ended."""

    received: bytes
    was_reset: bool

    @property
    def status(self) -> int | None:
        """The answer's status; None where there was no answer."""
        return int(self.received.split()[1]) if self.received else None

    @property
    def head(self) -> str:
        """The answer's head, in small letters."""
        return self.received.partition(b"\r\n\r\n")[0].decode().lower()

    @property
    def body(self) -> bytes:
        """As much of the answer's body as came."""
        return self.received.partition(b"\r\n\r\n")[2]

    @property
    def promised(self) -> int:
        """How long the answer's body would be."""
        return int(self.head.partition("content-length: ")[2].partition("\r\n")[0])

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


async def raw_request(box: Sandbox, method: str, path: str, body: Any = None, **headers: str) -> Outcome:
    """Send one signed request over a connection of its own, and read to the connection's end."""
    content = b"" if body is None else msgspec.json.encode(body)
    lines = [f"{method} {path} HTTP/1.1", "Host: sandbox", "Connection: close", f"Content-Length: {len(content)}"]
    lines += [f"APCA-API-KEY-ID: {KEY}", f"APCA-API-SECRET-KEY: {SECRET}", *(f"{name}: {value}" for name, value in headers.items())]
    return await raw_bytes(box, "\r\n".join([*lines, "", ""]).encode() + content)


async def raw_bytes(box: Sandbox, sent: bytes) -> Outcome:
    """Send these bytes over a connection of its own, and read to the connection's end."""
    connection = await connect(box)
    connection.send(sent)
    return await connection.end()


class Connection(asyncio.Protocol):
    """A bare connection. A stream reader would throw away what came before a reset."""

    def __init__(self) -> None:
        self.received = bytearray()
        self._news = asyncio.Event()
        self._lost: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost.set_result(isinstance(exc, ConnectionResetError))

    def send(self, data: bytes) -> None:
        """Send bytes; does nothing where the connection has ended."""
        self._transport.write(data)

    async def heard(self, part: bytes) -> None:
        """Wait until this has come."""
        while part not in self.received:
            self._news.clear()
            await self._news.wait()

    async def end(self) -> Outcome:
        """Wait for the end."""
        was_reset = await self._lost
        return Outcome(bytes(self.received), was_reset)


async def connect(box: Sandbox) -> Connection:
    """Open a bare connection."""
    host, _, port = box.addresses.trading_url.removeprefix("http://").rpartition(":")
    _, connection = await asyncio.get_running_loop().create_connection(Connection, host, int(port))
    return connection


async def until_asleep(clock: StillClock, seconds: float) -> None:
    """Let the loop turn until somebody sleeps for so long."""
    for _ in range(1000):
        if seconds in clock.sleeping:
            return
        await asyncio.sleep(0)
    pytest.fail(f"nobody sleeps for {seconds} s: {clock.sleeping}")
