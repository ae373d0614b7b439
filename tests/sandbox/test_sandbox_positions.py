"""The positions of the trading host: told with their figures, and closed."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sandboxes import Visitor, sandbox

from broker_core.clock import StillClock
from broker_demo.sandbox.trading.position_record import Morning, position_record
from broker_demo.sandbox.trading.positions import _share_of

MEMBERS = {
    *("asset_id", "symbol", "exchange", "asset_class", "asset_marginable", "qty", "qty_available", "side", "avg_entry_price", "cost_basis"),
    *("market_value", "current_price", "lastday_price", "change_today"),
    *("unrealized_pl", "unrealized_plpc", "unrealized_intraday_pl", "unrealized_intraday_plpc"),
}
UNTIL_MIDNIGHT = 14 * 3600
"""Seconds from the beginning of the clock to midnight in New York."""
COIN = {"symbol": "BTC/USD", "time_in_force": "gtc"}
NOBODY = (404, {"code": 40410000, "message": "position does not exist"})


async def hold(visitor: Visitor, clock: StillClock, qty: str = "10", **terms: Any) -> Any:
    """Come to hold shares, sold short for a number below zero, and tell the position."""
    side = "sell" if qty.startswith("-") else "buy"
    order = await visitor.order(qty=qty.lstrip("-"), side=side, **terms)
    await clock.advance(1)
    return (await visitor.get(f"/v2/positions/{order['asset_id']}")).json


async def qty_of(visitor: Visitor, name: str) -> str | None:
    reply = await visitor.get(f"/v2/positions/{name}")
    return None if reply.status == 404 else reply.json["qty"]


async def test_position_is_told_with_all_its_members(visitor: Visitor, clock: StillClock):
    """Decimal texts that fit together: value less cost is the gain, and its share of the cost is a fraction."""
    told = await hold(visitor, clock)

    assert set(told) == MEMBERS
    assert (told["symbol"], told["exchange"], told["asset_class"], told["asset_marginable"]) == ("AAPL", "NASDAQ", "us_equity", True)
    assert (told["qty"], told["qty_available"], told["side"]) == ("10", "10", "long")
    number = {name: Decimal(value) for name, value in told.items() if name not in ("asset_id", "symbol", "side") and _is_number(value)}
    assert number["cost_basis"] == 10 * number["avg_entry_price"]
    assert number["market_value"] == 10 * number["current_price"]
    assert number["unrealized_pl"] == number["unrealized_intraday_pl"] == number["market_value"] - number["cost_basis"] != 0
    assert abs(number["unrealized_plpc"] - number["unrealized_pl"] / number["cost_basis"]) < Decimal("1E-15")
    assert abs(number["change_today"] - (number["current_price"] / number["lastday_price"] - 1)) < Decimal("1E-15")


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and value.lstrip("-").replace(".", "", 1).isdigit()


async def test_short_position_is_below_zero_and_says_so(visitor: Visitor, clock: StillClock):
    """Quantity, value and cost are negative, the side is short, and a rising price is a loss."""
    told = await hold(visitor, clock, "-3")

    assert (told["side"], told["qty"], told["qty_available"]) == ("short", "-3", "-3")
    value, cost, gain = (Decimal(told[name]) for name in ("market_value", "cost_basis", "unrealized_pl"))
    assert value < 0 > cost
    assert gain == value - cost
    assert Decimal(told["unrealized_plpc"]) * gain > 0


async def test_pair_has_no_slash_and_all_its_names_find_it(visitor: Visitor, clock: StillClock):
    """Coins are held as ``BTCUSD``; the pair, with and without its slash, and the asset's id lead to the same position."""
    told = await hold(visitor, clock, "0.5", **COIN)

    assert (told["symbol"], told["exchange"], told["asset_class"], told["asset_marginable"]) == ("BTCUSD", "CRYPTO", "crypto", False)
    for name in ("BTCUSD", "BTC%2FUSD", told["asset_id"]):
        assert (await visitor.get(f"/v2/positions/{name}")).json == told
    assert (await visitor.get("/v2/positions")).json == [told]


