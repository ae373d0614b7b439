"""Trades and quotes of the past: one of each for every tick.

They are made as they are asked for, a page at a time, so that a span may be as wide as one likes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, TypeAlias

from broker_demo.prices import Prices, Tick
from broker_demo.sandbox.data.pages import Source, Stretch
from broker_demo.sandbox.data.span import Span
from broker_demo.sandbox.moments import moment_text

_SECOND_NS = 1_000_000_000

Record: TypeAlias = Callable[[str, Tick], dict[str, Any]]
"""``records.trade_record`` or ``records.quote_record``."""


def tick_source(prices: Prices, record: Record) -> Source:
    """Where such records come from."""
    return partial(_stretch, prices, record)


def timed(record: Record, symbol: str, tick: Tick) -> dict[str, Any]:
    """A record with its moment."""
    return {"t": moment_text(tick.timestamp_ns), **record(symbol, tick)}


def _stretch(prices: Prices, record: Record, symbol: str, span: Span, room: int) -> Stretch:
    every = _backwards(prices, symbol, span, room) if span.descends else prices.ticks(symbol, span.start_ns - 1, span.end_ns)
    ticks = iter(every)
    points = [timed(record, symbol, tick) for tick in islice(ticks, room)]
    following = next(ticks, None)
    return Stretch(points, None if following is None else following.timestamp_ns)


def _backwards(prices: Prices, symbol: str, span: Span, room: int) -> Iterator[Tick]:
    """The ticks of the span, the last one first."""
    end_ns = span.end_ns
    while span.start_ns <= end_ns:
        last = prices.tick(symbol, end_ns)
        if last is None or last.timestamp_ns < span.start_ns:
            return
        end_ns = max(span.start_ns, last.timestamp_ns - room * _SECOND_NS) - 1
        yield from reversed(list(prices.ticks(symbol, end_ns, last.timestamp_ns)))
