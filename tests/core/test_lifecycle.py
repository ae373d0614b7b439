"""The life of an order: the table cell by cell, the policies, and the laws of convergence."""

import itertools
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker_core.lifecycle import TABLE, Rule, adopt, apply, create, merge_terms, replay
from broker_core.orders import EventKind, Order, OrderChange, OrderEvent, Source, State
from broker_core.requests import ForeignOrder, LimitOrder, MarketOrder, OrderType, Side, TrailingStopOrder

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
REQUEST = LimitOrder("AAPL", Side.BUY, qty=10, limit_price="100")

# The law once more, in another form than the code's, so that a slip in one of them shows.
LAW = {
    "pending": "= Y E M M Y Y Y Y",
    "submitted": "- = Y Y Y Y Y Y E",
    "accepted": "- - = Y Y Y Y Y E",
    "partial_fill": "- - - Y Y Y c Y c",
    "filled": "- - - - = - - - -",
    "canceled": "- - - =M M = - - -",
    "rejected": "- - E M M E = E -",
    "expired": "- - - =M M - - = -",
    "failed": "- - E M M E E E =",
}
ORDER_OF_STATES = ["pending", "submitted", "accepted", "partial_fill", "filled", "canceled", "rejected", "expired", "failed"]
CELLS = [
    (State(origin), State(target), sign)
    for origin, signs in LAW.items()
    for target, sign in zip(ORDER_OF_STATES, signs.split(), strict=True)
]


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def news(kind: EventKind, seconds: float, source: Source = Source.STREAM, **rest: object) -> OrderEvent:
    return OrderEvent(kind=kind, source=source, at=at(seconds), broker_order_id=None if source is Source.LOCAL else "b1", **rest)


def fill(execution_id: str, qty: int | str, price: int | str, seconds: float, **rest: object) -> OrderEvent:
    return news(
        EventKind.FILL, seconds, execution_id=execution_id, qty=Decimal(qty), price=Decimal(price), **{"status": State.PARTIAL_FILL} | rest
    )


def snapshot(status: State | None, seconds: float, source: Source = Source.LOOKUP, **rest: object) -> OrderEvent:
    return news(EventKind.SNAPSHOT, seconds, source, status=status, **rest)


def submitted() -> list[OrderEvent]:
    return [news(EventKind.SUBMITTED, 0.1, Source.LOCAL, status=State.SUBMITTED)]


def way_to(state: State) -> list[OrderEvent]:
    """News that brings a new order into a state, all of it before second 10."""
    accepted = news(EventKind.ACCEPTED, 1, status=State.ACCEPTED)
    ways = {
        State.PENDING: [],
        State.SUBMITTED: submitted(),
        State.ACCEPTED: [*submitted(), accepted],
        State.PARTIAL_FILL: [*submitted(), accepted, fill("e1", 3, 99, 2)],
        State.FILLED: [*submitted(), accepted, fill("e1", 10, 99, 2, status=State.FILLED)],
        State.CANCELED: [*submitted(), accepted, news(EventKind.CANCELED, 2, status=State.CANCELED)],
        State.REJECTED: [*submitted(), news(EventKind.REJECTED, 2, status=State.REJECTED)],
        State.EXPIRED: [*submitted(), accepted, news(EventKind.EXPIRED, 2, status=State.EXPIRED)],
        State.FAILED: [*submitted(), news(EventKind.FAILED, 2, Source.PROOF, status=State.FAILED)],
    }
    return ways[state]


def follow(events: Sequence[OrderEvent], order: Order | None = None) -> Order:
    if order is None:
        order, _ = create("L1", REQUEST, START)
    for event in events:
        order = apply(order, event).order
    return order


def changes_of(events: Sequence[OrderEvent]) -> list[OrderChange]:
    """What the log would hold after this news."""
    order, created = create("L1", REQUEST, START)
    changes = [OrderChange(order=order, event=created, previous=None, rule="Y")]
    for event in events:
        step = apply(order, event)
        if step.changed:
            changes.append(OrderChange(order=step.order, event=event, previous=order.state, rule=step.rule.value, booked=step.booked))
        order = step.order
    return changes


