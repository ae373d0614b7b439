"""What the codes of market data mean: conditions of trades and quotes, and exchanges.

Source: https://docs.alpaca.markets/reference/stockmetaconditions-1, .../stockmetaexchanges-1, .../optionmetaconditions,
.../optionmetaexchanges.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from broker_alpaca.wire.by_symbol import parse
from broker_alpaca.wire.call import Call
from broker_alpaca.wire.data_host import get
from broker_alpaca.wire.drift import Drift


class TickType(StrEnum):
    """Whose conditions."""

    TRADE = "trade"
    QUOTE = "quote"


class Tape(StrEnum):
    """Of which consolidated tape: A (New York), B (regional exchanges) or C (Nasdaq)."""

    A = "A"
    B = "B"
    C = "C"


def _read(body: bytes, drift: Drift) -> Mapping[str, str]:
    """Code to text; a code with anything else than a text is left out and counted."""
    found = {}
    for code, text in parse(body, "market codes").items():
        if isinstance(text, str):
            found[code] = text
        else:
            drift.count(f"market codes.{code} (left out)", text)
    return found


def stock_conditions(tick: TickType, tape: Tape) -> Call[Mapping[str, str]]:
    """The meaning of the condition codes of stocks' trades or quotes."""
    return get(f"/v2/stocks/meta/conditions/{TickType(tick).value}", _read, tape=tape)


def stock_exchanges() -> Call[Mapping[str, str]]:
    """The names of the stock exchanges by their letter."""
    return get("/v2/stocks/meta/exchanges", _read)


def option_conditions(tick: TickType) -> Call[Mapping[str, str]]:
    """The meaning of the condition codes of options' trades or quotes."""
    return get(f"/v1beta1/options/meta/conditions/{TickType(tick).value}", _read)


def option_exchanges() -> Call[Mapping[str, str]]:
    """The names of the option exchanges by their letter."""
    return get("/v1beta1/options/meta/exchanges", _read)
