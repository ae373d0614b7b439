"""Complete lists out of pages: cursors, groups with held legs, and lists that prove nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from accounts import Connect
from paper_host import START, PaperHost
from scripted_host import Reply, Request, ScriptedHost

from broker_alpaca import listing
from broker_alpaca.orders import AlpacaOrders
from broker_alpaca.wire import option_contracts
from broker_core.errors import RequestRefused, Unavailable, WireError
from broker_core.lifecycle import create
from broker_core.orders import EventKind, Order, ReplaceTerms, Source, State
from broker_core.requests import LimitOrder

TERMS = {"symbol": "AAPL", "side": "buy", "type": "limit", "limit_price": "150", "qty": "1", "time_in_force": "day"}


@pytest.fixture
async def host() -> AsyncIterator[PaperHost]:
    """A paper account."""
    async with PaperHost() as paper:
        yield paper


def place(host: PaperHost, count: int, **changes: Any) -> list[str]:
    """Put orders into the account's books; their ids."""
    return [host._add({**TERMS, **changes}, f"{len(host.orders)}")["id"] for _ in range(count)]


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1003])
async def test_every_open_order_is_listed_once_however_many_pages_it_takes(host: PaperHost, connect: Connect, count: int):
    """The cursor is the last order's id; five hundred fit on a page."""
    ids = place(host, count)
    found = await listing.open_orders(connect(host.url))

    assert [record.id for record in found] == ids
    assert host.requests.count("GET /v2/orders") == count // 500 + 1


async def test_orders_that_share_a_moment_are_not_lost_between_pages(host: PaperHost, connect: Connect):
    """A page that ended by time would lose or repeat them."""
    ids = place(host, 700)
    for order in host.orders.values():
        order["submitted_at"] = "2026-03-02T15:00:00Z"
    found = await listing.open_orders(connect(host.url))

    assert {record.id for record in found} == set(ids)
    assert len(found) == 700


async def test_a_held_leg_is_found_below_its_filled_parent(host: PaperHost, connect: Connect):
    """It is on no list of open orders; the parent comes along, filled, with both legs."""
    parent = host._add({**TERMS, "order_class": "bracket"}, "P")
    for terms in ({"limit_price": "160"}, {"type": "stop", "stop_price": "140"}):
        host._add_leg(parent, {**TERMS, "side": "sell", **terms}, "bracket")
    alone = place(host, 1)
    await host.fill(parent["id"], 1, 150)
    found = {record.id: record for record in await listing.open_orders(connect(host.url))}

    gain, loss = parent["_legs"]
    assert set(found) == {parent["id"], *alone}
    assert [(leg.id, leg.status) for leg in found[parent["id"]].legs or ()] == [(gain, "new"), (loss, "held")]


async def test_without_groups_the_open_list_is_the_only_question(host: PaperHost, connect: Connect):
    """Watching simple orders costs one request."""
    place(host, 3)
    await listing.open_orders(connect(host.url))

    assert host.requests == ["GET /v2/orders"]


async def test_a_group_that_has_ended_is_not_listed_again(host: PaperHost, connect: Connect):
    """Only groups with a leg that lives come along."""
    for name in ("old", "young"):
        parent = host._add({**TERMS, "order_class": "oto"}, name)
        host._add_leg(parent, {**TERMS, "side": "sell"}, "oto")
        await host.fill(parent["id"], 1, 150)
    first, second = (order for order in host.orders.values() if order["_legs"])
    await host.fill(first["_legs"][0], 1, 160)
    found = await listing.open_orders(connect(host.url))

    assert [record.id for record in found] == [second["id"]]


@pytest.mark.parametrize(("before", "after"), [(10, 5), (400, 200), (700, 900)])
async def test_everything_since_a_moment_is_listed(host: PaperHost, connect: Connect, before: int, after: int):
    """Open orders of any age, and every order submitted since, whatever became of it."""
    old = place(host, before)
    since = START + timedelta(milliseconds=host._ticks)
    new = place(host, after)
    for order_id in (*old[::2], *new[::3]):
        host._change(host.orders[order_id], "canceled")
    found = {record.id for record in await listing.changed_since(connect(host.url), since)}

    assert found >= set(new)
    assert found >= {order_id for order_id in old if host.orders[order_id]["status"] == "new"}


async def test_up_to_five_hundred_orders_are_read_in_one_request(host: PaperHost, connect: Connect):
    """After a gap the answer comes at once."""
    place(host, 499)
    await listing.changed_since(connect(host.url), START)

    assert host.requests == ["GET /v2/orders"]


async def test_a_list_with_an_order_that_cannot_be_read_proves_nothing(connect: Connect):
    """What is missing from a list counts as evidence, so such a list is none."""
    rows = [{"id": "a", "status": "new"}, {"status": "new"}]
    async with ScriptedHost(lambda _: Reply(200, rows)) as host:
        client = connect(host.url)
        for ask in (listing.open_orders(client), listing.changed_since(client, START)):
            with pytest.raises(WireError, match="1 of its orders cannot be read"):
                await ask


async def test_a_cursor_that_does_not_move_ends(connect: Connect):
    """A host that repeats its page would be asked for ever."""
    rows = [{"id": str(number), "status": "new"} for number in range(500)]
    async with ScriptedHost(lambda _: Reply(200, rows)) as host:
        with pytest.raises(WireError, match="the same page came twice"):
            await listing.open_orders(connect(host.url))

    assert len(host.requests) == 2


