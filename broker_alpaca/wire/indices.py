"""Values of indices.

Source: https://docs.alpaca.markets/reference/indexlatestvalues, .../indexvalues.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Unpack

import attrs
import msgspec

from broker_alpaca.wire import by_symbol, moments
from broker_alpaca.wire.by_symbol import BySymbol
from broker_alpaca.wire.call import Call
from broker_alpaca.wire.data_host import Range, get
from broker_alpaca.wire.drift import Drift
from broker_core.clock import from_ns


@attrs.frozen
class IndexValue:
    """Where an index stood at a moment."""

    symbol: str
    timestamp_ns: int
    value: float

    @property
    def timestamp(self) -> datetime:
        """The moment, aware UTC, cut to microseconds."""
        return from_ns(self.timestamp_ns)


class _Value(msgspec.Struct, rename={"time": "t", "value": "v"}):
    time: str
    value: float


def _to_value(symbol: str, row: _Value, drift: Drift) -> IndexValue:  # noqa: ARG001  # what every maker of a value takes
    return IndexValue(symbol, moments.parse_ns(row.time), row.value)


_latest = by_symbol.latest(_Value, _to_value, "index value", "values")
_history = by_symbol.history(_Value, _to_value, "index value", "values")


def latest(symbols: Sequence[str]) -> Call[BySymbol[IndexValue]]:
    """The latest value of each index."""
    return get("/v1beta1/indices/latest/values", _latest, symbols)


def values(symbols: Sequence[str], **given: Unpack[Range]) -> Call[BySymbol[tuple[IndexValue, ...]]]:
    """A page of values."""
    return get("/v1beta1/indices/values", _history, symbols, **given)
