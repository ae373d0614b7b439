"""Requests that make no sense, nearly make sense, or make some: for every address of the sandbox, and for every operation of a document."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import attrs
from hypothesis import strategies as st

from broker_demo.sandbox.answers import Host
from broker_demo.sandbox.routes import routes

OPENAPI = Path(__file__).parents[2].parent / "shared" / "reference" / "openapi"
DOCUMENTS: Mapping[Host, str] = {Host.TRADING: "trading-openapi.2026-06.json", Host.DATA: "market-data-openapi.2026-06.json"}
_METHODS = frozenset({"get", "post", "put", "patch", "delete"})
ORDER = "0190b3f2-7c4d-7a5e-9b1a-3c2d1e0f4a5b"
"""Stands for an order that there is; see ``Odd.about``."""

WORDS = (
    *("AAPL", "BTC/USD", "BTCUSD", "BRK.B", "SIM", "REFUSE", "NOPE", "*", ORDER, "AAPL260320C00100000", "us", "stocks", "NYSE", "trade"),
    *(
        "1",
        "0",
        "-1",
        "1.5",
        "1e30",
        "1e-999999",
        "NaN",
        "inf",
        "\u0661",
        "0" * 25 + "7",
        "0" * 20 + "9" * 5000,
        "9" * 5000,
        "0" * 20 + "999999",
        "true",
        "yes",
        "1_0",
    ),
    *("2026-03-02", "2026-02-30", "0001-01-01", "9999-12-31", "2026-03-02T15:00:00Z", "2026-03-02T15:00:00.123456789+24:00"),
    *(
        "1970-01-01",
        "2026-03-02T00:00:00 01:00",
        "1772463600",
        "1Min",
        "59T",
        "0Day",
        "9999M",
        "1D",
        "1W",
        "5A",
        "MzAw",
        "QUFQTHw=",
        "=",
        "ALL",
    ),
    *("asc", "desc", "buy", "sell", "open", "all", "limit", "market", "day", "gtc", "FILL", "dividend", "bracket", "oco"),
    *("", " ", "\0", "\n", "..", "%", "%2f", "a/b", "\u202e", "\ud7ff", "\U0001f600", "x" * 300, "'; DROP", "<b>", "{}", "[]", "null"),
)
"""Texts that mean something somewhere."""
NAMES = (
    *(
        "symbols",
        "symbol",
        "start",
        "end",
        "limit",
        "page_token",
        "sort",
        "feed",
        "timeframe",
        "asof",
        "currency",
        "adjustment",
        "loc",
        "top",
        "by",
    ),
    *(
        "status",
        "after",
        "until",
        "direction",
        "nested",
        "side",
        "asset_class",
        "after_order_id",
        "before_order_id",
        "client_order_id",
        "name",
    ),
    *("qty", "percentage", "cancel_orders", "activity_types", "category", "date", "page_size", "order_id", "period", "intraday_reporting"),
    *(
        "pnl_reset",
        "date_end",
        "cashflow_types",
        "extended_hours",
        "since",
        "ca_types",
        "date_type",
        "underlying_symbols",
        "expiration_date",
    ),
    *(
        "strike_price_gte",
        "strike_price_lte",
        "root_symbol",
        "type",
        "style",
        "ppind",
        "show_deliverables",
        "markets",
        "time",
        "timezone",
        "tape",
    ),
    *("exclude_contentless", "include_content", "expiration_date_gte", "expiration_date_lte", "region", "exchange", "attributes"),
)
KNOWN: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(("symbol", "symbol_or_asset_id"), ("AAPL", "BTCUSD")),
    **dict.fromkeys(("symbols", "underlying_symbols"), ("AAPL", "AAPL,SPY", "BTC/USD")),
    **dict.fromkeys(("order_id", "after_order_id", "before_order_id"), (ORDER,)),
    **dict.fromkeys(("start", "since", "after", "date", "expiration_date_gte"), ("2026-02-27", "2026-03-02T14:00:00Z")),
    **dict.fromkeys(("end", "until", "date_end", "expiration_date_lte"), ("2026-03-02", "2026-03-02T15:00:00Z")),
    **dict.fromkeys(("limit", "page_size", "top"), ("1", "10")),
    "loc": ("us",),
    "market": ("NYSE", "stocks"),
    "market_type": ("crypto",),
    "kind": ("trade",),
    "ticktype": ("quote",),
    "timeframe": ("1Min", "1Day"),
    "period": ("1W", "1M"),
    "activity_type": ("FILL",),
    "ca_types": ("dividend",),
    "qty": ("1",),
    "percentage": ("50",),
    "watchlist_id": (ORDER,),
    "name": ("Mine",),
}
"""What makes sense under a name."""
MEMBERS = (
    *("symbol", "qty", "notional", "side", "type", "time_in_force", "limit_price", "stop_price", "trail_price", "trail_percent", "trail"),
    *(
        "extended_hours",
        "order_class",
        "take_profit",
        "stop_loss",
        "client_order_id",
        "legs",
        "name",
        "symbols",
        "suspend_trade",
        "no_shorting",
    ),
    *("dtbp_check", "max_margin_multiplier", "max_options_trading_level", "fractional_trading", "trade_confirm_email", "position_intent"),
)

texts = st.sampled_from(WORDS) | st.text(max_size=8)
_leaves = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS) | st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
_order = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["AAPL", "BTC/USD", "SPY"]),
        "qty": st.sampled_from(["1", 2, "0.5"]),
        "side": st.sampled_from(["buy", "sell"]),
        "type": st.sampled_from(["market", "limit", "stop", "stop_limit", "trailing_stop"]),
        "time_in_force": st.sampled_from(["day", "gtc", "ioc", "opg"]),
    }
)
_members = st.dictionaries(st.sampled_from(MEMBERS), values, max_size=4)
_objects = _members | st.builds(lambda order, spoilt: {**order, **spoilt}, _order, _members)
_ODD_BODIES = (
    *(
        b"",
        b" ",
        b"{",
        b"}",
        b"null",
        b"[]",
        b'"x"',
        b"1e999",
        b"NaN",
        b"Infinity",
        b"{}{}",
        b"{'a': 1}",
        b'{"qty": NaN}',
        b'{"qty": 1e400}',
    ),
    *(b"\xff\xfe", b"\x00", b"\xef\xbb\xbf{}", b'{"symbol": "\\ud800"}', b'{"symbol": "\xff"}', b'{"a": 1, "a": 2}', b"[" * 100_000),
    *(
        b'{"a":' * 50_000,
        b'{"qty": ' + b"9" * 10_000 + b"}",
        b'{"qty": "' + b"9" * 100_000 + b'"}',
        b"symbol=AAPL&qty=1",
        b"\x82\xa1a\x01\xa1b\x02",
    ),
)
bodies = (
    _objects.map(lambda told: json.dumps(told).encode()) | st.sampled_from(_ODD_BODIES) | values.map(lambda told: json.dumps(told).encode())
)


@attrs.frozen
class Odd:
    """One request. ``path`` is as it goes over the wire, with its query; ``statuses`` those that its document lists."""

    method: str
    path: str
    host: Host
    body: bytes | None = None
    statuses: frozenset[int] = frozenset()

    def about(self, order_id: str) -> Odd:
        """The same with this order's id wherever an order is meant."""
        body = None if self.body is None else self.body.replace(ORDER.encode(), order_id.encode())
        return attrs.evolve(self, path=self.path.replace(ORDER, order_id), body=body)

    def __repr__(self) -> str:
        return f"{self.method} {self.path[:300]} {(self.body or b'')[:300]!r}"