def news_for(origin: State, target: State, sign: str) -> OrderEvent:
    """The news that this cell of the table is about."""
    local = origin is State.PENDING
    if target is State.PENDING:
        return news(EventKind.CREATED, 10, Source.LOCAL, status=State.PENDING)
    if target is State.SUBMITTED:
        return news(EventKind.SUBMITTED, 10, Source.LOCAL, status=State.SUBMITTED)
    if target is State.FAILED:
        return news(EventKind.FAILED, 10, Source.LOCAL if local else Source.PROOF, status=State.FAILED)
    if target in (State.PARTIAL_FILL, State.FILLED) and sign in ("M", "Y", "=M"):
        rest = 7 if origin is State.PARTIAL_FILL else 10
        qty = rest if target is State.FILLED else 4
        return fill("e2", qty, 99, 10, status=target)
    if sign == "E" or target in (State.PARTIAL_FILL, State.FILLED):
        return snapshot(target, 10)
    kind = {
        State.ACCEPTED: EventKind.ACCEPTED,
        State.CANCELED: EventKind.CANCELED,
        State.REJECTED: EventKind.REJECTED,
        State.EXPIRED: EventKind.EXPIRED,
    }[target]
    return news(kind, 10, Source.LOCAL if local and sign == "Y" else Source.STREAM, status=target)


def expected_state(origin: State, target: State, sign: str) -> State:
    return {"Y": target, "E": target, "M": target, "c": State.CANCELED}.get(sign, origin)


def test_the_table_is_the_law():
    """Every one of the 81 cells holds the sign that the law gives it."""
    written = {(origin, target): rule.value for origin, row in TABLE.items() for target, rule in row.items()}

    assert {(origin, target): sign for origin, target, sign in CELLS} == written
    assert len(written) == 81


@pytest.mark.parametrize(("origin", "target", "sign"), CELLS, ids=lambda value: str(value))
class TestEveryCell:
    def test_applied_once(self, origin: State, target: State, sign: str):
        """News moves an order where its cell says so, and nowhere else."""
        before = follow(way_to(origin))
        assert before.state is origin

        after = apply(before, news_for(origin, target, sign)).order

        assert after.state is expected_state(origin, target, sign)

    def test_applied_twice(self, origin: State, target: State, sign: str):
        """The same news again changes nothing more."""
        event = news_for(origin, target, sign)
        once = follow([*way_to(origin), event])

        again = apply(once, event)

        assert (once.state, once.filled_qty, once.filled_avg_price) == (
            again.order.state,
            again.order.filled_qty,
            again.order.filled_avg_price,
        )
        assert not again.changed

    def test_after_a_restart_from_the_log(self, origin: State, target: State, sign: str):
        """An order rebuilt from its log takes the news exactly as the one in memory does."""
        event = news_for(origin, target, sign)
        rebuilt = replay(changes_of(way_to(origin)))

        assert follow([*way_to(origin), event]) == apply(rebuilt, event).order


@pytest.mark.parametrize(("origin", "target"), [(origin, target) for origin, target, sign in CELLS if sign == "E"], ids=str)
def test_evidence_cells_need_evidence(origin: State, target: State):
    """Where the law asks for evidence, the stream's word or our own opinion does not move the order."""
    before = follow(way_to(origin))
    source = Source.LOCAL if target is State.FAILED else Source.STREAM

    step = apply(before, news(EventKind.STATUS, 10, source, status=target))

    assert before.state is step.order.state
    assert step.rule is Rule.ILLEGAL


@pytest.mark.parametrize("state", [state for state in State if state is not State.PENDING])
@pytest.mark.parametrize("target", [State.CANCELED, State.EXPIRED, State.REJECTED, State.FAILED])
def test_only_a_pending_order_can_be_ended_by_us(state: State, target: State):
    """Our own opinion ends an order only while nothing was sent."""
    before = follow(way_to(state))

    assert state is apply(before, news(EventKind.STATUS, 10, Source.LOCAL, status=target)).order.state


@pytest.mark.parametrize("state", list(State))
def test_money_rule(state: State):
    """A fill with an unseen execution id is booked in every state."""
    before = follow(way_to(state))

    step = apply(before, fill("late", 2, 98, 20))

    assert before.filled_qty + 2 == step.order.filled_qty
    assert step.changed
    assert step.booked is not None
    assert step.booked.execution_id == "late"


@pytest.mark.parametrize("state", [State.REJECTED, State.FAILED, State.FILLED])
def test_a_fill_that_contradicts_the_state_is_a_finding(state: State):
    """A fill of an order believed dead, or filled already, asks for a person's eye."""
    assert apply(follow(way_to(state)), fill("late", 2, 98, 20)).finding is not None


@pytest.mark.parametrize("state", [State.CANCELED, State.EXPIRED, State.ACCEPTED])
def test_an_ordinary_late_fill_is_no_finding(state: State):
    """A fill that crosses a cancel is everyday life."""
    assert apply(follow(way_to(state)), fill("late", 2, 98, 20)).finding is None


def test_overfill_stays_filled_and_is_found():
    """More than the quantity is booked, the order stays filled, and somebody is told."""
    step = apply(follow(way_to(State.FILLED)), fill("e9", 5, 101, 20))

    assert State.FILLED is step.order.state
    assert Decimal(15) == step.order.filled_qty
    assert "more than its 10" in str(step.finding)


