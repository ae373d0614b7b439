"""Answers kept for a short while, and one request for all who ask at the same moment.

An answer is kept for a number of seconds from its arrival, and never past the wall-clock moment at which it is known to go out of
date. Until an answer is there, its *flight* is shared: everybody who asks for the same key waits for the same request. A flight
that has outlived its own moment is not joined any more, so nobody is handed what was out of date before they asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from types import TracebackType
from typing import Generic, TypeVar

import attrs

from broker_core.clock import Clock
from broker_core.errors import BrokerError, Unavailable

_Value = TypeVar("_Value")


@attrs.frozen
class _Kept(Generic[_Value]):
    value: _Value
    expires: float
    until_ns: int | None


@attrs.define(eq=False)
class _Flight(Generic[_Value]):
    task: asyncio.Task[_Value]
    until_ns: int | None
    waiters: int = 0
    traceback: TracebackType | None = None


class Cache(Generic[_Value]):
    """Answers by key, each kept for ``seconds`` of ``clock``, at most ``entries`` of them: those used longest ago make room.

    Failures are not kept: they reach everybody who waited, and the next caller asks anew. ``seconds=0`` switches the whole cache off,
    the sharing of flights included. ``hits`` counts answers that were here, ``misses`` those that were not, ``flights`` the requests
    made; the callers that joined somebody else's request are ``misses - flights``.
    """

    def __init__(self, clock: Clock, *, seconds: float, entries: int = 64) -> None:
        if not seconds >= 0:
            raise ValueError(f"seconds: {seconds} is below zero")
        if entries < 1:
            raise ValueError(f"entries: {entries} is below one")
        self.hits = 0
        self.misses = 0
        self.flights = 0
        self._clock = clock
        self._seconds = seconds
        self._entries = entries
        self._kept: dict[Hashable, _Kept[_Value]] = {}
        self._flying: dict[Hashable, _Flight[_Value]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, key: Hashable, fetch: Callable[[], Awaitable[_Value]], *, until_ns: int | None = None) -> _Value:
        """The answer for ``key``: the one kept, the one already on its way, or a new one from ``fetch``.

        ``until_ns`` is the moment (nanoseconds since the Unix epoch) at which an answer asked for now goes out of date, whatever its
        age; None when only age counts. The value is handed to every caller as it is: hand out copies of what can be written to.

        A caller that is cancelled leaves the others' flight alone; when the last one is, the flight is cancelled and waited for.
        Raises what ``fetch`` raises.
        """
        kept = self._kept.get(key)
        if kept is not None and self._is_fresh(kept):
            self.hits += 1
            self._kept[key] = self._kept.pop(key)
            return kept.value
        self.misses += 1
        if not self._seconds:
            self.flights += 1
            return await fetch()
        flight = self._flying.get(key)
        if flight is None or self._is_past(flight.until_ns):
            flight = self._take_off(key, fetch, until_ns)
        return await self._join(key, flight)

    def _is_fresh(self, kept: _Kept[_Value]) -> bool:
        return self._clock.monotonic() < kept.expires and not self._is_past(kept.until_ns)

    def _is_past(self, moment_ns: int | None) -> bool:
        return moment_ns is not None and self._clock.now_ns() >= moment_ns

    def _take_off(self, key: Hashable, fetch: Callable[[], Awaitable[_Value]], until_ns: int | None) -> _Flight[_Value]:
        async def fly() -> _Value:
            return await fetch()

        self.flights += 1
        flight = _Flight(asyncio.create_task(fly()), until_ns)
        self._flying[key] = flight
        flight.task.add_done_callback(lambda _: self._land(key, flight))
        return flight

    def _land(self, key: Hashable, flight: _Flight[_Value]) -> None:
        self._forget(key, flight)
        if flight.task.cancelled():
            return
        failure = flight.task.exception()
        if failure is not None:
            flight.traceback = failure.__traceback__
            return
        kept = _Kept(flight.task.result(), self._clock.monotonic() + self._seconds, flight.until_ns)
        if not self._is_fresh(kept):
            return
        self._kept.pop(key, None)
        self._kept[key] = kept
        self._make_room()

    def _make_room(self) -> None:
        """Let go of what was used longest ago, while there is too much or it is out of date: frames are large."""
        while len(self._kept) > self._entries or not self._is_fresh(next(iter(self._kept.values()))):
            del self._kept[next(iter(self._kept))]

    def _forget(self, key: Hashable, flight: _Flight[_Value]) -> None:
        # A later flight may have taken the key's place when this one outlived its moment.
        if self._flying.get(key) is flight:
            del self._flying[key]

    async def _join(self, key: Hashable, flight: _Flight[_Value]) -> _Value:
        flight.waiters += 1
        try:
            # Unlike `await task`, this passes no cancellation on to the task that others wait for.
            await asyncio.wait((flight.task,))
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                self._forget(key, flight)
                flight.task.cancel()
                await asyncio.wait((flight.task,))
        return _outcome(flight)


def _outcome(flight: _Flight[_Value]) -> _Value:
    if flight.task.cancelled():
        # CancelledError here would tell a caller that it was cancelled itself.
        raise Unavailable("the request was cancelled on its way; ask again")
    failure = flight.task.exception()
    if failure is None:
        return flight.task.result()
    raise _own_copy(failure).with_traceback(flight.traceback)


def _own_copy(failure: BaseException) -> BaseException:
    """A failure for one waiter alone: a shared one would change its traceback and notes under the others' hands.

    Only our own errors are known to be copied whole by their attributes; anything else is a defect, and is shown to all as it is.
    """
    if not isinstance(failure, BrokerError):
        return failure
    twin = type(failure).__new__(type(failure), *failure.args)
    vars(twin).update(vars(failure))
    if hasattr(failure, "__notes__"):
        twin.__notes__ = list(failure.__notes__)
    twin.__cause__, twin.__context__ = failure.__cause__, failure.__context__
    twin.__suppress_context__ = failure.__suppress_context__
    return twin
