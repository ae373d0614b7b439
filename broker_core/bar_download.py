"""Fetching bars from a broker: a range cut into shards, each shard's pages to their end, several shards at once.

Page tokens are sequential, ranges and symbols are not; so a long answer arrives sooner as several short ones.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import attrs

from broker_core.at_once import at_once
from broker_core.bar_request import DAY_NS, bar_length
from broker_core.clock import from_ns, to_ns
from broker_core.errors import WireError
from broker_core.families import MarketDataSource
from broker_core.models import BarColumns, BarPage, BarQuery
from broker_core.timeframe import Timeframe

_log = logging.getLogger(__name__)

SYMBOLS_A_REQUEST = 100
_BARS_WORTH_A_SHARD = 5_000
# Of a calendar's days five in seven trade, for six and a half hours in regular trading.
_DAYS_TRADED = 5 / 7
_HOURS_TRADED = 6.5 / 24


@attrs.frozen(kw_only=True)
class Progress:
    """How far a download is: ``done`` of ``total`` in seconds of market time over all symbols, and the bars received so far.

    ``total`` grows when what was fetched proves too little and the download has to reach further back.
    """

    done: int
    total: int
    bars: int


@attrs.frozen
class Piece:
    """One page's bars of one symbol, and the range, in nanoseconds, that its request asked for (end excluded)."""

    start_ns: int
    end_ns: int
    columns: BarColumns


class BarDownload:
    """The requests behind one answer. ``gate`` bounds how many are under way at once, ``shards`` how many they are cut into."""

    def __init__(
        self,
        source: MarketDataSource,
        gate: asyncio.Semaphore,
        *,
        shards: int,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._source = source
        self._gate = gate
        self._shards = shards
        self._progress = progress
        self._done = 0
        self._total = 0
        self.bars = 0
        """How many were received so far."""

    async def fetch(
        self, symbols: Sequence[str], timeframe: Timeframe, start_ns: int, end_ns: int, *, most: int | None = None
    ) -> dict[str, list[Piece]]:
        """All bars from ``start_ns`` to ``end_ns`` (excluded) as pieces by symbol, in order; ``most`` caps the guess of how many.

        Raises WireError for a page that cannot be, and whatever the source raises: the first failure cancels the other requests.
        """
        queries = shards(symbols, timeframe, start_ns, end_ns, count=self._shards, most=most)
        self._total += sum(_weight(query) for query in queries)
        self._tell()
        pieces: dict[str, list[Piece]] = {symbol: [] for symbol in symbols}
        for answer in await at_once(self._pages(query) for query in queries):
            for symbol, piece in answer:
                pieces[symbol].append(piece)
        return pieces

    async def _pages(self, query: BarQuery) -> list[tuple[str, Piece]]:
        start_ns, end_ns = to_ns(query.start), to_ns(query.end)
        found: list[tuple[str, Piece]] = []
        seen: set[str] = set()
        covered = 0
        token: str | None = None
        while True:
            async with self._gate:
                page = await self._source.bars(query, token)
            for symbol, columns in page.columns.items():
                if symbol not in query.symbols:
                    raise WireError(f"bars: the broker sent {symbol!r}, which was not asked for")
                found.append((symbol, Piece(start_ns, end_ns, columns)))
                self.bars += len(columns.timestamp_ns)
            token = page.next_token
            if token in seen:
                raise WireError(f"bars: the broker gave the page token {token!r} twice; its pages would never end")
            reached = _weight(query) if token is None else max(covered, _covered(query, page))
            self._done += reached - covered
            self._tell()
            if token is None:
                return found
            covered = reached
            seen.add(token)

    def _tell(self) -> None:
        if self._progress is None:
            return
        try:
            self._progress(Progress(done=self._done, total=self._total, bars=self.bars))
        except Exception:  # noqa: BLE001  # who only watches must not cost others, who wait for the same answer, their bars
            _log.exception("the progress callback failed and is not called again")
            self._progress = None


def shards(
    symbols: Sequence[str], timeframe: Timeframe, start_ns: int, end_ns: int, *, count: int, most: int | None = None
) -> list[BarQuery]:
    """Cut a request into queries that cover it without overlap: each symbol's ranges adjoin, oldest first.

    At most ``count`` where no query names more than 100 symbols, and fewer when the bars, by a rough guess capped by ``most``, are not
    worth it. Groups of symbols come first, because a broker's pages go symbol by symbol; edges lie between two bars.
    """
    guess = _expected_bars(timeframe, end_ns - start_ns) * len(symbols)
    wanted = max(1, min(count, int(guess if most is None else min(guess, most)) // _BARS_WORTH_A_SHARD))
    groups = max(math.ceil(len(symbols) / SYMBOLS_A_REQUEST), min(len(symbols), wanted))
    ranges = max(1, wanted // groups)
    inner = {timeframe.floor(start_ns + (end_ns - start_ns) * part // ranges) for part in range(1, ranges)}
    edges = [start_ns, *sorted(edge for edge in inner if start_ns < edge < end_ns), end_ns]
    return [
        BarQuery(symbols=group, timeframe=timeframe, start=from_ns(left), end=from_ns(right))
        for group in in_groups(symbols, groups)
        for left, right in pairwise(edges)
    ]


def in_groups(symbols: Sequence[str], groups: int) -> list[tuple[str, ...]]:
    """The symbols, in order, in this many groups whose sizes differ by one at most."""
    size, larger = divmod(len(symbols), groups)
    edges = [part * size + min(part, larger) for part in range(groups + 1)]
    return [tuple(symbols[left:right]) for left, right in pairwise(edges)]


def _expected_bars(timeframe: Timeframe, span_ns: int) -> float:
    length = bar_length(timeframe)
    if length > DAY_NS:
        return span_ns / length
    return span_ns / length * _DAYS_TRADED * (_HOURS_TRADED if timeframe.is_intraday else 1)


def _weight(query: BarQuery) -> int:
    return _seconds(query) * len(query.symbols)


def _covered(query: BarQuery, page: BarPage) -> int:
    """How much of a query is behind us after this page, which is not its last: pages go symbol by symbol, each oldest first."""
    if not page.columns:
        return 0
    symbol, columns = list(page.columns.items())[-1]
    behind = (int(columns.timestamp_ns[-1]) - to_ns(query.start)) // 1_000_000_000 if len(columns.timestamp_ns) else 0
    return query.symbols.index(symbol) * _seconds(query) + min(max(behind, 0), _seconds(query))


def _seconds(query: BarQuery) -> int:
    return max(1, (to_ns(query.end) - to_ns(query.start)) // 1_000_000_000)
