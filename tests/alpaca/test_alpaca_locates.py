"""Locates: what is asked for and what comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from broker_alpaca.wire import locates
from broker_alpaca.wire.answers import Answer, error_of
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.locates import Status
from broker_core.errors import InDoubt, RequestRefused

LOCATED = {
    "all_or_none": False,
    "created_at": "2026-01-02T15:04:05Z",
    "expires_at": "2026-01-03T01:00:00Z",
    "id": "550e8400-e29b-41d4-a716-446655440000",
    "limit_price": "0.05",
    "located_price": "0.05",
    "located_qty": 100,
    "requested_qty": 100,
    "status": "active",
    "symbol": "TSLA",
    "total_fee": "5.00",
}


def test_locate_is_read_exactly():
    """Fees keep their digits, moments are UTC; a rejected one has its reason and no fee."""
    drift = Drift()
    done = locates.get("x").read(json.dumps(LOCATED).encode(), drift)
    refused = {"status": "rejected", "total_fee": None, "located_qty": None, "rejection_reason": "inventory_unavailable"}
    rejected = locates.get("x").read(json.dumps(LOCATED | refused).encode(), drift)

    assert (done.located_qty, str(done.total_fee), done.expires_at) == (100, "5.00", datetime(2026, 1, 3, 1, tzinfo=UTC))
    assert (rejected.located_qty, rejected.total_fee, rejected.rejection_reason) == (None, None, "inventory_unavailable")
    assert not drift.counts


def test_page_has_locates_and_a_token():
    """The list is wrapped, and its token leads on."""
    body = json.dumps({"locates": [LOCATED, LOCATED | {"status": "resting"}], "next_page_token": "eyJp"}).encode()
    drift = Drift()
    page = locates.page(status=Status.ACTIVE, symbol="TSLA", start=date(2026, 1, 2), limit=2).read(body, drift)

    assert [found.status for found in page] == ["active", "resting"]
    assert page.next_token == "eyJp"
    assert dict(drift.counts) == {"locates.status: resting": 1}


def test_quotes_say_of_each_symbol_what_it_costs_or_why_not():
    """Symbols that cannot be quoted stand beside those that can; without any, there are none."""
    body = {
        "errors": [{"code": "symbol_not_found", "message": "symbol not found", "symbol": "META"}],
        "quotes": [{"available_qty": 1000, "price": "0.0123", "quoted_at": "2026-01-02T15:04:05Z", "symbol": "TSLA"}],
    }
    found = locates.quotes(["TSLA", "META"]).read(json.dumps(body).encode(), Drift())
    none = locates.quotes(["TSLA"]).read(b'{"quotes":[]}', Drift())

    assert (found.quotes["TSLA"].available_qty, found.quotes["TSLA"].price) == (1000, Decimal("0.0123"))
    assert found.errors["META"].code == "symbol_not_found"
    assert (none.quotes, none.errors) == ({}, {})


def test_what_each_call_asks_for():
    """Method, address and body are those of the published interface; fees are sent as text, quantities as whole numbers."""
    listed = locates.page(status=Status.ACTIVE, symbol="TSLA", start=date(2026, 1, 2), end=date(2026, 1, 3), limit=2, page_token="a")
    made = locates.create("TSLA", 100, limit_price=Decimal("0.05"))

    assert f"{listed} {listed.query_text}" == (
        "GET /v1/locates status=active&symbol=TSLA&start=2026-01-02&end=2026-01-03&limit=2&page_token=a"
    )
    assert f"{locates.get('a-b')}" == "GET /v1/locates/a-b"
    assert (f"{made}", made.body) == ("POST /v1/locates", {"symbol": "TSLA", "qty": 100, "all_or_none": False, "limit_price": "0.05"})
    assert dict(locates.quotes(["TSLA", "GME"]).query) == {"symbols": "TSLA,GME"}


@pytest.mark.parametrize(
    "make",
    [
        lambda: locates.create("TSLA", 0),
        lambda: locates.quotes([]),
        lambda: locates.quotes([f"S{number}" for number in range(101)]),
        lambda: locates.page(limit=0),
        lambda: locates.page(limit=10_001),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_sent(make: Callable[[], object]):
    """No shares, no symbols, too many of them, and pages of no allowed size."""
    with pytest.raises(ValueError, match="is not"):
        make()


def test_refusal_has_a_word_for_a_code():
    """Codes of this part are words; without an answer it is not known whether the fee is due."""
    call = locates.create("AAPL", 100)
    body = b'{"code":"easy_to_borrow","message":"security is easy-to-borrow and does not require a locate"}'
    refused = error_of(call, Answer(422, {}, body), 0.0)

    assert isinstance(refused, RequestRefused)
    assert refused.code == "easy_to_borrow"
    assert isinstance(error_of(call, Answer(504, {}, b""), 0.0), InDoubt)


async def test_locate_is_made_over_either_transport(account_with):
    """201 is a success like 200, and the older version of the path reaches the host as it is."""
    account = await account_with({"POST /v1/locates": (201, LOCATED)})

    found = await account.client.send(locates.create("TSLA", 100))

    assert found.id == LOCATED["id"]
    assert account.asked == [("POST /v1/locates", {"symbol": "TSLA", "qty": 100, "all_or_none": False})]
