"""A sandbox in a thread of its own, on the machine's clock, for clients that block or come from another process."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

from sandboxes import sandbox

from broker_core.clock import SystemClock, to_ns
from broker_demo.sandbox.server import Addresses

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
"""The market's moment when a sandbox begins: a Monday morning in New York."""
SPEED = 100
"""A second of the market is a hundredth of one outside."""


class HostedSandbox:
    """A sandbox that is always open, unless told otherwise. Use it as a context manager."""

    def __init__(self, *, port: int = 0, **demo: Any) -> None:
        self._options: dict[str, Any] = {"speed": Fraction(SPEED), "start_ns": to_ns(START), **demo}
        self._port = port
        self._thread = threading.Thread(target=self._run, name="sandbox")
        self._is_ready = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self._is_ready.wait()
        if not self._thread.is_alive():
            raise RuntimeError("the sandbox did not start")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    @property
    def addresses(self) -> Addresses:
        """Where it is reached."""
        return self._box.addresses

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            self._is_ready.set()

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._box = sandbox(SystemClock(), {"port": self._port}, **self._options)
        async with self._box:
            self._is_ready.set()
            await self._end.wait()
