import asyncio
import math
import random
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import attrs
import pytest

from broker_core.account_sync import AccountSync, SyncIntervals
from broker_core.clock import StillClock
from broker_core.errors import AuthError, RateLimited, Unavailable
from broker_core.findings import Findings, Severity
from broker_core.models import Account, Position
from broker_core.orders import EventKind, OrderEvent, Source
from broker_core.sync_state import Part

ACCOUNT = Account(account_id="1", currency="USD", cash=Decimal(1000), equity=Decimal(5000), buying_power=Decimal(2000))
DOWN = Unavailable("no answer")


def position(symbol, qty):
    return Position(symbol=symbol, qty=Decimal(qty), avg_entry_price=Decimal(10))


class Broker:
    """A ``Sync`` whose answers, failures and mishaps during a read the test decides."""

    def __init__(self, clock):
        self.clock = clock
        self.equity = ACCOUNT
        self.held = {}
        self.orders = []
        self.failures = defaultdict(list)
        self.during = defaultdict(list)
        self.reads = []

    def times(self, part):
        return [at for name, at in self.reads if name == part]

    async def _read(self, part, answer):
        self.reads.append((part, self.clock.monotonic()))
        failure = self.failures[part].pop(0) if self.failures[part] else None
        value = answer()
        if self.during[part]:
            outcome = self.during[part].pop(0)()
            if asyncio.iscoroutine(outcome):
                await outcome
        if failure is not None:
            raise failure
        return value

    async def account(self):
        return await self._read("account", lambda: self.equity)

    async def positions(self):
        return await self._read("positions", lambda: [position(symbol, qty) for symbol, qty in self.held.items() if qty])

    async def open_orders(self):
        return await self._read("orders", lambda: list(self.orders))


class Desk:
    """A session around the sync, as far as the sync can tell."""

    def __init__(self):
        self.clock = StillClock()
        self.broker = Broker(self.clock)
        self.fills = {}
        self.unheard = []
        self.healthy = False
        self.listings = []
        self.told = []
        self.rechecks = 0
        self.recheck_failure = None
        self.findings = Findings(self.clock)
        self.sync = AccountSync(
            self.broker,
            clock=self.clock,
            random=random.Random(1),
            on_orders=self.on_orders,
            stream_healthy=lambda: self.healthy,
            positions_from_fills=lambda: self.fills,
            told=self.tell,
            findings=self.findings,
            recheck=self.recheck,
        )

    async def on_orders(self, listing):
        self.listings.append(listing)

    async def tell(self, account, positions):
        self.told.append((account, positions))

    async def recheck(self):
        self.rechecks += 1
        if self.recheck_failure is not None:
            raise self.recheck_failure
        while self.unheard:
            self.book(*self.unheard.pop(0))

    def book(self, symbol, qty):
        self.fills[symbol] = self.fills.get(symbol, Decimal(0)) + Decimal(qty)

    def fill(self, symbol, qty):
        """Executed at the broker; we have not heard of it."""
        self.broker.held[symbol] = self.broker.held.get(symbol, 0) + Decimal(qty)
        self.unheard.append((symbol, qty))

    def found(self, severity=Severity.CRITICAL):
        return [finding for finding in self.findings if finding.severity is severity]

    async def next_positions(self):
        """Let the next read of positions happen."""
        reads = len(self.broker.times("positions"))
        while len(self.broker.times("positions")) == reads:
            await self.clock.advance(1)


@pytest.fixture
async def desk():
    desk = Desk()
    yield desk
    await desk.sync.close()


async def test_the_start_reads_everything_once(desk):
    """
    After the start account, positions and the number of open orders are known, the listing was handed on, and observers were told once.
    """
    desk.broker.held = {"AAPL": Decimal(7)}
    desk.broker.orders = [OrderEvent(kind=EventKind.SNAPSHOT, source=Source.LISTING, at=desk.clock.now())]
    assert desk.sync.state.equity is None
    await desk.sync.start()

    state = desk.sync.state
    assert (state.equity, state.cash, state.buying_power) == (Decimal(5000), Decimal(1000), Decimal(2000))
    assert state.positions == {"AAPL": position("AAPL", 7)}
    assert state.open_orders == 1
    assert desk.listings == [desk.broker.orders]
    assert desk.told == [(ACCOUNT, (position("AAPL", 7),))]
    assert state.ok


