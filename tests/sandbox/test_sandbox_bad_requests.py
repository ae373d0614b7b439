"""Requests that make no sense: each is answered in the shape of its host, and changes nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_http import raw_bytes
from rubbish import OPENAPI, Odd, complaint, documented_requests, odd_requests
from sandboxes import Visitor, sandbox
from wires import SIGNED, DataWire
from yarl import URL

from broker_core.errors import ConfigError, StorageError
from broker_demo.sandbox.answers import Host
from broker_demo.sandbox.faults.state import state
from broker_demo.sandbox.numbers import read_number
from broker_demo.sandbox.server import Sandbox
from broker_demo.trading_hours import AlwaysOpen

IN_TIME = aiohttp.ClientTimeout(total=30)
ORDER = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "limit", "limit_price": "5", "time_in_force": "gtc"}
# One log for all examples: it is emptied for each.
few = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def batches(requests: st.SearchStrategy[Odd]) -> st.SearchStrategy[list[Odd]]:
    return st.lists(requests, min_size=20, max_size=20)


@given(odds=batches(odd_requests()))
@few
async def test_every_address_answers_rubbish_in_the_shape_of_its_host(odds: list[Odd], caplog: pytest.LogCaptureFixture):
    """Whatever is asked, wherever: JSON, a status below 500, no defect; what is refused changes nothing, and the books balance after."""
    await visit(odds, caplog)


@pytest.mark.skipif(not OPENAPI.is_dir(), reason="the OpenAPI documents are not beside the project")
@pytest.mark.parametrize("host", list(Host))
@given(data=st.data())
@few
async def test_every_documented_operation_answers_rubbish_in_the_shape_of_its_host(
    data: st.DataObject, host: Host, caplog: pytest.LogCaptureFixture
):
    """The same for the operations of the published documents, those that the sandbox does not have included."""
    await visit(data.draw(batches(documented_requests(host))), caplog)


async def visit(odds: Sequence[Odd], caplog: pytest.LogCaptureFixture) -> None:
    """Ask for all of this, one after the other, at a sandbox that has orders and positions."""
    caplog.clear()
    async with sandbox() as box, aiohttp.ClientSession(headers=SIGNED, timeout=IN_TIME) as session:
        order_id = await begin(box)
        for odd in odds:
            before, asked = standing(box), odd.about(order_id)
            url = URL(box.addresses.trading_url + asked.path, encoded=True)
            async with session.request(asked.method, url, data=asked.body) as reply:
                wrong = complaint(asked, reply.status, await reply.read())
            assert wrong is None, (asked, wrong)
            if reply.status >= 400:
                assert standing(box) == before, asked
        check_books(box)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def begin(box: Sandbox) -> str:
    """Give the account a position, a watchlist and open orders; the id of one of these."""
    async with Visitor(box) as visitor:
        await visitor.order(qty="10")
        await visitor.order(symbol="BTC/USD", qty="0.001", time_in_force="gtc")
        while len(box.desk.settled().positions()) < 2:
            await visitor.get("/v2/positions")
        await visitor.order(symbol="MSFT", type="trailing_stop", trail_percent="5", qty="2")
        assert (await visitor.post("/v2/watchlists", {"name": "Mine", "symbols": ["AAPL"]})).status == 200
        exits = {"order_class": "bracket", "take_profit": {"limit_price": "7"}, "stop_loss": {"stop_price": "4"}}
        order = await visitor.order(symbol="SPY", type="limit", limit_price="6", qty="3", **exits)
        return str(order["id"])


def standing(box: Sandbox) -> Any:
    """All that a request could change."""
    profile = box.desk.profile
    return state(box.desk), profile.configurations, profile.watchlists


def check_books(box: Sandbox) -> None:
    """The cash and the shares are what the executions made of them."""
    ledger = box.desk.settled().state.ledger
    cash, shares = ledger.opening_cash, dict.fromkeys(ledger.positions, Decimal(0))
    for fill in ledger.fills:
        signed = fill.qty if fill.side == "buy" else -fill.qty
        cash -= signed * fill.price
        shares[fill.symbol] = shares.get(fill.symbol, Decimal(0)) + signed
    assert ledger.cash == cash
    assert {symbol: qty for symbol, qty in shares.items() if qty} == {symbol: held.qty for symbol, held in ledger.positions.items()}


@pytest.mark.parametrize("amount", ["1e30", "1e999999", "1e-999999", "NaN", "Infinity", "-1", "0", "1_0", "\u0661", " 1", "9" * 5000])
@pytest.mark.parametrize("name", ["qty", "percentage"])
async def test_amounts_beyond_reckoning_close_nothing(box: Sandbox, name: str, amount: str):
    """A position stays as it is when so many shares, or percent, are to be sold that nobody could reckon with them."""
    await begin(box)
    async with Visitor(box) as visitor:
        before = standing(box)
        reply = await visitor.ask("DELETE", "/v2/positions/AAPL", **{name: amount})

        assert (reply.status, reply.json["code"]) == (422, 40010001)
        assert standing(box) == before


def test_numbers_have_as_many_digits_as_anybody_needs():
    """Thirty before the point and thirty behind it are read; a text that would take long to reckon with is no number."""
    assert read_number(f"{'0' * 29}1.{'1' * 30}") == Decimal(f"1.{'1' * 30}")
    for text in (f"0.{'1' * 31}", f"{'0' * 31}1", "1e100", "1e15", "1e-31", ""):
        with pytest.raises(ValueError, match=r"is not a number|is too"):
            read_number(text)


@pytest.mark.parametrize(
    "lines",
    [
        ["APCA-API-KEY-ID: \udcff\udcfe", "APCA-API-SECRET-KEY: \udcff"],
        ["APCA-API-KEY-ID: \u00e9", "APCA-API-SECRET-KEY: \u20ac"],
        ["Authorization: Bearer \udcff"],
        ["Authorization: Basic \udcff"],
        ["Authorization: Basic =="],
        ["Authorization: Basic /w=="],
        ["Authorization: Digest x"],
        ["Authorization:"],
        [],
    ],
)
async def test_keys_of_any_bytes_are_only_wrong(box: Sandbox, lines: list[str], caplog: pytest.LogCaptureFixture):
    """The trading host says 401 with a code, the data host 403 without one, whatever letters the keys are made of."""
    for path, status, code in (("/v2/account", 401, 40110000), ("/v2/stocks/snapshots", 403, None)):
        sent = "\r\n".join([f"GET {path} HTTP/1.1", "Host: sandbox", "Connection: close", *lines, "", ""])
        outcome = await raw_bytes(box, sent.encode(errors="surrogateescape"))

        assert (outcome.status, outcome.json.get("code")) == (status, code)
        assert outcome.json["message"]
    assert "defect" not in caplog.text


async def test_a_profile_that_cannot_be_written_is_said_and_does_not_change(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """503 with a code, one line in the log, and the account's choices are what they were."""
    async with sandbox(state=tmp_path / "account.json") as box, Visitor(box) as visitor:
        (tmp_path / "account.json.profile.json.new").mkdir()
        told = await visitor.get("/v2/account/configurations")
        refused = await visitor.ask("PATCH", "/v2/account/configurations", {"suspend_trade": True})

        assert (refused.status, refused.json["code"]) == (503, 50310000)
        assert "cannot be written" in refused.json["message"]
        assert (await visitor.get("/v2/account/configurations")).json == told.json
        assert [record.exc_info for record in caplog.records if "cannot be written" in record.getMessage()] == [None]


