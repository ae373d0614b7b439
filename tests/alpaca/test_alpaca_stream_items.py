"""Frames of the market data socket as values."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from conftest import PAYLOADS
from msgspec.msgpack import Ext

from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.moments import parse_ns
from broker_alpaca.wire.stream_items import Frames
from broker_alpaca.wire.stream_records import ErrorRecord, SubscriptionRecord, SuccessRecord
from broker_core.errors import WireError
from broker_core.models import (
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
from broker_core.requests import Side

AT = "2026-03-02T15:00:00.123456789Z"
NS = 1_772_463_600_123_456_789
MINUTE = "2026-03-02T15:00:00Z"
MINUTE_NS = NS // 1_000_000_000 * 1_000_000_000
_MOMENTS = ("t", "created_at", "updated_at")

STOCK_QUOTE = {"T": "q", "S": "AMD", "bx": "K", "bp": 91.95, "bs": 2, "ax": "Q", "ap": 91.98, "as": 1, "c": ["R"], "z": "C", "t": AT}
STOCK_TRADE = {"T": "t", "S": "AMD", "i": 628, "x": "K", "p": 162.92, "s": 3, "c": ["@", "I"], "z": "C", "t": AT}
BAR = {"S": "SPY", "o": 388.5, "h": 389.25, "l": 388.0, "c": 389.0, "v": 49378, "n": 461, "vw": 389.0625, "t": MINUTE}
BAR_VALUES = ("SPY", MINUTE_NS, 388.5, 389.25, 388.0, 389.0, 49378.0, 461, 389.0625)
EEM = {"T": "c", "S": "EEM", "oi": 52, "op": 39.15, "os": 440, "oc": [" ", "7"], "ci": 53, "cp": 39.25, "cs": 450, "cc": ["7"]}
ARTICLE = {
    "T": "n",
    "id": 24918784,
    "headline": "Up",
    "summary": "So",
    "author": "A. Writer",
    "url": "https://www.example.com/1",
    "content": "<p>",
    "symbols": ["CRSR", "A"],
    "source": "example",
}

RECORDS: dict[str, tuple[dict[str, Any], MarketEvent]] = {
    "stock quote": (STOCK_QUOTE, Quote("AMD", NS, 91.95, 2.0, 91.98, 1.0, "K", "Q", ("R",), "C")),
    "crypto quote": (
        {"T": "q", "S": "ETH/USD", "bp": 3000.5, "bs": 1.5, "ap": 3001, "as": 2.0, "t": AT},
        Quote("ETH/USD", NS, 3000.5, 1.5, 3001.0, 2.0),
    ),
    "option quote": (
        {"T": "q", "S": "AAPL240315C00172500", "t": AT, "bx": "C", "bp": 9.46, "bs": 53, "ax": "C", "ap": 9.66, "as": 38, "c": "A"},
        Quote("AAPL240315C00172500", NS, 9.46, 53.0, 9.66, 38.0, "C", "C", ("A",)),
    ),
    "blank condition": ({**STOCK_QUOTE, "c": " "}, Quote("AMD", NS, 91.95, 2.0, 91.98, 1.0, "K", "Q", (), "C")),
    "no condition": ({**STOCK_QUOTE, "c": None}, Quote("AMD", NS, 91.95, 2.0, 91.98, 1.0, "K", "Q", (), "C")),
    "stock trade": (STOCK_TRADE, Trade("AMD", NS, 162.92, 3.0, "K", "628", ("@", "I"), "C")),
    "crypto trade": (
        {"T": "t", "S": "BTC/USD", "p": 45000.0, "s": 0.5, "t": AT, "i": 2**62 + 1, "tks": "B"},
        Trade("BTC/USD", NS, 45000.0, 0.5, trade_id=str(2**62 + 1), taker_side=Side.BUY),
    ),
    "option trade": (
        {"T": "t", "S": "AAPL240315C00172500", "t": AT, "p": 2.84, "s": 1, "x": "N", "c": "S"},
        Trade("AAPL240315C00172500", NS, 2.84, 1.0, "N", "", ("S",)),
    ),
    "bar": ({"T": "b", **BAR}, Bar(*BAR_VALUES)),
    "daily bar": ({"T": "d", **BAR}, DailyBar(*BAR_VALUES)),
    "updated bar": ({"T": "u", **BAR}, UpdatedBar(*BAR_VALUES)),
    "status": (
        {"T": "s", "S": "AAPL", "sc": "H", "sm": "Trading Halt", "rc": "T12", "rm": "Information requested", "t": AT, "z": "C"},
        TradingStatus("AAPL", NS, "H", "Trading Halt", "T12", "Information requested", "C"),
    ),
    "luld": ({"T": "l", "S": "IONM", "u": 3.24, "d": 2.65, "i": "B", "t": AT, "z": "C"}, PriceBand("IONM", NS, 3.24, 2.65, "B", "C")),
    "imbalance": ({"T": "i", "S": "INAQU", "p": 9.12, "z": "C", "t": AT}, Imbalance("INAQU", NS, 9.12, "C")),
    "correction": (
        {
            **EEM,
            "x": "M",
            "z": "B",
            "t": AT,
        },
        TradeCorrection("EEM", NS, "M", "52", 39.15, 440.0, (" ", "7"), "53", 39.25, 450.0, ("7",), "B"),
    ),
    "cancel": (
        {"T": "x", "S": "GOOGL", "i": 465, "x": "D", "p": 105.31, "s": 300, "a": "C", "z": "C", "t": AT},
        TradeCancel("GOOGL", NS, "465", "D", 105.31, 300.0, "cancel", "C"),
    ),
    "error": (
        {"T": "x", "S": "GOOGL", "i": 465, "x": "D", "p": 105.31, "s": 300, "a": "E", "z": "C", "t": AT},
        TradeCancel("GOOGL", NS, "465", "D", 105.31, 300.0, "error", "C"),
    ),
    "book": (
        {
            "T": "o",
            "S": "BTC/USD",
            "t": AT,
            "b": [{"p": 44999.0, "s": 0.5}, {"p": 44998, "s": 0}],
            "a": [{"p": 45001.0, "s": 1}],
            "r": True,
        },
        OrderBookUpdate("BTC/USD", NS, ((44999.0, 0.5), (44998.0, 0.0)), ((45001.0, 1.0),), True),
    ),
    "book change": ({"T": "o", "S": "BTC/USD", "t": AT, "b": [], "a": []}, OrderBookUpdate("BTC/USD", NS, (), ())),
    "news": (
        {
            **ARTICLE,
            "created_at": MINUTE,
            "updated_at": AT,
        },
        News(
            symbols=("CRSR", "A"),
            timestamp_ns=NS,
            id="24918784",
            headline="Up",
            summary="So",
            author="A. Writer",
            created_at=datetime(2026, 3, 2, 15, 0, tzinfo=UTC),
            updated_at=datetime(2026, 3, 2, 15, 0, 0, 123456, tzinfo=UTC),
            url="https://www.example.com/1",
            content="<p>",
            source="example",
        ),
    ),
}


def extension(text: str) -> Ext:
    """A moment as MessagePack has it, in the shortest form that holds it."""
    seconds, rest = divmod(parse_ns(text), 1_000_000_000)
    if not rest and seconds < 2**32:
        return Ext(-1, seconds.to_bytes(4, "big"))
    return Ext(-1, (rest << 34 | seconds).to_bytes(8, "big"))


def packed(batch: Any) -> bytes:
    """A frame in MessagePack, with its moments as extensions."""
    return msgspec.msgpack.encode(
        [{name: _extended(name, value) for name, value in record.items()} if isinstance(record, dict) else record for record in batch]
    )


def _extended(name: str, value: Any) -> Any:
    try:
        return extension(value) if name in _MOMENTS and isinstance(value, str) else value
    except ValueError:
        return value


def decoded(frames: Frames, frame: str | bytes) -> list[MarketEvent]:
    """The market data of a frame that holds nothing else."""
    events, control = frames.decode(frame)
    assert not control
    return events


CODECS = {"json text": json.dumps, "json bytes": lambda batch: json.dumps(batch).encode(), "msgpack": packed}


@pytest.fixture(params=CODECS)
def codec(request: pytest.FixtureRequest) -> Any:
    return CODECS[request.param]


@pytest.fixture
def drift() -> Drift:
    return Drift()


@pytest.fixture
def frames(drift: Drift) -> Frames:
    return Frames(drift)


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_becomes_a_value(codec: Any, frames: Frames, drift: Drift, name: str):
    """Each record of each feed, in either codec, has all its members in the value, the moment to the nanosecond."""
    record, value = RECORDS[name]

    assert decoded(frames, codec([record])) == [value]
    assert decoded(frames, codec([record, record])) == [value, value]
    assert drift.counts == {}


def test_a_frame_of_everything(codec: Any, frames: Frames, drift: Drift):
    """A frame with every kind of record keeps their order."""
    batch, values = zip(*RECORDS.values(), strict=True)

    assert decoded(frames, codec(batch)) == list(values)
    assert decoded(frames, codec([])) == []
    assert drift.counts == {}


def test_values_are_whole(codec: Any, frames: Frames):
    """A quote and a trade that were filled in place have every field, hash and show themselves like any other."""
    quote, trade = frames.decode(codec([STOCK_QUOTE, STOCK_TRADE]))[0]

    assert {quote, trade} == {RECORDS["stock quote"][1], RECORDS["stock trade"][1]}
    assert repr(quote) == repr(RECORDS["stock quote"][1])
    assert repr(trade) == repr(RECORDS["stock trade"][1])
    assert type(quote) is Quote
    assert type(trade.size) is float


def test_equal_symbols_are_one_object(codec: Any, frames: Frames):
    """Held values share the text of their symbol, across frames."""
    (first,), (second,), (third,) = (frames.decode(codec([record]))[0] for record in (STOCK_QUOTE, STOCK_TRADE, RECORDS["bar"][0]))

    assert first.symbol is second.symbol
    assert third.symbol == "SPY"
    assert frames.decode(codec([RECORDS["bar"][0]]))[0][0].symbol is third.symbol


def test_remembering_stays_within_bounds(frames: Frames, monkeypatch: pytest.MonkeyPatch):
    """A session that sees ever new symbols does not remember all of them."""
    monkeypatch.setattr("broker_alpaca.wire.stream_items._REMEMBERED", 10)
    for number in range(100):
        (quote,), _ = frames.decode(json.dumps([{**STOCK_QUOTE, "S": f"A{number}"}]))
        assert quote.symbol == f"A{number}"

    assert len(frames._symbols) <= 10


def test_control_is_kept_apart(codec: Any, frames: Frames):
    """What concerns the connection comes as records of its own, also beside market data."""
    control = [
        {"T": "success", "msg": "connected"},
        {"T": "error", "code": 405, "msg": "symbol limit exceeded"},
        {"T": "subscription", "trades": ["A"], "dailyBars": ["*"], "cancelErrors": ["A"]},
    ]
    events, heard = frames.decode(codec([*control, STOCK_QUOTE]))

    assert events == [RECORDS["stock quote"][1]]
    assert heard == [
        SuccessRecord(msg="connected"),
        ErrorRecord(code=405, msg="symbol limit exceeded"),
        SubscriptionRecord(trades=("A",), daily_bars=("*",), cancel_errors=("A",)),
    ]


def test_a_control_message_without_a_list_is_heard(frames: Frames):
    """An object where a list is usual is taken for its only element."""
    assert frames.decode('{"T":"error","code":500,"msg":"internal error"}')[1] == [ErrorRecord(code=500, msg="internal error")]


@pytest.mark.parametrize(
    ("strange", "counted"),
    [
        ({"T": "zz", "S": "A"}, "stream.T: zz"),
        ({"S": "A"}, "stream.T: None"),
        ({**STOCK_QUOTE, "bp": None}, "stream.q: Expected `float`"),
        ({**STOCK_QUOTE, "bp": "91.95"}, "stream.q: "),
        ({**STOCK_QUOTE, "t": "yesterday"}, "stream.q: "),
        ({**STOCK_QUOTE, "t": None}, "stream.q: no moment"),
        ({**STOCK_TRADE, "i": {}}, "stream.t: "),
        ({**RECORDS["news"][0], "created_at": "long ago"}, "stream.n: "),
        (17, "stream.T: None"),
        (None, "stream.T: None"),
    ],
)
def test_a_strange_record_costs_its_neighbours_nothing(codec: Any, frames: Frames, drift: Drift, strange: Any, counted: str):
    """A record that cannot be read is counted and left out; those beside it arrive."""
    frames.decode(codec([STOCK_QUOTE]))
    events, _ = frames.decode(codec([STOCK_QUOTE, strange, RECORDS["bar"][0], STOCK_TRADE]))

    assert events == [RECORDS[name][1] for name in ("stock quote", "bar", "stock trade")]
    (count,) = drift.counts
    assert count.startswith(counted)


@pytest.mark.parametrize(
    ("record", "counted"),
    [
        ({**STOCK_TRADE, "tks": "X"}, "stream.t.tks: X"),
        ({**RECORDS["cancel"][0], "a": "Q"}, "stream.x.a: Q"),
    ],
)
def test_unknown_words_are_counted_and_kept(codec: Any, frames: Frames, drift: Drift, record: dict[str, Any], counted: str):
    """A word that is not in the book loses no record."""
    (event,), _ = frames.decode(codec([record]))

    assert event.symbol == record["S"]
    assert dict(drift.counts) == {counted: 1}
    if isinstance(event, TradeCancel):
        assert event.action == "Q"


def test_unknown_members_are_counted_now_and_then(codec: Any, frames: Frames, drift: Drift):
    """The first frame and every thousandth is searched for members that no record has; the record itself is read."""
    frame = codec([{**STOCK_QUOTE, "new": 1}])
    for _ in range(1001):
        assert frames.decode(frame)[0] == [RECORDS["stock quote"][1]]

    assert dict(drift.counts) == {"stream.q: unknown member new": 2}


@pytest.mark.parametrize("frame", ["", "[", "<html>", '[{"T":"q"', b"\x91", b"\xc1", b"\x91\x81\xa1", "17", b"\x11", '"x"', b"[\xff]"])
def test_what_is_no_frame_ends_the_connection(frames: Frames, drift: Drift, frame: str | bytes):
    """A frame of which nothing can be read is an error; a reconnect tells what was missed."""
    with pytest.raises(WireError, match="cannot be read"):
        frames.decode(frame)

    assert [count.partition(":")[0] for count in drift.counts] == ["stream.frame"]


def test_an_accident_of_bytes_changes_no_price(frames: Frames):
    """A price whose bytes look like a moment arrives as it was sent."""
    import struct

    price = struct.unpack(">d", b"A\xa1t\xd7\xff\0\0\1")[0]
    frame = packed([{**STOCK_TRADE, "p": price}, STOCK_QUOTE])
    assert b"\xa1t\xd7\xff" in struct.pack(">d", price)

    (trade, quote), _ = frames.decode(frame)

    assert trade.price == price
    assert (trade.timestamp_ns, quote) == (NS, RECORDS["stock quote"][1])


OTHERS: tuple[Any, ...] = (None, True, 17, -1, 1.5, 2**63, "", "x", "2026-13-45T00:00:00Z", [], ["x"], [None], {}, {"p": 1})


def mutations(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The record without a member, with another value for one, and with members that nobody knows."""
    for name in record:
        yield {key: value for key, value in record.items() if key != name}
        for other in OTHERS:
            yield {**record, name: other}
    yield {**record, "new": {"deep": [1]}}
    yield {**record, "S": "\N{SNOWMAN}", "tx": -5}


