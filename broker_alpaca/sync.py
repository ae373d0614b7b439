"""The reads of the account that keep the core's view of it fresh."""

from __future__ import annotations

from collections.abc import Sequence

from broker_alpaca import listing
from broker_alpaca.client import AlpacaClient
from broker_alpaca.wire import account, positions
from broker_alpaca.wire.order_news import OrderNews
from broker_core.errors import WireError
from broker_core.models import Account, Position
from broker_core.orders import OrderEvent, Source


class AlpacaSync:
    """Reads the account, its positions and its open orders. Each read raises what ``AlpacaClient.send`` raises."""

    def __init__(self, client: AlpacaClient) -> None:
        self._client = client
        self._news = OrderNews(client.wire_drift)

    async def account(self) -> Account:
        """Read the account."""
        return account.to_account(await self._client.send(account.get()))

    async def positions(self) -> Sequence[Position]:
        """Read all positions. Raises WireError where one of them cannot be read: a holding that is left out would look closed."""
        page = await self._client.send(positions.list_all())
        if page.unreadable:
            raise WireError(f"alpaca: {page.unreadable} of {page.unreadable + len(page)} positions cannot be read")
        return [positions.to_position(record) for record in page.records]

    async def open_orders(self) -> Sequence[OrderEvent]:
        """List every order that works or waits. Raises WireError where one cannot be read: an order that is left out would look ended."""
        now = self._client.clock.now()
        return [self._news.snapshot(record, Source.LISTING, now) for record in await listing.open_orders(self._client)]
