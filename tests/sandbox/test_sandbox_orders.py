"""The orders of the trading host: placed, read, listed, replaced and cancelled over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sandboxes import Visitor, sandbox

from broker_core.clock import StillClock
from broker_demo.paper_order import PaperOrder
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.identity import is_uuid
from broker_demo.sandbox.moments import moment_ns
from broker_demo.sandbox.server import Sandbox
from broker_demo.sandbox.trading.order_listing import OrderQuery, Scope, listed, submitted_ns
from broker_demo.sandbox.trading.orders import post_order

NOBODY = "00000000-0000-4000-8000-000000000000"
EXITS = {"take_profit": {"limit_price": "400"}, "stop_loss": {"stop_price": "100"}}
RESTING = {"type": "limit", "limit_price": "100"}
NIGHT = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
async def night() -> AsyncIterator[Visitor]:
    """Somebody at a sandbox with New York's sessions, before they open at 14:30 UTC."""
    async with sandbox(StillClock(NIGHT), calendar="XNYS") as box, Visitor(box) as visitor:
        yield visitor


async def ids(visitor: Visitor, **query: Any) -> list[str]:
    reply = await visitor.get("/v2/orders", **query)
    assert reply.status == 200, reply.body
    return [order["id"] for order in reply.json]


async def refused(visitor: Visitor, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, int, str]:
    reply = await visitor.ask(method, path, body, **query)
    return reply.status, reply.json["code"], reply.json["message"]


async def test_taken_order_is_told_with_all_its_members(visitor: Visitor):
    """A new order is on its way: 200, ``pending_new``, decimal texts, nulls where nothing happened, the client's own id."""
    order = await visitor.order(type="limit", limit_price=100.5, qty=2, client_order_id="mine")

    assert order | {"id": "", "asset_id": ""} == {
        "id": "",
        "client_order_id": "mine",
        "created_at": "2026-03-02T15:00:00Z",
        "updated_at": "2026-03-02T15:00:00Z",
        "submitted_at": "2026-03-02T15:00:00Z",
        **dict.fromkeys(["filled_at", "expired_at", "canceled_at", "failed_at", "replaced_at", "replaced_by", "replaces"]),
        "expires_at": "2026-03-03T05:00:00Z",
        "asset_id": "",
        "symbol": "AAPL",
        "asset_class": "us_equity",
        "notional": None,
        "qty": "2",
        "filled_qty": "0",
        "filled_avg_price": None,
        "order_class": "",
        "order_type": "limit",
        "type": "limit",
        "side": "buy",
        "position_intent": "buy_to_open",
        "time_in_force": "day",
        "limit_price": "100.5",
        "stop_price": None,
        "status": "pending_new",
        "extended_hours": False,
        "legs": None,
        **dict.fromkeys(["trail_price", "trail_percent", "hwm", "source", "subtag"]),
    }
    assert is_uuid(order["id"])
    assert is_uuid(order["asset_id"])


async def test_order_works_and_is_filled_as_time_goes_on(visitor: Visitor, clock: StillClock):
    """After the answer the order is at the market, and a market order is filled there at the standing quote."""
    resting, taken = await visitor.order(**RESTING), await visitor.order()
    await clock.advance(1)

    resting = (await visitor.get(f"/v2/orders/{resting['id']}")).json
    taken = (await visitor.get(f"/v2/orders/{taken['id']}")).json

    assert (resting["status"], resting["filled_at"]) == ("new", None)
    assert (taken["status"], taken["filled_qty"], taken["filled_at"]) == ("filled", "1", "2026-03-02T15:00:00Z")
    assert 200 < float(taken["filled_avg_price"]) < 300


async def test_order_meets_the_account_as_the_one_before_it_left_it(box: Sandbox):
    """A sale right behind a purchase finds what was bought: nothing is left to be matched when an order is judged."""
    terms = {"symbol": "AAPL", "qty": "1", "type": "market", "time_in_force": "day"}
    for side in ("buy", "sell"):
        body = msgspec.json.encode({**terms, "side": side})
        answer = post_order(box.desk, Call(method="POST", path="/v2/orders", body=body))
        assert answer.status == 200

    assert msgspec.json.decode(answer.body)["position_intent"] == "sell_to_close"


