import asyncio
from itertools import pairwise

import pytest

from broker_core.clock import StillClock
from broker_core.errors import NotSupported, Unavailable
from broker_core.liveness import LONGEST_PATIENCE, NEWS_LIMIT, PROBE_LIMIT, SHORTEST_PATIENCE, SIGN_IN_LIMIT, Arrears, watch

SECOND_NS = 1_000_000_000


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


@pytest.mark.parametrize(
    ("heard", "news", "heard_again", "mute"),
    [
        (0, 30, None, True),
        (0, 30, 35, False),
        (0, 30, 20, True),
        (29, 30, None, False),
    ],
    ids=["silent since", "spoke again", "spoke before it only", "spoke at the same time"],
)
async def test_a_feed_that_keeps_news_to_itself_is_mute(heard, news, heard_again, mute):
    """
    News that came another way ends a connection which has brought nothing at all since, and had time to; no other one.
    """
    clock = StillClock()
    start_ns = clock.now_ns()
    heard_ns = [start_ns + heard * SECOND_NS]
    arrears = Arrears("orders", clock=clock, heard_ns=lambda: heard_ns[0])
    task = asyncio.create_task(arrears.watch())
    await clock.advance(31)
    arrears.came_another_way(start_ns + news * SECOND_NS)
    await clock.advance(NEWS_LIMIT / 2)
    assert not task.done()
    if heard_again is not None:
        heard_ns[0] = start_ns + heard_again * SECOND_NS
    await clock.advance(NEWS_LIMIT)

    assert task.done() is mute
    task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    assert not mute or str(outcome).startswith("feed orders: it is mute")


async def test_news_of_an_earlier_connection_does_not_count():
    """
    What came another way before a connection began says nothing about it.
    """
    clock = StillClock()
    arrears = Arrears("orders", clock=clock, heard_ns=lambda: 0)
    arrears.came_another_way(clock.now_ns())
    task = asyncio.create_task(arrears.watch())
    await clock.advance(3 * NEWS_LIMIT)

    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_night_and_a_holiday_of_silence_are_left_alone_for_thirty_days():
    """
    Nobody reconnects a connection that answers its probes, however long the market sleeps.
    """
    connection = Connection(True)
    await connection.clock.advance(30 * 24 * 3600, turns=5)

    assert not connection.task.done()
    assert len(connection.probed) > 40_000
    await connection.end()
