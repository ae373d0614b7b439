"""A market data socket that is quiet: whose silence is it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from broker_alpaca.silence import Silence
from broker_core.errors import Unavailable
from broker_core.models import Channel, Quote, Trade


class Host:
    """Tells the latest quote and trade, each of its moment, and what it was asked for."""

    def __init__(self) -> None:
        self.quote_ns = self.trade_ns = 1
        self.asked: list[tuple[str, Sequence[str]]] = []
        self.is_up = True

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        self.asked.append(("quotes", symbols))
        if not self.is_up:
            raise Unavailable("down")
        return {symbol: Quote(symbol, self.quote_ns, 1.0, 1, 2.0, 1) for symbol in symbols}

    async def trades(self, symbols: Sequence[str]) -> Mapping[str, Trade]:
        self.asked.append(("trades", symbols))
        return {symbol: Trade(symbol, self.trade_ns, 1.0, 1) for symbol in symbols}


QUOTES = {Channel.QUOTES: frozenset({"AAPL", "MSFT"})}


async def test_a_market_that_sleeps_is_no_reason_to_leave():
    """As long as nothing is newer at the other host, the socket is fine."""
    host = Host()
    silence = Silence(host.quotes, host.trades)

    assert [await silence.is_the_markets(5, QUOTES) for _ in range(20)] == [True] * 20
    assert host.asked == [("quotes", ["AAPL", "MSFT"])] * 20


async def test_a_socket_that_does_not_bring_what_is_new_is_mute():
    """One newer quote may be on its way; silence that goes on after it is the socket's."""
    host = Host()
    silence = Silence(host.quotes, host.trades)
    answers = []
    for moment in (1, 1, 9, 9):
        host.quote_ns = moment
        answers.append(await silence.is_the_markets(5, QUOTES))

    assert answers == [True, True, True, False]


async def test_a_socket_that_speaks_again_begins_a_silence_of_its_own():
    """What was new before the last frame is no evidence after it."""
    host = Host()
    silence = Silence(host.quotes, host.trades)
    for moment, frames in ((1, 5), (9, 5), (9, 6), (9, 6), (9, 6)):
        host.quote_ns = moment

        assert await silence.is_the_markets(frames, QUOTES)


@pytest.mark.parametrize(
    ("channel", "symbols", "asked"),
    [
        (Channel.TRADES, {"AAPL"}, [("trades", ["AAPL"])]),
        (Channel.BARS, {"AAPL"}, [("trades", ["AAPL"])]),
        (Channel.QUOTES, {"*"}, []),
        (Channel.NEWS, {"AAPL"}, []),
    ],
)
async def test_what_is_asked_for_follows_from_what_is_subscribed(channel: Channel, symbols: set[str], asked: list[tuple[str, list[str]]]):
    """Bars are made of trades; where no latest can be asked for, the socket is trusted."""
    host = Host()

    assert await Silence(host.quotes, host.trades).is_the_markets(1, {channel: frozenset(symbols)})
    assert host.asked == asked


async def test_a_host_that_cannot_be_asked_proves_nothing():
    """While the other host is down the socket is trusted."""
    host = Host()
    silence = Silence(host.quotes, host.trades)
    host.is_up = False

    assert [await silence.is_the_markets(5, QUOTES) for _ in range(5)] == [True] * 5
