"""Pairs of crypto currencies."""

from __future__ import annotations

import pytest
from sandboxes import Visitor

from broker_demo.prices import Tick
from broker_demo.sandbox.data.records import LEVELS, book_record
from broker_demo.sandbox.moments import moment_ns
from broker_demo.sandbox.server import Sandbox

ROOT = "/v1beta3/crypto/us"


async def test_pairs_are_told_to_everybody(box: Sandbox):
    """Without keys, but not with wrong ones."""
    async with Visitor(box, key="") as nobody, Visitor(box, secret="wrong") as somebody:
        open_to_all = await nobody.get(f"{ROOT}/latest/trades", symbols="BTC/USD")
        shut = await somebody.get(f"{ROOT}/latest/trades", symbols="BTC/USD")
        shares = await nobody.get("/v2/stocks/trades/latest", symbols="AAPL")

    assert (open_to_all.status, shut.status, shares.status) == (200, 403, 403)
    assert shares.json == {"message": "forbidden."}


async def test_history_of_pairs_is_told_in_pages(visitor: Visitor, box: Sandbox):
    """Like that of shares."""
    query = {"symbols": "ETH/USD,BTC/USD", "timeframe": "1Hour", "start": "2026-03-02T13:00:00Z", "limit": "3"}
    first = (await visitor.get(f"{ROOT}/bars", **query)).json
    second = (await visitor.get(f"{ROOT}/bars", page_token=first["next_page_token"], **query)).json

    assert [(pair, bar["t"]) for page in (first, second) for pair, bars in page["bars"].items() for bar in bars] == [
        ("BTC/USD", "2026-03-02T13:00:00Z"),
        ("BTC/USD", "2026-03-02T14:00:00Z"),
        ("ETH/USD", "2026-03-02T13:00:00Z"),
        ("ETH/USD", "2026-03-02T14:00:00Z"),
    ]
    assert second["next_page_token"] is None


async def test_days_of_pairs_begin_at_midnight_in_new_york(visitor: Visitor):
    """As all days of this exchange do."""
    told = (await visitor.get(f"{ROOT}/bars", symbols="BTC/USD", timeframe="1Day", start="2026-03-01")).json

    assert [bar["t"] for bar in told["bars"]["BTC/USD"]] == ["2026-03-01T05:00:00Z", "2026-03-02T05:00:00Z"]


async def test_records_of_pairs_have_members_of_their_own(visitor: Visitor, box: Sandbox):
    """There is no exchange, tape or condition, but a side that took."""
    second = {"symbols": "BTC/USD", "start": "2026-03-02T14:00:00Z", "end": "2026-03-02T14:00:00Z"}
    tick = box.desk.prices.tick("BTC/USD", moment_ns(second["start"]))
    (trade,) = (await visitor.get(f"{ROOT}/trades", **second)).json["trades"]["BTC/USD"]
    (quote,) = (await visitor.get(f"{ROOT}/quotes", **second)).json["quotes"]["BTC/USD"]

    assert tick is not None
    taker = "B" if tick.ask - tick.price <= tick.price - tick.bid else "S"
    assert trade == {"t": second["start"], "p": tick.price, "s": tick.size, "tks": taker, "i": tick.timestamp_ns // 1000}
    assert quote == {"t": second["start"], "bp": tick.bid, "bs": tick.bid_size, "ap": tick.ask, "as": tick.ask_size}


async def test_snapshots_of_pairs_are_wrapped(visitor: Visitor):
    """And pairs that are not listed are missing in them."""
    told = (await visitor.get(f"{ROOT}/snapshots", symbols="BTC/USD,ZZZ/USD")).json

    assert list(told) == ["snapshots"]
    assert list(told["snapshots"]) == ["BTC/USD"]
    assert list(told["snapshots"]["BTC/USD"]) == ["latestTrade", "latestQuote", "minuteBar", "dailyBar", "prevDailyBar"]


@pytest.mark.parametrize("pair", ["BTC/USD", "DOGE/USD"])
async def test_order_book_stands_around_the_quote(visitor: Visitor, pair: str):
    """The best levels are the quote itself, and behind them prices get worse."""
    book = (await visitor.get(f"{ROOT}/latest/orderbooks", symbols=pair)).json["orderbooks"][pair]
    quote = (await visitor.get(f"{ROOT}/latest/quotes", symbols=pair)).json["quotes"][pair]

    bids, asks = ([(level["p"], level["s"]) for level in book[side]] for side in ("b", "a"))
    assert (bids[0], asks[0]) == ((quote["bp"], quote["bs"]), (quote["ap"], quote["as"]))
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[-1][0] > 0
    assert book["t"] == quote["t"]


@pytest.mark.parametrize("path", ["bars", "trades", "quotes", "latest/bars", "latest/orderbooks", "snapshots"])
async def test_pair_without_its_slash_is_refused(visitor: Visitor, path: str):
    """In the words of Alpaca; so is a share."""
    reply = await visitor.get(f"{ROOT}/{path}", symbols="BTCUSD", timeframe="1Day")

    assert (reply.status, reply.json) == (400, {"message": "invalid symbol: BTCUSD does not match ^[A-Z]+x?/[A-Z]+$"})


def test_order_book_of_the_cheapest_pair_has_no_price_below_nothing():
    """It has fewer levels there."""
    book = book_record(Tick(0, price=0.0008, size=5, bid=0.0008, ask=0.0010, bid_size=5, ask_size=5))

    assert [level["p"] for level in book["b"]] == [0.0008, 0.0006, 0.0004, 0.0002]
    assert len(book["a"]) == LEVELS


async def test_share_is_no_pair(visitor: Visitor):
    """Though it is listed."""
    assert (await visitor.get(f"{ROOT}/latest/trades", symbols="AAPL")).status == 400


@pytest.mark.parametrize("location", ["us", "us-1", "eu-1"])
async def test_every_location_tells_the_same(visitor: Visitor, location: str):
    """The exchange has one market for each pair."""
    here = (await visitor.get(f"/v1beta3/crypto/{location}/latest/bars", symbols="BTC/USD")).json

    assert here == (await visitor.get(f"{ROOT}/latest/bars", symbols="BTC/USD")).json


async def test_other_locations_are_refused(visitor: Visitor):
    """By name."""
    reply = await visitor.get("/v1beta3/crypto/mars/latest/bars", symbols="BTC/USD")

    assert (reply.status, reply.json) == (400, {"message": "invalid location: mars"})