@st.composite
def _filled(draw: st.DrawFn, method: str, template: str, host: Host, names: Sequence[str], told: Mapping[str, Any], has_body: bool) -> Odd:
    """One request to an address: its variable parts, some of its parameters, and a body where it takes one or even where not."""

    def one(name: str) -> str:
        sensible = [st.sampled_from(KNOWN[name])] if name in KNOWN else []
        return draw(st.one_of(*sensible, *([told[name]] if name in told else []), texts))

    path = re.sub(r"\{(\w+)\}", lambda part: quote(one(part[1]), safe="") or "-", template)
    chosen = draw(st.lists(st.sampled_from(names) if names else st.sampled_from(NAMES), max_size=4))
    query = urlencode([(name, one(name)) for name in chosen])
    wants_body = has_body or draw(st.integers(0, 9)) == 0
    return Odd(method, f"{path}?{query}" if query else path, host, draw(bodies) if wants_body else None)


def odd_requests() -> st.SearchStrategy[Odd]:
    """Requests to every address that the sandbox has."""
    return st.one_of(
        [_filled(route.method, route.path, route.host, NAMES, {}, route.method in ("POST", "PUT", "PATCH")) for route in routes()]
    )


def documented_requests(host: Host) -> st.SearchStrategy[Odd]:
    """Requests to every operation of a host's document, by what the document says of each, and not."""
    return st.one_of(
        [
            _filled(method, path, host, names, told, has_body).map(lambda odd, listed=listed: attrs.evolve(odd, statuses=listed))
            for method, path, names, told, has_body, listed in _operations(host)
        ]
    )


