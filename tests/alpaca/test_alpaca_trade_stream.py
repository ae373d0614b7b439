"""The trading socket's conversation, word by word: sign-in, events, what is peculiar to them, and what is not as it should be."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.order_words import FLOORS, KINDS
from broker_alpaca.wire.trade_stream import TradeConversation
from broker_core.errors import AuthError, Unavailable
from broker_core.lifecycle import apply, create
from broker_core.models import SignedIn
from broker_core.orders import EventKind, OrderEvent, Source, State
from broker_core.requests import LimitOrder, OrderClass, Side
from broker_core.secret import Secret

NOW = datetime(2026, 3, 2, 16, 0, tzinfo=UTC)
OLD, NEW = "11111111-1111-4111-8111-111111111111", "33333333-3333-4333-8333-333333333333"
ORDER = {
    "id": OLD,
    "client_order_id": "T1",
    "status": "new",
    "symbol": "AAPL",
    "asset_class": "us_equity",
    "side": "buy",
    "type": "limit",
    "time_in_force": "day",
    "limit_price": "150",
    "qty": "10",
    "filled_qty": "0",
    "filled_avg_price": None,
    "updated_at": "2026-03-02T15:00:00.5Z",
}


def conversation() -> tuple[TradeConversation, Drift]:
    """One that has not begun, and what it counts."""
    drift = Drift()
    return TradeConversation(Secret("PK"), Secret("s3cr3t"), None, drift), drift


def frame(event: str, *, order: dict[str, Any] | None = None, **members: Any) -> bytes:
    """An update as paper sends it."""
    data = {"event": event, "timestamp": "2026-03-02T15:00:01Z", **members, "order": {**ORDER, **(order or {})}}
    return json.dumps({"stream": "trade_updates", "data": data}).encode()


def heard(message: bytes | str, drift: Drift | None = None) -> list[OrderEvent]:
    """The news in one frame."""
    talk = TradeConversation(Secret("PK"), Secret("s"), None, drift or Drift())
    reply, news = talk.hear(message, NOW)
    assert reply is None
    return [item for item in news if isinstance(item, OrderEvent)]


def control(stream: str, **data: Any) -> str:
    """A control message."""
    return json.dumps({"stream": stream, "data": data})


def test_the_client_speaks_first_and_is_signed_in_when_it_listens():
    """Authenticate, authorized, listen, listening: only then has it begun."""
    talk, _ = conversation()
    assert json.loads(talk.greeting()) == {"action": "authenticate", "data": {"key_id": "PK", "secret_key": "s3cr3t"}}
    reply, news = talk.hear(control("authorization", status="authorized", action="authenticate").encode(), NOW)
    assert (json.loads(reply or ""), news, talk.is_signed_in) == ({"action": "listen", "data": {"streams": ["trade_updates"]}}, (), False)
    reply, news = talk.hear(control("listening", streams=["trade_updates"]), NOW)

    assert (reply, news, talk.is_signed_in) == (None, (SignedIn(),), True)


def test_a_token_signs_in_as_one():
    """It stands in the place of the pair."""
    talk = TradeConversation(Secret(""), Secret(""), Secret("t0ken"), Drift())

    assert json.loads(talk.greeting())["data"] == {"oauth_token": "t0ken"}


@pytest.mark.parametrize(
    ("message", "error", "said"),
    [
        (control("authorization", status="unauthorized", action="authenticate"), AuthError, "answers unauthorized"),
        (control("authorization", status="unauthorized", action="listen"), AuthError, "answers unauthorized"),
        (control("authorization"), AuthError, "answers None"),
        (control("authorization", status="exceeded"), Unavailable, "too many connections"),
        (control("listening", streams=[]), Unavailable, "does not send trade_updates"),
        (control("listening"), Unavailable, "does not send trade_updates"),
        (json.dumps({"action": "error", "data": {"error_message": "internal server error"}}), Unavailable, "internal server error"),
    ],
)
def test_what_ends_a_connection(message: str, error: type[Exception], said: str):
    """A refused sign-in is for good; trouble on the other side is not."""
    talk, _ = conversation()
    with pytest.raises(error, match=said):
        talk.hear(message, NOW)


def test_a_fill_carries_its_own_execution_and_the_orders_totals():
    """The quantity is that of this piece, the total that of all."""
    (event,) = heard(
        frame(
            "fill",
            execution_id="e2",
            qty="6",
            price="150.10",
            order={"status": "filled", "filled_qty": "10", "filled_avg_price": "150.06"},
        )
    )

    assert (event.kind, event.status, event.source) == (EventKind.FILL, State.FILLED, Source.STREAM)
    assert (event.execution_id, event.qty, event.price) == ("e2", 6, Decimal("150.10"))
    assert (event.filled_qty, event.filled_avg_price) == (10, Decimal("150.06"))
    assert event.at == datetime(2026, 3, 2, 15, 0, 1, tzinfo=UTC)
    assert (event.client_order_id, event.broker_order_id) == ("T1", OLD)


@pytest.mark.parametrize("event", sorted(set(KINDS) - {"trade_bust", "trade_correct"}))
@pytest.mark.parametrize("status", sorted(FLOORS))
def test_every_event_with_every_status_is_news_without_a_guess(event: str, status: str):
    """The status is the floor, whatever the event; nothing is counted as unknown."""
    drift = Drift()
    (news,) = heard(frame(event, order={"status": status}), drift)

    assert news.status is FLOORS[status]
    assert news.raw_status == status
    assert drift.counts == {}


def test_an_unknown_event_counts_and_its_orders_status_still_holds():
    """Nothing is guessed from the word itself."""
    drift = Drift()
    (news,) = heard(frame("order_contemplated", order={"status": "canceled"}), drift)

    assert (news.kind, news.status) == (EventKind.STATUS, State.CANCELED)
    assert drift.counts == {"trade update.event: order_contemplated": 1}


def test_an_unknown_status_counts_and_the_events_own_meaning_holds():
    """A documented event proves what it says; two unknown words prove nothing."""
    drift = Drift()
    (known,) = heard(frame("canceled", order={"status": "gone"}), drift)
    (unknown,) = heard(frame("order_contemplated", order={"status": "gone"}), drift)

    assert (known.status, known.raw_status) == (State.CANCELED, "gone")
    assert unknown.status is None
    assert drift.counts["order.status: gone"] == 2


def test_a_replacement_extends_the_chain():
    """The event carries the old order and names the new one."""
    (news,) = heard(frame("replaced", order={"status": "replaced", "replaced_by": NEW}))

    assert (news.kind, news.status, news.broker_order_id, news.replaced_by) == (EventKind.REPLACED, None, OLD, NEW)


def test_the_rejection_of_a_replacement_is_no_end_of_the_order():
    """Alpaca rejects the new order; the news is about the old one."""
    (news,) = heard(frame("rejected", order={"id": NEW, "status": "rejected", "replaces": OLD, "client_order_id": "T2"}))

    assert (news.kind, news.status, news.broker_order_id) == (EventKind.REPLACE_REFUSED, None, OLD)


def test_a_bust_takes_back_the_execution_it_names():
    """Its own id, the one it takes back, and a quantity that is told as negative."""
    (news,) = heard(
        frame("trade_bust", execution_id="b1", previous_execution_id="e1", qty="-4", price="150", order={"status": "partially_filled"})
    )

    assert (news.kind, news.busts, news.execution_id, news.qty, news.status) == (EventKind.BUST, "e1", "b1", 4, None)


def test_a_correction_is_a_bust_and_another_fill():
    """The order has the corrected figures, also when the correction comes twice."""
    order, _ = create("T1", LimitOrder("AAPL", "buy", qty=10, limit_price=150), NOW)
    filled = frame(
        "fill", execution_id="e1", qty="10", price="150", order={"status": "filled", "filled_qty": "10", "filled_avg_price": "150"}
    )
    corrected = frame(
        "trade_correct",
        execution_id="c1",
        previous_execution_id="e1",
        timestamp="2026-03-02T15:05:00Z",
        qty="10",
        price="149",
        order={"status": "filled", "filled_qty": "10", "filled_avg_price": "149"},
    )
    for message in (filled, corrected, corrected):
        for event in heard(message):
            order = apply(order, event).order

    assert (order.state, order.filled_qty, order.filled_avg_price) == (State.FILLED, 10, 149)


@pytest.mark.parametrize("missing", [{}, {"previous_execution_id": None}, {"previous_execution_id": ""}])
def test_a_bust_of_nobody_knows_what_moves_nothing_by_itself(missing: dict[str, Any]):
    """Without the execution it takes back it is a mere word, and is counted."""
    drift = Drift()
    (news,) = heard(frame("trade_bust", execution_id="b1", qty="-4", price="150", **missing), drift)

    assert news.kind is EventKind.STATUS
    assert "trade update.trade_bust: no previous_execution_id" in drift.counts


MISSING = [{"qty": None}, {"price": None}, {"qty": "many"}, {"price": {}}, {"qty": "NaN"}, {"price": "-Infinity"}]


@pytest.mark.parametrize("missing", MISSING)
def test_a_fill_without_its_own_figures_still_moves_the_order(missing: dict[str, Any]):
    """The order's totals prove what was filled."""
    members = {"execution_id": "e1", "qty": "10", "price": "150", **missing}
    (news,) = heard(frame("fill", order={"status": "filled", "filled_qty": "10", "filled_avg_price": "150"}, **members))
    order, _ = create("T1", LimitOrder("AAPL", "buy", qty=10, limit_price=150), NOW)
    moved = apply(order, news).order

    assert news.kind is EventKind.STATUS
    assert (moved.state, moved.filled_qty, moved.filled_avg_price) == (State.FILLED, 10, 150)


