"""Prices out of the user's own bars."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker_core.clock import to_ns
from broker_core.errors import ConfigError
from broker_core.timeframe import Timeframe
from broker_demo.assets import LISTINGS
from broker_demo.replay import ReplayPrices
from broker_demo.trading_hours import NEVER_NS

MINUTE_NS = 60 * 10**9
HOUR_NS = 60 * MINUTE_NS
START = to_ns(datetime(2026, 3, 2, 14, 30, tzinfo=UTC))
END = START + 365 * 24 * HOUR_NS

Row = tuple[int, float, float, float, float, int]


def replay(folder: Path, rows: list[Row], *, name: str = "acme.csv", seed: int = 0) -> ReplayPrices:
    path = folder / name
    lines = [",".join(map(str, row)) for row in rows]
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *lines]), encoding="utf-8")
    return ReplayPrices.load(path, seed=seed)


def minutes(*bars: tuple[float, float, float, float, int]) -> list[Row]:
    return [(START + place * MINUTE_NS, *bar) for place, bar in enumerate(bars)]


RISING = (10.0, 11.0, 9.5, 10.5, 103)
FALLING = (10.5, 10.75, 9.0, 9.25, 40)
LEVEL = (9.25, 9.5, 9.0, 9.25, 4)


@st.composite
def bars(draw: st.DrawFn) -> list[Row]:
    """Minute bars with gaps, whose prices have one to five decimals."""
    decimals = draw(st.integers(1, 5))
    places = sorted(draw(st.sets(st.integers(0, 3000), min_size=1, max_size=30)))
    rows: list[Row] = []
    for place in [*places, places[-1] + 1]:
        low, opening, close, high = (
            lambda prices, swap: (prices[0], prices[1 + swap], prices[2 - swap], prices[3])  # either way within the extremes
        )(sorted(draw(st.lists(st.integers(1, 10**7), min_size=4, max_size=4))), draw(st.integers(0, 1)))
        opening, high, low, close = (price / 10**decimals for price in (opening, high, low, close))
        rows.append((START + place * MINUTE_NS, opening, high, low, close, draw(st.integers(0, 10**6))))
    return rows


def test_a_bar_becomes_four_ticks(tmp_path: Path) -> None:
    """Open, extremes, close, a quarter of the bar apart; the low first unless it falls."""
    prices = replay(tmp_path, minutes(RISING, FALLING, LEVEL))
    ticks = list(prices.ticks("ACME", START - 1, END))
    assert [tick.price for tick in ticks] == [10.0, 9.5, 11.0, 10.5, 10.5, 10.75, 9.0, 9.25, 9.25, 9.0, 9.5, 9.25]
    assert [tick.size for tick in ticks] == [28, 25, 25, 25, 10, 10, 10, 10, 1, 1, 1, 1]
    assert [tick.timestamp_ns - START for tick in ticks] == [quarter * MINUTE_NS // 4 for quarter in range(12)]
    assert (prices.first_ns, prices.last_ns) == (ticks[0].timestamp_ns, ticks[-1].timestamp_ns)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bars())
def test_the_ticks_add_up_to_the_bars_of_the_file(tmp_path: Path, rows: list[Row]) -> None:
    """The bars come back as they stand in the file, digit by digit."""
    prices = replay(tmp_path, rows)
    columns = prices.columns("ACME", Timeframe.parse("1Min"), START, END, END)
    found = zip(columns.timestamp_ns, columns.open, columns.high, columns.low, columns.close, columns.volume, strict=True)
    assert [tuple(row) for row in found] == rows
    assert set(columns.trade_count) == {4}
    assert all(columns.low <= columns.vwap)
    assert all(columns.vwap <= columns.high)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bars(), st.sampled_from(["1Min", "7Min", "1Hour", "1Day", "1Week", "1Month"]), st.integers(0, 3001 * MINUTE_NS))
def test_bars_are_what_the_ticks_so_far_add_up_to(tmp_path: Path, rows: list[Row], timeframe: str, age: int) -> None:
    """For any timeframe and any now; the VWAP within the rounding of floats."""
    prices, frame = replay(tmp_path, rows), Timeframe.parse(timeframe)
    columns = prices.columns("ACME", frame, START, END, START + age)
    ticks = [tick for tick in prices.ticks("ACME", 0, START + age) if frame.floor(tick.timestamp_ns) >= START]
    edges = sorted({frame.floor(tick.timestamp_ns) for tick in ticks})
    assert list(columns.timestamp_ns) == edges
    for place, edge in enumerate(edges):
        within = [tick for tick in ticks if frame.floor(tick.timestamp_ns) == edge]
        series, volume = [tick.price for tick in within], sum(tick.size for tick in within)
        assert (columns.open[place], columns.close[place]) == (series[0], series[-1])
        assert (columns.high[place], columns.low[place]) == (max(series), min(series))
        assert (columns.volume[place], columns.trade_count[place]) == (volume, len(within))
        vwap = sum(tick.price * tick.size for tick in within) / volume if volume else series[-1]
        assert columns.vwap[place] == pytest.approx(vwap, rel=1e-12)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bars(), st.integers(-MINUTE_NS, 3002 * MINUTE_NS), st.integers(0, 3000 * MINUTE_NS))
def test_the_questions_about_ticks_agree(tmp_path: Path, rows: list[Row], after: int, length: int) -> None:
    """Latest, next and all ticks of a stretch are one sequence; every one is on the grid, in its book, in its session."""
    prices = replay(tmp_path, rows)
    asset, after = prices.asset("ACME"), START + after
    assert asset is not None
    ticks = list(prices.ticks("ACME", after, after + length))
    assert all(earlier.timestamp_ns < later.timestamp_ns for earlier, later in pairwise(ticks))
    following = prices.next_tick_ns("ACME", after)
    if ticks:
        assert following == ticks[0].timestamp_ns
        assert prices.tick("ACME", after + length) == ticks[-1]
    else:
        assert following is None or following > after + length
    for tick in ticks:
        assert all(Decimal(str(price)) % asset.price_increment == 0 for price in (tick.price, tick.bid, tick.ask))
        assert 0 < tick.bid <= tick.price <= tick.ask
        assert tick.bid < tick.ask
        assert min(tick.bid_size, tick.ask_size) >= 1
        assert prices.hours.is_open(tick.timestamp_ns)


def test_a_replay_begins_and_ends(tmp_path: Path) -> None:
    """Before the first tick there is no price, after the last there will be none."""
    prices = replay(tmp_path, minutes(RISING))
    assert prices.tick("ACME", START - 1) is None
    assert prices.next_tick_ns("ACME", START - 1) == START == prices.first_ns
    last = prices.tick("ACME", END)
    assert last is not None
    assert last.timestamp_ns == prices.last_ns
    assert prices.next_tick_ns("ACME", prices.last_ns) is None
    assert prices.next_tick_ns("ACME", prices.last_ns - 1) == prices.last_ns


def test_hours_run_from_the_first_to_the_last_bar_of_a_day(tmp_path: Path) -> None:
    """Days are the New York dates that hold bars; between them, and after the last, the market is closed."""
    days = [START, START + 24 * HOUR_NS, START + 96 * HOUR_NS]
    rows = [(day + minute * MINUTE_NS, *RISING) for day in days for minute in range(0, 390, 30)]
    hours = replay(tmp_path, rows).hours
    assert [day.day for day in hours.days(date(2026, 1, 1), date(2027, 1, 1))] == [date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 6)]
    assert hours.is_open(START)
    assert hours.closing(START) == START + 390 * MINUTE_NS
    assert not hours.is_open(START + 390 * MINUTE_NS)
    assert hours.next_open(START) == days[1]
    assert hours.session_day(days[1] + 390 * MINUTE_NS) == date(2026, 3, 6)
    assert hours.next_open(days[2]) == hours.next_close(days[2] + 390 * MINUTE_NS) == NEVER_NS


def test_bars_round_the_clock_make_days_without_a_break(tmp_path: Path) -> None:
    """Then a session ends where the next begins, at midnight in New York, also where bars lie across it."""
    hours = replay(tmp_path, [(START + hour * HOUR_NS, *RISING) for hour in range(40)]).hours
    (first, second), midnight = hours.days(date(2026, 3, 2), date(2026, 3, 3)), to_ns(datetime(2026, 3, 3, 5, 30, tzinfo=UTC))
    assert to_ns(first.close) == to_ns(second.open) == midnight
    assert hours.is_open(midnight)


def test_daily_bars_come_back_as_daily_bars(tmp_path: Path) -> None:
    """A file of dates gives one daily bar for each, at midnight in New York, across a change of the clocks."""
    path = tmp_path / "spy.csv"
    dates = ("2026-03-05", "2026-03-06", "2026-03-09", "2026-03-10")
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *(f"{day},10,12,9,11,{1000 + int(day[-2:])}" for day in dates)]))
    prices = ReplayPrices.load(path)
    columns = prices.columns("SPY", Timeframe.parse("1Day"), 0, END, END)
    assert [datetime.fromtimestamp(moment / 1e9, UTC).isoformat() for moment in columns.timestamp_ns] == [
        "2026-03-05T05:00:00+00:00",
        "2026-03-06T05:00:00+00:00",
        "2026-03-09T04:00:00+00:00",
        "2026-03-10T04:00:00+00:00",
    ]
    assert list(columns.volume) == [1005, 1006, 1009, 1010]
    assert [day.day.isoformat() for day in prices.hours.days(date(2026, 3, 1), date(2026, 3, 31))] == list(dates)


def test_sessions_do_not_overlap(tmp_path: Path) -> None:
    """Where one symbol's last bar of a day lasts into another's first one of the next, the day ends as the next begins."""
    path = tmp_path / "market.csv"
    stamps = {"A": ["2026-03-03T04:00Z", "2026-03-03T05:00Z"], "B": ["2026-03-03T03:30Z", "2026-03-03T04:30Z"]}
    lines = [f"{symbol},{stamp},10,11,9,10,100" for symbol, series in stamps.items() for stamp in series]
    path.write_text("\n".join(["symbol,timestamp,open,high,low,close,volume", *lines]))
    first, second = ReplayPrices.load(path).hours.days(date(2026, 3, 2), date(2026, 3, 3))
    assert first.close == second.open == datetime(2026, 3, 3, 5, tzinfo=UTC)


def test_several_symbols_have_each_their_own_ticks(tmp_path: Path) -> None:
    """One file may hold a whole market; a well-known symbol keeps its name, and a slash makes a pair."""
    path = tmp_path / "market.csv"
    path.write_text(
        "symbol,timestamp,open,high,low,close,volume\n"
        "AAPL,2026-03-02T14:30Z,200,201,199,200.5,1000\n"
        "ABC/USD,2026-03-02T14:30Z,0.1234,0.1235,0.1233,0.1234,1000\n"
        "ABC/USD,2026-03-02T14:31Z,0.1234,0.1235,0.1233,0.1234,1000\n"
    )
    prices = ReplayPrices.load(path)
    assert list(prices.symbols()) == ["AAPL", "ABC/USD"]
    apple, pair = prices.asset("AAPL"), prices.asset("ABC/USD")
    assert apple == LISTINGS["AAPL"].asset
    assert pair is not None
    assert (pair.asset_class, pair.price_increment) == ("crypto", Decimal("0.0001"))
    assert len(list(prices.ticks("AAPL", 0, END))) == 4
    assert len(list(prices.ticks("ABC/USD", 0, END))) == 8


@pytest.mark.parametrize(
    ("price", "increment"),
    [(10.0, "0.01"), (10.25, "0.01"), (10.255, "0.001"), (0.02, "0.001"), (0.00001234, "1E-8"), (123.4567891234, "1E-9")],
)
def test_the_price_increment_is_found_in_the_file(tmp_path: Path, price: float, increment: str) -> None:
    """The coarsest grid, a cent at most, on which all prices lie with room for a book below; at the finest, prices are rounded."""
    prices = replay(tmp_path, minutes((price, price, price, price, 4)))
    asset, tick = prices.asset("ACME"), prices.tick("ACME", START)
    assert asset is not None
    assert tick is not None
    assert asset.price_increment == Decimal(increment)
    assert tick.price == round(price, 9)
    assert 0 < tick.bid < tick.ask


def test_a_bar_without_volume_has_ticks_without_size(tmp_path: Path) -> None:
    """Nothing traded, yet there is a price and a book."""
    prices = replay(tmp_path, minutes((10.0, 10.0, 10.0, 10.0, 0)))
    columns = prices.columns("ACME", Timeframe.parse("1Min"), START, END, END)
    assert [tick.size for tick in prices.ticks("ACME", 0, END)] == [0, 0, 0, 0]
    assert (columns.volume[0], columns.vwap[0]) == (0.0, 10.0)


def test_the_book_comes_from_the_seed(tmp_path: Path) -> None:
    """The same seed gives the same book, another seed another one; prints are the file's in both."""
    rows = minutes(*[RISING] * 20)

    def book(seed: int) -> Iterator[tuple[float, float, int, int]]:
        for tick in replay(tmp_path, rows, seed=seed).ticks("ACME", 0, END):
            yield tick.bid, tick.ask, tick.bid_size, tick.ask_size

    assert list(book(1)) == list(book(1)) != list(book(2))


