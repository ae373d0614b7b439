"""The addresses of the sockets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from aiohttp import web

from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.sockets import data_socket, trading_socket
from broker_demo.sandbox.sockets.feeds import FEEDS

Endpoint: TypeAlias = Callable[[Desk, web.Request], Awaitable[web.StreamResponse]]


def endpoints() -> Mapping[str, Endpoint]:
    """Every path that becomes a socket, and what talks there."""
    trading = dict.fromkeys(("/stream", "/stream/"), trading_socket.talk)
    return {**trading, **dict.fromkeys(FEEDS, data_socket.talk)}
