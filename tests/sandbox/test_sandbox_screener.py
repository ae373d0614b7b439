"""The screener, what letters mean, and what the exchange has none of."""

from __future__ import annotations

import pytest
from sandboxes import Visitor

CONTRACT = "AAPL260620C00100000"


async def test_most_active_shares_are_those_with_the_largest_day(visitor: Visitor):
    """What is said of each is what its daily bar says."""
    told = (await visitor.get("/v1beta1/screener/stocks/most-actives", top="3")).json
    symbols = [one["symbol"] for one in told["most_actives"]]
    days = (await visitor.get("/v2/stocks/snapshots", symbols=",".join(symbols))).json
    volumes = [one["volume"] for one in told["most_actives"]]

    assert told["last_updated"] == "2026-03-02T15:00:00Z"
    assert volumes == [days[symbol]["dailyBar"]["v"] for symbol in symbols]
    assert volumes == sorted(volumes, reverse=True)


@pytest.mark.parametrize(("market", "pairs"), [("stocks", False), ("crypto", True)])
async def test_movers_have_moved_since_the_day_before(visitor: Visitor, market: str, pairs: bool):
    """The largest gain and the largest loss come first, and pairs are not among shares."""
    told = (await visitor.get(f"/v1beta1/screener/{market}/movers", top="2")).json
    first = told["gainers"][0]
    path = "/v1beta3/crypto/us/bars" if pairs else "/v2/stocks/bars"
    days = (await visitor.get(path, symbols=first["symbol"], timeframe="1Day", start="2026-03-01")).json["bars"][first["symbol"]]

    assert told["market_type"] == market
    assert all(("/" in one["symbol"]) is pairs for one in told["gainers"] + told["losers"])
    assert [one["percent_change"] for one in told["gainers"]] == sorted((one["percent_change"] for one in told["gainers"]), reverse=True)
    assert [one["percent_change"] for one in told["losers"]] == sorted(one["percent_change"] for one in told["losers"])
    assert first["change"] == pytest.approx(days[1]["c"] - days[0]["c"], abs=1e-6)
    assert first["percent_change"] == pytest.approx(100 * first["change"] / days[0]["c"], abs=0.01)


@pytest.mark.parametrize(
    ("path", "empty"),
    [
        ("/v1/corporate-actions", {"corporate_actions": {}, "next_page_token": None}),
        (f"/v1beta1/options/bars?symbols={CONTRACT}&timeframe=1Day", {"bars": {}, "next_page_token": None}),
        (f"/v1beta1/options/trades?symbols={CONTRACT}", {"trades": {}, "next_page_token": None}),
        (f"/v1beta1/options/trades/latest?symbols={CONTRACT}", {"trades": {}}),
        (f"/v1beta1/options/quotes/latest?symbols={CONTRACT}", {"quotes": {}}),
        (f"/v1beta1/options/snapshots?symbols={CONTRACT}", {"snapshots": {}, "next_page_token": None}),
        ("/v1beta1/options/snapshots/AAPL", {"snapshots": {}, "next_page_token": None}),
        ("/v1beta1/options/meta/exchanges", {}),
        ("/v1beta1/options/meta/conditions/trade", {}),
    ],
)
async def test_what_the_exchange_has_none_of_is_empty_in_its_shape(visitor: Visitor, path: str, empty: object):
    """Options do not trade here, and companies never act."""
    reply = await visitor.get(path)

    assert (reply.status, reply.json) == (200, empty)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/v1beta1/options/quotes/latest?symbols=AAPL", "invalid symbol(s): AAPL"),
        ("/v1beta1/options/snapshots", "symbols is required"),
        (f"/v1beta1/options/bars?symbols={CONTRACT}&timeframe=2Day", "invalid timeframe: 2Day"),
        ("/v1beta1/options/meta/conditions/bar", "invalid ticktype: bar"),
        ("/v1/corporate-actions?start=2026-03-02&end=2026-03-01", "end should not be before start"),
        ("/v1/corporate-actions?limit=1001", "invalid limit: 1001"),
        ("/v2/stocks/meta/conditions/trade", "tape is required"),
        ("/v2/stocks/meta/conditions/trade?tape=Z", "invalid tape: Z"),
        ("/v2/stocks/meta/conditions/bar?tape=A", "invalid ticktype: bar"),
        ("/v1beta1/screener/stocks/most-actives?by=fame", "invalid by: fame"),
        ("/v1beta1/screener/stocks/movers?top=51", "invalid top: 51"),
        ("/v1beta1/screener/bonds/movers", "invalid market type: bonds"),
    ],
)
async def test_questions_about_nothing_are_checked_all_the_same(visitor: Visitor, path: str, message: str):
    """A 400 without a code says what is wrong."""
    reply = await visitor.get(path)

    assert reply.status == 400
    assert reply.json["message"].startswith(message)
    assert "code" not in reply.json
