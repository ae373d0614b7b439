"""The gate for new orders: shut until the session knows where it stands, and whenever it no longer does.

Each reason to be shut has a name, and the gate is open when there is none. Cancelling never passes here: a way out is never blocked.
"""

from __future__ import annotations

import asyncio

from broker_core.clock import Clock, within


class Gate:
    """The reasons why no new order may go out, of the whole session or of one symbol."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reasons: dict[str, str] = {}
        self._symbols: dict[str, str] = {}
        self._is_open = asyncio.Event()
        self._is_open.set()

    @property
    def reasons(self) -> dict[str, str]:
        """Why the gate is shut for everything, by name; empty when it is open."""
        return dict(self._reasons)

    def shut(self, name: str, reason: str) -> None:
        """Shut for everything, until ``open`` is told the same name."""
        self._reasons[name] = reason
        self._is_open.clear()

    def open(self, name: str) -> None:
        """Take one reason away; harmless when it was not there."""
        self._reasons.pop(name, None)
        if not self._reasons:
            self._is_open.set()

    def shut_symbol(self, symbol: str, reason: str) -> None:
        """Shut for one symbol, until a person has looked and calls ``open_symbol``."""
        self._symbols[symbol] = reason

    def open_symbol(self, symbol: str) -> None:
        """Let orders in this symbol out again; harmless when they were not held back."""
        self._symbols.pop(symbol, None)

    def closed(self, symbol: str) -> str | None:
        """Why no order in this symbol may go out now, or None."""
        if symbol in self._symbols:
            return self._symbols[symbol]
        return "; ".join(self._reasons.values()) or None

    async def wait(self, symbol: str, seconds: float) -> str | None:
        """Wait until an order in this symbol may go out, at most so many seconds; the reason why not when it still may not.

        A symbol that was shut is not waited for: it does not open by itself.
        """
        if symbol not in self._symbols and not self._is_open.is_set():
            try:
                await within(self._clock, seconds, self._is_open.wait())
            except TimeoutError:
                return f"{self.closed(symbol)} (waited {seconds:g} s)"
        return self.closed(symbol)
