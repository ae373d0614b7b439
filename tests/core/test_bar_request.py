"""What a caller wants of bars: one spelling, one key, and how far back it reaches."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from broker_core.bar_request import (
    DAY_NS,
    BarRequest,
    as_day,
    as_moment,
    as_symbols,
    bar_length,
    bar_request,
    days_to_search,
    earliest_edge,
    end_edge,
    fresh_until,
    likely_edge,
    sessions_needed,
)
from broker_core.clock import from_ns, to_ns
from broker_core.models import MarketHours
from broker_core.timeframe import Timeframe, Unit

NEW_YORK = ZoneInfo("America/New_York")
SECOND = 1_000_000_000


def new_york(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=NEW_YORK)  # type: ignore[misc]  # year, month, day, hour, minute, second


def ns(*parts: int) -> int:
    return to_ns(new_york(*parts))


def session(day: date, close: int = 16) -> MarketHours:
    return MarketHours(
        day=day,
        open=new_york(day.year, day.month, day.day, 9, 30).astimezone(UTC),
        close=new_york(day.year, day.month, day.day, close).astimezone(UTC),
    )


# Wednesday to Friday, Monday, Tuesday; the Friday a half day.
SESSIONS = [session(date(2026, 3, day), 13 if day == 6 else 16) for day in (4, 5, 6, 9, 10)]

timeframes = st.one_of(
    st.builds(Timeframe, st.integers(1, 59), st.just(Unit.MINUTE)),
    st.builds(Timeframe, st.integers(1, 23), st.just(Unit.HOUR)),
    st.builds(Timeframe, st.just(1), st.sampled_from([Unit.DAY, Unit.WEEK])),
    st.builds(Timeframe, st.sampled_from([1, 2, 3, 4, 6, 12]), st.just(Unit.MONTH)),
)
moments = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # the strategy adds the zone


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "symbols": st.lists(st.sampled_from(["AAPL", "MSFT", "BTC/USD"]), min_size=1, max_size=4),
    "timeframe": timeframes,
    "start": st.none() | moments,
    "end": st.none() | moments,
    "days": st.none() | st.integers(1, 200),
    "limit": st.none() | st.integers(1, 200),
}


def makes_sense(wish: dict[str, Any]) -> bool:
    start, end, days = wish["start"], wish["end"], wish["days"]
    return start is None or (days is None and (end is None or start < end))


def meaning(wish: dict[str, Any]) -> tuple[Any, ...]:
    """What decides the answer: that many trading days are that many daily bars, and nothing said is a hundred bars."""
    days, limit = wish["days"], wish["limit"]
    if days is not None and wish["timeframe"].unit is Unit.DAY:
        days, limit = None, min(days, limit or days)
    if wish["start"] is None and days is None and limit is None:
        limit = 100
    return frozenset(wish["symbols"]), wish["timeframe"], wish["start"], wish["end"], days, limit


wishes = st.fixed_dictionaries(FIELDS).filter(makes_sense)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two wishes that differ in few arguments or none."""
    one = draw(wishes)
    other = {**one, **{name: draw(FIELDS[name]) for name in draw(st.sets(st.sampled_from(sorted(FIELDS)), max_size=2))}}
    assume(makes_sense(other))
    return one, other