async def test_no_position_is_a_404(visitor: Visitor):
    """For a listed symbol, an unknown one, and to be closed."""
    for method in ("GET", "DELETE"):
        for name in ("AAPL", "FACEBOOK"):
            reply = await visitor.ask(method, f"/v2/positions/{name}")
            assert (reply.status, reply.json) == NOBODY
    assert (await visitor.get("/v2/positions")).json == []


async def test_figures_of_the_day_begin_with_yesterdays_close(visitor: Visitor, clock: StillClock):
    """What was held overnight has gained since the last close, what was bought today since it was bought."""
    await hold(visitor, clock)
    await clock.advance(UNTIL_MIDNIGHT - 2)
    (yesterday,) = (await visitor.get("/v2/positions")).json
    await clock.advance(3600)
    (overnight,) = (await visitor.get("/v2/positions")).json
    price, before = Decimal(overnight["current_price"]), Decimal(overnight["lastday_price"])
    assert before == Decimal(yesterday["current_price"]) != Decimal(yesterday["lastday_price"])
    assert Decimal(overnight["unrealized_intraday_pl"]) == 10 * (price - before)
    assert Decimal(overnight["unrealized_pl"]) == 10 * (price - Decimal(overnight["avg_entry_price"]))

    mixed = await hold(visitor, clock, "30")

    price, average = Decimal(mixed["current_price"]), Decimal(mixed["avg_entry_price"])
    assert abs(Decimal(mixed["unrealized_intraday_pl"]) - (10 * (price - before) + 30 * (price - average))) < Decimal("1E-6")


async def test_position_turned_around_today_is_all_of_today(visitor: Visitor, clock: StillClock):
    """Nothing of a short position is left in the long one that took its place, nor the other way round."""
    for side, other in (("-3", "3"), ("3", "-3")):
        await hold(visitor, clock, side)
        await clock.advance(24 * 3600)
        await visitor.ask("DELETE", "/v2/positions")
        await clock.advance(1)
        await hold(visitor, clock, other)
        await clock.advance(60)
        (turned,) = (await visitor.get("/v2/positions")).json
        assert turned["unrealized_intraday_pl"] == turned["unrealized_pl"] != "0"
        await visitor.ask("DELETE", "/v2/positions")
        await clock.advance(1)


async def test_purchase_that_was_taken_back_was_none(visitor: Visitor, clock: StillClock):
    """What the exchange busts does not count as bought today."""
    await hold(visitor, clock)
    await clock.advance(24 * 3600)
    (before,) = (await visitor.get("/v2/positions")).json
    order = await visitor.order(qty="5")
    await clock.advance(0.1)
    exchange = visitor.box.desk.exchange
    (fill,) = [fill for fill in exchange.state.ledger.fills if fill.order_id == order["id"]]
    visitor.box.desk.venue.change(lambda now_ns: exchange.bust(fill.execution_id, now_ns))

    assert (await visitor.get("/v2/positions")).json == [before]


async def test_day_after_a_weekend_is_measured_against_friday():
    """With real sessions the last day's price is the close of the last trading day."""
    clock = StillClock(datetime(2026, 3, 6, 20, 59, 58, tzinfo=UTC))
    async with sandbox(clock, calendar="XNYS") as box, Visitor(box) as visitor:
        friday = await hold(visitor, clock)
        await clock.advance(1)
        close = (await visitor.get("/v2/positions/AAPL")).json["current_price"]
        await clock.advance(3600)
        assert (await visitor.get("/v2/positions/AAPL")).json["lastday_price"] == friday["lastday_price"] != close
        await clock.advance(2 * 24 * 3600)
        sunday = (await visitor.get("/v2/positions/AAPL")).json
        assert (sunday["lastday_price"], sunday["change_today"], sunday["unrealized_intraday_pl"]) == (close, "0", "0")


