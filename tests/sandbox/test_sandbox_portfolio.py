"""The account's worth over time."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sandboxes import Visitor, sandbox

from broker_core.clock import StillClock
from broker_core.requests import Side
from broker_demo.ledger import Bust, Fill, Ledger
from broker_demo.prices import SeededPrices
from broker_demo.sandbox.server import Sandbox
from broker_demo.sandbox.trading.equity_curve import equity_before
from broker_demo.trading_hours import AlwaysOpen

PATH = "/v2/account/portfolio/history"
START_NS = 1_772_463_600_000_000_000
MINUTE_NS = 60_000_000_000
SERIES = ("timestamp", "equity", "profit_loss", "profit_loss_pct")


async def history(visitor: Visitor, **query: Any) -> Any:
    """The answer, its series of one length."""
    reply = await visitor.get(PATH, **query)
    assert reply.status == 200, reply.body
    assert len({len(reply.json[name]) for name in SERIES}) == 1
    return reply.json


async def test_the_last_window_is_worth_what_the_account_is_worth(visitor: Visitor, clock: StillClock):
    """Whatever the window's length, and after whatever trades, the last point is the present equity."""
    await visitor.order(symbol="TSLA", qty="100")
    await clock.advance(90)
    await visitor.order(symbol="BTC/USD", qty="0.3", time_in_force="gtc")
    await visitor.order(symbol="MSFT", qty="20", side="sell")
    await clock.advance(3600)

    equity = float((await visitor.get("/v2/account")).json["equity"])

    assert equity != 100_000
    for timeframe in ("1Min", "5Min", "15Min", "1H", "1D"):
        for reporting in ("market_hours", "continuous"):
            told = await history(visitor, period="1D", timeframe=timeframe, intraday_reporting=reporting)
            assert told["timeframe"] == timeframe
            assert told["equity"][-1] == pytest.approx(equity, abs=0.006)
            assert told["profit_loss"][-1] == pytest.approx(equity - 100_000, abs=0.006)
            assert told["base_value"] == 100_000


