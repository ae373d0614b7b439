"""The family of market data over real sockets: which host is asked what, and what becomes of the answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from accounts import MODES, Connect
from fake_data_host import DataHost, asset, bar
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted_host import Reply, ScriptedHost

from broker_alpaca.client import CAPABILITIES
from broker_alpaca.config import Mode
from broker_alpaca.market_data import AlpacaMarketData
from broker_alpaca.wire import quotes, trades
from broker_alpaca.wire.data_host import Range
from broker_alpaca.wire.snapshots import Greeks, OptionSnapshot
from broker_core.clock import to_ns
from broker_core.errors import RequestRefused, Unavailable, WireError
from broker_core.families import MarketDataSource
from broker_core.market_data import MarketData
from broker_core.models import Asset, BarPage, BarQuery, Snapshot
from broker_core.requests import Side
from broker_core.timeframe import Timeframe

CALL, PUT = "AAPL250620C00100000", "AAPL250620P00100000"
START = datetime(2026, 2, 27, 14, 30, tzinfo=UTC)
NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)

Source = Callable[..., AlpacaMarketData]


@pytest.fixture
def mode() -> Mode:
    """Over HTTP; the tests that say so go both ways."""
    return Mode.HTTP


@pytest.fixture
def market() -> DataHost:
    """A market in which AAPL, MSFT and BTC/USD are listed."""
    data = DataHost()
    data.assets = {symbol: asset(symbol) for symbol in ("AAPL", "MSFT")}
    data.assets["BTC/USD"] = asset(
        "BTC/USD", **{"class": "crypto", "exchange": "CRYPTO", "price_increment": "0.5", "min_trade_increment": "0.0001"}
    )
    return data


@pytest.fixture
async def source(market: DataHost, connect: Connect) -> AsyncIterator[Source]:
    """Make the family of an account at this market; keywords change its settings. The account's clock begins at ``NOW``."""
    async with ScriptedHost(market) as host:
        yield lambda **changes: AlpacaMarketData(connect(host.url, **changes))


def minutes(count: int, start: datetime = START) -> list[dict[str, Any]]:
    """One bar a minute, whose close counts them."""
    return [bar(f"{start + timedelta(minutes=place):%Y-%m-%dT%H:%M:%SZ}", close=float(place + 2)) for place in range(count)]


def query(*symbols: str, timeframe: str = "1Min", start: datetime = START, end: datetime = START + timedelta(minutes=10)) -> BarQuery:
    return BarQuery(symbols=symbols, timeframe=Timeframe.parse(timeframe), start=start, end=end)


async def all_pages(source: AlpacaMarketData, asked: BarQuery) -> list[BarPage]:
    pages = [await source.bars(asked, None)]
    while pages[-1].next_token is not None:
        pages.append(await source.bars(asked, pages[-1].next_token))
    return pages


def closes(pages: Sequence[BarPage]) -> dict[str, list[float]]:
    """The closes of all pages, by symbol in the order of their coming."""
    found: dict[str, list[float]] = {}
    for page in pages:
        for symbol, columns in page.columns.items():
            found.setdefault(symbol, []).extend(float(close) for close in columns.close)
    return found


async def test_family_is_what_the_core_asks_for(source: Source):
    """The object has all that the protocol of market data names."""
    assert isinstance(source(), MarketDataSource)


@pytest.mark.parametrize("mode", MODES)
async def test_bars_of_stocks(market: DataHost, source: Source):
    """Bars come from all exchanges, raw, 10,000 a page, with the end left out."""
    market.history["stocks", "bars"] = {"AAPL": minutes(20)}

    page = await source().bars(query("AAPL", end=START + timedelta(minutes=3)), None)

    columns = page.columns["AAPL"]
    assert page.next_token is None
    assert list(columns.timestamp_ns) == [to_ns(START + timedelta(minutes=place)) for place in range(3)]
    assert list(columns.close) == [2.0, 3.0, 4.0]
    assert [list(getattr(columns, name)) for name in ("open", "high", "low", "volume", "trade_count", "vwap")] == [
        [2.0, 3.0, 4.0],
        [3.0, 4.0, 5.0],
        [1.0, 2.0, 3.0],
        [10.0, 10.0, 10.0],
        [3, 3, 3],
        [2.0, 3.0, 4.0],
    ]
    (request,) = market.asked
    assert request.path == "/v2/stocks/bars"
    assert request.query == {
        "symbols": "AAPL",
        "timeframe": "1Min",
        "adjustment": "raw",
        "feed": "sip",
        "start": "2026-02-27T14:30:00Z",
        "end": "2026-02-27T14:32:59.999999Z",
        "limit": "10000",
    }