def test_fill_that_crosses_a_cancel():
    """A fill that arrives after the cancel still counts, and completes the order if it is the rest."""
    canceled = follow([*way_to(State.PARTIAL_FILL), news(EventKind.CANCELED, 3, status=State.CANCELED)])

    assert State.CANCELED is follow([fill("e2", 4, 99, 2.5)], canceled).state
    assert State.FILLED is follow([fill("e2", 7, 99, 2.5)], canceled).state


def test_a_fill_without_an_id_counts_once():
    """Where the broker gives no execution id, the fill itself tells it from others; its repetition is none of them."""
    event = attrs.evolve(fill("", 4, 99, 2), execution_id=None)
    once = follow([event], follow(way_to(State.ACCEPTED)))

    again = apply(once, event)

    assert Decimal(4) == once.filled_qty == again.order.filled_qty
    assert again.repeated
    assert Decimal(8) == follow([attrs.evolve(event, at=at(3))], once).filled_qty


def test_a_status_never_goes_back():
    """Accepted after a partial fill is old news."""
    step = apply(follow(way_to(State.PARTIAL_FILL)), news(EventKind.ACCEPTED, 1.5, status=State.ACCEPTED, raw_status="accepted"))

    assert State.PARTIAL_FILL is step.order.state
    assert step.rule is Rule.ILLEGAL


def test_between_canceled_and_expired_the_first_wins():
    """An order that has ended one way does not end another way."""
    assert State.CANCELED is follow([snapshot(State.EXPIRED, 9)], follow(way_to(State.CANCELED))).state
    assert State.EXPIRED is follow([snapshot(State.CANCELED, 9)], follow(way_to(State.EXPIRED))).state


def test_a_snapshot_ahead_of_the_fills_books_the_difference():
    """The missing part is an inferred fill at the price that makes the broker's average come true."""
    step = apply(
        follow(way_to(State.PARTIAL_FILL)),
        snapshot(State.FILLED, 5, filled_qty=Decimal(10), filled_avg_price=Decimal("99.7")),
    )

    assert step.booked is not None
    assert (step.booked.execution_id, step.booked.qty, step.booked.price) == ("inferred:b1:10", Decimal(7), Decimal(100))
    assert (State.FILLED, Decimal(10), Decimal("99.7")) == (step.order.state, step.order.filled_qty, step.order.filled_avg_price)


def test_real_executions_replace_an_inferred_fill():
    """The executions that arrive later are booked, and the total does not change."""
    inferred = follow(
        [snapshot(State.FILLED, 5, filled_qty=Decimal(10), filled_avg_price=Decimal("99.7"))], follow(way_to(State.PARTIAL_FILL))
    )

    step = apply(inferred, fill("e2", 7, 100, 4))

    assert step.changed
    assert step.finding is None
    assert (Decimal(10), Decimal("99.7")) == (step.order.filled_qty, step.order.filled_avg_price)


def test_an_old_snapshot_adds_fills_but_does_not_move_the_state():
    """A snapshot older than the news already applied may bring money, not a state."""
    rejected = follow(way_to(State.REJECTED))

    assert State.REJECTED is apply(rejected, snapshot(State.ACCEPTED, 1)).order.state
    assert State.ACCEPTED is apply(rejected, snapshot(State.ACCEPTED, 3)).order.state


def test_an_old_snapshot_may_still_end_an_order():
    """An end is never undone at a broker, so an old word of it is as good as a new one."""
    working = follow([fill("e2", 1, 99, 8)], follow(way_to(State.PARTIAL_FILL)))

    assert State.CANCELED is apply(working, snapshot(State.CANCELED, 7)).order.state


def test_the_word_filled_is_itself_a_total():
    """An order said to be filled is filled with its whole quantity, though no figure came with the word."""
    order = apply(follow(way_to(State.PARTIAL_FILL)), snapshot(State.FILLED, 5)).order

    assert (State.FILLED, Decimal(10)) == (order.state, order.filled_qty)


def test_an_order_by_amount_is_filled_when_the_broker_says_so():
    """Without a quantity only the broker knows when it is enough."""
    order, _ = create("L1", MarketOrder("AAPL", Side.BUY, notional=1000), START)
    order = follow([*submitted(), fill("e1", "5.5", 100, 1)], order)
    assert State.PARTIAL_FILL is order.state

    order = follow([fill("e2", "4.5", 100, 2, status=State.FILLED)], order)

    assert (State.FILLED, Decimal(10), Decimal(100)) == (order.state, order.filled_qty, order.filled_avg_price)


