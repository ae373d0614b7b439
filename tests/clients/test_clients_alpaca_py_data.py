"""alpaca-py reads market data of the sandbox: over many pages, for several symbols, as models and as frames."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from accounts import SDK_MISSING
from hosted_sandbox import START

pytest.importorskip("alpaca", reason=SDK_MISSING)

from alpaca.common.enums import Sort
from alpaca.common.exceptions import APIError
from alpaca.data.enums import Adjustment, DataFeed, MarketType, MostActivesBy
from alpaca.data.requests import (
    CorporateActionsRequest,
    CryptoBarsRequest,
    CryptoLatestBarRequest,
    CryptoLatestOrderbookRequest,
    CryptoLatestQuoteRequest,
    CryptoLatestTradeRequest,
    CryptoQuoteRequest,
    CryptoSnapshotRequest,
    CryptoTradesRequest,
    MarketMoversRequest,
    MostActivesRequest,
    NewsRequest,
    OptionBarsRequest,
    OptionChainRequest,
    OptionLatestQuoteRequest,
    OptionLatestTradeRequest,
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockQuotesRequest,
    StockSnapshotRequest,
    StockTradesRequest,
)
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
from alpaca_py import AlpacaPy

# alpaca-py makes its frames in a way that pandas 3.1 has begun to deprecate.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

PAIRS = ["BTC/USD", "ETH/USD"]
MINUTES = 1440
MONDAY = START.replace(hour=0)


def bars(sdk: AlpacaPy, symbols: str | list[str], timeframe: TimeFrame = TimeFrame.Minute, **query: Any) -> Any:
    """Bars of shares since two Saturdays ago, unless told otherwise."""
    span = {"start": MONDAY - timedelta(days=9), "end": MONDAY, **query}
    return sdk.stocks.get_stock_bars(StockBarsRequest(symbol_or_symbols=symbols, timeframe=timeframe, **span))


def test_bars_over_several_pages_become_one_frame(sdk: AlpacaPy):
    """Nine days of minutes of two symbols are three pages and one frame, without a gap or a repetition, both symbols in turn."""
    frame = bars(sdk, ["MSFT", "AAPL"]).df

    assert len(frame) == 2 * (9 * MINUTES + 1)
    assert list(frame.columns) == ["open", "high", "low", "close", "volume", "trade_count", "vwap"]
    for symbol in ("AAPL", "MSFT"):
        moments = frame.loc[symbol].index
        assert (moments[0], moments[-1]) == (MONDAY - timedelta(days=9), MONDAY)
        assert set(moments[1:] - moments[:-1]) == {timedelta(minutes=1)}
    assert not frame.isna().any(axis=None)
    assert (frame["low"] <= frame[["open", "close", "vwap"]].min(axis=1)).all()
    assert (frame["high"] >= frame[["open", "close", "vwap"]].max(axis=1)).all()


def test_a_limit_and_an_order_of_time(sdk: AlpacaPy):
    """The limit counts the rows of all symbols together, and the newest may come first."""
    limited = bars(sdk, ["AAPL", "MSFT"], limit=12_000)
    newest = bars(sdk, "AAPL", sort=Sort.DESC, limit=3)["AAPL"]

    assert len(limited.df) == 12_000
    assert [bar.timestamp for bar in newest] == [MONDAY - timedelta(minutes=back) for back in range(3)]


@pytest.mark.parametrize(
    ("timeframe", "count"),
    [
        (TimeFrame(5, TimeFrameUnit.Minute), 9 * MINUTES // 5 + 1),
        (TimeFrame.Hour, 9 * 24 + 1),
        (TimeFrame(4, TimeFrameUnit.Hour), None),
        (TimeFrame.Day, 9),
        (TimeFrame.Week, None),
        (TimeFrame(3, TimeFrameUnit.Month), None),
    ],
)
def test_longer_bars_sum_up_the_short_ones(sdk: AlpacaPy, timeframe: TimeFrame, count: int | None):
    """Bars of every unit are read, and their volume is that of their minutes."""
    query = {"adjustment": Adjustment.ALL, "feed": DataFeed.IEX, "start": MONDAY - timedelta(days=100 if count is None else 9)}
    found = bars(sdk, "AAPL", timeframe, **query)["AAPL"]
    longest = found[len(found) // 2]
    following = found[len(found) // 2 + 1] if len(found) > 1 else None

    assert len(found) == count or (count is None and found)
    if following is not None:
        inside = bars(sdk, "AAPL", start=longest.timestamp, end=following.timestamp - timedelta(minutes=1))["AAPL"]
        assert sum(bar.volume for bar in inside) == longest.volume
        assert (inside[0].open, inside[-1].close) == (longest.open, longest.close)
        assert (max(bar.high for bar in inside), min(bar.low for bar in inside)) == (longest.high, longest.low)


def test_quotes_and_trades_over_several_pages(sdk: AlpacaPy):
    """Every second of three hours is there once, in order, and no trade lies outside its quote."""
    span: dict[str, Any] = {"symbol_or_symbols": ["AAPL", "SPY"], "start": MONDAY, "end": MONDAY + timedelta(hours=3)}
    quotes = sdk.stocks.get_stock_quotes(StockQuotesRequest(**span))
    trades = sdk.stocks.get_stock_trades(StockTradesRequest(**span))

    for symbol in span["symbol_or_symbols"]:
        assert len(quotes[symbol]) == len(trades[symbol]) == 3 * 3600 + 1
        assert [quote.timestamp for quote in quotes[symbol]] == [MONDAY + timedelta(seconds=second) for second in range(3 * 3600 + 1)]
        for quote, trade in zip(quotes[symbol], trades[symbol], strict=True):
            assert quote.bid_price <= trade.price <= quote.ask_price
            assert quote.timestamp == trade.timestamp
    assert len({trade.id for trade in trades["AAPL"]}) == len(trades["AAPL"])
    assert len(trades.df) == 2 * (3 * 3600 + 1)


def test_what_shares_cost_now(sdk: AlpacaPy):
    """Latest trade, quote and bar, and the snapshot that holds all of them and two days, agree with each other."""
    symbols = {"symbol_or_symbols": ["AAPL", "MSFT"]}
    trades = sdk.stocks.get_stock_latest_trade(StockLatestTradeRequest(**symbols))
    quotes = sdk.stocks.get_stock_latest_quote(StockLatestQuoteRequest(**symbols))
    minutes = sdk.stocks.get_stock_latest_bar(StockLatestBarRequest(**symbols))
    snapshots = sdk.stocks.get_stock_snapshot(StockSnapshotRequest(**symbols))

    assert set(trades) == set(quotes) == set(minutes) == set(snapshots) == {"AAPL", "MSFT"}
    for symbol, snapshot in snapshots.items():
        assert START <= trades[symbol].timestamp <= quotes[symbol].timestamp <= snapshot.latest_quote.timestamp
        assert snapshot.latest_quote.bid_price <= snapshot.latest_trade.price <= snapshot.latest_quote.ask_price
        assert snapshot.minute_bar.timestamp >= minutes[symbol].timestamp
        assert snapshot.daily_bar.low <= snapshot.latest_trade.price <= snapshot.daily_bar.high
        assert snapshot.previous_daily_bar.timestamp < snapshot.daily_bar.timestamp


def test_pairs(sdk: AlpacaPy):
    """What there is of shares there is of pairs, and their order books."""
    span: dict[str, Any] = {"symbol_or_symbols": PAIRS, "start": MONDAY - timedelta(days=4), "end": MONDAY}
    moment: dict[str, Any] = {"symbol_or_symbols": PAIRS, "start": MONDAY - timedelta(minutes=1), "end": MONDAY}
    now = {"symbol_or_symbols": PAIRS}

    assert len(sdk.crypto.get_crypto_bars(CryptoBarsRequest(timeframe=TimeFrame.Minute, **span)).df) == 2 * (4 * MINUTES + 1)
    assert len(sdk.crypto.get_crypto_quotes(CryptoQuoteRequest(**moment)).df) == 2 * 61
    assert len(sdk.crypto.get_crypto_trades(CryptoTradesRequest(**moment)).df) == 2 * 61
    trades = sdk.crypto.get_crypto_latest_trade(CryptoLatestTradeRequest(**now))
    quotes = sdk.crypto.get_crypto_latest_quote(CryptoLatestQuoteRequest(**now))
    minutes = sdk.crypto.get_crypto_latest_bar(CryptoLatestBarRequest(**now))
    books = sdk.crypto.get_crypto_latest_orderbook(CryptoLatestOrderbookRequest(**now))
    snapshots = sdk.crypto.get_crypto_snapshot(CryptoSnapshotRequest(**now))
    for pair in PAIRS:
        assert minutes[pair].timestamp <= trades[pair].timestamp <= quotes[pair].timestamp <= books[pair].timestamp
        assert books[pair].bids[0].price < books[pair].asks[0].price
        assert [bid.price for bid in books[pair].bids] == sorted((bid.price for bid in books[pair].bids), reverse=True)
        assert snapshots[pair].daily_bar.high >= snapshots[pair].latest_trade.price


def test_news(sdk: AlpacaPy):
    """Articles come newest first, over several pages, and say what they are."""
    found = sdk.news.get_news(
        NewsRequest(symbols="AAPL,BTCUSD", start=MONDAY - timedelta(days=30), end=MONDAY, limit=80, include_content=True)
    )
    articles = found.data["news"]

    assert len(articles) == 80
    assert [article.id for article in articles] == sorted((article.id for article in articles), reverse=True)
    assert all(article.headline.startswith("Generated") for article in articles)
    assert {symbol for article in articles for symbol in article.symbols} == {"AAPL", "BTCUSD"}


def test_what_moves(sdk: AlpacaPy):
    """The most active shares, and those that rose and fell most, in order."""
    active = sdk.screener.get_most_actives(MostActivesRequest(by=MostActivesBy.TRADES, top=5)).most_actives
    movers = sdk.screener.get_market_movers(MarketMoversRequest(top=3, market_type=MarketType.CRYPTO))

    assert len(active) == 5
    assert [one.trade_count for one in active] == sorted((one.trade_count for one in active), reverse=True)
    changes = [one.percent_change for one in movers.gainers]
    assert changes == sorted(changes, reverse=True)
    assert movers.market_type is MarketType.CRYPTO


def test_what_there_is_none_of(sdk: AlpacaPy):
    """Options have contracts and no prices, companies never act; what is asked for all the same is answered with nothing."""
    contract = "AAPL260320C00200000"

    assert sdk.options.get_option_latest_quote(OptionLatestQuoteRequest(symbol_or_symbols=contract)) == {}
    assert sdk.options.get_option_latest_trade(OptionLatestTradeRequest(symbol_or_symbols=contract)) == {}
    assert sdk.options.get_option_chain(OptionChainRequest(underlying_symbol="AAPL")) == {}
    assert sdk.options.get_option_bars(OptionBarsRequest(symbol_or_symbols=contract, timeframe=TimeFrame.Day)).data == {}
    assert sdk.options.get_option_exchange_codes() == {}
    assert sdk.actions.get_corporate_actions(CorporateActionsRequest(symbols=["AAPL"])).data == {}


def test_refusals_have_a_message(sdk: AlpacaPy):
    """Those of the data host have no code."""
    with pytest.raises(APIError) as error:
        bars(sdk, "AAPL", start=MONDAY, end=MONDAY - timedelta(days=1))

    assert error.value.status_code == 400
    assert "end should not be before start" in str(error.value)
