"""Snapshots: what is known of a symbol now.

Source: https://docs.alpaca.markets/reference/stocksnapshots-1, .../stocksnapshotsingle, .../cryptosnapshots-1, .../optionsnapshots,
.../optionchain. Stocks answer a bare map, the others a wrapped one. Any part may be missing; close to expiration an option has no greeks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TypedDict, Unpack

import attrs
import msgspec

from broker_alpaca.wire import by_symbol
from broker_alpaca.wire.bars import BarRow, to_bar
from broker_alpaca.wire.by_symbol import BySymbol
from broker_alpaca.wire.call import Call, segment
from broker_alpaca.wire.data_host import StockPrices, get
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.option_contracts import ContractType
from broker_alpaca.wire.quotes import QuoteRow, to_quote
from broker_alpaca.wire.trades import TradeRow, to_trade
from broker_core.models import Snapshot

LARGEST_PAGE = 1_000
"""Of option snapshots."""


class Greeks(msgspec.Struct, frozen=True):
    """How an option's price answers to what it hangs on, by the Black-Scholes model."""

    delta: float
    gamma: float
    theta: float
    vega: float
    rho: float


@attrs.frozen(kw_only=True)
class OptionSnapshot(Snapshot):
    """The present of one option contract."""

    greeks: Greeks | None = None
    implied_volatility: float | None = None
    """A year's, as a fraction: 0.25 is 25 %."""


class SnapshotRow(
    msgspec.Struct,
    rename={
        "latest_trade": "latestTrade",
        "latest_quote": "latestQuote",
        "minute_bar": "minuteBar",
        "daily_bar": "dailyBar",
        "previous_daily_bar": "prevDailyBar",
        "implied_volatility": "impliedVolatility",
    },
):
    """One snapshot of the wire."""

    latest_trade: TradeRow | None = None
    latest_quote: QuoteRow | None = None
    minute_bar: BarRow | None = None
    daily_bar: BarRow | None = None
    previous_daily_bar: BarRow | None = None
    greeks: Greeks | None = None
    implied_volatility: float | None = None


def to_snapshot(symbol: str, row: SnapshotRow, drift: Drift) -> Snapshot:
    """A row in the core's words; a part that cannot be is left out and counted."""
    return Snapshot(
        symbol=symbol,
        trade=by_symbol.part(to_trade, symbol, row.latest_trade, "snapshot.latestTrade", drift),
        quote=by_symbol.part(to_quote, symbol, row.latest_quote, "snapshot.latestQuote", drift),
        minute_bar=by_symbol.part(to_bar, symbol, row.minute_bar, "snapshot.minuteBar", drift),
        daily_bar=by_symbol.part(to_bar, symbol, row.daily_bar, "snapshot.dailyBar", drift),
        previous_daily_bar=by_symbol.part(to_bar, symbol, row.previous_daily_bar, "snapshot.prevDailyBar", drift),
    )


def to_option_snapshot(symbol: str, row: SnapshotRow, drift: Drift) -> OptionSnapshot:
    """The same with what only options have."""
    plain = to_snapshot(symbol, row, drift)
    return OptionSnapshot(
        symbol=symbol,
        trade=plain.trade,
        quote=plain.quote,
        minute_bar=plain.minute_bar,
        daily_bar=plain.daily_bar,
        previous_daily_bar=plain.previous_daily_bar,
        greeks=row.greeks,
        implied_volatility=row.implied_volatility,
    )


_stocks = by_symbol.latest(SnapshotRow, to_snapshot, "snapshot", None)
_stock = by_symbol.latest_of_one(SnapshotRow, to_snapshot, "snapshot", None)
_crypto = by_symbol.latest(SnapshotRow, to_snapshot, "snapshot", "snapshots")
_options = by_symbol.latest(SnapshotRow, to_option_snapshot, "snapshot", "snapshots")


class OptionPage(TypedDict, total=False):
    """Which option snapshots, and which page of them."""

    feed: str | None
    """``opra``, or ``indicative`` without an agreement with OPRA."""
    updated_since: datetime | None
    limit: int | None
    """1 to 1,000; Alpaca takes 100 where none is given."""
    page_token: str | None


def stocks(symbols: Sequence[str], **given: Unpack[StockPrices]) -> Call[BySymbol[Snapshot]]:
    """The snapshot of each stock."""
    return get("/v2/stocks/snapshots", _stocks, symbols, **given)


def stock(symbol: str, **given: Unpack[StockPrices]) -> Call[BySymbol[Snapshot]]:
    """The snapshot of one stock."""
    return get(f"/v2/stocks/{segment(symbol)}/snapshot", _stock, **given)


def crypto(symbols: Sequence[str], *, location: str = "us") -> Call[BySymbol[Snapshot]]:
    """The snapshot of each crypto pair."""
    return get(f"/v1beta3/crypto/{segment(location)}/snapshots", _crypto, symbols)


def options(symbols: Sequence[str], **given: Unpack[OptionPage]) -> Call[BySymbol[OptionSnapshot]]:
    """A page of snapshots of option contracts, 100 symbols at most."""
    return get("/v1beta1/options/snapshots", _options, symbols, largest=LARGEST_PAGE, **given)


def chain(
    underlying: str,
    *,
    contract_type: ContractType | None = None,
    strike_price_gte: Decimal | None = None,
    strike_price_lte: Decimal | None = None,
    expiration_date: date | None = None,
    expiration_date_gte: date | None = None,
    expiration_date_lte: date | None = None,
    root_symbol: str | None = None,
    **given: Unpack[OptionPage],
) -> Call[BySymbol[OptionSnapshot]]:
    """A page of snapshots of all contracts on one underlying symbol; bounds are included."""
    return get(
        f"/v1beta1/options/snapshots/{segment(underlying)}",
        _options,
        largest=LARGEST_PAGE,
        type=contract_type,
        strike_price_gte=strike_price_gte,
        strike_price_lte=strike_price_lte,
        expiration_date=expiration_date,
        expiration_date_gte=expiration_date_gte,
        expiration_date_lte=expiration_date_lte,
        root_symbol=root_symbol,
        **given,
    )
