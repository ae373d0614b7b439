import asyncio
from itertools import pairwise

import pytest

from broker_core.clock import StillClock
from broker_core.errors import NotSupported, Unavailable
from broker_core.liveness import LONGEST_PATIENCE, PROBE_LIMIT, SHORTEST_PATIENCE, SIGN_IN_LIMIT, watch


class Connection:
    """A connection under watch, on a clock that stands still."""

    def __init__(self, answer, *, signed_in=True):
        self.clock = StillClock()
        self.answer = answer
        self.frames = 0
        self.probed = []
        self.task = asyncio.create_task(
            watch(
                "data",
                self.probe if answer is not None else None,
                clock=self.clock,
                signed_in=lambda: signed_in,
                frames=lambda: self.frames,
            )
        )

    async def probe(self):
        self.probed.append(self.clock.monotonic())
        if isinstance(self.answer, BaseException):
            raise self.answer
        if self.answer == "silence":
            await asyncio.Event().wait()
        return self.answer

    async def rush(self, seconds, per_second):
        for _ in range(seconds):
            self.frames += per_second
            await self.clock.advance(1)

    async def end(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_a_connection_that_does_not_sign_in_is_given_up():
    """
    A connection that has brought nothing within the limit is taken for lost, with a reason that says so.
    """
    connection = Connection(True, signed_in=False)
    await connection.clock.advance(SIGN_IN_LIMIT)

    with pytest.raises(Unavailable, match="no sign-in within 30 s"):
        await connection.task
    assert connection.probed == []


async def test_a_quiet_connection_that_answers_is_left_alone():
    """
    A market asleep is no reason to reconnect: the probes become rarer up to a limit, and the connection stays.
    """
    connection = Connection(True)
    await connection.clock.advance(600)

    assert not connection.task.done()
    pauses = [after - before for before, after in pairwise(connection.probed)]
    assert connection.probed[0] == SIGN_IN_LIMIT * 2
    assert set(pauses) == {LONGEST_PATIENCE}
    await connection.end()


async def test_a_busy_connection_is_not_probed():
    """
    As long as frames arrive nobody asks.
    """
    connection = Connection(True)
    await connection.rush(300, 1)

    assert connection.probed == []
    await connection.end()


async def test_patience_follows_the_rhythm():
    """
    A connection that used to be busy is probed soon after it goes quiet, a slow one later.
    """
    waits = []
    for frames in (10, 0.5):
        connection = Connection(True)
        await connection.clock.advance(SIGN_IN_LIMIT)
        for _ in range(60):
            connection.frames += frames
            await connection.clock.advance(1)
        quiet_since = connection.clock.monotonic()
        await connection.clock.advance(2 * LONGEST_PATIENCE)
        waits.append(connection.probed[0] - quiet_since)
        await connection.end()

    assert waits[0] <= 2 * SHORTEST_PATIENCE
    assert waits[1] >= 20


@pytest.mark.parametrize("answer", [False, Unavailable("reset"), "silence"])
async def test_a_mute_connection_is_given_up(answer):
    """
    A quiet connection whose probe says no, fails or does not answer is taken for lost.
    """
    connection = Connection(answer)
    await connection.clock.advance(2 * SIGN_IN_LIMIT + PROBE_LIMIT)

    with pytest.raises(Unavailable):
        await connection.task
    assert len(connection.probed) == 1


@pytest.mark.parametrize("answer", [None, NotSupported("no probe")])
async def test_without_a_probe_silence_is_trusted(answer):
    """
    A feed that cannot be probed is not given up for being quiet, and not asked a second time.
    """
    connection = Connection(answer)
    await connection.clock.advance(3600)

    assert not connection.task.done()
    assert len(connection.probed) <= 1
    await connection.end()
