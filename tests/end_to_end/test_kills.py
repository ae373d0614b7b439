"""Kill -9 of a program that trades, and of the sandbox it trades at."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from killable import Killable, surroundings

from broker_core.clock import seeded

HERE = Path(__file__).parent
KILLS = max(int(os.environ.get("BROKER_TEST_KILLS", "50")) // 5, 2)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Sandbox:
    """``broker sandbox`` with an account in a file, at the same address after every restart."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self._folder = folder
        self._environ = environ
        self._ports = free_port(), free_port()
        self.start()

    def start(self) -> None:
        port, admin_port = map(str, self._ports)
        command = [sys.executable, "-m", "broker_core.cli", "sandbox", "--always-open", "--speed", "20", "--cash", "1000000000"]
        command += ["--key", "PKKILL", "--secret", "none", "--port", port, "--admin-port", admin_port]
        command += ["--state", str(self._folder / "account.json")]
        self._process = subprocess.Popen(command, env=self._environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._process.communicate()[1]
        self.addresses: dict[str, str] = json.loads(line)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def orders(self) -> list[dict[str, Any]]:
        with urlopen(self.addresses["admin_url"] + "/state", timeout=30) as answer:  # noqa: S310  # loopback
            found: list[dict[str, Any]] = json.load(answer)["orders"]
        return found


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return surroundings(HERE, tmp_path / "broker.sqlite3")


@pytest.fixture
def sandbox(tmp_path: Path, environ: dict[str, str]) -> Iterator[Sandbox]:
    found = Sandbox(tmp_path, environ)
    yield found
    found.kill()


def trader(sandbox: Sandbox, environ: dict[str, str], *arguments: str) -> Killable:
    """The program that will be killed."""
    names = ("KEY", "SECRET", "TRADING_URL", "DATA_URL", "STREAM_URL", "TRADING_STREAM_URL")
    told = {f"BROKER_ALPACA_{name}": sandbox.addresses[name.lower()] for name in names}
    told |= {"BROKER_ALPACA_MODE": "http", "BROKER_ALPACA_RATE_LIMIT": "1000000", "ADMIN_URL": sandbox.addresses["admin_url"]}
    return Killable(HERE / "trader.py", *arguments, environ=environ | told)


@pytest.mark.timeout(60 + 15 * KILLS)
def test_whoever_is_killed_no_order_is_sent_twice_and_none_is_lost(sandbox: Sandbox, environ: dict[str, str]):
    """The program, or the host it trades at, dies at any moment: after every restart each order is as the exchange says."""
    chance = seeded(20261122)
    returned: list[str] = []
    for number in range(KILLS):
        doomed = trader(sandbox, environ)
        assert doomed.settled()["wrong"] == []
        time.sleep(chance.uniform(0.05, 0.3))  # the moment of the kill is the one thing here that is left to chance
        if number % 2:
            sandbox.kill()
            sandbox.start()
            time.sleep(chance.uniform(0.0, 0.3))
        returned += doomed.kill()
    last = trader(sandbox, environ, "check")
    settled = last.settled()
    last.end()

    sent = Counter(order["client_order_id"] for order in sandbox.orders())
    with closing(sqlite3.connect(environ["BROKER_DATABASE"])) as database:
        final = dict(database.execute("select local_id, status from alpaca_order_log order by id").fetchall())
    assert (settled["wrong"], settled["orders"], settled["mode"]) == ([], len(final), "http")
    assert set(sent.values()) == {1}
    assert set(returned) <= set(final), "an order that had returned was lost"
    assert set(sent) <= set(final), "the exchange knows an order that the log does not"
    assert {state for local_id, state in final.items() if local_id not in sent} <= {"failed", "rejected"}
    assert len(returned) > KILLS, "the programs were killed before they had begun"
