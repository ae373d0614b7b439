"""Pages over many symbols: first all points of one symbol, then those of the next, and no more in one answer than its limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import attrs

from broker_core.errors import ConfigError
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.data.span import Place, Span


@attrs.frozen
class Stretch:
    """Points of one symbol in the order asked for, and the moment of the one that follows them; None when there is none."""

    points: Sequence[Any]
    next_ns: int | None = None


Source: TypeAlias = Callable[[str, Span, int], Stretch]
"""Gives the points of a symbol in a span, from its end on where it descends: as many as there is room for, which may be no room."""


@attrs.frozen
class Page:
    """Points by symbol, and the token of the next page; None when there is none."""

    points: dict[str, Sequence[Any]]
    next_token: str | None = None


def page(symbols: Sequence[str], span: Span, source: Source) -> Page:
    """The page with which the span begins. The symbols are in alphabetical order; those without points are left out."""
    found: dict[str, Sequence[Any]] = {}
    room, place = span.limit, span.place
    for symbol in symbols:
        if place is not None and symbol < place.symbol:
            continue
        part = span.remainder(place) if place is not None and symbol == place.symbol else span
        stretch = source(symbol, part, room)
        if stretch.points:
            found[symbol] = stretch.points
        if stretch.next_ns is not None:
            return Page(found, Place(symbol, stretch.next_ns).token())
        room -= len(stretch.points)
    return Page(found)


def read_page(call: Call, symbols: Sequence[str], span: Span, source: Source) -> Page:
    """The page that a request asks for. Raises Refused."""
    try:
        return page(symbols, span, source)
    except ConfigError as error:
        # The calendar of an exchange does not go back as far as one may ask.
        raise call.bad(str(error)) from None