@pytest.mark.parametrize(
    ("feed", "history"), [("iex", "sip"), ("sip", "sip"), ("delayed_sip", "sip"), ("otc", "otc"), ("overnight", "boats")]
)
async def test_feed_of_history(market: DataHost, source: Source, feed: str, history: str):
    """History is of all exchanges, or of the venue that the feed is about; the latest prices are those of the feed."""
    market.history["stocks", "bars"] = {"AAPL": minutes(1)}
    market.latest["stocks", "quotes"] = {"AAPL": {"t": "2026-03-02T15:00:00Z", "bp": 1, "bs": 1, "ap": 2, "as": 1}}
    ours = source(feed=feed)

    await ours.bars(query("AAPL"), None)
    await ours.quotes(["AAPL"])

    assert [request.query["feed"] for request in market.asked] == [history, feed]


@pytest.mark.parametrize("mode", MODES)
async def test_query_of_several_kinds_goes_kind_by_kind(market: DataHost, source: Source):
    """Stocks, pairs and options are told apart by their symbols and asked for where they are; the pages add up."""
    market.history["stocks", "bars"] = {"AAPL": minutes(4), "MSFT": minutes(3)}
    market.history["crypto", "bars"] = {"BTC/USD": minutes(5)}
    market.history["options", "bars"] = {CALL: minutes(2)}
    market.largest_page = 2

    pages = await all_pages(source(), query("MSFT", CALL, "BTC/USD", "AAPL"))

    assert {symbol: len(found) for symbol, found in closes(pages).items()} == {"BTC/USD": 5, CALL: 2, "AAPL": 4, "MSFT": 3}
    assert set(market.paths()) == {"/v1beta3/crypto/us/bars", "/v1beta1/options/bars", "/v2/stocks/bars"}
    assert all(sum(len(columns.close) for columns in page.columns.values()) <= 2 for page in pages)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    counts=st.dictionaries(st.sampled_from(["AAPL", "MSFT", "BTC/USD", CALL, PUT]), st.integers(0, 7), min_size=1),
    size=st.integers(1, 8),
    has_empty_pages=st.booleans(),
)
async def test_pages_of_any_size_add_up(market: DataHost, source: Source, counts: dict[str, int], size: int, has_empty_pages: bool):
    """However rows are split into pages, empty ones with a token among them, every bar comes once and in order."""
    for place, symbols in (("stocks", ("AAPL", "MSFT")), ("crypto", ("BTC/USD",)), ("options", (CALL, PUT))):
        market.history[place, "bars"] = {symbol: minutes(counts.get(symbol, 0)) for symbol in symbols}
    market.largest_page, market.has_empty_pages = size, has_empty_pages

    pages = await all_pages(source(), query(*counts))

    assert closes(pages) == {symbol: [place + 2.0 for place in range(count)] for symbol, count in counts.items() if count}


async def test_token_of_another_query_is_refused(source: Source):
    """A token that this query never gave is refused before anything is sent."""
    for token in ("", "nonsense", "stock|x|y", "crypto|0|", "stock|"):
        with pytest.raises(RequestRefused, match="does not belong to this query"):
            await source().bars(query("AAPL"), token)


@pytest.mark.parametrize("mode", MODES)
async def test_unknown_symbols_are_refused_by_name(market: DataHost, source: Source):
    """A symbol without a bar is looked up: one that exists has no bars, one that does not is refused by name."""
    market.history["stocks", "bars"] = {"AAPL": minutes(1)}
    ours = source()

    assert set((await ours.bars(query("AAPL", "MSFT"), None)).columns) == {"AAPL"}
    with pytest.raises(RequestRefused, match="no such symbol: NADA, NOPE"):
        await ours.bars(query("AAPL", "NADA", "NOPE"), None)

    assert sorted(market.paths("/v2/assets")) == ["/v2/assets/MSFT", "/v2/assets/NADA", "/v2/assets/NOPE"]


async def test_known_symbols_are_looked_up_once(market: DataHost, source: Source):
    """A symbol that had a bar once, or was found once, is not looked up again."""
    market.history["stocks", "bars"] = {"AAPL": minutes(1)}
    ours = source()
    later = query("AAPL", "MSFT", start=START + timedelta(days=1), end=START + timedelta(days=2))

    await ours.bars(query("AAPL"), None)
    for _ in range(3):
        assert not (await ours.bars(later, None)).columns

    assert market.paths("/v2/assets") == ["/v2/assets/MSFT"]


