"""Market data: bars as frames through a cache, quotes and snapshots as they are now."""

from __future__ import annotations

import asyncio
import threading
from array import array
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker_core.bar_download import Progress
from broker_core.clock import StillClock, to_ns
from broker_core.errors import NotSupported, RequestRefused, Unavailable, WireError
from broker_core.families import MarketDataSource
from broker_core.market_data import MarketData
from broker_core.models import (
    Asset,
    BarColumns,
    BarPage,
    BarQuery,
    Capabilities,
    MarketClock,
    MarketHours,
    Quote,
    Snapshot,
    Trade,
)
from broker_core.timeframe import Timeframe, Unit

NEW_YORK = ZoneInfo("America/New_York")
MINUTE_NS = 60_000_000_000
DTYPES = {
    "open": "float64",
    "high": "float64",
    "low": "float64",
    "close": "float64",
    "volume": "float64",
    "trade_count": "int64",
    "vwap": "float64",
}


def new_york(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=NEW_YORK)  # type: ignore[misc]  # year, month, day, hour, minute, second


def ns(*parts: int) -> int:
    return to_ns(new_york(*parts))


# A Tuesday at noon in New York, in the middle of a minute.
NOW = new_york(2026, 3, 10, 12, 0, 30)


class ScriptedSource:
    """A market of a few symbols whose every answer is known, and that notes what it was asked.

    Weekdays trade from 9:30 to 16:00 in New York. A symbol has the edges it was given, else one bar for every minute, hour or day of
    trading up to the clock's moment. A bar's numbers follow from its edge and its symbol.
    """

    def __init__(self, clock: StillClock, page_size: int = 10_000) -> None:
        self._clock = clock
        self.page_size = page_size
        self.queries: list[BarQuery] = []
        self.asked: list[tuple[str, tuple[Any, ...]]] = []
        self.edges: dict[str, Sequence[int]] = {"AAPL": (), "MSFT": ()}
        self.listed: dict[str, date] = {}
        self.inclusive_end = False
        self.failure: Exception | None = None
        self.entered = asyncio.Event()
        self.door = asyncio.Event()
        self.door.set()
        self.quoted: dict[str, Quote] = {}
        self.traded: dict[str, Trade] = {}
        self.is_open = True
        self.closed_days: set[date] = set()

    async def bars(self, query: BarQuery, token: str | None) -> BarPage:
        self.queries.append(query)
        self.entered.set()
        await self.door.wait()
        if self.failure is not None:
            raise self.failure
        for symbol in query.symbols:
            if symbol not in self.edges:
                raise RequestRefused(f"bars: no such symbol {symbol}", status=400)
        found = [(symbol, edge) for symbol in query.symbols for edge in self._edges(symbol, query)]
        first = int(token or 0)
        page = found[first : first + self.page_size]
        following = first + self.page_size
        return BarPage(
            columns={symbol: columns(symbol, [edge for name, edge in page if name == symbol]) for symbol in dict(page)},
            next_token=str(following) if following < len(found) else None,
        )

    def _edges(self, symbol: str, query: BarQuery) -> list[int]:
        start, end = to_ns(query.start), to_ns(query.end) + self.inclusive_end
        if self.edges[symbol]:
            return [edge for edge in self.edges[symbol] if start <= edge < end]
        end = min(end, self._clock.now_ns() + 1)
        found = []
        first = max(query.start.astimezone(NEW_YORK).date() - timedelta(days=1), self.listed.get(symbol, date(2000, 1, 1)))
        for day in self._days(first, min(query.end, self._clock.now()).astimezone(NEW_YORK).date()):
            edge = query.timeframe.floor(to_ns(day.open))
            while edge < to_ns(day.close):
                if start <= edge < end:
                    found.append(edge)
                edge = query.timeframe.following(edge)
        return sorted(set(found))

    def _days(self, start: date, end: date) -> list[MarketHours]:
        days = [start + timedelta(days=count) for count in range((end - start).days + 1)]
        return [
            MarketHours(
                day=day,
                open=new_york(day.year, day.month, day.day, 9, 30).astimezone(UTC),
                close=new_york(day.year, day.month, day.day, 16).astimezone(UTC),
            )
            for day in days
            if day.weekday() < 5 and day not in self.closed_days
        ]

    async def hours(self, start: date, end: date) -> Sequence[MarketHours]:
        self.asked.append(("hours", (start, end)))
        return self._days(start, end)

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        self.asked.append(("quotes", tuple(symbols)))
        self._refuse_unknown(symbols)
        return {symbol: self.quoted[symbol] for symbol in symbols if symbol in self.quoted}

    async def trades(self, symbols: Sequence[str]) -> Mapping[str, Trade]:
        self.asked.append(("trades", tuple(symbols)))
        self._refuse_unknown(symbols)
        return {symbol: self.traded[symbol] for symbol in symbols if symbol in self.traded}

    async def snapshots(self, symbols: Sequence[str]) -> Mapping[str, Snapshot]:
        self.asked.append(("snapshots", tuple(symbols)))
        self._refuse_unknown(symbols)
        return {symbol: Snapshot(symbol=symbol, quote=self.quoted.get(symbol)) for symbol in symbols if symbol != "MUTE"}

    async def clock(self) -> MarketClock:
        self.asked.append(("clock", ()))
        now = self._clock.now()
        return MarketClock(at=now, is_open=self.is_open, next_open=now + timedelta(hours=20), next_close=now + timedelta(hours=4))

    async def asset(self, symbol: str) -> Asset | None:
        self.asked.append(("asset", (symbol,)))
        return Asset(symbol=symbol, name=f"{symbol} Inc.") if symbol in self.edges else None

    async def assets(self) -> Sequence[Asset]:
        self.asked.append(("assets", ()))
        return [Asset(symbol=symbol, name=f"{symbol} Inc.") for symbol in self.edges]

    def _refuse_unknown(self, symbols: Sequence[str]) -> None:
        unknown = [symbol for symbol in symbols if symbol.startswith("NO")]
        if unknown:
            raise RequestRefused(f"no such symbol {', '.join(unknown)}", status=404)


