"""Simulated rows have tables of their own."""

from __future__ import annotations

from pathlib import Path

import peewee as pw
from playhouse.schema_diff import diff_models

from broker_core.records import COLUMN_TYPES, ConnectionRecord, OrderLogRecord, PositionSnapshotRecord, upgrade
from broker_demo.records import MODELS, DemoConnectionRecord, DemoOrderLogRecord, DemoPositionSnapshotRecord


def test_the_tables_of_the_demo_broker() -> None:
    """The three types are those of the core under the names of the demo broker."""
    assert MODELS.prefix == "demo"
    assert MODELS.by_kind == {
        "connections": DemoConnectionRecord,
        "order_log": DemoOrderLogRecord,
        "position_snapshots": DemoPositionSnapshotRecord,
    }
    assert [model._meta.table_name for model in MODELS.by_kind.values()] == [
        "demo_connections",
        "demo_order_log",
        "demo_position_snapshots",
    ]
    for model, base in zip(MODELS.by_kind.values(), (ConnectionRecord, OrderLogRecord, PositionSnapshotRecord), strict=True):
        assert issubclass(model, base)
        assert list(model._meta.fields) == list(base._meta.fields)


def test_an_upgrade_makes_just_those(tmp_path: Path) -> None:
    """The schema's history gives the demo broker the tables its types describe."""
    path = tmp_path / "records.sqlite3"
    assert upgrade({"BROKER_DATABASE": str(path)}, MODELS.prefix) == {"demo": ["0001_initial"]}

    database = pw.SqliteDatabase(str(path), field_types=dict(COLUMN_TYPES["sqlite"]))
    with database.connection_context():
        assert not diff_models(database, list(MODELS.by_kind.values()))
        assert database.get_tables() == ["demo_connections", "demo_order_log", "demo_position_snapshots", "demo_schema_migration"]
