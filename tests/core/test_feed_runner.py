import asyncio
import random
from datetime import timedelta
from itertools import pairwise

import pytest

from broker_core.clock import StillClock
from broker_core.errors import AuthError, RateLimited, Unavailable
from broker_core.feed_runner import FeedRunner
from broker_core.feed_status import FeedState
from broker_core.liveness import SIGN_IN_LIMIT
from broker_core.models import Channel, Quote, SignedIn, Wish
from broker_core.orders import EventKind, OrderEvent, Source
from broker_core.testing.scripted import CLOSE, ScriptedFeed

IN = [SignedIn()]


def quote(number=0):
    return Quote("A", number, 1.0, 1.0, 2.0, 1.0)


class Desk:
    """A feed of quotes that plays its connections, and what its runner says and brings."""

    def __init__(self, *connections, channels=(Channel.QUOTES,), recover=None, feed=None, wanted=("A",)):
        self.clock = StillClock()
        self.feed = feed or ScriptedFeed("data", channels, *connections)
        self.wanted = set(wanted)
        self.items = []
        self.gaps = []
        self.changes = []
        self.runner = FeedRunner(
            self.feed,
            clock=self.clock,
            chance=random.Random(1),
            wish=self.wish,
            route=self.items.extend,
            recover=recover,
            tell=self.gaps.append,
            changed=lambda name, state, reason: self.changes.append((str(state), reason)),
        )

    def wish(self):
        wish = {Channel.QUOTES: frozenset(self.wanted)} if self.wanted else {}
        return Wish(wish | ({Channel.ORDERS: frozenset()} if Channel.ORDERS in self.feed.channels else {}))

    def want(self, *symbols):
        self.wanted = set(symbols)
        self.runner.wish_changed()

    @property
    def news(self):
        return [item for item in self.items if not isinstance(item, SignedIn)]

    @property
    def states(self):
        return [state for state, _ in self.changes]

    async def wait_for_next_try(self):
        """Let the wait before the next connection pass; how long it was."""
        (wait,) = self.clock.sleeping
        await self.clock.advance(wait)
        return wait


@pytest.fixture
async def run():
    desks = []

    async def begin(*connections, **options):
        desk = Desk(*connections, **options)
        desks.append(desk)
        desk.runner.start()
        await desk.clock.advance(0)
        return desk

    yield begin
    for desk in desks:
        await desk.runner.close()


async def test_the_wish_comes_before_the_connection(run):
    """
    A feed knows what is wanted of it before it connects, and is told again before every further connection.
    """
    told = []

    class Feed(ScriptedFeed):
        def connect(self):
            told.append(list(self.wishes))
            return super().connect()

    desk = await run(feed=Feed("data", {Channel.QUOTES}, [IN, CLOSE]))
    await desk.wait_for_next_try()

    wish = Wish({Channel.QUOTES: frozenset({"A"})})
    assert told == [[wish], [wish, wish]]


async def test_items_are_brought_in_order(run):
    """
    Batches arrive whole and in order, and the feed counts as connected from the sign-in on.
    """
    desk = await run([IN, [quote(1), quote(2)], [], [quote(3)]])

    assert desk.news == [quote(1), quote(2), quote(3)]
    assert desk.states == ["connecting", "connected"]
    assert desk.runner.healthy


async def test_waits_double_between_failed_connections(run):
    """
    A broker that cannot be reached is tried again after 1, 2, 4 … 60 s, shortened by at most the jitter.
    """
    desk = await run(*[[Unavailable("down")]] * 9)

    for longest in (1, 2, 4, 8, 16, 32, 60, 60, 60):
        assert 0.8 * longest <= await desk.wait_for_next_try() <= longest
    assert desk.feed.connects == 10
    assert desk.runner.healthy


@pytest.mark.parametrize("end", [CLOSE, Unavailable("cut"), KeyError("bug"), asyncio.CancelledError()])
async def test_every_end_waits(run, end):
    """
    A clean close waits like a lost line, like a bug in the plugin, and like a cancellation it stumbled over.
    """
    desk = await run([IN, end])
    assert desk.states == ["connecting", "connected", "waiting"]
    assert desk.feed.connects == 1

    assert 0.8 <= await desk.wait_for_next_try() <= 1

    assert desk.feed.connects == 2
    assert desk.runner.healthy


