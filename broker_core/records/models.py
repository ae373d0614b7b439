"""The three record types, abstract here and concrete under each broker's prefix.

A broker that wants names of its own subclasses them and answers ``broker_record_models`` with a ``RecordModels``; for every other
one ``models_for`` makes them. Simulated and real rows never share a table, because their brokers never share a prefix.

Types are not bound to a database: two sessions of one process may keep the same type in two databases. Give queries theirs with
``query.execute(database)``, or bind the types yourself with Peewee's ``bind_ctx``.
"""

# ruff: noqa: D106 - Meta is where Peewee looks for the options of a table

from __future__ import annotations

import functools
import re
from typing import Any

import attrs
import peewee as pw

from broker_core.records.fields import JsonField, MoneyField, UtcField

CONNECTIONS = "connections"
ORDER_LOG = "order_log"
POSITION_SNAPSHOTS = "position_snapshots"

# Leaves room for the longest of our index names within PostgreSQL's 63 characters of a table's name.
_LONGEST_PREFIX = 40


class ConnectionRecord(pw.Model):
    """One account at one broker as it was last seen: a row each, updated in place. Amounts in ``currency``."""

    connection_id = pw.TextField(primary_key=True)
    account_id = pw.TextField()
    environment = pw.TextField()
    """``live``, ``paper`` or ``demo``."""
    status = pw.TextField()
    """``connected``, ``disconnected``, or ``failed`` with the reason in ``error_message``."""
    mode = pw.TextField()
    currency = pw.TextField(null=True)
    equity = MoneyField(null=True)
    buying_power = MoneyField(null=True)
    cash = MoneyField(null=True)
    position_count = pw.IntegerField(null=True)
    last_sync = UtcField(null=True)
    error_message = pw.TextField(null=True)
    config_json = JsonField()
    """How the connection was set up, without secrets."""
    created_at = UtcField()
    updated_at = UtcField()

    class Meta:
        legacy_table_names = False


class OrderLogRecord(pw.Model):
    """One accepted piece of news about one order. Rows are added, never changed; the order now is its row with the highest ``id``.

    ``symbol`` to ``stop_price``, ``signal_id`` and ``strategy`` are the order's terms; ``status``, ``filled_qty`` and
    ``filled_avg_price`` its state after the news; ``execution_id`` and ``occurred_at`` belong to the news. ``detail`` has the rest.
    Words that the broker chooses have no limit of length, because a row that cannot be written is an order that is lost.
    """

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
        legacy_table_names = False
        indexes = (
            (("connection_id", "local_id"), False),
            (("connection_id", "occurred_at"), False),
            (("broker_order_id",), False),
        )


class PositionSnapshotRecord(pw.Model):
    """One holding at one moment. Rows of one moment are the whole picture; a symbol that has left it has one row with ``qty`` 0."""

    connection_id = pw.TextField()
    symbol = pw.TextField()
    snapshot_at = UtcField()
    qty = MoneyField()
    """Signed: below zero is short."""
    avg_entry_price = MoneyField(null=True)
    current_price = MoneyField(null=True)
    market_value = MoneyField(null=True)
    unrealized_pnl = MoneyField(null=True)
    side = pw.TextField()
    """``long``, ``short`` or ``flat``."""

    class Meta:
        legacy_table_names = False
        primary_key = pw.CompositeKey("connection_id", "symbol", "snapshot_at")
        indexes = ((("connection_id", "snapshot_at"), False),)


@attrs.frozen
class RecordModels:
    """The three concrete types of one broker. Raises ValueError when their table names do not share one prefix."""

    connections: type[ConnectionRecord]
    order_log: type[OrderLogRecord]
    position_snapshots: type[PositionSnapshotRecord]

    def __attrs_post_init__(self) -> None:
        for kind, model in self.by_kind.items():
            if table_name(model) != f"{self.prefix}_{kind}":
                raise ValueError(f"table_name: {table_name(model)} of {model.__name__} is not {self.prefix}_{kind}, as its siblings ask")
        check_prefix(self.prefix)

    @property
    def prefix(self) -> str:
        """What the names of the tables begin with."""
        return table_name(self.connections).removesuffix(f"_{CONNECTIONS}")

    @property
    def by_kind(self) -> dict[str, type[pw.Model]]:
        """The types under their kinds: ``connections``, ``order_log``, ``position_snapshots``."""
        return {CONNECTIONS: self.connections, ORDER_LOG: self.order_log, POSITION_SNAPSHOTS: self.position_snapshots}


def table_name(model: type[pw.Model]) -> str:
    """The name of the type's table."""
    return str(model._meta.table_name)


def check_prefix(prefix: str) -> None:
    """Raise ValueError unless tables can be named after this prefix."""
    if len(prefix) > _LONGEST_PREFIX or not re.fullmatch(r"[a-z][a-z0-9_]*", prefix):
        raise ValueError(f"prefix: {prefix!r} is not a lower-case word of at most {_LONGEST_PREFIX} letters, digits and underscores")


@functools.cache
def models_for(prefix: str) -> RecordModels:
    """Concrete types for a broker that has none of its own: tables ``<prefix>_connections`` and so on.

    A name such as ``my-broker`` becomes ``my_broker``. Raises ValueError where no table can be named after it.
    """
    word = re.sub(r"[^a-z0-9]+", "_", prefix.lower())
    check_prefix(word)
    name = "".join(part.capitalize() for part in word.split("_"))

    def concrete(base: type[pw.Model], kind: str) -> Any:
        meta = type("Meta", (), {"table_name": f"{word}_{kind}"})
        return type(f"{name}{base.__name__}", (base,), {"__module__": __name__, "__doc__": base.__doc__, "Meta": meta})

    return RecordModels(
        connections=concrete(ConnectionRecord, CONNECTIONS),
        order_log=concrete(OrderLogRecord, ORDER_LOG),
        position_snapshots=concrete(PositionSnapshotRecord, POSITION_SNAPSHOTS),
    )
