"""alpaca-py reads an account of the sandbox, its positions, and what is listed there, and changes what may be changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from accounts import SDK_MISSING
from hosted_sandbox import START
from sandboxes import KEY, SECRET
from ways import Way

from broker_core.clock import to_ns

pytest.importorskip("alpaca", reason=SDK_MISSING)

from alpaca.common.exceptions import APIError
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.requests import StockLatestTradeRequest
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import (
    AccountStatus,
    AssetClass,
    AssetExchange,
    AssetStatus,
    ContractType,
    CorporateActionType,
    OrderSide,
    OrderStatus,
    PositionSide,
    TimeInForce,
)
from alpaca.trading.requests import (
    ClosePositionRequest,
    CreateWatchlistRequest,
    GetAssetsRequest,
    GetCalendarRequest,
    GetCorporateAnnouncementsRequest,
    GetOptionContractsRequest,
    GetPortfolioHistoryRequest,
    MarketOrderRequest,
    UpdateWatchlistRequest,
)
from alpaca_py import AlpacaPy, until


def unset(model: Any) -> set[str]:
    """The members of a model that were not in the answer, or null."""
    return {name for name in type(model).model_fields if getattr(model, name) is None}


def test_the_account_before_and_after_a_purchase(sdk: AlpacaPy):
    """What a position is worth is missing from the cash and present in the market value."""
    before = sdk.trading.get_account()
    order = sdk.bought("AAPL", 10)
    after = sdk.trading.get_account()

    assert (before.status, before.cash, before.equity, before.trading_blocked) == (AccountStatus.ACTIVE, "100000", "100000", False)
    assert unset(after) == set()
    assert float(after.cash) == pytest.approx(100_000 - 10 * float(order.filled_avg_price))
    assert float(after.equity) == pytest.approx(float(after.cash) + float(after.long_market_value))


def test_configurations(sdk: AlpacaPy):
    """All of them are sent back, one changed, and the account follows."""
    found = sdk.trading.get_account_configurations()

    changed = sdk.trading.set_account_configurations(found.model_copy(update={"no_shorting": True}))

    assert unset(found) == set()
    assert changed == found.model_copy(update={"no_shorting": True})
    assert sdk.trading.get_account_configurations() == changed


def test_positions(sdk: AlpacaPy):
    """They are listed, read by symbol and by id, and closed by quantity, by percentage and altogether."""
    for symbol in ("AAPL", "MSFT", "SPY"):
        sdk.bought(symbol, 10)
    crypto = sdk.bought("BTC/USD", 0.5)

    positions = {position.symbol: position for position in sdk.trading.get_all_positions()}
    assert set(positions) == {"AAPL", "MSFT", "SPY", "BTCUSD"}
    apple = positions["AAPL"]
    assert (apple.qty, apple.side, apple.exchange, apple.asset_class) == (
        "10",
        PositionSide.LONG,
        AssetExchange.NASDAQ,
        AssetClass.US_EQUITY,
    )
    assert unset(apple) == {"swap_rate", "avg_entry_swap_rate", "usd"}, "these are of accounts in other currencies"
    assert float(apple.market_value) == pytest.approx(10 * float(apple.current_price))
    assert float(apple.unrealized_pl) == pytest.approx(float(apple.market_value) - float(apple.cost_basis))
    assert positions["BTCUSD"].asset_class is AssetClass.CRYPTO
    assert float(positions["BTCUSD"].avg_entry_price) == pytest.approx(float(crypto.filled_avg_price))
    assert sdk.trading.get_open_position(apple.asset_id).symbol == "AAPL"

    partly = sdk.trading.close_position("AAPL", ClosePositionRequest(qty="4"))
    assert (partly.side, partly.qty) == (OrderSide.SELL, "4")
    sdk.once(partly, OrderStatus.FILLED)
    assert sdk.trading.get_open_position("AAPL").qty == "6"
    half = sdk.once(sdk.trading.close_position("MSFT", ClosePositionRequest(percentage="50")), OrderStatus.FILLED)
    assert (half.qty, sdk.trading.get_open_position("MSFT").qty) == ("5", "5")
    sdk.once(sdk.trading.close_position("SPY"), OrderStatus.FILLED)
    with pytest.raises(APIError, match="position does not exist") as error:
        sdk.trading.get_open_position("SPY")
    assert (error.value.status_code, error.value.code) == (404, 40410000)

    closed = sdk.trading.close_all_positions(cancel_orders=True)

    assert {(answer.symbol.replace("/", ""), answer.status) for answer in closed} == {("AAPL", 200), ("MSFT", 200), ("BTCUSD", 200)}
    assert all(answer.body.side is OrderSide.SELL for answer in closed)
    assert until(sdk.trading.get_all_positions, lambda left: not left) == []


def test_portfolio_history(sdk: AlpacaPy):
    """Each moment has its equity, and what was gained since the beginning, as an amount and as a part of it."""
    sdk.bought("AAPL", 100)
    history = sdk.trading.get_portfolio_history(GetPortfolioHistoryRequest(period="1D", timeframe="1Min", extended_hours=True))

    assert (history.timeframe, history.base_value) == ("1Min", 100_000)
    assert len(history.timestamp) == len(history.equity) == len(history.profit_loss) == len(history.profit_loss_pct) > 0
    assert history.timestamp == sorted(set(history.timestamp))
    for equity, gain, part in zip(history.equity, history.profit_loss, history.profit_loss_pct, strict=True):
        assert (gain, part) == (pytest.approx(equity - 100_000, abs=0.01), pytest.approx(gain / 100_000, abs=1e-4))
    assert history.equity[-1] == pytest.approx(float(sdk.trading.get_account().equity), rel=1e-3)
    assert sdk.trading.get_portfolio_history().timeframe == "1D"


def test_watchlists(sdk: AlpacaPy):
    """They are made, read, renamed, filled, emptied and deleted."""
    made = sdk.trading.create_watchlist(CreateWatchlistRequest(name="tech", symbols=["AAPL", "MSFT"]))
    assert [asset.symbol for asset in made.assets] == ["AAPL", "MSFT"]
    assert [(one.id, one.name) for one in sdk.trading.get_watchlists()] == [(made.id, "tech")]

    renamed = sdk.trading.update_watchlist_by_id(made.id, UpdateWatchlistRequest(name="all", symbols=["SPY"]))
    assert (renamed.name, [asset.symbol for asset in renamed.assets]) == ("all", ["SPY"])
    longer = sdk.trading.add_asset_to_watchlist_by_id(made.id, "BTC/USD")
    assert [asset.symbol for asset in longer.assets] == ["SPY", "BTC/USD"]
    sdk.trading.remove_asset_from_watchlist_by_id(made.id, "SPY")
    assert [asset.symbol for asset in sdk.trading.get_watchlist_by_id(made.id).assets] == ["BTC/USD"]

    sdk.trading.delete_watchlist_by_id(made.id)
    assert sdk.trading.get_watchlists() == []
    with pytest.raises(APIError) as error:
        sdk.trading.get_watchlist_by_id(made.id)
    assert error.value.status_code == 404


def test_assets(sdk: AlpacaPy):
    """Shares and pairs are listed, narrowed down, and read by symbol and by id."""
    shares = sdk.trading.get_all_assets(GetAssetsRequest(status=AssetStatus.ACTIVE, asset_class=AssetClass.US_EQUITY))
    pairs = sdk.trading.get_all_assets(GetAssetsRequest(asset_class=AssetClass.CRYPTO))
    apple = sdk.trading.get_asset("AAPL")

    assert {asset.asset_class for asset in shares} == {AssetClass.US_EQUITY}
    assert apple in shares
    assert (apple.exchange, apple.tradable, apple.fractionable) == (AssetExchange.NASDAQ, True, True)
    assert unset(apple) == {"min_order_size", "min_trade_increment", "price_increment"}, "these are of pairs"
    assert sdk.trading.get_asset(apple.id) == apple
    (bitcoin,) = [asset for asset in pairs if asset.symbol == "BTC/USD"]
    assert bitcoin.min_trade_increment > 0
    assert sdk.trading.get_all_assets() == shares
    with pytest.raises(APIError) as error:
        sdk.trading.get_asset("NOWHERE")
    assert error.value.status_code == 404


def test_clock_and_calendar(sdk: AlpacaPy):
    """The clock shows the market's moment; the calendar has the days of the week asked for."""
    clock = sdk.trading.get_clock()
    days = sdk.trading.get_calendar(GetCalendarRequest(start=date(2026, 3, 2), end=date(2026, 3, 6)))

    assert START < clock.timestamp < START + timedelta(hours=1)
    assert clock.is_open
    assert clock.next_close > clock.timestamp
    assert [day.date for day in days] == [date(2026, 3, 2) + timedelta(days=after) for after in range(5)]
    assert all(day.open <= day.close for day in days)


