"""Alpaca's watchlists in the core's words: ``client.watchlists``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from broker_alpaca.wire import watchlists as wire
from broker_alpaca.wire.watchlists import AlpacaWatchlist
from broker_core.watchlists import Watchlist

if TYPE_CHECKING:
    from broker_alpaca.client import AlpacaClient

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class AlpacaWatchlists:
    """The account's watchlists. Whatever has the shape of Alpaca's ids is taken for an id, everything else for a name.

    Every method raises what ``AlpacaClient.send`` raises: RequestRefused for a list that does not exist or a name that is taken.
    """

    def __init__(self, client: AlpacaClient) -> None:
        self._client = client

    async def list_all(self) -> Sequence[Watchlist]:
        """Every list, without symbols: Alpaca tells those one list at a time."""
        page = await self._client.send(wire.list_all())
        return [_value(record) for record in page.records]

    async def get(self, name_or_id: str) -> Watchlist:
        """One list with its symbols."""
        call = wire.get(name_or_id) if _is_id(name_or_id) else wire.get_by_name(name_or_id)
        return _value(await self._client.send(call))

    async def create(self, name: str, symbols: Sequence[str] = ()) -> Watchlist:
        """Make a list."""
        return _value(await self._client.send(wire.create(name, symbols)))

    async def add(self, name_or_id: str, symbol: str) -> Watchlist:
        """Put a symbol at the end of a list."""
        call = wire.add(name_or_id, symbol) if _is_id(name_or_id) else wire.add_by_name(name_or_id, symbol)
        return _value(await self._client.send(call))

    async def remove(self, name_or_id: str, symbol: str) -> Watchlist:
        """Take a symbol off a list; under a name this asks for the list's id first, because Alpaca wants that here."""
        watchlist_id = name_or_id if _is_id(name_or_id) else (await self.get(name_or_id)).watchlist_id
        return _value(await self._client.send(wire.remove(watchlist_id, symbol)))

    async def delete(self, name_or_id: str) -> None:
        """Delete a list for good."""
        await self._client.send(wire.delete(name_or_id) if _is_id(name_or_id) else wire.delete_by_name(name_or_id))


def _is_id(name_or_id: str) -> bool:
    return _ID.fullmatch(name_or_id) is not None


def _value(record: AlpacaWatchlist) -> Watchlist:
    return Watchlist(watchlist_id=record.id, name=record.name, symbols=record.symbols)
