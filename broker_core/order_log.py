"""Write first: between the order book and the journal.

A change that we make ourselves may not happen unless it is committed, so a failing journal is the caller's error. A change that the
broker tells us has already happened and must not be forgotten because a disk is full: it waits here, the gate for new orders shuts, and
the next write takes everything that waits along, in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from broker_core.errors import StorageError
from broker_core.families import Journal
from broker_core.orders import OrderChange


class OrderLog:
    """The changes of one session's orders on their way into the journal.

    ``shut`` is told when storing stops, ``opened`` when it works again.
    """

    def __init__(self, journal: Journal, *, shut: Callable[[StorageError], None], opened: Callable[[], None]) -> None:
        self._journal = journal
        self._shut = shut
        self._opened = opened
        self._waiting: list[OrderChange] = []
        self._turn = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """How many changes could not be written yet."""
        return len(self._waiting)

    async def intend(self, change: OrderChange) -> None:
        """Commit something that we are about to do. Raises StorageError: then it must not be done."""
        await self._write([change])

    async def observe(self, changes: Sequence[OrderChange]) -> None:
        """Commit what has happened; what cannot be committed now is kept for the next write."""
        try:
            await self._write(changes)
        except StorageError as error:
            self._waiting.extend(changes)
            self._shut(error)

    async def flush(self) -> None:
        """Try to write what waits. Raises StorageError when it still cannot be."""
        await self._write([])

    async def _write(self, changes: Sequence[OrderChange]) -> None:
        if not self._waiting:
            if changes:
                await self._journal.append(changes)
            return
        # One at a time while there is a backlog, or two writers would both take it.
        async with self._turn:
            backlog = list(self._waiting)
            await self._journal.append([*backlog, *changes])
            del self._waiting[: len(backlog)]
        if backlog:
            self._opened()

    async def unfinished(self) -> Sequence[Sequence[OrderChange]]:
        """Every order that may still change, as the changes that made it."""
        return await self._journal.unfinished()

    async def history(self, local_id: str) -> Sequence[OrderChange]:
        """Every change of one order, oldest first."""
        return await self._journal.history(local_id)

    async def close(self) -> None:
        """Write what waits, if that is possible now, and close the journal. Raises StorageError when changes had to be left unwritten."""
        try:
            await self.flush()
        finally:
            await self._journal.close()


class MemoryJournal:
    """The journal of a session that keeps none: what it holds ends with the process."""

    def __init__(self) -> None:
        self._changes: dict[str, list[OrderChange]] = {}

    async def append(self, changes: Sequence[OrderChange]) -> None:
        """Keep the changes."""
        for change in changes:
            self._changes.setdefault(change.order.local_id, []).append(change)

    async def unfinished(self) -> Sequence[Sequence[OrderChange]]:
        """Nothing outlives the process, so nothing is unfinished at its start."""
        return [changes for changes in self._changes.values() if not changes[-1].order.is_terminal]

    async def history(self, local_id: str) -> Sequence[OrderChange]:
        """Every change of one order, oldest first."""
        return tuple(self._changes.get(local_id, ()))

    async def close(self) -> None:
        """Nothing is held open."""
