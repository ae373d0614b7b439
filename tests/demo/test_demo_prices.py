"""Invented prices: the stream and the bars of them."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from broker_core.clock import to_ns
from broker_core.errors import ConfigError
from broker_core.models import BarColumns
from broker_core.timeframe import Timeframe
from broker_demo.assets import LISTINGS
from broker_demo.prices import SeededPrices, Tick
from broker_demo.trading_hours import AlwaysOpen, ListedHours, Sessions

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
DAY_NS = 1440 * MINUTE_NS
MONDAY = to_ns(datetime(2026, 3, 2, tzinfo=UTC))

SEEDS = st.integers(-(10**6), 10**12)
SYMBOLS = st.sampled_from([*LISTINGS, "ACME", "ACME/USD", "ZZZ"])
MOMENTS = st.integers(to_ns(datetime(1990, 1, 1, tzinfo=UTC)), to_ns(datetime(2060, 1, 1, tzinfo=UTC)))

# From 15:00 UTC on for 50, 30 and 10 minutes, Monday to Wednesday.
SESSIONS = ListedHours(
    Sessions(
        [date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 4)],
        [MONDAY + day * DAY_NS + 15 * 60 * MINUTE_NS for day in range(3)],
        [MONDAY + day * DAY_NS + (15 * 60 + length) * MINUTE_NS for day, length in enumerate((50, 30, 10))],
    )
)
WITHIN_SESSIONS = st.builds(
    lambda day, offset: MONDAY + day * DAY_NS + 15 * 60 * MINUTE_NS + offset, st.integers(0, 2), st.integers(-2 * MINUTE_NS, 52 * MINUTE_NS)
)


def invented(seed: int = 1) -> SeededPrices:
    return SeededPrices(seed, AlwaysOpen(), ["ACME", "ACME/USD", "ZZZ"])


def exactly(price: float) -> Fraction:
    """The decimal that a price is meant to be."""
    return Fraction(Decimal(str(price)))


def bars_of(ticks: Iterable[Tick], timeframe: Timeframe) -> list[tuple[object, ...]]:
    """Bars by the definition, one tick after the other, in exact arithmetic."""
    bars: dict[int, list[Tick]] = {}
    for tick in ticks:
        bars.setdefault(timeframe.floor(tick.timestamp_ns), []).append(tick)
    return [
        (
            edge,
            series[0].price,
            max(tick.price for tick in series),
            min(tick.price for tick in series),
            series[-1].price,
            float(sum(tick.size for tick in series)),
            len(series),
            float(sum(exactly(tick.price) * tick.size for tick in series) / sum(tick.size for tick in series)),
        )
        for edge, series in bars.items()
    ]


def rows_of(columns: BarColumns) -> list[tuple[object, ...]]:
    columns_in_order = (
        columns.timestamp_ns,
        columns.open,
        columns.high,
        columns.low,
        columns.close,
        columns.volume,
        columns.trade_count,
        columns.vwap,
    )
    return list(zip(*(np.asarray(column).tolist() for column in columns_in_order), strict=True))


@settings(deadline=None, max_examples=50)
@given(SEEDS, SYMBOLS, MOMENTS, st.integers(0, 4 * MINUTE_NS), st.integers(-MINUTE_NS, 5 * MINUTE_NS))
def test_minute_bars_are_what_the_ticks_add_up_to(seed: int, symbol: str, start: int, length: int, age: int) -> None:
    """For any symbol, seed, moment and now, bars and stream agree to the last digit, the VWAP included."""
    prices, minute, now = invented(seed), Timeframe.parse("1Min"), start + age
    first = minute.floor(start + MINUTE_NS - 1)
    stop = minute.floor(start + length + MINUTE_NS - 1)
    ticks = prices.ticks(symbol, first - 1, min(stop - 1, now)) if first < stop else ()
    assert rows_of(prices.columns(symbol, minute, start, start + length, now)) == bars_of(ticks, minute)


@settings(deadline=None, max_examples=20)
@given(
    st.sampled_from(["1Min", "7Min", "30Min", "1Hour", "1Day", "1Week"]),
    SYMBOLS,
    WITHIN_SESSIONS,
    st.integers(0, 3 * DAY_NS),
    WITHIN_SESSIONS,
)
@example("1Day", "AAPL", MONDAY - DAY_NS, 5 * DAY_NS, MONDAY + 2 * DAY_NS + 15 * 60 * MINUTE_NS)
@example("1Week", "AAPL", MONDAY - DAY_NS, 5 * DAY_NS, MONDAY + 5 * DAY_NS)
@example("30Min", "BTC/USD", MONDAY, 3 * DAY_NS, MONDAY + DAY_NS + (15 * 60 + 20) * MINUTE_NS + 58 * SECOND_NS)
def test_bars_over_sessions_are_what_the_ticks_add_up_to(timeframe: str, symbol: str, start: int, length: int, now: int) -> None:
    """With hours that close, too, and with bars that begin before a session or hold several."""
    prices, frame = SeededPrices(3, SESSIONS, ["ACME", "ACME/USD", "ZZZ"]), Timeframe.parse(timeframe)
    ticks = [tick for tick in prices.ticks(symbol, MONDAY - 8 * DAY_NS, now) if start <= frame.floor(tick.timestamp_ns) < start + length]
    assert rows_of(prices.columns(symbol, frame, start, start + length, now)) == bars_of(ticks, frame)


@pytest.mark.parametrize("timeframe", ["5Hour", "1Day", "1Week"])
def test_long_bars_are_what_minute_bars_add_up_to(timeframe: str) -> None:
    """Bars over more than one block of minutes agree with the minutes, across a change of the clocks."""
    prices, frame, now = invented(), Timeframe.parse(timeframe), MONDAY + 40 * DAY_NS + 12_345 * SECOND_NS
    coarse = prices.columns("MSFT", frame, MONDAY, now, now)
    fine = prices.columns("MSFT", Timeframe.parse("1Min"), coarse.timestamp_ns[0], now, now)
    edges = np.array([frame.floor(moment) for moment in np.asarray(fine.timestamp_ns).tolist()])
    assert len(fine.open) > 1 << 15
    assert coarse.timestamp_ns.tolist() == sorted(set(edges.tolist()))
    for place, edge in enumerate(coarse.timestamp_ns):
        within = edges == edge
        assert coarse.open[place] == fine.open[within][0]
        assert coarse.high[place] == fine.high[within].max()
        assert coarse.low[place] == fine.low[within].min()
        assert coarse.close[place] == fine.close[within][-1]
        assert coarse.volume[place] == fine.volume[within].sum()
        assert coarse.trade_count[place] == fine.trade_count[within].sum()
        assert math.isclose(coarse.vwap[place], np.average(fine.vwap[within], weights=fine.volume[within]), rel_tol=1e-12)


@settings(deadline=None, max_examples=40)
@given(SEEDS, SYMBOLS, MOMENTS)
def test_a_tick_is_on_the_grid_within_its_book(seed: int, symbol: str, at: int) -> None:
    """Prices are whole multiples of the asset's increment, ``bid <= price <= ask``, ``bid < ask``, and all sizes are above zero."""
    prices = invented(seed)
    tick, asset = prices.tick(symbol, at), prices.asset(symbol)
    assert tick is not None
    assert asset is not None
    for price in (tick.price, tick.bid, tick.ask):
        assert Decimal(str(price)) % asset.price_increment == 0
    assert 0 < tick.bid <= tick.price <= tick.ask
    assert tick.bid < tick.ask < tick.bid * 1.01
    assert min(tick.size, tick.bid_size, tick.ask_size) >= 1


