"""The symbols of a request. Shares and pairs have addresses of their own, and neither takes the other's symbols."""

from __future__ import annotations

import re
from collections.abc import Callable

from broker_demo.sandbox.call import Call
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.pairs import is_pair

_SHARE = re.compile(r"[A-Z0-9][A-Z0-9.-]{0,31}", re.ASCII)
_PAIR = re.compile(r"[A-Z]+x?/[A-Z]+", re.ASCII)


def shares(desk: Desk, call: Call) -> list[str]:
    """The shares of the list ``symbols``, or the one in the path, in alphabetical order; some may be unknown. Raises Refused."""
    asked = [call.parts["symbol"]] if "symbol" in call.parts else call.listed("symbols")
    wrong = [symbol for symbol in asked if not _names(desk, symbol, _SHARE) or is_pair(symbol)]
    if wrong:
        raise call.bad(f"invalid symbol(s): {', '.join(wrong)}")
    return _some(call, asked)


def pairs(desk: Desk, call: Call) -> list[str]:
    """The pairs of the list ``symbols``, in alphabetical order; some may be unknown. Raises Refused."""
    asked = call.listed("symbols")
    for symbol in asked:
        if not _names(desk, symbol, _PAIR) or not is_pair(symbol):
            raise call.bad(f"invalid symbol: {symbol} does not match ^[A-Z]+x?/[A-Z]+$")
    return _some(call, asked)


Symbols = Callable[[Desk, Call], list[str]]
"""One of the two."""


def _names(desk: Desk, symbol: str, shape: re.Pattern[str]) -> bool:
    """Whether this may be a symbol. What is listed is one, whatever it looks like."""
    return shape.fullmatch(symbol) is not None or desk.prices.asset(symbol) is not None


def _some(call: Call, symbols: list[str]) -> list[str]:
    if not symbols:
        raise call.bad("symbols is required")
    return sorted(symbols)
