"""One request as a value, with readers that refuse what makes no sense in the words of the host it was sent to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import attrs
import msgspec

from broker_demo.sandbox.answers import Host, Refused
from broker_demo.sandbox.moments import day_end_ns, is_day, moment_ns
from broker_demo.sandbox.numbers import read_number
from broker_demo.trading_hours import midnight_ns

_TRUE = frozenset({"true", "1", "t"})
_FALSE = frozenset({"false", "0", "f"})
_FIRST_DAY, _LAST_DAY = date(1700, 1, 1), date(2261, 12, 30)
"""Days beyond these count as these: nothing ever happens there, and 64 bits of nanoseconds can tell no more."""


@attrs.frozen(kw_only=True)
class Call:
    """A request that was let in. ``parts`` are the variable pieces of its path, ``query`` its parameters, both decoded."""

    method: str
    path: str
    host: Host = Host.TRADING
    parts: Mapping[str, str] = attrs.field(factory=dict)
    query: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = b""

    def bad(self, message: str) -> Refused:
        """The refusal of a field that makes no sense: 422 with a code at the trading host, 400 without one at the data host."""
        if self.host is Host.DATA:
            return Refused(400, message)
        return Refused(422, message, code=40010001)

    def json(self) -> dict[str, Any]:
        """The body, an object; an empty one where there is none. Raises Refused."""
        if not self.body.strip():
            return {}
        try:
            found = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            found = None
        if not isinstance(found, dict):
            raise Refused(400, "failed to decode request body", code=40010000)
        return found

    def text(self, name: str) -> str | None:
        """A parameter; None where it is absent or empty."""
        return self.query.get(name) or None

    def word(self, name: str, choices: Collection[str], default: str) -> str:
        """A parameter out of a list. Raises Refused."""
        found = self.text(name)
        if found is None:
            return default
        if found not in choices:
            raise self.bad(f"invalid {name}: {found}")
        return found

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A parameter that is true or false, in any letters. Raises Refused."""
        found = self.text(name)
        if found is None:
            return default
        if found.lower() not in _TRUE | _FALSE:
            raise self.bad(f"invalid {name}: {found}")
        return found.lower() in _TRUE

    def whole(self, name: str, *, default: int, least: int, most: int) -> int:
        """A parameter that is a whole number within bounds. Raises Refused."""
        found = self.text(name)
        if found is None:
            return default
        if not found.isascii() or not found.isdecimal() or not least <= int(found[:20]) <= most:
            raise self.bad(f"invalid {name}: {found} is not between {least} and {most}")
        return int(found)

    def amount(self, name: str) -> Decimal | None:
        """A parameter that is a number. Raises Refused."""
        found = self.text(name)
        if found is None:
            return None
        try:
            return read_number(found)
        except ValueError:
            raise self.bad(f"invalid {name}: {found}") from None

    def listed(self, name: str) -> list[str]:
        """A parameter that is a list with commas, each entry once, in the order given; empty where it is absent."""
        return list(dict.fromkeys(piece.strip() for piece in self.query.get(name, "").split(",") if piece.strip()))

    def day(self, name: str) -> date | None:
        """A parameter that is a date, of the years 1700 to 2261. A moment counts as the date it is written with. Raises Refused."""
        found = self.text(name)
        if found is None:
            return None
        try:
            return _within(date.fromisoformat(found[:10]))
        except ValueError:
            raise self.bad(f"invalid {name}: {found}") from None

    def moment(self, name: str, *, ends: bool = False) -> int | None:
        """A parameter that is a moment, in nanoseconds; of a bare date its first nanosecond in New York, or its last with ``ends``.

        Raises Refused.
        """
        found = self.text(name)
        if found is None:
            return None
        try:
            if is_day(found):
                day = _within(date.fromisoformat(found))
                return day_end_ns(day) if ends else midnight_ns(day)
            # An unencoded plus sign arrives as a blank.
            moment = moment_ns(found[:10] + found[10:].replace(" ", "+") if "T" in found else found)
            return max(midnight_ns(_FIRST_DAY), min(moment, day_end_ns(_LAST_DAY)))
        except (ValueError, OverflowError):
            raise self.bad(f"invalid {name}: {found}") from None


def _within(day: date) -> date:
    return max(_FIRST_DAY, min(day, _LAST_DAY))
