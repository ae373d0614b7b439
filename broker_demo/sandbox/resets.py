"""Connections that end with RST, so that the other side sees an error and not an end."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys

_AT_ONCE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""Linger, but for no time at all: what was not sent is thrown away, and the system sends a reset."""


def reset(transport: asyncio.BaseTransport | None) -> None:
    """End a connection with RST; one that is closing ends at once. Does nothing where there is none any more."""
    if not isinstance(transport, asyncio.Transport):
        return
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()
