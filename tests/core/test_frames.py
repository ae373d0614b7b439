"""Columns of bars to frames of one schema."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker_core.bar_download import Piece
from broker_core.errors import WireError
from broker_core.frames import COLUMNS, BarArrays, join, no_bars, own_copy, stacked, to_arrays, to_frame, to_stacked_frame
from broker_core.models import BarColumns

FLOATS = ("open", "high", "low", "close", "volume", "vwap")
DTYPES = {name: np.dtype("int64" if name == "trade_count" else "float64") for name in COLUMNS}
UTC_NS = pd.DatetimeTZDtype("ns", "UTC")
EVER = 2**62
EDGE = 1_772_409_600_000_000_000


def bars(edges: Sequence[int], kind: str = "array") -> BarColumns:
    """Bars whose prices tell their edge and column: the edge's last digits and a tenth for each column."""
    columns = {name: [edge % 1000 + place / 10 for edge in edges] for place, name in enumerate(FLOATS)}
    counts = [edge % 1000 for edge in edges]
    if kind == "list":
        return BarColumns(timestamp_ns=list(edges), trade_count=counts, **columns)
    if kind == "numpy":
        whole = {"timestamp_ns": np.array(edges, "int64"), "trade_count": np.array(counts, "int64")}
        return BarColumns(**whole, **{name: np.array(values, "float64") for name, values in columns.items()})  # type: ignore[arg-type]
    return BarColumns(
        timestamp_ns=array("q", edges), trade_count=array("q", counts), **{name: array("d", values) for name, values in columns.items()}
    )


def piece(*edges: int, start: int = 0, end: int = EVER, kind: str = "array") -> Piece:
    return Piece(start, end, bars(edges, kind))


def arrays(*edges: int) -> BarArrays:
    return to_arrays("AAPL", [piece(*edges)])


class TestSchema:
    @pytest.mark.parametrize("kind", ["array", "numpy", "list"])
    @pytest.mark.parametrize("edges", [(), (EDGE,), (EDGE, EDGE + 1, EDGE + 7)])
    def test_one_symbol(self, edges: tuple[int, ...], kind: str):
        """Whatever the columns were made of, and without rows too, dtypes, names and order are the same."""
        frame = to_frame(to_arrays("AAPL", [piece(*edges, kind=kind)]))

        assert tuple(frame.columns) == COLUMNS == ("open", "high", "low", "close", "volume", "trade_count", "vwap")
        assert dict(frame.dtypes) == DTYPES
        assert isinstance(frame.index, pd.DatetimeIndex)
        assert frame.index.dtype == UTC_NS
        assert (frame.index.name, frame.index.unit, frame.index.freq) == ("timestamp", "ns", None)
        assert len(frame) == len(edges)

    @pytest.mark.parametrize("edges", [{}, {"AAPL": ()}, {"AAPL": (), "MSFT": (EDGE,)}, {"AAPL": (EDGE, EDGE + 5), "MSFT": (EDGE,)}])
    def test_several_symbols(self, edges: dict[str, tuple[int, ...]]):
        """The same columns over (symbol, timestamp), whose levels have fixed dtypes with and without rows."""
        frame = to_stacked_frame({symbol: arrays(*found) for symbol, found in edges.items()})

        assert tuple(frame.columns) == COLUMNS
        assert dict(frame.dtypes) == DTYPES
        assert isinstance(frame.index, pd.MultiIndex)
        assert frame.index.names == ["symbol", "timestamp"]
        assert frame.index.levels[0].dtype == pd.Index(["AAPL"], dtype="str").dtype
        assert frame.index.levels[1].dtype == UTC_NS
        assert frame.index.to_frame().dtypes["timestamp"] == UTC_NS
        assert list(frame.index) == [(symbol, pd.Timestamp(edge, tz="UTC")) for symbol, found in edges.items() for edge in found]

    def test_empty_is_a_full_one_without_rows(self):
        """A frame without rows equals one with rows that were taken away."""
        pd.testing.assert_frame_equal(to_frame(no_bars()), to_frame(arrays(EDGE)).iloc[:0])
        empty, full = to_stacked_frame({}), to_stacked_frame({"AAPL": arrays(EDGE)})
        # Before pandas 3 a text index is one of objects, of whose type nothing can be said without any.
        pd.testing.assert_frame_equal(empty, full.iloc[:0], check_index_type=False)

    def test_frames_can_be_put_together(self):
        """Adding a frame without rows changes nothing, which it would if its schema were another."""
        full = to_frame(arrays(EDGE, EDGE + 1))

        pd.testing.assert_frame_equal(pd.concat([to_frame(no_bars()), full]), full)

    def test_symbols_select_as_one_would_have_it(self):
        """Out of a stacked frame, one symbol's rows are that symbol's own frame."""
        frame = to_stacked_frame({"AAPL": arrays(EDGE, EDGE + 5), "MSFT": arrays(EDGE + 3)})

        assert frame.index.is_monotonic_increasing
        pd.testing.assert_frame_equal(frame.loc["AAPL"], to_frame(arrays(EDGE, EDGE + 5)), check_freq=False)

    @pytest.mark.parametrize("edges", [(), (EDGE,), (EDGE, EDGE + 5)])
    def test_one_symbol_stacked(self, edges: tuple[int, ...]):
        """A frame of one symbol becomes just what the stacked one of that symbol would be."""
        pd.testing.assert_frame_equal(stacked("AAPL", to_frame(arrays(*edges))), to_stacked_frame({"AAPL": arrays(*edges)}))


