"""What every way of sending a call has in common: one exchange, and the two ways in which it may end without an answer."""

from __future__ import annotations

from typing import Any, Protocol

from broker_alpaca.config import Mode
from broker_alpaca.wire.answers import Answer
from broker_alpaca.wire.call import Call


class NotSent(Exception):
    """The call never left this machine: no address, no connection, no encryption."""


class Lost(Exception):
    """The call left, or may have left, and no whole answer came."""


class Transport(Protocol):
    """Sends calls, each exactly once. What it raises holds no header, so no secret."""

    mode: Mode

    async def exchange(self, call: Call[Any]) -> Answer:
        """Send one call and return what came back, whatever its status. Raises NotSent, Lost. Whoever calls sets the deadline."""

    async def close(self) -> None:
        """Let go of every connection."""
