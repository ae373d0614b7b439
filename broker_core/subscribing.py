"""What a host asks of a stream: callbacks and iterators for what it carries, by channel and symbol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeAlias, overload

from broker_core.inbox import BookInbox, Inbox, NewestInbox, QuoteInbox, T
from broker_core.models import (
    Bar,
    Channel,
    DailyBar,
    Gap,
    Imbalance,
    MarketEvent,
    News,
    OrderBookUpdate,
    PriceBand,
    Quote,
    Trade,
    TradeCancel,
    TradeCorrection,
    TradingStatus,
    UpdatedBar,
)
from broker_core.subscriptions import Subscription, Updates

Callback: TypeAlias = Callable[[T], object]
"""A plain or an ``async`` function of one item; what it returns is ignored."""
Symbols: TypeAlias = str | Iterable[str]
"""One symbol or several."""

_Trades: TypeAlias = Literal[Channel.TRADES]
_Quotes: TypeAlias = Literal[Channel.QUOTES]
_Bars: TypeAlias = Literal[Channel.BARS]
_DailyBars: TypeAlias = Literal[Channel.DAILY_BARS]
_UpdatedBars: TypeAlias = Literal[Channel.UPDATED_BARS]
_Statuses: TypeAlias = Literal[Channel.STATUSES]
_Bands: TypeAlias = Literal[Channel.LULDS]
_Corrections: TypeAlias = Literal[Channel.CORRECTIONS]
_Cancels: TypeAlias = Literal[Channel.CANCEL_ERRORS]
_Books: TypeAlias = Literal[Channel.ORDERBOOKS]
_Imbalances: TypeAlias = Literal[Channel.IMBALANCES]
_News: TypeAlias = Literal[Channel.NEWS]


class Subscribing(ABC):
    """The subscribing half of ``Streaming``; what it asks for, the other half brings.

    A symbol may be ``EVERY_SYMBOL`` where the broker offers it for the channel; other subscribers still get their own symbols only.
    ``limit`` is how many items may wait for one consumer. One that falls further behind gets of quotes only the latest of each symbol, of
    order books the changes merged into one, and of all else the newest.

    All methods that name a channel or symbols raise NotSupported when the broker does not stream them, AuthError when it refused the
    credentials, Unavailable after ``close``, and ValueError for what is no symbol.
    """

    _queue_size: int

    @overload
    def on(self, channel: _Trades, symbols: Symbols, callback: Callback[Trade], *, limit: int | None = None) -> Subscription: ...
    @overload
    def on(self, channel: _Quotes, symbols: Symbols, callback: Callback[Quote], *, limit: int | None = None) -> Subscription: ...
    @overload
    def on(self, channel: _Bars, symbols: Symbols, callback: Callback[Bar], *, limit: int | None = None) -> Subscription: ...
    @overload
    def on(self, channel: _DailyBars, symbols: Symbols, callback: Callback[DailyBar], *, limit: int | None = None) -> Subscription: ...
    @overload
    def on(self, channel: _UpdatedBars, symbols: Symbols, callback: Callback[UpdatedBar], *, limit: int | None = None) -> Subscription: ...
    @overload
    def on(self, channel: _Statuses, symbols: Symbols, callback: Callback[TradingStatus], *, limit: int | None = None) -> Subscription: ...
    @overload
    def on(self, channel: _Bands, symbols: Symbols, callback: Callback[PriceBand], *, limit: int | None = None) -> Subscription: ...
    @overload
    def on(
        self, channel: _Corrections, symbols: Symbols, callback: Callback[TradeCorrection], *, limit: int | None = None
    ) -> Subscription: ...
    @overload
    def on(self, channel: _Cancels, symbols: Symbols, callback: Callback[TradeCancel], *, limit: int | None = None) -> Subscription: ...
    @overload
    def on(self, channel: _Books, symbols: Symbols, callback: Callback[OrderBookUpdate], *, limit: int | None = None) -> Subscription: ...
    @overload
    def on(self, channel: _Imbalances, symbols: Symbols, callback: Callback[Imbalance], *, limit: int | None = None) -> Subscription: ...
    @overload
    def on(self, channel: _News, symbols: Symbols, callback: Callback[News], *, limit: int | None = None) -> Subscription: ...
    @overload
    def on(self, channel: Channel, symbols: Symbols, callback: Callback[Any], *, limit: int | None = None) -> Subscription: ...
    def on(self, channel: Channel, symbols: Symbols, callback: Callback[Any], *, limit: int | None = None) -> Subscription:
        """Call ``callback`` with every item of a channel for one symbol or several."""
        return self._call_back(channel, _tuple(symbols), callback, self._inbox(channel, limit))

    @overload
    def updates(self, channel: _Trades, *symbols: str, limit: int | None = None) -> Updates[Trade]: ...
    @overload
    def updates(self, channel: _Quotes, *symbols: str, limit: int | None = None) -> Updates[Quote]: ...
    @overload
    def updates(self, channel: _Bars, *symbols: str, limit: int | None = None) -> Updates[Bar]: ...
    @overload
    def updates(self, channel: _DailyBars, *symbols: str, limit: int | None = None) -> Updates[DailyBar]: ...
    @overload
    def updates(self, channel: _UpdatedBars, *symbols: str, limit: int | None = None) -> Updates[UpdatedBar]: ...
    @overload
    def updates(self, channel: _Statuses, *symbols: str, limit: int | None = None) -> Updates[TradingStatus]: ...
    @overload
    def updates(self, channel: _Bands, *symbols: str, limit: int | None = None) -> Updates[PriceBand]: ...
    @overload
    def updates(self, channel: _Corrections, *symbols: str, limit: int | None = None) -> Updates[TradeCorrection]: ...
    @overload
    def updates(self, channel: _Cancels, *symbols: str, limit: int | None = None) -> Updates[TradeCancel]: ...
    @overload
    def updates(self, channel: _Books, *symbols: str, limit: int | None = None) -> Updates[OrderBookUpdate]: ...
    @overload
    def updates(self, channel: _Imbalances, *symbols: str, limit: int | None = None) -> Updates[Imbalance]: ...
    @overload
    def updates(self, channel: _News, *symbols: str, limit: int | None = None) -> Updates[News]: ...
    @overload
    def updates(self, channel: Channel, *symbols: str, limit: int | None = None) -> Updates[MarketEvent]: ...
    def updates(self, channel: Channel, *symbols: str, limit: int | None = None) -> Updates[Any]:
        """Iterate over the items of a channel for some symbols."""
        return self._iterate(channel, symbols, self._inbox(channel, limit))

    def on_quote(self, symbol: str, callback: Callback[Quote], *, limit: int | None = None) -> Subscription:
        """Call ``callback`` with every quote of a symbol; with the latest only, where it falls ``limit`` quotes behind."""
        return self.on(Channel.QUOTES, (symbol,), callback, limit=limit)

    def on_trade(self, symbol: str, callback: Callback[Trade], *, limit: int | None = None) -> Subscription:
        """Call ``callback`` with every trade of a symbol; with the newest ``limit``, where it falls behind."""
        return self.on(Channel.TRADES, (symbol,), callback, limit=limit)

    def on_bar(self, symbol: str, callback: Callback[Bar], *, limit: int | None = None) -> Subscription:
        """Call ``callback`` with every bar of a symbol; with the newest ``limit``, where it falls behind."""
        return self.on(Channel.BARS, (symbol,), callback, limit=limit)

    def on_gap(self, callback: Callback[Gap]) -> Subscription:
        """Call ``callback`` with every gap of every feed."""
        return self._call_back(None, (), callback, Inbox[Gap]())

    def quotes(self, *symbols: str, limit: int | None = None) -> Updates[Quote]:
        """Iterate over quotes of some symbols; over the latest of each, where the loop falls ``limit`` behind."""
        return self.updates(Channel.QUOTES, *symbols, limit=limit)

    def trades(self, *symbols: str, limit: int | None = None) -> Updates[Trade]:
        """Iterate over the trades of some symbols; over the newest ``limit``, where the loop falls behind."""
        return self.updates(Channel.TRADES, *symbols, limit=limit)

    def bars(self, *symbols: str, limit: int | None = None) -> Updates[Bar]:
        """Iterate over the bars of some symbols; over the newest ``limit``, where the loop falls behind."""
        return self.updates(Channel.BARS, *symbols, limit=limit)

    def gaps(self) -> Updates[Gap]:
        """Iterate over the gaps of all feeds."""
        return self._iterate(None, (), Inbox[Gap]())

    def _inbox(self, channel: Channel, limit: int | None) -> Inbox[Any]:
        room = self._queue_size if limit is None else limit
        if channel is Channel.QUOTES:
            return QuoteInbox(room)
        return BookInbox(room) if channel is Channel.ORDERBOOKS else NewestInbox(room)

    @abstractmethod
    def _call_back(self, channel: Channel | None, symbols: tuple[str, ...], callback: Callback[T], inbox: Inbox[T]) -> Subscription: ...

    @abstractmethod
    def _iterate(self, channel: Channel | None, symbols: tuple[str, ...], inbox: Inbox[T]) -> Updates[T]: ...


def _tuple(symbols: Symbols) -> tuple[str, ...]:
    return (symbols,) if isinstance(symbols, str) else tuple(symbols)
