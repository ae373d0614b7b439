"""Moments of many rows as one array of integer nanoseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker_alpaca.wire.columns import timestamps, whole_seconds
from broker_alpaca.wire.moments import parse_ns
from broker_core.clock import to_ns

FIRST, LAST = datetime(1678, 1, 1, tzinfo=UTC), datetime(2261, 12, 31, tzinfo=UTC)
SECONDS = st.integers(0, round((LAST - FIRST).total_seconds())).map(
    lambda seconds: f"{FIRST + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"
)
FRACTIONS = st.builds(lambda text, digits: f"{text[:19]}.{digits}Z", SECONDS, st.text("0123456789", min_size=1, max_size=9))
OFFSETS = st.builds(lambda text, offset: text[:19] + offset, SECONDS, st.sampled_from(["+00:00", "-04:00", "+05:30"]))


@given(st.lists(SECONDS, max_size=50))
def test_whole_seconds_are_read_at_once_as_they_are_one_by_one(texts: list[str]):
    """The quick way and the plain way give the same integers, and the quick way takes every whole second there is."""
    quick = whole_seconds(texts)

    assert quick is not None
    assert quick.tolist() == [parse_ns(text) for text in texts]
    assert quick.dtype == np.int64


@given(st.lists(SECONDS | FRACTIONS | OFFSETS, min_size=1, max_size=20))
def test_fractions_and_offsets_are_exact(texts: list[str]):
    """Fractions of up to nine digits and offsets give exact nanoseconds, whatever stands beside them."""
    found = timestamps(texts)

    assert found.tolist() == [parse_ns(text) for text in texts]
    for text, at_ns in zip(texts, found.tolist(), strict=True):
        assert at_ns // 1000 == to_ns(datetime.fromisoformat(text)) // 1000


def test_known_moments():
    """A leap day, a moment before 1970, every digit of a fraction, and New York's winter time."""
    texts = ["2024-02-29T23:59:59Z", "1969-12-31T23:59:59Z", "2022-01-03T09:00:00.244839681Z", "2026-03-02T04:30:00-05:00"]

    assert timestamps(texts).tolist() == [1_709_251_199_000_000_000, -1_000_000_000, 1_641_200_400_244_839_681, 1_772_443_800_000_000_000]


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "2024-02-30T00:00:00Z", "2023-02-29T00:00:00Z", "2024-13-01T00:00:00Z", "2024-00-01T00:00:00Z"),
        *("2024-01-00T00:00:00Z", "2024-04-31T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z", "2024-01-01T00:00:60Z"),
        *("2024-01-01T00:00:0/Z", "2024-01-01T00:00:0:Z", "2024-01-01T00:00:00", "2024-01-01T00:00:00.Z", "2300-01-01T00:00:00Z"),
        *("2024.01-01T00:00:00Z", "2024-01/01T00:00:00Z", "2024-01-01U00:00:00Z", "2024-01-01T00;00:00Z", "2024-01-01T00:00:00["),
        *("2024-01-01T00:00:00Z\n", "2024-01-01T00:00:00Z2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z\n2024-01-01T00:00:00Z"),
    ],
)
def test_what_is_no_moment_is_never_read_as_one(text: str):
    """No day, no hour, no zone, no end of a line that there is not: neither way takes it, at whichever place it stands."""
    good = "2024-01-01T00:00:00Z"
    for texts in ([text], [good, text], [text, good], [text, ""]):
        assert whole_seconds(texts) is None
        with pytest.raises((ValueError, OverflowError)):
            timestamps(texts)


def test_nothing_is_an_empty_array():
    """No rows make no moments, as integers."""
    assert timestamps([]).dtype == np.int64
    assert len(timestamps([])) == 0
