"""How an order gets from the wire to the exchange, and what is answered."""

from __future__ import annotations

from typing import Any

from broker_core.models import Asset
from broker_core.requests import OrderRequest
from broker_demo.paper_order import PaperOrder, Status
from broker_demo.refusals import duplicate
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.trading.order_record import order_record
from broker_demo.sandbox.trading.rules import check_order


def submitted(
    desk: Desk, request: OrderRequest, asset: Asset, client_order_id: str | None, now_ns: int, *, closes: bool = False
) -> dict[str, Any]:
    """Hand an order to the exchange, and say that it was received. An order without an id of its client's gets one.

    With ``closes`` it is one that Alpaca makes itself to close a position, however small that is.

    Part of a change of the venue's, which tells what came of it. Raises RequestRefused.
    """
    exchange = desk.exchange
    exchange.advance(now_ns)
    # Whoever sends an order again is told so before all else: it proves that the first one arrived.
    if client_order_id is not None and exchange.order_by_client_id(client_order_id) is not None:
        raise duplicate()
    check_order(desk, request, asset, now_ns, closes=closes)
    return received(desk, exchange.submit(request, client_order_id or exchange.state.ids(), now_ns))


def received(desk: Desk, order: PaperOrder) -> dict[str, Any]:
    """An order that has just been taken, its legs inside: it is on its way to the market, or waits for that to open."""
    status = "pending_new" if order.status is Status.NEW else order.status.value
    return order_record(order, legs=desk.exchange.legs(order), status=status)
