"""What ``broker demo --replay`` has to know of a file before it opens the session: its symbols, and how fast to play it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_DAY = 86_400
_TICKS_A_BAR = 4
_TICKS_A_SECOND = 3.0
_LASTS = 15.0
"""Seconds for which the first session of the file, or a whole file of daily bars, should last at least."""
_LEAST_CASH = 100_000


@attrs.frozen
class ReplayFile:
    """Its ``symbols``, those with most bars first, the bars' ``timeframe``, a ``speed`` that suits them, and ``cash`` for their volumes."""

    symbols: tuple[str, ...]
    timeframe: str
    speed: float
    cash: int


def look(path: Path) -> ReplayFile:
    """Look at the file. What cannot be understood is guessed at: whoever replays it says then what is wrong with it."""
    try:
        return _look(path)
    except (OSError, ValueError, KeyError, ImportError):
        return ReplayFile(symbols=(path.stem.upper(),), timeframe="1Day", speed=1.0, cash=_LEAST_CASH)


def _look(path: Path) -> ReplayFile:
    import pandas as pd

    frame: DataFrame = pd.read_parquet(path) if path.suffix.lower() in (".parquet", ".pq") else pd.read_csv(path)
    frame = frame.reset_index(drop=True)
    frame.columns = pd.Index([str(name).strip().lower() for name in frame.columns])
    if "symbol" not in frame.columns:
        frame["symbol"] = path.stem
    symbols = frame["symbol"].astype(str).str.strip().str.upper()
    moments = _moments(frame["timestamp"]).sort_values()
    distances = moments.groupby(symbols.loc[moments.index]).diff().dt.total_seconds().dropna()
    length = max(60.0, float(distances[distances > 0].min())) if len(distances) else 60.0
    days = moments.dt.tz_convert("America/New_York").dt.date
    first = moments if length >= _DAY else moments[days == days.iloc[0]]
    span = (first.iloc[-1] - first.iloc[0]).total_seconds() + length
    speed = min(_TICKS_A_SECOND * length / _TICKS_A_BAR, span / _LASTS)
    # A few times what a quote may display has to be affordable, or no order could ever be filled in parts.
    turnover = float((frame["volume"] * frame["close"]).mean()) / _TICKS_A_BAR
    return ReplayFile(tuple(symbols.value_counts().index[:3]), _timeframe(length), speed, round(max(_LEAST_CASH, min(20 * turnover, 1e11))))


def _moments(column: Series[Any]) -> Series[Any]:
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column):
        return pd.to_datetime(column, utc=True)
    sizes: tuple[tuple[Literal["s", "ms", "us"], float], ...] = (("s", 1e11), ("ms", 1e14), ("us", 1e17))
    unit: Literal["s", "ms", "us", "ns"] = next((unit for unit, end in sizes if abs(column.iloc[0]) < end), "ns")
    return pd.to_datetime(column, unit=unit, utc=True)


def _timeframe(seconds: float) -> str:
    if seconds >= _DAY:
        return "1Day"
    return f"{int(seconds // 3600)}Hour" if seconds >= 3600 else f"{int(seconds // 60)}Min"
