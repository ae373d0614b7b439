"""Conversations out of cassettes, held again: what comes of them. Our own part is held to the cassette's, word by word."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from broker_alpaca.wire.data_stream import Codec, Credentials, DataConversation
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.trade_stream import TradeConversation
from broker_core.lifecycle import adopt, apply
from broker_core.models import Channel
from broker_core.orders import Order, OrderEvent
from broker_core.secret import Secret
from broker_core.testing.transcripts import Line, frame_of

NOW = datetime(2026, 3, 2, 16, 0, tzinfo=UTC)


def signs_in(lines: Iterable[Line]) -> tuple[str, str]:
    """The key and the secret that a conversation begins with."""
    data = next(json.loads(line["text"]) for line in lines if line["dir"] == "out")["data"]
    return data["key_id"], data["secret_key"]


def trading_replayed(lines: Iterable[Line], drift: Drift) -> list[Any]:
    """What comes of a conversation; our part of it is held to the cassette's."""
    key, secret = signs_in(lines)
    talk = TradeConversation(Secret(key), Secret(secret), None, drift)
    outgoing: list[str | None] = [talk.greeting()]
    items: list[Any] = []
    for line in lines:
        if line["dir"] == "out":
            assert outgoing.pop(0) == frame_of(line)
        else:
            reply, news = talk.hear(frame_of(line), NOW)
            items += news
            outgoing += [] if reply is None else [reply]
    assert outgoing == []
    return items


def data_replayed(first: Line, lines: Iterable[Line], drift: Drift) -> list[Any]:
    """What comes of a conversation on a market data socket."""
    credentials = Credentials(Secret("PKMADEUP"), Secret("made up"))
    codec = Codec.MSGPACK if any("base64" in line for line in lines) else Codec.JSON
    talk = DataConversation("stream", credentials, codec=codec, drift=drift, connection_wait=1.0)
    talk.want({Channel(channel): symbols.split() for channel, symbols in first["wish"].items()})
    outgoing: list[str | bytes] = []
    items: list[Any] = []
    for line in lines:
        if line["dir"] == "out":
            assert outgoing.pop(0) == frame_of(line)
        else:
            items += talk.receive(frame_of(line))
            outgoing += talk.outgoing()
    assert outgoing == []
    return items


def receive(event: OrderEvent, orders: dict[str, Order], places: dict[str, str]) -> None:
    """Move the order that the news is about, or begin one; then those of its legs."""
    names = [name for name in (event.client_order_id, event.broker_order_id, event.replaces, event.replaced_by) if name]
    place = next((places[name] for name in names if name in places), None)
    if place is None:
        place = event.client_order_id or ""
        orders[place] = adopt(place, event).order
    else:
        orders[place] = apply(orders[place], event).order
    places.update(dict.fromkeys(names, place))
    for leg in event.legs:
        receive(leg, orders, places)
