"""``broker assets``."""

from __future__ import annotations

import click

from broker_core.cli.invocation import Invocation, shared_options
from broker_core.cli.items import ASSET_COLUMNS, asset_item
from broker_core.cli.running import run
from broker_core.models import Asset


@click.command()
@click.option("--class", "asset_class", metavar="CLASS", help="Only this class, such as us_equity or crypto.")
@click.option("--search", metavar="TEXT", help="Only those with this text in symbol or name, in any case.")
@shared_options
@click.pass_obj
def assets(invocation: Invocation, asset_class: str | None, search: str | None) -> None:
    """List what can be traded now. Some brokers list many thousands."""
    run(invocation, _assets(invocation, asset_class, search))


async def _assets(invocation: Invocation, asset_class: str | None, search: str | None) -> None:
    async with invocation.session() as session:
        with invocation.output.working("asking for every asset"):
            found = await session.market_data.assets()
        items = [asset_item(asset) for asset in found if _is_wanted(asset, asset_class, search)]
        title = f"{len(items):,} of {len(found):,} assets of {session.connection.broker}"
        invocation.output.items(items, title=title, columns=ASSET_COLUMNS, empty=f"none of {len(found):,} assets is like that")


def _is_wanted(asset: Asset, asset_class: str | None, search: str | None) -> bool:
    if asset_class is not None and asset.asset_class.casefold() != asset_class.casefold():
        return False
    return search is None or any(search.casefold() in text.casefold() for text in (asset.symbol, asset.name))
