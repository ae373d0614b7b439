"""How fast one host may be asked: a bucket of tokens that learns its size from the host's own headers.

Orders have a reserve that ordinary calls leave alone, so that watching an account never keeps one from acting on it. Cancels take a token
without waiting, if need be on credit: the way out is never blocked by ourselves.
Sources: https://docs.alpaca.markets (200 requests a minute); the headers ``X-RateLimit-Limit``, ``-Remaining`` and ``-Reset`` (the
latter in epoch seconds).
"""

from __future__ import annotations

import asyncio
import math

from broker_alpaca.wire.answers import Answer
from broker_alpaca.wire.call import Lane
from broker_core.clock import Clock
from broker_core.errors import RateLimited

_PERIOD = 60.0
_RESERVE = 0.1
_PATIENCE = 10.0
"""Seconds; less than anybody gives an order for being answered."""
_FIRST_WAIT = 1.0
_LONGEST_GUESS = 60.0
# No wait is shorter: the clock's steps and the bucket's fractions never quite agree, and a wait of next to nothing would spin.
_SHORTEST_WAIT = 0.001


class RateLimit:
    """The budget of one account at one host, ``limit`` requests a minute until the host says otherwise."""

    def __init__(self, clock: Clock, limit: float, *, patience: float = _PATIENCE) -> None:
        self._clock = clock
        self._limit = limit
        self._patience = patience
        self._tokens = limit
        self._filled_at = clock.monotonic()
        self._paused_until = float("-inf")
        self._refusals = 0
        self._orders_in_line = 0
        self._turns = {Lane.ORDER: asyncio.Lock(), Lane.ORDINARY: asyncio.Lock()}

    @property
    def limit(self) -> float:
        """Requests a minute, as far as is known."""
        return self._limit

    @property
    def tokens(self) -> float:
        """How many requests may go out at once now; below zero when cancels went on credit."""
        self._refill()
        return self._tokens

    async def take(self, lane: Lane) -> None:
        """Return when a request of this lane may go out.

        Raises RateLimited at once when an order would have to wait longer than the patience, those before it in line included, or when
        the broker has asked for a longer pause than that; then nothing was sent and no token is gone.
        """
        if lane is Lane.CANCEL:
            self._refill()
            self._tokens -= 1
            return
        if lane is Lane.ORDER:
            # Whoever sends an order waits only so long for an answer, and one that is given up in line would look like one that was sent.
            self._check(self._wait(lane) + self._orders_in_line * _PERIOD / self._limit)
        self._orders_in_line += lane is Lane.ORDER
        try:
            # Whoever waits, waits in line; the lines do not wait for each other.
            async with self._turns[lane]:
                while (wait := self._wait(lane)) > 0:
                    self._check(wait)
                    await self._clock.sleep(wait)
                self._tokens -= 1
        finally:
            self._orders_in_line -= lane is Lane.ORDER

    def _check(self, wait: float) -> None:
        if wait > self._patience:
            raise RateLimited(f"alpaca: the rate limit ({self._limit:g} a minute) is used up for {wait:.0f} s", wait=wait)

    def learn(self, answer: Answer) -> float:
        """Take in what an answer says about the limit. Returns how many seconds a refused request (429) is to wait; else zero."""
        limit = _number(answer.header("X-RateLimit-Limit"))
        if limit is not None and limit >= 1 and limit != self._limit:
            self._refill()
            # Of a larger limit only the addition is unused; of a smaller one no more than all.
            self._tokens = min(self._tokens + max(limit - self._limit, 0.0), limit)
            self._limit = limit
        remaining = _number(answer.header("X-RateLimit-Remaining"))
        if remaining is not None:
            self._refill()
            self._tokens = min(self._tokens, remaining)
        if answer.status != 429:
            self._refusals = 0
            return 0.0
        wait = self._wished(answer)
        self._tokens = min(self._tokens, 0.0)
        self._paused_until = max(self._paused_until, self._clock.monotonic() + wait)
        return wait

    def _wished(self, answer: Answer) -> float:
        """How long a refusal asks us to wait: its own word, else until the reset, else 1, 2, 4 … seconds."""
        after = _number(answer.header("Retry-After"))
        if after is not None:
            return max(after, 0.0)
        reset = _number(answer.header("X-RateLimit-Reset"))
        if reset is not None:
            wait = reset - self._clock.now_ns() / 1e9
            # A moment in the past, or one that lies farther ahead than a period, says that the two clocks differ.
            if 0 < wait <= _PERIOD:
                return wait
        self._refusals += 1
        return min(_FIRST_WAIT * 2.0 ** min(self._refusals - 1, 16), _LONGEST_GUESS)

    def _wait(self, lane: Lane) -> float:
        self._refill()
        kept = 0.0 if lane is Lane.ORDER else max(1.0, self._limit * _RESERVE)
        missing = 1.0 + min(kept, self._limit - 1) - self._tokens
        wait = max(missing * _PERIOD / self._limit, self._paused_until - self._filled_at)
        return max(wait, _SHORTEST_WAIT) if wait > 0 else 0.0

    def _refill(self) -> None:
        """Count what has come in until now."""
        now = self._clock.monotonic()
        self._tokens = min(self._tokens + (now - self._filled_at) * self._limit / _PERIOD, self._limit)
        self._filled_at = now


def _number(text: str | None) -> float | None:
    try:
        number = math.nan if text is None else float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
