"""200,000 minute bars in pages of 10,000 into one frame, beside joining their raw columns and nothing else.

    python benchmarks/bench_bars.py [--rounds N] [--json]

The source is in this process and answers at once, so what is measured is the core's own share: requests cut into shards, pages followed,
checks of order and length, the join, the frame, the caller's copy; "kept" is an answer out of the cache. Cases take turns; medians count,
and ratios to the floor are taken within a round. Every case's closing prices are summed up and compared, so that all have done the same
work.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import math
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from broker_core.clock import StillClock, to_ns
from broker_core.market_data import MarketData
from broker_core.models import BarColumns, BarPage, BarQuery, Capabilities

BARS, PAGE = 200_000, 10_000
MINUTE_NS = 60_000_000_000
START = datetime(2025, 1, 1, tzinfo=UTC)
END = START + timedelta(minutes=BARS)
FLOATS = ("open", "high", "low", "close", "volume", "vwap")


class Pages:
    """The bars of one symbol, cut into pages as views of arrays."""

    def __init__(self) -> None:
        random = np.random.default_rng(1)
        self._edges = to_ns(START) + np.arange(BARS, dtype=np.int64) * MINUTE_NS
        self._columns: Mapping[str, Any] = {name: random.uniform(1, 1000, BARS) for name in FLOATS}
        self._counts = random.integers(1, 1000, BARS)
        self.total = float(self._columns["close"].sum())

    def part(self, first: int, last: int) -> BarColumns:
        """Bars by their place, as views."""
        values = {name: column[first:last] for name, column in self._columns.items()}
        return BarColumns(timestamp_ns=self._edges[first:last], trade_count=self._counts[first:last], **values)

    async def bars(self, query: BarQuery, token: str | None) -> BarPage:
        """One page; the token is the place of the next."""
        first = int(token) if token else int(np.searchsorted(self._edges, to_ns(query.start)))
        end = int(np.searchsorted(self._edges, to_ns(query.end)))
        last = min(first + PAGE, end)
        return BarPage(columns={query.symbols[0]: self.part(first, last)}, next_token=str(last) if last < end else None)


def joined(pages: Sequence[BarColumns]) -> dict[str, Any]:
    """The floor: each column's raw parts put together."""
    return {name: np.concatenate([getattr(page, name) for page in pages]) for name in ("timestamp_ns", "trade_count", *FLOATS)}


def plain_frame(pages: Sequence[BarColumns]) -> pd.DataFrame:
    """The shortest way to the same frame with pandas alone, unchecked."""
    columns = joined(pages)
    index = pd.DatetimeIndex(columns.pop("timestamp_ns").view("datetime64[ns]"), name="timestamp").tz_localize("UTC")
    return pd.DataFrame(columns, index=index)


def market_data(source: Pages, concurrency: int) -> MarketData:
    return MarketData(
        source,  # type: ignore[arg-type]  # of a source's methods only this one is used
        clock=StillClock(END),
        provenance={"broker": "bench"},
        capabilities=Capabilities(timeframes=frozenset({"Min"})),
        concurrency=concurrency,
    )


async def measure(rounds: int) -> dict[str, list[float]]:
    source = Pages()
    pages = [source.part(first, first + PAGE) for first in range(0, BARS, PAGE)]
    kept = market_data(source, 1)

    async def floor() -> Any:
        return joined(pages)["close"]

    async def pandas_alone() -> Any:
        return plain_frame(pages)["close"]

    async def ours(data: MarketData) -> Any:
        return (await data.bars("AAPL", "1Min", start=START, end=END))["close"]

    cases: dict[str, Callable[[], Awaitable[Any]]] = {
        "floor": floor,
        "pandas alone": pandas_alone,
        "ours, 1 request": lambda: ours(market_data(source, 1)),
        "ours, 8 at once": lambda: ours(market_data(source, 8)),
        "ours, kept": lambda: ours(kept),
    }
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds + 1):
        for name, case in cases.items():
            gc.collect()
            started = time.perf_counter()
            closes = await case()
            seconds[name].append(time.perf_counter() - started)
            if len(closes) != BARS or not math.isclose(float(closes.sum()), source.total):
                raise SystemExit(f"{name}: {len(closes)} bars, or other ones")
    # The first round warms up.
    return {name: figures[1:] for name, figures in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    seconds = asyncio.run(measure(arguments.rounds))
    rows = [
        {
            "case": name,
            "milliseconds": round(statistics.median(figures) * 1e3, 2),
            "spread": [round(min(figures) * 1e3, 2), round(max(figures) * 1e3, 2)],
            "ratio": round(statistics.median(one / other for one, other in zip(figures, seconds["floor"], strict=True)), 2),
        }
        for name, figures in seconds.items()
    ]
    if arguments.json:
        print(json.dumps({"bars": BARS, "page": PAGE, "rows": rows}))
        return
    print(f"{BARS:,} bars in pages of {PAGE:,}, one frame")
    for row in rows:
        low, high = row["spread"]
        print(f"  {row['case']:<18}{row['milliseconds']:>9} ms ({low} to {high}){row['ratio']:>8}x")


if __name__ == "__main__":
    main()
