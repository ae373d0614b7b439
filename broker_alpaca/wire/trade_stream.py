"""The conversation on the trading socket, without the socket: what to say, and what is said.

The client speaks first. Every message is an object; paper sends it in binary frames, live in text frames, both as JSON. There is no replay
and no numbering: what was missed is asked for elsewhere.
Source: https://docs.alpaca.markets/docs/websocket-streaming
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import attrs
import msgspec

from broker_alpaca.wire import reading
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.order_news import OrderNews
from broker_alpaca.wire.order_words import KINDS, STATUSES, floor
from broker_alpaca.wire.orders import OrderRecord
from broker_alpaca.wire.reading import Moment, Record
from broker_core.errors import AuthError, Unavailable
from broker_core.models import SignedIn
from broker_core.orders import EventKind, OrderEvent, Source, State
from broker_core.secret import Secret

UPDATES = "trade_updates"

_EVENTS = frozenset(KINDS)
_EXECUTIONS = frozenset({EventKind.FILL, EventKind.BUST})
_WITHOUT_FIGURES = {EventKind.FILL: EventKind.STATUS, EventKind.BUST: EventKind.STATUS}
_ZERO = Decimal(0)


@attrs.frozen(kw_only=True)
class LegExecution(Record):
    """What one leg of a multi-leg order was filled with."""

    order_id: str
    qty: Decimal
    price: Decimal
    execution_id: str | None = None
    symbol: str | None = None
    timestamp: Moment | None = None


@attrs.frozen(kw_only=True)
class TradeUpdate(Record):
    """One event of the stream. ``qty`` and ``price`` are those of one execution, the order's own figures run over all of them."""

    event: str
    order: OrderRecord
    execution_id: str | None = None
    previous_execution_id: str | None = None
    timestamp: Moment | None = None
    price: Decimal | None = None
    qty: Decimal | None = None
    position_qty: Decimal | None = None
    legs: tuple[LegExecution, ...] | None = None


class _Envelope(msgspec.Struct, frozen=True, gc=False):
    stream: str
    data: TradeUpdate


_read_update = msgspec.json.Decoder(_Envelope)


