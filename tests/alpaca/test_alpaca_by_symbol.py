"""Rows by symbol: the shapes in which they come, and what is read of rows that are not as they should be."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from fake_data_host import asset, bar
from hypothesis import given
from hypothesis import strategies as st

from broker_alpaca.wire import assets, auctions, bars, clock, corporate_actions, news, order_books, quotes, snapshots, trades
from broker_alpaca.wire.by_symbol import BySymbol
from broker_alpaca.wire.call import Call
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.trades import RevisedTrade
from broker_core.errors import WireError
from broker_core.models import Trade
from broker_core.requests import Side

AT = "2026-03-02T15:00:00Z"
BARS = bars.stocks(["A"], "1Min")
TRADES = trades.stocks(["A"])


def read(call: Call[Any], body: object) -> tuple[Any, Drift]:
    drift = Drift()
    return call.read(json.dumps(body).encode(), drift), drift


def trade(price: float = 1.0, **members: Any) -> dict[str, Any]:
    return {"t": AT, "p": price, "s": 2} | members


@pytest.mark.parametrize("body", [{"bars": None}, {"bars": {}}, {"bars": {"A": None}}, {"bars": {"A": []}}, {}, {"bars": []}])
def test_nothing_is_found_in_every_way_of_saying_nothing(body: dict[str, Any]):
    """Null, an empty map, an empty list, a missing member: all say that there are no bars, and none is a mistake."""
    found, drift = read(BARS, body)

    assert (found, dict(drift.counts)) == (BySymbol({}), {})


@pytest.mark.parametrize("bad", [None, {**bar(AT), "vw": None}])
def test_empty_page_keeps_its_token(bad: Any):
    """A page without a row is not the last one while it has a token; an empty token is none."""
    rows = {"A": [] if bad is None else [bad]}

    assert read(BARS, {"bars": rows, "next_page_token": "t"})[0].next_token == "t"
    assert read(BARS, {"bars": rows, "next_page_token": 7})[0].next_token == "7"
    assert read(BARS, {"bars": rows, "next_page_token": ""})[0].next_token is None
    for token in ({}, [1], True, 1.5):
        with pytest.raises(WireError, match="the page token is"):
            read(BARS, {"bars": rows, "next_page_token": token})


def test_columns_have_the_types_that_frames_are_made_of():
    """Times and counts are 64-bit integers, all else 64-bit floats, whole numbers too; each symbol has its own rows."""
    found, _ = read(BARS, {"bars": {"A": [bar(AT, v=7, c=3)], "B": [bar(AT), bar("2026-03-02T15:01:00.5Z")]}})

    columns = found.found["A"]
    assert all(getattr(columns, name).dtype == np.float64 for name in ("open", "high", "low", "close", "volume", "vwap"))
    assert columns.timestamp_ns.dtype == columns.trade_count.dtype == np.int64
    assert (list(columns.volume), list(columns.close)) == ([7.0], [3.0])
    assert list(found.found["B"].timestamp_ns) == [1_772_463_600_000_000_000, 1_772_463_660_500_000_000]


@pytest.mark.parametrize("member", ["c", "h", "l", "n", "o", "t", "v", "vw"])
@pytest.mark.parametrize("wrong", ["missing", None, "word", [], {}, True, "NaN", float("inf")])
def test_bar_that_lacks_a_number_is_left_out_alone(member: str, wrong: Any):
    """A bar without one of its members, or with something else in its place, is left out and counted; its neighbours stay."""
    broken = bar(AT) | {member: wrong}
    if wrong == "missing":
        del broken[member]

    found, drift = read(BARS, {"bars": {"A": [bar(AT, close=1.0), broken, bar(AT, close=2.0)], "B": [broken], "C": [bar(AT, close=3.0)]}})

    assert {symbol: list(columns.close) for symbol, columns in found.found.items()} == {"A": [1.0, 2.0], "C": [3.0]}
    assert found.unreadable == sum(drift.counts.values()) == 2


@pytest.mark.parametrize("count", [2**63, -(2**63) - 1, 10**30])
def test_count_beyond_all_bounds_costs_its_bar_alone(count: int):
    """A number of trades that 64 bits cannot hold leaves out its bar."""
    found, _ = read(BARS, {"bars": {"A": [bar(AT), bar(AT, n=count), bar(AT)]}})

    assert (len(found.found["A"].close), found.unreadable) == (2, 1)


def test_numbers_given_as_text_are_numbers():
    """A price or a count that comes as text, as on the trading host, is read as the number it is."""
    found, drift = read(BARS, {"bars": {"A": [bar(AT), bar(AT, c="7.25", n="9", v="1e3")]}})

    columns = found.found["A"]
    assert (columns.close[1], columns.trade_count[1], columns.volume[1], dict(drift.counts)) == (7.25, 9, 1000.0, {})


@given(st.lists(st.tuples(st.floats(0, 1e9), st.integers(0, 2**62)), max_size=20), st.data())
def test_columns_hold_every_digit_of_the_wire(rows: list[tuple[float, int]], data: st.DataObject):
    """Prices and counts come out bit by bit as they went in, on the quick way and, with a broken neighbour, on the slow one."""
    body = [bar(AT, close=price, n=count) for price, count in rows]
    broken = data.draw(st.integers(0, len(rows)))

    quick, _ = read(BARS, {"bars": {"A": body}})
    slow, _ = read(BARS, {"bars": {"A": [*body[:broken], {"t": AT}, *body[broken:]]}})

    for found in (quick, slow):
        columns = found.found.get("A")
        assert rows == ([] if columns is None else list(zip(columns.close.tolist(), columns.trade_count.tolist(), strict=True)))


def test_optional_members_cost_nothing():
    """What a trade can do without becomes its default where it cannot be read, and is counted; the trade stays."""
    found, drift = read(TRADES, {"trades": {"A": [trade(x=7, c={"a": 1}, z=[1], i=[], tks=5)]}})

    assert found.found["A"] == (Trade("A", 1_772_463_600_000_000_000, 1.0, 2.0),)
    assert found.unreadable == 0
    assert len(drift.counts) == 5


def test_trades_with_all_they_have():
    """Exchange, id, conditions, tape and taker are kept; ids beyond a float's reach to the last digit."""
    found, drift = read(TRADES, {"trades": {"A": [trade(x="N", c=[" ", "T"], z="A", i=2**53 + 1, tks="B"), trade(c="I", i="x-1", tks="")]}})

    first, second = found.found["A"]
    assert (first.exchange, first.conditions, first.tape, first.trade_id, first.taker_side) == (
        "N",
        (" ", "T"),
        "A",
        str(2**53 + 1),
        Side.BUY,
    )
    assert (second.conditions, second.trade_id, second.taker_side) == (("I",), "x-1", None)
    assert not drift.counts