def published() -> list[dict[str, Any]]:
    batches = [json.loads(path.read_bytes()) for path in sorted((PAYLOADS / "data_stream").glob("*.json")) if "client" not in path.name]
    flat = [record for batch in batches for record in batch]
    return [record for part in flat for record in (part if isinstance(part, list) else [part])]


@pytest.mark.parametrize("codec_name", ["json text", "msgpack"])
def test_published_messages_mutated(codec_name: str, drift: Drift, caplog: pytest.LogCaptureFixture):
    """Whatever is wrong in one of the published messages, nothing raises, and the neighbours before and after it arrive."""
    if not PAYLOADS.is_dir():
        pytest.skip("the published payloads are not beside the project")
    caplog.set_level(logging.CRITICAL)
    frames, codec, tried = Frames(drift), CODECS[codec_name], 0
    before, after = RECORDS["stock quote"][1], RECORDS["stock trade"][1]
    for record in published():
        for mutation in mutations(record):
            events, control = frames.decode(codec([STOCK_QUOTE, mutation, STOCK_TRADE]))
            tried += 1
            assert events[0] == before, mutation
            assert events[-1] == after, mutation
            assert len(events) + len(control) <= 3
            for event in events:
                assert event.timestamp.tzinfo is UTC
                assert hash(event) == hash(event)

    assert tried >= 1500
    assert drift.counts


def test_published_messages_are_known(codec: Any, frames: Frames, drift: Drift):
    """Every published message is read, and none holds anything unknown."""
    if not PAYLOADS.is_dir():
        pytest.skip("the published payloads are not beside the project")
    batch = published()
    events, control = frames.decode(codec(batch))

    assert len(events) + len(control) == len(batch)
    assert drift.counts == {}