def columns(symbol: str, edges: Sequence[int]) -> BarColumns:
    """Prices whose whole part is the minute of the edge and whose fraction is the column's, shifted by the symbol's first letter."""
    minutes = [float(edge // MINUTE_NS % 10_000 + ord(symbol[0]) * 10_000) for edge in edges]
    floats = {
        name: array("d", [minute + place / 10 for minute in minutes])
        for place, name in enumerate(("open", "high", "low", "close", "volume", "vwap"))
    }
    return BarColumns(timestamp_ns=array("q", edges), trade_count=array("q", [int(minute) for minute in minutes]), **floats)


@pytest.fixture
def clock() -> StillClock:
    return StillClock(NOW)


@pytest.fixture
def source(clock: StillClock) -> ScriptedSource:
    return ScriptedSource(clock)


Make = Callable[..., MarketData]


@pytest.fixture
def make(clock: StillClock, source: ScriptedSource) -> Make:
    def build(**changes: Any) -> MarketData:
        arguments: dict[str, Any] = {
            "clock": clock,
            "provenance": {"broker": "scripted", "mode": "http", "environment": "paper"},
            "capabilities": Capabilities(timeframes=frozenset({"Min", "Hour", "Day", "Week", "Month"})),
            **changes,
        }
        return MarketData(source, **arguments)

    return build


@pytest.fixture
def data(make: Make) -> MarketData:
    return make()


def check_schema(frame: pd.DataFrame, *, several: bool = False) -> None:
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == DTYPES
    assert list(frame.columns) == list(DTYPES)
    if several:
        assert frame.index.names == ["symbol", "timestamp"]
        assert frame.index.levels[1].dtype == pd.DatetimeTZDtype("ns", "UTC")  # type: ignore[attr-defined]  # a MultiIndex
        assert frame.index.levels[0].dtype == pd.Index(["A"], dtype="str").dtype  # type: ignore[attr-defined]
    else:
        assert frame.index.name == "timestamp"
        assert frame.index.dtype == pd.DatetimeTZDtype("ns", "UTC")


def edges(frame: pd.DataFrame) -> list[int]:
    return [moment.value for moment in frame.index.get_level_values("timestamp")]


def days(frame: pd.DataFrame) -> list[str]:
    return [moment.tz_convert(NEW_YORK).strftime("%m-%d") for moment in frame.index.get_level_values("timestamp")]


def test_scripted_source_keeps_the_contract(source: ScriptedSource):
    """The source of these tests has every method that a broker's source must have."""
    assert isinstance(source, MarketDataSource)


class TestFrames:
    async def test_daily_bars(self, data: MarketData):
        """Bars come as one frame of the fixed schema, oldest first, each number in its column."""
        frame = await data.bars("AAPL", "1Day", start="2026-03-04", end="2026-03-10")

        check_schema(frame)
        assert days(frame) == ["03-04", "03-05", "03-06", "03-09"]
        expected = columns("AAPL", edges(frame))
        for name in DTYPES:
            assert frame[name].tolist() == list(getattr(expected, name))

    async def test_several_symbols(self, data: MarketData):
        """Several symbols stand one under the other, sorted, whatever order they were asked for in."""
        frame = await data.bars(["MSFT", "AAPL", "MSFT"], "1Day", days=2)

        check_schema(frame, several=True)
        assert [symbol for symbol, _ in frame.index] == ["AAPL", "AAPL", "MSFT", "MSFT"]
        assert frame.loc["MSFT", "open"].tolist() == list(columns("MSFT", edges(frame)[:2]).open)

    async def test_shape_follows_from_the_argument(self, data: MarketData):
        """A list gives rows by symbol however many are in it; a text gives rows by time."""
        flat, stacked = await data.bars("AAPL", "1Day", days=2), await data.bars(["AAPL"], "1Day", days=2)

        check_schema(flat)
        check_schema(stacked, several=True)
        pd.testing.assert_frame_equal(stacked.loc["AAPL"], flat, check_freq=False)
        assert data.cache.flights == 1

    @pytest.mark.parametrize("symbols", ["AAPL", ["AAPL"], ["AAPL", "MSFT"]])
    async def test_nothing_has_the_same_schema(self, data: MarketData, symbols: Any):
        """A range without bars gives a frame without rows and of the same schema."""
        frame = await data.bars(symbols, "1Min", start=new_york(2026, 3, 7), end=new_york(2026, 3, 8))

        check_schema(frame, several=symbols != "AAPL")
        assert len(frame) == 0
        assert frame.attrs["broker"] == "scripted"

    async def test_symbol_without_bars_has_no_rows(self, data: MarketData, source: ScriptedSource):
        """Among several symbols, one without bars is left out of the rows, not of the attributes."""
        source.edges["OLD"] = (5,)

        frame = await data.bars(["AAPL", "OLD"], "1Day", start="2026-03-04")

        assert set(frame.index.get_level_values("symbol")) == {"AAPL"}
        assert frame.attrs["symbols"] == ["AAPL", "OLD"]

    async def test_provenance(self, data: MarketData, clock: StillClock):
        """A frame says where it is from, what was asked, and when the broker was asked, which for a kept answer is not now."""
        first = await data.bars("AAPL", "1Day", days=2)
        await clock.advance(10)
        second = await data.bars("AAPL", "1Day", days=2)

        assert first.attrs == second.attrs
        assert first.attrs == {
            "broker": "scripted",
            "mode": "http",
            "environment": "paper",
            "symbols": ["AAPL"],
            "timeframe": "1Day",
            "retrieved_at": "2026-03-10T16:00:30+00:00",
        }

    async def test_age_counts_from_the_question(self, data: MarketData, source: ScriptedSource, clock: StillClock):
        """A frame that was long on its way is as old as its request."""
        source.door.clear()
        asked = asyncio.create_task(data.bars("AAPL", "1Day", start="2026-03-02"))
        await source.entered.wait()
        await clock.advance(20)
        source.door.set()

        assert (await asked).attrs["retrieved_at"] == "2026-03-10T16:00:30+00:00"

    async def test_ohlcv(self, data: MarketData):
        """Indicator code gets exactly open, high, low, close and volume, and the frame's provenance, out of the same request."""
        frame, whole = await data.ohlcv("AAPL", "1Day", days=3), await data.bars("AAPL", "1Day", days=3)

        assert list(frame.columns) == ["open", "high", "low", "close", "volume"]
        assert {str(dtype) for dtype in frame.dtypes} == {"float64"}
        pd.testing.assert_frame_equal(frame, whole[["open", "high", "low", "close", "volume"]])
        assert frame.attrs == whole.attrs
        assert data.cache.flights == 1
        frame.loc[:, "close"] = 0.0
        assert (await data.ohlcv("AAPL", "1Day", days=3))["close"].tolist() == whole["close"].tolist()

    @pytest.mark.parametrize("symbols", ["AAPL", ["AAPL"], ["AAPL", "MSFT"]])
    async def test_every_caller_has_a_frame_of_its_own(self, data: MarketData, symbols: Any):
        """What one caller writes into a frame, its attributes or its index is not in the next one's."""
        first = await data.bars(symbols, "1Day", days=5)
        untouched = first.copy(deep=True)
        untouched.attrs = {**first.attrs, "symbols": list(first.attrs["symbols"])}

        first.iloc[:, :] = 0
        first["mine"] = 1
        first.attrs["symbols"].append("GONE")
        first.attrs["broker"] = "nobody"
        first.index.names = [None] * first.index.nlevels

        second = await data.bars(symbols, "1Day", days=5)
        pd.testing.assert_frame_equal(second, untouched)
        assert second.attrs == untouched.attrs
        assert data.cache.hits == 1

    async def test_callers_of_one_flight_do_not_share(self, data: MarketData):
        """Callers who waited for the same request may write to their frames too."""
        one, other = await asyncio.gather(data.bars("AAPL", "1Day", days=5), data.bars("AAPL", "1Day", days=5))
        before = other.copy(deep=True)

        one.iloc[:, 0] = -1.0

        pd.testing.assert_frame_equal(other, before)

    async def test_long_work_leaves_the_loop(self, data: MarketData, source: ScriptedSource, monkeypatch: pytest.MonkeyPatch):
        """Joining many bars, and the first frame, which loads pandas, happen in a thread; a small later one does not."""
        from broker_core import frames

        threads: list[bool] = []
        to_frame = frames.to_frame

        def watched(bars: frames.BarArrays) -> pd.DataFrame:
            threads.append(threading.current_thread() is threading.main_thread())
            return to_frame(bars)

        join = frames.join
        joins: list[bool] = []

        def watched_join(*arguments: Any) -> dict[str, frames.BarArrays]:
            joins.append(threading.current_thread() is threading.main_thread())
            return join(*arguments)

        monkeypatch.setattr(frames, "to_frame", watched)
        monkeypatch.setattr(frames, "join", watched_join)
        source.edges["MSFT"] = range(ns(2026, 2, 1), ns(2026, 2, 20), MINUTE_NS)

        await data.bars("AAPL", "1Day", days=2)
        await data.bars("AAPL", "1Day", days=3)
        await data.bars("MSFT", "1Min", start="2026-02-01", end="2026-03-01")

        assert joins == [False, True, False]
        assert threads[-1] is False


class TestRange:
    @pytest.mark.parametrize(
        ("timeframe", "wish", "first", "last", "count"),
        [
            ("1Day", {"days": 1}, (2026, 3, 10), (2026, 3, 10), 1),
            ("1Day", {"days": 5}, (2026, 3, 4), (2026, 3, 10), 5),
            ("1Day", {"days": 252}, (2025, 3, 24), (2026, 3, 10), 252),
            ("1Day", {"limit": 3}, (2026, 3, 6), (2026, 3, 10), 3),
            ("1Day", {}, (2025, 10, 22), (2026, 3, 10), 100),
            ("1Day", {"start": "2026-03-09"}, (2026, 3, 9), (2026, 3, 10), 2),
            ("1Day", {"start": "2026-03-02", "limit": 3}, (2026, 3, 6), (2026, 3, 10), 3),
            ("1Day", {"start": "2026-03-09", "limit": 30}, (2026, 3, 9), (2026, 3, 10), 2),
            ("1Day", {"end": "2026-03-10", "days": 2}, (2026, 3, 6), (2026, 3, 9), 2),
            ("1Day", {"end": "2026-03-08", "limit": 2}, (2026, 3, 5), (2026, 3, 6), 2),
            ("1Day", {"end": "2030-01-01", "days": 2}, (2026, 3, 9), (2026, 3, 10), 2),
            ("1Min", {"days": 1}, (2026, 3, 10, 9, 30), (2026, 3, 10, 12, 0), 151),
            ("1Min", {"days": 3}, (2026, 3, 6, 9, 30), (2026, 3, 10, 12, 0), 151 + 780),
            ("1Min", {"limit": 1}, (2026, 3, 10, 12, 0), (2026, 3, 10, 12, 0), 1),
            ("1Min", {"limit": 500}, (2026, 3, 9, 10, 11), (2026, 3, 10, 12, 0), 500),
            ("1Min", {"days": 2, "limit": 10}, (2026, 3, 10, 11, 51), (2026, 3, 10, 12, 0), 10),
            ("1Min", {"days": 1, "limit": 500}, (2026, 3, 10, 9, 30), (2026, 3, 10, 12, 0), 151),
            ("1Min", {"days": 1, "end": new_york(2026, 3, 9, 9, 30)}, (2026, 3, 6, 9, 30), (2026, 3, 6, 15, 59), 390),
            ("1Min", {"days": 1, "end": new_york(2026, 3, 9, 9, 31)}, (2026, 3, 9, 9, 30), (2026, 3, 9, 9, 30), 1),
            ("1Hour", {"days": 2}, (2026, 3, 9, 9), (2026, 3, 10, 12), 11),
            ("1Week", {"limit": 2}, (2026, 3, 2), (2026, 3, 9), 2),
            ("1Week", {"days": 5}, (2026, 3, 2), (2026, 3, 9), 2),
            ("1Month", {"limit": 3}, (2026, 1, 1), (2026, 3, 1), 3),
        ],
    )
    async def test_what_is_meant(
        self, data: MarketData, timeframe: str, wish: dict[str, Any], first: tuple[int, ...], last: tuple[int, ...], count: int
    ):
        """Each way of naming a range gives its bars, the running one included, and not one besides."""
        frame = await data.bars("AAPL", timeframe, **wish)

        assert (edges(frame)[0], edges(frame)[-1], len(frame)) == (ns(*first), ns(*last), count)

    @pytest.mark.parametrize(
        ("now", "first"),
        [
            ((2026, 3, 10, 9, 29), (2026, 3, 9)),
            ((2026, 3, 10, 9, 30), (2026, 3, 10)),
            ((2026, 3, 8, 12), (2026, 3, 6)),
            ((2026, 3, 10, 23, 59), (2026, 3, 10)),
        ],
    )
    async def test_a_trading_day_counts_once_it_has_begun(
        self, make: Make, source: ScriptedSource, now: tuple[int, ...], first: tuple[int, ...]
    ):
        """Before the opening, the most recent trading day is the one before."""
        clock = StillClock(new_york(*now))
        source._clock = clock

        data = make(clock=clock)

        assert (await data.bars("AAPL", "1Min", days=1)).index[0] == pd.Timestamp(new_york(*first, 9, 30))
        assert (await data.bars("AAPL", "1Min", days=1, end="2026-03-20")).index[0] == pd.Timestamp(new_york(*first, 9, 30))

    async def test_one_request_is_enough(self, data: MarketData, source: ScriptedSource):
        """With every bar in place, a number of bars needs one request for them and one for the trading days."""
        await data.bars("AAPL", "1Min", limit=200)

        assert len(source.queries) == 1
        assert (source.queries[0].start, source.queries[0].end) == (new_york(2026, 3, 9, 15, 11), new_york(2026, 3, 10, 12, 1))
        assert [what for what, _ in source.asked] == ["hours"]

    async def test_symbols_that_trade_seldom(self, data: MarketData, source: ScriptedSource):
        """The last bars of a symbol that trades seldom are found however far back; the others are not asked for again."""
        source.edges["RARE"] = [ns(2019, 5, 6, 10), ns(2025, 5, 6, 10), ns(2026, 3, 9, 11)]

        frame = await data.bars(["AAPL", "RARE"], "1Min", limit=3)

        assert edges(frame.loc[["RARE"]]) == source.edges["RARE"]
        assert len(frame.loc["AAPL"]) == 3
        assert [query.symbols for query in source.queries[:2]] == [("AAPL", "RARE"), ("RARE",)]
        assert all(later.end == earlier.start for earlier, later in zip(source.queries[1:], source.queries[2:], strict=False))

    async def test_young_symbol(self, data: MarketData, source: ScriptedSource):
        """A symbol with fewer bars than asked for gives what there is, after a bounded search."""
        source.edges["NEW"] = ()
        source.listed["NEW"] = date(2026, 3, 5)

        frame = await data.bars("NEW", "1Day", days=252)

        assert days(frame) == ["03-05", "03-06", "03-09", "03-10"]
        assert len(source.queries) < 10

    async def test_a_start_is_never_passed(self, data: MarketData, source: ScriptedSource):
        """With a start, a number of bars does not reach back before it."""
        await data.bars("AAPL", "1Min", start=new_york(2026, 3, 10, 11, 55), limit=1000)

        assert [query.start for query in source.queries] == [new_york(2026, 3, 10, 11, 55)]

    async def test_numbers_beyond_all_bounds(self, data: MarketData, source: ScriptedSource):
        """However many bars are asked for, the search ends in 1970; where the end lies before that, in 1900."""
        source.edges["AAPL"] = [ns(1930, 1, 2), ns(1980, 1, 2), ns(2020, 1, 2)]

        assert edges(await data.bars("AAPL", "1Day", limit=10**9)) == source.edges["AAPL"][1:]
        assert min(query.start for query in source.queries) == datetime(1970, 1, 1, tzinfo=UTC)
        assert edges(await data.bars("AAPL", "1Day", limit=10**9, end="1940-01-01")) == source.edges["AAPL"][:1]

    async def test_market_that_never_closes(self, make: Make, source: ScriptedSource):
        """Where no trading days are known, a day is a day of the calendar."""
        source.edges["BTC/USD"] = range(ns(2026, 3, 1), ns(2026, 3, 10, 12, 1), MINUTE_NS)
        source._days = lambda start, end: []  # type: ignore[method-assign]

        frame = await make().bars("BTC/USD", "1Min", days=2)

        assert len(frame) == 2 * 1440

    async def test_holidays(self, data: MarketData, source: ScriptedSource):
        """Days without trading are not counted."""
        source.closed_days = {date(2026, 3, 9)}

        assert days(await data.bars("AAPL", "1Day", days=3)) == ["03-05", "03-06", "03-10"]
        assert len(await data.bars("AAPL", "1Min", limit=160)) == 160
        assert source.queries[-1].start == new_york(2026, 3, 6, 15, 51)

    @settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        held=st.lists(st.integers(0, 3000), min_size=1, max_size=60, unique=True).map(sorted),
        start=st.integers(0, 3000),
        length=st.integers(1, 3000),
        limit=st.none() | st.integers(1, 80),
        page_size=st.integers(1, 7),
        concurrency=st.integers(1, 9),
        inclusive=st.booleans(),
    )
    def test_exactly_what_lies_in_the_range(
        self, held: list[int], start: int, length: int, limit: int | None, page_size: int, concurrency: int, inclusive: bool
    ):
        """Over any gaps, page sizes and shards, a range gives every bar in it once, and its last ones with a limit."""

        async def run() -> None:
            clock = StillClock(NOW)
            source = ScriptedSource(clock, page_size=page_size)
            source.inclusive_end = inclusive
            # An hour apart, so that the range is worth several shards.
            base = ns(2024, 1, 1)
            source.edges["AAPL"] = [base + hour * 60 * MINUTE_NS for hour in held]
            data = MarketData(
                source,
                clock=clock,
                provenance={},
                capabilities=Capabilities(timeframes=frozenset({"Min"})),
                concurrency=concurrency,
            )
            first, last = base + start * 60 * MINUTE_NS, base + (start + length) * 60 * MINUTE_NS
            frame = await data.bars(
                "AAPL",
                "1Min",
                start=datetime.fromtimestamp(first / 1e9, UTC),
                end=datetime.fromtimestamp(last / 1e9, UTC),
                limit=limit,
            )
            expected = [edge for edge in source.edges["AAPL"] if first <= edge < last]
            assert edges(frame) == (expected if limit is None else expected[-limit:])

        asyncio.run(run())


class TestRefusals:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"symbols": []},
            {"start": "2026-03-03", "end": "2026-03-02"},
            {"start": datetime(2026, 3, 2)},  # noqa: DTZ001  # that is the point
            {"start": "2026-04-01"},
            {"days": 0},
            {"limit": -1},
            {"timeframe": "1Decade"},
        ],
    )
    async def test_nonsense_is_never_sent(self, data: MarketData, source: ScriptedSource, wrong: dict[str, Any]):
        """What makes no sense is a ValueError before anything is sent."""
        with pytest.raises(ValueError, match=r"^\w+: "):
            await data.bars(**{"symbols": "AAPL", "timeframe": "1Day", **wrong})

        assert source.queries == source.asked == []

    @pytest.mark.parametrize(("served", "timeframe"), [({"Day"}, "1Min"), ({"Min", "Hour"}, "1Day"), (set(), "1Day")])
    async def test_timeframe_the_broker_does_not_serve(self, make: Make, source: ScriptedSource, served: set[str], timeframe: str):
        """A unit that is not among the broker's capabilities is refused before anything is sent."""
        data = make(capabilities=Capabilities(timeframes=frozenset(served)))

        with pytest.raises(NotSupported, match=f"timeframe: scripted serves no {timeframe} bars"):
            await data.bars("AAPL", timeframe, days=1)

        assert source.queries == source.asked == []

    async def test_no_requests_at_once(self, make: Make):
        """A concurrency below one could send nothing."""
        with pytest.raises(ValueError, match="concurrency: 0 is below one"):
            make(concurrency=0)

    async def test_unknown_symbol(self, data: MarketData):
        """The broker's refusal of a symbol reaches the caller as it is."""
        with pytest.raises(RequestRefused, match="no such symbol NOPE") as caught:
            await data.bars(["AAPL", "NOPE"], "1Day", days=3)

        assert caught.value.status == 400

    async def test_failed_shard_fails_the_call(self, data: MarketData, source: ScriptedSource):
        """A long request of which one part fails raises that part's error, not a group, and keeps nothing."""
        source.failure = Unavailable("the line is down")

        with pytest.raises(Unavailable, match="the line is down"):
            await data.bars("AAPL", "1Min", start="2024-01-01")

        source.failure = None
        assert len(await data.bars("AAPL", "1Min", start="2026-03-10")) == 151

    async def test_bars_that_go_back(self, data: MarketData, source: ScriptedSource):
        """Bars out of order are an error of the wire, not a frame out of order."""
        source.edges["AAPL"] = [ns(2026, 3, 5, 10), ns(2026, 3, 4, 10)]

        with pytest.raises(WireError, match="AAPL goes back in time"):
            await data.bars("AAPL", "1Min", start="2026-03-02")


