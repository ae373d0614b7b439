"""The market data feeds: where each is reached, what it carries, and under which symbols (alpaca-api 13.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType

import attrs

from broker_demo.prices import Prices
from broker_demo.sandbox.pairs import is_pair

EVERYTHING = "*"
FAKE = "FAKEPACA"
"""The symbol of the test feed."""

_SHARE = re.compile(r"[A-Z0-9][A-Z0-9.-]{0,31}", re.ASCII)
_PAIR = re.compile(r"[A-Z]+x?/[A-Z]+", re.ASCII)
_MINUTES_15_NS = 15 * 60 * 1_000_000_000

FOLLOWERS = ("corrections", "cancelErrors")
"""The channels that follow trades of shares by themselves."""

UNLISTED = ("imbalances",)
"""Channels that an acknowledgement lists only where there are subscriptions to them."""


class Market(Enum):
    """What a feed is about."""

    SHARES = "shares"
    FAKE = "fake"
    CRYPTO = "crypto"
    NEWS = "news"
    OPTIONS = "options"

    @property
    def channels(self) -> Sequence[str]:
        """What can be subscribed to."""
        return _CHANNELS[self]

    @property
    def followers(self) -> Sequence[str]:
        """What comes with trades."""
        return FOLLOWERS if self in (Market.SHARES, Market.FAKE) else ()


_PRICED = ("trades", "quotes", "bars", "updatedBars", "dailyBars")
_CHANNELS: Mapping[Market, Sequence[str]] = MappingProxyType(
    {
        Market.SHARES: (*_PRICED, "statuses", "lulds", *UNLISTED),
        Market.FAKE: (*_PRICED, "statuses", "lulds"),
        Market.CRYPTO: (*_PRICED, "orderbooks"),
        Market.NEWS: ("news",),
        Market.OPTIONS: ("trades", "quotes"),
    }
)


@attrs.frozen
class Feed:
    """One feed. ``delay_ns`` is by how much it is late."""

    path: str
    market: Market
    delay_ns: int = 0

    def names(self, symbol: str) -> bool:
        """Whether this may be a symbol here, listed or not."""
        shape = _PAIR if self.market is Market.CRYPTO else _SHARE
        return symbol == EVERYTHING or shape.fullmatch(symbol) is not None

    def symbols(self, prices: Prices) -> Sequence[str]:
        """All that it has."""
        if self.market is Market.FAKE:
            return (FAKE,)
        return [symbol for symbol in prices.symbols() if is_pair(symbol) == (self.market is Market.CRYPTO)]


FEEDS: Mapping[str, Feed] = MappingProxyType(
    {
        feed.path: feed
        for feed in (
            Feed("/v2/iex", Market.SHARES),
            Feed("/v2/sip", Market.SHARES),
            Feed("/v2/delayed_sip", Market.SHARES, _MINUTES_15_NS),
            Feed("/v2/test", Market.FAKE),
            Feed("/v1beta1/boats", Market.SHARES),
            Feed("/v1beta1/overnight", Market.SHARES),
            Feed("/v1beta1/news", Market.NEWS),
            *(Feed(f"/v1beta3/crypto/{location}", Market.CRYPTO) for location in ("us", "us-1", "us-2", "eu-1", "bs-1")),
            Feed("/v1beta1/opra", Market.OPTIONS),
            Feed("/v1beta1/indicative", Market.OPTIONS),
        )
    }
)
"""All of them, by path."""
