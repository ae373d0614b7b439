"""HTTP over a bare connection, for what a client library would hide: how an answer ends, and what came before."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import msgspec
from sandboxes import KEY, SECRET

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
    host, _, port = box.addresses.trading_url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    received = bytearray()
    try:
        writer.write(sent)
        while piece := await reader.read(1 << 16):
            received += piece
    except ConnectionResetError:
        return Outcome(bytes(received), was_reset=True)
    else:
        return Outcome(bytes(received), was_reset=False)
    finally:
        writer.close()
