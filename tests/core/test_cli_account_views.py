"""``assets``, ``watchlist``, ``clock``, ``calendar`` and ``doctor --online``, against a broker that has all they show."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from datetime import date, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import attrs
import pytest

from broker_core.cli import main
from broker_core.cli.exits import Exit

_BROKER = '''
import os
from datetime import timedelta
from decimal import Decimal

import attrs

from broker_core.clock import SystemClock, TimeSortedIds, seeded
from broker_core.errors import RequestRefused, Unavailable
from broker_core.hookspecs import hookimpl
from broker_core.models import Channel
from broker_core.watchlists import Watchlist
from broker_demo import config
from broker_demo.families import DemoClient, DemoMarketData, DemoSync

LISTS = {}


class Lists:
    """Lists that live as long as the process; alone they come with their symbols."""

    async def list_all(self):
        return [attrs.evolve(found, symbols=()) for found in LISTS.values()]

    async def get(self, name):
        if name not in LISTS:
            raise RequestRefused(f"there is no list {name}", status=404)
        return LISTS[name]

    async def create(self, name, symbols=()):
        LISTS[name] = Watchlist(watchlist_id=f"id of {name}", name=name, symbols=tuple(symbols))
        return LISTS[name]

    async def add(self, name, symbol):
        if symbol == "NOPE":
            raise RequestRefused("there is no NOPE", status=422)
        return await self.create(name, (*(await self.get(name)).symbols, symbol))

    async def remove(self, name, symbol):
        return await self.create(name, [kept for kept in (await self.get(name)).symbols if kept != symbol])

    async def delete(self, name):
        del LISTS[name]


class Broker(DemoClient):
    name = "lister"
    notes = ("key from LISTER_KEY", "trading at https://lister.example")
    watchlists = Lists()
    drift = {"order.status: resting": 3} if "LISTER_DRIFT" in os.environ else {}


class Sync(DemoSync):
    async def account(self):
        if "LISTER_DEAF" in os.environ:
            raise Unavailable("lister: nobody answers")
        found = attrs.evolve(await super().account(), status=os.environ.get("LISTER_STATUS", "ACTIVE"))
        return attrs.evolve(found, status="RESTRICTED", trading_blocked=True) if "LISTER_BLOCKED" in os.environ else found


class MuteFeed:
    """A feed of order news that never gets a connection."""

    name, channels = "mute", frozenset({Channel.ORDERS})

    def want(self, wish):
        return None

    async def connect(self):
        raise Unavailable("lister: no line")
        yield

    async def probe(self):
        return False


class Stream:
    feeds = (MuteFeed(),)


class MarketData(DemoMarketData):
    async def clock(self):
        found = await super().clock()
        return attrs.evolve(found, at=found.at - timedelta(seconds=float(os.environ.get("LISTER_AHEAD", "0"))))


@hookimpl
def broker_client(environ):
    return Broker(config.read(environ), clock=SystemClock(), ids=TimeSortedIds(), random=seeded())


@hookimpl(tryfirst=True)
def broker_sync(client):
    return Sync(client) if isinstance(client, Broker) else None


@hookimpl(tryfirst=True)
def broker_stream(client):
    return Stream() if isinstance(client, Broker) and "LISTER_MUTE" in os.environ else None


@hookimpl(tryfirst=True)
def broker_market_data(client):
    return MarketData(client) if isinstance(client, Broker) else None
'''


@attrs.frozen
class Result:
    code: int
    items: list[dict[str, Any]]
    text: str
    error: str

    @property
    def details(self) -> dict[str, tuple[str, str]]:
        """State and detail of each check, by its name."""
        return {item["name"]: (item["state"], item["detail"]) for item in self.items}


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command with the broker ``lister``, from a pipe or from a terminal."""
    metadata = tmp_path / "site" / "broker_lister-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broker-lister\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[broker_core]\nlister = broker_lister\n")
    (tmp_path / "site" / "broker_lister.py").write_text(_BROKER)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "broker_lister", raising=False)
    monkeypatch.setenv("BROKER", "lister")
    monkeypatch.setenv("BROKER_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("BROKER_DATABASE", "off")
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str, terminal: bool = False) -> Result:
        stream = Terminal() if terminal else StringIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            code = main(arguments)
        text = stream.getvalue()
        items = [] if terminal else [json.loads(line) for line in text.splitlines()]
        return Result(int(code), items, text, capsys.readouterr().err)

    return call


