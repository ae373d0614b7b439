"""Prism between a client and the sandbox: it hands every request on, and holds it and its answer against a published OpenAPI document.

The documents are read where they lie, beside the project. ``BROKER_TEST_PRISM`` names Prism's command, or says ``npm``, and then it is
installed for the run.
"""

from __future__ import annotations

import os
import queue
import random
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import attrs
import pytest
from node_packages import NPM, modules
from plain_http import ask

OPENAPI = Path(__file__).parents[2].parent / "shared" / "reference" / "openapi"
PRISM = os.environ.get("BROKER_TEST_PRISM", "")
MARKS = [
    # One worker for all, so that Prism is started once.
    pytest.mark.xdist_group("prism"),
    pytest.mark.skipif(not OPENAPI.is_dir(), reason="the OpenAPI documents are not beside the project"),
    pytest.mark.skipif(not PRISM, reason="BROKER_TEST_PRISM does not say where Prism is, or npm"),
]
GENERATIONS: Mapping[str, tuple[str, str]] = {
    "2026-08": ("trading-openapi.yaml", "market-data-openapi.yaml"),
    "2026-06": ("trading-openapi.2026-06.json", "market-data-openapi.2026-06.json"),
}
"""The documents of the two hosts, trading first. Each generation has addresses that the other lacks."""
NEWEST = "2026-08"

_Test = TypeVar("_Test", bound=Callable[..., Any])
# Below the ports that systems give to outgoing connections, one of which could otherwise be in the way.
_PORTS = range(15_000, 30_000)
_FORWARDED = re.compile(r'Forwarding "(\w+)" request to http://[^/]*(\S*?)\.\.\.')
_RETURNED = re.compile(r"The upstream call to \S+ has returned (\d+)")
_VIOLATION = re.compile(r"Violation: (\S+) (.*)")


@attrs.frozen
class Violation:
    """What an answer, or a request, has that its document does not allow."""

    request: str
    """Method, path and query."""
    status: int
    location: str
    """``request.body.qty``, ``response.body[3].id``, ``response`` of an answer that the document does not have."""
    message: str

    @property
    def is_of_answer(self) -> bool:
        """Whether the server is to blame, not the client."""
        return self.location.startswith("response")


def through_prism(test: _Test) -> _Test:
    """Have a test run only where Prism and the documents are at hand."""
    for mark in MARKS:
        test = mark(test)
    return test


def command(temporary: pytest.TempPathFactory) -> str:
    """Prism's, installed where it is not at hand."""
    if PRISM != NPM:
        return PRISM
    return str(modules(NPM, temporary, "prism", "@stoplight/prism-cli@5") / ".bin" / "prism")


def free_port() -> int:
    """A port that nobody listens at."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class PrismProcess:
    """Prism, started with these arguments and a port of its own. Use it as a context manager, which waits until it listens."""

    def __init__(self, prism: str, *arguments: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._command = [prism, arguments[0], "--host", "127.0.0.1", "--port", str(port), *arguments[1:]]
        self._lines: queue.Queue[str] = queue.Queue()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        # What it says has to be read all the time, or it would stop when the pipe is full.
        self._reader = threading.Thread(target=self._read, name="prism")
        self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()

    def wait(self) -> None:
        """Return when it listens. Raises RuntimeError if it never will."""
        self.said_until("Prism is listening")

    def said_until(self, words: str) -> list[str]:
        """The lines since the last time, up to the one with these words. Raises RuntimeError if it ended before."""
        said: list[str] = []
        while True:
            line = self._lines.get()
            said.append(line)
            if not line:
                raise RuntimeError(f"Prism ended: {''.join(said)[-2000:]}")
            if words in line:
                return said

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")


class Proxy(PrismProcess):
    """Prism in front of ``upstream``, with one of the documents."""

    def __init__(self, prism: str, document: str, upstream: str) -> None:
        super().__init__(prism, "proxy", str(OPENAPI / document), upstream)
        self._fences = 0

    def violations(self) -> list[Violation]:
        """All that it found since the last time. Nothing may be on its way."""
        self._fences += 1
        fence = f"/fence-{self._fences}"
        ask("GET", self.url + fence)
        lines = self.said_until(f"get {fence} ")
        return list(_violations(lines))


def _violations(lines: list[str]) -> Iterator[Violation]:
    request, status = "", 0
    for line in lines:
        if forwarded := _FORWARDED.search(line):
            request = f"{forwarded[1].upper()} {forwarded[2]}"
        elif returned := _RETURNED.search(line):
            status = int(returned[1])
        elif (found := _VIOLATION.search(line)) and not request.startswith("GET /fence-"):
            yield Violation(request, status, found[1], found[2].strip())
