"""Orders: placed, read, listed, replaced and cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from broker_core.errors import RequestRefused
from broker_demo.paper_order import PaperOrder
from broker_demo.refusals import not_found
from broker_demo.sandbox.answers import Answer, Refused, found
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.identity import is_uuid
from broker_demo.sandbox.route import Route
from broker_demo.sandbox.trading.body import client_order_id
from broker_demo.sandbox.trading.order_listing import OrderQuery, listed
from broker_demo.sandbox.trading.order_record import order_record
from broker_demo.sandbox.trading.order_request import order_request
from broker_demo.sandbox.trading.replace_request import check_replaceable, replace_terms
from broker_demo.sandbox.trading.rules import check_wash
from broker_demo.sandbox.trading.submission import received, submitted


def post_order(desk: Desk, call: Call) -> Answer:
    """``POST /v2/orders``: take an order, and answer 200."""
    body = call.json()
    request, asset = order_request(desk, body)
    return found(desk.change(partial(submitted, desk, request, asset, client_order_id(body))))


def get_orders(desk: Desk, call: Call) -> Answer:
    """``GET /v2/orders``: those that the query asks for."""
    query = OrderQuery.of(desk, call)
    exchange = desk.settled()
    return found([_record(desk, order, nested=query.nested) for order in listed(exchange, query)])


def get_order(desk: Desk, call: Call) -> Answer:
    """``GET /v2/orders/{order_id}``."""
    nested = call.flag("nested")
    desk.settled()
    return found(_record(desk, _named(desk, call), nested=nested))


def get_order_by_client_order_id(desk: Desk, call: Call) -> Answer:
    """``GET /v2/orders:by_client_order_id``. After a replacement the id is still the old order's; the new one has its own."""
    name = call.text("client_order_id")
    if name is None:
        raise call.bad("client_order_id is required")
    order = desk.settled().order_by_client_id(name)
    if order is None:
        raise not_found(f"order not found for {name}")
    return found(_record(desk, order, nested=call.flag("nested")))


def patch_order(desk: Desk, call: Call) -> Answer:
    """``PATCH /v2/orders/{order_id}``: put a new order in the place of an open one, and answer with it."""
    body = call.json()
    terms, new_id = replace_terms(body), client_order_id(body)

    def act(now_ns: int) -> dict[str, Any]:
        exchange = desk.exchange
        exchange.advance(now_ns)
        old = _named(desk, call)
        check_replaceable(old)
        if old.is_open and old.group_id is None and terms.limit_price is not None:
            check_wash(old.side, old.request.order_type, terms.limit_price, exchange.open_against(old.symbol, old.side))
        return received(desk, exchange.replace(old.order_id, terms, now_ns, new_id))

    return found(desk.change(act))


def delete_order(desk: Desk, call: Call) -> Answer:
    """``DELETE /v2/orders/{order_id}``: take an order out of the market, and the rest of its group."""

    def act(now_ns: int) -> None:
        desk.exchange.advance(now_ns)
        desk.exchange.cancel(_named(desk, call).order_id, now_ns)

    desk.change(act)
    return Answer(204)


def delete_orders(desk: Desk, call: Call) -> Answer:  # noqa: ARG001  # every address is answered by a function of both
    """``DELETE /v2/orders``: take all orders out of the market, and say of each what came of asking."""
    cancelled = desk.change(partial(all_cancelled, desk))
    return found([{"id": order.order_id, "status": status, "body": body} for order, status, body in cancelled], 207)


def all_cancelled(desk: Desk, now_ns: int) -> list[tuple[PaperOrder, int, dict[str, Any]]]:
    """Cancel every open order. Each comes with a status and a body: itself as it was, or the order it came with, or why it cannot be.

    Part of a change of the venue's, which tells what came of it.
    """
    exchange = desk.exchange
    exchange.advance(now_ns)
    asked = [(order, _cancelling(desk, order)) for order in exchange.open_orders()]
    outcomes = []
    for order, record in asked:
        try:
            # A group ends with its first member.
            if order.is_open:
                exchange.cancel(order.order_id, now_ns)
        except RequestRefused as error:
            refused = Refused.of(error)
            outcomes.append((order, refused.status, refused.body))
        else:
            outcomes.append((order, 200, record))
    return outcomes


def _cancelling(desk: Desk, order: PaperOrder) -> dict[str, Any]:
    exchange = desk.exchange
    told = order
    if order.is_leg and (parent := exchange.order(order.group_id or "")) is not None:
        told = exchange.present(parent)
    return order_record(told, legs=exchange.legs(told), status="pending_cancel" if told.is_open else None)


def _named(desk: Desk, call: Call) -> PaperOrder:
    """The order that the path names. Raises Refused, Refusal."""
    order_id = call.parts["order_id"]
    if not is_uuid(order_id):
        raise call.bad("order_id is missing")
    order = desk.exchange.order(order_id.lower())
    if order is None:
        raise not_found(f"order not found for {order_id}")
    return order


def _record(desk: Desk, order: PaperOrder, *, nested: bool) -> dict[str, Any]:
    return order_record(order, legs=desk.exchange.legs(order) if nested else None)


ROUTES: Sequence[Route] = (
    Route("POST", "/v2/orders", post_order),
    Route("GET", "/v2/orders", get_orders),
    Route("DELETE", "/v2/orders", delete_orders),
    Route("GET", "/v2/orders:by_client_order_id", get_order_by_client_order_id),
    Route("GET", "/v2/orders/{order_id}", get_order),
    Route("PATCH", "/v2/orders/{order_id}", patch_order),
    Route("DELETE", "/v2/orders/{order_id}", delete_order),
)
