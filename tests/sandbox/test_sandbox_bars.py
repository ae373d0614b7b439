"""Bars of shares: which ones there are, what is in them, and what cannot be asked for."""

from __future__ import annotations

import pytest
from sandboxes import Visitor

from broker_core.clock import StillClock
from broker_core.timeframe import Timeframe
from broker_demo.feeds import bars_of
from broker_demo.sandbox.moments import moment_ns
from broker_demo.sandbox.server import Sandbox

HOUR = {"start": "2026-03-02T13:00:00Z", "end": "2026-03-02T13:59:00Z"}


async def test_bars_are_those_of_the_exchange(visitor: Visitor, box: Sandbox):
    """Every minute of an hour is told, with the figures that the exchange itself has."""
    told = (await visitor.get("/v2/stocks/bars", symbols="AAPL", timeframe="1Min", **HOUR)).json
    known = bars_of(
        box.desk.prices, "AAPL", Timeframe.parse("1Min"), moment_ns(HOUR["start"]), moment_ns(HOUR["end"]) + 1, box.desk.now_ns()
    )

    assert told["next_page_token"] is None
    assert [(bar["o"], bar["h"], bar["l"], bar["c"], bar["v"], bar["n"], bar["vw"]) for bar in told["bars"]["AAPL"]] == [
        (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trade_count, bar.vwap) for bar in known
    ]
    assert [bar["t"] for bar in told["bars"]["AAPL"]][::59] == [HOUR["start"], HOUR["end"]]
