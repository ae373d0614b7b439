"""What can be traded, over the wire."""

from __future__ import annotations

from typing import Any

import pytest
from sandboxes import Visitor, sandbox

from broker_demo.sandbox.server import Sandbox
from broker_demo.sandbox.trading.assets import EXCHANGES


async def listed(visitor: Visitor, **query: Any) -> list[Any]:
    """The assets of a query."""
    return list((await visitor.get("/v2/assets", **query)).json)


async def test_everything_listed_is_told_in_order(visitor: Visitor, box: Sandbox):
    """Shares come unless pairs are asked for; together they are all symbols, each on an exchange that Alpaca knows."""
    shares, pairs = await listed(visitor), await listed(visitor, asset_class="crypto")

    assert sorted(asset["symbol"] for asset in shares + pairs) == list(box.desk.prices.symbols())
    assert shares == sorted(shares, key=lambda asset: (asset["exchange"], asset["symbol"]))
    assert {asset["exchange"] for asset in shares + pairs} <= EXCHANGES
    assert {asset["class"] for asset in pairs} == {"crypto"}
    assert all(float(asset[name]) > 0 for asset in pairs for name in ("min_order_size", "min_trade_increment", "price_increment"))


async def test_the_list_is_narrowed_down(visitor: Visitor):
    """By exchange, by any of some attributes, and by status: nothing here is inactive."""
    everything = await listed(visitor)

    assert await listed(visitor, exchange="ARCA") == [asset for asset in everything if asset["exchange"] == "ARCA"] != []
    with_options = await listed(visitor, attributes="ipo,has_options")
    assert "AAPL" in {asset["symbol"] for asset in with_options}
    assert await listed(visitor, attributes="ipo") == await listed(visitor, status="inactive") == []
    assert await listed(visitor, status="active") == everything


@pytest.mark.parametrize("name", ["BTCUSD", "BTC%2FUSD", "id"])
async def test_an_asset_is_found_by_each_of_its_names(visitor: Visitor, name: str):
    """A pair with and without its slash, and anything by its id."""
    (pair,) = [asset for asset in await listed(visitor, asset_class="crypto") if asset["symbol"] == "BTC/USD"]

    found = await visitor.get(f"/v2/assets/{pair['id'] if name == 'id' else name}")

    assert found.json == pair


async def test_symbols_of_the_users_own_are_on_a_real_exchange():
    """Clients know a fixed list of exchanges, so no other is named."""
    async with sandbox(symbols=("MINE",)) as box, Visitor(box) as visitor:
        asset = (await visitor.get("/v2/assets/MINE")).json

    assert (asset["exchange"], asset["tradable"]) == ("NASDAQ", True)


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v2/assets/FFFFF", 404, "asset not found for FFFFF"),
        ("/v2/assets?exchange=DEMO", 422, "invalid exchange: DEMO"),
        ("/v2/assets?asset_class=shares", 422, "invalid asset_class: shares"),
        ("/v2/assets?status=old", 422, "invalid status: old"),
        ("/v2/assets?attributes=shiny", 422, "invalid attribute: shiny"),
    ],
)
async def test_assets_that_cannot_be_are_refused(visitor: Visitor, path: str, status: int, message: str):
    """The refusal names what was asked for."""
    reply = await visitor.get(path)

    assert (reply.status, reply.json["message"]) == (status, message)
