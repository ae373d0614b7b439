"""Every request that the plugin can make, held against Alpaca's published OpenAPI documents by a mock server built from them.

The documents are read where they lie, beside the project. Prism, which validates, comes from npm: ``BROKER_TEST_PRISM`` names its command,
or says ``npm``, and then it is installed for the run.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from accounts import MODES, settings_for, transport_of
from every_call import every_call, makers

from broker_alpaca.config import Mode
from broker_alpaca.wire.answers import Answer
from broker_alpaca.wire.call import Call, Host

OPENAPI = Path(__file__).parents[2].parent / "shared" / "reference" / "openapi"
PRISM = os.environ.get("BROKER_TEST_PRISM", "")

pytestmark = [
    # One worker for all, so that Prism is installed and started once.
    pytest.mark.xdist_group("prism"),
    pytest.mark.skipif(not OPENAPI.is_dir(), reason="the OpenAPI documents are not beside the project"),
    pytest.mark.skipif(not PRISM, reason="BROKER_TEST_PRISM does not say where Prism is, or npm"),
    pytest.mark.skipif(PRISM == "npm" and shutil.which("npm") is None, reason="npm, which installs Prism, is absent"),
]

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
    "2026-08": {Host.TRADING: "trading-openapi.yaml", Host.DATA: "market-data-openapi.yaml"},
    "2026-06": {Host.TRADING: "trading-openapi.2026-06.json", Host.DATA: "market-data-openapi.2026-06.json"},
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


@pytest.fixture(scope="module")
def prism(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The command."""
    if PRISM != "npm":
        return PRISM
    folder = tmp_path_factory.mktemp("prism")
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), "@stoplight/prism-cli@5"]
    done = subprocess.run([*command, "--fetch-retries", "1"], capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"npm could not install Prism: {done.stderr[-1000:]}")
    return str(folder / "node_modules" / ".bin" / "prism")


@pytest.fixture(scope="module", params=sorted(DOCUMENTS))
def mocks(prism: str, request: pytest.FixtureRequest) -> Iterator[tuple[str, Mapping[Host, str]]]:
    """A mock of each host, built from the documents of one generation."""
    servers: list[subprocess.Popen[str]] = []
    readers: list[threading.Thread] = []
    urls: dict[Host, str] = {}
    try:
        for host, document in DOCUMENTS[request.param].items():
            port = _free_port()
            command = [prism, "mock", "--errors", "--host", "127.0.0.1", "--port", str(port), str(OPENAPI / document)]
            servers.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
            urls[host] = f"http://127.0.0.1:{port}"
        readers = [_wait_for(server) for server in servers]
        yield request.param, urls
    finally:
        for server in servers:
            server.kill()
            server.wait()
        for reader in readers:
            reader.join()
        for server in servers:
            server.stdout.close()


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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(server: subprocess.Popen[str]) -> threading.Thread:
    """Return when the mock says that it listens, and go on reading what it says, or it would stop when the pipe is full."""
    assert server.stdout is not None
    said: list[str] = []
    for line in server.stdout:
        said.append(line)
        if "Prism is listening" in line:
            reader = threading.Thread(target=server.stdout.read, daemon=True)
            reader.start()
            return reader
    raise RuntimeError(f"Prism ended: {''.join(said)[-2000:]}")
