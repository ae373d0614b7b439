"""How long a bar is, and where its edges lie.

A minute or hour bar begins at a whole multiple of its length since midnight UTC. A day begins at midnight in New York, where the
exchanges of record are; a week begins with its Monday, a month with its first day. Left edges are included, right edges are not.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cache
from zoneinfo import ZoneInfo

import attrs

from broker_core.clock import from_ns, to_ns

_MINUTE_NS = 60_000_000_000
_LARGEST = {"Min": 59, "Hour": 23, "Day": 1, "Week": 1, "Month": 12}
_TEXT = re.compile(r"([0-9]{1,4})(Min|Hour|Day|Week|Month)\Z")


class Unit(StrEnum):
    """The unit a timeframe counts."""

    MINUTE = "Min"
    HOUR = "Hour"
    DAY = "Day"
    WEEK = "Week"
    MONTH = "Month"


@cache
def exchange_zone() -> ZoneInfo:
    """The time zone in which trading days are counted."""
    return ZoneInfo("America/New_York")


@attrs.frozen
class Timeframe:
    """A bar's length: 1 to 59 ``Min``, 1 to 23 ``Hour``, 1 ``Day``, 1 ``Week``, or 1, 2, 3, 4, 6 or 12 ``Month``.

    The grammar is Alpaca's (https://docs.alpaca.markets/reference/stockbars, ``timeframe``). ``str()`` gives the text back.
    """

    amount: int
    unit: Unit = attrs.field(converter=Unit)

    def __attrs_post_init__(self) -> None:
        largest = _LARGEST[self.unit]
        if not 1 <= self.amount <= largest or (self.unit is Unit.MONTH and 12 % self.amount):
            raise ValueError(f"timeframe: {self} is not among 1-59Min, 1-23Hour, 1Day, 1Week, 1/2/3/4/6/12Month")

    @classmethod
    def parse(cls, text: str | Timeframe) -> Timeframe:
        """Read ``"15Min"``, ``"1Day"`` and the like. Raises ValueError for anything else."""
        if isinstance(text, Timeframe):
            return text
        found = _TEXT.match(text)
        if found is None:
            raise ValueError(f"timeframe: {text!r} is not a number and one of Min, Hour, Day, Week, Month, like 15Min or 1Day")
        return cls(int(found[1]), Unit(found[2]))

    def __str__(self) -> str:
        return f"{self.amount}{self.unit.value}"

    @property
    def is_intraday(self) -> bool:
        """Whether several bars fit in one day."""
        return self.unit in (Unit.MINUTE, Unit.HOUR)

    def floor(self, ns: int) -> int:
        """The left edge, in nanoseconds, of the bar that holds this moment."""
        if self.is_intraday:
            day = ns - ns % (1440 * _MINUTE_NS)
            return day + (ns - day) // self._length_ns * self._length_ns
        return _midnight_ns(self._first_day(from_ns(ns).astimezone(exchange_zone()).date()))

    def following(self, edge_ns: int) -> int:
        """The left edge of the bar after the one that begins at ``edge_ns``."""
        if self.is_intraday:
            # Lengths that do not divide a day leave a shorter last bar: counting starts again at midnight.
            midnight = edge_ns - edge_ns % (1440 * _MINUTE_NS) + 1440 * _MINUTE_NS
            return min(edge_ns + self._length_ns, midnight)
        day = from_ns(edge_ns).astimezone(exchange_zone()).date()
        if self.unit is Unit.DAY:
            return _midnight_ns(day + timedelta(days=1))
        if self.unit is Unit.WEEK:
            return _midnight_ns(day + timedelta(days=7))
        months = day.year * 12 + day.month - 1 + self.amount
        return _midnight_ns(date(months // 12, months % 12 + 1, 1))

    @property
    def _length_ns(self) -> int:
        return self.amount * _MINUTE_NS * (60 if self.unit is Unit.HOUR else 1)

    def _first_day(self, day: date) -> date:
        if self.unit is Unit.WEEK:
            return day - timedelta(days=day.weekday())
        if self.unit is Unit.MONTH:
            return date(day.year, (day.month - 1) // self.amount * self.amount + 1, 1)
        return day


def _midnight_ns(day: date) -> int:
    return to_ns(datetime(day.year, day.month, day.day, tzinfo=exchange_zone()).astimezone(UTC))
