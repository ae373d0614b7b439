"""A cache that keeps answers for a while and shares the flights towards them."""

from __future__ import annotations

import asyncio
import gc
import traceback
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker_core.cache import Cache
from broker_core.clock import StillClock, to_ns
from broker_core.errors import BrokerError, RateLimited, RequestRefused, Unavailable

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
START_NS = to_ns(START)
SECOND = 1_000_000_000


class Kitchen:
    """Makes numbered answers, at once or when the door is opened; may fail instead."""

    def __init__(self, *, shut: bool = False, failure: BaseException | None = None) -> None:
        self.made = 0
        self.stopped = 0
        self.failure = failure
        self.started = asyncio.Event()
        self.door = asyncio.Event()
        if not shut:
            self.door.set()

    async def __call__(self) -> str:
        self.made += 1
        number = self.made
        self.started.set()
        try:
            await self.door.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        if self.failure is not None:
            raise self.failure
        return f"answer {number}"


@pytest.fixture
def clock() -> StillClock:
    return StillClock(START)


@pytest.fixture
def cache(clock: StillClock) -> Cache[str]:
    return Cache(clock, seconds=60)


def counters(cache: Cache[str]) -> tuple[int, int, int]:
    return cache.hits, cache.misses, cache.flights


async def settled(condition: Callable[[], bool]) -> None:
    """Let the loop go round until something is so; a hundred turns without it is a failure."""
    for _ in range(100):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came true")


class TestKeeping:
    async def test_second_call_is_answered_from_here(self, cache: Cache[str]):
        """Within its time an answer is given again without a request."""
        kitchen = Kitchen()

        assert [await cache.get("k", kitchen) for _ in range(3)] == ["answer 1"] * 3
        assert counters(cache) == (2, 1, 1)

    async def test_keys_are_apart(self, cache: Cache[str]):
        """Another key is another request."""
        kitchen = Kitchen()

        assert [await cache.get(key, kitchen) for key in ("a", "b", "a")] == ["answer 1", "answer 2", "answer 1"]

    @pytest.mark.parametrize(("seconds", "made"), [(0, 1), (59.999, 1), (60, 2), (61, 2)])
    async def test_time_is_up(self, clock: StillClock, cache: Cache[str], seconds: float, made: int):
        """An answer serves for less than the given seconds after its arrival."""
        kitchen = Kitchen()
        await cache.get("k", kitchen)

        await clock.advance(seconds)
        await cache.get("k", kitchen)

        assert kitchen.made == made

    async def test_age_counts_from_arrival(self, clock: StillClock, cache: Cache[str]):
        """An answer that was long on its way is kept as long as a quick one."""
        kitchen = Kitchen(shut=True)
        first = asyncio.create_task(cache.get("k", kitchen))
        await clock.advance(100)
        kitchen.door.set()
        await first

        await clock.advance(59)

        assert await cache.get("k", kitchen) == "answer 1"

    @pytest.mark.parametrize(("until", "after", "made"), [(10, 9.999, 1), (10, 10, 2), (3600, 59, 1), (3600, 60, 2)])
    async def test_end_by_the_wall_clock(self, clock: StillClock, cache: Cache[str], until: int, after: float, made: int):
        """The moment at which an answer goes out of date ends it, and never lengthens its time."""
        kitchen = Kitchen()
        await cache.get("k", kitchen, until_ns=START_NS + until * SECOND)

        await clock.advance(after)
        await cache.get("k", kitchen, until_ns=START_NS + 7200 * SECOND)

        assert kitchen.made == made

    async def test_out_of_date_on_arrival(self, clock: StillClock, cache: Cache[str]):
        """An answer that arrives after its moment reaches those who waited, and nobody else."""
        kitchen = Kitchen(shut=True)
        first = asyncio.create_task(cache.get("k", kitchen, until_ns=START_NS + SECOND))
        await clock.advance(2)
        kitchen.door.set()

        assert await first == "answer 1"
        assert await cache.get("k", kitchen) == "answer 2"

    async def test_nothing_is_an_answer(self, clock: StillClock):
        """None is kept like any other answer."""
        cache: Cache[None] = Cache(clock, seconds=60)
        made = []

        async def fetch() -> None:
            made.append(1)

        await cache.get("k", fetch)
        await cache.get("k", fetch)

        assert len(made) == 1

    async def test_least_recently_used_makes_room(self, clock: StillClock):
        """A full cache lets go of the entry that was asked for longest ago."""
        cache: Cache[str] = Cache(clock, seconds=60, entries=2)
        kitchen = Kitchen()
        for key in ("a", "b", "a", "c"):
            await cache.get(key, kitchen)

        assert len(cache) == 2
        made = kitchen.made
        await cache.get("a", kitchen)
        await cache.get("c", kitchen)
        assert kitchen.made == made
        await cache.get("b", kitchen)
        assert kitchen.made == made + 1

    async def test_out_of_date_entries_are_let_go(self, clock: StillClock, cache: Cache[str]):
        """Answers nobody asks for again do not fill the memory once their time is up."""
        kitchen = Kitchen()
        for key in "abc":
            await cache.get(key, kitchen)
        await clock.advance(60)
        await cache.get("d", kitchen)

        assert len(cache) == 1

    async def test_zero_seconds_switch_it_off(self, clock: StillClock):
        """Without any time to keep, every caller makes a request of its own, those of one moment included."""
        cache: Cache[str] = Cache(clock, seconds=0)
        kitchen = Kitchen()

        assert await asyncio.gather(cache.get("k", kitchen), cache.get("k", kitchen)) == ["answer 1", "answer 2"]
        assert await cache.get("k", kitchen) == "answer 3"
        assert counters(cache) == (0, 3, 3)
        assert len(cache) == 0

    @pytest.mark.parametrize("wrong", [{"seconds": -1}, {"seconds": float("nan")}, {"seconds": 1, "entries": 0}])
    def test_nonsense(self, clock: StillClock, wrong: dict[str, float]):
        """A negative time and a cache for nothing are refused."""
        with pytest.raises(ValueError, match="is below"):
            Cache(clock, **wrong)  # type: ignore[arg-type]  # a table of keywords

    @settings(deadline=None)
    @given(st.lists(st.one_of(st.sampled_from("abcd"), st.integers(1, 40)), max_size=60))
    def test_like_its_model(self, moves: list[str | int]):
        """Over any order of calls and waits it answers like a dictionary of keys and moments of arrival, bounded by last use."""

        async def play() -> None:
            clock = StillClock(START)
            cache: Cache[str] = Cache(clock, seconds=60, entries=3)
            kitchen = Kitchen()
            model: dict[str, tuple[float, str]] = {}
            made = 0
            for move in moves:
                if isinstance(move, int):
                    await clock.advance(move)
                    continue
                arrived, answer = model.pop(move, (float("-inf"), ""))
                if clock.monotonic() >= arrived + 60:
                    made += 1
                    arrived, answer = clock.monotonic(), f"answer {made}"
                model[move] = arrived, answer
                if len(model) > 3:
                    del model[next(iter(model))]
                assert await cache.get(move, kitchen) == answer
                assert len(cache) <= 3

        asyncio.run(play())


