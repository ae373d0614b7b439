"""Orders: their record, and the calls that make, find, list, change and end them.

Sources: https://docs.alpaca.markets/reference/postorder, .../getallorders, .../patchorderbyorderid-1, .../deleteorderbyorderid, …
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import attrs

from broker_alpaca.wire import reading
from broker_alpaca.wire.call import Call, Lane, members, segment
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.order_words import CLASSES, STATUSES, TYPES
from broker_alpaca.wire.reading import Moment, Page, Record, word
from broker_core.option_orders import MultiLegOrder
from broker_core.orders import ReplaceTerms
from broker_core.requests import OrderClass, OrderRequest

LARGEST_PAGE = 500


@attrs.frozen(kw_only=True)
class OrderRecord(Record):
    """An order as Alpaca states it. Amounts are exact; ``filled_qty`` and ``filled_avg_price`` run over all executions."""

    id: str
    status: str = word(STATUSES)
    client_order_id: str | None = None
    symbol: str = ""
    """Empty for the whole of a multi-leg order."""
    asset_class: str = ""
    side: str = ""
    type: str = word(TYPES, default="")
    order_type: str = ""
    """An older name of ``type``."""
    order_class: str = word(CLASSES, default="")
    time_in_force: str = ""
    qty: Decimal | None = None
    notional: Decimal | None = None
    filled_qty: Decimal | None = None
    filled_avg_price: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    hwm: Decimal | None = None
    extended_hours: bool = False
    ratio_qty: Decimal | None = None
    position_intent: str | None = None
    asset_id: str | None = None
    replaced_by: str | None = None
    replaces: str | None = None
    legs: tuple[OrderRecord, ...] | None = None
    created_at: Moment | None = None
    updated_at: Moment | None = None
    submitted_at: Moment | None = None
    filled_at: Moment | None = None
    expired_at: Moment | None = None
    expires_at: Moment | None = None
    canceled_at: Moment | None = None
    cancel_requested_at: Moment | None = None
    failed_at: Moment | None = None
    replaced_at: Moment | None = None

    @property
    def changed_at(self) -> datetime | None:
        """When Alpaca last changed anything about it, as far as it says."""
        return self.updated_at or self.submitted_at or self.created_at


@attrs.frozen(kw_only=True)
class BulkResult(Record):
    """What became of one element of a call about many: an HTTP status, and an order or an error as plain values."""

    status: int
    id: str | None = None
    """The order's id; empty where the element is named by its symbol."""
    symbol: str | None = None
    """The position's symbol, or, for an order cancelled on the way, the order's id."""
    body: dict[str, Any] | None = None

    @property
    def is_success(self) -> bool:
        """Whether this element was taken."""
        return 200 <= self.status < 300

    def order(self, drift: Drift) -> OrderRecord | None:
        """The order that the body holds, if it holds one."""
        return reading.value_of(OrderRecord, self.body, "order", drift) if self.is_success and self.body else None


read_order = reading.one(OrderRecord, "order")
read_orders = reading.many(OrderRecord, "order")
read_bulk = reading.many(BulkResult, "bulk result")


def submit(request: OrderRequest, client_order_id: str) -> Call[OrderRecord]:
    """Send an order under an id of ours, which Alpaca takes once and never again."""
    return Call(
        method="POST", path="/v2/orders", body=terms(request) | {"client_order_id": client_order_id}, lane=Lane.ORDER, read=read_order
    )


