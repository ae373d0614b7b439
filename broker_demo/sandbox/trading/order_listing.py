"""Which orders ``GET /v2/orders`` lists: the query as a value, and the search for what it asks."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import islice

import attrs

from broker_core.requests import OrderClass, Side
from broker_demo.exchange import Exchange
from broker_demo.paper_order import PaperOrder, Status
from broker_demo.refusals import not_found
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.identity import is_uuid
from broker_demo.sandbox.trading.assets import CLASSES
from broker_demo.sandbox.trading.order_record import asset_class

_DEFAULT_LIMIT = 50
_LARGEST_LIMIT = 500
_ALL_CLASSES = "all"


class Scope(StrEnum):
    """Which orders by what has become of them."""

    OPEN = "open"
    CLOSED = "closed"
    ALL = "all"


@attrs.frozen(kw_only=True)
class OrderQuery:
    """What is asked for. Moments are nanoseconds, and excluded like the orders that stand for one."""

    scope: Scope
    limit: int
    ascending: bool
    nested: bool
    after_ns: int | None
    until_ns: int | None
    after_order_id: str | None
    before_order_id: str | None
    symbols: frozenset[str] | None
    side: str
    classes: frozenset[str] | None

    @classmethod
    def of(cls, desk: Desk, call: Call) -> OrderQuery:
        """Read the query. Raises Refused."""
        symbols, classes = call.listed("symbols"), frozenset(call.listed("asset_class"))
        for name in sorted(classes - {_ALL_CLASSES, *CLASSES}):
            raise call.bad(f"invalid asset_class: {name}")
        query = cls(
            scope=Scope(call.word("status", tuple(Scope), Scope.OPEN)),
            limit=call.whole("limit", default=_DEFAULT_LIMIT, least=1, most=_LARGEST_LIMIT),
            ascending=call.word("direction", ("asc", "desc"), "desc") == "asc",
            nested=call.flag("nested"),
            after_ns=call.moment("after"),
            until_ns=call.moment("until"),
            after_order_id=_order_id(call, "after_order_id"),
            before_order_id=_order_id(call, "before_order_id"),
            symbols=frozenset(_symbol(desk, name) for name in symbols) if symbols else None,
            side=call.word("side", tuple(Side), ""),
            classes=classes if classes and _ALL_CLASSES not in classes else None,
        )
        if query.after_order_id is not None and query.before_order_id is not None:
            raise call.bad("before_order_id and after_order_id are mutually exclusive")
        if (query.after_order_id or query.before_order_id) and (query.after_ns, query.until_ns) != (None, None):
            raise call.bad("before_order_id and after_order_id cannot be combined with after or until")
        return query


def _order_id(call: Call, name: str) -> str | None:
    found = call.text(name)
    if found is not None and not is_uuid(found):
        raise call.bad(f"invalid {name}: {found}")
    return found


def _symbol(desk: Desk, name: str) -> str:
    asset = desk.asset(name)
    return name if asset is None else asset.symbol


def listed(exchange: Exchange, query: OrderQuery) -> list[PaperOrder]:
    """The orders asked for, in the direction asked for, and no more of them.

    Raises Refusal for an order that stands for a moment and is unknown.
    """
    return list(islice((order for order in _candidates(exchange, query) if _matches(exchange, query, order)), query.limit))


def _candidates(exchange: Exchange, query: OrderQuery) -> Iterator[PaperOrder]:
    """The orders of the stretch of time asked for. Open ones are few, and have a list of their own."""
    orders = exchange.state.orders
    if query.scope is Scope.OPEN and query.after_order_id is None and query.before_order_id is None:
        chosen = exchange.open_orders()
        for order in chosen if query.ascending else reversed(chosen):
            at_ns = submitted_ns(order)
            if (query.after_ns is None or at_ns > query.after_ns) and (query.until_ns is None or at_ns < query.until_ns):
                yield order
        return
    start, end = _stretch(exchange, orders, query)
    for at in range(start, end) if query.ascending else range(end - 1, start - 1, -1):
        yield orders[at]


def _stretch(exchange: Exchange, orders: Sequence[PaperOrder], query: OrderQuery) -> tuple[int, int]:
    start, end = 0, len(orders)
    if query.after_ns is not None:
        start = bisect_right(orders, query.after_ns, key=submitted_ns)
    if query.until_ns is not None:
        end = bisect_left(orders, query.until_ns, key=submitted_ns)
    if query.after_order_id is not None:
        start = _place(exchange, orders, query.after_order_id) + 1
    if query.before_order_id is not None:
        end = _place(exchange, orders, query.before_order_id)
    return start, end


def _place(exchange: Exchange, orders: Sequence[PaperOrder], order_id: str) -> int:
    order = exchange.order(order_id.lower())
    if order is None:
        raise not_found(f"order not found for {order_id}")
    at = bisect_left(orders, submitted_ns(order), key=submitted_ns)
    while orders[at] is not order:
        at += 1
    return at


def submitted_ns(order: PaperOrder) -> int:
    """When the order was submitted: as the exchange keeps orders, no order has a smaller one than those before it."""
    return order.submitted_ns or order.created_ns


def _matches(exchange: Exchange, query: OrderQuery, order: PaperOrder) -> bool:
    return (
        _in_scope(query.scope, order)
        and (query.symbols is None or order.symbol in query.symbols)
        and (not query.side or order.side == query.side)
        and (query.classes is None or asset_class(order.symbol) in query.classes)
        and not (query.nested and order.is_leg and _is_rolled_up(exchange, query.scope, order))
    )


def _in_scope(scope: Scope, order: PaperOrder) -> bool:
    if scope is Scope.ALL:
        return True
    if scope is Scope.CLOSED:
        return not order.is_open
    # The waiting stop of a bracket is in no list of open orders once the entry is filled.
    return order.is_open and not (order.status is Status.HELD and not order.waiting and order.group_class is not OrderClass.OCO)


def _is_rolled_up(exchange: Exchange, scope: Scope, leg: PaperOrder) -> bool:
    """Whether a leg is told inside the order it came with, which is so where that one is in the list by itself."""
    parent = exchange.order(leg.group_id or "")
    return parent is not None and _in_scope(scope, exchange.present(parent))