class TestKey:
    @settings(deadline=None)
    @given(pairs())
    def test_equal_if_and_only_if_the_same_is_meant(self, pair: tuple[dict[str, Any], dict[str, Any]]):
        """Two requests share a key exactly when symbols, timeframe, range and numbers agree."""
        one, other = pair

        assert (bar_request(**one) == bar_request(**other)) == (meaning(one) == meaning(other))
        assert len({bar_request(**one), bar_request(**other)}) == len({meaning(one), meaning(other)})

    @settings(deadline=None)
    @given(wishes, st.randoms(use_true_random=False), st.integers(-14 * 60, 14 * 60))
    def test_spelling_does_not_matter(self, written: dict[str, Any], random: Any, offset: int):
        """The order of symbols, doubles, another time zone, ISO text and the timeframe's text make no difference."""
        symbols = [*written["symbols"], *written["symbols"]]
        random.shuffle(symbols)
        zone = timezone(timedelta(minutes=offset))
        spelled = {
            **written,
            "symbols": symbols,
            "timeframe": str(written["timeframe"]),
            "start": written["start"] and written["start"].astimezone(zone),
            "end": written["end"] and written["end"].astimezone(zone).isoformat(),
        }

        assert bar_request(**spelled) == bar_request(**written)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"symbols": "AAPL"}, {"symbols": ["AAPL"]}),
            ({"symbols": ["MSFT", "AAPL"]}, {"symbols": ("AAPL", "MSFT")}),
            ({"start": date(2026, 3, 2)}, {"start": new_york(2026, 3, 2)}),
            ({"start": date(2026, 3, 2)}, {"start": "2026-03-02"}),
            ({"start": date(2026, 7, 1)}, {"start": datetime(2026, 7, 1, 4, tzinfo=UTC)}),
            ({"start": date(2026, 3, 2)}, {"start": "2026-03-02T05:00:00Z"}),
            ({"end": date(2026, 3, 2)}, {"end": pd.Timestamp("2026-03-02", tz="America/New_York")}),
            ({"timeframe": "1Day", "days": 5}, {"timeframe": "1Day", "limit": 5}),
            ({"timeframe": "1Day", "days": 5}, {"timeframe": "1Day", "limit": 9, "days": 5}),
            ({}, {"limit": 100}),
            ({"timeframe": "5Min"}, {"timeframe": Timeframe(5, Unit.MINUTE)}),
        ],
    )
    def test_named_spellings(self, one: dict[str, Any], other: dict[str, Any]):
        """Each pair is one request."""
        common = {"symbols": "AAPL", "timeframe": "1Day"}

        assert bar_request(**{**common, **one}) == bar_request(**{**common, **other})

    @pytest.mark.parametrize(
        "change",
        [
            {"symbols": "MSFT"},
            {"symbols": ["AAPL", "MSFT"]},
            {"timeframe": "2Hour"},
            {"start": new_york(2026, 3, 2, 0, 0, 1)},
            {"end": new_york(2026, 3, 3)},
            {"limit": 7},
            {"start": None, "days": 7},
        ],
    )
    def test_named_differences(self, change: dict[str, Any]):
        """Each change makes another request."""
        common: dict[str, Any] = {"symbols": "AAPL", "timeframe": "1Hour", "start": date(2026, 3, 2)}

        assert bar_request(**{**common, **change}) != bar_request(**common)


class TestNonsense:
    @pytest.mark.parametrize(
        ("wrong", "says"),
        [
            ({"symbols": []}, "symbols: none given"),
            ({"symbols": ""}, "symbols: '' is not a symbol"),
            ({"symbols": "AAPL,MSFT"}, "symbols: 'AAPL,MSFT' is not a symbol"),
            ({"symbols": ["AAPL", "BTC USD"]}, "symbols: 'BTC USD' is not a symbol"),
            ({"symbols": ["AAPL\n"]}, "is not a symbol"),
            ({"symbols": ["AAPL", 7]}, "symbols: 7 is not a symbol"),
            ({"timeframe": "1Fortnight"}, "timeframe: '1Fortnight'"),
            ({"timeframe": "60Min"}, "timeframe: 60Min is not among"),
            ({"start": "2026-03-03", "end": "2026-03-02"}, "start: 2026-03-03T05:00:00+00:00 is not before end 2026-03-02"),
            ({"start": "2026-03-02", "end": "2026-03-02"}, "is not before end"),
            ({"start": datetime(2026, 3, 2)}, "start: 2026-03-02T00:00:00 has no time zone"),  # noqa: DTZ001  # that is the point
            ({"end": "2026-03-02T10:00"}, "end: 2026-03-02T10:00:00 has no time zone"),
            ({"start": "yesterday"}, "start: 'yesterday' is not an ISO 8601"),
            ({"start": 1772409600}, "start: 1772409600 is not a datetime"),
            ({"start": pd.NaT}, "start: "),
            ({"end": "1500-01-01"}, "end: 1500-01-01 is outside the years 1901 to 2261"),
            ({"end": datetime.max.replace(tzinfo=UTC)}, "outside the years"),
            ({"days": 0}, "days: 0 is not a number above zero"),
            ({"days": -3}, "days: -3 is not"),
            ({"days": 1.5}, "days: 1.5 is not a whole number"),
            ({"limit": 0}, "limit: 0 is not"),
            ({"limit": True}, "limit: True is not"),
            ({"limit": "10"}, "limit: '10' is not a whole number"),
            ({"days": 5, "start": "2026-03-02"}, "days: 5 beside start"),
        ],
    )
    def test_each_is_one_line(self, wrong: dict[str, Any], says: str):
        """What makes no sense is a ValueError of one line that names the argument and the value."""
        with pytest.raises(ValueError, match=re.escape(says)) as caught:
            bar_request(**{"symbols": "AAPL", "timeframe": "1Day", **wrong})

        assert "\n" not in str(caught.value)

    def test_start_in_the_future(self):
        """A start after the running bar has no bars to begin with."""
        request = bar_request("AAPL", "1Min", start=new_york(2026, 3, 2, 10, 1))

        with pytest.raises(ValueError, match=r"start: 2026-03-02T15:01:00.* is in the future"):
            end_edge(request, ns(2026, 3, 2, 10, 0, 30))


