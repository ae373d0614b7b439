"""``session.orders``: sending exactly once, settling doubt, cancelling, replacing, and what hosts are told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

import attrs
import pytest

import broker_core
from broker_core import (
    AuthError,
    CountingIds,
    DuplicateOrder,
    EventKind,
    InDoubt,
    LimitOrder,
    MarketOrder,
    NotSupported,
    OrderChange,
    OrderEvent,
    OrderPolicy,
    OrderVetoed,
    RateLimited,
    RemoteError,
    ReplaceTerms,
    RequestRefused,
    Session,
    Side,
    Source,
    State,
    StillClock,
    StorageError,
    Unavailable,
    hookimpl,
    lifecycle,
)
from broker_core.clock import seeded
from broker_core.config import Settings
from broker_core.order_log import MemoryJournal
from broker_core.testing.scripted_broker import EVERYTHING, Fault, ScriptedBroker

BUY = LimitOrder("AAPL", Side.BUY, qty=10, limit_price=100)


class Journal(MemoryJournal):
    """A journal that outlives sessions, tells what it was given when, and fails on demand."""

    def __init__(self, broker: ScriptedBroker) -> None:
        super().__init__()
        self.broker = broker
        self.written: list[tuple[str, int]] = []
        self.failing: StorageError | None = None

    async def append(self, changes: Sequence[OrderChange]) -> None:
        if self.failing is not None:
            raise self.failing
        self.written += [(change.event.kind.value, len(self.broker.sent)) for change in changes]
        await super().append(changes)


class Desk:
    """A still clock, a scripted broker, a journal, and the plugin that offers the journal."""

    def __init__(self, **broker: object) -> None:
        self.clock = StillClock()
        self.broker = ScriptedBroker(self.clock, **broker)
        self.memory = Journal(self.broker)
        self.ids = CountingIds("L")

    @hookimpl
    def broker_journal(self) -> Journal:
        return self.memory

    @asynccontextmanager
    async def session(self, *plugins: object, **policy: object) -> AsyncIterator[Session]:
        async with broker_core.connect(
            "scripted",
            plugins=[self.broker, self, *plugins],
            environ={},
            settings=Settings(disable=("records", "demo")),
            policy=OrderPolicy(**policy),
            clock=self.clock,
            ids=self.ids,
            random=seeded(1),
        ) as session:
            await self.clock.advance(0)
            yield session

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.memory.written]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_an_order_is_recorded_before_it_is_sent(desk: Desk):
    """Both the birth and the intent are committed while nothing has reached the broker."""
    async with desk.session() as session:
        order = await session.orders.submit(BUY)

    assert State.ACCEPTED is order.state
    assert desk.memory.written[:2] == [("created", 0), ("submitted", 0)]
    assert desk.broker.sent == ["L000001"]


async def test_an_order_reaches_its_end_through_the_stream(desk: Desk):
    """`done` wakes when the last fill arrives, with the total and the average."""
    async with desk.session() as session:
        order = await session.orders.submit(BUY)
        waiting = asyncio.ensure_future(session.orders.done(order))
        desk.broker.fill(order.local_id, 4, 99)
        desk.broker.fill(order.local_id, 6, 100)
        order = await waiting

    assert (State.FILLED, Decimal(10), Decimal("99.6")) == (order.state, order.filled_qty, order.filled_avg_price)


async def test_a_fill_may_come_before_the_acknowledgement(desk: Desk):
    """A fill that beats the answer finds its order by our own id."""
    desk.broker.before_answer = lambda held: desk.broker.fill(held.client_order_id, 10, 99)
    async with desk.session() as session:
        order = await session.orders.done(await session.orders.submit(BUY))

    assert (State.FILLED, Decimal(10)) == (order.state, order.filled_qty)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (RequestRefused("insufficient buying power", status=403, code=40310000), State.REJECTED),
        (AuthError("forbidden"), State.REJECTED),
        (Unavailable("connection refused"), State.FAILED),
    ],
)
async def test_proof_that_there_is_no_order_is_raised_with_the_order(desk: Desk, error: RemoteError, state: State):
    """A refusal rejects the order, an exchange that never began fails it; the host gets the error and in it the order."""
    desk.broker.faults.append(Fault(error))
    async with desk.session() as session:
        with pytest.raises(type(error), match=str(error)) as caught:
            await session.orders.submit(BUY)
        kept = session.orders.get("L000001")

    assert caught.value.order is not None
    assert state is caught.value.order.state
    assert kept == caught.value.order
    assert str(error) == kept.reason


DOUBTS = [
    InDoubt("reset after the request was written"),
    TimeoutError("no answer"),
    ConnectionResetError("gone"),
    ValueError("an answer that is not JSON"),
    asyncio.CancelledError(),
]


@pytest.mark.parametrize("error", DOUBTS, ids=lambda error: type(error).__name__)
async def test_an_answer_that_is_lost_leaves_a_doubt_that_a_look_up_settles(desk: Desk, error: BaseException):
    """The order took effect, the answer did not come: it is returned in doubt, found under our id, and never sent again."""
    desk.broker.faults.append(Fault(error, takes_effect=True))
    async with desk.session() as session:
        order = await session.orders.submit(BUY)
        assert (order.state, order.in_doubt) == (State.SUBMITTED, True)

        await desk.clock.advance(0.25)
        found = session.orders.get(order.local_id)

    assert found is not None
    assert (found.state, found.in_doubt, found.broker_order_id) == (State.ACCEPTED, False, "b1")
    assert [order.local_id] == desk.broker.sent


async def test_an_exchange_that_hangs_is_in_doubt_at_its_deadline(desk: Desk):
    """A broker that never answers costs the deadline, and no second order."""
    hang = asyncio.Event()

    async def never(_order: object) -> OrderEvent:
        await hang.wait()
        raise AssertionError

    desk.broker.submit = never  # type: ignore[method-assign]
    async with desk.session(deadline=15.0) as session:
        submitting = asyncio.ensure_future(session.orders.submit(BUY))
        await desk.clock.advance(14.9)
        assert not submitting.done()
        await desk.clock.advance(0.2)
        order = await submitting

    assert (order.state, order.in_doubt) == (State.SUBMITTED, True)


@pytest.mark.parametrize("error", DOUBTS[:3], ids=lambda error: type(error).__name__)
async def test_absence_is_proven_before_an_order_is_failed(desk: Desk, error: BaseException):
    """Absent three times over ten seconds and from the complete listing: only then is it failed."""
    desk.broker.faults.append(Fault(error))
    async with desk.session() as session:
        order = await session.orders.submit(BUY)
        desk.broker.calls.clear()
        await desk.clock.advance(9.9)
        doubtful = session.orders.get(order.local_id)
        assert doubtful is not None
        assert doubtful.in_doubt
        await desk.clock.advance(10)
        failed = session.orders.get(order.local_id)

    assert failed is not None
    assert State.FAILED is failed.state
    assert desk.broker.calls.count("find") >= 3
    assert "complete listing" in str(failed.reason)
    assert [order.local_id] == desk.broker.sent


async def test_silence_is_not_absence(desk: Desk):
    """While the broker cannot be asked, an order in doubt stays in doubt, for however long."""
    desk.broker.faults.append(Fault(InDoubt("reset"), takes_effect=True))
    async with desk.session() as session:
        order = await session.orders.submit(BUY)
        desk.broker.unreachable = True
        await desk.clock.advance(3600)
        doubtful = session.orders.get(order.local_id)
        assert doubtful is not None
        assert doubtful.in_doubt

        desk.broker.unreachable = False
        await desk.clock.advance(10)
        found = session.orders.get(order.local_id)

    assert found is not None
    assert State.ACCEPTED is found.state


async def test_absence_proves_nothing_while_the_stream_is_down(desk: Desk):
    """Without the stream, the one place where the order may show up first, nothing is concluded."""
    desk.broker.faults.append(Fault(InDoubt("reset")))
    async with desk.session() as session:
        order = await session.orders.submit(BUY)
        desk.broker.feed.refusing = Unavailable("no stream")
        desk.broker.feed.drop()
        await desk.clock.advance(120)
        doubtful = session.orders.get(order.local_id)
        assert doubtful is not None
        assert doubtful.in_doubt

        desk.broker.feed.refusing = None
        await desk.clock.advance(120)
        failed = session.orders.get(order.local_id)

    assert failed is not None
    assert State.FAILED is failed.state


async def test_a_host_may_choose_one_more_send_under_the_same_id(desk: Desk):
    """Proven absent, the order is sent once more, with the id it had."""
    desk.broker.faults.append(Fault(InDoubt("reset")))
    async with desk.session(resend=True) as session:
        order = await session.orders.submit(BUY)
        await desk.clock.advance(30)
        resent = session.orders.get(order.local_id)

    assert resent is not None
    assert State.ACCEPTED is resent.state
    assert [order.local_id, order.local_id] == desk.broker.sent
    assert len(desk.broker.held) == 1


async def test_a_second_send_is_the_last(desk: Desk):
    """An order that stays absent after the one further send is failed."""
    desk.broker.faults += [Fault(InDoubt("reset")), Fault(InDoubt("reset again"))]
    async with desk.session(resend=True) as session:
        order = await session.orders.submit(BUY)
        await desk.clock.advance(120)
        failed = session.orders.get(order.local_id)

    assert failed is not None
    assert State.FAILED is failed.state
    assert len(desk.broker.sent) == 2


async def test_a_stream_event_ends_the_doubt(desk: Desk):
    """Any word of the broker's about the order is proof enough."""
    desk.broker.faults.append(Fault(InDoubt("reset"), takes_effect=True))
    async with desk.session() as session:
        order = await session.orders.submit(BUY)
        desk.broker.calls.clear()
        desk.broker.fill(order.local_id, 10, 99)
        filled = await session.orders.done(order)

    assert State.FILLED is filled.state
    assert not filled.in_doubt


