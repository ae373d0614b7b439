"""Numbers as the wire writes them: JSON's digits, in a text or not, and none that is too long to reckon with."""

from __future__ import annotations

import re
from decimal import Decimal

_NUMBER = re.compile(r"[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,2})?\Z", re.ASCII)
_LARGEST = Decimal(10) ** 15
_SMALLEST = Decimal(10) ** -30


def read_number(text: str) -> Decimal:
    """The number, as exact as it was written. Raises ValueError for what is none, and for one beyond all amounts of this world."""
    if _NUMBER.match(text) is None:
        raise ValueError(f"{text!r} is not a number")
    number = Decimal(text)
    if number and not _SMALLEST <= abs(number) < _LARGEST:
        raise ValueError(f"{text!r} is too large or too small")
    return number
