"""How long bars are, and where their edges lie."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker_core.clock import from_ns, to_ns
from broker_core.timeframe import Timeframe, Unit, exchange_zone

NEW_YORK = ZoneInfo("America/New_York")
MINUTE_NS = 60_000_000_000
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS
MONTHS = (1, 2, 3, 4, 6, 12)

intraday = st.builds(Timeframe, st.integers(1, 59), st.just(Unit.MINUTE)) | st.builds(Timeframe, st.integers(1, 23), st.just(Unit.HOUR))
calendar = st.builds(Timeframe, st.just(1), st.sampled_from([Unit.DAY, Unit.WEEK])) | st.builds(
    Timeframe, st.sampled_from(MONTHS), st.just(Unit.MONTH)
)
timeframes = intraday | calendar

# The days on which New York's clocks change, from 1970 to 2037, with a day on either side.
CHANGES = [
    moment
    for hours in range(0, 68 * 366 * 24, 12)
    for moment in [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hours)]
    if moment.astimezone(NEW_YORK).utcoffset() != (moment + timedelta(hours=12)).astimezone(NEW_YORK).utcoffset()
]
around_changes = st.builds(
    lambda moment, nanoseconds: to_ns(moment) + nanoseconds, st.sampled_from(CHANGES), st.integers(-2 * DAY_NS, 2 * DAY_NS)
)
anywhere = st.integers(to_ns(datetime(1900, 1, 1, tzinfo=UTC)), to_ns(datetime(2200, 1, 1, tzinfo=UTC)))
moments = anywhere | around_changes


def ns(*parts: int) -> int:
    return to_ns(datetime(*parts, tzinfo=NEW_YORK))  # type: ignore[misc]  # year, month, day, hour, minute, second


class TestText:
    @pytest.mark.parametrize(
        "timeframe",
        [
            *(Timeframe(amount, Unit.MINUTE) for amount in range(1, 60)),
            *(Timeframe(amount, Unit.HOUR) for amount in range(1, 24)),
            Timeframe(1, Unit.DAY),
            Timeframe(1, Unit.WEEK),
            *(Timeframe(amount, Unit.MONTH) for amount in MONTHS),
        ],
        ids=str,
    )
    def test_there_and_back(self, timeframe: Timeframe):
        """Every timeframe there is reads its own text."""
        assert Timeframe.parse(str(timeframe)) == timeframe
        assert Timeframe.parse(timeframe) is timeframe

    @settings(deadline=None)
    @given(st.integers(-5, 120), st.sampled_from(Unit))
    def test_exactly_those(self, amount: int, unit: Unit):
        """Which amounts there are depends on the unit alone, whether it is written or made."""
        good = {
            Unit.MINUTE: 1 <= amount <= 59,
            Unit.HOUR: 1 <= amount <= 23,
            Unit.DAY: amount == 1,
            Unit.WEEK: amount == 1,
            Unit.MONTH: amount in MONTHS,
        }[unit]
        for make in (lambda: Timeframe(amount, unit), lambda: Timeframe.parse(f"{amount}{unit.value}")):
            if good:
                assert (make().amount, make().unit) == (amount, unit)
            else:
                with pytest.raises(ValueError, match="timeframe: "):
                    make()

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "Day",
            "1",
            "1day",
            "1 Day",
            " 1Day",
            "1Day\n",
            "1Days",
            "1D",
            "1T",
            "-1Min",
            "1.5Hour",
            "1Year",
            "\u0661Day",
            "9" * 5000 + "Min",
        ],
    )
    def test_no_timeframe(self, text: str):
        """Anything else is refused in one line that shows the text."""
        with pytest.raises(ValueError, match=r"\Atimeframe: [^\n]+\Z") as caught:
            Timeframe.parse(text)

        assert repr(text)[1:-1] in str(caught.value)

    def test_unit_from_its_text(self):
        """A unit may be given by its word, and keeps the unit's rules."""
        assert Timeframe(15, "Min") == Timeframe(15, Unit.MINUTE)  # type: ignore[arg-type]  # what an untyped caller may write
        with pytest.raises(ValueError, match="timeframe: 5Month"):
            Timeframe(5, "Month")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="Fortnight"):
            Timeframe(1, "Fortnight")  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("text", "is_intraday"), [("1Min", True), ("59Min", True), ("23Hour", True), ("1Day", False), ("1Week", False), ("1Month", False)]
    )
    def test_intraday(self, text: str, is_intraday: bool):
        """Minutes and hours divide a day."""
        assert Timeframe.parse(text).is_intraday is is_intraday

    def test_a_value(self):
        """Equal timeframes are one key."""
        assert {Timeframe(1, Unit.DAY): 1}[Timeframe.parse("1Day")] == 1


