"""Whole conversations on the trading socket, replayed frame by frame."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from replaying import receive, trading_replayed

from broker_alpaca.recording.tape import word_for
from broker_alpaca.wire.drift import Drift
from broker_core.orders import Order, OrderEvent
from broker_core.testing.transcripts import frame_of, read

FOLDER = Path(__file__).parents[2] / "cassettes" / "stream"
CASSETTES = ("trading_paper", "trading_live")


@pytest.mark.parametrize("name", CASSETTES)
def test_conversation_is_held_word_by_word(name: str):
    """The same words go out, and what comes in is understood to the last member."""
    first, lines = read(FOLDER / f"{name}.jsonl")
    drift = Drift()
    items = trading_replayed(lines, drift)

    assert [word_for(item) for item in items] == first["items"]
    assert drift.counts == {}
    binary = {line["dir"] for line in lines if "base64" in line}
    assert binary == ({"in"} if name == "trading_paper" else set())


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        (
            "trading_paper",
            {
                "cassette-filled": "filled 10 399.994",
                "cassette-canceled": "canceled 4 399.97",
                "cassette-replaced": "filled 10 396",
                "cassette-rejected": "rejected 0 None",
                "cassette-spread": "filled 2 2.05",
            },
        ),
        (
            "trading_live",
            {
                "cassette-filled": "filled 10 61.494",
                "cassette-canceled": "canceled 4 61.47",
                "cassette-replaced": "filled 10 57.5",
                "cassette-rejected": "rejected 0 None",
                "cassette-spread": "filled 2 0.77",
            },
        ),
    ],
)
def test_conversation_brings_every_order_to_its_end(name: str, ends: dict[str, str]):
    """Orders end as they did, each with its total and average; a replaced one is one order with two ids."""
    _, lines = read(FOLDER / f"{name}.jsonl")
    events = [item for item in trading_replayed(lines, Drift()) if isinstance(item, OrderEvent)]
    orders: dict[str, Order] = {}
    ids: dict[str, str] = {}
    for event in events:
        receive(event, orders, ids)
    named = {place: order for place, order in orders.items() if place.startswith("cassette")}
    legs = [order for place, order in orders.items() if not place.startswith("cassette")]

    assert {place: f"{order.state} {order.filled_qty} {order.filled_avg_price}" for place, order in named.items()} == ends
    assert len(named["cassette-replaced"].broker_ids) == 2
    assert [f"{order.state} {order.filled_qty}" for order in legs] == ["filled 2", "filled 2"]
    assert sum(order.filled_avg_price or 0 for order in legs) == named["cassette-spread"].filled_avg_price


@pytest.mark.parametrize("name", sorted(file.stem for file in FOLDER.iterdir()))
def test_cassettes_hold_nobodys_secrets(name: str):
    """Keys are made up, ids are counted, and nothing names an account."""
    first, lines = read(FOLDER / f"{name}.jsonl")
    texts = [frame if isinstance(frame := frame_of(line), str) else frame.decode(errors="replace") for line in lines]
    ids = {found for text in texts for found in re.findall(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}", text)}

    assert first.keys() == {"wish", "items"}
    assert any("MADEUP" in text for text in texts)
    assert not [found for found in ids if not found.startswith("00000000-0000-")]
    assert not [text for text in texts if "account_number" in text]
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