async def test_a_sign_in_alone_does_not_reset_the_wait(run):
    """
    A broker that lets us in and throws us out again is tried less and less often.
    """
    desk = await run(*[[IN, [], CLOSE]] * 4)

    for longest in (1, 2, 4, 8):
        assert 0.8 * longest <= await desk.wait_for_next_try() <= longest


async def test_a_real_item_resets_the_wait(run):
    """
    After an item has followed a sign-in the next loss is waited for like the first.
    """
    desk = await run([IN, CLOSE], [IN, CLOSE], [IN, [quote()], CLOSE], [IN, CLOSE])
    for longest in (1, 2, 1, 2):
        assert 0.8 * longest <= await desk.wait_for_next_try() <= longest


async def test_an_item_in_the_sign_ins_own_frame_counts(run):
    """
    An item that comes in the same frame as the sign-in is brought, and proves the connection.
    """
    desk = await run([IN, CLOSE], [[SignedIn(), quote(1)], CLOSE])
    await desk.wait_for_next_try()

    assert desk.news == [quote(1)]
    assert await desk.wait_for_next_try() <= 1


async def test_an_asked_for_pause_is_kept(run):
    """
    A broker that says when to come back is not tried before.
    """
    desk = await run([RateLimited("one connection only", wait=90)])

    assert desk.changes[-1] == ("waiting", "one connection only")
    assert await desk.wait_for_next_try() == 90


async def test_refused_credentials_stop_the_feed(run):
    """
    After AuthError the feed is stopped for good, keeps the reason, and whoever waits for it is told.
    """
    desk = await run([Unavailable("down")], [AuthError("key revoked")])
    waiting = asyncio.create_task(desk.runner.ready())
    await desk.wait_for_next_try()
    with pytest.raises(AuthError, match="key revoked"):
        await waiting
    with pytest.raises(AuthError, match="key revoked"):
        await desk.runner.ready()

    await desk.clock.advance(3600)

    assert desk.feed.connects == 2
    assert (desk.runner.status.state, desk.runner.status.reason) == (FeedState.STOPPED, "key revoked")
    assert not desk.runner.healthy


async def test_a_plugins_bug_is_logged_with_the_feeds_name(run, caplog):
    """
    An error that no broker's plugin may raise is logged in full, under the name of the feed.
    """
    desk = await run([IN, KeyError("no such field")])

    assert desk.changes[-1] == ("waiting", "KeyError: 'no such field'")
    (record,) = [record for record in caplog.records if record.exc_info]
    assert "feed data" in record.getMessage()


async def test_a_connection_begins_with_a_sign_in(run):
    """
    An item before the sign-in breaks the contract: it is not brought, and the connection is given up with a reason that says so.
    """
    desk = await run([[quote()]])

    assert desk.items == []
    assert "a connection begins with SignedIn" in desk.changes[-1][1]


async def test_a_connection_that_never_signs_in_is_given_up(run):
    """
    A connection attempt that hangs is ended and tried again.
    """
    desk = await run([asyncio.Event().wait])
    await desk.clock.advance(SIGN_IN_LIMIT)
    assert desk.states == ["connecting", "waiting"]
    assert not desk.feed.connected

    await desk.wait_for_next_try()

    assert desk.runner.healthy


async def test_a_mute_connection_is_given_up(run):
    """
    A connection that has gone quiet and does not answer its probe is ended and made anew.
    """
    desk = await run([IN, [quote()]])
    desk.feed.alive = False
    await desk.clock.advance(2 * SIGN_IN_LIMIT)
    assert "its probe failed" in desk.changes[-1][1]
    assert not desk.feed.connected

    await desk.clock.advance(1)

    assert desk.feed.connects == 2


async def test_a_changed_wish_is_told_once(run):
    """
    Changes made in one go are one telling of the whole new wish; a change that changes nothing is none.
    """
    desk = await run()
    del desk.feed.wishes[:]

    desk.want("A", "B")
    desk.want("A", "B", "C")
    await desk.clock.advance(0)
    desk.want("C", "B", "A")
    await desk.clock.advance(0)

    assert desk.feed.wishes == [Wish({Channel.QUOTES: frozenset({"A", "B", "C"})})]


