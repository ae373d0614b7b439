"""Alpaca's orders: sent once, under our own id, and asked after.

Executions are not listed here (``fills``): Alpaca's list of activities names them by other ids than its stream does, and counting one
twice is worse than knowing it by the order's exact totals, which every answer carries.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs

from broker_alpaca import listing
from broker_alpaca.client import AlpacaClient
from broker_alpaca.wire import orders
from broker_alpaca.wire.order_news import OrderNews, proven
from broker_alpaca.wire.orders import OrderRecord
from broker_core.errors import RequestRefused
from broker_core.orders import EventKind, Order, OrderEvent, ReplaceTerms, Source, State
from broker_core.requests import OrderClass

_LONGEST_CHAIN = 100
_WITH_LEGS = frozenset(OrderClass) - {OrderClass.SIMPLE}


class AlpacaOrders:
    """The orders of one account."""

    def __init__(self, client: AlpacaClient) -> None:
        self._client = client
        self._news = OrderNews(client.wire_drift)

    async def submit(self, order: Order) -> OrderEvent:
        """Send the order once, with ``order.local_id`` as its client order id.

        Raises RequestRefused, DuplicateOrder, AuthError, RateLimited and Unavailable (there is no such order), InDoubt (there may be).
        """
        return self._snapshot(await self._client.send(orders.submit(order.request, order.local_id)), Source.ANSWER)

    async def cancel(self, order: Order) -> None:
        """Ask for the order's end. Raises RequestRefused, InDoubt, Unavailable."""
        order_id = order.broker_order_id or (await self._record_of(order.local_id)).id
        await self._client.send(orders.cancel(order_id))

    async def find(self, client_order_id: str) -> OrderEvent | None:
        """Look an order up by our id; after replacements, the present one, told under the id that was asked for. Raises Unavailable."""
        first = await self._look_up(client_order_id)
        if first is None:
            return None
        *before, present = await self._chain(first)
        event = self._snapshot(present, Source.LOOKUP)
        if event.kind is EventKind.REPLACE_REFUSED and before:
            event = self._after_refusal(present, before[-1])
        return attrs.evolve(event, client_order_id=client_order_id)

    def _after_refusal(self, refused: OrderRecord, replaced: OrderRecord) -> OrderEvent:
        """How an order stands whose replacement was rejected: it works on, unless it had been taken away for the replacement."""
        if proven(replaced) is not None:
            return self._snapshot(replaced, Source.LOOKUP)
        event = self._news.event(refused, EventKind.SNAPSHOT, Source.LOOKUP, refused.changed_at or self._client.clock.now(), State.CANCELED)
        return attrs.evolve(event, reason="its replacement was rejected")

    async def listing(self, since: datetime | None) -> Sequence[OrderEvent]:
        """All open orders and, with ``since``, every order submitted after it and the latest 500 besides. Raises Unavailable, WireError."""
        found = await (listing.open_orders(self._client) if since is None else listing.changed_since(self._client, since))
        return [self._snapshot(record, Source.LISTING) for record in found]

    async def replace(self, order: Order, terms: ReplaceTerms, client_order_id: str) -> OrderEvent:
        """Ask for other terms. The answer is the new order, which is not there until the stream says so.

        Raises RequestRefused, DuplicateOrder, InDoubt, Unavailable.
        """
        order_id = order.broker_order_id or (await self._record_of(order.local_id)).id
        record = await self._client.send(orders.replace(order_id, terms, client_order_id))
        return self._snapshot(record, Source.ANSWER)

    async def _record_of(self, client_order_id: str) -> OrderRecord:
        found = await self._look_up(client_order_id)
        if found is None:
            raise RequestRefused(f"alpaca: there is no order {client_order_id}", status=404)
        return found

    async def _look_up(self, client_order_id: str) -> OrderRecord | None:
        """The order with this client order id, its legs included; None is the broker's word that there is none."""
        try:
            found = await self._client.send(orders.by_client_order_id(client_order_id))
        except RequestRefused as error:
            # Any server on the way can answer 404; the broker's own word comes with its code.
            if error.status == 404 and error.code is not None:
                return None
            raise
        if found.order_class in _WITH_LEGS and not found.legs:
            # Looked up this way an order comes without its legs.
            return await self._client.send(orders.get(found.id))
        return found

    async def _chain(self, record: OrderRecord) -> list[OrderRecord]:
        """This order and those that took its place, one after the other, the present one last."""
        chain = [record]
        while chain[-1].replaced_by and len(chain) < _LONGEST_CHAIN:
            chain.append(await self._client.send(orders.get(chain[-1].replaced_by)))
        return chain

    def _snapshot(self, record: OrderRecord, source: Source) -> OrderEvent:
        return self._news.snapshot(record, source, self._client.clock.now())