async def test_the_state_is_a_value(desk):
    """
    A state once read does not change under its reader.
    """
    await desk.sync.start()
    before = desk.sync.state
    desk.broker.equity = attrs.evolve(ACCOUNT, equity=Decimal(1))
    await desk.sync.refresh()

    assert (before.equity, desk.sync.state.equity) == (Decimal(5000), Decimal(1))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        before.account = None


async def test_each_part_has_its_interval(desk):
    """
    The account is read every 30 s, positions every 10 s, open orders every 5 s while no stream tells of them.
    """
    await desk.sync.start()
    await desk.clock.advance(30)

    assert desk.broker.times("account") == [0, 30]
    assert desk.broker.times("positions") == [0, 10, 20, 30]
    assert desk.broker.times("orders") == [0, 5, 10, 15, 20, 25, 30]


async def test_orders_are_listed_less_often_while_the_stream_is_healthy(desk):
    """
    A healthy stream makes the listings six times rarer; one that falls ill makes them frequent again within one interval.
    """
    desk.healthy = True
    await desk.sync.start()
    await desk.clock.advance(72)
    assert desk.broker.times("orders") == [0, 30, 60]

    desk.healthy = False
    await desk.clock.advance(13)

    assert desk.broker.times("orders") == [0, 30, 60, 75, 80, 85]


async def test_one_parts_failure_is_its_own(desk):
    """
    A part that fails shows its error, its failures in a row and its last success, while the others are well and stay so.
    """
    await desk.sync.start()
    start = desk.clock.now()
    desk.broker.failures["positions"] = [DOWN, DOWN]
    await desk.clock.advance(11)

    health = desk.sync.state.health
    assert health["account"].ok
    assert health["orders"].ok
    assert not desk.sync.state.ok
    failing = health[Part.POSITIONS]
    assert (failing.ok, failing.failures, failing.error) == (False, 2, "Unavailable: no answer")
    assert failing.last_success == start
    assert failing.last_attempt > start

    await desk.clock.advance(2)
    recovered = desk.sync.state.health["positions"]
    assert (recovered.ok, recovered.failures, recovered.error) == (True, 0, None)


async def test_ages_grow_part_by_part(desk):
    """
    The age of a part counts from its last success, and is infinite before there was one.
    """
    assert desk.sync.state.age("account") == math.inf
    await desk.sync.start()
    desk.broker.failures["positions"] = [RateLimited("slow down", wait=100)]
    await desk.clock.advance(29)

    assert desk.sync.state.age("account") == 29
    assert desk.sync.state.age("positions") == 29
    assert desk.sync.state.age("orders") == 4


async def test_a_failing_part_is_tried_again_with_growing_waits(desk):
    """
    After a failure a part is read again after 1, 2, 4 … 60 s less jitter, and at its interval again after a success.
    """
    await desk.sync.start()
    desk.broker.failures["account"] = [DOWN] * 8
    await desk.clock.advance(400)

    times = desk.broker.times("account")
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses[0] == 30
    for longest, pause in zip((1, 2, 4, 8, 16, 32, 60, 60), pauses[1:9], strict=True):
        assert 0.8 * longest <= pause <= longest
    assert set(pauses[9:]) == {30}

    desk.broker.failures["account"] = [DOWN]
    await desk.clock.advance(31)

    assert desk.sync.state.health["account"].ok


async def test_an_asked_for_pause_is_kept(desk):
    """
    A part whose broker asks for a pause is not read before it is over.
    """
    await desk.sync.start()
    desk.broker.failures["orders"] = [RateLimited("slow down", wait=120)]
    await desk.clock.advance(200)

    assert desk.broker.times("orders")[:3] == [0, 5, 125]


@pytest.mark.parametrize("failure", [DOWN, KeyError("bug"), asyncio.CancelledError()])
async def test_failures_do_not_prevent_the_start(desk, failure):
    """
    The session starts although a part cannot be read, for whatever reason; observers are told once the account and positions are known.
    """
    desk.broker.failures["positions"] = [failure]
    await desk.sync.start()
    assert desk.sync.state.account == ACCOUNT
    assert desk.sync.state.health["positions"].failures == 1
    assert desk.told == []

    await desk.clock.advance(1)

    assert desk.sync.state.health["positions"].ok
    assert len(desk.told) == 1


