"""Bars of shares: which ones there are, what is in them, and what cannot be asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sandboxes import Visitor, sandbox

from broker_core.clock import StillClock
from broker_core.timeframe import Timeframe
from broker_demo.feeds import bars_of
from broker_demo.sandbox.moments import moment_ns
from broker_demo.sandbox.server import Sandbox

HOUR = {"start": "2026-03-02T13:00:00Z", "end": "2026-03-02T13:59:00Z"}
FORTNIGHT = {"start": "2026-02-16", "end": "2026-03-01"}


async def bars(visitor: Visitor, timeframe: str = "1Min", **query: str) -> list[dict[str, Any]]:
    """Bars of one share, the whole answer being one page."""
    reply = await visitor.get("/v2/stocks/AAPL/bars", timeframe=timeframe, **query)
    assert reply.status == 200, reply.body
    assert reply.json["next_page_token"] is None
    found: list[dict[str, Any]] = reply.json["bars"]
    return found


async def test_bars_are_those_of_the_exchange(visitor: Visitor, box: Sandbox):
    """Every minute of an hour is told, its first and its last included, with the figures that the exchange itself has."""
    start_ns, end_ns = moment_ns(HOUR["start"]), moment_ns(HOUR["end"])
    known = bars_of(box.desk.prices, "AAPL", Timeframe.parse("1Min"), start_ns, end_ns + 1, box.desk.now_ns())

    told = (await visitor.get("/v2/stocks/bars", symbols="AAPL", timeframe="1Min", **HOUR)).json

    assert told["next_page_token"] is None
    assert [(bar["o"], bar["h"], bar["l"], bar["c"], bar["v"], bar["n"], bar["vw"]) for bar in told["bars"]["AAPL"]] == [
        (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trade_count, bar.vwap) for bar in known
    ]
    assert [bar["t"] for bar in told["bars"]["AAPL"]][::59] == [HOUR["start"], HOUR["end"]]


async def test_volumes_and_counts_are_whole_numbers(visitor: Visitor):
    """Clients that read them into an integer are not sent a decimal point."""
    reply = await visitor.get("/v2/stocks/AAPL/bars", timeframe="1Min", **HOUR)

    assert all(type(bar["v"]) is int and type(bar["n"]) is int for bar in reply.json["bars"])


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("7T", "2026-02-16T05:01:00Z", "2026-02-16T05:08:00Z"),
        ("59Min", "2026-02-16T05:54:00Z", "2026-02-16T06:53:00Z"),
        ("1H", "2026-02-16T05:00:00Z", "2026-02-16T06:00:00Z"),
        ("23Hour", "2026-02-16T23:00:00Z", "2026-02-17T00:00:00Z"),
        ("1D", "2026-02-16T05:00:00Z", "2026-02-17T05:00:00Z"),
        ("1W", "2026-02-16T05:00:00Z", "2026-02-23T05:00:00Z"),
    ],
)
async def test_every_length_begins_where_it_should(visitor: Visitor, text: str, first: str, second: str):
    """Minutes and hours are counted from midnight UTC, days and weeks begin at midnight in New York."""
    reply = await visitor.get("/v2/stocks/AAPL/bars", timeframe=text, limit="2", **FORTNIGHT)

    assert [bar["t"] for bar in reply.json["bars"]] == [first, second]


async def test_month_begins_at_midnight_in_new_york_in_summer_and_winter(visitor: Visitor):
    """The offset is that of the season."""
    told = await bars(visitor, "1M", start="2025-10-15", end="2025-12-15")

    assert [bar["t"] for bar in told] == ["2025-11-01T04:00:00Z", "2025-12-01T05:00:00Z"]


@pytest.mark.parametrize("text", ["60Min", "0T", "24H", "2Day", "2W", "5Month", "13M", "Min", "1min", "1.5Min", "1Year", "-1Min", "٣Min"])
async def test_other_lengths_are_refused_by_name(visitor: Visitor, text: str):
    """The message repeats what was asked for, and says what may be."""
    reply = await visitor.get("/v2/stocks/bars", symbols="AAPL", timeframe=text)

    assert reply.status == 400
    assert reply.json["message"].startswith(f"invalid timeframe: {text} is not among [1-59]Min")


async def test_running_minute_is_in_no_bar(visitor: Visitor, clock: StillClock):
    """A minute is told when it is over, and then counts for the day, too."""
    await clock.advance(59)
    before, day_before = (await bars(visitor, start="2026-03-02T14:59:00Z")), (await bars(visitor, "1Day"))
    await clock.advance(1)
    after, day_after = (await bars(visitor, start="2026-03-02T14:59:00Z")), (await bars(visitor, "1Day"))

    assert [bar["t"] for bar in before] == ["2026-03-02T14:59:00Z"]
    assert [bar["t"] for bar in after] == ["2026-03-02T14:59:00Z", "2026-03-02T15:00:00Z"]
    assert day_after[0]["v"] - day_before[0]["v"] == after[-1]["v"]
    assert day_after[0]["c"] == after[-1]["c"]


async def test_nothing_is_told_of_the_future(visitor: Visitor):
    """An end that lies ahead means now; a span that lies ahead altogether is empty."""
    assert len(await bars(visitor, start="2026-03-02T14:00:00Z", end="2027-01-01")) == 60
    assert await bars(visitor, start="2027-01-01", end="2027-02-01") == []


async def test_today_is_the_default(visitor: Visitor):
    """Without a start the answer begins at midnight in New York."""
    told = await bars(visitor)

    assert (told[0]["t"], told[-1]["t"], len(told)) == ("2026-03-02T05:00:00Z", "2026-03-02T14:59:00Z", 600)


async def test_descending_bars_are_the_ascending_ones_turned_round(visitor: Visitor):
    """Also where the page ends before the span does: then it holds the latest."""
    ascending = await bars(visitor, "1Day", **FORTNIGHT)
    descending = await bars(visitor, "1Day", sort="desc", **FORTNIGHT)
    latest = await visitor.get("/v2/stocks/AAPL/bars", timeframe="1Day", sort="desc", limit="3", **FORTNIGHT)

    assert len(ascending) == 14
    assert descending == ascending[::-1]
    assert latest.json["bars"] == descending[:3]


async def test_symbols_that_are_not_listed_are_missing(visitor: Visitor):
    """And nobody minds."""
    reply = await visitor.get("/v2/stocks/bars", symbols="ZZZZ,AAPL", timeframe="1Hour", **HOUR)

    assert list(reply.json["bars"]) == ["AAPL"]
    assert (await visitor.get("/v2/stocks/ZZZZ/bars", timeframe="1Hour")).json == {"bars": [], "symbol": "ZZZZ", "next_page_token": None}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"symbols": "AAPL,BTC/USD,aapl"}, "invalid symbol(s): BTC/USD, aapl"),
        ({"symbols": ""}, "symbols is required"),
        ({"timeframe": ""}, "timeframe is required"),
        ({"start": "yesterday"}, "invalid start: yesterday"),
        ({"start": "2026-03-02", "end": "2026-03-01"}, "end should not be before start"),
        ({"limit": "10001"}, "invalid limit: 10001 is not between 1 and 10000"),
        ({"limit": "0"}, "invalid limit: 0 is not between 1 and 10000"),
        ({"sort": "up"}, "invalid sort: up"),
        ({"feed": "nyse"}, "invalid feed: nyse"),
        ({"feed": "delayed_sip"}, "invalid feed: delayed_sip"),
        ({"adjustment": "split,none"}, "invalid adjustment: none"),
        ({"asof": "then"}, "invalid asof: then"),
        ({"currency": "dollars"}, "invalid currency: dollars"),
        ({"currency": "JPY"}, "invalid currency: JPY; the sandbox knows prices in USD only"),
    ],
)
async def test_questions_that_make_no_sense_are_refused(visitor: Visitor, query: dict[str, str], message: str):
    """With a 400 without a code, as the data host does."""
    reply = await visitor.get("/v2/stocks/bars", **{"symbols": "AAPL", "timeframe": "1Day", **query})

    assert (reply.status, reply.json) == (400, {"message": message})


async def test_what_changes_nothing_here_is_taken(visitor: Visitor):
    """There are no splits, no changes of name, and one market behind all feeds; the last quarter of an hour is free."""
    plain = await bars(visitor, start="2026-03-02T14:50:00Z")
    dressed = await bars(visitor, start="2026-03-02T14:50:00Z", adjustment="split,dividend", asof="-", feed="sip")
    priced = await visitor.get("/v2/stocks/bars", symbols="AAPL", timeframe="1Min", start="2026-03-02T14:50:00Z", currency="USD")

    assert dressed == plain
    assert priced.json == {"bars": {"AAPL": plain}, "next_page_token": None, "currency": "USD"}


async def test_bare_dates_are_whole_days_in_new_york(visitor: Visitor):
    """From the first midnight to the last nanosecond before the next."""
    told = await bars(visitor, "1Hour", start="2026-02-20", end="2026-02-20")

    assert (told[0]["t"], told[-1]["t"], len(told)) == ("2026-02-20T05:00:00Z", "2026-02-21T04:00:00Z", 24)


async def test_moments_may_have_nine_digits_and_an_offset(visitor: Visitor):
    """A nanosecond after its edge a bar has begun before the span."""
    told = await bars(visitor, start="2026-03-02T08:00:00.000000001-05:00", end="2026-03-02T14:02:00+01:00")

    assert [bar["t"] for bar in told] == ["2026-03-02T13:01:00Z", "2026-03-02T13:02:00Z"]


async def test_any_start_that_clients_send_for_never_is_taken(visitor: Visitor):
    """The year one is how some languages write that a moment is not set."""
    reply = await visitor.get("/v2/stocks/AAPL/bars", timeframe="1Day", start="0001-01-01T00:00:00Z", limit="1")

    assert [bar["t"] for bar in reply.json["bars"]] == ["1970-01-01T05:00:00Z"]


async def test_nights_of_a_replayed_market_have_no_bars(tmp_path: Path):
    """Bars come from ticks, and where there are none there is nothing; the search does not stop at a gap."""
    path = tmp_path / "bars.csv"
    rows = [f"{day}T{hour}:00Z,10,11,9,10.5,400" for day in ("2026-02-02", "2026-02-20") for hour in ("15:00", "15:01")]
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]))
    async with (
        sandbox(settings=None, replay=path, symbol="NEW", start_ns=moment_ns("2026-03-02T15:00:00Z")) as box,
        Visitor(box) as visitor,
    ):
        told = await visitor.get("/v2/stocks/NEW/bars", timeframe="1Min", start="2020-01-01", limit="3")
        latest = await visitor.get("/v2/stocks/NEW/bars", timeframe="1Min", start="2020-01-01", limit="3", sort="desc")

    assert [bar["t"] for bar in told.json["bars"]] == [f"2026-02-{day}:00Z" for day in ("02T15:00", "02T15:01", "20T15:00")]
    assert [bar["t"] for bar in latest.json["bars"]] == [f"2026-02-{day}:00Z" for day in ("20T15:01", "20T15:00", "02T15:01")]


async def test_calendar_that_does_not_go_so_far_back_is_named():
    """A question beyond what the calendar of an exchange knows is refused, and is not a failure."""
    async with sandbox(calendar="XNYS") as box, Visitor(box) as visitor:
        reply = await visitor.get("/v2/stocks/AAPL/bars", timeframe="1Day", start="1971-01-01")

    assert (reply.status, reply.json["message"][:13]) == (400, "calendar XNYS")
