"""What is kept of an account beside its orders: the row of its connection, and pictures of its positions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import peewee as pw

from broker_core.models import Account, Connection, Position
from broker_core.records.location import masked
from broker_core.records.models import RecordModels

_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASS|PWD|AUTH|CREDENTIAL|PRIVATE|SIGN|COOKIE|SESSION|CERT|PIN", re.IGNORECASE)
_MADE_ONCE = {"connection_id", "created_at"}


def connection_row(connection: Connection, status: str, now: datetime, **rest: Any) -> dict[str, Any]:
    """The columns of the connection's row; what ``rest`` does not mention keeps its value in a row that exists."""
    return {
        "connection_id": connection.connection_id,
        "account_id": connection.account_id,
        "environment": connection.environment.value,
        "status": status,
        "mode": connection.mode,
        "created_at": connection.opened_at,
        "updated_at": now,
        **rest,
    }


def account_columns(account: Account, positions: Sequence[Position], now: datetime) -> dict[str, Any]:
    """What a read of the account says of its connection."""
    return {
        "currency": account.currency,
        "equity": account.equity,
        "buying_power": account.buying_power,
        "cash": account.cash,
        "position_count": len(positions),
        "last_sync": now,
        "error_message": None,
    }


def configuration(connection: Connection, environ: Mapping[str, str]) -> dict[str, Any]:
    """How the connection came about: the settings of this framework and of the broker, without whatever may be a secret.

    A setting belongs to them when its name begins with ``BROKER_`` or the broker's own name. Those whose names hint at a secret are
    left out, and passwords in URLs are masked.
    """
    beginnings = ("BROKER_", re.sub(r"[^A-Z0-9]+", "_", connection.broker.upper()) + "_")
    settings = {
        name: masked(value) for name, value in sorted(environ.items()) if name.upper().startswith(beginnings) and not _SECRET.search(name)
    }
    return {"broker": connection.broker, "why": connection.why, "settings": settings}


def put_connection(database: pw.Database, models: RecordModels, row: Mapping[str, Any]) -> None:
    """Make the connection's row, or bring these columns of it up to date."""
    model = models.connections
    kept = [getattr(model, name) for name in row if name not in _MADE_ONCE]
    new = {"config_json": {}} | dict(row)
    model.insert(new).on_conflict(conflict_target=[model.connection_id], preserve=kept).execute(database)


def put_positions(
    database: pw.Database, models: RecordModels, connection_id: str, positions: Sequence[Position], now: datetime, at_least_every: timedelta
) -> bool:
    """Add a picture of all positions, if holdings or entry prices changed since the last one or it is old; return whether it did.

    Prices alone change all the time and make no picture. A symbol that has gone since the last picture gets a row with ``qty`` 0.
    """
    model = models.position_snapshots
    latest = model.select(pw.fn.MAX(model.snapshot_at)).where(model.connection_id == connection_id)
    before = list(model.select().where((model.connection_id == connection_id) & (model.snapshot_at == latest)).execute(database))
    held = {row.symbol: (row.qty, row.avg_entry_price) for row in before if row.qty}
    holds = {position.symbol: (position.qty, position.avg_entry_price) for position in positions}
    if holds == held and not (held and before[0].snapshot_at <= now - at_least_every):
        return False
    gone = [{"symbol": symbol, "qty": Decimal(0), "side": "flat"} for symbol in held.keys() - holds.keys()]
    rows = [{"connection_id": connection_id, "snapshot_at": now, **row} for row in (*map(_position_row, positions), *gone)]
    query = model.insert_many([_NO_PRICES | row for row in rows])
    query.on_conflict(
        conflict_target=[model.connection_id, model.symbol, model.snapshot_at],
        preserve=[getattr(model, name) for name in ("qty", "side", *_NO_PRICES)],
    ).execute(database)
    return True


_NO_PRICES = dict.fromkeys(("avg_entry_price", "current_price", "market_value", "unrealized_pnl"))


def _position_row(position: Position) -> dict[str, Any]:
    return {name: getattr(position, name) for name in ("symbol", "qty", "side", *_NO_PRICES)}
