"""The sandbox itself: opens an exchange, puts a desk over it, binds its addresses to loopback, and ends all of it again."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from types import TracebackType
from typing import Self

import attrs
from aiohttp import web

from broker_core.clock import Clock, IdFactory, SystemClock, TimeSortedIds, seeded
from broker_core.errors import ConfigError, Unavailable
from broker_core.secret import Secret
from broker_demo.opening import prepare, take_file
from broker_demo.sandbox.answers import Host
from broker_demo.sandbox.application import application
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.faults.admin import admin_app
from broker_demo.sandbox.faults.connections import Door
from broker_demo.sandbox.faults.plan import Faults
from broker_demo.sandbox.faults.script import read_script
from broker_demo.sandbox.profile import Profile
from broker_demo.sandbox.profile_file import ProfileFile
from broker_demo.sandbox.rate_limit import RateLimit
from broker_demo.sandbox.settings import SandboxSettings
from broker_demo.sandbox.signing import KeyPair
from broker_demo.sandbox.sockets.lines import Lines
from broker_demo.sandbox.sockets.market_tape import MarketTape
from broker_demo.sandbox.sockets.trade_updates import TradeUpdates
from broker_demo.state import StateFile
from broker_demo.venue import Venue

log = logging.getLogger(__name__)

_SEEDS = 2**31
_WAIT_FOR_REQUESTS = 0.5
"""Seconds that running requests have when the sandbox stops."""


@attrs.frozen(kw_only=True)
class Addresses:
    """Where a sandbox is reached, and with which keys; what ``broker sandbox`` prints."""

    trading_url: str
    data_url: str
    stream_url: str
    """Of market data, without the feed's path."""
    trading_stream_url: str
    admin_url: str
    key: str
    secret: Secret

    def as_json(self) -> str:
        """All of it in one line, the secret included: whoever starts a sandbox has to know it."""
        return json.dumps(attrs.asdict(self) | {"secret": self.secret.reveal()})


class Sandbox:
    """One account behind Alpaca's wire. Use it as an asynchronous context manager, or ``start`` it and ``stop`` it.

    Raises ConfigError for settings that cannot be followed, an address that is taken included, and StorageError for an account
    that cannot be kept.
    """

    def __init__(
        self,
        settings: SandboxSettings | None = None,
        *,
        clock: Clock | None = None,
        ids: IdFactory | None = None,
        random: random.Random | None = None,
    ) -> None:
        self.settings = settings or SandboxSettings()
        self._clock = clock or SystemClock()
        self._ids = ids or TimeSortedIds(self._clock)
        self._random = random or seeded()
        self._file: StateFile | None = None
        self._desk: Desk | None = None
        self._runners: list[web.AppRunner] = []
        self._market: asyncio.Task[None] | None = None
        self._addresses: Addresses | None = None

    @property
    def desk(self) -> Desk:
        """What stands behind the addresses. Raises Unavailable while the sandbox is not started."""
        if self._desk is None:
            raise Unavailable("sandbox: it is not started")
        return self._desk

    @property
    def addresses(self) -> Addresses:
        """Where it is reached. Raises Unavailable while the sandbox is not started."""
        if self._addresses is None:
            raise Unavailable("sandbox: it is not started")
        return self._addresses

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def start(self) -> Addresses:
        """Open the exchange and let requests in."""
        self._desk = desk = await self._open()
        desk.venue.save()
        if desk.venue.unsaved is not None:
            raise desk.venue.unsaved
        port = await self._serve(application(desk), self.settings.port, desk.faults)
        admin_port = await self._serve(admin_app(desk), self.settings.admin_port)
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        self._addresses = Addresses(
            trading_url=f"http://{host}:{port}",
            data_url=f"http://{host}:{port}",
            stream_url=f"ws://{host}:{port}",
            trading_stream_url=f"ws://{host}:{port}/stream",
            admin_url=f"http://{host}:{admin_port}",
            key=desk.keys.key,
            secret=desk.keys.secret,
        )
        self._market = asyncio.create_task(desk.venue.run(), name="sandbox market")
        state = desk.exchange.state
        log.info("sandbox: account %s, seed %d, at %s", state.account_id, state.ids.seed, self._addresses.trading_url)
        return self._addresses

    async def run(self) -> None:
        """Wait for the end of the market, which only an error or a cancellation brings."""
        if self._market is not None:
            await asyncio.shield(self._market)

    async def stop(self) -> None:
        """End all connections, write the account down and let go of its file. Does nothing when there is nothing to stop."""
        market, self._market = self._market, None
        if market is not None:
            market.cancel()
            (outcome,) = await asyncio.gather(market, return_exceptions=True)
            if isinstance(outcome, Exception):
                log.error("sandbox: the market had stopped", exc_info=outcome)
        desk, self._desk = self._desk, None
        if desk is not None:
            desk.updates.stop()
            desk.tape.stop()
        runners, self._runners = self._runners, []
        for runner in runners:
            await runner.cleanup()
        if desk is not None:
            desk.venue.save()
        if self._file is not None:
            self._file.release()

    async def _open(self) -> Desk:
        settings = self.settings.demo
        faults = Faults(() if self.settings.faults is None else read_script(self.settings.faults), clock=self._clock)
        seed = self._random.randrange(_SEEDS) if settings.seed is None else settings.seed
        self._file, kept = await take_file(settings)
        if kept is not None:
            seed = kept.ids.seed
        # Reading a calendar or a file, or working through a long absence, takes long enough for the event loop to notice.
        exchange_, time = await asyncio.to_thread(prepare, settings, seed, kept, clock=self._clock, ids=self._ids)
        papers = None if settings.state is None else ProfileFile.beside(settings.state)
        profile = Profile.open(exchange_.account_id, exchange_.now_ns, papers)
        lines = Lines()
        updates, tape = TradeUpdates(lines, self._ids), MarketTape(lines)
        updates.attach(exchange_)
        return Desk(
            keys=KeyPair(self.settings.key or f"PK{self._ids()[:18]}", self.settings.secret or Secret(self._ids() + self._ids())),
            venue=Venue(exchange_, clock=self._clock, time=time, file=self._file, trading=updates, data=tape),
            profile=profile,
            updates=updates,
            tape=tape,
            lines=lines,
            faults=faults,
            clock=self._clock,
            ids=self._ids,
            rate_limits=self._rate_limits(),
        )

    def _rate_limits(self) -> dict[Host, RateLimit]:
        limit = self.settings.rate_limit
        return {} if limit is None else {host: RateLimit(limit, self._clock) for host in Host}

    async def _serve(self, application: web.Application, port: int, faults: Faults | None = None) -> int:
        runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=_WAIT_FOR_REQUESTS)
        self._runners.append(runner)
        await runner.setup()
        try:
            await Door(runner, self.settings.host, port, faults or Faults()).start()
        except OSError as error:
            raise ConfigError(f"sandbox: {self.settings.host} port {port} cannot be bound: {error.strerror or error}") from None
        bound: int = runner.addresses[0][1]
        return bound
