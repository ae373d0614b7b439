"""The life of an order: a table, and the one function that moves an order along it.

Two rules hold here:

1. Everything that decides an order's state is in this file. Nobody else assigns one.
2. Nothing here knows the time, a broker, a database or a lock. News goes in, a new frozen order comes out.

**Theory of operation.** A piece of news (``OrderEvent``) may carry three things: executions, the broker's running total, and a status.
They are taken in that order. First the money: an execution not seen before is always booked, in every state, and so is a running
total ahead of what is booked. Then the status, as a *floor*: the table says whether it moves the order, and it can only move it
forward. Because totals are a maximum of what is proven and executions are a set, news may come twice, late and in any order.

**What is not a state.** ``in_doubt``, a requested cancel or replace, the broker's own word and the chain of its ids are attributes: they
can be true of several states, and none of them decides what may happen next.

**Where the table alone does not decide.** A rejection that overtakes an earlier fill: the fill proves that the order had been working, so
what was rejected is its remainder, and the order ends canceled just as it would have in the right order. A snapshot older than the news
already applied may add fills and may end an active order (an end is never undone at a broker), but never moves it otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Context, Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any

import attrs

from broker_core.orders import TERMINAL, ZERO, Busts, EventKind, Execution, Ledger, NewsKey, Order, OrderChange, OrderEvent, Source, State
from broker_core.requests import ForeignOrder, OrderRequest, TimeInForce, TrailingStopOrder


class Rule(Enum):
    """Why a move is, or is not, allowed: the signs of the table."""

    NORMAL = "Y"
    EVIDENCE = "E"
    """Only with evidence found by reconciliation; into ``failed``, only with proof."""
    MONEY = "M"
    """Only with a fill that was not booked before."""
    REMAINDER = "c"
    """The order becomes canceled: part of it was filled."""
    SAME = "="
    """The state stays, attributes may move."""
    BOOKED = "=M"
    """The fill is booked, but an ended order does not come back to life."""
    ILLEGAL = "-"
    """The state stays; counted."""


_GRID = """
              pending submitted accepted partial_fill filled canceled rejected expired failed
