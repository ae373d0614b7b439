"""``broker quote`` and ``broker stream``."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import click

from broker_core.cli.invocation import Invocation, shared_options
from broker_core.cli.items import QUOTE_COLUMNS, Item, bar_item, quote_item, trade_item
from broker_core.cli.output import Output, number
from broker_core.cli.running import first_of, run
from broker_core.clock import SystemClock, within
from broker_core.models import Gap


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
        items = [quote_item(quotes[symbol]) for symbol in symbols if symbol in quotes]
        invocation.output.items(items, title="quotes", columns=QUOTE_COLUMNS, empty="no quotes")


@click.command()
@click.argument("symbols", metavar="SYMBOL...", nargs=-1, required=True)
@click.option("--quotes", is_flag=True, help="Follow quotes; so does naming no kind at all.")
@click.option("--trades", is_flag=True, help="Follow trades.")
@click.option("--bars", is_flag=True, help="Follow bars.")
@click.option("--count", metavar="N", type=click.IntRange(min=1), help="Stop after N items.")
@click.option("--seconds", metavar="S", type=click.FloatRange(min=0, min_open=True), help="Stop after S seconds.")
@shared_options
@click.pass_obj
def stream(invocation: Invocation, /, symbols: tuple[str, ...], *, count: int | None, seconds: float | None, **kinds: bool) -> None:
    """Follow quotes, trades and bars as they happen, until Ctrl-C. Gaps are told on standard error."""
    if not any(kinds.values()):
        kinds["quotes"] = True
    run(invocation, _stream(invocation, symbols, kinds, count, seconds))


_ITEMS: dict[str, Callable[[Any], Item]] = {"quotes": quote_item, "trades": trade_item, "bars": bar_item}


async def _stream(
    invocation: Invocation, symbols: tuple[str, ...], kinds: dict[str, bool], count: int | None, seconds: float | None
) -> None:
    output = invocation.output
    async with invocation.session() as session:
        session.stream.on_gap(lambda gap: output.note(_words(gap)))
        updates = [(getattr(session.stream, kind)(*symbols), _ITEMS[kind]) for kind, is_wanted in kinds.items() if is_wanted]
        left = Countdown(count)
        shows = [_show(output, source, to_item, left) for source, to_item in updates]
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


async def _show(output: Output, source: AsyncIterator[Any], to_item: Callable[[Any], Item], left: Countdown) -> None:
    async for value in source:
        if not left.take():
            return
        item = to_item(value)
        if output.as_json:
            output.item(item)
        else:
            output.line(_line(item))
        if left.is_over:
            return


def _line(item: Item) -> str:
    moment = item["timestamp"].strftime("%H:%M:%S.%f")[:-3]
    values = [f"{name} {number(value)}" for name, value in item.items() if name not in ("kind", "symbol", "timestamp")]
    return f"{moment}  {item['symbol']:<8} {item['kind']:<5}  {'  '.join(values).replace('_price', '').replace('_', ' ')}"


def _words(gap: Gap) -> str:
    lost = "; ".join(gap.lost) or "nothing is lost"
    return f"{gap.feed}: gap of {(gap.end - gap.start).total_seconds():.1f} s until {gap.end:%H:%M:%S}Z; {lost}"
