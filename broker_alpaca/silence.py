"""Whether a market data socket that answers pings, and brings nothing, has anything to bring.

Nobody can tell a mute socket from a sleeping market by looking at the socket. So the other host is asked for the latest quote or trade of
what is subscribed: at night, on a holiday, in a symbol that nobody trades, it stays the same. One that has become newer might still be on
its way over the socket; when the silence goes on after it, the socket is mute.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from broker_core.errors import BrokerError
from broker_core.models import EVERY_SYMBOL, Channel, Quote, Trade

log = logging.getLogger(__name__)

Latest: TypeAlias = Callable[[Sequence[str]], Awaitable[Mapping[str, Quote | Trade]]]
"""Asks for the latest of some symbols, by symbol."""

_SYMBOLS = 20
"""So many symbols speak for all."""


class Silence:
    """The silence of one socket. ``quotes`` and ``trades`` ask the REST host."""

    def __init__(self, quotes: Latest, trades: Latest) -> None:
        self._quotes = quotes
        self._trades = trades
        self._frames = -1
        self._newest_ns = 0
        self._has_risen = False

    async def is_the_markets(self, frames: int, wish: Mapping[Channel, frozenset[str]]) -> bool:
        """Whether nothing speaks against the socket; to be asked now and then while it is quiet.

        ``frames`` counts what it has brought: another number is another silence. Where the host cannot be asked, the socket is trusted.
        """
        newest_ns = await self._newest(wish)
        if newest_ns is None:
            return True
        if frames != self._frames:
            self._frames, self._newest_ns, self._has_risen = frames, newest_ns, False
            return True
        if self._has_risen:
            log.warning("a market data socket answers pings, but does not bring what is new")
            return False
        self._has_risen = newest_ns > self._newest_ns
        self._newest_ns = newest_ns
        return True

    async def _newest(self, wish: Mapping[Channel, frozenset[str]]) -> int | None:
        """The moment of the latest quote or trade that is subscribed to; bars are made of trades."""
        for channel, ask in ((Channel.QUOTES, self._quotes), (Channel.TRADES, self._trades), (Channel.BARS, self._trades)):
            symbols = sorted(wish.get(channel, frozenset()) - {EVERY_SYMBOL})[:_SYMBOLS]
            if not symbols:
                continue
            try:
                found = await ask(symbols)
            except BrokerError as error:
                log.debug("what is new cannot be asked for: %s", error)
                return None
            return max((item.timestamp_ns for item in found.values()), default=None)
        return None