async def test_too_many_requests_waits_as_told_and_sends_the_same_id_once_more(desk: Desk):
    """A 429 is proof of nothing done; the second try carries the same id."""
    desk.broker.faults.append(Fault(RateLimited("slow down", wait=7.0)))
    async with desk.session() as session:
        submitting = asyncio.ensure_future(session.orders.submit(BUY))
        await desk.clock.advance(6.9)
        assert len(desk.broker.sent) == 1
        await desk.clock.advance(0.1)
        order = await submitting

    assert State.ACCEPTED is order.state
    assert [order.local_id, order.local_id] == desk.broker.sent


async def test_a_second_429_fails_the_order(desk: Desk):
    """There is no third try."""
    desk.broker.faults += [Fault(RateLimited("slow down", wait=1.0))] * 2
    async with desk.session() as session:
        submitting = asyncio.ensure_future(session.orders.submit(BUY))
        await desk.clock.advance(1)
        with pytest.raises(RateLimited) as caught:
            await submitting

    assert caught.value.order is not None
    assert State.FAILED is caught.value.order.state
    assert len(desk.broker.sent) == 2


async def test_an_id_that_exists_at_the_broker_is_found_there(desk: Desk):
    """A refusal of the id as a duplicate proves an earlier effect: the order is looked up and adopted, not failed."""
    desk.broker.faults += [Fault(RateLimited("slow down", wait=1.0), takes_effect=True)]
    async with desk.session() as session:
        submitting = asyncio.ensure_future(session.orders.submit(BUY))
        await desk.clock.advance(1)
        order = await submitting

    assert State.ACCEPTED is order.state
    assert len(desk.broker.held) == 1
    assert "find" in desk.broker.calls


