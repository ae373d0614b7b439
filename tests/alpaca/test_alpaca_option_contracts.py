"""Option contracts: exact strikes, paging by token, and filters."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest

from broker_alpaca.wire import option_contracts
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.option_contracts import ContractType, Status, Style
from broker_core.errors import WireError

Payload = Callable[[str], bytes]


def test_contract_is_read_exactly(payload: Payload):
    """Numbers that the wire has as text become exact, days become days."""
    drift = Drift()
    contract = option_contracts.get("x").read(payload("trading/option_contract_spec.json"), drift)

    assert (contract.symbol, contract.underlying_symbol) == ("AAPL250620C00100000", "AAPL")
    assert (contract.strike_price, contract.multiplier, contract.open_interest) == (Decimal(100), Decimal(100), Decimal(237))
    assert (contract.expiration_date, contract.close_price_date) == (date(2025, 6, 20), date(2023, 12, 11))
    assert contract.tradable
    assert contract.deliverables is None
    assert not drift.counts


def test_page_has_contracts_and_a_token(payload: Payload):
    """The list is wrapped; a null token ends it, a price that is not known is None."""
    page = option_contracts.page().read(payload("trading/option_contracts.json"), Drift())
    (contract,) = page

    assert (contract.type, contract.style, contract.close_price) == ("call", "american", None)
    assert page.next_token is None
    assert option_contracts.page().read(b'{"option_contracts":[],"next_page_token":"MTAw"}', Drift()).next_token == "MTAw"


CONTRACT = {"id": "1", "symbol": "S", "underlying_symbol": "U", "expiration_date": "2026-06-19", "strike_price": "1.5"}


def test_unreadable_contract_leaves_its_neighbours_and_the_token():
    """A contract without a strike is counted and left out; paging goes on."""
    drift = Drift()
    body = {"option_contracts": [CONTRACT, CONTRACT | {"strike_price": "near"}, CONTRACT | {"id": "3"}], "next_page_token": "MTAw"}
    page = option_contracts.page().read(json.dumps(body).encode(), drift)

    assert [contract.id for contract in page] == ["1", "3"]
    assert (page.unreadable, page.next_token) == (1, "MTAw")
    assert len(drift.counts) == 1


@pytest.mark.parametrize(
    ("body", "token"),
    [
        ({}, None),
        ({"option_contracts": None, "next_page_token": ""}, None),
        ({"next_page_token": 7}, "7"),
    ],
)
def test_page_without_contracts_is_empty(body: dict[str, object], token: str | None):
    """A list that is null or missing is an empty page; a token that is no text still leads on."""
    page = option_contracts.page().read(json.dumps(body).encode(), Drift())

    assert (len(page), page.next_token) == (0, token)


@pytest.mark.parametrize("body", [b"[]", b"7", b'{"option_contracts":{}}', b"<html>", b""])
def test_answer_that_is_no_page_is_not_understood(body: bytes):
    """Another shape, or no JSON at all, is an error and not an empty page."""
    with pytest.raises(WireError, match="option contracts"):
        option_contracts.page().read(body, Drift())


def test_deliverables_are_part_of_a_contract():
    """What changes hands is there where it was asked for; an amount that is not settled yet is None."""
    body = b"""{"id":"1","symbol":"S","underlying_symbol":"U","expiration_date":"2026-06-19","strike_price":"1.5","ppind":true,
        "deliverables":[{"type":"equity","symbol":"U","amount":"100","allocation_percentage":"100"},{"type":"cash","amount":null}]}"""
    contract = option_contracts.get("S").read(body, Drift())

    assert contract.deliverables is not None
    assert [(part.type, part.amount) for part in contract.deliverables] == [("equity", Decimal(100)), ("cash", None)]
    assert contract.ppind is True


def test_filters_are_said_as_the_wire_wants_them():
    """Symbols are a list with commas, bounds are days and plain decimals, switches are true or false."""
    call = option_contracts.page(
        ["AAPL", "SPY"],
        status=Status.ACTIVE,
        expiration_date_gte=date(2026, 3, 2),
        expiration_date_lte=date(2026, 6, 30),
        contract_type=ContractType.PUT,
        style=Style.AMERICAN,
        strike_price_gte=Decimal("1E+2"),
        show_deliverables=True,
        limit=50,
        page_token="MTAw",
    )

    assert (call.method, call.path) == ("GET", "/v2/options/contracts")
    assert dict(call.query) == {
        "underlying_symbols": "AAPL,SPY",
        "status": "active",
        "expiration_date_gte": "2026-03-02",
        "expiration_date_lte": "2026-06-30",
        "type": "put",
        "style": "american",
        "strike_price_gte": "100",
        "show_deliverables": "true",
        "limit": "50",
        "page_token": "MTAw",
    }
    assert option_contracts.get("AAPL250620C00100000").path == "/v2/options/contracts/AAPL250620C00100000"


@pytest.mark.parametrize("limit", [0, 10_001])
def test_page_has_a_size_that_the_broker_allows(limit: int):
    """A page has from 1 to 10 000 contracts."""
    with pytest.raises(ValueError, match=f"limit: {limit} is not from 1 to 10000"):
        option_contracts.page(limit=limit)
