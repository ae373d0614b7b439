"""The values that travel between plugin, core and host."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest

from broker_core import models
from broker_core.clock import to_ns
from broker_core.models import (
    Account,
    Asset,
    BarColumns,
    BarPage,
    BarQuery,
    Capabilities,
    Channel,
    Connection,
    Environment,
    Gap,
    MarketClock,
    MarketHours,
    Position,
    Quote,
    SignedIn,
    Snapshot,
    Wish,
)
from broker_core.requests import OrderClass, TimeInForce
from broker_core.timeframe import Timeframe

MOMENT = datetime(2026, 3, 2, 15, 0, 0, 123456, tzinfo=UTC)
MOMENT_NS = to_ns(MOMENT)

QUOTE = Quote("AAPL", MOMENT_NS, 184.9, 3.0, 185.1, 2.0)
FROZEN: list[Any] = [
    Account(account_id="1", currency="USD", cash=Decimal(1), equity=Decimal(2), buying_power=Decimal(4)),
    Position(symbol="AAPL", qty=Decimal(1), avg_entry_price=Decimal(185)),
    Asset(symbol="AAPL", name="Apple Inc."),
    BarQuery(symbols=("AAPL",), timeframe=Timeframe.parse("1Day"), start=MOMENT, end=MOMENT),
    BarColumns(timestamp_ns=(), open=(), high=(), low=(), close=(), volume=(), trade_count=(), vwap=()),
    BarPage(columns={}),
    Snapshot(symbol="AAPL", quote=QUOTE),
    MarketClock(at=MOMENT, is_open=True, next_open=MOMENT, next_close=MOMENT),
    MarketHours(day=date(2026, 3, 2), open=MOMENT, close=MOMENT),
    Gap(feed="data", start=MOMENT, end=MOMENT),
    SignedIn(),
    Wish(),
    Capabilities(),
    Connection(connection_id="c", broker="demo", mode="demo", environment=Environment.DEMO, account_id="1", opened_at=MOMENT),
]


def named(value: object) -> str:
    return type(value).__name__


def test_every_value_is_in_these_tables():
    """No class of values is forgotten here."""
    classes = {value for value in vars(models).values() if isinstance(value, type) and value.__module__ == models.__name__}
    words = {Environment, Channel}

    assert classes - words == {type(value) for value in FROZEN}


@pytest.mark.parametrize("value", FROZEN, ids=named)
def test_frozen(value: Any):
    """Values cannot be changed, nor gain fields."""
    for name in [*(field.name for field in attrs.fields(type(value))), "another"]:
        with pytest.raises(AttributeError):
            setattr(value, name, None)


@pytest.mark.parametrize("value", FROZEN, ids=named)
def test_slots(value: Any):
    """No value carries a dictionary of its own."""
    assert not hasattr(value, "__dict__")
    with pytest.raises(AttributeError):
        value.another = 1


@pytest.mark.parametrize("value", FROZEN, ids=named)
def test_equal_by_content(value: Any):
    """A copy equals its original."""
    assert attrs.evolve(value) == value
    assert value != object()


@pytest.mark.parametrize(("qty", "side"), [("1", "long"), ("0.001", "long"), ("0", "long"), ("-0.001", "short"), ("-5", "short")])
def test_side_of_a_position(qty: str, side: str):
    """Below zero is short."""
    assert Position(symbol="AAPL", qty=Decimal(qty), avg_entry_price=Decimal(1)).side == side


def test_capabilities_of_nothing():
    """A broker that declares nothing can do next to nothing."""
    nothing = Capabilities()

    assert (nothing.order_types, nothing.channels, nothing.timeframes) == (frozenset(),) * 3
    assert nothing.order_classes == {OrderClass.SIMPLE}
    assert nothing.times_in_force == {TimeInForce.DAY}
    assert not any((nothing.notional, nothing.fractional, nothing.short, nothing.extended_hours, nothing.replace))


def test_wish_of_nothing_is_shared_safely():
    """The empty wish cannot be filled by whoever holds it."""
    with pytest.raises(TypeError):
        Wish().symbols[Channel.QUOTES] = frozenset({"AAPL"})  # type: ignore[index]


@pytest.mark.parametrize("word", [*Environment, *Channel])
def test_words_are_texts(word: Any):
    """Environments and channels print as the words of the settings and the records."""
    assert str(word) == word.value == word.name.lower()


def test_asset_defaults():
    """An asset nothing more is known of trades in whole units and hundredths, unshortable."""
    asset = Asset(symbol="AAPL", name="Apple Inc.")

    assert (asset.price_increment, asset.qty_increment) == (Decimal("0.01"), Decimal(1))
    assert (asset.tradable, asset.shortable, asset.fractionable) == (True, False, False)
