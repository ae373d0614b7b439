"""What every suite is built on: a new subject, a session with it, and a hand that trades."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from broker_core.testing.contract.subject import Subject
from broker_core.testing.contract.trader import Trader


class Suite:
    """A class of tests for one subject, which the fixture ``subject`` gives."""

    pytestmark = pytest.mark.asyncio

    @pytest_asyncio.fixture
    async def trader(self, subject: Subject) -> AsyncIterator[Trader]:
        """An open session with the subject, nothing in it."""
        async with subject.connect() as session:
            yield Trader(subject, session)
