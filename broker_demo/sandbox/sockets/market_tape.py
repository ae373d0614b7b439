"""Market data on its way to the data sockets."""

from __future__ import annotations

from broker_core.errors import Unavailable
from broker_demo.prices import Prices
from broker_demo.sandbox.sockets.lines import Lines
from broker_demo.trading_hours import NEVER_NS
from broker_demo.venue import MarketNews


class MarketTape(MarketNews):
    """Sends what the market does to the data sockets that have subscribed to it."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def next_moment(self, prices: Prices, after_ns: int) -> int:  # noqa: ARG002  # to be built
        """The next moment at which there is something to tell."""
        return NEVER_NS

    def tell(self, prices: Prices, after_ns: int, until_ns: int) -> None:
        """Send what the market has done."""

    def stop(self, error: Unavailable | None = None) -> None:
        """The market has stopped: end the sockets."""
