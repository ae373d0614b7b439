"""Faults of requests, seen from both sides: what the client gets, and what the exchange did."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from raw_http import Outcome, raw_bytes, raw_request, until_asleep
from sandboxes import Visitor

from broker_core.clock import StillClock
from broker_demo.sandbox.faults.script import read_fault
from broker_demo.sandbox.faults.terms import POINTS, Kind, Point
from broker_demo.sandbox.server import Sandbox

ORDER = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day", "client_order_id": "mine"}
SAID = {"status": 200, "was_reset": False}
NOTHING = {"status": None, "was_reset": True}


def begin(box: Sandbox, kind: str, **terms: Any) -> None:
    """Have a fault strike from now on."""
    box.desk.faults.add(read_fault({"kind": kind, **terms}, "test"))


def orders(box: Sandbox) -> list[str]:
    """The client's ids of all orders that were taken."""
    return [order.client_order_id for order in box.desk.exchange.state.orders]


@pytest.mark.parametrize(
    ("fault", "effects", "outcome"),
    [
        ({"kind": "latency", "seconds": 0}, 1, SAID),
        ({"kind": "latency", "seconds": 0, "when": "after"}, 1, SAID),
        ({"kind": "rate_limit"}, 0, {**SAID, "status": 429}),
        ({"kind": "error"}, 0, {**SAID, "status": 500}),
        ({"kind": "error", "status": 503, "when": "after"}, 1, {**SAID, "status": 503}),
        ({"kind": "html"}, 0, {**SAID, "status": 502}),
        ({"kind": "html", "status": 504, "when": "after"}, 1, {**SAID, "status": 504}),
        ({"kind": "reset"}, 0, NOTHING),
        ({"kind": "reset", "when": "after"}, 1, NOTHING),
        ({"kind": "reset", "when": "during"}, 1, {"status": 200, "was_reset": True}),
        ({"kind": "truncated"}, 1, SAID),
        ({"kind": "empty"}, 1, SAID),
        ({"kind": "duplicate"}, 1, {**SAID, "status": 422}),
        ({"kind": "duplicate", "answer": "first"}, 1, SAID),
        ({"kind": "unknown_value"}, 1, SAID),
        ({"kind": "extra_field"}, 1, SAID),
        ({"kind": "refuse_connection"}, 0, NOTHING),
    ],
    ids=lambda value: " ".join(str(part) for part in value.values()) if isinstance(value, dict) and "kind" in value else None,
)
async def test_an_order_takes_effect_as_often_as_the_kind_says(box: Sandbox, fault: dict[str, Any], effects: int, outcome: dict[str, Any]):
    """Each kind of fault leaves as many orders behind as is written of it, and the client sees what is written of it, once."""
    begin(box, **fault, count=1)

    struck = await raw_request(box, "POST", "/v2/orders", ORDER)

    assert orders(box) == ["mine"] * effects
    assert {"status": struck.status, "was_reset": struck.was_reset} == outcome
    following = await raw_request(box, "POST", "/v2/orders", {**ORDER, "client_order_id": "next"})
    assert (following.status, orders(box)) == (200, ["mine"] * effects + ["next"])


def test_every_kind_of_request_is_in_that_table():
    """Nothing is added to the kinds without its effect being written down."""
    table = next(mark for mark in test_an_order_takes_effect_as_often_as_the_kind_says.pytestmark if mark.name == "parametrize")

    assert {fault["kind"] for fault, *_ in table.args[1]} == {kind for kind in Kind if POINTS[kind][0] in (Point.REQUEST, Point.CONNECTION)}


async def test_a_repeated_request_without_an_id_of_its_own_is_two_orders(box: Sandbox):
    """That is what a proxy that tries again does to those who do not name their orders."""
    begin(box, "duplicate", count=1)

    outcome = await raw_request(box, "POST", "/v2/orders", {**ORDER, "client_order_id": None})

    assert (outcome.status, len(orders(box)), outcome.json["client_order_id"]) == (200, 2, orders(box)[1])