class TestFind:
    """Looking one order up by our own id."""

    async def test_absence_is_the_brokers_own_word(self, host: PaperHost, connect: Connect):
        """A 404 with its code."""
        assert await AlpacaOrders(connect(host.url)).find("T9") is None

    @pytest.mark.parametrize("reply", [Reply(404, b"<html>not found</html>"), Reply(404), Reply(404, {"message": "no route"})])
    async def test_any_other_404_proves_nothing(self, connect: Connect, reply: Reply):
        """A proxy's or a router's 404 must not make an order forgotten."""
        async with ScriptedHost(lambda _: reply) as host:
            with pytest.raises(RequestRefused):
                await AlpacaOrders(connect(host.url)).find("T9")

    async def test_no_answer_is_no_absence(self, connect: Connect):
        """It is unavailable."""
        async with ScriptedHost(lambda _: Reply(503)) as host:
            with pytest.raises(Unavailable):
                await AlpacaOrders(connect(host.url)).find("T9")

    async def test_after_replacements_the_present_order_is_told_under_the_id_that_was_asked_for(self, host: PaperHost, connect: Connect):
        """The chain is followed to its end."""
        first, second, third = place(host, 3)
        host._change(host.orders[first], "replaced", replaced_by=second)
        host._change(host.orders[second], "replaced", replaced_by=third, replaces=first)
        host._change(host.orders[third], "partially_filled", replaces=second, filled_qty="0.5", filled_avg_price="150")
        event = await AlpacaOrders(connect(host.url)).find("0")

        assert event is not None
        assert (event.client_order_id, event.broker_order_id, event.replaces) == ("0", third, second)
        assert (event.kind, event.source, event.status) == (EventKind.SNAPSHOT, Source.LOOKUP, State.PARTIAL_FILL)

    @pytest.mark.parametrize(
        ("left", "status", "told"),
        [("new", State.ACCEPTED, 1), ("filled", State.FILLED, 1), ("replaced", State.CANCELED, 2)],
    )
    async def test_after_a_rejected_replacement(self, host: PaperHost, connect: Connect, left: str, status: State, told: int):
        """The order before it stands as it says; where it was taken away for the replacement, the order has ended."""
        first, second, third = place(host, 3)
        host._change(host.orders[first], "replaced", replaced_by=second)
        host._change(host.orders[second], left, replaced_by=third, replaces=first)
        host._change(host.orders[third], "rejected", replaces=second)
        event = await AlpacaOrders(connect(host.url)).find("0")

        assert event is not None
        assert (event.status, event.broker_order_id) == (status, (first, second, third)[told])

    async def test_a_group_comes_with_its_legs(self, host: PaperHost, connect: Connect):
        """The look-up by our id leaves them out, so the order is asked for once more."""
        parent = host._add({**TERMS, "order_class": "oto"}, "P")
        host._add_leg(parent, {**TERMS, "side": "sell"}, "oto")
        event = await AlpacaOrders(connect(host.url)).find("P")

        assert event is not None
        assert [leg.broker_order_id for leg in event.legs] == parent["_legs"]


async def test_the_moment_of_an_order_without_any_is_now(connect: Connect):
    """News must have a time; the plugin's clock stands in."""

    def answer(request: Request) -> Reply:
        return Reply(200, {"id": "a", "status": "new", "symbol": "AAPL", "side": "buy"})

    async with ScriptedHost(answer) as host:
        client = connect(host.url)
        event = await AlpacaOrders(client).find("T1")

    assert event is not None
    assert isinstance(event.at, datetime)
    assert abs(event.at - client.clock.now()) < timedelta(seconds=60)


class TestWithoutTheBrokersId:
    """What is asked of an order of which only our own id is known."""

    async def test_a_cancel_finds_the_order_first(self, host: PaperHost, connect: Connect):
        """One look-up by our id, then the cancel of the order it found."""
        (order_id,) = place(host, 1)
        await AlpacaOrders(connect(host.url)).cancel(known_by("0"))

        assert host.requests == ["GET /v2/orders:by_client_order_id", f"DELETE /v2/orders/{order_id}"]
        assert host.orders[order_id]["status"] == "pending_cancel"

    async def test_a_replacement_finds_the_order_first(self, host: PaperHost, connect: Connect):
        """One look-up by our id, then the replacement of the order it found."""
        (order_id,) = place(host, 1)
        event = await AlpacaOrders(connect(host.url)).replace(known_by("0"), ReplaceTerms(limit_price=Decimal(151)), "T2")

        assert host.requests == ["GET /v2/orders:by_client_order_id", f"PATCH /v2/orders/{order_id}"]
        assert (event.replaces, event.client_order_id) == (order_id, "T2")

    async def test_what_the_broker_does_not_hold_cannot_be_ended(self, host: PaperHost, connect: Connect):
        """It is refused, and nothing is sent that could end another order."""
        with pytest.raises(RequestRefused, match="there is no order T9"):
            await AlpacaOrders(connect(host.url)).cancel(known_by("T9"))

        assert host.requests == ["GET /v2/orders:by_client_order_id"]


def known_by(local_id: str) -> Order:
    """An order of ours that has no broker's id yet."""
    order, _ = create(local_id, LimitOrder("AAPL", "buy", qty=1, limit_price=150), START)
    return order


@pytest.mark.parametrize("tokens", [["x", "x"], ["x", "y", "x"]])
async def test_pages_that_go_round_in_a_circle_end(connect: Connect, tokens: list[str]):
    """A token that was given before is an error, not another round."""
    answers = iter(tokens)
    async with ScriptedHost(lambda _: Reply(200, {"option_contracts": [], "next_page_token": next(answers)})) as host:
        pages = connect(host.url).pages(lambda token: option_contracts.page(page_token=token), lambda page: page.next_token)
        with pytest.raises(WireError, match="the same page token twice"):
            async for _ in pages:
                pass

    assert [request.query.get("page_token") for request in host.requests] == [None, *tokens[:-1]]
