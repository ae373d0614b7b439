"""Every request that the plugin can make, held against Alpaca's published OpenAPI documents by a mock server built from them.

The documents are read where they lie, beside the project, and Prism, which validates, comes from npm: ``prisms`` says how.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from accounts import MODES, settings_for, transport_of
from every_call import every_call, makers
from prisms import GENERATIONS, MARKS, OPENAPI, PrismProcess

from broker_alpaca.config import Mode
from broker_alpaca.wire.answers import Answer
from broker_alpaca.wire.call import Call, Host

pytestmark = MARKS

# Where a document's schema contradicts its own words, the words hold: ``YYYY-MM-DD`` for the calendar's bounds, whose answers are days of
# that form; "a comma-separated list" of asset classes, which the schema has as one word; "contract symbol or ID" for what is exercised,
# which the schema wants to be a UUID.
DEFECTS = {
    "clock.calendar": {"start", "end"},
    "orders.page": {"asset_class"},
    "positions.exercise": {"symbol_or_contract_id"},
    "positions.do_not_exercise": {"symbol_or_contract_id"},
}

DOCUMENTS: Mapping[str, Mapping[Host, str]] = {
    generation: {Host.TRADING: trading, Host.DATA: data} for generation, (trading, data) in GENERATIONS.items()
}


def described(generation: str) -> Callable[[Call[Any]], bool]:
    """Whether the documents of a generation have an address; each generation has some that the other lacks."""
    patterns = {
        host: re.compile("|".join("[^/]+".join(map(re.escape, re.split(r"{[^}]*}", path))) for path in _paths(OPENAPI / name)))
        for host, name in DOCUMENTS[generation].items()
    }
    return lambda call: patterns[call.host].fullmatch(call.path) is not None


def _paths(document: Path) -> list[str]:
    text = document.read_text(encoding="utf-8")
    if document.suffix == ".json":
        return list(json.loads(text)["paths"])
    # To read a quarter of a megabyte of YAML takes seconds, and its addresses stand at one depth.
    return re.findall(r"^ {2}[\"']?(/v\d[^\"'\s]*?)[\"']?:$", text, re.MULTILINE)


@pytest.fixture(scope="module", params=sorted(DOCUMENTS))
def mocks(prism: str, request: pytest.FixtureRequest) -> Iterator[tuple[str, Mapping[Host, str]]]:
    """A mock of each host, built from the documents of one generation."""
    with ExitStack() as stack:
        servers = {
            host: stack.enter_context(PrismProcess(prism, "mock", "--errors", str(OPENAPI / document)))
            for host, document in DOCUMENTS[request.param].items()
        }
        for server in servers.values():
            server.wait()
        yield request.param, {host: server.url for host, server in servers.items()}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", MODES)
async def test_every_request_is_one_that_the_documents_describe(mocks: tuple[str, Mapping[Host, str]], mode: Mode):
    """No violation in any variation of any request, over either transport."""
    generation, urls = mocks
    settings = settings_for(urls[Host.TRADING], data_url=urls[Host.DATA])
    transport = transport_of(settings, mode)
    sent: Counter[str] = Counter()
    violations: list[str] = []

    async def check(name: str, call: Call[Any]) -> None:
        answer = await transport.exchange(call)
        sent[name] += 1
        violations.extend(f"{name}: {call} {call.query_text} {call.body}: {said}" for said in _violations(name, answer))

    is_described = described(generation)
    calls = [(name, call) for name, call in every_call() if is_described(call)]
    for start in range(0, len(calls), 16):
        await asyncio.gather(*(check(name, call) for name, call in calls[start : start + 16]))
    await transport.close()

    assert violations == []
    assert sum(sent.values()) > 600


def test_every_request_is_described_by_one_generation_at_least():
    """So none is left out of the check."""
    generations = [described(generation) for generation in DOCUMENTS]
    found = {name for name, call in every_call() if any(is_described(call) for is_described in generations)}

    assert found == {name for name, _ in makers()}


async def test_the_check_can_fail(mocks: tuple[str, Mapping[Host, str]]):
    """A misspelt path, a missing member and a wrong word are found."""
    _, urls = mocks
    transport = transport_of(settings_for(urls[Host.TRADING], data_url=urls[Host.DATA]), Mode.HTTP)
    wrong: list[Call[Any]] = [
        Call(method="GET", path="/v2/acount", read=lambda body, _: body),
        Call(method="GET", path="/v2/orders", query={"status": "half-open"}, read=lambda body, _: body),
        Call(method="POST", path="/v2/orders", body={"symbol": "AAPL", "qty": 1}, read=lambda body, _: body),
        Call(method="GET", host=Host.DATA, path="/v2/stocks/bars", query={"symbols": "AAPL", "limit": "many"}, read=lambda body, _: body),
    ]
    found = [_violations("", await transport.exchange(call)) for call in wrong]
    await transport.close()

    assert all(found)


def _violations(name: str, answer: Answer) -> list[str]:
    """What is wrong with the request; complaints about the mock's own answers, which it makes from faulty examples, are not."""
    if answer.status == 404 or b"NO_PATH_MATCHED" in answer.body:
        return [answer.body.decode()]
    complaints = json.loads(answer.header("sl-violations") or "[]")
    if b"errors#UNPROCESSABLE_ENTITY" in answer.body:
        complaints += [{**found, "location": ["request", *found["location"]]} for found in json.loads(answer.body)["validation"]]
    return [
        str(found) for found in complaints if found["location"][0] == "request" and not DEFECTS.get(name, set()) & set(found["location"])
    ]
