"""Listens on the sockets of a real paper account and writes the cassettes of streams anew.

    python tools/record_stream_cassettes.py                   # all of them
    python tools/record_stream_cassettes.py trading_paper     # only these
    python tools/record_stream_cassettes.py --seconds 60      # market data for so long, or until there are enough frames

It takes the credentials where ``broker`` finds them, refuses a live account, and writes nothing that holds a key, an account's number or
an id. For the trading socket it holds the scenario ``orders``: an order for one share of AAPL at 1.50, which is cancelled.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from types import MappingProxyType

import attrs
from cassette_scenarios import SCENARIOS, Names
from record_cassettes import names_of_this_run, paper_account

from broker_alpaca.client import AlpacaClient
from broker_alpaca.config import AlpacaSettings
from broker_alpaca.data_feed import data_feeds
from broker_alpaca.recording.scrubbing import FAKE_ACCOUNT_NUMBER, FAKE_KEY, FAKE_SECRET, Leak, Scrubber
from broker_alpaca.recording.tape import Tape, TapedSockets, word_for
from broker_alpaca.trading_feed import TradingFeed
from broker_alpaca.transport import HttpTransport
from broker_core.clock import SystemClock, seeded, within
from broker_core.errors import BrokerError, ConfigError, Unavailable
from broker_core.families import Feed
from broker_core.models import Channel, StreamItem, Wish
from broker_core.orders import TERMINAL, OrderEvent

FOLDER = Path(__file__).parents[1] / "cassettes" / "stream"
TRADING = "trading_paper"
_TRADING_LIMIT = 60.0
_ORDERS = MappingProxyType({"orders": "*"})


@attrs.frozen
class Part:
    """One socket of market data: which, in which codec, and what is wanted of it."""

    feed: str
    codec: str
    wish: Mapping[str, str]


_STOCKS = {
    **dict.fromkeys(("bars", "cancel_errors", "corrections", "daily_bars", "imbalances", "lulds", "quotes"), "AAPL"),
    "statuses": "*",
    **dict.fromkeys(("trades", "updated_bars"), "AAPL"),
}
PARTS: Mapping[str, Part] = MappingProxyType(
    {
        "stocks_json": Part("stocks", "json", _STOCKS),
        "stocks_msgpack": Part("stocks", "msgpack", _STOCKS),
        "crypto_json": Part("crypto", "json", dict.fromkeys(("orderbooks", "quotes", "trades"), "BTC/USD")),
        # Contracts expire; the trades of all are always there to be asked for.
        "options_msgpack": Part("options", "msgpack", {"trades": "*"}),
        "news_json": Part("news", "json", {"news": "*"}),
    }
)
"""Every socket of market data by the name of its cassette."""


async def record(
    settings: AlpacaSettings, names: Names, wanted: Iterable[str], folder: Path, *, seconds: float = 20.0, frames: int = 60
) -> None:
    """Listen, and put the cassettes into the folder, which is there, each when it is complete. Raises BrokerError, Leak, TimeoutError.

    Market data is taken down for so many seconds, or until there are so many frames.
    """
    if settings.oauth_token is not None:
        raise ConfigError("a cassette signs in with a pair of keys; it takes an account with one")
    client = AlpacaClient(settings, HttpTransport(settings), clock=SystemClock(), random=seeded())
    try:
        account = await client.open()
        made_up = {getattr(names, field.name): getattr(Names(), field.name) for field in attrs.fields(Names)}
        own = {settings.key.reveal(): FAKE_KEY, settings.secret.reveal(): FAKE_SECRET, account.account_id: FAKE_ACCOUNT_NUMBER}
        scrubber = Scrubber({**own, **made_up})
        for name in wanted:
            tape = Tape(client.clock)
            sockets = TapedSockets(tape)
            try:
                if name == TRADING:
                    items = await _trade(client, sockets, names)
                else:
                    items = await _listen(client, sockets, tape, PARTS[name], seconds, frames)
            finally:
                await sockets.close()
            wish = _ORDERS if name == TRADING else PARTS[name].wish
            (folder / f"{name}.jsonl").write_text(tape.written(wish, items, scrubber), encoding="utf-8")
    finally:
        await client.close()


async def _listen(client: AlpacaClient, sockets: TapedSockets, tape: Tape, part: Part, seconds: float, frames: int) -> list[str]:
    settings = attrs.evolve(client.settings, codec=part.codec)
    feed = next(feed for feed in data_feeds(settings, sockets, client.wire_drift) if feed.name == part.feed)
    feed.want(Wish({Channel(channel): frozenset(symbols.split()) for channel, symbols in part.wish.items()}))
    items: list[str] = []

    def take(batch: Sequence[StreamItem]) -> bool:
        items.extend(map(word_for, batch))
        return len(tape) >= frames

    with suppress(TimeoutError):
        await within(client.clock, seconds, _read(feed, take))
    if not items:
        raise Unavailable(f"{part.feed}: no sign-in within {seconds:g} s")
    return items


async def _trade(client: AlpacaClient, sockets: TapedSockets, names: Names) -> list[str]:
    feed = TradingFeed(client.settings, sockets, clock=client.clock, drift=client.wire_drift)
    signed_in = asyncio.Event()
    items: list[str] = []

    def take(batch: Sequence[StreamItem]) -> bool:
        items.extend(map(word_for, batch))
        signed_in.set()
        events = [item for item in batch if isinstance(item, OrderEvent)]
        if any(event.client_order_id != names.order for event in events):
            raise Leak("another program trades with this account, and its orders are nobody's business; record when it is quiet")
        return any(event.status in TERMINAL for event in events)

    async def scenario() -> None:
        await signed_in.wait()
        await SCENARIOS["orders"](client, names)

    await within(client.clock, _TRADING_LIMIT, _both(_read(feed, take), scenario()))
    return items


async def _read(feed: Feed, take: Callable[[Sequence[StreamItem]], bool]) -> None:
    """Hand over what each frame of one connection brings, until one of them is the last."""
    async with aclosing(feed.connect()) as batches:  # type: ignore[type-var]  # the feeds here are generators
        async for batch in batches:
            if take(batch):
                return


async def _both(*works: Awaitable[None]) -> None:
    """Do both at once; what one of them raises ends the other."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def main() -> int:
    """Record, and say what was written."""
    every = [*PARTS, TRADING]
    parser = argparse.ArgumentParser(description="Record the cassettes of streams with a real paper account.")
    parser.add_argument("cassette", nargs="*", choices=[*every, []], help="by default all of them")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to listen to each socket of market data")
    parser.add_argument("--frames", type=int, default=60, help="how many frames of each are enough")
    given = parser.parse_args()
    wanted = given.cassette or every
    try:
        settings = paper_account(os.environ)
        asyncio.run(record(settings, names_of_this_run(), wanted, FOLDER, seconds=given.seconds, frames=given.frames))
    except (BrokerError, Leak, TimeoutError) as error:
        sys.stderr.write(f"record_stream_cassettes: {error}\n")
        return 1
    sys.stdout.write(f"written to {FOLDER}: {', '.join(wanted)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
