"""Connections as they are accepted: a fault may reset one at once, and what comes over one and is no HTTP is refused in Alpaca's shape."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Any

from aiohttp import web

from broker_demo.sandbox.answers import Refused
from broker_demo.sandbox.faults.http import response
from broker_demo.sandbox.faults.plan import Faults
from broker_demo.sandbox.resets import reset

log = logging.getLogger(__name__)


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
        connection = server()
        # aiohttp makes its connections itself, and asks nobody of which class.
        connection.__class__ = _Connection
        return connection


class _Connection(web.RequestHandler):
    """A connection that quotes nothing of what it cannot read, neither in its answer nor in the log: a secret may be part of that."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The refusal of what is no HTTP, after which the connection ends."""
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            return super().handle_error(request, status, exc, message)
        log.info("sandbox: what came over a connection is no HTTP request: %s", type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        answer = response(Refused(status, "bad request", code=status * 100_000 + 10_000).answer)
        answer.force_close()
        return answer

    def log_exception(self, *args: Any, **details: Any) -> None:
        """Say what failed; that the rest of a refused body cannot be read either is no news."""
        if not isinstance(details.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **details)


class _Refusal(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        reset(transport)