@settings(deadline=None, max_examples=50)
@given(SYMBOLS, WITHIN_SESSIONS, st.integers(0, 90 * SECOND_NS))
def test_the_questions_about_ticks_agree(symbol: str, after: int, length: int) -> None:
    """The next tick is the first of the ticks after a moment, and the latest tick the last of those up to it."""
    prices = SeededPrices(3, SESSIONS, ["ACME", "ACME/USD", "ZZZ"])
    ticks = list(prices.ticks(symbol, after, after + length))
    assert all(after < tick.timestamp_ns <= after + length for tick in ticks)
    assert all(earlier.timestamp_ns < later.timestamp_ns for earlier, later in pairwise(ticks))
    following = prices.next_tick_ns(symbol, after)
    if ticks:
        assert following == ticks[0].timestamp_ns
        assert prices.tick(symbol, after + length) == ticks[-1]
    else:
        assert following is None or following > after + length
        assert prices.tick(symbol, after + length) == prices.tick(symbol, after)


def test_a_second_without_end_has_a_tick() -> None:
    """Round the clock there is one tick a second, on the second."""
    ticks = list(invented().ticks("AAPL", MONDAY - 1, MONDAY + 5 * SECOND_NS))
    assert [tick.timestamp_ns - MONDAY for tick in ticks] == [second * SECOND_NS for second in range(6)]