def test_what_is_not_in_the_file_has_nothing(tmp_path: Path) -> None:
    """An unknown symbol has no asset, no tick and no bar."""
    prices = replay(tmp_path, minutes(RISING))
    assert prices.asset("AAPL") is None
    assert prices.tick("AAPL", END) is None
    assert prices.next_tick_ns("AAPL", 0) is None
    assert list(prices.ticks("AAPL", 0, END)) == []
    assert len(prices.columns("AAPL", Timeframe.parse("1Min"), START, END, END).open) == 0


def test_columns_are_integers_and_floats_of_64_bits(tmp_path: Path) -> None:
    """Both where there are bars and where there are none."""
    prices = replay(tmp_path, minutes(RISING))
    for end in (START, END):
        columns = prices.columns("ACME", Timeframe.parse("1Min"), START, end, END)
        assert np.asarray(columns.timestamp_ns).dtype == np.asarray(columns.trade_count).dtype == np.int64
        assert np.asarray(columns.open).dtype == np.asarray(columns.volume).dtype == np.asarray(columns.vwap).dtype == np.float64


def test_a_bad_file_is_refused(tmp_path: Path) -> None:
    """The error is the one of reading the file, and the path may be given as text."""
    with pytest.raises(ConfigError, match=r"nowhere\.csv: cannot be read"):
        ReplayPrices.load(str(tmp_path / "nowhere.csv"))
