"""Rows of prints gathered into bars.

Used by every source of demo prices, so that a bar means the same in each: its open is the price of its first tick, its close that of
its last, its volume the sum of their sizes, its trade count their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import attrs

from broker_core.models import BarColumns
from broker_core.timeframe import Timeframe

Array: TypeAlias = Any
"""A NumPy array. The type is not named because NumPy is loaded only where bars are made."""

_DAY_NS = 86_400_000_000_000


@attrs.frozen(kw_only=True)
class Rows:
    """Ticks, or stretches of them, oldest first, as columns of 64-bit integers or floats. Prices in whole price increments.

    ``notional`` is the sum of price times size over the ticks of a row.
    """

    timestamp_ns: Array
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    trade_count: Array
    notional: Array


def single_ticks(timestamp_ns: Array, price: Array, size: Array) -> Rows:
    """Rows of one tick each."""
    import numpy as np

    return Rows(
        timestamp_ns=timestamp_ns,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=size,
        trade_count=np.ones(len(price), np.int64),
        notional=price * size,
    )


def joined(rows: Sequence[Rows]) -> Rows:
    """Rows that follow upon each other as one."""
    import numpy as np

    return Rows(**{field.name: np.concatenate([getattr(part, field.name) for part in rows]) for field in attrs.fields(Rows)})


def gathered(rows: Rows, timeframe: Timeframe) -> Rows:
    """One row for each bar of the timeframe, its moment being the bar's left edge. Gathering twice changes nothing."""
    import numpy as np

    if not len(rows.timestamp_ns):
        return rows
    edges = _edges(rows.timestamp_ns, timeframe)
    first = np.flatnonzero(np.diff(edges, prepend=edges[0] - 1))
    last = np.append(first[1:], len(edges)) - 1
    return Rows(
        timestamp_ns=edges[first],
        open=rows.open[first],
        high=np.maximum.reduceat(rows.high, first),
        low=np.minimum.reduceat(rows.low, first),
        close=rows.close[last],
        volume=np.add.reduceat(rows.volume, first),
        trade_count=np.add.reduceat(rows.trade_count, first),
        notional=np.add.reduceat(rows.notional, first),
    )


def bar_columns(rows: Rows, scale: int) -> BarColumns:
    """Rows as bars, where ``scale`` price increments make one unit of the currency.

    The VWAP of a bar without volume is its close.
    """
    import numpy as np

    high, low, close = rows.high / scale, rows.low / scale, rows.close / scale
    vwap = np.divide(rows.notional, rows.volume * scale, out=close.copy(), where=rows.volume > 0)
    # Where notional is a sum of floats their rounding may carry it past the extremes.
    np.clip(vwap, low, high, out=vwap)
    return BarColumns(
        timestamp_ns=rows.timestamp_ns,
        open=rows.open / scale,
        high=high,
        low=low,
        close=close,
        volume=rows.volume.astype(np.float64),
        trade_count=rows.trade_count,
        vwap=vwap,
    )


def no_bars() -> BarColumns:
    """Columns of length zero."""
    import numpy as np

    moments: Array = np.empty(0, np.int64)
    numbers: Array = np.empty(0, np.float64)
    return BarColumns(
        timestamp_ns=moments, open=numbers, high=numbers, low=numbers, close=numbers, volume=numbers, trade_count=moments, vwap=numbers
    )


def covered(timeframe: Timeframe, start_ns: int, end_ns: int) -> tuple[int, int]:
    """The stretch that the bars with a left edge in ``[start_ns, end_ns)`` cover; empty when there are none."""
    first = timeframe.floor(start_ns)
    if first < start_ns:
        first = timeframe.following(first)
    return (first, timeframe.following(timeframe.floor(end_ns - 1))) if first < end_ns else (first, first)


def _edges(moments: Array, timeframe: Timeframe) -> Array:
    """The left edge of the bar that holds each moment; the moments ascend."""
    import numpy as np

    if timeframe.is_intraday:
        offsets = _day_edges(timeframe)
        within = moments % _DAY_NS
        return moments - within + offsets[np.searchsorted(offsets, within, side="right") - 1]
    edges = np.array(_edges_between(timeframe, int(moments[0]), int(moments[-1])), np.int64)
    return edges[np.searchsorted(edges, moments, side="right") - 1]


@lru_cache(maxsize=64)
def _day_edges(timeframe: Timeframe) -> Array:
    """The edges of any one day, counted from its midnight: those of intraday bars are the same in every day."""
    import numpy as np

    return np.array(_edges_between(timeframe, 0, _DAY_NS - 1), np.int64)


def _edges_between(timeframe: Timeframe, first_ns: int, last_ns: int) -> list[int]:
    edges = [timeframe.floor(first_ns)]
    while (following := timeframe.following(edges[-1])) <= last_ns:
        edges.append(following)
    return edges
