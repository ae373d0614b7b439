"""The account's worth over time (alpaca-api: Portfolio history).

Days tell what the exchange noted down at each close, as ``last_equity`` does; shorter windows are worked out from executions and
prices. A window is labelled with its beginning and tells the equity at its end, or now. Profits are counted from the close before
the first window; within days from the close before each of them, unless ``pnl_reset`` is ``no_reset``.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any

import attrs

from broker_core.clock import to_ns
from broker_demo.account import EquityPoint
from broker_demo.exchange import Exchange
from broker_demo.sandbox.answers import Answer, found
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.route import Route
from broker_demo.sandbox.trading.activities import TYPES
from broker_demo.sandbox.trading.calendar import TradingDay, last_trading_day, trading_days
from broker_demo.sandbox.trading.equity_curve import equity_before
from broker_demo.trading_hours import TradingHours, midnight_ns, new_york_day

_MINUTE_NS = 60_000_000_000
_SECOND_NS = 1_000_000_000
_DAY = timedelta(days=1)
_LENGTHS: Mapping[str, int] = MappingProxyType(
    {"1Min": _MINUTE_NS, "5Min": 5 * _MINUTE_NS, "15Min": 15 * _MINUTE_NS, "1H": 60 * _MINUTE_NS, "1D": 0}
)
_REPORTING = ("market_hours", "extended_hours", "continuous")
_PERIOD = re.compile(r"([1-9]\d{0,3})([DWMA])\Z", re.ASCII)
_MONTHS = MappingProxyType({"M": 1, "A": 12})
_WEEK, _MONTH = timedelta(days=7), timedelta(days=30)
_LONGEST_INTRADAY = timedelta(days=31)
"""Counted in days begun: what thirty days touch, and every month."""
_CENTS, _PARTS = 2, 6
"""The decimals of amounts, and of shares of the base value."""


@attrs.frozen(kw_only=True)
class _Wish:
    """What is asked for: ``[start_ns, end_ns)`` in windows of one length."""

    start_ns: int
    end_ns: int
    timeframe: str
    reporting: str
    resets: bool
    cashflows: Sequence[str]


@attrs.frozen
class _Window:
    """One stretch of time, in nanoseconds: its label, and the moment right before which it is told."""

    start_ns: int
    end_ns: int


def get_portfolio_history(desk: Desk, call: Call) -> Answer:
    """``GET /v2/account/portfolio/history``."""
    exchange = desk.settled()
    hours = exchange.prices.hours
    wish = _wish(call, hours, exchange.now_ns)
    begun_ns = _begun_ns(exchange, desk.profile.created_at_ns)
    wish = attrs.evolve(wish, start_ns=max(wish.start_ns, begun_ns))
    windows = [window for window in _windows(wish, hours, exchange.now_ns) if window.end_ns >= begun_ns]
    equity = _equity(exchange, windows, daily=wish.timeframe == "1D")
    closes = _Closes(exchange)
    base = closes.before(windows[0].start_ns if windows else wish.start_ns)
    resets = wish.resets and wish.timeframe != "1D"
    bases = [(closes.before(window.start_ns) if resets else base).equity for window in windows]
    profits = [value - start for value, start in zip(equity, bases, strict=True)]
    told: dict[str, Any] = {
        "timestamp": [window.start_ns // _SECOND_NS for window in windows],
        "equity": [_rounded(value, _CENTS) for value in equity],
        "profit_loss": [_rounded(profit, _CENTS) for profit in profits],
        "profit_loss_pct": [_rounded(profit / start, _PARTS) if start else None for profit, start in zip(profits, bases, strict=True)],
        "base_value": _rounded(base.equity, _CENTS),
        "timeframe": wish.timeframe,
        "cashflow": {name: [0] * len(windows) for name in wish.cashflows},
    }
    if base.at_ns:
        told["base_value_asof"] = new_york_day(base.at_ns - 1).isoformat()
    return found(told)


def _rounded(value: float, decimals: int) -> float:
    """Rounded, and never minus nothing."""
    return round(value, decimals) + 0.0


# What is asked for


def _wish(call: Call, hours: TradingHours, now_ns: int) -> _Wish:
    if all(call.text(name) for name in ("period", "start", "end")):
        raise call.bad("only two of start, end and period can be specified at the same time")
    start_ns, end_ns = _span(call, hours, now_ns)
    length = new_york_day(end_ns) - new_york_day(start_ns) + _DAY
    usual = "1Min" if length < _WEEK else "15Min" if length < _MONTH else "1D"
    if call.text("period") is None and call.text("start") is None:
        usual = "1D"
    timeframe = call.word("timeframe", tuple(_LENGTHS), usual)
    if timeframe != "1D" and length > _LONGEST_INTRADAY:
        raise call.bad(f"timeframe {timeframe} is only available for 30 days or less; use 1D")
    reporting = "extended_hours" if call.flag("extended_hours") else "market_hours"
    return _Wish(
        start_ns=start_ns,
        end_ns=end_ns,
        timeframe=timeframe,
        reporting=call.word("intraday_reporting", _REPORTING, reporting),
        resets=call.word("pnl_reset", ("per_day", "no_reset"), "per_day") == "per_day",
        cashflows=_cashflows(call),
    )


def _span(call: Call, hours: TradingHours, now_ns: int) -> tuple[int, int]:
    start_ns = call.moment("start")
    told_end_ns = call.moment("end", ends=True)
    if told_end_ns is None:
        told_end_ns = call.moment("date_end", ends=True)
    period = call.text("period") or ("1M" if start_ns is None else None)
    if start_ns is not None and period is not None:
        told_end_ns = midnight_ns(_shifted(new_york_day(start_ns), period, call, sign=1))
    end_ns = now_ns if told_end_ns is None else min(told_end_ns, now_ns)
    if start_ns is None:
        last = last_trading_day(hours, new_york_day(end_ns))
        start_ns = midnight_ns(_shifted(last, period or "", call, sign=-1) + _DAY)
    if told_end_ns is not None and told_end_ns <= start_ns:
        raise call.bad("start must be before end")
    return start_ns, end_ns


def _shifted(day: date, period: str, call: Call, *, sign: int) -> date:
    """The day so far away; of a month that is too short for it, the last one."""
    read = _PERIOD.match(period)
    try:
        if read is None:
            raise ValueError(period)
        count, unit = sign * int(read[1]), read[2]
        if unit not in _MONTHS:
            return day + count * (_DAY if unit == "D" else 7 * _DAY)
        years, month = divmod(day.month - 1 + count * _MONTHS[unit], 12)
        first = date(day.year + years, month + 1, 1)
        return min(first + (day.day - 1) * _DAY, _last_of_month(first))
    except (ValueError, OverflowError):
        raise call.bad(f"invalid period: {period}") from None


def _last_of_month(first: date) -> date:
    return (first + 31 * _DAY).replace(day=1) - _DAY


def _cashflows(call: Call) -> Sequence[str]:
    """The kinds of cash flow to tell; the account has none, so of all kinds there is nothing to tell."""
    names = call.listed("cashflow_types")
    if names in ([], ["ALL"], ["NONE"]):
        return ()
    for name in names:
        if name not in TYPES:
            raise call.bad(f"invalid activity type: {name}")
    return names


# Windows


def _windows(wish: _Wish, hours: TradingHours, now_ns: int) -> Iterator[_Window]:
    """Those that have begun: of the whole sessions that the stretch touches, or of the stretch where it goes on round the clock."""
    step = _LENGTHS[wish.timeframe]
    if step and wish.reporting == "continuous":
        first_ns = wish.start_ns - wish.start_ns % step
        yield from (_Window(at_ns, min(at_ns + step, now_ns)) for at_ns in range(first_ns, wish.end_ns, step))
        return
    for day in trading_days(hours, new_york_day(wish.start_ns), new_york_day(max(wish.end_ns - 1, wish.start_ns))):
        start_ns, end_ns = _session(day, extended=wish.reporting == "extended_hours" and step > 0)
        if end_ns <= wish.start_ns or start_ns >= wish.end_ns:
            continue
        if not step:
            yield _Window(midnight_ns(day.day), min(end_ns, now_ns))
            continue
        for at_ns in range(start_ns, min(end_ns, wish.end_ns), step):
            yield _Window(at_ns, min(at_ns + step, end_ns, now_ns))


def _session(day: TradingDay, *, extended: bool) -> tuple[int, int]:
    start, end = (day.pre_start, day.post_end) if extended else (day.core_start, day.core_end)
    return _ns(start), _ns(end)


def _ns(moment: datetime) -> int:
    return to_ns(moment.astimezone(UTC))


# Figures


@attrs.frozen
class _Base:
    """An equity that profits are counted from, and the close it is of; zero for what the account began with."""

    equity: float
    at_ns: int


class _Closes:
    """The equities at the closes that have been."""

    def __init__(self, exchange: Exchange) -> None:
        self._closes = exchange.state.closes
        self._opening = float(exchange.state.ledger.opening_cash)

    def before(self, at_ns: int) -> _Base:
        """At the last close that is not after this moment."""
        place = bisect_right(self._closes, at_ns, key=_close_ns)
        if not place:
            return _Base(self._opening, 0)
        close = self._closes[place - 1]
        return _Base(float(close.equity), close.at_ns)


def _close_ns(close: EquityPoint) -> int:
    return close.at_ns


def _begun_ns(exchange: Exchange, created_ns: int) -> int:
    """When the account began, as far as can be told."""
    state = exchange.state
    return min([created_ns, *(fill.at_ns for fill in state.ledger.fills[:1]), *(close.at_ns for close in state.closes[:1])])


def _equity(exchange: Exchange, windows: Sequence[_Window], *, daily: bool) -> Sequence[float]:
    """The equity at the end of each window; of the one that lasts still, the present one."""
    now_ns = exchange.now_ns
    over = [window.end_ns for window in windows if window.end_ns < now_ns]
    if daily:
        closes = _Closes(exchange)
        told = [closes.before(end_ns).equity for end_ns in over]
    else:
        told = list(equity_before(exchange.prices, exchange.state.ledger, over, now_ns))
    return [*told, *[float(exchange.portfolio().equity)] * (len(windows) - len(over))]


ROUTES: Sequence[Route] = (Route("GET", "/v2/account/portfolio/history", get_portfolio_history),)
