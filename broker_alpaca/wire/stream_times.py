"""The moments of a whole frame as exact nanoseconds, at the price of a few instructions each.

MessagePack writes a moment as an extension of type -1 with 4, 8 or 12 bytes (its specification's timestamp), JSON as RFC 3339 text with up
to nine digits. A decoder that makes a ``datetime`` of either rounds to microseconds, which can carry a moment into the next second and the
next bar; here every digit is kept.

A frame of the usual kind, whose moments all have eight bytes, is rewritten before it is decoded: the member ``t`` with its extension
becomes a member ``tx`` with an integer of the same eight bytes, at a third of the cost of an extension. Since a price could hold the same
bytes by accident, ``exactly`` counts: only as many moments as records prove that every one of them was a moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.msgpack import Ext

from broker_alpaca.wire.moments import parse_ns

_EXTENSION = b"\xa1t\xd7\xff"
_INTEGER = b"\xa2tx\xcf"
_SECONDS = 0x3_FFFF_FFFF
_SECOND = 1_000_000_000
_TIMESTAMP = -1
_FIRST, _LAST = -62_135_596_800, 253_402_300_798
"""The seconds that a ``datetime`` can hold."""
# By the length of a text from 2026-03-02T15:00:00.1Z to the one with nine digits: what its digits are to be multiplied with.
_SCALES = (0,) * 22 + tuple(10**power for power in range(8, -1, -1))
_REMEMBERED = 10_000


def rewrite(frame: bytes) -> tuple[bytes, int]:
    """The frame with integers in place of moments of eight bytes, and how many there were."""
    found = frame.count(_EXTENSION)
    return (frame.replace(_EXTENSION, _INTEGER) if found else frame), found


def exactly(records: Sequence[Any], found: int) -> list[int] | None:
    """The moments of rewritten records; None unless each record has one and there were no others."""
    if len(records) != found:
        return None
    try:
        return [((tx := record.tx) & _SECONDS) * _SECOND + (tx >> 34) for record in records]
    except (AttributeError, TypeError):
        return None


def ext_ns(ext: Ext) -> int:
    """Nanoseconds of one MessagePack timestamp. Raises ValueError for another extension."""
    data = bytes(ext.data)
    if ext.code == _TIMESTAMP:
        if len(data) == 8:
            both = int.from_bytes(data, "big")
            return (both & _SECONDS) * _SECOND + (both >> 34)
        if len(data) == 4:
            return int.from_bytes(data, "big") * _SECOND
        if len(data) == 12 and _FIRST <= (seconds := int.from_bytes(data[4:], "big", signed=True)) <= _LAST:
            return seconds * _SECOND + int.from_bytes(data[:4], "big")
    raise ValueError(f"an extension of type {ext.code} and {len(data)} bytes is no timestamp")


class TextMoments:
    """Moments written as text. Many share a second, so seconds are remembered."""

    def __init__(self) -> None:
        self._seconds: dict[str, int] = {}

    def all(self, records: Sequence[Any]) -> list[int] | None:
        """The moments of all these records; None where one is unusual, or of a second not met before."""
        seconds, scales = self._seconds, _SCALES
        try:
            return [seconds[(text := record.t)[:20]] + int(text[20:-1]) * scales[len(text)] for record in records]
        except (AttributeError, TypeError, ValueError, LookupError):
            return None

    def ns(self, text: str) -> int:
        """The moment of one text. Raises ValueError."""
        moment = parse_ns(text)
        if len(text) > 20 and text[19] == "." and text[-1] == "Z":
            if len(self._seconds) >= _REMEMBERED:
                self._seconds.clear()
            self._seconds[text[:20]] = moment - moment % _SECOND
        return moment
