"""A script of faults, in TOML or in JSON: what goes wrong, where, how often, and how.

::

    [[fault]]                      # every third order is taken, and the connection reset before the answer
    kind = "reset"
    when = "after"
    method = "POST"
    path = "/v2/orders"
    every = 3

    [[fault]]                      # the trading socket ends after its tenth message, once
    kind = "drop"
    socket = "trading"
    after = 10
    count = 1

In JSON the same is ``{"fault": [{"kind": "reset", ...}, ...]}``. Faults are asked in the order in which they stand. What strikes one thing
at once: latencies and changes (``unknown_value``, ``extra_field``) add up; of the rest the first is the only one, and those after it do
not count what it has struck.

**Where.** A fault of requests strikes those that fit ``method`` and ``path`` (a pattern without the query, in which ``*`` stands for
anything, slashes too); it passes by the requests that would become sockets. A fault of sockets strikes those of ``socket``
(``"trading"`` or ``"data"``); one of messages, those of ``event`` (an order event like ``"fill"``, a kind of market data like ``"q"``)
and ``symbol``. What is left out means any. Only order events and market data count as messages: answers to what the client says always
get through.

**How often.** Each fault counts by itself those it is meant for.

=============== ====================================================================================================================
``after``       skips so many; 0
``every``       strikes each so-manieth of those that follow; 1
``probability`` strikes one of those by chance, above 0 and up to 1; 1
``seed``        the beginning of that chance, so that a run repeats; 0
``count``       strikes so many times and is spent; without it the fault goes on
``lasts``       is over so many seconds (of the machine's clock) after it began
=============== ====================================================================================================================

**Kinds of requests.** "Takes effect" means that the exchange carries the request out. Parameters are in brackets with their defaults.

``latency`` [``seconds``, ``jitter`` 0, ``when`` "before"]
    ``seconds`` go by, and up to ``jitter`` more by chance, "before" the request takes effect, or "after" it.
``rate_limit`` [``seconds`` 1, ``limit`` 200, ``retry_after``, ``message``, ``code``]
    429 without effect. It states ``limit`` requests a minute, and a reset ``seconds`` ahead; ``Retry-After`` is sent where
    ``retry_after`` is given.
``error`` [``status`` 500, ``message``, ``code``, ``when`` "before"]
    An error in Alpaca's shape, from 400 to 599, "before" the request takes effect, or "after" it.
``html`` [``status`` 502, ``when`` "before"]
    A page as a proxy writes it, "before" the request takes effect, or "after" it.
``reset`` [``when`` "before"]
    RST "before" the request takes effect, "after" it and without an answer, or "during" the answer, which comes by half.
``truncated``
    Takes effect. Half the body that was promised comes, and the connection ends in good order.
``empty``
    Takes effect. The answer has its status, and no body.
``duplicate`` [``answer`` "second"]
    Takes effect twice, as with a proxy that tries again; the "first" answer is given, or the "second".
``unknown_value`` [``member`` "status", ``value`` "unheard_of"]
    Takes effect. Each ``member`` in a JSON answer, however deep, has this ``value``.
``extra_field`` [``member`` "unheard_of", ``value``]
    Takes effect. A JSON answer, or each object of a list, has one more ``member``.

**Other kinds on the way to the exchange**

``refuse_connection``
    A connection is reset as soon as it is accepted, before anything is read. Connections that are open stay so.
``late_cancel`` [``symbol``, ``seconds`` 1]
    An order's cancellation is answered and the order is ``pending_cancel``. It ends ``seconds`` of the market's time later, and may trade
    until then.
``bust`` [``symbol``]
    A fill is told, and then taken back.

**Kinds of sockets** [``socket``]

``refuse_handshake`` [``status`` 429, ``message``, ``code``]
    The request that would become a socket is refused.
``refuse_sign_in``
    The right keys are told that they are wrong.
``connection_limit``
    The right keys are told that too many sockets are open: 406 on a data socket. The trading socket has no such word: there the
    handshake is answered with 429.
``drop`` [``seconds``]
    With ``seconds``: each time so many have gone by, every socket is reset. Without: as a kind of messages.

**Kinds of messages** [``socket``, ``event``, ``symbol``]. ``duplicate``, ``unknown_value`` and ``extra_field`` are of messages where one of
the three is given.

``drop``
    The message is lost, and the socket is reset after those before it.
``truncated_frame``
    The same, but half of the message's frame comes.
``mute``
    From this message on the socket says nothing more, though it answers pings.
``half_open``
    From this message on the socket says nothing, hears nothing and answers no ping; 90 seconds later it is reset.
``slow`` [``seconds``]
    From this message on every frame of the socket waits so long; 0 ends that.
``lose``
    The message is not sent.
``duplicate``
    The message is sent twice.
``reorder``
    The message is sent after the next one; with each message struck, neighbours swap.
``unknown_value`` [``member``, ``value`` "unheard_of"]
    Each ``member`` of the message, however deep, has this ``value``; without a name it is the event (``event``, or ``T``).
``extra_field`` [``member`` "unheard_of", ``value``]
    The message has one more ``member``, and an order in it has it too.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from broker_core.errors import ConfigError
from broker_demo.sandbox.faults.terms import Channel, Kind, Point, Terms, When, Which, point_of

_Word = TypeVar("_Word", bound=StrEnum)

_LONGEST = 1_000_000
_TABLE = "fault"


def read_script(path: Path) -> list[Terms]:
    """The faults of a file; it is JSON where its name says so, and TOML otherwise. Raises ConfigError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: the script of faults cannot be read: {error.strerror or error}") from None
    try:
        found = msgspec.json.decode(content) if path.suffix.lower() == ".json" else tomllib.loads(content.decode())
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        language = "JSON" if path.suffix.lower() == ".json" else "TOML"
        raise ConfigError(f"{path}: the script of faults is not {language}: {' '.join(str(error).split())}") from None
    return read_faults(found, str(path))


