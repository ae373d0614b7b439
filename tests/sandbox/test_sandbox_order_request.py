"""What ``POST /v2/orders`` takes and what it refuses, in which words."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sandboxes import Visitor, sandbox

from broker_core.requests import OrderClass, OrderRequest, OrderType, Side, TimeInForce
from broker_demo.sandbox.answers import Refused
from broker_demo.sandbox.server import Sandbox
from broker_demo.sandbox.trading.body import amount, flag
from broker_demo.sandbox.trading.order_request import order_request

FIELD, RULE, FORBIDDEN = (422, 40010001), (422, 42210000), (403, 40310000)
EXITS = {"take_profit": {"limit_price": "400"}, "stop_loss": {"stop_price": "100"}}
BRACKET = {"order_class": "bracket", **EXITS}
FRACTIONAL = {"type": "limit", "limit_price": "200"}

REFUSALS: dict[str, tuple[dict[str, Any], tuple[int, int], str]] = {
    "no symbol": ({"symbol": None}, FIELD, "symbol is required"),
    "a number for a symbol": ({"symbol": 5}, FIELD, "invalid symbol"),
    "unknown symbol": ({"symbol": "FACEBOOK"}, FIELD, 'could not find asset "FACEBOOK"'),
    "an option": ({"symbol": "AAPL250620C00100000"}, FORBIDDEN, "us_option orders not allowed for account"),
    "several legs": ({"order_class": "mleg", "symbol": None, "legs": []}, FORBIDDEN, "us_option orders not allowed for account"),
    "no size": ({"qty": None}, FIELD, "qty or notional is required"),
    "two sizes": ({"notional": "5"}, FIELD, "only one of qty or notional is accepted"),
    "no shares": ({"qty": 0}, FIELD, "qty must be > 0"),
    "shares below zero": ({"qty": "-1"}, FIELD, "qty must be > 0"),
    "a word for shares": ({"qty": "many"}, FIELD, "invalid qty"),
    "a flag for shares": ({"qty": True}, FIELD, "invalid qty"),
    "a list for shares": ({"qty": [1]}, FIELD, "invalid qty"),
    "shares beyond measure": ({"qty": "1e40"}, FIELD, "invalid qty"),
    "shares finer than measure": ({"qty": "0.0000000001"}, RULE, "qty must be limited to 9 decimal places"),
    "a small amount": ({"qty": None, "notional": "0.99"}, FIELD, "notional must be >= 1.00"),
    "no side": ({"side": None}, FIELD, "side is required"),
    "an unknown side": ({"side": "hold"}, FIELD, "invalid side"),
    "an object for a side": ({"side": {}}, FIELD, "invalid side"),
    "no type": ({"type": None}, FIELD, "type is required"),
    "an unknown type": ({"type": "iceberg"}, FIELD, "invalid type"),
    "no time in force": ({"time_in_force": None}, FIELD, "time_in_force is required"),
    "an unknown time in force": ({"time_in_force": "gtx"}, FIELD, "invalid time_in_force"),
    "an unknown class": ({"order_class": "pair"}, FIELD, "invalid order_class"),
    "a market order with a limit": ({"limit_price": "5"}, FIELD, "market orders require no stop or limit price"),
    "a limit order without one": ({"type": "limit"}, FIELD, "limit orders require a limit price"),
    "a limit order with a stop": ({**FRACTIONAL, "stop_price": "5"}, FIELD, "limit orders require only limit price"),
    "a stop order without one": ({"type": "stop"}, FIELD, "stop orders require a stop price"),
    "half a stop-limit order": ({"type": "stop_limit", "stop_price": 5}, FIELD, "stop limit orders require both stop and limit price"),
    "a limit of zero": ({"type": "limit", "limit_price": 0}, FIELD, "limit price must be > 0"),
    "a limit between two cents": (
        {"type": "limit", "limit_price": "290.123"},
        RULE,
        "invalid limit_price 290.123. sub-penny increment does not fulfill minimum pricing criteria",
    ),
    "a stop between two cents": (
        {"type": "stop", "stop_price": 290.123},
        RULE,
        "invalid stop_price 290.123. sub-penny increment does not fulfill minimum pricing criteria",
    ),
    "a fraction until cancelled": ({**FRACTIONAL, "qty": "0.5", "time_in_force": "gtc"}, RULE, "fractional orders must be DAY orders"),
    "a fraction in a group": ({**BRACKET, "qty": "0.5"}, RULE, "fractional orders must be simple orders"),
    "an amount in a group": ({**BRACKET, "qty": None, "notional": "50"}, RULE, "fractional orders must be simple orders"),
    "exits of an order alone": (EXITS, RULE, "simple orders must not have take_profit or stop_loss"),
    "a bracket without a gain": ({**BRACKET, "take_profit": None}, RULE, "bracket orders require take_profit.limit_price"),
    "a bracket with an empty gain": ({**BRACKET, "take_profit": {}}, RULE, "bracket orders require take_profit.limit_price"),
    "a bracket without a loss": ({**BRACKET, "stop_loss": None}, RULE, "bracket orders require stop_loss.stop_price"),
    "a bracket with a word for a gain": ({**BRACKET, "take_profit": "yes"}, FIELD, "invalid take_profit"),
    "a bracket with a gain in words": ({**BRACKET, "take_profit": {"limit_price": "up"}}, FIELD, "invalid take_profit.limit_price"),
    "a bracket for an instant": ({**BRACKET, "time_in_force": "ioc"}, RULE, "bracket orders must be DAY or GTC orders"),
    "a bracket upside down": (
        {**BRACKET, "take_profit": {"limit_price": 90}},
        RULE,
        "take_profit.limit_price must be > stop_loss.stop_price",
    ),
    "a bracket without room": (
        {**BRACKET, "take_profit": {"limit_price": "100.00"}},
        RULE,
        "take_profit.limit_price must be > stop_loss.stop_price",
    ),
    "a short bracket without room": (
        {**BRACKET, "side": "sell", "stop_loss": {"stop_price": "400.00"}},
        RULE,
        "take_profit.limit_price must be < stop_loss.stop_price",
    ),
    "an oco with a stop of its own": (
        {**EXITS, "order_class": "oco", "type": "limit", "limit_price": 400, "stop_price": 100},
        FIELD,
        "limit orders require only limit price",
    ),
    "an oto with both exits": (
        {**EXITS, "order_class": "oto"},
        RULE,
        "oto orders require either take_profit.limit_price or stop_loss.stop_price",
    ),
    "an oco at the market": ({**EXITS, "order_class": "oco"}, RULE, "oco orders must be limit orders"),
    "an oco that enters": ({**EXITS, "order_class": "oco", "type": "limit", "side": "sell"}, RULE, "oco orders must be exit orders"),
    "a trail without a distance": (
        {"type": "trailing_stop"},
        FIELD,
        "trailing stop orders must specify one of trail_price or trail_percent",
    ),
    "a trail with a limit": (
        {"type": "trailing_stop", "trail_price": 1, "limit_price": 5},
        FIELD,
        "trailing stop orders require no stop or limit price",
    ),
    "a trail of everything": ({"type": "trailing_stop", "trail_percent": "100"}, FIELD, "trail percent must be < 100"),
    "a trail for an instant": (
        {"type": "trailing_stop", "trail_price": 1, "time_in_force": "ioc"},
        RULE,
        "trailing stop orders must be DAY or GTC orders",
    ),
    "a trail in a group": ({**BRACKET, "type": "trailing_stop", "trail_price": 1}, RULE, "trailing stop orders must be simple orders"),
    "a distance without a trail": ({"trail_price": 1}, FIELD, "trail_price and trail_percent are only for trailing stop orders"),
    "a stop at the open": ({"type": "stop", "stop_price": 500, "time_in_force": "opg"}, RULE, "stop orders must be DAY or GTC orders"),
    "a market order at night": ({"extended_hours": True}, RULE, "extended hours order must be DAY or GTC limit orders"),
    "an instant at night": (
        {**FRACTIONAL, "extended_hours": "True", "time_in_force": "ioc"},
        RULE,
        "extended hours order must be DAY or GTC limit orders",
    ),
    "a group at night": ({**BRACKET, **FRACTIONAL, "extended_hours": True}, RULE, "extended hours orders must be simple orders"),
    "a number for night": ({**FRACTIONAL, "extended_hours": 7}, FIELD, "invalid extended_hours"),
    "a number for an id": ({"client_order_id": 7}, FIELD, "invalid client_order_id"),
    "a long id": ({"client_order_id": "x" * 129}, FIELD, "client_order_id must be no more than 128 characters"),
}


def body(**terms: Any) -> dict[str, Any]:
    """Buy one AAPL at the market, but for these terms; None leaves a member out."""
    told = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day", **terms}
    return {name: value for name, value in told.items() if value is not None}


async def test_every_senseless_order_is_refused_in_alpacas_words(visitor: Visitor):
    """Each refusal has its status, its code and its message, and no order comes to exist."""
    answered = {}
    for name, (terms, _, _) in REFUSALS.items():
        reply = await visitor.post("/v2/orders", body(**terms))
        answered[name] = ((reply.status, reply.json["code"]), reply.json["message"])

    assert answered == {name: (numbers, message) for name, (_, numbers, message) in REFUSALS.items()}
    assert not visitor.box.desk.exchange.orders()


async def test_bodies_that_are_no_object_cannot_be_decoded(visitor: Visitor):
    """Broken JSON and JSON of another kind are a 400."""
    for sent in (b"{", b"[]", b"7", b"\xff"):
        reply = await visitor.post("/v2/orders", sent)
        assert (reply.status, reply.json) == (400, {"code": 40010000, "message": "failed to decode request body"})


async def test_wire_terms_become_the_request_they_mean(box: Sandbox):
    """Numbers and texts, any letters in flags, ids and pairs without a slash, members that mean nothing here."""

    def read(**terms: Any) -> OrderRequest:
        return order_request(box.desk, body(**terms))[0]

    asset_id = (await _asset(box, "AAPL"))["id"]
    assert read(symbol=asset_id) == read(order_class="simple", take_profit=None, position_intent="buy_to_open", surprise=[1]) == read()
    assert read(symbol="BTCUSD").symbol == read(symbol="BTC/USD").symbol == "BTC/USD"
    assert read(type="limit", limit_price=230.1, qty=2) == read(type="limit", limit_price="230.10", qty="2.0")
    assert read(type="limit", limit_price=1, extended_hours="TRUE").extended_hours
    assert read(notional=25.5, qty=None).notional == read(notional="25.50", qty="").notional
    oco = read(side="sell", type="limit", order_class="oco", **EXITS)
    assert (oco.limit_price, oco.stop_loss.stop_price if oco.stop_loss else None) == (400, 100)
    trail = read(type="trailing_stop", trail_percent="2.5")
    assert (trail.order_type, trail.trail_percent, trail.trail_price) == (OrderType.TRAILING_STOP, Decimal("2.5"), None)


async def _asset(box: Sandbox, symbol: str) -> Any:
    async with Visitor(box) as visitor:
        return (await visitor.get(f"/v2/assets/{symbol}")).json


async def test_id_may_have_128_characters(visitor: Visitor):
    """The longest client order id is taken as it is."""
    assert (await visitor.order(client_order_id="x" * 128))["client_order_id"] == "x" * 128


@pytest.mark.parametrize("text", ["\u0661", "1_0", " 1", "0x1", "nan", "Infinity", "1e999999", "--1", ".", "1,5"])
def test_what_only_python_takes_for_a_number_is_none(text: str):
    """The wire's numbers are JSON's: other digits, underscores, blanks and words are refused."""
    with pytest.raises(Refused, match="invalid qty"):
        amount({"qty": text}, "qty")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["limit_price", "stop_price"]), inner, max_size=2),
    max_leaves=3,
)
words = [*OrderClass, *OrderType, *Side, *TimeInForce, "AAPL", "BTCUSD", "1", "0.5", "300"]
members = st.sampled_from(
    [
        *("symbol", "qty", "notional", "side", "type", "time_in_force", "limit_price", "stop_price", "trail_price"),
        *("trail_percent", "extended_hours", "order_class", "take_profit", "stop_loss", "client_order_id", "legs"),
    ]
)


@given(bodies=st.lists(st.dictionaries(members, anything | st.sampled_from(words), max_size=6), min_size=10, max_size=20))
@settings(max_examples=8, deadline=None)
async def test_no_body_is_too_strange_to_be_answered(bodies: list[dict[str, Any]]):
    """Whatever the members are, the answer is an order or a refusal with a code, never a failure of the server."""
    async with sandbox() as box, Visitor(box) as visitor:
        for terms in bodies:
            reply = await visitor.post("/v2/orders", {**body(), **terms})
            assert reply.status in (200, 400, 403, 422), (terms, reply)
            assert "id" in reply.json or isinstance(reply.json["code"], int)


def test_flags_come_in_any_letters():
    """True and false as booleans and as words; anything else is refused."""
    assert [flag({"on": value}, "on") for value in (True, "true", "True", "TRUE", False, "False", "", None)] == [True] * 4 + [False] * 4
    for value in ("yes", 1, [], {}):
        with pytest.raises(Refused, match="invalid on"):
            flag({"on": value}, "on")
