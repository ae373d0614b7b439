"""The moments of a frame, exact to the nanosecond."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import Ext

from broker_alpaca.wire.stream_times import TextMoments, exactly, ext_ns, rewrite
from broker_core.clock import to_ns

SECOND = 1_000_000_000
WHOLE = to_ns(datetime(2026, 3, 2, 15, 0, 0, tzinfo=UTC))
SECONDS = st.integers(0, 2**34 - 1)
NANOSECONDS = st.integers(0, SECOND - 1)


@attrs.define
class Record:
    t: Any = None
    tx: int | None = None


def eight(seconds: int, nanoseconds: int) -> Ext:
    return Ext(-1, (nanoseconds << 34 | seconds).to_bytes(8, "big"))


def text(moment_ns: int) -> str:
    digits = f".{moment_ns % SECOND:09d}".rstrip("0").rstrip(".")
    return f"{datetime.fromtimestamp(moment_ns // SECOND, UTC):%Y-%m-%dT%H:%M:%S}{digits}Z"


@given(SECONDS, NANOSECONDS)
def test_eight_bytes_are_seconds_and_nanoseconds(seconds: int, nanoseconds: int):
    """Thirty bits of nanoseconds and thirty-four of seconds come out whole."""
    assert ext_ns(eight(seconds, nanoseconds)) == seconds * SECOND + nanoseconds


@given(st.integers(0, 2**32 - 1))
def test_four_bytes_are_seconds(seconds: int):
    """A moment without a fraction is sent as seconds alone."""
    assert ext_ns(Ext(-1, seconds.to_bytes(4, "big"))) == seconds * SECOND


@given(st.integers(-(2**35), 2**37), NANOSECONDS)
def test_twelve_bytes_reach_before_the_epoch(seconds: int, nanoseconds: int):
    """The long form has signed seconds."""
    assert ext_ns(Ext(-1, struct.pack(">Iq", nanoseconds, seconds))) == seconds * SECOND + nanoseconds


@pytest.mark.parametrize("ext", [Ext(1, b"12345678"), Ext(-1, b"123"), Ext(-1, b""), Ext(-1, struct.pack(">Iq", 0, 2**60))])
def test_another_extension_is_no_moment(ext: Ext):
    """Other types, lengths and years that no calendar has are refused."""
    with pytest.raises(ValueError, match="is no timestamp"):
        ext_ns(ext)


@given(st.lists(st.tuples(SECONDS, NANOSECONDS), min_size=1, max_size=5))
def test_a_rewritten_frame_has_the_same_moments(moments: list[tuple[int, int]]):
    """Rewriting moments of eight bytes into integers changes nothing else and loses nothing."""
    frame = msgspec.msgpack.encode([{"S": "A", "t": eight(*moment), "p": 1.5} for moment in moments])
    rewritten, found = rewrite(frame)
    records = msgspec.msgpack.decode(rewritten)

    assert len(rewritten) == len(frame)
    assert [{**record, "tx": 0} for record in records] == [{"S": "A", "tx": 0, "p": 1.5}] * len(moments)
    assert exactly([Record(tx=record["tx"]) for record in records], found) == [one * SECOND + rest for one, rest in moments]


def test_what_only_looks_like_a_moment_is_noticed():
    """A number whose bytes happen to be those of a moment makes the count too high, and the frame is not trusted."""
    accident = struct.unpack(">d", b"\xa1t\xd7\xff\0\0\0\1")[0]
    frame = msgspec.msgpack.encode([{"t": eight(1, 2), "p": accident}])
    rewritten, found = rewrite(frame)

    assert found == 2
    assert msgspec.msgpack.decode(rewritten)[0]["p"] != accident
    assert exactly([Record(tx=1)], found) is None


def test_records_without_a_rewritten_moment_are_noticed():
    """Where one record of several has no moment of eight bytes, none is taken for exact."""
    assert exactly([Record(tx=1), Record(t=Ext(-1, b"1234"))], 2) is None
    assert exactly([object()], 1) is None
    assert exactly([], 0) == []


@given(st.lists(st.integers(0, 4_000_000_000 * SECOND), min_size=1, max_size=5))
def test_text_of_any_length_is_exact(moments: list[int]):
    """Text with none to nine digits gives the same moment the slow way and, its second being known, the fast way."""
    texts = TextMoments()
    records = [Record(t=text(moment)) for moment in moments]
    assert [texts.ns(record.t) for record in records] == moments

    fast = texts.all(records)

    assert fast == moments if all(moment % SECOND for moment in moments) else fast is None


@pytest.mark.parametrize("strange", [None, "", "2026-03-02T15:00:00.5+00:00", "2026-03-02T15:00:00.1234567890Z", "2026-03-02T15:00:00.Z"])
def test_unusual_texts_are_left_to_the_slow_way(strange: Any):
    """The fast way takes only what it is sure of."""
    texts = TextMoments()
    texts.ns("2026-03-02T15:00:00.5Z")

    assert texts.all([Record(t="2026-03-02T15:00:00.25Z")]) == [WHOLE + SECOND // 4]
    assert texts.all([Record(t="2026-03-02T15:00:00.25Z"), Record(t=strange)]) is None


def test_an_offset_is_read():
    """A moment with an offset is the same moment."""
    assert TextMoments().ns("2026-03-02T11:00:00.5-04:00") == WHOLE + SECOND // 2


def test_seconds_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch):
    """What is remembered of a long session stays within bounds."""
    monkeypatch.setattr("broker_alpaca.wire.stream_times._REMEMBERED", 3)
    texts = TextMoments()
    for second in range(10):
        texts.ns(text(WHOLE + second * SECOND + 1))

    assert len(texts._seconds) <= 3
    assert texts.all([Record(t=text(WHOLE + 9 * SECOND + 7))]) == [WHOLE + 9 * SECOND + 7]
