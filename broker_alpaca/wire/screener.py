"""The most active stocks of the day, and those that have moved most.

Source: https://docs.alpaca.markets/reference/mostactives-1, .../movers-1. Figures of the day; before the open, of the day before.
"""

from __future__ import annotations

from enum import StrEnum

import attrs

from broker_alpaca.wire import reading
from broker_alpaca.wire.call import Call
from broker_alpaca.wire.data_host import get
from broker_alpaca.wire.reading import Moment, Record

_LARGEST_ACTIVES = 100
_LARGEST_MOVERS = 50


class By(StrEnum):
    """What being active is measured by."""

    VOLUME = "volume"
    TRADES = "trades"


class Market(StrEnum):
    """Whose movers."""

    STOCKS = "stocks"
    CRYPTO = "crypto"


@attrs.frozen(kw_only=True)
class Active(Record):
    """One of the most active stocks."""

    symbol: str
    volume: float
    trade_count: float


@attrs.frozen(kw_only=True)
class MostActives(Record):
    """The most active stocks, the most active first."""

    most_actives: tuple[Active, ...] = ()
    last_updated: Moment | None = None


@attrs.frozen(kw_only=True)
class Mover(Record):
    """One that has moved: ``change`` in dollars, ``percent_change`` in percent, since the last close."""

    symbol: str
    price: float
    change: float
    percent_change: float


@attrs.frozen(kw_only=True)
class Movers(Record):
    """Those that have gained and lost most, by percent."""

    gainers: tuple[Mover, ...] = ()
    losers: tuple[Mover, ...] = ()
    market_type: str | None = None
    last_updated: Moment | None = None


def most_actives(by: By | None = None, *, top: int | None = None) -> Call[MostActives]:
    """The ``top`` (1 to 100; Alpaca takes 10) most active stocks."""
    _check("top", top, _LARGEST_ACTIVES)
    return get("/v1beta1/screener/stocks/most-actives", reading.one(MostActives, "most actives"), by=by, top=top)


def movers(market: Market = Market.STOCKS, *, top: int | None = None) -> Call[Movers]:
    """The ``top`` (1 to 50; Alpaca takes 10) that have gained most, and as many that have lost most."""
    _check("top", top, _LARGEST_MOVERS)
    return get(f"/v1beta1/screener/{Market(market).value}/movers", reading.one(Movers, "movers"), top=top)


def _check(name: str, value: int | None, largest: int) -> None:
    if value is not None and not 1 <= value <= largest:
        raise ValueError(f"{name}: {value} is not from 1 to {largest}")