def test_revised_trades_are_told_from_those_that_count():
    """A print that was withdrawn or corrected is of a kind of its own; words that nobody knows are kept and counted."""
    found, drift = read(TRADES, {"trades": {"A": [trade(), trade(u="canceled"), trade(u="undone", tks="X")]}})

    plain, cancelled, strange = found.found["A"]
    assert not isinstance(plain, RevisedTrade)
    assert isinstance(cancelled, RevisedTrade)
    assert (cancelled.update, strange.update, strange.taker_side) == ("canceled", "undone", None)
    assert set(drift.counts) == {"trade.u: undone", "trade.tks: X"}


def test_time_that_is_none_costs_its_trade_alone():
    """A trade whose time is no moment is left out; nothing but its time is wrong, so the quick way has to see it."""
    found, _ = read(TRADES, {"trades": {"A": [trade(1), trade(2, t="yesterday"), trade(3)], "B": [trade(t="")]}})

    assert ([one.price for one in found.found["A"]], set(found.found), found.unreadable) == ([1.0, 3.0], {"A"}, 2)


def test_currency_is_told():
    """Where prices were asked for in another currency, the answer says in which they are."""
    assert read(TRADES, {"trades": {"A": [trade()]}, "currency": "JPY"})[0].currency == "JPY"
    assert read(TRADES, {"trades": {"A": [trade(), None]}, "currency": "JPY"})[0].currency == "JPY"
    assert read(bars.latest_stock("A"), {"symbol": "A", "bar": bar(AT), "currency": "JPY"})[0].currency == "JPY"