def read_faults(found: Any, where: str) -> list[Terms]:
    """The faults of a script that is decoded; ``where`` is its name. Raises ConfigError."""
    if not isinstance(found, dict):
        raise ConfigError(f"{where}: the script of faults is no table; write one [[{_TABLE}]] for each")
    for name in found:
        if name != _TABLE:
            raise ConfigError(f"{where}: {_unknown(name, [_TABLE])}")
    faults = found.get(_TABLE, [])
    if not isinstance(faults, list):
        raise ConfigError(f"{where}: {_TABLE} is no list; write one [[{_TABLE}]] for each")
    return [read_fault(fault, f"{where}: {_TABLE} {number}") for number, fault in enumerate(faults, start=1)]


def read_fault(found: Any, where: str) -> Terms:
    """One fault; ``where`` says which. Raises ConfigError."""
    if not isinstance(found, dict):
        raise ConfigError(f"{where}: it is no table of terms")
    if "kind" not in found:
        raise ConfigError(f"{where}: kind is missing; the known ones are {', '.join(Kind)}")
    kind = _read(where, "kind", found["kind"], _one_of(Kind))
    point = point_of(kind, of_sockets=any(name in found for name in _OF_MESSAGES), by_time="seconds" in found)
    known = {*_ALWAYS, *_OF_POINTS[point], *_OF_KINDS.get(kind, ())}
    for name in found:
        if name not in known:
            raise ConfigError(f"{where}: {kind}: {_unknown(name, sorted(known))}")
    told = {name: _read(where, name, value, _READERS[name]) for name, value in found.items()}
    if told.get("when", When.BEFORE) not in _WHENS.get(kind, tuple(When)):
        raise ConfigError(f"{where}: when: {kind} lies {' or '.join(_WHENS[kind])} the effect, not {told['when']} it")
    if point is Point.TIME and not told["seconds"]:
        raise ConfigError(f"{where}: seconds: {kind} strikes again and again; it needs more than 0")
    return Terms(**told)


