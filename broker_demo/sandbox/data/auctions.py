"""Auctions of the past: the first print of a trading day is that of its opening auction, the last print that of its closing auction.

A point is a trading day. It is told as soon as the day has opened, and has no closing auction before it is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

from broker_core.clock import to_ns
from broker_core.models import MarketHours
from broker_demo.prices import Prices, Tick
from broker_demo.sandbox.data.pages import Source, Stretch
from broker_demo.sandbox.data.records import home
from broker_demo.sandbox.data.span import Span
from broker_demo.sandbox.moments import moment_text
from broker_demo.trading_hours import midnight_ns, new_york_day

OPENING_PRINT, OFFICIAL_OPEN, CLOSING_PRINT, OFFICIAL_CLOSE = "O", "Q", "6", "M"
"""The codes of an auction's print, and of what its exchange calls the day's official price."""


def auction_source(prices: Prices, now_ns: int) -> Source:
    """Where days of auctions come from."""
    return partial(_stretch, prices, now_ns)


def _stretch(prices: Prices, now_ns: int, symbol: str, span: Span, room: int) -> Stretch:
    """The trading days from that of the span's first moment to that of its last."""
    days = prices.hours.days(new_york_day(span.start_ns), new_york_day(span.end_ns))
    points = _points(prices, now_ns, symbol, reversed(days) if span.descends else iter(days))
    chosen = list(islice(points, room))
    following = next(points, None)
    return Stretch([point for _, point in chosen], None if following is None else midnight_ns(following[0].day))


def _points(prices: Prices, now_ns: int, symbol: str, days: Iterator[MarketHours]) -> Iterator[tuple[MarketHours, dict[str, Any]]]:
    for day in days:
        open_ns, close_ns = to_ns(day.open), to_ns(day.close)
        first_ns = prices.next_tick_ns(symbol, open_ns - 1) if open_ns <= now_ns else None
        if first_ns is None or first_ns >= close_ns or first_ns > now_ns:
            continue
        first, last = prices.tick(symbol, first_ns), prices.tick(symbol, close_ns - 1) if close_ns <= now_ns else None
        yield (
            day,
            {
                "d": day.day.isoformat(),
                "o": _auction(symbol, first, OPENING_PRINT, OFFICIAL_OPEN),
                "c": _auction(symbol, last, CLOSING_PRINT, OFFICIAL_CLOSE),
            },
        )


def _auction(symbol: str, tick: Tick | None, printed: str, official: str) -> list[dict[str, Any]]:
    if tick is None:
        return []
    common = {"t": moment_text(tick.timestamp_ns), "x": home(symbol).exchange, "p": tick.price}
    return [{**common, "s": tick.size, "c": printed}, {**common, "c": official}]
