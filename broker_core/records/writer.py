"""The one thread that touches the database.

What arrives while a commit runs waits, and goes into the next transaction together: under load the groups grow by themselves, and
without load nothing waits for company. The event loop hears of a finished group once, however many were waiting for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import attrs

from broker_core.errors import StorageError
from broker_core.records.codec import Row
from broker_core.records.engine import UnfitValueError
from broker_core.records.store import Store

T = TypeVar("T")


@attrs.define(eq=False)
class _Job:
    """Items to insert, or other work, and the future of whoever waits for it."""

    future: asyncio.Future[Any]
    items: Sequence[Any] = ()
    work: Callable[[Store], Any] | None = None
    result: Any = None
    error: Exception | None = None


class Writer:
    """Hands work to a thread of its own, which starts with the first work and ends with ``close``. Serves one event loop.

    ``encode`` makes the row of an item. It runs in the thread too: a burst of news must not hold up the event loop.
    """

    def __init__(self, store: Store, encode: Callable[[Any], Row]) -> None:
        self._store = store
        self._encode = encode
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._ended: asyncio.Future[None] | None = None
        self._closed = False

    async def insert(self, items: Sequence[Any]) -> None:
        """Return when the rows of these items are committed: all of them, in one transaction, or none and StorageError.

        Cancelling gives up the waiting only; the rows are written all the same. The items must not change any more.
        """
        await self._hand_over(_Job(asyncio.get_running_loop().create_future(), items=items))

    async def call(self, work: Callable[[Store], T]) -> T:
        """Run this in the thread, after all that was handed over before it, and return what it returns."""
        result: T = await self._hand_over(_Job(asyncio.get_running_loop().create_future(), work=work))
        return result

    async def close(self) -> None:
        """Finish what was handed over, then let go of the database. May be called again."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        if self._ended is not None:
            await asyncio.shield(self._ended)

    async def _hand_over(self, job: _Job) -> Any:
        if self._closed:
            raise StorageError(f"{self._store.location}: the records of this session are closed")
        if self._ended is None:
            self._ended = asyncio.get_running_loop().create_future()
            # A daemon: a host that never closes must still be able to end. What was acknowledged is committed by then.
            threading.Thread(target=self._run, args=(self._ended,), name="broker-records", daemon=True).start()
        self._queue.put(job)
        return await job.future

    def _run(self, ended: asyncio.Future[None]) -> None:
        loop = ended.get_loop()
        last = False
        while not last:
            jobs = [self._queue.get()]
            while not self._queue.empty():
                jobs.append(self._queue.get())
            last = jobs[-1] is None
            for work, run in itertools.groupby(filter(None, jobs), key=lambda job: job.work):
                group = list(run)
                if work is None:
                    self._insert(group)
                else:
                    self._call(work, group)
                _tell(loop, _finish, group)
        try:
            self._store.close()
        finally:
            _tell(loop, ended.set_result, None)

    def _insert(self, group: Sequence[_Job]) -> None:
        try:
            self._store.insert([item for job in group for item in job.items], self._encode)
        except UnfitValueError as error:
            if len(group) == 1:
                group[0].error = self._failure(error)
                return
            # One of them holds what the database will not take; the others must not suffer for it.
            for job in group:
                self._insert([job])
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to those who wait; the thread must live on
            for job in group:
                job.error = self._failure(error)

    def _call(self, work: Callable[[Store], Any], group: Sequence[_Job]) -> None:
        for job in group:
            try:
                job.result = work(self._store)
            except Exception as error:  # noqa: BLE001 - likewise
                job.error = self._failure(error)

    def _failure(self, error: Exception) -> StorageError:
        """An error of one's own for each who waits: raising one and the same in several tasks would mix up their tracebacks."""
        text = str(error) if isinstance(error, StorageError) else f"{self._store.location}: {type(error).__name__}: {error}"
        failure = StorageError(text)
        failure.__cause__ = error
        return failure


def _tell(loop: asyncio.AbstractEventLoop, function: Callable[[Any], object], argument: object) -> None:
    """Call this in the event loop; where that is closed, nobody waits any more, and the work is done all the same."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, argument)


def _finish(group: Sequence[_Job]) -> None:
    """Let those who still wait hear of it."""
    for job in group:
        if job.future.done():
            continue
        if job.error is None:
            job.future.set_result(job.result)
        else:
            job.future.set_exception(job.error)
