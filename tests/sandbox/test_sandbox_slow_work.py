"""Work in threads of its own."""

from __future__ import annotations

import asyncio
import threading

import pytest

from broker_demo.sandbox.slow_work import SlowWork


async def test_work_returns_or_raises_what_it_does():
    """What is found is returned, and an error is that of the work itself."""

    def fail() -> int:
        raise LookupError("nothing there")

    slow = SlowWork()

    assert await slow.do(lambda: 7) == 7
    with pytest.raises(LookupError, match="nothing there"):
        await slow.do(fail)


async def test_no_more_than_a_few_pieces_run_at_once_and_nobody_waits_for_their_threads():
    """Four pieces of ten run while none ends; all end once they may, in threads that do not hold up the end of the process."""
    slow, begun, may_end = SlowWork(), threading.Semaphore(0), threading.Event()
    running: list[bool] = []

    def work() -> None:
        running.append(threading.current_thread().daemon)
        begun.release()
        may_end.wait(30)

    tasks = [asyncio.create_task(slow.do(work)) for _ in range(10)]
    for _ in range(4):
        await asyncio.to_thread(begun.acquire, timeout=30)
    for _ in range(50):
        await asyncio.sleep(0)
    before = list(running)
    may_end.set()
    await asyncio.gather(*tasks)

    assert before == [True] * 4
    assert len(running) == 10


async def test_one_who_gives_up_makes_room_without_waiting(caplog: pytest.LogCaptureFixture):
    """A cancelled wait ends at once, while the work goes on; what comes of that later is nobody's."""
    slow, may_end, has_begun, has_ended = SlowWork(), threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        has_begun.set()
        may_end.wait(30)
        has_ended.set()

    task = asyncio.create_task(slow.do(work))
    await asyncio.to_thread(has_begun.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_end.set()

    assert await slow.do(lambda: has_ended.wait(30))
    await asyncio.sleep(0)
    assert caplog.records == []