def test_bust_takes_a_fill_back_without_reviving_the_order():
    """A bust is a compensating entry; the state stays where it was."""
    filled = follow([fill("e2", 7, 101, 3, status=State.FILLED)], follow(way_to(State.PARTIAL_FILL)))

    step = apply(filled, news(EventKind.BUST, 30, busts="e2"))

    assert (State.FILLED, Decimal(3), Decimal(99)) == (step.order.state, step.order.filled_qty, step.order.filled_avg_price)
    assert "e2 was taken back" in str(step.finding)
    assert step.booked is not None
    assert step.booked.busts == "e2"


def test_a_bust_that_overtakes_its_fill_takes_back_nothing_until_then():
    """In either order the two leave nothing filled, and never less than nothing."""
    bust = news(EventKind.BUST, 5, busts="e2", qty=Decimal(7), price=Decimal(101))
    early = follow([bust], follow(way_to(State.ACCEPTED)))
    assert Decimal(0) == early.filled_qty

    late = follow([fill("e2", 7, 101, 3)], early)

    assert (State.PARTIAL_FILL, Decimal(0)) == (late.state, late.filled_qty)


def test_in_doubt_ends_with_the_first_word_of_the_broker():
    """Doubt is an attribute of a submitted order that any evidence takes away."""
    doubtful = follow([news(EventKind.IN_DOUBT, 1, Source.LOCAL, reason="timeout")], follow(submitted()))
    assert doubtful.in_doubt
    assert State.SUBMITTED is doubtful.state

    assert not apply(doubtful, snapshot(State.ACCEPTED, 2)).order.in_doubt
    assert not apply(doubtful, fill("e1", 1, 99, 2)).order.in_doubt
    assert not apply(doubtful, news(EventKind.FAILED, 20, Source.PROOF, status=State.FAILED)).order.in_doubt


def test_doubt_that_comes_after_the_proof_is_none():
    """A timeout after the stream has spoken does not put the order in doubt."""
    assert not follow([news(EventKind.IN_DOUBT, 3, Source.LOCAL)], follow(way_to(State.ACCEPTED))).in_doubt


def test_cancel_is_a_request():
    """Asking for the end sets a time, keeps the state, and is forgotten when refused."""
    asked = follow([news(EventKind.CANCEL_REQUESTED, 5, Source.LOCAL)], follow(way_to(State.ACCEPTED)))
    assert (State.ACCEPTED, at(5)) == (asked.state, asked.cancel_requested_at)

    refused = follow([news(EventKind.CANCEL_REFUSED, 6, Source.LOCAL)], asked)

    assert (refused.state, refused.cancel_requested_at) == (State.ACCEPTED, None)


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([news(EventKind.CANCEL_REQUESTED, 5, Source.LOCAL), news(EventKind.CANCELED, 6, status=State.CANCELED)], "user"),
        ([news(EventKind.CANCELED, 6, status=State.CANCELED)], "broker"),
        ([news(EventKind.REJECTED, 6, status=State.REJECTED, reason="halted")], "remainder rejected: halted"),
        ([news(EventKind.FAILED, 6, Source.PROOF, status=State.FAILED)], "lost after fills"),
    ],
)
def test_a_canceled_order_knows_why(events: list[OrderEvent], reason: str):
    """The four ways to be canceled stay apart."""
    order = follow(events, follow(way_to(State.PARTIAL_FILL)))

    assert (State.CANCELED, reason) == (order.state, order.reason)


def test_a_rejection_that_overtakes_a_fill_rejects_the_remainder():
    """In either order a fill and the later rejection leave a canceled order with the fill in it."""
    events = [fill("e1", 4, 99, 2), news(EventKind.REJECTED, 3, status=State.REJECTED)]
    right = follow(events, follow(way_to(State.ACCEPTED)))
    wrong = follow(events[::-1], follow(way_to(State.ACCEPTED)))

    assert (State.CANCELED, Decimal(4)) == (right.state, right.filled_qty)
    assert (right.state, right.filled_qty) == (wrong.state, wrong.filled_qty)


def replacing() -> Order:
    terms = attrs.evolve(REQUEST, qty=12, limit_price="101")
    return follow([news(EventKind.REPLACE_REQUESTED, 3, Source.LOCAL, request=terms)], follow(way_to(State.PARTIAL_FILL)))


REPLACED = attrs.evolve(news(EventKind.REPLACED, 4), replaced_by="b2")


def test_a_replace_counts_when_the_broker_says_so():
    """Until then the old terms hold; afterwards there is one order with two ids and new terms."""
    assert replacing().request == REQUEST

    order = follow([REPLACED], replacing())

    assert (("b1", "b2"), Decimal(12), Decimal(101)) == (order.broker_ids, order.qty, order.request.limit_price)
    assert order.state is State.PARTIAL_FILL
    assert order.replacement is None


