"""From a frame to those who want its items.

The router is called once per frame. It looks the consumers of an item up by kind and symbol, in tuples made when somebody subscribed: no
lock, no await and no hook per item.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from broker_core.models import Bar, Channel, Quote, SignedIn, StreamItem, Trade
from broker_core.orders import OrderEvent

log = logging.getLogger(__name__)

_CHANNELS: Mapping[type, Channel] = {Quote: Channel.QUOTES, Trade: Channel.TRADES, Bar: Channel.BARS}


class Router:
    """Brings every item of a frame to those who want it.

    Order events go to ``order``, whoever else wants what; ``wish_changed`` is told of a channel whose set of symbols changed.
    """

    def __init__(self, order: Callable[[OrderEvent], None], wish_changed: Callable[[Channel], None]) -> None:
        self._order = order
        self._wish_changed = wish_changed
        self._routes: dict[Channel, dict[str, tuple[Callable[[Any], None], ...]]] = {channel: {} for channel in _CHANNELS.values()}
        self._by_type: dict[type, dict[str, tuple[Callable[[Any], None], ...]]] = {
            kind: self._routes[channel] for kind, channel in _CHANNELS.items()
        }
        self._strange: set[type] = set()

    def route(self, batch: Iterable[StreamItem]) -> None:
        """Deliver one frame. Never raises: what is no item of a stream is left out and logged once per type."""
        by_type = self._by_type
        for item in batch:
            try:
                routes = by_type[type(item)]
            except KeyError:
                self._route_rare(item)
                continue
            # Only items with a symbol have a table.
            for put in routes.get(item.symbol, ()):  # type: ignore[union-attr]
                put(item)

    def _route_rare(self, item: StreamItem) -> None:
        """Order events, and items of types that a plugin derived from ours, or made up."""
        if isinstance(item, OrderEvent):
            self._order(item)
            return
        if isinstance(item, SignedIn) or type(item) in self._strange:
            return
        for kind, channel in _CHANNELS.items():
            if isinstance(item, kind):
                self._by_type[type(item)] = self._routes[channel]
                self.route((item,))
                return
        self._strange.add(type(item))
        log.error("%s is no item of a stream and is left out; a batch holds SignedIn, OrderEvent, Trade, Quote or Bar", type(item))

    def add(self, channel: Channel, symbols: Sequence[str], put: Callable[[Any], None]) -> None:
        """From now on, call ``put`` with what ``channel`` brings of these symbols."""
        routes = self._routes[channel]
        before = len(routes)
        for symbol in symbols:
            routes[symbol] = (*routes.get(symbol, ()), put)
        if len(routes) != before:
            self._wish_changed(channel)

    def remove(self, channel: Channel, symbols: Sequence[str], put: Callable[[Any], None]) -> None:
        """No longer; a symbol that nobody wants any more leaves the wish."""
        routes = self._routes[channel]
        before = len(routes)
        for symbol in symbols:
            rest = tuple(other for other in routes.get(symbol, ()) if other != put)
            if rest:
                routes[symbol] = rest
            else:
                routes.pop(symbol, None)
        if len(routes) != before:
            self._wish_changed(channel)

    def symbols(self, channel: Channel) -> frozenset[str]:
        """What is wanted of a channel; nothing of one that has no symbols."""
        return frozenset(self._routes.get(channel, ()))
