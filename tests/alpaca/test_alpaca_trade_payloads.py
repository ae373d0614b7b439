"""Every published message of the trading socket, as it is and with everything that can be wrong in it.

Whatever is wrong in a frame, nothing is raised that only a control message may raise, the next frame is heard as if nothing had happened,
and what is told is never more than the frame itself says.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import islice, permutations
from typing import Any

import attrs
import pytest
from conftest import PAYLOADS
from mutations import mutants

from broker_alpaca.wire import orders
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.order_news import OrderNews
from broker_alpaca.wire.order_words import FLOORS
from broker_alpaca.wire.trade_stream import TradeConversation
from broker_core.errors import AuthError, Unavailable
from broker_core.lifecycle import adopt, apply, create
from broker_core.models import SignedIn
from broker_core.orders import EventKind, Order, OrderEvent, Source, State
from broker_core.requests import LimitOrder, OrderClass, OrderType, Side
from broker_core.secret import Secret

Payload = Callable[[str], bytes]
NOW = datetime(2026, 3, 2, 16, 0, tzinfo=UTC)


@attrs.frozen
class Told:
    """What a published update is to tell: the news, its own execution, and the order's totals."""

    kind: EventKind
    status: State | None
    execution: tuple[str, str] | None
    filled_qty: str
    filled_avg_price: str | None
    symbol: str
    side: Side = Side.BUY


STREAM, COMPOSED = "trading_stream", "composed"
UPDATES = {
    f"{STREAM}/trade_update_fill_crypto.json": Told(
        EventKind.FILL, State.FILLED, ("1790.86", "105.8988475"), "1790.86", "105.8988475", "SOL/USD", Side.SELL
    ),
    f"{STREAM}/trade_update_fill_mleg.json": Told(EventKind.FILL, State.FILLED, ("1", "1.62"), "1", "1.62", ""),
    f"{STREAM}/sse_trade_event_fill_mleg.json": Told(EventKind.FILL, State.FILLED, ("1", "0.07"), "1", "0.07", ""),
    f"{STREAM}/sse_trade_event_new.json": Told(EventKind.ACCEPTED, State.ACCEPTED, None, "0", None, "TSLA"),
    f"{COMPOSED}/trade_update_pending_new.json": Told(EventKind.STATUS, State.SUBMITTED, None, "0", None, "AAPL"),
    f"{COMPOSED}/trade_update_new.json": Told(EventKind.ACCEPTED, State.ACCEPTED, None, "0", None, "AAPL"),
    f"{COMPOSED}/trade_update_partial_fill.json": Told(EventKind.FILL, State.PARTIAL_FILL, ("4", "149.99"), "4", "149.99", "AAPL"),
    f"{COMPOSED}/trade_update_fill_after_partial.json": Told(EventKind.FILL, State.FILLED, ("6", "150"), "10", "149.996", "AAPL"),
    f"{COMPOSED}/trade_update_canceled_after_partial.json": Told(EventKind.CANCELED, State.CANCELED, None, "4", "149.99", "AAPL"),
    f"{COMPOSED}/trade_update_expired.json": Told(EventKind.EXPIRED, State.EXPIRED, None, "0", None, "AAPL"),
    f"{COMPOSED}/trade_update_rejected.json": Told(EventKind.REJECTED, State.REJECTED, None, "0", None, "AAPL"),
    f"{COMPOSED}/trade_update_replaced.json": Told(EventKind.REPLACED, None, None, "0", None, "AAPL"),
    f"{COMPOSED}/order_short_position_update.json": Told(EventKind.FILL, State.FILLED, ("10", "150"), "10", "150", "AAPL", Side.SELL),
}
CONTROLS = {
    "authorization_authorized_authenticate.json": '{"action": "listen", "data": {"streams": ["trade_updates"]}}',
    "listening.json": SignedIn(),
    "authorization_unauthorized_authenticate.json": AuthError,
    "authorization_unauthorized_listen.json": AuthError,
    "error.json": Unavailable,
}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of warnings would only be slow."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def conversation(drift: Drift | None = None) -> TradeConversation:
    return TradeConversation(Secret("PK"), Secret("s"), None, drift or Drift())


