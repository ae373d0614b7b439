"""Shares: their past in pages, their present, and what the letters in their records mean.

The sandbox gives what a paid plan gives: all feeds, all of them the same, up to this very moment; ``delayed_sip`` is a quarter of an hour
behind. There are no splits, dividends or changes of name here, so that ``adjustment`` and ``asof`` are read and change nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

from broker_demo.prices import Prices
from broker_demo.sandbox.answers import Answer, Host, found
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.data.auctions import auction_source
from broker_demo.sandbox.data.bars import bar_source, read_timeframe
from broker_demo.sandbox.data.latest import Last, last_bar, last_quote, last_trade, snapshot
from broker_demo.sandbox.data.pages import Source, read_page
from broker_demo.sandbox.data.records import quote_record, trade_record
from broker_demo.sandbox.data.span import read_span
from broker_demo.sandbox.data.symbols import shares
from broker_demo.sandbox.data.ticks import tick_source
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.route import Route

_ROOT = "/v2/stocks"
_HISTORY_FEEDS = ("sip", "iex", "otc", "boats")
_LATEST_FEEDS = (*_HISTORY_FEEDS, "delayed_sip", "overnight")
_ADJUSTMENTS = frozenset({"raw", "split", "dividend", "spin-off", "all"})
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_DELAY_NS = 15 * 60 * 1_000_000_000

_Sources: TypeAlias = Callable[[Prices, Call, int], Source]


def _history(name: str, source: _Sources, desk: Desk, call: Call) -> Answer:
    symbols = shares(desk, call)
    call.word("feed", ("sip",) if name == "auctions" else _HISTORY_FEEDS, "sip")
    _check_names_as_of(call)
    now_ns = desk.now_ns()
    page = read_page(call, symbols, read_span(call, now_ns, symbols), source(desk.prices, call, now_ns))
    if "symbol" in call.parts:
        (symbol,) = symbols
        return found({name: page.points.get(symbol, ()), "symbol": symbol, "next_page_token": page.next_token, **_currency(call)})
    return found({name: page.points, "next_page_token": page.next_token, **_currency(call)})


def _bars(prices: Prices, call: Call, now_ns: int) -> Source:
    timeframe = read_timeframe(call)
    for adjustment in call.listed("adjustment"):
        if adjustment not in _ADJUSTMENTS:
            raise call.bad(f"invalid adjustment: {adjustment}")
    return bar_source(prices, timeframe, now_ns)


def _trades(prices: Prices, call: Call, now_ns: int) -> Source:  # noqa: ARG001  # as the others
    return tick_source(prices, trade_record)


def _quotes(prices: Prices, call: Call, now_ns: int) -> Source:  # noqa: ARG001  # as the others
    return tick_source(prices, quote_record)


def _auctions(prices: Prices, call: Call, now_ns: int) -> Source:  # noqa: ARG001  # as the others
    return auction_source(prices, now_ns)


def _latest(name: str, last: Last, desk: Desk, call: Call) -> Answer:
    return found({name: {symbol: record for symbol, record in _all_latest(last, desk, call).items() if record}, **_currency(call)})


def _latest_of_one(name: str, last: Last, desk: Desk, call: Call) -> Answer:
    ((symbol, record),) = _all_latest(last, desk, call).items()
    return found({"symbol": symbol, name: record, **_currency(call)})


def _snapshots(desk: Desk, call: Call) -> Answer:
    _currency(call)
    return found(_all_latest(snapshot, desk, call))


def _snapshot_of_one(desk: Desk, call: Call) -> Answer:
    ((symbol, record),) = _all_latest(snapshot, desk, call).items()
    return found({"symbol": symbol, **(record or {}), **_currency(call)})


def _all_latest(last: Last, desk: Desk, call: Call) -> dict[str, Any]:
    symbols = shares(desk, call)
    feed = call.word("feed", _LATEST_FEEDS, "sip")
    at_ns = desk.now_ns() - (_DELAY_NS if feed == "delayed_sip" else 0)
    return {symbol: last(desk.prices, symbol, at_ns) for symbol in symbols}


def _currency(call: Call) -> dict[str, str]:
    """What an answer says of its currency: nothing unless it was asked for. Raises Refused."""
    currency = call.text("currency")
    if currency is None:
        return {}
    if _CURRENCY.fullmatch(currency) is None:
        raise call.bad(f"invalid currency: {currency}")
    if currency != "USD":
        raise call.bad(f"invalid currency: {currency}; the sandbox knows prices in USD only")
    return {"currency": currency}


def _check_names_as_of(call: Call) -> None:
    if call.text("asof") != "-":
        call.day("asof")


def _routes() -> Iterator[Route]:
    for name, source in (("bars", _bars), ("trades", _trades), ("quotes", _quotes), ("auctions", _auctions)):
        for path in (f"{_ROOT}/{name}", f"{_ROOT}/{{symbol}}/{name}"):
            yield Route("GET", path, partial(_history, name, source), Host.DATA, is_slow=True)
    for name, last in (("bar", last_bar), ("trade", last_trade), ("quote", last_quote)):
        yield Route("GET", f"{_ROOT}/{name}s/latest", partial(_latest, f"{name}s", last), Host.DATA, is_slow=name == "bar")
        yield Route("GET", f"{_ROOT}/{{symbol}}/{name}s/latest", partial(_latest_of_one, name, last), Host.DATA)
    yield Route("GET", f"{_ROOT}/snapshots", _snapshots, Host.DATA, is_slow=True)
    yield Route("GET", f"{_ROOT}/{{symbol}}/snapshot", _snapshot_of_one, Host.DATA, is_slow=True)


ROUTES = tuple(_routes())