async def test_a_truncated_answer_ends_in_good_order_halfway(box: Sandbox):
    """Half of what was promised comes, and then an end without an error."""
    begin(box, "truncated", count=1)

    outcome = await raw_request(box, "GET", "/v2/account")

    assert (len(outcome.body), outcome.was_reset) == (outcome.promised // 2, False)


async def test_an_answer_without_a_body_is_truncated_in_its_head(box: Sandbox, visitor: Visitor):
    """There is nothing else of which half could be missing."""
    order = await visitor.order(type="limit", limit_price="1")
    begin(box, "truncated", count=1)

    outcome = await raw_request(box, "DELETE", f"/v2/orders/{order['id']}")

    assert outcome.received.startswith(b"HTTP/1.1 204 No")
    assert not outcome.received.endswith(b"\r\n\r\n")


async def test_a_reset_amid_the_answer_follows_half_of_it(box: Sandbox):
    """The client has the status and half of the body, and then an error."""
    begin(box, "reset", when="during", count=1)

    outcome = await raw_request(box, "GET", "/v2/account")

    assert (len(outcome.body), outcome.was_reset) == (outcome.promised // 2, True)


async def test_an_empty_answer_keeps_its_status(box: Sandbox):
    """200, and nothing."""
    begin(box, "empty", count=1)

    outcome = await raw_request(box, "GET", "/v2/account")

    assert (outcome.status, outcome.promised, outcome.body) == (200, 0, b"")


async def test_a_page_from_a_proxy_is_html(box: Sandbox):
    """It is no JSON and says so."""
    begin(box, "html", status=504)

    outcome = await raw_request(box, "GET", "/v2/account")

    assert "content-type: text/html" in outcome.head
    assert b"<title>504 Gateway Timeout</title>" in outcome.body


async def test_a_rate_limit_says_when_it_ends(box: Sandbox, visitor: Visitor):
    """The answer is 429 with Alpaca's headers; Retry-After is there only because it was asked for."""
    begin(box, "rate_limit", count=1, retry_after=2, seconds=3)
    begin(box, "rate_limit", count=1, message="slow down", code=42910000)

    first, second = await visitor.get("/v2/account"), await visitor.get("/v2/account")

    assert (first.json, second.json) == ({"message": "too many requests."}, {"code": 42910000, "message": "slow down"})
    assert first.headers["X-RateLimit-Remaining"] == "0"
    assert int(first.headers["X-RateLimit-Reset"]) == box.desk.clock.now_ns() // 10**9 + 3
    assert (first.headers["Retry-After"], second.headers.get("Retry-After")) == ("2", None)


async def test_errors_have_the_shape_of_their_host(box: Sandbox):
    """The trading host gives a code, the data host none, unless one is named; a status nobody knows is an error as well."""
    begin(box, "error", path="/v2/*", status=599, count=2)
    begin(box, "error", message="boom", code=7)

    trading = await raw_request(box, "GET", "/v2/account")
    data = await raw_request(box, "GET", "/v2/stocks/AAPL/trades/latest")
    named = await raw_request(box, "GET", "/v2/account")

    assert (trading.status, trading.json) == (599, {"code": 59910000, "message": "unknown error"})
    assert (data.status, data.json) == (599, {"message": "unknown error"})
    assert (named.status, named.json) == (500, {"code": 7, "message": "boom"})


async def test_latency_takes_the_clocks_seconds(box: Sandbox, clock: StillClock):
    """Before the effect the exchange knows nothing of the order yet; after it, it does, and the client does not. Latencies add up."""
    begin(box, "latency", seconds=2, count=1)
    begin(box, "latency", seconds=3, when="after", count=1)
    asking = asyncio.create_task(raw_request(box, "POST", "/v2/orders", ORDER))
    await until_asleep(clock, 2)
    assert orders(box) == []

    await clock.advance(2)
    await until_asleep(clock, 3)
    assert (orders(box), asking.done()) == (["mine"], False)

    await clock.advance(3)
    assert (await asking).status == 200


async def test_changes_of_an_answer_add_up(box: Sandbox, visitor: Visitor):
    """A member nobody knows, and a value nobody knows, however deep, in one answer; a list has the member in each item."""
    await visitor.order(type="limit", limit_price="1")
    begin(box, "extra_field")
    begin(box, "unknown_value", member="asset_class", value=["crypto", 2])
    begin(box, "unknown_value")

    (order,) = (await visitor.get("/v2/orders")).json

    assert order["unheard_of"] == {"nested": [1, "two", None]}
    assert (order["asset_class"], order["status"], order["symbol"]) == (["crypto", 2], "unheard_of", "AAPL")


async def test_a_page_is_not_changed(box: Sandbox):
    """What is no JSON comes as it is."""
    order = await raw_request(box, "POST", "/v2/orders", {**ORDER, "type": "limit", "limit_price": "1"})
    begin(box, "extra_field")

    outcome = await raw_request(box, "DELETE", f"/v2/orders/{order.json['id']}")

    assert (outcome.status, outcome.body) == (204, b"")


async def test_a_fault_strikes_only_its_own_requests(box: Sandbox, visitor: Visitor):
    """Those of its method and its path, in which a star stands for anything."""
    begin(box, "error", method="get", path="/v2/orders*")

    statuses = [(await visitor.ask(*what)).status for what in [("GET", "/v2/orders"), ("GET", "/v2/account"), ("DELETE", "/v2/orders")]]
    by_id = await visitor.get("/v2/orders/unheard-of")

    assert (statuses, by_id.status) == ([500, 200, 207], 500)


async def test_the_first_fault_that_strikes_is_the_only_one(box: Sandbox, visitor: Visitor):
    """The second counts nothing of what the first has struck."""
    begin(box, "error", status=500, every=2)
    begin(box, "error", status=503, count=1)

    assert [(await visitor.get("/v2/account")).status for _ in range(4)] == [503, 500, 200, 500]


async def test_refused_connections_are_reset_before_anything_is_read(box: Sandbox):
    """Not even a request that makes no sense is answered; connections that were open before go on."""
    async with Visitor(box) as visitor:
        await visitor.get("/v2/account")
        begin(box, "refuse_connection", count=2)

        refused = [await raw_bytes(box, b"rubbish\r\n\r\n"), await raw_request(box, "GET", "/v2/account")]

        assert refused == [Outcome(b"", was_reset=True)] * 2
        assert (await visitor.get("/v2/account")).status == 200
        assert (await raw_request(box, "GET", "/v2/account")).status == 200


async def test_a_late_cancellation_is_answered_at_once(box: Sandbox, visitor: Visitor, clock: StillClock):
    """The order is pending_cancel until the seconds of its fault have gone by, and then cancelled. Other symbols are left alone."""
    begin(box, "late_cancel", symbol="AAPL", seconds=5)
    late, other = await visitor.order(type="limit", limit_price="1"), await visitor.order(symbol="MSFT", type="limit", limit_price="1")

    assert [(await visitor.ask("DELETE", f"/v2/orders/{order['id']}")).status for order in (late, other)] == [204, 204]

    async def statuses() -> list[str]:
        return [(await visitor.get(f"/v2/orders/{order['id']}")).json["status"] for order in (late, other)]

    await clock.advance(4.9)
    assert await statuses() == ["pending_cancel", "canceled"]
    await clock.advance(0.2)
    assert await statuses() == ["canceled", "canceled"]
