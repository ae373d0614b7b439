"""Fetching bars: shards, pages to their end, several at once, and what becomes of a failure."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker_core.bar_download import SYMBOLS_A_REQUEST, BarDownload, Progress, in_groups, shards
from broker_core.clock import to_ns
from broker_core.errors import RequestRefused, Unavailable, WireError
from broker_core.models import BarColumns, BarPage, BarQuery
from broker_core.timeframe import Timeframe

MINUTE = Timeframe.parse("1Min")
DAY = Timeframe.parse("1Day")
MINUTE_NS = 60_000_000_000
DAY_NS = 1440 * MINUTE_NS
START = to_ns(datetime(2026, 3, 2, tzinfo=UTC))


def columns(edges: Sequence[int]) -> BarColumns:
    ones = array("d", [1.0] * len(edges))
    return BarColumns(
        timestamp_ns=array("q", edges),
        open=ones,
        high=ones,
        low=ones,
        close=ones,
        volume=ones,
        trade_count=array("q", [1] * len(edges)),
        vwap=ones,
    )


class Pages:
    """A source with a bar for every edge of the timeframe, ``size`` bars a page, symbol by symbol."""

    def __init__(self, size: int = 1000) -> None:
        self.size = size
        self.calls: list[tuple[BarQuery, str | None]] = []
        self.under_way = 0
        self.most_under_way = 0
        self.ended: list[str] = []

    async def bars(self, query: BarQuery, token: str | None) -> BarPage:
        self.calls.append((query, token))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
            return self.page(query, token)
        finally:
            self.under_way -= 1

    def page(self, query: BarQuery, token: str | None) -> BarPage:
        edges = edges_in(query)
        first, count = int(token or 0), len(edges) * len(query.symbols)
        served = {}
        for place, symbol in enumerate(query.symbols):
            part = edges[max(first - place * len(edges), 0) : max(first + self.size - place * len(edges), 0)]
            if part:
                served[symbol] = columns(part)
        following = first + self.size
        return BarPage(columns=served, next_token=str(following) if following < count else None)


@cache
def edges_in(query: BarQuery) -> Sequence[int]:
    start, end = to_ns(query.start), to_ns(query.end)
    if query.timeframe == MINUTE:
        return range(-(-start // MINUTE_NS) * MINUTE_NS, end, MINUTE_NS)
    edge = query.timeframe.floor(start)
    found = [edge] if edge == start else []
    while (edge := query.timeframe.following(edge)) < end:
        found.append(edge)
    return found


def download(source: Pages, *, concurrency: int = 8, progress: list[Progress] | None = None) -> BarDownload:
    return BarDownload(
        source,  # type: ignore[arg-type]  # of a source's methods only this one is used
        asyncio.Semaphore(concurrency),
        shards=concurrency,
        progress=None if progress is None else progress.append,
    )


def edges_of(pieces: Sequence[object]) -> list[int]:
    return [edge for piece in pieces for edge in piece.columns.timestamp_ns]  # type: ignore[attr-defined]


class TestShards:
    @settings(deadline=None)
    @given(
        count=st.integers(1, 12),
        symbols=st.integers(1, 350),
        days=st.integers(1, 4000),
        timeframe=st.sampled_from(["1Min", "7Hour", "1Day", "1Week", "3Month"]),
        offset=st.integers(0, DAY_NS),
        most=st.none() | st.integers(1, 10**6),
    )
    def test_they_tile_the_request(self, count: int, symbols: int, days: int, timeframe: str, offset: int, most: int | None):
        """Each symbol's shards adjoin from start to end; inner edges are edges of bars; groups keep to their limits."""
        names = [f"S{number:03}" for number in range(symbols)]
        # Whole microseconds, as a caller's moments have.
        start_ns, end_ns = START + offset // 1000 * 1000, START + offset // 1000 * 1000 + days * DAY_NS
        length = Timeframe.parse(timeframe)

        made = shards(names, length, start_ns, end_ns, count=count, most=most)

        assert all(1 <= len(query.symbols) <= SYMBOLS_A_REQUEST for query in made)
        assert len(made) <= max(count, -(-symbols // SYMBOLS_A_REQUEST))
        for name in names:
            ranges = [(to_ns(query.start), to_ns(query.end)) for query in made if name in query.symbols]
            assert ranges[0][0] == start_ns
            assert ranges[-1][1] == end_ns
            assert all(left[1] == right[0] for left, right in pairwise(ranges))
            assert all(left < right for left, right in ranges)
            assert all(length.floor(left) == left for left, _ in ranges[1:])

    @pytest.mark.parametrize(
        ("symbols", "timeframe", "days", "most", "shape"),
        [
            # symbols, of which days, at most so many bars -> groups, ranges
            (1, DAY, 365, None, (1, 1)),
            (1, MINUTE, 2, None, (1, 1)),
            (1, MINUTE, 30, None, (1, 1)),
            (1, MINUTE, 90, None, (1, 5)),
            (1, MINUTE, 700, None, (1, 8)),
            (1, MINUTE, 700, 12_000, (1, 2)),
            (2, MINUTE, 700, None, (2, 4)),
            (100, DAY, 365, None, (5, 1)),
            (100, DAY, 10, None, (1, 1)),
            (250, DAY, 1, None, (3, 1)),
            (1000, DAY, 3650, None, (10, 1)),
        ],
    )
    def test_shape(self, symbols: int, timeframe: Timeframe, days: int, most: int | None, shape: tuple[int, int]):
        """A request is cut where its bars are worth it: by symbols first, then by time, into eight at most."""
        names = [f"S{number:04}" for number in range(symbols)]

        made = shards(names, timeframe, START, START + days * DAY_NS, count=8, most=most)

        assert (len({query.symbols for query in made}), len({query.start for query in made})) == shape

    @settings(deadline=None)
    @given(st.lists(st.integers(), min_size=1, max_size=40).flatmap(lambda found: st.tuples(st.just(found), st.integers(1, len(found)))))
    def test_groups(self, drawn: tuple[list[int], int]):
        """Groups keep the order, leave nothing out and differ by one in size."""
        names, count = [str(number) for number in drawn[0]], drawn[1]
        groups = in_groups(names, count)

        assert [name for group in groups for name in group] == names
        assert len(groups) == count
        assert max(map(len, groups)) - min(map(len, groups)) <= 1


class TestPaging:
    async def test_pages_to_the_end(self):
        """Tokens are followed until there is none, and the pieces hold every bar in order."""
        source = Pages(size=7)

        found = await download(source).fetch(["AAPL", "MSFT"], MINUTE, START, START + 20 * MINUTE_NS)

        expected = [START + minute * MINUTE_NS for minute in range(20)]
        assert [token for _, token in source.calls] == [None, "7", "14", "21", "28", "35"]
        assert {symbol: edges_of(pieces) for symbol, pieces in found.items()} == {"AAPL": expected, "MSFT": expected}

    async def test_symbol_without_bars(self):
        """A symbol the broker says nothing of has no pieces."""

        class Silent(Pages):
            def page(self, query: BarQuery, token: str | None) -> BarPage:
                return BarPage(columns={"AAPL": columns([START])}, next_token=None)

        assert len((await download(Silent()).fetch(["AAPL", "MSFT"], DAY, START, START + DAY_NS))["MSFT"]) == 0

    async def test_empty_pages_on_the_way(self):
        """A page without bars that names a next one is not the end."""

        class Thin(Pages):
            def page(self, query: BarQuery, token: str | None) -> BarPage:
                if token is None:
                    return BarPage(columns={}, next_token="1")
                if token == "1":
                    return BarPage(columns={"AAPL": columns([])}, next_token="2")
                return BarPage(columns={"AAPL": columns([START])}, next_token=None)

        found = await download(Thin()).fetch(["AAPL"], DAY, START, START + DAY_NS)

        assert edges_of(found["AAPL"]) == [START]

    @pytest.mark.parametrize("tokens", [["a", "a"], ["a", "b", "a"], ["", ""]])
    async def test_token_that_repeats(self, tokens: list[str]):
        """A token that came before would go round for ever and is an error that names it."""

        class Round(Pages):
            def page(self, query: BarQuery, token: str | None) -> BarPage:
                return BarPage(columns={}, next_token=tokens[len(self.calls) - 1])

        source = Round()
        with pytest.raises(WireError, match=f"token '{tokens[-1]}' twice"):
            await download(source).fetch(["AAPL"], DAY, START, START + DAY_NS)

        assert len(source.calls) == len(tokens)

    async def test_symbol_nobody_asked_for(self):
        """Bars under another name are an error, because those asked for would silently be missing."""

        class Renaming(Pages):
            def page(self, query: BarQuery, token: str | None) -> BarPage:
                return BarPage(columns={"BTCUSD": columns([START])})

        with pytest.raises(WireError, match="'BTCUSD', which was not asked for"):
            await download(Renaming()).fetch(["BTC/USD"], DAY, START, START + DAY_NS)


class TestConcurrency:
    @pytest.mark.parametrize("concurrency", [1, 3, 8])
    async def test_gate_bounds_the_requests(self, concurrency: int):
        """Long ranges go out as several requests at once, never more than the gate lets through."""
        source = Pages(size=10_000)

        found = await download(source, concurrency=concurrency).fetch(["AAPL"], MINUTE, START, START + 200 * DAY_NS)

        assert source.most_under_way == concurrency
        assert edges_of(found["AAPL"]) == list(range(START, START + 200 * DAY_NS, MINUTE_NS))

    async def test_failed_shard_cancels_the_rest_and_is_raised_itself(self):
        """The first failure stops the other requests and reaches the caller bare, without a group around it."""

        class Broken(Pages):
            async def bars(self, query: BarQuery, token: str | None) -> BarPage:
                self.calls.append((query, token))
                if query.start > datetime(2026, 3, 3, tzinfo=UTC):
                    await asyncio.sleep(0)
                    raise RequestRefused("AAPL: not yours")
                try:
                    await asyncio.Event().wait()
                finally:
                    self.ended.append(str(query.start))
                raise AssertionError

        source = Broken()
        with pytest.raises(RequestRefused, match="not yours") as caught:
            await download(source).fetch(["AAPL"], MINUTE, START, START + 200 * DAY_NS)

        assert caught.value.__context__ is None
        assert len(source.calls) == 8
        assert len(source.ended) == 1

    async def test_waiting_shards_do_not_start_after_a_failure(self):
        """Requests that had not begun when another failed are never sent."""

        class Refusing(Pages):
            def page(self, query: BarQuery, token: str | None) -> BarPage:
                raise Unavailable("the line is down")

        source = Refusing()
        gate_of_one = BarDownload(source, asyncio.Semaphore(1), shards=8)  # type: ignore[arg-type]  # one method is used
        with pytest.raises(Unavailable):
            await gate_of_one.fetch(["AAPL"], MINUTE, START, START + 200 * DAY_NS)

        assert len(source.calls) <= 2


class TestProgress:
    async def test_from_nothing_to_all(self):
        """Progress begins at nothing, never goes back, and ends with all of it done and every bar counted."""
        seen: list[Progress] = []

        await download(Pages(size=1000), progress=seen).fetch(["AAPL", "MSFT"], MINUTE, START, START + 20 * DAY_NS)

        shares = [one.done / one.total for one in seen]
        assert shares[0] == 0
        assert shares == sorted(shares)
        assert seen[-1].done == seen[-1].total == 2 * 20 * 86400
        assert seen[-1].bars == 2 * 20 * 1440
        assert len(seen) > 20

    async def test_symbol_by_symbol(self):
        """A page that ends with the second of three symbols has two thirds of the market time behind it."""
        seen: list[Progress] = []

        await download(Pages(size=1440), progress=seen).fetch(["AAPL", "MSFT", "NVDA"], MINUTE, START, START + DAY_NS)

        assert [one.bars for one in seen] == [0, 1440, 2880, 4320]
        assert [one.done / one.total for one in seen] == pytest.approx([0, 1 / 3, 2 / 3, 1], abs=0.001)

    async def test_reaching_further_back_adds_up(self):
        """A second range fetched by the same download adds to the whole."""
        seen: list[Progress] = []
        both = download(Pages(), progress=seen)

        await both.fetch(["AAPL"], DAY, START, START + DAY_NS)
        await both.fetch(["AAPL"], DAY, START - DAY_NS, START)

        assert seen[-1].done == seen[-1].total == 2 * 86400
        assert both.bars == seen[-1].bars

    async def test_raising_callback_costs_no_bars(self, caplog: pytest.LogCaptureFixture):
        """A callback that fails is logged and left alone; the bars arrive."""
        calls = []

        def broken(progress: Progress) -> None:
            calls.append(progress)
            raise RuntimeError("the terminal is gone")

        watched = BarDownload(Pages(), asyncio.Semaphore(8), shards=8, progress=broken)  # type: ignore[arg-type]  # one method is used
        found = await watched.fetch(["AAPL"], MINUTE, START, START + DAY_NS)

        assert len(edges_of(found["AAPL"])) == 1440
        assert len(calls) == 1
        assert "not called again" in caplog.text
