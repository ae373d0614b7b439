import asyncio
import random
from datetime import timedelta

import pytest

from broker_core.clock import StillClock
from broker_core.errors import AuthError, RateLimited, Unavailable
from broker_core.gaps import Gaps


class Desk:
    """Gaps of one feed whose recovery answers as the test says: with a pair, an error to raise, or a future to wait for."""

    def __init__(self, *, orders=True):
        self.clock = StillClock()
        self.start = self.clock.now()
        self.log = []
        self.answers = []
        self.asked = []
        self.gaps = Gaps("trading", recover=self.recover if orders else None, tell=self.tell, clock=self.clock, chance=random.Random(1))

    def tell(self, gap):
        self.log.append(gap)

    async def recover(self, feed, start, end):
        self.asked.append((feed, start, end))
        answer = self.answers.pop(0) if self.answers else ((), ())
        if isinstance(answer, asyncio.Future):
            answer = await answer
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def at(self, seconds):
        return self.start + timedelta(seconds=seconds)


@pytest.fixture
async def desk():
    desk = Desk()
    yield desk
    await desk.gaps.close()


async def test_a_first_contact_has_no_gap(desk):
    """
    Before the first contact nothing was promised, so nothing is missing.
    """
    desk.gaps.contact_made()
    await desk.clock.advance(0)

    assert desk.log == desk.asked == []
    assert not desk.gaps.missing


async def test_data_alone_is_told_at_once():
    """
    A feed without orders tells its gap before ``contact_made`` returns: from the last good moment to now, with what was lost.
    """
    desk = Desk(orders=False)
    desk.gaps.contact_made()
    await desk.clock.advance(10)
    desk.gaps.contact_lost(desk.at(4), ["quotes: A"])
    assert desk.gaps.missing

    desk.gaps.contact_made()

    (gap,) = desk.log
    assert (gap.feed, gap.start, gap.end) == ("trading", desk.at(4), desk.at(10))
    assert (gap.recovered, gap.lost) == ((), ("quotes: A",))
    assert not desk.gaps.missing
    assert not desk.gaps.owed


async def test_orders_are_recovered_before_the_gap_is_told(desk):
    """
    The gap of a feed with orders is told when recovery has ended, with what it says was recovered and lost; until then it is owed.
    """
    answer = asyncio.get_running_loop().create_future()
    desk.answers = [answer]
    desk.gaps.contact_lost(desk.at(0), ["quotes: A"])
    await desk.clock.advance(5)
    desk.gaps.contact_made()
    await desk.clock.advance(0)
    assert desk.asked == [("trading", desk.at(0), desk.at(5))]
    assert desk.log == []
    assert desk.gaps.owed
    assert desk.gaps.missing

    await desk.clock.advance(2)
    answer.set_result((["2 orders"], ["1 bust"]))
    await desk.clock.advance(0)

    (gap,) = desk.log
    assert (gap.start, gap.end) == (desk.at(0), desk.at(7))
    assert (gap.recovered, gap.lost) == (("2 orders",), ("1 bust", "quotes: A"))
    assert not desk.gaps.owed
    assert not desk.gaps.missing


async def test_nothing_is_recovered_while_there_is_no_contact(desk):
    """
    Recovery waits for the feed to sign in, because until then more goes missing.
    """
    desk.gaps.contact_lost(desk.at(0), [])
    await desk.clock.advance(60)

    assert desk.asked == []


async def test_a_failed_recovery_is_told_and_tried_again(desk):
    """
    A recovery that fails is told as lost once, is tried again after 1, 2, 4 … s, and its success is told as a gap from the same start.
    """
    desk.answers = [Unavailable("no answer"), Unavailable("no answer"), Unavailable("no answer"), (["all of it"], [])]
    desk.gaps.contact_lost(desk.at(0), ["quotes: A"])
    desk.gaps.contact_made()
    await desk.clock.advance(0)
    (gap,) = desk.log
    assert gap.recovered == ()
    assert gap.lost == ("orders: recovery failed and is tried again (Unavailable: no answer)", "quotes: A")
    assert not desk.gaps.owed
    assert desk.gaps.missing

    for longest in (1, 2, 4):
        (wait,) = desk.clock.sleeping
        assert 0.8 * longest <= wait <= longest
        await desk.clock.advance(wait)

    assert len(desk.asked) == 4
    assert {start for _, start, _ in desk.asked} == {desk.at(0)}
    assert [gap.recovered for gap in desk.log] == [(), ("all of it",)]
    assert desk.log[1].start == desk.at(0)
    assert desk.log[1].lost == ()
    assert not desk.gaps.missing


async def test_a_rate_limit_is_honoured(desk):
    """
    Recovery is not tried again before the wait that the broker asked for is over.
    """
    desk.answers = [RateLimited("slow down", wait=100)]
    desk.gaps.contact_lost(desk.at(0), [])
    desk.gaps.contact_made()
    await desk.clock.advance(99)
    assert len(desk.asked) == 1

    await desk.clock.advance(1)

    assert len(desk.asked) == 2


