"""Order books of crypto as they are now.

Source: https://docs.alpaca.markets/reference/cryptolatestorderbooks, .../cryptoperplatestorderbooks.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from broker_alpaca.wire import by_symbol, moments
from broker_alpaca.wire.by_symbol import BySymbol
from broker_alpaca.wire.call import Call, segment
from broker_alpaca.wire.data_host import get
from broker_alpaca.wire.drift import Drift
from broker_core.models import OrderBookUpdate


class _Level(msgspec.Struct, gc=False, rename={"price": "p", "size": "s"}):
    price: float
    size: float


class _Book(msgspec.Struct, rename={"time": "t", "asks": "a", "bids": "b"}):
    # Tuples: a book that lacks a level in the middle is worse than none.
    time: str
    asks: tuple[_Level, ...]
    bids: tuple[_Level, ...]


def _to_book(symbol: str, row: _Book, drift: Drift) -> OrderBookUpdate:  # noqa: ARG001  # what every maker of a value takes
    return OrderBookUpdate(
        symbol,
        moments.parse_ns(row.time),
        bids=tuple((level.price, level.size) for level in row.bids),
        asks=tuple((level.price, level.size) for level in row.asks),
        is_reset=True,
    )


_latest = by_symbol.latest(_Book, _to_book, "order book", "orderbooks")


def latest_crypto(symbols: Sequence[str], *, location: str = "us") -> Call[BySymbol[OrderBookUpdate]]:
    """The whole book of each crypto pair; a level of size 0 is none."""
    return get(f"/v1beta3/crypto/{segment(location)}/latest/orderbooks", _latest, symbols)


def latest_perpetuals(symbols: Sequence[str], *, location: str = "global") -> Call[BySymbol[OrderBookUpdate]]:
    """The whole book of each perpetual future on crypto."""
    return get(f"/v1beta1/crypto-perps/{segment(location)}/latest/orderbooks", _latest, symbols)
