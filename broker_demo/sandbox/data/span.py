"""Which part of history a request asks for, and how much of it in one answer."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import attrs

from broker_core.timeframe import Timeframe, Unit
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.moments import moment_ns, moment_text

_DAY = Timeframe(1, Unit.DAY)
_LARGEST = 10_000
_USUAL = 1000


@attrs.frozen
class Place:
    """Where a page begins: a symbol, and the moment of its first point."""

    symbol: str
    at_ns: int

    def token(self) -> str:
        """The place as a page token, which its reader is not meant to read."""
        return base64.urlsafe_b64encode(f"{self.symbol}|{moment_text(self.at_ns)}".encode()).decode()

    @classmethod
    def of(cls, token: str) -> Place:
        """Read a page token. Raises ValueError for one that was never given out."""
        try:
            symbol, _, moment = base64.b64decode(token, altchars=b"-_", validate=True).decode().rpartition("|")
        except (binascii.Error, UnicodeDecodeError):
            raise ValueError("not a page token") from None
        return cls(symbol, moment_ns(moment))


@attrs.frozen(kw_only=True)
class Span:
    """From ``start_ns`` to ``end_ns``, both included, ``limit`` points at a time, beginning at ``place`` where that is not the start."""

    start_ns: int
    end_ns: int
    limit: int = _USUAL
    descends: bool = False
    """Whether each symbol's points are told from the last to the first."""
    place: Place | None = None

    def remainder(self, place: Place) -> Span:
        """What is left of a symbol's points from this place on."""
        return attrs.evolve(self, end_ns=place.at_ns) if self.descends else attrs.evolve(self, start_ns=place.at_ns)


def read_span(call: Call, now_ns: int, symbols: Sequence[str], *, most: int = _LARGEST, usual: int = _USUAL, order: str = "asc") -> Span:
    """The span of a request: by default today, which begins at midnight in New York, up to now. Raises Refused.

    Nothing lies in the future, so a later end means now; nor is anything told of the time before 1970.
    """
    start_ns, end_ns = call.moment("start"), call.moment("end", ends=True)
    end_ns = now_ns if end_ns is None else end_ns
    start_ns = _DAY.floor(now_ns) if start_ns is None else start_ns
    if end_ns < start_ns:
        raise call.bad("end should not be before start")
    return Span(
        start_ns=max(start_ns, 0),
        end_ns=min(end_ns, now_ns),
        limit=call.whole("limit", default=usual, least=1, most=most),
        descends=call.word("sort", ("asc", "desc"), order) == "desc",
        place=_read_place(call, symbols),
    )


def _read_place(call: Call, symbols: Sequence[str]) -> Place | None:
    token = call.text("page_token")
    if token is None:
        return None
    try:
        place = Place.of(token)
    except (ValueError, OverflowError):
        place = None
    if place is None or place.symbol not in symbols:
        raise call.bad("invalid page_token")
    return place