def test_outside_the_hours_the_last_tick_stands() -> None:
    """Overnight the latest tick is that of the session's last second; the next one is the open's; before the first session is none."""
    prices = SeededPrices(1, SESSIONS)
    close, following = SESSIONS.closing(MONDAY), SESSIONS.opening(MONDAY + DAY_NS)
    overnight = prices.tick("AAPL", close + 3600 * SECOND_NS)
    assert overnight is not None
    assert overnight.timestamp_ns == close - SECOND_NS
    assert prices.next_tick_ns("AAPL", close - SECOND_NS) == following
    assert list(prices.ticks("AAPL", close - SECOND_NS, following - 1)) == []
    assert prices.tick("AAPL", MONDAY) is None
    assert prices.next_tick_ns("AAPL", MONDAY) == SESSIONS.opening(MONDAY)
    assert prices.next_tick_ns("AAPL", MONDAY + 3 * DAY_NS) is None


def test_bars_do_not_look_ahead() -> None:
    """A running bar knows nothing of ticks after now, and a later now changes only the bar that was running."""
    prices, minute = invented(), Timeframe.parse("1Min")
    now = MONDAY + 3 * MINUTE_NS + 20 * SECOND_NS
    early = rows_of(prices.columns("AAPL", minute, MONDAY, MONDAY + DAY_NS, now))
    late = rows_of(prices.columns("AAPL", minute, MONDAY, MONDAY + DAY_NS, now + DAY_NS))
    assert len(early) == 4
    assert early[:3] == late[:3]
    assert early[3][6] == 21
    assert late[3][6] == 60
    assert prices.columns("AAPL", minute, now + MINUTE_NS, now + DAY_NS, now).timestamp_ns.tolist() == []


def test_prices_are_the_same_everywhere() -> None:
    """The price of a moment never changes from one version, machine or process to the next."""
    tick = SeededPrices(42, AlwaysOpen(), ["ACME"]).tick("AAPL", MONDAY + 15 * 3600 * SECOND_NS + 7)
    assert tick == GOLDEN_AAPL
    program = f"""
from broker_demo.prices import SeededPrices
from broker_demo.trading_hours import AlwaysOpen
print(SeededPrices(42, AlwaysOpen(), ["ACME"]).tick("ACME", {MONDAY}))
"""
    for hash_seed in ("0", "1"):
        environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
        finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environ)
        assert finished.stdout == f"{GOLDEN_ACME}\n"