class TestValues:
    def test_moments_keep_their_microseconds(self):
        """A moment comes back in UTC to the microsecond, as a plain datetime."""
        moment = as_moment("start", pd.Timestamp("2026-03-02T10:00:00.123456789", tz="America/New_York"))

        assert moment == datetime(2026, 3, 2, 15, 0, 0, 123456, tzinfo=UTC)
        assert type(moment) is datetime

    def test_symbols_sorted_once(self):
        """Symbols come sorted and none twice."""
        assert as_symbols(["MSFT", "BTC/USD", "MSFT", "AAPL"]) == ("AAPL", "BTC/USD", "MSFT")

    @pytest.mark.parametrize("wrong", [datetime(2026, 3, 2, tzinfo=UTC), 20260302, "2026-03-02T00:00Z", "soon"])
    def test_a_day_is_no_moment(self, wrong: Any):
        """A moment may be two dates, so only a date serves where a day is asked for."""
        with pytest.raises(ValueError, match="start: "):
            as_day("start", wrong)

    def test_day_from_text(self):
        """A date may be written as ISO text."""
        assert as_day("start", "2026-03-02") == date(2026, 3, 2)

    @pytest.mark.parametrize(
        ("timeframe", "nanoseconds"),
        [("1Min", 60), ("15Min", 900), ("2Hour", 7200), ("1Day", 86400), ("1Week", 604800), ("3Month", 93 * 86400)],
    )
    def test_length(self, timeframe: str, nanoseconds: int):
        """A bar's length; a day counts 24 hours and a month 31 days."""
        assert bar_length(Timeframe.parse(timeframe)) == nanoseconds * SECOND


class TestEnd:
    @pytest.mark.parametrize(
        ("timeframe", "now", "edge"),
        [
            ("1Min", (2026, 3, 2, 10, 0, 30), (2026, 3, 2, 10, 1)),
            ("1Min", (2026, 3, 2, 10, 0), (2026, 3, 2, 10, 1)),
            ("1Hour", (2026, 3, 2, 10, 0, 30), (2026, 3, 2, 11)),
            ("1Day", (2026, 3, 2, 10), (2026, 3, 3)),
            ("1Day", (2026, 3, 8, 1), (2026, 3, 9)),
            ("1Week", (2026, 3, 5), (2026, 3, 9)),
            ("1Month", (2026, 3, 5), (2026, 4, 1)),
        ],
    )
    def test_without_an_end_the_running_bar_is_the_last(self, timeframe: str, now: tuple[int, ...], edge: tuple[int, ...]):
        """The present ends with the bar that is running, days and longer ones in New York, also when clocks change."""
        assert end_edge(bar_request("AAPL", timeframe), ns(*now)) == ns(*edge)

    @settings(deadline=None)
    @given(timeframes, moments)
    def test_running_bar_lies_inside(self, timeframe: Timeframe, now: datetime):
        """The bar of this moment begins before the end, and no later one does."""
        edge = timeframe.floor(to_ns(now))
        end_ns = end_edge(bar_request("AAPL", timeframe), to_ns(now))

        assert edge < end_ns
        assert timeframe.floor(end_ns - 1) == edge

    def test_a_given_end_is_taken_as_it_is(self):
        """An end the caller gave is not moved, be it in the future."""
        assert end_edge(bar_request("AAPL", "1Day", end=date(2027, 1, 1)), ns(2026, 3, 2)) == ns(2027, 1, 1)


