"""A few seconds of chaos; the program in benchmarks goes on for ten minutes."""

from __future__ import annotations

from pathlib import Path

from chaos import chaos

from broker_core.submission import OrderPolicy

_HASTY = OrderPolicy(lookups=(0.1, 0.2, 0.5), absent_for=1.0)
"""Orders in doubt are settled within a second or two: the whole order of things is the same, the waits are shorter."""


async def test_after_chaos_everybody_agrees_and_nothing_is_left_behind(tmp_path: Path):
    """Broken sockets, failing requests, orders and ticks without a pause: afterwards book, records, session and exchange are one."""
    outcome = await chaos(5, symbols=300, policy=_HASTY, folder=tmp_path)

    assert (list(outcome.duplicates), list(outcome.forgotten), list(outcome.wrong)) == ([], [], [])
    assert (outcome.tasks_left, outcome.sockets_left) == (0, 0)
    assert outcome.orders >= 90
    assert outcome.messages >= 600
    assert outcome.dropped >= 1
    assert outcome.gaps >= 1
    assert outcome.struck >= 5
