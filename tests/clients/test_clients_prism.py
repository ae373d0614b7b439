"""Everything that the sandbox says of an account that was used for a while, held against both generations of the published documents."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from every_route import EVERY_CHANGE, EVERY_GET, NOTHING, NOWHERE, path_of
from hosted_sandbox import HostedSandbox
from plain_http import ask
from prisms import GENERATIONS, through_prism
from sandboxes import KEY, SECRET
from ways import Between, between_with

from broker_demo.sandbox.answers import Host
from broker_demo.sandbox.routes import routes

SIGNED = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET, "Content-Type": "application/json"}
HOSTS = {route.path: route.host for route in routes()}


@pytest.fixture(scope="module", params=sorted(GENERATIONS))
def both(prism: str, request: pytest.FixtureRequest) -> Iterator[Between]:
    """Prism with each generation's documents in turn."""
    with between_with(prism, request.param) as between:
        yield between


@pytest.fixture(scope="module")
def lived(both: Between) -> Iterator[dict[str, str]]:
    """An account with orders of every class, a long position, a short one and one in crypto, and a watchlist: its ids by name."""
    with HostedSandbox(port=both.port) as box:
        url = box.addresses.trading_url

        def order(**terms: Any) -> dict[str, Any]:
            told = {"symbol": "AAPL", "qty": "2", "side": "buy", "type": "market", "time_in_force": "gtc", **terms}
            status, placed = ask("POST", f"{url}/v2/orders", {name: value for name, value in told.items() if value is not None}, SIGNED)
            assert status == 200, placed
            return placed

        exits = {"take_profit": {"limit_price": "2000"}, "stop_loss": {"stop_price": "5", "limit_price": "4"}}
        order(qty="5.5", time_in_force="day")
        order(symbol="TSLA", side="sell")
        order(symbol="BTC/USD", qty=None, notional="500")
        order(symbol="DEMO.PARTIAL", qty="3")
        order(symbol="DEMO.REJECT")
        parent = order(client_order_id="parent", order_class="bracket", **exits)
        order(side="sell", type="limit", order_class="oco", **exits)
        order(type="limit", limit_price="100", order_class="oto", stop_loss={"stop_price": "5"})
        trailing = order(type="trailing_stop", trail_percent="40")
        order(symbol="MSFT", type="stop_limit", stop_price="5000", limit_price="5001")
        order(symbol="SPY", type="limit", limit_price="1", time_in_force="opg")
        gone = order(symbol="SPY", type="limit", limit_price="1")
        ask("DELETE", f"{url}/v2/orders/{gone['id']}", headers=SIGNED)
        old = order(symbol="SPY", type="limit", limit_price="2")
        ask("PATCH", f"{url}/v2/orders/{old['id']}", {"limit_price": "3"}, SIGNED)
        resting = order(symbol="SPY", type="limit", limit_price="1")
        _, watchlist = ask("POST", f"{url}/v2/watchlists", {"name": "mine", "symbols": ["AAPL", "BTC/USD"]}, SIGNED)
        _, chain = ask("GET", f"{url}/v2/options/contracts?underlying_symbols=AAPL&limit=1", headers=SIGNED)
        (contract,) = chain["option_contracts"]
        yield {
            "asset_id": parent["asset_id"],
            "order_id": parent["id"],
            "trailing_id": trailing["id"],
            "resting_id": resting["id"],
            "watchlist_id": watchlist["id"],
            "contract": contract["symbol"],
            "contract_id": contract["id"],
        }


def test_every_address_is_asked():
    """A new one needs its line in the lists."""
    asked = {("GET", address) for address in EVERY_GET} | {(change.method, change.address) for change in EVERY_CHANGE}

    assert asked == {(route.method, route.path) for route in routes()}


@through_prism
def test_every_answer_is_one_that_the_documents_describe(both: Between, lived: dict[str, str]):
    """No violation in any answer to any request, whether there is something to tell or not."""
    statuses = {}
    for address, endings in EVERY_GET.items():
        url = both.data.url if HOSTS[address] is Host.DATA else both.trading.url
        for path in (path_of(address, ending, lived) for ending in endings):
            statuses[path] = ask("GET", url + path, headers=SIGNED)[0]
    assert statuses == {path: 404 if NOWHERE in path or NOTHING in path else 200 for path in statuses}
    assert both.faults() == []

    surprises = []
    for change in EVERY_CHANGE:
        path = path_of(change.address, change.ending, lived)
        status, said = ask(change.method, both.trading.url + path, change.body, SIGNED)
        if status != change.status:
            surprises.append((change, status, said))
    assert surprises == []
    assert both.faults() == []


class Wrong(BaseHTTPRequestHandler):
    """Answers everything alike."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"id": 7}')

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@through_prism
def test_the_check_can_fail(between: Between):
    """An id that is a number and an object in place of a list are found."""
    with HTTPServer(("127.0.0.1", between.port), Wrong) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        for path in ("/v2/account", "/v2/orders", f"/v2/orders/{NOTHING}"):
            ask("GET", between.trading.url + path)
        faults = between.faults()
        server.shutdown()
        thread.join()

    found = {(fault.request, fault.location) for fault in faults}
    assert found >= {
        ("GET /v2/account", "response.body.id"),
        ("GET /v2/orders", "response.body"),
        (f"GET /v2/orders/{NOTHING}", "response.body.id"),
    }
