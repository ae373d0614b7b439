"""A small invented chain of options, to be looked at: the demo exchange does not trade them.

For a few well-known shares: calls and puts that end on each of the coming Fridays, at strikes around the share's base price, which does
not move. Which contracts there are follows from the day alone, and what a contract is from its symbol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from itertools import product
from typing import Literal

import attrs

from broker_demo.assets import LISTINGS
from broker_demo.sandbox.identity import identity

UNDERLYINGS = ("AAPL", "MSFT", "NVDA", "QQQ", "SPY", "TSLA")
"""The shares that have options, where they are listed."""
FRIDAYS = 4
"""On how many of the coming Fridays contracts end."""
STRIKES_EACH_WAY = 5
"""How many strikes there are on each side of the one nearest to the base price."""

_FRIDAY = 4
_STEP_SHARE = Decimal("0.02")
_STEPS = (Decimal("0.5"), Decimal(1), Decimal("2.5"), Decimal(5), Decimal(10), Decimal(25), Decimal(50))


@attrs.frozen(kw_only=True)
class OptionContract:
    """One contract: a hundred shares of the underlying, at ``strike``, until ``expiration``."""

    underlying: str
    expiration: date
    kind: Literal["call", "put"]
    strike: Decimal

    @property
    def symbol(self) -> str:
        """As the Options Clearing Corporation writes it, without padding."""
        return f"{self.underlying}{self.expiration:%y%m%d}{self.kind[0].upper()}{int(self.strike * 1000):08d}"

    @property
    def contract_id(self) -> str:
        """Its id, a UUID."""
        return identity("option", self.symbol)


def contracts(is_listed: Callable[[str], bool], today: date) -> Sequence[OptionContract]:
    """All contracts of this day, sorted by symbol; those on shares that are not listed are left out."""
    return [contract for contract in _chain(today) if is_listed(contract.underlying)]


@lru_cache(maxsize=4)
def _chain(today: date) -> Sequence[OptionContract]:
    friday = today + timedelta(days=(_FRIDAY - today.weekday()) % 7)
    expirations = [friday + timedelta(weeks=week) for week in range(FRIDAYS)]
    kinds: tuple[Literal["call", "put"], ...] = ("call", "put")
    found = [
        OptionContract(underlying=underlying, expiration=expiration, kind=kind, strike=strike)
        for underlying, expiration, kind in product(UNDERLYINGS, expirations, kinds)
        for strike in _strikes(LISTINGS[underlying].base_price)
    ]
    return tuple(sorted(found, key=lambda contract: contract.symbol))


def _strikes(base_price: Decimal) -> Sequence[Decimal]:
    step = next((step for step in _STEPS if step >= base_price * _STEP_SHARE), _STEPS[-1])
    middle = (base_price / step).quantize(Decimal(1), ROUND_HALF_EVEN) * step
    return [middle + step * away for away in range(-STRIKES_EACH_WAY, STRIKES_EACH_WAY + 1)]
