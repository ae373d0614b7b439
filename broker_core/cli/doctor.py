"""``broker doctor``."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

import click

from broker_core.cli.checks import OK, PROBLEM, WARNING, Check
from broker_core.cli.exits import Exit
from broker_core.cli.invocation import Invocation, shared_options
from broker_core.cli.running import run
from broker_core.errors import BrokerError

if TYPE_CHECKING:
    from broker_core.config import Settings
    from broker_core.plugins import PluginReport, Plugins


@click.command()
@click.option("--online", is_flag=True, help="Open a session too: read account, positions, orders and the market's clock.")
@shared_options
@click.pass_obj
def doctor(invocation: Invocation, online: bool) -> None:
    """Check the installation, the settings, the plugins and the database. The exit code is 1 when there is a problem.

    No broker is asked over the network unless --online is given.
    """
    checks = list(_checks(invocation))
    if online:
        from broker_core.cli.online_checks import online_checks

        with invocation.output.working("asking the broker"):
            checks += run(invocation, online_checks(invocation))
    items = [{"kind": "check", "name": check.name, "state": check.state, "detail": check.detail} for check in checks]
    invocation.output.items(items, title="doctor", columns=("name", "state", "detail"))
    if any(check.state == PROBLEM for check in checks):
        invocation.exit = Exit.BROKER


def _checks(invocation: Invocation) -> Iterator[Check]:
    yield Check("installation", OK, f"broker-core {version('broker-core')}, Python {platform.python_version()}, {platform.system()}")
    try:
        settings = invocation.settings
    except BrokerError as error:
        yield Check("settings", PROBLEM, str(error))
        return
    yield Check("settings", OK, f"from the environment and {settings.file}" if settings.file else "from the environment; there is no file")
    yield from _plugins(settings, invocation.plugin_environ)
    yield _database(invocation.plugin_environ)


def _plugins(settings: Settings, environ: Mapping[str, str]) -> Iterator[Check]:
    from broker_core.plugins import survey

    try:
        reports, plugins = survey(environ, disabled=settings.disable)
    except BrokerError as error:
        yield Check("plugins", PROBLEM, str(error))
        return
    for report in reports:
        # A broken plugin harms nobody as long as another broker can be used; the check of the broker says whether one can.
        state = WARNING if report.state == "broken" else OK
        yield Check(f"plugin {report.name}", state, f"{report.version} {report.state}{_because(report)}".strip())
        yield from (Check(f"plugin {report.name}", OK, note) for note in report.notes)
    yield from _strangers(settings, {report.name for report in reports})
    yield _choice(settings, environ, plugins)


def _because(report: PluginReport) -> str:
    if report.capabilities is not None:
        return f" an account: {report.environment}, by {report.mode}"
    return f": {report.reason}" if report.reason else ""


def _strangers(settings: Settings, known: set[str]) -> Iterator[Check]:
    """Tables and names in the settings that mean no installed plugin: likely misspelt, or left behind."""
    for name in sorted(settings.plugins):
        if name not in known:
            yield Check(f"table [{name}]", WARNING, f"{settings.file} has a table for a plugin that is not installed")
    for name in settings.disable:
        if name not in known:
            yield Check(f"disable {name}", WARNING, "no plugin of this name is installed")


def _choice(settings: Settings, environ: Mapping[str, str], plugins: Plugins) -> Check:
    try:
        choice = plugins.choose(environ, settings.broker)
    except BrokerError as error:
        return Check("broker", PROBLEM, str(error))
    return Check("broker", WARNING if choice.fell_back else OK, f"{choice.client.name}, because {choice.why}")


def _database(environ: Mapping[str, str]) -> Check:
    from broker_core.records import status

    try:
        found = status(environ)
    except BrokerError as error:
        return Check("database", PROBLEM, str(error))
    if any(tables.schema.unknown for tables in found.brokers):
        return Check("database", PROBLEM, f"{found.location} is of a newer version; upgrade broker-core")
    behind = [tables.prefix for tables in found.brokers if tables.schema.pending]
    if behind:
        return Check("database", WARNING, f"{found.location}: the tables of {', '.join(behind)} are upgraded when next used")
    state = "is made when first used" if found.size is None else "is up to date"
    return Check("database", OK, found.location if found.kind == "off" else f"{found.location} {state}")
