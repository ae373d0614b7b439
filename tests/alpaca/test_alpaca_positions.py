"""Positions: reading them, the sign of a short, and what closing asks for and answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from broker_alpaca.wire import positions
from broker_alpaca.wire.call import Call, Host, Lane
from broker_alpaca.wire.drift import Drift
from broker_core.models import Position

Payload = Callable[[str], bytes]

HELD = {
    "asset_id": "b0b6dd9d-8b9b-48a9-ba46-b9d54906e415",
    "symbol": "AAPL",
    "asset_class": "us_equity",
    "exchange": "NASDAQ",
    "qty": "5",
    "qty_available": "4",
    "side": "long",
    "avg_entry_price": "100.10",
    "cost_basis": "500.50",
    "market_value": "600.0",
    "current_price": "120.0",
    "unrealized_pl": "99.50",
}


def read(call: Call[Any], value: object, drift: Drift | None = None) -> Any:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return call.read(body, drift or Drift())


def position(**members: object) -> Position:
    (record,) = read(positions.list_all(), [HELD | members]).records
    return positions.to_position(record)


def test_position_is_read_exactly():
    """Amounts come out with the digits that went in; what the broker adds is ignored."""
    (record,) = read(positions.list_all(), [HELD | {"novelty": {"x": 1}}]).records

    assert (record.symbol, record.qty, record.qty_available) == ("AAPL", Decimal(5), Decimal(4))
    assert str(record.avg_entry_price) == "100.10"
    assert record.usd is None


def test_position_in_the_words_of_the_core():
    """A long position is above zero, at the price it was bought for."""
    assert position() == Position(
        symbol="AAPL",
        qty=Decimal(5),
        avg_entry_price=Decimal("100.10"),
        current_price=Decimal("120.0"),
        market_value=Decimal("600.0"),
        unrealized_pnl=Decimal("99.50"),
    )


@pytest.mark.parametrize("sign", ["", "-"])
def test_short_position_is_below_zero(sign: str):
    """The side decides: a short is below zero with its value, whether or not the wire signs the figures."""
    short = position(side="short", qty=f"{sign}5", market_value=f"{sign}600.0", unrealized_pl="-3")

    assert (short.qty, short.market_value, short.unrealized_pnl, short.side) == (Decimal(-5), Decimal("-600.0"), Decimal(-3), "short")


@pytest.mark.parametrize(("qty", "side", "expected"), [("-5", None, -5), ("5", None, 5), ("-5", "flat", -5), ("-5", "long", 5)])
def test_sign_of_the_quantity_counts_where_the_side_says_nothing(qty: str, side: str | None, expected: int):
    """Without a side, or with an unknown one, the sign is what there is."""
    assert position(qty=qty, side=side).qty == expected


def test_figures_without_a_price_stay_unknown():
    """Null is not zero: a position that has no price has no value."""
    unpriced = position(current_price=None, market_value=None, unrealized_pl=None)

    assert (unpriced.current_price, unpriced.market_value, unpriced.unrealized_pnl) == (None, None, None)


def test_entry_price_falls_back_to_the_cost():
    """Without an entry price it is the cost of one; a short's cost may be signed. Without both it is zero."""
    assert position(avg_entry_price=None).avg_entry_price == Decimal("100.1")
    for qty, cost in (("-5", "-500.50"), ("5", "-500.50"), ("-5", "500.50")):
        assert position(avg_entry_price=None, side="short", qty=qty, cost_basis=cost).avg_entry_price == Decimal("100.1")
    assert position(avg_entry_price=None, cost_basis=None).avg_entry_price == 0
    assert position(avg_entry_price=None, qty="0").avg_entry_price == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("BTCUSD", "BTC/USD"),
        ("BTCUSDT", "BTC/USDT"),
        ("ETHUSDC", "ETH/USDC"),
        ("ETHBTC", "ETH/BTC"),
        ("USDTUSD", "USDT/USD"),
        ("BTC/USD", "BTC/USD"),
        ("USD", "USD"),
        ("SOLXYZ", "SOLXYZ"),
    ],
)
def test_crypto_position_is_named_as_orders_name_it(given: str, expected: str):
    """``BTCUSD`` of asset class crypto is the ``BTC/USD`` of an order; a stock that ends alike is not cut."""
    assert position(symbol=given, asset_class="crypto").symbol == expected
    assert position(symbol=given).symbol == given


@pytest.mark.parametrize("word", ["NaN", "nan", "NAN", "sNaN7", "Infinity", "-INFINITY", "+Inf", "-inf"])
def test_amount_that_is_no_number_is_none(word: str):
    """A decimal would take it, and every comparison with it would fail: as a quantity it costs the record, as a price only itself."""
    drift = Drift()
    page = read(positions.list_all(), [HELD | {"qty": word}, HELD | {"current_price": word}, HELD], drift)

    assert [record.current_price for record in page] == [None, Decimal("120.0")]
    assert page.unreadable == 1
    assert len(drift.counts) == 2


def test_unreadable_position_leaves_its_neighbours():
    """A record without a quantity is counted, the others are read."""
    drift = Drift()
    page = read(positions.list_all(), [HELD, HELD | {"symbol": "TSLA", "qty": "many"}, HELD | {"symbol": "MSFT"}], drift)

    assert [record.symbol for record in page] == ["AAPL", "MSFT"]
    assert page.unreadable == 1
    assert len(drift.counts) == 1


