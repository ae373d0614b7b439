"""Faults of orders: cancellations that take their time, and fills that are taken back."""

from __future__ import annotations

import asyncio
from functools import partial

from broker_core.errors import RequestRefused
from broker_core.orders import EventKind, OrderEvent
from broker_demo.paper_order import PaperOrder
from broker_demo.sandbox.desk import Desk

_SECOND_NS = 1_000_000_000


def attach(desk: Desk) -> None:
    """Have faults strike the exchange's orders from now on: to be called once."""
    desk.exchange.cancels_late = partial(_cancels_late, desk)
    desk.exchange.listen(partial(_take, desk))


def take_back(desk: Desk, execution_id: str) -> None:
    """Take an execution back, and tell of it. Raises RequestRefused for one that is unknown or was taken back before."""
    desk.venue.change(partial(desk.exchange.bust, execution_id))


def _cancels_late(desk: Desk, order: PaperOrder) -> int:
    if not desk.faults.cancellations:
        return 0
    fault = desk.faults.of_cancellation(order.symbol)
    if fault is None:
        return 0
    desk.updates.announce("pending_cancel", order)
    return round((1.0 if fault.terms.seconds is None else fault.terms.seconds) * _SECOND_NS)


def _take(desk: Desk, event: OrderEvent) -> None:
    if not desk.faults.fills or event.kind is not EventKind.FILL or event.request is None or event.execution_id is None:
        return
    if desk.faults.of_fill(event.request.symbol) is not None:
        # The exchange is amid the very fill; what is told of it comes first.
        asyncio.get_running_loop().call_soon(_take_back_if_there, desk, event.execution_id)


def _take_back_if_there(desk: Desk, execution_id: str) -> None:
    try:
        take_back(desk, execution_id)
    except RequestRefused:
        # Somebody else was faster.
        return
