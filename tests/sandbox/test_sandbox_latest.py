"""The present of shares: the last trade, quote and bar of each."""

from __future__ import annotations

import pytest
from sandboxes import Visitor

from broker_core.clock import StillClock
from broker_demo.sandbox.moments import moment_ns
from broker_demo.sandbox.server import Sandbox


async def test_latest_quote_is_that_of_this_moment(visitor: Visitor, box: Sandbox, clock: StillClock):
    """It is what an order would be filled at, and goes on with the market."""
    await clock.advance(7)
    tick = box.desk.prices.tick("AAPL", box.desk.now_ns())

    told = (await visitor.get("/v2/stocks/quotes/latest", symbols="AAPL")).json["quotes"]["AAPL"]

    assert tick is not None
    assert (told["t"], told["bp"], told["bs"], told["ap"], told["as"]) == (
        "2026-03-02T15:00:07Z",
        tick.bid,
        tick.bid_size,
        tick.ask,
        tick.ask_size,
    )


async def test_latest_bar_is_the_last_minute_that_is_over(visitor: Visitor, clock: StillClock):
    """It is the last one of the history."""
    await clock.advance(61)
    history = (await visitor.get("/v2/stocks/AAPL/bars", timeframe="1Min", start="2026-03-02T14:55:00Z")).json["bars"]

    told = (await visitor.get("/v2/stocks/bars/latest", symbols="AAPL")).json["bars"]["AAPL"]

    assert told == history[-1]
    assert told["t"] == "2026-03-02T15:00:00Z"


@pytest.mark.parametrize("kind", ["bar", "trade", "quote"])
async def test_one_symbol_has_an_address_of_its_own(visitor: Visitor, kind: str):
    """Its record stands under the singular."""
    many = (await visitor.get(f"/v2/stocks/{kind}s/latest", symbols="MSFT,AAPL", currency="USD")).json
    one = (await visitor.get(f"/v2/stocks/AAPL/{kind}s/latest")).json

    assert list(many[f"{kind}s"]) == ["AAPL", "MSFT"]
    assert many["currency"] == "USD"
    assert one == {"symbol": "AAPL", kind: many[f"{kind}s"]["AAPL"]}


@pytest.mark.parametrize("kind", ["bar", "trade", "quote"])
async def test_symbols_that_are_not_listed_have_no_present(visitor: Visitor, kind: str):
    """They are missing among many, and null alone."""
    assert (await visitor.get(f"/v2/stocks/{kind}s/latest", symbols="ZZZZ")).json == {f"{kind}s": {}}
    assert (await visitor.get(f"/v2/stocks/ZZZZ/{kind}s/latest")).json == {"symbol": "ZZZZ", kind: None}


async def test_delayed_feed_is_a_quarter_of_an_hour_behind(visitor: Visitor, box: Sandbox):
    """The others are not."""
    delayed = (await visitor.get("/v2/stocks/AAPL/trades/latest", feed="delayed_sip")).json["trade"]
    present = (await visitor.get("/v2/stocks/AAPL/trades/latest", feed="iex")).json["trade"]
    before = box.desk.prices.tick("AAPL", moment_ns(delayed["t"]))

    assert (delayed["t"], present["t"]) == ("2026-03-02T14:45:00Z", "2026-03-02T15:00:00Z")
    assert before is not None
    assert delayed["p"] == before.price


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"symbols": "A B"}, "invalid symbol(s): A B"),
        ({"symbols": ","}, "symbols is required"),
        ({"feed": "free"}, "invalid feed: free"),
        ({"currency": "usd"}, "invalid currency: usd"),
    ],
)
@pytest.mark.parametrize("path", ["quotes/latest", "snapshots"])
async def test_questions_about_the_present_are_checked(visitor: Visitor, path: str, query: dict[str, str], message: str):
    """A 400 without a code says what is wrong."""
    reply = await visitor.get(f"/v2/stocks/{path}", **{"symbols": "AAPL", **query})

    assert (reply.status, reply.json) == (400, {"message": message})
