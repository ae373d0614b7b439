"""One order's record, and what it tells."""

from __future__ import annotations

from decimal import Decimal

import pytest

from broker_core.clock import from_ns
from broker_core.orders import EventKind, Source, State
from broker_core.requests import MarketOrder
from broker_demo.paper_order import PaperOrder, Status

D = Decimal


def paper(request=None, **terms):
    terms = {"status": Status.NEW, "created_ns": 1000, "updated_ns": 1000, "works_from_ns": 0, "expires_ns": None, "opens": True, **terms}
    request = request or MarketOrder("ABC", "buy", qty=10)
    return PaperOrder(order_id="O", client_order_id="C", request=request, reserve_price=D(5), **terms)


@pytest.mark.parametrize(
    ("status", "floor", "is_open"),
    [
        (Status.ACCEPTED, State.ACCEPTED, True),
        (Status.NEW, State.ACCEPTED, True),
        (Status.HELD, State.ACCEPTED, True),
        (Status.PARTIALLY_FILLED, State.PARTIAL_FILL, True),
        (Status.FILLED, State.FILLED, False),
        (Status.CANCELED, State.CANCELED, False),
        (Status.EXPIRED, State.EXPIRED, False),
        (Status.REJECTED, State.REJECTED, False),
        (Status.REPLACED, None, False),
    ],
)
def test_every_word_has_its_floor(status, floor, is_open):
    """Each of the broker's words is told with the state it proves, and says whether the order may still trade."""
    order = paper(status=status)

    event = order.event(EventKind.STATUS)

    assert (event.raw_status, event.status, order.is_open) == (status.value, floor, is_open)


def test_event_tells_the_whole_order():
    """News carries ids, totals, terms and the moment of the last change; further details are added or put in their place."""
    order = paper(replaces="A", reason="why")
    order.book(D(4), D("2.50"), 5000)

    event = order.event(EventKind.FILL, Source.LOOKUP, execution_id="E", qty=D(4))

    assert (event.broker_order_id, event.client_order_id, event.replaces, event.reason) == ("O", "C", "A", "why")
    assert (event.filled_qty, event.filled_avg_price, event.at) == (4, D("2.50"), from_ns(5000))
    assert (event.kind, event.source, event.execution_id, event.qty, event.request) == (
        EventKind.FILL,
        Source.LOOKUP,
        "E",
        4,
        order.request,
    )


def test_average_runs_over_all_executions():
    """The average is that of the amounts; an execution taken back leaves it as if it had not been, and none leaves none."""
    order = paper()
    order.book(D(4), D(10), 1)
    order.book(D(6), D(20), 2)
    assert (order.filled_avg_price, order.remaining(D(1))) == (16, 0)

    order.book(D(-4), D(10), 3)
    assert (order.filled_avg_price, order.remaining(D(1))) == (20, 4)
    order.book(D(-6), D(20), 4)
    assert order.filled_avg_price is None


def test_claims_shrink_with_what_is_filled():
    """What an order claims is what it may still cost or close."""
    order = paper()
    assert (order.claimed_amount, order.claimed_qty) == (50, 10)

    order.book(D(4), D(5), 1)

    assert (order.claimed_amount, order.claimed_qty) == (30, 6)


def test_amount_buys_shares_at_the_price_of_the_moment():
    """An order by amount has as many shares left as the rest of its amount buys, rounded down to a billionth."""
    order = paper(MarketOrder("ABC", "buy", notional="100"))
    order.book(D(2), D(10), 1)

    assert (order.remaining(D(30)), order.claimed_amount) == (D("2.666666666"), 80)


def test_closing_order_by_amount_stops_at_its_shares():
    """A closing order by amount has no more left than the shares it reserved."""
    order = paper(MarketOrder("ABC", "sell", notional="100"), reserve_qty=D(3))
    order.book(D(1), D(10), 1)

    assert (order.remaining(D(10)), order.claimed_qty) == (2, 2)