class TestLaws:
    @settings(deadline=None)
    @given(timeframes, moments)
    def test_a_moment_lies_in_its_bar(self, timeframe: Timeframe, moment: int):
        """Each moment lies at or after its bar's left edge and before the next one."""
        edge = timeframe.floor(moment)

        assert edge <= moment < timeframe.following(edge)

    @settings(deadline=None)
    @given(timeframes, moments)
    def test_an_edge_is_its_own(self, timeframe: Timeframe, moment: int):
        """The left edge belongs to its bar, and so does the last nanosecond before the next."""
        edge = timeframe.floor(moment)

        assert timeframe.floor(edge) == edge
        assert timeframe.floor(timeframe.following(edge) - 1) == edge

    @settings(deadline=None)
    @given(timeframes, moments)
    def test_the_next_edge_is_an_edge(self, timeframe: Timeframe, moment: int):
        """What follows an edge is the left edge of the next bar, so bars leave no gap and do not overlap."""
        following = timeframe.following(timeframe.floor(moment))

        assert timeframe.floor(following) == following

    @settings(deadline=None)
    @given(timeframes, moments, moments)
    def test_order_is_kept(self, timeframe: Timeframe, one: int, other: int):
        """A later moment never lies in an earlier bar."""
        assert (one <= other) <= (timeframe.floor(one) <= timeframe.floor(other))

    @settings(deadline=None)
    @given(calendar, moments)
    def test_calendar_bars_begin_at_midnight_in_new_york(self, timeframe: Timeframe, moment: int):
        """A day, week or month begins at midnight there, also when clocks change; weeks on Mondays, months on firsts."""
        begins = from_ns(timeframe.floor(moment)).astimezone(NEW_YORK)

        assert (begins.hour, begins.minute, begins.second) == (0, 0, 0)
        if timeframe.unit is Unit.WEEK:
            assert begins.weekday() == 0
        if timeframe.unit is Unit.MONTH:
            assert (begins.day, (begins.month - 1) % timeframe.amount) == (1, 0)

    @settings(deadline=None)
    @given(calendar, moments)
    def test_calendar_bars_have_their_length_on_the_calendar(self, timeframe: Timeframe, moment: int):
        """A day is one date long, a week seven, a month its number of months, whatever the clocks do."""
        edge = timeframe.floor(moment)
        begins, ends = (from_ns(one).astimezone(NEW_YORK).date() for one in (edge, timeframe.following(edge)))

        if timeframe.unit is Unit.MONTH:
            assert ends.year * 12 + ends.month - begins.year * 12 - begins.month == timeframe.amount
        else:
            assert ends - begins == timedelta(days=7 if timeframe.unit is Unit.WEEK else 1)

    @settings(deadline=None)
    @given(intraday, moments)
    def test_intraday_bars_count_from_midnight_utc(self, timeframe: Timeframe, moment: int):
        """A minute or hour bar begins at a multiple of its length since midnight UTC, and none is longer than that."""
        edge = timeframe.floor(moment)
        length = timeframe.amount * (MINUTE_NS if timeframe.unit is Unit.MINUTE else HOUR_NS)

        assert edge % DAY_NS % length == 0
        assert timeframe.following(edge) - edge <= length
        assert (edge + length) // DAY_NS == edge // DAY_NS or timeframe.following(edge) % DAY_NS == 0


