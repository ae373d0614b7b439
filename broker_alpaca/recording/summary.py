"""What was wanted of a socket and what came of it, told from the frames alone: the first line of a transcript."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from broker_alpaca.recording.tape import OUT, word_for
from broker_alpaca.wire.data_stream import WIRE_NAMES, Codec, Credentials, DataConversation
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.trade_stream import TradeConversation
from broker_core.errors import BrokerError
from broker_core.models import Channel, StreamItem
from broker_core.secret import Secret

_NOBODY = Secret("")


class DataSummary:
    """Of a market data socket."""

    def __init__(self) -> None:
        self.items: list[str] = []
        """A word for each item, up to the error that ends the conversation."""
        self._wish: dict[Channel, dict[str, None]] = {}
        credentials = Credentials(_NOBODY, _NOBODY)
        self._talk = DataConversation("record", credentials, codec=Codec.JSON, drift=Drift(), connection_wait=0.0)
        self._has_ended = False

    @property
    def wish(self) -> dict[str, str]:
        """Every symbol that was ever subscribed to, by channel."""
        return {channel.value: " ".join(symbols) for channel, symbols in sorted(self._wish.items())}

    def add(self, direction: str, frame: str | bytes, now: datetime) -> None:  # noqa: ARG002  # the other summary wants the moment
        """Take in the next frame."""
        if direction == OUT:
            self._hear_client(_value(frame))
        elif not self._has_ended:
            try:
                self.items += map(word_for, self._talk.receive(frame))
            except BrokerError:
                self._has_ended = True
            # What this conversation would say itself is of no interest.
            self._talk.outgoing()

    def _hear_client(self, said: Any) -> None:
        if not isinstance(said, dict) or said.get("action") != "subscribe":
            return
        for channel, name in WIRE_NAMES.items():
            symbols = said.get(name)
            if isinstance(symbols, list) and symbols:
                self._wish.setdefault(channel, {}).update(dict.fromkeys(map(str, symbols)))
        self._talk.want(self._wish)


class TradingSummary:
    """Of the socket of order events."""

    wish: Mapping[str, str] = {"orders": "*"}

    def __init__(self) -> None:
        self.items: list[str] = []
        """A word for each item, up to the error that ends the conversation."""
        self._talk = TradeConversation(_NOBODY, _NOBODY, None, Drift())
        self._has_ended = False

    def add(self, direction: str, frame: str | bytes, now: datetime) -> None:
        """Take in the next frame, which came at this moment."""
        if direction == OUT or self._has_ended:
            return
        try:
            news: Sequence[StreamItem] = self._talk.hear(frame, now)[1]
        except BrokerError:
            self._has_ended = True
        else:
            self.items += map(word_for, news)


def _value(frame: str | bytes) -> Any:
    try:
        return json.loads(frame) if isinstance(frame, str) or frame[:1] == b"{" else msgspec.msgpack.decode(frame)
    except (ValueError, msgspec.DecodeError):
        return None
