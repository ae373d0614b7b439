"""A session's stream: every feed of the broker kept alive, and its news brought to whoever subscribed.

Order events go to the order manager, one awaited after the other, in a lane of their own: they are never dropped and never wait behind
market data. Market data goes to callbacks and iterators, each with a bounded inbox, so that a slow or raising one costs the others
nothing: quotes conflate to the latest of each symbol, changes of order books merge, all else drops the oldest, and all is counted. (A
plain function that takes long holds up the loop that everything runs on; make it an ``async`` one, or hand its work to a thread.) Gaps
always get through, and subscribers are told of one before anything of the new connection reaches them.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from broker_core.carriers import Carriers
from broker_core.clock import Clock
from broker_core.errors import AuthError, NotSupported, PluginError, Unavailable
from broker_core.families import Feed, Stream
from broker_core.feed_runner import FeedRunner
from broker_core.feed_status import FeedState, FeedStatus
from broker_core.gaps import Recover
from broker_core.inbox import Inbox, T
from broker_core.models import EVERY_SYMBOL, Channel, Gap, Wish
from broker_core.orders import OrderEvent
from broker_core.routing import Router
from broker_core.subscribing import Callback, Subscribing
from broker_core.subscriptions import CallbackTask, Subscription, Updates

log = logging.getLogger(__name__)


class Streaming(Subscribing):
    """Runs the feeds of one stream; made, started and closed by the session. ``stream`` is None for a broker without one.

    ``on_order`` is awaited with every order event, in order; one that raises counts as missed and is recovered. ``recover`` is awaited
    after every reconnect of a feed that carries orders (see ``broker_core.gaps`` for the order of things). ``changed`` is awaited with a
    feed's name, state and reason, and ``gap`` with every gap, in order and apart from the feeds, so that they hold nothing up.
    ``queue_size`` is how many items may wait for one consumer, unless it asks for another ``limit``.

    Raises PluginError for feeds of one name, and for one that carries a channel all of which an earlier one carries.
    """

    def __init__(
        self,
        stream: Stream | None,
        *,
        clock: Clock,
        random: random.Random,
        on_order: Callable[[OrderEvent], Awaitable[None]],
        recover: Recover,
        changed: Callable[[str, str, str | None], Awaitable[None]],
        gap: Callable[[Gap], Awaitable[None]],
        queue_size: int = 1024,
    ) -> None:
        self._clock = clock
        self._random = random
        self._on_order = on_order
        self._recover = recover
        self._changed = changed
        self._gap = gap
        self._queue_size = queue_size
        self._orders: Inbox[OrderEvent] = Inbox()
        self._notices: Inbox[Callable[[], Awaitable[None]]] = Inbox()
        self._order_lane: CallbackTask[OrderEvent] | None = None
        self._notice_lane: CallbackTask[Callable[[], Awaitable[None]]] | None = None
        self._router = Router(self._orders.put, self._wish_changed)
        self._subscriptions: dict[Subscription, None] = {}
        self._callbacks: dict[Subscription, CallbackTask[Any]] = {}
        self._closed = False
        self._runners: dict[str, FeedRunner] = {}
        self._carriers = Carriers()
        for feed in () if stream is None else stream.feeds:
            self._add(feed)

    async def start(self) -> None:
        """Begin to connect; ``ready`` says when a feed has signed in."""
        self._order_lane = CallbackTask("order events", self._orders, self._on_order, self._order_failed)
        self._notice_lane = CallbackTask("stream notices", self._notices, _call, _notice_failed)
        for runner in self._runners.values():
            runner.start()

    async def close(self) -> None:
        """End every connection, book the order events that have arrived, end iterators and callbacks. Leaves no task behind."""
        if self._closed:
            return
        self._closed = True
        await asyncio.gather(*(runner.close() for runner in self._runners.values()))
        if self._order_lane is not None:
            await self._order_lane.finish()
        callbacks = tuple(self._callbacks.values())
        for subscription in tuple(self._subscriptions):
            self._forget(subscription)
            subscription.inbox.end()
        # One by one and here, not in tasks of their own: a callback that closes us must not wait for itself.
        for callback in callbacks:
            await callback.cancel()
        if self._notice_lane is not None:
            await self._notice_lane.finish()

    def carries(self, channel: Channel) -> bool:
        """Whether a feed of this broker carries ``channel``."""
        return channel in self._carriers

    async def ready(self, channel: Channel, symbol: str | None = None) -> None:
        """Return when the feed that carries ``channel`` for ``symbol`` is healthy; without a symbol, every feed of which it is wanted.

        Market data needs a subscription: nobody connects a feed of which nothing is wanted. Raises NotSupported when no feed carries it,
        AuthError when the broker refused the credentials, Unavailable when it was closed.
        """
        if symbol is not None:
            await self._carriers.pick(channel, symbol).ready()
            return
        for runner in self._wanted(channel) or self._carriers.all(channel)[:1]:
            await runner.ready()

    def healthy(self, channel: Channel, symbol: str | None = None) -> bool:
        """Whether that feed, or those feeds, are signed in with nothing missed that is still to be recovered; False without any."""
        if symbol is not None:
            runner = self._carriers.find(channel, symbol)
            return runner is not None and runner.healthy
        runners = self._wanted(channel) if channel in self._carriers else ()
        return bool(runners) and all(runner.healthy for runner in runners)

    def order_news_came_another_way(self, at: datetime) -> None:
        """A listing or a look-up brought news of an order of this moment: a feed that has been silent since before it is mute."""
        for runner in self._carriers.all(Channel.ORDERS) if Channel.ORDERS in self._carriers else ():
            runner.news_came_another_way(at)

    @property
    def status(self) -> Mapping[str, FeedStatus]:
        """How each feed stands, by name."""
        return {name: runner.status for name, runner in self._runners.items()}

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Everyone who is subscribed now, with their counters."""
        return tuple(self._subscriptions)

    def _add(self, feed: Feed) -> None:
        runner = FeedRunner(
            feed,
            clock=self._clock,
            chance=self._random,
            wish=lambda: self._wish(runner),
            route=self._router.route,
            recover=self._recover if Channel.ORDERS in feed.channels else None,
            tell=self._tell_gap,
            changed=self._feed_changed,
        )
        if runner.name in self._runners:
            raise PluginError(f"feed {runner.name}: the stream has two of this name; give each its own")
        self._carriers.add(runner, feed)
        self._runners[runner.name] = runner

    def _wish(self, runner: FeedRunner) -> Wish:
        picked = {channel: self._carriers.picked(runner, channel, self._router.symbols(channel)) for channel in sorted(runner.channels)}
        return Wish({channel: symbols for channel, symbols in picked.items() if symbols or channel is Channel.ORDERS})

    def _wish_changed(self, channel: Channel) -> None:
        for runner in self._carriers.all(channel):
            runner.wish_changed()

    def _wanted(self, channel: Channel) -> tuple[FeedRunner, ...]:
        """The feeds that carry a channel and of which it is wanted."""
        return tuple(runner for runner in self._carriers.all(channel) if channel in self._wish(runner).symbols)

    def _call_back(self, channel: Channel | None, symbols: tuple[str, ...], callback: Callback[T], inbox: Inbox[T]) -> Subscription:
        subscription = self._subscription(channel, symbols, inbox)
        task = CallbackTask(repr(subscription), inbox, callback, subscription.callback_raised)
        subscription.put = task.put
        self._callbacks[subscription] = task
        return self._subscribed(subscription)

    def _iterate(self, channel: Channel | None, symbols: tuple[str, ...], inbox: Inbox[T]) -> Updates[T]:
        return Updates(self._subscribed(self._subscription(channel, symbols, inbox)))

    def _subscription(self, channel: Channel | None, symbols: tuple[str, ...], inbox: Inbox[T]) -> Subscription:
        if self._closed:
            raise Unavailable("the stream is closed; open a new session")
        if channel is not None:
            self._check(channel, symbols)
        return Subscription(channel, tuple(dict.fromkeys(symbols)), inbox, self._forget)

    def _check(self, channel: Channel, symbols: tuple[str, ...]) -> None:
        carriers = self._carriers.all(channel)
        if channel is Channel.ORDERS:
            raise NotSupported(
                "orders: their news is no channel to subscribe to; it reaches `session.orders` and the hook broker_order_changed"
            )
        if not symbols:
            raise ValueError("symbols: none given; name at least one")
        for symbol in symbols:
            if not isinstance(symbol, str) or not symbol.isprintable() or not (symbol == EVERY_SYMBOL or symbol.strip("* ")):
                raise ValueError(f"symbols: {symbol!r} is not a symbol; name each one")
        picked = {self._carriers.pick(channel, symbol) for symbol in symbols}
        for runner in carriers:
            if runner in picked and runner.refusal is not None:
                raise AuthError(str(runner.refusal))

    def _subscribed(self, subscription: Subscription) -> Subscription:
        self._subscriptions[subscription] = None
        if subscription.channel is not None:
            self._router.add(subscription.channel, subscription.symbols, subscription.put)
        return subscription

    def _forget(self, subscription: Subscription) -> None:
        if subscription in self._subscriptions:
            del self._subscriptions[subscription]
            if subscription.channel is not None:
                self._router.remove(subscription.channel, subscription.symbols, subscription.put)
        if subscription in self._callbacks:
            # A call may be under way; `close` has to wait for it.
            self._callbacks[subscription].when_idle(partial(self._callbacks.__delitem__, subscription))

    def _tell_gap(self, gap: Gap) -> None:
        for subscription in tuple(self._subscriptions):
            if subscription.channel is None:
                subscription.put(gap)
        self._notices.put(partial(self._gap, gap))

    def _feed_changed(self, name: str, state: FeedState, reason: str | None) -> None:
        runner = self._runners[name]
        if runner.refusal is not None:
            for subscription in tuple(self._subscriptions):
                channel = subscription.channel
                if channel in runner.channels and self._carriers.picked(runner, channel, subscription.symbols):
                    subscription.inbox.end(runner.refusal)
        self._notices.put(partial(self._changed, name, state, reason))

    def _order_failed(self, event: OrderEvent, error: BaseException) -> None:
        log.error("an order event could not be processed; it counts as missed and is recovered", exc_info=error)
        (carrier,) = self._carriers.all(Channel.ORDERS)
        carrier.order_missed(min(event.at, self._clock.now()))


async def _call(notice: Callable[[], Awaitable[None]]) -> None:
    await notice()


def _notice_failed(notice: object, error: BaseException) -> None:
    log.error("telling %r failed", notice, exc_info=error)
