"""Option contracts (alpaca-api: Option contracts), and why none can be exercised: none is ever held."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from broker_demo.sandbox.answers import Answer, Refused, decimal_text, found, missing
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.identity import identity
from broker_demo.sandbox.route import Route
from broker_demo.sandbox.trading.option_chain import OptionContract, contracts
from broker_demo.trading_hours import new_york_day

_PAGE = 100
_LARGEST_PAGE = 10_000
_SATURDAY = 5


def get_contracts(desk: Desk, call: Call) -> Answer:
    """``GET /v2/options/contracts``: those that end before the coming weekend, unless other days are asked for."""
    limit = call.whole("limit", default=_PAGE, least=1, most=_LARGEST_PAGE)
    first = _offset(call)
    chosen = _chosen(desk, call)
    page = chosen[first : first + limit]
    with_deliverables = call.flag("show_deliverables")
    return found(
        {
            "option_contracts": [contract_record(contract, with_deliverables=with_deliverables) for contract in page],
            "next_page_token": _token(first + limit) if first + limit < len(chosen) else None,
        }
    )


def _chosen(desk: Desk, call: Call) -> Sequence[OptionContract]:
    today = new_york_day(desk.now_ns())
    underlyings, root = call.listed("underlying_symbols"), call.text("root_symbol")
    day, first, last = call.day("expiration_date"), call.day("expiration_date_gte"), call.day("expiration_date_lte")
    if day is None and first is None and last is None:
        last = _coming_saturday(today)
    kind = call.word("type", ("call", "put"), "")
    lowest, highest = call.amount("strike_price_gte"), call.amount("strike_price_lte")
    # All of them are active, American, and in the Penny Program.
    is_active = call.word("status", ("active", "inactive"), "active") == "active"
    is_american = call.word("style", ("american", "european"), "american") == "american"
    if not (is_active and is_american and call.flag("ppind", default=True)):
        return []
    return [
        contract
        for contract in _listed(desk, today)
        if (not underlyings or contract.underlying in underlyings)
        and root in (None, contract.underlying)
        and day in (None, contract.expiration)
        and (first is None or contract.expiration >= first)
        and (last is None or contract.expiration <= last)
        and kind in ("", contract.kind)
        and (lowest is None or contract.strike >= lowest)
        and (highest is None or contract.strike <= highest)
    ]


def _coming_saturday(today: date) -> date:
    return today + timedelta(days=(_SATURDAY - today.weekday()) % 7 or 7)


def _listed(desk: Desk, today: date) -> Sequence[OptionContract]:
    return contracts(lambda symbol: desk.prices.asset(symbol) is not None, today)


def get_contract(desk: Desk, call: Call) -> Answer:
    """``GET /v2/options/contracts/{symbol_or_id}``."""
    name = call.parts["symbol_or_id"]
    contract = _contract(desk, name)
    if contract is None:
        raise missing(f"option contract {name} not found")
    return found(contract_record(contract, with_deliverables=True))


def exercise(desk: Desk, call: Call) -> Answer:
    """``POST /v2/positions/{symbol_or_contract_id}/exercise`` and ``/do-not-exercise``."""
    if _contract(desk, call.parts["symbol_or_contract_id"]) is None:
        raise Refused(422, "invalid symbol", code=42210000)
    raise Refused(403, "no available position for the specified contract", code=40310000)


def _contract(desk: Desk, name: str) -> OptionContract | None:
    chain = _listed(desk, new_york_day(desk.now_ns()))
    return next((contract for contract in chain if name in (contract.symbol, contract.contract_id)), None)


def _token(offset: int) -> str:
    return base64.b64encode(str(offset).encode()).decode()


def _offset(call: Call) -> int:
    token = call.text("page_token")
    if token is None:
        return 0
    try:
        offset = base64.b64decode(token, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        offset = ""
    if not offset.isdecimal():
        raise call.bad(f"invalid page_token: {token}")
    return int(offset[:9])


def contract_record(contract: OptionContract, *, with_deliverables: bool) -> dict[str, Any]:
    """The contract as the wire has it. It never traded, so there is no close and no open interest to tell."""
    underlying_id, strike = identity("asset", contract.underlying), decimal_text(contract.strike)
    record: dict[str, Any] = {
        "id": contract.contract_id,
        "symbol": contract.symbol,
        "name": f"{contract.underlying} {contract.expiration:%b %d %Y} {strike} {contract.kind.capitalize()}",
        "status": "active",
        "tradable": False,
        "expiration_date": contract.expiration.isoformat(),
        "root_symbol": contract.underlying,
        "underlying_symbol": contract.underlying,
        "underlying_asset_id": underlying_id,
        "type": contract.kind,
        "style": "american",
        "strike_price": strike,
        "multiplier": "100",
        "size": "100",
    }
    if with_deliverables:
        record["deliverables"] = [
            {
                "type": "equity",
                "symbol": contract.underlying,
                "asset_id": underlying_id,
                "amount": "100",
                "allocation_percentage": "100",
                "settlement_type": "T+1",
                "settlement_method": "CCC",
                "delayed_settlement": False,
            }
        ]
    return record


_HELD = "/v2/positions/{symbol_or_contract_id}"
ROUTES: Sequence[Route] = (
    Route("GET", "/v2/options/contracts", get_contracts),
    Route("GET", "/v2/options/contracts/{symbol_or_id}", get_contract),
    Route("POST", f"{_HELD}/exercise", exercise),
    Route("POST", f"{_HELD}/do-not-exercise", exercise),
)