class TestEdges:
    @pytest.mark.parametrize(
        ("text", "moment", "edge", "following"),
        [
            ("1Min", (2026, 3, 2, 10, 0, 59), (2026, 3, 2, 10, 0), (2026, 3, 2, 10, 1)),
            ("15Min", (2026, 3, 2, 9, 44), (2026, 3, 2, 9, 30), (2026, 3, 2, 9, 45)),
            ("1Hour", (2026, 3, 2, 9, 30), (2026, 3, 2, 9), (2026, 3, 2, 10)),
            # Midnight UTC is 19:00 in New York's winter: multiples of four hours are 19:00, 23:00, 3:00 …
            ("4Hour", (2026, 3, 2, 12), (2026, 3, 2, 11), (2026, 3, 2, 15)),
            # Seven hours do not divide a day: 0, 7, 14 and 21 o'clock UTC, the last bar three hours long.
            ("7Hour", (2026, 3, 2, 17), (2026, 3, 2, 16), (2026, 3, 2, 19)),
            ("1Day", (2026, 3, 2, 16), (2026, 3, 2), (2026, 3, 3)),
            ("1Day", (2026, 3, 2, 23, 59, 59), (2026, 3, 2), (2026, 3, 3)),
            ("1Week", (2026, 3, 8, 12), (2026, 3, 2), (2026, 3, 9)),
            ("1Week", (2026, 3, 2), (2026, 3, 2), (2026, 3, 9)),
            ("1Month", (2026, 2, 28, 12), (2026, 2, 1), (2026, 3, 1)),
            ("3Month", (2026, 12, 31), (2026, 10, 1), (2027, 1, 1)),
            ("12Month", (2026, 7, 4), (2026, 1, 1), (2027, 1, 1)),
        ],
    )
    def test_named(self, text: str, moment: tuple[int, ...], edge: tuple[int, ...], following: tuple[int, ...]):
        """Bars and moments whose edges are plain to see."""
        timeframe = Timeframe.parse(text)

        assert timeframe.floor(ns(*moment)) == ns(*edge)
        assert timeframe.following(ns(*edge)) == ns(*following)

    @pytest.mark.parametrize(("day", "hours"), [((2026, 3, 8), 23), ((2026, 11, 1), 25), ((2026, 3, 9), 24)])
    def test_days_when_clocks_change(self, day: tuple[int, int, int], hours: int):
        """The day on which clocks go forward has 23 hours, the day on which they go back 25."""
        timeframe = Timeframe.parse("1Day")
        edge = ns(*day)

        assert timeframe.following(edge) - edge == hours * HOUR_NS
        assert timeframe.floor(edge + hours * HOUR_NS - 1) == edge
        assert timeframe.floor(edge + hours * HOUR_NS) == edge + hours * HOUR_NS

    @pytest.mark.parametrize(("year", "bars"), [(2026, 365), (2028, 366)])
    def test_a_year_of_days(self, year: int, bars: int):
        """Going from edge to edge counts every day of a year once."""
        timeframe = Timeframe.parse("1Day")
        edge, seen = ns(year, 1, 1), []
        while edge < ns(year + 1, 1, 1):
            seen.append(from_ns(edge).astimezone(NEW_YORK).date())
            edge = timeframe.following(edge)

        assert seen == [date(year, 1, 1) + timedelta(days=count) for count in range(bars)]

    def test_no_bar_is_cut_by_a_change_of_clocks(self):
        """Hour bars go on by hours of UTC through the night in which an hour is told twice."""
        timeframe = Timeframe.parse("1Hour")
        edge = to_ns(datetime(2026, 11, 1, 4, tzinfo=UTC))
        told = []
        for _ in range(4):
            told.append(from_ns(edge).astimezone(NEW_YORK).hour)
            edge = timeframe.following(edge)

        assert told == [0, 1, 1, 2]

    def test_zone(self):
        """Trading days are New York's."""
        zone: Any = exchange_zone()

        assert zone is exchange_zone()
        assert zone.key == "America/New_York"
