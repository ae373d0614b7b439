"""Orders of several option legs: what makes one, and that a record of one gives it back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker_core.option_orders import MultiLegOrder, OptionLeg, PositionIntent
from broker_core.order_terms import as_terms, from_terms
from broker_core.requests import LimitOrder, OrderClass, OrderType, Side, TimeInForce

CALL, HIGHER_CALL = "AAPL241213C00250000", "AAPL241213C00260000"
SPREAD = (OptionLeg(CALL, "buy", position_intent="buy_to_open"), OptionLeg(HIGHER_CALL, "sell", position_intent="sell_to_open"))


def spread(**changed: Any) -> MultiLegOrder:
    """A call spread with some of its terms changed."""
    return MultiLegOrder("AAPL", **{"qty": 3, "legs": SPREAD, "limit_price": "1.25", **changed})


def test_a_spread_keeps_its_terms_and_its_type_follows_from_its_price():
    """With a net price it is a limit order, without one a market order; a credit is a price below zero."""
    order = spread()

    assert (order.order_class, order.order_type, order.qty, order.limit_price) == (OrderClass.MLEG, OrderType.LIMIT, 3, Decimal("1.25"))
    assert order.legs[0].position_intent is PositionIntent.BUY_TO_OPEN
    assert spread(limit_price=None).order_type is OrderType.MARKET
    assert spread(limit_price="-0.40").limit_price == Decimal("-0.40")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"legs": SPREAD[:1]}, "legs: 1 of them; a multi-leg order has 2 to 4"),
        ({"legs": SPREAD * 2}, "name one contract twice"),
        ({"legs": [OptionLeg(CALL, "buy", 2), OptionLeg(HIGHER_CALL, "sell", 4)]}, "have a common divisor"),
        ({"legs": ["AAPL"]}, "are not OptionLeg objects"),
        ({"qty": None}, "give a whole number of units"),
        ({"qty": None, "notional": 5}, "give a whole number of units"),
        ({"qty": "1.5"}, "is not a whole number of units"),
        ({"qty": 0}, "is not above zero"),
        ({"extended_hours": True}, "regular hours only"),
        ({"time_in_force": "ioc"}, "use day or gtc"),
        ({"order_class": "bracket"}, "it has legs and nothing else"),
        ({"strategy": ""}, "strategy"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(changed: dict[str, Any], said: str):
    """Each rule is named in the error."""
    with pytest.raises(ValueError, match=said):
        spread(**changed)


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"ratio_qty": "0.5"}, "is not a whole number"),
        ({"ratio_qty": 0}, "is not above zero"),
        ({"position_intent": "sell_to_open"}, "on a leg to buy"),
        ({"position_intent": "hold"}, "is not one of buy_to_open"),
    ],
)
def test_a_leg_that_makes_no_sense_is_refused(terms: dict[str, Any], said: str):
    """A leg names what is wrong with it."""
    with pytest.raises(ValueError, match=said):
        OptionLeg(CALL, "buy", **terms)


def test_other_orders_are_no_multi_leg_orders():
    """The class is refused where there can be no legs."""
    with pytest.raises(ValueError, match="use MultiLegOrder"):
        LimitOrder("AAPL", "buy", qty=1, limit_price=1, order_class="mleg")


@given(
    ratios=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    qty=st.integers(1, 1000),
    price=st.none() | st.decimals("-100", "100", places=2),
    time_in_force=st.sampled_from([TimeInForce.DAY, TimeInForce.GTC]),
    strategy=st.none() | st.just("spread"),
    data=st.data(),
)
def test_a_record_gives_back_the_same_order(ratios, qty, price, time_in_force, strategy, data):
    """Terms are plain values, and the order made of them is equal."""
    # One leg of ratio 1 keeps the ratios in lowest terms.
    legs = [
        OptionLeg(f"{CALL}{number}", side, ratio, data.draw(st.sampled_from([None, f"{side}_to_open", f"{side}_to_close"])))
        for number, ratio in enumerate([1, *ratios])
        for side in [data.draw(st.sampled_from(list(Side)))]
    ]
    order = MultiLegOrder("AAPL", qty=qty, legs=legs, limit_price=price, time_in_force=time_in_force, strategy=strategy)

    assert from_terms(as_terms(order)) == order
