"""What is true of every order at every broker, whatever became of it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from itertools import pairwise

from broker_core.lifecycle import TABLE, Rule
from broker_core.orders import ZERO, EventKind, Order, OrderChange, Source, State

_EXACT = Context(prec=200)
_AVERAGE = Context(prec=28)


def check_history(changes: Sequence[OrderChange]) -> None:
    """The whole history of one order of ours, oldest first, obeys the lifecycle. Raises AssertionError."""
    assert changes, "an order of ours has no history"
    first, second = changes[0], changes[1] if len(changes) > 1 else None
    assert first.event.kind is EventKind.CREATED
    assert (first.previous, first.order.state) == (None, State.PENDING)
    if second is not None and second.order.state is not State.REJECTED:
        assert (second.event.source, second.order.state) == (Source.LOCAL, State.SUBMITTED), "something came before the intent to send"
    check_steps(changes)


def check_steps(changes: Sequence[OrderChange]) -> None:
    """Changes of one order that follow each other: legal moves, totals that never go back and are the sum of what was booked."""
    for before, after in pairwise(changes):
        assert after.order.local_id == before.order.local_id
        assert after.previous is before.order.state, "a change does not begin where the one before it ended"
        rule = TABLE[before.order.state][after.order.state]
        assert rule is not Rule.ILLEGAL, f"{before.order.state} became {after.order.state}"
        if after.booked is None or after.booked.busts is None:
            assert after.order.filled_qty >= before.order.filled_qty, "a total went back"
    check_money(changes[-1].order)


def check_money(order: Order) -> None:
    """Total and average price are exact decimals, and what the executions add up to."""
    assert isinstance(order.filled_qty, Decimal)
    assert order.filled_qty >= ZERO
    assert (order.filled_avg_price is None) == (order.filled_qty == ZERO)
    if order.state is State.FILLED and order.qty is not None:
        assert order.filled_qty == order.qty
    executions = order.ledger.executions.values()
    total = sum((execution.qty for execution in executions), ZERO)
    if total == order.filled_qty and order.filled_avg_price is not None:
        cost = ZERO
        for execution in executions:
            cost = _EXACT.add(cost, _EXACT.multiply(execution.qty, execution.price))
        assert order.filled_avg_price == _AVERAGE.divide(cost, total)
    else:
        # Where only the broker's running total is known, nothing known besides may exceed it.
        assert total <= order.filled_qty