async def test_refused_credentials_prevent_the_start(desk):
    """
    A start whose credentials are refused raises, shows which part it was, and leaves nothing running.
    """
    desk.broker.failures["account"] = [AuthError("key revoked")]
    with pytest.raises(AuthError, match="key revoked"):
        await desk.sync.start()

    assert desk.sync.state.health["account"].stopped
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_refused_part_stops_alone(desk):
    """
    A part whose credentials are refused later is never read again and says so; the others go on; a refresh raises.
    """
    await desk.sync.start()
    desk.broker.failures["positions"] = [AuthError("key revoked")]
    await desk.clock.advance(60)
    assert desk.broker.times("positions") == [0, 10]
    health = desk.sync.state.health["positions"]
    assert (health.stopped, health.ok, health.error) == (True, False, "AuthError: key revoked")
    assert desk.broker.times("account") == [0, 30, 60]

    with pytest.raises(AuthError, match="key revoked"):
        await desk.sync.refresh()

    assert desk.broker.times("positions") == [0, 10]
    assert len(desk.broker.times("account")) == 4


async def test_a_read_that_hangs_is_a_failure(desk):
    """
    A read without an answer is given up at the deadline, shown, and tried again.
    """
    await desk.sync.start()
    desk.broker.during["account"] = [lambda: asyncio.Event().wait()]
    await desk.clock.advance(60)
    assert "no result within 30 s" in desk.sync.state.health["account"].error

    await desk.clock.advance(1)

    assert desk.sync.state.health["account"].ok


async def test_a_refresh_reads_now(desk):
    """
    A refresh reads all three parts at once, returns the new state and tells observers.
    """
    await desk.sync.start()
    await desk.clock.advance(3)
    desk.broker.held = {}
    state = await desk.sync.refresh()

    assert state is desk.sync.state
    assert [state.age(part) for part in Part] == [0, 0, 0]
    assert len(desk.told) == 2


async def test_a_refresh_waits_for_a_read_under_way(desk):
    """
    A part is never read twice at the same time, and a refresh does not take an answer that was asked for before it.
    """
    gate = asyncio.Event()
    await desk.sync.start()
    desk.broker.during["account"] = [gate.wait]
    await desk.clock.advance(30)
    desk.broker.equity = attrs.evolve(ACCOUNT, equity=Decimal(1))
    refreshing = asyncio.create_task(desk.sync.refresh())
    await desk.clock.advance(0)
    assert desk.broker.times("account") == [0, 30]

    gate.set()

    assert (await refreshing).equity == Decimal(1)


async def test_changes_are_told(desk):
    """
    A callback, plain or async, gets the state after every read until it cancels; a slow one gets the latest only.
    """
    plain, slow, gate = [], [], asyncio.Event()

    async def slowly(state):
        await gate.wait()
        slow.append(state)

    ticket = desk.sync.on_change(plain.append)
    desk.sync.on_change(slowly)
    await desk.sync.start()
    await desk.clock.advance(10)
    assert plain[-1] is desk.sync.state
    gate.set()
    await desk.clock.advance(0)
    assert len(slow) == 2
    assert slow[-1] is desk.sync.state

    ticket.cancel()
    told = len(plain)
    await desk.clock.advance(30)

    assert len(plain) == told
    assert len(slow) > 2


async def test_a_listing_that_cannot_be_reconciled_is_a_failure(desk):
    """
    What reconciliation raises is a failure of the part, and the next listing is handed on as usual.
    """

    async def broken(listing):
        raise OSError("disk full")

    desk.sync._on_orders = broken
    await desk.sync.start()
    assert desk.sync.state.health["orders"].error == "OSError: disk full"

    desk.sync._on_orders = desk.on_orders
    await desk.clock.advance(1)

    assert desk.listings == [[]]
    assert desk.sync.state.health["orders"].ok


async def test_a_broken_observer_stops_nothing(desk, caplog):
    """
    What an observer of the sync raises is logged, and reading goes on.
    """

    async def broken(account, positions):
        raise OSError("disk full")

    desk.sync._told = broken
    await desk.sync.start()
    await desk.clock.advance(10)

    assert desk.broker.times("positions") == [0, 10]
    assert "disk full" in caplog.text
    assert desk.sync.state.ok


