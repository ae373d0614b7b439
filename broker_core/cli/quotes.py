"""``broker quote`` and ``broker stream``."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import click

from broker_core.cli.invocation import Invocation, shared_options
from broker_core.cli.items import QUOTE_COLUMNS, Item, event_item
from broker_core.cli.output import Output, cell, number
from broker_core.cli.running import first_of, run
from broker_core.clock import SystemClock, within
from broker_core.models import Channel, Gap, MarketEvent


@click.command()
@click.argument("symbols", metavar="SYMBOL...", nargs=-1, required=True)
@shared_options
@click.pass_obj
def quote(invocation: Invocation, symbols: tuple[str, ...]) -> None:
    """Show the latest quotes."""
    run(invocation, _quote(invocation, symbols))


async def _quote(invocation: Invocation, symbols: tuple[str, ...]) -> None:
    async with invocation.session() as session:
        quotes = await session.market_data.quotes(symbols)
        items = [event_item(quotes[symbol]) for symbol in symbols if symbol in quotes]
        invocation.output.items(items, title="quotes", columns=QUOTE_COLUMNS, empty="no quotes")


@click.command()
@click.argument("symbols", metavar="SYMBOL...", nargs=-1, required=True)
@click.option("--quotes", is_flag=True, help="Follow quotes; so does naming no kind at all.")
@click.option("--trades", is_flag=True, help="Follow trades.")
@click.option("--bars", is_flag=True, help="Follow minute bars.")
@click.option("--daily-bars", is_flag=True, help="Follow the running day's bar.")
@click.option("--updated-bars", is_flag=True, help="Follow minute bars that late trades have changed.")
@click.option("--statuses", is_flag=True, help="Follow halts and resumptions.")
@click.option("--lulds", is_flag=True, help="Follow price bands (limit up, limit down).")
@click.option("--corrections", is_flag=True, help="Follow corrections of trades.")
@click.option("--cancel-errors", is_flag=True, help="Follow trades that are taken back.")
@click.option("--orderbooks", is_flag=True, help="Follow changes of order books.")
@click.option("--imbalances", is_flag=True, help="Follow imbalances of orders.")
@click.option("--news", is_flag=True, help="Follow news.")
@click.option("--count", metavar="N", type=click.IntRange(min=1), help="Stop after N items.")
@click.option("--seconds", metavar="S", type=click.FloatRange(min=0, min_open=True), help="Stop after S seconds.")
@shared_options
@click.pass_obj
def stream(invocation: Invocation, /, symbols: tuple[str, ...], *, count: int | None, seconds: float | None, **kinds: bool) -> None:
    """Follow market data as it happens, until Ctrl-C. Gaps are told on standard error.

    A SYMBOL may be "*" for all of them, where the broker offers that. What is followed depends on the broker.
    """
    channels = [Channel(kind) for kind, is_wanted in kinds.items() if is_wanted]
    run(invocation, _stream(invocation, symbols, channels or [Channel.QUOTES], count, seconds))


async def _stream(
    invocation: Invocation, symbols: tuple[str, ...], channels: Sequence[Channel], count: int | None, seconds: float | None
) -> None:
    output = invocation.output
    async with invocation.session() as session:
        session.stream.on_gap(lambda gap: output.note(_words(gap)))
        left = Countdown(count)
        shows = [_show(output, updates, left) for updates in [session.stream.updates(channel, *symbols) for channel in channels]]
        with suppress(TimeoutError):
            work = first_of(*shows)
            await (work if seconds is None else within(SystemClock(), seconds, work))


class Countdown:
    """How many items are still to be shown, by all kinds together."""

    def __init__(self, count: int | None) -> None:
        self._left = math.inf if count is None else count

    def take(self) -> bool:
        """Take one; False when there was none left."""
        self._left -= 1
        return self._left >= 0

    @property
    def is_over(self) -> bool:
        """Whether none is left."""
        return self._left <= 0


async def _show(output: Output, source: AsyncIterator[MarketEvent], left: Countdown) -> None:
    async for event in source:
        if not left.take():
            return
        item = event_item(event)
        if output.as_json:
            output.item(item)
        else:
            output.line(_line(item))
        if left.is_over:
            return


_UNSAID = ("kind", "symbol", "symbols", "timestamp", "id", "summary", "author", "created_at", "updated_at", "content")
"""What a line for people says elsewhere, or leaves to JSON."""


def _line(item: Item) -> str:
    moment = item["timestamp"].strftime("%H:%M:%S.%f")[:-3]
    about = item["symbol"] if "symbol" in item else " ".join(item["symbols"])
    values = [f"{name.replace('_price', '').replace('_', ' ')} {_value(value)}" for name, value in item.items() if _is_said(name, value)]
    return f"{moment}  {about:<8} {item['kind'].replace('_', ' '):<5}  {'  '.join(values)}"


def _is_said(name: str, value: object) -> bool:
    return name not in _UNSAID and value not in (None, "", ())


def _value(value: object) -> str:
    """A value as a line has it; levels of an order book as price and size."""
    if isinstance(value, tuple) and isinstance(value[0], tuple):
        return " ".join("x".join(map(number, level)) for level in value)
    return cell(value)


def _words(gap: Gap) -> str:
    lost = "; ".join(gap.lost) or "nothing is lost"
    return f"{gap.feed}: gap of {(gap.end - gap.start).total_seconds():.1f} s until {gap.end:%H:%M:%S}Z; {lost}"