class TestFlights:
    async def test_hundred_callers_one_request(self, cache: Cache[str]):
        """A hundred callers at once make one request and get its answer."""
        kitchen = Kitchen(shut=True)
        callers = [asyncio.create_task(cache.get("k", kitchen)) for _ in range(100)]
        await settled(lambda: cache.misses == 100)
        kitchen.door.set()

        assert await asyncio.gather(*callers) == ["answer 1"] * 100
        assert counters(cache) == (0, 100, 1)

    async def test_flight_that_outlived_its_moment_is_not_joined(self, clock: StillClock, cache: Cache[str]):
        """Who asks after a flight's moment has passed gets an answer that was asked for later."""
        kitchen = Kitchen(shut=True)
        early = asyncio.create_task(cache.get("k", kitchen, until_ns=START_NS + SECOND))
        await clock.advance(1)
        late = asyncio.create_task(cache.get("k", kitchen, until_ns=START_NS + 61 * SECOND))
        later = asyncio.create_task(cache.get("k", kitchen, until_ns=START_NS + 61 * SECOND))
        await settled(lambda: kitchen.made == 2)
        kitchen.door.set()

        assert [await early, await late, await later] == ["answer 1", "answer 2", "answer 2"]
        assert await cache.get("k", kitchen) == "answer 2"

    async def test_slow_old_flight_does_not_replace_the_new_answer(self, clock: StillClock, cache: Cache[str]):
        """A flight overtaken by a later one keeps its answer for those who waited for it."""
        slow, quick = Kitchen(shut=True), Kitchen()
        early = asyncio.create_task(cache.get("k", slow, until_ns=START_NS + SECOND))
        await clock.advance(1)
        await cache.get("k", quick, until_ns=START_NS + 61 * SECOND)
        slow.door.set()
        await early

        await cache.get("k", quick)

        assert quick.made == 1

    async def test_landing_of_an_overtaken_flight_leaves_the_later_one_shared(self, clock: StillClock, cache: Cache[str]):
        """When a flight lands that a later one has overtaken, the later one goes on being the one to join."""
        slow, later = Kitchen(shut=True), Kitchen(shut=True)
        early = asyncio.create_task(cache.get("k", slow, until_ns=START_NS + SECOND))
        await clock.advance(1)
        first = asyncio.create_task(cache.get("k", later, until_ns=START_NS + 61 * SECOND))
        await later.started.wait()
        slow.door.set()
        await early
        second = asyncio.create_task(cache.get("k", later, until_ns=START_NS + 61 * SECOND))
        await settled(lambda: cache.misses == 3)
        later.door.set()

        assert [await first, await second] == ["answer 1", "answer 1"]

    async def test_cancelled_caller_leaves_the_flight_to_the_others(self, cache: Cache[str]):
        """One caller's cancellation is its own; the request goes on for who still waits."""
        kitchen = Kitchen(shut=True)
        first, second = (asyncio.create_task(cache.get("k", kitchen)) for _ in range(2))
        await kitchen.started.wait()

        first.cancel()
        await asyncio.wait((first,))
        kitchen.door.set()

        assert first.cancelled()
        assert await second == "answer 1"
        assert kitchen.stopped == 0

    async def test_last_cancellation_stops_the_flight(self, cache: Cache[str]):
        """When nobody waits any more the request is cancelled, and has ended when the last caller has."""
        kitchen = Kitchen(shut=True)
        callers = [asyncio.create_task(cache.get("k", kitchen)) for _ in range(3)]
        await kitchen.started.wait()

        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)

        assert all(caller.cancelled() for caller in callers)
        assert kitchen.stopped == 1

    async def test_caller_after_a_stopped_flight_starts_its_own(self, cache: Cache[str]):
        """Who asks while an abandoned flight is still ending does not join it."""
        kitchen = Kitchen(shut=True)
        first = asyncio.create_task(cache.get("k", kitchen))
        await kitchen.started.wait()
        first.cancel()
        second = asyncio.create_task(cache.get("k", kitchen))
        await settled(lambda: kitchen.made == 2)
        kitchen.door.set()

        assert await second == "answer 2"

    async def test_flight_cancelled_from_within(self, cache: Cache[str]):
        """A request that cancels itself is an error of the request; its callers were not cancelled."""
        kitchen = Kitchen(failure=asyncio.CancelledError())

        with pytest.raises(Unavailable, match="cancelled on its way"):
            await cache.get("k", kitchen)


