"""Three record types, concrete under each broker's prefix."""

from __future__ import annotations

import pytest

from broker_core.records import ConnectionRecord, OrderLogRecord, PositionSnapshotRecord, RecordModels, models_for
from broker_core.records.codec import COLUMNS

CONNECTIONS = (
    "connection_id account_id environment status mode currency equity buying_power cash position_count last_sync error_message"
    " config_json created_at updated_at"
)
ORDER_LOG = (
    "id connection_id local_id broker_order_id execution_id symbol side qty order_type time_in_force limit_price stop_price status"
    " filled_qty filled_avg_price signal_id strategy detail occurred_at"
)
POSITION_SNAPSHOTS = "connection_id symbol snapshot_at qty avg_entry_price current_price market_value unrealized_pnl side"


@pytest.mark.parametrize(
    ("kind", "columns", "key"),
    [
        ("connections", CONNECTIONS, ["connection_id"]),
        ("order_log", ORDER_LOG, ["id"]),
        ("position_snapshots", POSITION_SNAPSHOTS, ["connection_id", "symbol", "snapshot_at"]),
    ],
)
def test_the_columns_of_each_table(kind: str, columns: str, key: list[str]) -> None:
    """Each table has exactly the columns and the key that were agreed."""
    model = models_for("acme").by_kind[kind]

    assert sorted(model._meta.columns) == sorted(columns.split())
    assert [field.name for field in model._meta.get_primary_keys()] == key


def test_a_row_of_the_log_fills_every_column() -> None:
    """The encoder knows every column of the order log but the number, which the database gives."""
    assert {"id", *COLUMNS} == set(models_for("acme").order_log._meta.columns)


def test_types_for_any_broker() -> None:
    """A broker without types of its own gets tables named after it, and always the same types."""
    models = models_for("My-Broker")

    assert models.prefix == "my_broker"
    assert [model._meta.table_name for model in models.by_kind.values()] == [
        "my_broker_connections",
        "my_broker_order_log",
        "my_broker_position_snapshots",
    ]
    assert models.order_log.__name__ == "MyBrokerOrderLogRecord"
    assert models_for("My-Broker") is models


def test_types_are_not_bound_to_a_database() -> None:
    """No type carries a database, so that one type can serve two."""
    assert {model._meta.database for model in models_for("acme").by_kind.values()} == {None}


@pytest.mark.parametrize("prefix", ["", "1st", "_x", "x" * 41, "ü"])
def test_a_prefix_that_names_no_table(prefix: str) -> None:
    """A name no table can be called after is refused."""
    with pytest.raises(ValueError, match="prefix"):
        models_for(prefix)


def test_siblings_share_a_prefix() -> None:
    """Types whose tables have different prefixes, or other names than the kinds ask, do not go together."""
    acme, other = models_for("acme"), models_for("other")
    with pytest.raises(ValueError, match="other_order_log of OtherOrderLogRecord is not acme_order_log"):
        RecordModels(acme.connections, other.order_log, acme.position_snapshots)


def test_indexes_are_named_after_their_own_table() -> None:
    """Indexes of two brokers in one database have different names, where PostgreSQL would skip the second of the same name."""
    names = [
        {index._name for model in models_for(prefix).by_kind.values() for index in model._meta.fields_to_index()}
        for prefix in ("acme", "other")
    ]

    assert len(names[0]) == 4
    assert not names[0] & names[1]


@pytest.mark.parametrize("base", [ConnectionRecord, OrderLogRecord, PositionSnapshotRecord])
def test_concrete_types_are_of_the_abstract_ones(base: type) -> None:
    """A host can treat every broker's rows alike by their abstract type."""
    assert any(issubclass(model, base) for model in models_for("acme").by_kind.values())
