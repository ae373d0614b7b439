import asyncio
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker_core.clock import CountingIds, StillClock, SystemClock, TimeSortedIds, from_ns, seeded, to_ns, within

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
ID_CHARACTERS = set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def test_system_clock_is_the_machines():
    """
    The system clock tells aware UTC time, in moments and in nanoseconds, and its monotonic time does not go back.
    """
    clock = SystemClock()

    before, told, after = time.time_ns(), clock.now_ns(), time.time_ns()

    assert before <= told <= after
    assert clock.now().utcoffset() == timedelta(0)
    assert abs(to_ns(clock.now()) - clock.now_ns()) < 60_000_000_000
    assert clock.monotonic() <= clock.monotonic()


async def test_system_clock_takes_negative_sleeps_for_none():
    """
    A wait that is already over returns.
    """
    await asyncio.wait_for(SystemClock().sleep(-5), 10)


async def test_still_clock_stands_still():
    """
    Time does not pass until it is told to.
    """
    clock = StillClock(START)
    await asyncio.sleep(0)

    assert (START, 0.0) == (clock.now(), clock.monotonic())


async def test_still_clock_moves_all_its_hands_together():
    """
    Advancing moves the moment, the nanoseconds and the monotonic seconds alike.
    """
    clock = StillClock(START)

    await clock.advance(1.5)

    assert START + timedelta(seconds=1.5) == clock.now()
    assert to_ns(START) + 1_500_000_000 == clock.now_ns()
    assert clock.monotonic() == 1.5


async def test_sleepers_wake_in_the_order_of_their_wishes():
    """
    Sleepers wake when their time has come, the earliest first, each seeing its own moment.
    """
    clock = StillClock(START)
    woken = []

    async def sleeper(seconds):
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic()))

    tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (3, 1, 2, 5)]
    await clock.advance(4)

    assert [(1, 1.0), (2, 2.0), (3, 3.0)] == woken
    tasks[3].cancel()


async def test_a_sleeper_that_sleeps_again_is_woken_on_the_way():
    """
    One advance lets a loop that sleeps a second at a time go round as often as there are seconds.
    """
    clock = StillClock(START)
    rounds = []

    async def ticker():
        while True:
            await clock.sleep(1)
            rounds.append(clock.monotonic())

    task = asyncio.create_task(ticker())
    await clock.advance(3)

    assert [1.0, 2.0, 3.0] == rounds
    task.cancel()


async def test_sleeping_shows_who_waits_for_how_long():
    """
    The remaining waits can be read, and a cancelled sleeper is not among them.
    """
    clock = StillClock(START)
    tasks = [asyncio.create_task(clock.sleep(seconds)) for seconds in (4, 2)]
    await clock.advance(1)
    assert clock.sleeping == (1.0, 3.0)

    tasks[0].cancel()
    await clock.advance(0)

    assert clock.sleeping == (1.0,)
    tasks[1].cancel()


async def test_still_clock_lets_the_loop_turn_when_there_is_nothing_to_wait_for():
    """
    A sleep of nothing, or less, gives others their turn and returns.
    """
    clock = StillClock(START)
    turned = []
    asyncio.get_running_loop().call_soon(turned.append, True)

    await clock.sleep(-1)

    assert turned


@given(st.datetimes(timezones=st.just(UTC)))
def test_moments_survive_nanoseconds(moment):
    """
    A moment turned into nanoseconds and back is the same to the microsecond, also before 1970.
    """
    assert moment == from_ns(to_ns(moment))


def test_nanoseconds_are_cut_not_rounded():
    """
    A moment never lies after the nanoseconds it was made from.
    """
    assert from_ns(1_999) == datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)


def test_moments_of_other_zones_are_the_same_nanoseconds():
    """
    What counts is the moment, not the zone it is written in.
    """
    assert to_ns(START) == to_ns(START.astimezone(timezone(timedelta(hours=-5))))


def test_naive_moments_are_refused():
    """
    A moment without a zone is nobody's moment.
    """
    with pytest.raises(ValueError, match="has no time zone"):
        to_ns(START.replace(tzinfo=None))


