"""Alpaca's words about orders, and what each proves.

A status is a floor: it can move an order forward, never back. A word that is not in the table proves nothing; it is kept for display,
counted, and the order is looked up.
Sources: https://docs.alpaca.markets/docs/orders-at-alpaca#order-lifecycle, https://docs.alpaca.markets/docs/websocket-streaming
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from broker_core.orders import EventKind, State
from broker_core.requests import OrderClass, OrderType

FLOORS: Mapping[str, State | None] = MappingProxyType(
    {
        "pending_new": State.SUBMITTED,
        "pending_review": State.SUBMITTED,
        "accepted": State.ACCEPTED,
        "new": State.ACCEPTED,
        "accepted_for_bidding": State.ACCEPTED,
        "held": State.ACCEPTED,
        "suspended": State.ACCEPTED,
        "stopped": State.ACCEPTED,
        "pending_cancel": State.ACCEPTED,
        "pending_replace": State.ACCEPTED,
        "done_for_day": State.ACCEPTED,
        "calculated": None,
        "partially_filled": State.PARTIAL_FILL,
        "partial_fill": State.PARTIAL_FILL,
        "filled": State.FILLED,
        "fill": State.FILLED,
        "canceled": State.CANCELED,
        "expired": State.EXPIRED,
        "rejected": State.REJECTED,
        "replaced": None,
    }
)
"""The state that each status proves; None for those that leave the state as it is."""

STATUSES = frozenset(FLOORS)
TYPES = frozenset(OrderType)
CLASSES = frozenset(OrderClass)

KINDS: Mapping[str, EventKind] = MappingProxyType(
    {
        "accepted": EventKind.ACCEPTED,
        "pending_new": EventKind.STATUS,
        "pending_review": EventKind.STATUS,
        "new": EventKind.ACCEPTED,
        "partial_fill": EventKind.FILL,
        "partially_filled": EventKind.FILL,
        "fill": EventKind.FILL,
        "canceled": EventKind.CANCELED,
        "expired": EventKind.EXPIRED,
        "rejected": EventKind.REJECTED,
        "replaced": EventKind.REPLACED,
        "pending_cancel": EventKind.STATUS,
        "pending_replace": EventKind.STATUS,
        "order_cancel_rejected": EventKind.CANCEL_REFUSED,
        "order_replace_rejected": EventKind.REPLACE_REFUSED,
        "done_for_day": EventKind.STATUS,
        "calculated": EventKind.STATUS,
        "stopped": EventKind.STATUS,
        "suspended": EventKind.STATUS,
        "held": EventKind.STATUS,
        "restated": EventKind.STATUS,
        "trade_bust": EventKind.BUST,
        "trade_correct": EventKind.BUST,
    }
)
"""What each event of the trading stream is about."""


def floor(status: str, *, is_part_filled: bool) -> State | None:
    """The state that a status proves, given whether anything was filled; None where it proves none."""
    state = FLOORS.get(status)
    return State.PARTIAL_FILL if is_part_filled and state is State.ACCEPTED else state
