"""Watchlists: the calls of the wire, and the account's lists as the core knows them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from broker_alpaca.wire import watchlists
from broker_alpaca.wire.call import Call
from broker_alpaca.wire.drift import Drift
from broker_core.errors import RequestRefused
from broker_core.watchlists import Watchlist, Watchlists

Payload = Callable[[str], bytes]

ID = "3174d6df-7726-44b4-a5bd-7fda5ae6e009"


def body(*symbols: str, name: str = "Tech") -> dict[str, Any]:
    return {
        "id": ID,
        "account_id": "00000000-0000-4000-8000-0000000000aa",
        "created_at": "2022-01-31T21:49:05.14628Z",
        "updated_at": "2022-01-31T21:49:05.14628Z",
        "name": name,
        "assets": [{"id": f"id of {symbol}", "class": "us_equity", "symbol": symbol, "tradable": True} for symbol in symbols],
    }


@pytest.mark.parametrize(
    ("call", "method", "address", "sent"),
    [
        (watchlists.list_all(), "GET", "/v2/watchlists?", None),
        (watchlists.get(ID), "GET", f"/v2/watchlists/{ID}?", None),
        (watchlists.create("Tech", ["AAPL"]), "POST", "/v2/watchlists?", {"name": "Tech", "symbols": ["AAPL"]}),
        (watchlists.create("Tech"), "POST", "/v2/watchlists?", {"name": "Tech", "symbols": []}),
        (watchlists.update(ID, name="New"), "PUT", f"/v2/watchlists/{ID}?", {"name": "New"}),
        (watchlists.update(ID, "New", symbols=()), "PUT", f"/v2/watchlists/{ID}?", {"name": "New", "symbols": []}),
        (watchlists.update_by_name("A", symbols=["X"]), "PUT", "/v2/watchlists:by_name?name=A", {"name": "A", "symbols": ["X"]}),
        (watchlists.add(ID, "AAPL"), "POST", f"/v2/watchlists/{ID}?", {"symbol": "AAPL"}),
        (watchlists.remove(ID, "BTC/USD"), "DELETE", f"/v2/watchlists/{ID}/BTC%2FUSD?", None),
        (watchlists.delete(ID), "DELETE", f"/v2/watchlists/{ID}?", None),
        (watchlists.get_by_name("My & list"), "GET", "/v2/watchlists:by_name?name=My+%26+list", None),
        (
            watchlists.update_by_name("A", new_name="B", symbols=["X"]),
            "PUT",
            "/v2/watchlists:by_name?name=A",
            {"name": "B", "symbols": ["X"]},
        ),
        (watchlists.add_by_name("A", "AAPL"), "POST", "/v2/watchlists:by_name?name=A", {"symbol": "AAPL"}),
        (watchlists.delete_by_name("A"), "DELETE", "/v2/watchlists:by_name?name=A", None),
    ],
)
def test_what_each_call_asks_for(call: Call[Any], method: str, address: str, sent: object):
    """Method, address and body are those of the published interface."""
    assert (call.method, f"{call.path}?{call.query_text}", call.body) == (method, address, sent)


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_name_has_1_to_64_characters(name: str):
    """A name that the broker would refuse is refused here, wherever it stands."""
    for make in (watchlists.create, watchlists.get_by_name, watchlists.delete_by_name):
        with pytest.raises(ValueError, match="a watchlist's name has 1 to 64"):
            make(name)
    with pytest.raises(ValueError, match="a watchlist's name has 1 to 64"):
        watchlists.update(ID, name=name)


def test_published_watchlists(payload: Payload):
    """One list has its assets in order; the list of lists has none, which is not the same as an empty one."""
    one = watchlists.get(ID).read(payload("trading/watchlist.json"), Drift())
    (listed,) = watchlists.list_all().read(payload("trading/watchlists_list.json"), Drift())

    assert (one.name, one.symbols) == ("Primary Watchlist", ("TSLA",))
    assert (listed.name, listed.assets, listed.symbols) == ("Primary Watchlist", None, ())


def test_unreadable_asset_leaves_its_neighbours():
    """An asset without a symbol is counted and left out of its list."""
    drift = Drift()
    found = body("AAPL", "MSFT")
    found["assets"].insert(1, {"id": "of nothing"})

    assert watchlists.get(ID).read(json.dumps(found).encode(), drift).symbols == ("AAPL", "MSFT")
    assert sum(drift.counts.values()) == 1


async def test_list_is_made_changed_and_deleted_by_name(account_with):
    """A host names a list as it likes; each method asks for just what it needs, and answers with the list as it is now."""
    account = await account_with(
        {
            "POST /v2/watchlists": (200, body("AAPL")),
            "GET /v2/watchlists:by_name?name=Tech": (200, body("AAPL")),
            "POST /v2/watchlists:by_name?name=Tech": (200, body("AAPL", "MSFT")),
            f"DELETE /v2/watchlists/{ID}/AAPL": (200, body("MSFT")),
            "DELETE /v2/watchlists:by_name?name=Tech": (204, b""),
        }
    )
    lists = account.client.watchlists
    assert isinstance(lists, Watchlists)

    assert await lists.create("Tech", ["AAPL"]) == Watchlist(watchlist_id=ID, name="Tech", symbols=("AAPL",))
    assert (await lists.get("Tech")).symbols == ("AAPL",)
    assert (await lists.add("Tech", "MSFT")).symbols == ("AAPL", "MSFT")
    assert (await lists.remove("Tech", "AAPL")).symbols == ("MSFT",)
    assert await lists.delete("Tech") is None

    assert account.asked == [
        ("POST /v2/watchlists", {"name": "Tech", "symbols": ["AAPL"]}),
        ("GET /v2/watchlists:by_name?name=Tech", None),
        ("POST /v2/watchlists:by_name?name=Tech", {"symbol": "MSFT"}),
        ("GET /v2/watchlists:by_name?name=Tech", None),
        (f"DELETE /v2/watchlists/{ID}/AAPL", None),
        ("DELETE /v2/watchlists:by_name?name=Tech", None),
    ]


async def test_what_looks_like_an_id_is_one(account_with):
    """Under an id every method goes straight to that list."""
    account = await account_with(
        {
            f"GET /v2/watchlists/{ID}": (200, body("AAPL")),
            f"POST /v2/watchlists/{ID}": (200, body("AAPL", "MSFT")),
            f"DELETE /v2/watchlists/{ID}/AAPL": (200, body("MSFT")),
            f"DELETE /v2/watchlists/{ID}": (204, b""),
        }
    )
    lists = account.client.watchlists

    await lists.get(ID)
    await lists.add(ID, "MSFT")
    await lists.remove(ID, "AAPL")
    await lists.delete(ID)

    assert [what for what, _ in account.asked] == list(account.answers)


async def test_list_of_lists_comes_without_symbols(account_with):
    """All lists are one request, which does not say what is on them."""
    listed = {name: value for name, value in body().items() if name != "assets"}
    account = await account_with({"GET /v2/watchlists": (200, [listed, listed | {"name": "Other"}])})

    assert [(found.name, found.symbols) for found in await account.client.watchlists.list_all()] == [("Tech", ()), ("Other", ())]


async def test_unknown_list_is_refused(account_with):
    """A name that no list has is the broker's refusal, in its words."""
    account = await account_with(
        {"GET /v2/watchlists:by_name?name=None": (404, {"code": 40410000, "message": "watchlist not found: None"})}
    )

    with pytest.raises(RequestRefused, match="watchlist not found: None") as caught:
        await account.client.watchlists.get("None")
    assert caught.value.status == 404
