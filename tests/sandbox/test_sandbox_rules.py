"""The rules of trading that Alpaca has and the exchange has not."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sandboxes import Visitor, sandbox

from broker_core.clock import StillClock

FORBIDDEN, RULE, FIELD = (403, 40310000), (422, 42210000), (422, 40010001)
WASH = "potential wash trade detected. use complex orders"
COIN = {"symbol": "BTC/USD", "time_in_force": "gtc"}


async def refused(visitor: Visitor, **terms: Any) -> tuple[tuple[int, int], str]:
    """What an order is refused with."""
    told = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day", **terms}
    reply = await visitor.post("/v2/orders", {name: value for name, value in told.items() if value is not None})
    assert reply.status != 200, reply.body
    return (reply.status, reply.json["code"]), reply.json["message"]


async def hold(visitor: Visitor, clock: StillClock, **terms: Any) -> None:
    await visitor.order(**terms)
    await clock.advance(1)


MARKET = {"type": "market"}
STOP = {"type": "stop", "stop_price": "300"}
CHEAP, DEAR = ({"type": "limit", "limit_price": price} for price in ("150", "400"))
STOP_DEAR = {"type": "stop_limit", "stop_price": "300", "limit_price": "400"}
TRAIL = {"type": "trailing_stop", "trail_price": "50"}
BY_MARKET, BY_LIMIT = "opposite side market/stop order exists", "opposite side limit order exists"


@pytest.mark.parametrize(
    ("resting", "coming", "reason"),
    [
        (STOP, CHEAP, BY_MARKET),
        (STOP, MARKET, BY_MARKET),
        (CHEAP, MARKET, BY_LIMIT),
        (CHEAP, {"type": "stop", "stop_price": "120"}, BY_LIMIT),
        (CHEAP, {"type": "limit", "limit_price": "150"}, BY_LIMIT),
        (CHEAP, {"type": "limit", "limit_price": "149"}, BY_LIMIT),
        (STOP_DEAR, {"type": "stop_limit", "stop_price": "200", "limit_price": "399"}, BY_LIMIT),
        (CHEAP, {"type": "limit", "limit_price": "150.01"}, None),
        (CHEAP, TRAIL, None),
        (CHEAP, {"type": "limit", "order_class": "oco", "take_profit": {"limit_price": 149}, "stop_loss": {"stop_price": 100}}, None),
    ],
)
async def test_orders_that_could_trade_with_each_other(
    visitor: Visitor, clock: StillClock, resting: dict[str, Any], coming: dict[str, Any], reason: str | None
):
    """A sale that could meet an open buy of the same account is refused and names it; groups and trailing stops are not."""
    await hold(visitor, clock, qty=5)
    open_buy = await visitor.order(**resting)
    body = {"symbol": "AAPL", "qty": "1", "side": "sell", "time_in_force": "day", **coming}

    reply = await visitor.post("/v2/orders", body)

    if reason is None:
        assert reply.status == 200
    else:
        assert reply.status == 403
        assert reply.json == {"code": 40310000, "message": WASH, "existing_order_id": open_buy["id"], "reject_reason": reason}


async def test_buys_meet_sales_of_the_account_too(visitor: Visitor, clock: StillClock):
    """The rule holds the other way round, per symbol, for replacements, and no longer than the order is open."""
    await hold(visitor, clock, qty=5)
    await hold(visitor, clock, symbol="MSFT", qty=5)
    sale = await visitor.order(side="sell", **DEAR)
    assert await refused(visitor, type="limit", limit_price="400") == (FORBIDDEN, WASH)
    await visitor.order(symbol="MSFT", type="limit", limit_price="400")
    buy = await visitor.order(**CHEAP)

    reply = await visitor.ask("PATCH", f"/v2/orders/{buy['id']}", {"limit_price": "401"})
    assert (reply.status, reply.json["existing_order_id"]) == (403, sale["id"])
    await visitor.ask("DELETE", f"/v2/orders/{sale['id']}")
    assert (await visitor.ask("PATCH", f"/v2/orders/{buy['id']}", {"limit_price": "401"})).status == 200


async def test_legs_and_trailing_stops_may_meet_a_coming_order(visitor: Visitor, clock: StillClock):
    """What rests as part of a group, or trails, stands in nobody's way."""
    await hold(visitor, clock, qty=5, order_class="bracket", take_profit={"limit_price": "400"}, stop_loss={"stop_price": "100"})
    await hold(visitor, clock, symbol="MSFT", qty=5)
    await visitor.order(symbol="MSFT", side="sell", **TRAIL)

    await visitor.order()
    await visitor.order(symbol="MSFT")


