"""Prices, past and present: bars as frames through a cache, quotes and snapshots as they are now.

What is kept, and for how long: bars 60 s by default and never past the end of a running bar; trading hours and assets ten minutes;
quotes, trades, snapshots and the market's clock not at all, because who asks for the present means this moment.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from broker_core import frames
from broker_core.at_once import at_once
from broker_core.bar_download import SYMBOLS_A_REQUEST, BarDownload, Piece, Progress, in_groups
from broker_core.bar_request import (
    BarRequest,
    Moment,
    as_day,
    as_symbols,
    bar_request,
    days_to_search,
    earliest_edge,
    end_edge,
    fresh_until,
    likely_edge,
    sessions_needed,
)
from broker_core.cache import Cache
from broker_core.clock import Clock, from_ns, to_ns
from broker_core.errors import NotSupported, RequestRefused
from broker_core.families import MarketDataSource
from broker_core.models import Asset, Capabilities, MarketClock, MarketHours, Quote, Snapshot, Trade
from broker_core.timeframe import Timeframe

if TYPE_CHECKING:
    from pandas import DataFrame

_Value = TypeVar("_Value")

_REFERENCE_SECONDS = 600.0
_MANY_BARS = 20_000
_WIDER = 4


@attrs.frozen(eq=False)
class _Answer:
    """A kept frame and the moment its broker was asked: nothing in it is older."""

    frame: DataFrame
    retrieved_at: datetime


class MarketData:
    """Market data of one broker.

    ``provenance`` (broker, mode, environment) goes with every frame, in ``frame.attrs``. At most ``concurrency`` requests for bars are
    under way at once, over all callers. ``progress`` is told of every page of every download that gives no callback of its own.
    """

    def __init__(
        self,
        source: MarketDataSource,
        *,
        clock: Clock,
        provenance: Mapping[str, str],
        capabilities: Capabilities,
        cache_seconds: float = 60.0,
        concurrency: int = 8,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency: {concurrency} is below one")
        self._source = source
        self._clock = clock
        self._provenance: dict[Hashable, Any] = dict(provenance.items())
        self._capabilities = capabilities
        self._concurrency = concurrency
        self._gate = asyncio.Semaphore(concurrency)
        self._progress = progress
        self._pandas_loaded = False
        reference_seconds = _REFERENCE_SECONDS if cache_seconds else 0
        self.cache: Cache[_Answer] = Cache(clock, seconds=cache_seconds)
        """The bars' cache, for its counters ``hits``, ``misses`` and ``flights``."""
        self._hours: Cache[tuple[MarketHours, ...]] = Cache(clock, seconds=reference_seconds)
        self._assets: Cache[Asset | None] = Cache(clock, seconds=reference_seconds, entries=10_000)
        self._listing: Cache[tuple[Asset, ...]] = Cache(clock, seconds=reference_seconds)

    async def bars(
        self,
        symbols: str | Sequence[str],
        timeframe: Timeframe | str = "1Day",
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        days: int | None = None,
        limit: int | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> DataFrame:
        """Bars as a frame of your own, oldest first.

        Columns open, high, low, close, volume, vwap (float64) and trade_count (int64), in the order ``frames.COLUMNS``. The index is a
        ``DatetimeIndex`` named ``timestamp``, UTC, unit ns, of left edges. A text as ``symbols`` gives that; a sequence, of whatever
        length, gives the ``MultiIndex`` (symbol, timestamp), sorted. A frame without rows has the same schema.

        ``start`` is included, ``end`` is not; each is an aware datetime, a date (its midnight in New York) or ISO 8601 text. Without
        an ``end`` the running bar comes last. ``days`` instead of ``start`` means that many trading days, the last of which has begun
        (of daily bars: that many bars); ``limit`` means the last so many bars of each symbol. With none of the three it is the last 100.

        ``frame.attrs`` says where it is from: broker, mode, environment, symbols, timeframe, and ``retrieved_at``, the moment the
        broker was asked, as ISO text in UTC. ``progress`` is told of every page; an answer that is here, or on its way to somebody
        else, tells nothing.

        Raises ValueError for what makes no sense and NotSupported for a timeframe the broker does not serve, both before anything is
        sent; RequestRefused for an unknown symbol, WireError for an answer that cannot be, and the source's other errors.
        """
        request = bar_request(symbols, timeframe, start=start, end=end, days=days, limit=limit)
        self._check_timeframe(request.timeframe)
        now_ns = self._clock.now_ns()
        end_ns = end_edge(request, now_ns)
        fetch = partial(self._fetch, request, end_ns, now_ns, progress or self._progress)
        answer = await self.cache.get(request, fetch, until_ns=fresh_until(request, now_ns))
        frame = frames.own_copy(answer.frame)
        if not isinstance(symbols, str) and len(request.symbols) == 1:
            frame = frames.stacked(request.symbols[0], frame)
        frame.attrs = {
            **self._provenance,
            "symbols": list(request.symbols),
            "timeframe": str(request.timeframe),
            "retrieved_at": answer.retrieved_at.isoformat(),
        }
        return frame

    async def ohlcv(
        self,
        symbol: str,
        timeframe: Timeframe | str = "1Day",
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        days: int | None = None,
        limit: int | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> DataFrame:
        """Bars of one symbol with exactly the columns open, high, low, close and volume, all float64; otherwise like ``bars``."""
        frame = await self.bars(symbol, timeframe, start=start, end=end, days=days, limit=limit, progress=progress)
        return frame.drop(columns=["trade_count", "vwap"])

    async def quote(self, symbol: str) -> Quote:
        """The latest bid and offer. Raises RequestRefused for an unknown symbol, and when the broker has no quote of it."""
        return _only(symbol, "quote", await self.quotes((symbol,)))

    async def quotes(self, symbols: str | Iterable[str]) -> dict[str, Quote]:
        """The latest bid and offer of each symbol that has one. Raises RequestRefused for unknown symbols."""
        return await self._of_each(self._source.quotes, symbols)

    async def snapshot(self, symbol: str) -> Snapshot:
        """What is known of a symbol now. Raises RequestRefused for an unknown symbol, and when the broker says nothing of it."""
        return _only(symbol, "snapshot", await self.snapshots((symbol,)))

    async def snapshots(self, symbols: str | Iterable[str]) -> dict[str, Snapshot]:
        """What is known of each symbol now. Raises RequestRefused for unknown symbols."""
        return await self._of_each(self._source.snapshots, symbols)

    async def latest_prices(self, symbols: str | Iterable[str]) -> dict[str, float]:
        """The latest trade's price of each symbol, else the middle of its quote; symbols with neither are left out."""
        wanted = as_symbols(symbols)
        trades: dict[str, Trade] = await self._of_each(self._source.trades, wanted)
        prices = {symbol: trade.price for symbol, trade in trades.items() if trade.price > 0}
        missing = [symbol for symbol in wanted if symbol not in prices]
        if missing:
            quotes = await self.quotes(missing)
            prices |= {symbol: (q.bid_price + q.ask_price) / 2 for symbol, q in quotes.items() if q.bid_price > 0 and q.ask_price > 0}
        return prices

    async def clock(self) -> MarketClock:
        """Whether the market is open, and when that changes next."""
        return await self._source.clock()

    async def is_open(self) -> bool:
        """Whether the market is open."""
        return (await self.clock()).is_open

    async def hours(self, start: date | str, end: date | str) -> tuple[MarketHours, ...]:
        """The trading days from ``start`` to ``end``, both included, oldest first. Raises ValueError when they are the wrong way round."""
        first, last = as_day("start", start), as_day("end", end)
        if first > last:
            raise ValueError(f"start: {first} is after end {last}")

        async def fetch() -> tuple[MarketHours, ...]:
            return tuple(await self._source.hours(first, last))

        return await self._hours.get((first, last), fetch)

    async def asset(self, symbol: str) -> Asset | None:
        """What is traded under this symbol; None when there is no such thing."""
        as_symbols(symbol)
        return await self._assets.get(symbol, partial(self._source.asset, symbol))

    async def assets(self) -> tuple[Asset, ...]:
        """Everything that can be traded, in the broker's order; of some brokers many thousands. Raises NotSupported."""
        if getattr(self._source, "assets", None) is None:
            raise NotSupported(f"assets: {self._provenance.get('broker', 'this broker')} does not list what it trades")

        async def fetch() -> tuple[Asset, ...]:
            return tuple(await self._source.assets())

        return await self._listing.get("all", fetch)

    def _check_timeframe(self, timeframe: Timeframe) -> None:
        served = self._capabilities.timeframes
        if timeframe.unit not in served:
            broker = self._provenance.get("broker", "this broker")
            raise NotSupported(f"timeframe: {broker} serves no {timeframe} bars; its units are {', '.join(sorted(served)) or 'none'}")

    async def _fetch(self, request: BarRequest, end_ns: int, now_ns: int, progress: Callable[[Progress], None] | None) -> _Answer:
        download = BarDownload(self._source, self._gate, shards=self._concurrency, progress=progress)
        sessions = await self._last_sessions(sessions_needed(request), end_ns, now_ns)
        earliest_ns = start_ns = earliest_edge(request, end_ns, sessions)
        most = None
        if request.limit is not None:
            start_ns = max(earliest_ns, likely_edge(request.timeframe, request.limit, end_ns, sessions))
            most = request.limit * len(request.symbols)
        pieces: dict[str, list[Piece]] = {symbol: [] for symbol in request.symbols}
        bars: dict[str, frames.BarArrays] = {}
        short, right_ns = request.symbols, end_ns
        # With a limit, symbols that trade seldom have too few bars where others have enough: they are looked for further back.
        while short and start_ns < right_ns:
            for symbol, found in (await download.fetch(short, request.timeframe, start_ns, right_ns, most=most)).items():
                pieces[symbol] = found + pieces[symbol]
            bars |= await self._off_loop(partial(frames.join, {symbol: pieces[symbol] for symbol in short}, request.limit), download.bars)
            short = tuple(symbol for symbol in short if request.limit is not None and len(bars[symbol]) < request.limit)
            right_ns, start_ns = start_ns, max(earliest_ns, end_ns - _WIDER * (end_ns - start_ns))
        make = partial(frames.to_frame, bars[request.symbols[0]]) if len(bars) == 1 else partial(frames.to_stacked_frame, bars)
        return _Answer(await self._off_loop(make, download.bars), from_ns(now_ns))

    async def _last_sessions(self, count: int, end_ns: int, now_ns: int) -> Sequence[MarketHours]:
        if not count:
            return ()
        hours = await self.hours(*days_to_search(count, end_ns, now_ns))
        return [session for session in hours if to_ns(session.open) < end_ns and to_ns(session.open) <= now_ns][-count:]

    async def _off_loop(self, work: Callable[[], _Value], bars: int) -> _Value:
        """Do long work, and the first, which loads pandas, in a thread: either would hold up the streams on this loop."""
        if self._pandas_loaded and bars <= _MANY_BARS:
            return work()
        result = await asyncio.to_thread(work)
        self._pandas_loaded = True
        return result

    async def _of_each(
        self, fetch: Callable[[Sequence[str]], Coroutine[Any, Any, Mapping[str, _Value]]], symbols: str | Iterable[str]
    ) -> dict[str, _Value]:
        wanted = as_symbols(symbols)
        groups = in_groups(wanted, math.ceil(len(wanted) / SYMBOLS_A_REQUEST))
        answers = await at_once(fetch(group) for group in groups)
        return {symbol: value for answer in answers for symbol, value in answer.items()}


def _only(symbol: str, what: str, answers: Mapping[str, _Value]) -> _Value:
    if symbol not in answers:
        raise RequestRefused(f"{what}: the broker has none of {symbol}")
    return answers[symbol]
