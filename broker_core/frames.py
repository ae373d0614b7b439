"""Columns of bars to pandas frames of one fixed schema.

Every frame has the float64 columns open, high, low, close, volume and vwap and the int64 column trade_count, over a ``DatetimeIndex``
in UTC of unit ns named ``timestamp``; a frame of several symbols has the ``MultiIndex`` (symbol, timestamp). A frame without rows has
the same schema. pandas and NumPy are loaded by the first frame, not by importing this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import attrs

from broker_core.bar_download import Piece
from broker_core.clock import from_ns
from broker_core.errors import WireError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame, DatetimeIndex, Index, MultiIndex

    Floats: TypeAlias = NDArray[np.float64]
    Integers: TypeAlias = NDArray[np.int64]

COLUMNS = ("open", "high", "low", "close", "volume", "trade_count", "vwap")
_FLOATS = ("open", "high", "low", "close", "volume", "vwap")
_INTEGERS = ("timestamp_ns", "trade_count")


@attrs.frozen(eq=False)
class BarArrays:
    """Bars of one symbol, oldest first, none twice. ``floats`` has a row for each float column, in the order of a frame."""

    timestamp_ns: Integers
    floats: Floats
    trade_count: Integers

    def __len__(self) -> int:
        return len(self.timestamp_ns)

    def last(self, count: int) -> BarArrays:
        """The last ``count`` bars, copied where there are more, so that the rest can be let go."""
        if count >= len(self):
            return self
        return BarArrays(self.timestamp_ns[-count:].copy(), self.floats[:, -count:].copy(), self.trade_count[-count:].copy())


def join(pieces: Mapping[str, Sequence[Piece]], limit: int | None) -> dict[str, BarArrays]:
    """Each symbol's pieces as ``to_arrays`` joins them, and of that the last ``limit``."""
    # The first one who comes this way does so in a thread, which may take its time to load what a frame will need.
    import pandas as pd  # noqa: F401

    joined = {symbol: to_arrays(symbol, parts) for symbol, parts in pieces.items()}
    return joined if limit is None else {symbol: bars.last(limit) for symbol, bars in joined.items()}


def no_bars() -> BarArrays:
    """Bars of nothing."""
    return to_arrays("", ())


def to_arrays(symbol: str, pieces: Sequence[Piece]) -> BarArrays:
    """Check a symbol's pieces and join them: bars outside a piece's range are dropped, of bars with one left edge the last is kept.

    The arrays are copies; what the pieces were made of may be reused. Raises WireError for columns of unequal length, for what is not
    a number, and for bars that go back in time.
    """
    import numpy as np

    parts = {name: [_array(symbol, name, ())] for name in (*_INTEGERS, *_FLOATS)}
    for piece in pieces:
        arrays = {name: _array(symbol, name, getattr(piece.columns, name)) for name in parts}
        edges = arrays["timestamp_ns"]
        for name, array in arrays.items():
            if len(array) != len(edges):
                raise WireError(f"bars: {symbol} has {len(edges)} times and {len(array)} of {name}; they must be as many")
        _check_order(symbol, edges)
        left, right = np.searchsorted(edges, (piece.start_ns, piece.end_ns))
        for name, array in arrays.items():
            parts[name].append(array[left:right])
    timestamp_ns, trade_count = (np.concatenate(parts[name]) for name in _INTEGERS)
    _check_order(symbol, timestamp_ns)
    floats = np.empty((len(_FLOATS), len(timestamp_ns)))
    for row, name in zip(floats, _FLOATS, strict=True):
        np.concatenate(parts[name], out=row)
    last_of_its_edge = np.append(timestamp_ns[1:] != timestamp_ns[:-1], np.ones(min(len(timestamp_ns), 1), bool))
    if last_of_its_edge.all():
        return BarArrays(timestamp_ns, floats, trade_count)
    return BarArrays(timestamp_ns[last_of_its_edge], floats[:, last_of_its_edge], trade_count[last_of_its_edge])


def to_frame(bars: BarArrays) -> DataFrame:
    """The frame of one symbol. It takes the arrays over without a copy."""
    return _frame(bars, _time_index(bars.timestamp_ns))