@pytest.mark.parametrize("demo", [{"calendar": "XNYS", "start_ns": to_ns(datetime(2026, 11, 26, 17, tzinfo=UTC))}], ids=["holiday"])
def test_a_holiday_in_new_york(sdk: AlpacaPy):
    """The market is closed until Friday, which is a short day; an order waits for it."""
    clock = sdk.trading.get_clock()
    (friday,) = sdk.trading.get_calendar(GetCalendarRequest(start=date(2026, 11, 26), end=date(2026, 11, 29)))
    order = sdk.trading.submit_order(MarketOrderRequest(symbol="AAPL", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY))

    assert not clock.is_open
    assert (clock.next_open, clock.next_close) == (datetime(2026, 11, 27, 14, 30, tzinfo=UTC), datetime(2026, 11, 27, 18, tzinfo=UTC))
    assert (friday.date, friday.open.time(), friday.close.time()) == (date(2026, 11, 27), time(9, 30), time(13))
    assert order.status is OrderStatus.ACCEPTED
    assert sdk.trading.get_order_by_id(order.id).expires_at == clock.next_close
    last = sdk.stocks.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="AAPL"))["AAPL"]
    assert last.timestamp == datetime(2026, 11, 25, 20, 59, 59, tzinfo=UTC)


def test_option_contracts(sdk: AlpacaPy):
    """The chain is told in pages, and a contract is found by its symbol and by its id."""
    asked = GetOptionContractsRequest(underlying_symbols=["AAPL"], type=ContractType.CALL, limit=3)
    first = sdk.trading.get_option_contracts(asked)
    second = sdk.trading.get_option_contracts(asked.model_copy(update={"page_token": first.next_page_token}))

    assert len(first.option_contracts) == 3
    assert not {contract.id for contract in first.option_contracts} & {contract.id for contract in second.option_contracts}
    (contract, *_) = first.option_contracts
    assert unset(contract) == {"open_interest", "open_interest_date", "close_price", "close_price_date"}, "nobody trades it"
    assert (contract.underlying_symbol, contract.type, contract.size) == ("AAPL", ContractType.CALL, "100")
    assert contract.underlying_asset_id == sdk.trading.get_asset("AAPL").id
    assert sdk.trading.get_option_contract(contract.symbol) == contract
    assert sdk.trading.get_option_contract(UUID(contract.id)) == contract