async def test_order_without_an_id_gets_one_and_an_id_is_taken_once(visitor: Visitor):
    """Ids made here are UUIDs; a client's own is refused the second time, whatever else is wrong with the second order."""
    assert is_uuid((await visitor.order(**RESTING))["client_order_id"])
    await visitor.order(client_order_id="once", **RESTING)

    for again in ({"qty": "1"}, {"qty": "1000000"}, {"side": "sell"}):
        body = {"symbol": "AAPL", "side": "buy", "type": "market", "time_in_force": "day", "client_order_id": "once", **again}
        assert await refused(visitor, "POST", "/v2/orders", {"qty": "1", **body}) == (422, 40010001, "client_order_id must be unique")


async def test_orders_are_read_by_both_ids(visitor: Visitor):
    """By the host's id and by the client's; the unknown is a 404 and the malformed a 422."""
    order = await visitor.order(client_order_id="mine", **RESTING)

    assert (await visitor.get(f"/v2/orders/{order['id'].upper()}")).json["client_order_id"] == "mine"
    assert (await visitor.get("/v2/orders:by_client_order_id", client_order_id="mine")).json["id"] == order["id"]
    for method in ("GET", "DELETE"):
        assert await refused(visitor, method, f"/v2/orders/{NOBODY}") == (404, 40410000, f"order not found for {NOBODY}")
        assert await refused(visitor, method, "/v2/orders/mine") == (422, 40010001, "order_id is missing")
    assert await refused(visitor, "PATCH", f"/v2/orders/{NOBODY}", {"qty": 2}) == (404, 40410000, f"order not found for {NOBODY}")
    assert await refused(visitor, "GET", "/v2/orders:by_client_order_id", client_order_id="x") == (404, 40410000, "order not found for x")
    assert (await refused(visitor, "GET", "/v2/orders:by_client_order_id"))[:2] == (422, 40010001)


async def test_bracket_has_its_legs_inside_where_they_are_asked_for(visitor: Visitor, clock: StillClock):
    """The answer and nested reads have both exits, held; a plain read has none; the open lists never show the waiting stop."""
    order = await visitor.order(order_class="bracket", **EXITS)
    assert [(leg["type"], leg["side"], leg["status"], leg["legs"], leg["order_class"]) for leg in order["legs"]] == [
        ("limit", "sell", "held", None, "bracket"),
        ("stop", "sell", "held", None, "bracket"),
    ]
    gain, loss = (leg["id"] for leg in order["legs"])
    await clock.advance(1)

    assert await ids(visitor) == await ids(visitor, nested="true") == [gain]
    assert await ids(visitor, status="closed", nested="true") == await ids(visitor, status="all", nested="true") == [order["id"]]
    assert await ids(visitor, status="all") == [loss, gain, order["id"]]
    assert (await visitor.get(f"/v2/orders/{order['id']}")).json["legs"] is None
    nested = (await visitor.get(f"/v2/orders/{order['id']}", nested="true")).json
    assert [(leg["id"], leg["status"]) for leg in nested["legs"]] == [(gain, "new"), (loss, "held")]


async def test_bracket_that_waits_is_listed_with_its_legs(visitor: Visitor):
    """Before the entry is filled all three are open: three rows, or one with the others inside, which the limit counts once."""
    order = await visitor.order(order_class="bracket", **EXITS, **RESTING | {"limit_price": "150"})
    gain, loss = (leg["id"] for leg in order["legs"])
    alone = (await visitor.order(**RESTING))["id"]

    assert await ids(visitor) == [alone, loss, gain, order["id"]]
    assert await ids(visitor, nested="true", limit="2") == [alone, order["id"]]
    assert await ids(visitor, nested="true", side="sell") == []
    (_, told) = (await visitor.get("/v2/orders", nested="true")).json
    assert [leg["id"] for leg in told["legs"]] == [gain, loss]