async def test_exit_is_replaced_whatever_stands_against_it(visitor: Visitor, clock: StillClock):
    """The members of a group take new prices that an open order could meet."""
    group = await visitor.order(order_class="bracket", take_profit={"limit_price": "400"}, stop_loss={"stop_price": "100"})
    await clock.advance(1)
    await visitor.order(type="limit", limit_price="150")

    reply = await visitor.ask("PATCH", f"/v2/orders/{group['legs'][0]['id']}", {"limit_price": "150"})

    assert reply.status == 200, reply.body


async def test_coins_trade_by_rules_of_their_own(visitor: Visitor):
    """Types, times in force, groups and sizes of pairs; a closing order may be as small as it is."""
    exits = {"take_profit": {"limit_price": "400000"}, "stop_loss": {"stop_price": "100"}}
    assert await refused(visitor, **COIN | {"time_in_force": "day"}) == (RULE, "invalid crypto time_in_force")
    assert await refused(visitor, **COIN | {"time_in_force": "fok"}) == (RULE, "invalid crypto time_in_force")
    assert await refused(visitor, **COIN, **STOP) == (FIELD, "invalid order type for crypto order")
    assert await refused(visitor, **COIN, **TRAIL) == (FIELD, "invalid order type for crypto order")
    assert (await refused(visitor, **COIN, order_class="bracket", **exits))[1].startswith("crypto orders not allowed")
    least, most = "cost basis must be >= minimal amount of order 10", "cost basis must be <= maximal amount of order 200000"
    for size in ({"qty": "0.00001"}, {"qty": None, "notional": "9.99"}, {"qty": "0.099", "type": "limit", "limit_price": "100"}):
        assert await refused(visitor, **COIN, **size) == (FORBIDDEN, least)
    assert await refused(visitor, **COIN, qty="2.001", type="limit", limit_price="100000") == (FORBIDDEN, most)

    await visitor.order(**COIN, qty="0.1", type="limit", limit_price="100")
    await visitor.order(**COIN | {"time_in_force": "ioc"}, qty=None, notional="10")


async def test_coins_that_are_not_there_are_not_sold(visitor: Visitor, clock: StillClock):
    """There are no short coins: the balance is what can be sold, and the refusal says what there is of it."""
    await hold(visitor, clock, **COIN, qty="0.5")
    reply = await visitor.post("/v2/orders", {**COIN, "qty": "0.6", "side": "sell", "type": "market"})

    assert (reply.status, reply.json) == (
        403,
        {
            "code": 40310000,
            "message": "insufficient balance for BTC (requested: 0.6, available: 0.5)",
            "symbol": "BTC",
            "balance": "0.5",
            "available": "0.5",
        },
    )
    message = "insufficient balance for ETH (requested: 1, available: 0)"
    assert await refused(visitor, **COIN | {"symbol": "ETHUSD"}, side="sell") == (FORBIDDEN, message)


async def test_short_sales_need_an_account_that_may(clock: StillClock):
    """Less than 2000 USD of equity, or shorting switched off, is no account for it; what is held may be sold all the same."""
    for settings in ({"cash": Decimal(1999)}, {"shorting": False}):
        async with sandbox(clock, **settings) as box, Visitor(box) as visitor:
            assert await refused(visitor, side="sell") == (FORBIDDEN, "account is not allowed to short")
            assert (await refused(visitor, **COIN, side="sell"))[1].startswith("insufficient balance for BTC")
            await hold(visitor, clock)
            await visitor.order(side="sell")
    async with sandbox(clock, cash=Decimal(2000)) as box, Visitor(box) as visitor:
        await visitor.order(side="sell", symbol="F")


