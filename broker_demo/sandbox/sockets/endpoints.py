"""The addresses of the sockets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from aiohttp import web

from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.sockets import trading_socket

Endpoint: TypeAlias = Callable[[Desk, web.Request], Awaitable[web.StreamResponse]]


def endpoints() -> Mapping[str, Endpoint]:
    """Every path that becomes a socket, and what talks there."""
    return {"/stream": trading_socket.talk, "/stream/": trading_socket.talk}
