"""Alembic's revision 139: up and down on both databases, the schema of the project's own migrations, and tables they take over."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import peewee as pw
import pytest
from playhouse.schema_diff import diff_models

from broker_alpaca.records import MODELS
from broker_core.records import locate, schema
from broker_core.records.engine import Engine, open_engine

alembic_config = pytest.importorskip("alembic.config", reason="alembic is an extra; pip install 'broker-core[alembic]'")
command = pytest.importorskip("alembic.command")

PREFIX = "alpaca"
TYPES = list(MODELS.by_kind.values())
INI = """[alembic]
script_location = {folder}
path_separator = newline
version_locations =
  {folder}/versions
  broker_alpaca:alembic/versions
sqlalchemy.url = {url}
"""
ENV = """
from alembic import context
from sqlalchemy import create_engine

engine = create_engine(context.config.attributes["url"])
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
"""
STUB = 'revision = "138"\ndown_revision = None\n\n\ndef upgrade(): ...\n\n\ndef downgrade(): ...\n'


@pytest.fixture(params=["sqlite", "postgresql"])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """One empty database as ``BROKER_DATABASE`` names it and as SQLAlchemy does."""
    if request.param == "sqlite":
        path = tmp_path / "host.sqlite3"
        yield str(path), f"sqlite:///{path}"
        return
    base = os.environ.get("BROKER_TEST_POSTGRES")
    if not base:
        pytest.skip("BROKER_TEST_POSTGRES names no PostgreSQL database")
    import psycopg

    name = f"alembic_{uuid.uuid4().hex}"
    options = f"{'&' if '?' in base else '?'}options={quote(f'-csearch_path={name}')}"
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
        yield base + options, base.replace("postgresql://", "postgresql+psycopg://") + options
        connection.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def host(urls: tuple[str, str], tmp_path: Path) -> object:
    """A host's own Alembic set-up at revision 138, which lists the package's folder of revisions."""
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(ENV)
    (folder / "versions" / "138_last.py").write_text(STUB)
    (tmp_path / "alembic.ini").write_text(INI.format(folder=folder, url="unused"))
    config = alembic_config.Config(str(tmp_path / "alembic.ini"))
    config.attributes["url"] = urls[1]
    command.upgrade(config, "138")
    return config


@pytest.fixture
def engine(urls: tuple[str, str]) -> Iterator[Engine]:
    """The same database, opened by the project."""
    location = locate({"BROKER_DATABASE": urls[0]})
    assert location is not None
    found = open_engine(location)
    found.attempt(lambda: None)
    yield found
    found.close()


def described(database: pw.Database) -> dict[str, object]:
    """Columns with types, nullability and keys, in their order, and indexes, of Alpaca's tables."""
    return {
        table: (
            [(column.name, column.full_type, column.null, column.primary_key, column.identity) for column in database.get_columns(table)],
            sorted((index.name, index.columns, index.unique) for index in database.get_indexes(table)),
        )
        for table in sorted(database.get_tables())
        if table.startswith(PREFIX) and not table.endswith("migration")
    }


def test_revision_makes_the_schema_of_the_projects_own_migrations(host: object, engine: Engine) -> None:
    """Columns, types, nullability, keys and indexes are the same, whichever tool made the tables."""
    schema.upgrade(engine, PREFIX)
    ours = described(engine.database)
    schema.downgrade(engine, PREFIX)
    assert described(engine.database) == {}

    command.upgrade(host, "139")

    assert described(engine.database) == ours
    assert len(ours) == 3
    assert not diff_models(engine.database, TYPES)


def test_revision_goes_up_and_down_and_up(host: object, engine: Engine) -> None:
    """Down takes the three tables away and nothing else; up brings them back."""
    engine.database.execute_sql("CREATE TABLE of_the_host (id INTEGER PRIMARY KEY)")
    command.upgrade(host, "head")
    assert set(described(engine.database)) == {"alpaca_connections", "alpaca_order_log", "alpaca_position_snapshots"}

    command.downgrade(host, "138")
    assert described(engine.database) == {}
    assert "of_the_host" in engine.database.get_tables()

    command.upgrade(host, "+1")
    assert not diff_models(engine.database, TYPES)


def test_project_takes_over_the_tables_of_alembic(host: object, engine: Engine) -> None:
    """Over tables that Alembic made, the project's own runner only writes its history; rows go in and come out exact."""
    command.upgrade(host, "139")
    before = described(engine.database)

    assert schema.upgrade(engine, PREFIX) == ["0001_initial"]
    assert described(engine.database) == before
    assert schema.upgrade(engine, PREFIX) == []

    row = {
        "connection_id": "alpaca:paper:PA1",
        "local_id": "A1",
        "symbol": "AAPL",
        "side": "buy",
        "qty": Decimal("0.123456789"),
        "order_type": "limit",
        "time_in_force": "day",
        "limit_price": Decimal("123456789.123456789"),
        "status": "accepted",
        "filled_qty": Decimal(0),
        "detail": {"event": "snapshot"},
        "occurred_at": datetime(2026, 3, 2, 15, 0, 0, 1, tzinfo=UTC),
    }
    with engine.database.bind_ctx(TYPES):
        numbers = [MODELS.order_log.insert(**row).execute() for _ in range(2)]
        assert numbers[0] < numbers[1]
        kept = MODELS.order_log.get()
    assert {name: getattr(kept, name) for name in row} == row


def test_revision_follows_the_one_it_names(host: object) -> None:
    """139 comes after 138 and nothing else, with no branch."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(host)
    assert scripts.get_current_head() == "139"
    assert scripts.get_revision("139").down_revision == "138"
