"""What the tests of the Alpaca plugin share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest
from accounts import MODES, Connect, FastClock, settings_for, transport_of
from scripted_host import Reply, Request, ScriptedHost

from broker_alpaca.client import AlpacaClient
from broker_alpaca.config import Mode
from broker_core.clock import seeded

PAYLOADS = Path(__file__).parents[2].parent / "shared" / "reference" / "payloads"


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Mode:
    """Either way of sending."""
    return request.param


@pytest.fixture
async def connect(mode: Mode) -> AsyncIterator[Connect]:
    """Make a client of a host, over the mode's transport; all are closed at the end."""
    made: list[AlpacaClient] = []

    def make(url: str, **changes: object) -> AlpacaClient:
        settings = settings_for(url, **changes)
        client = AlpacaClient(settings, transport_of(settings, mode), clock=FastClock(), random=seeded(1))
        made.append(client)
        return client

    yield make
    for client in made:
        await client.close()


@pytest.fixture
def payload() -> Callable[[str], bytes]:
    """The bytes of a published body, by its path below the payloads; the test is skipped where there are none."""

    def read(name: str) -> bytes:
        if not PAYLOADS.is_dir():
            pytest.skip("the published payloads are not beside the project")
        return (PAYLOADS / name).read_bytes()

    return read


@attrs.frozen
class Account:
    """An account whose host answers what the test put under ``GET /v2/…`` (the query after a question mark), and nothing else."""

    client: AlpacaClient
    host: ScriptedHost
    answers: dict[str, tuple[int, Any]]

    @property
    def asked(self) -> list[tuple[str, Any]]:
        """What was asked for, each with its body as plain values."""
        return [(address(request), request.json if request.body else None) for request in self.host.requests]


def address(request: Request) -> str:
    """Method, path and query of a request in one line."""
    query = "&".join(f"{name}={value}" for name, value in request.query.items())
    return f"{request.method} {request.path}{'?' if query else ''}{query}"


AccountWith = Callable[[dict[str, tuple[int, Any]]], Awaitable[Account]]


@pytest.fixture
async def account_with(connect: Connect) -> AsyncIterator[AccountWith]:
    """A function that opens an account with these answers, over the mode's transport."""
    async with AsyncExitStack() as hosts:

        async def open_account(answers: dict[str, tuple[int, Any]]) -> Account:
            def answer(request: Request) -> Reply:
                status, body = answers.get(address(request), (404, {"code": 40410000, "message": f"no answer to {address(request)}"}))
                return Reply(status, body)

            host = await hosts.enter_async_context(ScriptedHost(answer))
            return Account(connect(host.url), host, answers)

        yield open_account
