"""``broker clock`` and ``broker calendar``."""

from __future__ import annotations

from datetime import timedelta

import click

from broker_core.cli.invocation import Invocation, shared_options
from broker_core.cli.items import HOURS_COLUMNS, clock_item, hours_item
from broker_core.cli.running import run

_DAYS = 30
"""How many days ``calendar`` looks ahead, from its start, unless it is told an end."""


@click.command()
@shared_options
@click.pass_obj
def clock(invocation: Invocation) -> None:
    """Show whether the market is open, and when that changes."""
    run(invocation, _clock(invocation))


async def _clock(invocation: Invocation) -> None:
    async with invocation.session() as session:
        found = await session.market_data.clock()
        invocation.output.facts(clock_item(found, session.connection), title="market clock")


@click.command()
@click.option("--start", metavar="DAY", help="First day, as YYYY-MM-DD; today by default.")
@click.option("--end", metavar="DAY", help=f"Last day; by default {_DAYS} days after the first.")
@shared_options
@click.pass_obj
def calendar(invocation: Invocation, start: str | None, end: str | None) -> None:
    """List trading days and their hours, in UTC."""
    run(invocation, _calendar(invocation, start, end))


async def _calendar(invocation: Invocation, start: str | None, end: str | None) -> None:
    from broker_core.bar_request import as_day

    async with invocation.session() as session:
        first = as_day("--start", start) if start is not None else (await session.market_data.clock()).at.date()
        last = as_day("--end", end) if end is not None else first + timedelta(days=_DAYS)
        days = await session.market_data.hours(first, last)
        items = [hours_item(day) for day in days]
        title = f"trading days of {session.connection.broker} (UTC)"
        invocation.output.items(items, title=title, columns=HOURS_COLUMNS, empty=f"no trading days from {first} to {last}")
