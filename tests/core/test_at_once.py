"""Several pieces of work at once: all results, or the first failure and nothing left running."""

from __future__ import annotations

import asyncio

import pytest

from broker_core.at_once import at_once


async def test_the_results_come_in_the_order_of_the_work():
    """Whoever is done first."""
    gates = [asyncio.Event() for _ in range(3)]

    async def work(number: int) -> int:
        if number < 2:
            await gates[number].wait()
        if number:
            gates[number - 1].set()
        return number

    assert await at_once(work(number) for number in range(3)) == [0, 1, 2]
    assert await at_once(()) == []


async def test_the_first_failure_ends_the_others_and_is_raised_itself():
    """Not in a group, and without one behind it."""
    cancelled = []

    async def wait() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append("waited for")
            raise

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError("first")

    with pytest.raises(LookupError, match="first") as caught:
        await at_once([wait(), fail(), wait()])

    assert cancelled == ["waited for"] * 2
    assert caught.value.__cause__ is caught.value.__context__ is None


async def test_cancelling_the_whole_cancels_each():
    """The caller's cancellation reaches every request."""
    ended = []
    begun = asyncio.Semaphore(0)

    async def work(name: str) -> None:
        try:
            begun.release()
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    task = asyncio.create_task(at_once(work(name) for name in "ab"))
    await begun.acquire()
    await begun.acquire()
    task.cancel()
    await asyncio.wait((task,))

    assert task.cancelled()
    assert sorted(ended) == ["a", "b"]
