"""Alpaca's sockets as feeds of the core: one for order events, one for each kind of market data."""

from __future__ import annotations

from collections.abc import Sequence

from broker_alpaca.client import AlpacaClient
from broker_alpaca.data_feed import data_feeds
from broker_alpaca.market_data import AlpacaMarketData
from broker_alpaca.trading_feed import TradingFeed
from broker_alpaca.transport import Sockets
from broker_core.families import Feed


class AlpacaStream:
    """The feeds of one account."""

    def __init__(self, client: AlpacaClient) -> None:
        sockets = Sockets()
        client.close_with(sockets.close)
        trading = TradingFeed(client.settings, sockets, clock=client.clock, drift=client.wire_drift)
        prices = AlpacaMarketData(client)
        data = data_feeds(client.settings, sockets, client.wire_drift, quotes=prices.quotes, trades=prices.trades)
        self.feeds: Sequence[Feed] = (trading, *data)