class TestFreshness:
    @pytest.mark.parametrize(
        ("timeframe", "now", "until"),
        [
            ("1Min", (2026, 3, 2, 10, 0, 30), (2026, 3, 2, 10, 1)),
            ("1Min", (2026, 3, 2, 10, 0, 59), (2026, 3, 2, 10, 1)),
            ("1Min", (2026, 3, 2, 10, 1), (2026, 3, 2, 10, 1, 5)),
            ("1Min", (2026, 3, 2, 10, 1, 4), (2026, 3, 2, 10, 1, 5)),
            ("1Min", (2026, 3, 2, 10, 1, 5), (2026, 3, 2, 10, 2)),
            ("15Min", (2026, 3, 2, 10, 1), (2026, 3, 2, 10, 15)),
            ("1Day", (2026, 3, 2, 10, 1), (2026, 3, 3)),
        ],
    )
    def test_ends_with_the_running_bar(self, timeframe: str, now: tuple[int, ...], until: tuple[int, ...]):
        """An answer up to the present is good to the bar's end; in the first five seconds of a bar, to the end of those."""
        assert fresh_until(bar_request("AAPL", timeframe), ns(*now)) == ns(*until)

    def test_past_does_not_go_out_of_date(self):
        """An answer that ends before the running bar is not bound to it; one that holds the running bar is."""
        now = ns(2026, 3, 2, 10, 0, 30)

        assert fresh_until(bar_request("AAPL", "1Min", end=new_york(2026, 3, 2, 10)), now) is None
        assert fresh_until(bar_request("AAPL", "1Min", end=new_york(2026, 3, 2, 10, 0, 1)), now) == ns(2026, 3, 2, 10, 1)

    @settings(deadline=None)
    @given(timeframes, moments)
    def test_always_ahead_and_never_past_the_edge(self, timeframe: Timeframe, now: datetime):
        """The moment is in the future, and not after the next edge of a bar."""
        now_ns = to_ns(now)
        until = fresh_until(bar_request("AAPL", timeframe), now_ns)

        assert until is not None
        assert now_ns < until <= timeframe.following(timeframe.floor(now_ns))