def test_fills_on_any_id_of_the_chain_count():
    """A fill of the replaced id that was on its way is as good as one of the new id."""
    order = follow([fill("e2", 4, 99, 3.9), attrs.evolve(fill("e3", 5, 101, 6), broker_order_id="b2")], follow([REPLACED], replacing()))

    assert (State.FILLED, Decimal(12)) == (order.state, order.filled_qty)


def test_a_refused_replace_restores_the_terms():
    """The old id works on with the old terms."""
    answered = follow([attrs.evolve(snapshot(State.ACCEPTED, 4, Source.ANSWER), broker_order_id="b2", replaces="b1")], replacing())
    assert answered.broker_order_id == "b2"

    order = follow([news(EventKind.REPLACE_REFUSED, 5)], answered)

    assert (order.request, order.replacement, order.broker_order_id) == (REQUEST, None, "b1")


def test_new_terms_told_by_the_broker_are_taken():
    """A replacement learned from a listing brings its terms, and keeps our labels."""
    labelled = attrs.evolve(REQUEST, strategy="mean reversion")
    order, _ = create("L1", labelled, START)
    order = follow(way_to(State.ACCEPTED), order)
    told = attrs.evolve(
        snapshot(State.ACCEPTED, 5, Source.LISTING, request=attrs.evolve(REQUEST, qty=20)), broker_order_id="b2", replaces="b1"
    )

    order = follow([told], order)

    assert (Decimal(20), "mean reversion", ("b1", "b2")) == (order.qty, order.request.strategy, order.broker_ids)


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (MarketOrder("AAPL", "buy", notional="250"), {"qty": Decimal(2)}),
        (REQUEST, {"qty": Decimal(0), "limit_price": Decimal(101)}),
        (REQUEST, {"limit_price": Decimal(-1)}),
    ],
)
def test_terms_that_make_no_sense_are_not_taken_and_the_rest_of_the_news_counts(request_: LimitOrder, told: dict[str, Decimal]):
    """A broker may say anything: an order by amount has no qty, and nothing has a price below zero."""
    order, _ = create("L1", request_, START)
    order = follow([*submitted(), news(EventKind.REPLACED, 1, replaced_by="b2", raw_status="replaced")], order)
    terms = ForeignOrder("AAPL", "buy", order_type="limit", **told)
    event = attrs.evolve(snapshot(State.ACCEPTED, 2, request=terms), broker_order_id="b2")
    moved = apply(order, event).order

    assert moved.request == request_
    assert (moved.state, moved.broker_order_id) == (State.ACCEPTED, "b2")


def test_merging_terms_leaves_out_what_a_type_does_not_have():
    """A market order has no limit price to change; a trailing stop changes its own kind of distance."""
    assert merge_terms(MarketOrder("AAPL", Side.BUY, qty=1), qty=Decimal(2), limit_price=Decimal(5)) == MarketOrder("AAPL", Side.BUY, qty=2)
    trailing = TrailingStopOrder("AAPL", Side.SELL, qty=1, trail_percent=2)
    assert merge_terms(trailing, trail=Decimal(3)) == attrs.evolve(trailing, trail_percent=3)
    with pytest.raises(ValueError, match="qty: 0 is not above zero"):
        merge_terms(trailing, qty=Decimal(0))


def test_an_order_placed_elsewhere_is_born_where_the_broker_says():
    """Adoption takes the broker's terms, state and fills."""
    terms = ForeignOrder("MSFT", Side.SELL, order_type=OrderType.LIMIT, qty=5, limit_price=300)

    step = adopt("F1", snapshot(State.PARTIAL_FILL, 2, request=terms, filled_qty=Decimal(2), filled_avg_price=Decimal(301)))

    assert (State.PARTIAL_FILL, Decimal(2), "MSFT") == (step.order.state, step.order.filled_qty, step.order.symbol)
    assert step.changed


@pytest.mark.parametrize("state", [State.PENDING, State.FAILED])
def test_an_order_placed_elsewhere_is_never_born_pending_or_failed(state: State):
    """These two states are ours to give."""
    with pytest.raises(ValueError, match=f"cannot be born {state}"):
        adopt("F1", snapshot(state, 2, request=REQUEST))


def test_an_order_cannot_be_adopted_without_terms():
    """News that does not say what is traded adopts nothing."""
    with pytest.raises(ValueError, match="carries no terms"):
        adopt("F1", snapshot(State.ACCEPTED, 2))


def test_nothing_rebuilds_no_order():
    """A log without rows is no order."""
    with pytest.raises(ValueError, match="cannot be rebuilt from nothing"):
        replay([])


