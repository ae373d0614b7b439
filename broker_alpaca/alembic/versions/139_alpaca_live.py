"""Alpaca's three tables: connections, the order log, position snapshots.

For hosts that keep their schema with Alembic: add ``broker_alpaca:alembic/versions`` to ``version_locations``, a line each, with
``path_separator = newline``. The schema is the one that ``broker db upgrade`` makes, which takes over these tables as they are.

Revision ID: 139
Revises: 138
"""
# ruff: noqa: INP001 - Alembic loads revisions by their path; the folder is no package

import sqlalchemy as sa
from alembic import op

revision = "139"
down_revision = "138"
branch_labels = None
depends_on = None

# SQLite has no exact number wider than 64 bits, and no type for moments: both are text there.
MONEY = sa.Numeric().with_variant(sa.Text(), "sqlite")
MOMENT = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
DOCUMENT = sa.JSON().with_variant(sa.Text(), "sqlite")
# Only a column of the type INTEGER counts up by itself on SQLite.
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables and their indexes."""
    op.create_table(
        "alpaca_connections",
        sa.Column("connection_id", sa.Text(), primary_key=True),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text()),
        sa.Column("equity", MONEY),
        sa.Column("buying_power", MONEY),
        sa.Column("cash", MONEY),
        sa.Column("position_count", sa.Integer()),
        sa.Column("last_sync", MOMENT),
        sa.Column("error_message", sa.Text()),
        sa.Column("config_json", DOCUMENT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
    )
    op.create_table(
        "alpaca_order_log",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("local_id", sa.Text(), nullable=False),
        sa.Column("broker_order_id", sa.Text()),
        sa.Column("execution_id", sa.Text()),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("qty", MONEY),
        sa.Column("order_type", sa.Text(), nullable=False),
        sa.Column("time_in_force", sa.Text(), nullable=False),
        sa.Column("limit_price", MONEY),
        sa.Column("stop_price", MONEY),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("filled_qty", MONEY, nullable=False),
        sa.Column("filled_avg_price", MONEY),
        sa.Column("signal_id", sa.Text()),
        sa.Column("strategy", sa.Text()),
        sa.Column("detail", DOCUMENT, nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
    )
    op.create_index("alpaca_order_log_connection_id_local_id", "alpaca_order_log", ["connection_id", "local_id"])
    op.create_index("alpaca_order_log_connection_id_occurred_at", "alpaca_order_log", ["connection_id", "occurred_at"])
    op.create_index("alpaca_order_log_broker_order_id", "alpaca_order_log", ["broker_order_id"])
    op.create_table(
        "alpaca_position_snapshots",
        sa.Column("connection_id", sa.Text(), primary_key=True),
        sa.Column("symbol", sa.Text(), primary_key=True),
        sa.Column("snapshot_at", MOMENT, primary_key=True),
        sa.Column("qty", MONEY, nullable=False),
        sa.Column("avg_entry_price", MONEY),
        sa.Column("current_price", MONEY),
        sa.Column("market_value", MONEY),
        sa.Column("unrealized_pnl", MONEY),
        sa.Column("side", sa.Text(), nullable=False),
    )
    op.create_index("alpaca_position_snapshots_connection_id_snapshot_at", "alpaca_position_snapshots", ["connection_id", "snapshot_at"])


def downgrade() -> None:
    """Drop the tables and all rows."""
    op.drop_table("alpaca_position_snapshots")
    op.drop_table("alpaca_order_log")
    op.drop_table("alpaca_connections")
