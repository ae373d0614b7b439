"""When the demo market is open."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Protocol

import attrs

from broker_core.clock import from_ns, to_ns
from broker_core.errors import ConfigError
from broker_core.models import MarketHours
from broker_core.timeframe import exchange_zone

NEVER_NS = 2**63 - 1
"""The moment that stands for "not any more": the last one that 64 bits of nanoseconds can tell, in April 2262."""


class TradingHours(Protocol):
    """Sessions, one after the other; a session begins with its open (included) and ends with its close (not included).

    All moments are integer nanoseconds since the Unix epoch. Where there will be no further session, a moment asked for is ``NEVER_NS``.
    """

    def is_open(self, ns: int) -> bool:
        """Whether a session holds this moment."""

    def next_open(self, ns: int) -> int:
        """The first open strictly after this moment."""

    def next_close(self, ns: int) -> int:
        """The first close strictly after this moment."""

    def previous_close(self, ns: int) -> int | None:
        """The last close at or before this moment; None before the first."""

    def opening(self, ns: int) -> int:
        """The open of the session that holds this moment, or else of the next one."""

    def closing(self, ns: int) -> int:
        """The close of the session that holds this moment, or else of the next one."""

    def session_day(self, ns: int) -> date:
        """The trading day of the session that holds this moment, or else of the next one."""

    def known(self) -> tuple[date, date]:
        """The first and the last day that ``days`` can be asked for."""

    def days(self, start: date, end: date) -> Sequence[MarketHours]:
        """The trading days from ``start`` to ``end``, both included."""

    def spans(self, start_ns: int, end_ns: int) -> Sequence[tuple[int, int]]:
        """The stretches of ``[start_ns, end_ns)`` in which the market is open, each a start (included) and an end (not included)."""


class AlwaysOpen:
    """Open round the clock. A session is a calendar day in New York, so that day orders end, and days begin, at midnight there."""

    def is_open(self, ns: int) -> bool:  # noqa: ARG002  # the protocol's question, always answered alike
        """Always."""
        return True

    def next_open(self, ns: int) -> int:
        """The next midnight in New York."""
        return midnight_ns(new_york_day(ns) + timedelta(days=1))

    def next_close(self, ns: int) -> int:
        """The next midnight in New York."""
        return self.next_open(ns)

    def previous_close(self, ns: int) -> int | None:
        """The last midnight in New York."""
        return self.opening(ns)

    def opening(self, ns: int) -> int:
        """The midnight with which this day began in New York."""
        return midnight_ns(new_york_day(ns))

    def closing(self, ns: int) -> int:
        """The next midnight in New York."""
        return self.next_open(ns)

    def session_day(self, ns: int) -> date:
        """The calendar day in New York."""
        return new_york_day(ns)

    def known(self) -> tuple[date, date]:
        """All days whose moments 64 bits of nanoseconds can tell."""
        return date(1678, 1, 1), date(2261, 12, 31)

    def days(self, start: date, end: date) -> Sequence[MarketHours]:
        """Every calendar day."""
        days = [start + timedelta(days=count) for count in range((end - start).days + 2)]
        return [MarketHours(day=day, open=_midnight(day), close=_midnight(following)) for day, following in pairwise(days)]

    def spans(self, start_ns: int, end_ns: int) -> Sequence[tuple[int, int]]:
        """The whole stretch."""
        return [(start_ns, end_ns)] if start_ns < end_ns else []


@attrs.frozen
class Sessions:
    """Trading days, opens and closes in columns of equal length, ascending; no session begins before the former one has ended."""

    days: Sequence[date]
    opens: Sequence[int]
    closes: Sequence[int]


class ListedHours:
    """The sessions of a list, and none besides."""

    def __init__(self, sessions: Sessions) -> None:
        self._listed = sessions

    def is_open(self, ns: int) -> bool:
        """Whether a session of the list holds this moment."""
        at = self._current(ns)
        return at < len(self._sessions.opens) and self._sessions.opens[at] <= ns

    def next_open(self, ns: int) -> int:
        """The first open strictly after this moment, or ``NEVER_NS``."""
        return self._moment(self._sessions.opens, self._current(ns) + self.is_open(ns))

    def next_close(self, ns: int) -> int:
        """The first close strictly after this moment, or ``NEVER_NS``."""
        return self.closing(ns)

    def previous_close(self, ns: int) -> int | None:
        """The last close at or before this moment; None before the first."""
        at = self._current(ns)
        return self._sessions.closes[at - 1] if at else None

    def opening(self, ns: int) -> int:
        """The open of the session that holds this moment or of the next one, or ``NEVER_NS``."""
        return self._moment(self._sessions.opens, self._current(ns))

    def closing(self, ns: int) -> int:
        """The close of the session that holds this moment or of the next one, or ``NEVER_NS``."""
        return self._moment(self._sessions.closes, self._current(ns))

    def session_day(self, ns: int) -> date:
        """The trading day of that session; after the last one the calendar day in New York."""
        at = self._current(ns)
        return self._sessions.days[at] if at < len(self._sessions.days) else new_york_day(ns)

    def known(self) -> tuple[date, date]:
        """The first and the last day of the list."""
        return self._sessions.days[0], self._sessions.days[-1]

    def days(self, start: date, end: date) -> Sequence[MarketHours]:
        """The sessions whose day lies between the two, both included."""
        days, opens, closes = self._sessions.days, self._sessions.opens, self._sessions.closes
        chosen = range(bisect_left(days, start), bisect_right(days, end))
        return [MarketHours(day=days[at], open=from_ns(opens[at]), close=from_ns(closes[at])) for at in chosen]

    def spans(self, start_ns: int, end_ns: int) -> Sequence[tuple[int, int]]:
        """The sessions cut to the stretch; those outside are left out."""
        if start_ns >= end_ns:
            return []
        opens, closes = self._sessions.opens, self._sessions.closes
        chosen = range(self._current(start_ns), bisect_left(opens, end_ns))
        return [(max(opens[at], start_ns), min(closes[at], end_ns)) for at in chosen]

    @property
    def _sessions(self) -> Sessions:
        return self._listed

    def _current(self, ns: int) -> int:
        """The place of the session that holds this moment, or else of the next one."""
        return bisect_right(self._sessions.closes, ns)

    def _moment(self, moments: Sequence[int], at: int) -> int:
        return moments[at] if at < len(moments) else NEVER_NS


class CalendarHours(ListedHours):
    """The regular sessions of an exchange by its ISO 10383 code: holidays and early closes are kept, lunch breaks count as open.

    Source: the package exchange_calendars, loaded at the first question. It knows some twenty years back and about one year ahead;
    a question outside raises ConfigError, and so does an unknown name.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def days(self, start: date, end: date) -> Sequence[MarketHours]:
        """The trading days from ``start`` to ``end``, both included."""
        if start < self._sessions.days[0] or end > self._sessions.days[-1]:
            raise self._outside(f"{start} to {end}")
        return super().days(start, end)

    def spans(self, start_ns: int, end_ns: int) -> Sequence[tuple[int, int]]:
        """The sessions cut to the stretch; those outside are left out."""
        if start_ns < end_ns:
            self._current(end_ns - 1)
        return super().spans(start_ns, end_ns)

    @cached_property
    def _sessions(self) -> Sessions:
        # Half a second and pandas: not before somebody asks.
        from exchange_calendars import get_calendar
        from exchange_calendars.errors import InvalidCalendarName

        try:
            calendar = get_calendar(self.name)
        except InvalidCalendarName:
            raise ConfigError(f"calendar {self.name!r}: exchange_calendars knows no exchange of this name; give a code like XNYS") from None
        return Sessions([day.date() for day in calendar.sessions], calendar.opens_nanos.tolist(), calendar.closes_nanos.tolist())

    def _current(self, ns: int) -> int:
        if not self._sessions.opens[0] <= ns < self._sessions.closes[-1]:
            raise self._outside(f"{from_ns(ns):%Y-%m-%d %H:%M} UTC")
        return super()._current(ns)

    def _moment(self, moments: Sequence[int], at: int) -> int:
        if at == len(moments):
            raise self._outside("the open after the last session")
        return moments[at]

    def _outside(self, asked: str) -> ConfigError:
        days = self._sessions.days
        return ConfigError(f"calendar {self.name}: {asked} is outside what it knows, {days[0]} to {days[-1]}")


def new_york_day(ns: int) -> date:
    """The calendar day in New York that holds this moment."""
    return from_ns(ns).astimezone(exchange_zone()).date()


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=exchange_zone()).astimezone(UTC)


def midnight_ns(day: date) -> int:
    """The midnight in New York with which this day begins."""
    return to_ns(_midnight(day))
