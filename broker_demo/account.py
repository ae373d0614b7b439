"""What there is to know of one demo account: all that has to survive a restart, and nothing that can be worked out from it."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from uuid import UUID

import attrs

from broker_core.requests import Side
from broker_demo.ledger import Ledger
from broker_demo.paper_order import PaperOrder


@attrs.define
class SeededIds:
    """Ids in the shape of UUIDs that follow from a seed and a count: the same in every run, and going on after a restart."""

    seed: int
    made: int = 0

    def __call__(self) -> str:
        """Make the next id."""
        self.made += 1
        digest = hashlib.blake2b(f"{self.seed}:{self.made}".encode(), digest_size=16).digest()
        return str(UUID(bytes=digest, version=4))


@attrs.define
class Depth:
    """What is left of the sizes that one tick displays."""

    at_ns: int
    bid: Decimal
    ask: Decimal

    def left(self, side: Side) -> Decimal:
        """How much an order of this side can still trade against."""
        return self.ask if side is Side.BUY else self.bid

    def take(self, side: Side, qty: Decimal) -> None:
        """Trade against it."""
        if side is Side.BUY:
            self.ask -= qty
        else:
            self.bid -= qty


@attrs.frozen
class EquityPoint:
    """The account's equity at the close of a session."""

    at_ns: int
    equity: Decimal


@attrs.define(kw_only=True, eq=False)
class AccountState:
    """One account: its books, its orders in the order they were placed, and how far time has come."""

    account_id: str
    ids: SeededIds
    now_ns: int
    ledger: Ledger
    orders: list[PaperOrder] = attrs.field(factory=list)
    unmatched: list[str] = attrs.field(factory=list)
    """Orders placed at this very moment, which the standing quotes have not met yet, by id."""
    depths: dict[str, Depth] = attrs.field(factory=dict)
    closes: list[EquityPoint] = attrs.field(factory=list)
