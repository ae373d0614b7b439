"""Kill -9 of a process that trades, at random moments, again and again."""

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
from killable import Killable, surroundings

from broker_core.clock import seeded

HERE = Path(__file__).parent
KILLS = int(os.environ.get("BROKER_TEST_KILLS", "50"))


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return surroundings(HERE, tmp_path / "broker.sqlite3")


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


def submitter(port: int, environ: dict[str, str], *arguments: str) -> Killable:
    """The process that will be killed."""
    return Killable(HERE / "submitter.py", str(port), *arguments, environ=environ)


@pytest.mark.timeout(60 + 10 * KILLS)
def test_kill_minus_nine(exchange: int, environ: dict[str, str]):
    """After every restart each order is in the state the exchange says; none was sent twice, none was lost."""
    chance = seeded(20260302)
    returned: list[str] = []
    for _ in range(KILLS):
        doomed = submitter(exchange, environ)
        settled = doomed.settled()
        assert settled["wrong"] == []
        time.sleep(chance.uniform(0.0, 0.15))  # the moment of the kill is the one thing here that is left to chance
        returned += doomed.kill()
    last = submitter(exchange, environ, "check")
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
    doomed = submitter(exchange, environ, when, str(number))
    assert doomed.settled()["orders"] == 0
    doomed.process.communicate()
    assert doomed.process.returncode == -signal.SIGKILL
    check = submitter(exchange, environ, "check")
    settled = check.settled()
    check.end()

    written = number if when == "after" else number - 1
    # The second write is the intent; what dies right after it has not sent anything yet.
    sent = number > 2
    assert {"kind": "settled", "orders": min(written, 1), "wrong": [], "open": 0} == settled
    assert [1] * sent == list(ask(exchange, "posts").values())
