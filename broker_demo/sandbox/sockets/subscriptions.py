"""What one client of a data socket has subscribed to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from broker_demo.sandbox.sockets.feeds import EVERYTHING, FOLLOWERS, UNLISTED, Feed, Market

Wish: TypeAlias = tuple[tuple[str, frozenset[str]], ...]
"""The symbols of each channel of the feed, in the feed's order."""

_COUNTED = ("trades", "quotes")
"""The channels whose symbols a plan limits."""


class Unwanted(Exception):
    """A request that the feed does not take: a code and a message of alpaca-api 13.5."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


INVALID = (400, "invalid syntax")


class Subscriptions:
    """The symbols of each channel. Changes are incremental, and one that is refused changes nothing."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self._symbols: dict[str, frozenset[str]] = dict.fromkeys(feed.market.channels, frozenset())

    @property
    def wish(self) -> Wish:
        """All of it as a value."""
        return tuple(self._symbols.items())

    def change(self, said: Mapping[str, Any], *, most: int | None) -> None:
        """Do what a client's message says, with at most so many symbols of trades and quotes after it. Raises Unwanted."""
        adds = said["action"] == "subscribe"
        wanted = dict(self._symbols)
        for channel, symbols in self._read(said).items():
            wanted[channel] = wanted[channel] | symbols if adds else wanted[channel] - symbols
        if adds and most is not None and self._count(wanted) > most:
            raise Unwanted(405, "symbol limit exceeded")
        self._symbols = wanted

    def acknowledged(self) -> dict[str, Any]:
        """The message that lists everything."""
        listed = {channel: sorted(symbols) for channel, symbols in self._symbols.items() if symbols or channel not in UNLISTED}
        return {"T": "subscription", **listed, **dict.fromkeys(self.feed.market.followers, listed.get("trades", []))}

    def _read(self, said: Mapping[str, Any]) -> dict[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for channel, symbols in said.items():
            if channel == "action" or channel in FOLLOWERS:
                continue
            if not isinstance(symbols, list) or not all(isinstance(symbol, str) and self.feed.names(symbol) for symbol in symbols):
                raise Unwanted(*INVALID)
            if channel in self._symbols:
                found[channel] = frozenset(symbols)
            elif symbols:
                raise Unwanted(410, "invalid subscribe action for this feed")
        if self.feed.market is Market.OPTIONS and EVERYTHING in found.get("quotes", ()):
            raise Unwanted(413, "star subscription is not allowed for option quotes")
        return found

    @staticmethod
    def _count(wanted: Mapping[str, frozenset[str]]) -> float:
        counted = [wanted.get(channel, frozenset()) for channel in _COUNTED]
        return float("inf") if any(EVERYTHING in symbols for symbols in counted) else sum(map(len, counted))
