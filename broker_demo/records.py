"""The record types of the demo broker: simulated rows have tables of their own."""

# ruff: noqa: D106 - Meta is where Peewee looks for the options of a table

from __future__ import annotations

from broker_core.records import ConnectionRecord, OrderLogRecord, PositionSnapshotRecord, RecordModels


class DemoConnectionRecord(ConnectionRecord):
    """One demo account as it was last seen."""

    class Meta:
        table_name = "demo_connections"


class DemoOrderLogRecord(OrderLogRecord):
    """One piece of news about one simulated order."""

    class Meta:
        table_name = "demo_order_log"


class DemoPositionSnapshotRecord(PositionSnapshotRecord):
    """One simulated holding at one moment."""

    class Meta:
        table_name = "demo_position_snapshots"


MODELS = RecordModels(
    connections=DemoConnectionRecord,
    order_log=DemoOrderLogRecord,
    position_snapshots=DemoPositionSnapshotRecord,
)
"""What ``broker_record_models`` answers for the demo broker."""