@pytest.mark.parametrize("quantity", [4, 10])
def test_an_order_that_comes_back_to_life_forgets_its_end(quantity: int):
    """A fill later than the rejection proves it wrong: a working order has no end, a filled one has the fill's."""
    rejected = follow([news(EventKind.REJECTED, 2, status=State.REJECTED, reason="halted")], follow(submitted()))
    assert (at(2), "halted", "broker") == (rejected.ended_at, rejected.reason, rejected.origin)

    order = follow([fill("e1", quantity, 99, 5)], rejected)

    ended = order.is_terminal
    assert (order.ended_at, order.reason, order.origin) == (at(5) if ended else None, None, "broker" if ended else None)


def test_terms_and_averages_alone_are_a_change():
    """What the broker says of terms and prices is written and told, though the state and the total stay."""
    replaced = follow([REPLACED], replacing())
    listed = snapshot(State.PARTIAL_FILL, 5, Source.LISTING, request=attrs.evolve(REQUEST, qty=20))
    step = apply(replaced, attrs.evolve(listed, broker_order_id="b2"))
    assert (True, Decimal(20)) == (step.changed, step.order.qty)

    unpriced = follow([snapshot(State.PARTIAL_FILL, 5, filled_qty=Decimal(4))], follow(way_to(State.ACCEPTED)))
    assert unpriced.filled_avg_price is None
    step = apply(unpriced, snapshot(State.PARTIAL_FILL, 6, filled_qty=Decimal(4), filled_avg_price=Decimal(99)))
    assert (True, None, Decimal(99)) == (step.changed, step.booked, step.order.filled_avg_price)


def test_the_broker_s_word_is_the_newest_of_the_present_id():
    """Neither an older snapshot nor news of a replaced id brings an old word back, and the time of the last change never goes back."""
    order = follow([attrs.evolve(REPLACED, raw_status="new", broker_order_id="b2", replaced_by=None, replaces="b1")], replacing())
    assert ("new", at(4)) == (order.raw_status, order.updated_at)

    stale = apply(order, attrs.evolve(snapshot(None, 3, raw_status="accepted"), broker_order_id="b2"))
    other = apply(order, fill("e2", 1, 99, 3, raw_status="partially_filled"))

    assert ("new", "new") == (stale.order.raw_status, other.order.raw_status)
    assert (True, at(4)) == (other.changed, other.order.updated_at)


def test_of_two_statements_of_one_moment_the_earlier_word_is_not_shown():
    """An answer that names the same moment as a fill, and would lead back behind it, leaves the broker's word as it is."""
    filled = follow([*submitted(), fill("e1", 10, 99, 2, status=State.FILLED, raw_status="filled")])

    step = apply(filled, snapshot(State.ACCEPTED, 2, Source.ANSWER, raw_status="new"))
    further = apply(follow(way_to(State.ACCEPTED)), snapshot(State.ACCEPTED, 1, raw_status="held"))

    assert (step.order.state, step.order.raw_status, step.changed) == (State.FILLED, "filled", False)
    assert further.order.raw_status == "held"


def test_a_cancel_asked_for_twice_was_asked_for_once():
    """The first time counts; the second request changes nothing, nor does a second doubt, and neither takes a doubt away."""
    asking, doubting = news(EventKind.CANCEL_REQUESTED, 5, Source.LOCAL), news(EventKind.IN_DOUBT, 1, Source.LOCAL)
    doubtful = follow([doubting, asking], follow(submitted()))

    again = apply(doubtful, attrs.evolve(asking, at=at(6)))

    assert not apply(doubtful, attrs.evolve(doubting, at=at(7))).changed
    assert (True, at(5)) == (doubtful.in_doubt, doubtful.cancel_requested_at)
    assert (False, at(5)) == (again.changed, again.order.cancel_requested_at)


def test_an_answer_does_not_restate_the_terms():
    """The terms of a replaced order come from the broker's stream and listings, not from an answer that crosses them."""
    replaced = follow([REPLACED], replacing())
    answer = snapshot(State.PARTIAL_FILL, 5, Source.ANSWER, request=attrs.evolve(REQUEST, qty=20))

    assert Decimal(12) == apply(replaced, attrs.evolve(answer, broker_order_id="b2")).order.qty


def test_an_end_ends_a_requested_replace():
    """A canceled order waits for no replacement."""
    canceled = follow([news(EventKind.CANCELED, 5, status=State.CANCELED)], replacing())

    assert (State.CANCELED, None) == (canceled.state, canceled.replacement)


def test_news_that_says_nothing_new_leaves_the_very_order():
    """Nothing to write and nothing to tell."""
    order = follow(way_to(State.ACCEPTED))

    step = apply(order, snapshot(State.ACCEPTED, 1))

    assert step.order is order
    assert not step.changed


