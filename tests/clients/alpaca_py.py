"""alpaca-py's own clients, led to a sandbox."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from alpaca.common.rest import RESTClient
from alpaca.data.historical import (
    CryptoHistoricalDataClient,
    NewsClient,
    OptionHistoricalDataClient,
    ScreenerClient,
    StockHistoricalDataClient,
)
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.requests import StockLatestTradeRequest
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, OrderStatus, TimeInForce
from alpaca.trading.models import Order
from alpaca.trading.requests import MarketOrderRequest
from sandboxes import KEY, SECRET

_T = TypeVar("_T")


class AlpacaPy:
    """One of each. Use it as a context manager."""

    def __init__(self, trading_url: str, data_url: str) -> None:
        data: dict[str, Any] = {"api_key": KEY, "secret_key": SECRET, "url_override": data_url}
        self.trading = TradingClient(KEY, SECRET, url_override=trading_url)
        self.stocks = StockHistoricalDataClient(**data)
        self.crypto = CryptoHistoricalDataClient(**data)
        self.options = OptionHistoricalDataClient(**data)
        self.news = NewsClient(**data)
        self.actions = CorporateActionsClient(**data)
        self.screener = ScreenerClient(**data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for client in vars(self).values():
            if isinstance(client, RESTClient):
                # They leave their connections to the garbage collector.
                client._session.close()

    def price(self, symbol: str, part: float = 1.0) -> float:
        """The price of a share's last trade, or a part of it, in whole cents."""
        found = self.stocks.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=symbol))
        return round(found[symbol].price * part, 2)

    def bought(self, symbol: str, qty: float = 10) -> Order:
        """An order at the market that has been filled."""
        order = MarketOrderRequest(symbol=symbol, qty=qty, side=OrderSide.BUY, time_in_force=TimeInForce.GTC)
        return self.once(self.trading.submit_order(order), OrderStatus.FILLED)

    def once(self, order: Order, status: OrderStatus) -> Order:
        """The order, once it has come to this."""
        return until(lambda: self.trading.get_order_by_id(order.id), lambda found: found.status is status)


def until(ask: Callable[[], _T], holds: Callable[[_T], bool]) -> _T:
    """Ask again until the answer is as wanted. What never comes is ended by the test's time limit."""
    while not holds(found := ask()):
        pass
    return found
