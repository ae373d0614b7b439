"""The three tables: connections, the order log, position snapshots."""
# ruff: noqa: INP001 - scripts are loaded by their path, in the order of their numbers, and are no package

from typing import Any

import peewee as pw

from broker_core.records.fields import JsonField, MoneyField, UtcField


def _tables(prefix: str, database: pw.Database) -> list[type[pw.Model]]:
    class Connection(pw.Model):
        connection_id = pw.TextField(primary_key=True)
        account_id = pw.TextField()
        environment = pw.TextField()
        status = pw.TextField()
        mode = pw.TextField()
        currency = pw.TextField(null=True)
        equity = MoneyField(null=True)
        buying_power = MoneyField(null=True)
        cash = MoneyField(null=True)
        position_count = pw.IntegerField(null=True)
        last_sync = UtcField(null=True)
        error_message = pw.TextField(null=True)
        config_json = JsonField()
        created_at = UtcField()
        updated_at = UtcField()

        class Meta:
            table_name = f"{prefix}_connections"

    class OrderLog(pw.Model):
        id = pw.BigAutoField()
        connection_id = pw.TextField()
        local_id = pw.TextField()
        broker_order_id = pw.TextField(null=True)
        execution_id = pw.TextField(null=True)
        symbol = pw.TextField()
        side = pw.TextField()
        qty = MoneyField(null=True)
        order_type = pw.TextField()
        time_in_force = pw.TextField()
        limit_price = MoneyField(null=True)
        stop_price = MoneyField(null=True)
        status = pw.TextField()
        filled_qty = MoneyField()
        filled_avg_price = MoneyField(null=True)
        signal_id = pw.TextField(null=True)
        strategy = pw.TextField(null=True)
        detail = JsonField()
        occurred_at = UtcField()

        class Meta:
            table_name = f"{prefix}_order_log"
            legacy_table_names = False
            indexes = (
                (("connection_id", "local_id"), False),
                (("connection_id", "occurred_at"), False),
                (("broker_order_id",), False),
            )

    class PositionSnapshot(pw.Model):
        connection_id = pw.TextField()
        symbol = pw.TextField()
        snapshot_at = UtcField()
        qty = MoneyField()
        avg_entry_price = MoneyField(null=True)
        current_price = MoneyField(null=True)
        market_value = MoneyField(null=True)
        unrealized_pnl = MoneyField(null=True)
        side = pw.TextField()

        class Meta:
            table_name = f"{prefix}_position_snapshots"
            legacy_table_names = False
            primary_key = pw.CompositeKey("connection_id", "symbol", "snapshot_at")
            indexes = ((("connection_id", "snapshot_at"), False),)

    tables: list[type[pw.Model]] = [Connection, OrderLog, PositionSnapshot]
    for table in tables:
        table._meta.set_database(database)
    return tables


def up(migrator: Any, db: pw.Database) -> None:
    """Make the tables and their indexes, where they are not there."""
    db.create_tables(_tables(migrator.prefix, db))


def down(migrator: Any, db: pw.Database) -> None:
    """Drop the tables and all rows."""
    db.drop_tables(_tables(migrator.prefix, db))
