"""A PostgreSQL server: how it fails, and how a commit survives its going away."""

from __future__ import annotations

import contextlib
import re
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from broker_core.errors import StorageError
from broker_core.records import DatabaseJournal, Location, locate, models_for
from broker_core.records.engine import open_engine
from broker_core.records.store import Store

MODELS = models_for("acme")


def located(url: str) -> Location:
    """The location of this URL."""
    location = locate({"BROKER_DATABASE": url})
    assert location is not None
    return location


def refusal(url: str) -> str:
    """What opening this database fails with; always one line that begins with the place."""
    location = located(url)
    store = Store(location, MODELS)
    try:
        with pytest.raises(StorageError) as caught:
            store.read(lambda database: None)
    finally:
        store.close()
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{location}: ")
    return text.removeprefix(f"{location}: ")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nobody listens, kept from others."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def test_a_server_that_does_not_answer(closed_port: int) -> None:
    """A server that cannot be reached is named with the reason, and without the password."""
    text = refusal(f"postgresql://me:hunter2@127.0.0.1:{closed_port}/desk")

    assert text.startswith("connection failed: ")
    assert str(closed_port) in text
    assert text.endswith("; start the server, or correct BROKER_DATABASE")
    assert "hunter2" not in text


@pytest.mark.parametrize("password", ["hunt/er2", "hunt?er2", "hunter%2", "hunt@er2"])
def test_a_url_that_cannot_be_read(password: str) -> None:
    """A password that was not escaped does not appear in the error, nor in what caused it."""
    with pytest.raises(StorageError) as caught:
        Store(located(f"postgresql://me:{password}@127.0.0.1:1/desk"), MODELS).read(lambda database: None)

    told = traceback.format_exception(caught.value, limit=0)
    assert not any(part in line for line in told for part in ("hunt", "er2@", "er%"))


def test_a_url_that_makes_no_sense_says_what_to_escape() -> None:
    """The error of a URL that cannot be read says what to do about it."""
    with pytest.raises(StorageError, match="is not a valid URL; escape special characters"):
        open_engine(located("postgresql://me:hunt/er2@127.0.0.1/desk"))


def test_a_database_that_does_not_exist(postgres_url: str) -> None:
    """A database that is not there is named."""
    text = refusal(urlsplit(postgres_url)._replace(path="/there_is_no_such_database").geturl())

    assert re.search('database "there_is_no_such_database" does not exist', text)


def test_the_driver_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without psycopg the error names the extra that brings it."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "broker_core.records.postgres", raising=False)
    location = located("postgresql://me@127.0.0.1/desk")

    with pytest.raises(StorageError) as caught:
        open_engine(location)

    assert str(caught.value) == f"{location}: the driver psycopg is not installed; pip install 'broker-core[postgres]'"


def test_a_server_that_only_reads(postgres_url: str) -> None:
    """A standby, or a server set to read only, is named as such."""
    assert refusal(f"{postgres_url}%20-cdefault_transaction_read_only%3Don") == (
        "the server is read-only; name the primary server in BROKER_DATABASE"
    )


def test_an_error_of_another_kind(postgres_url: str) -> None:
    """What has no advice of its own is told in the first line of the server's words."""
    store = Store(located(postgres_url), MODELS)
    with pytest.raises(StorageError, match=r'relation "nothing" does not exist\Z'):
        store.read(lambda database: database.execute_sql("SELECT * FROM nothing"))
    store.close()


