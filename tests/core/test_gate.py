"""The gate for new orders."""

import asyncio

from broker_core import StillClock
from broker_core.gate import Gate


async def test_it_is_open_when_there_is_no_reason():
    """Reasons are taken away by name; the last one opens it."""
    gate = Gate(StillClock())
    gate.shut("a", "reason a")
    gate.shut("b", "reason b")
    assert gate.closed("AAPL") == "reason a; reason b"

    gate.open("a")
    assert gate.closed("AAPL") == "reason b"
    gate.open("b")
    gate.open("never shut")

    assert gate.closed("AAPL") is None


async def test_waiting_ends_when_it_opens():
    """Whoever waits goes through as soon as the last reason is gone."""
    clock = StillClock()
    gate = Gate(clock)
    gate.shut("a", "reason a")
    waiting = asyncio.ensure_future(gate.wait("AAPL", 30))
    await clock.advance(29)
    assert not waiting.done()

    gate.open("a")

    assert await waiting is None


async def test_waiting_in_vain_gives_the_reason():
    """The reason says how long was waited."""
    clock = StillClock()
    gate = Gate(clock)
    gate.shut("a", "reason a")
    waiting = asyncio.ensure_future(gate.wait("AAPL", 30))
    await clock.advance(30)

    assert await waiting == "reason a (waited 30 s)"


async def test_a_shut_symbol_is_not_waited_for():
    """It does not open by itself, and it holds up no other symbol."""
    gate = Gate(StillClock())
    gate.shut_symbol("AAPL", "overfilled")

    assert await gate.wait("AAPL", 30) == "overfilled"
    assert await gate.wait("MSFT", 30) is None

    gate.open_symbol("AAPL")
    assert await gate.wait("AAPL", 30) is None
