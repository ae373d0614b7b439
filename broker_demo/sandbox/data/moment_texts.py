"""Many moments as texts: what ``moments.moment_text`` writes for one, at a fraction of its price for those that lie close together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from broker_core.clock import from_ns

_SECOND_NS = 1_000_000_000
_MINUTE_NS = 60 * _SECOND_NS
_DAY_NS = 1440 * _MINUTE_NS
_MINUTES = tuple(f"{hour:02d}:{minute:02d}:" for hour in range(24) for minute in range(60))
_SECONDS = tuple(f"{second:02d}" for second in range(60))


def moment_texts(moments: Sequence[int]) -> list[str]:
    """The moments, in nanoseconds since the Unix epoch, as RFC 3339 texts in UTC without needless digits."""
    return [moment_text(ns) for ns in moments]


def moment_text(ns: int) -> str:
    """One of them."""
    days, rest = divmod(ns, _DAY_NS)
    minute, rest = divmod(rest, _MINUTE_NS)
    start = _day_text(days) + _MINUTES[minute]
    if not rest:
        return f"{start}00Z"
    second, rest = divmod(rest, _SECOND_NS)
    return f"{start}{_SECONDS[second]}.{rest:09d}".rstrip("0") + "Z" if rest else f"{start}{_SECONDS[second]}Z"


@lru_cache(maxsize=4096)
def _day_text(days: int) -> str:
    return f"{from_ns(days * _DAY_NS):%Y-%m-%dT}"
