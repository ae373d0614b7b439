"""Bars of the past.

Every bar is made of whole minutes, as the real ones are: the minute that is running now is in none of them, neither as a bar of its own
nor as a part of the running hour or day. A day begins at midnight in New York, for pairs of crypto currencies too.
"""

from __future__ import annotations

import re
from functools import partial
from types import MappingProxyType

from broker_core.timeframe import Timeframe, Unit
from broker_demo.feeds import MINUTE
from broker_demo.prices import Prices
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.data.pages import Source, Stretch
from broker_demo.sandbox.data.records import BarRow, bar_rows
from broker_demo.sandbox.data.span import Span
from broker_demo.sandbox.moments import moment_ns

_TEXT = re.compile(r"([0-9]{1,4})(Min|T|Hour|H|Day|D|Week|W|Month|M)", re.ASCII)
_SHORT = MappingProxyType({"T": Unit.MINUTE, "H": Unit.HOUR, "D": Unit.DAY, "W": Unit.WEEK, "M": Unit.MONTH})
_SHORTEST_SECONDS = MappingProxyType(
    {Unit.MINUTE: 60, Unit.HOUR: 3600, Unit.DAY: 23 * 3600, Unit.WEEK: 167 * 3600, Unit.MONTH: (28 * 24 - 1) * 3600}
)
_SECOND_NS = 1_000_000_000
_LEAST_NS = 6 * 3600 * _SECOND_NS
"""Bars are made for so long a stretch at least: six hours of minutes cost little more than one minute."""


def read_timeframe(call: Call) -> Timeframe:
    """The length of the bars asked for, ``15Min`` or ``15T`` and the like. Raises Refused."""
    text = call.text("timeframe")
    if text is None:
        raise call.bad("timeframe is required")
    found = _TEXT.fullmatch(text)
    try:
        if found is not None:
            return Timeframe(int(found[1]), _SHORT.get(found[2]) or Unit(found[2]))
    except ValueError:
        pass
    raise call.bad(f"invalid timeframe: {text} is not among [1-59]Min, [1-23]Hour, 1Day, 1Week, [1,2,3,4,6,12]Month")


def last_whole_minute_ns(now_ns: int) -> int:
    """The last nanosecond before the running minute."""
    return MINUTE.floor(now_ns) - 1


def bar_source(prices: Prices, timeframe: Timeframe, now_ns: int) -> Source:
    """Where bars of this length come from."""
    return partial(_stretch, prices, timeframe, last_whole_minute_ns(now_ns))


def _stretch(prices: Prices, timeframe: Timeframe, known_ns: int, symbol: str, span: Span, room: int) -> Stretch:
    walk = _backwards if span.descends else _forwards
    rows = walk(prices, timeframe, known_ns, symbol, span, room)
    return Stretch(rows[:room], moment_ns(rows[room].t) if len(rows) > room else None)


def _forwards(prices: Prices, timeframe: Timeframe, known_ns: int, symbol: str, span: Span, room: int) -> list[BarRow]:
    """The first bars, one more than there is room for."""
    rows: list[BarRow] = []
    start_ns, end_ns = span.start_ns, min(span.end_ns, known_ns) + 1
    while len(rows) <= room:
        first_ns = prices.next_tick_ns(symbol, start_ns - 1) if start_ns < end_ns else None
        if first_ns is None:
            break
        # A bar lies in the span when its left edge does, though its first tick may come after the span's end.
        start_ns = max(start_ns, timeframe.floor(first_ns))
        if start_ns >= end_ns:
            break
        until_ns = min(end_ns, start_ns + _step_ns(timeframe, room - len(rows)))
        rows += bar_rows(prices.columns(symbol, timeframe, start_ns, until_ns, known_ns))
        start_ns = until_ns
    return rows


def _backwards(prices: Prices, timeframe: Timeframe, known_ns: int, symbol: str, span: Span, room: int) -> list[BarRow]:
    """The last bars, the last one first, one more than there is room for."""
    rows: list[BarRow] = []
    end_ns = min(span.end_ns, known_ns) + 1
    while len(rows) <= room and span.start_ns < end_ns:
        last = prices.tick(symbol, min(timeframe.following(timeframe.floor(end_ns - 1)) - 1, known_ns))
        if last is None:
            break
        end_ns = min(end_ns, timeframe.floor(last.timestamp_ns) + 1)
        from_ns = max(span.start_ns, end_ns - _step_ns(timeframe, room - len(rows)))
        rows += reversed(bar_rows(prices.columns(symbol, timeframe, from_ns, end_ns, known_ns)))
        end_ns = from_ns
    return rows


def _step_ns(timeframe: Timeframe, room: int) -> int:
    """A stretch with hardly more bars than are wanted."""
    return max((room + 1) * timeframe.amount * _SHORTEST_SECONDS[timeframe.unit] * _SECOND_NS, _LEAST_NS)
