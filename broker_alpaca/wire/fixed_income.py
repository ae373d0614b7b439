"""Latest prices and quotes of bonds, by ISIN.

Source: https://docs.alpaca.markets/reference/fixedincomelatestprices, .../fixedincomelatestquotes. Prices in percent of the face value.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs
import msgspec

from broker_alpaca.wire import by_symbol, moments
from broker_alpaca.wire.by_symbol import BySymbol
from broker_alpaca.wire.call import Call
from broker_alpaca.wire.data_host import get
from broker_alpaca.wire.drift import Drift
from broker_core.clock import from_ns


@attrs.frozen
class BondPrice:
    """The latest price of a bond. Yields in percent a year."""

    isin: str
    timestamp_ns: int
    price: float
    yield_to_maturity: float | None = None
    yield_to_worst: float | None = None

    @property
    def timestamp(self) -> datetime:
        """The moment, aware UTC, cut to microseconds."""
        return from_ns(self.timestamp_ns)


@attrs.frozen
class BondQuote:
    """The latest bid and offer of a bond. Sizes, also the smallest that is traded, in face value, yields in percent a year; 0 is none."""

    isin: str
    timestamp_ns: int
    bid_price: float
    bid_size: float
    ask_price: float
    ask_size: float
    smallest_bid_size: float | None = None
    smallest_ask_size: float | None = None
    bid_yield_to_maturity: float | None = None
    bid_yield_to_worst: float | None = None
    ask_yield_to_maturity: float | None = None
    ask_yield_to_worst: float | None = None

    @property
    def timestamp(self) -> datetime:
        """The moment, aware UTC, cut to microseconds."""
        return from_ns(self.timestamp_ns)


class _Price(msgspec.Struct):
    t: str
    p: float
    ytm: float | None = None
    ytw: float | None = None


class _Quote(msgspec.Struct, rename={"as_": "as"}):
    t: str
    bp: float
    bs: float
    ap: float
    as_: float
    bms: float | None = None
    ams: float | None = None
    bytm: float | None = None
    bytw: float | None = None
    aytm: float | None = None
    aytw: float | None = None


def _to_price(isin: str, row: _Price, drift: Drift) -> BondPrice:  # noqa: ARG001  # what every maker of a value takes
    return BondPrice(isin, moments.parse_ns(row.t), row.p, row.ytm, row.ytw)


def _to_quote(isin: str, row: _Quote, drift: Drift) -> BondQuote:  # noqa: ARG001  # what every maker of a value takes
    at_ns = moments.parse_ns(row.t)
    return BondQuote(isin, at_ns, row.bp, row.bs, row.ap, row.as_, row.bms, row.ams, row.bytm, row.bytw, row.aytm, row.aytw)


_prices = by_symbol.latest(_Price, _to_price, "bond price", "prices")
_quotes = by_symbol.latest(_Quote, _to_quote, "bond quote", "quotes")


def latest_prices(isins: Sequence[str]) -> Call[BySymbol[BondPrice]]:
    """The latest price of each bond."""
    return get("/v1beta1/fixed_income/latest/prices", _prices, isins=isins)


def latest_quotes(isins: Sequence[str], *, trade_size: int | None = None) -> Call[BySymbol[BondQuote]]:
    """The latest quote of each bond, for a trade of this size."""
    return get("/v1beta1/fixed_income/latest/quotes", _quotes, isins=isins, trade_size=trade_size)
