"""Accounts of nobody, over either transport, that lead to a host on loopback."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from importlib.util import find_spec

import pytest

from broker_alpaca.client import AlpacaClient
from broker_alpaca.config import AlpacaSettings, Mode
from broker_alpaca.exchange import Transport
from broker_core.clock import SystemClock, from_ns

KEY, SECRET = "PKFLUSTERTEST", "s3cr3t-that-nobody-may-see"

SDK_MISSING = "alpaca-py is not installed; the environment with the sdk extra runs this"
MODES = [
    pytest.param(Mode.HTTP, id="http"),
    pytest.param(Mode.SDK, id="sdk", marks=pytest.mark.skipif(find_spec("alpaca") is None, reason=SDK_MISSING)),
]

Connect = Callable[..., AlpacaClient]


def transport_of(settings: AlpacaSettings, mode: Mode) -> Transport:
    """The transport of a mode."""
    if mode is Mode.HTTP:
        from broker_alpaca.transport import HttpTransport

        return HttpTransport(settings)
    from broker_alpaca.sdk import SdkTransport

    return SdkTransport(settings)


def settings_for(url: str, **changes: object) -> AlpacaSettings:
    """Settings that lead to one host on loopback."""
    stream = url.replace("http", "ws", 1)
    values = {"key": KEY, "secret": SECRET, "trading_url": url, "data_url": url, "stream_url": stream, "deadline": 60.0, "rate_limit": 1e6}
    return AlpacaSettings(**{**values, "data_rate_limit": 1e6, **changes})


class FastClock(SystemClock):
    """A clock on which time passes fifty times as fast, so that waits are real and short. It begins at 2026-03-02 15:00 UTC."""

    SPEED = 50

    def __init__(self) -> None:
        self._started = super().monotonic()

    def now(self) -> datetime:
        """The moment on this clock."""
        return from_ns(self.now_ns())

    def now_ns(self) -> int:
        """The same in nanoseconds."""
        return 1_772_463_600_000_000_000 + round(self.monotonic() * 1e9)

    def monotonic(self) -> float:
        """Seconds on this clock since it was made."""
        return (super().monotonic() - self._started) * self.SPEED

    async def sleep(self, seconds: float) -> None:
        """Sleep for that long on this clock."""
        await super().sleep(seconds / self.SPEED)
