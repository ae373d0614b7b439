"""Every request that the plugin can make, in every variation of its arguments: made from the signatures, so that none is forgotten."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import EnumMeta
from importlib import import_module
from typing import Any, get_args, get_type_hints

import broker_alpaca.wire
from broker_alpaca.wire import orders
from broker_alpaca.wire.call import Call
from broker_core.option_orders import MultiLegOrder, OptionLeg
from broker_core.orders import ReplaceTerms
from broker_core.requests import (
    LimitOrder,
    MarketOrder,
    OrderRequest,
    StopLimitOrder,
    StopLoss,
    StopOrder,
    TakeProfit,
    TimeInForce,
    TrailingStopOrder,
)

ID = "904837e3-3b76-47ec-b432-046db621571b"
CALL_OPTION, PUT_OPTION = "AAPL241213C00250000", "AAPL241213P00250000"
MOMENT = datetime(2026, 3, 2, 15, 30, 0, 123456, tzinfo=UTC)
DAY = date(2026, 3, 2)
MOMENTS = [DAY, MOMENT]

GROUP = {"take_profit": TakeProfit("160.55"), "stop_loss": StopLoss("140", "139.50")}
REQUESTS: list[OrderRequest] = [
    *(MarketOrder("AAPL", "buy", qty=1, time_in_force=word) for word in TimeInForce),
    MarketOrder("AAPL", "sell", notional="250.5"),
    MarketOrder("AAPL", "sell", qty="1.123456789"),
    LimitOrder("BTC/USD", "buy", qty="0.0001", limit_price="65000.5", time_in_force="gtc"),
    LimitOrder("AAPL", "buy", qty=10, limit_price="150.25", extended_hours=True),
    LimitOrder(CALL_OPTION, "buy", qty=1, limit_price="1.05"),
    StopOrder("AAPL", "sell", qty=10, stop_price="140"),
    StopLimitOrder("AAPL", "sell", qty=10, stop_price="140", limit_price="139.99"),
    TrailingStopOrder("AAPL", "sell", qty=10, trail_price="1.5"),
    TrailingStopOrder("AAPL", "sell", qty=10, trail_percent="2.5", time_in_force="gtc"),
    MarketOrder("AAPL", "buy", qty=10, order_class="bracket", **GROUP),
    LimitOrder("AAPL", "sell", qty=10, limit_price="160.55", order_class="oco", stop_loss=StopLoss(140)),
    LimitOrder("AAPL", "buy", qty=10, limit_price="150", order_class="oto", stop_loss=StopLoss(140)),
    StopLimitOrder("AAPL", "buy", qty=10, stop_price="151", limit_price="152", order_class="oto", take_profit=TakeProfit(160)),
    MultiLegOrder(
        "AAPL",
        qty=3,
        limit_price="-1.25",
        legs=[OptionLeg(CALL_OPTION, "sell", 1, "sell_to_open"), OptionLeg(PUT_OPTION, "buy", 2, "buy_to_open")],
    ),
    MultiLegOrder("AAPL", qty=1, legs=[OptionLeg(CALL_OPTION, "buy"), OptionLeg(PUT_OPTION, "buy")]),
]
CHANGES = [
    ReplaceTerms(qty=Decimal(4), limit_price=Decimal("155.5"), time_in_force=TimeInForce.GTC),
    ReplaceTerms(stop_price=Decimal(139)),
    ReplaceTerms(trail=Decimal("1.25")),
]

SYMBOLS = {
    "crypto": ["BTC/USD", "ETH/USD"],
    "option": [CALL_OPTION, PUT_OPTION],
    "perpetual": ["BTC-PERP"],
    "stock": ["AAPL", "BRK.B"],
}

# By the name of the function and its parameter, or of the parameter alone: the values it is tried with.
VALUES: dict[str, list[Any]] = {
    "request": REQUESTS,
    "change": CHANGES,
    "start": MOMENTS,
    "end": MOMENTS,
    "after": [MOMENT],
    "until": [MOMENT],
    "since": [DAY],
    "updated_since": [MOMENT],
    "at": [MOMENT],
    "day": [DAY],
    "timeframe": ["1Min", "15Min", "1Hour", "1Day", "1Week", "3Month"],
    "adjustment": ["raw", "split", "dividend", "spin-off", "all"],
    "asof": ["2026-03-02"],
    "feed": ["sip", "iex"],
    "currency": ["USD"],
    "location": ["us", "us-1", "eu-1"],
    "limit": [1, 100],
    "page_size": [1, 100],
    "page_token": ["QUFQTHxNfDE2"],
    "top": [1, 50],
    "side": ["buy", "sell"],
    "status": ["open", "closed", "all"],
    "direction": ["asc", "desc"],
    "asset_class": [["us_equity", "crypto"]],
    "client_order_id": ["T000001"],
    "activity_type": ["FILL", "DIV"],
    "types": [["FILL", "DIV"]],
    "pairs": [["USDJPY", "EURUSD"]],
    "pair": ["USDJPY"],
    "qty": [Decimal("1.5")],
    "percentage": [Decimal("33.333")],
    "name": ["Tech & co"],
    "new_name": ["Other"],
    "market": ["NYSE"],
    "markets": [["NYSE", "BMO"]],
    "period": ["1M", "7D"],
    "cashflow_types": ["ALL", ["CSD", "CSW"]],
    "attributes": [["ipo", "overnight_tradable"]],
    "exchange": ["NASDAQ"],
    "max_margin_multiplier": [1, 2, 4],
    "max_options_trading_level": [0, 3],
    "trade_confirm_email": ["all", "none"],
    "expiration_date": [DAY],
    "expiration_date_gte": [DAY],
    "expiration_date_lte": [DAY],
    "strike_price_gte": [Decimal("250.5")],
    "strike_price_lte": [Decimal(300)],
    "root_symbol": ["AAPL"],
    "underlying": ["AAPL"],
    "underlying_symbols": [["AAPL", "SPY"]],
    "cusip": ["037833100"],
    "cusips": [["037833100"]],
    "ids": [[ID]],
    "region": ["us", "non_us", "all"],
    "data_quality": ["complete", "all"],
    "announcement_id": [ID],
    "order_id": [ID],
    "after_order_id": [ID],
    "before_order_id": [ID],
    "watchlist_id": [ID],
    "symbol_or_asset_id": ["AAPL", "BTC/USD", ID],
    "symbol_or_contract_id": [CALL_OPTION],
    "symbol_or_id": ["AAPL", ID],
    "corporate_actions.page.types": [["cash_dividend", "forward_split"]],
    "corporate_actions.page.start": [DAY],
    "corporate_actions.page.end": [DAY],
    "portfolio.history.timeframe": ["1Min", "5Min", "15Min", "1H", "1D"],
    "portfolio.history.start": [MOMENT],
    "portfolio.history.end": [MOMENT],
    "forex.rates.timeframe": ["1Min", "1Day", "1Sec", "5Sec"],
    "assets.list_all.asset_class": ["us_equity", "crypto", "us_option"],
    "announcements.list_between.until": [DAY],
    "clock.calendar.start": [DAY],
    "clock.calendar.end": [DAY],
    "clock.calendar_of.start": [DAY],
    "clock.calendar_of.end": [DAY],
    "news.page.limit": [1, 50],
    "news.page.symbols": [["AAPL", "BTCUSD"]],
    "orders.page.symbols": [["AAPL", "BTCUSD"]],
    "option_contracts.get.symbol_or_id": [CALL_OPTION],
    "activities.page.after": MOMENTS,
    "activities.page.until": MOMENTS,
    "locate_id": [ID],
    "locates.create.qty": [100],
    "locates.create.limit_price": [Decimal("0.05")],
    "locates.page.start": [DAY],
    "locates.page.end": [DAY],
    "isins": [["US912797KJ59", "US912810TV08"]],
    "trade_size": [100_000],
    "all_or_none": [True, False],
    "indices.latest.symbols": [["SPX"]],
    "indices.values.symbols": [["SPX", "NDX"]],
    "snapshots.options.feed": ["opra", "indicative"],
    "snapshots.chain.feed": ["opra", "indicative"],
    "quotes.latest_options.feed": ["opra", "indicative"],
    "trades.latest_options.feed": ["opra", "indicative"],
}

Maker = Callable[..., Call[Any]]


def makers() -> Iterator[tuple[str, Maker]]:
    """Every public function of the wire that makes a call, by its full name."""
    for module in pkgutil.iter_modules(broker_alpaca.wire.__path__):
        loaded = import_module(f"broker_alpaca.wire.{module.name}")
        for name, function in vars(loaded).items():
            if name.startswith("_") or not inspect.isfunction(function) or function.__module__ != loaded.__name__:
                continue
            # The common part of all requests to the data host is not a request by itself.
            if str(inspect.signature(function).return_annotation).startswith("Call[") and module.name != "data_host":
                yield f"{module.name}.{name}", function


def every_call() -> Iterator[tuple[str, Call[Any]]]:
    """Each function's calls: with what it needs, with each value of each argument in turn, and with one value of all at once."""
    for name, function in makers():
        hints = get_type_hints(function, include_extras=True)
        needed: dict[str, Any] = {}
        optional: dict[str, list[Any]] = {}
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                (typed,) = get_args(hints[parameter.name])
                optional |= {key: values(name, key, hint) for key, hint in get_type_hints(typed).items()}
            elif parameter.default is inspect.Parameter.empty:
                given = values(name, parameter.name, hints[parameter.name])
                needed[parameter.name] = given[0]
                optional[parameter.name] = given[1:]
            else:
                optional[parameter.name] = values(name, parameter.name, hints[parameter.name])
        variations: list[dict[str, Any]] = [{}, *({key: value} for key, tried in optional.items() for value in tried)]
        variations.append({key: tried[0] for key, tried in optional.items() if tried})
        for variation in variations:
            try:
                yield name, function(**needed | variation)
            except ValueError:
                # Arguments that exclude each other are refused before anything is sent.
                continue
    for request in REQUESTS:
        yield "orders.submit", orders.submit(request, "T000001")


def values(function: str, parameter: str, hint: Any) -> list[Any]:
    """What a parameter is tried with. Raises KeyError for one that nobody thought of."""
    if f"{function}.{parameter}" in VALUES:
        return VALUES[f"{function}.{parameter}"]
    if "perpetual" in function and parameter == "location":
        return ["global"]
    options = [hint, *get_args(hint)]
    enum = next((option for option in options if isinstance(option, EnumMeta)), None)
    if enum is not None:
        return list(enum)
    if bool in options:
        return [True, False]
    if parameter in ("symbols", "symbol"):
        kind = next((kind for kind in ("crypto", "option", "perpetual") if kind in function), "stock")
        return [SYMBOLS[kind]] if parameter == "symbols" else SYMBOLS[kind]
    if parameter in VALUES:
        return VALUES[parameter]
    words = next((get_args(option)[0] for option in options if get_args(option)), None)
    if isinstance(words, EnumMeta):
        return [list(words)]
    raise KeyError(f"{function} has a parameter {parameter} that no value is known for")
