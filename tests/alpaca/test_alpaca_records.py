"""The record types of Alpaca."""

from __future__ import annotations

from broker_alpaca.records import MODELS, AlpacaConnectionRecord, AlpacaOrderLogRecord, AlpacaPositionSnapshotRecord


def test_tables_have_alpacas_names():
    """The three types are kept in tables of their own, apart from those of any other broker."""
    assert MODELS.prefix == "alpaca"
    assert {kind: model._meta.table_name for kind, model in MODELS.by_kind.items()} == {
        "connections": "alpaca_connections",
        "order_log": "alpaca_order_log",
        "position_snapshots": "alpaca_position_snapshots",
    }
    assert set(MODELS.by_kind.values()) == {AlpacaConnectionRecord, AlpacaOrderLogRecord, AlpacaPositionSnapshotRecord}


def test_columns_are_those_of_the_design():
    """15, 19 and 9 columns, in the order in which they are documented."""
    assert [len(model._meta.sorted_fields) for model in MODELS.by_kind.values()] == [15, 19, 9]
    assert list(AlpacaPositionSnapshotRecord._meta.fields) == [
        *("connection_id", "symbol", "snapshot_at", "qty", "avg_entry_price", "current_price", "market_value", "unrealized_pnl", "side")
    ]