async def test_symbol_is_looked_up_after_its_last_page_only(market: DataHost, source: Source):
    """A symbol whose bars come on a later page is not taken for one without bars."""
    market.history["stocks", "bars"] = {"AAPL": minutes(3), "ZVZZT": minutes(1)}
    market.largest_page = 1

    assert closes(await all_pages(source(), query("AAPL", "ZVZZT")))["ZVZZT"] == [2.0]
    assert not market.paths("/v2/assets")


async def test_many_doubtful_symbols_are_looked_up_in_the_list(market: DataHost, source: Source):
    """More than ten symbols without a bar cost one request, not one each."""
    market.assets |= {name: asset(name) for name in [f"S{place}" for place in range(20)]}
    ours = source()

    await ours.bars(query(*[f"S{place}" for place in range(20)]), None)
    with pytest.raises(RequestRefused, match="no such symbol: T0, T1"):
        await ours.bars(query(*[f"T{place}" for place in range(11)]), None)

    assert [request.query for request in market.asked if request.path == "/v2/assets"] == [{"asset_class": "us_equity"}] * 2


async def test_pair_without_its_slash_is_told_how_to_write_it(source: Source):
    """``BTCUSD`` is the name of an asset, but there is no data of it; the refusal says what is."""
    with pytest.raises(RequestRefused, match=r"no such symbol: BTCUSD \(write BTC/USD\)"):
        await source().bars(query("BTCUSD"), None)


async def test_options_and_foreign_pairs_without_bars_are_not_refused(market: DataHost, source: Source):
    """Of contracts that may have expired, and of pairs that Alpaca itself does not trade, nobody can say whether they exist."""
    assert not (await source().bars(query(CALL), None)).columns
    assert not (await source(crypto_location="eu-1").bars(query("DOGE/MOON"), None)).columns
    assert market.paths("/v2/assets") == []
    assert market.paths("/v1beta3/crypto/eu-1") == ["/v1beta3/crypto/eu-1/bars"]


async def test_unknown_symbol_of_each_kind_is_refused(market: DataHost, source: Source):
    """In a query of several kinds, each kind's symbols are looked up after the last of its own pages."""
    market.history["stocks", "bars"] = {"AAPL": minutes(1)}

    with pytest.raises(RequestRefused, match="no such symbol: DOGE/MOON"):
        await all_pages(source(), query("AAPL", "DOGE/MOON"))


async def test_plan_without_real_time_data(market: DataHost, source: Source, caplog: pytest.LogCaptureFixture):
    """Where recent bars are refused, the frame ends 16 minutes ago; that is said once, and not asked for again."""
    market.history["stocks", "bars"] = {"AAPL": [*minutes(14, start=NOW - timedelta(minutes=30)), *minutes(60, start=NOW)]}
    market.delayed_since = NOW + timedelta(hours=1)
    ours = source()
    asked = query("AAPL", start=NOW - timedelta(hours=1), end=NOW + timedelta(hours=5))

    with caplog.at_level(logging.WARNING):
        found = [closes(await all_pages(ours, asked))["AAPL"] for _ in range(2)]

    assert [len(one) for one in found] == [14, 14]
    assert [request.query["feed"] for request in market.asked] == ["sip"] * 3
    assert len([record for record in caplog.records if "no real-time data" in record.message]) == 1


async def test_plan_without_real_time_data_and_nothing_older(market: DataHost, source: Source):
    """A query for nothing but the last minutes has no bars then, on that plan; a symbol is looked up all the same."""
    market.delayed_since = NOW + timedelta(hours=1)
    ours = source()
    recent = {"start": NOW + timedelta(hours=2), "end": NOW + timedelta(hours=5)}

    assert [await ours.bars(query("AAPL", **recent), None) for _ in range(2)] == [BarPage(columns={})] * 2
    with pytest.raises(RequestRefused, match="no such symbol: NOPE"):
        await ours.bars(query("NOPE", **recent), None)
    assert len(market.paths("/v2/stocks")) == 1


async def test_pages_of_a_query_end_where_its_first_page_does(market: DataHost, source: Source):
    """While pages are followed time passes; their range stays."""
    market.history["stocks", "bars"] = {"AAPL": minutes(14, start=NOW - timedelta(minutes=30))}
    market.delayed_since, market.largest_page = NOW + timedelta(hours=1), 5

    pages = await all_pages(source(), query("AAPL", start=NOW - timedelta(hours=1), end=NOW + timedelta(hours=5)))

    assert len(pages) == 3
    assert len({request.query["end"] for request in market.asked[1:]}) == 1


