"""Columns keep what they are given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker_core.records import JsonField, Location, MoneyField, UtcField, locate, models_for
from broker_core.records.fields import money_text, utc_text
from broker_core.records.store import Store

MODELS = models_for("fields")
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def stored(url: str, **values: Any) -> Any:
    """The row that comes back after one with these values went in."""
    model = MODELS.position_snapshots
    row = {"connection_id": "c", "symbol": "AAPL", "snapshot_at": NOON, "qty": 1, "side": "long", **values}
    location = locate({"BROKER_DATABASE": url})
    assert isinstance(location, Location)
    store = Store(location, MODELS)
    try:
        store.write(lambda database: model.insert(row).execute(database))
        return store.read(lambda database: model.select().get(database))
    finally:
        store.close()


@pytest.mark.parametrize("digits", ["0.10", "123456789.123456789", "-0.000000001", "99999999999999999999.990", "7", "0.00"])
def test_money_is_exact(url: str, digits: str) -> None:
    """An amount comes back to the last digit, trailing zeros included."""
    assert format(stored(url, qty=Decimal(digits)).qty, "f") == digits


def test_money_takes_what_a_request_takes(url: str) -> None:
    """An integer, a text and a float are stored as the decimal a reader would write."""
    row = stored(url, qty=3, avg_entry_price="1.50", current_price=0.1, market_value=Decimal("1E+5"))

    assert (row.qty, str(row.avg_entry_price), str(row.current_price)) == (Decimal(3), "1.50", "0.1")
    assert str(row.market_value) == "100000"
    assert row.unrealized_pnl is None


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("-Infinity"), "twelve", True])
def test_money_refuses_what_is_no_amount(value: Any) -> None:
    """Not-a-number, infinity and text without digits are refused before they reach a database."""
    with pytest.raises(ValueError, match="amount"):
        MoneyField().db_value(value)


def test_a_moment_comes_back_in_utc(url: str) -> None:
    """A moment given in New York is the same moment in UTC, to the microsecond."""
    given_at = datetime(2026, 7, 1, 9, 30, 0, 123456, tzinfo=ZoneInfo("America/New_York"))

    found = stored(url, snapshot_at=given_at).snapshot_at

    assert found == given_at
    assert found.tzinfo is UTC


def test_the_zone_of_the_server_does_not_matter(postgres_url: str) -> None:
    """A PostgreSQL session in New York still answers in UTC."""
    found = stored(f"{postgres_url}%20-ctimezone%3DAmerica/New_York", snapshot_at=NOON).snapshot_at

    assert found.isoformat() == "2026-03-02T12:00:00+00:00"


def test_a_naive_moment_is_refused() -> None:
    """A moment without a zone is refused, because nobody can know what it means."""
    with pytest.raises(ValueError, match="has no time zone"):
        UtcField().db_value(datetime(2026, 3, 2))  # noqa: DTZ001 - the naive moment is the subject


ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=ZONES)  # noqa: DTZ001 - bounds are naive by contract


@given(MOMENTS, MOMENTS)
def test_moments_sort_as_text(first: datetime, second: datetime) -> None:
    """The text of moments has one width and sorts as the moments do, in whatever zones they were given."""
    assert utc_text(first) == first.astimezone(UTC).isoformat(timespec="microseconds")
    assert (utc_text(first) < utc_text(second)) == (first < second)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_money_as_text_is_the_same_number(value: Decimal) -> None:
    """The text of any amount has no exponent and means the same number."""
    text = money_text(value)

    assert "E" not in text
    assert Decimal(text) == value


def test_a_document_is_a_mapping(url: str) -> None:
    """A document of either database, or none, is read as a mapping."""
    field = JsonField()

    assert field.python_value(field.db_value({"a": [1, None, "ü"]})) == {"a": [1, None, "ü"]}
    assert field.python_value({"read": "already"}) == {"read": "already"}
    assert field.python_value(field.db_value(None)) is None
