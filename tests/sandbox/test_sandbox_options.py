"""Option contracts over the wire, and what else the demo exchange has to look at but not to trade: announcements, locates."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sandboxes import Visitor, sandbox

from broker_core.clock import StillClock

PATH = "/v2/options/contracts"
MONTH = {"expiration_date_gte": "2026-03-01", "limit": 10_000}


async def contracts(visitor: Visitor, **query: Any) -> list[Any]:
    """The contracts of one page."""
    reply = await visitor.get(PATH, **query)
    assert reply.status == 200, reply.body
    return list(reply.json["option_contracts"])


async def test_contracts_are_named_by_what_they_are(visitor: Visitor):
    """Symbol, name and terms of a contract agree; ids and symbols name one contract each, and both lead to it."""
    told = await contracts(visitor, **MONTH)

    for contract in told:
        root, day, kind, strike = contract["symbol"][:-15], contract["symbol"][-15:-9], contract["symbol"][-9], contract["symbol"][-8:]
        assert contract["underlying_symbol"] == contract["root_symbol"] == root
        assert date.fromisoformat(contract["expiration_date"]).strftime("%y%m%d") == day
        assert date.fromisoformat(contract["expiration_date"]).weekday() == 4
        assert (contract["type"][0].upper(), Decimal(contract["strike_price"]) * 1000) == (kind, Decimal(strike))
    assert len({contract["symbol"] for contract in told}) == len({contract["id"] for contract in told}) == len(told) > 400
    chosen = told[17]
    for name in (chosen["symbol"], chosen["id"]):
        found = (await visitor.get(f"{PATH}/{name}")).json
        assert found.pop("deliverables")[0]["asset_id"] == chosen["underlying_asset_id"]
        assert found == chosen
    asset = (await visitor.get(f"/v2/assets/{chosen['underlying_asset_id']}")).json
    assert (asset["symbol"], asset["attributes"]) == (chosen["underlying_symbol"], ["has_options"])


async def test_contracts_are_chosen_by_their_terms(visitor: Visitor):
    """Without a day they end before the weekend; each other query leaves only what it says."""
    everything = await contracts(visitor, **MONTH)

    async def chosen(**query: Any) -> list[Any]:
        found = await contracts(visitor, **{**MONTH, **query})
        assert 0 < len(found) < len(everything)
        return found

    assert {contract["expiration_date"] for contract in await contracts(visitor, limit=10_000)} == {"2026-03-06"}
    assert {contract["expiration_date"] for contract in await chosen(expiration_date="2026-03-13")} == {"2026-03-13"}
    assert max(contract["expiration_date"] for contract in await chosen(expiration_date_lte="2026-03-15")) == "2026-03-13"
    assert {contract["underlying_symbol"] for contract in await chosen(underlying_symbols="TSLA,SPY,NOPE")} == {"TSLA", "SPY"}
    assert {contract["root_symbol"] for contract in await chosen(root_symbol="AAPL")} == {"AAPL"}
    assert {contract["type"] for contract in await chosen(type="put")} == {"put"}
    assert min(Decimal(contract["strike_price"]) for contract in await chosen(strike_price_gte="300")) >= 300
    assert max(Decimal(contract["strike_price"]) for contract in await chosen(strike_price_lte="300.5")) <= Decimal("300.5")
    assert all("deliverables" in contract for contract in await contracts(visitor, show_deliverables="true"))
    assert {contract["expiration_date"] for contract in await chosen(expiration_date_lte="2026-03-06")} == {"2026-03-06"}
    assert {contract["strike_price"] for contract in await chosen(strike_price_gte="230", strike_price_lte="230")} == {"230"}
    for nothing in ({"status": "inactive"}, {"style": "european"}, {"ppind": "false"}):
        assert await contracts(visitor, **nothing) == []


async def test_on_a_weekend_the_coming_one_bounds():
    """What ended the day before is gone, and the next Friday's contracts are told."""
    async with sandbox(StillClock(datetime(2026, 3, 7, 15, 0, tzinfo=UTC))) as box, Visitor(box) as visitor:
        assert {contract["expiration_date"] for contract in await contracts(visitor)} == {"2026-03-13"}
        assert min(contract["expiration_date"] for contract in await contracts(visitor, **MONTH)) == "2026-03-13"


