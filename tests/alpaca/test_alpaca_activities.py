"""Activities: two kinds of records in one list, and paging by the last id."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from broker_alpaca.wire import activities
from broker_alpaca.wire.activities import Category, Direction, NonTradeActivity, TradeActivity
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.reading import Page
from broker_core.errors import WireError

Payload = Callable[[str], bytes]


def fill(number: int, **members: object) -> dict[str, object]:
    return {
        "id": f"20260302100001000::{number}",
        "activity_type": "FILL",
        "transaction_time": "2026-03-02T15:00:01.000123Z",
        "type": "partial_fill",
        "price": "149.99",
        "qty": "4",
        "side": "buy",
        "symbol": "AAPL",
        "leaves_qty": "6",
        "cum_qty": "4",
        "order_id": "1111",
        "order_status": "partially_filled",
    } | members


def read(value: object, *, page_size: int = 100, drift: Drift | None = None) -> Page[Any]:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return activities.page(page_size=page_size).read(body, drift or Drift())


def test_fill_is_one_execution(payload: Payload):
    """A fill has its own quantity and price, its order and its moment in UTC, although its id tells New York's time."""
    (record,) = read(payload("trading/activity_fill.json"))

    assert isinstance(record, TradeActivity)
    assert record.id.startswith("20220202135509981::")
    assert record.transaction_time == datetime(2022, 2, 2, 18, 55, 9, 981482, tzinfo=UTC)
    assert (record.qty, record.price, record.cum_qty, record.leaves_qty) == (Decimal(2), Decimal("174.78"), Decimal(2), Decimal(0))


def test_everything_else_is_no_trade(payload: Payload):
    """A dividend and a fee in coins keep their amounts with sign and digits."""
    (dividend,) = read(payload("trading/activity_dividend.json"))
    (fee,) = read(payload("trading/activity_crypto_fee.json"))

    assert isinstance(dividend, NonTradeActivity)
    assert isinstance(fee, NonTradeActivity)
    assert (dividend.net_amount, dividend.per_share_amount, dividend.symbol) == (Decimal("1.02"), Decimal("0.51"), "T")
    assert (fee.activity_type, fee.qty, fee.symbol) == ("CFEE", Decimal("-0.000195"), "ETHUSD")
    assert fee.created_at is None


def test_both_kinds_stand_in_one_page():
    """A page may mix them; each record is of its own kind."""
    page = read([fill(1), {"id": "2", "activity_type": "DIV", "net_amount": "1"}, fill(3)])

    assert [type(record) for record in page] == [TradeActivity, NonTradeActivity, TradeActivity]


def test_unknown_type_is_kept_and_counted():
    """A type of activity that is not in the book is still an activity."""
    drift = Drift()
    (record,) = read([{"id": "1", "activity_type": "MOONTAX", "net_amount": "-1"}], drift=drift)

    assert record.net_amount == Decimal(-1)
    assert dict(drift.counts) == {"activity.activity_type: MOONTAX": 1}


def test_unreadable_fill_leaves_its_neighbours():
    """A fill without its quantity is left out and counted; the next page is still asked for with the last id."""
    drift = Drift()
    page = read([fill(1), fill(2, qty=None), fill(3), fill(4, price="much")], page_size=4, drift=drift)

    assert [record.id[-1] for record in page] == ["1", "3"]
    assert page.unreadable == 2
    assert page.next_token == "20260302100001000::4"


def test_page_that_is_not_full_is_the_last():
    """There is no token on the wire: a full page is followed by the one after its last id, a short or empty one by none."""
    assert read([fill(1), fill(2)], page_size=2).next_token == "20260302100001000::2"
    assert read([fill(1), fill(2)], page_size=3).next_token is None
    assert read([], page_size=1).next_token is None


def test_next_page_begins_after_the_last_id_there_is():
    """Where the last record has no id, the one before it names the next page; where none has, that is an error."""
    assert read([fill(1), fill(2, id=None)], page_size=2).next_token == "20260302100001000::1"
    with pytest.raises(WireError, match="no record of a full page has an id"):
        read([fill(1, id=None), "?"], page_size=2)


def test_answer_that_is_no_list():
    """Anything but a list is not understood."""
    with pytest.raises(WireError, match="activities: the answer is no list"):
        read({"activities": []})


def test_first_page_asks_for_the_newest():
    """Without filters all activities are asked for, newest first, as many as a page can hold."""
    call = activities.page()

    assert (call.method, call.path, dict(call.query)) == ("GET", "/v2/account/activities", {"direction": "desc", "page_size": "100"})
    assert call.is_read


def test_filters_are_said_as_the_wire_wants_them():
    """Types are a list with commas, moments are RFC 3339, a day is its midnight; the type of one kind stands in the path."""
    some = activities.page(
        types=["DIV", "FEE"],
        order_id="1111",
        after=datetime(2026, 3, 2, 15, tzinfo=UTC),
        until=date(2026, 3, 4),
        direction=Direction.OLDEST_FIRST,
        page_size=7,
        page_token="a::b",
    )
    assert dict(some.query) == {
        "activity_types": "DIV,FEE",
        "order_id": "1111",
        "after": "2026-03-02T15:00:00Z",
        "until": "2026-03-04T00:00:00Z",
        "direction": "asc",
        "page_size": "7",
        "page_token": "a::b",
    }
    fills = activities.page("FILL", day=date(2026, 3, 2))
    assert (fills.path, fills.query["date"]) == ("/v2/account/activities/FILL", "2026-03-02T00:00:00Z")
    assert activities.page(category=Category.TRADE).query["category"] == "trade_activity"


def test_contradicting_filters_are_refused():
    """A category and types exclude each other, and a page has from 1 to 100 records."""
    with pytest.raises(ValueError, match="give one of"):
        activities.page(types=["FILL"], category=Category.TRADE)
    with pytest.raises(ValueError, match="give one of"):
        activities.page("FILL", types=["FILL"])
    for page_size in (0, 101):
        with pytest.raises(ValueError, match=f"page_size: {page_size} is not from 1 to 100"):
            activities.page(page_size=page_size)


async def test_pages_follow_one_another(account_with):
    """The client walks page by page with the last id, until one is short."""
    account = await account_with(
        {
            "GET /v2/account/activities/FILL?direction=asc&page_size=2": (200, [fill(1), fill(2)]),
            "GET /v2/account/activities/FILL?direction=asc&page_size=2&page_token=20260302100001000::2": (200, [fill(3)]),
        }
    )

    def call_for(token: str | None):
        return activities.page("FILL", direction=Direction.OLDEST_FIRST, page_size=2, page_token=token)

    pages = [page async for page in account.client.pages(call_for, lambda page: page.next_token)]

    assert [record.id[-1] for page in pages for record in page] == ["1", "2", "3"]
    assert len(account.asked) == 2
