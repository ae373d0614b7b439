"""What an order is: its state, the news that moves it, and the frozen value that stands between two pieces of news.

How news moves an order is the lifecycle's business; here are only the values. Money and quantities are ``Decimal``, moments aware UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import attrs

from broker_core.append_only import AppendOnlyMap
from broker_core.requests import OrderRequest, Side, TimeInForce

ZERO = Decimal(0)


class State(StrEnum):
    """The nine states of an order's life; the first four are active, the other five are ends."""

    PENDING = "pending"
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    PARTIAL_FILL = "partial_fill"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    FAILED = "failed"

    @property
    def is_terminal(self) -> bool:
        """Whether the order has ended."""
        return self in TERMINAL


TERMINAL = frozenset({State.FILLED, State.CANCELED, State.REJECTED, State.EXPIRED, State.FAILED})
"""The states in which an order has ended."""


class Source(StrEnum):
    """Where a piece of news about an order comes from; it decides what the news can prove."""

    LOCAL = "local"
    """This process's own doing or opinion."""
    PROOF = "proof"
    """This process's proof that the broker does not hold the order: never sent, or proven absent."""
    ACTIVITY = "activity"
    """The broker's list of executions."""
    ANSWER = "answer"
    """The broker's answer to a request about this very order."""
    STREAM = "stream"
    """The broker's stream of order events."""
    LOOKUP = "lookup"
    """One order, asked for by reconciliation."""
    LISTING = "listing"
    """A complete listing of orders, asked for by reconciliation."""

    @property
    def evidence(self) -> Evidence:
        """How much news from here weighs."""
        return _EVIDENCE[self]

    @property
    def is_reconciliation(self) -> bool:
        """Whether the news was asked for in order to find out the truth."""
        return self in (Source.LOOKUP, Source.LISTING, Source.ACTIVITY)


class Evidence(IntEnum):
    """The order of weight: a lower one never overrides a higher one."""

    LOCAL = 0
    ABSENCE = 1
    ACTIVITY = 2
    BROKER = 3


_EVIDENCE: Mapping[Source, Evidence] = MappingProxyType(
    {
        Source.LOCAL: Evidence.LOCAL,
        Source.PROOF: Evidence.ABSENCE,
        Source.ACTIVITY: Evidence.ACTIVITY,
        Source.ANSWER: Evidence.BROKER,
        Source.STREAM: Evidence.BROKER,
        Source.LOOKUP: Evidence.BROKER,
        Source.LISTING: Evidence.BROKER,
    }
)


class EventKind(StrEnum):
    """What a piece of news is about."""

    CREATED = "created"
    SUBMITTED = "submitted"
    IN_DOUBT = "in_doubt"
    ACCEPTED = "accepted"
    FILL = "fill"
    BUST = "bust"
    CANCEL_REQUESTED = "cancel_requested"
    CANCEL_REFUSED = "cancel_refused"
    CANCELED = "canceled"
    REPLACE_REQUESTED = "replace_requested"
    REPLACE_REFUSED = "replace_refused"
    REPLACED = "replaced"
    REJECTED = "rejected"
    EXPIRED = "expired"
    FAILED = "failed"
    SNAPSHOT = "snapshot"
    """The whole order as the broker sees it: an answer, a look-up, an element of a listing."""
    STATUS = "status"
    """Any other word of the broker's; ``status`` is its floor, or None where it says nothing about the state."""


@attrs.frozen(kw_only=True, slots=False)
class OrderEvent:
    """One piece of news about one order: the only form in which news reaches the lifecycle.

    A broker's plugin fills in what its wire says and leaves the rest None. ``status`` is the *floor* the news proves: it can move
    an order forward, never back. ``execution_id``, ``qty`` and ``price`` belong to one execution; ``filled_qty`` and
    ``filled_avg_price`` are the broker's running totals. For a bust, ``busts`` names the execution it takes back.
    """

    # Without slots, like the order: those of a frozen class are set one by one, which takes half as long again.

    kind: EventKind
    source: Source
    at: datetime
    """When it happened: the broker's time where it has one. Aware UTC."""
    status: State | None = None
    client_order_id: str | None = None
    broker_order_id: str | None = None
    raw_status: str | None = None
    execution_id: str | None = None
    qty: Decimal | None = None
    price: Decimal | None = None
    filled_qty: Decimal | None = None
    filled_avg_price: Decimal | None = None
    busts: str | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    reason: str | None = None
    origin: str | None = None
    request: OrderRequest | None = None
    """The terms as the broker holds them, where the news carries them."""
    legs: tuple[OrderEvent, ...] = ()
    """The exits of a bracket, oco or oto order, each a snapshot of its own."""