class TestCaching:
    async def test_hundred_callers_one_request(self, data: MarketData, source: ScriptedSource):
        """A hundred strategies that ask for the same bars at once cost one request."""
        frames = await asyncio.gather(*(data.bars(["AAPL", "MSFT"], "1Day", start="2026-03-02") for _ in range(100)))

        assert len(source.queries) == 1
        assert len({id(frame) for frame in frames}) == 100
        assert (data.cache.misses, data.cache.flights) == (100, 1)

    @pytest.mark.parametrize(
        ("one", "other", "requests"),
        [
            ({}, {}, 1),
            ({"symbols": "AAPL"}, {"symbols": ["AAPL"]}, 1),
            ({"symbols": ["AAPL", "MSFT"]}, {"symbols": ("MSFT", "AAPL")}, 1),
            ({"start": date(2026, 3, 2)}, {"start": new_york(2026, 3, 2)}, 1),
            ({"timeframe": "1Day"}, {"timeframe": Timeframe(1, Unit.DAY)}, 1),
            ({"symbols": "AAPL"}, {"symbols": "MSFT"}, 2),
            ({"symbols": "AAPL"}, {"symbols": ["AAPL", "MSFT"]}, 2),
            ({"timeframe": "1Day"}, {"timeframe": "1Hour"}, 2),
            ({"start": date(2026, 3, 2)}, {"start": date(2026, 3, 3)}, 2),
            ({"end": None}, {"end": date(2026, 3, 9)}, 2),
            ({"limit": None}, {"limit": 2}, 2),
        ],
    )
    async def test_what_is_the_same(
        self, data: MarketData, source: ScriptedSource, one: dict[str, Any], other: dict[str, Any], requests: int
    ):
        """Requests that mean the same share an answer, those that differ in anything do not."""
        common = {"symbols": "AAPL", "timeframe": "1Day", "start": date(2026, 3, 2)}
        await data.bars(**{**common, **one})
        await data.bars(**{**common, **other})

        assert data.cache.flights == requests
        assert len(source.queries) == requests

    @pytest.mark.parametrize(("wait", "requests"), [(29, 1), (30, 2), (34, 2)])
    async def test_never_a_stale_last_bar(self, data: MarketData, source: ScriptedSource, clock: StillClock, wait: int, requests: int):
        """An answer with a running minute bar serves to the end of that minute, and the next one has the next bar."""
        await data.bars("AAPL", "1Min", limit=5)

        await clock.advance(wait)
        frame = await data.bars("AAPL", "1Min", limit=5)

        assert len(source.queries) == requests
        assert edges(frame)[-1] == clock.now_ns() // MINUTE_NS * MINUTE_NS

    async def test_bar_published_late_is_not_missed_for_a_minute(self, data: MarketData, source: ScriptedSource, clock: StillClock):
        """Asked right at the edge, before the broker has published the bar that ended, the next call soon after asks again."""
        source.edges["AAPL"] = [ns(2026, 3, 10, 11, 59)]
        await clock.advance(30.5)
        assert len(await data.bars("AAPL", "1Min", start="2026-03-10")) == 1

        source.edges["AAPL"] = [ns(2026, 3, 10, 11, 59), ns(2026, 3, 10, 12, 0)]
        await clock.advance(5)

        assert len(await data.bars("AAPL", "1Min", start="2026-03-10")) == 2

    @pytest.mark.parametrize(("wait", "requests"), [(59, 1), (60, 2)])
    async def test_sixty_seconds(self, data: MarketData, source: ScriptedSource, clock: StillClock, wait: int, requests: int):
        """Where no edge comes first, an answer serves for less than sixty seconds."""
        await data.bars("AAPL", "1Min", start="2026-03-02", end="2026-03-03")

        await clock.advance(wait)
        await data.bars("AAPL", "1Min", start="2026-03-02", end="2026-03-03")

        assert len(source.queries) == requests

    async def test_flight_over_an_edge_is_not_joined_after_it(self, data: MarketData, source: ScriptedSource, clock: StillClock):
        """Who asks in the new minute is not given bars that were asked for in the old one."""
        source.door.clear()
        old = asyncio.create_task(data.bars("AAPL", "1Min", start="2026-03-10"))
        await clock.advance(31)
        new = asyncio.create_task(data.bars("AAPL", "1Min", start="2026-03-10"))
        await clock.advance(0)
        source.door.set()
        await asyncio.wait((old, new))

        assert len(source.queries) == 2
        assert source.queries[0].end < source.queries[1].end

    async def test_switched_off(self, make: Make, source: ScriptedSource):
        """Without a cache every call is a request, for trading hours and assets too."""
        data = make(cache_seconds=0)
        for _ in range(2):
            await data.bars("AAPL", "1Day", start="2026-03-02")
            await data.hours(date(2026, 3, 2), date(2026, 3, 3))
            await data.asset("AAPL")

        assert len(source.queries) == 2
        assert [what for what, _ in source.asked] == ["hours", "asset"] * 2

    async def test_cancelled_caller_does_not_stop_the_others(self, data: MarketData, source: ScriptedSource):
        """One of two callers may give up without harm to the other."""
        source.door.clear()
        one, other = (asyncio.create_task(data.bars("AAPL", "1Day", start="2026-03-02")) for _ in range(2))
        await source.entered.wait()
        one.cancel()
        await asyncio.wait((one,))
        source.door.set()

        assert len(await other) == 7
        assert one.cancelled()


