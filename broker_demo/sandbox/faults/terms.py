"""The kinds of faults, and the terms of one: where it strikes, how often, and what it does then."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

import attrs


class Kind(StrEnum):
    """What goes wrong; ``script`` says what each does."""

    LATENCY = "latency"
    RATE_LIMIT = "rate_limit"
    ERROR = "error"
    HTML = "html"
    RESET = "reset"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    DUPLICATE = "duplicate"
    UNKNOWN_VALUE = "unknown_value"
    EXTRA_FIELD = "extra_field"
    LATE_CANCEL = "late_cancel"
    REFUSE_CONNECTION = "refuse_connection"
    REFUSE_HANDSHAKE = "refuse_handshake"
    REFUSE_SIGN_IN = "refuse_sign_in"
    CONNECTION_LIMIT = "connection_limit"
    LOSE = "lose"
    REORDER = "reorder"
    SLOW = "slow"
    DROP = "drop"
    MUTE = "mute"
    HALF_OPEN = "half_open"
    TRUNCATED_FRAME = "truncated_frame"
    BUST = "bust"


class Point(StrEnum):
    """Where in the life of a thing a fault lies; each is asked at one point only."""

    CONNECTION = "connection"
    """A connection was accepted."""
    REQUEST = "request"
    CANCELLATION = "cancellation"
    """An open order is about to be cancelled because somebody asked for it."""
    HANDSHAKE = "handshake"
    """A request that would become a socket."""
    SIGN_IN = "sign_in"
    """The right keys were sent on a socket."""
    MESSAGE = "message"
    """A message is about to be sent on a socket."""
    FILL = "fill"
    """An order was filled, in whole or in part."""
    TIME = "time"
    """So many seconds have gone by."""


class Channel(StrEnum):
    """The two kinds of sockets."""

    TRADING = "trading"
    DATA = "data"


class When(StrEnum):
    """On which side of the request's effect a fault lies."""

    BEFORE = "before"
    AFTER = "after"
    DURING = "during"
    """After it, and in the middle of the answer."""


class Which(StrEnum):
    """Which of two answers is given."""

    FIRST = "first"
    SECOND = "second"


POINTS: Mapping[Kind, tuple[Point, ...]] = MappingProxyType(
    {
        Kind.LATENCY: (Point.REQUEST,),
        Kind.RATE_LIMIT: (Point.REQUEST,),
        Kind.ERROR: (Point.REQUEST,),
        Kind.HTML: (Point.REQUEST,),
        Kind.RESET: (Point.REQUEST,),
        Kind.TRUNCATED: (Point.REQUEST,),
        Kind.EMPTY: (Point.REQUEST,),
        Kind.DUPLICATE: (Point.REQUEST, Point.MESSAGE),
        Kind.UNKNOWN_VALUE: (Point.REQUEST, Point.MESSAGE),
        Kind.EXTRA_FIELD: (Point.REQUEST, Point.MESSAGE),
        Kind.LATE_CANCEL: (Point.CANCELLATION,),
        Kind.REFUSE_CONNECTION: (Point.CONNECTION,),
        Kind.REFUSE_HANDSHAKE: (Point.HANDSHAKE,),
        Kind.REFUSE_SIGN_IN: (Point.SIGN_IN,),
        Kind.CONNECTION_LIMIT: (Point.SIGN_IN,),
        Kind.LOSE: (Point.MESSAGE,),
        Kind.REORDER: (Point.MESSAGE,),
        Kind.SLOW: (Point.MESSAGE,),
        Kind.DROP: (Point.MESSAGE,),
        Kind.MUTE: (Point.MESSAGE,),
        Kind.HALF_OPEN: (Point.MESSAGE,),
        Kind.TRUNCATED_FRAME: (Point.MESSAGE,),
        Kind.BUST: (Point.FILL,),
    }
)
"""At which point each kind lies. One of requests and of messages lies at messages where its terms name a socket, an event or a symbol."""


def point_of(kind: Kind, *, of_sockets: bool, by_time: bool) -> Point:
    """Where a kind lies; ``of_sockets`` where a socket, an event or a symbol is named, ``by_time`` where seconds are."""
    if kind is Kind.DROP and by_time:
        return Point.TIME
    return POINTS[kind][-1 if of_sockets else 0]


@attrs.frozen(kw_only=True)
class Terms:
    """One fault as it is written. None stands for "any", or for what the kind does by itself."""

    kind: Kind

    method: str | None = None
    path: str = "*"
    """A pattern of the path, without the query, in which ``*`` stands for anything."""
    socket: Channel | None = None
    event: str | None = None
    """The word of an order event, or the letter of market data."""
    symbol: str | None = None

    count: int | None = None
    after: int = 0
    every: int = 1
    probability: float = 1.0
    seed: int = 0
    lasts: float | None = None
    """Seconds of the machine's clock."""

    seconds: float | None = None
    jitter: float = 0.0
    when: When = When.BEFORE
    status: int | None = None
    code: int | None = None
    message: str | None = None
    retry_after: str | None = None
    limit: int = 200
    """Requests a minute."""
    answer: Which = Which.SECOND
    member: str | None = None
    value: Any = None

    @property
    def point(self) -> Point:
        """Where it lies."""
        of_sockets = bool(self.socket or self.event or self.symbol)
        return point_of(self.kind, of_sockets=of_sockets, by_time=self.seconds is not None)

    def fits_request(self, method: str, path: str) -> bool:
        """Whether a request is among those that are meant."""
        return (self.method is None or self.method == method) and fnmatchcase(path, self.path)

    def fits_socket(self, channel: Channel) -> bool:
        """Whether a socket is among those that are meant."""
        return self.socket is None or self.socket is channel

    def fits_handshake(self, channel: Channel) -> bool:
        """Whether a socket's handshake is among those that are meant."""
        return self.fits_socket(channel) and not (self.kind is Kind.CONNECTION_LIMIT and channel is Channel.DATA)

    def fits_sign_in(self, channel: Channel) -> bool:
        """Whether a socket's signing in is among those that are meant."""
        return self.fits_socket(channel) and not (self.kind is Kind.CONNECTION_LIMIT and channel is Channel.TRADING)

    def fits_message(self, channel: Channel, event: str, symbol: str) -> bool:
        """Whether a message on a socket is among those that are meant."""
        return self.fits_socket(channel) and self.event in (None, event) and self.symbol in (None, symbol)
