"""Time, identity and chance, passed in rather than taken from the air.

Nothing else in the project asks the machine for the time, an id or a random number; whoever needs one is handed a ``Clock``,
an ``IdFactory`` or a ``random.Random``. ``StillClock`` and ``CountingIds`` are their stand-ins for tests: time that only moves
when told to, ids that count.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

_T = TypeVar("_T")

IdFactory = Callable[[], str]
"""Makes an id that was never made before: at most 40 characters out of ``A-Z a-z 0-9``, sorting by the time it was made."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Crockford's alphabet is in ASCII order, so that ids sort as text in the order they were made.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Clock(Protocol):
    """What the framework asks of time."""

    def now(self) -> datetime:
        """The moment, aware and in UTC."""

    def now_ns(self) -> int:
        """The moment in integer nanoseconds since the Unix epoch."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return after this many seconds; a negative number counts as zero."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The moment, aware and in UTC."""
        return datetime.now(UTC)

    def now_ns(self) -> int:
        """The moment in integer nanoseconds since the Unix epoch."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Seconds of the machine's monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep in real time."""
        await asyncio.sleep(max(seconds, 0.0))


class StillClock:
    """A clock that stands still until ``advance`` moves it, waking its sleepers in the order of their wishes.

    Give ``start`` as an aware moment; two clocks with the same start tell the same time.
    """

    def __init__(self, start: datetime = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)) -> None:
        self._start_ns = to_ns(start)
        self._elapsed_ns = 0
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> datetime:
        """The start plus all that ``advance`` has added."""
        return from_ns(self.now_ns())

    def now_ns(self) -> int:
        """The same moment in integer nanoseconds."""
        return self._start_ns + self._elapsed_ns

    def monotonic(self) -> float:
        """Seconds added by ``advance`` so far."""
        return self._elapsed_ns / 1e9

    async def sleep(self, seconds: float) -> None:
        """Wait until ``advance`` has passed this many seconds; zero or less lets the loop turn once."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._elapsed_ns + round(seconds * 1e9), self._count, future))
        await future

    @property
    def sleeping(self) -> tuple[float, ...]:
        """How many seconds each present sleeper still has to wait, the earliest first."""
        return tuple(sorted((due - self._elapsed_ns) / 1e9 for due, _, future in self._sleepers if not future.done()))

    async def advance(self, seconds: float, *, turns: int = 20) -> None:
        """Move time on, stopping at every sleeper that falls due on the way so that it may act and sleep again.

        ``turns`` is how often the event loop is let round at each stop.
        """
        end = self._elapsed_ns + round(seconds * 1e9)
        await _let_run(turns)
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, future = heapq.heappop(self._sleepers)
            self._elapsed_ns = max(self._elapsed_ns, due)
            if not future.done():
                future.set_result(None)
                await _let_run(turns)
        self._elapsed_ns = end
        await _let_run(turns)


async def _let_run(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


class TimeSortedIds:
    """Ids of 26 characters that sort by time: 48 bits of milliseconds, then 80 bits that never repeat within a millisecond.

    The shape is the ULID's (https://github.com/ulid/spec); two made in one millisecond differ by one, so order is kept.
    """

    def __init__(self, clock: Clock | None = None, random_bits: Callable[[int], int] = secrets.randbits) -> None:
        self._clock = clock or SystemClock()
        self._random_bits = random_bits
        self._last_ms = 0
        self._tail = 0

    def __call__(self) -> str:
        """Make the next id."""
        now_ms = self._clock.now_ns() // 1_000_000
        if now_ms > self._last_ms:
            self._last_ms = now_ms
            # One bit is left clear so that counting up within the millisecond cannot overflow.
            self._tail = self._random_bits(79)
        else:
            self._tail += 1
        number = self._last_ms << 80 | self._tail
        return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


class CountingIds:
    """Ids ``prefix000001``, ``prefix000002``, …: the same in every run of a test."""

    def __init__(self, prefix: str = "T") -> None:
        self._prefix = prefix
        self._made = 0

    def __call__(self) -> str:
        """Make the next id."""
        self._made += 1
        return f"{self._prefix}{self._made:06d}"


def seeded(seed: int | str | None = None) -> random.Random:
    """A source of chance of its own: reproducible with a seed, fresh from the system's entropy without."""
    return random.Random(seed)


def to_ns(moment: datetime) -> int:
    """Integer nanoseconds since the Unix epoch of an aware moment. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError(f"moment: {moment.isoformat()} has no time zone; give an aware datetime")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def from_ns(nanoseconds: int) -> datetime:
    """The aware UTC moment, cut to whole microseconds."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


async def within(clock: Clock, seconds: float, work: Awaitable[_T]) -> _T:
    """Await ``work``, but no longer than this many seconds of ``clock``.

    Raises TimeoutError when the time is up; the work is cancelled and waited for, so nothing of it runs on unseen.
    """
    # The event loop knows the machine's own time; any other needs somebody who watches it.
    is_real = type(clock) is SystemClock
    limit = asyncio.timeout(seconds if is_real else None)
    alarm = None if is_real else asyncio.ensure_future(_expire(limit, clock, seconds))
    try:
        async with limit:
            return await work
    except TimeoutError:
        if limit.expired():
            raise TimeoutError(f"no result within {seconds:g} s") from None
        raise
    finally:
        if alarm is not None:
            alarm.cancel()
            await asyncio.gather(alarm, return_exceptions=True)


async def _expire(limit: asyncio.Timeout, clock: Clock, seconds: float) -> None:
    await clock.sleep(seconds)
    limit.reschedule(asyncio.get_running_loop().time())
