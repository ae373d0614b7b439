"""``broker db``: status, upgrade, downgrade."""

from __future__ import annotations

import sys
from typing import Any

import click

from broker_core.cli.invocation import Invocation, shared_options
from broker_core.records import DatabaseStatus, downgrade, status, upgrade

_COLUMNS = ("broker", "version", "pending", "unknown", "rows")


@click.group()
@shared_options
def db() -> None:
    """Look after the database: its schema's version, up and down. --broker says whose tables."""


@db.command("status")
@shared_options
@click.pass_obj
def db_status(invocation: Invocation) -> None:
    """Show where the database is, whose tables it holds, and how far their schema is."""
    found = status(invocation.plugin_environ)
    items = [item for item in _items(found) if invocation.broker in (None, item["broker"])]
    title = found.location if found.size is None else f"{found.location} ({found.size:,} bytes)"
    if not invocation.output.as_json:
        items = [{**item, "rows": ", ".join(f"{kind} {count:,}" for kind, count in item["rows"].items())} for item in items]
    invocation.output.items(items, title=title, columns=_COLUMNS, empty=f"{title}: no tables yet")


def _items(found: DatabaseStatus) -> list[dict[str, Any]]:
    return [
        {
            "kind": "schema",
            "database": found.location,
            "size": found.size,
            "broker": tables.prefix,
            "version": tables.schema.version,
            "applied": tables.schema.applied,
            "pending": tables.schema.pending,
            "unknown": tables.schema.unknown,
            "rows": tables.rows,
        }
        for tables in found.brokers
    ]


@db.command("upgrade")
@shared_options
@click.pass_obj
def db_upgrade(invocation: Invocation) -> None:
    """Bring the schema up to this version: of all tables that are there, or of one broker's, which are made if need be."""
    applied = upgrade(invocation.plugin_environ, invocation.broker)
    _show(invocation, "applied", applied)


@db.command("downgrade")
@click.option("--to", "target", metavar="NAME", help="Take back everything down to and including this; by default the newest alone.")
@click.option("--yes", is_flag=True, help="Drop what those migrations made, rows included, without asking.")
@shared_options
@click.pass_obj
def db_downgrade(invocation: Invocation, *, target: str | None, yes: bool) -> None:
    """Take back the newest migration of one broker's tables. The rows in what it made are lost."""
    prefix = invocation.broker or _only_broker(status(invocation.plugin_environ))
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"this drops rows of {prefix}; give --yes to do it")
        sys.stderr.write(f"Drop what {target or 'the newest migration'} of {prefix} made, rows included? Type yes: ")
        sys.stderr.flush()
        if sys.stdin.readline().strip() != "yes":
            raise click.UsageError("not confirmed; nothing was dropped")
    _show(invocation, "reverted", {prefix: downgrade(invocation.plugin_environ, prefix, target)})


def _only_broker(found: DatabaseStatus) -> str:
    names = [tables.prefix for tables in found.brokers]
    if len(names) != 1:
        raise click.UsageError(f"name whose tables with --broker; there are {', '.join(names) or 'none'}")
    return names[0]


def _show(invocation: Invocation, kind: str, migrations: dict[str, list[str]]) -> None:
    items = [{"kind": kind, "broker": prefix, "migration": name} for prefix, names in migrations.items() for name in names]
    invocation.output.items(items, title=kind, columns=("broker", "migration"), empty="nothing to do")
