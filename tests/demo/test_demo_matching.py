"""One order against one tick."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker_core.order_terms import order_request
from broker_core.requests import (
    LimitOrder,
    MarketOrder,
    OrderType,
    Side,
    StopLimitOrder,
    StopOrder,
    TimeInForce,
    TrailingStopOrder,
)
from broker_demo import assets
from broker_demo.matching import exact, execution_price, fillable, is_triggered, is_whole, stop_price, watermark
from broker_demo.paper_order import PaperOrder, Status
from broker_demo.prices import Tick

D = Decimal


def quote(price, spread=1):
    cents = round(price * 100)
    return exact(Tick(1, cents / 100, 5, (cents - spread) / 100, (cents + spread) / 100, 100, 200))


def paper(request, **terms):
    terms = {"status": Status.NEW, "created_ns": 0, "updated_ns": 0, "works_from_ns": 0, "expires_ns": None, "opens": True, **terms}
    return PaperOrder(order_id="O", client_order_id="C", request=request, reserve_price=D(1), **terms)


def test_tick_is_read_by_its_shortest_text():
    """A tick's floats become the decimals a person would write."""
    seen = exact(Tick(7, 0.1, 3, 1.10, 290.12, 100, 200))

    assert (seen.at_ns, seen.price, seen.bid, seen.ask) == (7, D("0.1"), D("1.1"), D("290.12"))
    assert (seen.bid_size, seen.ask_size) == (100, 200)


@pytest.mark.parametrize(
    ("side", "limit", "expected"), [("buy", "10.01", "10.01"), ("buy", "10.00", None), ("sell", "9.99", "9.99"), ("sell", "10.00", None)]
)
def test_limit_is_compared_with_the_other_side(side, limit, expected):
    """A limit buy trades at the ask if that is its limit or less, a limit sell at the bid if that is its limit or more."""
    assert execution_price(LimitOrder("A", side, qty=1, limit_price=limit), quote(10)) == (expected and D(expected))


def test_market_order_takes_the_touch():
    """A market order trades at the other side's quote."""
    assert execution_price(MarketOrder("A", "buy", qty=1), quote(10)) == D("10.01")
    assert execution_price(MarketOrder("A", "sell", qty=1), quote(10)) == D("9.99")


def test_watermark_of_a_seller_only_rises_and_of_a_buyer_only_falls():
    """The watermark begins with the first price and then moves one way."""
    sell, buy = TrailingStopOrder("A", "sell", qty=1, trail_price=1), TrailingStopOrder("A", "buy", qty=1, trail_price=1)

    assert watermark(sell, None, D(10)) == watermark(buy, None, D(10)) == 10
    assert (watermark(sell, D(10), D(11)), watermark(sell, D(10), D(9))) == (11, 10)
    assert (watermark(buy, D(10), D(11)), watermark(buy, D(10), D(9))) == (10, 9)


def test_stop_of_a_trailing_order_lies_at_its_distance():
    """The stop lies an amount or a share of the watermark away from it, on the side of the loss."""
    assert stop_price(TrailingStopOrder("A", "sell", qty=1, trail_price=1), D(10)) == 9
    assert stop_price(TrailingStopOrder("A", "buy", qty=1, trail_percent=10), D(10)) == 11
    assert stop_price(TrailingStopOrder("A", "sell", qty=1, trail_percent="0.5"), D("33.33")) == D("33.1634")


def test_stops_of_other_orders():
    """A stop order's stop is its own price; an order without a stop has none."""
    assert stop_price(StopOrder("A", "sell", qty=1, stop_price=9), None) == 9
    assert stop_price(MarketOrder("A", "sell", qty=1), None) is None


def test_triggered_stop_stays_triggered():
    """Once reached, a stop does not come back when the price does."""
    order = paper(StopLimitOrder("A", "sell", qty=1, stop_price=9, limit_price=8))

    assert [is_triggered(order, D(price)) for price in (10, 9, 10)] == [False, True, True]


def test_order_without_stop_needs_no_trigger():
    """Market and limit orders are always live."""
    assert is_triggered(paper(MarketOrder("A", "buy", qty=1)), D(1))


def test_fok_takes_all_or_nothing_of_what_is_displayed():
    """Fill-or-kill trades only if the whole quantity is displayed."""
    order = paper(MarketOrder("A", "buy", qty=10, time_in_force="fok"))

    assert fillable(order, D(1), D(9)) == 0
    assert fillable(order, D(1), D(10)) == 10


@pytest.mark.parametrize(("qty", "piece"), [("10", "3"), ("1", "1"), ("0.5", "0.125"), ("4", "1")])
def test_pieces_are_quarters(qty, piece):
    """The symbol that fills in pieces gives a quarter of the order at a time, in whole shares where the order is."""
    order = paper(MarketOrder(assets.PARTIAL, "buy", qty=qty))

    assert fillable(order, D(100), D(1000)) == D(piece)


def test_pieces_of_an_order_by_amount():
    """An order by amount comes in quarters of the shares it buys."""
    order = paper(MarketOrder(assets.PARTIAL, "buy", notional="400"))

    assert fillable(order, D(100), D(1000)) == 1


def test_whole_numbers_of_shares():
    """Whole is what has no part of a share, however it is written."""
    assert is_whole(D("10.00"))
    assert not is_whole(D("10.01"))


prices = st.integers(100, 10_000).map(lambda cents: D(cents) / 100)
sides = st.sampled_from(Side)
quotes = st.builds(quote, st.integers(100, 10_000).map(lambda cents: cents / 100), st.integers(1, 20))


@given(sides, prices, quotes)
def test_no_order_trades_beyond_its_limit(side, limit, seen):
    """Whatever the quote, a limit order's price is its limit or better, and it trades whenever the quote allows it."""
    price = execution_price(LimitOrder("A", side, qty=1, limit_price=limit), seen)

    allowed = seen.ask <= limit if side is Side.BUY else seen.bid >= limit
    assert (price is not None) == allowed
    if price is not None:
        assert price <= limit if side is Side.BUY else price >= limit


@given(
    st.sampled_from([OrderType.MARKET, OrderType.LIMIT]),
    st.sampled_from([TimeInForce.DAY, TimeInForce.IOC, TimeInForce.FOK]),
    st.decimals("0.01", "1000", places=2),
    st.decimals(0, "1000", places=2),
    st.integers(0, 500),
    st.sampled_from(["A", assets.PARTIAL]),
)
def test_nothing_fills_beyond_its_rest_or_the_display(kind, time_in_force, qty, filled, displayed, symbol):
    """A fill is never more than what is still to be filled, nor than what is displayed, nor below zero."""
    terms = {"limit_price": 1} if kind is OrderType.LIMIT else {}
    order = paper(order_request(kind, symbol, "buy", qty=qty, time_in_force=time_in_force, **terms), filled_qty=min(filled, qty))

    traded = fillable(order, D(1), D(displayed))

    assert 0 <= traded <= min(qty - order.filled_qty, displayed)


@given(sides, st.lists(prices, min_size=2), st.decimals("0.01", "5", places=2))
def test_trailing_stop_triggers_at_its_distance_from_the_best_price(side, path, trail):
    """A trailing stop triggers at the first price that is its distance away from the best price before it, and not earlier."""
    order = paper(TrailingStopOrder("A", side, qty=1, trail_price=trail))
    best = max if side is Side.SELL else min

    triggered = [is_triggered(order, price) for price in path]

    expected = [abs(best(path[: place + 1]) - price) >= trail for place, price in enumerate(path)]
    assert triggered == [any(expected[: place + 1]) for place in range(len(path))]