def terms(request: OrderRequest) -> dict[str, Any]:
    """The request as Alpaca wants it; amounts as text, so that none is rounded on the way."""
    if isinstance(request, MultiLegOrder):
        return _multi_leg_terms(request)
    body: dict[str, Any] = {
        "symbol": request.symbol,
        **members(
            qty=request.qty,
            notional=request.notional,
            side=request.side,
            type=request.order_type,
            time_in_force=request.time_in_force,
            limit_price=request.limit_price,
            stop_price=request.stop_price,
            trail_price=request.trail_price,
            trail_percent=request.trail_percent,
        ),
    }
    if request.extended_hours:
        body["extended_hours"] = True
    if request.order_class is not OrderClass.SIMPLE:
        body["order_class"] = request.order_class.value
    gain, loss = request.take_profit, request.stop_loss
    if gain is not None or request.order_class is OrderClass.OCO:
        # The core lets an oco order name its gain once, as its own limit price; the wire wants it as the exit's.
        body["take_profit"] = members(limit_price=request.limit_price if gain is None else gain.limit_price)
    if loss is not None:
        body["stop_loss"] = members(stop_price=loss.stop_price, limit_price=loss.limit_price)
    return body


def _multi_leg_terms(request: MultiLegOrder) -> dict[str, Any]:
    return {
        **members(
            qty=request.qty,
            type=request.order_type,
            time_in_force=request.time_in_force,
            order_class=request.order_class,
            limit_price=request.limit_price,
        ),
        "legs": [
            members(symbol=leg.symbol, side=leg.side, ratio_qty=leg.ratio_qty, position_intent=leg.position_intent) for leg in request.legs
        ],
    }


def get(order_id: str, *, nested: bool = True) -> Call[OrderRecord]:
    """One order by Alpaca's id; ``nested`` brings its legs."""
    return Call(method="GET", path=f"/v2/orders/{segment(order_id)}", query=members(nested=nested), read=read_order)


def by_client_order_id(client_order_id: str) -> Call[OrderRecord]:
    """One order by our id. The colon is part of the path. After a replacement this is the replaced order."""
    return Call(
        method="GET",
        path="/v2/orders:by_client_order_id",
        query=members(client_order_id=client_order_id),
        lane=Lane.ORDER,
        read=read_order,
    )


def page(
    *,
    status: str = "open",
    limit: int = LARGEST_PAGE,
    direction: str = "desc",
    nested: bool = True,
    after: datetime | None = None,
    until: datetime | None = None,
    after_order_id: str | None = None,
    before_order_id: str | None = None,
    symbols: Sequence[str] | None = None,
    side: str | None = None,
    asset_class: Sequence[str] | None = None,
) -> Call[Page[OrderRecord]]:
    """One page of orders by the time they were submitted; ``after`` and ``until`` are excluded.

    There is no page token: the next page begins after (or before) the id of the last order. With ``nested`` the limit counts parents.
    """
    return Call(
        method="GET",
        path="/v2/orders",
        query=members(
            status=status,
            limit=limit,
            direction=direction,
            nested=nested,
            after=after,
            until=until,
            after_order_id=after_order_id,
            before_order_id=before_order_id,
            symbols=symbols,
            side=side,
            asset_class=asset_class,
        ),
        lane=Lane.ORDER,
        read=read_orders,
    )


def replace(order_id: str, change: ReplaceTerms, client_order_id: str | None = None) -> Call[OrderRecord]:
    """Ask for an order with other terms in the place of this one. The answer is the new order; it is not there until the stream says so.

    ``qty`` is the total, with what is filled already. Alpaca knows no id of ours on the new order unless one is given.
    """
    body = members(
        qty=change.qty,
        limit_price=change.limit_price,
        stop_price=change.stop_price,
        trail=change.trail,
        time_in_force=change.time_in_force,
        client_order_id=client_order_id,
    )
    return Call(method="PATCH", path=f"/v2/orders/{segment(order_id)}", body=body, lane=Lane.ORDER, read=read_order)


def cancel(order_id: str) -> Call[None]:
    """Ask for an order's end. The answer says that the wish was taken, not that the order has ended."""
    return Call(method="DELETE", path=f"/v2/orders/{segment(order_id)}", lane=Lane.CANCEL, read=reading.nothing)


def cancel_all() -> Call[Page[BulkResult]]:
    """Ask for the end of every open order; a result for each."""
    return Call(method="DELETE", path="/v2/orders", lane=Lane.CANCEL, read=read_bulk)