def _read(where: str, name: str, value: Any, reader: Callable[[Any], Any]) -> Any:
    try:
        return reader(value)
    except ValueError as error:
        shown = repr(value)
        raise ConfigError(f"{where}: {name}: {shown if len(shown) <= 60 else shown[:57] + '...'} {error}") from None


def _unknown(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    return f"{name!r} is unknown; {meant}Known: {', '.join(known)}"


def _one_of(words: type[_Word]) -> Callable[[Any], _Word]:
    known = [str(word) for word in words]

    def read(value: Any) -> _Word:
        if not isinstance(value, str) or value not in known:
            close = difflib.get_close_matches(str(value), known, n=1)
            meant = f"did you mean {close[0]}? " if close else ""
            raise ValueError(f"is unknown; {meant}Known: {', '.join(known)}")
        return words(value)

    return read


def _whole(least: int, most: int = _LONGEST) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"is not a whole number from {least} to {most}")
        return value

    return read


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= _LONGEST:
        raise ValueError(f"is not a number of seconds from 0 to {_LONGEST}")
    return float(value)


def _probability(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ValueError("is not a number above 0 and up to 1")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("is not a text in one line")
    return value


def _retry_after(value: Any) -> str:
    return str(_whole(0)(value)) if isinstance(value, int) else _text(value)


def _method(value: Any) -> str:
    return _text(value).upper()


def _any(value: Any) -> Any:
    try:
        msgspec.json.encode(value)
        msgspec.msgpack.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        raise ValueError("cannot be written as JSON and as MessagePack") from None
    return value


_READERS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "kind": _one_of(Kind),
        "method": _method,
        "path": _text,
        "socket": _one_of(Channel),
        "event": _text,
        "symbol": _text,
        "count": _whole(1),
        "after": _whole(0),
        "every": _whole(1),
        "probability": _probability,
        "seed": _whole(0, 2**63),
        "lasts": _seconds,
        "seconds": _seconds,
        "jitter": _seconds,
        "when": _one_of(When),
        "status": _whole(400, 599),
        "code": _whole(0, 2**53),
        "message": _text,
        "retry_after": _retry_after,
        "limit": _whole(1),
        "answer": _one_of(Which),
        "member": _text,
        "value": _any,
    }
)
_ALWAYS = ("kind", "count", "after", "every", "probability", "seed", "lasts")
_OF_MESSAGES = ("socket", "event", "symbol")
_OF_POINTS: Mapping[Point, tuple[str, ...]] = MappingProxyType(
    {
        Point.CONNECTION: (),
        Point.REQUEST: ("method", "path"),
        Point.CANCELLATION: ("symbol",),
        Point.HANDSHAKE: ("socket",),
        Point.SIGN_IN: ("socket",),
        Point.MESSAGE: _OF_MESSAGES,
        Point.FILL: ("symbol",),
        Point.TIME: ("socket",),
    }
)
_OF_KINDS: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        Kind.LATENCY: ("seconds", "jitter", "when"),
        Kind.RATE_LIMIT: ("seconds", "retry_after", "limit", "message", "code"),
        Kind.ERROR: ("status", "message", "code", "when"),
        Kind.HTML: ("status", "when"),
        Kind.RESET: ("when",),
        Kind.DUPLICATE: ("answer",),
        Kind.UNKNOWN_VALUE: ("member", "value"),
        Kind.EXTRA_FIELD: ("member", "value"),
        Kind.LATE_CANCEL: ("seconds",),
        Kind.REFUSE_HANDSHAKE: ("status", "message", "code"),
        Kind.SLOW: ("seconds",),
        Kind.DROP: ("seconds",),
    }
)
"""What each kind may be told beside where and how often."""
_WHENS: Mapping[Kind, tuple[When, ...]] = MappingProxyType(dict.fromkeys((Kind.LATENCY, Kind.ERROR, Kind.HTML), (When.BEFORE, When.AFTER)))