async def test_close_leaves_nothing_running(desk):
    """
    After closing nothing is read any more, not even to its end.
    """
    desk.sync.on_change(print)
    await desk.sync.start()
    desk.broker.during["account"] = [lambda: asyncio.Event().wait()]
    await desk.clock.advance(30)

    await desk.sync.close()

    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert desk.sync.state.ok


async def test_a_refresh_may_be_given_up(desk):
    """
    A refresh that is cancelled ends its reads, and they count as nothing.
    """
    await desk.sync.start()
    desk.broker.during["account"] = [lambda: asyncio.Event().wait()]
    refreshing = asyncio.create_task(desk.sync.refresh())
    await desk.clock.advance(0)

    refreshing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await refreshing
    await desk.clock.advance(0)

    assert desk.sync.state.ok


async def test_an_observer_may_close(desk):
    """
    An observer that closes the sync comes back from closing, and nothing is read after it.
    """
    await desk.sync.start()

    async def closing(account, positions):
        await desk.sync.close()
        desk.told.append("closed")

    desk.sync._told = closing
    await desk.clock.advance(60)

    assert desk.told[-1] == "closed"
    assert desk.broker.times("positions") == [0, 10]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_positions_that_agree_raise_nothing(desk):
    """
    Opening position and fills since, as the broker has them, are no finding, and nothing is rechecked.
    """
    desk.broker.held = {"AAPL": Decimal(10)}
    await desk.sync.start()
    rechecks = desk.rechecks
    for qty in ("5", "-20", "1.5"):
        desk.fill("AAPL", qty)
        desk.book(*desk.unheard.pop())
        await desk.next_positions()

    assert list(desk.findings) == []
    assert desk.rechecks == rechecks
    assert desk.sync.state.audit == {}
    assert desk.sync.state.audited_since == desk.clock.now() - timedelta(seconds=30)


async def test_a_difference_is_found_within_one_poll(desk):
    """
    A position that is not opening plus fills is a critical finding of the same poll, with the symbol and all the numbers.
    """
    desk.broker.held = {"AAPL": Decimal(10)}
    await desk.sync.start()
    desk.book("AAPL", "2")
    desk.broker.held["AAPL"] = Decimal(7)
    await desk.next_positions()

    (finding,) = desk.found()
    assert finding.subject == "AAPL"
    assert finding.text == "position of AAPL: opening and fills make 12, the broker holds 7, difference -5"
    assert desk.sync.state.audit == {"AAPL": Decimal(-5)}
    assert desk.broker.times("positions") == [0, 10, 10]


async def test_a_fill_we_had_not_heard_of_is_no_finding(desk):
    """
    Where rechecking the orders explains the difference, nothing is found.
    """
    await desk.sync.start()
    rechecks = desk.rechecks
    desk.fill("AAPL", 3)
    await desk.next_positions()

    assert desk.rechecks == rechecks + 1
    assert list(desk.findings) == []
    assert desk.sync.state.positions["AAPL"].qty == 3


@pytest.mark.parametrize("times", [1, 2, 10])
async def test_fills_between_a_recheck_and_the_read_after_it_are_no_finding(desk, times):
    """
    Each recheck tells of the last fill, and the next one happens before the positions are read: nothing is found, now or later.
    """
    await desk.sync.start()
    recheck = desk.recheck
    left = [times]

    async def recheck_and_trade_on():
        await recheck()
        if left[0]:
            left[0] -= 1
            desk.fill("AAPL", 1)

    desk.sync._recheck = recheck_and_trade_on
    desk.fill("AAPL", 1)
    for _ in range(5):
        await desk.next_positions()

    assert list(desk.findings) == []
    assert desk.sync.state.audit == {}
    assert desk.sync.state.positions["AAPL"].qty == times + 1


async def test_a_difference_is_reported_once(desk):
    """
    A difference that stays is one finding and is not rechecked at every poll; a different one is another; agreement is noted.
    """
    await desk.sync.start()
    desk.broker.held["AAPL"] = Decimal(1)
    for _ in range(3):
        await desk.next_positions()
    assert len(desk.found()) == 1
    rechecks = desk.rechecks
    await desk.next_positions()
    assert desk.rechecks == rechecks

    desk.broker.held["AAPL"] = Decimal(2)
    await desk.next_positions()
    assert [finding.text[-2:] for finding in desk.found()] == ["+1", "+2"]
    desk.broker.held["AAPL"] = Decimal(0)
    await desk.next_positions()

    (note,) = desk.found(Severity.NOTE)
    assert note.subject == "AAPL"
    assert desk.sync.state.audit == {}