pending       =       Y         E        M            M      Y        Y        Y       Y
submitted     -       =         Y        Y            Y      Y        Y        Y       E
accepted      -       -         =        Y            Y      Y        Y        Y       E
partial_fill  -       -         -        Y            Y      Y        c        Y       c
filled        -       -         -        -            =      -        -        -       -
canceled      -       -         -        =M           M      =        -        -       -
rejected      -       -         E        M            M      E        =        E       -
expired       -       -         -        =M           M      -        -        =       -
failed        -       -         E        M            M      E        E        E       =
"""


def _read(grid: str) -> Mapping[State, Mapping[State, Rule]]:
    head, *rows = [line.split() for line in grid.strip().splitlines()]
    targets = [State(name) for name in head]
    return MappingProxyType({State(name): MappingProxyType(dict(zip(targets, map(Rule, signs), strict=True))) for name, *signs in rows})


TABLE = _read(_GRID)
"""From state, to state: the rule. The diagram in the documentation is drawn from it."""

# Every piece of news asks for some of these, and Python 3.11 finds a member through its enum no faster than it calls a function.
PENDING, SUBMITTED, ACCEPTED, PARTIAL_FILL, FILLED, CANCELED, REJECTED, EXPIRED, FAILED = State
NORMAL, EVIDENCE, MONEY, REMAINDER, SAME, BOOKED, ILLEGAL = Rule
FILL, BUST, SNAPSHOT, IN_DOUBT = EventKind.FILL, EventKind.BUST, EventKind.SNAPSHOT, EventKind.IN_DOUBT
LOCAL, PROOF, STREAM = Source.LOCAL, Source.PROOF, Source.STREAM

# Sums of executions must not depend on the order they arrive in, so they are never rounded; only the average is, once, at the end.
_EXACT = Context(prec=200)
_AVERAGE = Context(prec=28)
_add, _divide = _EXACT.add, _AVERAGE.divide

_OURS = frozenset({Source.LOCAL, Source.PROOF})
_TELL_TERMS = frozenset({Source.STREAM, Source.LOOKUP, Source.LISTING})
_REQUESTED = frozenset(
    {
        EventKind.CANCEL_REQUESTED,
        EventKind.CANCEL_REFUSED,
        EventKind.REPLACE_REQUESTED,
        EventKind.REPLACE_REFUSED,
        EventKind.REPLACED,
    }
)


@attrs.define
class Step:
    """What one piece of news did to an order. Read at once and dropped, so it is not worth the cost of being frozen."""

    order: Order
    rule: Rule
    changed: bool
    """Whether anything about the order is different: then it is written down and told."""
    booked: Execution | None = None
    """The execution that was booked; inferred ones have an id that begins with ``inferred:``."""
    finding: str | None = None
    """What a person should look at, in one line."""
    repeated: bool = False
    """Whether this very news had been seen before."""


def create(local_id: str, request: OrderRequest, at: datetime, parent_id: str | None = None) -> tuple[Order, OrderEvent]:
    """A new order of our own in state ``pending``, and the event that records its birth."""
    order = Order(local_id=local_id, request=request, state=State.PENDING, created_at=at, updated_at=at, parent_id=parent_id)
    event = OrderEvent(kind=EventKind.CREATED, source=Source.LOCAL, at=at, status=State.PENDING, client_order_id=local_id, request=request)
    return order, event


def adopt(local_id: str, event: OrderEvent, parent_id: str | None = None) -> Step:
    """An order that the broker holds and we did not place, born from its first news.

    Its terms are the broker's (``event.request``). Raises ValueError when the news carries none, or says ``pending`` or ``failed``.
    """
    if event.request is None:
        raise ValueError(f"request: the news about broker order {event.broker_order_id} carries no terms to adopt it by")
    if event.status in (State.PENDING, State.FAILED):
        raise ValueError(f"status: an order placed elsewhere cannot be born {event.status}")
    # Submitted is the lowest floor: whatever the broker says next of an order it holds is a normal move from there.
    order = Order(
        local_id=local_id,
        request=event.request,
        state=State.SUBMITTED,
        created_at=event.at,
        updated_at=event.at,
        parent_id=parent_id,
    )
    return attrs.evolve(apply(order, event), changed=True)


def apply(order: Order, event: OrderEvent) -> Step:
    """Move an order by one piece of news. Never raises for what a broker may say."""
    before = order.ledger
    key = _key(event)
    if key is not None and key in before.news:
        return Step(order, SAME, changed=False, repeated=True)
    chain = _chain(order, event)
    request = _terms(order, event, chain)
    ledger, booked = _book(before, request, event, key)
    is_stale = event.kind is SNAPSHOT and order.as_of is not None and event.at < order.as_of
    state, rule = _next_state(order, request, ledger, event, booked, is_stale=is_stale)
    # Of two statements of one moment, the one that would lead back is the older one.
    is_stale = is_stale or (event.kind is SNAPSHOT and rule is ILLEGAL and event.at == order.as_of)

    changes = _attributes(order, state, event, chain, is_stale=is_stale)
    changed = booked is not None or bool(changes)
    if request is not order.request:
        changes["request"] = request
        changed = changed or request != order.request
    if ledger is not before:
        changes["ledger"] = ledger
        if booked is not None or ledger.claimed_qty is not before.claimed_qty or ledger.claimed_price is not before.claimed_price:
            total = _totals(ledger)
            changes["filled_qty"], changes["filled_avg_price"] = total
            changed = changed or total != (order.filled_qty, order.filled_avg_price)
    if event.source not in _OURS and (order.as_of is None or event.at > order.as_of):
        changes["as_of"] = event.at
    if changed and event.at > order.updated_at:
        changes["updated_at"] = event.at
    moved = order.with_changes(changes) if changes else order
    return Step(moved, rule, changed, booked, _finding(order, moved, booked))


def _next_state(
    order: Order, request: OrderRequest, ledger: Ledger, event: OrderEvent, booked: Execution | None, *, is_stale: bool
) -> tuple[State, Rule]:
    """The state that the money and then the broker's floor lead to, and the rule that decided it."""
    state, rule = order.state, SAME
    if booked is not None and booked.busts is None:
        # Busts are left out here: an order that was filled stays so when a fill is taken back.
        complete = event.status is FILLED or (
            request.qty is not None and (ledger.gross_qty >= request.qty or ledger.claimed_qty >= request.qty)
        )
        state, rule = _move(order, state, FILLED if complete else PARTIAL_FILL, event, booked=True)
    status = event.status
    if status is not None and status is not state and (status in TERMINAL or not is_stale):
        floor, floor_rule = _move(order, state, status, event, booked=False)
        if floor is not state or rule is SAME:
            state, rule = floor, floor_rule
    if booked is not None and (rule is SAME or rule is ILLEGAL):
        rule = MONEY
    return state, rule


