"""Sandboxes for tests, and a visitor that talks HTTP to one without any broker's code."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import aiohttp
import attrs
import msgspec

from broker_core.clock import Clock, CountingIds, StillClock, seeded
from broker_core.secret import Secret
from broker_demo.config import DemoSettings
from broker_demo.sandbox.server import Sandbox
from broker_demo.sandbox.settings import SandboxSettings

KEY, SECRET = "PKSANDBOXTEST", "s3cr3t-that-nobody-may-see"
SEED = 7


def sandbox(clock: Clock | None = None, settings: dict[str, Any] | None = None, **demo: Any) -> Sandbox:
    """A sandbox that is the same in every run: always open, and on a still clock (2026-03-02 15:00 UTC) unless another is given."""
    told = SandboxSettings(demo=DemoSettings(**{"seed": SEED, **demo}), key=KEY, secret=Secret(SECRET), **(settings or {}))
    return Sandbox(told, clock=clock or StillClock(), ids=CountingIds(), random=seeded(SEED))


@attrs.frozen
class Reply:
    """What came back."""

    status: int
    body: bytes
    headers: Any

    @property
    def json(self) -> Any:
        """The body, decoded; None where there is none."""
        return msgspec.json.decode(self.body) if self.body else None


class Visitor:
    """Somebody with the right keys, unless others are given. Use it as an asynchronous context manager."""

    def __init__(self, box: Sandbox, *, key: str = KEY, secret: str = SECRET) -> None:
        self.box = box
        headers = {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret} if key else {}
        self._session = aiohttp.ClientSession(headers=headers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._session.close()

    async def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Reply:
        """Send one request. A body of bytes is sent as it is, any other as JSON."""
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        async with self._session.request(method, self.box.addresses.trading_url + path, data=data, params=query) as response:
            return Reply(response.status, await response.read(), response.headers)

    async def get(self, path: str, **query: Any) -> Reply:
        """GET a path."""
        return await self.ask("GET", path, **query)

    async def post(self, path: str, body: Any = None, **query: Any) -> Reply:
        """POST a body to a path."""
        return await self.ask("POST", path, body, **query)

    async def order(self, **terms: Any) -> Any:
        """Place an order that must be taken, and return it. By default: buy one AAPL at the market, for the day."""
        told = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day", **terms}
        reply = await self.post("/v2/orders", {name: value for name, value in told.items() if value is not None})
        assert reply.status == 200, reply.body
        return reply.json