async def test_delay_is_told_once_for_requests_at_once(market: DataHost, source: Source, caplog: pytest.LogCaptureFixture):
    """Several requests under way meet the same refusal; each is repeated, and the log says it once."""
    market.history["stocks", "bars"] = {"AAPL": minutes(3)}
    market.delayed_since = NOW + timedelta(hours=1)
    ours = source()

    pages = await asyncio.gather(*(ours.bars(query("AAPL", end=NOW + timedelta(hours=5)), None) for _ in range(4)))

    assert [len(page.columns["AAPL"].close) for page in pages] == [3] * 4
    assert caplog.text.count("no real-time data") == 1


async def test_refusal_that_goes_on_is_a_refusal(market: DataHost, source: Source):
    """Where what lies further back is refused as well, that is raised, and not tried for ever."""
    market.delayed_since = START

    with pytest.raises(RequestRefused, match="does not permit querying recent SIP data"):
        await source().bars(query("AAPL", end=NOW + timedelta(hours=5)), None)
    assert len(market.asked) == 2


async def test_feed_of_all_exchanges_is_taken_at_its_word(market: DataHost, source: Source):
    """Whoever chose it is told that the plan has no such data, rather than given less of it."""
    market.delayed_since = NOW + timedelta(hours=1)

    with pytest.raises(RequestRefused, match="does not permit querying recent SIP data") as caught:
        await source(feed="sip").bars(query("AAPL", end=NOW + timedelta(hours=5)), None)
    assert (caught.value.status, caught.value.code) == (403, 42210000)


@pytest.mark.parametrize("mode", MODES)
async def test_quotes_and_trades_of_every_kind(market: DataHost, source: Source):
    """The latest values of all kinds are asked for at once and come together; what has none is left out."""
    quote = {"t": "2026-03-02T15:00:00.123456789Z", "bp": 1.5, "bs": 2, "ap": 2.5, "as": 3}
    market.latest["stocks", "quotes"] = {"AAPL": quote | {"bx": "N", "ax": "Q", "c": ["R"], "z": "C"}}
    market.latest["crypto", "quotes"] = {"BTC/USD": quote}
    market.latest["options", "quotes"] = {CALL: quote | {"c": " "}}
    market.latest["stocks", "trades"] = {"AAPL": {"t": "2026-03-02T15:00:00Z", "p": 2, "s": 3, "x": "N", "i": 7, "c": ["@", "I"], "z": "C"}}
    market.latest["crypto", "trades"] = {"BTC/USD": {"t": "2026-03-02T15:00:00Z", "p": 2, "s": 0.5, "i": 2**60 + 1, "tks": "S"}}
    ours = source()
    symbols = ["AAPL", "MSFT", "BTC/USD", CALL]

    quotes, trades = await ours.quotes(symbols), await ours.trades(symbols)

    assert set(quotes) == {"AAPL", "BTC/USD", CALL}
    stock = quotes["AAPL"]
    assert (stock.symbol, stock.timestamp_ns % 10**9, stock.bid_price, stock.bid_size, stock.ask_price, stock.ask_size) == (
        "AAPL",
        123_456_789,
        1.5,
        2.0,
        2.5,
        3.0,
    )
    assert (stock.bid_exchange, stock.ask_exchange, stock.conditions, stock.tape) == ("N", "Q", ("R",), "C")
    assert quotes[CALL].conditions == ()
    assert set(trades) == {"AAPL", "BTC/USD"}
    assert (trades["AAPL"].price, trades["AAPL"].trade_id, trades["AAPL"].conditions) == (2.0, "7", ("@", "I"))
    assert (trades["BTC/USD"].taker_side, trades["BTC/USD"].trade_id) == (Side.SELL, str(2**60 + 1))
    feeds = {request.path: request.query.get("feed") for request in market.asked if "latest" in request.path}
    assert feeds == {
        "/v2/stocks/quotes/latest": "iex",
        "/v1beta3/crypto/us/latest/quotes": None,
        "/v1beta1/options/quotes/latest": "indicative",
        "/v2/stocks/trades/latest": "iex",
        "/v1beta3/crypto/us/latest/trades": None,
        "/v1beta1/options/trades/latest": "indicative",
    }


