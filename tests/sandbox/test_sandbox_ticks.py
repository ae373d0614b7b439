"""Trades, quotes and auctions of the past."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from sandboxes import Visitor, sandbox

from broker_demo.prices import SeededPrices, Tick
from broker_demo.sandbox.data.records import trade_record
from broker_demo.sandbox.data.span import Span
from broker_demo.sandbox.data.ticks import tick_source
from broker_demo.sandbox.moments import moment_ns, moment_text
from broker_demo.sandbox.server import Sandbox
from broker_demo.trading_hours import AlwaysOpen

FIVE_SECONDS = {"start": "2026-03-02T14:00:00Z", "end": "2026-03-02T14:00:04Z"}
YEARS = {"start": "1980-01-01", "end": "2026-03-01"}


def ticks(box: Sandbox, symbol: str) -> list[Tick]:
    """What happened in the five seconds, both ends included."""
    return list(box.desk.prices.ticks(symbol, moment_ns(FIVE_SECONDS["start"]) - 1, moment_ns(FIVE_SECONDS["end"])))


async def test_trades_are_the_prints_of_the_exchange(visitor: Visitor, box: Sandbox):
    """One for each tick, the first and the last moment included."""
    told = (await visitor.get("/v2/stocks/trades", symbols="AAPL", **FIVE_SECONDS)).json

    assert told["next_page_token"] is None
    assert told["trades"]["AAPL"] == [
        {
            "t": moment_text(tick.timestamp_ns),
            "x": "Q",
            "p": tick.price,
            "s": tick.size,
            "c": ["@"],
            "i": tick.timestamp_ns // 1000,
            "z": "C",
        }
        for tick in ticks(box, "AAPL")
    ]
    assert len(told["trades"]["AAPL"]) == 5


async def test_quotes_are_the_books_of_the_exchange(visitor: Visitor, box: Sandbox):
    """The best bid and offer of each tick."""
    told = (await visitor.get("/v2/stocks/BA/quotes", **FIVE_SECONDS)).json

    assert told == {
        "quotes": [
            {
                "t": moment_text(tick.timestamp_ns),
                "ax": "N",
                "ap": tick.ask,
                "as": tick.ask_size,
                "bx": "N",
                "bp": tick.bid,
                "bs": tick.bid_size,
                "c": ["R"],
                "z": "A",
            }
            for tick in ticks(box, "BA")
        ],
        "symbol": "BA",
        "next_page_token": None,
    }


@pytest.mark.parametrize(("symbol", "exchange", "tape", "sale"), [("AAPL", "Q", "C", "@"), ("BA", "N", "A", " "), ("SPY", "P", "B", " ")])
async def test_letters_of_a_share_belong_together(visitor: Visitor, symbol: str, exchange: str, tape: str, sale: str):
    """The exchange where it is listed, the tape that carries it, that tape's code of a regular sale; and each can be looked up."""
    trade = (await visitor.get(f"/v2/stocks/{symbol}/trades/latest")).json["trade"]
    exchanges = (await visitor.get("/v2/stocks/meta/exchanges")).json
    sales = (await visitor.get("/v2/stocks/meta/conditions/trade", tape=tape)).json

    assert (trade["x"], trade["z"], trade["c"]) == (exchange, tape, [sale])
    assert exchange in exchanges
    assert sales[sale] == "Regular Sale"


async def test_trade_ids_tell_trades_apart(visitor: Visitor):
    """They grow with time, and fit into the numbers of JavaScript."""
    told = (await visitor.get("/v2/stocks/AAPL/trades", limit="200")).json["trades"]

    assert all(one["i"] < other["i"] < 2**53 for one, other in pairwise(told))


@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_page_of_many_years_costs_no_more_than_its_points(sort: str):
    """However wide the span, hardly more ticks are made than are told: from its beginning, or from its end."""
    made: list[Tick] = []

    class Counted(SeededPrices):
        def ticks(self, symbol: str, after_ns: int, until_ns: int) -> Iterator[Tick]:
            for tick in super().ticks(symbol, after_ns, until_ns):
                made.append(tick)
                yield tick

    span = Span(start_ns=moment_ns("1980-01-01T00:00:00Z"), end_ns=moment_ns("2026-03-01T00:00:00Z"), descends=sort == "desc")
    stretch = tick_source(Counted(7, AlwaysOpen()), trade_record)("AAPL", span, 100)

    assert len(stretch.points) == 100
    assert len(made) <= 102