class TradeConversation:
    """One connection's worth of talk."""

    def __init__(self, key: Secret, secret: Secret, oauth_token: Secret | None, drift: Drift) -> None:
        self._key = key
        self._secret = secret
        self._oauth_token = oauth_token
        self._drift = drift
        self._news = OrderNews(drift)
        self.is_signed_in = False

    def greeting(self) -> str:
        """What to send first: the sign-in."""
        if self._oauth_token is not None:
            data = {"oauth_token": self._oauth_token.reveal()}
        else:
            data = {"key_id": self._key.reveal(), "secret_key": self._secret.reveal()}
        return json.dumps({"action": "authenticate", "data": data})

    def listen(self) -> str:
        """What to send once signed in: the whole list of streams that are wanted."""
        return json.dumps({"action": "listen", "data": {"streams": [UPDATES]}})

    def hear(self, frame: str | bytes, now: datetime) -> tuple[str | None, Sequence[SignedIn | OrderEvent]]:
        """Take one frame: what to say in return, and the news in it. ``now`` stands in for moments that Alpaca leaves out.

        Raises AuthError when the sign-in is refused, Unavailable when the server says that it is in trouble.
        """
        try:
            update = _read_update.decode(frame)
        except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
            return self._hear_other(frame, now)
        if update.stream != UPDATES:
            return self._hear_other(frame, now)
        return None, self._events(update.data, now)

    def _hear_other(self, frame: str | bytes, now: datetime) -> tuple[str | None, Sequence[SignedIn | OrderEvent]]:
        """Everything but a flawless update: control messages, and updates in which something is not as expected."""
        try:
            message = msgspec.json.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._drift.count("trade stream, a frame that is no JSON", frame[:40])
            return None, ()
        stream = message.get("stream") if isinstance(message, dict) else None
        data = message.get("data") if isinstance(message, dict) else None
        data = data if isinstance(data, dict) else {}
        if stream == "authorization":
            return self._authorized(data), ()
        if stream == "listening":
            return None, self._listening(data)
        if stream == UPDATES:
            update = reading.value_of(TradeUpdate, data, UPDATES, self._drift)
            return None, () if update is None else self._events(update, now)
        if "error_message" in data:
            raise Unavailable(f"alpaca: the trading socket says: {str(data['error_message'])[:200]}")
        self._drift.count("trade stream, an unknown message", stream)
        return None, ()

    def _authorized(self, data: dict[str, object]) -> str:
        status = data.get("status")
        if status == "authorized":
            return self.listen()
        if status == "exceeded":
            raise Unavailable("alpaca: the trading socket has too many connections of this account; close another program's")
        raise AuthError(f"alpaca: the trading socket answers {status!s:.40}; check the key, the secret, and whether they are paper or live")

    def _listening(self, data: dict[str, object]) -> Sequence[SignedIn]:
        streams = data.get("streams")
        if not isinstance(streams, list) or UPDATES not in streams:
            raise Unavailable(f"alpaca: the trading socket does not send {UPDATES}; it listens to {str(streams)[:80]}")
        self.is_signed_in = True
        return (SignedIn(),)

    def _events(self, update: TradeUpdate, now: datetime) -> Sequence[OrderEvent]:
        kind = KINDS.get(update.event, EventKind.STATUS)
        self._drift.word("trade update.event", update.event, _EVENTS)
        record = update.order
        if not record.id:
            # There is nobody it could be about.
            self._drift.count("trade update.order.id", "empty")
            return ()
        self._drift.word("order.status", record.status, STATUSES)
        at = update.timestamp or record.changed_at or now
        # The event is a word of its own, and what each proves is documented: it serves where the status is a word nobody knows.
        word = record.status if record.status in STATUSES else update.event
        status = floor(word, is_part_filled=bool(record.filled_qty))
        if kind in _EXECUTIONS and update.qty is not None and update.price is not None:
            whole = self._execution(update, at, status)
        else:
            # Where an execution's own figures are missing, those of the order tell what it came to.
            whole = self._news.event(record, _WITHOUT_FIGURES.get(kind, kind), Source.STREAM, at, status)
        if update.event == "trade_correct" and whole.kind is EventKind.BUST:
            # A correction takes an execution back and puts another in its place.
            taken_back = attrs.evolve(whole, execution_id=None, qty=None, price=None, filled_qty=None, filled_avg_price=None)
            return taken_back, attrs.evolve(whole, kind=EventKind.FILL, busts=None)
        if not update.legs:
            return (whole,)
        return (whole, *(self._leg_fill(leg, whole) for leg in update.legs if leg.order_id))

    def _execution(self, update: TradeUpdate, at: datetime, status: State | None) -> OrderEvent:
        kind, busts = KINDS[update.event], None
        if kind is EventKind.BUST:
            status, busts = None, update.previous_execution_id or None
            if busts is None:
                self._drift.count(f"trade update.{update.event}", "no previous_execution_id")
                kind = EventKind.STATUS
        return self._news.event(
            update.order,
            kind,
            Source.STREAM,
            at,
            status,
            execution_id=update.execution_id,
            qty=abs(update.qty or _ZERO),
            price=update.price,
            busts=busts,
        )

    @staticmethod
    def _leg_fill(leg: LegExecution, whole: OrderEvent) -> OrderEvent:
        """A leg's execution: the whole has none of its own."""
        return OrderEvent(
            kind=EventKind.FILL,
            source=Source.STREAM,
            at=leg.timestamp or whole.at,
            broker_order_id=leg.order_id,
            execution_id=leg.execution_id,
            qty=abs(leg.qty),
            price=leg.price,
        )
