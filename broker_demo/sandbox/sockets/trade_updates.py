"""Order events on their way to the trading socket (alpaca-api 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from broker_core.clock import IdFactory
from broker_core.errors import Unavailable
from broker_core.orders import EventKind, OrderEvent
from broker_core.requests import OrderClass
from broker_demo.exchange import Exchange
from broker_demo.paper_order import PaperOrder, Status
from broker_demo.sandbox.answers import decimal_text
from broker_demo.sandbox.moments import moment_text
from broker_demo.sandbox.sockets.codec import Parcel
from broker_demo.sandbox.sockets.lines import Kind, Line, Lines
from broker_demo.sandbox.trading.order_record import order_record
from broker_demo.venue import OrderNews

STREAM = "trade_updates"
FAILED: Mapping[str, Any] = MappingProxyType({"action": "error", "data": {"error_message": "internal server error"}})
"""The last word before the socket is closed for an error."""

_ENDINGS: Mapping[EventKind, str] = MappingProxyType(
    {
        EventKind.CANCELED: "canceled",
        EventKind.EXPIRED: "expired",
        EventKind.REJECTED: "rejected",
        EventKind.REPLACED: "replaced",
    }
)
_STATUS_AFTER: Mapping[str, str] = MappingProxyType(
    {
        "fill": "filled",
        "partial_fill": "partially_filled",
        **{
            event: event
            for event in (
                "accepted",
                "calculated",
                "canceled",
                "done_for_day",
                "expired",
                "held",
                "new",
                "pending_cancel",
                "pending_new",
                "pending_replace",
                "pending_review",
                "rejected",
                "replaced",
                "stopped",
                "suspended",
            )
        },
    }
)
"""The status that goes with an event; any other event leaves it as it is."""


class TradeUpdates(OrderNews):
    """Writes down each order event at the moment it happens, and sends it to the trading sockets once the account is saved.

    ``ids`` makes the ids of events, which sort by time.
    """

    def __init__(self, lines: Lines, ids: IdFactory) -> None:
        self._lines = lines
        self._ids = ids
        self._listeners: dict[Line, None] = {}
        self._written: list[dict[str, Any]] = []
        self._placed = 0

    def attach(self, exchange: Exchange) -> None:
        """Begin to listen: to be called once, before anything happens."""
        self._exchange = exchange
        self._placed = len(exchange.state.orders)
        exchange.listen(self._take)

    def listen(self, line: Line, *, wanted: bool) -> None:
        """Have a line told of what happens from now on, or not any more."""
        if wanted:
            self._listeners[line] = None
        else:
            self._listeners.pop(line, None)

    def tell(self, events: Sequence[OrderEvent]) -> None:  # noqa: ARG002  # written down as they happened, each with the order as it was
        """Send what was written down."""
        if self._written:
            written, self._written = self._written, []
            self._send(written)

    def announce(self, event: str, order: PaperOrder, **members: Any) -> None:
        """Send an event that the exchange did not bring about, at once; the order itself stays as it is.

        The status is the one that goes with the event. ``members`` stand beside it, in place of those of the same name.
        """
        if self._listeners:
            update = self._update(event, order, status=_STATUS_AFTER.get(event))
            self._send([{**update, "timestamp": update["at"], **members}])

    def stop(self, error: Unavailable | None = None) -> None:
        """The market has stopped: end the sockets, with a word if an error was the reason."""
        self._lines.stop(Kind.TRADING, None if error is None else dict(FAILED))

    def _send(self, updates: Sequence[dict[str, Any]]) -> None:
        parcel = Parcel([{"stream": STREAM, "data": update} for update in updates])
        for line in self._listeners:
            line.send(parcel)

    def _take(self, event: OrderEvent) -> None:
        # Every order that is entered is told of as accepted before anything else becomes of it.
        is_new = event.kind is EventKind.ACCEPTED and len(self._exchange.state.orders) > self._placed
        if is_new:
            self._placed += 1
        if not self._listeners:
            return
        order = self._exchange.order(event.broker_order_id or "")
        if order is None:
            return
        if event.kind is EventKind.ACCEPTED:
            self._written += self._accepted(order, is_new=is_new)
        elif event.kind is EventKind.FILL:
            name = "fill" if order.status is Status.FILLED else "partial_fill"
            self._written.append({**self._update(name, order), **self._execution(event, order.symbol, event.qty)})
        elif event.kind is EventKind.BUST:
            taken_back = None if event.qty is None else -event.qty
            figures = self._execution(event, order.symbol, taken_back)
            self._written.append({**self._update("trade_bust", order), **figures, "previous_execution_id": event.busts})
        else:
            self._written.append(self._update(_ENDINGS[event.kind], order))

    def _accepted(self, order: PaperOrder, *, is_new: bool) -> list[dict[str, Any]]:
        if order.status in (Status.ACCEPTED, Status.HELD):
            return [self._update(order.status.value, order)]
        working = self._update("new", order)
        if not is_new or order.replaces is not None:
            return [working]
        pending = {**working, "event": "pending_new", "order": {**working["order"], "status": "pending_new"}}
        return [pending, {**working, "event_id": self._ids()}]

    def _update(self, event: str, order: PaperOrder, *, status: str | None = None) -> dict[str, Any]:
        """The members that every event has, the order as it stands at this moment."""
        legs = None if order.group_class is OrderClass.SIMPLE or order.is_leg else self._exchange.legs(order)
        return {
            "event": event,
            "event_id": self._ids(),
            "at": moment_text(self._exchange.now_ns),
            "timestamp": moment_text(order.updated_ns),
            "order": order_record(order, legs=legs, status=status),
        }

    def _execution(self, event: OrderEvent, symbol: str, qty: Decimal | None) -> dict[str, Any]:
        position = self._exchange.state.ledger.holding(symbol).qty
        return {
            "execution_id": event.execution_id,
            "qty": decimal_text(qty or Decimal(0)),
            "price": decimal_text(event.price or Decimal(0)),
            "position_qty": decimal_text(position),
        }