async def test_shares_in_open_orders_are_not_available(visitor: Visitor, clock: StillClock):
    """An open sale keeps its shares; closing more than the rest is refused with the order's id, closing the rest is not."""
    await hold(visitor, clock)
    sale = await visitor.order(side="sell", qty="4", type="limit", limit_price="900")
    assert (await visitor.get("/v2/positions/AAPL")).json["qty_available"] == "6"

    reply = await visitor.ask("DELETE", "/v2/positions/AAPL", qty="10.00")

    assert (reply.status, reply.json) == (
        403,
        {
            "code": 40310000,
            "message": "insufficient qty available for order (requested: 10, available: 6)",
            "symbol": "AAPL",
            "existing_qty": "10",
            "held_for_orders": "4",
            "available": "6",
            "related_orders": [sale["id"]],
        },
    )
    assert (await visitor.ask("DELETE", "/v2/positions/AAPL", qty="6")).status == 200


async def test_position_is_closed_by_a_market_order(visitor: Visitor, clock: StillClock):
    """Long ones are sold, short ones bought, coins good till cancelled: the answer is that order, and then there is no position."""
    await hold(visitor, clock)
    await hold(visitor, clock, "-3", symbol="MSFT")
    await hold(visitor, clock, "0.5", **COIN)
    told = {}
    for name in ("AAPL", "MSFT", "BTCUSD"):
        order = (await visitor.ask("DELETE", f"/v2/positions/{name}")).json
        told[name] = tuple(order[member] for member in ("symbol", "side", "qty", "type", "time_in_force", "status", "position_intent"))
    await clock.advance(1)

    assert told == {
        "AAPL": ("AAPL", "sell", "10", "market", "day", "pending_new", "sell_to_close"),
        "MSFT": ("MSFT", "buy", "3", "market", "day", "pending_new", "buy_to_close"),
        "BTCUSD": ("BTC/USD", "sell", "0.5", "market", "gtc", "pending_new", "sell_to_close"),
    }
    assert (await visitor.get("/v2/positions")).json == []


async def test_position_is_closed_in_part(visitor: Visitor, clock: StillClock):
    """By shares or by percent, which takes whole shares of whole ones."""
    await hold(visitor, clock)
    assert (await visitor.ask("DELETE", "/v2/positions/AAPL", qty="2.5")).json["qty"] == "2.5"
    await clock.advance(1)
    assert (await visitor.ask("DELETE", "/v2/positions/AAPL", percentage="50")).json["qty"] == "3.75"
    await clock.advance(1)
    assert await qty_of(visitor, "AAPL") == "3.75"
    await hold(visitor, clock, symbol="MSFT")
    assert (await visitor.ask("DELETE", "/v2/positions/MSFT", percentage="37.9")).json["qty"] == "3"


async def test_senseless_parts_are_refused(visitor: Visitor, clock: StillClock):
    """Both at once, nothing, more than all, no number."""
    await hold(visitor, clock)
    for query in (
        {"qty": "1", "percentage": "10"},
        {"qty": "0"},
        {"qty": "-1"},
        {"qty": "all"},
        {"percentage": "0"},
        {"percentage": "100.1"},
        {"percentage": "1"},
    ):
        reply = await visitor.ask("DELETE", "/v2/positions/AAPL", **query)
        assert (reply.status, reply.json["code"]) == (422, 40010001), query
    assert (await visitor.ask("DELETE", "/v2/positions/AAPL", qty="11")).status == 403


