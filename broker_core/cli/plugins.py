"""``broker plugins``."""

from __future__ import annotations

from typing import Any

import click

from broker_core.cli.invocation import Invocation, shared_options
from broker_core.plugins import PluginReport, survey

_COLUMNS = ("name", "state", "version", "distribution", "environment", "mode", "reason")


@click.command()
@shared_options
@click.pass_obj
def plugins(invocation: Invocation) -> None:
    """List the installed plugins: what each offers, or why it does not. Nothing is opened and nobody is asked over the network."""
    reports, _ = survey(invocation.plugin_environ, disabled=invocation.settings.disable)
    output = invocation.output
    if output.as_json:
        output.items([report_item(report) for report in reports])
        return
    output.items([report_item(report) for report in reports], title="plugins", columns=_COLUMNS, empty="no plugins are installed")
    for report in reports:
        if report.capabilities is not None:
            output.facts({"hooks": report.hooks, **_abilities(report)}, title=report.name)


def report_item(report: PluginReport) -> dict[str, Any]:
    """What is known of one plugin."""
    return {
        "kind": "plugin",
        "name": report.name,
        "state": report.state,
        "version": report.version,
        "distribution": report.distribution,
        "environment": report.environment,
        "mode": report.mode,
        "hook_api": report.hook_api,
        "hooks": report.hooks,
        "reason": report.reason,
        "capabilities": report.capabilities and _abilities(report),
    }


def _abilities(report: PluginReport) -> dict[str, Any]:
    can = report.capabilities
    if can is None:
        return {}
    return {
        "order_types": can.order_types,
        "order_classes": can.order_classes,
        "times_in_force": can.times_in_force,
        "channels": can.channels,
        "timeframes": can.timeframes,
        "also": [name for name in ("notional", "fractional", "short", "extended_hours", "replace") if getattr(can, name)],
    }
