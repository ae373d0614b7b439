"""Records: every order's history, the state of each account and its positions, in a database of the host's own.

A plugin like any other. It answers ``broker_journal`` and watches the session; ``BROKER_DATABASE`` says where the rows go (see
``broker_core.records.location``), by default into ``broker.sqlite3`` in the user's data folder.

A broker with record types of its own subclasses the three abstract ones and answers ``broker_record_models``::

    class AcmeConnectionRecord(ConnectionRecord):
        class Meta:
            table_name = "acme_connections"
    …
    MODELS = RecordModels(AcmeConnectionRecord, AcmeOrderLogRecord, AcmePositionSnapshotRecord)

Every other broker gets the types of ``models_for(name)``.
"""

from __future__ import annotations

from collections.abc import Callable

from broker_core.hookspecs import hookimpl
from broker_core.records.fields import COLUMN_TYPES, JsonField, MoneyField, UtcField
from broker_core.records.journal import DatabaseJournal
from broker_core.records.location import Location, database_location, locate
from broker_core.records.maintenance import BrokerTables, DatabaseStatus, downgrade, status, tail, upgrade
from broker_core.records.models import ConnectionRecord, OrderLogRecord, PositionSnapshotRecord, RecordModels, models_for
from broker_core.records.observer import Records
from broker_core.records.schema import Schema

__all__ = [
    "COLUMN_TYPES",
    "BrokerTables",
    "ConnectionRecord",
    "DatabaseJournal",
    "DatabaseStatus",
    "JsonField",
    "Location",
    "MoneyField",
    "OrderLogRecord",
    "PositionSnapshotRecord",
    "RecordModels",
    "Records",
    "Schema",
    "UtcField",
    "database_location",
    "downgrade",
    "locate",
    "models_for",
    "status",
    "tail",
    "upgrade",
]


@hookimpl
def broker_configure(register: Callable[[object], None]) -> None:
    """Give each session records of its own."""
    register(Records())
