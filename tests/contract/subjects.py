"""The brokers of this project as the suites of ``broker_core.testing.contract`` see them."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from broker_core.clock import CountingIds, seeded
from broker_core.requests import OrderRequest
from broker_core.session import Session
from broker_core.testing.contract import StillSubject
from broker_demo.plugin import DemoPlugin


class DemoSubject(StillSubject):
    """The demo broker in this process. ``folder`` takes its account where a test wants it to outlive a session."""

    symbol = "AAPL"
    other_symbol = "MSFT"
    pieces_symbol = "DEMO.PARTIAL"
    rejecting_symbol = "DEMO.REJECT"
    silent_symbol = "DEMO.SILENT"
    lost_symbol = "DEMO.LOST"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.cut_orders, self.cut_data, self.end_day = self._cut_orders, self._cut_data, self.midnight
        self.place_elsewhere = self._place
        self._folder = folder
        self._plugin = DemoPlugin(clock=self.clock, ids=CountingIds("D"), random=seeded(3))

    def connect(self, *plugins: object, database: str = "off") -> AbstractAsyncContextManager[Session]:
        """A new account, or the one in the file."""
        state = "memory" if database == "off" else str(self._folder / "account.json")
        environ = {"BROKER_DEMO_SEED": "7", "BROKER_DEMO_STATE": state}
        return self.open("demo", self._plugin, *plugins, database=database, environ=environ)

    async def _cut_orders(self) -> None:
        self.session.client.trading.drop()

    async def _cut_data(self) -> None:
        self.session.client.data.drop()

    async def _place(self, request: OrderRequest) -> str:
        venue = self.session.client.venue
        venue.change(lambda now_ns: venue.exchange.submit(request, "by-hand-1", now_ns))
        return "by-hand-1"
