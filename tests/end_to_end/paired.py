"""The plugin for Alpaca and the sandbox face to face: each the other's independent reading of the wire, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
from accounts import FastClock

from broker_alpaca.config import AlpacaSettings, Mode
from broker_alpaca.plugin import AlpacaPlugin
from broker_core import Session, connect
from broker_core.clock import Clock, CountingIds, seeded
from broker_core.errors import IllegalTransition, RemoteError
from broker_core.orders import Order
from broker_core.secret import Secret
from broker_core.submission import OrderPolicy
from broker_demo.config import DemoSettings
from broker_demo.paper_order import PaperOrder
from broker_demo.sandbox.faults.script import read_fault
from broker_demo.sandbox.server import Sandbox
from broker_demo.sandbox.settings import SandboxSettings

KEY, SECRET = "PKPAIREDTEST", "s3cr3t-that-nobody-may-see"


def box_on(clock: Clock, *, seed: int = 7, **demo: Any) -> Sandbox:
    """A sandbox of an account with all the money there can be, open round the clock."""
    settings = SandboxSettings(demo=DemoSettings(**{"seed": seed, "cash": 10**12, **demo}), key=KEY, secret=Secret(SECRET))
    return Sandbox(settings, clock=clock, random=seeded(seed))


def session_at(
    box: Sandbox,
    clock: Clock,
    *,
    mode: Mode = Mode.HTTP,
    database: Path | None = None,
    policy: OrderPolicy | None = None,
    environ: Mapping[str, str] | None = None,
    **changes: Any,
) -> Any:
    """A session with the sandbox's account over the plugin for Alpaca, with these settings changed; it is not open yet."""
    found = box.addresses
    told: dict[str, Any] = {
        "key": KEY,
        "secret": SECRET,
        "trading_url": found.trading_url,
        "data_url": found.data_url,
        "stream_url": found.stream_url,
        "trading_stream_url": found.trading_stream_url,
        "rate_limit": 1e6,
        "data_rate_limit": 1e6,
        "mode": mode,
    }
    plugin = AlpacaPlugin(AlpacaSettings(**told | changes), clock=clock, random=seeded(1))
    kept = {"BROKER_DATABASE": str(database), "BROKER_DISABLE": "alpaca"} if database else {"BROKER_DISABLE": "alpaca,records"}
    told_environ = {**kept, **(environ or {})}
    return connect("alpaca", plugins=[plugin], environ=told_environ, policy=policy, clock=clock, ids=CountingIds("T"), random=seeded(2))


@attrs.frozen
class Pair:
    """A sandbox, and a session with its account."""

    box: Sandbox
    session: Session
    clock: Clock

    def faults(self, *written: dict[str, Any]) -> None:
        """Have these faults from now on, as a script writes them."""
        for terms in written:
            self.box.desk.faults.add(read_fault(terms, "a fault of the test"))

    async def call_off(self, order: Order) -> Order:
        """Cancel an order, again every second, until it has ended; the order then. Refusals and lost answers are borne."""
        orders = self.session.orders
        while not (order := orders.get(order.local_id) or order).is_terminal:
            with suppress(RemoteError, IllegalTransition):
                await orders.cancel(order)
            await self.clock.sleep(1)
        return order

    @property
    def held(self) -> Sequence[PaperOrder]:
        """Every order that the exchange holds: the truth."""
        return self.box.desk.settled().orders()


@asynccontextmanager
async def pair(faults: Iterable[dict[str, Any]] = (), *, mode: Mode = Mode.HTTP, **options: Any) -> AsyncIterator[Pair]:
    """Both, open, on one clock that runs fifty times as fast."""
    clock = FastClock()
    async with box_on(clock) as box, session_at(box, clock, mode=mode, **options) as session:
        both = Pair(box, session, clock)
        both.faults(*faults)
        yield both
