"""When the demo market is open."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from broker_core.clock import from_ns, to_ns
from broker_core.errors import ConfigError
from broker_demo.trading_hours import NEVER_NS, AlwaysOpen, CalendarHours, ListedHours, Sessions, TradingHours

HOUR_NS = 3_600_000_000_000
NYSE = CalendarHours("XNYS")
LISTED = ListedHours(Sessions([date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 5)], [100, 300, 400], [200, 400, 500]))


def at(*parts: int) -> int:
    return to_ns(datetime(*parts, tzinfo=UTC))  # type: ignore[arg-type]  # year, month, day, hour, minute


def test_always_open_ends_its_day_at_midnight_in_new_york() -> None:
    """The session of a moment is the New York day that holds it."""
    hours, noon = AlwaysOpen(), at(2026, 1, 15, 17)
    assert hours.is_open(noon)
    assert hours.opening(noon) == hours.previous_close(noon) == at(2026, 1, 15, 5)
    assert hours.closing(noon) == hours.next_close(noon) == hours.next_open(noon) == at(2026, 1, 16, 5)
    assert hours.session_day(noon) == date(2026, 1, 15)


def test_always_open_at_midnight_begins_the_next_day() -> None:
    """Midnight belongs to the day that it begins, and the next close is strictly after it."""
    hours, midnight = AlwaysOpen(), at(2026, 1, 16, 5)
    assert hours.opening(midnight) == hours.previous_close(midnight) == midnight
    assert hours.next_close(midnight) == hours.closing(midnight) == at(2026, 1, 17, 5)
    assert hours.session_day(midnight - 1) == date(2026, 1, 15)
    assert hours.session_day(midnight) == date(2026, 1, 16)


def test_always_open_has_a_day_of_23_hours_when_summer_time_begins() -> None:
    """The day on which clocks go forward is an hour shorter."""
    (day,) = AlwaysOpen().days(date(2026, 3, 8), date(2026, 3, 8))
    assert (day.open, day.close) == (datetime(2026, 3, 8, 5, tzinfo=UTC), datetime(2026, 3, 9, 4, tzinfo=UTC))


def test_always_open_lists_every_calendar_day() -> None:
    """Days follow upon each other without a gap, both ends included, and there are none from a day to an earlier one."""
    days = AlwaysOpen().days(date(2026, 2, 27), date(2026, 3, 2))
    assert [day.day.day for day in days] == [27, 28, 1, 2]
    assert all(earlier.close == later.open for earlier, later in pairwise(days))
    assert AlwaysOpen().days(date(2026, 3, 2), date(2026, 3, 1)) == []


@pytest.mark.parametrize("hours", [AlwaysOpen(), LISTED, NYSE])
def test_an_empty_stretch_has_no_spans(hours: TradingHours) -> None:
    """A stretch that ends where or before it begins holds no open time, whatever the hours."""
    noon = at(2026, 1, 15, 17)
    assert list(hours.spans(noon, noon)) == []
    assert list(hours.spans(noon, noon - 1)) == []
    assert list(hours.spans(150, 120)) == []


def test_always_open_spans_the_whole_stretch() -> None:
    """Round the clock every stretch is one span."""
    assert AlwaysOpen().spans(5, 9) == [(5, 9)]


@pytest.mark.parametrize(
    ("ns", "is_open", "next_open", "next_close", "previous_close", "opening", "closing", "day"),
    [
        (50, False, 100, 200, None, 100, 200, 2),
        (100, True, 300, 200, None, 100, 200, 2),
        (199, True, 300, 200, None, 100, 200, 2),
        (200, False, 300, 400, 200, 300, 400, 3),
        (399, True, 400, 400, 200, 300, 400, 3),
        (400, True, NEVER_NS, 500, 400, 400, 500, 5),
        (500, False, NEVER_NS, NEVER_NS, 500, NEVER_NS, NEVER_NS, None),
    ],
)
def test_listed_hours_answer_by_their_list(
    ns: int, is_open: bool, next_open: int, next_close: int, previous_close: int | None, opening: int, closing: int, day: int | None
) -> None:
    """Opens are included, closes are not, and "next" is strictly after; after the last session the answer is never."""
    assert LISTED.is_open(ns) is is_open
    assert LISTED.next_open(ns) == next_open
    assert LISTED.next_close(ns) == next_close
    assert LISTED.previous_close(ns) == previous_close
    assert LISTED.opening(ns) == opening
    assert LISTED.closing(ns) == closing
    # After the last session the day is the calendar's: the nanoseconds after 1970 began are New Year's Eve in New York.
    assert LISTED.session_day(ns) == (date(1969, 12, 31) if day is None else date(2026, 3, day))


def test_listed_hours_cut_their_sessions_to_the_stretch() -> None:
    """Spans are the parts of sessions that lie within, those that only touch left out."""
    assert LISTED.spans(150, 350) == [(150, 200), (300, 350)]
    assert LISTED.spans(120, 130) == [(120, 130)]
    assert LISTED.spans(200, 300) == []
    assert LISTED.spans(0, 1000) == [(100, 200), (300, 400), (400, 500)]


def test_listed_hours_list_the_days_asked_for() -> None:
    """Both bounds are included, and moments come as aware UTC."""
    days = LISTED.days(date(2026, 3, 3), date(2026, 3, 5))
    assert [day.day.day for day in days] == [3, 5]
    assert days[0].open == from_ns(300)
    assert days[0].open.tzinfo is not None


def test_a_calendar_knows_regular_hours() -> None:
    """The New York Stock Exchange trades from 9:30 to 16:00 of its own time."""
    before, noon = at(2026, 3, 2, 14, 29), at(2026, 3, 2, 17)
    assert not NYSE.is_open(before)
    assert NYSE.is_open(noon)
    assert NYSE.opening(before) == NYSE.next_open(before) == NYSE.opening(noon) == at(2026, 3, 2, 14, 30)
    assert NYSE.closing(noon) == NYSE.next_close(noon) == at(2026, 3, 2, 21)
    assert NYSE.previous_close(before) == at(2026, 2, 27, 21)
    assert NYSE.session_day(before) == date(2026, 3, 2)
    assert not NYSE.is_open(at(2026, 3, 2, 21))


def test_a_calendar_knows_early_closes_and_holidays() -> None:
    """After Thanksgiving, on which it is closed, the exchange closes at 13:00."""
    days = NYSE.days(date(2025, 11, 26), date(2025, 11, 30))
    assert [(day.day.day, day.close) for day in days] == [
        (26, datetime(2025, 11, 26, 21, tzinfo=UTC)),
        (28, datetime(2025, 11, 28, 18, tzinfo=UTC)),
    ]
    assert NYSE.closing(at(2025, 11, 27, 17)) == at(2025, 11, 28, 18)
    assert [(end - start) / HOUR_NS for start, end in NYSE.spans(at(2025, 11, 26), at(2025, 11, 30))] == [6.5, 3.5]


def test_a_calendar_says_where_its_knowledge_ends() -> None:
    """A question outside of what the calendar knows is an error that names both, not an answer that might be wrong."""
    for question in (NYSE.is_open, NYSE.next_open, NYSE.next_close, NYSE.previous_close, NYSE.opening, NYSE.closing, NYSE.session_day):
        with pytest.raises(ConfigError, match=r"calendar XNYS: 2150-01-01 00:00 UTC is outside what it knows, 20\d\d-\d\d-\d\d to 20"):
            question(at(2150, 1, 1))
        with pytest.raises(ConfigError, match="calendar XNYS: 1950-01-01"):
            question(at(1950, 1, 1))
    with pytest.raises(ConfigError, match="calendar XNYS: 2026-01-01 to 2150-01-01 is outside"):
        NYSE.days(date(2026, 1, 1), date(2150, 1, 1))
    with pytest.raises(ConfigError, match="calendar XNYS: 2149-12-31 23:59 UTC"):
        NYSE.spans(at(2026, 1, 1), at(2150, 1, 1))


def test_a_calendar_does_not_guess_the_open_after_its_last_session() -> None:
    """In the last session that is known its close is known, and the next open is an error."""
    last = NYSE.days(date(2026, 1, 1), _last_known_day())[-1]
    within = to_ns(last.open)
    assert NYSE.next_close(within) == to_ns(last.close)
    with pytest.raises(ConfigError, match="the open after the last session is outside"):
        NYSE.next_open(within)


def test_an_unknown_calendar_is_named() -> None:
    """A name that no exchange has is an error that says so, at the first question."""
    with pytest.raises(ConfigError, match="calendar 'WALL': exchange_calendars knows no exchange of this name"):
        CalendarHours("WALL").is_open(0)


def test_a_calendar_is_loaded_only_when_asked() -> None:
    """Making calendar hours loads neither exchange_calendars nor pandas nor NumPy."""
    program = """
import sys
from broker_demo.trading_hours import CalendarHours
CalendarHours("XNYS")
print(sorted({"exchange_calendars", "pandas", "numpy"} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


def _last_known_day() -> date:
    """The last day about which the calendar does not raise."""
    day = date(2026, 1, 1)
    while True:
        try:
            NYSE.days(day, day + timedelta(days=1))
        except ConfigError:
            return day
        day += timedelta(days=1)