async def test_oco_is_its_gain_with_the_loss_as_its_leg(visitor: Visitor, clock: StillClock):
    """The limit side is the parent and may be named in take_profit alone; the stop is held beside it, in the open list too."""
    await visitor.order()
    await clock.advance(1)

    order = await visitor.order(order_class="oco", type="limit", side="sell", **EXITS)

    assert (order["type"], order["limit_price"], order["order_class"], order["status"]) == ("limit", "400", "oco", "pending_new")
    (loss,) = order["legs"]
    assert (loss["type"], loss["stop_price"], loss["status"]) == ("stop", "100", "held")
    assert await ids(visitor) == [loss["id"], order["id"]]


async def test_listing_follows_its_query(visitor: Visitor, clock: StillClock):
    """Scope, direction, limit, symbols with and without a slash, side, class: each leaves out what it says."""
    coin = (await visitor.order(symbol="BTCUSD", type="limit", limit_price=1000, time_in_force="gtc"))["id"]
    share = (await visitor.order(**RESTING))["id"]
    done = (await visitor.order(symbol="MSFT", side="sell"))["id"]
    await clock.advance(1)

    assert await ids(visitor) == await ids(visitor, status="open") == [share, coin]
    assert await ids(visitor, status="closed") == [done]
    assert await ids(visitor, status="all", direction="asc") == [coin, share, done]
    assert await ids(visitor, status="all", limit="2") == [done, share]
    assert await ids(visitor, direction="asc", limit="1") == [coin]
    assert await ids(visitor, symbols="BTCUSD") == await ids(visitor, symbols="MSFT,BTC/USD") == [coin]
    assert await ids(visitor, symbols="NOBODY") == []
    assert await ids(visitor, status="all", side="sell") == [done]
    assert await ids(visitor, asset_class="crypto") == [coin]
    assert await ids(visitor, asset_class="us_equity,crypto") == await ids(visitor, asset_class="all") == [share, coin]


async def test_listing_between_moments_and_orders_leaves_both_out(visitor: Visitor, clock: StillClock):
    """``after`` and ``until`` are exclusive to the nanosecond, and so are orders, which also part those of one moment."""
    first = await visitor.order(**RESTING)
    await clock.advance(0.5)
    second, third = await visitor.order(**RESTING), await visitor.order(symbol="MSFT", **RESTING)
    one, two, three = (order["id"] for order in (first, second, third))

    for status in ("open", "all"):
        assert await ids(visitor, status=status, after=first["submitted_at"]) == [three, two]
        assert await ids(visitor, status=status, after="2026-03-02T14:59:59.999999999Z", until=second["submitted_at"]) == [one]
        assert await ids(visitor, status=status, until="2026-03-02T15:00:00.500000001Z") == [three, two, one]
        assert await ids(visitor, status=status, after_order_id=two.upper()) == [three]
        assert await ids(visitor, status=status, before_order_id=three, direction="asc") == [one, two]
    assert await ids(visitor, status="closed", after_order_id=one) == []


async def test_senseless_queries_are_refused(visitor: Visitor):
    """Words, numbers, moments and cursors that make no sense are a 422, an unknown cursor a 404."""
    order = (await visitor.order(**RESTING))["id"]
    for query in (
        {"status": "pending"},
        {"limit": "0"},
        {"limit": "501"},
        {"limit": "many"},
        {"direction": "up"},
        {"nested": "perhaps"},
        {"after": "yesterday"},
        {"side": "hold"},
        {"asset_class": "pets"},
        {"after_order_id": "x"},
        {"after_order_id": order, "before_order_id": order},
        {"after_order_id": order, "until": "2026-03-02"},
        {"before_order_id": order, "after": "1970-01-01T00:00:00Z"},
    ):
        assert (await refused(visitor, "GET", "/v2/orders", **query))[:2] == (422, 40010001), query
    assert (await refused(visitor, "GET", "/v2/orders", after_order_id=NOBODY))[:2] == (404, 40410000)