async def test_a_wish_is_awaited_where_it_can_be(run):
    """
    A feed that takes its time with a wish is told the next one only afterwards.
    """
    log, gates = [], [asyncio.Event() for _ in range(3)]

    class Feed(ScriptedFeed):
        async def want(self, wish):
            number = len(self.wishes)
            super().want(wish)
            await gates[number].wait()
            log.append(wish)

    desk = await run(feed=Feed("data", {Channel.QUOTES}))
    desk.want("B")
    await desk.clock.advance(0)
    assert desk.feed.connects == 0
    assert len(desk.feed.wishes) == 1
    gates[0].set()
    await desk.clock.advance(0)
    desk.want("C")
    await desk.clock.advance(0)
    assert len(desk.feed.wishes) == 2

    gates[1].set()
    gates[2].set()
    await desk.clock.advance(0)

    assert [wish.symbols[Channel.QUOTES] for wish in log] == [{"A"}, {"B"}, {"C"}]


async def test_a_wish_that_fails_is_a_lost_connection(run):
    """
    A connection over which the wish cannot be sent is made anew, with the new wish.
    """

    class Feed(ScriptedFeed):
        def want(self, wish):
            if len(self.wishes) == 1:
                self.wishes.append(None)
                raise Unavailable("the line is cut")
            return super().want(wish)

    desk = await run(feed=Feed("data", {Channel.QUOTES}))
    desk.want("B")
    await desk.clock.advance(0)
    assert desk.changes[-1] == ("waiting", "the line is cut")
    assert not desk.feed.connected

    await desk.wait_for_next_try()

    assert desk.feed.wishes[-1] == Wish({Channel.QUOTES: frozenset({"B"})})
    assert desk.runner.healthy


async def test_a_feed_without_a_wish_does_not_connect(run):
    """
    A feed of which nothing is wanted stays idle until something is.
    """
    desk = await run(wanted=())
    assert desk.feed.connects == 0
    assert desk.runner.status.state is FeedState.IDLE
    assert desk.changes == []

    desk.want("A")
    await desk.clock.advance(0)

    assert desk.runner.healthy


async def test_an_unwanted_feed_is_not_reconnected(run):
    """
    A connection nobody needs any more is kept as long as it lasts, and not made anew; nobody missed anything.
    """
    desk = await run([IN, [quote()]])
    desk.want()
    await desk.clock.advance(0)
    assert desk.feed.wishes[-1] == Wish({})
    assert desk.feed.connected

    desk.feed.drop()
    await desk.clock.advance(60)
    assert desk.feed.connects == 1
    assert desk.states[-1] == "idle"
    desk.want("A")
    await desk.clock.advance(0)

    assert desk.runner.healthy
    assert desk.gaps == []


async def test_orders_are_always_wanted(run):
    """
    A feed of orders connects without any subscription.
    """
    desk = await run(channels=(Channel.ORDERS,), wanted=())

    assert desk.runner.healthy


async def test_a_gap_comes_before_what_follows_it(run):
    """
    After a reconnect the gap is told first: from the last frame heard to now, naming what was lost; then come the new items.
    """
    desk = Desk([IN, [quote(1)], CLOSE], [[SignedIn(), quote(2)], [quote(3)]])
    desk.runner._tell = lambda gap: desk.items.append(gap)
    start = desk.clock.now()
    desk.runner.start()
    await desk.clock.advance(0)
    wait = await desk.wait_for_next_try()

    first, gap, *rest = desk.news
    assert (first, rest) == (quote(1), [quote(2), quote(3)])
    assert (gap.feed, gap.start, gap.end) == ("data", start, start + timedelta(seconds=wait))
    assert gap.lost == ("quotes: A",)
    await desk.runner.close()


async def test_a_gap_reaches_back_over_failed_tries(run):
    """
    Tries that did not sign in are part of the same gap; a connection that was lost before it brought anything begins another.
    """
    desk = await run([IN, [quote(1)], CLOSE], [Unavailable("down")], [Unavailable("down")], [IN, CLOSE], [IN])
    start = desk.clock.now()
    for _ in range(3):
        await desk.wait_for_next_try()
    (gap,) = desk.gaps
    assert gap.start == start

    await desk.wait_for_next_try()

    assert desk.gaps[1].start == gap.end