def test_watchlist_is_made_changed_and_deleted(run: Run):
    """Each command shows the list as it is afterwards; deleting says so on standard error."""
    assert run("watchlist", "create", "Tech", "AAPL").items == [
        {"kind": "watchlist", "name": "Tech", "watchlist_id": "id of Tech", "symbols": ["AAPL"]}
    ]
    assert run("watchlist", "add", "Tech", "MSFT", "NVDA").items[0]["symbols"] == ["AAPL", "MSFT", "NVDA"]
    assert run("watchlist", "remove", "Tech", "AAPL", "NVDA").items[0]["symbols"] == ["MSFT"]
    assert run("watchlist", "show", "Tech").items[0]["symbols"] == ["MSFT"]
    done = run("watchlist", "delete", "Tech")

    assert (done.code, done.items, done.error) == (Exit.DONE, [], "broker: watchlist Tech is deleted\n")
    assert run("watchlist", "list", terminal=True).text == "no watchlists\n"


def test_list_of_lists_does_not_call_them_empty(run: Run):
    """Where the broker tells symbols one list at a time, the list of lists has none; an empty list shown by itself has an empty list."""
    run("watchlist", "create", "Tech", "AAPL")
    run("watchlist", "create", "Void")

    assert run("watchlist", "list").items == [
        {"kind": "watchlist", "name": "Tech", "watchlist_id": "id of Tech"},
        {"kind": "watchlist", "name": "Void", "watchlist_id": "id of Void"},
    ]
    assert run("watchlist", "show", "Void").items[0]["symbols"] == []
    assert "id of Tech" in run("watchlist", "list", terminal=True).text
    assert "AAPL" in run("watchlist", "show", "Tech", terminal=True).text


def test_refused_symbol_ends_the_command(run: Run):
    """What was added before the refusal stays, what comes after it is not tried; an unknown list is the broker's refusal."""
    run("watchlist", "create", "Tech")
    done = run("watchlist", "add", "Tech", "AAPL", "NOPE", "MSFT")

    assert (done.code, done.items) == (Exit.REFUSED, [])
    assert "there is no NOPE" in done.error
    assert run("watchlist", "show", "Tech").items[0]["symbols"] == ["AAPL"]
    assert run("watchlist", "show", "Other").code == Exit.REFUSED


def test_broker_without_watchlists_says_so(run: Run):
    """Where the broker keeps none, the command is refused as misuse, in one line."""
    done = run("--broker", "demo", "watchlist", "list")

    assert (done.code, done.items) == (Exit.USAGE, [])
    assert "broker demo offers no watchlists" in done.error


def test_assets_are_listed_by_class_and_text(run: Run):
    """Everything that can be traded is listed; a class and a text, in any case, narrow it down."""
    every = run("assets").items

    assert {item["kind"] for item in every} == {"asset"}
    pairs = run("assets", "--class", "CRYPTO").items
    assert pairs
    assert pairs == [item for item in every if item["asset_class"] == "crypto"]
    apple = next(item for item in every if item["symbol"] == "AAPL")
    assert apple in run("assets", "--search", "aapl").items
    assert apple in run("assets", "--search", apple["name"][1:].upper()).items
    assert apple["price_increment"] == "0.01"


def test_assets_say_how_many_there_are(run: Run):
    """The table's title counts; where nothing fits, the line says out of how many."""
    assert "of lister" in run("assets", "--search", "AAPL", terminal=True).text
    assert run("assets", "--search", "no such thing", terminal=True).text.startswith("none of ")


def test_clock_shows_when_the_market_changes(run: Run):
    """The broker's moment, whether its market is open, and the next two changes."""
    (item,) = run("clock").items

    assert (item["kind"], item["broker"], item["is_open"]) == ("clock", "lister", True)
    assert datetime.fromisoformat(item["at"]) < datetime.fromisoformat(item["next_close"])
    assert "next open" in run("clock", terminal=True).text


def test_calendar_lists_days_with_their_hours(run: Run):
    """Both ends are included; without an end the list is 30 days long, without a start it begins today."""
    days = run("calendar", "--start", "2026-03-02", "--end", "2026-03-04").items

    assert [day["day"] for day in days] == ["2026-03-02", "2026-03-03", "2026-03-04"]
    assert all(datetime.fromisoformat(day["open"]) < datetime.fromisoformat(day["close"]) for day in days)
    assert run("calendar", "--start", "2026-03-02").items[-1]["day"] == "2026-04-01"
    upcoming = [date.fromisoformat(day["day"]) for day in run("calendar").items]
    assert upcoming == sorted(upcoming)
    assert len(upcoming) == 31
    assert "2026-03-03" in run("calendar", "--start", "2026-03-02", terminal=True).text


