"""The passing of time on the trading floor, where the exchange's own tests do not look."""

from __future__ import annotations

from decimal import Decimal

from broker_core.clock import from_ns
from broker_core.requests import LimitOrder, MarketOrder, StopLoss
from broker_demo.paper_order import Status

D = Decimal


def test_ticks_of_several_symbols_happen_in_order_of_time(market):
    """However ticks were written, orders in different symbols are filled by the order of the ticks' times."""
    start = market.exchange.now_ns
    first = market.submit(LimitOrder("XYZ", "buy", qty=1, limit_price="90"))
    second = market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="90"))
    market.write(80, symbol="ABC", at_ns=start + 2)
    market.write(80, symbol="XYZ", at_ns=start + 1)

    market.exchange.advance(start + 10)

    filled = [event.broker_order_id for event in market.events if event.raw_status == "filled"]
    assert filled == [first.order_id, second.order_id]


def test_bells_ring_between_ticks(market, at):
    """An order that expires before the tick that would have filled it stays unfilled, also when both lie in one step of time."""
    order = market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="90", extended_hours=True))
    market.write(80, at_ns=at(2, 21))

    market.exchange.advance(at(3, 15))

    assert (order.status, order.filled_qty) == (Status.EXPIRED, 0)


def test_event_tells_the_moment_of_its_tick(market):
    """A fill's time is that of the tick, not of the call that noticed it."""
    market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="90"))
    at_ns = market.write(80)

    market.exchange.advance(at_ns + 3_600_000_000_000)

    assert market.events[-1].at == from_ns(at_ns)


def test_order_for_the_open_out_of_a_working_one_waits_again(market, at):
    """An order whose time in force becomes the open is accepted again, and expires no more at today's close."""
    order = market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="90"))

    new = market.replace(order, time_in_force="opg")
    assert new.status is Status.ACCEPTED
    market.exchange.advance(at(2, 21, 30))
    assert new.is_open
    market.tick(80, at_ns=at(3, 14, 30))

    assert new.status is Status.FILLED


def test_exits_take_over_the_time_in_force_of_their_entry(market, at):
    """An entry made good till cancelled takes its waiting exits along."""
    entry = market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="90", order_class="oto", stop_loss=StopLoss("80")))

    entry = market.replace(entry, time_in_force="gtc")
    market.exchange.advance(at(3, 15))

    assert [order.is_open for order in (entry, *market.exchange.legs(entry))] == [True, True]


def test_market_that_has_ended_for_good_holds_orders(market, at):
    """After the last session there is no next moment; an order is accepted and waits."""
    market.exchange.advance(at(7, 12))
    order = market.submit(MarketOrder("ABC", "buy", qty=1))
    market.settle()

    assert order.status is Status.ACCEPTED
    assert market.exchange.next_moment() == 2**63 - 1


def test_order_for_the_close_of_a_session_without_a_quote_is_cancelled(market, at):
    """Where the session had no tick there is nothing to trade against at its close."""
    market.exchange.advance(at(3, 15))
    order = market.submit(MarketOrder("ABC", "buy", qty=1, time_in_force="cls"))

    market.exchange.advance(at(3, 21))

    assert (order.status, order.filled_qty) == (Status.CANCELED, 0)


def test_tick_without_size_fills_nothing(market):
    """A side that displays nothing trades nothing, and an immediate order ends."""
    market.tick(100, ask_size=0)
    waiting = market.submit(MarketOrder("ABC", "buy", qty=1))
    at_once = market.submit(MarketOrder("ABC", "buy", qty=1, time_in_force="ioc"))
    market.settle()

    assert (waiting.status, at_once.status) == (Status.NEW, Status.CANCELED)
