"""The core's values as items of output: what each line of JSON holds, by ``kind``, and which of it a table shows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from broker_core.models import (
    Account,
    Asset,
    Bar,
    Connection,
    DailyBar,
    Imbalance,
    MarketClock,
    MarketEvent,
    MarketHours,
    News,
    OrderBookUpdate,
    Position,
    PriceBand,
    Quote,
    Trade,
    TradeCancel,
    TradeCorrection,
    TradingStatus,
    UpdatedBar,
)
from broker_core.orders import Order, OrderChange
from broker_core.watchlists import Watchlist

POSITION_COLUMNS = ("symbol", "side", "qty", "avg_entry_price", "current_price", "market_value", "unrealized_pnl")
ORDER_COLUMNS = ("local_id", "symbol", "side", "qty", "order_type", "limit_price", "stop_price", "state", "filled_qty", "filled_avg_price")
CHANGE_COLUMNS = ("at", "event", "source", "evidence", "rule", "state", "filled_qty", "filled_avg_price", "detail")
QUOTE_COLUMNS = ("symbol", "bid_size", "bid_price", "ask_price", "ask_size", "timestamp")
HOURS_COLUMNS = ("day", "open", "close")
WATCHLIST_COLUMNS = ("name", "watchlist_id")
ASSET_COLUMNS = ("symbol", "name", "asset_class", "exchange", "tradable", "shortable", "fractionable", "price_increment", "qty_increment")
BAR_COLUMNS = ("symbol", "timestamp", "open", "high", "low", "close", "volume", "trade_count", "vwap")

Item = dict[str, Any]


def connection_item(connection: Connection) -> Item:
    """Which broker, how, and why."""
    return {
        "kind": "connection",
        "broker": connection.broker,
        "mode": connection.mode,
        "environment": connection.environment,
        "account_id": connection.account_id,
        "connection_id": connection.connection_id,
        "opened_at": connection.opened_at,
        "why": connection.why,
    }


def account_item(account: Account, connection: Connection, read_at: datetime | None) -> Item:
    """The account, whose it is, and when it was read."""
    return {
        "kind": "account",
        "broker": connection.broker,
        "environment": connection.environment,
        "account_id": account.account_id,
        "status": account.status,
        "currency": account.currency,
        "equity": account.equity,
        "last_equity": account.last_equity,
        "cash": account.cash,
        "buying_power": account.buying_power,
        "shorting_enabled": account.shorting_enabled,
        "trading_blocked": account.trading_blocked,
        "read_at": read_at,
    }


def position_item(position: Position, connection: Connection, read_at: datetime | None) -> Item:
    """One holding, where it is held, and when that was read."""
    return {
        "kind": "position",
        "broker": connection.broker,
        "environment": connection.environment,
        "symbol": position.symbol,
        "side": position.side,
        "qty": position.qty,
        "avg_entry_price": position.avg_entry_price,
        "current_price": position.current_price,
        "market_value": position.market_value,
        "unrealized_pnl": position.unrealized_pnl,
        "read_at": read_at,
    }


def order_item(order: Order) -> Item:
    """One order as it stands."""
    request = order.request
    return {
        "kind": "order",
        "local_id": order.local_id,
        "broker_order_id": order.broker_order_id,
        "symbol": order.symbol,
        "side": order.side,
        "qty": order.qty,
        "notional": request.notional,
        "order_type": request.order_type,
        "order_class": request.order_class,
        "time_in_force": request.time_in_force,
        "limit_price": request.limit_price,
        "stop_price": request.stop_price,
        "trail_price": request.trail_price,
        "trail_percent": request.trail_percent,
        "state": order.state,
        "in_doubt": order.in_doubt,
        "filled_qty": order.filled_qty,
        "filled_avg_price": order.filled_avg_price,
        "cancel_requested_at": order.cancel_requested_at,
        "reason": order.reason,
        "origin": order.origin,
        "parent_id": order.parent_id,
        "strategy": request.strategy,
        "signal_id": request.signal_id,
        "created_at": order.created_at,
        "updated_at": order.updated_at,
    }


def change_item(change: OrderChange) -> Item:
    """One accepted piece of news about an order: what it was, where from, what let it through, what it made of the order."""
    event, order = change.event, change.order
    return {
        "kind": "change",
        "local_id": order.local_id,
        "symbol": order.symbol,
        "at": event.at,
        "event": event.kind,
        "source": event.source,
        "evidence": event.source.evidence.name.lower(),
        "rule": change.rule,
        "previous": change.previous,
        "state": order.state,
        "in_doubt": order.in_doubt,
        "filled_qty": order.filled_qty,
        "filled_avg_price": order.filled_avg_price,
        "booked_qty": change.booked and change.booked.qty,
        "booked_price": change.booked and change.booked.price,
        "execution_id": change.booked and change.booked.execution_id,
        "raw_status": event.raw_status,
        "reason": event.reason,
        "finding": change.finding,
    }


def change_row(change: OrderChange) -> Item:
    """The same for a table, with what is worth saying beside the numbers in one column."""
    item = change_item(change)
    booked = change.booked
    said = [
        f"{booked.qty:f} at {booked.price:f}" if booked else None,
        change.event.raw_status,
        change.event.reason,
        "in doubt" if change.order.in_doubt else None,
        change.finding,
    ]
    return {**item, "detail": "; ".join(text for text in said if text)}


_EVENT_KINDS: dict[type[MarketEvent], str] = {
    Quote: "quote",
    Trade: "trade",
    Bar: "bar",
    DailyBar: "daily_bar",
    UpdatedBar: "updated_bar",
    TradingStatus: "status",
    PriceBand: "luld",
    TradeCorrection: "correction",
    TradeCancel: "cancel_error",
    OrderBookUpdate: "orderbook",
    Imbalance: "imbalance",
    News: "news",
}


def event_item(event: MarketEvent) -> Item:
    """Anything of a market-data stream: its kind, its fields, its moment."""
    kind = next(_EVENT_KINDS[base] for base in type(event).__mro__ if base in _EVENT_KINDS)
    fields = {field.name: getattr(event, field.name) for field in attrs.fields(type(event)) if field.name != "timestamp_ns"}
    return {"kind": kind} | fields | {"timestamp": event.timestamp}


def asset_item(asset: Asset) -> Item:
    """Something that can be traded."""
    return {"kind": "asset"} | {field.name: getattr(asset, field.name) for field in attrs.fields(Asset)}


def clock_item(clock: MarketClock, connection: Connection) -> Item:
    """Whether the broker's market is open."""
    return {
        "kind": "clock",
        "broker": connection.broker,
        "at": clock.at,
        "is_open": clock.is_open,
        "next_open": clock.next_open,
        "next_close": clock.next_close,
    }


def hours_item(hours: MarketHours) -> Item:
    """One trading day."""
    return {"kind": "trading_day", "day": hours.day, "open": hours.open, "close": hours.close}


def watchlist_item(watchlist: Watchlist, *, is_listed: bool = False) -> Item:
    """One list of symbols. Listed among others it may come without them, which is not the same as being empty."""
    item: Item = {"kind": "watchlist", "name": watchlist.name, "watchlist_id": watchlist.watchlist_id}
    return item if is_listed and not watchlist.symbols else item | {"symbols": watchlist.symbols}
