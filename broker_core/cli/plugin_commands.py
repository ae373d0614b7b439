"""Commands that plugins bring: entry points of the group ``broker_core.commands``, each a click command under its own name.

Their modules are loaded when the command runs, and for the one line of help; one that cannot be loaded says so there, and stops no
other command.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from importlib.metadata import EntryPoint, entry_points

import click

from broker_core.errors import PluginError

GROUP = "broker_core.commands"


@cache
def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in sorted(entry_points(group=GROUP))}


def names(taken: Collection[str]) -> list[str]:
    """The names of all plugins' commands but those that are taken, in alphabetical order."""
    return [name for name in _installed() if name not in taken]


def load(name: str) -> click.Command | None:
    """The command of this name; None where no plugin brings it. Raises PluginError where it cannot be loaded."""
    point = _installed().get(name)
    if point is None:
        return None
    try:
        command = point.load()
    except Exception as error:
        raise PluginError(f"command {name!r} of {point.value} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(command, click.Command):
        raise PluginError(f"command {name!r}: {point.value} is a {type(command).__name__}, not a click command")
    return command


def help_line(name: str) -> str:
    """What the command is for, or why it cannot be loaded."""
    try:
        command = load(name)
    except PluginError as error:
        return str(error)
    return command.get_short_help_str(limit=100) if command else ""