async def test_replacing_makes_another_order(visitor: Visitor, clock: StillClock):
    """The new order has its own ids, names the old one and has its terms but for the changed ones; the old one names the new."""
    old = await visitor.order(client_order_id="mine", qty=3, **RESTING)
    await clock.advance(0.5)

    reply = await visitor.ask("PATCH", f"/v2/orders/{old['id']}", {"limit_price": "101.5", "qty": 2})

    new = reply.json
    assert (reply.status, new["status"], new["replaces"], new["limit_price"], new["qty"]) == (200, "pending_new", old["id"], "101.5", "2")
    assert new["client_order_id"] != "mine"
    assert (new["created_at"], new["submitted_at"]) == (old["created_at"], "2026-03-02T15:00:00.5Z")
    told = (await visitor.get("/v2/orders:by_client_order_id", client_order_id="mine")).json
    assert (told["id"], told["status"], told["replaced_by"]) == (old["id"], "replaced", new["id"])
    assert told["replaced_at"] == "2026-03-02T15:00:00.5Z"
    assert await ids(visitor) == [new["id"]]
    assert await ids(visitor, status="closed") == [old["id"]]

    named = await visitor.ask("PATCH", f"/v2/orders/{new['id']}", {"time_in_force": "gtc", "client_order_id": "next"})
    assert (named.json["client_order_id"], named.json["time_in_force"]) == ("next", "gtc")


async def test_legs_stay_with_the_order_that_took_the_place_of_theirs(visitor: Visitor):
    """After a replacement the new entry is the one that has the legs inside, in lists and where all are cancelled."""
    old = await visitor.order(order_class="bracket", **EXITS, **RESTING | {"limit_price": "150"})
    new = (await visitor.ask("PATCH", f"/v2/orders/{old['id']}", {"limit_price": "151"})).json

    (told,) = (await visitor.get("/v2/orders", nested="true")).json

    assert (told["id"], [leg["id"] for leg in told["legs"]]) == (new["id"], [leg["id"] for leg in old["legs"]])
    assert {each["body"]["id"] for each in (await visitor.ask("DELETE", "/v2/orders")).json} == {new["id"]}


async def test_senseless_replacements_are_refused(visitor: Visitor, clock: StillClock):
    """Nothing new, fractions, other kinds' prices, amounts, a used id, an ended order: each in Alpaca's words."""
    path = f"/v2/orders/{(await visitor.order(client_order_id='mine', **RESTING))['id']}"
    market = f"/v2/orders/{(await visitor.order(symbol='MSFT'))['id']}"
    amount = f"/v2/orders/{(await visitor.order(qty=None, notional=50, **RESTING))['id']}"
    await clock.advance(1)

    assert await refused(visitor, "PATCH", path, {}) == (403, 40310000, "order parameters are not changed")
    assert await refused(visitor, "PATCH", path, {"qty": "1"}) == (403, 40310000, "order parameters are not changed")
    assert await refused(visitor, "PATCH", path, {"qty": "1.5"}) == (422, 40010001, "qty must be integer")
    assert (await refused(visitor, "PATCH", path, {"notional": "5"}))[:2] == (422, 40010001)
    assert (await refused(visitor, "PATCH", path, {"trail": "5"}))[:2] == (422, 42210000)
    assert (await refused(visitor, "PATCH", path, {"time_in_force": "soon"}))[:2] == (422, 40010001)
    assert (await refused(visitor, "PATCH", path, {"qty": 2, "client_order_id": "mine"}))[2] == "client_order_id must be unique"
    assert await refused(visitor, "PATCH", amount, {"limit_price": 5}) == (422, 42210000, "notional orders cannot be replaced")
    assert await refused(visitor, "PATCH", market, {"qty": 5}) == (422, 42210000, "order is not open")
    assert (await refused(visitor, "PATCH", path, b"["))[:2] == (400, 40010000)
    assert (await visitor.get(path)).json["status"] == "new"


async def test_order_partly_filled_is_replaced_by_its_total(visitor: Visitor, clock: StillClock):
    """A new quantity counts what is filled already, and has to be more than that."""
    old = await visitor.order(symbol="DEMO.PARTIAL", qty=100)
    await clock.advance(1)
    filled = int((await visitor.get(f"/v2/orders/{old['id']}")).json["filled_qty"])
    assert 0 < filled < 100

    path = f"/v2/orders/{old['id']}"
    assert await refused(visitor, "PATCH", path, {"qty": filled}) == (422, 42210000, "qty must be > filled_qty")
    new = (await visitor.ask("PATCH", path, {"qty": filled + 1})).json
    assert (new["qty"], new["filled_qty"]) == (str(filled + 1), str(filled))


