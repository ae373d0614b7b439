"""Every address of the sandbox's: what can be read, asked in the ways that there are, and what can be changed, refusals included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

NOWHERE = "NOWHERE"
NOTHING = "00000000-0000-4000-8000-000000000000"
"""A name and an id that nothing has."""
_SPAN = "start=2026-02-27T15:00:00Z&end=2026-02-27T15:20:00Z"
_DAYS = "start=2026-02-23&end=2026-02-27"
_SHARES = "symbols=AAPL,MSFT,SPY"
_PAIRS = "symbols=BTC/USD,ETH/USD"
_CONTRACT = "AAPL260320C00200000"

EVERY_GET: Mapping[str, tuple[str, ...]] = {
    "/v2/account": ("",),
    "/v2/account/configurations": ("",),
    "/v2/account/activities": (
        "",
        "?activity_types=FILL&direction=asc&page_size=2",
        "?category=trade_activity&after=2026-03-01",
        "?date=2026-03-02",
    ),
    "/v2/account/activities/{activity_type}": ("FILL", "FILL?page_size=1", "DIV"),
    "/v2/account/portfolio/history": (
        "",
        "?period=1D&timeframe=1Min",
        "?period=1W&timeframe=15Min&intraday_reporting=continuous&pnl_reset=no_reset",
        "?period=1M&timeframe=1D&cashflow_types=ALL",
        "?period=1A&timeframe=1D&extended_hours=true",
        "?start=2026-02-01T00:00:00Z&end=2026-03-01T00:00:00Z&timeframe=1H",
    ),
    "/v2/assets": ("", "?status=active&asset_class=crypto", "?exchange=NYSE", "?asset_class=us_option", "?attributes=has_options"),
    "/v2/assets/{symbol_or_asset_id}": ("AAPL", "{asset_id}", "BTCUSD", "BTC%2FUSD", "DEMO.PARTIAL", NOWHERE),
    "/v2/clock": ("",),
    "/v2/calendar": ("?start=2026-02-23T00:00:00Z&end=2026-02-27T00:00:00Z", "?date_type=SETTLEMENT&start=2026-02-23T00:00:00Z"),
    "/v3/clock": ("", "?markets=NYSE"),
    "/v3/calendar/{market}": ("NYSE", f"NYSE?{_DAYS}"),
    "/v1/locates": ("",),
    "/v1/locates/quotes": ("?symbols=AAPL,TSLA",),
    "/v1/locates/{locate_id}": (NOTHING,),
    "/v2/corporate_actions/announcements": ("?ca_types=Dividend,Split&since=2026-02-01&until=2026-03-01",),
    "/v2/corporate_actions/announcements/{id}": (NOTHING,),
    "/v2/options/contracts": (
        "",
        "?underlying_symbols=AAPL,SPY&limit=5",
        "?underlying_symbols=AAPL&type=put&style=american&status=active&show_deliverables=true",
        "?root_symbol=AAPL&expiration_date_gte=2026-03-05&expiration_date_lte=2026-06-30&strike_price_gte=100&strike_price_lte=400",
    ),
    "/v2/options/contracts/{symbol_or_id}": ("{contract}", "{contract_id}", NOTHING),
    "/v2/orders": (
        "",
        "?status=all&nested=true",
        "?status=all&nested=false&limit=500&direction=asc",
        "?status=closed&symbols=AAPL,BTCUSD&side=sell",
        "?status=all&after=2026-03-02T15:00:00Z&until=2026-03-03T15:00:00Z",
        "?status=all&after_order_id={order_id}&asset_class=crypto",
    ),
    "/v2/orders:by_client_order_id": ("?client_order_id=parent", f"?client_order_id={NOWHERE}"),
    "/v2/orders/{order_id}": ("{order_id}", "{order_id}?nested=true", NOTHING),
    "/v2/positions": ("",),
    "/v2/positions/{symbol_or_asset_id}": ("AAPL", "BTCUSD", "TSLA", "{asset_id}", NOWHERE),
    "/v2/watchlists": ("",),
    "/v2/watchlists/{watchlist_id}": ("{watchlist_id}", NOTHING),
    "/v2/watchlists:by_name": ("?name=mine", f"?name={NOWHERE}"),
    **{
        f"/v2/stocks/{name}": (f"?{_SHARES}&{_SPAN}{more}", f"?{_SHARES}&{_DAYS}&limit=7&sort=desc{more}", f"?symbols=UNHEARD{more}")
        for name, more in (("bars", "&timeframe=5Min&adjustment=all"), ("trades", ""), ("quotes", "&feed=iex"), ("auctions", ""))
    },
    **{
        f"/v2/stocks/{{symbol}}/{name}": (f"AAPL/{name}?{_SPAN}&limit=9{more}", f"SPY/{name}?{_DAYS}&currency=USD{more}&limit=3")
        for name, more in (("bars", "&timeframe=1Day"), ("trades", ""), ("quotes", ""), ("auctions", ""))
    },
    **{f"/v2/stocks/{name}/latest": (f"?{_SHARES}", f"?{_SHARES}&feed=delayed_sip&currency=USD") for name in ("bars", "trades", "quotes")},
    **{f"/v2/stocks/{{symbol}}/{name}/latest": (f"AAPL/{name}/latest",) for name in ("bars", "trades", "quotes")},
    "/v2/stocks/snapshots": (f"?{_SHARES}", "?symbols=UNHEARD"),
    "/v2/stocks/{symbol}/snapshot": ("AAPL/snapshot", "SPY/snapshot?feed=iex"),
    "/v2/stocks/meta/exchanges": ("",),
    "/v2/stocks/meta/conditions/{kind}": ("trade?tape=A", "quote?tape=B", "trade?tape=C"),
    **{
        f"/v1beta3/crypto/{{loc}}/{name}": (f"us/{name}?{_PAIRS}&{_SPAN}{more}", f"eu-1/{name}?{_PAIRS}&{_SPAN}&limit=5&sort=desc{more}")
        for name, more in (("bars", "&timeframe=1Min"), ("trades", ""), ("quotes", ""))
    },
    **{f"/v1beta3/crypto/{{loc}}/latest/{name}": (f"us/latest/{name}?{_PAIRS}",) for name in ("bars", "trades", "quotes", "orderbooks")},
    "/v1beta3/crypto/{loc}/snapshots": (f"us/snapshots?{_PAIRS}",),
    "/v1beta1/news": ("", "?symbols=AAPL,BTCUSD&limit=3&include_content=true&sort=asc&start=2026-02-27T00:00:00Z"),
    "/v1beta1/screener/stocks/most-actives": ("", "?by=trades&top=3"),
    "/v1beta1/screener/{market}/movers": ("stocks/movers", "crypto/movers?top=2"),
    **{f"/v1beta1/options/{name}": (f"?symbols={_CONTRACT}&{_SPAN}&timeframe=1Day",) for name in ("bars", "trades")},
    **{f"/v1beta1/options/{name}/latest": (f"?symbols={_CONTRACT}&feed=indicative",) for name in ("trades", "quotes")},
    "/v1beta1/options/snapshots": (f"?symbols={_CONTRACT}",),
    "/v1beta1/options/snapshots/{underlying}": ("AAPL", "AAPL?type=call&limit=5"),
    "/v1beta1/options/meta/exchanges": ("",),
    "/v1beta1/options/meta/conditions/{kind}": ("trade", "quote"),
    "/v1/corporate-actions": ("", f"?symbols=AAPL&types=cash_dividend&{_DAYS}"),
}
"""To each address as it is routed, what follows its part before the first variable piece. Names in braces are the account's."""


