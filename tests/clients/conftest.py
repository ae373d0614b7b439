"""What the tests with the official clients share: a sandbox, and Prism between it and the client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import prisms
import pytest
from hosted_sandbox import HostedSandbox
from ways import Between, Way, between_with

if TYPE_CHECKING:
    from alpaca_py import AlpacaPy


@pytest.fixture(scope="session")
def between(prism: str) -> Iterator[Between]:
    """Prism with the newest documents, started once."""
    with between_with(prism, prisms.NEWEST) as between:
        yield between


@pytest.fixture
def demo() -> dict[str, Any]:
    """Settings of the demo broker for the test's sandbox; a test that needs others gives them as its parameter."""
    return {}


@pytest.fixture(params=["direct", pytest.param("prism", marks=prisms.MARKS)])
def way(request: pytest.FixtureRequest, demo: dict[str, Any]) -> Iterator[Way]:
    """A sandbox of the test's own, asked directly and, in a second run, through Prism, which must find nothing wrong with its answers."""
    with ExitStack() as stack:
        if request.param == "direct":
            box = stack.enter_context(HostedSandbox(**demo))
            yield Way(box, box.addresses.trading_url, box.addresses.data_url)
            return
        between: Between = request.getfixturevalue("between")
        yield Way(stack.enter_context(HostedSandbox(port=between.port, **demo)), between.trading.url, between.data.url)
        faults = between.faults()
    assert faults == []


@pytest.fixture
def sdk(way: Way) -> Iterator[AlpacaPy]:
    """alpaca-py's clients on that way."""
    from alpaca_py import AlpacaPy

    with AlpacaPy(way.trading_url, way.data_url) as sdk:
        yield sdk
