"""The account's activities over the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sandboxes import Visitor

from broker_core.clock import StillClock, to_ns
from broker_core.requests import Side
from broker_demo.ledger import Fill
from broker_demo.sandbox.server import Sandbox
from broker_demo.sandbox.trading.activities import activity_id

PATH = "/v2/account/activities"


async def traded(visitor: Visitor, clock: StillClock, count: int, **terms: Any) -> list[str]:
    """Place orders that are filled, three seconds apart; give their ids, the oldest first."""
    orders = []
    for _ in range(count):
        orders.append((await visitor.order(**terms))["id"])
        await clock.advance(3)
    return orders


async def test_an_execution_is_told_as_alpaca_tells_it(visitor: Visitor, clock: StillClock):
    """Its id begins with the time in New York, its moment is in UTC, and pairs have no slash."""
    (order_id,) = await traded(visitor, clock, 1, symbol="BTC/USD", qty="0.5", time_in_force="gtc")

    (activity,) = (await visitor.get(PATH)).json

    order = (await visitor.get(f"/v2/orders/{order_id}")).json
    assert activity.pop("id").startswith("20260302100000000::")
    assert activity == {
        "activity_type": "FILL",
        "transaction_time": order["filled_at"],
        "type": "fill",
        "price": order["filled_avg_price"],
        "qty": "0.5",
        "side": "buy",
        "symbol": "BTCUSD",
        "leaves_qty": "0",
        "cum_qty": "0.5",
        "order_id": order_id,
        "order_status": "filled",
    }


async def test_parts_of_an_order_count_up_to_all_of_it(visitor: Visitor, clock: StillClock):
    """Each part says what is filled by then and what is left, also of an order by amount."""
    by_shares = await visitor.order(symbol="DEMO.PARTIAL", qty="8")
    await clock.advance(10)
    by_amount = await visitor.order(symbol="DEMO.PARTIAL", qty=None, notional="1000")
    await clock.advance(10)

    for order in (by_shares, by_amount):
        parts = (await visitor.get(PATH, order_id=order["id"], direction="asc")).json
        assert [part["type"] for part in parts] == ["partial_fill"] * (len(parts) - 1) + ["fill"]
        assert len(parts) >= 4
        total = spent = Decimal(0)
        for part in parts:
            total += Decimal(part["qty"])
            assert (Decimal(part["cum_qty"]), part["order_id"]) == (total, order["id"])
            spent += Decimal(part["qty"]) * Decimal(part["price"])
            if order is by_shares:
                assert total + Decimal(part["leaves_qty"]) == 8
            else:
                assert spent + Decimal(part["leaves_qty"]) * Decimal(part["price"]) == pytest.approx(1000, abs=Decimal("0.001"))
        assert parts[-1]["leaves_qty"] == "0"


@pytest.mark.parametrize("direction", ["asc", "desc"])
async def test_pages_follow_upon_each_other(visitor: Visitor, clock: StillClock, direction: str):
    """The last id of a page leads to the next one; together they are everything once, also when more happens in between."""
    orders = await traded(visitor, clock, 5)
    told: list[Any] = []
    token: dict[str, Any] = {}
    while page := (await visitor.get(PATH, direction=direction, page_size=2, **token)).json:
        told += page
        token = {"page_token": page[-1]["id"]}
        if len(told) == 2:
            orders += await traded(visitor, clock, 1)

    expected = orders if direction == "asc" else orders[4::-1]
    assert [activity["order_id"] for activity in told] == expected


async def test_activities_are_chosen_by_time_type_and_order(visitor: Visitor, clock: StillClock):
    """Bounds are moments or days and do not count themselves; other types have none."""
    first, second, third = await traded(visitor, clock, 3)

    async def orders(**query: Any) -> list[str]:
        return [activity["order_id"] for activity in (await visitor.get(PATH, direction="asc", **query)).json]

    assert await orders(after="2026-03-02T15:00:00Z") == [second, third]
    assert await orders(until="2026-03-02T15:00:06Z") == [first, second]
    assert await orders(date="2026-03-02") == await orders(after="2026-03-02") == [first, second, third]
    assert await orders(date="2026-03-01") == await orders(until="2026-03-02") == []
    assert await orders(order_id=second) == [second]
    assert await orders(activity_types="DIV,FILL", category="") == await orders(category="trade_activity") == [first, second, third]
    assert await orders(activity_types="DIV,CSD") == await orders(category="non_trade_activity") == []
    assert len((await visitor.get(f"{PATH}/FILL")).json) == 3
    assert (await visitor.get(f"{PATH}/TRANS")).json == []


async def test_what_was_taken_back_is_not_listed(visitor: Visitor, clock: StillClock, box: Sandbox):
    """An execution that never was is gone, and its id still leads to the pages behind it."""
    first, second, third = await traded(visitor, clock, 3)
    token = (await visitor.get(PATH)).json[1]["id"]
    execution = box.desk.exchange.state.ledger.fills[1].execution_id

    box.desk.venue.change(lambda now_ns: box.desk.exchange.bust(execution, now_ns))

    assert [activity["order_id"] for activity in (await visitor.get(PATH)).json] == [third, first]
    assert [activity["order_id"] for activity in (await visitor.get(PATH, page_token=token)).json] == [first]
    assert (await visitor.get(PATH, order_id=second)).json == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"{PATH}/FFFFF", "invalid activity type: FFFFF"),
        (f"{PATH}?activity_types=FILL,fill", "invalid activity type: fill"),
        (f"{PATH}?activity_types=FILL&category=trade_activity", "activity_types and category cannot be used together"),
        (f"{PATH}?page_size=101", "invalid page_size: 101 is not between 1 and 100"),
        (f"{PATH}?direction=up", "invalid direction: up"),
        (f"{PATH}?page_token=20260302100000000::00000000-0000-4000-8000-000000000000", None),
        (f"{PATH}?page_token=x", "invalid page_token: x"),
        (f"{PATH}?order_id=7", "invalid order_id: 7"),
        (f"{PATH}?after=soon", "invalid after: soon"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(visitor: Visitor, path: str, message: str | None):
    """The refusal has the code of a bad field, and names it."""
    reply = await visitor.get(path)

    assert (reply.status, reply.json["code"]) == (422, 40010001)
    assert message is None or reply.json["message"] == message


async def test_a_page_out_of_many_executions_looks_at_few(visitor: Visitor, clock: StillClock, box: Sandbox):
    """In the hour that autumn repeats, and among thousands of executions, a token is found where it is."""
    (order_id,) = await traded(visitor, clock, 1)
    ledger = box.desk.exchange.state.ledger
    start_ns = to_ns(datetime(2025, 11, 2, 6, 30, tzinfo=UTC))
    ledger.fills[:0] = [
        Fill(
            execution_id=f"{number}",
            order_id=order_id,
            symbol="AAPL",
            side=Side.BUY,
            qty=Decimal(1),
            price=Decimal(1),
            at_ns=start_ns + number * 1_000_000_000,
            filled_qty=Decimal(1),
            filled_avg_price=Decimal(1),
        )
        for number in range(5_000)
    ]
    token = activity_id(ledger.fills[600])

    page = (await visitor.get(PATH, page_token=token, page_size=2)).json

    assert [activity["id"] for activity in page] == [activity_id(ledger.fills[599]), activity_id(ledger.fills[598])]
