"""The values that travel between a broker's plugin, the core and the host, orders apart.

All are frozen attrs classes with slots. What a market-data stream carries is in ``broker_core.ticks`` and offered here too.

Money and quantities of positions and accounts are ``Decimal``; prices and sizes of market data are ``float``. A moment is an
aware UTC ``datetime``; where order within a microsecond matters it is ``timestamp_ns``, integer nanoseconds since the Unix epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

import attrs

from broker_core.orders import OrderEvent
from broker_core.requests import OrderClass, OrderType, TimeInForce
from broker_core.ticks import Bar as Bar
from broker_core.ticks import DailyBar as DailyBar
from broker_core.ticks import Imbalance as Imbalance
from broker_core.ticks import MarketEvent as MarketEvent
from broker_core.ticks import News as News
from broker_core.ticks import OrderBookUpdate as OrderBookUpdate
from broker_core.ticks import PriceBand as PriceBand
from broker_core.ticks import Quote as Quote
from broker_core.ticks import Trade as Trade
from broker_core.ticks import TradeCancel as TradeCancel
from broker_core.ticks import TradeCorrection as TradeCorrection
from broker_core.ticks import TradingStatus as TradingStatus
from broker_core.ticks import UpdatedBar as UpdatedBar
from broker_core.timeframe import Timeframe


class Environment(StrEnum):
    """What kind of money stands behind an account."""

    LIVE = "live"
    PAPER = "paper"
    DEMO = "demo"


@attrs.frozen(kw_only=True)
class Account:
    """The account as the broker states it. Amounts in ``currency``."""

    account_id: str
    currency: str
    cash: Decimal
    equity: Decimal
    buying_power: Decimal
    status: str = "ACTIVE"
    shorting_enabled: bool = False
    trading_blocked: bool = False
    last_equity: Decimal | None = None


@attrs.frozen(kw_only=True)
class Position:
    """One holding. ``qty`` is signed: below zero is short. ``market_value`` has the sign of ``qty``."""

    symbol: str
    qty: Decimal
    avg_entry_price: Decimal
    current_price: Decimal | None = None
    market_value: Decimal | None = None
    unrealized_pnl: Decimal | None = None

    @property
    def side(self) -> str:
        """``long`` or ``short``."""
        return "short" if self.qty < 0 else "long"


@attrs.frozen(kw_only=True)
class Asset:
    """Something that can be traded. ``price_increment`` is the tick; prices between two ticks are refused."""

    symbol: str
    name: str
    asset_class: str = "us_equity"
    exchange: str = ""
    tradable: bool = True
    shortable: bool = False
    fractionable: bool = False
    price_increment: Decimal = Decimal("0.01")
    qty_increment: Decimal = Decimal(1)


@attrs.frozen(kw_only=True)
class BarQuery:
    """Which bars: left edges from ``start`` (included) to ``end`` (not included), both aware UTC, oldest first."""

    symbols: tuple[str, ...]
    timeframe: Timeframe
    start: datetime
    end: datetime


@attrs.frozen(kw_only=True)
class BarColumns:
    """Bars of one symbol as columns of equal length, oldest first.

    ``timestamp_ns`` (left edges) and ``trade_count`` hold 64-bit integers, the others 64-bit floats; any sequence with a buffer
    (``array.array``, a NumPy array) becomes a frame without a copy through Python objects.
    """

    timestamp_ns: Sequence[int]
    open: Sequence[float]
    high: Sequence[float]
    low: Sequence[float]
    close: Sequence[float]
    volume: Sequence[float]
    trade_count: Sequence[int]
    vwap: Sequence[float]


@attrs.frozen(kw_only=True)
class BarPage:
    """One answer to a ``BarQuery``: columns by symbol, and the token of the next page or None at the end."""

    columns: Mapping[str, BarColumns]
    next_token: str | None = None


@attrs.frozen(kw_only=True)
class Snapshot:
    """The present of one symbol: what is known of it, the rest None."""

    symbol: str
    quote: Quote | None = None
    trade: Trade | None = None
    minute_bar: Bar | None = None
    daily_bar: Bar | None = None
    previous_daily_bar: Bar | None = None


@attrs.frozen(kw_only=True)
class MarketClock:
    """Whether the market is open, and when that changes next."""

    at: datetime
    is_open: bool
    next_open: datetime
    next_close: datetime


@attrs.frozen(kw_only=True)
class MarketHours:
    """One trading day: its date at the exchange and the moments, aware UTC, between which it trades."""

    day: date
    open: datetime
    close: datetime


@attrs.frozen(kw_only=True)
class Gap:
    """A stretch in which a stream may have missed something: what was missed, what was recovered, what could not be."""

    feed: str
    start: datetime
    end: datetime
    recovered: tuple[str, ...] = ()
    """What is known again, one short sentence each."""
    lost: tuple[str, ...] = ()
    """What cannot be known any more, one short sentence each."""


@attrs.frozen
class SignedIn:
    """The first item of every stream connection: the broker accepted the credentials and the wish."""


class Channel(StrEnum):
    """What a stream can carry."""

    ORDERS = "orders"
    TRADES = "trades"
    QUOTES = "quotes"
    BARS = "bars"
    """Minute bars, each when its minute has ended."""
    DAILY_BARS = "daily_bars"
    """The running day's bar, again and again."""
    UPDATED_BARS = "updated_bars"
    """Minute bars that a late trade has changed."""
    STATUSES = "statuses"
    """Halts, resumptions and the like."""
    LULDS = "lulds"
    """Limit up, limit down: price bands."""
    CORRECTIONS = "corrections"
    CANCEL_ERRORS = "cancel_errors"
    """Trades that do not count any more."""
    ORDERBOOKS = "orderbooks"
    IMBALANCES = "imbalances"
    NEWS = "news"


EVERY_SYMBOL: Final = "*"
"""In place of a symbol: all of them."""


@attrs.frozen
class Wish:
    """All subscriptions at once: for each channel its symbols. ``Channel.ORDERS`` needs none and stands with an empty set.

    ``EVERY_SYMBOL`` among them is told only to a feed that offers it in ``star_channels``.
    """

    symbols: Mapping[Channel, frozenset[str]] = MappingProxyType({})


StreamItem: TypeAlias = SignedIn | OrderEvent | MarketEvent


@attrs.frozen(kw_only=True)
class Capabilities:
    """What a broker can do; the core refuses the rest before anything is sent."""

    order_types: frozenset[OrderType] = frozenset()
    order_classes: frozenset[OrderClass] = frozenset({OrderClass.SIMPLE})
    times_in_force: frozenset[TimeInForce] = frozenset({TimeInForce.DAY})
    channels: frozenset[Channel] = frozenset()
    timeframes: frozenset[str] = frozenset()
    """Units of bars this broker serves: out of ``Min Hour Day Week Month``."""
    notional: bool = False
    fractional: bool = False
    short: bool = False
    extended_hours: bool = False
    replace: bool = False


@attrs.frozen(kw_only=True)
class Connection:
    """Which broker a session talks to, how, and with what kind of money behind it."""

    connection_id: str
    broker: str
    mode: str
    environment: Environment
    account_id: str
    opened_at: datetime
    why: str = ""
    """Why this broker was chosen, in one sentence."""
