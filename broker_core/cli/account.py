"""``broker account`` and ``broker positions``."""

from __future__ import annotations

import click

from broker_core.cli.invocation import Invocation, shared_options
from broker_core.cli.items import POSITION_COLUMNS, account_item, position_item
from broker_core.cli.running import run
from broker_core.errors import Unavailable
from broker_core.sync_state import Part, SyncState


@click.command()
@shared_options
@click.pass_obj
def account(invocation: Invocation) -> None:
    """Show the account: equity, cash, buying power."""
    run(invocation, _account(invocation))


async def _account(invocation: Invocation) -> None:
    async with invocation.session() as session:
        state = session.sync.state
        if state.account is None:
            raise _unread(state, Part.ACCOUNT)
        item = account_item(state.account, session.connection, state.health[Part.ACCOUNT].last_success)
        invocation.output.facts(item, title="account")


@click.command()
@shared_options
@click.pass_obj
def positions(invocation: Invocation) -> None:
    """Show the positions and what they are worth."""
    run(invocation, _positions(invocation))


async def _positions(invocation: Invocation) -> None:
    async with invocation.session() as session:
        state, connection = session.sync.state, session.connection
        read_at = state.health[Part.POSITIONS].last_success
        if read_at is None:
            raise _unread(state, Part.POSITIONS)
        items = [position_item(position, connection, read_at) for position in state.positions.values()]
        title = f"positions of {connection.account_id} ({connection.environment})"
        invocation.output.items(items, title=title, columns=POSITION_COLUMNS, empty="no positions")


def _unread(state: SyncState, part: Part) -> Unavailable:
    return Unavailable(f"{part}: {state.health[part].error or 'not read yet'}")
