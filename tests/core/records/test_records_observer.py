"""The plugin of one session: the journal it offers, and what it keeps of the account."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import attrs
import pluggy
import pytest

import broker_core.records
from broker_core import hookspecs
from broker_core.clock import StillClock
from broker_core.errors import ConfigError, PluginError, StorageError
from broker_core.models import Account, Capabilities, Connection, Environment, Position
from broker_core.records import DatabaseJournal, Records, models_for

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Acme:
    """As much of a client as the records look at."""

    name = "acme"
    mode = "http"
    environment = Environment.PAPER
    hook_api = 1
    capabilities = Capabilities()

    async def open(self) -> Account:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


CONNECTION = Connection(
    connection_id="acme:paper:1",
    broker="acme",
    mode="http",
    environment=Environment.PAPER,
    account_id="1",
    opened_at=NOON,
    why="it was named",
)
ACCOUNT = Account(account_id="1", currency="USD", cash=Decimal("100.50"), equity=Decimal("1100.50"), buying_power=Decimal("200.00"))
LONG = Position(
    symbol="AAPL",
    qty=Decimal(10),
    avg_entry_price=Decimal("90.00"),
    current_price=Decimal("100.00"),
    market_value=Decimal("1000.00"),
    unrealized_pnl=Decimal("100.00"),
)
SHORT = Position(symbol="MSFT", qty=Decimal(-2), avg_entry_price=Decimal("400.00"))


@pytest.fixture
def clock() -> StillClock:
    """Noon, until it is moved."""
    return StillClock(NOON)


@pytest.fixture
async def records(clock: StillClock, url: str) -> AsyncIterator[Records]:
    """The records of one session, with its journal."""
    found = Records(clock, snapshot_every=timedelta(minutes=15))
    journal = found.broker_journal(Acme(), CONNECTION, {"BROKER_DATABASE": url}, None)
    assert isinstance(journal, DatabaseJournal)
    yield found
    await journal.close()


async def rows(records: Records, kind: str) -> list[dict[str, Any]]:
    """All rows of one table."""
    assert records._journal is not None
    return await records._journal.tail(kind, 100)


async def held(records: Records) -> list[tuple[str, datetime, Decimal, str]]:
    """The snapshots: symbol, moment, quantity and side."""
    return [(row["symbol"], row["snapshot_at"], row["qty"], row["side"]) for row in await rows(records, "position_snapshots")]


def test_every_session_has_records_of_its_own() -> None:
    """The module registers a new object for each session, and every hook of it is known."""
    registered: list[object] = []
    for _ in range(2):
        manager = pluggy.PluginManager(hookspecs.NAME)
        manager.add_hookspecs(hookspecs)
        manager.register(broker_core.records)
        manager.hook.broker_configure(environ={}, register=registered.append)
        manager.register(registered[-1])
        manager.check_pending()

    assert len({id(plugin) for plugin in registered}) == 2
    assert all(isinstance(plugin, Records) for plugin in registered)


async def test_off_keeps_nothing(clock: StillClock) -> None:
    """Switched off, there is no journal and watching does nothing."""
    records = Records(clock)

    assert records.broker_journal(Acme(), CONNECTION, {"BROKER_DATABASE": "off"}, None) is None
    await records.broker_connected(CONNECTION)
    await records.broker_synced(CONNECTION, ACCOUNT, [LONG])
    await records.broker_disconnected(CONNECTION, None)


def test_offering_a_journal_does_no_io(clock: StillClock) -> None:
    """The hook answers at once; a database that cannot be reached is found out by the first use."""
    journal = Records(clock).broker_journal(Acme(), CONNECTION, {"BROKER_DATABASE": "/nowhere/at/all.sqlite3"}, None)

    assert isinstance(journal, DatabaseJournal)
    assert journal.location == "/nowhere/at/all.sqlite3"


def test_the_broker_may_bring_its_own_types(clock: StillClock) -> None:
    """Types that the broker answered are used; without any they are named after it."""
    environ = {"BROKER_DATABASE": ":memory:"}
    own = Records(clock).broker_journal(Acme(), CONNECTION, environ, models_for("special"))
    none = Records(clock).broker_journal(Acme(), CONNECTION, environ, None)

    assert isinstance(own, DatabaseJournal)
    assert isinstance(none, DatabaseJournal)
    assert (own.models.prefix, none.models.prefix) == ("special", "acme")


def test_what_is_no_record_types(clock: StillClock) -> None:
    """A broker that answers something else is told what it must answer."""
    with pytest.raises(PluginError, match="acme: broker_record_models answered dict; it must answer RecordModels"):
        Records(clock).broker_journal(Acme(), CONNECTION, {}, {})


def test_a_broker_no_table_can_be_named_after(clock: StillClock) -> None:
    """A broker whose name makes no table's name is told how to name its tables."""
    client = Acme()
    client.name = "1st"

    with pytest.raises(PluginError, match=r"1st: prefix: .*answer broker_record_models"):
        Records(clock).broker_journal(client, CONNECTION, {}, None)


