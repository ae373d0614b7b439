"""A program that is run while everything it says to Alpaca is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from broker_alpaca.config import NAMES
from broker_alpaca.recording.relay import Addresses
from broker_core.clock import Clock, within
from broker_core.errors import ConfigError

_GRACE = 1.0
"""Seconds that a program has to end when the recording is stopped."""
_SIGNALLED = 128


def environment(addresses: Addresses, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of a program that is to find the relay, under every name that is in use for an address."""
    settings = ("trading_url", "data_url", "stream_url", "trading_stream_url")
    return {**environ, **{name: getattr(addresses, setting) for setting in settings for name in NAMES[setting]}}


async def run(command: Sequence[str], environ: Mapping[str, str], clock: Clock) -> int:
    """Run a program to its end and give its exit code; 128 and the number where a signal ended it, as shells do.

    Raises ConfigError where it cannot be run. When this is cancelled, the program is ended first.
    """
    try:
        process = await asyncio.create_subprocess_exec(*command, env=dict(environ))
    except OSError as error:
        raise ConfigError(f"{command[0]} cannot be run: {error.strerror or error}") from None
    try:
        code = await process.wait()
    finally:
        if process.returncode is None:
            await _end(process, clock)
    return code if code >= 0 else _SIGNALLED - code


async def _end(process: asyncio.subprocess.Process, clock: Clock) -> None:
    process.terminate()
    try:
        await within(clock, _GRACE, process.wait())
    except TimeoutError:
        process.kill()
        await process.wait()
