"""What the tests of the records share: changes to store, and databases of their own to store them in."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from broker_core.orders import EventKind, Execution, Order, OrderChange, OrderEvent, Source, State
from broker_core.requests import LimitOrder, Side

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

MakeChange = Callable[..., OrderChange]


@pytest.fixture
def make_change() -> MakeChange:
    """A function that makes a change: a fill by default, distinguishable by its ``step``."""

    def make(local_id: str = "ORDER1", step: int = 1, state: State = State.PARTIAL_FILL, **order: Any) -> OrderChange:
        at = order.pop("at", NOON + timedelta(seconds=step))
        execution = Execution(f"{local_id}-{step}", Decimal("1.50"), Decimal("185.420"), at)
        return OrderChange(
            order=Order(
                local_id=local_id,
                request=LimitOrder("AAPL", Side.BUY, qty="10.00", limit_price="186.50", strategy="momentum"),
                state=state,
                created_at=NOON,
                updated_at=at,
                filled_qty=Decimal("1.50") * step,
                filled_avg_price=Decimal("185.420"),
                **{"broker_ids": ("broker-1", "broker-2"), **order},
            ),
            event=OrderEvent(
                kind=EventKind.FILL,
                source=Source.STREAM,
                at=at,
                execution_id=execution.execution_id,
                qty=execution.qty,
                price=execution.price,
            ),
            previous=State.ACCEPTED,
            rule="fill",
            booked=execution,
        )

    return make


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """The URL of a PostgreSQL database with an empty schema of its own first in the search path."""
    base = os.environ.get("BROKER_TEST_POSTGRES")
    if not base:
        pytest.skip("BROKER_TEST_POSTGRES names no PostgreSQL database")
    import psycopg

    name = f"records_{uuid.uuid4().hex}"
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
        yield f"{base}{'&' if '?' in base else '?'}options={quote(f'-csearch_path={name}')}"
        connection.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A setting of ``BROKER_DATABASE``: an empty database of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "records.sqlite3")
    found: str = request.getfixturevalue("postgres_url")
    return found
