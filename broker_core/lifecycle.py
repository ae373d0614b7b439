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

from broker_core.orders import ZERO, EventKind, Execution, Ledger, Order, OrderChange, OrderEvent, Source, State
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

# Sums of executions must not depend on the order they arrive in, so they are never rounded; only the average is, once, at the end.
_EXACT = Context(prec=200)
_AVERAGE = Context(prec=28)


@attrs.frozen
class Step:
    """What one piece of news did to an order."""

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
    key = _key(event)
    if key is not None and key in order.ledger.seen:
        return Step(order, Rule.SAME, changed=False, repeated=True)
    chain = _chain(order, event)
    request = _terms(order, event, chain)
    ledger, booked = _book(order.ledger, request, event, key)
    filled_qty, filled_avg_price = _totals(ledger)

    state, rule = order.state, Rule.SAME
    if booked is not None and booked.busts is None:
        # Busts are left out here: an order that was filled stays so when a fill is taken back.
        gross = max(ledger.gross_qty, ledger.claimed_qty)
        complete = event.status is State.FILLED or (request.qty is not None and gross >= request.qty)
        state, rule = _move(order, state, State.FILLED if complete else State.PARTIAL_FILL, event, booked=True)
    is_stale = event.kind is EventKind.SNAPSHOT and order.as_of is not None and event.at < order.as_of
    if event.status is not None and event.status is not state and (event.status.is_terminal or not is_stale):
        floor, floor_rule = _move(order, state, event.status, event, booked=False)
        if floor is not state or rule is Rule.SAME:
            state, rule = floor, floor_rule
    if booked is not None and rule in (Rule.SAME, Rule.ILLEGAL):
        rule = Rule.MONEY

    changes = _attributes(order, state, event, chain, is_stale=is_stale)
    changes.update(state=state, request=request, filled_qty=filled_qty, filled_avg_price=filled_avg_price)
    changed = booked is not None or any(
        value is not (before := getattr(order, name)) and value != before for name, value in changes.items()
    )
    changes["ledger"] = ledger
    if event.source not in (Source.LOCAL, Source.PROOF):
        changes["as_of"] = event.at if order.as_of is None else max(order.as_of, event.at)
    if changed:
        changes["updated_at"] = max(order.updated_at, event.at)
    moved = order.with_changes(changes)
    return Step(moved, rule, changed, booked, _finding(order, moved, booked))


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


def _key(event: OrderEvent) -> str | None:
    """What makes this news the same as an earlier one; None where applying it twice changes nothing anyway."""
    if event.kind is EventKind.FILL:
        return event.execution_id
    if event.kind is EventKind.BUST:
        return f"bust:{event.busts}"
    if event.source is Source.STREAM:
        return f"{event.broker_order_id}|{event.kind}|{event.raw_status}|{event.at.isoformat()}"
    return None


def _book(before: Ledger, request: OrderRequest, event: OrderEvent, key: str | None) -> tuple[Ledger, Execution | None]:
    """Book what the news proves about money: an execution, a bust, and the broker's running total."""
    booked = _execution(before, event)
    executions, seen = before.executions, before.seen
    gross_qty, gross_cost, busted_qty, busted_cost = before.gross_qty, before.gross_cost, before.busted_qty, before.busted_cost
    if booked is not None:
        executions = MappingProxyType({**executions, booked.execution_id: booked})
        cost = _EXACT.multiply(booked.qty, booked.price)
        if booked.busts is None:
            gross_qty, gross_cost = _EXACT.add(gross_qty, booked.qty), _EXACT.add(gross_cost, cost)
        else:
            busted_qty, busted_cost = _EXACT.add(busted_qty, booked.qty), _EXACT.add(busted_cost, cost)
    if key is not None:
        seen = seen | {key}
    claimed_qty, claimed_price = _claim(before, executions, request, event)
    ledger = Ledger(executions, seen, gross_qty, gross_cost, busted_qty, busted_cost, claimed_qty, claimed_price)
    if booked is None and claimed_qty != before.claimed_qty:
        had, had_average = _totals(before)
        total, average = _totals(ledger)
        if total > had:
            booked = Execution(
                f"inferred:{event.broker_order_id}:{total.normalize():f}",
                total - had,
                _missing_price(had, had_average, total, average) or event.price or ZERO,
                event.at,
            )
    return ledger, booked


def _execution(ledger: Ledger, event: OrderEvent) -> Execution | None:
    """The execution that the news itself carries."""
    if event.kind is EventKind.FILL and event.qty is not None and event.price is not None:
        execution_id = event.execution_id or f"fill:{event.broker_order_id}:{event.at.isoformat()}:{event.qty}@{event.price}"
        return Execution(execution_id, event.qty, event.price, event.at)
    if event.kind is EventKind.BUST and event.busts is not None:
        original = ledger.executions.get(event.busts)
        qty = event.qty if event.qty is not None else original.qty if original else ZERO
        price = event.price if event.price is not None else original.price if original else ZERO
        return Execution(event.execution_id or f"bust:{event.busts}", -abs(qty), price, event.at, busts=event.busts)
    return None