def test_ids_sort_by_the_time_they_were_made():
    """
    A thousand ids made at once are all different and already in order, and later ones come after them.
    """
    clock = StillClock(START)
    ids = TimeSortedIds(clock)
    made = [ids() for _ in range(1000)]

    later = TimeSortedIds(StillClock(START + timedelta(milliseconds=1)))()

    assert made == sorted(set(made))
    assert made[-1] < later


def test_ids_are_short_and_plain():
    """
    An id has 26 characters, all of them letters and digits, also when chance gives its highest number.
    """
    for bits in (lambda _: 0, lambda count: 2**count - 1):
        ids = TimeSortedIds(StillClock(START + timedelta(milliseconds=1)), bits)
        made = [ids(), ids()]

        assert made == sorted(set(made))
        assert {len(each) for each in made} == {26}
        assert set("".join(made)) <= ID_CHARACTERS


def test_ids_grow_when_the_clock_goes_back():
    """
    A clock that was put back does not make an id that exists already, nor one that sorts before it.
    """

    class PutBack(StillClock):
        readings = iter((to_ns(START), to_ns(START) - 5_000_000_000))

        def now_ns(self):
            return next(self.readings)

    ids = TimeSortedIds(PutBack(START))
    first = ids()

    assert first < ids()


def test_counting_ids_count():
    """
    The ids of a test are the same in every run.
    """
    ids = CountingIds("X")

    assert [ids(), ids()] == ["X000001", "X000002"]


def test_seeded_chance_repeats():
    """
    The same seed gives the same chance, no seed a fresh one.
    """
    assert seeded(7).random() == seeded(7).random()
    assert seeded().random() != seeded().random()


async def test_within_gives_the_result():
    """
    Work that ends in time gives its result and leaves nothing sleeping.
    """
    clock = StillClock(START)

    async def work():
        return 42

    assert await within(clock, 5, work()) == 42
    assert clock.sleeping == ()


async def test_within_passes_errors_on():
    """
    Work that raises in time raises its own error.
    """

    async def work():
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        await within(StillClock(START), 5, work())


async def test_within_ends_work_that_takes_too_long():
    """
    When the time is up the work is cancelled and has ended before TimeoutError is raised.
    """
    clock = StillClock(START)
    ended = []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(clock.monotonic())

    waiting = asyncio.create_task(within(clock, 5, work()))
    await clock.advance(5)

    assert waiting.done()
    with pytest.raises(TimeoutError, match="no result within 5 s"):
        await waiting
    assert ended == [5.0]


async def test_within_ends_the_work_when_it_is_cancelled_itself():
    """
    Nothing of the work runs on when whoever waits for it is cancelled.
    """
    clock = StillClock(START)
    ended = []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    waiting = asyncio.create_task(within(clock, 5, work()))
    await clock.advance(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert ended
    assert clock.sleeping == ()


async def test_within_ends_work_by_the_machines_clock_too():
    """
    Real time that is up ends the work the same way, and leaves the task that waited as it was.
    """
    ended = []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with pytest.raises(TimeoutError, match=r"no result within 0\.01 s"):
        await within(SystemClock(), 0.01, work())
    assert ended
    assert asyncio.current_task().cancelling() == 0


async def test_within_tells_its_own_time_from_the_works():
    """
    A TimeoutError of the work's own is passed on as it is, under either clock, and the inner of two limits is the one that is up.
    """

    async def work():
        raise TimeoutError("the work's own")

    for clock in (StillClock(START), SystemClock()):
        with pytest.raises(TimeoutError, match="the work's own"):
            await within(clock, 5, work())
    with pytest.raises(TimeoutError, match=r"no result within 0\.01 s"):
        await within(SystemClock(), 5, within(SystemClock(), 0.01, asyncio.Event().wait()))


async def test_within_ends_the_work_when_it_is_cancelled_under_the_machines_clock():
    """
    The cancellation reaches the work and whoever asked for it.
    """
    begun, ended = asyncio.Event(), []

    async def work():
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    waiting = asyncio.create_task(within(SystemClock(), 5, work()))
    await begun.wait()
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended
