"""Order events on the trading socket: each with the order as it was at its moment."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sandboxes import sandbox
from wires import TradingWire

from broker_core.clock import StillClock, to_ns
from broker_core.orders import ReplaceTerms
from broker_core.requests import LimitOrder, MarketOrder, OrderRequest, StopLoss, TakeProfit
from broker_demo.paper_order import PaperOrder
from broker_demo.sandbox.server import Sandbox
from broker_demo.sandbox.trading.order_record import order_record


def submit(box: Sandbox, request: OrderRequest, client_order_id: str = "c1") -> PaperOrder:
    """Place an order as a request would."""
    venue = box.desk.venue
    return venue.change(lambda now_ns: venue.exchange.submit(request, client_order_id, now_ns))


def cancel(box: Sandbox, order: PaperOrder) -> None:
    """Cancel it."""
    venue = box.desk.venue
    venue.change(lambda now_ns: venue.exchange.cancel(order.order_id, now_ns))


def low(symbol: str = "AAPL", qty: str = "10") -> LimitOrder:
    """A purchase that nobody will serve."""
    return LimitOrder(symbol, "buy", qty=qty, limit_price="1", time_in_force="gtc")


def told(updates: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Events and the statuses of their orders."""
    return [(update["event"], update["order"]["status"]) for update in updates]


async def test_working_order_is_pending_then_new_and_filled(box: Sandbox, clock: StillClock):
    """A market order is told as pending, as new and as filled, each with the order as it was then."""
    async with TradingWire(box) as wire:
        await wire.listen()
        order = submit(box, MarketOrder("AAPL", "buy", qty="1"))
        await clock.advance(1)
        pending, new, fill = await wire.updates(3)

    assert told([pending, new, fill]) == [("pending_new", "pending_new"), ("new", "new"), ("fill", "filled")]
    assert new["order"]["filled_qty"] == "0"
    assert new["order"]["filled_avg_price"] is None
    assert fill["order"] == order_record(order)
    assert (fill["qty"], fill["position_qty"], fill["order"]["filled_qty"]) == ("1", "1", "1")
    assert Decimal(fill["price"]) == Decimal(fill["order"]["filled_avg_price"])
    assert fill["execution_id"] == box.desk.exchange.state.ledger.fills[0].execution_id
    assert pending["event_id"] < new["event_id"] < fill["event_id"]
    assert fill["timestamp"] == fill["order"]["filled_at"]


async def test_partial_fills_name_their_own_quantity_and_the_signed_position(box: Sandbox, clock: StillClock):
    """Pieces of a sale name what was traded each time, and a short position has a minus."""
    async with TradingWire(box) as wire:
        await wire.listen()
        submit(box, MarketOrder("DEMO.PARTIAL", "sell", qty="30", time_in_force="gtc"))
        await clock.advance(60)
        updates = await wire.updates(2)
        while updates[-1]["event"] != "fill":
            updates.append(await wire.update())

    pieces = updates[2:]
    assert len(pieces) > 1
    assert {update["event"] for update in pieces[:-1]} == {"partial_fill"}
    assert sum(Decimal(update["qty"]) for update in pieces) == 30
    assert len({update["execution_id"] for update in pieces}) == len(pieces)
    assert all(Decimal(update["position_qty"]) == -Decimal(update["order"]["filled_qty"]) for update in pieces)


async def test_cancel_names_the_moment(box: Sandbox):
    """A cancelled order is told with the moment in which it ended."""
    async with TradingWire(box) as wire:
        await wire.listen()
        cancel(box, submit(box, low()))
        canceled = (await wire.updates(3))[-1]

    assert told([canceled]) == [("canceled", "canceled")]
    assert canceled["order"]["canceled_at"] == canceled["timestamp"] == "2026-03-02T15:00:00Z"


async def test_replaced_tells_the_old_order(box: Sandbox):
    """The order of ``replaced`` is the old one and names its successor, which is new."""
    async with TradingWire(box) as wire:
        await wire.listen()
        venue = box.desk.venue
        old = submit(box, low())
        new = venue.change(lambda now_ns: venue.exchange.replace(old.order_id, ReplaceTerms(limit_price=Decimal(2)), now_ns))
        replaced, taken = (await wire.updates(4))[2:]

    assert told([replaced, taken]) == [("replaced", "replaced"), ("new", "new")]
    assert (replaced["order"]["id"], replaced["order"]["replaced_by"]) == (old.order_id, new.order_id)
    assert (taken["order"]["id"], taken["order"]["replaces"]) == (new.order_id, old.order_id)


async def test_rejected_order(box: Sandbox, clock: StillClock):
    """An order that the exchange rejects has been new before."""
    async with TradingWire(box) as wire:
        await wire.listen()
        submit(box, MarketOrder("DEMO.REJECT", "buy", qty="1"))
        await clock.advance(1)

        assert told(await wire.updates(3)) == [("pending_new", "pending_new"), ("new", "new"), ("rejected", "rejected")]


async def test_order_outside_hours_is_accepted_then_new_then_expired():
    """On a real calendar an order for a day waits for the open, works, and expires with the close."""
    after_the_close = StillClock(datetime(2026, 11, 25, 21, 30, tzinfo=UTC))
    async with sandbox(after_the_close, calendar="XNYS") as box, TradingWire(box) as wire:
        await wire.listen()
        submit(box, LimitOrder("AAPL", "buy", qty="1", limit_price="1"))
        venue, short_day_over_ns = box.desk.venue, to_ns(datetime(2026, 11, 27, 18, tzinfo=UTC))
        venue.change(lambda now_ns: venue.exchange.advance(short_day_over_ns))

        assert told(await wire.updates(3)) == [("accepted", "accepted"), ("new", "new"), ("expired", "expired")]


async def test_exits_are_held_until_their_entry_is_filled(box: Sandbox, clock: StillClock):
    """A bracket's exits are held; the gain becomes new when the entry is filled, whose record has both inside."""
    async with TradingWire(box) as wire:
        await wire.listen()
        submit(
            box,
            MarketOrder("AAPL", "buy", qty="1", order_class="bracket", take_profit=TakeProfit("9999"), stop_loss=StopLoss("1")),
        )
        await clock.advance(1)
        updates = await wire.updates(6)

    assert [update["event"] for update in updates] == ["pending_new", "new", "held", "held", "fill", "new"]
    assert [leg["status"] for leg in updates[4]["order"]["legs"]] == ["held", "held"]
    assert updates[5]["order"]["type"] == "limit"


async def test_bust_takes_the_execution_back(box: Sandbox, clock: StillClock):
    """A withdrawn execution is told with its id, a quantity below zero, and the position without it."""
    async with TradingWire(box) as wire:
        await wire.listen()
        submit(box, MarketOrder("AAPL", "buy", qty="1"))
        await clock.advance(1)
        venue = box.desk.venue
        execution_id = venue.exchange.state.ledger.fills[0].execution_id
        venue.change(lambda now_ns: venue.exchange.bust(execution_id, now_ns))
        bust = (await wire.updates(4))[-1]

    assert (bust["event"], bust["previous_execution_id"], bust["qty"], bust["position_qty"]) == ("trade_bust", execution_id, "-1", "0")
    assert bust["order"]["filled_qty"] == "0"


@pytest.mark.parametrize(
    ("event", "status"),
    [("pending_cancel", "pending_cancel"), ("order_cancel_rejected", "new"), ("suspended", "suspended"), ("restated", "new")],
)
async def test_announced_event_has_the_status_that_goes_with_it(box: Sandbox, event: str, status: str):
    """What somebody announces is sent at once; the order itself stays as it is."""
    async with TradingWire(box) as wire:
        await wire.listen()
        order = submit(box, low())
        box.desk.updates.announce(event, order, note="by hand")
        announced = (await wire.updates(3))[-1]

    assert told([announced]) == [(event, status)]
    assert announced["note"] == "by hand"
    assert order.status == "new"


async def test_nobody_is_told_what_happened_before(box: Sandbox, clock: StillClock):
    """There is no replay: whoever listens late, or stops listening in between, hears only what comes after."""
    submit(box, low("AAPL"), "c1")
    async with TradingWire(box) as wire, TradingWire(box) as silent:
        await wire.listen()
        submit(box, low("MSFT"), "c2")
        first = await wire.update()
        await silent.listen()
        submit(box, low("TSLA"), "c3")

        assert first["order"]["symbol"] == "MSFT"
        assert (await silent.update())["order"]["symbol"] == "TSLA"


async def test_every_connection_hears_the_same(box: Sandbox):
    """Two connections of one account are told the same events."""
    async with TradingWire(box) as one, TradingWire(box) as other:
        await one.listen()
        await other.listen()
        submit(box, low())

        assert await one.updates(2) == await other.updates(2)


async def test_nothing_is_written_down_for_nobody(box: Sandbox):
    """While nobody listens, or nobody any more, events cost no record and leave nothing behind."""
    async with TradingWire(box) as wire:
        await wire.listen()
    while len(box.desk.lines):
        await box.desk.clock.sleep(0)
    made = box.desk.ids()
    submit(box, low())

    assert int(box.desk.ids()[1:]) == int(made[1:]) + 1