def test_a_multi_leg_fill_is_news_of_each_leg():
    """The whole has no symbol; each leg is filled by an execution of its own."""
    leg = {**ORDER, "type": "", "order_class": "mleg", "ratio_qty": "1"}
    legs = [
        {**leg, "id": leg_id, "client_order_id": leg_id, "symbol": symbol, "side": side}
        for leg_id, symbol, side in (("l1", "AAPL241213C00250000", "buy"), ("l2", "AAPL241213C00260000", "sell"))
    ]
    prices = {"l1": "2", "l2": "1"}
    executions = [{"order_id": leg_id, "execution_id": f"e-{leg_id}", "qty": "1", "price": price} for leg_id, price in prices.items()]
    parent = {"symbol": "", "side": "", "asset_class": "", "order_class": "mleg", "status": "filled", "legs": legs}
    whole, *fills = heard(frame("fill", order=parent, legs=executions))

    assert whole.request is not None
    assert whole.request.order_class is OrderClass.MLEG
    assert [(leg.broker_order_id, leg.request.side, leg.request.order_class) for leg in whole.legs if leg.request] == [
        ("l1", Side.BUY, OrderClass.SIMPLE),
        ("l2", Side.SELL, OrderClass.SIMPLE),
    ]
    assert [(fill.kind, fill.broker_order_id, fill.execution_id, fill.price) for fill in fills] == [
        (EventKind.FILL, "l1", "e-l1", 2),
        (EventKind.FILL, "l2", "e-l2", 1),
    ]


