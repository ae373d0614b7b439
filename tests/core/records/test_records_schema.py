"""The schema's history: scripts make the tables that the types describe, once, whoever comes first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import peewee as pw
import pytest
from playhouse.schema_diff import diff_models

import broker_core
from broker_core.errors import StorageError
from broker_core.records import locate, models_for, schema
from broker_core.records.engine import Engine, open_engine

PREFIX = "acme"
MODELS = list(models_for(PREFIX).by_kind.values())


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """An empty database of each kind, connected."""
    location = locate({"BROKER_DATABASE": url})
    assert location is not None
    found = open_engine(location)
    found.attempt(lambda: None)
    yield found
    found.close()


def described(database: pw.Database, prefix: str) -> dict[str, object]:
    """Columns with their types, and indexes, of all tables of a prefix, under names without it."""
    return {
        table.removeprefix(prefix): (
            [(column.name, column.full_type, column.null, column.primary_key) for column in database.get_columns(table)],
            sorted((index.name.replace(prefix, ""), index.columns, index.unique) for index in database.get_indexes(table)),
        )
        for table in sorted(database.get_tables())
        if table.startswith(prefix) and not table.endswith("migration")
    }


def test_scripts_make_what_the_types_describe(engine: Engine) -> None:
    """Tables made by the scripts have the columns, types, keys and indexes that the types would make themselves."""
    assert schema.upgrade(engine, PREFIX) == ["0001_initial"]
    fresh = models_for("fresh")
    with engine.database.bind_ctx(list(fresh.by_kind.values())):
        engine.database.create_tables(list(fresh.by_kind.values()))

    assert not diff_models(engine.database, MODELS)
    assert described(engine.database, PREFIX) == described(engine.database, "fresh")
    assert len(described(engine.database, PREFIX)) == 3


def test_up_and_down_and_up(engine: Engine) -> None:
    """What was applied is known, can be taken back, and can be applied again."""
    assert schema.upgrade(engine, PREFIX) == ["0001_initial"]
    assert schema.upgrade(engine, PREFIX) == []
    assert schema.state(engine.database, PREFIX) == schema.Schema(applied=("0001_initial",), pending=(), unknown=())

    assert schema.downgrade(engine, PREFIX) == ["0001_initial"]
    assert schema.downgrade(engine, PREFIX) == []
    assert schema.state(engine.database, PREFIX).version is None
    assert described(engine.database, PREFIX) == {}

    assert schema.upgrade(engine, PREFIX) == ["0001_initial"]
    assert not diff_models(engine.database, MODELS)


def test_each_prefix_has_its_own_history(engine: Engine) -> None:
    """Taking back one broker's tables leaves those of another alone."""
    for prefix in ("acme", "other"):
        schema.upgrade(engine, prefix)
    assert schema.prefixes(engine.database) == ["acme", "other"]

    schema.downgrade(engine, "other")

    assert schema.prefixes(engine.database) == ["acme"]
    assert not diff_models(engine.database, MODELS)
    assert described(engine.database, "other") == {}


def test_tables_made_by_another_tool_are_adopted(engine: Engine) -> None:
    """Where the tables exist without a history, as after Alembic, the first upgrade only writes the history."""
    with engine.database.bind_ctx(MODELS):
        engine.database.create_tables(MODELS)
    before = described(engine.database, PREFIX)

    assert schema.upgrade(engine, PREFIX) == ["0001_initial"]
    assert described(engine.database, PREFIX) == before


def test_a_newer_schema_is_refused(engine: Engine) -> None:
    """A database that a newer version has changed is not touched, and the error says by what and what to do."""
    schema.upgrade(engine, PREFIX)
    engine.database.execute_sql("INSERT INTO acme_schema_migration (name, applied) VALUES ('0007_more', '2027-01-01 00:00:00')")

    for action in (schema.upgrade, schema.downgrade):
        with pytest.raises(StorageError) as caught:
            action(engine, PREFIX)
        assert str(caught.value) == (
            f"{engine.location}: the tables of acme are at 0007_more, this version of broker-core knows only up to 0001_initial; "
            "install the newer broker-core, or run its `broker db downgrade`"
        )
    assert schema.state(engine.database, PREFIX).unknown == ("0007_more",)


def test_a_target_that_was_not_applied(engine: Engine) -> None:
    """Going down to a script that was not applied is refused, naming those that were."""
    schema.upgrade(engine, PREFIX)

    with pytest.raises(StorageError, match="migration 0009_x is not applied for acme; applied are 0001_initial"):
        schema.downgrade(engine, PREFIX, "0009_x")


UPGRADER = """
import sys
from broker_core.records import locate, schema
from broker_core.records.engine import open_engine
engine = open_engine(locate({"BROKER_DATABASE": sys.argv[1]}))
print("ready", flush=True)
sys.stdin.readline()
print(engine.attempt(lambda: schema.upgrade(engine, "acme")))
engine.close()
"""


def test_four_hosts_start_at_once(url: str) -> None:
    """Of four processes that open an empty database at the same moment one makes the tables, and none fails."""
    command = [sys.executable, "-c", UPGRADER, url]
    folder = Path(broker_core.__file__).parents[1]
    hosts = [
        subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for host in hosts:
        assert host.stdout is not None
        assert host.stdout.readline() == "ready\n"
    for host in hosts:
        assert host.stdin is not None
        host.stdin.write("go\n")
        host.stdin.flush()
    said = [host.communicate() for host in hosts]

    assert sorted(said) == [("['0001_initial']\n", ""), *[("[]\n", "")] * 3]