async def test_descending_ticks_begin_with_the_last(visitor: Visitor):
    """And go on to the page before it."""
    query = {"symbols": "AAPL", "sort": "desc", "limit": "2", **YEARS}
    first = (await visitor.get("/v2/stocks/trades", **query)).json
    second = (await visitor.get("/v2/stocks/trades", page_token=first["next_page_token"], **query)).json

    assert [trade["t"][10:] for page in (first, second) for trade in page["trades"]["AAPL"]] == [
        "T04:59:59Z",
        "T04:59:58Z",
        "T04:59:57Z",
        "T04:59:56Z",
    ]


async def test_no_tick_of_the_future_is_told(visitor: Visitor):
    """An end that lies ahead means now, this second included."""
    told = (await visitor.get("/v2/stocks/AAPL/trades", start="2026-03-02T14:59:58Z", end="2026-03-02T16:00:00Z")).json["trades"]

    assert [trade["t"] for trade in told] == ["2026-03-02T14:59:58Z", "2026-03-02T14:59:59Z", "2026-03-02T15:00:00Z"]


async def test_prints_of_a_replay_are_told_to_the_nanosecond(tmp_path: Path):
    """Parts of a second are written without needless zeros."""
    path = tmp_path / "bars.csv"
    path.write_text("timestamp,open,high,low,close,volume\n2026-02-02T15:00:00Z,10,11,9,10,400\n2026-02-02T15:00:01Z,10,11,9,10,400\n")
    async with sandbox(replay=path, symbol="NEW", start_ns=moment_ns("2026-02-03T00:00:00Z")) as box, Visitor(box) as visitor:
        told = (await visitor.get("/v2/stocks/NEW/trades", start="2026-02-02T15:00:00.25Z", end="2026-02-02T15:00:00.999999999Z")).json

    assert [trade["t"][19:] for trade in told["trades"]] == [".25Z", ".5Z", ".75Z"]


async def test_auctions_are_the_first_and_the_last_print_of_a_day(visitor: Visitor):
    """A day that is not over has no closing auction yet."""
    told = (await visitor.get("/v2/stocks/auctions", symbols="AAPL", start="2026-03-01")).json["auctions"]["AAPL"]
    bars = (await visitor.get("/v2/stocks/AAPL/bars", timeframe="1Day", start="2026-03-01")).json["bars"]

    assert [day["d"] for day in told] == ["2026-03-01", "2026-03-02"]
    assert [[auction["c"] for auction in day["o"] + day["c"]] for day in told] == [["O", "Q", "6", "M"], ["O", "Q"]]
    assert [day["o"][0]["p"] for day in told] == [bar["o"] for bar in bars]
    assert told[0]["c"][0]["p"] == bars[0]["c"]


async def test_share_that_has_not_traded_today_has_no_auction_of_today(tmp_path: Path):
    """Others may have opened already."""
    path = tmp_path / "bars.csv"
    rows = [
        f"2026-02-20T15:{minute}:00Z,10,11,9,10,400,{symbol}"
        for minute, symbol in (("00", "ONE"), ("01", "ONE"), ("30", "TWO"), ("31", "TWO"))
    ]
    path.write_text("\n".join(["timestamp,open,high,low,close,volume,symbol", *rows]))
    async with sandbox(replay=path, start_ns=moment_ns("2026-02-20T15:10:00Z")) as box, Visitor(box) as visitor:
        told = (await visitor.get("/v2/stocks/auctions", symbols="ONE,TWO")).json["auctions"]

    assert list(told) == ["ONE"]


async def test_auctions_know_one_feed_only(visitor: Visitor):
    """That of all exchanges together."""
    assert (await visitor.get("/v2/stocks/AAPL/auctions", feed="iex")).json == {"message": "invalid feed: iex"}
