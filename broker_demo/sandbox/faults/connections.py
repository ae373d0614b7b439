"""Faults of connections: one is reset as soon as it is accepted."""

from __future__ import annotations

import asyncio

from aiohttp import web

from broker_demo.sandbox.faults.plan import Faults
from broker_demo.sandbox.resets import reset


class Door(web.BaseSite):
    """A port that turns connections away where a fault says so, and hands the rest to the runner's server."""

    def __init__(self, runner: web.BaseRunner, host: str, port: int, faults: Faults) -> None:
        super().__init__(runner)
        self._host = host
        self._port = port
        self._faults = faults

    @property
    def name(self) -> str:
        """Where it is, as it was asked for."""
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        """Begin to accept connections. Raises OSError where the address cannot be bound."""
        await super().start()
        self._server = await asyncio.get_running_loop().create_server(self._accept, self._host, self._port, backlog=self._backlog)

    def _accept(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        if server is None or (self._faults.connections and self._faults.of_connection() is not None):
            return _Refusal()
        return server()


class _Refusal(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        reset(transport)