async def test_many_lost_symbols_are_counted(run):
    """
    A gap names ten symbols and counts the rest.
    """
    desk = await run([IN, CLOSE], wanted=[f"S{number:02}" for number in range(12)])
    await desk.wait_for_next_try()

    assert desk.gaps[0].lost == ("quotes: S00 S01 S02 S03 S04 S05 S06 S07 S08 S09 and 2 more",)


class Recovery:
    """A recovery that the test lets go."""

    def __init__(self):
        self.answer = asyncio.get_running_loop().create_future()
        self.asked = 0

    async def __call__(self, feed, start, end):
        self.asked += 1
        return await asyncio.shield(self.answer)


def order(number):
    return OrderEvent(
        kind=EventKind.ACCEPTED, source=Source.STREAM, at=StillClock().now() + timedelta(seconds=number), client_order_id=f"T{number}"
    )


async def test_while_orders_are_recovered_data_waits_and_order_news_does_not(run):
    """
    On a feed that carries both, order events are brought at once during a recovery, market data after its gap was told.
    """
    recovery = Recovery()
    desk = await run(
        [IN, [quote(1)], CLOSE], [IN, [quote(2), order(1)], [quote(3)]], channels=(Channel.ORDERS, Channel.QUOTES), recover=recovery
    )
    desk.runner._tell = desk.items.append
    await desk.wait_for_next_try()
    assert desk.news == [quote(1), order(1)]
    assert not desk.runner.healthy
    assert desk.changes[-1] == ("connected", "what was missed is being recovered")

    recovery.answer.set_result((["1 order"], []))
    await desk.clock.advance(0)

    gap = desk.news[2]
    assert gap.recovered == ("1 order",)
    assert desk.news[3:] == [quote(2), quote(3)]
    assert desk.runner.healthy
    assert desk.changes[-1] == ("connected", None)


async def test_data_held_too_long_is_lost_and_said_so(run):
    """
    Market data beyond what can be held during a recovery is counted in the gap, and the newest is brought.
    """
    recovery = Recovery()
    quotes = [quote(number) for number in range(10_007)]
    desk = await run([IN, CLOSE], [IN, quotes], channels=(Channel.ORDERS, Channel.QUOTES), recover=recovery)
    await desk.wait_for_next_try()
    recovery.answer.set_result(((), ()))
    await desk.clock.advance(0)

    assert "market data that arrived during the recovery" in desk.gaps[0].lost[-1]
    assert desk.gaps[0].lost[-1].startswith("7 items")
    assert desk.news == quotes[7:]
    desk.feed.drop()
    await desk.clock.advance(0)
    await desk.wait_for_next_try()
    assert desk.gaps[1].lost == ("quotes: A",)


async def test_a_missed_order_is_recovered_on_the_spot(run):
    """
    An order event that could not be processed makes the feed unhealthy until it was recovered, and both are told.
    """
    recovery = Recovery()
    desk = await run(channels=(Channel.ORDERS,), recover=recovery)
    ready = asyncio.create_task(desk.runner.ready())
    await desk.clock.advance(0)
    assert ready.done()

    since = desk.runner.status.since
    await desk.clock.advance(5)
    desk.runner.order_missed(desk.clock.now())
    await desk.clock.advance(0)
    assert not desk.runner.healthy
    assert desk.changes[-1] == ("connected", "what was missed is being recovered")
    recovery.answer.set_result(((), ()))
    await desk.clock.advance(0)

    assert desk.runner.healthy
    assert desk.changes[-1] == ("connected", None)
    assert desk.runner.status.since == since


async def test_ready_waits_for_recovery(run):
    """
    Whoever waits for a feed of orders waits until what was missed is recovered.
    """
    recovery = Recovery()
    desk = await run([IN, CLOSE], channels=(Channel.ORDERS,), recover=recovery)
    waiting = asyncio.create_task(desk.runner.ready())
    await desk.wait_for_next_try()
    assert not waiting.done()

    recovery.answer.set_result(((), ()))
    await desk.clock.advance(0)

    assert waiting.done()


