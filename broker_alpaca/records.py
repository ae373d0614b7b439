"""The record types of Alpaca: the core's three, in tables of Alpaca's own."""

# ruff: noqa: D106 - Meta is where Peewee looks for the options of a table

from __future__ import annotations

from broker_core.records import ConnectionRecord, OrderLogRecord, PositionSnapshotRecord, RecordModels


class AlpacaConnectionRecord(ConnectionRecord):
    """One Alpaca account as it was last seen."""

    class Meta:
        table_name = "alpaca_connections"


class AlpacaOrderLogRecord(OrderLogRecord):
    """One piece of news about one order at Alpaca."""

    class Meta:
        table_name = "alpaca_order_log"


class AlpacaPositionSnapshotRecord(PositionSnapshotRecord):
    """One holding at Alpaca at one moment."""

    class Meta:
        table_name = "alpaca_position_snapshots"


MODELS = RecordModels(
    connections=AlpacaConnectionRecord,
    order_log=AlpacaOrderLogRecord,
    position_snapshots=AlpacaPositionSnapshotRecord,
)
"""What ``broker_record_models`` answers for Alpaca."""
