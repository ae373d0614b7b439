"""The market's clock and its calendar over the wire."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from sandboxes import Visitor, sandbox

from broker_core.clock import StillClock, to_ns
from broker_demo.sandbox.trading.calendar import trading_days
from broker_demo.trading_hours import CalendarHours, ListedHours, Sessions


def at(text: str) -> StillClock:
    """A clock that stands at this moment."""
    return StillClock(datetime.fromisoformat(text).astimezone(UTC))


async def test_a_market_that_never_closes_has_days_from_midnight_to_midnight(visitor: Visitor):
    """The clock says that it is open, until New York's midnight, at which the next day opens."""
    clock = (await visitor.get("/v2/clock")).json

    assert clock == {
        "timestamp": "2026-03-02T10:00:00-05:00",
        "is_open": True,
        "next_open": "2026-03-03T00:00:00-05:00",
        "next_close": "2026-03-03T00:00:00-05:00",
    }
    days = (await visitor.get("/v2/calendar", start="2026-03-07", end="2026-03-08T10:00:00Z")).json
    whole = {"open": "00:00", "close": "23:59", "session_open": "0000", "session_close": "2359"}
    assert days == [
        {"date": "2026-03-07", **whole, "settlement_date": "2026-03-08"},
        {"date": "2026-03-08", **whole, "settlement_date": "2026-03-09"},
    ]


async def test_an_exchanges_hours_are_told_with_the_sessions_around_them():
    """Half days, holidays and weekends are those of the calendar; trades settle on the next trading day."""
    async with sandbox(at("2026-11-25T22:00:00Z"), calendar="XNYS") as box, Visitor(box) as visitor:
        clock = (await visitor.get("/v2/clock")).json
        days = (await visitor.get("/v2/calendar", start="2026-11-25", end="2026-11-28")).json
        settling = (await visitor.get("/v2/calendar", start="2026-11-25", end="2026-11-27", date_type="SETTLEMENT")).json
        everything = (await visitor.get("/v2/calendar")).json
        (eve,) = (await visitor.get("/v2/calendar", start="2026-11-25", end="2026-11-25")).json
        (holiday,) = (await visitor.get("/v3/clock", time="2026-11-26T15:00:00Z")).json["clocks"]
        long_ago = await visitor.get("/v3/clock", time="1980-01-02T15:00:00Z")
        (later,) = (await visitor.get("/v3/clock", markets="XNYS", time="2026-11-27T12:00:00Z")).json["clocks"]

    assert (clock["is_open"], clock["next_open"]) == (False, "2026-11-27T09:30:00-05:00")
    assert [tuple(day.values()) for day in days] == [
        ("2026-11-25", "09:30", "16:00", "0400", "2000", "2026-11-27"),
        ("2026-11-27", "09:30", "13:00", "0400", "1700", "2026-11-30"),
    ]
    assert [day["date"] for day in settling] == ["2026-11-24", "2026-11-25"]
    assert eve == days[0]
    assert (long_ago.status, "is outside what it knows" in long_ago.json["message"]) == (422, True)
    assert (holiday["is_market_day"], holiday["phase"], holiday["phase_until"]) == (False, "closed", "2026-11-27T04:00:00-05:00")
    assert len(everything) > 2000
    assert {day["date"] for day in days} < {day["date"] for day in everything}
    assert (later["is_market_day"], later["phase"], later["phase_until"]) == (True, "pre", "2026-11-27T09:30:00-05:00")


async def test_the_newer_calendar_has_whole_moments(visitor: Visitor):
    """Its days carry offsets, or are in UTC where that is asked for; markets that are not there are refused."""
    told = (await visitor.get("/v3/calendar/XNYS", start="2026-03-02", end="2026-03-02", timezone="UTC")).json
    refused = await visitor.get("/v3/calendar/XTKS")

    assert told["market"]["acronym"] == "NYSE"
    assert told["calendar"] == [
        {
            "date": "2026-03-02",
            "core_start": "2026-03-02T05:00:00+00:00",
            "core_end": "2026-03-03T05:00:00+00:00",
            "settlement_date": "2026-03-03",
        }
    ]
    assert (refused.status, refused.json["message"]) == (400, "invalid market: XTKS")


@pytest.mark.parametrize(("phase", "moment", "until"), [("closed", "2026-11-27T08:00", "04:00"), ("core", "2026-11-27T14:30", "13:00")])
async def test_the_phase_of_the_market_follows_its_day(phase: str, moment: str, until: str):
    """Before the early session it is closed; from the open on it is in its core, until the close."""
    async with sandbox(at(f"{moment}:00Z"), calendar="XNYS") as box, Visitor(box) as visitor:
        (clock,) = (await visitor.get("/v3/clock")).json["clocks"]

    assert (clock["phase"], clock["phase_until"]) == (phase, f"2026-11-27T{until}:00-05:00")


@pytest.mark.parametrize("far", ["0001-01-01", "9999-12-31", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
async def test_days_beyond_all_time_are_no_harm(visitor: Visitor, far: str):
    """Whoever means "ever" by the first or the last day there is gets an answer."""
    bounds = {"start": far, "end": far}
    for path, query in (
        ("/v2/calendar", bounds),
        ("/v3/calendar/NYSE", {"start": far}),
        ("/v3/clock", {"time": far}),
        ("/v2/account/activities", {"date": far}),
        ("/v2/account/activities", {"after": far, "until": far}),
        ("/v2/account/portfolio/history", {"date_end": far}),
        ("/v2/account/portfolio/history", {"start": far}),
        ("/v2/options/contracts", {"expiration_date_gte": far}),
    ):
        assert (await visitor.get(path, **query)).status == 200, (path, query)


@pytest.mark.parametrize("query", [{"start": "yesterday"}, {"date_type": "trading"}])
async def test_a_calendar_for_nonsense_is_refused(visitor: Visitor, query: dict[str, str]):
    """The refusal names the parameter."""
    reply = await visitor.get("/v2/calendar", **query)

    assert (reply.status, reply.json["message"]) == (422, f"invalid {next(iter(query))}: {next(iter(query.values()))}")


@pytest.mark.parametrize(("day", "settles"), [(5, 6), (6, 9), (7, 9), (8, 9)])
def test_the_last_trade_that_is_known_of_settles_on_a_weekday(day: int, settles: int):
    """Behind the end of a list of sessions, weekdays are taken for trading days."""
    open_ns = to_ns(datetime(2026, 3, day, 15, tzinfo=UTC))
    hours = ListedHours(Sessions([date(2026, 3, day)], [open_ns], [open_ns + 3600 * 10**9]))

    (only,) = trading_days(hours, date(2026, 1, 1), date(2026, 12, 31))

    assert (only.day.day, only.settlement) == (day, date(2026, 3, settles))


def test_days_beyond_what_a_calendar_knows_are_left_out():
    """Asking for a century gives what there is; the last day known still settles on a weekday."""
    hours = CalendarHours("XNYS")

    days = list(trading_days(hours, date(1950, 1, 1), date(2100, 1, 1)))

    assert (days[0].day, days[-1].day) == hours.known()
    assert days[-1].settlement > days[-1].day
    assert days[-1].settlement.weekday() < 5
    assert all(hours.is_open(to_ns(day.core_start.astimezone(UTC))) for day in days[:50])
