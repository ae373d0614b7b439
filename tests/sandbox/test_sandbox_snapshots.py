"""Snapshots of shares: five views of the present that belong together."""

from __future__ import annotations

from pathlib import Path

from sandboxes import Visitor, sandbox

from broker_core.clock import StillClock
from broker_demo.sandbox.moments import moment_ns

PARTS = ["latestTrade", "latestQuote", "minuteBar", "dailyBar", "prevDailyBar"]


async def test_snapshot_is_what_its_parts_say_elsewhere(visitor: Visitor, clock: StillClock):
    """Trade and quote are those of this moment, the bars those of the history."""
    await clock.advance(90)
    days = (await visitor.get("/v2/stocks/AAPL/bars", timeframe="1Day", start="2026-03-01")).json["bars"]
    latest = {kind: (await visitor.get(f"/v2/stocks/AAPL/{kind}s/latest")).json[kind] for kind in ("trade", "quote", "bar")}

    told = (await visitor.get("/v2/stocks/AAPL/snapshot")).json

    assert list(told) == ["symbol", *PARTS]
    assert (told["latestTrade"], told["latestQuote"], told["minuteBar"]) == (latest["trade"], latest["quote"], latest["bar"])
    assert [told["prevDailyBar"], told["dailyBar"]] == days


async def test_snapshots_are_a_bare_map(visitor: Visitor):
    """Symbols that are not listed are null in it."""
    told = (await visitor.get("/v2/stocks/snapshots", symbols="ZZZZ,MSFT,AAPL")).json

    assert list(told) == ["AAPL", "MSFT", "ZZZZ"]
    assert told["ZZZZ"] is None
    assert {"symbol": "MSFT", **told["MSFT"]} == (await visitor.get("/v2/stocks/MSFT/snapshot")).json


async def test_day_before_a_weekend_is_the_previous_one(tmp_path: Path):
    """The previous day is the last that traded, however long ago that was."""
    path = tmp_path / "bars.csv"
    rows = [f"{day}T15:0{minute}:00Z,10,11,9,10.5,400" for day in ("2026-01-05", "2026-02-20") for minute in range(3)]
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]))
    async with sandbox(replay=path, symbol="NEW", start_ns=moment_ns("2026-02-20T15:02:10Z")) as box, Visitor(box) as visitor:
        told = (await visitor.get("/v2/stocks/NEW/snapshot")).json

    assert [told[part]["t"] for part in PARTS] == [
        "2026-02-20T15:02:00Z",
        "2026-02-20T15:02:00Z",
        "2026-02-20T15:01:00Z",
        "2026-02-20T05:00:00Z",
        "2026-01-05T05:00:00Z",
    ]
    assert (told["dailyBar"]["v"], told["prevDailyBar"]["v"]) == (800, 1200)


async def test_first_minute_of_all_has_no_bars(tmp_path: Path):
    """What is not known yet is null."""
    path = tmp_path / "bars.csv"
    path.write_text("timestamp,open,high,low,close,volume\n2026-02-20T15:00:00Z,10,11,9,10,400\n2026-02-20T15:01:00Z,10,11,9,10,400\n")
    async with sandbox(replay=path, symbol="NEW") as box, Visitor(box) as visitor:
        told = (await visitor.get("/v2/stocks/NEW/snapshot")).json

    assert told["latestTrade"]["p"] == 10
    assert [told[part] for part in PARTS[2:]] == [None, None, None]