def test_an_order_of_unknown_side_is_news_without_terms():
    """Which way it goes is never guessed, so nobody can adopt it; news of an order that is known still counts."""
    drift = Drift()
    (news,) = heard(frame("new", order={"side": "sideways"}), drift)

    assert news.request is None
    assert news.status is State.ACCEPTED
    assert drift.counts == {"order.side: sideways": 1}


@pytest.mark.parametrize(
    "message", [b"", b"{", b"[]", b"null", b"7", b'"x"', b"\xff\xfe", b'{"stream":"trade_updates"}', b'{"stream":5,"data":[]}']
)
def test_rubbish_is_counted_and_nothing_else(message: bytes):
    """No frame may end a connection that carries order news."""
    drift = Drift()

    assert heard(message, drift) == []
    assert sum(drift.counts.values()) == 1


def test_an_update_in_which_something_is_not_as_expected_is_still_news():
    """Members of other types are left out one by one; the rest holds."""
    drift = Drift()
    (news,) = heard(
        frame(
            "canceled", order={"status": "canceled", "limit_price": ["150"], "filled_qty": "4", "updated_at": "yesterday", "legs": "none"}
        ),
        drift,
    )

    assert (news.status, news.filled_qty) == (State.CANCELED, 4)
    assert {key.partition(":")[0] for key in drift.counts} == {
        "trade_updates.order.limit_price",
        "trade_updates.order.updated_at",
        "trade_updates.order.legs",
    }


@pytest.mark.parametrize("order_id", [None, "", 7])
def test_an_update_without_an_order_id_is_counted(order_id: object):
    """There is nobody it could be about."""
    drift = Drift()

    assert heard(frame("fill", order={"id": order_id}), drift) == []
    assert sum(drift.counts.values()) == 1