def test_answers_about_one_symbol():
    """Where the address names the symbol, its rows come without a map around; they are found under its name all the same."""
    single = trades.stock("A")

    assert read(single, {"symbol": "A", "trades": [trade()]})[0] == read(TRADES, {"trades": {"A": [trade()]}})[0]
    assert len(read(single, {"symbol": "A", "trades": [trade(), None, trade()]})[0].found["A"]) == 2
    assert read(single, {"symbol": "A", "trades": None})[0] == read(single, {"symbol": "A", "trades": []})[0] == BySymbol({})
    with pytest.raises(WireError):
        read(single, {"trades": [trade()]})
    assert read(quotes.latest_stock("A"), {"symbol": "A", "quote": None})[0] == BySymbol({})
    with pytest.raises(WireError, match="names no symbol"):
        read(quotes.latest_stock("A"), {"quote": None})


def test_snapshot_keeps_the_parts_that_can_be_read():
    """A part that is wrong in any way is missing and counted; the other parts stay."""
    body = {"A": {"latestTrade": trade(t="never"), "minuteBar": bar(AT, vw="x"), "dailyBar": bar(AT), "latestQuote": 5}}

    found, drift = read(snapshots.stocks(["A"]), body)

    snapshot = found.found["A"]
    assert (snapshot.trade, snapshot.minute_bar, snapshot.quote) == (None, None, None)
    assert snapshot.daily_bar is not None
    assert len(drift.counts) == 3


def test_auction_days():
    """A day has its opening and closing prints; a print that cannot be read is missing, its neighbours are not."""
    prints = [{"t": AT, "x": "P", "p": 1, "c": "Q"}, {"t": AT, "x": "P"}, {"t": AT, "x": "Q", "p": 2, "s": 100, "c": "O"}]

    found, drift = read(auctions.stocks(["A"]), {"auctions": {"A": [{"d": "2026-03-02", "o": prints, "c": None}, {"d": "x"}]}})

    (day,) = found.found["A"]
    assert (day.symbol, day.day, day.closing) == ("A", date(2026, 3, 2), ())
    assert [(one.exchange, one.price, one.condition, one.size) for one in day.opening] == [("P", 1.0, "Q", None), ("Q", 2.0, "O", 100.0)]
    assert day.opening[0].timestamp == datetime(2026, 3, 2, 15, tzinfo=UTC)
    assert (found.unreadable, len(drift.counts)) == (1, 2)


def test_order_book_with_a_hole_is_none():
    """A book is whole or it is left out: one that lacks a level would be taken for the market."""
    level = {"p": 2, "s": 1}
    books = {"A": {"t": AT, "b": [level], "a": [level, level]}, "B": {"t": AT, "b": [level, {"p": None, "s": 1}], "a": []}}

    found, _ = read(order_books.latest_crypto(["A"]), {"orderbooks": books})

    assert (set(found.found), found.unreadable) == ({"A"}, 1)
    book = found.found["A"]
    assert (book.bids, book.asks, book.is_reset) == (((2.0, 1.0),), ((2.0, 1.0), (2.0, 1.0)), True)


def test_news_in_the_words_of_the_core():
    """An article has its texts, its symbols and its moments; pictures stay with the record."""
    body = {
        "id": 7,
        "headline": "H",
        "created_at": AT,
        "updated_at": "2026-03-02T10:00:01.5-05:00",
        "symbols": ["A", "BTCUSD"],
        "url": None,
    }

    found, _ = read(
        news.page(), {"news": [body | {"images": [{"size": "thumb", "url": "u"}, {"size": "x"}]}, {"id": 8}], "next_page_token": "t"}
    )

    (article,) = found.records
    told = news.to_news(article)
    assert (told.id, told.symbols, told.headline, told.url, told.summary) == ("7", ("A", "BTCUSD"), "H", "", "")
    assert (told.created_at, told.timestamp_ns) == (datetime(2026, 3, 2, 15, tzinfo=UTC), 1_772_463_601_500_000_000)
    assert ([image.url for image in article.images], found.unreadable, found.next_token) == (["u"], 2, "t")