async def test_choices_of_the_owner_bind_orders(visitor: Visitor, clock: StillClock):
    """No shorts, no fractions, nothing at all: as the account's configurations say."""

    async def choose(**choices: bool) -> None:
        assert (await visitor.ask("PATCH", "/v2/account/configurations", choices)).status == 200

    await hold(visitor, clock, symbol="F", qty="1.5")
    await choose(no_shorting=True, fractional_trading=False)
    assert (await visitor.ask("DELETE", "/v2/positions/F")).status == 200
    assert await refused(visitor, side="sell") == (FORBIDDEN, "account is not allowed to short")
    assert await refused(visitor, qty="0.5") == (FORBIDDEN, "fractional trading is not allowed for account")
    assert await refused(visitor, qty=None, notional="50") == (FORBIDDEN, "fractional trading is not allowed for account")
    await visitor.order(**COIN, qty="0.5")
    await choose(no_shorting=False, fractional_trading=True, suspend_trade=True)
    assert await refused(visitor) == (FORBIDDEN, "new orders are rejected by user request")
    await choose(suspend_trade=False)
    await visitor.order(side="sell")
    await visitor.order(symbol="MSFT", qty="0.5")


@pytest.mark.parametrize(
    ("time_in_force", "at", "taken"),
    [
        ("opg", "2026-03-02T14:27:59", True),
        ("opg", "2026-03-02T14:28:00", False),
        ("opg", "2026-03-02T23:59:59", False),
        ("opg", "2026-03-03T00:00:00", True),
        ("opg", "2026-03-07T18:00:00", True),
        ("cls", "2026-03-02T20:49:59", True),
        ("cls", "2026-03-02T20:50:00", False),
        ("cls", "2026-03-03T00:00:00", True),
        ("cls", "2026-11-27T17:49:59", True),
        ("cls", "2026-11-27T17:50:00", False),
    ],
)
async def test_auctions_are_entered_in_time(time_in_force: str, at: str, taken: bool):  # a table's column
    """From two minutes before the open, or ten before the close, until 19:00 in New York no order joins; early closes count."""
    async with sandbox(StillClock(datetime.fromisoformat(at).replace(tzinfo=UTC)), calendar="XNYS") as box, Visitor(box) as visitor:
        if taken:
            await visitor.order(time_in_force=time_in_force)
        else:
            numbers, message = await refused(visitor, time_in_force=time_in_force)
            assert (numbers, message.split(" between ")[0]) == (RULE, f"{time_in_force} orders are not accepted")


async def test_auctions_of_an_exchange_that_never_closes_are_always_open(visitor: Visitor):
    """Where there is no real calendar, auction orders are taken at any time."""
    await visitor.order(time_in_force="opg")
    await visitor.order(time_in_force="cls")


async def test_one_side_opens_at_a_time(visitor: Visitor):
    """A buy while a short sale is open is refused as such where the two could not meet."""
    await visitor.order(side="sell", **DEAR)
    assert await refused(visitor, **CHEAP) == (FORBIDDEN, "cannot open a long buy while a short sell order is open")


async def test_money_that_is_not_there_is_said_to_the_cent(visitor: Visitor):
    """The refusal holds what is free and what the order would cost."""
    reply = await visitor.post(
        "/v2/orders", {"symbol": "AAPL", "qty": 1001, "side": "buy", "type": "limit", "limit_price": 100, "time_in_force": "day"}
    )
    free = {"buying_power": "100000", "cost_basis": "100100"}
    assert (reply.status, reply.json) == (403, {"code": 40310000, "message": "insufficient buying power", **free})