def replay(changes: Sequence[OrderChange]) -> Order:
    """The order that its accepted news, oldest first, made: what a restart knows of it.

    Raises ValueError when there is no news, or the first of it cannot begin an order.
    """
    if not changes:
        raise ValueError("changes: an order cannot be rebuilt from nothing")
    first = changes[0]
    if first.event.kind is EventKind.CREATED:
        order, _ = create(first.order.local_id, first.order.request, first.event.at, first.order.parent_id)
    else:
        order = adopt(first.order.local_id, first.event, first.order.parent_id).order
    for change in changes[1:]:
        order = apply(order, change.event).order
    return order


def _key(event: OrderEvent) -> NewsKey | None:
    """What makes this news the same as an earlier one; None where applying it twice changes nothing anyway."""
    kind = event.kind
    if kind is FILL:
        has_amounts = event.qty is not None and event.price is not None
        return event.execution_id or (_made_up_id(event) if has_amounts else None)
    if kind is BUST:
        return f"bust:{event.busts}"
    if event.source is STREAM:
        return (event.broker_order_id, kind, event.raw_status, event.at)
    return None


def _made_up_id(event: OrderEvent) -> str:
    """The id of an execution to which the broker gave none: what tells it from others."""
    return f"fill:{event.broker_order_id}:{event.at.isoformat()}:{event.qty}@{event.price}"


def _book(before: Ledger, request: OrderRequest, event: OrderEvent, key: NewsKey | None) -> tuple[Ledger, Execution | None]:
    """Book what the news proves about money: an execution, a bust, and the broker's running total."""
    news, gross_qty, gross_cost, claimed_qty, claimed_price, busts = before
    booked = _execution(before, event)
    if booked is None:
        pass
    elif booked.busts is None:
        gross_qty, gross_cost = _add(gross_qty, booked.qty), booked.qty.fma(booked.price, gross_cost, _EXACT)
    else:
        busts = Busts((*busts.entries, booked), _add(busts.qty, booked.qty), booked.qty.fma(booked.price, busts.cost, _EXACT))
    claimed_qty, claimed_price = _claim(before, busts, request, event)
    if key is not None:
        news = news.plus(key, booked)
    elif claimed_qty is before.claimed_qty and claimed_price is before.claimed_price:
        return before, None
    ledger = Ledger(news, gross_qty, gross_cost, claimed_qty, claimed_price, busts)
    if booked is None and claimed_qty != before.claimed_qty:
        booked = _inferred(before, ledger, event)
    return ledger, booked


def _inferred(before: Ledger, ledger: Ledger, event: OrderEvent) -> Execution | None:
    """The execution that must have been, where the broker's total has left ours behind."""
    had, had_average = _totals(before)
    total, average = _totals(ledger)
    if total <= had:
        return None
    price = _missing_price(had, had_average, total, average) or event.price or ZERO
    return Execution(f"inferred:{event.broker_order_id}:{total.normalize():f}", total - had, price, event.at)


def _execution(ledger: Ledger, event: OrderEvent) -> Execution | None:
    """The execution that the news itself carries."""
    if event.kind is FILL and event.qty is not None and event.price is not None:
        return Execution(event.execution_id or _made_up_id(event), event.qty, event.price, event.at)
    if event.kind is BUST and event.busts is not None:
        original = ledger.news.get(event.busts)
        qty = event.qty if event.qty is not None else original.qty if original else ZERO
        price = event.price if event.price is not None else original.price if original else ZERO
        return Execution(event.execution_id or f"bust:{event.busts}", -abs(qty), price, event.at, busts=event.busts)
    return None


def _claim(before: Ledger, busts: Busts, request: OrderRequest, event: OrderEvent) -> tuple[Decimal, Decimal | None]:
    """The broker's highest running total and its price, kept gross of busts, so that a bust lowers the total whichever comes first."""
    claimed, price = event.filled_qty, event.filled_avg_price
    if claimed is None and event.status is FILLED:
        # "Filled" is itself a running total, and one that no bust has lowered.
        claimed, price = request.qty, None
    elif claimed is not None and before.busts.qty:
        busted = sum((-entry.qty for entry in busts.entries if entry.at <= event.at), start=ZERO)
        claimed, price = _add(claimed, busted), None if busted else price
    if claimed is None or claimed < before.claimed_qty or (claimed == before.claimed_qty and before.claimed_price is not None):
        return before.claimed_qty, before.claimed_price
    return claimed, price