async def test_an_order_that_cannot_be_written_down_is_in_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """503: it was carried out, and a restart may forget it. It is found under its id; once the disk has room again, all is well."""

    def fail(*_: object) -> None:
        raise StorageError("the disk is full")

    async with sandbox(state=tmp_path / "account.json") as box, Visitor(box) as visitor:
        with monkeypatch.context() as patch:
            patch.setattr("broker_demo.state.StateFile.save", fail)
            doubtful = await visitor.post("/v2/orders", {**ORDER, "client_order_id": "mine"})
            found = await visitor.get("/v2/orders:by_client_order_id", client_order_id="mine")
            ended = await visitor.ask("DELETE", f"/v2/orders/{found.json['id']}")

        assert (doubtful.status, doubtful.json["code"]) == (503, 50310000)
        assert "carried out, and may be forgotten" in doubtful.json["message"]
        assert (found.status, found.json["status"]) == (200, "new")
        assert ended.status == 503
        assert (await visitor.ask("DELETE", "/v2/orders")).status == 207


class Unknowing(AlwaysOpen):
    """Trading hours that know nothing of the present."""

    def next_open(self, ns: int) -> int:
        raise ConfigError("calendar XNYS: 2040-01-02 15:00 UTC is outside what it knows")

    opening = is_open = next_open


async def test_a_calendar_that_ends_before_the_market_does_is_said(
    box: Sandbox, visitor: Visitor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Clocks, prices and sockets say that they cannot, each in its host's shape, and each with one line in the log: it is no defect."""
    order = await visitor.order()
    async with DataWire(box, "/v2/iex") as wire:
        await wire.sign_in()
        monkeypatch.setattr(box.desk.prices, "hours", Unknowing())
        monkeypatch.setattr(box.desk.venue, "settle", lambda: Unknowing().is_open(0))
        replies = [await visitor.get("/v2/clock"), await visitor.get("/v2/stocks/AAPL/trades/latest")]
        at_the_second_port = await exchange_json(box, "POST", "/bust", {"order_id": order["id"]})
        said = await wire.ask({"action": "subscribe", "trades": ["AAPL"]})

    assert [(reply.status, reply.json.get("code")) for reply in replies] == [(503, 50310000), (503, None)]
    assert all("outside what it knows" in reply.json["message"] for reply in replies)
    assert at_the_second_port[0] == 503
    assert "outside what it knows" in at_the_second_port[1]["message"]
    assert said == {"T": "error", "code": 500, "msg": "internal error"}
    assert [(record.levelno, record.exc_info) for record in caplog.records] == [(logging.WARNING, None)] * 3


async def exchange_json(box: Sandbox, method: str, path: str, body: Any) -> tuple[int, Any]:
    """Ask the second port."""
    async with aiohttp.ClientSession() as session, session.request(method, box.addresses.admin_url + path, json=body) as reply:
        return reply.status, await reply.json()


def test_the_documents_hold_operations():
    """Where the documents are at hand, both are read: a rubbish run over nothing would prove nothing."""
    if not OPENAPI.is_dir():
        pytest.skip("the OpenAPI documents are not beside the project")
    paths = [
        json.loads((OPENAPI / name).read_bytes())["paths"] for name in ("trading-openapi.2026-06.json", "market-data-openapi.2026-06.json")
    ]

    assert [len(found) > 40 for found in paths] == [True, True]