def test_a_setting_that_makes_no_sense(clock: StillClock) -> None:
    """A wrong BROKER_DATABASE is an error of the settings, at once."""
    with pytest.raises(ConfigError, match="BROKER_DATABASE"):
        Records(clock).broker_journal(Acme(), CONNECTION, {"BROKER_DATABASE": "mysql://host/desk"}, None)


async def test_the_life_of_a_connection(records: Records, clock: StillClock) -> None:
    """One row follows the connection from its opening over its reads to its end."""
    await records.broker_connected(CONNECTION)
    (row,) = await rows(records, "connections")
    assert row == {
        "connection_id": "acme:paper:1",
        "account_id": "1",
        "environment": "paper",
        "status": "connected",
        "mode": "http",
        "currency": None,
        "equity": None,
        "buying_power": None,
        "cash": None,
        "position_count": None,
        "last_sync": None,
        "error_message": None,
        "config_json": row["config_json"],
        "created_at": NOON,
        "updated_at": NOON,
    }

    await clock.advance(30)
    await records.broker_synced(CONNECTION, ACCOUNT, [LONG, SHORT])
    (synced,) = await rows(records, "connections")
    later = NOON + timedelta(seconds=30)
    assert synced == {
        **row,
        "currency": "USD",
        "equity": Decimal("1100.50"),
        "buying_power": Decimal("200.00"),
        "cash": Decimal("100.50"),
        "position_count": 2,
        "last_sync": later,
        "updated_at": later,
    }

    await clock.advance(30)
    await records.broker_disconnected(CONNECTION, None)
    (ended,) = await rows(records, "connections")
    assert ended == {**synced, "status": "disconnected", "updated_at": NOON + timedelta(seconds=60)}


async def test_a_connection_that_failed(records: Records) -> None:
    """An unwanted end is kept with its reason, less its passwords; the next opening clears it and keeps what was known."""
    await records.broker_synced(CONNECTION, ACCOUNT, [])
    await records.broker_disconnected(CONNECTION, "cannot reach postgresql://me:hunter2@host/desk")
    (failed,) = await rows(records, "connections")
    await records.broker_connected(attrs.evolve(CONNECTION, opened_at=NOON + timedelta(days=1)))
    (again,) = await rows(records, "connections")

    assert (failed["status"], failed["error_message"]) == ("failed", "cannot reach postgresql://me:***@host/desk")
    assert (again["status"], again["error_message"]) == ("connected", None)
    assert (again["equity"], again["created_at"]) == (Decimal("1100.50"), NOON)


async def test_no_secret_is_kept(clock: StillClock) -> None:
    """The configuration names the settings of the framework and the broker, and nothing that may be a secret."""
    environ = {
        "BROKER_DATABASE": ":memory:",
        "BROKER_PROXY": "http://me:hunter2@proxy:8080",
        "ACME_REGION": "eu",
        "ACME_API_KEY": "hunter2",
        "ACME_SECRET": "hunter2",
        "acme_password": "hunter2",
        "ACME_ACCESS_TOKEN": "hunter2",
        "ACME_AUTHORIZATION": "hunter2",
        "PATH": "/hunter2",
        "OTHER_REGION": "hunter2",
    }
    records = Records(clock)
    journal = records.broker_journal(Acme(), CONNECTION, environ, None)
    assert journal is not None
    await records.broker_connected(CONNECTION)
    (row,) = await rows(records, "connections")
    await journal.close()

    assert row["config_json"] == {
        "broker": "acme",
        "why": "it was named",
        "settings": {"ACME_REGION": "eu", "BROKER_DATABASE": ":memory:", "BROKER_PROXY": "http://me:***@proxy:8080"},
    }


