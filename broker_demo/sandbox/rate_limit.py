"""How many requests a minute a host takes (alpaca-api 11): so many in each minute of the clock, and 429 for those beyond."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from broker_core.clock import Clock

_MINUTE_NS = 60_000_000_000


@attrs.frozen
class Count:
    """Where one request stands in its minute."""

    limit: int
    left: int
    """How many more the minute takes."""
    resets_at: int
    """The second of the Unix epoch with which the next minute begins."""
    is_beyond: bool
    """Whether this request is one too many."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What every answer says of it."""
        return {"X-RateLimit-Limit": str(self.limit), "X-RateLimit-Remaining": str(self.left), "X-RateLimit-Reset": str(self.resets_at)}


class RateLimit:
    """Counts the requests to one host."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._minute = 0
        self._taken = 0

    def count(self) -> Count:
        """Count one more request."""
        minute = self._clock.now_ns() // _MINUTE_NS
        if minute != self._minute:
            self._minute, self._taken = minute, 0
        self._taken += 1
        left = max(self._limit - self._taken, 0)
        return Count(self._limit, left, (minute + 1) * 60, is_beyond=self._taken > self._limit)