async def test_unknown_symbols_have_no_quotes_trades_or_snapshots(source: Source):
    """Asking for the present of an unknown symbol is refused by name too."""
    ours = source()
    for ask in (ours.quotes, ours.trades, ours.snapshots):
        with pytest.raises(RequestRefused, match="no such symbol: NOPE"):
            await ask(["AAPL", "NOPE"])


async def test_snapshots_of_every_kind(market: DataHost, source: Source):
    """A snapshot has what is known of its symbol, of options the greeks too; of a known symbol without one it is empty."""
    row = {"latestTrade": {"t": "2026-03-02T15:00:00Z", "p": 2, "s": 3}, "minuteBar": bar("2026-03-02T14:59:00Z"), "latestQuote": None}
    market.latest["stocks", "snapshots"] = {"AAPL": row, "MSFT": None}
    market.latest["crypto", "snapshots"] = {"BTC/USD": row | {"prevDailyBar": bar("2026-03-01T00:00:00Z", close=5.0)}}
    greeks = {"delta": 0.5, "gamma": 0.1, "theta": -0.2, "vega": 0.3, "rho": 0.01}
    market.latest["options", "snapshots"] = {CALL: row | {"greeks": greeks, "impliedVolatility": 0.25}}

    found = await source().snapshots(["AAPL", "MSFT", "BTC/USD", CALL])

    stock, option = found["AAPL"], found[CALL]
    assert stock.trade is not None
    assert (stock.trade.price, stock.quote, stock.daily_bar) == (2.0, None, None)
    assert stock.minute_bar is not None
    assert stock.minute_bar.timestamp == datetime(2026, 3, 2, 14, 59, tzinfo=UTC)
    assert found["MSFT"] == Snapshot(symbol="MSFT")
    previous = found["BTC/USD"].previous_daily_bar
    assert previous is not None
    assert previous.close == 5.0
    assert isinstance(option, OptionSnapshot)
    assert (option.greeks, option.implied_volatility) == (Greeks(**greeks), 0.25)


async def test_failure_of_one_kind_is_the_failure_of_all(market: DataHost, connect: Connect):
    """What cannot be read of one kind is raised as it is, and nothing goes on behind it."""

    def answer(request: Any) -> Reply:
        return Reply(body=b"<html>") if "crypto" in request.path else market(request)

    async with ScriptedHost(answer) as host:
        with pytest.raises(WireError, match="quote"):
            await AlpacaMarketData(connect(host.url)).quotes(["AAPL", "BTC/USD", CALL])


@pytest.mark.parametrize("mode", MODES)
async def test_clock_and_hours(market: DataHost, source: Source):
    """New York's wall times are moments in UTC, in winter, in summer and on half days."""
    market.clock = {
        "timestamp": "2026-03-02T10:00:00.123456789-05:00",
        "is_open": True,
        "next_open": "2026-03-03T09:30:00-05:00",
        "next_close": "2026-03-02T16:00:00-05:00",
    }
    market.calendar = [
        {"date": "2026-03-06", "open": "09:30", "close": "16:00", "session_open": "0400", "session_close": "2000"},
        {"date": "2026-03-09", "open": "09:30", "close": "16:00", "session_open": "0400", "session_close": "2000"},
        {"date": "2026-11-27", "open": "09:30", "close": "13:00", "session_open": "0400", "session_close": "1700"},
        {"date": "2026-11-30", "open": "soon", "close": "16:00"},
    ]
    ours = source()

    now = await ours.clock()
    hours = await ours.hours(date(2026, 3, 6), date(2026, 12, 31))

    assert (now.is_open, now.at.replace(microsecond=0)) == (True, NOW)
    assert (now.next_open, now.next_close) == (datetime(2026, 3, 3, 14, 30, tzinfo=UTC), datetime(2026, 3, 2, 21, tzinfo=UTC))
    assert [(day.day.day, day.open.hour, day.close.hour) for day in hours] == [(6, 14, 21), (9, 13, 20), (27, 14, 18)]
    assert all(day.open.tzinfo is UTC for day in hours)