class TestValues:
    @pytest.mark.parametrize("kind", ["array", "numpy", "list"])
    def test_every_column_in_its_place(self, kind: str):
        """Each column holds its own numbers, to the last bit."""
        frame = to_frame(to_arrays("AAPL", [piece(EDGE + 1, EDGE + 2, kind=kind), piece(EDGE + 3, kind=kind)]))

        for place, name in enumerate(FLOATS):
            assert frame[name].tolist() == [number + place / 10 for number in (1, 2, 3)]
        assert frame["trade_count"].tolist() == [1, 2, 3]

    def test_nanoseconds_are_kept(self):
        """Left edges keep their last nanosecond."""
        frame = to_frame(arrays(EDGE + 1, EDGE + 2))

        assert [moment.value for moment in frame.index] == [EDGE + 1, EDGE + 2]

    def test_unknown_average_is_nan(self):
        """A missing float, where a list has None, is not a number."""
        unknown = attrs.evolve(bars([EDGE], "list"), vwap=[None])

        assert np.isnan(to_frame(to_arrays("AAPL", [Piece(0, EVER, unknown)]))["vwap"].iloc[0])

    def test_smaller_integers(self):
        """Counts of fewer bits are widened."""
        small = attrs.evolve(bars([EDGE], "list"), trade_count=np.array([7], "uint16"))

        assert to_frame(to_arrays("AAPL", [Piece(0, EVER, small)]))["trade_count"].dtype == np.int64

    def test_buffers_may_be_reused(self):
        """A frame does not look into the plugin's buffers any more."""
        source = bars([EDGE + 1], "numpy")
        frame = to_frame(to_arrays("AAPL", [Piece(0, EVER, source)]))

        source.open[0] = -1.0  # type: ignore[index]  # a NumPy array
        source.timestamp_ns[0] = 5  # type: ignore[index]

        assert frame["open"].tolist() == [1.0]
        assert frame.index[0].value == EDGE + 1

    def test_buffers_are_read_without_objects(self, monkeypatch: pytest.MonkeyPatch):
        """An array's memory is taken as it is, not item by item."""

        class Watched(array):
            def __getitem__(self, place: Any) -> Any:
                raise AssertionError("read item by item")

            def __iter__(self) -> Any:
                raise AssertionError("read item by item")

        ones = Watched("d", [1.0, 1.0])
        whole = Watched("q", [EDGE, EDGE + 1])
        watched = BarColumns(timestamp_ns=whole, open=ones, high=ones, low=ones, close=ones, volume=ones, trade_count=whole, vwap=ones)

        assert len(to_arrays("AAPL", [Piece(0, EVER, watched)])) == 2


class TestJoining:
    def test_outside_the_range_is_dropped(self):
        """Bars before a piece's start, or at its end and after, do not belong to it."""
        assert arrays_of(piece(1, 2, 3, 4, 5, start=2, end=5)) == [2, 3, 4]

    def test_border_bar_of_two_ranges(self):
        """A broker that includes the end of a range sends the border's bar twice; it stands once."""
        assert arrays_of(piece(1, 2, 3, start=1, end=3), piece(3, 4, start=3, end=5)) == [1, 2, 3, 4]

    def test_doubled_bars_keep_the_later(self):
        """Of two bars with one edge the one that came later is kept, in all columns."""
        first, second = bars([1, 2]), attrs.evolve(bars([2, 3]), open=array("d", [99.0, 3.0]), trade_count=array("q", [98, 3]))
        joined = to_arrays("AAPL", [Piece(0, EVER, first), Piece(0, EVER, second)])

        frame = to_frame(joined)
        assert joined.timestamp_ns.tolist() == [1, 2, 3]
        assert frame["open"].tolist() == [1.0, 99.0, 3.0]
        assert frame["trade_count"].tolist() == [1, 98, 3]
        assert dict(frame.dtypes) == DTYPES

    @settings(deadline=None)
    @given(st.lists(st.lists(st.integers(0, 60), max_size=8), max_size=6))
    def test_like_a_dictionary(self, pages: list[list[int]]):
        """Pages in ascending order, with doubles inside and between them, join to the sorted set of their edges."""
        edges = sorted(edge for page in pages for edge in page)
        left = iter(edges)
        ordered = [[next(left) for _ in page] for page in pages]

        assert arrays_of(*(piece(*page) for page in ordered)) == sorted(set(edges))

    def test_limit(self):
        """Only the last bars are kept of each symbol, and no reference to the others."""
        joined = join({"AAPL": [piece(1, 2, 3)], "MSFT": [piece(1)]}, 2)

        assert {symbol: found.timestamp_ns.tolist() for symbol, found in joined.items()} == {"AAPL": [2, 3], "MSFT": [1]}
        assert joined["AAPL"].floats.base is None
        assert len(join({"AAPL": [piece(1, 2, 3)]}, None)["AAPL"]) == 3


