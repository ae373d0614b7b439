"""``connect()`` and the session it opens: one broker, its families bound together, closed in order.

Opening goes downwards: settings, plugins, the choice, the client, the journal, the workers; whatever fails closes what was opened before
it. Closing goes back up and always to the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from random import Random
from types import TracebackType
from typing import Any, TypeVar

import attrs

from broker_core import config
from broker_core.account_sync import AccountSync, SyncIntervals
from broker_core.backoff import Backoff
from broker_core.clock import Clock, IdFactory, SystemClock, TimeSortedIds, seeded
from broker_core.config import Settings
from broker_core.errors import AuthError, NotSupported, StorageError
from broker_core.families import Client, Journal
from broker_core.findings import Findings
from broker_core.gate import Gate
from broker_core.market_data import MarketData
from broker_core.models import Account, Capabilities, Channel, Connection, Environment, Gap, Position
from broker_core.notify import Notifier
from broker_core.order_log import MemoryJournal, OrderLog
from broker_core.order_manager import OrderManager
from broker_core.orders import OrderChange, OrderEvent
from broker_core.plugins import Choice, Plugins
from broker_core.streaming import Streaming
from broker_core.submission import OrderPolicy
from broker_core.watchlists import Watchlists

log = logging.getLogger(__name__)

_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class Tools:
    """What a session is given rather than takes from the air: time, identity and chance."""

    clock: Clock
    ids: IdFactory
    random: Random


def connect(
    name: str | None = None,
    *,
    environment: Environment | None = None,
    plugins: Sequence[object] = (),
    environ: Mapping[str, str] | None = None,
    settings: Settings | None = None,
    policy: OrderPolicy | None = None,
    clock: Clock | None = None,
    ids: IdFactory | None = None,
    random: Random | None = None,
) -> Connecting:
    """Open a session with one broker: enter the answer with ``async with``, or await it and close the session yourself.

    ``name`` asks for one broker and no other; without it the one that is configured is taken, and a paper exchange when there is none.
    ``environment`` asks for any broker of that kind. ``plugins`` adds objects of the host's own. ``environ`` (the process's own unless
    given) is where plugins look for credentials; ``settings`` replaces what it and the settings file say about the core.

    Entering raises NotConfigured, AmbiguousBroker, PluginError and ConfigError (nothing was opened), AuthError and Unavailable (the
    broker's), StorageError (the records'); whatever was opened by then is closed again.
    """
    tools = Tools(clock=clock or SystemClock(), ids=ids or TimeSortedIds(clock), random=random or seeded())
    return Connecting(name, environment, plugins, os.environ if environ is None else environ, settings, policy, tools)


class Connecting:
    """A session that is not open yet: enter it, or await it."""

    def __init__(
        self,
        name: str | None,
        environment: Environment | None,
        plugins: Sequence[object],
        environ: Mapping[str, str],
        settings: Settings | None,
        policy: OrderPolicy | None,
        tools: Tools,
    ) -> None:
        self._name = name
        self._environment = environment
        self._own = plugins
        self._environ = environ
        self._settings = settings
        self._policy = policy
        self._tools = tools
        self._session: Session | None = None

    async def _open(self) -> Session:
        settings = self._settings or config.load(self._environ)
        environ = settings.plugin_environ(self._environ)
        plugins = Plugins.load(self._own, disabled=settings.disable)
        plugins.configure(environ)
        name = self._name or (settings.broker if self._environment is None else None)
        choice = plugins.choose(environ, name, self._environment)
        if choice.fell_back:
            log.warning("no real broker: %s answers instead, because %s", choice.client.name, choice.why)
        policy = self._policy or OrderPolicy(deadline=settings.orders.send_deadline)
        session = Session(plugins, choice, settings=settings, environ=environ, policy=policy, tools=self._tools)
        await session._open()
        return session

    def __await__(self) -> Generator[Any, None, Session]:
        return self._open().__await__()

    async def __aenter__(self) -> Session:
        self._session = await self._open()
        return self._session

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._session is not None:
            await self._session.close()


class Session:
    """One open connection to one broker. Made by ``connect``."""

    connection: Connection
    """Which broker, how, and with what kind of money behind it."""

    def __init__(
        self,
        plugins: Plugins,
        choice: Choice,
        *,
        settings: Settings,
        environ: Mapping[str, str],
        policy: OrderPolicy,
        tools: Tools,
    ) -> None:
        self._plugins = plugins
        self._client: Client = choice.client
        self._why = choice.why
        self._settings = settings
        self._environ = environ
        self._policy = policy
        self._clock, self._ids, self._random = tools.clock, tools.ids, tools.random
        self._notifier = Notifier(plugins, clock=tools.clock, patience=settings.orders.veto_deadline)
        self._closing = contextlib.AsyncExitStack()
        self._error: str | None = None
        self._rechecked_at: datetime | None = None
        self._journal: Journal | None = None
        self._orders: OrderManager | None = None
        self._stream: Streaming | None = None
        self._sync: AccountSync | None = None
        self._market_data: MarketData | None = None
        self.findings = Findings(tools.clock)
        """What needs a person's eye."""
        self.gate = Gate(tools.clock)
        """Why no new order may go out, when none may."""

    @property
    def is_demo(self) -> bool:
        """Whether all of this is simulated."""
        return self.connection.environment is Environment.DEMO

    @property
    def capabilities(self) -> Capabilities:
        """What the broker declares it can do."""
        return self._client.capabilities

    @property
    def client(self) -> Client:
        """The broker's own client, for what only this broker has; its class says what that is."""
        return self._client

    @property
    def watchlists(self) -> Watchlists:
        """The account's lists of symbols. Raises NotSupported where the broker keeps none."""
        kept: Watchlists | None = getattr(self._client, "watchlists", None)
        return self._offered(kept, "watchlists")

    @property
    def orders(self) -> OrderManager:
        """Orders. Raises NotSupported where the broker takes none."""
        return self._offered(self._orders, "orders")

    @property
    def stream(self) -> Streaming:
        """Streams. Raises NotSupported where the broker has none."""
        return self._offered(self._stream, "streams")

    @property
    def sync(self) -> AccountSync:
        """The account as it is kept up to date. Raises NotSupported where the broker does not let it be read."""
        return self._offered(self._sync, "account reads")

    @property
    def market_data(self) -> MarketData:
        """Prices. Raises NotSupported where neither the broker nor a data plugin has any."""
        return self._offered(self._market_data, "market data")

    @property
    def journal(self) -> Journal | None:
        """Where order changes are committed; None where nothing is kept."""
        return self._journal

    @property
    def database(self) -> str | None:
        """Where that is, fit to be shown; None where nothing is kept."""
        return getattr(self._journal, "location", None)

    def _offered(self, worker: _T | None, what: str) -> _T:
        if worker is None:
            raise NotSupported(f"broker {self._client.name} offers no {what}; `broker plugins` shows what it offers")
        return worker

    async def _open(self) -> None:
        try:
            await self._open_all()
        except BaseException as error:
            self._error = str(error) or type(error).__name__
            await self._closing.aclose()
            raise

    async def _open_all(self) -> None:
        self._closing.push_async_callback(self._client.close)
        account = await self._client.open()
        self.connection = Connection(
            connection_id=f"{self._client.name}:{self._client.environment}:{account.account_id}",
            broker=self._client.name,
            mode=self._client.mode,
            environment=self._client.environment,
            account_id=account.account_id,
            opened_at=self._clock.now(),
            why=self._why,
        )
        self._bind_market_data()
        await self._bind_orders()
        self._bind_stream()
        self._bind_sync()
        await self._notifier.tell("broker_connected", connection=self.connection)
        self._closing.push_async_callback(self._tell_disconnected)
        await self._start()

    def _bind_market_data(self) -> None:
        source = self._plugins.market_data(self._client)
        if source is not None:
            self._market_data = MarketData(
                source,
                clock=self._clock,
                provenance={"broker": self._client.name, "mode": self._client.mode, "environment": str(self._client.environment)},
                capabilities=self._client.capabilities,
                cache_seconds=self._settings.market_data.cache_seconds,
            )

    async def _bind_orders(self) -> None:
        self._journal = self._plugins.journal(self._client, self.connection, self._environ)
        order_log = OrderLog(self._journal or MemoryJournal(), shut=self._storing_failed, opened=lambda: self.gate.open("storage"))
        self._closing.push_async_callback(self._close_log, order_log)
        orders = self._plugins.orders(self._client)
        if orders is None:
            return
        self._orders = OrderManager(
            orders,
            order_log,
            clock=self._clock,
            ids=self._ids,
            backoff=Backoff(self._random),
            capabilities=self._client.capabilities,
            policy=self._policy,
            findings=self.findings,
            gate=self.gate,
            vetoes=lambda request: self._notifier.vetoes(self, request),
            changed=self._order_changed,
            stream_healthy=self._nothing_is_unheard,
        )
        await self._orders.restore()
        self._closing.push_async_callback(self._orders.close)

    def _bind_stream(self) -> None:
        stream = self._plugins.stream(self._client)
        if stream is None:
            return
        self._stream = Streaming(
            stream,
            clock=self._clock,
            random=self._random,
            on_order=self._order_news,
            recover=self._recover,
            changed=self._stream_changed,
            gap=self._gap,
            queue_size=self._settings.stream.queue_size,
        )
        self._closing.push_async_callback(self._stream.close)

    def _bind_sync(self) -> None:
        sync = self._plugins.sync(self._client)
        if sync is None:
            return
        intervals = self._settings.sync
        self._sync = AccountSync(
            sync,
            clock=self._clock,
            random=self._random,
            intervals=SyncIntervals(
                account=intervals.account_interval, positions=intervals.positions_interval, orders=intervals.orders_interval
            ),
            on_orders=self._open_orders,
            stream_healthy=self._order_stream_speaks,
            positions_from_fills=self._orders.positions_from_fills if self._orders is not None else dict,
            told=self._synced,
            findings=self.findings,
            recheck=self._recheck,
            drift=lambda: getattr(self._client, "drift", {}),
        )
        self._closing.push_async_callback(self._sync.close)

    async def _start(self) -> None:
        if self._orders is not None:
            self.gate.shut("start-up", "the session is starting: what the last one left is not settled yet")
        if self._stream is not None:
            if self._has_order_feed:
                self.gate.shut("stream", "the order stream is not connected yet")
            await self._stream.start()
        if self._orders is not None:
            settling = asyncio.get_running_loop().create_task(self._settle(self._orders), name="settle what the last session left")
            self._closing.push_async_callback(_stop, settling)
            # The opening positions are read after the orders, so that what was filled meanwhile is not counted twice by the audit.
            await self._orders.reconciler.tried.wait()
        if self._sync is not None:
            await self._sync.start()

    async def _settle(self, orders: OrderManager) -> None:
        try:
            await orders.reconciler.start()
        except AuthError as error:
            self.gate.shut("start-up", f"the broker refuses the credentials: {error}")
            self.findings.critical("start-up", f"the broker refuses to list the orders: {error}")
        else:
            self.gate.open("start-up")

    async def close(self) -> None:
        """Close in order: reads, streams, orders, records, client. What is under way is finished where that takes at most a moment."""
        await self._closing.aclose()

    @property
    def _has_order_feed(self) -> bool:
        return self._stream is not None and self._stream.carries(Channel.ORDERS)

    def _order_stream_speaks(self) -> bool:
        return self._stream is not None and self._has_order_feed and self._stream.healthy(Channel.ORDERS)

    def _nothing_is_unheard(self) -> bool:
        """Whether silence about an order means anything: there is no order stream to have missed something, or it is healthy."""
        return not self._has_order_feed or self._order_stream_speaks()

    async def _order_news(self, event: OrderEvent) -> None:
        if self._orders is not None:
            await self._orders.receive(event)

    async def _open_orders(self, listing: Sequence[OrderEvent]) -> None:
        if self._orders is not None:
            await self._orders.reconciler.observe_open(listing)

    async def _recheck(self) -> None:
        if self._orders is not None:
            asked_at = self._clock.now()
            await self._orders.reconciler.catch_up(self._rechecked_at or self.connection.opened_at)
            # What was there then has been read; next time what has come since is enough, however long the session lasts.
            self._rechecked_at = asked_at

    async def _recover(self, feed: str, start: datetime, end: datetime) -> tuple[Sequence[str], Sequence[str]]:
        if self._orders is None:
            return (), ()
        return await self._orders.reconciler.recover(feed, start, end)

    async def _order_changed(self, change: OrderChange) -> None:
        if self._stream is not None and change.event.source.is_reconciliation:
            self._stream.order_news_came_another_way(change.event.at)
        await self._notifier.tell("broker_order_changed", connection=self.connection, change=change)

    async def _synced(self, account: Account, positions: Sequence[Position]) -> None:
        await self._notifier.tell("broker_synced", connection=self.connection, account=account, positions=positions)

    async def _stream_changed(self, feed: str, state: str, reason: str | None) -> None:
        if self._has_order_feed:
            if self._order_stream_speaks():
                self.gate.open("stream")
            else:
                self.gate.shut("stream", f"the order stream is {state}{f' ({reason})' if reason else ''}")
        await self._notifier.tell("broker_stream_changed", connection=self.connection, feed=feed, state=state, reason=reason)

    async def _gap(self, gap: Gap) -> None:
        await self._notifier.tell("broker_gap", connection=self.connection, gap=gap)

    async def _tell_disconnected(self) -> None:
        await self._notifier.tell("broker_disconnected", connection=self.connection, error=self._error)

    def _storing_failed(self, error: StorageError) -> None:
        self.gate.shut("storage", f"order changes cannot be stored: {error}")
        self.findings.critical("storage", f"order changes cannot be stored; they are kept in memory until they can: {error}")

    async def _close_log(self, order_log: OrderLog) -> None:
        try:
            await order_log.close()
        except StorageError as error:
            log.critical("%d order changes could not be stored before the end: %s", order_log.waiting, error)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