async def test_a_symbol_whose_fill_is_booked_during_the_read_is_left_to_the_next(desk):
    """
    Nothing is said of a symbol that is filled while positions are read; a difference of another symbol is still found.
    """
    await desk.sync.start()
    desk.broker.held["MSFT"] = Decimal(1)
    desk.broker.during["positions"] = [lambda: desk.book("AAPL", 5), lambda: desk.book("AAPL", 5)]
    await desk.next_positions()
    assert desk.sync.state.audit == {"MSFT": Decimal(1)}

    desk.broker.held["AAPL"] = Decimal(10)
    await desk.next_positions()

    assert [finding.subject for finding in desk.found()] == ["MSFT"]


async def test_a_known_difference_outlives_a_moving_symbol(desk):
    """
    A symbol that was found to differ is not cleared by a read about which nothing can be said.
    """
    await desk.sync.start()
    desk.broker.held["AAPL"] = Decimal(1)
    await desk.next_positions()
    desk.broker.during["positions"] = [lambda: desk.book("AAPL", 1)]
    await desk.next_positions()
    assert desk.sync.state.audit == {"AAPL": Decimal(1)}

    await desk.next_positions()

    assert desk.sync.state.audit == {}
    assert len(desk.found(Severity.NOTE)) == 1


async def test_a_recheck_that_fails_does_not_hide_the_difference(desk):
    """
    Where the orders cannot be rechecked the difference is found all the same and says so; the positions themselves are well.
    """
    await desk.sync.start()
    desk.recheck_failure = DOWN
    desk.broker.held["AAPL"] = Decimal(1)
    await desk.next_positions()

    (finding,) = desk.found()
    assert finding.text.endswith("; the orders could not be rechecked")
    assert desk.sync.state.health["positions"].ok


async def test_a_fill_already_in_the_opening_is_not_counted_twice(desk):
    """
    A fill that the first positions contain, and of which we hear only afterwards, makes no difference.
    """
    desk.fill("AAPL", 4)
    await desk.sync.start()
    desk.fill("AAPL", 1)
    desk.book(*desk.unheard.pop())
    await desk.next_positions()

    assert list(desk.findings) == []
    assert desk.fills == {"AAPL": Decimal(5)}


async def test_the_audit_begins_when_the_orders_can_be_checked(desk):
    """
    While the opening cannot be made sure of nothing is audited, and the state says so; a later poll begins.
    """
    desk.recheck_failure = DOWN
    await desk.sync.start()
    assert desk.sync.state.audited_since is None
    desk.broker.held["AAPL"] = Decimal(1)
    desk.recheck_failure = None
    await desk.next_positions()
    began = desk.clock.now()

    desk.broker.held["AAPL"] = Decimal(3)
    await desk.next_positions()

    assert desk.sync.state.audited_since == began
    assert desk.sync.state.audit == {"AAPL": Decimal(2)}


async def test_an_opening_that_moves_is_read_again(desk):
    """
    Positions during whose first read a fill was booked are not taken for the opening.
    """
    desk.broker.held["AAPL"] = Decimal(1)

    def executed_after_the_answer():
        desk.fill("AAPL", 2)
        desk.book(*desk.unheard.pop())

    desk.broker.during["positions"] = [executed_after_the_answer]
    await desk.sync.start()
    await desk.next_positions()

    assert desk.broker.times("positions") == [0, 0, 10]
    assert list(desk.findings) == []
    assert desk.sync.state.positions["AAPL"].qty == 3


async def test_an_opening_that_never_stands_still_is_put_off(desk):
    """
    While fills are booked during every read the audit does not begin, and does at the first poll that is left alone.
    """
    desk.broker.during["positions"] = [lambda: desk.book("AAPL", 1)] * 4
    await desk.sync.start()
    assert desk.sync.state.audited_since is None
    assert len(desk.broker.times("positions")) == 4

    await desk.next_positions()

    assert desk.sync.state.audited_since == desk.clock.now()
    assert list(desk.findings) == []


def test_intervals_are_above_zero():
    """
    An interval of nothing would never let go of the loop, and is refused.
    """
    for name in ("account", "positions", "orders", "deadline"):
        with pytest.raises(ValueError, match=name):
            SyncIntervals(**{name: 0})
