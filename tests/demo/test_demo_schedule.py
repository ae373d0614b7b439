"""When orders work, and the bells."""

from __future__ import annotations

import pytest

from broker_core.requests import LimitOrder
from broker_demo.schedule import Bell, Bells, Schedule
from broker_demo.trading_hours import NEVER_NS, AlwaysOpen


def order(**terms):
    return LimitOrder("ABC", "buy", qty=1, limit_price=1, **terms)


@pytest.fixture
def schedule(market):
    return Schedule(market.prices.hours)


def test_session_is_the_stretch_around_a_moment(schedule, at):
    """A moment's session is the open stretch that holds it, or the closed one; ends belong to what follows."""
    for _ in range(2):
        noon = schedule.at(at(3, 17))
        assert (noon.start_ns, noon.end_ns, noon.is_open) == (at(3, 14, 30), at(3, 21), True)
        night = schedule.at(at(3, 21))
        assert (night.start_ns, night.end_ns, night.is_open) == (at(3, 21), at(4, 14, 30), False)
    before = schedule.at(at(1, 0))
    assert (before.start_ns, before.end_ns, before.is_open) == (0, at(2, 14, 30), False)


@pytest.mark.parametrize(
    ("terms", "now", "works_from", "expires"),
    [
        ({}, (3, 17), (3, 17), (3, 21)),
        ({}, (3, 22), (4, 14, 30), (4, 21)),
        ({"time_in_force": "gtc"}, (3, 22), (4, 14, 30), None),
        ({"time_in_force": "ioc"}, (3, 17), (3, 17), (3, 21)),
        ({"time_in_force": "cls"}, (3, 17), (3, 17), (3, 21)),
        ({"time_in_force": "opg"}, (3, 17), (4, 14, 30), (4, 21)),
        ({"time_in_force": "opg"}, (3, 12), (3, 14, 30), (3, 21)),
        ({"extended_hours": True}, (3, 22), (3, 22), (4, 21)),
    ],
)
def test_when_an_order_works(schedule, at, terms, now, works_from, expires):
    """An order works from now on or from the open it waits for, to the close of that session or for ever."""
    assert schedule.span(order(**terms), at(*now)) == (at(*works_from), None if expires is None else at(*expires))


def test_market_that_never_closes_has_midnights(at):
    """Round the clock, a day order lives until midnight in New York, and an order for the open waits for that."""
    schedule = Schedule(AlwaysOpen())

    assert schedule.span(order(), at(3, 17)) == (at(3, 17), at(4, 5))
    assert schedule.span(order(time_in_force="opg"), at(3, 17)) == (at(4, 5), at(5, 5))


def test_bells_ring_in_order():
    """Bells come in order of time; at one moment ends come before the close, and the close before beginnings."""
    bells = Bells()
    for at_ns, bell, order_id in [(5, Bell.OPEN, "c"), (5, Bell.CLOSE, ""), (7, Bell.END, "d"), (5, Bell.END, "a"), (5, Bell.END, "b")]:
        bells.set(at_ns, bell, order_id)
    assert bells.next_ns == 5

    rung = [bells.ring() for _ in range(5)]

    assert [(at_ns, order_id) for at_ns, _, order_id in rung] == [(5, "a"), (5, "b"), (5, ""), (5, "c"), (7, "d")]


def test_bell_at_the_end_of_time_is_not_set():
    """A moment that never comes sets no bell."""
    bells = Bells()
    bells.set(NEVER_NS, Bell.CLOSE)

    assert bells.next_ns == NEVER_NS