async def test_refused_credentials_wait_for_a_sign_in(desk):
    """
    A recovery refused for its credentials is not tried again by time, but when the feed signs in again.
    """
    desk.answers = [AuthError("wrong key")]
    desk.gaps.contact_lost(desk.at(0), [])
    desk.gaps.contact_made()
    await desk.clock.advance(3600)
    assert len(desk.asked) == 1

    desk.gaps.contact_lost(desk.at(3600), [])
    desk.gaps.contact_made()
    await desk.clock.advance(0)

    assert len(desk.asked) == 2
    assert not desk.gaps.missing


@pytest.mark.parametrize("error", [KeyError("bug"), asyncio.CancelledError()])
async def test_whatever_a_recovery_raises_it_is_tried_again(desk, error):
    """
    A recovery that fails for a bug, or stumbles over a cancellation of something else, is not forgotten.
    """
    desk.answers = [error]
    desk.gaps.contact_lost(desk.at(0), [])
    desk.gaps.contact_made()
    await desk.clock.advance(1)

    assert len(desk.asked) == 2
    assert not desk.gaps.missing


async def test_a_sign_in_cuts_the_wait_short(desk):
    """
    A recovery that waits to be tried again is tried at once when the feed signs in anew, and its outcome is owed again.
    """
    desk.answers = [Unavailable("no answer")] * 6
    desk.gaps.contact_lost(desk.at(0), [])
    desk.gaps.contact_made()
    await desk.clock.advance(15)
    tries, told = len(desk.asked), len(desk.log)
    desk.gaps.contact_lost(desk.at(14), [])
    await desk.clock.advance(0)

    desk.gaps.contact_made()
    assert desk.gaps.owed
    await desk.clock.advance(0)

    assert len(desk.asked) == tries + 1
    assert len(desk.log) == told + 1
    assert not desk.gaps.owed


async def test_losing_contact_does_not_interrupt_a_recovery(desk):
    """
    What goes missing while a recovery runs is recovered next, and both are told as one gap.
    """
    first = asyncio.get_running_loop().create_future()
    desk.answers = [first, (["second"], [])]
    desk.gaps.contact_lost(desk.at(0), ["quotes: A", "bars: A"])
    desk.gaps.contact_made()
    await desk.clock.advance(2)
    desk.gaps.contact_lost(desk.at(1), ["quotes: A", "trades: A"])
    first.set_result((["first"], []))
    await desk.clock.advance(3)
    assert desk.log == []
    assert len(desk.asked) == 1

    desk.gaps.contact_made()
    await desk.clock.advance(0)

    assert desk.asked[1] == ("trading", desk.at(1), desk.at(5))
    (gap,) = desk.log
    assert (gap.start, gap.end) == (desk.at(0), desk.at(5))
    assert (gap.recovered, gap.lost) == (("first", "second"), ("quotes: A", "bars: A", "trades: A"))


async def test_a_recovery_that_outlives_its_connection_covers_the_next(desk):
    """
    When the feed has signed in again before a recovery ends, what went missing between is recovered before anything is told.
    """
    first = asyncio.get_running_loop().create_future()
    desk.answers = [first, ((), ())]
    desk.gaps.contact_lost(desk.at(0), [])
    desk.gaps.contact_made()
    await desk.clock.advance(1)
    for seconds in (1, 2):
        desk.gaps.contact_lost(desk.at(seconds), [])
        desk.gaps.contact_made()
        await desk.clock.advance(1)
    assert len(desk.asked) == 1

    first.set_result(((), ()))
    await desk.clock.advance(0)

    assert [start for _, start, _ in desk.asked] == [desk.at(0), desk.at(1)]
    assert len(desk.log) == 1
    assert not desk.gaps.missing


async def test_an_item_that_could_not_be_processed_is_recovered(desk):
    """
    An order event that arrived but could not be processed is recovered from its moment on, without a new connection.
    """
    desk.gaps.contact_made()

    desk.gaps.recover_from(desk.at(-1))
    assert desk.gaps.missing
    await desk.clock.advance(0)

    assert desk.asked == [("trading", desk.at(-1), desk.at(0))]
    assert len(desk.log) == 1
    assert not desk.gaps.missing


async def test_close_ends_a_recovery():
    """
    After ``close`` nothing runs and nothing begins.
    """
    desk = Desk()
    desk.answers = [asyncio.get_running_loop().create_future()]
    desk.gaps.contact_lost(desk.at(0), [])
    desk.gaps.contact_made()
    await desk.clock.advance(0)

    await desk.gaps.close()
    desk.gaps.recover_from(desk.at(0))
    await desk.clock.advance(0)

    assert len(desk.asked) == 1
    assert desk.log == []
    assert asyncio.all_tasks() == {asyncio.current_task()}