def _claim(before: Ledger, executions: Mapping[str, Execution], request: OrderRequest, event: OrderEvent) -> tuple[Decimal, Decimal | None]:
    """The broker's highest running total and its price, kept gross of busts, so that a bust lowers the total whichever comes first."""
    claimed, price = event.filled_qty, event.filled_avg_price
    if claimed is None and event.status is State.FILLED:
        # "Filled" is itself a running total, and one that no bust has lowered.
        claimed, price = request.qty, None
    elif claimed is not None and before.busted_qty:
        entries = executions.values()
        busted = sum((-entry.qty for entry in entries if entry.busts is not None and entry.at <= event.at), start=ZERO)
        claimed, price = _EXACT.add(claimed, busted), None if busted else price
    if claimed is None or claimed < before.claimed_qty or (claimed == before.claimed_qty and before.claimed_price is not None):
        return before.claimed_qty, before.claimed_price
    return claimed, price


def _totals(ledger: Ledger) -> tuple[Decimal, Decimal | None]:
    """Cumulative quantity and average price: the executions, or the broker's running total where it is ahead of them."""
    gross, cost = ledger.gross_qty, ledger.gross_cost
    if ledger.claimed_qty > gross:
        if ledger.claimed_price is not None:
            cost = _EXACT.multiply(ledger.claimed_qty, ledger.claimed_price)
        elif gross:
            cost = _AVERAGE.divide(_EXACT.multiply(cost, ledger.claimed_qty), gross)
        else:
            return max(_EXACT.add(ledger.claimed_qty, ledger.busted_qty), ZERO), None
        gross = ledger.claimed_qty
    net = _EXACT.add(gross, ledger.busted_qty)
    if net <= 0:
        # A bust that overtakes its fill takes back nothing yet.
        return ZERO, None
    return net, _AVERAGE.divide(_EXACT.add(cost, ledger.busted_cost), net).normalize(_AVERAGE)


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
        return state, rule if rule in (Rule.SAME, Rule.BOOKED) else Rule.ILLEGAL
    if rule is Rule.REMAINDER:
        return State.CANCELED, rule
    if state is State.REJECTED and target is State.PARTIAL_FILL and order.ended_at is not None and event.at <= order.ended_at:
        return State.CANCELED, Rule.REMAINDER
    return target, rule


def _allows(rule: Rule, state: State, target: State, source: Source, *, booked: bool) -> bool:
    if rule is Rule.NORMAL:
        return _may_say(source, state, target)
    if rule is Rule.EVIDENCE:
        return source is Source.PROOF if target is State.FAILED else source.is_reconciliation
    if rule is Rule.REMAINDER:
        return source is Source.PROOF if target is State.FAILED else source is not Source.LOCAL
    return rule is Rule.MONEY and booked


def _may_say(source: Source, state: State, target: State) -> bool:
    """Who may set what: we begin an order and may end it while nothing was sent; the rest is the broker's word."""
    if source is Source.LOCAL:
        return target is State.SUBMITTED or state is State.PENDING
    if source is Source.PROOF:
        return target is State.FAILED
    return True


def _attributes(order: Order, state: State, event: OrderEvent, chain: tuple[str, ...], *, is_stale: bool) -> dict[str, Any]:
    """What else the news says about the order, apart from its state and its money."""
    changes: dict[str, Any] = {"broker_ids": chain}
    from_broker = event.source not in (Source.LOCAL, Source.PROOF)
    is_present = event.broker_order_id is None or event.broker_order_id == chain[-1]
    if from_broker and event.raw_status is not None and is_present and not is_stale:
        changes["raw_status"] = event.raw_status
    if event.kind is EventKind.IN_DOUBT:
        changes["in_doubt"] = state is State.SUBMITTED and not order.broker_ids
    elif event.source is not Source.LOCAL:
        changes["in_doubt"] = False
    match event.kind:
        case EventKind.CANCEL_REQUESTED:
            changes["cancel_requested_at"] = None if state.is_terminal else order.cancel_requested_at or event.at
        case EventKind.CANCEL_REFUSED:
            changes["cancel_requested_at"] = None
        case EventKind.REPLACE_REQUESTED:
            changes["replacement"] = event.request
        case EventKind.REPLACED | EventKind.REPLACE_REFUSED:
            changes["replacement"] = None
    if state is not order.state:
        ended = state.is_terminal
        changes["ended_at"] = event.at if ended else None
        changes["reason"] = _reason(order, state, event) if ended else None
        changes["origin"] = (event.origin or ("broker" if from_broker else "local")) if ended else None
        if ended:
            changes["replacement"] = None
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
    if event.kind is EventKind.REPLACED and order.replacement is not None:
        return order.replacement
    told_by_broker = event.source in (Source.STREAM, Source.LOOKUP, Source.LISTING)
    if event.request is None or not told_by_broker or len(chain) < 2 or event.broker_order_id != chain[-1]:
        return order.request
    if event.kind is EventKind.REPLACE_REFUSED:
        return order.request
    return merge_terms(
        order.request,
        qty=event.request.qty,
        limit_price=event.request.limit_price,
        stop_price=event.request.stop_price,
        time_in_force=event.request.time_in_force,
    )


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
    if before.state in (State.REJECTED, State.FAILED) and after.state is not State.CANCELED:
        return f"order {after.local_id} was {before.state} and has been filled with {booked.qty} @ {booked.price}"
    if after.qty is not None and after.filled_qty > after.qty:
        return f"order {after.local_id} is filled with {after.filled_qty}, more than its {after.qty}"
    return None
