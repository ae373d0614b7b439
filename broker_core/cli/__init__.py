"""The ``broker`` command.

A face over a session like any host's: nothing below this package imports it. Start it with ``broker`` or ``python -m broker_core.cli``.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code. ``arguments`` are the process's own unless given."""
    from broker_core.cli.app import run

    return run(arguments)