async def test_a_locked_table(postgres_url: str, make_change) -> None:
    """An append that waits too long for another's lock fails; once the lock is gone the next one works."""
    journal = DatabaseJournal(located(f"{postgres_url}%20-clock_timeout%3D10"), MODELS, "demo:1")
    await journal.append([make_change("BEFORE")])
    with psycopg.connect(postgres_url) as other:
        other.execute("LOCK TABLE acme_order_log IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StorageError, match="another process has kept it locked"):
            await journal.append([make_change("DURING")])
    await journal.append([make_change("AFTER")])

    assert [len(await journal.history(local_id)) for local_id in ("BEFORE", "DURING", "AFTER")] == [1, 0, 1]
    await journal.close()


async def test_waits_for_locks_end_by_default(postgres_url: str) -> None:
    """Where nothing is said about locks, a wait ends after as long as on SQLite."""
    journal = DatabaseJournal(located(postgres_url), MODELS, "demo:1")

    assert await journal.writer.call(lambda store: store.read(lambda db: db.execute_sql("SHOW lock_timeout").fetchone())) == ("5s",)
    await journal.close()


async def test_a_connection_that_was_cut(postgres_url: str, make_change) -> None:
    """After the server has ended the connection the next append, or read, opens another and works."""
    journal = DatabaseJournal(located(postgres_url), MODELS, "demo:1")

    async def cut() -> None:
        process = await journal.writer.call(lambda store: store.read(lambda db: db.execute_sql("SELECT pg_backend_pid()").fetchone()[0]))
        with psycopg.connect(postgres_url, autocommit=True) as other:
            assert other.execute("SELECT pg_terminate_backend(%s, 10000)", (process,)).fetchone() == (True,)

    await journal.append([make_change(step=1)])
    await cut()
    await journal.append([make_change(step=2)])
    await cut()
    found = await journal.history("ORDER1")

    assert [change.event.execution_id for change in found] == ["ORDER1-1", "ORDER1-2"]
    await journal.close()


class Cutter:
    """A relay to the server that, once armed, lets the next commit through and cuts the connection before its answer."""

    def __init__(self, host: str, port: int) -> None:
        self.armed = threading.Event()
        self.cuts = 0
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            committing = threading.Event()
            threading.Thread(target=self._requests, args=(client, server, committing), daemon=True).start()
            threading.Thread(target=self._answers, args=(client, server, committing), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, committing: threading.Event) -> None:
        while data := _receive(client):
            if self.armed.is_set() and b"COMMIT" in data:
                self.armed.clear()
                committing.set()
            server.sendall(data)
        _shut(server)

    def _answers(self, client: socket.socket, server: socket.socket, committing: threading.Event) -> None:
        while data := _receive(server):
            if committing.is_set():
                self.cuts += 1
                break
            client.sendall(data)
        _shut(client)
        _shut(server)

    def close(self) -> None:
        """Take no more connections."""
        _shut(self._listener)


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except OSError:
        return b""


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@pytest.fixture
def cutter(postgres_url: str) -> Iterator[Cutter]:
    """A relay in front of the test server."""
    parts = urlsplit(postgres_url)
    found = Cutter(parts.hostname or "127.0.0.1", parts.port or 5432)
    yield found
    found.close()


async def test_a_commit_without_an_answer_counts_once(postgres_url: str, cutter: Cutter, make_change) -> None:
    """When the connection breaks between a commit and its answer, the rows are there once, in order, and the append succeeds."""
    parts = urlsplit(postgres_url)
    user = f"{parts.username}@" if parts.username else ""
    journal = DatabaseJournal(located(parts._replace(netloc=f"{user}127.0.0.1:{cutter.port}").geturl()), MODELS, "demo:1")
    await journal.append([make_change(step=1)])

    cutter.armed.set()
    await journal.append([make_change(step=2), make_change(step=3)])
    await journal.append([make_change(step=4)])

    assert cutter.cuts == 1
    found = await journal.history("ORDER1")
    assert [change.event.execution_id for change in found] == ["ORDER1-1", "ORDER1-2", "ORDER1-3", "ORDER1-4"]
    await journal.close()


async def test_a_commit_whose_fate_stays_open_fails(postgres_url: str, cutter: Cutter, make_change) -> None:
    """When the server cannot be found again after a broken commit, the append fails rather than to pretend."""
    parts = urlsplit(postgres_url)
    user = f"{parts.username}@" if parts.username else ""
    journal = DatabaseJournal(located(parts._replace(netloc=f"{user}127.0.0.1:{cutter.port}").geturl()), MODELS, "demo:1")
    await journal.append([make_change(step=1)])

    cutter.close()
    cutter.armed.set()
    with pytest.raises(StorageError, match="start the server, or correct BROKER_DATABASE"):
        await journal.append([make_change(step=2)])
    await journal.close()
