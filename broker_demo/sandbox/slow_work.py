"""Work that takes long, done in threads of its own: so that others are answered meanwhile, and the process can end amid it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Thread
from typing import TypeVar

_T = TypeVar("_T")
_A = TypeVar("_A")
_AT_ONCE = 4


class SlowWork:
    """Carries work out, a few pieces at a time; the rest wait their turn.

    Its threads are daemons: unlike those of ``asyncio.to_thread`` nobody waits for them when the process ends.
    """

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def do(self, act: Callable[[], _T]) -> _T:
        """Have ``act`` run in a thread, and return or raise what it does. One who is cancelled meanwhile does not wait for its end."""
        async with self._room:
            loop = asyncio.get_running_loop()
            outcome: asyncio.Future[_T] = loop.create_future()

            def work() -> None:
                try:
                    found = act()
                except Exception as error:  # noqa: BLE001  # whoever waits for it gets it
                    tell(outcome.set_exception, error)
                else:
                    tell(outcome.set_result, found)

            def tell(settle: Callable[[_A], None], value: _A) -> None:
                try:
                    loop.call_soon_threadsafe(_settle, outcome, settle, value)
                except RuntimeError:
                    # The loop has ended, and nobody wants to know any more.
                    return

            Thread(target=work, name="sandbox slow work", daemon=True).start()
            return await outcome


def _settle(outcome: asyncio.Future[_T], settle: Callable[[_A], None], value: _A) -> None:
    if not outcome.done():
        settle(value)
