"""A session's stream: every feed of the broker kept alive, and its news brought to whoever subscribed.

Order events go to the order manager, one awaited after the other, in a lane of their own: they are never dropped and never wait behind
market data. Market data goes to callbacks and iterators, each with a bounded inbox, so that a slow or raising one costs the others
nothing: quotes conflate to the latest of each symbol, trades and bars drop the oldest, both counted. (A plain function that takes long
holds up the loop that everything runs on; make it an ``async`` one, or hand its work to a thread.) Gaps always get through, and
subscribers are told of one before anything of the new connection reaches them.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from broker_core.clock import Clock
from broker_core.errors import AuthError, NotSupported, PluginError, Unavailable
from broker_core.families import Feed, Stream
from broker_core.feed_runner import FeedRunner
from broker_core.feed_status import FeedState, FeedStatus
from broker_core.gaps import Recover
from broker_core.inbox import Inbox, NewestInbox, QuoteInbox, T
from broker_core.models import Bar, Channel, Gap, Quote, Trade, Wish
from broker_core.orders import OrderEvent
from broker_core.routing import Router
from broker_core.subscriptions import CallbackTask, Subscription, Updates

log = logging.getLogger(__name__)

Callback: TypeAlias = Callable[[T], object]
"""A plain or an ``async`` function of one item; what it returns is ignored."""


class Streaming:
    """Runs the feeds of one stream; made, started and closed by the session. ``stream`` is None for a broker without one.

    ``on_order`` is awaited with every order event, in order; one that raises counts as missed and is recovered. ``recover`` is awaited
    after every reconnect of a feed that carries orders (see ``broker_core.gaps`` for the order of things). ``changed`` is awaited with a
    feed's name, state and reason, and ``gap`` with every gap, in order and apart from the feeds, so that they hold nothing up.
    ``queue_size`` is how many items may wait for one consumer, unless it asks for another ``limit``.

    Raises PluginError for feeds whose names or channels overlap.
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
        self._carriers: dict[Channel, FeedRunner] = {}
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

    def on_quote(self, symbol: str, callback: Callback[Quote], *, limit: int | None = None) -> Subscription:
        """Call ``callback`` with every quote of a symbol; with the latest only, where it falls ``limit`` quotes behind.

        Raises NotSupported when the broker streams no quotes, AuthError when it refused the credentials, Unavailable after ``close``.
        """
        return self._call_back(Channel.QUOTES, (symbol,), callback, QuoteInbox(self._room(limit)))

    def on_trade(self, symbol: str, callback: Callback[Trade], *, limit: int | None = None) -> Subscription:
        """Call ``callback`` with every trade of a symbol; with the newest ``limit``, where it falls behind. Raises like ``on_quote``."""
        return self._call_back(Channel.TRADES, (symbol,), callback, NewestInbox[Trade](self._room(limit)))

    def on_bar(self, symbol: str, callback: Callback[Bar], *, limit: int | None = None) -> Subscription:
        """Call ``callback`` with every bar of a symbol; with the newest ``limit``, where it falls behind. Raises like ``on_quote``."""
        return self._call_back(Channel.BARS, (symbol,), callback, NewestInbox[Bar](self._room(limit)))

    def on_gap(self, callback: Callback[Gap]) -> Subscription:
        """Call ``callback`` with every gap of every feed."""
        return self._call_back(None, (), callback, Inbox[Gap]())

    def quotes(self, *symbols: str, limit: int | None = None) -> Updates[Quote]:
        """Iterate over quotes of some symbols; over the latest of each, where the loop falls ``limit`` behind. Raises like ``on_quote``."""
        return self._iterate(Channel.QUOTES, symbols, QuoteInbox(self._room(limit)))

    def trades(self, *symbols: str, limit: int | None = None) -> Updates[Trade]:
        """Iterate over the trades of some symbols; over the newest ``limit``, where the loop falls behind. Raises like ``on_quote``."""
        return self._iterate(Channel.TRADES, symbols, NewestInbox[Trade](self._room(limit)))

    def bars(self, *symbols: str, limit: int | None = None) -> Updates[Bar]:
        """Iterate over the bars of some symbols; over the newest ``limit``, where the loop falls behind. Raises like ``on_quote``."""
        return self._iterate(Channel.BARS, symbols, NewestInbox[Bar](self._room(limit)))

    def gaps(self) -> Updates[Gap]:
        """Iterate over the gaps of all feeds."""
        return self._iterate(None, (), Inbox[Gap]())

    def carries(self, channel: Channel) -> bool:
        """Whether a feed of this broker carries ``channel``."""
        return channel in self._carriers

    async def ready(self, channel: Channel) -> None:
        """Return when the feed that carries ``channel`` is healthy; for market data that needs a subscription.

        Raises NotSupported when no feed carries it, AuthError when the broker refused the credentials, Unavailable when it was closed.
        """
        await self._carrier(channel).ready()

    def healthy(self, channel: Channel) -> bool:
        """Whether the feed that carries ``channel`` is signed in, with nothing missed that is still to be recovered."""
        runner = self._carriers.get(channel)
        return runner is not None and runner.healthy

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
            wish=partial(self._wish, frozenset(feed.channels)),
            route=self._router.route,
            recover=self._recover if Channel.ORDERS in feed.channels else None,
            tell=self._tell_gap,
            changed=self._feed_changed,
        )
        if runner.name in self._runners:
            raise PluginError(f"feed {runner.name}: the stream has two of this name; give each its own")
        self._runners[runner.name] = runner
        for channel in runner.channels:
            other = self._carriers.setdefault(channel, runner)
            if other is not runner:
                raise PluginError(f"feed {runner.name}: carries {channel}, which feed {other.name} carries already; a channel has one feed")

    def _wish(self, channels: frozenset[Channel]) -> Wish:
        wanted = {channel: self._router.symbols(channel) for channel in sorted(channels)}
        return Wish({channel: symbols for channel, symbols in wanted.items() if symbols or channel is Channel.ORDERS})

    def _room(self, limit: int | None) -> int:
        return self._queue_size if limit is None else limit

    def _wish_changed(self, channel: Channel) -> None:
        self._carriers[channel].wish_changed()

    def _carrier(self, channel: Channel) -> FeedRunner:
        if channel not in self._carriers:
            raise NotSupported(f"{channel}: the broker's stream carries {', '.join(sorted(self._carriers)) or 'nothing'}")
        return self._carriers[channel]

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
            _check(symbols)
            refusal = self._carrier(channel).refusal
            if refusal is not None:
                raise AuthError(str(refusal))
        return Subscription(channel, tuple(dict.fromkeys(symbols)), inbox, self._forget)

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
                if subscription.channel in runner.channels:
                    subscription.inbox.end(runner.refusal)
        self._notices.put(partial(self._changed, name, state, reason))

    def _order_failed(self, event: OrderEvent, error: BaseException) -> None:
        log.error("an order event could not be processed; it counts as missed and is recovered", exc_info=error)
        self._carriers[Channel.ORDERS].order_missed(min(event.at, self._clock.now()))


async def _call(notice: Callable[[], Awaitable[None]]) -> None:
    await notice()


def _notice_failed(notice: object, error: BaseException) -> None:
    log.error("telling %r failed", notice, exc_info=error)


def _check(symbols: tuple[str, ...]) -> None:
    if not symbols:
        raise ValueError("symbols: none given; name at least one")
    for symbol in symbols:
        if not isinstance(symbol, str) or not symbol.isprintable() or not symbol.strip("* "):
            raise ValueError(f"symbols: {symbol!r} is not a symbol; name each one, there is no sign for all")