@pytest.mark.parametrize("mode", MODES)
async def test_assets(market: DataHost, source: Source):
    """Assets are found by their symbol, pairs also without the slash; contracts are found among the options."""
    terms = {"underlying_symbol": "AAPL", "expiration_date": "2025-06-20", "strike_price": "100"}
    market.contracts[CALL] = {"id": "1", "symbol": CALL, "name": "AAPL Jun 20 2025 100 Call", "tradable": True, **terms}
    ours = source()

    stock, pair, contract = await ours.asset("AAPL"), await ours.asset("BTCUSD"), await ours.asset(CALL)

    assert stock is not None
    assert (stock.symbol, stock.price_increment, stock.qty_increment, stock.exchange) == (
        "AAPL",
        Decimal("0.01"),
        Decimal("1e-9"),
        "NASDAQ",
    )
    assert pair is not None
    assert (pair.symbol, pair.asset_class, pair.price_increment, pair.qty_increment) == (
        "BTC/USD",
        "crypto",
        Decimal("0.5"),
        Decimal("0.0001"),
    )
    assert contract == Asset(symbol=CALL, name="AAPL Jun 20 2025 100 Call", asset_class="us_option", tradable=True)
    assert (await ours.asset("NOPE"), await ours.asset(PUT)) == (None, None)


async def test_list_of_assets(market: DataHost, source: Source):
    """All active stocks and pairs are listed, without those that cannot be traded; what was listed is known."""
    market.assets |= {"HALT": asset("HALT", tradable=False), "GONE": asset("GONE", status="inactive")}
    ours = source()

    assert [found.symbol for found in await ours.assets()] == ["AAPL", "MSFT", "BTC/USD"]
    await ours.bars(query("AAPL", "HALT"), None)
    assert market.paths("/v2/assets/") == []


async def test_look_up_that_fails_is_no_answer(market: DataHost, connect: Connect):
    """When nobody can say whether a symbol exists, its bars cannot be said to be none."""

    def answer(request: Any) -> Reply:
        return Reply(500, {"message": "broken"}) if request.path.startswith("/v2/assets") else market(request)

    async with ScriptedHost(answer) as host:
        with pytest.raises(Unavailable, match="500 broken"):
            await AlpacaMarketData(connect(host.url)).bars(query("AAPL"), None)


async def test_frames_of_a_session(market: DataHost, source: Source):
    """Through the core's market data the same bars are one frame, in which a malformed row is missing and its neighbours are not."""
    market.history["stocks", "bars"] = {"AAPL": [*minutes(3), bar("2026-02-27T14:33:00Z", vw=None), *minutes(6)[4:]]}
    market.history["crypto", "bars"] = {"BTC/USD": minutes(2)}
    ours = source()
    data = MarketData(ours, clock=ours._client.clock, provenance={"broker": "alpaca"}, capabilities=CAPABILITIES)

    frame = await data.bars(["BTC/USD", "AAPL"], "1Min", start=START, end=START + timedelta(minutes=10))

    assert frame.loc["AAPL", "close"].tolist() == [2.0, 3.0, 4.0, 6.0, 7.0]
    assert frame.loc["BTC/USD", "close"].tolist() == [2.0, 3.0]
    assert list(ours._client.drift) == ["bar (left out): bar.vw is missing"]
    assert [found.symbol for found in await data.assets()] == ["AAPL", "MSFT", "BTC/USD"]


@pytest.mark.parametrize("mode", MODES)
async def test_histories_of_trades_and_quotes_page_by_page(market: DataHost, connect: Connect):
    """A history of trades or quotes is followed through its pages with the account's own calls, empty pages included."""
    market.history["stocks", "trades"] = {
        symbol: [{"t": f"2026-03-02T15:00:0{second}.5Z", "p": second, "s": 1, "i": second} for second in range(5)]
        for symbol in ("AAPL", "MSFT")
    }
    market.history["crypto", "quotes"] = {
        "BTC/USD": [{"t": f"2026-03-02T15:00:0{second}Z", "bp": second, "bs": 1, "ap": 9, "as": 1} for second in range(3)]
    }
    market.largest_page, market.has_empty_pages = 4, True
    part: Range = {"start": NOW, "end": NOW + timedelta(seconds=3, milliseconds=500)}

    async with ScriptedHost(market) as host:
        client = connect(host.url)
        prints = [
            page.found
            async for page in client.pages(
                lambda token: trades.stocks(["MSFT", "AAPL"], page_token=token, **part), lambda page: page.next_token
            )
        ]
        books = [
            page.found
            async for page in client.pages(lambda token: quotes.crypto(["BTC/USD"], page_token=token, **part), lambda page: page.next_token)
        ]

    assert [[(symbol, [one.price for one in found]) for symbol, found in page.items()] for page in prints if page] == [
        [("AAPL", [0.0, 1.0, 2.0, 3.0])],
        [("MSFT", [0.0, 1.0, 2.0, 3.0])],
    ]
    assert [[one.bid_price for one in page["BTC/USD"]] for page in books if page] == [[0.0, 1.0, 2.0]]