def test_corporate_actions_know_their_kind():
    """Each action says which kind it is, in the singular; rates are exact; a kind that nobody knows is kept and counted."""
    body = {
        "forward_splits": [{"id": "1", "symbol": "A", "new_rate": 3, "old_rate": 2}],
        "cash_dividends": [{"id": "2", "rate": 0.24}, {"rate": 1}],
    }

    found, drift = read(corporate_actions.page(), {"corporate_actions": body | {"novelties": [{"id": "3"}], "spin_offs": 7}})

    assert [(action.kind, action.id) for action in found.records] == [("forward_split", "1"), ("cash_dividend", "2"), ("noveltie", "3")]
    assert (found.records[1].rate, found.records[0].new_rate, found.unreadable) == (Decimal("0.24"), Decimal(3), 2)
    assert "corporate action.kind: noveltie" in drift.counts


def test_assets_are_read_one_by_one_where_one_is_broken():
    """An asset without a symbol is left out of the list; a number that is none becomes the usual one; the others stay as they are."""
    rows = [asset("A"), {"id": "x"}, asset("B", price_increment="NaN"), asset("C", tradable="yes"), asset("D", **{"class": "art"})]

    found, drift = read(assets.list_all(), rows)

    assert [one.symbol for one in found.records] == ["A", "B", "C", "D"]
    assert found.unreadable == 1
    assert (found.records[1].price_increment, found.records[2].tradable) == (Decimal("0.01"), False)
    assert "asset.class: art" in drift.counts
    assert read(assets.list_all(), rows[:1])[0].records == found.records[:1]


def test_asset_that_cannot_be_traded_in_parts():
    """A share that is sold whole has whole quantities, one that is not has nine decimals, and a pair has its own."""
    whole, parts = (read(assets.get("A"), asset("A", fractionable=is_fractionable))[0] for is_fractionable in (False, True))
    pair, _ = read(assets.get("A"), asset("BTC/USD", min_trade_increment="0.0001", price_increment="1", min_order_size="0.001"))

    assert (whole.qty_increment, parts.qty_increment, pair.qty_increment) == (Decimal(1), Decimal("1e-9"), Decimal("0.0001"))
    assert (pair.price_increment, pair.min_order_size) == (Decimal(1), Decimal("0.001"))
    with pytest.raises(WireError, match="cannot be read"):
        read(assets.get("A"), {"symbol": "A"})
    with pytest.raises(WireError, match="no list"):
        read(assets.list_all(), {"message": "?"})


@pytest.mark.parametrize(
    ("day", "text", "hour"),
    [("2026-03-06", "09:30", 14), ("2026-03-09", "09:30", 13), ("2026-03-09", "0400", 8), ("2026-11-02", "2000", 25)],
)
def test_wall_times_of_new_york(day: str, text: str, hour: int):
    """With and without a colon, before and after the clocks change, a wall time is the right moment."""
    moment = clock.wall_time(date.fromisoformat(day), text)

    assert (moment - datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)).total_seconds() // 3600 == hour
    assert moment.tzinfo is UTC


@pytest.mark.parametrize("text", ["", "9:30", "24:00", "09:60", "noon", "09:30:00", "٠٩:٣٠", "-9:30"])
def test_what_is_no_time_of_day_is_none(text: str):
    """Anything else than four digits of a day's time is refused."""
    with pytest.raises(ValueError):  # noqa: PT011  # some are the calendar's own words
        clock.wall_time(date(2026, 3, 2), text)


def test_clocks_and_calendars_of_other_markets():
    """The third version speaks in moments, of any market."""
    clocks, _ = read(
        clock.of_markets(["XLON"]),
        {"clocks": [{"market": {"acronym": "LSE"}, "timestamp": AT, "is_market_day": True, "phase": "core", "next_market_open": AT}]},
    )
    days, _ = read(
        clock.calendar_of("LSE"),
        {"market": {}, "calendar": [{"date": "2026-03-02", "core_start": "2026-03-02T08:00:00Z", "core_end": "2026-03-02T16:30:00+00:00"}]},
    )

    assert (clocks.records[0].market.acronym, clocks.records[0].phase) == ("LSE", "core")
    assert (days.records[0].date, days.records[0].core_end) == (date(2026, 3, 2), datetime(2026, 3, 2, 16, 30, tzinfo=UTC))
