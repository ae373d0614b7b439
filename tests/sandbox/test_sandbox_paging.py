"""Pages of history: whatever the limit, they are the whole, cut."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sandboxes import Visitor

from broker_core.timeframe import Timeframe
from broker_demo.bar_file import FileBar
from broker_demo.prices import Prices, SeededPrices
from broker_demo.replay import ReplayPrices
from broker_demo.sandbox.data.auctions import auction_source
from broker_demo.sandbox.data.bars import bar_source
from broker_demo.sandbox.data.pages import Source, page
from broker_demo.sandbox.data.records import quote_record, trade_record
from broker_demo.sandbox.data.span import Place, Span
from broker_demo.sandbox.data.ticks import tick_source
from broker_demo.sandbox.moments import moment_ns
from broker_demo.trading_hours import AlwaysOpen

MINUTE_NS = 60_000_000_000
DAY_NS = 1440 * MINUTE_NS
NOW_NS = moment_ns("2026-03-02T15:00:30Z")
SEEDED = SeededPrices(7, AlwaysOpen())
SYMBOLS = ("AAPL", "BRK.B", "BTC/USD", "UNHEARD")


def gaps() -> ReplayPrices:
    """A replay of minutes in clusters, with minutes, nights and weeks between them; of two symbols, which do not trade at the same time."""
    first = NOW_NS // DAY_NS * DAY_NS - 40 * DAY_NS
    places = [day * 1440 + minute for day in (0, 1, 2, 9, 10, 38, 40) for minute in (870, 871, 872, 890, 1000, 1230)]
    return ReplayPrices(
        {
            symbol: [FileBar("", first + (place + shift) * MINUTE_NS, 10, 12, 9, 11, 40) for place in places]
            for symbol, shift in (("AAPL", 0), ("BRK.B", 15))
        },
        MINUTE_NS,
        seed=7,
    )


GAPS = gaps()


def source(kind: str, prices: Prices) -> Source:
    """Where points of this kind come from."""
    if kind == "trades":
        return tick_source(prices, trade_record)
    if kind == "quotes":
        return tick_source(prices, quote_record)
    if kind == "auctions":
        return auction_source(prices, NOW_NS)
    return bar_source(prices, Timeframe.parse(kind), NOW_NS)


def joined(symbols: Sequence[str], span: Span, points: Source) -> list[tuple[str, Any]]:
    """All pages, one after the other."""
    found: list[tuple[str, Any]] = []
    while True:
        part = page(symbols, span, points)
        told = [(symbol, point) for symbol, series in part.points.items() for point in series]
        assert len(told) <= span.limit
        assert part.next_token is None or told, "a page before the last one tells something"
        found += told
        if part.next_token is None:
            return found
        span = Span(start_ns=span.start_ns, end_ns=span.end_ns, limit=span.limit, descends=span.descends, place=Place.of(part.next_token))


def written(told: list[tuple[str, Any]]) -> list[tuple[str, str]]:
    """The points by their symbol and moment."""
    return [(symbol, str(point["t"] if "t" in point else point["d"]) if isinstance(point, dict) else point.t) for symbol, point in told]


@given(
    kind=st.sampled_from(["1Min", "13Min", "1Hour", "1Day", "1Week", "1Month", "trades", "quotes", "auctions"]),
    replayed=st.booleans(),
    symbols=st.sets(st.sampled_from(SYMBOLS), min_size=1).map(sorted),
    count=st.integers(0, 24),
    limit=st.integers(1, 9),
    until=st.integers(0, 40 * 1440 * 60),
    descends=st.booleans(),
)
@example(kind="13Min", replayed=True, symbols=["AAPL"], count=1, limit=1, until=631, descends=False)
@example(kind="1Min", replayed=True, symbols=["AAPL"], count=24, limit=4, until=42 * 3600, descends=False)
@example(kind="1Min", replayed=True, symbols=["AAPL"], count=24, limit=9, until=42 * 3600, descends=True)
def test_pages_joined_are_the_whole(kind: str, replayed: bool, symbols: list[str], count: int, limit: int, until: int, descends: bool):
    """For any symbols, limit and direction: nothing is left out, told twice or out of order, and turning round changes nothing else."""
    units = {"1Min": MINUTE_NS, "13Min": 13 * MINUTE_NS, "1Hour": 60 * MINUTE_NS, "trades": 10**9, "quotes": 10**9}
    width = units.get(kind, DAY_NS) * count * (30 if replayed else 1)
    end_ns = NOW_NS - until * 10**9
    points = source(kind, GAPS if replayed else SEEDED)

    def whole(descends: bool, limit: int = 10_000) -> list[tuple[str, Any]]:
        return joined(symbols, Span(start_ns=end_ns - width, end_ns=end_ns, limit=limit, descends=descends), points)

    told = whole(descends, limit)

    assert told == whole(descends)
    ascending = written(whole(descends=False))
    assert ascending == sorted(ascending)
    assert all(one != other for one, other in pairwise(ascending))
    assert sorted(written(told)) == ascending
    for symbol in symbols:
        times = [moment for name, moment in written(told) if name == symbol]
        assert times == sorted(times, reverse=descends)


async def test_pages_are_walked_by_their_tokens(visitor: Visitor):
    """The limit counts points over all symbols, symbols come in alphabetical order, and the last page has no token."""
    query = {"symbols": "MSFT,AAPL", "timeframe": "1Hour", "start": "2026-03-02T10:00:00Z", "limit": "4"}
    pages = []
    token = ""
    while token is not None:
        reply = (await visitor.get("/v2/stocks/bars", page_token=token, **query)).json
        pages.append({symbol: len(series) for symbol, series in reply["bars"].items()})
        token = reply["next_page_token"]

    assert pages == [{"AAPL": 4}, {"AAPL": 1, "MSFT": 3}, {"MSFT": 2}]


async def test_page_that_is_just_full_is_the_last(visitor: Visitor):
    """Where nothing follows there is no token."""
    query = {"symbols": "AAPL", "timeframe": "1Hour", "start": "2026-03-02T10:00:00Z"}
    full = await visitor.get("/v2/stocks/bars", limit="5", **query)

    assert (len(full.json["bars"]["AAPL"]), full.json["next_page_token"]) == (5, None)


@pytest.mark.parametrize("place", ["AAPL", "AAPL|noon", "TSLA|2026-03-02T14:00:00Z", "\xff\xfe", None])
async def test_token_that_was_never_given_is_refused(visitor: Visitor, place: str | None):
    """One of another question, too, and what is none at all."""
    token = "not a token" if place is None else base64.b64encode(place.encode("latin-1")).decode()

    reply = await visitor.get("/v2/stocks/bars", symbols="AAPL", timeframe="1Day", page_token=token)

    assert (reply.status, reply.json) == (400, {"message": "invalid page_token"})
