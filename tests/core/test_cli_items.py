"""Values as items of output."""

import json
from datetime import UTC, datetime

import attrs
import pytest

from broker_core.cli.items import event_item
from broker_core.cli.output import plain
from broker_core.cli.quotes import _line
from broker_core.models import (
    Bar,
    DailyBar,
    Imbalance,
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

AT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
NS = 1772463600123456789
OHLC = (1.0, 4.0, 0.5, 2.0, 1000.0, 12, 1.9)

EVENTS = {
    "quote": (Quote("A", NS, 1.0, 3.0, 2.0, 4.0, "V"), "A        quote  bid 1  bid size 3  ask 2  ask size 4  bid exchange V"),
    "trade": (Trade("A", NS, 1.0, 3.0, conditions=("@", "I")), "A        trade  price 1  size 3  conditions @, I"),
    "bar": (Bar("A", NS, *OHLC), "A        bar    open 1  high 4"),
    "daily_bar": (DailyBar("A", NS, *OHLC), "A        daily bar  open 1"),
    "updated_bar": (UpdatedBar("A", NS, *OHLC), "A        updated bar  open 1"),
    "status": (TradingStatus("A", NS, "H", "Trading Halt"), "A        status  status code H  status message Trading Halt"),
    "luld": (PriceBand("A", NS, 3.0, 2.0), "A        luld   limit up 3  limit down 2"),
    "correction": (
        TradeCorrection("A", NS, "V", "1", 2.0, 3.0, (), "4", 5.0, 6.0, ()),
        "A        correction  exchange V  original id 1  original 2",
    ),
    "cancel_error": (TradeCancel("A", NS, "1", "V", 2.0, 3.0), "A        cancel error  trade id 1  exchange V"),
    "orderbook": (
        OrderBookUpdate("A", NS, ((1.0, 3.0), (0.5, 0.0)), (), True),
        "A        orderbook  bids 1x3 0.50x0  is reset yes",
    ),
    "imbalance": (Imbalance("A", NS, 1.0, "C"), "A        imbalance  price 1  tape C"),
    "news": (
        News(symbols=("A", "B"), timestamp_ns=NS, id="1", headline="Up", content="<p>", created_at=AT, updated_at=AT),
        "A B      news   headline Up",
    ),
}


@pytest.mark.parametrize("kind", EVENTS)
def test_every_event_is_an_item(kind):
    """
    An item of market data holds its kind, every field by its name and the moment, all of which JSON can write.
    """
    event, _ = EVENTS[kind]
    item = json.loads(json.dumps(plain(event_item(event)), allow_nan=False))

    assert item["kind"] == kind
    assert item["timestamp"] == "2026-03-02T15:00:00.123456+00:00"
    assert set(item) - {"kind", "timestamp"} == {field.name for field in attrs.fields(type(event))} - {"timestamp_ns"}


@pytest.mark.parametrize("kind", EVENTS)
def test_every_event_is_a_line_for_people(kind):
    """
    A line says when, what about and what; what the broker did not send, and what is long, is left out.
    """
    event, line = EVENTS[kind]

    assert _line(event_item(event)).startswith(f"15:00:00.123  {line}")
    assert "<p>" not in _line(event_item(event))


def test_a_plugins_own_kind_of_event_is_its_base():
    """
    A type derived from one of ours keeps that one's kind.
    """

    @attrs.define
    class SessionBar(DailyBar):
        session: str = "regular"

    item = event_item(SessionBar("A", NS, *OHLC))

    assert (item["kind"], item["session"]) == ("daily_bar", "regular")