@given(st.lists(st.integers(0, 40), min_size=2, max_size=12))
@settings(deadline=None)
def test_an_order_stays_what_it_was(parents: list[int]):
    """Whatever is made from an order afterwards, by one way or several, it still knows its own news and no other."""
    made = [(follow(way_to(State.ACCEPTED)), list[OrderEvent]())]
    for number, parent in enumerate(parents):
        order, events = made[parent % len(made)]
        event = fill(f"e{number}", 1, 99 + number, 3 + number, filled_qty=order.filled_qty + 1)
        made.append((apply(order, event).order, [*events, event]))

    for order, events in made:
        assert order == follow(events, follow(way_to(State.ACCEPTED)))
        assert list(order.ledger.executions) == [event.execution_id for event in events]
        assert not any(apply(order, event).changed for event in events)


def test_an_order_of_thousands_of_fills():
    """Every fill counts once, and each order on the way is the value it was."""
    order, _ = create("L1", LimitOrder("AAPL", Side.BUY, qty=3000, limit_price="100"), START)
    orders = [follow(submitted(), order)]
    for number in range(3000):
        orders.append(apply(orders[-1], fill(f"e{number}", 1, 99 + number % 2, 1 + number)).order)

    assert (State.FILLED, Decimal(3000), Decimal("99.5")) == outcome(orders[-1])
    assert [Decimal(number) for number in range(3001)] == [order.filled_qty for order in orders]
    assert [0, 1000, 3000] == [len(orders[number].ledger.executions) for number in (0, 1000, 3000)]


def test_unknown_words_keep_the_state():
    """A status without a floor leaves the state alone and keeps the broker's word."""
    step = apply(follow(way_to(State.ACCEPTED)), news(EventKind.STATUS, 5, raw_status="calculated"))

    assert (step.order.state, step.order.raw_status) == (State.ACCEPTED, "calculated")


# The laws of convergence: lists of news that a broker may send, in the order it happened.

ANSWER = snapshot(State.ACCEPTED, 1, Source.ANSWER)
ACCEPTED = news(EventKind.ACCEPTED, 1.5, status=State.ACCEPTED, raw_status="new")
ENDS = {
    "open": [],
    "canceled": [news(EventKind.CANCELED, 9, status=State.CANCELED)],
    "expired": [news(EventKind.EXPIRED, 9, status=State.EXPIRED)],
    "rejected": [news(EventKind.REJECTED, 9, status=State.REJECTED)],
}


def fills_of(parts: Sequence[int], *, with_totals: bool) -> list[OrderEvent]:
    """Executions of these sizes at different prices, with or without the broker's running totals."""
    events, total, cost = [], 0, Decimal(0)
    for number, part in enumerate(parts, 1):
        price = Decimal(98) + Decimal(number) / 8
        total, cost = total + part, cost + part * price
        totals = {"filled_qty": Decimal(total), "filled_avg_price": cost / total} if with_totals else {}
        status = State.FILLED if total == 10 else State.PARTIAL_FILL
        events.append(fill(f"e{number}", part, price, 2 + number / 8, status=status, **totals))
    return events


def valid_lists(longest: int) -> Iterator[tuple[str, list[OrderEvent]]]:
    """Every list of news up to a length: both, one or no acknowledgement; one to six fills; every end; with and without totals."""
    for with_totals in (True, False):
        for acks in ([ANSWER, ACCEPTED], [ACCEPTED]):
            for parts in ([], [4], [10], [4, 6], [1, 2, 3], [2, 3, 5], [1, 2, 3, 4], [1, 1, 2, 3, 3], [1, 1, 1, 2, 2, 3]):
                complete = sum(parts) == 10
                for name, end in ENDS.items():
                    events = [*acks, *fills_of(parts, with_totals=with_totals), *end]
                    if len(events) <= longest and not (complete and end):
                        yield f"{len(acks)}-{'+'.join(map(str, parts)) or 'none'}-{name}-{'totals' if with_totals else 'parts'}", events


def outcome(order: Order) -> tuple[State, Decimal, Decimal | None]:
    return order.state, order.filled_qty, order.filled_avg_price


def every_order(order: Order, events: Sequence[OrderEvent]) -> Iterator[Order]:
    """The order after each permutation of the news; what two permutations have in common at the beginning is done once."""
    if not events:
        yield order
    for index, event in enumerate(events):
        yield from every_order(apply(order, event).order, [*events[:index], *events[index + 1 :]])


SHORT = list(valid_lists(6))
LONG = [(name, events) for name, events in valid_lists(8) if len(events) > 6]


@pytest.mark.parametrize("events", [events for _, events in SHORT], ids=[name for name, _ in SHORT])
def test_every_permutation_ends_alike(events: list[OrderEvent]):
    """News of one to six pieces leads to the same state, quantity and average in whatever order it arrives."""
    truth = outcome(follow(events, follow(submitted())))

    assert {truth} == {outcome(order) for order in every_order(follow(submitted()), events)}