def arrays_of(*pieces: Piece) -> list[int]:
    return to_arrays("AAPL", pieces).timestamp_ns.tolist()


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"close": [1.0]}, "AAPL has 2 times and 1 of close"),
            ({"trade_count": [1, 2, 3]}, "AAPL has 2 times and 3 of trade_count"),
            ({"timestamp_ns": [EDGE + 1, EDGE]}, "AAPL goes back in time from 2026-03-02T00:00:00"),
            ({"timestamp_ns": [1.0, 2.0]}, "timestamp_ns of AAPL holds float64; it must hold integers"),
            ({"timestamp_ns": np.array(["2026-03-02", "2026-03-03"], "M8[ns]")}, "timestamp_ns of AAPL holds datetime64"),
            ({"trade_count": [1, None]}, "trade_count of AAPL holds object"),
            ({"open": ["a", "b"]}, "open of AAPL is not a column of numbers"),
            ({"open": [[1.0, 2.0], [3.0, 4.0]]}, "open of AAPL has 2 dimensions"),
            ({"open": [1.0, [2.0]]}, "open of AAPL is not a column of numbers"),
        ],
    )
    def test_columns_that_cannot_be(self, change: dict[str, Any], says: str):
        """Columns that are no columns of numbers, or not as long as the others, are errors that name symbol and column."""
        wrong = attrs.evolve(bars([EDGE, EDGE + 1], "list"), **change)

        with pytest.raises(WireError) as caught:
            to_arrays("AAPL", [Piece(0, EVER, wrong)])

        assert says in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_disorder_outside_the_range(self):
        """Bars out of order are an error also where the range would have hidden it, and others with it."""
        with pytest.raises(WireError, match="goes back in time"):
            to_arrays("AAPL", [piece(EDGE + 5, EDGE + 1, start=EDGE + 4)])

    def test_pages_that_go_back(self):
        """A page that begins before the one before it ended is an error that names both moments."""
        with pytest.raises(WireError, match=r"goes back in time from 2026-03-02T00:00:05\+00:00 to 2026-03-02T00:00:00"):
            to_arrays("AAPL", [piece(EDGE, EDGE + 5_000_000_000), piece(EDGE)])


class TestOwnCopy:
    def test_writing_to_a_copy(self):
        """What is written to a copy, in values, rows, columns or attributes, is not seen by the original or the next copy."""
        frame = to_frame(arrays(EDGE, EDGE + 1))
        frame.attrs = {"broker": "demo"}
        before = frame.copy(deep=True)

        mine = own_copy(frame)
        mine.iloc[0, 0] = -1.0
        mine.loc[:, "close"] = 7.0
        mine["trade_count"] += 5
        mine["mine"] = 1
        mine.attrs["broker"] = "nobody"
        mine.index.name = "when"

        pd.testing.assert_frame_equal(frame, before)
        pd.testing.assert_frame_equal(own_copy(frame), before)
        assert frame.attrs == {"broker": "demo"}
        assert mine["close"].tolist() == [7.0, 7.0]

    @pytest.mark.parametrize("several", [False, True])
    def test_writing_under_pandas(self, several: bool):
        """The memory that pandas hands out is the copy's own, or cannot be written to."""
        frame = to_stacked_frame({"AAPL": arrays(EDGE)}) if several else to_frame(arrays(EDGE))
        before = frame.copy(deep=True)
        mine = own_copy(frame)

        for values in (mine["open"].to_numpy(), mine.to_numpy(), mine["trade_count"].to_numpy()):
            if values.flags.writeable:
                values[:] = -1
        times = mine.index.get_level_values("timestamp").to_numpy(dtype="datetime64[ns]")
        if times.flags.writeable:
            times[:] = np.datetime64(5, "ns")

        pd.testing.assert_frame_equal(frame, before)

    def test_a_copy_can_be_written_to_when_it_is_the_last(self):
        """A holder may write to the copy also after the original is gone."""
        mine = own_copy(to_frame(arrays(EDGE)))

        mine.iloc[0, 0] = -1.0

        assert mine.iloc[0, 0] == -1.0
