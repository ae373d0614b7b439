"""Moments of many rows as one array of integer nanoseconds.

Nearly all moments of bars are whole seconds in UTC, twenty characters each; those are read all at once, by their digits' places. If a
single one is written otherwise, with a fraction or an offset, all are read one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from broker_alpaca.wire import moments

Array: TypeAlias = Any
"""A NumPy array. The type is not named because NumPy is loaded only where it is needed."""

_PATTERN = b"0000-00-00T00:00:00Z\n"
_LARGEST = b"999909909909909909900"
_WIDTH = len(_PATTERN)
_FIRST_YEAR, _LAST_YEAR = 1678, 2261
"""Within what 64 bits of nanoseconds can tell."""


def timestamps(texts: Sequence[str]) -> Array:
    """The moments as 64-bit integer nanoseconds since the Unix epoch. Raises ValueError or OverflowError where one is no moment."""
    import numpy as np

    quick = whole_seconds(texts)
    return np.fromiter(map(moments.parse_ns, texts), np.int64, len(texts)) if quick is None else quick


def whole_seconds(texts: Sequence[str]) -> Array | None:
    """The same where every text is like ``2026-03-02T15:00:01Z`` and a moment that there is; else None."""
    import numpy as np

    if not texts:
        return np.empty(0, np.int64)
    # The line ends make it exact: a text of another length, or one with a line end of its own, would break the pattern below it.
    joined = "\n".join((*texts, "")).encode()
    if len(joined) != _WIDTH * len(texts):
        return None
    # A row for each place in the text, so that all that follows runs along the rows.
    characters = np.ascontiguousarray(np.frombuffer(joined, np.uint8).reshape(len(texts), _WIDTH).T)
    # What is below its pattern becomes a large number, because these numbers have no sign.
    places = characters - np.frombuffer(_PATTERN, np.uint8)[:, None]
    if (places.max(axis=1) > np.frombuffer(_LARGEST, np.uint8) - ord("0")).any():
        return None
    century, (year, month, day, hour, minute, second) = places[0] * 10 + places[1], places[2:18:3] * 10 + places[3:19:3]
    if month.max() > 12 or hour.max() > 23 or minute.max() > 59 or second.max() > 59 or month.min() < 1 or day.min() < 1:
        return None
    years = century.astype(np.int64) * 100 + year
    if years.min() < _FIRST_YEAR or years.max() > _LAST_YEAR:
        return None
    months = (years * 12 + month - 1970 * 12 - 1).view("datetime64[M]")
    days = months.astype("datetime64[D]").view(np.int64)
    if day.max() > 28 and (days + day > (months + np.timedelta64(1, "M")).astype("datetime64[D]").view(np.int64)).any():
        return None
    return (((days + day - 1) * 24 + hour) * 60 + minute) * 60_000_000_000 + second.astype(np.int64) * 1_000_000_000