async def test_trailing_stop_tells_where_it_is(visitor: Visitor, clock: StillClock):
    """The best price so far and the stop that follows from it are the host's; ``trail`` is replaced in the order's own unit."""
    await visitor.order()
    await clock.advance(1)
    order = await visitor.order(side="sell", type="trailing_stop", trail_percent="10")
    await clock.advance(1)

    order = (await visitor.get(f"/v2/orders/{order['id']}")).json
    assert float(order["stop_price"]) == pytest.approx(float(order["hwm"]) * 0.9, abs=1e-4)
    new = (await visitor.ask("PATCH", f"/v2/orders/{order['id']}", {"trail": "5"})).json
    assert (new["trail_percent"], new["trail_price"]) == ("5", None)


async def test_group_prices_are_replaced_leg_by_leg_and_not_in_an_oto(visitor: Visitor):
    """A bracket's held stop takes a new price under a new id; an oto's members take none."""
    bracket = await visitor.order(order_class="bracket", **EXITS, **RESTING | {"limit_price": "150"})
    loss = bracket["legs"][1]["id"]
    new = (await visitor.ask("PATCH", f"/v2/orders/{loss}", {"stop_price": "90"})).json
    assert (new["stop_price"], new["status"], new["replaces"]) == ("90", "held", loss)
    nested = (await visitor.get(f"/v2/orders/{bracket['id']}", nested="true")).json
    assert [leg["id"] for leg in nested["legs"]] == [bracket["legs"][0]["id"], new["id"]]

    oto = await visitor.order(symbol="MSFT", order_class="oto", stop_loss={"stop_price": "90"}, **RESTING)
    assert (await refused(visitor, "PATCH", f"/v2/orders/{oto['id']}", {"limit_price": 101}))[:2] == (422, 42210000)


async def test_cancelling_is_204_and_only_once(visitor: Visitor, clock: StillClock):
    """An open order is cancelled with an empty answer; one that has ended says how."""
    order, taken = await visitor.order(**RESTING), await visitor.order(symbol="MSFT")
    await clock.advance(1)

    reply = await visitor.ask("DELETE", f"/v2/orders/{order['id']}")

    assert (reply.status, reply.body) == (204, b"")
    told = (await visitor.get(f"/v2/orders/{order['id']}")).json
    assert (told["status"], told["canceled_at"]) == ("canceled", "2026-03-02T15:00:01Z")
    assert await refused(visitor, "DELETE", f"/v2/orders/{order['id']}") == (422, 42210000, 'order is already in "canceled" state')
    assert await refused(visitor, "DELETE", f"/v2/orders/{taken['id']}") == (422, 42210000, 'order is already in "filled" state')


async def test_cancelling_all_answers_for_each(visitor: Visitor):
    """207 with an id, a status and a body each: the order on its way out, and of a leg the order it came with."""
    assert (await visitor.ask("DELETE", "/v2/orders")).json == []
    alone = await visitor.order(**RESTING)
    group = await visitor.order(symbol="MSFT", order_class="bracket", **EXITS, **RESTING | {"limit_price": "150"})

    reply = await visitor.ask("DELETE", "/v2/orders")

    assert reply.status == 207
    assert [(each["id"], each["status"], each["body"]["id"], each["body"]["status"]) for each in reply.json] == [
        (alone["id"], 200, alone["id"], "pending_cancel"),
        *((member["id"], 200, group["id"], "pending_cancel") for member in (group, *group["legs"])),
    ]
    assert await ids(visitor) == []
    assert len(await ids(visitor, status="closed")) == 4


async def test_exit_is_cancelled_and_its_entry_told_as_it_is(visitor: Visitor, clock: StillClock):
    """When all are cancelled after the entry was filled, the body beside each exit is the entry, filled."""
    group = await visitor.order(order_class="bracket", **EXITS)
    await clock.advance(1)

    told = (await visitor.ask("DELETE", "/v2/orders")).json

    assert [each["id"] for each in told] == [leg["id"] for leg in group["legs"]]
    assert {(each["body"]["id"], each["body"]["status"]) for each in told} == {(group["id"], "filled")}


