"""Quotes, trades and snapshots of this moment; the market's clock, its hours, and what is traded."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from broker_core.errors import RequestRefused
from broker_core.models import Asset, MarketHours, Quote, Snapshot, Trade
from broker_core.testing.contract.suite import Suite
from broker_core.testing.contract.trader import Trader


def check_quote(quote: Any, symbol: str) -> None:
    """A quote is typed, whole and plausible. Raises AssertionError."""
    assert isinstance(quote, Quote)
    assert quote.symbol == symbol
    assert all(isinstance(value, float | int) for value in (quote.bid_price, quote.ask_price, quote.bid_size, quote.ask_size))
    assert 0 < quote.bid_price <= quote.ask_price
    assert quote.bid_size >= 0
    assert quote.ask_size >= 0
    assert isinstance(quote.timestamp_ns, int)
    assert quote.timestamp.tzinfo is UTC


def check_trade(trade: Any, symbol: str) -> None:
    """A trade is typed, whole and plausible. Raises AssertionError."""
    assert isinstance(trade, Trade)
    assert trade.symbol == symbol
    assert isinstance(trade.price, float)
    assert trade.price > 0
    assert trade.size > 0
    assert isinstance(trade.timestamp_ns, int)
    assert trade.timestamp.tzinfo is UTC


class TestPrices(Suite):
    """The present, and the market it is of."""

    async def test_a_quote_is_whole(self, trader: Trader) -> None:
        """Two sides, the bid no higher than the offer."""
        check_quote(await trader.market_data.quote(trader.subject.symbol), trader.subject.symbol)

    async def test_quotes_come_by_symbol(self, trader: Trader) -> None:
        """One for each that was asked for, and none besides."""
        symbols = [trader.subject.symbol, trader.given("other_symbol")]
        quotes = await trader.market_data.quotes(symbols)
        assert set(quotes) == set(symbols)
        for symbol, quote in quotes.items():
            check_quote(quote, symbol)

    async def test_latest_prices_lie_beside_the_quotes(self, trader: Trader) -> None:
        """Within a twentieth."""
        symbol = trader.subject.symbol
        price, quote = (await trader.market_data.latest_prices(symbol))[symbol], await trader.market_data.quote(symbol)
        assert isinstance(price, float)
        assert quote.bid_price * 0.95 < price < quote.ask_price * 1.05

    async def test_latest_prices_come_by_symbol(self, trader: Trader) -> None:
        """For all at once."""
        symbols = {trader.subject.symbol, trader.given("other_symbol")}
        prices = await trader.market_data.latest_prices(sorted(symbols))
        assert set(prices) == symbols
        assert all(price > 0 for price in prices.values())

    async def test_a_snapshot_holds_what_is_known(self, trader: Trader) -> None:
        """Its parts are of the symbol, typed, and plausible."""
        symbol = trader.subject.symbol
        snapshot = await trader.market_data.snapshot(symbol)
        assert isinstance(snapshot, Snapshot)
        assert snapshot.symbol == symbol
        parts = (snapshot.quote, snapshot.trade, snapshot.minute_bar, snapshot.daily_bar, snapshot.previous_daily_bar)
        assert any(part is not None for part in parts)
        assert {part.symbol for part in parts if part is not None} == {symbol}
        if snapshot.quote is not None:
            check_quote(snapshot.quote, symbol)
        if snapshot.trade is not None:
            check_trade(snapshot.trade, symbol)

    async def test_bars_of_a_snapshot_follow_each_other(self, trader: Trader) -> None:
        """The previous day lies before this one, and the minute within it."""
        snapshot = await trader.market_data.snapshot(trader.subject.symbol)
        for bar in (snapshot.minute_bar, snapshot.daily_bar, snapshot.previous_daily_bar):
            assert bar is None or 0 < bar.low <= bar.close <= bar.high
        if snapshot.daily_bar is not None and snapshot.previous_daily_bar is not None:
            assert snapshot.previous_daily_bar.timestamp_ns < snapshot.daily_bar.timestamp_ns
        if snapshot.daily_bar is not None and snapshot.minute_bar is not None:
            assert snapshot.daily_bar.timestamp_ns <= snapshot.minute_bar.timestamp_ns

    async def test_snapshots_come_by_symbol(self, trader: Trader) -> None:
        """One for each that was asked for."""
        symbols = {trader.subject.symbol, trader.given("other_symbol")}
        snapshots = await trader.market_data.snapshots(sorted(symbols))
        assert {symbol: snapshot.symbol for symbol, snapshot in snapshots.items()} == {symbol: symbol for symbol in symbols}

    @pytest.mark.parametrize("call", ["quote", "snapshot"])
    async def test_an_unknown_symbol_is_refused_by_name(self, trader: Trader, call: str) -> None:
        """It never gets another one's price."""
        data, symbol = trader.market_data, trader.given("unknown_symbol")
        with pytest.raises(RequestRefused, match=symbol):
            await getattr(data, call)(symbol)

    @pytest.mark.parametrize("symbols", [[], ["A B"], [""]], ids=str)
    async def test_what_is_no_symbol_is_refused_before_anything_is_sent(self, trader: Trader, symbols: list[str]) -> None:
        """With a value error."""
        with pytest.raises(ValueError, match="symbols"):
            await trader.market_data.quotes(symbols)

    async def test_prices_move_with_time(self, trader: Trader) -> None:
        """A later quote is not older."""
        first = await trader.market_data.quote(trader.subject.symbol)
        await trader.subject.pass_time(3)
        second = await trader.market_data.quote(trader.subject.symbol)
        assert second.timestamp_ns >= first.timestamp_ns

    # The market

    async def test_the_clock_knows_what_comes_next(self, trader: Trader) -> None:
        """Open or not, and the moments at which that changes, aware and to come."""
        clock = await trader.market_data.clock()
        assert isinstance(clock.is_open, bool)
        assert [moment.utcoffset() for moment in (clock.at, clock.next_open, clock.next_close)] == [timedelta(0)] * 3
        assert clock.next_open > clock.at
        assert clock.next_close > clock.at
        assert await trader.market_data.is_open() is clock.is_open

    async def test_hours_are_a_day_each(self, trader: Trader) -> None:
        """Oldest first, no day twice, the close after the open, within the bounds that were asked for."""
        today = (await trader.market_data.clock()).at.date()
        hours = await trader.market_data.hours(today - timedelta(days=10), today)
        assert hours
        assert all(isinstance(one, MarketHours) and one.open < one.close for one in hours)
        assert all(isinstance(one.day, date) and today - timedelta(days=10) <= one.day <= today for one in hours)
        assert [one.day for one in hours] == sorted({one.day for one in hours})
        assert all(one.open.utcoffset() == timedelta(0) for one in hours)

    async def test_hours_the_wrong_way_round_are_refused(self, trader: Trader) -> None:
        """Before anything is sent."""
        with pytest.raises(ValueError, match="start"):
            await trader.market_data.hours("2026-02-02", "2026-02-01")

    async def test_an_asset_is_described(self, trader: Trader) -> None:
        """What it is called, and in which steps it trades."""
        asset = await trader.market_data.asset(trader.subject.symbol)
        assert isinstance(asset, Asset)
        assert asset.symbol == trader.subject.symbol
        assert asset.name
        assert asset.tradable
        assert isinstance(asset.price_increment, Decimal)
        assert asset.price_increment > 0
        assert asset.qty_increment > 0

    async def test_an_asset_and_the_capabilities_agree(self, trader: Trader) -> None:
        """What trades in fractions or is sold short in these tests may be."""
        asset = await trader.market_data.asset(trader.subject.symbol)
        assert asset is not None
        assert asset.fractionable or not trader.can("fractional")
        assert asset.shortable or not trader.can("short")

    async def test_there_is_no_asset_of_an_unknown_name(self, trader: Trader) -> None:
        """None says so."""
        data = trader.market_data
        assert await data.asset(trader.given("unknown_symbol")) is None

    async def test_the_list_of_assets_holds_what_is_traded_here(self, trader: Trader) -> None:
        """Each once, described as it is alone."""
        data = trader.market_data
        if not hasattr(data._source, "assets"):
            pytest.skip(f"{trader.session.connection.broker} leaves out assets, which a source of market data may")
        assets = await data.assets()
        symbols = [asset.symbol for asset in assets]
        assert len(set(symbols)) == len(symbols)
        (found,) = [asset for asset in assets if asset.symbol == trader.subject.symbol]
        assert found == await data.asset(trader.subject.symbol)
