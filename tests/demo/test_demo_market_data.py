"""Prices as a session reads them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from broker_core.clock import to_ns
from broker_core.errors import RequestRefused
from broker_core.families import MarketDataSource
from broker_core.models import BarQuery, Snapshot
from broker_core.timeframe import Timeframe
from broker_demo import market_data


def query(symbols, timeframe, start, end):
    return BarQuery(symbols=tuple(symbols.split()), timeframe=Timeframe.parse(timeframe), start=start, end=end)


async def all_pages(source, asked):
    pages, token = [], None
    while True:
        page = await source.bars(asked, token)
        pages.append(page)
        token = page.next_token
        if token is None:
            return pages


@pytest.fixture
async def broker(open_broker):
    return await open_broker()


async def test_family_is_what_the_core_asks_for(broker):
    """The object has all that the protocol of market data names."""
    assert isinstance(broker.market_data, MarketDataSource)


@pytest.mark.parametrize("size", [1, 7, 60, 61])
async def test_pages_add_up_to_the_whole(broker, monkeypatch, size):
    """Whatever a page holds, the pages have every bar once, in order, symbol by symbol, and no more bars than fit."""
    end = datetime(2026, 3, 2, 12, tzinfo=UTC)
    asked = query("MSFT AAPL", "1Min", end - timedelta(hours=1), end)
    (whole,) = await all_pages(broker.market_data, asked)
    monkeypatch.setattr(market_data, "PAGE", size)

    pages = await all_pages(broker.market_data, asked)

    assert all(sum(len(columns.timestamp_ns) for columns in page.columns.values()) <= size for page in pages)
    assert [symbol for page in pages for symbol in page.columns] == sorted((s for page in pages for s in page.columns), reverse=True)
    for symbol in ("MSFT", "AAPL"):
        for name in ("timestamp_ns", "open", "high", "low", "close", "volume", "trade_count", "vwap"):
            gathered = [value for page in pages if symbol in page.columns for value in getattr(page.columns[symbol], name)]
            assert gathered == list(getattr(whole.columns[symbol], name))
    assert len(whole.columns["AAPL"].timestamp_ns) == 60


async def test_page_holds_ten_thousand_bars(broker):
    """A long query's first page is full and names the next bar."""
    end = datetime(2026, 3, 2, tzinfo=UTC)
    page = await broker.market_data.bars(query("AAPL", "1Min", end - timedelta(days=10), end), None)

    assert len(page.columns["AAPL"].timestamp_ns) == 10_000
    assert page.next_token == f"AAPL|{to_ns(end - timedelta(days=10)) + 10_000 * 60_000_000_000}"


@pytest.mark.parametrize("timeframe", ["1Min", "59Min", "1Hour", "1Day", "1Week", "1Month", "12Month"])
async def test_every_timeframe_is_served(broker, timeframe):
    """Bars of every unit begin at their edges and end before the end of the query; none begins in the future."""
    now = broker.clock.now()
    start = now - timedelta(days=400 if timeframe.endswith(("Day", "Week", "Month")) else 5)

    (page,) = await all_pages(broker.market_data, query("AAPL", timeframe, start, now + timedelta(days=5)))

    edges = [int(edge) for edge in page.columns["AAPL"].timestamp_ns]
    frame = Timeframe.parse(timeframe)
    assert edges == sorted(edges)
    assert all(frame.floor(edge) == edge for edge in edges)
    assert edges[-1] == frame.floor(to_ns(now))


async def test_empty_stretch_is_an_empty_page(broker):
    """A query for the future has no bars and no next page."""
    start = broker.clock.now() + timedelta(days=1)

    page = await broker.market_data.bars(query("AAPL", "1Min", start, start + timedelta(hours=1)), None)

    assert (dict(page.columns), page.next_token) == ({}, None)


async def test_unknown_symbols_are_named(broker):
    """Every read refuses symbols that are not listed, naming all of them."""
    now = broker.clock.now()
    for read in (
        lambda: broker.market_data.bars(query("AAPL NOPE NADA", "1Min", now, now), None),
        lambda: broker.market_data.quotes(["NOPE", "NADA"]),
        lambda: broker.market_data.trades(["NOPE", "NADA"]),
        lambda: broker.market_data.snapshots(["NOPE", "NADA"]),
    ):
        with pytest.raises(RequestRefused, match="could not find asset 'NOPE', 'NADA'") as caught:
            await read()
        assert caught.value.status == 422


@pytest.mark.parametrize("token", ["nonsense", "MSFT|1", "AAPL|x", ""])
async def test_foreign_token_is_refused(broker, token):
    """A token of another query is refused rather than answered with something."""
    now = broker.clock.now()
    with pytest.raises(RequestRefused, match="page_token"):
        await broker.market_data.bars(query("AAPL", "1Min", now, now), token)


async def test_snapshot_is_the_present(broker, clock):
    """A snapshot's quote and trade are the latest, its bars hold them, and the former day's bar is that of the day before."""
    await clock.advance(90)

    snapshot = (await broker.market_data.snapshots(["AAPL"]))["AAPL"]

    now_ns = to_ns(clock.now())
    assert isinstance(snapshot, Snapshot)
    assert snapshot.quote.timestamp_ns == snapshot.trade.timestamp_ns == now_ns
    assert (snapshot.minute_bar.timestamp_ns, snapshot.minute_bar.trade_count) == (now_ns - 30_000_000_000, 31)
    assert snapshot.minute_bar.close == snapshot.daily_bar.close == snapshot.trade.price
    assert snapshot.daily_bar.timestamp_ns == to_ns(datetime(2026, 3, 2, 5, tzinfo=UTC))
    assert snapshot.previous_daily_bar.timestamp_ns == to_ns(datetime(2026, 3, 1, 5, tzinfo=UTC))


async def test_symbol_without_a_price_has_an_empty_snapshot(open_broker, tmp_path):
    """Before a replay's first bar there is no quote and no trade, and that is no error."""
    bars = tmp_path / "mine.csv"
    bars.write_text("timestamp,open,high,low,close,volume\n2026-01-05T15:00:00Z,1,1,1,1,9\n2026-01-05T15:01:00Z,1,1,1,1,9\n")
    broker = await open_broker(REPLAY=bars, START="2026-01-05T14:00:00Z")

    assert await broker.market_data.quotes(["MINE"]) == {}
    assert await broker.market_data.trades(["MINE"]) == {}
    assert await broker.market_data.snapshots(["MINE"]) == {"MINE": Snapshot(symbol="MINE")}


async def test_hours_and_assets(broker):
    """Trading days and assets are those of the prices; what is not listed is no asset."""
    days = await broker.market_data.hours(date(2026, 3, 2), date(2026, 3, 4))

    assert [day.day.day for day in days] == [2, 3, 4]
    assert (await broker.market_data.asset("AAPL")).symbol == "AAPL"
    assert await broker.market_data.asset("NOPE") is None


async def test_everything_listed_is_an_asset(broker):
    """The list of assets is what look-ups find, the symbols that misbehave on request included."""
    found = await broker.market_data.assets()

    assert {"AAPL", "MSFT", "DEMO.PARTIAL"} <= {asset.symbol for asset in found}
    assert [await broker.market_data.asset(asset.symbol) for asset in found] == found
    assert [asset.symbol for asset in found] == sorted(asset.symbol for asset in found)
