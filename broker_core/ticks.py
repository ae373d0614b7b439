"""What a market-data stream carries: quotes, trades, bars, and the rarer news of a market.

These are the hot values: attrs classes with slots, never changed once made, but not frozen, because freezing costs more than the rest of
their construction. All have ``timestamp_ns``, integer nanoseconds since the Unix epoch, and ``timestamp``, the same moment as an aware UTC
``datetime``, cut to microseconds. Prices and sizes are ``float``. A text that the broker did not send is empty.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import attrs

from broker_core.clock import from_ns
from broker_core.requests import Side


@attrs.define(unsafe_hash=True)
class _Moment:
    """What happened to one symbol at one moment."""

    symbol: str
    timestamp_ns: int

    @property
    def timestamp(self) -> datetime:
        """The moment, aware UTC, cut to microseconds."""
        return from_ns(self.timestamp_ns)


@attrs.define(unsafe_hash=True)
class Quote(_Moment):
    """The best bid and offer. A price of 0 says that there is none on that side."""

    bid_price: float
    bid_size: float
    ask_price: float
    ask_size: float
    bid_exchange: str = ""
    ask_exchange: str = ""
    conditions: tuple[str, ...] = ()
    """The broker's own codes."""
    tape: str = ""


@attrs.define(unsafe_hash=True)
class Trade(_Moment):
    """One print."""

    price: float
    size: float
    exchange: str = ""
    trade_id: str = ""
    """Tells a trade from others of its symbol, exchange and day; corrections name it."""
    conditions: tuple[str, ...] = ()
    """The broker's own codes."""
    tape: str = ""
    taker_side: Side | None = None
    """Who crossed the spread, where the market tells."""


@attrs.define(unsafe_hash=True)
class Bar(_Moment):
    """Open, high, low, close and volume from ``timestamp_ns`` (its left edge) for one timeframe."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    trade_count: int
    vwap: float


@attrs.define(unsafe_hash=True)
class DailyBar(Bar):
    """The running day's bar as it stands: a later one of the same day replaces it."""


@attrs.define(unsafe_hash=True)
class UpdatedBar(Bar):
    """A minute bar again, changed by a late trade: it replaces the one of the same left edge."""


@attrs.define(unsafe_hash=True)
class TradingStatus(_Moment):
    """A symbol was halted, resumed or the like. Codes are the tape's own; the messages say them in words."""

    status_code: str
    status_message: str = ""
    reason_code: str = ""
    reason_message: str = ""
    tape: str = ""


@attrs.define(unsafe_hash=True)
class PriceBand(_Moment):
    """Limit up, limit down: the prices between which a symbol may trade now."""

    limit_up: float
    limit_down: float
    indicator: str = ""
    tape: str = ""


@attrs.define(unsafe_hash=True)
class TradeCorrection(_Moment):
    """A print was wrong: what it said, and what it should have said."""

    exchange: str
    original_id: str
    original_price: float
    original_size: float
    original_conditions: tuple[str, ...]
    corrected_id: str
    corrected_price: float
    corrected_size: float
    corrected_conditions: tuple[str, ...]
    tape: str = ""


@attrs.define(unsafe_hash=True)
class TradeCancel(_Moment):
    """A print does not count any more."""

    trade_id: str
    exchange: str
    price: float
    size: float
    action: str = ""
    """``cancel``, ``error``, or the broker's own code where it means neither."""
    tape: str = ""


@attrs.define(unsafe_hash=True)
class OrderBookUpdate(_Moment):
    """Levels of a symbol's order book that have changed, as pairs of price and new size; size 0 removes the level."""

    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]
    is_reset: bool = False
    """Whether these levels are the whole book, and everything known before is void."""


@attrs.define(unsafe_hash=True)
class Imbalance(_Moment):
    """The orders waiting for an auction or a reopening do not match; ``price`` is where they would."""

    price: float
    tape: str = ""


@attrs.define(unsafe_hash=True, kw_only=True)
class News:
    """An article about some symbols, or about none in particular. ``timestamp_ns`` is when it was last changed."""

    symbols: tuple[str, ...]
    timestamp_ns: int
    id: str
    headline: str
    summary: str = ""
    author: str = ""
    created_at: datetime
    """Aware UTC."""
    updated_at: datetime
    """Aware UTC."""
    url: str = ""
    content: str = ""
    """As the source wrote it, which may be HTML."""
    source: str = ""

    @property
    def timestamp(self) -> datetime:
        """When it was last changed, aware UTC, cut to microseconds."""
        return from_ns(self.timestamp_ns)


MarketEvent: TypeAlias = (
    Trade
    | Quote
    | Bar
    | DailyBar
    | UpdatedBar
    | TradingStatus
    | PriceBand
    | TradeCorrection
    | TradeCancel
    | OrderBookUpdate
    | Imbalance
    | News
)
"""Anything a market-data stream brings."""
