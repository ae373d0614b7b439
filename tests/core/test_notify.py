"""Observers fail open, vetoes fail closed."""

import asyncio
from typing import Any

import pytest

from broker_core import MarketOrder, StillClock, hookimpl
from broker_core.notify import Notifier
from broker_core.plugins import Plugins

REQUEST = MarketOrder("AAPL", "buy", qty=1)


class Watcher:
    def __init__(self, heard: list[str], label: str, error: BaseException | None = None) -> None:
        self.heard, self.label, self.error = heard, label, error

    @hookimpl
    def broker_gap(self, gap: object) -> None:
        self.heard.append(self.label)
        if self.error is not None:
            raise self.error


class Hanging:
    @hookimpl
    async def broker_gap(self) -> None:
        await asyncio.get_running_loop().create_future()

    @hookimpl
    async def broker_veto_order(self) -> str | None:
        await asyncio.get_running_loop().create_future()
        return None


def notifier(clock: StillClock, *plugins: object) -> Notifier:
    return Notifier(Plugins.load(plugins, disabled=("demo", "records")), clock=clock, patience=5.0)


async def test_every_observer_is_told_though_one_raises(caplog: pytest.LogCaptureFixture):
    """The error is logged with the plugin's name, and the next one is told."""
    heard: list[str] = []
    told = notifier(StillClock(), Watcher(heard, "first"), Watcher(heard, "second", ValueError("boom")), Watcher(heard, "third"))

    await told.tell("broker_gap", connection=None, gap=None)

    assert heard == ["third", "second", "first"]
    assert "Watcher-2 raised in broker_gap" in caplog.text


async def test_an_observer_that_hangs_is_left_behind(caplog: pytest.LogCaptureFixture):
    """After its patience the next observer is told."""
    clock, heard = StillClock(), []
    telling = asyncio.ensure_future(notifier(clock, Watcher(heard, "after"), Hanging()).tell("broker_gap", connection=None, gap=None))
    await clock.advance(4.9)
    assert heard == []

    await clock.advance(0.1)
    await telling

    assert heard == ["after"]
    assert "Hanging raised in broker_gap" in caplog.text


async def test_a_veto_that_hangs_has_refused():
    """Silence is not consent."""
    clock = StillClock()
    session: Any = None
    asking = asyncio.ensure_future(notifier(clock, Hanging()).vetoes(session, REQUEST))
    await clock.advance(5)

    ((plugin, reason),) = await asking

    assert plugin == "Hanging"
    assert "TimeoutError" in reason


async def test_vetoes_may_be_plain_or_async_and_none_consents():
    """Both kinds are heard, and their reasons come with their names."""

    class Plain:
        @hookimpl
        def broker_veto_order(self, request: MarketOrder) -> str | None:
            return "too big" if request.qty == 1 else None

    class Later:
        @hookimpl
        async def broker_veto_order(self) -> str | None:
            return None

    session: Any = None
    assert await notifier(StillClock(), Plain(), Later()).vetoes(session, REQUEST) == [("Plain", "too big")]
