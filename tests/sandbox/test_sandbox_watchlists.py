"""Watchlists over the wire."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from sandboxes import Visitor

from broker_core.clock import StillClock
from broker_demo.sandbox.server import Sandbox

NOWHERE = "00000000-0000-4000-8000-000000000000"


async def listed(visitor: Visitor, name: str, *symbols: str) -> Any:
    """A new list."""
    reply = await visitor.post("/v2/watchlists", {"name": name, "symbols": list(symbols)})
    assert reply.status == 200, reply.body
    return reply.json


def symbols_of(watchlist: Any) -> list[str]:
    """What is on a list, in order."""
    return [asset["symbol"] for asset in watchlist["assets"]]


async def test_a_list_is_kept_in_its_owners_order_and_told_with_its_assets(visitor: Visitor):
    """A new list is told in full, and among all lists without its assets."""
    made = await listed(visitor, "mine", "MSFT", "BTCUSD", "AAPL", "MSFT")

    assert symbols_of(made) == ["MSFT", "BTC/USD", "AAPL"]
    assert made["account_id"] == (await visitor.get("/v2/account")).json["id"]
    assert (await visitor.get(f"/v2/watchlists/{made['id']}")).json == made
    head = {name: value for name, value in made.items() if name != "assets"}
    assert (await visitor.get("/v2/watchlists")).json == [head]


@pytest.mark.parametrize("by_name", [False, True])
async def test_a_list_is_changed_by_its_id_and_by_its_name(visitor: Visitor, clock: StillClock, by_name: bool):
    """Adding appends once, putting replaces, deleting ends it; each answers with the list as it is then."""
    made = await listed(visitor, "my list", "AAPL")
    path = "/v2/watchlists:by_name" if by_name else f"/v2/watchlists/{made['id']}"
    query = {"name": "my list"} if by_name else {}
    await clock.advance(5)

    added = await visitor.post(path, {"symbol": "MSFT"}, **query)
    again = await visitor.post(path, {"symbol": "MSFT"}, **query)
    replaced = await visitor.ask("PUT", path, {"symbols": ["TSLA", None]}, **query)
    renamed = await visitor.ask("PUT", path, {"name": "other"}, **query)

    assert symbols_of(added.json) == symbols_of(again.json) == ["AAPL", "MSFT"]
    assert (added.json["created_at"], added.json["updated_at"]) == ("2026-03-02T15:00:00Z", "2026-03-02T15:00:05Z")
    assert symbols_of(replaced.json) == symbols_of(renamed.json) == ["TSLA"]
    assert renamed.json["name"] == "other"
    gone = await visitor.ask("DELETE", path, **({"name": "other"} if by_name else {}))
    assert (gone.status, gone.body) == (204, b"")
    assert (await visitor.get("/v2/watchlists")).json == []


async def test_a_list_changes_only_where_it_is_changed(visitor: Visitor, clock: StillClock):
    """What changes nothing leaves the list's moment alone, other lists are not touched, and an id may be in capitals."""
    first, second = await listed(visitor, "first", "AAPL"), await listed(visitor, "second")
    await clock.advance(5)
    path = f"/v2/watchlists/{first['id'].upper()}"

    same = await visitor.ask("PUT", path, {"name": "first", "symbols": ["AAPL"]})
    await visitor.post(path, {"symbol": "MSFT"})

    assert same.json == first
    assert (await visitor.get("/v2/watchlists:by_name", name="second")).json == second
    assert [watchlist["id"] for watchlist in (await visitor.get("/v2/watchlists")).json] == [first["id"], second["id"]]


async def test_a_symbol_that_is_not_listed_any_more_stays_on_its_list(visitor: Visitor, box: Sandbox):
    """It has no asset to be told, and does not keep others from being added."""
    await listed(visitor, "mine", "AAPL")
    (mine,) = box.desk.profile.watchlists
    box.desk.profile.watch([attrs.evolve(mine, symbols=("GONE", "AAPL"))])

    added = await visitor.post("/v2/watchlists:by_name", {"symbol": "MSFT"}, name="mine")

    assert symbols_of(added.json) == ["AAPL", "MSFT"]
    assert box.desk.profile.watchlists[0].symbols == ("GONE", "AAPL", "MSFT")


async def test_a_symbol_is_taken_off_a_list(visitor: Visitor):
    """Pairs are found with and without their slash; what is not there cannot be taken off."""
    made = await listed(visitor, "mine", "AAPL", "BTC/USD", "ETH/USD")
    path = f"/v2/watchlists/{made['id']}"

    for name in ("BTC%2FUSD", "ETHUSD"):
        after = await visitor.ask("DELETE", f"{path}/{name}")

    assert symbols_of(after.json) == ["AAPL"]
    assert (await visitor.ask("DELETE", f"{path}/TSLA")).status == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "/v2/watchlists", {}, 422, "name is required"),
        ("POST", "/v2/watchlists", {"name": "x" * 65}, 422, "name must be no more than 64 characters"),
        ("POST", "/v2/watchlists", {"name": "taken"}, 422, "watchlist name must be unique"),
        ("POST", "/v2/watchlists", {"name": "new", "symbols": ["NOPE"]}, 422, 'could not find asset "NOPE"'),
        ("POST", "/v2/watchlists", {"name": "new", "symbols": "AAPL"}, 422, "symbols must be an array"),
        ("POST", "/v2/watchlists", b"[", 400, "failed to decode request body"),
        ("GET", "/v2/watchlists/7", None, 422, "watchlist is required"),
        ("GET", f"/v2/watchlists/{NOWHERE}", None, 404, f"watchlist not found: {NOWHERE}"),
        ("GET", "/v2/watchlists:by_name", None, 422, "name is required"),
        ("DELETE", "/v2/watchlists:by_name?name=nobody", None, 404, "watchlist not found: nobody"),
        ("PUT", "/v2/watchlists:by_name?name=taken", {}, 422, "name or symbols is required"),
        ("POST", "/v2/watchlists:by_name?name=taken", {}, 422, "symbol is required"),
    ],
)
async def test_what_makes_no_sense_is_refused(visitor: Visitor, method: str, path: str, body: Any, status: int, message: str):
    """The refusal is in Alpaca's shape, and no list is made or changed."""
    await listed(visitor, "taken")

    reply = await visitor.ask(method, path, body)

    assert (reply.status, reply.json["message"]) == (status, message)
    assert reply.json["code"] // 100000 in (400, 404)
    assert [watchlist["name"] for watchlist in (await visitor.get("/v2/watchlists")).json] == ["taken"]
