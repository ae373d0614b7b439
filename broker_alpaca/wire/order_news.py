"""What Alpaca says of an order, as the news that the lifecycle understands.

Here lies all that is peculiar to Alpaca's way of saying it: a replacement is another order that names the one it replaces; its refusal is
told as that other order's rejection; the whole of a multi-leg order has no symbol of its own.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.order_words import CLASSES, STATUSES, TYPES, floor
from broker_alpaca.wire.orders import OrderRecord
from broker_alpaca.wire.symbols import normal
from broker_core.orders import EventKind, OrderEvent, Source, State
from broker_core.requests import ForeignOrder, OrderClass, OrderType, Side, TimeInForce

_SIDES = frozenset(Side)
_TIMES_IN_FORCE = frozenset(TimeInForce)
_REMEMBERED = 4096
"""How many orders' terms are kept, so that they are not read again with every piece of news."""

_terms_of = attrgetter(
    "symbol",
    "asset_class",
    "side",
    "qty",
    "notional",
    "type",
    "order_type",
    "time_in_force",
    "limit_price",
    "stop_price",
    "trail_price",
    "trail_percent",
    "order_class",
    "ratio_qty",
    "extended_hours",
)


class OrderNews:
    """Makes news out of records; one for an account."""

    def __init__(self, drift: Drift) -> None:
        self._drift = drift
        self._requests: dict[str, tuple[Any, ForeignOrder | None]] = {}

    def snapshot(self, record: OrderRecord, source: Source, now: datetime) -> OrderEvent:
        """The whole order as news. ``now`` stands in where Alpaca names no moment."""
        return self.event(record, EventKind.SNAPSHOT, source, record.changed_at or now, proven(record))

    def event(
        self,
        record: OrderRecord,
        kind: EventKind,
        source: Source,
        at: datetime,
        status: State | None,
        *,
        execution_id: str | None = None,
        qty: Decimal | None = None,
        price: Decimal | None = None,
        busts: str | None = None,
    ) -> OrderEvent:
        """News of any kind about the order of this record."""
        broker_order_id = record.id
        if status is State.REJECTED and record.replaces:
            # Alpaca tells that a replacement was not made by rejecting the new order; the old one may well work on.
            kind, status, broker_order_id = EventKind.REPLACE_REFUSED, None, record.replaces
        return OrderEvent(
            kind=kind,
            source=source,
            at=at,
            status=status,
            client_order_id=record.client_order_id or None,
            broker_order_id=broker_order_id,
            raw_status=record.status,
            execution_id=execution_id,
            qty=qty,
            price=price,
            filled_qty=record.filled_qty,
            filled_avg_price=record.filled_avg_price or None,
            busts=busts,
            replaces=record.replaces or None,
            replaced_by=record.replaced_by or None,
            request=self._request(record),
            legs=tuple(self._leg(leg, source, at) for leg in record.legs) if record.legs else (),
        )

    def _leg(self, record: OrderRecord, source: Source, now: datetime) -> OrderEvent:
        self._drift.word("order.status", record.status, STATUSES)
        return self.snapshot(record, source, now)

    def _request(self, record: OrderRecord) -> ForeignOrder | None:
        terms = _terms_of(record)
        known = self._requests.get(record.id)
        if known is not None and known[0] == terms:
            return known[1]
        request = request_of(record, self._drift)
        if len(self._requests) >= _REMEMBERED:
            del self._requests[next(iter(self._requests))]
        self._requests[record.id] = (terms, request)
        return request


def proven(record: OrderRecord) -> State | None:
    """The state that a record proves; None where its status is unknown or says nothing about the state."""
    return floor(record.status, is_part_filled=bool(record.filled_qty))


def request_of(record: OrderRecord, drift: Drift) -> ForeignOrder | None:
    """The terms as Alpaca holds them; None where it does not say what is traded and which way, because that is never guessed."""
    is_whole_of_legs = record.order_class == OrderClass.MLEG and record.ratio_qty is None and not record.symbol
    if not is_whole_of_legs and (record.side not in _SIDES or not record.symbol):
        drift.count("order.side" if record.symbol else "order.symbol", record.side)
        return None
    drift.word("order.time_in_force", record.time_in_force, _TIMES_IN_FORCE)
    return ForeignOrder(
        normal(record.symbol, record.asset_class),
        Side.SELL if record.side == Side.SELL else Side.BUY,
        qty=record.qty,
        notional=record.notional,
        order_type=_type_of(record),
        # A time in force that is not known here works until it is cancelled, as far as anybody can tell.
        time_in_force=TimeInForce(record.time_in_force) if record.time_in_force in _TIMES_IN_FORCE else TimeInForce.GTC,
        limit_price=record.limit_price,
        stop_price=record.stop_price,
        trail_price=record.trail_price,
        trail_percent=record.trail_percent,
        extended_hours=record.extended_hours,
        order_class=_class_of(record),
    )


def _type_of(record: OrderRecord) -> OrderType:
    """The type by its word; the legs of a multi-leg order have none, and theirs follows from their prices."""
    said = record.type or record.order_type
    if said in TYPES:
        return OrderType(said)
    if record.stop_price is not None:
        return OrderType.STOP if record.limit_price is None else OrderType.STOP_LIMIT
    return OrderType.MARKET if record.limit_price is None else OrderType.LIMIT


def _class_of(record: OrderRecord) -> OrderClass:
    """The class by its word. A leg of a multi-leg order says the order's class, but trades by itself."""
    if record.order_class not in CLASSES or record.ratio_qty is not None:
        return OrderClass.SIMPLE
    return OrderClass(record.order_class)
