"""What a market-data stream carries."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker_core import ticks
from broker_core.clock import from_ns, to_ns
from broker_core.requests import Side
from broker_core.ticks import (
    Bar,
    DailyBar,
    Imbalance,
    MarketEvent,
    News,
    OrderBookUpdate,
    PriceBand,
    Quote,
    Trade,
    TradeCancel,
    TradeCorrection,
    TradingStatus,
    UpdatedBar,
)

MOMENT = datetime(2026, 3, 2, 15, 0, 0, 123456, tzinfo=UTC)
MOMENT_NS = to_ns(MOMENT)
OHLC = (1.0, 4.0, 0.5, 2.0, 1000.0, 12, 1.9)

OF_A_SYMBOL: list[Any] = [
    Quote("AAPL", MOMENT_NS, 184.9, 3.0, 185.1, 2.0, "V", "Q", ("R",), "C"),
    Trade("AAPL", MOMENT_NS, 185.0, 100.0, "V", "17", ("@", "I"), "C", Side.BUY),
    Bar("AAPL", MOMENT_NS, *OHLC),
    DailyBar("AAPL", MOMENT_NS, *OHLC),
    UpdatedBar("AAPL", MOMENT_NS, *OHLC),
    TradingStatus("AAPL", MOMENT_NS, "H", "Trading Halt", "T12", "Information requested", "C"),
    PriceBand("AAPL", MOMENT_NS, 190.0, 180.0, "B", "C"),
    TradeCorrection("AAPL", MOMENT_NS, "V", "17", 185.0, 100.0, ("@",), "18", 185.5, 100.0, ("@",), "C"),
    TradeCancel("AAPL", MOMENT_NS, "17", "V", 185.0, 100.0, "cancel", "C"),
    OrderBookUpdate("AAPL", MOMENT_NS, ((184.9, 3.0),), ((185.1, 0.0),), True),
    Imbalance("AAPL", MOMENT_NS, 185.0, "C"),
]
NEWS = News(symbols=("AAPL",), timestamp_ns=MOMENT_NS, id="1", headline="News", created_at=MOMENT, updated_at=MOMENT)
EVERYTHING = [*OF_A_SYMBOL, NEWS]


def named(value: object) -> str:
    return type(value).__name__


def test_every_event_is_in_this_table():
    """No kind of event is forgotten here, or in the alias for all of them."""
    assert {type(value) for value in EVERYTHING} == set(get_args(MarketEvent))
    assert {value for name, value in vars(ticks).items() if attrs.has(value) and not name.startswith("_")} == set(get_args(MarketEvent))


@pytest.mark.parametrize("value", EVERYTHING, ids=named)
def test_slots(value: Any):
    """No event carries a dictionary of its own."""
    assert not hasattr(value, "__dict__")
    with pytest.raises(AttributeError):
        value.another = 1


@pytest.mark.parametrize("value", EVERYTHING, ids=named)
def test_events_are_keys(value: Any):
    """Events compare and hash by content; another content is another key."""
    assert {value: 1}[attrs.evolve(value)] == 1
    assert len({value, attrs.evolve(value, timestamp_ns=1)}) == 2
    assert value != object()


def test_bars_of_different_kinds_differ():
    """A daily bar with the numbers of a minute bar is another thing, though both are bars."""
    kinds = [Bar, DailyBar, UpdatedBar]

    assert len({kind("A", 1, *OHLC) for kind in kinds}) == 3
    assert all(issubclass(kind, Bar) for kind in kinds)


@pytest.mark.parametrize("value", OF_A_SYMBOL, ids=named)
def test_events_show_themselves(value: Any):
    """Their text spells every field out, symbol and moment first."""
    assert repr(value).startswith(f"{named(value)}(symbol='AAPL', timestamp_ns={MOMENT_NS}")
    assert all(f"{field.name}=" in repr(value) for field in attrs.fields(type(value)))


@pytest.mark.parametrize("one", EVERYTHING, ids=named)
@settings(deadline=None, max_examples=20)
@given(nanoseconds=st.integers(0, 2**62))
def test_timestamp(one: Any, nanoseconds: int):
    """The moment is aware UTC, cut to microseconds, while the nanoseconds stay whole."""
    value = attrs.evolve(one, timestamp_ns=nanoseconds)

    assert value.timestamp == from_ns(nanoseconds)
    assert value.timestamp.utcoffset().total_seconds() == 0
    assert 0 <= nanoseconds - to_ns(value.timestamp) < 1000
    assert value.timestamp_ns == nanoseconds


def test_what_a_broker_does_not_send_is_empty():
    """The least that a quote and a trade need is their numbers."""
    quote, trade = Quote("A", 1, 1.0, 2.0, 3.0, 4.0), Trade("A", 1, 1.0, 2.0)

    assert (quote.bid_exchange, quote.ask_exchange, quote.conditions, quote.tape) == ("", "", (), "")
    assert (trade.exchange, trade.trade_id, trade.conditions, trade.tape, trade.taker_side) == ("", "", (), "", None)
