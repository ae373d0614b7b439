"""Watchlists: the lists of symbols that some brokers keep with an account.

A broker that has them offers an object of this shape as the attribute ``watchlists`` of its client.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import attrs


@attrs.frozen(kw_only=True)
class Watchlist:
    """One list. ``symbols`` are in the broker's order."""

    watchlist_id: str
    name: str
    symbols: tuple[str, ...] = ()


@runtime_checkable
class Watchlists(Protocol):
    """Reading and changing watchlists. A list is named by its id or its name.

    Each method raises RequestRefused (no such list, no such symbol, a name that is taken), Unavailable, RateLimited or AuthError; those
    that change something raise InDoubt where no answer says whether they did.
    """

    async def list_all(self) -> Sequence[Watchlist]:
        """MUST give every list; ``symbols`` may be empty where the broker tells them only one list at a time."""

    async def get(self, name_or_id: str) -> Watchlist:
        """MUST give one list with its symbols."""

    async def create(self, name: str, symbols: Sequence[str] = ()) -> Watchlist:
        """MUST make a list."""

    async def add(self, name_or_id: str, symbol: str) -> Watchlist:
        """MUST put a symbol on a list."""

    async def remove(self, name_or_id: str, symbol: str) -> Watchlist:
        """MUST take a symbol off a list."""

    async def delete(self, name_or_id: str) -> None:
        """MUST delete a list."""
