"""One order as the demo exchange holds it, and how it is told to others."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import attrs

from broker_core.clock import from_ns
from broker_core.orders import ZERO, EventKind, OrderEvent, Source, State
from broker_core.requests import OrderClass, OrderRequest, Side

SMALLEST_QTY = Decimal("0.000000001")
"""The step of fractional quantities."""


class Status(StrEnum):
    """Where an order stands, in Alpaca's words."""

    ACCEPTED = "accepted"
    """Taken, and waiting for the market to open."""
    NEW = "new"
    HELD = "held"
    """An exit that waits for its entry, or a stop side beside its limit side."""
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    """To be cancelled, and at work until then."""
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REPLACED = "replaced"


_FLOORS: Mapping[Status, State | None] = MappingProxyType(
    {
        Status.ACCEPTED: State.ACCEPTED,
        Status.NEW: State.ACCEPTED,
        Status.HELD: State.ACCEPTED,
        Status.PARTIALLY_FILLED: State.PARTIAL_FILL,
        Status.PENDING_CANCEL: State.ACCEPTED,
        Status.FILLED: State.FILLED,
        Status.CANCELED: State.CANCELED,
        Status.EXPIRED: State.EXPIRED,
        Status.REJECTED: State.REJECTED,
        # The order lives on under another id.
        Status.REPLACED: None,
    }
)
_OPEN = frozenset({Status.ACCEPTED, Status.NEW, Status.HELD, Status.PARTIALLY_FILLED, Status.PENDING_CANCEL})


class Role(StrEnum):
    """What an order is for within its group; an order alone is an entry."""

    ENTRY = "entry"
    TAKE_PROFIT = "take_profit"
    STOP_LOSS = "stop_loss"


@attrs.define(kw_only=True, eq=False)
class PaperOrder:
    """The exchange's record of one order. Moments are integer nanoseconds since the Unix epoch.

    Quantities and amounts filled run over the whole chain of replacements, as ``request.qty`` does.
    """

    order_id: str
    client_order_id: str
    request: OrderRequest
    status: Status
    created_ns: int
    updated_ns: int
    works_from_ns: int
    """When it is first shown to the market."""
    expires_ns: int | None
    opens: bool
    """Whether it opens or enlarges a position, and so claims money; else it closes one, and claims shares."""
    reserve_price: Decimal
    """What each share of an opening order claims."""
    reserve_qty: Decimal | None = None
    """The shares that a closing order by amount trades at most."""
    role: Role = Role.ENTRY
    group_id: str | None = None
    """The id of the order that began the group; the same for all members, also after replacements."""
    group_class: OrderClass = OrderClass.SIMPLE
    """The class of the order that began the group."""
    is_leg: bool = False
    """Whether it came with another order."""
    waiting: bool = False
    """Whether it is an exit whose entry is not completely filled."""
    triggered: bool = False
    watermark: Decimal | None = None
    """The best price a trailing stop has seen."""
    filled_qty: Decimal = ZERO
    filled_amount: Decimal = ZERO
    submitted_ns: int | None = None
    """When it took the place of another; None for one that did not, and was taken when it was created."""
    replaces: str | None = None
    replaced_by: str | None = None
    cancels_ns: int | None = None
    """When the cancellation that was asked for is carried out; None where none is on its way."""
    ended_ns: int | None = None
    reason: str | None = None

    @property
    def symbol(self) -> str:
        """What is traded."""
        return self.request.symbol

    @property
    def side(self) -> Side:
        """Which way."""
        return self.request.side

    @property
    def is_open(self) -> bool:
        """Whether it may still trade."""
        return self.status in _OPEN

    @property
    def filled_avg_price(self) -> Decimal | None:
        """The average price of what is filled."""
        return self.filled_amount / self.filled_qty if self.filled_qty else None

    def remaining(self, price: Decimal) -> Decimal:
        """The shares still to be traded when one costs ``price``; zero when the order is complete."""
        if self.request.qty is not None:
            return max(self.request.qty - self.filled_qty, ZERO)
        budget = max((self.request.notional or ZERO) - self.filled_amount, ZERO)
        shares = (budget / price).quantize(SMALLEST_QTY, ROUND_DOWN)
        return shares if self.reserve_qty is None else min(shares, self.reserve_qty - self.filled_qty)

    @property
    def claimed_qty(self) -> Decimal:
        """The shares of the position that a closing order keeps for itself."""
        return max((self.request.qty or self.reserve_qty or ZERO) - self.filled_qty, ZERO)

    @property
    def claimed_amount(self) -> Decimal:
        """The money that an opening order keeps for itself."""
        if self.request.notional is not None:
            return max(self.request.notional - self.filled_amount, ZERO)
        return self.remaining(self.reserve_price) * self.reserve_price

    def book(self, qty: Decimal, price: Decimal, at_ns: int) -> None:
        """Count an execution; one that is taken back has a quantity below zero."""
        self.filled_qty += qty
        self.filled_amount += qty * price
        self.updated_ns = at_ns

    def end(self, status: Status, at_ns: int, reason: str | None = None) -> None:
        """Close the record."""
        self.status, self.updated_ns, self.ended_ns, self.reason = status, at_ns, at_ns, reason

    def event(self, kind: EventKind, source: Source = Source.STREAM, **details: Any) -> OrderEvent:
        """The order as it stands now, as news of this kind; ``details`` are further fields of the event."""
        told: dict[str, Any] = {
            "at": from_ns(self.updated_ns),
            "status": _FLOORS[self.status],
            "client_order_id": self.client_order_id,
            "broker_order_id": self.order_id,
            "raw_status": self.status.value,
            "filled_qty": self.filled_qty,
            "filled_avg_price": self.filled_avg_price,
            "replaces": self.replaces,
            "replaced_by": self.replaced_by,
            "reason": self.reason,
            "request": self.request,
        }
        return OrderEvent(kind=kind, source=source, **{**told, **details})