# alpaca-py would rather have us ask the data host.
@pytest.mark.filterwarnings("ignore:get_corporate_announcements")
def test_corporate_announcements(sdk: AlpacaPy):
    """There are none, which is an answer too."""
    asked = GetCorporateAnnouncementsRequest(
        ca_types=[CorporateActionType.DIVIDEND, CorporateActionType.SPLIT], since=date(2026, 2, 1), until=date(2026, 3, 1)
    )

    assert sdk.trading.get_corporate_announcements(asked) == []


def test_other_ways_to_sign(way: Way):
    """Keys in the Basic header, and an access token."""
    trading = TradingClient(oauth_token=SECRET, url_override=way.trading_url)
    stocks = StockHistoricalDataClient(KEY, SECRET, use_basic_auth=True, url_override=way.data_url)

    assert trading.get_account().status is AccountStatus.ACTIVE
    assert stocks.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="AAPL"))["AAPL"].price > 0
    trading._session.close()
    stocks._session.close()


def test_wrong_keys_are_refused(way: Way):
    """By each host in its own words, and at once: alpaca-py takes neither for something that may pass."""
    trading = TradingClient(KEY, "wrong", url_override=way.trading_url)
    stocks = StockHistoricalDataClient(KEY, "wrong", url_override=way.data_url)

    with pytest.raises(APIError) as error:
        trading.get_account()
    assert (error.value.status_code, error.value.code) == (401, 40110000)
    with pytest.raises(APIError) as error:
        stocks.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="AAPL"))
    assert error.value.status_code == 403
    trading._session.close()
    stocks._session.close()
