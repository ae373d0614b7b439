"""Trade with any broker: ``connect()`` opens a session, brokers are plugins.

The names below are the public ones. They are loaded when first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from broker_core.clock import Clock, CountingIds, IdFactory, StillClock, SystemClock, TimeSortedIds
    from broker_core.errors import (
        AmbiguousBroker,
        AuthError,
        BrokerError,
        ConfigError,
        DuplicateOrder,
        IllegalTransition,
        InDoubt,
        NotConfigured,
        NotSupported,
        OrderVetoed,
        PluginError,
        RateLimited,
        RemoteError,
        RequestRefused,
        StorageError,
        Unavailable,
        WireError,
    )
    from broker_core.families import HOOK_API
    from broker_core.hookspecs import hookimpl
    from broker_core.models import (
        EVERY_SYMBOL,
        Account,
        Asset,
        Bar,
        Capabilities,
        Channel,
        Connection,
        DailyBar,
        Environment,
        Gap,
        Imbalance,
        MarketClock,
        MarketHours,
        News,
        OrderBookUpdate,
        Position,
        PriceBand,
        Quote,
        SignedIn,
        Snapshot,
        Trade,
        TradeCancel,
        TradeCorrection,
        TradingStatus,
        UpdatedBar,
    )
    from broker_core.option_orders import MultiLegOrder, OptionLeg, PositionIntent
    from broker_core.order_terms import order_request
    from broker_core.orders import EventKind, Order, OrderChange, OrderEvent, ReplaceTerms, Source, State
    from broker_core.requests import (
        LimitOrder,
        MarketOrder,
        OrderClass,
        OrderRequest,
        OrderType,
        Side,
        StopLimitOrder,
        StopLoss,
        StopOrder,
        TakeProfit,
        TimeInForce,
        TrailingStopOrder,
    )
    from broker_core.secret import Secret
    from broker_core.session import Session, connect
    from broker_core.submission import OrderPolicy
    from broker_core.timeframe import Timeframe
    from broker_core.watchlists import Watchlist, Watchlists

# The same names again, for the running program; a test holds the two lists together.
_HOMES = {
    "broker_core.clock": (
        "Clock",
        "CountingIds",
        "IdFactory",
        "StillClock",
        "SystemClock",
        "TimeSortedIds",
    ),
    "broker_core.errors": (
        "AmbiguousBroker",
        "AuthError",
        "BrokerError",
        "ConfigError",
        "DuplicateOrder",
        "IllegalTransition",
        "InDoubt",
        "NotConfigured",
        "NotSupported",
        "OrderVetoed",
        "PluginError",
        "RateLimited",
        "RemoteError",
        "RequestRefused",
        "StorageError",
        "Unavailable",
        "WireError",
    ),
    "broker_core.families": ("HOOK_API",),
    "broker_core.hookspecs": ("hookimpl",),
    "broker_core.models": (
        "EVERY_SYMBOL",
        "Account",
        "Asset",
        "Bar",
        "Capabilities",
        "Channel",
        "Connection",
        "DailyBar",
        "Environment",
        "Gap",
        "Imbalance",
        "MarketClock",
        "MarketHours",
        "News",
        "OrderBookUpdate",
        "Position",
        "PriceBand",
        "Quote",
        "SignedIn",
        "Snapshot",
        "Trade",
        "TradeCancel",
        "TradeCorrection",
        "TradingStatus",
        "UpdatedBar",
    ),
    "broker_core.option_orders": ("MultiLegOrder", "OptionLeg", "PositionIntent"),
    "broker_core.order_terms": ("order_request",),
    "broker_core.orders": (
        "EventKind",
        "Order",
        "OrderChange",
        "OrderEvent",
        "ReplaceTerms",
        "Source",
        "State",
    ),
    "broker_core.requests": (
        "LimitOrder",
        "MarketOrder",
        "OrderClass",
        "OrderRequest",
        "OrderType",
        "Side",
        "StopLimitOrder",
        "StopLoss",
        "StopOrder",
        "TakeProfit",
        "TimeInForce",
        "TrailingStopOrder",
    ),
    "broker_core.secret": ("Secret",),
    "broker_core.session": (
        "Session",
        "connect",
    ),
    "broker_core.submission": ("OrderPolicy",),
    "broker_core.timeframe": ("Timeframe",),
    "broker_core.watchlists": ("Watchlist", "Watchlists"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605  # made of the list above rather than written a third time


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
