"""Moments on the wire: RFC 3339 texts with up to nine digits of a second, and integer nanoseconds since the Unix epoch on our side."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from broker_core.clock import from_ns, to_ns
from broker_core.timeframe import exchange_zone
from broker_demo.trading_hours import midnight_ns

_SECOND_NS = 1_000_000_000
_MINUTE_NS = 60 * _SECOND_NS
_DAY_NS = 1440 * _MINUTE_NS
_MINUTES = tuple(f"{hour:02d}:{minute:02d}:" for hour in range(24) for minute in range(60))
_SECONDS_LONG = len("2026-03-02T15:00:00")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:?\d\d)?\Z", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)


def moment_text(ns: int) -> str:
    """The moment in UTC with ``Z``, its trailing zeros dropped, as the data host writes it."""
    days, rest = divmod(ns, _DAY_NS)
    minute, rest = divmod(rest, _MINUTE_NS)
    # Some answers hold ten thousand moments, most of them whole minutes of a few days.
    start = _day_text(days) + _MINUTES[minute]
    if not rest:
        return f"{start}00Z"
    second, rest = divmod(rest, _SECOND_NS)
    return f"{start}{second:02d}.{rest:09d}".rstrip("0") + "Z" if rest else f"{start}{second:02d}Z"


@lru_cache(maxsize=4096)
def _day_text(days: int) -> str:
    return f"{from_ns(days * _DAY_NS):%Y-%m-%dT}"


def new_york_text(ns: int) -> str:
    """The moment with New York's offset, as the market clock is written."""
    moment = from_ns(ns).astimezone(exchange_zone())
    rest = ns % _SECOND_NS
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    offset = f"{moment:%z}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}{offset[:3]}:{offset[3:]}"


def moment_ns(text: str) -> int:
    """Read an RFC 3339 text; one without an offset is in UTC. Raises ValueError."""
    found = _MOMENT.match(text)
    if found is None:
        raise ValueError(f"{text!r} is not an RFC 3339 moment")
    whole, fraction, offset = found.groups()
    zone = "+00:00" if offset in (None, "Z", "z") else offset
    moment = datetime.fromisoformat(f"{whole.upper()}{zone}").astimezone(UTC)
    return to_ns(moment) + int((fraction or "").ljust(9, "0"))


def is_day(text: str) -> bool:
    """Whether this is a bare date, ``YYYY-MM-DD``."""
    return _DAY.match(text) is not None


def day_end_ns(day: date) -> int:
    """The last nanosecond of this day in New York."""
    return midnight_ns(day + timedelta(days=1)) - 1
