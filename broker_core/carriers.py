"""Which feed to ask for what: channels may be carried by several sockets, told apart by symbol."""

from __future__ import annotations

from collections.abc import Iterable

from broker_core.errors import NotSupported, PluginError
from broker_core.families import Feed
from broker_core.feed_runner import FeedRunner
from broker_core.models import EVERY_SYMBOL, Channel


class Carriers:
    """The feeds of one stream by what they carry, in the order in which the stream has them."""

    def __init__(self) -> None:
        self._of: dict[Channel, dict[FeedRunner, Feed]] = {}

    def add(self, runner: FeedRunner, feed: Feed) -> None:
        """Enter a feed and what runs it. Raises PluginError when a feed before it takes every symbol of one of its channels."""
        for channel in sorted(runner.channels):
            others = self._of.setdefault(channel, {})
            for other, its_feed in others.items():
                if channel is Channel.ORDERS or not hasattr(its_feed, "accepts"):
                    raise PluginError(
                        f"feed {runner.name}: carries {channel}, all of which feed {other.name} carries already; "
                        "give the earlier one `accepts` to tell their symbols apart"
                    )
            others[runner] = feed

    def __contains__(self, channel: Channel) -> bool:
        return channel in self._of

    def all(self, channel: Channel) -> tuple[FeedRunner, ...]:
        """Every feed that carries a channel. Raises NotSupported when there is none."""
        if channel not in self._of:
            raise NotSupported(f"{channel}: the broker's stream carries {', '.join(sorted(self._of)) or 'nothing'}")
        return tuple(self._of[channel])

    def pick(self, channel: Channel, symbol: str) -> FeedRunner:
        """The first feed that carries a channel and accepts the symbol. Raises NotSupported when there is none."""
        self.all(channel)
        runner = self.find(channel, symbol)
        if runner is not None:
            return runner
        if symbol == EVERY_SYMBOL:
            raise NotSupported(f"{channel}: the broker's stream cannot carry every symbol; name each one")
        names = ", ".join(runner.name for runner in self._of[channel])
        raise NotSupported(f"{channel} of {symbol}: no feed of the broker's stream accepts this symbol (asked: {names})")

    def picked(self, runner: FeedRunner, channel: Channel, symbols: Iterable[str]) -> frozenset[str]:
        """Those of these symbols that one feed is asked for."""
        return frozenset(symbol for symbol in symbols if self.find(channel, symbol) is runner)

    def find(self, channel: Channel, symbol: str) -> FeedRunner | None:
        """The same, or None."""
        return next((runner for runner, feed in self._of.get(channel, {}).items() if _accepts(feed, channel, symbol)), None)


def _accepts(feed: Feed, channel: Channel, symbol: str) -> bool:
    if symbol == EVERY_SYMBOL:
        return channel in getattr(feed, "star_channels", ())
    accepts = getattr(feed, "accepts", None)
    return accepts is None or bool(accepts(symbol))