async def test_cancelling_all_says_what_is_on_its_way_out_already(visitor: Visitor):
    """Where cancelling takes its time, an order is not cancelled a second time: its element holds the refusal."""
    visitor.box.desk.exchange.cancels_late = lambda order: 10**9
    order = await visitor.order(**RESTING)
    assert (await visitor.ask("DELETE", f"/v2/orders/{order['id']}")).status == 204

    (again,) = (await visitor.ask("DELETE", "/v2/orders")).json

    assert (again["id"], again["status"]) == (order["id"], 422)
    assert again["body"] == {"code": 42210000, "message": 'order is already in "pending_cancel" state'}


async def test_before_the_open_orders_wait_and_cannot_be_replaced(night: Visitor):
    """An order outside the session is accepted, expires with the next one, and can be cancelled but not replaced."""
    order = await night.order(**RESTING)

    assert (order["status"], order["expires_at"]) == ("accepted", "2026-03-02T21:00:00Z")
    path = f"/v2/orders/{order['id']}"
    assert await refused(night, "PATCH", path, {"qty": 2}) == (422, 42210000, "cannot replace order in accepted status")
    assert (await night.ask("DELETE", path)).status == 204


async def test_good_till_cancelled_orders_expire_after_ninety_days(visitor: Visitor):
    """Such an order says when it would be taken out of the market."""
    order = await visitor.order(time_in_force="gtc", **RESTING)

    assert moment_ns(order["expires_at"]) - moment_ns(order["created_at"]) == timedelta(days=90) // timedelta(microseconds=1) * 1000


steps = st.lists(st.sampled_from(["place", "bracket", "replace", "cancel", "wait"]), min_size=5, max_size=30)


@given(steps=steps, cut=st.integers(0, 40), limit=st.integers(1, 6), ascending=st.booleans(), scope=st.sampled_from(Scope))
@settings(max_examples=12, deadline=None)
async def test_a_listing_is_what_a_search_through_all_orders_finds(steps: list[str], cut: int, limit: int, ascending: bool, scope: Scope):
    """Whatever has happened, the orders listed are those that the query means, in their order, found the slow way."""
    clock = StillClock()
    async with sandbox(clock) as box, Visitor(box) as visitor:
        for step in steps:
            await _do(visitor, clock, step)
        exchange = box.desk.settled()
        orders = list(exchange.orders())
        after = orders[cut % len(orders)] if orders else None
        for cursor in (None, after):
            query = OrderQuery(
                scope=scope,
                limit=limit,
                ascending=ascending,
                nested=False,
                after_ns=None,
                until_ns=None,
                after_order_id=None if cursor is None else cursor.order_id,
                before_order_id=None,
                symbols=None,
                side="",
                classes=None,
            )
            wanted = [order for order in orders if _is_wanted(order, scope)]
            if cursor is not None:
                wanted = [order for order in wanted if orders.index(order) > orders.index(cursor)]
            assert listed(exchange, query) == (wanted if ascending else wanted[::-1])[:limit]
        assert [submitted_ns(order) for order in orders] == sorted(submitted_ns(order) for order in orders)


def _is_wanted(order: PaperOrder, scope: Scope) -> bool:
    hidden = order.status.value == "held" and not order.waiting
    return scope is Scope.ALL or (order.is_open and not hidden if scope is Scope.OPEN else not order.is_open)


async def _do(visitor: Visitor, clock: StillClock, step: str) -> None:
    if step == "wait":
        await clock.advance(1)
    elif step == "place":
        await visitor.order(**RESTING)
    elif step == "bracket":
        await visitor.post(
            "/v2/orders",
            {"symbol": "MSFT", "qty": 1, "side": "buy", "type": "market", "time_in_force": "day", "order_class": "bracket"}
            | {"take_profit": {"limit_price": 900}, "stop_loss": {"stop_price": 50}},
        )
    elif found := (await visitor.get("/v2/orders")).json:
        method, body = ("DELETE", None) if step == "cancel" else ("PATCH", {"limit_price": str(float(found[-1]["limit_price"] or 1) + 1)})
        await visitor.ask(method, f"/v2/orders/{found[-1]['id']}", body)