def _totals(ledger: Ledger) -> tuple[Decimal, Decimal | None]:
    """Cumulative quantity and average price: the executions, or the broker's running total where it is ahead of them."""
    _, gross, cost, claimed, price, busts = ledger
    if claimed > gross:
        if price is not None:
            cost = _EXACT.multiply(claimed, price)
        elif gross:
            cost = _divide(_EXACT.multiply(cost, claimed), gross)
        else:
            return max(_add(claimed, busts.qty), ZERO), None
        # Written out, should the broker's number come with an exponent.
        gross = _add(claimed, ZERO)
    if busts.entries:
        gross, cost = _add(gross, busts.qty), _add(cost, busts.cost)
    if gross <= ZERO:
        # A bust that overtakes its fill takes back nothing yet.
        return ZERO, None
    return gross, _divide(cost, gross).normalize(_AVERAGE)


def _missing_price(had: Decimal, had_average: Decimal | None, total: Decimal, average: Decimal | None) -> Decimal | None:
    """The price at which the missing part must have been filled for the broker's average to hold."""
    if average is None or had_average is None:
        return average
    missing_cost = _EXACT.subtract(_EXACT.multiply(total, average), _EXACT.multiply(had, had_average))
    return _AVERAGE.divide(missing_cost, _EXACT.subtract(total, had)).normalize(_AVERAGE)


def _move(order: Order, state: State, target: State, event: OrderEvent, *, booked: bool) -> tuple[State, Rule]:
    """Ask the table: the state after, and the rule that decided it."""
    rule = TABLE[state][target]
    if not _allows(rule, state, target, event.source, booked=booked):
        return state, rule if rule is SAME or rule is BOOKED else ILLEGAL
    if rule is REMAINDER:
        return CANCELED, rule
    if state is REJECTED and target is PARTIAL_FILL and order.ended_at is not None and event.at <= order.ended_at:
        return CANCELED, REMAINDER
    return target, rule


def _allows(rule: Rule, state: State, target: State, source: Source, *, booked: bool) -> bool:
    if rule is NORMAL:
        return source not in _OURS or _may_say(source, state, target)
    if rule is EVIDENCE:
        return source is PROOF if target is FAILED else source.is_reconciliation
    if rule is REMAINDER:
        return source is PROOF if target is FAILED else source is not LOCAL
    return rule is MONEY and booked


def _may_say(source: Source, state: State, target: State) -> bool:
    """What of the normal moves is ours to say: we begin an order and may end it while nothing was sent; the rest is the broker's word."""
    if source is PROOF:
        return target is FAILED
    return target is SUBMITTED or state is PENDING


def _attributes(order: Order, state: State, event: OrderEvent, chain: tuple[str, ...], *, is_stale: bool) -> dict[str, Any]:
    """What else changes about the order, apart from its terms and its money."""
    changes: dict[str, Any] = {}
    if chain is not order.broker_ids and chain != order.broker_ids:
        changes["broker_ids"] = chain
    from_broker = event.source not in _OURS
    is_news = event.raw_status is not None and event.raw_status != order.raw_status
    if is_news and from_broker and not is_stale and (event.broker_order_id is None or event.broker_order_id == chain[-1]):
        changes["raw_status"] = event.raw_status
    if event.kind is IN_DOUBT:
        in_doubt = state is SUBMITTED and not order.broker_ids
        if in_doubt is not order.in_doubt:
            changes["in_doubt"] = in_doubt
    elif order.in_doubt and event.source is not LOCAL:
        changes["in_doubt"] = False
    if event.kind in _REQUESTED:
        changes.update(_requested(order, state, event))
    if state is not order.state:
        changes["state"] = state
        if state in TERMINAL:
            changes["ended_at"] = event.at
            changes["reason"] = _reason(order, state, event)
            changes["origin"] = event.origin or ("broker" if from_broker else "local")
            changes["replacement"] = None
        elif order.state in TERMINAL:
            changes["ended_at"] = changes["reason"] = changes["origin"] = None
    return changes


