"""The market's clock and calendar, of the regular New York session and of other markets.

Source: https://docs.alpaca.markets/reference/getclock-1, .../getcalendar-1, and the third version of both (/v3/clock, /v3/calendar). The
calendar of the second version speaks in New York wall time: ``09:30``, and without a colon ``0400`` for the extended session.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import TypeAlias

import attrs

from broker_alpaca.wire import reading
from broker_alpaca.wire.call import Call, members, segment
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.reading import Moment, Page, Record
from broker_core.models import MarketClock, MarketHours
from broker_core.timeframe import exchange_zone

Day: TypeAlias = date
"""A date, where a field of that name hides the type."""


class DateType(StrEnum):
    """What a calendar's bounds count: days of trading or of settlement."""

    TRADING = "TRADING"
    SETTLEMENT = "SETTLEMENT"


@attrs.frozen(kw_only=True)
class Clock(Record):
    """The clock of the regular session."""

    timestamp: Moment
    is_open: bool
    next_open: Moment
    next_close: Moment


@attrs.frozen(kw_only=True)
class CalendarDay(Record):
    """One trading day, in New York wall time."""

    date: Day
    open: str
    close: str
    session_open: str | None = None
    """When the extended session begins."""
    session_close: str | None = None
    settlement_date: Day | None = None


@attrs.frozen(kw_only=True)
class Market(Record):
    """Which market is spoken of."""

    acronym: str | None = None
    name: str | None = None
    timezone: str | None = None
    mic: str | None = None
    bic: str | None = None


@attrs.frozen(kw_only=True)
class ClockOfMarket(Record):
    """The clock of one market."""

    timestamp: Moment
    is_market_day: bool
    market: Market | None = None
    phase: str | None = None
    """``core``, ``pre``, ``post``, ``lunch`` or ``closed``."""
    phase_until: Moment | None = None
    next_market_open: Moment | None = None
    next_market_close: Moment | None = None


@attrs.frozen(kw_only=True)
class DayOfMarket(Record):
    """One trading day of a market."""

    date: Day
    core_start: Moment
    core_end: Moment
    pre_start: Moment | None = None
    pre_end: Moment | None = None
    lunch_start: Moment | None = None
    lunch_end: Moment | None = None
    post_start: Moment | None = None
    post_end: Moment | None = None
    settlement_date: Day | None = None


def get() -> Call[Clock]:
    """The clock of the regular session."""
    return Call(method="GET", path="/v2/clock", read=reading.one(Clock, "clock"))


def calendar(start: date | None = None, end: date | None = None, *, date_type: DateType | None = None) -> Call[Page[CalendarDay]]:
    """The trading days from ``start`` to ``end``, both included; without bounds all from 1970 to 2029."""
    return Call(
        method="GET",
        path="/v2/calendar",
        query=members(start=start, end=end, date_type=date_type),
        read=reading.many(CalendarDay, "calendar"),
    )


def of_markets(markets: Sequence[str], *, at: datetime | None = None) -> Call[Page[ClockOfMarket]]:
    """The clocks of markets by acronym, MIC or BIC (``NYSE``, ``XNAS``), now or at a moment."""
    return Call(
        method="GET",
        path="/v3/clock",
        query=members(markets=markets, time=at),
        read=reading.many(ClockOfMarket, "clock of a market", "clocks"),
    )


def calendar_of(market: str, start: date | None = None, end: date | None = None) -> Call[Page[DayOfMarket]]:
    """The trading days of one market from ``start`` to ``end``, both included."""
    return Call(
        method="GET",
        path=f"/v3/calendar/{segment(market)}",
        query=members(start=start, end=end),
        read=reading.many(DayOfMarket, "calendar of a market", "calendar"),
    )


def to_clock(found: Clock) -> MarketClock:
    """The clock in the core's words."""
    return MarketClock(at=found.timestamp, is_open=found.is_open, next_open=found.next_open, next_close=found.next_close)


def to_hours(day: CalendarDay, drift: Drift) -> MarketHours | None:
    """The regular session of a day as moments; None, and counted, where a time is none."""
    try:
        return MarketHours(day=day.date, open=wall_time(day.date, day.open), close=wall_time(day.date, day.close))
    except ValueError as error:
        drift.count("calendar (left out)", error)
        return None


def wall_time(day: date, text: str) -> datetime:
    """The moment, aware UTC, at which clocks in New York show ``09:30`` or ``0930`` on this day. Raises ValueError for other texts."""
    digits = text.replace(":", "", 1)
    if len(digits) != 4 or not digits.isascii() or not digits.isdecimal():
        raise ValueError(f"{text!r} is not a time of day like 09:30")
    return datetime.combine(day, time(int(digits[:2]), int(digits[2:])), exchange_zone()).astimezone(UTC)
