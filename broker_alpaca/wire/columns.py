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

    # The line ends make it exact: a text of another length, or one with a line end of its own, would break the pattern below it.
    joined = "\n".join((*texts, "")).encode()
    if len(joined) != _WIDTH * len(texts) or not texts:
        return None if texts else np.empty(0, np.int64)
    characters = np.frombuffer(joined, np.uint8).reshape(len(texts), _WIDTH)
    pattern = np.frombuffer(_PATTERN, np.uint8)
    is_digit = pattern == ord("0")
    digits = characters - pattern
    if digits[:, ~is_digit].any() or (digits[:, is_digit] > 9).any():
        return None

    def number(first: int, last: int) -> Array:
        value = np.zeros(len(texts), np.int64)
        for place in range(first, last):
            value = value * 10 + digits[:, place]
        return value

    year, month, day = number(0, 4), number(5, 7), number(8, 10)
    hour, minute, second = number(11, 13), number(14, 16), number(17, 19)
    if (hour > 23).any() or (minute > 59).any() or (second > 59).any():
        return None
    if (year < _FIRST_YEAR).any() or (year > _LAST_YEAR).any() or (month < 1).any() or (month > 12).any() or (day < 1).any():
        return None
    first_of_month = (year * 12 + month - 1 - 1970 * 12).astype("datetime64[M]")
    if (first_of_month.astype("datetime64[D]") + day > (first_of_month + 1).astype("datetime64[D]")).any():
        return None
    days = first_of_month.astype("datetime64[D]").astype(np.int64) + day - 1
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000_000