async def test_positions_are_pictured_when_they_change(records: Records, clock: StillClock) -> None:
    """Prices alone make no new rows; a change of holdings makes a whole picture, in which what has gone has no quantity."""
    await records.broker_synced(CONNECTION, ACCOUNT, [LONG, SHORT])
    await clock.advance(10)
    await records.broker_synced(CONNECTION, ACCOUNT, [attrs.evolve(LONG, current_price=Decimal(101)), SHORT])
    first = [("AAPL", NOON, Decimal(10), "long"), ("MSFT", NOON, Decimal(-2), "short")]
    assert await held(records) == first

    await clock.advance(10)
    await records.broker_synced(CONNECTION, ACCOUNT, [LONG])
    later = NOON + timedelta(seconds=20)
    second = [("AAPL", later, Decimal(10), "long"), ("MSFT", later, Decimal(0), "flat")]
    assert await held(records) == first + second

    await clock.advance(10)
    await records.broker_synced(CONNECTION, ACCOUNT, [LONG])
    assert await held(records) == first + second

    await clock.advance(10)
    await records.broker_synced(CONNECTION, ACCOUNT, [])
    await clock.advance(3600)
    await records.broker_synced(CONNECTION, ACCOUNT, [])
    assert await held(records) == [*first, *second, ("AAPL", NOON + timedelta(seconds=40), Decimal(0), "flat")]


async def test_positions_are_pictured_now_and_then(records: Records, clock: StillClock) -> None:
    """What does not change is pictured anew once the last picture is a quarter of an hour old, prices included."""
    await records.broker_synced(CONNECTION, ACCOUNT, [LONG])
    await clock.advance(15 * 60 - 1)
    await records.broker_synced(CONNECTION, ACCOUNT, [LONG])
    await clock.advance(1)
    await records.broker_synced(CONNECTION, ACCOUNT, [attrs.evolve(LONG, current_price=Decimal("101.50"))])

    found = await rows(records, "position_snapshots")
    assert [row["snapshot_at"] for row in found] == [NOON, NOON + timedelta(minutes=15)]
    assert [row["current_price"] for row in found] == [Decimal("100.00"), Decimal("101.50")]
    assert {name: found[0][name] for name in ("connection_id", "avg_entry_price", "market_value", "unrealized_pnl")} == {
        "connection_id": "acme:paper:1",
        "avg_entry_price": Decimal("90.00"),
        "market_value": Decimal("1000.00"),
        "unrealized_pnl": Decimal("100.00"),
    }


async def test_a_new_entry_price_is_a_change(records: Records, clock: StillClock) -> None:
    """A position that was closed and opened anew between two reads is seen by its entry price."""
    await records.broker_synced(CONNECTION, ACCOUNT, [LONG])
    await clock.advance(10)
    await records.broker_synced(CONNECTION, ACCOUNT, [attrs.evolve(LONG, avg_entry_price=Decimal("95.00"))])

    assert [row["avg_entry_price"] for row in await rows(records, "position_snapshots")] == [Decimal("90.00"), Decimal("95.00")]


async def test_the_next_session_goes_on_from_the_last_picture(records: Records, clock: StillClock, url: str) -> None:
    """What was held when the last session ended, and is held no more, is seen by the next one."""
    await records.broker_synced(CONNECTION, ACCOUNT, [LONG, SHORT])
    await clock.advance(60)
    later = Records(clock)
    journal = later.broker_journal(Acme(), CONNECTION, {"BROKER_DATABASE": url}, None)
    assert journal is not None
    await later.broker_synced(CONNECTION, ACCOUNT, [LONG])
    await journal.close()

    assert ("MSFT", NOON + timedelta(seconds=60), Decimal(0), "flat") in await held(records)


async def test_two_reads_at_one_moment(records: Records) -> None:
    """The later of two pictures of the same moment stands."""
    await records.broker_synced(CONNECTION, ACCOUNT, [LONG])
    await records.broker_synced(CONNECTION, ACCOUNT, [attrs.evolve(LONG, qty=Decimal(11))])

    assert await held(records) == [("AAPL", NOON, Decimal(11), "long")]


async def test_a_failure_is_told_to_the_caller(clock: StillClock) -> None:
    """A database that cannot be used makes the observer raise, for the session to log."""
    records = Records(clock)
    journal = records.broker_journal(Acme(), CONNECTION, {"BROKER_DATABASE": "/proc/no/records.sqlite3"}, None)
    assert journal is not None

    for told in (
        records.broker_connected(CONNECTION),
        records.broker_synced(CONNECTION, ACCOUNT, []),
        records.broker_disconnected(CONNECTION, None),
    ):
        with pytest.raises(StorageError, match="cannot be opened"):
            await told
    await journal.close()