async def test_windows_tell_the_equity_at_their_ends(visitor: Visitor, clock: StillClock, box: Sandbox):
    """A share bought in one window counts from that window on, at the price right before the window's end."""
    await clock.advance(120)
    await visitor.order(qty="10")
    await clock.advance(180)
    (fill,) = box.desk.exchange.state.ledger.fills

    told = await history(visitor, period="1D", timeframe="1Min", intraday_reporting="continuous")

    assert told["timestamp"] == [START_NS // 10**9 + 60 * minute for minute in range(5)]
    assert told["equity"][:2] == [100_000] * 2
    for minute in (2, 3):
        tick = box.desk.prices.tick("AAPL", START_NS + (minute + 1) * MINUTE_NS - 1)
        assert tick is not None
        assert told["equity"][minute] == round(100_000 + 10 * (tick.price - float(fill.price)), 2)
        assert told["profit_loss_pct"][minute] == round(told["profit_loss"][minute] / 100_000, 6)


async def test_days_tell_the_equity_at_their_closes(visitor: Visitor, clock: StillClock, box: Sandbox):
    """Each day is worth what was noted down at its close, and profits are counted from the close before the first one."""
    await visitor.order(symbol="TSLA", qty="100")
    for _ in range(3):
        await clock.advance(86_400)
        box.desk.settled()
    closes = [round(float(close.equity), 2) for close in box.desk.exchange.state.closes]
    account = (await visitor.get("/v2/account")).json

    everything = await history(visitor)
    later = await history(visitor, start="2026-03-04")
    reset = await history(visitor, period="2D", timeframe="1H", intraday_reporting="continuous")
    kept = await history(visitor, period="2D", timeframe="1H", intraday_reporting="continuous", pnl_reset="no_reset")

    assert len(closes) == 3
    assert everything["timeframe"] == "1D"
    assert everything["equity"] == [*closes, round(float(account["equity"]), 2)]
    assert (everything["base_value"], "base_value_asof" in everything) == (100_000, False)
    assert (later["base_value"], later["base_value_asof"]) == (closes[1], "2026-03-03")
    assert reset["profit_loss"][-1] == pytest.approx(reset["equity"][-1] - float(account["last_equity"]), abs=0.01)
    assert kept["profit_loss"][-1] == pytest.approx(kept["equity"][-1] - closes[1], abs=0.01)


async def test_cash_flows_are_told_for_the_kinds_asked_for(visitor: Visitor):
    """There are none, and none of each kind."""
    told = await history(visitor, period="1D", timeframe="1H", cashflow_types="CSD,DIV")

    assert told["cashflow"] == {name: [0] * len(told["timestamp"]) for name in ("CSD", "DIV")}
    assert (await history(visitor, cashflow_types="ALL"))["cashflow"] == {}


async def test_an_account_that_has_just_begun_has_a_first_point(visitor: Visitor):
    """The default is a month of days, of which there is one; a stretch before the account is empty."""
    first = await history(visitor)

    assert (first["equity"], first["profit_loss_pct"]) == ([100_000], [0])
    assert (await history(visitor, start="2020-01-01", end="2020-01-10"))["equity"] == []


@pytest.mark.parametrize(
    ("query", "timeframe"),
    [
        ({}, "1D"),
        ({"period": "6D"}, "1Min"),
        ({"period": "7D"}, "15Min"),
        ({"period": "1W"}, "15Min"),
        ({"period": "29D"}, "15Min"),
        ({"period": "30D"}, "1D"),
        ({"period": "1A"}, "1D"),
        ({"start": "2026-02-25"}, "1Min"),
        ({"start": "2026-01-31", "timeframe": "1H"}, "1H"),
    ],
)
async def test_windows_are_as_fine_as_the_stretch_allows(visitor: Visitor, query: dict[str, str], timeframe: str):
    """Minutes for less than a week, quarters of an hour for less than a month, else days; a month may be had in hours."""
    assert (await history(visitor, **query))["timeframe"] == timeframe


async def test_a_month_ends_where_it_began_and_windows_begin_on_whole_minutes():
    """A month back from a day that the month before lacks begins with that month's end; continuous windows lie on the grid."""
    clock = StillClock(datetime(2026, 2, 27, 15, 0, 30, tzinfo=UTC))
    async with sandbox(clock) as box, Visitor(box) as visitor:
        await clock.advance(40)
        minutes = await history(visitor, period="1D", intraday_reporting="continuous")
        await clock.advance(32 * 86_400)
        month = await history(visitor, period="1M")

    assert [second % 60 for second in minutes["timestamp"]] == [0, 0]
    assert len(month["timestamp"]) == 31


async def test_windows_keep_to_the_hours_asked_for():
    """An exchange's day has its core hours, with the sessions around them on request, or goes on round the clock."""
    clock = StillClock(datetime(2026, 3, 2, 8, 0, tzinfo=UTC))
    async with sandbox(clock, calendar="XNYS") as box, Visitor(box) as visitor:
        await clock.advance(18 * 3600)
        told = [
            len((await history(visitor, period="1D", timeframe="1H", **query))["timestamp"])
            for query in ({}, {"extended_hours": "true"}, {"intraday_reporting": "extended_hours"}, {"intraday_reporting": "continuous"})
        ]

    assert told == [7, 16, 16, 18]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            {"period": "1D", "start": "2026-03-01", "end": "2026-03-02"},
            "only two of start, end and period can be specified at the same time",
        ),
        ({"period": "1Y"}, "invalid period: 1Y"),
        ({"period": "9999A"}, "invalid period: 9999A"),
        ({"timeframe": "2Min"}, "invalid timeframe: 2Min"),
        ({"period": "2M", "timeframe": "1H"}, "timeframe 1H is only available for 30 days or less; use 1D"),
        ({"start": "2026-01-30", "timeframe": "15Min"}, "timeframe 15Min is only available for 30 days or less; use 1D"),
        ({"start": "2026-03-02", "end": "2026-03-01"}, "start must be before end"),
        ({"intraday_reporting": "always"}, "invalid intraday_reporting: always"),
        ({"pnl_reset": "never"}, "invalid pnl_reset: never"),
        ({"cashflow_types": "TAXES"}, "invalid activity type: TAXES"),
    ],
)
async def test_a_history_that_makes_no_sense_is_refused(visitor: Visitor, query: dict[str, str], message: str):
    """The refusal says why."""
    reply = await visitor.get(PATH, **query)

    assert (reply.status, reply.json) == (422, {"code": 40010001, "message": message})


TRADES = st.lists(
    st.tuples(st.integers(0, 1_800), st.sampled_from(["AAPL", "BTC/USD"]), st.sampled_from(Side), st.integers(1, 9), st.booleans()),
    max_size=12,
)


@settings(max_examples=40)
@given(TRADES)
def test_the_curve_is_what_the_books_said_at_each_moment(trades: list[tuple[int, str, Side, int, bool]]):
    """Undoing executions from the present leads to the same equity as booking them up to each moment; busted ones never were."""
    prices = SeededPrices(7, AlwaysOpen())
    fills = [
        Fill(
            execution_id=str(number),
            order_id="order",
            symbol=symbol,
            side=side,
            qty=Decimal(qty),
            price=Decimal(100),
            at_ns=START_NS + second * 1_000_000_000,
            filled_qty=Decimal(qty),
            filled_avg_price=Decimal(100),
        )
        for number, (second, symbol, side, qty, _) in enumerate(sorted(trades, key=lambda trade: trade[0]))
    ]
    busts = [
        Bust(bust_id=fill.execution_id, execution_id=fill.execution_id, at_ns=0)
        for fill, trade in zip(fills, trades, strict=True)
        if trade[4]
    ]
    moments = [START_NS + minute * MINUTE_NS for minute in (0, 1, 7, 8, 30, 31)]
    busted = {bust.execution_id for bust in busts}

    curve = equity_before(prices, Ledger(Decimal(100_000), fills, busts), moments, moments[-1])

    for moment, told in zip(moments, curve, strict=True):
        ledger = Ledger(Decimal(100_000), [fill for fill in fills if fill.at_ns < moment and fill.execution_id not in busted])
        worth = float(ledger.cash)
        for symbol, held in ledger.positions.items():
            tick = prices.tick(symbol, moment - 1)
            assert tick is not None
            worth += float(held.qty) * tick.price
        assert told == pytest.approx(worth, abs=1e-6)
