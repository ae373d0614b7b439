"""The brokers of this project as the suites of ``broker_core.testing.contract`` see them."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Self

from sandboxes import KEY, SECRET, sandbox

from broker_alpaca.config import Mode
from broker_alpaca.exchange import Transport
from broker_alpaca.plugin import AlpacaPlugin
from broker_core.clock import CountingIds, seeded
from broker_core.hookspecs import hookimpl
from broker_core.requests import OrderRequest
from broker_core.session import Session
from broker_core.testing.contract import StillSubject
from broker_demo.plugin import DemoPlugin
from broker_demo.sandbox.faults.script import read_fault
from broker_demo.sandbox.server import Sandbox
from broker_demo.sandbox.sockets.lines import Kind


class DemoSubject(StillSubject):
    """The demo broker in this process. ``folder`` takes its account where a test wants it to outlive a session."""

    symbol = "AAPL"
    other_symbol = "MSFT"
    pieces_symbol = "DEMO.PARTIAL"
    rejecting_symbol = "DEMO.REJECT"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.end_day = self.midnight
        self._folder = folder
        self._plugin = DemoPlugin(clock=self.clock, ids=CountingIds("D"), random=seeded(3))

    def connect(self, *plugins: object, database: str = "off") -> AbstractAsyncContextManager[Session]:
        """A new account, or the one in the file."""
        state = "memory" if database == "off" else str(self._folder / "account.json")
        environ = {"BROKER_DEMO_SEED": "7", "BROKER_DEMO_STATE": state}
        return self.open("demo", self._plugin, *plugins, database=database, environ=environ)

    async def cut_orders(self) -> None:
        """Break the connection of the order stream."""
        self.session.client.trading.drop()

    async def cut_data(self) -> None:
        """Break the connection of market data."""
        self.session.client.data.drop()

    async def lose_answer(self) -> str:
        """The next order takes effect, and nobody says so."""
        return "DEMO.SILENT"

    async def lose_order(self) -> str:
        """The next order never arrives, and nobody says so."""
        return "DEMO.LOST"

    async def place_elsewhere(self, request: OrderRequest) -> str:
        """Place an order without the session."""
        venue = self.session.client.venue
        venue.change(lambda now_ns: venue.exchange.submit(request, "by-hand-1", now_ns))
        return "by-hand-1"


class AlpacaSubject(StillSubject):
    """The plugin for Alpaca over one of its transports, against a sandbox on loopback that stands on the same still clock.

    Use it as an asynchronous context manager; the sandbox, and the account in it, last as long.
    """

    symbol = "AAPL"
    other_symbol = "MSFT"
    pieces_symbol = "DEMO.PARTIAL"
    rejecting_symbol = "DEMO.REJECT"

    def __init__(self, mode: Mode) -> None:
        super().__init__()
        self.end_day = self.midnight
        self.box: Sandbox = sandbox(self.clock)
        self._mode = mode
        self._under_way = 0

    async def __aenter__(self) -> Self:
        await self.box.start()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.box.stop()

    def connect(self, *plugins: object, database: str = "off") -> AbstractAsyncContextManager[Session]:
        """The account in the sandbox."""
        found = self.box.addresses
        environ = {
            "APCA_API_KEY_ID": KEY,
            "APCA_API_SECRET_KEY": SECRET,
            "BROKER_ALPACA_TRADING_URL": found.trading_url,
            "BROKER_ALPACA_DATA_URL": found.data_url,
            "BROKER_ALPACA_STREAM_URL": found.stream_url,
            "BROKER_ALPACA_TRADING_STREAM_URL": found.trading_stream_url,
            "BROKER_ALPACA_MODE": self._mode.value,
            "BROKER_ALPACA_RATE_LIMIT": "1000000",
            "BROKER_ALPACA_DATA_RATE_LIMIT": "1000000",
        }
        plugin = _Watched(self, clock=self.clock, random=seeded(1))
        return self.open("alpaca", plugin, *plugins, database=database, environ=environ)

    async def pass_time(self, seconds: float) -> None:
        """Move the clock, once nothing is on its way between the two: a deadline must not pass while the machine is busy."""
        await self._quiet()
        await super().pass_time(seconds)
        await self._quiet()

    async def _quiet(self) -> None:
        while True:
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            if not self._under_way:
                return
            await asyncio.sleep(0.0005)

    async def cut_orders(self) -> None:
        """Reset the trading socket."""
        for line in self.box.desk.lines.of(Kind.TRADING):
            line.drop()

    async def cut_data(self) -> None:
        """Reset the sockets of market data."""
        for line in self.box.desk.lines.of(Kind.DATA):
            line.drop()

    async def lose_answer(self) -> str:
        """The next order takes effect; instead of an answer the connection is reset."""
        self._strike_once("after")
        return self.symbol

    async def lose_order(self) -> str:
        """The next order is lost with its connection."""
        self._strike_once("before")
        return self.symbol

    def _strike_once(self, when: str) -> None:
        fault = {"kind": "reset", "when": when, "method": "POST", "path": "/v2/orders", "count": 1}
        self.box.desk.faults.add(read_fault(fault, "a fault of the test"))

    async def place_elsewhere(self, request: OrderRequest) -> str:
        """Place an order without the session."""
        venue = self.box.desk.venue
        venue.change(lambda now_ns: venue.exchange.submit(request, "by-hand-1", now_ns))
        return "by-hand-1"


_TURNS = 20


class _Watched(AlpacaPlugin):
    """The plugin, with a count of the calls that are under way."""

    def __init__(self, subject: AlpacaSubject, **tools: Any) -> None:
        super().__init__(**tools)
        self._subject = subject

    @hookimpl
    def broker_client(self, environ: Any) -> Any:
        client = super().broker_client(environ)
        client._transport = _Counting(self._subject, client._transport)
        return client


class _Counting:
    def __init__(self, subject: AlpacaSubject, transport: Transport) -> None:
        self.mode = transport.mode
        self.close = transport.close
        self._subject = subject
        self._exchange = transport.exchange

    async def exchange(self, call: Any) -> Any:
        self._subject._under_way += 1
        try:
            return await self._exchange(call)
        finally:
            self._subject._under_way -= 1
