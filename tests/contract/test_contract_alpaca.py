"""The plugin for Alpaca keeps the contract over either transport, against the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from accounts import MODES
from subjects import AlpacaSubject

from broker_alpaca.config import Mode
from broker_core.testing.contract import *  # noqa: F403  # the suites, for pytest to collect


@pytest.fixture(params=MODES)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[AlpacaSubject]:
    """A sandbox, and the plugin in one of its modes."""
    mode: Mode = request.param
    async with AlpacaSubject(mode) as subject:
        yield subject
