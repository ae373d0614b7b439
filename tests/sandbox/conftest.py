"""What the tests of the sandbox share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sandboxes import Visitor, sandbox

from broker_core.clock import StillClock
from broker_demo.sandbox.server import Sandbox


@pytest.fixture
def clock() -> StillClock:
    """The clock of ``box``: its market goes on when a test advances it."""
    return StillClock()


@pytest.fixture
async def box(clock: StillClock) -> AsyncIterator[Sandbox]:
    """A sandbox on that clock."""
    async with sandbox(clock) as box:
        yield box


@pytest.fixture
async def visitor(box: Sandbox) -> AsyncIterator[Visitor]:
    """Somebody with its keys."""
    async with Visitor(box) as visitor:
        yield visitor
