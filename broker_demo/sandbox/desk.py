"""What stands behind every address: the exchange in time, what Alpaca keeps beside it, the sockets' publishers, and the faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TypeVar

import attrs

from broker_core.clock import Clock, IdFactory
from broker_core.errors import StorageError
from broker_core.models import Asset
from broker_demo.exchange import Exchange
from broker_demo.prices import Prices
from broker_demo.sandbox.answers import Host
from broker_demo.sandbox.faults.plan import Faults
from broker_demo.sandbox.identity import identity
from broker_demo.sandbox.pairs import is_pair, without_slash
from broker_demo.sandbox.profile import Profile
from broker_demo.sandbox.rate_limit import RateLimit
from broker_demo.sandbox.signing import KeyPair
from broker_demo.sandbox.sockets.lines import Lines
from broker_demo.sandbox.sockets.market_tape import MarketTape
from broker_demo.sandbox.sockets.trade_updates import TradeUpdates
from broker_demo.venue import Venue

_T = TypeVar("_T")


@attrs.define(kw_only=True, eq=False, slots=False)
class Desk:
    """All that an answer may need. One sandbox has one."""

    keys: KeyPair
    venue: Venue
    profile: Profile
    updates: TradeUpdates
    tape: MarketTape
    lines: Lines
    faults: Faults
    clock: Clock
    """The machine's; the market has its own: ``now_ns``."""
    ids: IdFactory
    rate_limits: Mapping[Host, RateLimit] = MappingProxyType({})
    """Of the hosts that have one."""

    @property
    def exchange(self) -> Exchange:
        """The exchange, as of the last time it was settled or changed."""
        return self.venue.exchange

    @property
    def prices(self) -> Prices:
        """Where prices come from."""
        return self.venue.prices

    def now_ns(self) -> int:
        """The market's moment."""
        return self.venue.now_ns()

    def settled(self) -> Exchange:
        """The exchange, once all has happened, and was told, that time has brought."""
        self.venue.settle()
        return self.venue.exchange

    def change(self, act: Callable[[int], _T]) -> _T:
        """Do something to the exchange now, and return what came of it.

        Raises what ``act`` raises, and StorageError where it was carried out and could not be written down.
        """
        done = self.venue.change(act)
        if self.venue.unsaved is not None:
            raise StorageError(f"carried out, and may be forgotten: {self.venue.unsaved}") from self.venue.unsaved
        return done

    def asset(self, name: str) -> Asset | None:
        """What is listed under a symbol, an asset's id, or a pair without its slash; None where nothing is."""
        return self.prices.asset(name) or self.prices.asset(self._other_names.get(name, ""))

    @cached_property
    def _other_names(self) -> dict[str, str]:
        names: dict[str, str] = {}
        for symbol in self.prices.symbols():
            names[identity("asset", symbol)] = symbol
            if is_pair(symbol):
                names[without_slash(symbol)] = symbol
        return names
