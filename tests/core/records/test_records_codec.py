"""A change becomes a row, and the row the same change."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker_core.append_only import AppendOnlyMap
from broker_core.orders import EventKind, Execution, Ledger, Order, OrderChange, OrderEvent, Source, State
from broker_core.records import DatabaseJournal, locate, models_for
from broker_core.records.codec import COLUMNS, decode, encode
from broker_core.requests import (
    ForeignOrder,
    LimitOrder,
    MarketOrder,
    OrderClass,
    OrderRequest,
    OrderType,
    Side,
    StopLimitOrder,
    StopLoss,
    StopOrder,
    TakeProfit,
    TimeInForce,
    TrailingStopOrder,
)

amounts = st.decimals(min_value=0, max_value=10**9, places=9) | st.decimals(min_value=0, max_value=10**6, places=2)
above_zero = amounts.filter(lambda amount: amount > 0)
# UTC knows no repeated hour, so a fold says nothing and is not kept.
moments = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)).map(lambda at: at.replace(fold=0))  # noqa: DTZ001 - bounds are naive by contract
# What a broker may send: anything that is text at all, which lone surrogates are not.
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ids = st.text("ABCDEFGHJKMNPQRSTVWXYZ0123456789", min_size=1, max_size=40)
labels = st.none() | st.text("abcdefghij-_äß€", min_size=1, max_size=64)
symbols = st.sampled_from(["AAPL", "BRK.B", "BTC/USD", "AAPL260918C00200000"])
sides = st.sampled_from(Side)


def plain(kind: type[OrderRequest], **terms: st.SearchStrategy[Any]) -> st.SearchStrategy[OrderRequest]:
    """Requests of one type that stand alone."""
    common = {
        "symbol": symbols,
        "side": sides,
        "strategy": labels,
        "signal_id": labels,
        "time_in_force": st.sampled_from([*TimeInForce][:2]),
    }
    by_qty = st.builds(kind, qty=above_zero, **common, **terms)
    return by_qty | st.builds(kind, notional=above_zero, **common, **terms)


@st.composite
def groups(draw: st.DrawFn) -> OrderRequest:
    """Bracket, oco and oto orders whose exits lie on the right sides."""
    low, price, high = draw(st.lists(above_zero, min_size=3, max_size=3, unique=True).map(sorted))
    kind = draw(st.sampled_from([OrderClass.BRACKET, OrderClass.OCO, OrderClass.OTO]))
    side = Side.SELL if kind is OrderClass.OCO else Side.BUY
    loss = StopLoss(low, draw(st.none() | above_zero))
    gain = TakeProfit(price if kind is OrderClass.OCO else high)
    exits: dict[str, Any] = {"take_profit": gain, "stop_loss": loss}
    if kind is OrderClass.OTO:
        del exits[draw(st.sampled_from(sorted(exits)))]
    return LimitOrder(draw(symbols), side, qty=draw(above_zero), limit_price=price, order_class=kind, **exits)


foreign = st.builds(
    ForeignOrder,
    symbol=words.map(lambda word: word.replace("\0", "")),
    side=sides,
    order_type=st.sampled_from(OrderType),
    qty=st.none() | amounts,
    notional=st.none() | amounts,
    limit_price=st.none() | amounts,
    stop_price=st.none() | amounts,
    trail_price=st.none() | amounts,
    trail_percent=st.none() | amounts,
    time_in_force=st.sampled_from(TimeInForce),
    extended_hours=st.booleans(),
    order_class=st.sampled_from(OrderClass),
    stop_loss=st.none() | st.builds(StopLoss, above_zero, st.none() | above_zero),
    take_profit=st.none() | st.builds(TakeProfit, above_zero),
)
requests = st.one_of(
    plain(MarketOrder),
    plain(LimitOrder, limit_price=above_zero),
    plain(StopOrder, stop_price=above_zero),
    plain(StopLimitOrder, stop_price=above_zero, limit_price=above_zero),
    st.builds(TrailingStopOrder, symbols, sides, qty=above_zero, trail_price=above_zero),
    st.builds(TrailingStopOrder, symbols, sides, qty=above_zero, trail_percent=st.decimals("0.01", "99.99", places=2)),
    st.builds(
        LimitOrder,
        symbols,
        sides,
        qty=above_zero,
        limit_price=above_zero,
        extended_hours=st.just(True),
        time_in_force=st.sampled_from(TimeInForce),
    ),
    groups(),
    foreign,
)


def event_fields(legs: st.SearchStrategy[tuple[OrderEvent, ...]]) -> dict[str, st.SearchStrategy[Any]]:
    """A strategy for every attribute of an event."""
    return {
        "kind": st.sampled_from(EventKind),
        "source": st.sampled_from(Source),
        "at": moments,
        "status": st.none() | st.sampled_from(State),
        **dict.fromkeys(["qty", "price", "filled_qty", "filled_avg_price"], st.none() | amounts),
        **dict.fromkeys(
            ["client_order_id", "broker_order_id", "raw_status", "execution_id", "busts", "replaces", "replaced_by", "reason", "origin"],
            st.none() | words,
        ),
        "request": st.none() | requests,
        "legs": legs,
    }


leaf_events = st.builds(OrderEvent, **event_fields(st.just(())))
events = st.builds(OrderEvent, **event_fields(st.lists(leaf_events, max_size=2).map(tuple)))
executions = st.builds(Execution, words, st.decimals(-(10**6), 10**6, places=4), amounts, moments, st.none() | words)
orders = st.builds(
    Order,
    local_id=ids,
    request=requests,
    state=st.sampled_from(State),
    created_at=moments,
    updated_at=moments,
    filled_qty=amounts,
    filled_avg_price=st.none() | amounts,
    broker_ids=st.lists(words, max_size=3).map(tuple),
    in_doubt=st.booleans(),
    **dict.fromkeys(["cancel_requested_at", "ended_at", "as_of"], st.none() | moments),
    replacement=st.none() | requests,
    **dict.fromkeys(["raw_status", "reason", "origin", "parent_id"], st.none() | words),
    ledger=st.just(Ledger(AppendOnlyMap().plus("key", None), claimed_qty=Decimal(1))),
)


@st.composite
def changes(draw: st.DrawFn) -> OrderChange:
    """Any change at all."""
    return OrderChange(
        order=draw(orders),
        event=draw(events),
        previous=draw(st.none() | st.sampled_from(State)),
        rule=draw(words),
        booked=draw(st.none() | executions),
        finding=draw(st.none() | words),
    )


def as_decoded(change: OrderChange) -> OrderChange:
    """What is expected back: everything but the ledger."""
    return attrs.evolve(change, order=attrs.evolve(change.order, ledger=Ledger()))


def row_of(change: OrderChange) -> dict[str, Any]:
    """The row of one change as the database would give it back."""
    row: dict[str, Any] = dict(zip(COLUMNS, encode("demo:1", change), strict=True))
    for name in ("qty", "limit_price", "stop_price", "filled_qty", "filled_avg_price"):
        row[name] = None if row[name] is None else Decimal(row[name])
    return row


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes())
def test_every_change_comes_back(change: OrderChange) -> None:
    """Whatever can be said of an order comes back exactly: digits, moments, words, exits and terms."""
    assert repr(decode(row_of(change))) == repr(as_decoded(change))


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(written=st.lists(changes(), min_size=2, max_size=6))
def test_every_change_survives_the_database(url: str, written: list[OrderChange]) -> None:
    """The next process finds the same changes, those with characters included that PostgreSQL has no room for in text."""
    location = locate({"BROKER_DATABASE": url})
    assert location is not None

    async def through(journal: DatabaseJournal, use: Callable[[DatabaseJournal], Awaitable[Any]]) -> Any:
        try:
            return await use(journal)
        finally:
            await journal.close()

    async def read(journal: DatabaseJournal) -> list[OrderChange]:
        ids = dict.fromkeys(each.order.local_id for each in written)
        return [change for local_id in ids for change in await journal.history(local_id)]

    account = uuid.uuid4().hex
    asyncio.run(through(DatabaseJournal(location, models_for("codec"), account), lambda journal: journal.append(written)))
    found = asyncio.run(through(DatabaseJournal(location, models_for("codec"), account), read))

    assert repr(found) == repr(
        [
            as_decoded(each)
            for each in sorted(written, key=lambda each: [other.order.local_id for other in written].index(each.order.local_id))
        ]
    )


def test_columns_say_what_people_ask_for(make_change: Callable[..., OrderChange]) -> None:
    """The terms, the state after the news and the ids of the news have columns; the fill itself is in the detail."""
    row = row_of(make_change("ORDER1", step=2))

    assert {name: row[name] for name in COLUMNS if name != "detail"} == {
        "connection_id": "demo:1",
        "local_id": "ORDER1",
        "broker_order_id": "broker-2",
        "execution_id": "ORDER1-2",
        "symbol": "AAPL",
        "side": "buy",
        "qty": Decimal("10.00"),
        "order_type": "limit",
        "time_in_force": "day",
        "limit_price": Decimal("186.50"),
        "stop_price": None,
        "signal_id": None,
        "strategy": "momentum",
        "status": "partial_fill",
        "filled_qty": Decimal("3.00"),
        "filled_avg_price": Decimal("185.420"),
        "occurred_at": "2026-03-02T12:00:02.000000+00:00",
    }
    detail = msgspec.json.decode(row["detail"])
    assert detail["event"]["qty"] == "1.50"
    assert detail["event"]["price"] == "185.420"
    assert detail["rule"] == "fill"
    assert detail["previous"] == "accepted"
    assert "request" not in detail


def test_the_rest_of_a_request_is_in_the_detail(make_change: Callable[..., OrderChange]) -> None:
    """Terms without a column of their own are kept as terms."""
    change = make_change()
    request = TrailingStopOrder("AAPL", Side.SELL, qty=1, trail_percent="1.50")
    row = row_of(attrs.evolve(change, order=attrs.evolve(change.order, request=request)))

    assert msgspec.json.decode(row["detail"])["request"] == {"trail_percent": "1.50"}
    assert decode(row).order.request == request


def test_every_attribute_has_its_place() -> None:
    """An attribute that an order or its news gets one day is kept without anybody thinking of it."""
    from broker_core.records import codec

    elsewhere = {"local_id", "request", "state", "filled_qty", "filled_avg_price", "ledger"}
    assert {*codec.OrderForm.__struct_fields__, *elsewhere} == set(attrs.fields_dict(Order))
    assert set(codec.OrderEventForm.__struct_fields__) == set(attrs.fields_dict(OrderEvent))
    assert set(codec.OrderChangeForm.__struct_fields__) == {*attrs.fields_dict(OrderChange), "request"}


def test_an_offset_is_kept_as_the_same_moment(make_change: Callable[..., OrderChange]) -> None:
    """News that was stamped in another zone is the same moment in the column and in the event."""
    at = datetime(2026, 3, 2, 9, 30, tzinfo=timezone(-timedelta(hours=5)))
    row = row_of(make_change(at=at))

    assert row["occurred_at"] == "2026-03-02T14:30:00.000000+00:00"
    assert decode(row).event.at == at


def test_a_naive_moment_cannot_be_written(make_change: Callable[..., OrderChange]) -> None:
    """News without a zone is refused by name of the rule."""
    with pytest.raises(ValueError, match="has no time zone"):
        encode("demo:1", make_change(at=datetime(2026, 3, 2)))  # noqa: DTZ001 - the naive moment is the subject


def test_no_number_is_no_amount(make_change: Callable[..., OrderChange]) -> None:
    """An amount that is not a number is refused rather than stored as a word."""
    change = make_change()
    with pytest.raises(ValueError, match="amount: NaN is not a finite number"):
        encode("demo:1", attrs.evolve(change, order=attrs.evolve(change.order, filled_qty=Decimal("NaN"))))


def test_fields_of_a_newer_version_are_passed_over(make_change: Callable[..., OrderChange]) -> None:
    """A detail that says more than this version knows is still understood."""
    change = make_change()
    row = row_of(change)
    detail = msgspec.json.decode(row["detail"])
    detail["event"]["venue"] = "XNAS"
    row["detail"] = msgspec.json.encode(detail).decode()

    assert decode(row) == as_decoded(change)


def test_broken_text_does_not_stop_an_order(make_change: Callable[..., OrderChange]) -> None:
    """A lone surrogate, which no encoding knows, is replaced wherever it stands; the rest of the news is kept."""
    change = make_change(reason="half \ud83d a pair", broker_ids=("a\ud800b", "c\udfffd\0"))
    row = row_of(change)

    assert row["broker_order_id"] == "c?d"
    assert decode(row).order == attrs.evolve(as_decoded(change).order, reason="half ? a pair", broker_ids=("a?b", "c?d\0"))
