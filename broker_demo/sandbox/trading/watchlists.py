"""Watchlists (alpaca-api: Watchlists), by id and by name. Each symbol is on a list once; putting it there again changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import attrs

from broker_demo.sandbox.answers import Answer, found, missing
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.identity import identity, is_uuid
from broker_demo.sandbox.moments import moment_text
from broker_demo.sandbox.papers import Watchlist
from broker_demo.sandbox.route import Route
from broker_demo.sandbox.trading.assets import asset_record

_LONGEST_NAME = 64

_Find: TypeAlias = Callable[[Desk, Call], Watchlist]


def get_watchlists(desk: Desk, call: Call) -> Answer:  # noqa: ARG001  # every address is answered by a function of both
    """``GET /v2/watchlists``: all lists, without what is on them."""
    return found([_head(desk, watchlist) for watchlist in desk.profile.watchlists])


def make_watchlist(desk: Desk, call: Call) -> Answer:
    """``POST /v2/watchlists``."""
    told = call.json()
    now_ns = desk.now_ns()
    watchlist = Watchlist(
        watchlist_id=identity("watchlist", desk.ids()),
        name=_new_name(desk, call, told.get("name")),
        symbols=_symbols(desk, call, told.get("symbols") or []),
        created_at_ns=now_ns,
        updated_at_ns=now_ns,
    )
    desk.profile.watch([*desk.profile.watchlists, watchlist])
    return _full(desk, watchlist)


def get_watchlist(find: _Find, desk: Desk, call: Call) -> Answer:
    """``GET`` one list."""
    return _full(desk, find(desk, call))


def change_watchlist(find: _Find, desk: Desk, call: Call) -> Answer:
    """``PUT``: another name, other symbols in the place of the former, or both."""
    watchlist, told = find(desk, call), call.json()
    if told.get("name") is None and told.get("symbols") is None:
        raise call.bad("name or symbols is required")
    name, symbols = watchlist.name, watchlist.symbols
    if told.get("name") not in (None, name):
        name = _new_name(desk, call, told["name"])
    if told.get("symbols") is not None:
        symbols = _symbols(desk, call, told["symbols"])
    return _keep(desk, watchlist, name=name, symbols=symbols)


def add_symbol(find: _Find, desk: Desk, call: Call) -> Answer:
    """``POST``: one symbol more, at the end."""
    watchlist = find(desk, call)
    symbol = call.json().get("symbol")
    if not symbol:
        raise call.bad("symbol is required")
    return _keep(desk, watchlist, symbols=_symbols(desk, call, [*watchlist.symbols, symbol], known=watchlist.symbols))


def remove_symbol(find: _Find, desk: Desk, call: Call) -> Answer:
    """``DELETE`` a symbol off a list."""
    watchlist, name = find(desk, call), call.parts["symbol"]
    asset = desk.asset(name)
    symbol = name if asset is None else asset.symbol
    if symbol not in watchlist.symbols:
        raise missing(f"symbol not found in watchlist: {name}")
    return _keep(desk, watchlist, symbols=tuple(other for other in watchlist.symbols if other != symbol))


def delete_watchlist(find: _Find, desk: Desk, call: Call) -> Answer:
    """``DELETE`` a list."""
    watchlist = find(desk, call)
    desk.profile.watch([other for other in desk.profile.watchlists if other is not watchlist])
    return Answer(204)


def _by_id(desk: Desk, call: Call) -> Watchlist:
    watchlist_id = call.parts["watchlist_id"]
    if not is_uuid(watchlist_id):
        raise call.bad("watchlist is required")
    for watchlist in desk.profile.watchlists:
        if watchlist.watchlist_id == watchlist_id.lower():
            return watchlist
    raise missing(f"watchlist not found: {watchlist_id}")


def _by_name(desk: Desk, call: Call) -> Watchlist:
    name = call.text("name")
    if name is None:
        raise call.bad("name is required")
    for watchlist in desk.profile.watchlists:
        if watchlist.name == name:
            return watchlist
    raise missing(f"watchlist not found: {name}")


def _new_name(desk: Desk, call: Call, name: Any) -> str:
    if not isinstance(name, str) or not name.strip():
        raise call.bad("name is required")
    if len(name) > _LONGEST_NAME:
        raise call.bad(f"name must be no more than {_LONGEST_NAME} characters")
    if any(watchlist.name == name for watchlist in desk.profile.watchlists):
        raise call.bad("watchlist name must be unique")
    return name


def _symbols(desk: Desk, call: Call, names: Any, known: Sequence[str] = ()) -> tuple[str, ...]:
    """The listed symbols of these names, each once; ``known`` ones need not be listed any more."""
    if not isinstance(names, list):
        raise call.bad("symbols must be an array")
    symbols: dict[str, None] = {}
    for name in names:
        if name is None or name in known:
            symbols.update({} if name is None else {name: None})
            continue
        asset = desk.asset(name) if isinstance(name, str) else None
        if asset is None:
            raise call.bad(f'could not find asset "{name}"')
        symbols[asset.symbol] = None
    return tuple(symbols)


def _keep(desk: Desk, watchlist: Watchlist, **changes: Any) -> Answer:
    changed = attrs.evolve(watchlist, **changes)
    if changed != watchlist:
        changed = attrs.evolve(changed, updated_at_ns=desk.now_ns())
        desk.profile.watch([changed if other is watchlist else other for other in desk.profile.watchlists])
    return _full(desk, changed)


def _head(desk: Desk, watchlist: Watchlist) -> dict[str, Any]:
    return {
        "id": watchlist.watchlist_id,
        "account_id": desk.profile.account_id,
        "created_at": moment_text(watchlist.created_at_ns),
        "updated_at": moment_text(watchlist.updated_at_ns),
        "name": watchlist.name,
    }


def _full(desk: Desk, watchlist: Watchlist) -> Answer:
    """The list with its assets; what is not listed any more is left out."""
    assets = [asset_record(asset) for symbol in watchlist.symbols if (asset := desk.prices.asset(symbol)) is not None]
    return found({**_head(desk, watchlist), "assets": assets})


_ONE = "/v2/watchlists/{watchlist_id}"
ROUTES: Sequence[Route] = (
    Route("GET", "/v2/watchlists", get_watchlists),
    Route("POST", "/v2/watchlists", make_watchlist),
    *(
        Route(method, path, partial(act, find))
        for path, find in ((_ONE, _by_id), ("/v2/watchlists:by_name", _by_name))
        for method, act in (("GET", get_watchlist), ("PUT", change_watchlist), ("POST", add_symbol), ("DELETE", delete_watchlist))
    ),
    Route("DELETE", f"{_ONE}/{{symbol}}", partial(remove_symbol, _by_id)),
)