@cache
def _document(host: Host) -> Any:
    return json.loads((OPENAPI / DOCUMENTS[host]).read_bytes())


def _operations(host: Host) -> Iterator[tuple[str, str, Sequence[str], Mapping[str, Any], bool, frozenset[int]]]:
    document = _document(host)
    for path, item in document["paths"].items():
        shared = item.get("parameters", [])
        for method in _METHODS & item.keys():
            operation = item[method]
            parameters = [_resolved(document, parameter) for parameter in [*shared, *operation.get("parameters", [])]]
            told = {
                one["name"]: _of_schema(_resolved(document, one.get("schema", {}))) for one in parameters if one["in"] in ("path", "query")
            }
            names = sorted(one["name"] for one in parameters if one["in"] == "query")
            listed = frozenset(int(status) for status in operation["responses"] if status.isdigit())
            yield method.upper(), path, names, told, "requestBody" in operation, listed


def _resolved(document: Any, found: Any) -> Any:
    while "$ref" in found:
        name = found["$ref"]
        found = document
        for step in name.removeprefix("#/").split("/"):
            found = found[step]
    return found


def _of_schema(schema: Mapping[str, Any]) -> st.SearchStrategy[str]:
    """Texts that the schema of a parameter allows, or nearly."""
    if schema.get("enum"):
        return st.sampled_from([str(word) for word in schema["enum"]])
    kind = schema.get("type")
    if kind == "integer":
        least, most = int(schema.get("minimum", -5)), int(schema.get("maximum", 20_000))
        return st.integers(least - 1, most + 1).map(str)
    if kind == "number":
        return st.floats().map(str)
    if kind == "boolean":
        return st.sampled_from(["true", "false", "True", "1", "yes"])
    given = [schema[name] for name in ("example", "default") if name in schema]
    return st.sampled_from([str(value) for value in given]) if given else texts


ALLOWED: Collection[int] = frozenset({200, 201, 204, 207, 400, 403, 404, 405, 413, 422})
"""What an answer may say where nothing is listed: the documents leave most refusals out (of the trading host they list hardly any)."""


def complaint(odd: Odd, status: int, body: bytes) -> str | None:
    """What is wrong with an answer to a request of the right keys; None where nothing is."""
    if status >= 500 or status not in (odd.statuses | ALLOWED):
        return f"status {status}"
    if status == 204:
        return "a body with 204" if body else None
    try:
        told = json.loads(body)
    except ValueError:
        return f"no JSON: {body[:200]!r}"
    if status < 400:
        return None
    if not isinstance(told, dict) or not isinstance(told.get("message"), str) or not told["message"]:
        return f"no message: {body[:200]!r}"
    code = told.get("code")
    if odd.host is Host.TRADING and not odd.path.startswith("/v1/locates") and (not isinstance(code, int) or isinstance(code, bool)):
        return f"no code: {body[:200]!r}"
    return None
