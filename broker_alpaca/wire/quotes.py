"""Quotes: histories and the latest ones.

Source: https://docs.alpaca.markets/reference/stockquotes, .../stockquotesingle, .../cryptoquotes, .../stocklatestquotes,
.../stocklatestquotesingle, .../cryptolatestquotes, .../optionlatestquotes, .../cryptoperplatestquotes. Options have no history of quotes.
Sizes of stocks are shares since 3 November 2025 and round lots before. A price of 0 says that there is no quote on that side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import msgspec

from broker_alpaca.wire import by_symbol, moments
from broker_alpaca.wire.by_symbol import BySymbol
from broker_alpaca.wire.call import Call, segment
from broker_alpaca.wire.data_host import Range, StockPrices, StockRange, get
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.trades import conditions_of
from broker_core.models import Quote


class QuoteRow(
    msgspec.Struct,
    gc=False,
    rename={
        "ask_price": "ap",
        "ask_size": "as",
        "ask_exchange": "ax",
        "bid_price": "bp",
        "bid_size": "bs",
        "bid_exchange": "bx",
        "conditions": "c",
        "time": "t",
        "tape": "z",
    },
):
    """One quote of the wire."""

    ask_price: float
    ask_size: float
    bid_price: float
    bid_size: float
    time: str
    ask_exchange: str | None = None
    bid_exchange: str | None = None
    conditions: list[str] | str | None = None
    """A list for stocks, a text for options."""
    tape: str | None = None


def to_quote(symbol: str, row: QuoteRow, drift: Drift) -> Quote:  # noqa: ARG001  # what every maker of a value takes
    """A row in the core's words. Raises ValueError for a time that is none."""
    return Quote(
        symbol,
        moments.parse_ns(row.time),
        row.bid_price,
        row.bid_size,
        row.ask_price,
        row.ask_size,
        row.bid_exchange or "",
        row.ask_exchange or "",
        conditions_of(row.conditions),
        row.tape or "",
    )


_history = by_symbol.history(QuoteRow, to_quote, "quote", "quotes")
_latest = by_symbol.latest(QuoteRow, to_quote, "quote", "quotes")
_latest_of_one = by_symbol.latest_of_one(QuoteRow, to_quote, "quote", "quote")


def stocks(symbols: Sequence[str], **given: Unpack[StockRange]) -> Call[BySymbol[tuple[Quote, ...]]]:
    """A page of quotes of stocks."""
    return get("/v2/stocks/quotes", _history, symbols, **given)


def stock(symbol: str, **given: Unpack[StockRange]) -> Call[BySymbol[tuple[Quote, ...]]]:
    """A page of quotes of one stock."""
    return get(f"/v2/stocks/{segment(symbol)}/quotes", _history, **given)


def crypto(symbols: Sequence[str], *, location: str = "us", **given: Unpack[Range]) -> Call[BySymbol[tuple[Quote, ...]]]:
    """A page of quotes of crypto pairs."""
    return get(f"/v1beta3/crypto/{segment(location)}/quotes", _history, symbols, **given)


def latest_stocks(symbols: Sequence[str], **given: Unpack[StockPrices]) -> Call[BySymbol[Quote]]:
    """The latest quote of each stock."""
    return get("/v2/stocks/quotes/latest", _latest, symbols, **given)


def latest_stock(symbol: str, **given: Unpack[StockPrices]) -> Call[BySymbol[Quote]]:
    """The latest quote of one stock."""
    return get(f"/v2/stocks/{segment(symbol)}/quotes/latest", _latest_of_one, **given)


def latest_crypto(symbols: Sequence[str], *, location: str = "us") -> Call[BySymbol[Quote]]:
    """The latest quote of each crypto pair."""
    return get(f"/v1beta3/crypto/{segment(location)}/latest/quotes", _latest, symbols)


def latest_options(symbols: Sequence[str], *, feed: str | None = None) -> Call[BySymbol[Quote]]:
    """The latest quote of each option contract. ``feed``: ``opra`` or ``indicative``."""
    return get("/v1beta1/options/quotes/latest", _latest, symbols, feed=feed)


def latest_perpetuals(symbols: Sequence[str], *, location: str = "global") -> Call[BySymbol[Quote]]:
    """The latest quote of each perpetual future on crypto."""
    return get(f"/v1beta1/crypto-perps/{segment(location)}/latest/quotes", _latest, symbols)
