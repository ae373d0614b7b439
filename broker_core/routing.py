"""From a frame to those who want its items.

The router is called once per frame. It looks the consumers of an item up by kind and symbol, in tuples made when somebody subscribed: no
lock, no await and no hook per item. Those who want every symbol are in each tuple already, and in the one for symbols without any.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from broker_core.models import (
    EVERY_SYMBOL,
    Bar,
    Channel,
    DailyBar,
    Imbalance,
    MarketEvent,
    News,
    OrderBookUpdate,
    PriceBand,
    Quote,
    SignedIn,
    StreamItem,
    Trade,
    TradeCancel,
    TradeCorrection,
    TradingStatus,
    UpdatedBar,
)
from broker_core.orders import OrderEvent

log = logging.getLogger(__name__)

Put: TypeAlias = Callable[[Any], None]
"""Takes an item in for one consumer."""
_Routes: TypeAlias = tuple[dict[str, tuple[Put, ...]], tuple[Put, ...]]

_CHANNELS: Mapping[type[MarketEvent], Channel] = {
    Quote: Channel.QUOTES,
    Trade: Channel.TRADES,
    Bar: Channel.BARS,
    DailyBar: Channel.DAILY_BARS,
    UpdatedBar: Channel.UPDATED_BARS,
    TradingStatus: Channel.STATUSES,
    PriceBand: Channel.LULDS,
    TradeCorrection: Channel.CORRECTIONS,
    TradeCancel: Channel.CANCEL_ERRORS,
    OrderBookUpdate: Channel.ORDERBOOKS,
    Imbalance: Channel.IMBALANCES,
    News: Channel.NEWS,
}


class Router:
    """Brings every item of a frame to those who want it.

    Order events go to ``order``, whoever else wants what; ``wish_changed`` is told of a channel whose set of symbols changed.
    """

    def __init__(self, order: Callable[[OrderEvent], None], wish_changed: Callable[[Channel], None]) -> None:
        self._order = order
        self._wish_changed = wish_changed
        self._wanted: dict[Channel, dict[str, tuple[Put, ...]]] = {channel: {} for channel in _CHANNELS.values()}
        self._kinds: dict[type, Channel] = {kind: channel for kind, channel in _CHANNELS.items() if kind is not News}
        self._by_type: dict[type, _Routes] = {kind: ({}, ()) for kind in self._kinds}
        self._strange: set[type] = set()

    def route(self, batch: Iterable[StreamItem]) -> None:
        """Deliver one frame. Never raises: what is no item of a stream is left out and logged once per type."""
        by_type = self._by_type
        for item in batch:
            try:
                routes, stars = by_type[type(item)]
            except KeyError:
                self._route_rare(item)
                continue
            # Only items with a symbol have a table.
            for put in routes.get(item.symbol, stars):  # type: ignore[union-attr]
                put(item)

    def _route_rare(self, item: StreamItem) -> None:
        """Order events, news, and items of types that a plugin derived from ours, or made up."""
        if isinstance(item, OrderEvent):
            self._order(item)
            return
        if isinstance(item, News):
            self._route_news(item)
            return
        kind = type(item)
        if isinstance(item, SignedIn) or kind in self._strange:
            return
        known = next((base for base in kind.__mro__ if base in self._kinds), None)
        if known is None:
            self._strange.add(kind)
            log.error("%s is no item of a stream and is left out; a batch holds SignedIn, OrderEvent and market events", kind)
            return
        self._kinds[kind] = self._kinds[known]
        self._by_type[kind] = self._by_type[known]
        self.route((item,))

    def _route_news(self, news: News) -> None:
        """An article may be about many symbols; each consumer has it once."""
        wanted = self._wanted[Channel.NEWS]
        for put in dict.fromkeys(put for symbol in (*news.symbols, EVERY_SYMBOL) for put in wanted.get(symbol, ())):
            put(news)

    def add(self, channel: Channel, symbols: Sequence[str], put: Put) -> None:
        """From now on, call ``put`` with what ``channel`` brings of these symbols; of all, where ``EVERY_SYMBOL`` is among them."""
        wanted = self._wanted[channel]
        before = len(wanted)
        for symbol in symbols:
            wanted[symbol] = (*wanted.get(symbol, ()), put)
        self._chart(channel, symbols)
        if len(wanted) != before:
            self._wish_changed(channel)

    def remove(self, channel: Channel, symbols: Sequence[str], put: Put) -> None:
        """No longer; a symbol that nobody wants any more leaves the wish."""
        wanted = self._wanted[channel]
        before = len(wanted)
        for symbol in symbols:
            rest = tuple(other for other in wanted.get(symbol, ()) if other != put)
            if rest:
                wanted[symbol] = rest
            else:
                wanted.pop(symbol, None)
        self._chart(channel, symbols)
        if len(wanted) != before:
            self._wish_changed(channel)

    def symbols(self, channel: Channel) -> frozenset[str]:
        """What is wanted of a channel; nothing of one that has no symbols."""
        return frozenset(self._wanted.get(channel, ()))

    def _chart(self, channel: Channel, symbols: Sequence[str]) -> None:
        """Make the tuples that ``route`` reads anew, for these symbols, or all where who wants every symbol may have changed."""
        wanted = self._wanted[channel]
        stars = wanted.get(EVERY_SYMBOL, ())
        is_new = EVERY_SYMBOL in symbols
        for kind in [kind for kind, its_channel in self._kinds.items() if its_channel is channel]:
            routes, _ = self._by_type[kind] = (self._by_type[kind][0], stars)
            for symbol in wanted if is_new else symbols:
                routes.pop(symbol, None)
                if symbol in wanted and symbol != EVERY_SYMBOL:
                    routes[symbol] = tuple(dict.fromkeys((*wanted[symbol], *stars)))
            if is_new:
                for symbol in routes.keys() - wanted.keys():
                    del routes[symbol]