def test_unknown_words_are_kept_and_counted():
    """A side or class that is not in the book is no reason to lose the position."""
    drift = Drift()
    (record,) = read(positions.list_all(), [HELD | {"side": "sideways", "asset_class": "moon_rock"}], drift).records

    assert (record.side, record.asset_class) == ("sideways", "moon_rock")
    assert dict(drift.counts) == {"positions.side: sideways": 1, "positions.asset_class: moon_rock": 1}


def test_published_positions(payload: Payload):
    """The published bodies are read, the one in US dollars with its second set of figures."""
    (spec,) = read(positions.list_all(), payload("trading/positions_spec.json")).records
    (local,) = read(positions.list_all(), payload("trading/positions_with_usd.json")).records

    assert (spec.qty, spec.unrealized_plpc, spec.usd) == (Decimal(5), Decimal("0.20"), None)
    assert local.usd is not None
    assert (local.usd.cost_basis, local.usd.change_today) == (Decimal("500.0"), Decimal("0.0084"))


@pytest.mark.parametrize(
    ("call", "method", "path", "query", "lane"),
    [
        (positions.list_all(), "GET", "/v2/positions", "", Lane.ORDINARY),
        (positions.get("BRK.B"), "GET", "/v2/positions/BRK.B", "", Lane.ORDINARY),
        (positions.get("BTC/USD"), "GET", "/v2/positions/BTC%2FUSD", "", Lane.ORDINARY),
        (positions.close("AAPL"), "DELETE", "/v2/positions/AAPL", "", Lane.ORDER),
        (positions.close("AAPL", qty=Decimal("1E-9")), "DELETE", "/v2/positions/AAPL", "qty=0.000000001", Lane.ORDER),
        (positions.close("AAPL", percentage=Decimal("12.5")), "DELETE", "/v2/positions/AAPL", "percentage=12.5", Lane.ORDER),
        (positions.close_all(), "DELETE", "/v2/positions", "cancel_orders=false", Lane.CANCEL),
        (positions.close_all(cancel_orders=True), "DELETE", "/v2/positions", "cancel_orders=true", Lane.CANCEL),
        (positions.exercise("AAPL250620C00100000"), "POST", "/v2/positions/AAPL250620C00100000/exercise", "", Lane.ORDER),
        (positions.do_not_exercise("AAPL250620C00100000"), "POST", "/v2/positions/AAPL250620C00100000/do-not-exercise", "", Lane.ORDER),
    ],
)
def test_what_each_call_asks_for(call: Call[Any], method: str, path: str, query: str, lane: Lane):
    """Method, path and query are those of the published interface; what changes something is never repeated as a read is."""
    assert (call.method, call.path, call.query_text, call.host, call.lane) == (method, path, query, Host.TRADING, lane)
    assert call.body is None
    assert call.is_read == (method == "GET")


@pytest.mark.parametrize(
    "amounts",
    [
        {"qty": Decimal(1), "percentage": Decimal(1)},
        {"qty": Decimal(0)},
        {"qty": Decimal(-1)},
        {"qty": Decimal("NaN")},
        {"percentage": Decimal(0)},
        {"percentage": Decimal(101)},
        {"percentage": Decimal("Infinity")},
    ],
)
def test_amounts_that_make_no_sense_are_refused_before_anything_is_sent(amounts: dict[str, Decimal]):
    """Closing wants a quantity above zero, or a percentage up to 100, and not both."""
    with pytest.raises(ValueError, match=r"qty|percentage"):
        positions.close("AAPL", **amounts)


def test_empty_symbol_never_names_the_whole_list():
    """An empty symbol would make "close one" into "close all"; it is refused."""
    with pytest.raises(ValueError, match="address"):
        positions.close("")


def test_closing_one_answers_its_order(payload: Payload):
    """The answer to closing a position is the market order that does it."""
    order = read(positions.close("AAPL"), payload("trading/close_position_order.json"))

    assert (order.id, order.type, order.status) == ("61e69015-8549-4bfd-b9c3-01e75843f47d", "market", "accepted")


def test_closing_all_tells_what_became_of_each(payload: Payload):
    """Each element has its own status, with an order or an error; one that failed does not hide the others."""
    drift = Drift()
    page = read(positions.close_all(), payload("trading/close_all_positions_207.json"), drift)

    assert [(result.symbol, result.status, result.is_success) for result in page] == [
        ("BTCUSD", 200, True),
        ("SQQQ", 403, False),
        ("NYC", 403, False),
    ]
    order = page.records[0].order(drift)
    assert order is not None
    assert (order.symbol, order.side, order.qty) == ("BTC/USD", "sell", Decimal("0.0283"))
    assert page.records[1].order(drift) is None
    assert page.records[1].body is not None
    assert page.records[1].body["held_for_orders"] == "1000"


def test_closing_all_names_a_cancelled_order_by_its_id():
    """Where orders were cancelled too, the element's symbol is the order's id, as it came."""
    order_id = "7e80e4b1-0000-4000-8000-000000000001"
    (result,) = read(positions.close_all(cancel_orders=True), [{"symbol": order_id, "status": 200, "body": {"id": order_id}}])

    assert (result.symbol, result.status) == (order_id, 200)


def test_nothing_to_close():
    """A flat account answers with no element."""
    assert len(read(positions.close_all(), [])) == 0