async def test_closing_all_answers_for_each(visitor: Visitor, clock: StillClock):
    """207: one element a position, with its order or with the refusal; nothing held is an empty list."""
    assert (await visitor.ask("DELETE", "/v2/positions")).json == []
    await hold(visitor, clock)
    await hold(visitor, clock, "0.5", **COIN)
    sale = await visitor.order(side="sell", qty="10", type="limit", limit_price="900")

    reply = await visitor.ask("DELETE", "/v2/positions")

    assert reply.status == 207
    kept, gone = reply.json
    assert (kept["symbol"], kept["status"], kept["body"]["code"], kept["body"]["related_orders"]) == ("AAPL", 403, 40310000, [sale["id"]])
    assert (gone["symbol"], gone["status"], gone["body"]["symbol"], gone["body"]["side"]) == ("BTCUSD", 200, "BTC/USD", "sell")


async def test_closing_all_cancels_orders_before_where_asked(visitor: Visitor, clock: StillClock):
    """Each cancelled order has an element too, with its id for a symbol; then the shares it held are free to go."""
    await hold(visitor, clock)
    sale = await visitor.order(side="sell", qty="10", type="limit", limit_price="900")

    reply = await visitor.ask("DELETE", "/v2/positions", cancel_orders="True")
    await clock.advance(1)

    assert [(each["symbol"], each["status"], each["body"]["type"]) for each in reply.json] == [
        (sale["id"], 200, "limit"),
        ("AAPL", 200, "market"),
    ]
    assert (await visitor.get("/v2/positions")).json == (await visitor.get("/v2/orders")).json == []


async def test_coins_worth_less_than_an_order_may_be_are_closed(visitor: Visitor, clock: StillClock):
    """Dust cannot be sold by an order; closing its position sells it."""
    await hold(visitor, clock, "0.0001", **COIN)
    await hold(visitor, clock, "0.5", symbol="ETHUSD", time_in_force="gtc")
    assert (await visitor.ask("DELETE", "/v2/positions/BTCUSD", percentage="50")).status == 200
    await clock.advance(1)
    sold = {"symbol": "BTCUSD", "qty": "0.00005", "side": "sell", "type": "market", "time_in_force": "gtc"}
    assert (await visitor.post("/v2/orders", sold)).status == 403

    assert (await visitor.ask("DELETE", "/v2/positions/BTCUSD")).status == 200
    await clock.advance(1)
    assert await qty_of(visitor, "BTCUSD") is None


@given(qty=st.decimals("0.000000001", "1000000", places=9), percentage=st.decimals("0.000000001", 100, places=9))
@settings(max_examples=50, deadline=None)
def test_a_percentage_is_never_more_than_it_says(qty: Decimal, percentage: Decimal):
    """The part closed is at most the share asked for, short of it by less than a step, and whole of what is whole."""
    part = _share_of(qty, percentage)
    step = Decimal(1) if qty == qty.to_integral_value() else Decimal("0.000000001")

    assert 0 <= qty * percentage / 100 - part < step
    assert part % step == 0
    assert _share_of(qty, Decimal(100)) == qty


trades = st.lists(st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 5), st.booleans()), min_size=1, max_size=8)


@given(trades=trades)
@settings(max_examples=10, deadline=None)
async def test_no_more_was_there_this_morning_than_is_now(trades: list[tuple[str, int, bool]]):
    """Whatever was traded over days, the part that counts from yesterday goes the position's way and is no larger than it."""
    clock = StillClock()
    async with sandbox(clock) as box, Visitor(box) as visitor:
        for side, qty, sleeps in trades:
            body = {"symbol": "F", "qty": qty, "side": side, "type": "market", "time_in_force": "day"}
            await visitor.post("/v2/orders", body)
            await clock.advance(24 * 3600 if sleeps else 1)
        exchange = box.desk.settled()
        held, morning = exchange.state.ledger.holding("F"), Morning.of(box.desk)
        kept = morning.kept("F", held.qty)
        assert kept * held.qty >= 0
        assert abs(kept) <= abs(held.qty)
        if held.qty and not kept:
            told = position_record(box.desk, "F", held, morning)
            assert told["unrealized_intraday_pl"] == told["unrealized_pl"]
        if trades[-1][2]:
            assert kept == held.qty
