"""Bars as frames: one schema, whatever was asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker_core.bar_download import Progress
from broker_core.errors import RequestRefused
from broker_core.models import BarQuery
from broker_core.testing.contract.suite import Suite
from broker_core.testing.contract.trader import Trader
from broker_core.timeframe import Timeframe, Unit

COLUMNS = {
    "open": "float64",
    "high": "float64",
    "low": "float64",
    "close": "float64",
    "volume": "float64",
    "trade_count": "int64",
    "vwap": "float64",
}
EVERY = [Timeframe.parse(text) for text in ("1Min", "15Min", "1Hour", "1Day", "1Week", "1Month")]


def check_schema(frame: Any) -> None:
    """Columns, dtypes and index of a frame of one symbol. Raises AssertionError."""
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == COLUMNS
    assert list(frame.columns) == list(COLUMNS)
    assert frame.index.name == "timestamp"
    assert str(frame.index.dtype) == "datetime64[ns, UTC]"
    assert frame.index.is_monotonic_increasing
    assert frame.index.is_unique


class TestBars(Suite):
    """Schema, bounds, several symbols, pages, and where it all is from."""

    def _finest(self, trader: Trader) -> Timeframe:
        """The shortest timeframe that the broker declares."""
        _ = trader.market_data
        declared = [timeframe for timeframe in EVERY if trader.can(timeframe.unit)]
        if not declared:
            trader.needs(Unit.MINUTE)
        return declared[0]

    async def _some(self, trader: Trader, limit: int = 20, **terms: Any) -> Any:
        return await trader.market_data.bars(trader.subject.symbol, self._finest(trader), limit=limit, **terms)

    @pytest.mark.parametrize("timeframe", EVERY, ids=str)
    async def test_every_timeframe_has_the_same_schema(self, trader: Trader, timeframe: Timeframe) -> None:
        """Seven columns, a UTC index of nanoseconds, sorted, no edge twice."""
        data = trader.market_data
        trader.needs(timeframe.unit)
        frame = await data.bars(trader.subject.symbol, timeframe, limit=5)
        check_schema(frame)
        assert len(frame) == 5

    @pytest.mark.parametrize("timeframe", EVERY, ids=str)
    async def test_left_edges_lie_where_the_timeframe_says(self, trader: Trader, timeframe: Timeframe) -> None:
        """Every bar begins at an edge of its own."""
        data = trader.market_data
        trader.needs(timeframe.unit)
        frame: Any = await data.bars(trader.subject.symbol, timeframe, limit=5)
        edges = [int(edge) for edge in frame.index.asi8]
        assert [timeframe.floor(edge) for edge in edges] == edges

    async def test_bars_make_sense(self, trader: Trader) -> None:
        """The extremes enclose open, close and mean; nothing is below zero."""
        frame = await self._some(trader, 50)
        assert (frame["high"] >= frame[["open", "close", "low"]].max(axis=1)).all()
        assert (frame["low"] <= frame[["open", "close", "high"]].min(axis=1)).all()
        assert (frame["low"] > 0).all()
        assert (frame["volume"] >= 0).all()
        assert (frame["vwap"] <= frame["high"] + 1e-6).all()
        assert (frame["vwap"] >= frame["low"] - 1e-6).all()

    @pytest.mark.parametrize("limit", [1, 7, 30])
    async def test_a_limit_means_the_last_so_many(self, trader: Trader, limit: int) -> None:
        """Neither fewer nor more, and the last is the running bar or the one before it."""
        frame = await self._some(trader, limit)
        assert len(frame) == limit
        longer = await self._some(trader, limit + 5)
        assert list(longer.index[-limit:]) == list(frame.index)

    async def test_start_is_included_and_end_is_not(self, trader: Trader) -> None:
        """Both are left edges."""
        timeframe = self._finest(trader)
        whole = await self._some(trader, 20)
        start, end = whole.index[3].to_pydatetime(), whole.index[10].to_pydatetime()
        frame = await trader.market_data.bars(trader.subject.symbol, timeframe, start=start, end=end)
        assert list(frame.index) == list(whole.index[3:10])

    async def test_parts_joined_are_the_whole(self, trader: Trader) -> None:
        """Two requests that meet at an edge say what one says."""
        timeframe, data, symbol = self._finest(trader), trader.market_data, trader.subject.symbol
        edges = (await self._some(trader, 40)).index
        first, middle, last = (edges[place].to_pydatetime() for place in (0, 20, 39))
        whole = await data.bars(symbol, timeframe, start=first, end=last)
        parts = [await data.bars(symbol, timeframe, start=first, end=middle), await data.bars(symbol, timeframe, start=middle, end=last)]
        assert [len(part) for part in parts] == [20, 19]
        assert whole.equals(whole.loc[[*parts[0].index, *parts[1].index]])
        for part in parts:
            assert part.equals(whole.loc[part.index])

    async def test_many_pages_are_one_frame(self, trader: Trader) -> None:
        """More bars than any page holds come whole, sorted, and none twice."""
        trader.needs(Unit.MINUTE)
        frame = await trader.market_data.bars(trader.subject.symbol, "1Min", limit=12_000)
        check_schema(frame)
        assert len(frame) == 12_000

    async def test_pages_of_the_source_join_without_a_seam(self, trader: Trader) -> None:
        """However it cuts them, over several symbols: each has every bar once, as it would have alone."""
        trader.needs(Unit.MINUTE)
        symbols = tuple(sorted((trader.subject.symbol, trader.given("other_symbol"))))
        end = (await trader.market_data.clock()).at.replace(second=0, microsecond=0)
        start = end - timedelta(days=8)
        edges: dict[str, list[int]] = {symbol: [] for symbol in symbols}
        token, pages = None, 0
        while token is not None or not pages:
            page = await trader.market_data._source.bars(
                BarQuery(symbols=symbols, timeframe=Timeframe(1, Unit.MINUTE), start=start, end=end), token
            )
            for symbol, columns in page.columns.items():
                edges[symbol] += [int(edge) for edge in columns.timestamp_ns]
            token, pages = page.next_token, pages + 1
        for symbol in symbols:
            alone: Any = await trader.market_data.bars(symbol, "1Min", start=start, end=end)
            assert edges[symbol] == [int(edge) for edge in alone.index.asi8]

    async def test_several_symbols_are_stacked(self, trader: Trader) -> None:
        """By symbol and time, each as it is alone."""
        other = trader.given("other_symbol")
        timeframe = self._finest(trader)
        symbols = [other, trader.subject.symbol]
        frame = await trader.market_data.bars(symbols, timeframe, limit=10)
        assert list(frame.index.names) == ["symbol", "timestamp"]
        assert list(frame.columns) == list(COLUMNS)
        assert frame.index.is_monotonic_increasing
        for symbol in symbols:
            alone = await trader.market_data.bars(symbol, timeframe, limit=10)
            assert frame.loc[symbol].equals(alone)

    async def test_a_list_of_one_is_a_list(self, trader: Trader) -> None:
        """It gives the stacked frame, with one symbol in it."""
        frame = await trader.market_data.bars([trader.subject.symbol], self._finest(trader), limit=3)
        assert list(frame.index.get_level_values("symbol").unique()) == [trader.subject.symbol]
        assert len(frame) == 3

    async def test_no_bars_are_a_frame_like_any_other(self, trader: Trader) -> None:
        """With the same columns, dtypes and index, and no rows."""
        timeframe = self._finest(trader)
        start = datetime(1990, 1, 6, 12, 0, 1, tzinfo=UTC)
        try:
            frame = await trader.market_data.bars(trader.subject.symbol, timeframe, start=start, end=start + timedelta(seconds=1))
        except RequestRefused:
            frame = await trader.market_data.bars(
                trader.subject.symbol, timeframe, start="2020-01-01T00:00:01Z", end="2020-01-01T00:00:02Z"
            )
        check_schema(frame)
        assert len(frame) == 0

    async def test_indicators_get_five_columns_of_floats(self, trader: Trader) -> None:
        """Open, high, low, close and volume, and nothing else."""
        frame = await trader.market_data.ohlcv(trader.subject.symbol, self._finest(trader), limit=10)
        assert list(frame.columns) == ["open", "high", "low", "close", "volume"]
        assert {str(kind) for kind in frame.dtypes} == {"float64"}
        assert len(frame) == 10

    async def test_a_frame_says_where_it_is_from(self, trader: Trader) -> None:
        """Broker, mode, environment, symbols, timeframe and when the broker was asked."""
        connection, timeframe = trader.session.connection, self._finest(trader)
        said = (await self._some(trader)).attrs
        assert (said["broker"], said["mode"], said["environment"]) == (connection.broker, connection.mode, str(connection.environment))
        assert (said["symbols"], said["timeframe"]) == ([trader.subject.symbol], str(timeframe))
        assert datetime.fromisoformat(said["retrieved_at"]).tzinfo is not None

    async def test_a_frame_is_its_holders_own(self, trader: Trader) -> None:
        """Writing into it changes no frame of anybody else's."""
        first = await self._some(trader)
        first["close"] = 0.0
        second = await self._some(trader)
        assert (second["close"] > 0).all()

    async def test_asking_twice_is_answered_from_the_cache(self, trader: Trader) -> None:
        """With the same frame, and without another request."""
        first = await self._some(trader)
        hits, misses = trader.market_data.cache.hits, trader.market_data.cache.misses
        second = await self._some(trader)
        assert second.equals(first)
        assert trader.market_data.cache.misses == misses
        assert trader.market_data.cache.hits == hits + 1

    async def test_progress_is_told_of_every_page(self, trader: Trader) -> None:
        """And in the end of every bar."""
        told: list[Progress] = []
        frame = await self._some(trader, 25, progress=told.append)
        assert told
        assert told[-1].bars >= len(frame)

    async def test_an_unknown_symbol_is_refused_by_name_or_has_no_bars(self, trader: Trader) -> None:
        """It never gets another one's."""
        timeframe, symbol = self._finest(trader), trader.given("unknown_symbol")
        try:
            frame = await trader.market_data.bars(symbol, timeframe, limit=3)
        except RequestRefused as refused:
            assert symbol in str(refused)
        else:
            check_schema(frame)
            assert len(frame) == 0

    @pytest.mark.parametrize(
        "terms", [{"timeframe": "7Fortnights"}, {"limit": 0}, {"start": "2026-02-02", "end": "2026-02-01"}, {"days": -1}], ids=str
    )
    async def test_what_makes_no_sense_is_refused_before_anything_is_sent(self, trader: Trader, terms: dict[str, Any]) -> None:
        """With a value error that names the field."""
        timeframe = terms.get("timeframe", self._finest(trader))
        rest = {name: value for name, value in terms.items() if name != "timeframe"}
        with pytest.raises(ValueError, match=next(iter(terms))):
            await trader.market_data.bars(trader.subject.symbol, timeframe, **rest)

    async def test_days_reach_back_that_many_sessions(self, trader: Trader) -> None:
        """Of daily bars so many."""
        _ = trader.market_data
        trader.needs(Unit.DAY)
        assert len(await trader.market_data.bars(trader.subject.symbol, "1Day", days=5)) == 5