def wrapped(body: bytes) -> dict[str, Any]:
    """A message of the socket. Server-sent events have the same members without the wrapper."""
    message: dict[str, Any] = json.loads(body)
    return message if "stream" in message else {"stream": "trade_updates", "data": message}


def heard(talk: TradeConversation, message: Any) -> list[OrderEvent]:
    """The news in a message that wants no answer."""
    reply, news = talk.hear(json.dumps(message).encode(), NOW)
    assert reply is None
    return [event for event in news if isinstance(event, OrderEvent)]


def test_every_published_message_has_its_test():
    """No message that a server sends is left without a test here."""
    if not PAYLOADS.is_dir():
        pytest.skip("the published payloads are not beside the project")
    sent = {f"{STREAM}/{file.name}" for file in (PAYLOADS / STREAM).iterdir() if not file.name.startswith("client_")}
    composed = {f"{COMPOSED}/{file.name}" for file in (PAYLOADS / COMPOSED).glob("*update*.json")}

    assert sent | composed == UPDATES.keys() | {f"{STREAM}/{name}" for name in CONTROLS}


@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize("is_text", [False, True])
def test_published_update_is_heard_without_surprise(payload: Payload, name: str, is_text: bool):
    """Kind, floor, ids, the execution and the totals are those of the message, and nothing in it is unknown."""
    message, told, drift = wrapped(payload(name)), UPDATES[name], Drift()
    frame = json.dumps(message)
    reply, (event, *others) = conversation(drift).hear(frame if is_text else frame.encode(), NOW)
    data, order = message["data"], message["data"]["order"]

    assert (reply, drift.counts) == (None, {})
    assert isinstance(event, OrderEvent)
    assert event.request is not None
    assert (event.kind, event.status, event.source) == (told.kind, told.status, Source.STREAM)
    assert (event.raw_status, event.request.symbol, event.request.side) == (order["status"], told.symbol, told.side)
    assert (event.broker_order_id, event.client_order_id) == (order["id"], order["client_order_id"])
    assert (event.replaces, event.replaced_by) == (order["replaces"], order["replaced_by"])
    assert (event.at - datetime.fromisoformat(data["timestamp"])).total_seconds() == pytest.approx(0, abs=1e-6)
    assert event.at.utcoffset() == NOW.utcoffset()
    assert event.execution_id == (data.get("execution_id") if told.execution else None)
    assert (event.qty, event.price) == (tuple(map(Decimal, told.execution)) if told.execution else (None, None))
    assert event.filled_qty == Decimal(told.filled_qty)
    assert event.filled_avg_price == (None if told.filled_avg_price is None else Decimal(told.filled_avg_price))
    executions = [(leg["order_id"], leg["execution_id"], Decimal(leg["qty"]), Decimal(leg["price"])) for leg in data.get("legs") or ()]
    assert [(leg.broker_order_id, leg.execution_id, leg.qty, leg.price) for leg in others] == executions
    assert [leg.broker_order_id for leg in event.legs] == [leg["id"] for leg in order["legs"] or ()]


@pytest.mark.parametrize("name", CONTROLS)
def test_published_control_message_is_understood(payload: Payload, name: str):
    """It is answered, taken for the sign-in, or ends the connection."""
    talk, outcome = conversation(), CONTROLS[name]
    body = payload(f"{STREAM}/{name}")
    if isinstance(outcome, type):
        with pytest.raises(outcome):
            talk.hear(body, NOW)
        return
    reply, news = talk.hear(body, NOW)
    assert (reply, *news) == (outcome,) if isinstance(outcome, str) else (None, outcome)


