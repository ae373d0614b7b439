"""Whole sessions with an Alpaca account over real sockets, by either transport: from the call to the order's end, and out of trouble."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest
from accounts import FastClock, settings_for
from aiohttp import web
from paper_host import PaperHost

from broker_alpaca.config import Mode
from broker_alpaca.plugin import AlpacaPlugin
from broker_core import (
    AuthError,
    Environment,
    LimitOrder,
    MarketOrder,
    MultiLegOrder,
    OptionLeg,
    RequestRefused,
    Session,
    State,
    StopLimitOrder,
    StopLoss,
    StopOrder,
    TakeProfit,
    TrailingStopOrder,
    connect,
)
from broker_core.clock import CountingIds, seeded
from broker_core.models import Channel
from broker_core.orders import Order, ReplaceTerms

CALL, HIGHER_CALL = "AAPL241213C00250000", "AAPL241213C00260000"


@pytest.fixture
async def host() -> AsyncIterator[PaperHost]:
    """A paper account."""
    async with PaperHost() as paper:
        yield paper


def session_with(host: PaperHost, mode: Mode, **changes: Any) -> Any:
    """A session with this account that is not open yet; nothing is kept."""
    clock = FastClock()
    plugin = AlpacaPlugin(settings_for(host.url, mode=mode, **changes), clock=clock, random=seeded(1))
    environ = {"BROKER_DISABLE": "records,alpaca"}
    return connect("alpaca", plugins=[plugin], environ=environ, clock=clock, ids=CountingIds("T"), random=seeded(2))


@pytest.fixture
async def session(host: PaperHost, mode: Mode) -> AsyncIterator[Session]:
    """A session whose order stream is signed in."""
    async with session_with(host, mode) as opened:
        await opened.stream.ready(Channel.ORDERS)
        yield opened


async def until(order: Order, session: Session, is_so: Callable[[Order], bool]) -> Order:
    """Wait until something is so of an order."""
    while not is_so(present := session.orders.get(order.local_id)):  # type: ignore[arg-type]
        await session.orders.book.wait(order.local_id)
    return present


async def test_a_session_says_where_it_is(session: Session, mode: Mode):
    """Broker, mode and environment; it is no demo."""
    assert (session.connection.broker, session.connection.mode, session.connection.environment) == ("alpaca", mode, Environment.PAPER)
    assert session.connection.account_id == "PA000TEST"
    assert not session.is_demo


REQUESTS = {
    "market": MarketOrder("AAPL", "buy", qty=10),
    "notional": MarketOrder("AAPL", "buy", notional="250.50"),
    "limit": LimitOrder("AAPL", "buy", qty=10, limit_price="150.25", time_in_force="gtc"),
    "extended": LimitOrder("AAPL", "buy", qty=10, limit_price="150.25", extended_hours=True),
    "stop": StopOrder("AAPL", "sell", qty="1.5", stop_price="140"),
    "stop limit": StopLimitOrder("AAPL", "buy", qty=10, stop_price="151", limit_price="152"),
    "trailing price": TrailingStopOrder("AAPL", "sell", qty=10, trail_price="1.50"),
    "trailing percent": TrailingStopOrder("AAPL", "sell", qty=10, trail_percent="2.5"),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_an_order_of_every_type_is_held_by_the_broker_as_it_was_asked(session: Session, host: PaperHost, name: str):
    """Each term arrives exactly, as text, under our own id."""
    request = REQUESTS[name]
    order = await session.orders.submit(request)

    held = host.one()
    assert order.state is State.ACCEPTED
    assert order.broker_ids == (held["id"],)
    assert held["client_order_id"] == order.local_id
    assert (held["symbol"], held["side"], held["type"], held["time_in_force"]) == (
        request.symbol,
        request.side,
        request.order_type,
        request.time_in_force,
    )
    for term in ("qty", "notional", "limit_price", "stop_price", "trail_price", "trail_percent"):
        asked = getattr(request, term)
        assert held[term] == (None if asked is None else str(asked))
    assert held["extended_hours"] is request.extended_hours


async def test_fills_arrive_and_the_order_ends_filled(session: Session, host: PaperHost):
    """Two executions, the average of both, and the position they make."""
    order = await session.orders.submit(LimitOrder("AAPL", "buy", qty=10, limit_price=150))
    await host.fill(host.one()["id"], 4, "149.99")
    part = await until(order, session, lambda present: present.state is State.PARTIAL_FILL)
    await host.fill(host.one()["id"], 6, "150")
    done = await session.orders.done(order, timeout=30)

    assert (part.filled_qty, part.filled_avg_price) == (4, Decimal("149.99"))
    assert (done.state, done.filled_qty, done.filled_avg_price) == (State.FILLED, 10, Decimal("149.996"))
    assert len([entry for entry in done.ledger.executions.values() if not entry.execution_id.startswith("inferred")]) == 2
    assert session.orders.positions_from_fills() == {"AAPL": 10}


async def test_a_cancel_is_a_wish_until_the_stream_says_so(session: Session, host: PaperHost):
    """A fill may still come between."""
    order = await session.orders.submit(LimitOrder("AAPL", "buy", qty=10, limit_price=150))
    asked = await session.orders.cancel(order)
    assert asked.state is State.ACCEPTED
    assert asked.cancel_requested_at is not None
    await host.fill(host.one()["id"], 4, 150)
    await host.end(host.one()["id"], "canceled")
    done = await session.orders.done(order, timeout=30)

    assert (done.state, done.filled_qty) == (State.CANCELED, 4)


async def test_a_cancel_that_comes_too_late_finds_the_fill(session: Session, host: PaperHost):
    """The refusal leads to a look-up, and the order is filled, although the stream said nothing."""
    order = await session.orders.submit(LimitOrder("AAPL", "buy", qty=10, limit_price=150))
    host.is_mute = True
    await host.fill(host.one()["id"], 10, 150)
    done = await session.orders.cancel(order)

    assert (done.state, done.filled_qty, done.filled_avg_price) == (State.FILLED, 10, 150)


async def test_a_replacement_is_one_order_here_and_a_chain_there(session: Session, host: PaperHost):
    """Terms count once the venue has taken them; fills on both ids count."""
    order = await session.orders.submit(LimitOrder("AAPL", "buy", qty=10, limit_price=150))
    first = host.one()["id"]
    await host.fill(first, 4, 150)
    await until(order, session, lambda present: present.filled_qty == 4)
    asked = await session.orders.replace(order, ReplaceTerms(limit_price=Decimal(151)))
    second = host.orders[first]["replaced_by"]
    assert asked.request.limit_price == 150
    await host.replaced(first)
    present = await until(order, session, lambda present: present.request.limit_price == 151)
    host.orders[second].update(filled_qty="4", filled_avg_price="150")
    await host.fill(second, 6, 151)
    done = await session.orders.done(order, timeout=30)

    assert present.broker_ids == (first, second)
    assert (done.state, done.filled_qty, done.filled_avg_price) == (State.FILLED, 10, Decimal("150.6"))
    assert len(session.orders.book.orders()) == 1


async def test_a_replacement_that_is_rejected_leaves_the_old_order_working(session: Session, host: PaperHost):
    """Alpaca rejects the new order; the old one fills, with its old terms."""
    order = await session.orders.submit(LimitOrder("AAPL", "buy", qty=10, limit_price=150))
    first = host.one()["id"]
    await session.orders.replace(order, ReplaceTerms(limit_price=Decimal(151)))
    second = host.orders[first]["replaced_by"]
    await host.end(second, "rejected")
    still = await until(order, session, lambda present: present.replacement is None)
    await host.fill(first, 10, 150)
    done = await session.orders.done(order, timeout=30)

    assert (still.state, still.broker_order_id, still.request.limit_price) == (State.ACCEPTED, first, 150)
    assert (done.state, done.filled_qty) == (State.FILLED, 10)


async def test_a_bracket_lives_through_its_held_leg(session: Session, host: PaperHost):
    """Once the entry is filled the waiting stop is on no list of open orders; it is neither lost nor taken for ended."""
    bracket = LimitOrder(
        "AAPL", "buy", qty=10, limit_price=150, order_class="bracket", take_profit=TakeProfit(160), stop_loss=StopLoss(140, 139)
    )
    order = await session.orders.submit(bracket)
    gain, loss = (leg for leg in session.orders.book.orders() if leg.parent_id == order.local_id)
    assert (gain.request.limit_price, loss.request.stop_price, loss.request.limit_price) == (160, 140, 139)
    await host.fill(order.broker_ids[0], 10, 150)
    await until(gain, session, lambda present: present.raw_status == "new")
    await session.sync.refresh()
    assert session.sync.state.open_orders == 1
    held = session.orders.get(loss.local_id)
    assert held is not None
    assert (held.state, held.raw_status) == (State.ACCEPTED, "held")
    await host.fill(gain.broker_ids[0], 10, 160)
    await session.orders.done(gain, timeout=30)
    await session.sync.refresh()
    ended = await session.orders.done(loss, timeout=60)

    assert ended.state is State.CANCELED
    assert session.orders.positions_from_fills()["AAPL"] == 0


async def test_a_multi_leg_order_is_filled_leg_by_leg(session: Session, host: PaperHost):
    """The legs are orders of their own and make the positions; the whole makes none."""
    legs = (OptionLeg(CALL, "buy", 2, "buy_to_open"), OptionLeg(HIGHER_CALL, "sell", 1, "sell_to_open"))
    order = await session.orders.submit(MultiLegOrder("AAPL", qty=3, legs=legs, limit_price="1.25"))
    whole, first, second = host.orders.values()
    await host.fill(first["id"], 6, "1.10")
    await host.fill(second["id"], 3, "0.95")
    await host.fill(whole["id"], 3, "1.25")
    done = await session.orders.done(order, timeout=30)
    for leg in [leg for leg in session.orders.book.orders() if leg.parent_id == order.local_id]:
        await session.orders.done(leg, timeout=30)

    assert (done.state, done.filled_qty) == (State.FILLED, 3)
    assert dict(session.orders.positions_from_fills()) == {CALL: 6, HIGHER_CALL: -3}


async def test_a_refusal_is_told_with_the_order(session: Session, host: PaperHost):
    """Nothing is there, nothing is in doubt."""
    with pytest.raises(RequestRefused, match='could not find asset "NOPE"') as caught:
        await session.orders.submit(MarketOrder("NOPE", "buy", qty=1))

    assert caught.value.order is not None
    assert caught.value.order.state is State.REJECTED
    assert host.orders == {}


async def test_an_answer_that_is_lost_after_the_order_took_effect(session: Session, host: PaperHost):
    """The order is in doubt, is found by our id, and is there once."""
    host.after = lambda name, _: web.Response(status=504, text="<html>Gateway Time-out</html>") if name.startswith("POST") else None
    order = await session.orders.submit(LimitOrder("AAPL", "buy", qty=10, limit_price=150))
    assert (order.state, order.in_doubt) == (State.SUBMITTED, True)
    found = await until(order, session, lambda present: not present.in_doubt)

    assert (found.state, found.broker_ids) == (State.ACCEPTED, (host.one()["id"],))
    assert host.requests.count("POST /v2/orders") == 1


async def test_an_order_that_never_took_effect_is_proven_absent(session: Session, host: PaperHost):
    """A 504 before the order was made: three absences and a complete listing later it has failed."""
    host.before = lambda name, _: web.Response(status=504) if name.startswith("POST") else None
    order = await session.orders.submit(LimitOrder("AAPL", "buy", qty=10, limit_price=150))
    assert order.in_doubt
    done = await session.orders.done(order, timeout=120)

    assert done.state is State.FAILED
    assert host.orders == {}
    assert host.requests.count("POST /v2/orders") == 1


async def test_a_rate_limit_costs_a_wait_and_no_order(session: Session, host: PaperHost):
    """A refused send was not done; the second one goes under the same id."""
    refusals = iter([web.json_response({"message": "too many requests."}, status=429, headers={"Retry-After": "2"})])
    host.before = lambda name, _: next(refusals, None) if name.startswith("POST") else None
    order = await session.orders.submit(LimitOrder("AAPL", "buy", qty=10, limit_price=150))

    assert order.state is State.ACCEPTED
    assert host.requests.count("POST /v2/orders") == 2
    assert host.one()["client_order_id"] == order.local_id


async def test_what_happened_while_the_stream_was_down_is_known_after_it(session: Session, host: PaperHost):
    """A fill, a cancel, and the gap that says so."""
    filled = await session.orders.submit(LimitOrder("AAPL", "buy", qty=10, limit_price=150))
    canceled = await session.orders.submit(LimitOrder("MSFT", "buy", qty=1, limit_price=300))
    gaps = session.stream.gaps()
    await host.drop()
    await host.fill(filled.broker_ids[0], 10, 150)
    await host.end(canceled.broker_ids[0], "canceled")
    asked = len(host.requests)
    gap = await anext(gaps)

    assert session.orders.get(filled.local_id).state is State.FILLED  # type: ignore[union-attr]
    assert session.orders.get(canceled.local_id).state is State.CANCELED  # type: ignore[union-attr]
    assert gap.feed == "trading"
    assert gap.lost == ()
    assert [name for name in host.requests[asked:] if "orders" in name].count("GET /v2/orders") >= 1


async def test_an_order_placed_elsewhere_is_adopted(session: Session, host: PaperHost):
    """It turns up in the next reading with its terms."""
    terms = {"symbol": "MSFT", "side": "sell", "type": "limit", "limit_price": "310", "qty": "2", "time_in_force": "day"}
    changes = session.orders.changes()
    foreign = host._add(terms, "theirs")
    await host.tell("new", foreign)
    adopted = (await anext(changes)).order

    assert (adopted.symbol, adopted.request.limit_price, adopted.state) == ("MSFT", 310, State.ACCEPTED)


async def test_wrong_credentials_are_an_error_and_never_another_broker(host: PaperHost, mode: Mode):
    """At the account, and at the socket."""
    with pytest.raises(AuthError, match="401 unauthorized"):
        async with session_with(host, mode, secret="wrong"):
            raise AssertionError("it opened")


async def test_unknown_words_are_counted_where_a_person_sees_them(session: Session, host: PaperHost):
    """A status nobody knows moves nothing, stays visible, and is counted in the account's state."""
    order = await session.orders.submit(LimitOrder("AAPL", "buy", qty=10, limit_price=150))
    host._change(host.one(), "contemplating")
    state = await session.sync.refresh()
    present = session.orders.get(order.local_id)

    assert present is not None
    assert (present.state, present.raw_status) == (State.ACCEPTED, "contemplating")
    assert state.drift["order.status: contemplating"] >= 1