async def test_pages_of_contracts_are_all_of_them_once(visitor: Visitor):
    """A page's token leads to the next one; the last one has none."""
    told: list[str] = []
    query: dict[str, Any] = {"limit": len(await contracts(visitor, limit=10_000)) // 12}
    while True:
        page = (await visitor.get(PATH, **query)).json
        assert len(page["option_contracts"]) == query["limit"]
        told += [contract["symbol"] for contract in page["option_contracts"]]
        if page["next_page_token"] is None:
            break
        query["page_token"] = page["next_page_token"]

    assert told == [contract["symbol"] for contract in await contracts(visitor, limit=10_000)]
    assert len(told) == 12 * query["limit"]


async def test_no_contract_can_be_exercised(visitor: Visitor):
    """Nobody holds any; a name that is no contract's is refused as such."""
    (contract, *_) = await contracts(visitor)

    for act in ("exercise", "do-not-exercise"):
        held = await visitor.post(f"/v2/positions/{contract['symbol']}/{act}")
        unknown = await visitor.post(f"/v2/positions/AAPL/{act}")
        assert (held.status, held.json) == (403, {"code": 40310000, "message": "no available position for the specified contract"})
        assert (unknown.status, unknown.json) == (422, {"code": 42210000, "message": "invalid symbol"})


ANNOUNCED = "/v2/corporate_actions/announcements"


async def test_no_company_announces_anything(visitor: Visitor):
    """The list is empty for either way to write a kind, and no id leads anywhere."""
    for kinds in ("dividend,split", "Dividend,Spinoff"):
        assert (await visitor.get(ANNOUNCED, ca_types=kinds, since="2026-01-01", until="2026-03-31")).json == []
    assert (await visitor.get(f"{ANNOUNCED}/7")).json == {"code": 40410000, "message": "announcement not found for 7"}


async def test_no_locate_is_needed(visitor: Visitor):
    """These addresses refuse with words for codes, and list nothing."""
    made = await visitor.post("/v1/locates", {"symbol": "AAPL", "qty": 100})
    quotes = (await visitor.get("/v1/locates/quotes", symbols="AAPL,NOPE")).json

    assert (made.status, made.json["code"]) == (422, "easy_to_borrow")
    assert (await visitor.post("/v1/locates", {"symbol": "AAPL", "qty": 150})).json["code"] == "invalid_input"
    assert (await visitor.post("/v1/locates", b"[")).json["code"] == "invalid_request_body"
    assert (await visitor.get("/v1/locates")).json == {"locates": [], "next_page_token": None}
    assert [error["code"] for error in quotes["errors"]] == ["easy_to_borrow", "symbol_not_found"]
    missing = await visitor.get("/v1/locates/00000000-0000-4000-8000-000000000000")
    assert (missing.status, missing.json) == (404, {"message": "locate not found"})


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        (f"{PATH}/AAPL", 404, "option contract AAPL not found"),
        (f"{PATH}?type=both", 422, "invalid type: both"),
        (f"{PATH}?limit=0", 422, "invalid limit: 0 is not between 1 and 10000"),
        (f"{PATH}?strike_price_gte=much", 422, "invalid strike_price_gte: much"),
        (f"{PATH}?page_token=%21", 422, "invalid page_token: !"),
        (f"{ANNOUNCED}?since=2026-01-01&until=2026-01-02", 422, "ca_types is required"),
        (f"{ANNOUNCED}?ca_types=Rumour", 422, "invalid ca_types: Rumour"),
        (f"{ANNOUNCED}?ca_types=Split&since=2026-01-01", 422, "since and until are required"),
        (f"{ANNOUNCED}?ca_types=Split&since=2026-01-02&until=2026-01-01", 422, "the date range is limited to 90 days"),
        (f"{ANNOUNCED}?ca_types=Split&since=2026-01-01&until=2026-04-02", 422, "the date range is limited to 90 days"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(visitor: Visitor, path: str, status: int, message: str):
    """The refusal says what is wrong with it."""
    reply = await visitor.get(path)

    assert (reply.status, reply.json["message"]) == (status, message)
