"""The database from outside of a session."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from broker_core.errors import ConfigError, StorageError
from broker_core.records import BrokerTables, DatabaseJournal, DatabaseStatus, Schema, downgrade, locate, models_for, status, tail, upgrade
from broker_core.records.engine import open_engine


def fill(url: str, prefix: str, *changes) -> None:
    """Write these changes as a session would."""

    async def write() -> None:
        location = locate({"BROKER_DATABASE": url})
        assert location is not None
        journal = DatabaseJournal(location, models_for(prefix), f"{prefix}:1")
        try:
            await journal.append(changes)
        finally:
            await journal.close()

    asyncio.run(write())


def test_status_of_what_is_there(url: str, make_change) -> None:
    """The status names the place, its size, and for each broker the schema and the rows."""
    environ = {"BROKER_DATABASE": url}
    fill(url, "acme", make_change("ORDER1"), make_change("ORDER2"))
    fill(url, "demo", make_change("ORDER3"))

    found = status(environ)

    assert (found.location, found.kind) == (url, "sqlite" if url.startswith("/") else "postgresql")
    assert found.size is not None
    assert found.size > 4096
    schema = Schema(applied=("0001_initial",), pending=(), unknown=())
    assert found.brokers == (
        BrokerTables("acme", schema, {"connections": 0, "order_log": 2, "position_snapshots": 0}),
        BrokerTables("demo", schema, {"connections": 0, "order_log": 1, "position_snapshots": 0}),
    )
    assert found.brokers[0].schema.version == "0001_initial"


@pytest.mark.parametrize("setting", ["sqlite:///:memory:", "{folder}/none.sqlite3", "{folder}/no/folder/none.sqlite3"])
def test_looking_makes_nothing(tmp_path: Path, setting: str) -> None:
    """Asking for the status of a database that is not there does not make it."""
    environ = {"BROKER_DATABASE": setting.format(folder=tmp_path)}

    found = status(environ)

    assert (found.kind, found.size, found.brokers) == ("sqlite", None, ())
    assert list(tmp_path.iterdir()) == []


def test_switched_off() -> None:
    """Without a database there is a status, and nothing to do."""
    environ = {"BROKER_DATABASE": "off"}

    assert status(environ) == DatabaseStatus("off", "off")
    for action in (lambda: upgrade(environ), lambda: downgrade(environ, "acme"), lambda: tail(environ, "acme_order_log")):
        with pytest.raises(StorageError, match="BROKER_DATABASE is off: there is no database"):
            action()


def test_a_setting_that_makes_no_sense() -> None:
    """A wrong BROKER_DATABASE is an error of the settings."""
    with pytest.raises(ConfigError):
        status({"BROKER_DATABASE": "mysql://host/desk"})


def test_up_and_down(url: str, make_change) -> None:
    """One broker's tables can be made, taken back with their rows, and made again."""
    environ = {"BROKER_DATABASE": url}
    assert upgrade(environ, "acme") == {"acme": ["0001_initial"]}
    fill(url, "acme", make_change("ORDER1"))
    assert upgrade(environ) == {"acme": []}

    assert downgrade(environ, "acme") == ["0001_initial"]
    assert status(environ).brokers == ()
    assert upgrade(environ) == {}

    assert upgrade(environ, "acme") == {"acme": ["0001_initial"]}
    assert status(environ).brokers[0].rows["order_log"] == 0


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    """What needs rows or tables says that there is no database yet, and makes none."""
    environ = {"BROKER_DATABASE": str(tmp_path / "none.sqlite3")}
    for action in (lambda: downgrade(environ, "acme"), lambda: tail(environ, "acme_order_log")):
        with pytest.raises(StorageError, match="there is no database yet"):
            action()

    assert list(tmp_path.iterdir()) == []


def test_the_newest_rows_of_a_table(url: str, make_change) -> None:
    """The tail of a table is its newest rows, oldest first, whatever account they are of."""
    fill(url, "acme", *(make_change("ORDER1", step) for step in range(5)))

    rows = tail({"BROKER_DATABASE": url}, "acme_order_log", 3)

    assert [row["execution_id"] for row in rows] == ["ORDER1-2", "ORDER1-3", "ORDER1-4"]
    assert rows[0]["detail"]["event"]["price"] == "185.420"


@pytest.mark.parametrize("table", ["acme_orders", "sqlite_master", "acme_schema_migration", "acme_order_log; DROP TABLE acme_order_log"])
def test_only_records_can_be_shown(url: str, make_change, table: str) -> None:
    """A name that is no table of records is refused, naming those that are."""
    fill(url, "acme", make_change("ORDER1"))

    with pytest.raises(StorageError, match=r"there is no table .*; there are acme_connections, acme_order_log, acme_position_snapshots"):
        tail({"BROKER_DATABASE": url}, table)


def test_a_broker_with_an_impossible_name(url: str) -> None:
    """Tables cannot be made or dropped under a name that no table can have."""
    for action in (upgrade, downgrade):
        with pytest.raises(StorageError, match="there are no tables of that name"):
            action({"BROKER_DATABASE": url}, "1st")


def test_failures_name_the_place(tmp_path: Path) -> None:
    """A file that is no database is told by name."""
    path = tmp_path / "notes.txt"
    path.write_text("These are not the bytes of a database.\n" * 100)

    with pytest.raises(StorageError, match=r"notes\.txt: is not a SQLite database"):
        status({"BROKER_DATABASE": str(path)})


def test_another_programs_history_is_passed_over(url: str, make_change) -> None:
    """A program that keeps its own history in a table named alike is left alone."""
    fill(url, "acme", make_change("ORDER1"))
    location = locate({"BROKER_DATABASE": url})
    assert location is not None
    engine = open_engine(location)
    engine.attempt(lambda: engine.rows("CREATE TABLE shop_schema_migration (name TEXT)"))
    engine.close()

    assert [tables.prefix for tables in status({"BROKER_DATABASE": url}).brokers] == ["acme"]
    assert upgrade({"BROKER_DATABASE": url}) == {"acme": []}
