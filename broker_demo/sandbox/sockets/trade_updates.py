"""Order events on their way to the trading socket."""

from __future__ import annotations

from collections.abc import Sequence

from broker_core.errors import Unavailable
from broker_core.orders import OrderEvent
from broker_demo.exchange import Exchange
from broker_demo.sandbox.sockets.lines import Lines
from broker_demo.venue import OrderNews


class TradeUpdates(OrderNews):
    """Writes down each order event at the moment it happens, and sends it to the trading sockets once the account is saved."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def attach(self, exchange: Exchange) -> None:
        """Begin to listen: to be called once, before anything happens."""

    def tell(self, events: Sequence[OrderEvent]) -> None:
        """Send what was written down."""

    def stop(self, error: Unavailable | None = None) -> None:
        """The market has stopped: end the sockets."""
