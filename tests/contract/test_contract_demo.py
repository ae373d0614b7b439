"""The demo broker keeps the contract."""

from __future__ import annotations

from pathlib import Path

import pytest
from subjects import DemoSubject

from broker_core.testing.contract import *  # noqa: F403  # the suites, for pytest to collect


@pytest.fixture
def subject(tmp_path: Path) -> DemoSubject:
    """The demo broker on a still clock."""
    return DemoSubject(tmp_path)
