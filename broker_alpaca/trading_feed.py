"""The feed of order events: one connection to the trading socket at a time.

Alpaca does not repeat what was missed and numbers nothing; the core asks for it after every sign-in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from broker_alpaca.config import AlpacaSettings
from broker_alpaca.transport import Socket, Sockets
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.trade_stream import TradeConversation
from broker_core.clock import Clock
from broker_core.models import Channel, SignedIn, Wish
from broker_core.orders import OrderEvent


class TradingFeed:
    """Order events of one account, all of them, also of orders placed elsewhere."""

    name = "trading"
    channels = frozenset({Channel.ORDERS})

    def __init__(self, settings: AlpacaSettings, sockets: Sockets, *, clock: Clock, drift: Drift) -> None:
        self._settings = settings
        self._sockets = sockets
        self._clock = clock
        self._drift = drift
        self._socket: Socket | None = None

    def want(self, wish: Wish) -> None:  # one stream, no symbols: there is nothing to choose
        """Order events are always wanted."""

    async def connect(self) -> AsyncIterator[Sequence[SignedIn | OrderEvent]]:
        """Open one connection. Raises AuthError (refused), RateLimited (too many handshakes), Unavailable."""
        settings = self._settings
        conversation = TradeConversation(settings.key, settings.secret, settings.oauth_token, self._drift)
        async with self._sockets.open(settings.trading_stream_url) as socket:
            self._socket = socket
            try:
                await socket.send(conversation.greeting())
                while True:
                    reply, batch = conversation.hear(await socket.receive(), self._clock.now())
                    if reply is not None:
                        await socket.send(reply)
                    if batch:
                        yield batch
            finally:
                self._socket = None

    async def probe(self) -> bool:
        """Whether there is a connection, and its other side answers a ping."""
        return self._socket is not None and await self._socket.is_alive()