def test_a_tick_needs_no_numpy() -> None:
    """Single ticks are made where NumPy cannot be imported, and are the same there."""
    program = f"""
import sys
sys.modules["numpy"] = None
from broker_demo.prices import SeededPrices
from broker_demo.trading_hours import AlwaysOpen
prices = SeededPrices(42, AlwaysOpen())
print(prices.tick("AAPL", {MONDAY}), prices.next_tick_ns("AAPL", {MONDAY}), len(list(prices.ticks("AAPL", {MONDAY}, {MONDAY + MINUTE_NS}))))
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout == f"{SeededPrices(42, AlwaysOpen()).tick('AAPL', MONDAY)} {MONDAY + SECOND_NS} 60\n"


def test_the_order_of_questions_changes_nothing() -> None:
    """What was asked before leaves no trace in the answers."""
    moments = [MONDAY + minutes * MINUTE_NS for minutes in (0, 500_000, 64, 0, 200, 63, 500_001, 1)]
    prices = invented()
    together = [prices.tick("TSLA", moment) for moment in moments]
    assert together == [invented().tick("TSLA", moment) for moment in moments]


@pytest.mark.parametrize("symbol", ["AAPL", "SPY", "BTC/USD", "ACME"])
def test_volatility_is_believable(symbol: str) -> None:
    """Daily moves have about the deviation of the listing, the daily range is one to five percent, and the price is near its base."""
    prices = invented()
    columns = prices.columns(symbol, Timeframe.parse("1Day"), MONDAY - 300 * DAY_NS, MONDAY, MONDAY)
    expected = LISTINGS[symbol].daily_volatility if symbol in LISTINGS else 0.018
    assert 0.8 < np.diff(np.log(columns.close)).std() / expected < 1.2
    assert 0.01 < ((columns.high - columns.low) / columns.open).mean() < 0.06
    if symbol in LISTINGS:
        assert 0.4 < columns.close.mean() / float(LISTINGS[symbol].base_price) < 2.5


def test_symbols_and_seeds_move_apart() -> None:
    """Another symbol or another seed is another market."""
    minute = Timeframe.parse("1Min")
    series = [
        np.diff(np.log(invented(seed).columns(symbol, minute, MONDAY, MONDAY + 4 * DAY_NS, MONDAY + 5 * DAY_NS).close))
        for seed, symbol in ((1, "MSFT"), (1, "META"), (2, "MSFT"))
    ]
    correlations = np.corrcoef(series)
    assert abs(correlations[np.triu_indices(3, 1)]).max() < 0.1


def test_what_is_not_listed_has_nothing() -> None:
    """An unknown symbol has no asset, no tick and no bar."""
    prices = invented()
    assert prices.asset("NOPE") is None
    assert prices.tick("NOPE", MONDAY) is None
    assert prices.next_tick_ns("NOPE", MONDAY) is None
    assert list(prices.ticks("NOPE", MONDAY, MONDAY + DAY_NS)) == []
    assert rows_of(prices.columns("NOPE", Timeframe.parse("1Day"), MONDAY, MONDAY + DAY_NS, MONDAY + DAY_NS)) == []
    assert "NOPE" not in prices.symbols()


def test_extra_symbols_are_listed_with_a_price_of_their_own() -> None:
    """They get base prices between 20 and 400 that depend on the seed; a symbol already listed stays as it is."""
    prices = SeededPrices(1, AlwaysOpen(), ["ACME", "EMCA/USD", "AAPL"])
    assert set(prices.symbols()) == {*LISTINGS, "ACME", "EMCA/USD"}
    assert list(prices.symbols()) == sorted(prices.symbols())
    pair = prices.asset("EMCA/USD")
    assert pair is not None
    assert pair.asset_class == "crypto"
    assert prices.asset("AAPL") == LISTINGS["AAPL"].asset
    assert prices.tick("AAPL", MONDAY) == SeededPrices(1, AlwaysOpen()).tick("AAPL", MONDAY)
    opening = {seed: SeededPrices(seed, AlwaysOpen(), ["ACME"]).tick("ACME", MONDAY) for seed in range(8)}
    assert all(tick is not None and 20 / 3 < tick.price < 400 * 3 for tick in opening.values())
    assert len(set(opening.values())) == 8


def test_an_extra_symbol_that_no_order_could_name_is_refused() -> None:
    """A space in a symbol is found when the prices are made."""
    with pytest.raises(ConfigError, match="extra_symbols: symbol 'A B'"):
        SeededPrices(1, AlwaysOpen(), ["A B"])


GOLDEN_AAPL = Tick(timestamp_ns=1772463600000000000, price=227.18, size=60, bid=227.17, ask=227.19, bid_size=1439, ask_size=1371)
GOLDEN_ACME = Tick(timestamp_ns=1772409600000000000, price=243.36, size=144, bid=243.35, ask=243.36, bid_size=2793, ask_size=2812)