def test_what_is_said_is_what_is_published(payload: Payload):
    """The sign-in and the wish have the members that the documents show."""
    signs_in = json.loads(payload(f"{STREAM}/client_authenticate.json"))
    signs_in["data"] = {"key_id": "PK", "secret_key": "s"}

    assert json.loads(conversation().greeting()) == signs_in
    assert json.loads(conversation().listen()) == json.loads(payload(f"{STREAM}/client_listen.json"))


def test_published_updates_of_one_order_come_to_its_end_in_any_order(payload: Payload):
    """Twice each and in any order: ten filled, four and six, at the average of both."""
    names = ("pending_new", "new", "partial_fill", "fill_after_partial")
    news = [heard(conversation(), wrapped(payload(f"{COMPOSED}/trade_update_{name}.json")))[0] for name in names]
    for sequence in permutations(news):
        order = known(news[0])
        for event in (*sequence, *sequence):
            order = apply(order, event).order
        assert (order.state, order.filled_qty, order.filled_avg_price) == (State.FILLED, 10, Decimal("149.996"))
        assert len(order.ledger.executions.keys() & {event.execution_id for event in news}) == 2


def test_published_cancel_after_a_fill_keeps_the_fill(payload: Payload):
    """What was filled before the end stays filled, also when the fill itself was missed."""
    names = ("new", "partial_fill", "canceled_after_partial")
    new, fill, canceled = (heard(conversation(), wrapped(payload(f"{COMPOSED}/trade_update_{name}.json")))[0] for name in names)
    for sequence in ((new, fill, canceled), (new, canceled), (canceled, fill), (canceled,)):
        order = known(new)
        for event in sequence:
            order = apply(order, event).order
        assert (order.state, order.filled_qty, order.filled_avg_price) == (State.CANCELED, 4, Decimal("149.99"))


def known(event: OrderEvent) -> Order:
    """An order of ours, sent and not heard of since, with the terms that the news tells."""
    assert event.request is not None
    qty = event.request.qty
    order, _ = create("demo-1", LimitOrder("AAPL", event.request.side, qty=qty, limit_price=150), datetime(2026, 3, 2, tzinfo=UTC))
    return order


def snapshot(body: bytes) -> OrderEvent:
    """The news in an order that was asked for; nothing in it is unknown."""
    drift = Drift()
    event = OrderNews(drift).snapshot(orders.read_order(body, drift), Source.LOOKUP, NOW)
    assert drift.counts == {}
    return event


def test_published_bracket_waits_with_its_exits(payload: Payload):
    """Both exits are there with their own prices, held, and none of them has begun."""
    event = snapshot(payload(f"{COMPOSED}/order_bracket_nested.json"))
    gain, loss = event.legs

    assert event.request is not None
    assert (event.kind, event.status, event.request.order_class) == (EventKind.SNAPSHOT, State.ACCEPTED, OrderClass.BRACKET)
    assert (event.request.order_type, event.request.qty, event.filled_qty) == (OrderType.MARKET, 10, 0)
    for leg in (gain, loss):
        assert leg.request is not None
        assert (leg.raw_status, leg.status, leg.request.side, leg.request.qty) == ("held", State.ACCEPTED, Side.SELL, 10)
    assert gain.request is not None
    assert loss.request is not None
    assert (gain.request.order_type, gain.request.limit_price) == (OrderType.LIMIT, 165)
    assert (loss.request.order_type, loss.request.stop_price) == (OrderType.STOP, 140)
    assert len({event.broker_order_id, gain.broker_order_id, loss.broker_order_id}) == 3
    assert adopt("A1", event).order.state is State.ACCEPTED


def test_published_order_by_amount_has_no_quantity(payload: Payload):
    """The amount is the term, exactly; how much that comes to is only known from its fills."""
    event = snapshot(payload(f"{COMPOSED}/order_notional.json"))

    assert event.request is not None
    assert (event.request.notional, event.request.qty, event.request.order_type) == (Decimal("25.5"), None, OrderType.MARKET)
    assert adopt("A1", event).order.remaining_qty is None


