"""What is said over a market data socket, without the socket: sign-in, subscriptions, errors.

::

    ← [{"T":"success","msg":"connected"}]        → {"action":"auth",…}
    ← [{"T":"success","msg":"authenticated"}]    → {"action":"subscribe",…}
    ← [{"T":"subscription",…}]                     everything that is subscribed now

Subscribing is incremental on the wire and whole here: what is sent is the difference between the wish and the last acknowledgement. One
message is under way at a time, because answers do not say what they answer, and data of earlier subscriptions comes between. A message
that is refused is halved and tried again, so that one symbol that makes no sense, or one too many, costs the others nothing.

Sources: https://docs.alpaca.markets/docs/streaming-market-data and the pages below it; error codes from the same.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, StrEnum
from typing import Final, TypeAlias

import attrs
import msgspec

from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.stream_items import Frames
from broker_alpaca.wire.stream_records import Control, ErrorRecord, SubscriptionRecord, SuccessRecord
from broker_core.errors import AuthError, BrokerError, RateLimited, Unavailable, WireError
from broker_core.models import Channel, SignedIn, StreamItem
from broker_core.secret import Secret

log = logging.getLogger(__name__)

Pair: TypeAlias = tuple[Channel, str]
"""A channel and a symbol: the unit of subscribing."""

_MOST = 500
"""Pairs in one message; a server takes messages of 16 KB, and the symbols of options have 21 characters."""
_FOLLOW: Final = frozenset({Channel.CORRECTIONS, Channel.CANCEL_ERRORS})
"""These come with the trades of a symbol and cannot be subscribed to alone."""
WIRE_NAMES: Final[Mapping[Channel, str]] = {
    channel: SubscriptionRecord.__struct_encode_fields__[SubscriptionRecord.__struct_fields__.index(channel.value)]
    for channel in Channel
    if channel.value in SubscriptionRecord.__struct_fields__
}
"""What subscriptions call each channel."""


class Codec(StrEnum):
    """How frames are written."""

    JSON = "json"
    MSGPACK = "msgpack"

    @property
    def content_type(self) -> str:
        """What the handshake's header ``Content-Type`` says."""
        return f"application/{self.value}"


@attrs.frozen
class Credentials:
    """What signs in. For OAuth the key is the word ``oauth`` and the secret is the token."""

    key: Secret
    secret: Secret


class _Stage(Enum):
    GREETING = "waits for the greeting"
    SIGNING_IN = "has sent its credentials"
    OPEN = "is signed in"


@attrs.frozen
class _Request:
    action: str
    pairs: Sequence[Pair]


