"""Rows of prints gathered into bars."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker_core.clock import to_ns
from broker_core.timeframe import Timeframe
from broker_demo.bar_columns import Rows, bar_columns, covered, gathered, joined, no_bars, single_ticks

TIMEFRAMES = st.sampled_from(["1Min", "5Min", "7Min", "59Min", "1Hour", "5Hour", "23Hour", "1Day", "1Week", "1Month", "3Month"])
START = to_ns(datetime(2025, 10, 20, tzinfo=UTC))
MOMENTS = st.integers(START, START + 90 * 86_400 * 10**9)


def ticks(*points: tuple[int, int, int]) -> Rows:
    moments, prices, sizes = np.array(points, np.int64).reshape(-1, 3).T
    return single_ticks(moments, prices, sizes)


def same(one: Rows, other: Rows) -> bool:
    return all(np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in attrs.fields(Rows))


def test_a_bar_is_made_of_its_ticks() -> None:
    """Open and close are the first and last price, high and low the extremes; sizes and numbers add up; the VWAP weighs by size."""
    minute = 60 * 10**9
    rows = ticks((5, 1000, 2), (6, 1200, 1), (7, 900, 3), (minute - 1, 1100, 4), (minute, 1300, 5))
    columns = bar_columns(gathered(rows, Timeframe.parse("1Min")), 100)
    assert list(columns.timestamp_ns) == [0, minute]
    assert list(columns.open) == [10.0, 13.0]
    assert list(columns.high) == [12.0, 13.0]
    assert list(columns.low) == [9.0, 13.0]
    assert list(columns.close) == [11.0, 13.0]
    assert list(columns.volume) == [10.0, 5.0]
    assert list(columns.trade_count) == [4, 1]
    assert list(columns.vwap) == [10.3, 13.0]


def test_columns_are_integers_and_floats_of_64_bits() -> None:
    """Also where there are no bars."""
    for columns in (no_bars(), bar_columns(gathered(ticks((5, 1000, 2)), Timeframe.parse("1Day")), 100)):
        for field in attrs.fields(type(columns)):
            kind = np.int64 if field.name in ("timestamp_ns", "trade_count") else np.float64
            assert np.asarray(getattr(columns, field.name)).dtype == kind


def test_a_bar_without_volume_has_its_close_as_vwap() -> None:
    """Nothing is divided by zero."""
    assert list(bar_columns(gathered(ticks((5, 1000, 0), (6, 1100, 0)), Timeframe.parse("1Min")), 100).vwap) == [11.0]


def test_the_vwap_stays_within_the_extremes() -> None:
    """The rounding of floats does not carry it past the only price there was."""
    moments = np.arange(1000)
    rows = gathered(single_ticks(moments, np.full(1000, 0.1), np.full(1000, 3)), Timeframe.parse("1Min"))
    assert rows.notional[0] / rows.volume[0] != 0.1
    assert list(bar_columns(rows, 1).vwap) == [0.1]


@settings(deadline=None, max_examples=60)
@given(TIMEFRAMES, st.lists(MOMENTS, min_size=1, max_size=40).map(sorted))
def test_every_tick_falls_into_the_bar_that_the_timeframe_says(timeframe: str, moments: list[int]) -> None:
    """Left edges are those of ``Timeframe.floor``, whatever the timeframe, also across a change of the clocks."""
    frame = Timeframe.parse(timeframe)
    rows = gathered(ticks(*((moment, 10, 1) for moment in moments)), frame)
    edges = [frame.floor(moment) for moment in moments]
    assert rows.timestamp_ns.tolist() == sorted(set(edges))
    assert rows.trade_count.tolist() == [edges.count(edge) for edge in sorted(set(edges))]


@settings(deadline=None, max_examples=60)
@given(TIMEFRAMES, st.lists(MOMENTS, min_size=2, max_size=40).map(sorted), st.integers(1, 39), st.data())
def test_gathering_parts_and_then_the_whole_changes_nothing(timeframe: str, moments: list[int], cut: int, data: st.DataObject) -> None:
    """Rows may be gathered in blocks that end anywhere."""
    frame, cut = Timeframe.parse(timeframe), min(cut, len(moments) - 1)
    prices = data.draw(st.lists(st.integers(1, 1000), min_size=len(moments), max_size=len(moments)))
    points = [(moment, price, price % 7) for moment, price in zip(moments, prices, strict=True)]
    parts = [gathered(ticks(*points[:cut]), frame), gathered(ticks(*points[cut:]), frame)]
    assert same(gathered(joined(parts), frame), gathered(ticks(*points), frame))


@settings(deadline=None, max_examples=60)
@given(TIMEFRAMES, MOMENTS, MOMENTS)
def test_the_stretch_covered_is_that_of_the_bars_asked_for(timeframe: str, start: int, end: int) -> None:
    """It begins with the first left edge not before the start, and ends with the last bar whose left edge is before the end."""
    frame = Timeframe.parse(timeframe)
    first, stop = covered(frame, start, end)
    assert frame.floor(first) == first
    assert first == start or frame.floor(first - 1) < start <= first
    if first < stop:
        assert first < end <= stop
        assert frame.floor(stop) == stop
        assert frame.floor(stop - 1) < end
    else:
        assert first >= end


@pytest.mark.parametrize("timeframe", ["1Min", "1Day"])
def test_nothing_gathered_is_nothing(timeframe: str) -> None:
    """No ticks make no bars."""
    assert len(gathered(ticks(), Timeframe.parse(timeframe)).open) == 0