def test_published_trailing_stop_keeps_its_distance(payload: Payload):
    """The distance is the term; the stop price is where it stands now."""
    event = snapshot(payload(f"{COMPOSED}/order_trailing_stop.json"))

    assert event.request is not None
    assert (event.request.order_type, event.request.trail_percent, event.request.trail_price) == (OrderType.TRAILING_STOP, 5, None)
    assert (event.request.stop_price, event.request.side, event.status) == (Decimal("142.69"), Side.SELL, State.ACCEPTED)


def number(value: object) -> Decimal | None:
    """The finite amount that a member of the wire states, or None."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def text(value: Any, name: str) -> str | None:
    found = member(value, name)
    return found if isinstance(found, str) else None


def check(message: Any, news: list[OrderEvent]) -> None:
    """What a frame told is nothing that it does not say itself."""
    data = member(message, "data")
    order = member(data, "order")
    whole, *others = news
    if whole.kind is not EventKind.REPLACE_REFUSED:
        assert whole.broker_order_id == text(order, "id")
    assert all(event.broker_order_id for event in news)
    assert whole.execution_id in (None, text(data, "execution_id"))
    assert whole.busts in (None, text(data, "previous_execution_id"))
    proven = {None, *(FLOORS.get(word) for word in (text(order, "status"), text(data, "event")) if word)}
    if State.ACCEPTED in proven and number(member(order, "filled_qty")):
        proven.add(State.PARTIAL_FILL)
    assert whole.status in proven

    own, total, size = number(member(data, "qty")), number(member(order, "filled_qty")), number(member(order, "qty"))
    most = max(abs(own or Decimal(0)), (size or Decimal(0)) if total is None else total)
    assert apply(known_by(size), whole).order.filled_qty <= most

    for event in others:
        stated = next(leg for leg in data["legs"] if member(leg, "order_id") == event.broker_order_id)
        assert event.execution_id in (None, text(stated, "execution_id"))
        assert event.qty == abs(number(stated["qty"]) or Decimal(0))
        assert event.price == number(stated["price"])


def known_by(size: Decimal | None) -> Order:
    """An order of ours of this size, or, where the frame states none, of any."""
    qty = size if size is not None and size > 0 else Decimal(10)
    return create("demo-1", LimitOrder("AAPL", "buy", qty=qty, limit_price=150), datetime(2026, 3, 2, tzinfo=UTC))[0]


def test_no_mutation_of_an_update_tells_more_than_it_says(payload: Payload):
    """Nothing is raised, ids are right or absent, the floor is proven, no fill is larger than it says, and the next frame is as ever."""
    count = 0
    for name in UPDATES:
        message = wrapped(payload(name))
        frame = json.dumps(message).encode()
        expected = conversation().hear(frame, NOW)
        # Fills say most. Those of several legs have the most members, most of them alike.
        for mutant in islice(mutants(message), 0, None, 5 if "mleg" in name else 1 if "fill" in name else 2):
            talk = conversation()
            news = heard(talk, mutant)
            if news:
                check(mutant, news)
            assert talk.hear(frame, NOW) == expected
            count += 1
    assert count > 3000


def test_no_mutation_of_a_control_message_is_taken_for_more(payload: Payload):
    """It ends in one of two errors or in nothing; only the right words are answered, and only the right list is a sign-in."""
    update = json.dumps(wrapped(payload(f"{COMPOSED}/trade_update_new.json"))).encode()
    expected = conversation().hear(update, NOW)
    count = 0
    for name in CONTROLS:
        for mutant in mutants(json.loads(payload(f"{STREAM}/{name}"))):
            talk = conversation()
            try:
                reply, news = talk.hear(json.dumps(mutant).encode(), NOW)
            except (AuthError, Unavailable) as error:
                assert "\n" not in str(error)  # noqa: PT017  # either outcome is right, as long as it is one of these
                reply, news = None, ()
            assert reply is None or member(member(mutant, "data"), "status") == "authorized"
            assert not news or "trade_updates" in mutant["data"]["streams"]
            assert talk.hear(update, NOW) == expected
            count += 1
    assert count > 150
