"""Moments on Alpaca's wire: RFC 3339 with up to nine fractional digits, ``Z`` or an offset.

Source: https://docs.alpaca.markets/reference (every ``date-time``); trailing zeros of a fraction are dropped there.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

from broker_core.clock import from_ns, to_ns

_SECOND = 1_000_000_000


@lru_cache(maxsize=4096)
def _whole_seconds(text: str) -> int:
    """Nanoseconds of a moment without its fraction, like ``2026-03-02T15:00:01Z``; many records share one."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return to_ns(moment)


def parse_ns(text: str) -> int:
    """Nanoseconds since the Unix epoch, exact. Raises ValueError for what is not RFC 3339 with a zone."""
    if len(text) < 20 or text[10] not in "Tt ":
        raise ValueError(f"{text!r} is not a moment like 2026-03-02T15:00:01.5Z")
    if text[19] != ".":
        return _whole_seconds(text)
    end = 20
    while end < len(text) and text[end].isdigit():
        end += 1
    digits = text[20:end]
    if not digits or not digits.isascii():
        raise ValueError(f"{text!r} has no digits after its point")
    return _whole_seconds(text[:19] + text[end:]) + int(digits[:9].ljust(9, "0"))


def parse(text: str) -> datetime:
    """The aware UTC moment, cut to whole microseconds. Raises ValueError."""
    return from_ns(parse_ns(text))


def to_text(moment: datetime) -> str:
    """An aware moment as Alpaca takes it: UTC, microseconds where there are any. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError(f"moment: {moment.isoformat()} has no time zone; give an aware datetime")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def ns_to_text(ns: int) -> str:
    """Nanoseconds since the epoch as RFC 3339 in UTC, with as many fractional digits as it takes."""
    seconds, rest = divmod(ns, _SECOND)
    text = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}".rstrip("0") + "Z" if rest else f"{text}Z"


def midnight(day: date, zone: ZoneInfo | timezone = UTC) -> datetime:
    """The moment at which a day begins somewhere; a moment is itself."""
    return day if isinstance(day, datetime) else datetime(day.year, day.month, day.day, tzinfo=zone)


def day_text(day: date) -> str:
    """A date as ``YYYY-MM-DD``."""
    return day.isoformat()