@pytest.mark.parametrize(
    ("arguments", "words"), [(["--start", "today"], "--start"), (["--start", "2026-03-02", "--end", "2026-03-01"], "start")]
)
def test_days_that_make_no_sense_are_misuse(run: Run, arguments: list[str], words: str):
    """What is no day, and an end before the start, are refused with the code for misuse."""
    done = run("calendar", *arguments)

    assert done.code == Exit.USAGE
    assert words in done.error


def test_doctor_shows_what_an_offer_says_of_its_settings(run: Run):
    """Which variable won and which addresses are used stand among the checks, without a session being opened."""
    done = run("doctor")

    notes = [item["detail"] for item in done.items if item["name"] == "plugin lister"]
    assert notes == ["1 offers an account: demo, by demo", "key from LISTER_KEY", "trading at https://lister.example"]
    assert "session" not in done.details


def test_doctor_asks_the_broker_when_told_to(run: Run):
    """Online, each thing that was read is a check: the session, account, positions, orders, clock, and unknown words."""
    done = run("doctor", "--online")

    assert done.code == Exit.DONE
    found = {name: done.details[name] for name in ("account", "positions", "orders", "new orders", "words")}
    assert found == {
        "account": ("ok", "ACTIVE, equity 100,000 USD, buying power 100,000"),
        "positions": ("ok", "0 held"),
        "orders": ("ok", "0 open"),
        "new orders": ("ok", "may go out"),
        "words": ("ok", "everything the broker said is known"),
    }
    assert done.details["session"][1].startswith("lister by demo, demo, account DEMO-")
    assert done.details["clock"][0] == "ok"
    assert "trading" not in done.details


@pytest.mark.parametrize(
    ("variable", "value", "name", "state", "words", "code"),
    [
        ("LISTER_AHEAD", "60", "clock", "warning", r"(59|60|61)\.\d s ahead of the broker", Exit.DONE),
        ("LISTER_AHEAD", "-60", "clock", "warning", r"(5\d|60)\.\d s behind the broker", Exit.DONE),
        ("LISTER_BLOCKED", "1", "trading", "warning", "trading is blocked, and the account is RESTRICTED", Exit.DONE),
        ("LISTER_STATUS", "APPROVED", "trading", "warning", "the account is APPROVED, not ACTIVE", Exit.DONE),
        ("LISTER_DRIFT", "1", "words", "warning", r"order.status: resting \(3 times\)", Exit.DONE),
        ("LISTER_DEAF", "1", "account", "problem", "lister: nobody answers", Exit.BROKER),
    ],
)
def test_doctor_tells_what_is_wrong_with_the_account(
    run: Run, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str, state: str, words: str, code: Exit
):
    """A clock that is off, a blocked account and unknown words are warnings; a read that fails is a problem, and the others still show."""
    monkeypatch.setenv(variable, value)
    done = run("doctor", "--online")

    assert done.code == code
    assert done.details[name][0] == state
    assert re.search(words, done.details[name][1])
    assert done.details["orders"] == ("ok", "0 open")


def test_doctor_says_why_orders_are_held_back(run: Run, monkeypatch: pytest.MonkeyPatch):
    """Where the session does not become ready to trade in time, the reason is a warning."""
    monkeypatch.setattr("broker_core.cli.online_checks._PATIENCE", 0.05)
    monkeypatch.setenv("LISTER_MUTE", "1")
    done = run("doctor", "--online")

    state, detail = done.details["new orders"]
    assert (done.code, state) == (Exit.DONE, "warning")
    assert detail.startswith("are held back: ")
    assert "(waited 0.05 s)" in detail


def test_doctor_says_why_no_session_opens(run: Run, monkeypatch: pytest.MonkeyPatch):
    """Where the session cannot be opened, that is the problem, beside the checks that need none."""
    monkeypatch.setenv("BROKER", "nobody")
    done = run("doctor", "--online")

    assert done.code == Exit.BROKER
    assert done.details["session"][0] == "problem"
    assert "installation" in done.details


def test_waiting_shows_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch):
    """What is waited for is said on standard error where a person looks at it, and nowhere else."""
    from broker_core.cli.output import Output

    for stream, shows in ((Terminal(), True), (StringIO(), False)):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", stream)
            with Output().working("asking the broker"):
                pass
        assert ("asking the broker" in stream.getvalue()) == shows