def to_stacked_frame(bars: Mapping[str, BarArrays]) -> DataFrame:
    """The frame of any number of symbols, in the order given; those without bars have no rows."""
    import numpy as np

    held = {symbol: arrays for symbol, arrays in bars.items() if len(arrays)}
    nothing = no_bars()
    timestamp_ns = np.concatenate([nothing.timestamp_ns, *(arrays.timestamp_ns for arrays in held.values())])
    floats = np.concatenate([nothing.floats, *(arrays.floats for arrays in held.values())], axis=1)
    trade_count = np.concatenate([nothing.trade_count, *(arrays.trade_count for arrays in held.values())])
    index = _symbol_time_index(list(held), [len(arrays) for arrays in held.values()], timestamp_ns)
    return _frame(BarArrays(timestamp_ns, floats, trade_count), index)


def stacked(symbol: str, frame: DataFrame) -> DataFrame:
    """The frame of one symbol as ``to_stacked_frame`` would have made it."""
    symbols, counts = ([symbol], [len(frame)]) if len(frame) else ([], [])
    return frame.set_axis(_symbol_time_index(symbols, counts, cast("DatetimeIndex", frame.index).asi8))


def own_copy(frame: DataFrame) -> DataFrame:
    """A frame whose holder may write to it without changing the one it was made of."""
    import pandas as pd

    # From version 3 on pandas copies what is shared when it is first written to.
    return frame.copy(deep=int(pd.__version__.partition(".")[0]) < 3)


def _array(symbol: str, name: str, values: Sequence[float]) -> NDArray[Any]:
    import numpy as np

    try:
        array = np.asarray(values, dtype=None if name in _INTEGERS else np.float64)
    except (TypeError, ValueError) as error:
        raise WireError(f"bars: {name} of {symbol} is not a column of numbers: {error}") from None
    if array.ndim != 1:
        raise WireError(f"bars: {name} of {symbol} has {array.ndim} dimensions; a column has one")
    if name in _INTEGERS:
        # Nanoseconds that went through a float have lost their last digits, and nothing later would show it.
        if array.size and array.dtype.kind not in "iu":
            raise WireError(f"bars: {name} of {symbol} holds {array.dtype}; it must hold integers")
        return array.astype(np.int64, copy=False)
    return array


def _check_order(symbol: str, edges: Integers) -> None:
    backward = edges[1:] < edges[:-1]
    if backward.any():
        place = int(backward.argmax())
        before, after = from_ns(int(edges[place])).isoformat(), from_ns(int(edges[place + 1])).isoformat()
        raise WireError(f"bars: {symbol} goes back in time from {before} to {after}; bars must come oldest first")


def _time_index(timestamp_ns: Integers) -> DatetimeIndex:
    import pandas as pd

    return pd.DatetimeIndex(timestamp_ns.view("datetime64[ns]"), name="timestamp").tz_localize("UTC").as_unit("ns")


def _symbol_time_index(symbols: Sequence[str], counts: Sequence[int], timestamp_ns: Integers) -> MultiIndex:
    import numpy as np
    import pandas as pd

    # Out of its parts: `from_arrays` would find the symbols again, row by row, and take twice as long. Of one symbol no edge comes twice.
    one = len(symbols) == 1
    edges, places = (timestamp_ns, np.arange(len(timestamp_ns))) if one else np.unique(timestamp_ns, return_inverse=True)
    levels: Any = [pd.Index(list(symbols), dtype="str"), _time_index(edges)]
    codes: Any = [np.repeat(np.arange(len(symbols)), counts), places]
    return pd.MultiIndex(levels=levels, codes=codes, names=["symbol", "timestamp"], verify_integrity=False)


def _frame(bars: BarArrays, index: Index[Any]) -> DataFrame:
    import pandas as pd

    frame = pd.DataFrame(bars.floats.T, index=index, columns=pd.Index(_FLOATS), copy=False)
    frame.insert(COLUMNS.index("trade_count"), "trade_count", bars.trade_count)
    return frame