class DataConversation:
    """One connection, from its greeting to its end. ``connection_wait`` is how long to stay away when another connection is open."""

    def __init__(self, name: str, credentials: Credentials, *, codec: Codec, drift: Drift, connection_wait: float) -> None:
        self._name = name
        self._credentials = credentials
        self._codec = codec
        self._drift = drift
        self._connection_wait = connection_wait
        self._frames = Frames(drift)
        self._stage = _Stage.GREETING
        self._outgoing: list[str | bytes] = []
        self._wanted: frozenset[Pair] = frozenset()
        self._held: frozenset[Pair] = frozenset()
        self._under_way: _Request | None = None
        self._pieces: deque[Sequence[Pair]] = deque()
        self._refused: dict[Pair, str] = {}
        self._stuck: frozenset[Pair] = frozenset()
        self._untold: list[Pair] = []

    @property
    def is_signed_in(self) -> bool:
        """Whether the credentials were accepted."""
        return self._stage is _Stage.OPEN

    @property
    def has_to_speak(self) -> bool:
        """Whether ``outgoing`` has something to be sent."""
        return bool(self._outgoing)

    @property
    def refused(self) -> Mapping[Pair, str]:
        """What is wanted and was refused, with the broker's reason."""
        return dict(self._refused)

    @property
    def held(self) -> frozenset[Pair]:
        """What the broker says is subscribed."""
        return self._held

    def want(self, symbols: Mapping[Channel, Iterable[str]]) -> None:
        """Take the whole wish; what it takes to get there is in ``outgoing``."""
        self._wanted = frozenset(
            (Channel.TRADES if channel in _FOLLOW else channel, symbol) for channel, names in symbols.items() for symbol in names
        )
        self._refused = {pair: reason for pair, reason in self._refused.items() if pair in self._wanted}
        self._go_on()

    def outgoing(self) -> list[str | bytes]:
        """What is to be sent now, each once."""
        messages, self._outgoing = self._outgoing, []
        return messages

    def receive(self, frame: str | bytes) -> Sequence[StreamItem]:
        """What a frame brings; ``SignedIn`` once the credentials are accepted.

        Raises AuthError, RateLimited or Unavailable where the broker ends the connection, WireError for what is no frame.
        """
        events, control = self._frames.decode(frame)
        if not control and self._stage is _Stage.OPEN:
            return events
        was_open = self._stage is _Stage.OPEN
        for record in control:
            self._hear(record)
        if self._stage is not _Stage.OPEN:
            for event in events:
                self._drift.count("stream.early", type(event).__name__)
            return []
        return events if was_open else [SignedIn(), *events]

    def _hear(self, record: Control) -> None:
        match record:
            case SuccessRecord():
                self._succeed(record.msg)
            case SubscriptionRecord():
                self._acknowledged(record)
            case ErrorRecord():
                self._fail(record.code, record.msg)

    def _succeed(self, message: str) -> None:
        if message == "connected":
            if self._stage is _Stage.GREETING:
                self._stage = _Stage.SIGNING_IN
                key, secret = self._credentials.key.reveal(), self._credentials.secret.reveal()
                self._say({"action": "auth", "key": key, "secret": secret})
        elif message == "authenticated":
            self._signed_in()
        else:
            self._drift.count("stream.success.msg", message)

    def _signed_in(self) -> None:
        if self._stage is not _Stage.OPEN:
            self._stage = _Stage.OPEN
            self._go_on()

    def _fail(self, code: int, message: str) -> None:
        if code == _ALREADY:
            self._signed_in()
            return
        error = self._error(code, message)
        if error is not None:
            raise error
        said = f"{code} {message}"
        request, self._under_way = self._under_way, None
        if request is None:
            self._drift.count("stream.error", said)
        elif request.action == "unsubscribe":
            self._stuck |= frozenset(request.pairs)
            log.warning("%s: the broker goes on sending what nobody wants any more (%s)", self._name, said)
        else:
            self._refuse(request.pairs, code, said)
        self._go_on()

    def _error(self, code: int, message: str) -> BrokerError | None:
        """The end of the connection that a code means; None for one that only answers a subscription."""
        said = f"{self._name}: {code} {message}"
        if code in _FATAL:
            return AuthError(f"{said}; {_FATAL[code]}")
        if code == _SECOND_CONNECTION:
            return RateLimited(
                f"{said}; another connection of this account to this feed is open, or was dropped a short while ago; close the other one",
                wait=self._connection_wait,
            )
        if code in _TRANSIENT:
            self._drift.count("stream.error", f"{code} {message}")
            return Unavailable(f"{said}; {_TRANSIENT[code]}")
        if self._stage is not _Stage.OPEN:
            return WireError(f"{said}; the connection {self._stage.value}")
        return None

    def _refuse(self, pairs: Sequence[Pair], code: int, said: str) -> None:
        if len(pairs) > 1 and code in _DIVISIBLE:
            middle = len(pairs) // 2
            self._pieces.extendleft((pairs[middle:], pairs[:middle]))
            return
        self._set_aside(pairs, said)
        if code == _FULL:
            # There is room for nothing more of this kind; asking for each would be thousands of messages.
            channels = {channel for channel, _ in pairs}
            waiting = [pair for pair in self._wanted - self._held if pair[0] in channels]
            self._set_aside(waiting, said)

    def _set_aside(self, pairs: Iterable[Pair], said: str) -> None:
        for pair in pairs:
            if pair in self._wanted and pair not in self._refused:
                self._refused[pair] = said
                self._untold.append(pair)

    def _acknowledged(self, record: SubscriptionRecord) -> None:
        before = self._held
        self._held = frozenset(
            (channel, symbol) for channel in WIRE_NAMES if channel not in _FOLLOW for symbol in getattr(record, channel.value)
        )
        request, self._under_way = self._under_way, None
        if request is not None and request.action == "subscribe":
            # Asking again for what was taken without being listed would never end.
            self._set_aside((pair for pair in request.pairs if pair not in self._held), "not acknowledged")
        if request is not None and request.action == "unsubscribe":
            self._stuck |= self._held.intersection(request.pairs)
        if before - self._held:
            # There is room again for what was one too many.
            self._refused = {pair: said for pair, said in self._refused.items() if not said.startswith(str(_FULL))}
        self._go_on()

    def _go_on(self) -> None:
        """Send the next difference between the wish and what is held, if nothing is under way."""
        if self._stage is not _Stage.OPEN or self._under_way is not None:
            return
        surplus = self._held - self._wanted - self._stuck
        if surplus:
            self._ask("unsubscribe", sorted(surplus)[:_MOST])
            return
        missing = self._wanted - self._held - self._refused.keys()
        while self._pieces:
            piece = [pair for pair in self._pieces.popleft() if pair in missing]
            if piece:
                self._ask("subscribe", piece)
                return
        if missing:
            self._ask("subscribe", sorted(missing)[:_MOST])
        elif self._untold:
            self._tell()

    def _ask(self, action: str, pairs: Sequence[Pair]) -> None:
        self._under_way = _Request(action, pairs)
        message: dict[str, object] = {"action": action}
        for channel in dict.fromkeys(channel for channel, _ in pairs):
            message[WIRE_NAMES[channel]] = [symbol for its_channel, symbol in pairs if its_channel is channel]
        self._say(message)

    def _say(self, message: Mapping[str, object]) -> None:
        is_text = self._codec is Codec.JSON
        self._outgoing.append(msgspec.json.encode(message).decode() if is_text else msgspec.msgpack.encode(message))

    def _tell(self) -> None:
        untold, self._untold = self._untold, []
        by_reason: dict[str, dict[Channel, list[str]]] = {}
        for pair in untold:
            if pair in self._refused:
                channel, symbol = pair
                by_reason.setdefault(self._refused[pair], {}).setdefault(channel, []).append(symbol)
        for reason, channels in by_reason.items():
            names = "; ".join(f"{channel}: {' '.join(sorted(symbols))}" for channel, symbols in sorted(channels.items()))
            log.warning("%s: not subscribed (%s): %s", self._name, reason, names)


_ALREADY = 403
_FULL = 405
_SECOND_CONNECTION = 406
_FATAL: Final[Mapping[int, str]] = {
    402: "the key or the secret is wrong, or belongs to the other environment",
    408: "the account's plan has no access to this feed",
    409: "the account's plan does not include this feed; choose another feed or change the plan",
    411: "the OAuth token was not granted access to market data",
}
_TRANSIENT: Final[Mapping[int, str]] = {
    401: "the broker has forgotten the sign-in",
    404: "the sign-in came too late",
    407: "frames are read too slowly; subscribe to less, or do less in callbacks",
    500: "the broker's side failed",
}
_DIVISIBLE: Final = frozenset({400, _FULL, 410, 412, 413})
"""Refusals that may concern only a part of what was asked for."""
