"""Watchlists: named lists of symbols that the account keeps at the broker, in the order in which they were added.

Source: https://docs.alpaca.markets/reference/getwatchlists-1 and its neighbours; by name: .../getwatchlistbyname-1. The list of all
watchlists comes without their assets. A name has at most 64 characters and is unique within the account.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from broker_alpaca.wire import reading
from broker_alpaca.wire.call import Call, segment
from broker_alpaca.wire.reading import Moment, Page, Record

LONGEST_NAME = 64
_BY_NAME = "/v2/watchlists:by_name"


@attrs.frozen(kw_only=True)
class ListedAsset(Record):
    """One entry of a watchlist."""

    symbol: str
    id: str | None = None
    name: str | None = None
    exchange: str | None = None
    status: str | None = None
    tradable: bool | None = None


@attrs.frozen(kw_only=True)
class AlpacaWatchlist(Record):
    """One watchlist."""

    id: str
    name: str
    account_id: str | None = None
    created_at: Moment | None = None
    updated_at: Moment | None = None
    assets: tuple[ListedAsset, ...] | None = None
    """In the order in which they were added; None where the broker did not say, as in the list of all watchlists."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The entries' symbols, as far as they were said."""
        return tuple(asset.symbol for asset in self.assets or ())


_one = reading.one(AlpacaWatchlist, "watchlist")


def list_all() -> Call[Page[AlpacaWatchlist]]:
    """All watchlists, without their assets."""
    return Call(method="GET", path="/v2/watchlists", read=reading.many(AlpacaWatchlist, "watchlists"))


def get(watchlist_id: str) -> Call[AlpacaWatchlist]:
    """One watchlist with its assets."""
    return Call(method="GET", path=_path(watchlist_id), read=_one)


def create(name: str, symbols: Iterable[str] = ()) -> Call[AlpacaWatchlist]:
    """Make a watchlist. Raises ValueError for a name that is empty or too long."""
    return Call(method="POST", path="/v2/watchlists", body={"name": _checked(name), "symbols": list(symbols)}, read=_one)


def update(watchlist_id: str, name: str, symbols: Iterable[str] | None = None) -> Call[AlpacaWatchlist]:
    """Give a watchlist this name, which may be the one it has, and with ``symbols`` these assets in the place of all it had."""
    return Call(method="PUT", path=_path(watchlist_id), body=_changes(name, symbols), read=_one)


def add(watchlist_id: str, symbol: str) -> Call[AlpacaWatchlist]:
    """Add one asset at the end."""
    return Call(method="POST", path=_path(watchlist_id), body={"symbol": symbol}, read=_one)


def remove(watchlist_id: str, symbol: str) -> Call[AlpacaWatchlist]:
    """Take one asset out."""
    return Call(method="DELETE", path=f"{_path(watchlist_id)}/{segment(symbol)}", read=_one)


def delete(watchlist_id: str) -> Call[None]:
    """Delete a watchlist for good."""
    return Call(method="DELETE", path=_path(watchlist_id), read=reading.nothing)


def get_by_name(name: str) -> Call[AlpacaWatchlist]:
    """One watchlist with its assets, by its name."""
    return Call(method="GET", path=_BY_NAME, query={"name": _checked(name)}, read=_one)


def update_by_name(name: str, *, new_name: str | None = None, symbols: Iterable[str] | None = None) -> Call[AlpacaWatchlist]:
    """Give the watchlist of this name another one, and with ``symbols`` these assets in the place of all it had."""
    body = _changes(name if new_name is None else new_name, symbols)
    return Call(method="PUT", path=_BY_NAME, query={"name": _checked(name)}, body=body, read=_one)


def add_by_name(name: str, symbol: str) -> Call[AlpacaWatchlist]:
    """Add one asset at the end of the watchlist of this name."""
    return Call(method="POST", path=_BY_NAME, query={"name": _checked(name)}, body={"symbol": symbol}, read=_one)


def delete_by_name(name: str) -> Call[None]:
    """Delete the watchlist of this name for good."""
    return Call(method="DELETE", path=_BY_NAME, query={"name": _checked(name)}, read=reading.nothing)


def _path(watchlist_id: str) -> str:
    return f"/v2/watchlists/{segment(watchlist_id)}"


def _checked(name: str) -> str:
    if not 0 < len(name) <= LONGEST_NAME:
        raise ValueError(f"name: {name[:LONGEST_NAME]!r} has {len(name)} characters; a watchlist's name has 1 to {LONGEST_NAME}")
    return name


def _changes(name: str, symbols: Iterable[str] | None) -> dict[str, Any]:
    """Alpaca wants the name in any case."""
    changes: dict[str, Any] = {"name": _checked(name)}
    return changes if symbols is None else changes | {"symbols": list(symbols)}
