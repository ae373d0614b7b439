"""Reading records, asking for them, and moments: what every resource stands on."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker_alpaca.wire import moments, reading
from broker_alpaca.wire.answers import Problem
from broker_alpaca.wire.call import Call, Host, members, segment
from broker_alpaca.wire.drift import REST, Drift
from broker_alpaca.wire.reading import Moment, Record, word
from broker_alpaca.wire.symbols import Kind, kind_of, normal
from broker_core.errors import WireError
from broker_core.requests import Side


@attrs.frozen(kw_only=True)
class Part(Record):
    """What stands below."""

    name: str
    qty: Decimal | None = None


@attrs.frozen(kw_only=True)
class Whole(Record):
    """A record of every kind of member."""

    id: str
    status: str = word(frozenset({"new"}), default="")
    qty: Decimal | None = None
    count: int = 0
    is_open: bool = False
    day: date | None = None
    at: Moment | None = None
    part: Part | None = None
    parts: tuple[Part, ...] = ()
    figures: tuple[Decimal | None, ...] = ()


GOOD = {
    "id": "a",
    "status": "new",
    "qty": "1.50",
    "count": 3,
    "is_open": True,
    "day": "2026-03-02",
    "at": "2026-03-02T10:00:00.123456-05:00",
    "part": {"name": "p", "qty": "2"},
    "parts": [{"name": "q"}, {"name": "r"}],
    "figures": ["1", None],
}
read_one, read_many, read_page = reading.one(Whole, "whole"), reading.many(Whole, "whole"), reading.many(Whole, "whole", "rows")


def one(**changes: Any) -> tuple[Whole, Drift]:
    """The good record with some members changed, as it is read."""
    drift = Drift()
    return read_one(json.dumps(GOOD | changes).encode(), drift), drift


def test_a_record_as_it_should_be():
    """Amounts are exact, moments are in UTC, nothing is counted."""
    record, drift = one(unheard_of={"x": 1})

    assert (record.qty, str(record.qty), record.day) == (Decimal("1.5"), "1.50", date(2026, 3, 2))
    assert record.at == datetime(2026, 3, 2, 15, 0, 0, 123456, tzinfo=UTC)
    assert record.at is not None
    assert record.at.tzinfo is UTC
    assert (record.part, record.parts, record.figures) == (Part(name="p", qty=Decimal(2)), (Part(name="q"), Part(name="r")), (1, None))
    assert drift.counts == {}


@pytest.mark.parametrize("name", sorted(set(GOOD) - {"id"}))
@pytest.mark.parametrize("value", [None, {}, [], "rubbish", 7, True, {"name": None}, [{"name": "ok"}, {"name": None}, 5]])
def test_a_member_of_another_type_costs_itself_and_nothing_else(name: str, value: Any):
    """It becomes the default where it cannot be read; every other member stays."""
    record, _ = one(**{name: value})
    good, _ = one()

    assert attrs.evolve(record, **{name: getattr(good, name)}) == good


def test_null_is_missing():
    """Not a surprise."""
    record, drift = one(**dict.fromkeys(set(GOOD) - {"id"}))

    assert record == Whole(id="a")
    assert drift.counts == {}


def test_numbers_are_taken_for_texts_and_texts_for_numbers():
    """The other side is known to send either."""
    record, drift = one(qty=1.5, count="3")

    assert (record.qty, record.count) == (Decimal("1.5"), 3)
    assert drift.counts == {}


def test_an_unknown_word_is_kept_and_counted():
    """Each time it comes."""
    drift = Drift()
    for _ in range(3):
        assert read_one(json.dumps(GOOD | {"status": "halted"}).encode(), drift).status == "halted"

    assert drift.counts == {"whole.status: halted": 3}


@pytest.mark.parametrize("change", [{"id": None}, {"id": 5}, {"id": {}}])
def test_a_record_without_what_it_cannot_be_without(change: dict[str, Any]):
    """Alone it is an answer that cannot be read; in a list it is left out, counted, and its neighbours stay."""
    with pytest.raises(WireError, match="whole"):
        one(**change)
    drift = Drift()
    page = read_many(json.dumps([GOOD, GOOD | change, GOOD | {"id": "c"}]).encode(), drift)

    assert ([record.id for record in page], page.unreadable) == (["a", "c"], 1)
    assert sum(drift.counts.values()) == 1


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b"\xff", b'{"id": 1'])
def test_what_is_no_json_is_no_answer(body: bytes):
    """A page of a proxy, half an answer, nothing."""
    for read in (read_one, read_many, read_page):
        with pytest.raises(WireError, match="no JSON"):
            read(body, Drift())


@pytest.mark.parametrize("body", [b"{}", b"5", b'"x"'])
def test_a_list_must_be_one(body: bytes):
    """An object in the place of a list is no empty list."""
    with pytest.raises(WireError, match="no list"):
        read_many(body, Drift())


def test_a_page_has_a_token_until_the_end():
    """Null, missing and empty tokens end it; a page may be empty and go on."""
    pages = [
        read_page(json.dumps(body).encode(), Drift())
        for body in ({"rows": [GOOD], "next_page_token": "x"}, {"rows": [], "next_page_token": "y"})
    ]
    ends = [read_page(json.dumps(body).encode(), Drift()) for body in ({"rows": None}, {}, {"rows": [], "next_page_token": ""})]

    assert [(len(page), page.next_token) for page in pages] == [(1, "x"), (0, "y")]
    assert [(len(page), page.next_token) for page in ends] == [(0, None)] * 3


class TestDrift:
    """Counting surprises."""

    def test_the_memory_is_bounded(self):
        """A broker that says something new each time is counted in one place."""
        drift = Drift()
        for number in range(600):
            drift.count("x", number)

        assert len(drift.counts) == 501
        assert drift.counts[REST] == 100

    def test_long_values_are_cut(self):
        """Nobody reads them."""
        drift = Drift()
        drift.count("x", "y" * 1000)

        assert max(map(len, drift.counts)) < 60


class TestMoments:
    """RFC 3339 and nanoseconds."""

    @given(
        ns=st.integers(0, 4_102_444_800 * 10**9),
        digits=st.integers(0, 9),
        offset=st.none() | st.integers(-14 * 60, 14 * 60),
    )
    def test_every_form_of_a_moment_is_read_to_the_nanosecond(self, ns: int, digits: int, offset: int | None):
        """Any number of digits, any offset."""
        ns -= ns % 10 ** (9 - digits)
        seconds, fraction = divmod(ns, 10**9)
        zone = UTC if offset is None else timezone(timedelta(minutes=offset))
        whole = datetime.fromtimestamp(seconds, zone).isoformat()
        text = whole[:19] + (f".{fraction:09d}"[: digits + 1] if digits else "") + ("Z" if offset is None else whole[19:])

        assert moments.parse_ns(text) == ns

    @given(ns=st.integers(0, 4_102_444_800 * 10**9))
    def test_what_is_written_is_read(self, ns: int):
        """There and back."""
        assert moments.parse_ns(moments.ns_to_text(ns)) == ns

    @pytest.mark.parametrize(
        "text", ["", "yesterday", "2026-03-02", "2026-03-02T15:00:00", "2026-03-02T15:00:00.Z", "2026-03-02T15:00:00.½Z"]
    )
    def test_what_is_no_moment_is_refused(self, text: str):
        """A moment without a zone is none."""
        with pytest.raises(ValueError, match=r".+"):
            moments.parse_ns(text)

    def test_a_naive_moment_is_not_written(self):
        """Nobody could tell which it is."""
        with pytest.raises(ValueError, match="no time zone"):
            moments.to_text(datetime(2026, 3, 2))  # noqa: DTZ001  # that it has no zone is the point


class TestCall:
    """A request as a value."""

    def test_members_are_said_as_the_wire_wants_them(self):
        """Texts, exact amounts, small booleans, lists by commas; what is not given is not said."""
        said = members(
            a=True, b=Decimal("1E+3"), c=["X", "Y"], d=datetime(2026, 3, 2, 15, tzinfo=UTC), e=date(2026, 3, 2), f=Side.BUY, g=None, h=5
        )

        assert said == {"a": "true", "b": "1000", "c": "X,Y", "d": "2026-03-02T15:00:00Z", "e": "2026-03-02", "f": "buy", "h": "5"}

    def test_a_slash_in_a_symbol_is_quoted(self):
        """In the path and in the query."""
        call: Call[Any] = Call(method="GET", path=f"/v2/assets/{segment('BTC/USD')}", query={"s": "BTC/USD"}, read=lambda body, _: body)

        assert (call.path, call.query_text) == ("/v2/assets/BTC%2FUSD", "s=BTC%2FUSD")
        assert (call.host, call.is_read, str(call)) == (Host.TRADING, True, "GET /v2/assets/BTC%2FUSD")

    @pytest.mark.parametrize("text", ["", ".", ".."])
    def test_an_empty_part_of_a_path_is_refused(self, text: str):
        """To delete the order "" would be to delete all orders."""
        with pytest.raises(ValueError, match="part of an address"):
            segment(text)

    def test_what_it_holds_is_not_shown(self):
        """A body may be long, and is somebody's business."""
        call: Call[Any] = Call(method="POST", path="/x", body={"qty": "1"}, read=lambda body, _: body)

        assert "qty" not in repr(call)


