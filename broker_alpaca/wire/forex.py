"""Exchange rates of currencies.

Source: https://docs.alpaca.markets/reference/latestrates, .../rates.
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
class Rate:
    """What one unit of the first currency costs in the second: ``USDJPY``."""

    pair: str
    timestamp_ns: int
    bid_price: float
    mid_price: float
    ask_price: float

    @property
    def timestamp(self) -> datetime:
        """The moment, aware UTC, cut to microseconds."""
        return from_ns(self.timestamp_ns)


class _Rate(msgspec.Struct, rename={"time": "t", "bid_price": "bp", "mid_price": "mp", "ask_price": "ap"}):
    time: str
    bid_price: float
    mid_price: float
    ask_price: float


def _to_rate(pair: str, row: _Rate, drift: Drift) -> Rate:  # noqa: ARG001  # what every maker of a value takes
    return Rate(pair, moments.parse_ns(row.time), row.bid_price, row.mid_price, row.ask_price)


_latest = by_symbol.latest(_Rate, _to_rate, "rate", "rates")
_history = by_symbol.history(_Rate, _to_rate, "rate", "rates")


def latest(pairs: Sequence[str]) -> Call[BySymbol[Rate]]:
    """The latest rate of each pair of currencies."""
    return get("/v1beta1/forex/latest/rates", _latest, currency_pairs=pairs)


def rates(pairs: Sequence[str], *, timeframe: str | None = None, **given: Unpack[Range]) -> Call[BySymbol[tuple[Rate, ...]]]:
    """A page of rates. ``timeframe``: ``5Sec``, ``1Min`` (the default) or ``1Day``."""
    return get("/v1beta1/forex/rates", _history, currency_pairs=pairs, timeframe=timeframe, **given)