async def test_the_status_tells_how_a_feed_stands(run):
    """
    The status has the state and its beginning, tries without a sign-in, the last item's moment and the number of reconnects.
    """
    desk = await run([IN, CLOSE], [Unavailable("down")], [IN, [quote()]])
    start = desk.clock.now()
    await desk.wait_for_next_try()
    status = desk.runner.status
    assert (status.name, status.state, status.reason) == ("data", FeedState.WAITING, "down")
    assert (status.attempts, status.reconnects, status.last_item_at) == (1, 0, None)
    assert status.since == desk.clock.now() > start

    await desk.wait_for_next_try()

    status = desk.runner.status
    assert (status.state, status.reason) == (FeedState.CONNECTED, None)
    assert (status.attempts, status.reconnects, status.last_item_at) == (0, 1, desk.clock.now())


async def test_a_feed_that_never_pauses_lets_others_run(run):
    """
    A plugin with thousands of frames ready does not keep the loop from its consumers.
    """
    seen = []

    class Feed(ScriptedFeed):
        async def connect(self):
            yield IN
            for number in range(2000):
                yield [quote(number)]
            await asyncio.Event().wait()

    desk = Desk(feed=Feed("data", {Channel.QUOTES}))
    desk.runner.start()
    while len(desk.news) < 2000:
        await asyncio.sleep(0)
        seen.append(len(desk.news))

    assert max(after - before for before, after in pairwise(seen)) <= 256
    await desk.runner.close()


@pytest.mark.parametrize("script", [[IN], [asyncio.Event().wait], [Unavailable("down")]])
async def test_close_ends_everything(run, script):
    """
    Closing ends the connection or the wait, tells it, leaves no task, and whoever waits is told that it is closed.
    """
    desk = await run(script)
    waiting = asyncio.create_task(desk.runner.ready())
    await desk.clock.advance(0)

    await desk.runner.close()
    await asyncio.gather(waiting, return_exceptions=True)

    assert not desk.feed.connected
    assert desk.changes[-1] == ("stopped", None)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    with pytest.raises(Unavailable, match="feed data is closed"):
        await desk.runner.ready()


async def test_close_ends_a_recovery(run):
    """
    Closing ends a recovery under way.
    """
    desk = await run([IN, CLOSE], channels=(Channel.ORDERS,), recover=lambda *_: asyncio.Event().wait())
    await desk.wait_for_next_try()

    await desk.runner.close()

    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_connection_has_ended_before_anything_follows(run):
    """
    A connection that takes its time to close has closed before the next wait begins, and before ``close`` returns.
    """

    class Feed(ScriptedFeed):
        async def connect(self):
            try:
                async for batch in super().connect():
                    yield batch
            finally:
                for _ in range(5):
                    await asyncio.sleep(0)
                closed.append(desk.states[-1])

    closed = []
    desk = await run(feed=Feed("data", {Channel.QUOTES}))
    desk.want("A", "B")
    desk.feed.want = lambda wish: 1 / 0
    await desk.clock.advance(0)
    assert desk.states[-1] == "waiting"
    del desk.feed.want
    await desk.wait_for_next_try()
    await desk.runner.close()

    assert closed == ["connected", "connected"]


async def test_a_connection_that_is_no_generator_is_closed_too(run):
    """
    A connection given up for what it brought is closed by us, not by chance.
    """

    class Connection:
        closed = 0

        def __aiter__(self):
            return self

        async def __anext__(self):
            return [quote()]

        async def aclose(self):
            Connection.closed += 1

    feed = ScriptedFeed("data", {Channel.QUOTES})
    feed.connect = Connection
    desk = await run(feed=feed)

    assert desk.states[-1] == "waiting"
    assert Connection.closed == 1


async def test_a_plugin_that_raises_while_closing_is_closed_all_the_same(run):
    """
    An error from the end of a connection does not keep the runner from closing.
    """

    class Feed(ScriptedFeed):
        async def connect(self):
            try:
                yield IN
                await asyncio.Event().wait()
            finally:
                raise Unavailable("the socket was gone already")

    desk = await run(feed=Feed("data", {Channel.QUOTES}))
    await desk.runner.close()

    assert desk.changes[-1] == ("stopped", None)
    assert asyncio.all_tasks() == {asyncio.current_task()}