class TestConcurrency:
    async def test_gate_is_shared_by_all_calls(self, make: Make, source: ScriptedSource):
        """All calls of one object together keep within its number of requests."""
        data = make(concurrency=3)
        source.door.clear()
        calls = [asyncio.create_task(data.bars("AAPL", "1Min", start=f"2024-01-0{day}", end="2026-01-01")) for day in (1, 2, 3)]
        for _ in range(50):
            await asyncio.sleep(0)
        started = len(source.queries)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)

        assert started == 3

    async def test_progress(self, make: Make, source: ScriptedSource):
        """A download tells its own callback, else the object's; a kept answer tells nothing."""
        usual: list[Progress] = []
        mine: list[Progress] = []
        data = make(progress=usual.append)

        await data.bars("AAPL", "1Min", start="2026-03-02", progress=mine.append)
        await data.bars("AAPL", "1Min", start="2026-03-02", progress=mine.append)
        told = len(mine)
        await data.bars("MSFT", "1Min", start="2026-03-02")

        assert (mine[0].done, mine[-1].done, mine[-1].bars) == (0, mine[-1].total, 6 * 390 + 151)
        assert told == len(mine) == len(usual) == 2


class TestPresent:
    @pytest.fixture(autouse=True)
    def _prices(self, source: ScriptedSource) -> None:
        source.quoted = {
            "AAPL": Quote("AAPL", 1, 99.0, 1.0, 101.0, 2.0),
            "MSFT": Quote("MSFT", 1, 49.0, 1.0, 52.0, 2.0),
            "ONE": Quote("ONE", 1, 0.0, 0.0, 7.0, 1.0),
        }
        source.traded = {
            "AAPL": Trade("AAPL", 1, 100.5, 10.0),
            "ZERO": Trade("ZERO", 1, 0.0, 1.0),
            "NAN": Trade("NAN", 1, float("nan"), 1.0),
        }

    async def test_quotes(self, data: MarketData):
        """Quotes come by symbol; those that have none are left out."""
        assert sorted(await data.quotes(["MSFT", "AAPL", "ELSE"])) == ["AAPL", "MSFT"]
        assert (await data.quote("AAPL")).ask_price == 101.0

    async def test_snapshots(self, data: MarketData):
        """Snapshots come by symbol, a single one as it is."""
        assert set(await data.snapshots("AAPL")) == {"AAPL"}
        assert (await data.snapshot("MSFT")).quote == Quote("MSFT", 1, 49.0, 1.0, 52.0, 2.0)

    @pytest.mark.parametrize("call", ["quote", "snapshot", "quotes", "snapshots", "latest_prices"])
    async def test_unknown_symbol(self, data: MarketData, call: str):
        """The broker's refusal of a symbol names it."""
        with pytest.raises(RequestRefused, match="no such symbol NOPE"):
            await getattr(data, call)("NOPE")

    @pytest.mark.parametrize("call", ["quote", "snapshot"])
    async def test_symbol_without_any(self, data: MarketData, call: str):
        """A symbol the broker knows, but has nothing of, is an error that names it too."""
        with pytest.raises(RequestRefused, match=f"{call}: the broker has none of MUTE"):
            await getattr(data, call)("MUTE")

    async def test_latest_prices(self, data: MarketData, source: ScriptedSource):
        """The last trade's price, else the middle of the quote, else nothing; quotes are asked for only where needed."""
        prices = await data.latest_prices(["AAPL", "MSFT", "ONE", "ZERO", "NAN", "ELSE"])

        assert prices == {"AAPL": 100.5, "MSFT": 50.5}
        assert source.asked[-1] == ("quotes", ("ELSE", "MSFT", "NAN", "ONE", "ZERO"))

        assert await data.latest_prices("AAPL") == {"AAPL": 100.5}
        assert source.asked[-1] == ("trades", ("AAPL",))

    async def test_many_symbols_are_asked_for_in_groups(self, data: MarketData, source: ScriptedSource):
        """No request names more than a hundred symbols, and none is lost."""
        names = [f"S{number:03}" for number in range(250)]

        found = await data.snapshots(names)

        assert sorted(found) == names
        assert max(len(symbols) for _, symbols in source.asked) <= 100
        assert len(source.asked) == 3

    @pytest.mark.parametrize("call", ["quotes", "snapshots", "latest_prices"])
    async def test_nobody(self, data: MarketData, source: ScriptedSource, call: str):
        """The present of no symbol is not asked for."""
        with pytest.raises(ValueError, match="symbols: none given"):
            await getattr(data, call)([])

        assert source.asked == []

    async def test_present_is_always_asked_for(self, data: MarketData, source: ScriptedSource):
        """Prices and the market's clock are never out of a cache."""
        for _ in range(2):
            await data.quote("AAPL")
            await data.snapshot("AAPL")
            await data.latest_prices("AAPL")
            await data.is_open()

        assert [what for what, _ in source.asked] == ["quotes", "snapshots", "trades", "clock"] * 2

    async def test_writing_to_an_answer(self, data: MarketData):
        """The mappings handed out are the caller's own."""
        (await data.quotes(["AAPL"])).clear()

        assert set(await data.quotes(["AAPL"])) == {"AAPL"}


