"""Pairs of crypto currencies: their past in pages, their present, and their order books. Answers those without keys too.

The exchange has one market for each pair, so that every location tells the same. A day begins at midnight in New York, as for shares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

from broker_demo.prices import Prices
from broker_demo.sandbox.answers import Answer, Host, found
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.data.bars import bar_source, read_timeframe
from broker_demo.sandbox.data.latest import Last, last_bar, last_book, last_quote, last_trade, snapshot
from broker_demo.sandbox.data.pages import Source, read_page
from broker_demo.sandbox.data.records import quote_record, trade_record
from broker_demo.sandbox.data.span import read_span
from broker_demo.sandbox.data.symbols import pairs
from broker_demo.sandbox.data.ticks import tick_source
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.route import Route

_ROOT = "/v1beta3/crypto/{loc}"
_LOCATIONS = ("us", "us-1", "us-2", "eu-1", "bs-1")

_Sources: TypeAlias = Callable[[Prices, Call, int], Source]


def _history(name: str, source: _Sources, desk: Desk, call: Call) -> Answer:
    symbols = _pairs(desk, call)
    now_ns = desk.now_ns()
    page = read_page(call, symbols, read_span(call, now_ns, symbols), source(desk.prices, call, now_ns))
    return found({name: page.points, "next_page_token": page.next_token})


def _bars(prices: Prices, call: Call, now_ns: int) -> Source:
    return bar_source(prices, read_timeframe(call), now_ns)


def _trades(prices: Prices, call: Call, now_ns: int) -> Source:  # noqa: ARG001  # as the others
    return tick_source(prices, trade_record)


def _quotes(prices: Prices, call: Call, now_ns: int) -> Source:  # noqa: ARG001  # as the others
    return tick_source(prices, quote_record)


def _latest(name: str, last: Last, desk: Desk, call: Call) -> Answer:
    records = {symbol: last(desk.prices, symbol, desk.now_ns()) for symbol in _pairs(desk, call)}
    return found({name: {symbol: record for symbol, record in records.items() if record is not None}})


def _pairs(desk: Desk, call: Call) -> list[str]:
    location = call.parts["loc"]
    if location not in _LOCATIONS:
        raise call.bad(f"invalid location: {location}")
    return pairs(desk, call)


def _routes() -> Iterator[Route]:
    for name, source in (("bars", _bars), ("trades", _trades), ("quotes", _quotes)):
        yield Route("GET", f"{_ROOT}/{name}", partial(_history, name, source), Host.DATA, is_open=True, is_slow=True)
    for name, last in (("bars", last_bar), ("trades", last_trade), ("quotes", last_quote), ("orderbooks", last_book)):
        yield Route("GET", f"{_ROOT}/latest/{name}", partial(_latest, name, last), Host.DATA, is_open=True, is_slow=name == "bars")
    yield Route("GET", f"{_ROOT}/snapshots", partial(_latest, "snapshots", snapshot), Host.DATA, is_open=True, is_slow=True)


ROUTES = tuple(_routes())