def _requested(order: Order, state: State, event: OrderEvent) -> dict[str, Any]:
    """What the news changes about a requested cancel or replace."""
    cancel_requested_at, replacement = order.cancel_requested_at, order.replacement
    match event.kind:
        case EventKind.CANCEL_REQUESTED:
            cancel_requested_at = None if state in TERMINAL else cancel_requested_at or event.at
        case EventKind.CANCEL_REFUSED:
            cancel_requested_at = None
        case EventKind.REPLACE_REQUESTED:
            replacement = event.request
        case EventKind.REPLACED | EventKind.REPLACE_REFUSED:
            replacement = None
    changes: dict[str, Any] = {}
    if cancel_requested_at != order.cancel_requested_at:
        changes["cancel_requested_at"] = cancel_requested_at
    if replacement != order.replacement:
        changes["replacement"] = replacement
    return changes


def _reason(order: Order, state: State, event: OrderEvent) -> str | None:
    """Why the order ended, in the broker's words behind ours."""
    if state is not State.CANCELED:
        return event.reason
    if event.status is State.FAILED:
        cause = "lost after fills"
    elif event.status is not State.CANCELED:
        cause = "remainder rejected"
    else:
        cause = "user" if order.cancel_requested_at is not None else "broker"
    return f"{cause}: {event.reason}" if event.reason else cause


def _chain(order: Order, event: OrderEvent) -> tuple[str, ...]:
    """The broker's ids of this order, the present one last."""
    chain = order.broker_ids
    if chain and event.broker_order_id == chain[-1] and event.replaces is None and event.replaced_by is None:
        return chain
    for broker_id in (event.replaces, event.broker_order_id, event.replaced_by):
        if broker_id is not None and broker_id not in chain:
            chain = (*chain, broker_id)
    if event.kind is EventKind.REPLACE_REFUSED and event.broker_order_id in chain:
        # The refused replacement never works: the id it was to replace is the present one again.
        present = str(event.broker_order_id)
        chain = (*(broker_id for broker_id in chain if broker_id != present), present)
    return chain


def _terms(order: Order, event: OrderEvent, chain: tuple[str, ...]) -> OrderRequest:
    """The order's terms after the news: a replacement counts once the broker says that it was made."""
    if order.replacement is not None and event.kind is EventKind.REPLACED:
        return order.replacement
    if len(chain) < 2 or event.request is None or event.broker_order_id != chain[-1]:
        return order.request
    if event.source not in _TELL_TERMS or event.kind is EventKind.REPLACE_REFUSED:
        return order.request
    try:
        return merge_terms(
            order.request,
            qty=event.request.qty if order.request.notional is None else None,
            limit_price=event.request.limit_price,
            stop_price=event.request.stop_price,
            time_in_force=event.request.time_in_force,
        )
    except ValueError:
        # What a broker says may make no sense; the order keeps its terms, and the rest of the news counts.
        return order.request


def merge_terms(
    request: OrderRequest,
    *,
    qty: Decimal | None = None,
    limit_price: Decimal | None = None,
    stop_price: Decimal | None = None,
    trail: Decimal | None = None,
    time_in_force: TimeInForce | None = None,
) -> OrderRequest:
    """The request with new terms; None leaves one as it is, and terms its type does not have are left out.

    Raises ValueError where the new terms break a rule of the request.
    """
    given: dict[str, object] = {"qty": qty, "limit_price": limit_price, "stop_price": stop_price, "time_in_force": time_in_force}
    if trail is not None and isinstance(request, TrailingStopOrder | ForeignOrder):
        given["trail_price" if request.trail_price is not None else "trail_percent"] = trail
    names = {field.name for field in attrs.fields(type(request))}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None and name in names}
    return attrs.evolve(request, **changes)


def _finding(before: Order, after: Order, booked: Execution | None) -> str | None:
    """What about this step contradicts what was believed."""
    if booked is None:
        return None
    if booked.busts is not None:
        return f"order {after.local_id}: execution {booked.busts} was taken back by the broker ({booked.qty} @ {booked.price})"
    if (before.state is REJECTED or before.state is FAILED) and after.state is not CANCELED:
        return f"order {after.local_id} was {before.state} and has been filled with {booked.qty} @ {booked.price}"
    qty = after.request.qty
    if qty is not None and after.filled_qty > qty:
        return f"order {after.local_id} is filled with {after.filled_qty}, more than its {qty}"
    return None
