"""The account's worth over time.

Source: https://docs.alpaca.markets/reference/getaccountportfoliohistory-1. The wire has columns of numbers, any of them null, under epoch
seconds that name the beginning of each window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from itertools import compress
from types import MappingProxyType
from typing import Any

import attrs

from broker_alpaca.wire import reading
from broker_alpaca.wire.call import Call, members
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.reading import Record

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Column = tuple[Decimal | None, ...]


class Reporting(StrEnum):
    """Which windows an intraday history has."""

    MARKET_HOURS = "market_hours"
    EXTENDED_HOURS = "extended_hours"
    CONTINUOUS = "continuous"


class ProfitReset(StrEnum):
    """What an intraday history measures profit from."""

    PER_DAY = "per_day"
    """The close of the day before each day."""
    NO_RESET = "no_reset"
    """The close before the first day."""


@attrs.frozen(kw_only=True)
class PortfolioHistory:
    """Columns of equal length, oldest first; a figure the broker does not know is None. Amounts in the account's currency."""

    timeframe: str
    at: tuple[datetime, ...]
    """The beginning of each window, aware UTC."""
    equity: Column
    """At the window's end."""
    profit_loss: Column
    """From the base, which is ``base_value`` unless it is reset every day."""
    profit_loss_pct: Column
    """As a fraction: 0.01 is one percent."""
    base_value: Decimal | None = None
    base_value_asof: date | None = None
    """The day whose close ``base_value`` is; None where it is the first figure of the history."""
    cashflow: Mapping[str, Column] = MappingProxyType({})
    """Money that came and went in each window, by type of activity."""

    def __len__(self) -> int:
        return len(self.at)


@attrs.frozen(kw_only=True)
class _Body(Record):
    timestamp: Sequence[Any]
    timeframe: str = ""
    equity: Sequence[Any] = ()
    profit_loss: Sequence[Any] = ()
    profit_loss_pct: Sequence[Any] = ()
    base_value: Decimal | None = None
    base_value_asof: date | None = None
    cashflow: Mapping[str, Any] = MappingProxyType({})


_read_body = reading.one(_Body, "portfolio history")


def history(
    *,
    period: str | None = None,
    timeframe: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    intraday_reporting: Reporting | None = None,
    pnl_reset: ProfitReset | None = None,
    cashflow_types: str | Sequence[str] | None = None,
) -> Call[PortfolioHistory]:
    """The history of a ``period`` (a number with ``D``, ``W``, ``M`` or ``A``; 1M by default) in windows of 1Min, 5Min, 15Min, 1H or 1D.

    Windows below a day are kept for 30 days. ``cashflow_types``: ``ALL``, ``NONE``, or types of activities. Raises ValueError where
    ``start``, ``end`` and ``period`` are all given.
    """
    if None not in (period, start, end):
        raise ValueError("portfolio history: give at most two of start, end and period")
    return Call(
        method="GET",
        path="/v2/account/portfolio/history",
        query=members(
            period=period,
            timeframe=timeframe,
            start=start,
            end=end,
            intraday_reporting=intraday_reporting,
            pnl_reset=pnl_reset,
            cashflow_types=cashflow_types,
        ),
        read=_read,
    )


def _read(body: bytes, drift: Drift) -> PortfolioHistory:
    found = _read_body(body, drift)
    moments = [_moment(raw, drift) for raw in found.timestamp]
    is_known = [moment is not None for moment in moments]

    def column(name: str, raw: Any) -> Column:
        if not isinstance(raw, list | tuple):
            drift.count(f"portfolio history.{name}", raw)
            raw = ()
        if raw and len(raw) != len(moments):
            # Which figure belongs to which moment cannot be known then.
            drift.count(f"portfolio history.{name} (left out)", f"{len(raw)} figures for {len(moments)} moments")
            raw = ()
        # A figure that cannot be read leaves its place empty: the columns must stay beside each other.
        whole = [_figure(name, item, drift) for item in raw] or [None] * len(moments)
        return tuple(compress(whole, is_known))

    return PortfolioHistory(
        timeframe=found.timeframe,
        at=tuple(moment for moment in moments if moment is not None),
        equity=column("equity", found.equity),
        profit_loss=column("profit_loss", found.profit_loss),
        profit_loss_pct=column("profit_loss_pct", found.profit_loss_pct),
        base_value=found.base_value,
        base_value_asof=found.base_value_asof,
        cashflow=MappingProxyType({kind: column(f"cashflow.{kind}", raw) for kind, raw in found.cashflow.items()}),
    )


def _moment(raw: Any, drift: Drift) -> datetime | None:
    try:
        return _EPOCH + timedelta(seconds=int(raw))
    except (TypeError, ValueError, OverflowError):
        drift.count("portfolio history.timestamp (left out)", raw)
        return None


def _figure(name: str, raw: Any, drift: Drift) -> Decimal | None:
    if raw is None:
        return None
    try:
        figure = Decimal(str(raw))
    except InvalidOperation:
        figure = None
    if figure is None or not figure.is_finite():
        drift.count(f"portfolio history.{name}", raw)
        return None
    return figure