@attrs.frozen
class Execution:
    """One booked fill. ``qty`` is positive, negative for a compensating entry, which names the execution it ``busts``."""

    execution_id: str
    qty: Decimal
    price: Decimal
    at: datetime
    busts: str | None = None


NewsKey: TypeAlias = str | tuple[object, ...]
"""What makes two pieces of news about one order the same."""


class Busts(NamedTuple):
    """The executions that the broker took back, and their exact sums, both below zero."""

    entries: tuple[Execution, ...] = ()
    qty: Decimal = ZERO
    cost: Decimal = ZERO


class Ledger(NamedTuple):
    """What has been booked on one order, and which news has been seen; kept by the lifecycle alone.

    ``news`` holds the news seen and the execution that each piece carried, busts among them. The sums are exact: ``gross_qty`` and
    ``gross_cost`` run over the fills. ``claimed_qty`` and ``claimed_price`` are the broker's highest running total, before busts: where it
    is ahead of the fills known here, the difference is an inferred fill that real ones replace as they arrive.
    """

    # A tuple, because every fill makes one: a frozen attrs class of this size takes twice as long to make.
    news: AppendOnlyMap[NewsKey, Execution | None] = AppendOnlyMap()
    gross_qty: Decimal = ZERO
    gross_cost: Decimal = ZERO
    claimed_qty: Decimal = ZERO
    claimed_price: Decimal | None = None
    busts: Busts = Busts()

    @property
    def executions(self) -> dict[str, Execution]:
        """The executions booked, busts among them, by their ids."""
        return {execution.execution_id: execution for execution in self.news.values() if execution is not None}


@attrs.frozen(kw_only=True, slots=False)
class Order:
    """One order as it stands. A value: the next piece of news makes a new one."""

    # Without slots: every fill makes a copy, and dicts are merged in one step, where slots of a frozen class are set one by one.

    local_id: str
    """Our own id, sent to the broker as the client order id."""
    request: OrderRequest
    state: State
    created_at: datetime
    updated_at: datetime
    filled_qty: Decimal = ZERO
    filled_avg_price: Decimal | None = None
    broker_ids: tuple[str, ...] = ()
    """The chain of broker ids, the present one last."""
    in_doubt: bool = False
    """Sent, and no proof yet of what became of it."""
    cancel_requested_at: datetime | None = None
    replacement: OrderRequest | None = None
    """The terms a replace asked for, until the broker has made or refused it."""
    raw_status: str | None = None
    """The broker's own word, for display."""
    reason: str | None = None
    origin: str | None = None
    """Who ended it: ``user``, ``broker``, ``local``, or the name of the plugin that refused."""
    ended_at: datetime | None = None
    parent_id: str | None = None
    """The local id of the order this one is an exit of."""
    as_of: datetime | None = None
    """The newest broker statement applied so far; older ones may add fills, never change the state."""
    ledger: Ledger = attrs.field(factory=Ledger, repr=False)

    def with_changes(self, changes: Mapping[str, object]) -> Order:
        """A copy with other values in some fields: ``attrs.evolve`` without its cost, which every fill would pay."""
        changed = object.__new__(Order)
        object.__setattr__(changed, "__dict__", {**self.__dict__, **changes})
        return changed

    @property
    def broker_order_id(self) -> str | None:
        """The id under which the broker holds it now."""
        return self.broker_ids[-1] if self.broker_ids else None

    @property
    def symbol(self) -> str:
        """What is traded."""
        return self.request.symbol

    @property
    def side(self) -> Side:
        """Which way."""
        return self.request.side

    @property
    def qty(self) -> Decimal | None:
        """How much; None for an order by amount."""
        return self.request.qty

    @property
    def remaining_qty(self) -> Decimal | None:
        """What is still to be filled; None for an order by amount."""
        return None if self.request.qty is None else max(self.request.qty - self.filled_qty, ZERO)

    @property
    def is_terminal(self) -> bool:
        """Whether the order has ended."""
        return self.state in TERMINAL


@attrs.frozen(kw_only=True)
class OrderChange:
    """An accepted piece of news: what observers are told and what the order log keeps, one row each."""

    order: Order
    """The order after it."""
    event: OrderEvent
    previous: State | None
    """The state before it; None for an order's first news."""
    rule: str
    """The rule of the transition table that let it through."""
    booked: Execution | None = None
    """The execution it booked, real or inferred."""
    finding: str | None = None
    """What about it needs a person's eye."""


@attrs.frozen(kw_only=True)
class ReplaceTerms:
    """The new terms of a working order; None leaves one as it is. ``trail`` is the distance in the order's own unit."""

    qty: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail: Decimal | None = None
    time_in_force: TimeInForce | None = None
