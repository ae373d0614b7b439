"""What the letters in the records of shares and options mean: only those that the sandbox itself writes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from broker_demo.sandbox.answers import Answer, Host, Refused, found
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.data.auctions import CLOSING_PRINT, OFFICIAL_CLOSE, OFFICIAL_OPEN, OPENING_PRINT
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.route import Route

_EXCHANGES: Mapping[str, str] = MappingProxyType({"N": "New York Stock Exchange", "P": "NYSE Arca", "Q": "NASDAQ"})
_AUCTIONS = MappingProxyType(
    {
        OPENING_PRINT: "Opening Prints",
        OFFICIAL_OPEN: "Market Center Official Open",
        CLOSING_PRINT: "Closing Prints",
        OFFICIAL_CLOSE: "Market Center Official Close",
    }
)
_REGULAR_SALE: Mapping[str, str] = MappingProxyType({"A": " ", "B": " ", "C": "@"})
_QUOTES: Mapping[str, str] = MappingProxyType({"R": "Regular"})


def _stock_exchanges(desk: Desk, call: Call) -> Answer:  # noqa: ARG001  # a handler
    return found(dict(_EXCHANGES))


def _stock_conditions(desk: Desk, call: Call) -> Answer:  # noqa: ARG001  # a handler
    if call.text("tape") is None:
        raise call.bad("tape is required")
    regular_sale = _REGULAR_SALE[call.word("tape", _REGULAR_SALE, "")]
    return found({regular_sale: "Regular Sale", **_AUCTIONS} if _kind(call) == "trade" else dict(_QUOTES))


def _option_conditions(desk: Desk, call: Call) -> Answer:  # noqa: ARG001  # a handler
    _kind(call)
    return found({})


def _option_exchanges(desk: Desk, call: Call) -> Answer:  # noqa: ARG001  # a handler
    return found({})


def _kind(call: Call) -> str:
    kind = call.parts["kind"]
    if kind not in {"trade", "quote"}:
        raise Refused(400, f"invalid ticktype: {kind}")
    return kind


ROUTES = (
    Route("GET", "/v2/stocks/meta/exchanges", _stock_exchanges, Host.DATA),
    Route("GET", "/v2/stocks/meta/conditions/{kind}", _stock_conditions, Host.DATA),
    Route("GET", "/v1beta1/options/meta/exchanges", _option_exchanges, Host.DATA),
    Route("GET", "/v1beta1/options/meta/conditions/{kind}", _option_conditions, Host.DATA),
)
