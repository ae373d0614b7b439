"""The exchange's own truth in plain types, without paging: what tests hold what a client believes against."""

from __future__ import annotations

from typing import Any

from broker_demo.ledger import Fill
from broker_demo.paper_order import PaperOrder
from broker_demo.sandbox.answers import decimal_text, optional_text
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.moments import moment_text
from broker_demo.sandbox.sockets.lines import Kind


def state(desk: Desk) -> dict[str, Any]:
    """All that has happened up to this moment of the market. Amounts are decimal texts, moments are in UTC."""
    exchange = desk.settled()
    ledger = exchange.state.ledger
    orders = [_order(order) for order in exchange.state.orders]
    executions = [_execution(fill, is_busted=ledger.is_busted(fill.execution_id)) for fill in ledger.fills]
    positions = [
        {"symbol": symbol, "qty": decimal_text(held.qty), "avg_entry_price": decimal_text(held.avg_entry_price)}
        for symbol, held in sorted(ledger.positions.items())
    ]
    sockets = {kind.value: len(desk.lines.of(kind)) for kind in Kind}
    return {
        "account_id": exchange.account_id,
        "now": moment_text(exchange.now_ns),
        "cash": decimal_text(ledger.cash),
        "counts": {"orders": len(orders), "executions": len(executions), "positions": len(positions), "sockets": sum(sockets.values())},
        "sockets": {**sockets, "opened": desk.lines.opened, "dropped": desk.lines.dropped},
        "orders": orders,
        "executions": executions,
        "positions": positions,
    }


def _order(order: PaperOrder) -> dict[str, Any]:
    return {
        "id": order.order_id,
        "client_order_id": order.client_order_id,
        "symbol": order.symbol,
        "side": order.side.value,
        "type": order.request.order_type.value,
        "status": order.status.value,
        "qty": optional_text(order.request.qty),
        "notional": optional_text(order.request.notional),
        "filled_qty": decimal_text(order.filled_qty),
        "filled_avg_price": optional_text(order.filled_avg_price),
        "replaces": order.replaces,
        "replaced_by": order.replaced_by,
    }


def _execution(fill: Fill, *, is_busted: bool) -> dict[str, Any]:
    return {
        "id": fill.execution_id,
        "order_id": fill.order_id,
        "symbol": fill.symbol,
        "side": fill.side.value,
        "qty": decimal_text(fill.qty),
        "price": decimal_text(fill.price),
        "at": moment_text(fill.at_ns),
        "is_busted": is_busted,
    }
