"""Runs a command's coroutine to its end, or, when a signal comes, to an orderly close within two seconds."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from broker_core.cli.exits import Exit
from broker_core.cli.invocation import Invocation
from broker_core.clock import SystemClock

_T = TypeVar("_T")

GRACE = 2.0
"""Seconds that the command has for closing what it opened after a signal has come."""

_ENDS = {signal.SIGINT: Exit.INTERRUPTED, signal.SIGTERM: Exit.TERMINATED}


def run(invocation: Invocation, command: Coroutine[Any, Any, _T]) -> _T:
    """Run ``command``; raises KeyboardInterrupt after SIGINT or SIGTERM, with ``invocation.exit`` set to the fitting code."""
    with asyncio.Runner() as runner:
        return runner.run(_interruptible(invocation, command))


async def _interruptible(invocation: Invocation, command: Coroutine[Any, Any, _T]) -> _T:
    loop = asyncio.get_running_loop()
    task = loop.create_task(command)
    alarm: asyncio.Task[None] | None = None

    def stop(signum: signal.Signals) -> None:
        nonlocal alarm
        if alarm is None:
            invocation.exit = _ENDS[signum]
            alarm = loop.create_task(_give_up(invocation.exit))
            task.cancel()

    for signum in _ENDS:
        # Windows has no signal handlers on its loop; there Ctrl-C cancels the task through the runner.
        with suppress(NotImplementedError):
            loop.add_signal_handler(signum, stop, signum)
    try:
        return await task
    except asyncio.CancelledError:
        if alarm is None:
            raise
        raise KeyboardInterrupt from None
    finally:
        if alarm is not None:
            alarm.cancel()
        for signum in _ENDS:
            with suppress(NotImplementedError):
                loop.remove_signal_handler(signum)


async def _give_up(code: Exit) -> None:
    await SystemClock().sleep(GRACE)
    sys.stderr.write(f"broker: error: the session did not close within {GRACE:g} s\n")
    sys.stderr.flush()
    # A thread that hangs would keep any softer way out waiting. What was committed is safe.
    os._exit(code)


async def first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Run all of these until the first ends, then end the others; what the first raised is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ask(question: str) -> str:
    """Ask the person at the terminal; the session goes on meanwhile, and Ctrl-C ends the waiting."""
    sys.stderr.write(question)
    sys.stderr.flush()
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    # Windows cannot wait for its console this way; there everything waits for the answer.
    with suppress(NotImplementedError):
        loop.add_reader(sys.stdin, readable.set_result, None)
        try:
            await readable
        finally:
            loop.remove_reader(sys.stdin)
    return sys.stdin.readline().strip()
