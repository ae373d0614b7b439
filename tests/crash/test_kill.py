"""Kill -9 of a process that trades, at random moments, again and again."""

import json
import os
import pickle
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from broker_core.clock import seeded

HERE = Path(__file__).parent
KILLS = int(os.environ.get("BROKER_TEST_KILLS", "50"))


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("BROKER", "APCA", "ALPACA"))}
    root = HERE.parents[1]
    paths = [str(HERE), *([str(root)] if (root / "broker_core").is_dir() else [])]
    return {**keep, "PYTHONPATH": os.pathsep.join(paths), "BROKER_DATABASE": str(tmp_path / "broker.sqlite3")}


@pytest.fixture
def exchange(environ: dict[str, str]) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, HERE / "exchange_server.py"], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    yield int(process.stdout.readline())
    process.stdin.close()
    assert process.wait(20) == 0
    process.stdout.close()


def ask(port: int, operation: str, *arguments: object) -> object:
    """One question to the exchange, past the framework."""
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as answers:
        data = pickle.dumps((operation, arguments))
        connection.sendall(struct.pack("!I", len(data)) + data)
        (size,) = struct.unpack("!I", answers.read(4))
        outcome, value = pickle.loads(answers.read(size))  # noqa: S301  # our own server's
    assert outcome == "ok", value
    return value


class Submitter:
    """The process that will be killed."""

    def __init__(self, port: int, environ: dict[str, str], *arguments: str) -> None:
        command = [sys.executable, str(HERE / "submitter.py"), str(port), *arguments]
        self.process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def settled(self) -> dict:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        return json.loads(line)

    def kill(self) -> list[str]:
        """Kill -9, and the ids of the orders whose submit had returned."""
        self.process.kill()
        output, _ = self.process.communicate()
        lines = [json.loads(line) for line in output.splitlines() if line.endswith("}")]
        return [line["local_id"] for line in lines if line["kind"] == "sent"]

    def end(self) -> None:
        _, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors


@pytest.mark.timeout(60 + 10 * KILLS)
def test_kill_minus_nine(exchange: int, environ: dict[str, str]):
    """After every restart each order is in the state the exchange says; none was sent twice, none was lost."""
    chance = seeded(20260302)
    returned: list[str] = []
    for _ in range(KILLS):
        submitter = Submitter(exchange, environ)
        settled = submitter.settled()
        assert settled["wrong"] == []
        time.sleep(chance.uniform(0.0, 0.15))  # the moment of the kill is the one thing here that is left to chance
        returned += submitter.kill()
    last = Submitter(exchange, environ, "check")
    settled = last.settled()
    last.end()

    posts = ask(exchange, "posts")
    with closing(sqlite3.connect(environ["BROKER_DATABASE"])) as database:
        rows = database.execute("select local_id, status from remote_order_log order by id").fetchall()
    final = dict(rows)
    assert settled["wrong"] == []
    assert settled["orders"] == len(final)
    assert {1} == set(posts.values()), "an order was sent twice"
    assert set(returned) <= set(final), "an order that had returned was lost"
    assert set(posts) <= set(final), "the exchange knows an order that the log does not"
    assert {state for local_id, state in final.items() if local_id not in posts} <= {"failed"}
    assert len(returned) > KILLS, "the submitters were killed before they had begun"
    assert not {"pending", "submitted"} & set(final.values())


# A market order's writes: created, submitted, the answer, its fill.
BOUNDARIES = [(when, number) for number in (1, 2, 3, 4) for when in ("before", "after")]


@pytest.mark.parametrize(("when", "number"), BOUNDARIES, ids=lambda value: str(value))
def test_death_at_a_commit_boundary(exchange: int, environ: dict[str, str], when: str, number: int):
    """Whichever write was the last, the next start knows what became of the order, and sends nothing again."""
    doomed = Submitter(exchange, environ, when, str(number))
    assert doomed.settled()["orders"] == 0
    doomed.process.communicate()
    assert doomed.process.returncode == -signal.SIGKILL
    check = Submitter(exchange, environ, "check")
    settled = check.settled()
    check.end()

    written = number if when == "after" else number - 1
    # The second write is the intent; what dies right after it has not sent anything yet.
    sent = number > 2
    assert {"kind": "settled", "orders": min(written, 1), "wrong": [], "open": 0} == settled
    assert [1] * sent == list(ask(exchange, "posts").values())