class TestFailures:
    async def test_failure_is_not_kept(self, cache: Cache[str]):
        """After a failure the next caller asks anew."""
        kitchen = Kitchen(failure=Unavailable("the line is down"))
        with pytest.raises(Unavailable):
            await cache.get("k", kitchen)

        kitchen.failure = None

        assert await cache.get("k", kitchen) == "answer 2"

    async def test_failure_after_an_answer_leaves_nothing_old_behind(self, clock: StillClock, cache: Cache[str]):
        """A failed renewal is told, not covered up with the answer that is out of date."""
        kitchen = Kitchen()
        await cache.get("k", kitchen)
        await clock.advance(60)
        kitchen.failure = Unavailable("the line is down")

        with pytest.raises(Unavailable):
            await cache.get("k", kitchen)

    async def test_every_waiter_gets_an_error_of_its_own(self, cache: Cache[str]):
        """Each waiter is raised an equal error with all its attributes; no traceback holds another waiter's lines."""
        cause = OSError("no route")
        failure = RateLimited("too fast", wait=2.5)
        failure.__cause__ = cause
        failure.add_note("seen at the gate")
        kitchen = Kitchen(shut=True, failure=failure)
        callers = [asyncio.create_task(cache.get("k", kitchen)) for _ in range(20)]
        await settled(lambda: cache.misses == 20)
        kitchen.door.set()

        errors = await asyncio.gather(*callers, return_exceptions=True)

        assert len({id(error) for error in errors}) == 20
        for error in errors:
            assert isinstance(error, RateLimited)
            assert (str(error), error.wait, error.order, error.__cause__) == ("too fast", 2.5, None, cause)
            error.add_note("mine")
            assert error.__notes__ == ["seen at the gate", "mine"]
        lengths = {len(traceback.extract_tb(error.__traceback__)) for error in errors}  # type: ignore[union-attr]
        assert len(lengths) == 1
        assert lengths.pop() < 10

    async def test_traceback_leads_to_the_source(self, cache: Cache[str]):
        """The error still shows the line of the source that raised it."""
        with pytest.raises(RequestRefused) as caught:
            await cache.get("k", Kitchen(failure=RequestRefused("no such symbol", status=404, code=40410000)))

        assert (caught.value.status, caught.value.code) == (404, 40410000)
        assert "__call__" in [line.name for line in traceback.extract_tb(caught.value.__traceback__)]

    async def test_tracebacks_of_foreign_errors_do_not_grow(self, cache: Cache[str]):
        """An error that is not ours is raised as it is, and its traceback stays as long as one waiter makes it."""
        kitchen = Kitchen(shut=True, failure=UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"))
        lengths = []

        async def caller() -> None:
            with pytest.raises(UnicodeDecodeError, match="can't decode byte 0xff") as caught:
                await cache.get("k", kitchen)
            lengths.append(len(traceback.extract_tb(caught.value.__traceback__)))

        callers = [asyncio.create_task(caller()) for _ in range(30)]
        await settled(lambda: cache.misses == 30)
        kitchen.door.set()
        await asyncio.gather(*callers)

        assert len(lengths) == 30
        assert len(set(lengths)) == 1

    async def test_failure_nobody_waits_for_is_not_complained_about(self, cache: Cache[str]):
        """A flight that fails while it is being abandoned leaves no unread exception behind."""
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        started = asyncio.Event()

        async def fetch() -> str:
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise BrokerError("it broke on the way out") from None
            return ""

        caller = asyncio.create_task(cache.get("k", fetch))
        await started.wait()
        caller.cancel()
        await asyncio.wait((caller,))
        del caller
        gc.collect()

        assert complaints == []
