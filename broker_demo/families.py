"""What the demo broker offers to a session: its orders, stream, account reads and market data.

Here the symbols that misbehave on the way to the broker do so: no answer, an order lost, a fill before the answer, a broken stream.
Those that misbehave at the exchange are its own matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import attrs

from broker_core.clock import to_ns
from broker_core.errors import InDoubt, Unavailable
from broker_core.models import Account, Position
from broker_core.orders import Order, OrderEvent, ReplaceTerms, Source
from broker_demo import assets
from broker_demo.client import DemoClient
from broker_demo.feeds import DemoFeed
from broker_demo.market_data import DemoMarketData
from broker_demo.refusals import not_found

__all__ = ["DemoClient", "DemoMarketData", "DemoOrders", "DemoStream", "DemoSync"]

_TURNS = 20
"""How often the event loop is let round so that a reader of the stream is ahead of an answer."""


class DemoOrders:
    """Orders at the demo exchange. Answers are immediate, so no call needs a deadline."""

    def __init__(self, client: DemoClient) -> None:
        self._client = client

    async def submit(self, order: Order) -> OrderEvent:
        """Place an order and answer with its snapshot. Raises RequestRefused, DuplicateOrder, InDoubt, Unavailable."""
        venue, symbol = self._client.venue, order.symbol
        if symbol == assets.LOST:
            raise InDoubt(f"{symbol}: no answer to order {order.local_id}", order=order)

        def place(now_ns: int) -> OrderEvent:
            placed = venue.exchange.submit(order.request, order.local_id, now_ns)
            return venue.exchange.snapshot(placed, Source.ANSWER)

        answer = venue.change(place)
        self._check_saved(order)
        if symbol == assets.SILENT:
            raise InDoubt(f"{symbol}: no answer to order {order.local_id}", order=order)
        if symbol == assets.EARLY:
            venue.settle()
            for _ in range(_TURNS):
                await asyncio.sleep(0)
        if symbol == assets.DROP:
            self._client.trading.drop(Unavailable(f"demo: the stream broke after an order in {symbol}"))
            venue.settle()
        return answer

    async def cancel(self, order: Order) -> None:
        """End an order. Raises RequestRefused, InDoubt, Unavailable."""
        venue, order_id = self._client.venue, self._id_of(order)
        venue.change(lambda now_ns: venue.exchange.cancel(order_id, now_ns))
        self._check_saved(order)

    async def find(self, client_order_id: str) -> OrderEvent | None:
        """Look an order up; after replacements, the present one is told under the id that was asked for. Raises Unavailable."""
        venue = self._client.venue
        venue.settle()
        found = venue.exchange.order_by_client_id(client_order_id)
        if found is None:
            return None
        snapshot = venue.exchange.snapshot(venue.exchange.present(found), Source.LOOKUP)
        return attrs.evolve(snapshot, client_order_id=client_order_id)

    async def listing(self, since: datetime | None) -> Sequence[OrderEvent]:
        """All open orders and, with ``since``, all that were placed or changed after it. Raises Unavailable."""
        venue = self._client.venue
        venue.settle()
        return venue.exchange.listing(None if since is None else to_ns(since))

    async def fills(self, since: datetime) -> Sequence[OrderEvent]:
        """Executions after ``since``, and those taken back after it (kind BUST), oldest first. Raises Unavailable."""
        venue = self._client.venue
        venue.settle()
        return venue.exchange.executions(to_ns(since))

    async def replace(self, order: Order, terms: ReplaceTerms, client_order_id: str) -> OrderEvent:
        """Put an order with new terms in the place of a working one. Raises RequestRefused, DuplicateOrder, InDoubt, Unavailable."""
        venue, order_id = self._client.venue, self._id_of(order)

        def place(now_ns: int) -> OrderEvent:
            placed = venue.exchange.replace(order_id, terms, now_ns, client_order_id)
            return venue.exchange.snapshot(placed, Source.ANSWER)

        answer = venue.change(place)
        self._check_saved(order)
        return answer

    def _id_of(self, order: Order) -> str:
        if order.broker_order_id is not None:
            return order.broker_order_id
        found = self._client.venue.exchange.order_by_client_id(order.local_id)
        if found is None:
            raise not_found(f"order not found for {order.local_id}")
        return found.order_id

    def _check_saved(self, order: Order) -> None:
        unsaved = self._client.venue.unsaved
        if unsaved is not None:
            raise InDoubt(f"order {order.local_id} was carried out, and may be forgotten: {unsaved}", order=order) from unsaved


class DemoStream:
    """The two feeds of a client."""

    def __init__(self, client: DemoClient) -> None:
        self.feeds: Sequence[DemoFeed] = (client.trading, client.data)


class DemoSync:
    """Reads of the account."""

    def __init__(self, client: DemoClient) -> None:
        self._client = client

    async def account(self) -> Account:
        """The account. Raises Unavailable."""
        venue = self._client.venue
        venue.settle()
        return venue.exchange.account()

    async def positions(self) -> Sequence[Position]:
        """All positions. Raises Unavailable."""
        venue = self._client.venue
        venue.settle()
        return venue.exchange.positions()

    async def open_orders(self) -> Sequence[OrderEvent]:
        """Every order the exchange still works on, held ones included. Raises Unavailable."""
        venue = self._client.venue
        venue.settle()
        return venue.exchange.listing()
