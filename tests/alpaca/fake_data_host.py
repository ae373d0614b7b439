"""Alpaca's market data as a handler for ``ScriptedHost``: histories in pages, latest values, snapshots, assets, clock and calendar.

It keeps the rules of the published documentation: both ends of a range are included, ``limit`` counts rows over all symbols, pages go
symbol by symbol, sorted, and may be empty with a token set; unknown symbols are simply missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from scripted_host import Reply, Request

Row = Mapping[str, Any]

_PLACES = {"/v2/stocks": "stocks", "/v1beta3/crypto/us": "crypto", "/v1beta3/crypto/eu-1": "crypto", "/v1beta1/options": "options"}
_NOT_FOUND = Reply(404, {"code": 40410000, "message": "not found"})
RECENT = {"code": 42210000, "message": "subscription does not permit querying recent SIP data"}


def bar(at: str, close: float = 1.0, **members: Any) -> dict[str, Any]:
    """A bar of the wire."""
    return {"c": close, "h": close + 1, "l": close - 1, "n": 3, "o": close, "t": at, "v": 10, "vw": close} | members


class DataHost:
    """What there is, by ``stocks``, ``crypto`` or ``options`` and by symbol; a test fills it and hands it to ``ScriptedHost``."""

    def __init__(self) -> None:
        self.history: dict[tuple[str, str], dict[str, list[Row]]] = {}
        """Rows by place and member, as in ``("stocks", "bars")``, and by symbol."""
        self.latest: dict[tuple[str, str], dict[str, Row | None]] = {}
        """The same for the latest values; snapshots are the member ``snapshots``."""
        self.assets: dict[str, Row] = {}
        self.contracts: dict[str, Row] = {}
        self.clock: Row = {}
        self.calendar: list[Row] = []
        self.largest_page = 10_000
        self.has_empty_pages = False
        self.delayed_since: datetime | None = None
        """Requests for stocks of all exchanges that reach beyond this moment are refused."""
        self.asked: list[Request] = []

    def __call__(self, request: Request) -> Reply:
        """Answer one request."""
        self.asked.append(request)
        for prefix, place in _PLACES.items():
            if request.path.startswith(f"{prefix}/"):
                return self._market_data(place, request.path.removeprefix(f"{prefix}/"), request.query)
        return self._trading(request)

    def paths(self, beginning: str = "") -> list[str]:
        """The paths asked for so far."""
        return [request.path for request in self.asked if request.path.startswith(beginning)]

    def _market_data(self, place: str, rest: str, query: Mapping[str, str]) -> Reply:
        symbols = query.get("symbols", "").split(",")
        member = next((part for part in rest.split("/") if part != "latest"), "")
        if rest == "snapshots" or "latest" in rest:
            found = {symbol: row for symbol, row in self.latest.get((place, member), {}).items() if symbol in symbols}
            return Reply(body=found if (place, rest) == ("stocks", "snapshots") else {member: found})
        if place == "stocks" and query.get("feed", "sip") == "sip" and self._is_too_recent(query):
            return Reply(403, RECENT)
        return self._page(member, self.history.get((place, member), {}), symbols, query)

    def _is_too_recent(self, query: Mapping[str, str]) -> bool:
        return self.delayed_since is not None and _moment(query["end"]) > self.delayed_since

    def _page(self, member: str, rows: Mapping[str, list[Row]], symbols: list[str], query: Mapping[str, str]) -> Reply:
        start, end = _moment(query["start"]), _moment(query["end"])
        found = [(symbol, row) for symbol in sorted(symbols) for row in rows.get(symbol, ()) if start <= _moment(row["t"]) <= end]
        first = int(query.get("page_token", "0").removesuffix("!"))
        if self.has_empty_pages and not query.get("page_token", "").endswith("!"):
            return Reply(body={member: {}, "next_page_token": f"{first}!"})
        size = min(self.largest_page, int(query.get("limit", "1000")))
        page: dict[str, list[Row]] = {}
        for symbol, row in found[first : first + size]:
            page.setdefault(symbol, []).append(row)
        following = first + size
        return Reply(body={member: page, "next_page_token": str(following) if following < len(found) else None})

    def _trading(self, request: Request) -> Reply:
        path, query = request.path, request.query
        if path == "/v2/clock":
            return Reply(body=self.clock)
        if path == "/v2/calendar":
            first, last = (date.fromisoformat(query[name]) for name in ("start", "end"))
            return Reply(body=[day for day in self.calendar if first <= date.fromisoformat(day["date"]) <= last])
        if path == "/v2/assets":
            wanted: Callable[[Row], bool] = lambda asset: all(  # noqa: E731  # a name for a condition
                asset[member] == query.get(name, asset[member]) for name, member in (("status", "status"), ("asset_class", "class"))
            )
            return Reply(body=[asset for asset in self.assets.values() if wanted(asset)])
        if named := re.fullmatch(r"/v2/assets/(.+)", path):
            asset = self.assets.get(named[1]) or {key.replace("/", ""): row for key, row in self.assets.items()}.get(named[1])
            return Reply(body=asset) if asset else _NOT_FOUND
        if named := re.fullmatch(r"/v2/options/contracts/(.+)", path):
            return Reply(body=self.contracts[named[1]]) if named[1] in self.contracts else _NOT_FOUND
        return _NOT_FOUND


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def asset(symbol: str, **members: Any) -> dict[str, Any]:
    """An asset of the wire."""
    usual = {"id": f"id-{symbol}", "class": "us_equity", "exchange": "NASDAQ", "symbol": symbol, "name": f"{symbol} Inc."}
    return {**usual, "status": "active", "tradable": True, "fractionable": True, "shortable": True, "attributes": []} | members