async def test_a_duplicate_that_cannot_be_looked_up_stays_in_doubt(desk: Desk):
    """The proof that it exists is not proof of what it is."""
    desk.broker.faults.append(Fault(DuplicateOrder("client_order_id must be unique", status=422)))
    async with desk.session() as session:
        order = await session.orders.submit(BUY)

    assert order.in_doubt


async def test_giving_up_waiting_does_not_give_up_the_exchange(desk: Desk):
    """A cancelled `submit` call still leads to an order that is known and settled."""
    slow = asyncio.Event()
    submit = desk.broker.submit

    async def slowly(order: broker_core.Order) -> OrderEvent:
        await slow.wait()
        return await submit(order)

    desk.broker.submit = slowly  # type: ignore[method-assign]
    async with desk.session() as session:
        waiting = asyncio.ensure_future(session.orders.submit(BUY))
        await desk.clock.advance(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        slow.set()
        await desk.clock.advance(0)
        (order,) = session.orders.open()

    assert State.ACCEPTED is order.state


class Vetoes:
    def __init__(self, reason: str | Exception | None) -> None:
        self.reason = reason

    @hookimpl
    async def broker_veto_order(self, request: broker_core.OrderRequest) -> str | None:
        if isinstance(self.reason, Exception):
            raise self.reason
        return self.reason


async def test_every_veto_is_heard_and_nothing_is_sent(desk: Desk):
    """The order is rejected with the refuser as its origin, every reason is kept, and the broker never hears of it."""
    async with desk.session(Vetoes("too big"), Vetoes(None), Vetoes("too late")) as session:
        with pytest.raises(OrderVetoed) as caught:
            await session.orders.submit(BUY)

    assert {"too big", "too late"} == set(caught.value.reasons)
    assert State.REJECTED is caught.value.order.state
    assert str(caught.value.order.origin).startswith("Vetoes")
    assert desk.broker.sent == []
    assert desk.kinds() == ["created", "rejected"]


async def test_a_veto_that_breaks_refuses(desk: Desk):
    """Vetoes fail closed."""
    async with desk.session(Vetoes(ZeroDivisionError("oops"))) as session:
        with pytest.raises(OrderVetoed, match="ZeroDivisionError: oops"):
            await session.orders.submit(BUY)

    assert desk.broker.sent == []


class Observer:
    def __init__(self, error: Exception | None = None) -> None:
        self.states: list[str] = []
        self.error = error

    @hookimpl
    async def broker_order_changed(self, change: OrderChange) -> None:
        self.states.append(change.order.state.value)
        if self.error is not None:
            raise self.error


async def test_a_broken_observer_harms_nobody(desk: Desk):
    """One that raises is told all the same, and so is the next one; the order lives on."""
    broken, whole = Observer(RuntimeError("boom")), Observer()
    async with desk.session(whole, broken) as session:
        order = await session.orders.submit(BUY)
        desk.broker.fill(order.local_id, 10, 99)
        await session.orders.done(order)

    assert ["pending", "submitted", "accepted", "filled"] == whole.states == broken.states


async def test_changes_are_told_after_they_were_written(desk: Desk):
    """Nobody hears of a change that is not in the journal yet."""
    async with desk.session() as session:
        seen: list[int] = []
        session.orders.on_change(lambda change: seen.append(desk.kinds().index(change.event.kind.value)))
        order = await session.orders.submit(BUY)
        desk.broker.fill(order.local_id, 10, 99)
        await session.orders.done(order)
        await desk.clock.advance(0)

    assert seen == [0, 1, 2, 3]


async def test_changes_can_be_iterated(desk: Desk):
    """The iterator gives every change from its making on and ends with the session."""
    states = []
    async with desk.session() as session:
        changes = session.orders.changes()
        order = await session.orders.submit(BUY)
        desk.broker.fill(order.local_id, 10, 99)
        await session.orders.done(order)
        async for change in changes:
            states.append(change.order.state)
            if change.order.is_terminal:
                break

    assert states == [State.PENDING, State.SUBMITTED, State.ACCEPTED, State.FILLED]


async def test_an_order_that_cannot_be_recorded_is_not_sent(desk: Desk):
    """A journal that fails stops the order, at its birth as at its sending."""
    async with desk.session() as session:
        desk.memory.failing = StorageError("disk full")
        with pytest.raises(StorageError, match="disk full"):
            await session.orders.submit(BUY)
        assert session.orders.open() == []

        desk.memory.failing = None
        append = desk.memory.append

        async def full_at_the_second(changes: Sequence[OrderChange]) -> None:
            if changes[-1].event.kind is EventKind.SUBMITTED:
                raise StorageError("disk full")
            await append(changes)

        desk.memory.append = full_at_the_second  # type: ignore[method-assign]
        with pytest.raises(StorageError, match="disk full"):
            await session.orders.submit(BUY)
        assert session.orders.open() == []

    assert desk.broker.sent == []


async def test_a_fill_is_not_forgotten_because_a_disk_is_full(desk: Desk):
    """What cannot be written is kept, shuts the gate, and is written in order once that works again."""
    async with desk.session(gate=1.0) as session:
        order = await session.orders.submit(BUY)
        desk.memory.failing = StorageError("disk full")
        desk.broker.fill(order.local_id, 4, 99)
        desk.broker.fill(order.local_id, 6, 99)
        filled = await session.orders.done(order)
        assert Decimal(10) == filled.filled_qty
        assert "disk full" in str(session.gate.closed("AAPL"))
        assert any(finding.severity == "critical" for finding in session.findings)

        desk.memory.failing = None
        other = desk.broker.place_elsewhere("elsewhere", BUY)
        desk.broker.move(other.client_order_id, "new")
        await desk.clock.advance(6)
        assert session.gate.closed("AAPL") is None

    assert desk.kinds() == ["created", "submitted", "snapshot", "fill", "fill", "accepted"]


async def test_the_gate_opens_when_the_stream_does(desk: Desk):
    """An order that comes while the stream is down waits, and goes out when the stream is back."""
    async with desk.session() as session:
        desk.broker.feed.refusing = Unavailable("no stream")
        desk.broker.feed.drop()
        await desk.clock.advance(0.1)
        submitting = asyncio.ensure_future(session.orders.submit(BUY))
        await desk.clock.advance(1)
        assert desk.broker.sent == []

        desk.broker.feed.refusing = None
        await desk.clock.advance(5)
        order = await submitting

    assert State.ACCEPTED is order.state


async def test_the_gate_refuses_when_waiting_was_in_vain(desk: Desk):
    """After the gate's patience the order is rejected, with the gate as its origin and the cause in the text."""
    async with desk.session(gate=20.0) as session:
        desk.broker.feed.refusing = Unavailable("no stream")
        desk.broker.feed.drop()
        await desk.clock.advance(0.1)
        submitting = asyncio.ensure_future(session.orders.submit(BUY))
        await desk.clock.advance(20)
        with pytest.raises(OrderVetoed, match="order stream is waiting") as caught:
            await submitting

    assert caught.value.order.origin == "gate"


async def test_overfill_shuts_the_symbol(desk: Desk):
    """More than was ordered is booked, and no new order goes out in the symbol until a person has looked."""
    async with desk.session() as session:
        order = await session.orders.submit(BUY)
        desk.broker.fill(order.local_id, 10, 99)
        desk.broker.fill(order.local_id, 5, 99)
        await session.orders.done(order)
        await desk.clock.advance(0)
        with pytest.raises(OrderVetoed, match="filled beyond its quantity"):
            await session.orders.submit(BUY)
        assert State.ACCEPTED is (await session.orders.submit(attrs.evolve(BUY, symbol="MSFT"))).state

        session.gate.open_symbol("AAPL")
        assert State.ACCEPTED is (await session.orders.submit(BUY)).state


@pytest.mark.parametrize(
    ("capabilities", "request_", "what"),
    [
        ({"order_types": frozenset()}, BUY, "limit orders"),
        ({"order_classes": frozenset()}, BUY, "simple orders"),
        ({"times_in_force": frozenset()}, BUY, "time in force day"),
        ({"notional": False}, MarketOrder("AAPL", "buy", notional=5), "notional"),
        ({"fractional": False}, MarketOrder("AAPL", "buy", qty="0.5"), "fractional"),
        ({"extended_hours": False}, attrs.evolve(BUY, extended_hours=True), "extended hours"),
    ],
)
async def test_what_the_broker_does_not_declare_is_refused_here(capabilities: dict, request_: LimitOrder, what: str):
    """An undeclared ability is refused before anything is recorded or sent."""
    desk = Desk(capabilities=attrs.evolve(EVERYTHING, **capabilities))
    async with desk.session() as session:
        with pytest.raises(NotSupported, match=what):
            await session.orders.submit(request_)

    assert desk.broker.sent == []
    assert desk.memory.written == []


async def test_cancel_is_a_request_that_a_fill_may_beat(desk: Desk):
    """The cancel is refused because the order was filled; the look-up brings the fill, and no error is raised."""
    async with desk.session() as session:
        order = await session.orders.submit(BUY)
        desk.broker.fill(order.local_id, 10, 99, told=False)
        after = await session.orders.cancel(order)

    assert (State.FILLED, Decimal(10)) == (after.state, after.filled_qty)


async def test_a_cancelled_order_says_who_wanted_it(desk: Desk):
    """The request and its time are recorded before the broker is asked."""
    async with desk.session() as session:
        order = await session.orders.submit(BUY)
        await session.orders.cancel(order)
        ended = await session.orders.done(order)

    assert (ended.state, ended.reason) == (State.CANCELED, "user")
    assert desk.kinds().index("cancel_requested") < desk.kinds().index("canceled")


async def test_a_refused_cancel_of_a_working_order_is_raised(desk: Desk):
    """The host is told, and the order stands as it did."""
    async with desk.session() as session:
        order = await session.orders.submit(BUY)

        async def refuse(_order: object) -> None:
            raise RequestRefused("not now", status=422)

        desk.broker.cancel = refuse  # type: ignore[method-assign]
        with pytest.raises(RequestRefused, match="not now") as caught:
            await session.orders.cancel(order)

    assert caught.value.order is not None
    assert (caught.value.order.state, caught.value.order.cancel_requested_at) == (State.ACCEPTED, None)


async def test_an_order_in_doubt_is_cancelled_as_soon_as_it_is_found(desk: Desk):
    """The wish is kept until there is something to cancel."""
    desk.broker.faults.append(Fault(InDoubt("reset"), takes_effect=True))
    async with desk.session() as session:
        order = await session.orders.submit(BUY)
        asked = await session.orders.cancel(order)
        assert (asked.state, asked.cancel_requested_at is not None) == (State.SUBMITTED, True)
        await desk.clock.advance(0.3)
        ended = session.orders.get(order.local_id)

    assert ended is not None
    assert State.CANCELED is ended.state


async def test_cancelling_what_has_ended_changes_nothing(desk: Desk):
    """A second cancel returns the order as it is and asks nobody."""
    async with desk.session() as session:
        order = await session.orders.submit(BUY)
        await session.orders.cancel(order)
        await session.orders.done(order)
        desk.broker.calls.clear()

        assert State.CANCELED is (await session.orders.cancel(order.local_id)).state
    assert "cancel" not in desk.broker.calls


async def test_cancel_all_ends_every_open_order(desk: Desk):
    """All are asked for at once; those that ended meanwhile are no obstacle."""
    async with desk.session() as session:
        for symbol in ("AAPL", "MSFT", "TSLA"):
            await session.orders.submit(attrs.evolve(BUY, symbol=symbol))
        desk.broker.fill("L000002", 10, 99, told=False)
        orders = await session.orders.cancel_all()
        await desk.clock.advance(0)

        assert [session.orders.get(order.local_id).state for order in orders] == [State.CANCELED, State.FILLED, State.CANCELED]
        assert session.orders.open() == []


async def test_cancel_is_never_vetoed_nor_gated(desk: Desk):
    """A way out is open while the gate is shut, every veto refuses, and the disk is full."""
    async with desk.session() as session:
        order = await session.orders.submit(BUY)
        session.gate.shut("kill switch", "enough")
        desk.memory.failing = StorageError("disk full")
        await session.orders.cancel(order)
        ended = await session.orders.done(order)
        desk.memory.failing = None

    assert State.CANCELED is ended.state


async def test_replace_keeps_one_order_with_new_terms(desk: Desk):
    """The chain has two ids, fills on either count, and the quantity is the new one."""
    async with desk.session() as session:
        order = await session.orders.submit(BUY)
        desk.broker.fill(order.local_id, 4, 99)
        await desk.clock.advance(0)
        await session.orders.replace(order, ReplaceTerms(qty=Decimal(12), limit_price=Decimal(101)))
        await desk.clock.advance(0)
        replaced = session.orders.get(order.local_id)
        assert replaced is not None
        assert (("b1", "b1r"), Decimal(12), State.PARTIAL_FILL) == (replaced.broker_ids, replaced.qty, replaced.state)
        desk.broker.fill(order.local_id, 8, 101)
        filled = await session.orders.done(order)

    assert (State.FILLED, Decimal(12)) == (filled.state, filled.filled_qty)


async def test_a_refused_replace_leaves_the_order_as_it_was(desk: Desk):
    """The old terms hold and another replace is possible."""
    async with desk.session() as session:
        order = await session.orders.submit(BUY)

        async def refuse(*_: object) -> OrderEvent:
            raise RequestRefused("qty is too low", status=422)

        desk.broker.replace = refuse  # type: ignore[method-assign]
        with pytest.raises(RequestRefused, match="too low"):
            await session.orders.replace(order, ReplaceTerms(qty=Decimal(1)))
        kept = session.orders.get(order.local_id)

    assert kept is not None
    assert (kept.request, kept.replacement) == (BUY, None)


async def test_an_order_placed_elsewhere_is_adopted_after_a_while(desk: Desk):
    """News about an unknown order is held for five seconds, in case its answer is on the way, and then adopted."""
    async with desk.session() as session:
        other = desk.broker.place_elsewhere("by-phone", BUY)
        desk.broker.fill("by-phone", 4, 99)
        await desk.clock.advance(4)
        assert session.orders.open() == []
        await desk.clock.advance(2)
        (order,) = session.orders.open()

    assert ("by-phone", State.PARTIAL_FILL, Decimal(4)) == (order.local_id, order.state, order.filled_qty)
    assert (other.broker_order_id,) == order.broker_ids


async def test_a_terminal_event_that_was_never_told_is_found_by_polling(desk: Desk):
    """An order that vanished from the open orders is looked up, so it cannot stay open for ever."""
    async with desk.session() as session:
        order = await session.orders.submit(BUY)
        desk.broker.fill(order.local_id, 10, 99, told=False)
        await desk.clock.advance(31)
        filled = session.orders.get(order.local_id)

    assert filled is not None
    assert (State.FILLED, Decimal(10)) == (filled.state, filled.filled_qty)


async def test_fills_during_a_gap_are_recovered_before_the_gap_is_told(desk: Desk):
    """After a reconnect what was missed is known, and the gap event says so."""
    async with desk.session() as session:
        order = await session.orders.submit(BUY)
        told: list[tuple[object, State]] = []
        session.stream.on_gap(lambda gap: told.append((gap, session.orders.get(order.local_id).state)))
        desk.broker.feed.drop()
        await desk.clock.advance(0)
        desk.broker.fill(order.local_id, 10, 99)
        await desk.clock.advance(2)

    ((gap, state),) = told
    assert State.FILLED is state
    assert gap.lost == ()
    assert "1 executions" in gap.recovered[0]


@pytest.mark.parametrize("told", [True, False])
async def test_a_restart_settles_what_was_in_flight_before_new_orders_go_out(desk: Desk, told: bool):
    """A new session rebuilds the orders, learns what became of them, and only then lets a new one through."""
    async with desk.session() as session:
        working = await session.orders.submit(BUY)
        desk.broker.faults.append(Fault(InDoubt("reset"), takes_effect=told))
        doubtful = await session.orders.submit(attrs.evolve(BUY, symbol="MSFT"))
    desk.broker.fill(working.local_id, 10, 99)

    async with desk.session() as session:
        submitting = asyncio.ensure_future(session.orders.submit(attrs.evolve(BUY, symbol="TSLA")))
        await desk.clock.advance(0)
        assert told == ("L000003" in desk.broker.sent)
        await desk.clock.advance(25)
        await submitting
        states = [session.orders.get(local_id).state for local_id in (working.local_id, doubtful.local_id)]

    assert [State.FILLED, State.ACCEPTED if told else State.FAILED] == states
    assert desk.broker.sent == ["L000001", "L000002", "L000003"]


async def test_an_order_that_was_recorded_but_never_sent_fails_at_the_next_start(desk: Desk):
    """The intent was never committed, which proves that nothing was sent."""
    async with desk.session() as session:
        order, event = lifecycle.create("OLD", BUY, desk.clock.now())
        await session.orders.book.add(order, event)

    async with desk.session() as session:
        await desk.clock.advance(0)
        old = session.orders.get("OLD")

    assert old is not None
    assert State.FAILED is old.state
    assert "never sent" in str(old.reason)


async def test_a_confirmed_order_that_the_broker_denies_is_not_believed_dead_at_once(desk: Desk):
    """It takes the full proof of absence, and somebody is told."""
    async with desk.session() as session:
        order = await session.orders.submit(BUY)
        del desk.broker.held[order.local_id]
        await desk.clock.advance(31)
        assert any(order.local_id in finding.text for finding in session.findings)
        assert State.ACCEPTED is session.orders.get(order.local_id).state
        await desk.clock.advance(30)
        lost = session.orders.get(order.local_id)

    assert lost is not None
    assert State.FAILED is lost.state


async def test_news_of_one_order_is_told_in_order_however_slow_the_observer(desk: Desk):
    """Nobody sees filled before accepted."""

    class Slow(Observer):
        @hookimpl
        async def broker_order_changed(self, change: OrderChange) -> None:
            await desk.clock.sleep(1 if change.order.state is State.ACCEPTED else 0)
            self.states.append(change.order.state.value)

    slow = Slow()
    async with desk.session(slow) as session:
        submitting = asyncio.ensure_future(session.orders.submit(BUY))
        await desk.clock.advance(0)
        desk.broker.fill("L000001", 4, 99)
        desk.broker.fill("L000001", 6, 99)
        await desk.clock.advance(2)
        await session.orders.done(await submitting)

    assert slow.states == ["pending", "submitted", "accepted", "partial_fill", "filled"]


async def test_history_tells_source_and_rule(desk: Desk):
    """Every step of an order can be asked for, with where it came from and what let it through."""
    async with desk.session() as session:
        order = await session.orders.submit(BUY)
        desk.broker.fill(order.local_id, 10, 99)
        await session.orders.done(order)
        history = await session.orders.history(order.local_id)

    assert [(change.event.kind.value, change.event.source, change.order.state) for change in history] == [
        ("created", Source.LOCAL, State.PENDING),
        ("submitted", Source.LOCAL, State.SUBMITTED),
        ("snapshot", Source.ANSWER, State.ACCEPTED),
        ("fill", Source.STREAM, State.FILLED),
    ]


async def test_done_has_a_limit_of_its_own(desk: Desk):
    """Waiting for an end that does not come raises TimeoutError and leaves the order alone."""
    async with desk.session() as session:
        order = await session.orders.submit(BUY)
        waiting = asyncio.ensure_future(session.orders.done(order, timeout=5))
        await desk.clock.advance(5)
        with pytest.raises(TimeoutError):
            await waiting
        assert State.ACCEPTED is session.orders.get(order.local_id).state


async def test_unknown_orders_are_key_errors(desk: Desk):
    """An id that is not of this session is the caller's mistake."""
    async with desk.session() as session:
        with pytest.raises(KeyError, match="no order X"):
            await session.orders.cancel("X")


async def test_a_replaced_order_is_looked_up_under_all_its_ids(desk: Desk):
    """The fill of a replacement that the stream never told is found under the replacement's own id."""
    async with desk.session() as session:
        order = await session.orders.submit(BUY)
        await session.orders.replace(order, ReplaceTerms(limit_price=Decimal(101)))
        await desk.clock.advance(0)
        desk.broker.fill(order.local_id, 10, 101, told=False)
        desk.broker.held["L000002"] = desk.broker.held.pop("L000001")
        desk.broker.held["L000002"].client_order_id = "L000002"
        await desk.clock.advance(31)
        filled = session.orders.get(order.local_id)

    assert filled is not None
    assert (State.FILLED, Decimal(10)) == (filled.state, filled.filled_qty)


async def test_an_answer_without_our_id_still_belongs_to_its_order(desk: Desk):
    """A broker that does not repeat the client order id in its answer has answered all the same."""
    submit = desk.broker.submit

    async def tersely(order: broker_core.Order) -> OrderEvent:
        return attrs.evolve(await submit(order), client_order_id=None)

    desk.broker.submit = tersely  # type: ignore[method-assign]
    async with desk.session() as session:
        order = await session.orders.submit(BUY)

    assert (State.ACCEPTED, "b1") == (order.state, order.broker_order_id)


async def test_nobody_is_told_of_a_fill_while_its_commit_is_under_way(desk: Desk):
    """Observers and the book itself wait for the journal."""
    observer, commit, append = Observer(), asyncio.Event(), desk.memory.append

    async def slowly(changes: Sequence[OrderChange]) -> None:
        if changes[-1].event.kind is EventKind.FILL:
            await commit.wait()
        await append(changes)

    desk.memory.append = slowly  # type: ignore[method-assign]
    async with desk.session(observer) as session:
        order = await session.orders.submit(BUY)
        desk.broker.fill(order.local_id, 10, 99)
        await desk.clock.advance(1)
        assert "filled" not in observer.states
        assert State.ACCEPTED is session.orders.get(order.local_id).state

        commit.set()
        await session.orders.done(order)
        assert "filled" == observer.states[-1]


async def test_one_long_wait_is_not_three_absences(desk: Desk):
    """However much time has passed, the broker must have denied the order as often as the policy says."""
    desk.broker.faults.append(Fault(InDoubt("reset")))
    async with desk.session(lookups=(20.0,)) as session:
        order = await session.orders.submit(BUY)
        await desk.clock.advance(59)
        assert session.orders.get(order.local_id).in_doubt
        await desk.clock.advance(2)
        assert State.FAILED is session.orders.get(order.local_id).state


async def test_an_order_that_ended_in_a_gap_is_asked_after(desk: Desk):
    """A listing of open orders alone does not name it; its absence there is the reason to look it up before the gap is told."""
    listing = desk.broker.listing

    async def only_open(since: object) -> Sequence[OrderEvent]:
        return await listing(None)

    desk.broker.listing = only_open  # type: ignore[method-assign]
    desk.broker.fills = None  # type: ignore[assignment]
    async with desk.session() as session:
        order = await session.orders.submit(BUY)
        told: list[State] = []
        session.stream.on_gap(lambda _: told.append(session.orders.get(order.local_id).state))
        desk.broker.feed.drop()
        await desk.clock.advance(0)
        desk.broker.move(order.local_id, "canceled")
        await desk.clock.advance(2)

    assert [State.CANCELED] == told


async def test_an_order_cancelled_at_the_gate_is_never_sent(desk: Desk):
    """What ends while it waits to go out stays ended when the gate opens."""
    async with desk.session() as session:
        session.gate.shut("kill switch", "enough")
        submitting = asyncio.ensure_future(session.orders.submit(BUY))
        await desk.clock.advance(1)
        (waiting,) = await session.orders.cancel_all()
        assert waiting.state is State.CANCELED

        session.gate.open("kill switch")
        order = await submitting

    assert order.state is State.CANCELED
    assert desk.broker.sent == []


async def test_an_order_that_has_rested_for_long_brings_back_no_others_of_its_time(desk: Desk):
    """A listing from long ago holds orders that have ended since and that the journal gives out no more: nothing is written of them."""
    async with desk.session() as session:
        resting = await session.orders.submit(BUY)
        ended = await session.orders.submit(BUY)
        desk.broker.fill(ended.local_id, 10, 99)
        await session.orders.done(ended)
    written = len(desk.memory.written)
    await desk.clock.advance(8 * 24 * 3600)
    async with desk.session() as session:
        await desk.clock.advance(60)

        assert [order.local_id for order in session.orders.book.orders()] == [resting.local_id]
        assert session.orders.positions_from_fills() == {}
        assert "created" not in [kind for kind, _ in desk.memory.written[written:]]
        desk.broker.place_elsewhere("ELSEWHERE", BUY)
        desk.broker.fill("ELSEWHERE", 10, 99)
        await desk.clock.advance(60)
        assert session.orders.positions_from_fills() == {"AAPL": 10}
