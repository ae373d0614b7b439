"""What is known of the account, and how good that knowledge is: values, made by the account sync and read by everybody."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

import attrs

from broker_core.clock import Clock
from broker_core.models import Account, Position


class Part(StrEnum):
    """What is read."""

    ACCOUNT = "account"
    POSITIONS = "positions"
    ORDERS = "orders"


@attrs.frozen(kw_only=True)
class PartHealth:
    """How the reads of one part fare. Moments are aware UTC."""

    ok: bool = False
    """Whether the latest read succeeded."""
    last_success: datetime | None = None
    last_attempt: datetime | None = None
    failures: int = 0
    """Failed reads in a row."""
    error: str | None = None
    """Why the latest read failed."""
    stopped: bool = False
    """The broker refused the credentials; it is not tried again."""


@attrs.frozen(kw_only=True)
class SyncState:
    """What is known of the account now: a value, replaced by the next read. Amounts in the account's currency."""

    account: Account | None = None
    positions: Mapping[str, Position] = MappingProxyType({})
    """By symbol; empty means flat, or never read: see ``health``."""
    open_orders: int = 0
    health: Mapping[str, PartHealth] = MappingProxyType({part: PartHealth() for part in Part})
    """By part: ``account``, ``positions``, ``orders``."""
    audit: Mapping[str, Decimal] = MappingProxyType({})
    """By symbol: how much more the broker holds than opening plus fills, for the symbols that were found not to agree."""
    drift: Mapping[str, int] = MappingProxyType({})
    """What the broker said that its plugin does not know, and how often: unknown words, values of another type, records left out."""
    audited_since: datetime | None = None
    """When the opening positions were read; None until then, and nothing is audited."""
    _clock: Clock = attrs.field(eq=False, repr=False)

    @property
    def equity(self) -> Decimal | None:
        """Cash and positions together; None until the account was read."""
        return None if self.account is None else self.account.equity

    @property
    def cash(self) -> Decimal | None:
        """The cash; None until the account was read."""
        return None if self.account is None else self.account.cash

    @property
    def buying_power(self) -> Decimal | None:
        """What can be bought for; None until the account was read."""
        return None if self.account is None else self.account.buying_power

    @property
    def ok(self) -> bool:
        """Whether the latest read of every part succeeded."""
        return all(health.ok for health in self.health.values())

    def age(self, part: str) -> float:
        """Seconds since ``account``, ``positions`` or ``orders`` was last read with success; infinite when it never was."""
        read_at = self.health[part].last_success
        return math.inf if read_at is None else (self._clock.now() - read_at).total_seconds()