# Seven and eight pieces have up to 40,320 orders each: one list of each length and end is gone through entirely.
THOROUGH = {(len(events), name.split("-")[2]): (name, events) for name, events in LONG}.values()


@pytest.mark.parametrize("events", [events for _, events in THOROUGH], ids=[name for name, _ in THOROUGH])
def test_every_permutation_of_long_news_ends_alike(events: list[OrderEvent]):
    """Seven and eight pieces of news do so as well."""
    truth = outcome(follow(events, follow(submitted())))

    assert all(truth == outcome(order) for order in every_order(follow(submitted()), events))


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_duplicates_and_drops_are_repaired_by_a_snapshot(data: st.DataObject):
    """Shuffled, doubled and lost news ends where the broker's own snapshot says, with its total and its average."""
    name, events = data.draw(st.sampled_from(SHORT + LONG))
    truth = follow(events, follow(submitted()))
    received = data.draw(st.permutations([*data.draw(st.lists(st.sampled_from(events), max_size=6)), *events]))
    lost = data.draw(st.sets(st.sampled_from(events), max_size=len(events)))
    final = snapshot(truth.state, 60, Source.LISTING, filled_qty=truth.filled_qty, filled_avg_price=truth.filled_avg_price)

    order = follow([*(event for event in received if event not in lost), final], follow(submitted()))

    assert (truth.state, truth.filled_qty) == (order.state, order.filled_qty), name
    if truth.filled_avg_price is not None:
        assert order.filled_avg_price is not None
        assert abs(truth.filled_avg_price - order.filled_avg_price) < Decimal("1e-20")


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_log_rebuilds_the_order_it_was_written_by(data: st.DataObject):
    """Replaying the accepted news alone makes the very same order: what was repeated or ignored left no trace that matters."""
    _, events = data.draw(st.sampled_from(SHORT + LONG))
    received = data.draw(st.permutations([*events, *data.draw(st.lists(st.sampled_from(events), max_size=4))]))
    order = follow([*submitted(), *received])

    rebuilt = replay(changes_of([*submitted(), *received]))

    assert outcome(order) == outcome(rebuilt)
    assert order.ledger.executions == rebuilt.ledger.executions
    assert outcome(order) == outcome(follow(received, rebuilt))


@given(st.lists(st.tuples(st.integers(1, 50), st.decimals("0.0001", "9999.9999", places=4)), min_size=1, max_size=12), st.randoms())
def test_average_price_does_not_depend_on_the_order_of_executions(executions: list[tuple[int, Decimal]], chance: random.Random):
    """Sums are exact: no permutation of executions rounds differently."""
    total = sum(qty for qty, _ in executions)
    order, _ = create("L1", MarketOrder("AAPL", Side.BUY, qty=total), START)
    events = [fill(f"e{number}", qty, str(price), number, status=None) for number, (qty, price) in enumerate(executions)]
    shuffled = events.copy()
    chance.shuffle(shuffled)

    assert outcome(follow([*submitted(), *events], order)) == outcome(follow([*submitted(), *shuffled], order))


def test_busts_converge():
    """Two fills and the bust of one end alike in all six orders."""
    events = [
        fill("e1", 4, 99, 2),
        fill("e2", 6, 101, 3, status=State.FILLED),
        news(EventKind.BUST, 5, busts="e1", qty=Decimal(4), price=Decimal(99)),
    ]
    truth = outcome(follow(events, follow(submitted())))
    assert (State.FILLED, Decimal(6), Decimal(101)) == truth

    assert {truth} == {outcome(follow(order, follow(submitted()))) for order in itertools.permutations(events)}


def test_a_total_after_a_bust_counts_what_is_left():
    """The broker's total no longer holds the fill that was taken back; what it holds beyond ours is a fill we missed."""
    busted = follow([news(EventKind.BUST, 30, busts="e1")], follow(way_to(State.PARTIAL_FILL)))

    step = apply(busted, snapshot(State.PARTIAL_FILL, 40, filled_qty=Decimal(2), filled_avg_price=Decimal(98)))

    assert Decimal(2) == step.order.filled_qty
    assert step.booked is not None
    assert Decimal(2) == step.booked.qty


def test_a_snapshot_after_a_bust_does_not_bring_the_fill_back():
    """The broker still calls the order filled, with the lower total; that is no new fill."""
    busted = follow([news(EventKind.BUST, 30, busts="e1")], follow(way_to(State.FILLED)))
    assert (State.FILLED, Decimal(0)) == (busted.state, busted.filled_qty)

    step = apply(busted, snapshot(State.FILLED, 40, filled_qty=Decimal(0)))

    assert step.booked is None
    assert Decimal(0) == step.order.filled_qty