class TestReach:
    @pytest.mark.parametrize(
        ("wish", "needed"),
        [
            ({"timeframe": "1Min", "start": "2026-03-02"}, 0),
            ({"timeframe": "1Min", "days": 3}, 3),
            ({"timeframe": "1Min", "limit": 390}, 3),
            ({"timeframe": "1Min", "limit": 391}, 4),
            ({"timeframe": "1Hour", "limit": 13}, 4),
            ({"timeframe": "1Day", "days": 252}, 252),
            ({"timeframe": "1Day", "limit": 10**9}, 1260),
            ({"timeframe": "1Min", "limit": 10**12}, 1260),
            ({"timeframe": "1Week", "limit": 10}, 0),
            ({"timeframe": "1Week", "days": 10}, 10),
        ],
    )
    def test_sessions_needed(self, wish: dict[str, Any], needed: int):
        """Trading days are asked for where a number must become a moment, and no more than five years of them for a limit."""
        assert sessions_needed(bar_request("AAPL", **wish)) == needed

    @settings(deadline=None)
    @given(st.integers(1, 3000))
    def test_days_to_search_hold_the_sessions(self, count: int):
        """The calendar days searched hold as many weekdays as sessions are wanted, and nine holidays a year besides."""
        first, last = days_to_search(count, ns(2026, 3, 2), ns(2026, 3, 2, 12))
        weekdays = sum((first + timedelta(days=day)).weekday() < 5 for day in range((last - first).days + 1))

        assert last == date(2026, 3, 2)
        assert weekdays - (last - first).days * 9 / 365 - 1 >= count

    def test_days_to_search_at_the_beginning_of_time(self):
        """No number reaches back further than to 1970, or to 1900 before that."""
        assert days_to_search(10**7, ns(2026, 3, 2, 12), ns(2026, 3, 2, 12))[0] == date(1970, 1, 1)
        assert days_to_search(10**7, ns(1930, 3, 2, 12), ns(2026, 3, 2))[0] == date(1900, 1, 1)

    def test_future_end_searches_to_the_present(self):
        """Trading days of the future hold no bars."""
        assert days_to_search(1, ns(2027, 1, 1), ns(2026, 3, 2, 23))[1] == date(2026, 3, 2)

    @pytest.mark.parametrize(
        ("wish", "sessions", "edge"),
        [
            ({"start": "2026-03-05"}, SESSIONS, (2026, 3, 5)),
            ({"start": "2026-03-05", "limit": 5}, SESSIONS, (2026, 3, 5)),
            ({"days": 5}, SESSIONS, (2026, 3, 4)),
            ({"days": 7}, SESSIONS, (2026, 3, 2)),
            ({"days": 7}, [], (2026, 3, 3, 23)),
            ({"days": 10**9}, SESSIONS, (1969, 12, 31, 19)),
            ({"days": 10**9}, [], (1969, 12, 31, 19)),
            ({"timeframe": "1Week", "days": 5}, SESSIONS, (2026, 3, 2)),
            ({"timeframe": "1Month", "days": 5}, SESSIONS, (2026, 3, 1)),
        ],
    )
    def test_earliest(self, wish: dict[str, Any], sessions: list[MarketHours], edge: tuple[int, ...]):
        """A start bounds the answer; so does the midnight of the first trading day; days without a session count as they come."""
        request = bar_request("AAPL", **{"timeframe": "1Min", **wish})

        assert from_ns(earliest_edge(request, ns(2026, 3, 11), sessions)) == new_york(*edge)

    def test_limit_alone(self):
        """A number of bars may reach back to 1970, and to 1900 where the request lies before that."""
        request = bar_request("AAPL", "1Min", limit=5)

        assert earliest_edge(request, ns(2026, 3, 11), SESSIONS) == 0
        assert from_ns(earliest_edge(request, ns(1930, 1, 1), [])) == datetime(1900, 1, 1, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("timeframe", "limit", "end", "edge"),
        [
            # In the session under way, the running bar counts.
            ("1Min", 3, (2026, 3, 10, 10, 1), (2026, 3, 10, 9, 58)),
            ("1Min", 31, (2026, 3, 10, 10, 1), (2026, 3, 10, 9, 30)),
            ("1Min", 32, (2026, 3, 10, 10, 1), (2026, 3, 9, 15, 59)),
            ("5Min", 7, (2026, 3, 10, 10), (2026, 3, 9, 15, 55)),
            # After the close, in the night, and over a weekend with a half day.
            ("1Min", 10, (2026, 3, 10, 20), (2026, 3, 10, 15, 50)),
            ("1Min", 390 + 10, (2026, 3, 10, 1), (2026, 3, 6, 12, 50)),
            # An hour bar begins on the hour, the one that holds the opening before it.
            ("1Hour", 7, (2026, 3, 10, 16), (2026, 3, 10, 9)),
            ("1Hour", 8, (2026, 3, 10, 16), (2026, 3, 9, 15)),
            # In winter four-hour bars begin at 7, 11 and 15 o'clock, the last one ending after the close.
            ("4Hour", 3, (2026, 3, 5, 20), (2026, 3, 5, 7)),
            ("4Hour", 4, (2026, 3, 5, 20), (2026, 3, 4, 15)),
            ("1Day", 1, (2026, 3, 11), (2026, 3, 10)),
            ("1Day", 4, (2026, 3, 11), (2026, 3, 5)),
            ("1Week", 1, (2026, 3, 16), (2026, 3, 9)),
            ("1Week", 3, (2026, 3, 2), (2026, 2, 9)),
        ],
    )
    def test_likely_edge(self, timeframe: str, limit: int, end: tuple[int, ...], edge: tuple[int, ...]):
        """The range holds exactly so many bars if every bar of every session is there."""
        end_ns = ns(*end)
        begun = [day for day in SESSIONS if to_ns(day.open) < end_ns]

        assert from_ns(likely_edge(Timeframe.parse(timeframe), limit, end_ns, begun)) == new_york(*edge)

    @settings(deadline=None)
    @given(timeframes, st.integers(1, 10**6), moments)
    def test_likely_edge_lies_before_the_end(self, timeframe: Timeframe, limit: int, end: datetime):
        """Whatever is asked for, with or without a calendar, the range is not empty."""
        end_ns = to_ns(end)
        begun = [day for day in SESSIONS if to_ns(day.open) < end_ns]

        assert likely_edge(timeframe, limit, end_ns, begun) < end_ns
        assert likely_edge(timeframe, limit, end_ns, []) < end_ns

    @settings(deadline=None)
    @given(timeframes.filter(lambda timeframe: timeframe.unit in (Unit.WEEK, Unit.MONTH)), st.integers(1, 60), st.integers(0, 400))
    def test_weeks_and_months_reach_far_enough(self, timeframe: Timeframe, limit: int, later: int):
        """As many week and month bars fit in the range as are wanted, over changes of clocks too."""
        end_ns = timeframe.following(timeframe.floor(ns(2024, 1, 1) + later * DAY_NS))
        edge = likely_edge(timeframe, limit, end_ns, [])
        for _ in range(limit):
            assert edge < end_ns
            edge = timeframe.following(edge)

        assert edge <= end_ns

    def test_missing_sessions_are_guessed(self):
        """Where the calendar ends, trading is taken to go on backwards at the usual share of time."""
        edge = likely_edge(Timeframe.parse("1Day"), 5 + 248, ns(2026, 3, 11), SESSIONS)

        assert new_york(2025, 3, 3) <= from_ns(edge) <= new_york(2025, 3, 5)


def test_request_is_a_value():
    """Equal requests are equal keys of a dictionary."""
    assert {bar_request("AAPL", "1Day"): 1}[
        BarRequest(symbols=("AAPL",), timeframe=Timeframe(1, Unit.DAY), start=None, end=None, days=None, limit=100)
    ] == 1
