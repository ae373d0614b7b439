"""``broker sandbox`` as a person or a script runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from broker_core.errors import ConfigError
from broker_core.secret import Secret
from broker_demo.sandbox.settings import SandboxSettings
from broker_demo.state import StateFile

COMMAND = [sys.executable, "-m", "broker_core.cli", "sandbox"]


@contextmanager
def running(*arguments: str) -> Iterator[tuple[dict[str, str], subprocess.Popen[str]]]:
    """A sandbox that is ready: its addresses, and its process."""
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline()), process
    finally:
        process.kill()
        process.communicate()


def ask(addresses: dict[str, str], method: str, path: str, body: Any = None) -> Any:
    headers = {"APCA-API-KEY-ID": addresses["key"], "APCA-API-SECRET-KEY": addresses["secret"]}
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(addresses["trading_url"] + path, data, headers, method=method), timeout=30) as answer:  # noqa: S310  # loopback
        return json.load(answer)


def test_one_line_says_where_it_is_and_sigterm_ends_it_within_two_seconds():
    """Standard output holds one line of JSON and nothing else; the log is on standard error and holds no secret; SIGTERM ends it soon."""
    with running("--always-open", "--seed", "7", "--key", "PKTEST", "--secret", "hush-hush", "--symbols", "MINE,YOURS") as (
        addresses,
        process,
    ):
        assert ask(addresses, "GET", "/v2/assets/YOURS")["tradable"]
        assert set(addresses) >= {"trading_url", "data_url", "stream_url", "trading_stream_url", "key", "secret"}
        assert (addresses["key"], addresses["secret"]) == ("PKTEST", "hush-hush")
        before = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out, error = process.communicate(timeout=10)

        assert time.monotonic() - before < 2
        assert process.returncode == 128 + signal.SIGTERM
        assert out == ""
        assert "seed 7" in error
        assert "hush-hush" not in error


def test_sigterm_amid_all_kinds_of_work_ends_it_within_two_seconds(tmp_path: Path):
    """Fifty sockets, half a body, pages that nobody fetches, and answers that take minutes: it ends soon, and the account is kept."""
    account = tmp_path / "account.json"
    with running("--always-open", "--seed", "7", "--state", str(account)) as (addresses, process):
        order = {"symbol": "AAPL", "qty": "3", "side": "buy", "type": "limit", "limit_price": "5", "time_in_force": "gtc"}
        ask(addresses, "POST", "/v2/orders", order | {"client_order_id": "mine"})
        slow = json.dumps({"kind": "latency", "seconds": 60, "path": "/v2/clock"}).encode()
        with urlopen(Request(addresses["admin_url"] + "/faults", slow, method="POST"), timeout=30) as answer:  # noqa: S310  # loopback
            assert answer.status == 201
        keys = f"Host: x\r\nAPCA-API-KEY-ID: {addresses['key']}\r\nAPCA-API-SECRET-KEY: {addresses['secret']}\r\n"
        handshake = (
            f"{keys}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n\r\n"
        )
        of_all = "symbols=AAPL,MSFT,SPY,QQQ,AMD&timeframe=1Month&start=1970-01-01&limit=10000"
        sent = [
            *[f"GET /stream HTTP/1.1\r\n{handshake}"] * 50,
            f"POST /v2/orders HTTP/1.1\r\n{keys}Content-Length: 1000\r\n\r\n{{",
            f"GET /v2/clock HTTP/1.1\r\n{keys}\r\n",
            *[f"GET /v2/stocks/bars?symbols=AAPL&timeframe=1Min&start=2020-01-01&limit=10000 HTTP/1.1\r\n{keys}\r\n" * 20] * 2,
            *[f"GET /v2/stocks/bars?{of_all} HTTP/1.1\r\n{keys}\r\n"] * 6,
        ]
        host, _, port = addresses["trading_url"].removeprefix("http://").rpartition(":")
        with ExitStack() as stack:
            for text in sent:
                client = stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
                client.sendall(text.encode())
            ask(addresses, "GET", "/v2/orders")
            before = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.wait(10)

            assert time.monotonic() - before < 2
            assert process.returncode == 128 + signal.SIGTERM
    assert b'"mine"' in account.read_bytes()


def test_an_account_in_a_file_survives_the_process(tmp_path: Path):
    """With a state file, orders and positions are there again after the process was killed without warning."""
    options = ("--always-open", "--seed", "7", "--state", str(tmp_path / "account.json"), "--key", "PKTEST", "--secret", "hush-hush")
    order = {"symbol": "AAPL", "qty": "3", "side": "buy", "type": "market", "time_in_force": "gtc", "client_order_id": "mine"}
    with running(*options) as (addresses, process):
        ask(addresses, "POST", "/v2/orders", order)
        ask(addresses, "POST", "/v2/orders", order | {"client_order_id": "resting", "type": "limit", "limit_price": "5"})
        found = ask(addresses, "GET", "/v2/orders:by_client_order_id?client_order_id=mine")
        while found["status"] != "filled":
            found = ask(addresses, "GET", "/v2/orders:by_client_order_id?client_order_id=mine")
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    with running(*options) as (addresses, _):
        (position,) = ask(addresses, "GET", "/v2/positions")
        (resting,) = ask(addresses, "GET", "/v2/orders?status=open")

        assert (position["symbol"], position["qty"]) == ("AAPL", "3")
        assert resting["client_order_id"] == "resting"
        assert ask(addresses, "GET", f"/v2/orders/{found['id']}")["filled_avg_price"] == found["filled_avg_price"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "host: 0.0.0.0 can be reached from other machines"),  # noqa: S104  # that it is refused is the point
        (["--clock", "real", "--speed", "5"], "--clock real and --speed 5 contradict each other"),
        (["--cash", "plenty"], "BROKER_DEMO_CASH: 'plenty' is not a number"),
        (["--replay", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_options_that_make_no_sense_end_in_one_line(arguments: list[str], said: str):
    """It does not start, prints nothing on standard output, and says what is wrong in one line."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=os.environ, timeout=60, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("broker: error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_named():
    """A second sandbox on the same port does not start."""
    with running("--always-open") as (addresses, _):
        port = addresses["trading_url"].rpartition(":")[2]
        done = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, timeout=60, check=False)

        assert done.returncode == 2
        assert f"127.0.0.1 port {port} cannot be bound" in done.stderr


@pytest.mark.parametrize("text", ["two words", "line\n", "\u00e9", "\udcff", "\0"])
def test_keys_that_no_header_could_carry_are_refused_unshown(text: str):
    """The key or the secret is named, and neither is shown."""
    for told in ({"key": text}, {"secret": Secret(text)}):
        with pytest.raises(ConfigError, match=f"^{next(iter(told))}: it holds letters that no client could send") as refused:
            SandboxSettings(**told)

        assert text not in str(refused.value)


def test_an_account_is_not_kept_in_the_root_of_all_folders():
    """A path without a name is refused by name, as any other that cannot be written."""
    with pytest.raises(ConfigError, match="cannot be kept here: this is a folder"):
        StateFile(Path("/")).lock()