class TestReference:
    @pytest.mark.parametrize("is_open", [True, False])
    async def test_is_open(self, data: MarketData, source: ScriptedSource, is_open: bool):
        """The market's state is the broker's word."""
        source.is_open = is_open

        assert await data.is_open() is is_open
        assert (await data.clock()).is_open is is_open

    async def test_hours(self, data: MarketData, source: ScriptedSource, clock: StillClock):
        """Trading days are listed with both ends, as something nobody can write to, and kept for ten minutes."""
        found = await data.hours("2026-03-06", date(2026, 3, 9))

        assert [day.day for day in found] == [date(2026, 3, 6), date(2026, 3, 9)]
        assert isinstance(found, tuple)
        await clock.advance(599)
        await data.hours(date(2026, 3, 6), date(2026, 3, 9))
        assert len(source.asked) == 1
        await clock.advance(1)
        await data.hours(date(2026, 3, 6), date(2026, 3, 9))
        assert len(source.asked) == 2

    async def test_hours_the_wrong_way_round(self, data: MarketData):
        """A range that ends before it starts is refused; one of a single day is not."""
        with pytest.raises(ValueError, match="start: 2026-03-07 is after end 2026-03-06"):
            await data.hours("2026-03-07", "2026-03-06")

        assert len(await data.hours("2026-03-06", "2026-03-06")) == 1

    async def test_asset(self, data: MarketData, source: ScriptedSource):
        """An asset is described, or None, and either answer is kept."""
        for _ in range(2):
            asset = await data.asset("AAPL")
            assert asset is not None
            assert asset.name == "AAPL Inc."
            assert await data.asset("NOPE") is None
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            asset.name = "mine"  # type: ignore[misc]

        assert len(source.asked) == 2

    async def test_assets(self, data: MarketData, source: ScriptedSource):
        """All that can be traded is listed as something nobody can write to, and the list is kept."""
        found = await data.assets()

        assert [asset.symbol for asset in found] == ["AAPL", "MSFT"]
        assert isinstance(found, tuple)
        assert await data.assets() is found
        assert source.asked == [("assets", ())]

    async def test_assets_of_a_broker_that_lists_none(self, data: MarketData, source: ScriptedSource):
        """Where a broker has no list, that is said before anything is asked."""
        source.assets = None  # type: ignore[assignment,method-assign]  # a source without the method

        with pytest.raises(NotSupported, match=r"assets: .* does not list what it trades"):
            await data.assets()