@attrs.frozen
class Change:
    """A request that is to change something, and the status of its answer. ``ending`` is as in ``EVERY_GET``."""

    status: int
    method: str
    address: str
    ending: str = ""
    body: Any = None


_ORDER = {"symbol": "MSFT", "qty": "1", "side": "buy", "type": "limit", "limit_price": "1", "time_in_force": "day"}

EVERY_CHANGE: Sequence[Change] = (
    Change(200, "PATCH", "/v2/account/configurations", body={"no_shorting": True, "trade_confirm_email": "none"}),
    Change(422, "PATCH", "/v2/account/configurations", body={"no_shorting": "yes"}),
    Change(422, "POST", "/v1/locates", body={"symbol": "AAPL", "qty": 100}),
    Change(400, "POST", "/v1/locates", body={"symbol": "AAPL", "qty": 1}),
    Change(403, "POST", "/v2/positions/{symbol_or_contract_id}/exercise", "{contract}/exercise"),
    Change(403, "POST", "/v2/positions/{symbol_or_contract_id}/do-not-exercise", "{contract}/do-not-exercise"),
    Change(200, "POST", "/v2/orders", body=_ORDER),
    Change(422, "POST", "/v2/orders", body={**_ORDER, "notional": "5"}),
    Change(422, "POST", "/v2/orders", body={**_ORDER, "symbol": NOWHERE}),
    Change(422, "POST", "/v2/orders", body={**_ORDER, "limit_price": "1.001"}),
    Change(403, "POST", "/v2/orders", body={**_ORDER, "qty": "1000000000"}),
    Change(403, "POST", "/v2/orders", body={**_ORDER, "side": "sell", "client_order_id": "wash"}),
    Change(200, "PATCH", "/v2/orders/{order_id}", "{resting_id}", {"qty": "4", "client_order_id": "another"}),
    Change(422, "PATCH", "/v2/orders/{order_id}", "{resting_id}", {"qty": "3"}),
    Change(404, "PATCH", "/v2/orders/{order_id}", NOTHING, {"qty": "3"}),
    Change(204, "DELETE", "/v2/orders/{order_id}", "{trailing_id}"),
    Change(422, "DELETE", "/v2/orders/{order_id}", "{trailing_id}"),
    Change(404, "DELETE", "/v2/orders/{order_id}", NOTHING),
    Change(200, "PUT", "/v2/watchlists/{watchlist_id}", "{watchlist_id}", {"name": "renamed", "symbols": ["SPY"]}),
    Change(200, "POST", "/v2/watchlists/{watchlist_id}", "{watchlist_id}", {"symbol": "MSFT"}),
    Change(422, "POST", "/v2/watchlists/{watchlist_id}", "{watchlist_id}", {"symbol": NOWHERE}),
    Change(200, "DELETE", "/v2/watchlists/{watchlist_id}/{symbol}", "{watchlist_id}/SPY"),
    Change(404, "DELETE", "/v2/watchlists/{watchlist_id}", NOTHING),
    Change(204, "DELETE", "/v2/watchlists/{watchlist_id}", "{watchlist_id}"),
    Change(200, "POST", "/v2/watchlists", body={"name": "mine", "symbols": ["AAPL"]}),
    Change(422, "POST", "/v2/watchlists", body={"name": "mine", "symbols": ["AAPL"]}),
    Change(200, "PUT", "/v2/watchlists:by_name", "?name=mine", {"name": "ours", "symbols": ["AAPL", "SPY"]}),
    Change(200, "POST", "/v2/watchlists:by_name", "?name=ours", {"symbol": "BTC/USD"}),
    Change(204, "DELETE", "/v2/watchlists:by_name", "?name=ours"),
    Change(200, "DELETE", "/v2/positions/{symbol_or_asset_id}", "BTCUSD?percentage=50"),
    Change(404, "DELETE", "/v2/positions/{symbol_or_asset_id}", NOWHERE),
    Change(207, "DELETE", "/v2/orders"),
    Change(207, "DELETE", "/v2/positions", "?cancel_orders=true"),
)
"""In this order."""


def path_of(address: str, ending: str, names: Mapping[str, str]) -> str:
    """The path, its query included."""
    return address.partition("{")[0] + ending.format_map(names)
