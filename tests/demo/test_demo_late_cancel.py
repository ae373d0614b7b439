"""Cancellations that take their time: an order is at work until its own is carried out."""

from __future__ import annotations

from decimal import Decimal

import pytest

from broker_core.errors import RequestRefused
from broker_core.requests import LimitOrder, StopLoss, TakeProfit
from broker_demo.paper_order import Status

D = Decimal
SECOND_NS = 1_000_000_000


@pytest.fixture
def slow_market(market):
    """A market where each cancellation takes two seconds."""
    market.exchange.cancels_late = lambda _order: 2 * SECOND_NS
    return market


def pass_seconds(market, seconds):
    """Let time go by in which nothing is traded."""
    market.exchange.advance(market.exchange.now_ns + seconds * SECOND_NS)


def test_an_order_ends_when_its_cancellation_is_carried_out(slow_market):
    """Until then it is pending; then it is cancelled, and that moment is one the exchange stops at."""
    order = slow_market.submit(LimitOrder("ABC", "buy", qty=5, limit_price="90"))
    slow_market.settle()
    slow_market.cancel(order)
    assert (order.status, order.is_open) == (Status.PENDING_CANCEL, True)
    assert slow_market.exchange.next_moment() == slow_market.exchange.now_ns + 2 * SECOND_NS

    pass_seconds(slow_market, 1)
    assert order.status is Status.PENDING_CANCEL
    pass_seconds(slow_market, 1)

    assert order.status is Status.CANCELED
    assert slow_market.words(order) == ["new", "canceled"]


def test_a_pending_order_trades(slow_market):
    """What is filled while the cancellation is on its way stays filled; the rest is cancelled."""
    order = slow_market.submit(LimitOrder("ABC", "buy", qty=25, limit_price="99"))
    slow_market.settle()
    slow_market.cancel(order)
    slow_market.tick(98, size=10)
    assert (order.status, order.filled_qty) == (Status.PENDING_CANCEL, D(10))

    pass_seconds(slow_market, 2)

    assert (order.status, order.filled_qty) == (Status.CANCELED, D(10))


def test_a_fill_comes_before_its_cancellation(slow_market):
    """An order that is filled in the meantime is filled, and nothing is told of a cancellation."""
    order = slow_market.submit(LimitOrder("ABC", "buy", qty=5, limit_price="99"))
    slow_market.settle()
    slow_market.cancel(order)
    slow_market.tick(98)
    pass_seconds(slow_market, 2)

    assert slow_market.words(order) == ["new", "filled"]


def test_a_pending_order_can_neither_be_cancelled_nor_replaced(slow_market):
    """Both are refused in Alpaca's words."""
    order = slow_market.submit(LimitOrder("ABC", "buy", qty=5, limit_price="90"))
    slow_market.cancel(order)

    with pytest.raises(RequestRefused, match='order is already in "pending_cancel" state'):
        slow_market.cancel(order)
    with pytest.raises(RequestRefused, match="cannot replace order in pending_cancel status"):
        slow_market.replace(order, limit_price=D(91))


def test_exits_go_with_their_entry(slow_market):
    """A bracket whose entry is cancelled late is cancelled as a whole, and all at the same moment."""
    entry = slow_market.submit(
        LimitOrder("ABC", "buy", qty=5, limit_price="90", order_class="bracket", take_profit=TakeProfit(110), stop_loss=StopLoss(80))
    )
    slow_market.cancel(entry)
    legs = slow_market.exchange.legs(entry)
    assert [leg.status for leg in legs] == [Status.HELD, Status.HELD]

    pass_seconds(slow_market, 2)

    assert [leg.status for leg in (entry, *legs)] == [Status.CANCELED] * 3


def test_a_cancellation_survives_a_restart(slow_market):
    """It is part of the account: another exchange over it carries the cancellation out."""
    order = slow_market.submit(LimitOrder("ABC", "buy", qty=5, limit_price="90"))
    slow_market.cancel(order)
    slow_market.restart()

    pass_seconds(slow_market, 2)

    assert order.status is Status.CANCELED