@pytest.mark.parametrize(
    ("symbol", "asset_class", "told", "kind"),
    [
        ("AAPL", "us_equity", "AAPL", Kind.STOCK),
        ("BRK.B", "us_equity", "BRK.B", Kind.STOCK),
        ("BTCUSD", "crypto", "BTC/USD", Kind.CRYPTO),
        ("BTC/USD", "crypto", "BTC/USD", Kind.CRYPTO),
        ("USDTUSD", "crypto", "USDT/USD", Kind.CRYPTO),
        ("ETHUSDT", "crypto", "ETH/USDT", Kind.CRYPTO),
        ("ETHBTC", "crypto", "ETH/BTC", Kind.CRYPTO),
        ("USD", "crypto", "USD", Kind.STOCK),
        ("BTCUSD", "us_equity", "BTCUSD", Kind.STOCK),
        ("AAPL250620C00100000", "us_option", "AAPL250620C00100000", Kind.OPTION),
    ],
)
def test_a_symbol_is_spelt_one_way(symbol: str, asset_class: str, told: str, kind: Kind):
    """A pair has its slash; the form tells what it is."""
    assert normal(symbol, asset_class) == told
    assert kind_of(told) is kind


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_body_of_an_error_is_read(body: bytes):
    """Whatever a proxy says, there is one line to show."""
    problem = Problem.parse(body)

    assert "\n" not in problem.message or problem.is_own_word
    assert len(problem.message) <= 340
