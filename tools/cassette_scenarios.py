"""The conversations that are kept as cassettes. They are held with a real paper account to record them, and with the cassettes in tests.

A scenario asks for the same things each time it is held: moments are fixed, and the names it makes up are handed in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any

import attrs

from broker_alpaca.client import AlpacaClient
from broker_alpaca.market_data import AlpacaMarketData
from broker_alpaca.orders import AlpacaOrders
from broker_alpaca.sync import AlpacaSync
from broker_alpaca.wire import account, activities, assets, bars, portfolio, positions
from broker_alpaca.wire.activities import Direction
from broker_core.errors import RemoteError
from broker_core.orders import Order, State
from broker_core.requests import LimitOrder, Side

_LISTED, _CRYPTO, _UNKNOWN = "AAPL", "BTC/USD", "ZZZZZZ"
_MOST_PAGES = 3


@attrs.frozen
class Names:
    """What a recording calls its orders and lists. Alpaca takes a client order id once and never again."""

    order: str = "cassette-order"
    refused: str = "cassette-refused"
    unknown: str = "cassette-unknown"
    watchlist: str = "cassette-list"


Scenario = Callable[[AlpacaClient, Names], Awaitable[Mapping[str, Any]]]


async def refusal(work: Awaitable[object]) -> RemoteError | None:
    """The error that this ends in, or None."""
    try:
        await work
    except RemoteError as error:
        return error
    return None


async def the_account(client: AlpacaClient, _: Names) -> Mapping[str, Any]:
    """The account as it is opened, its configuration, and its worth in the past week."""
    return {
        "opened": await client.open(),
        "configuration": await client.send(account.configuration()),
        "history": await client.send(portfolio.history(period="1W", timeframe="1D")),
    }


async def the_positions(client: AlpacaClient, _: Names) -> Mapping[str, Any]:
    """All positions, and one of something that is not held."""
    return {"held": await AlpacaSync(client).positions(), "refusal": await refusal(client.send(positions.get(_UNKNOWN)))}


async def the_orders(client: AlpacaClient, names: Names) -> Mapping[str, Any]:
    """A limit order far below the market, found, listed, sent a second time, cancelled; and one that is refused."""
    orders = AlpacaOrders(client)
    order = _order(names.order, "1.50")
    return {
        "submitted": await orders.submit(order),
        "found": await orders.find(names.order),
        "listed": await orders.listing(None),
        "duplicate": await refusal(orders.submit(order)),
        "refusal": await refusal(orders.submit(_order(names.refused, "1.505"))),
        "unknown": await orders.find(names.unknown),
        "cancelled": await orders.cancel(order),
        "ended": await orders.find(names.order),
    }


def _order(client_order_id: str, limit_price: str) -> Order:
    request = LimitOrder(_LISTED, Side.BUY, qty=1, limit_price=limit_price)
    moment = datetime(2026, 3, 2, tzinfo=UTC)
    return Order(local_id=client_order_id, request=request, state=State.PENDING, created_at=moment, updated_at=moment)


async def the_watchlists(client: AlpacaClient, names: Names) -> Mapping[str, Any]:
    """A list from its making to its end."""
    lists, name = client.watchlists, names.watchlist
    return {
        "created": await lists.create(name, [_LISTED]),
        "added": await lists.add(name, "MSFT"),
        "removed": await lists.remove(name, _LISTED),
        "shown": await lists.get(name),
        "all": await lists.list_all(),
        "deleted": await lists.delete(name),
        "gone": await refusal(lists.get(name)),
    }


async def the_activities(client: AlpacaClient, _: Names) -> Mapping[str, Any]:
    """The first fills, two on a page, and the first money that came and went."""
    pages = []

    def fills(token: str | None) -> Any:
        return activities.page(activities.FILL, direction=Direction.OLDEST_FIRST, page_size=2, page_token=token)

    async for page in client.pages(fills, lambda page: page.next_token):
        pages.append(page)
        if len(pages) == _MOST_PAGES:
            break
    money = activities.page(types=["CSD", "CSW", "DIV", "FEE"], direction=Direction.OLDEST_FIRST, page_size=2)
    return {"fills": pages, "money": await client.send(money)}


async def the_bars(client: AlpacaClient, _: Names) -> Mapping[str, Any]:
    """Bars of two stocks and a crypto pair in the first week of 2024, five on a page."""
    part: Any = {"start": datetime(2024, 1, 2, tzinfo=UTC), "end": datetime(2024, 1, 6, tzinfo=UTC), "limit": 5}

    def stocks(token: str | None) -> Any:
        return bars.stocks([_LISTED, "MSFT"], "1Day", adjustment="raw", feed="sip", page_token=token, **part)

    return {
        "stocks": [page async for page in client.pages(stocks, lambda page: page.next_token)],
        "crypto": await client.send(bars.crypto([_CRYPTO], "1Day", **part)),
    }


async def the_snapshots(client: AlpacaClient, _: Names) -> Mapping[str, Any]:
    """What is known now of a stock and a crypto pair."""
    return {"snapshots": await AlpacaMarketData(client).snapshots([_LISTED, _CRYPTO])}


async def the_market(client: AlpacaClient, _: Names) -> Mapping[str, Any]:
    """The clock, and a week with a half day and a holiday."""
    market = AlpacaMarketData(client)
    return {"clock": await market.clock(), "hours": await market.hours(date(2024, 7, 1), date(2024, 7, 5))}


async def the_assets(client: AlpacaClient, _: Names) -> Mapping[str, Any]:
    """A stock, a crypto pair, something unknown, and all crypto pairs."""
    market = AlpacaMarketData(client)
    return {
        "stock": await market.asset(_LISTED),
        "pair": await market.asset(_CRYPTO),
        "unknown": await market.asset(_UNKNOWN),
        "pairs": await client.send(assets.list_all(status=assets.Status.ACTIVE, asset_class="crypto")),
    }


SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        "account": the_account,
        "positions": the_positions,
        "orders": the_orders,
        "watchlists": the_watchlists,
        "activities": the_activities,
        "bars": the_bars,
        "snapshots": the_snapshots,
        "market": the_market,
        "assets": the_assets,
    }
)
"""Every scenario by the name of its cassette, in the order in which they are recorded."""
