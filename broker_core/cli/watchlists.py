"""``broker watchlist``: list, show, create, add, remove, delete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import click

from broker_core.cli.invocation import Invocation, shared_options
from broker_core.cli.items import WATCHLIST_COLUMNS, watchlist_item
from broker_core.cli.running import run
from broker_core.watchlists import Watchlist, Watchlists

_WHICH = click.argument("name", metavar="NAME")
_SYMBOLS = click.argument("symbols", metavar="SYMBOL...", nargs=-1, required=True)


@click.group()
@shared_options
def watchlist() -> None:
    """Show and change the account's lists of symbols. A list is named by its NAME or its id."""


@watchlist.command("list")
@shared_options
@click.pass_obj
def list_all(invocation: Invocation) -> None:
    """List the lists; what is on one says `show`."""
    run(invocation, _list(invocation))


async def _list(invocation: Invocation) -> None:
    async with invocation.session() as session:
        items = [watchlist_item(found, is_listed=True) for found in await session.watchlists.list_all()]
        title = f"watchlists of {session.connection.account_id} ({session.connection.environment})"
        invocation.output.items(items, title=title, columns=WATCHLIST_COLUMNS, empty="no watchlists")


@watchlist.command()
@_WHICH
@shared_options
@click.pass_obj
def show(invocation: Invocation, name: str) -> None:
    """Show one list with its symbols."""
    run(invocation, _show(invocation, lambda lists: lists.get(name)))


@watchlist.command()
@_WHICH
@click.argument("symbols", metavar="[SYMBOL]...", nargs=-1)
@shared_options
@click.pass_obj
def create(invocation: Invocation, name: str, symbols: tuple[str, ...]) -> None:
    """Make a list, empty or with these symbols."""
    run(invocation, _show(invocation, lambda lists: lists.create(name, symbols)))


@watchlist.command()
@_WHICH
@_SYMBOLS
@shared_options
@click.pass_obj
def add(invocation: Invocation, name: str, symbols: tuple[str, ...]) -> None:
    """Put symbols on a list, one after the other; the first that is refused ends it."""
    run(invocation, _show(invocation, *(partial(_add, name, symbol) for symbol in symbols)))


def _add(name: str, symbol: str, lists: Watchlists) -> Awaitable[Watchlist]:
    return lists.add(name, symbol)


@watchlist.command()
@_WHICH
@_SYMBOLS
@shared_options
@click.pass_obj
def remove(invocation: Invocation, name: str, symbols: tuple[str, ...]) -> None:
    """Take symbols off a list, one after the other; the first that is refused ends it."""
    run(invocation, _show(invocation, *(partial(_remove, name, symbol) for symbol in symbols)))


def _remove(name: str, symbol: str, lists: Watchlists) -> Awaitable[Watchlist]:
    return lists.remove(name, symbol)


async def _show(invocation: Invocation, *steps: Callable[[Watchlists], Awaitable[Watchlist]]) -> None:
    """Take these steps in their order and show the list as the last one left it."""
    async with invocation.session() as session:
        for step in steps:
            found = await step(session.watchlists)
        invocation.output.facts(watchlist_item(found), title="watchlist")


@watchlist.command()
@_WHICH
@shared_options
@click.pass_obj
def delete(invocation: Invocation, name: str) -> None:
    """Delete a list for good."""
    run(invocation, _delete(invocation, name))


async def _delete(invocation: Invocation, name: str) -> None:
    async with invocation.session() as session:
        await session.watchlists.delete(name)
        invocation.output.note(f"watchlist {name} is deleted")
