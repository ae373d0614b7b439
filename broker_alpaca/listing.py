"""Complete lists of orders out of pages that do not quite give them.

Alpaca's list of open orders leaves out the exit that waits for its sibling (status ``held``), and has no page token. The held ones stand
below their parent, which has been filled and is no longer open, in the list of all orders; both are asked for where there are groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from broker_alpaca.client import AlpacaClient
from broker_alpaca.wire import orders
from broker_alpaca.wire.order_words import FLOORS
from broker_alpaca.wire.orders import LARGEST_PAGE, OrderRecord
from broker_alpaca.wire.reading import Page
from broker_core.errors import WireError
from broker_core.requests import OrderClass

_GROUPS = frozenset({OrderClass.BRACKET, OrderClass.OCO, OrderClass.OTO})


async def open_orders(client: AlpacaClient) -> list[OrderRecord]:
    """Every order that still works or waits, oldest first. Raises WireError where part of the list cannot be read."""
    found = await _all_open(client)
    if any(record.order_class in _GROUPS for record in found):
        recent = _complete(await client.send(orders.page(status="all")))
        found = _united(found, [record for record in recent if _has_live_leg(record)])
    return found


async def changed_since(client: AlpacaClient, since: datetime) -> list[OrderRecord]:
    """Every open order, every one submitted after ``since``, and the latest 500 whatever became of them; oldest first.

    An older order that ended after ``since`` may be missing; whoever knows of it asks for it by its id.
    """
    recent: list[OrderRecord] = []
    before: str | None = None
    while True:
        page = _complete(await client.send(orders.page(status="all", before_order_id=before)))
        recent += page
        if len(page) < LARGEST_PAGE:
            # All orders there ever were: the open ones are among them.
            return _united([], recent)
        oldest = page[-1]
        if oldest.submitted_at is not None and oldest.submitted_at <= since:
            return _united(await _all_open(client), recent)
        before = oldest.id


async def _all_open(client: AlpacaClient) -> list[OrderRecord]:
    found: list[OrderRecord] = []
    after: str | None = None
    while True:
        page = _complete(await client.send(orders.page(status="open", direction="asc", after_order_id=after)))
        known = {record.id for record in found}
        fresh = [record for record in page if record.id not in known]
        found += fresh
        if len(page) < LARGEST_PAGE:
            return found
        if not fresh:
            raise WireError("alpaca: GET /v2/orders: the same page came twice; the list of open orders cannot be completed")
        after = page[-1].id


def _complete(page: Page[OrderRecord]) -> Sequence[OrderRecord]:
    """The page's records. What is missing from a listing counts as evidence, so one that cannot be read whole is none."""
    if page.unreadable:
        raise WireError(f"alpaca: GET /v2/orders: {page.unreadable} of its orders cannot be read, so the list proves nothing")
    return page.records


def _has_live_leg(record: OrderRecord) -> bool:
    return any(not _has_ended(leg) for leg in record.legs or ())


def _has_ended(record: OrderRecord) -> bool:
    state = FLOORS.get(record.status)
    return state is not None and state.is_terminal


def _united(some: Sequence[OrderRecord], others: Sequence[OrderRecord]) -> list[OrderRecord]:
    """Both lists, each order once, oldest first; an order that stands below its parent is not listed by itself as well."""
    found = {record.id: record for record in (*some, *others)}
    below = {leg.id for record in found.values() for leg in record.legs or ()}
    alone = [record for order_id, record in found.items() if order_id not in below]
    return sorted(alone, key=_age)


def _age(record: OrderRecord) -> tuple[float, str]:
    moment = record.submitted_at or record.created_at
    return (moment.timestamp() if moment is not None else 0.0, record.id)
