"""Locates (alpaca-api: Locates): the demo exchange needs none, because whatever may be sold short there is easy to borrow.

These addresses refuse with a word for a code, or with none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from broker_demo.sandbox.answers import Answer, Refused, found
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.route import Route

_EASY = "security is easy-to-borrow and does not require a locate"
_LOT = 100
_MOST_SYMBOLS = 100


def get_locates(desk: Desk, call: Call) -> Answer:  # noqa: ARG001  # every address is answered by a function of both
    """``GET /v1/locates``: there never were any."""
    return found({"locates": [], "next_page_token": None})


def make_locate(desk: Desk, call: Call) -> Answer:
    """``POST /v1/locates``: refused, for what reason depends on the symbol."""
    try:
        told = call.json()
    except Refused:
        return _refused(400, "invalid_request_body", "failed to decode request body")
    symbol, qty = told.get("symbol"), told.get("qty")
    if not isinstance(symbol, str) or not symbol:
        return _refused(400, "invalid_input", "symbol is required")
    if not isinstance(qty, int) or isinstance(qty, bool) or qty < _LOT or qty % _LOT:
        return _refused(400, "invalid_input", "qty must be a positive multiple of 100")
    problem = _problem(desk, symbol)
    return _refused(422, problem["code"], problem["message"])


def get_locate(desk: Desk, call: Call) -> Answer:  # noqa: ARG001  # every address is answered by a function of both
    """``GET /v1/locates/{locate_id}``."""
    raise Refused(404, "locate not found")


def get_quotes(desk: Desk, call: Call) -> Answer:
    """``GET /v1/locates/quotes``: for each symbol, why it has none."""
    symbols = call.listed("symbols")
    if not 1 <= len(symbols) <= _MOST_SYMBOLS:
        return _refused(400, "invalid_symbols", f"symbols must name 1 to {_MOST_SYMBOLS} symbols")
    return found({"quotes": [], "errors": [_problem(desk, symbol) for symbol in symbols]})


def _problem(desk: Desk, symbol: str) -> dict[str, Any]:
    asset = desk.prices.asset(symbol)
    if asset is None:
        return {"symbol": symbol, "code": "symbol_not_found", "message": "symbol not found"}
    if not asset.shortable:
        return {"symbol": symbol, "code": "quote_unavailable", "message": "security cannot be sold short"}
    return {"symbol": symbol, "code": "easy_to_borrow", "message": _EASY}


def _refused(status: int, code: str, message: str) -> Answer:
    return Answer(status, msgspec.json.encode({"code": code, "message": message}))


ROUTES: Sequence[Route] = (
    Route("GET", "/v1/locates", get_locates),
    Route("POST", "/v1/locates", make_locate),
    Route("GET", "/v1/locates/quotes", get_quotes),
    Route("GET", "/v1/locates/{locate_id}", get_locate),
)
