"""What perpetual futures on crypto have beside prices: funding, open interest, index and mark price.

Source: https://docs.alpaca.markets/reference/cryptoperplatestfuturespricing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs
import msgspec

from broker_alpaca.wire import by_symbol, moments
from broker_alpaca.wire.by_symbol import BySymbol
from broker_alpaca.wire.call import Call, segment
from broker_alpaca.wire.data_host import get
from broker_alpaca.wire.drift import Drift
from broker_core.clock import from_ns


@attrs.frozen
class PerpetualPricing:
    """How one perpetual future stands."""

    symbol: str
    timestamp_ns: int
    next_funding: datetime
    """Aware UTC."""
    open_interest: float
    index_price: float
    mark_price: float
    funding_rate: float

    @property
    def timestamp(self) -> datetime:
        """The moment, aware UTC, cut to microseconds."""
        return from_ns(self.timestamp_ns)


class _Pricing(
    msgspec.Struct,
    rename={
        "time": "t",
        "next_funding": "ft",
        "open_interest": "oi",
        "index_price": "ip",
        "mark_price": "mp",
        "funding_rate": "fr",
    },
):
    time: str
    next_funding: str
    open_interest: float
    index_price: float
    mark_price: float
    funding_rate: float


def _to_pricing(symbol: str, row: _Pricing, drift: Drift) -> PerpetualPricing:  # noqa: ARG001  # what every maker of a value takes
    return PerpetualPricing(
        symbol,
        moments.parse_ns(row.time),
        moments.parse(row.next_funding),
        row.open_interest,
        row.index_price,
        row.mark_price,
        row.funding_rate,
    )


_latest = by_symbol.latest(_Pricing, _to_pricing, "perpetual pricing", "pricing")


def pricing(symbols: Sequence[str], *, location: str = "global") -> Call[BySymbol[PerpetualPricing]]:
    """The latest figures of each perpetual future."""
    return get(f"/v1beta1/crypto-perps/{segment(location)}/latest/pricing", _latest, symbols)
