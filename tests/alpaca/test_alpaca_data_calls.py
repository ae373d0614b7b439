"""What is asked of the data host, word for word: an address for every endpoint, and the members of its query."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from conftest import PAYLOADS

from broker_alpaca.wire import (
    assets,
    auctions,
    bars,
    clock,
    corporate_actions,
    fixed_income,
    forex,
    indices,
    logos,
    market_codes,
    news,
    order_books,
    perpetuals,
    quotes,
    screener,
    snapshots,
    trades,
)
from broker_alpaca.wire.call import Call, Host
from broker_alpaca.wire.data_host import Range, Sort, StockRange
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.option_contracts import ContractType
from broker_core.errors import WireError
from broker_core.timeframe import Timeframe

OPENAPI = PAYLOADS.parent / "openapi" / "market-data-openapi.2026-06.json"

TWO, PAIR, CALL = ["AAPL", "BRK.B"], ["BTC/USD"], "AAPL250620C00100000"
RANGE: Range = {
    "start": datetime(2026, 3, 2, 14, 30, tzinfo=UTC),
    "end": date(2026, 3, 3),
    "limit": 7,
    "page_token": "a+b/c=",
    "sort": Sort.DESC,
}
STOCKS: StockRange = {**RANGE, "feed": "sip", "asof": date(2026, 3, 1), "currency": "EUR"}
SENT = {"start": "2026-03-02T14:30:00Z", "end": "2026-03-03T05:00:00Z", "limit": "7", "page_token": "a+b/c=", "sort": "desc"}
SENT_OF_STOCKS = {**SENT, "feed": "sip", "asof": "2026-03-01", "currency": "EUR"}
LATEST = {"feed": "iex", "currency": "EUR"}

CALLS: dict[str, tuple[Call[Any], str, Mapping[str, str]]] = {
    "/v2/stocks/bars": (
        bars.stocks(TWO, Timeframe.parse("15Min"), adjustment="split", **STOCKS),
        "/v2/stocks/bars",
        {"symbols": "AAPL,BRK.B", "timeframe": "15Min", "adjustment": "split", **SENT_OF_STOCKS},
    ),
    "/v2/stocks/{symbol}/bars": (bars.stock("BRK.B", "1Day", **STOCKS), "/v2/stocks/BRK.B/bars", {"timeframe": "1Day", **SENT_OF_STOCKS}),
    "/v2/stocks/bars/latest": (bars.latest_stocks(TWO, **LATEST), "/v2/stocks/bars/latest", {"symbols": "AAPL,BRK.B", **LATEST}),
    "/v2/stocks/{symbol}/bars/latest": (bars.latest_stock("A", **LATEST), "/v2/stocks/A/bars/latest", LATEST),
    "/v1beta3/crypto/{loc}/bars": (
        bars.crypto(PAIR, "1Hour", location="eu-1", **RANGE),
        "/v1beta3/crypto/eu-1/bars",
        {"symbols": "BTC/USD", "timeframe": "1Hour", **SENT},
    ),
    "/v1beta3/crypto/{loc}/latest/bars": (bars.latest_crypto(PAIR), "/v1beta3/crypto/us/latest/bars", {"symbols": "BTC/USD"}),
    "/v1beta1/options/bars": (
        bars.options([CALL], "1Day", **RANGE),
        "/v1beta1/options/bars",
        {"symbols": CALL, "timeframe": "1Day", **SENT},
    ),
    "/v1beta1/crypto-perps/{loc}/latest/bars": (
        bars.latest_perpetuals(["BTC-PERP"]),
        "/v1beta1/crypto-perps/global/latest/bars",
        {"symbols": "BTC-PERP"},
    ),
    "/v2/stocks/trades": (trades.stocks(TWO, **STOCKS), "/v2/stocks/trades", {"symbols": "AAPL,BRK.B", **SENT_OF_STOCKS}),
    "/v2/stocks/{symbol}/trades": (trades.stock("A", **STOCKS), "/v2/stocks/A/trades", SENT_OF_STOCKS),
    "/v2/stocks/trades/latest": (trades.latest_stocks(TWO, **LATEST), "/v2/stocks/trades/latest", {"symbols": "AAPL,BRK.B", **LATEST}),
    "/v2/stocks/{symbol}/trades/latest": (trades.latest_stock("A", **LATEST), "/v2/stocks/A/trades/latest", LATEST),
    "/v1beta3/crypto/{loc}/trades": (trades.crypto(PAIR, **RANGE), "/v1beta3/crypto/us/trades", {"symbols": "BTC/USD", **SENT}),
    "/v1beta3/crypto/{loc}/latest/trades": (trades.latest_crypto(PAIR), "/v1beta3/crypto/us/latest/trades", {"symbols": "BTC/USD"}),
    "/v1beta1/options/trades": (trades.options([CALL], **RANGE), "/v1beta1/options/trades", {"symbols": CALL, **SENT}),
    "/v1beta1/options/trades/latest": (
        trades.latest_options([CALL], feed="opra"),
        "/v1beta1/options/trades/latest",
        {"symbols": CALL, "feed": "opra"},
    ),
    "/v1beta1/crypto-perps/{loc}/latest/trades": (
        trades.latest_perpetuals(["X"]),
        "/v1beta1/crypto-perps/global/latest/trades",
        {"symbols": "X"},
    ),
    "/v2/stocks/quotes": (quotes.stocks(TWO, **STOCKS), "/v2/stocks/quotes", {"symbols": "AAPL,BRK.B", **SENT_OF_STOCKS}),
    "/v2/stocks/{symbol}/quotes": (quotes.stock("A", **STOCKS), "/v2/stocks/A/quotes", SENT_OF_STOCKS),
    "/v2/stocks/quotes/latest": (quotes.latest_stocks(TWO, **LATEST), "/v2/stocks/quotes/latest", {"symbols": "AAPL,BRK.B", **LATEST}),
    "/v2/stocks/{symbol}/quotes/latest": (quotes.latest_stock("A", **LATEST), "/v2/stocks/A/quotes/latest", LATEST),
    "/v1beta3/crypto/{loc}/quotes": (quotes.crypto(PAIR, **RANGE), "/v1beta3/crypto/us/quotes", {"symbols": "BTC/USD", **SENT}),
    "/v1beta3/crypto/{loc}/latest/quotes": (quotes.latest_crypto(PAIR), "/v1beta3/crypto/us/latest/quotes", {"symbols": "BTC/USD"}),
    "/v1beta1/options/quotes/latest": (quotes.latest_options([CALL]), "/v1beta1/options/quotes/latest", {"symbols": CALL}),
    "/v1beta1/crypto-perps/{loc}/latest/quotes": (
        quotes.latest_perpetuals(["X"]),
        "/v1beta1/crypto-perps/global/latest/quotes",
        {"symbols": "X"},
    ),
    "/v2/stocks/snapshots": (snapshots.stocks(TWO, **LATEST), "/v2/stocks/snapshots", {"symbols": "AAPL,BRK.B", **LATEST}),
    "/v2/stocks/{symbol}/snapshot": (snapshots.stock("A", **LATEST), "/v2/stocks/A/snapshot", LATEST),
    "/v1beta3/crypto/{loc}/snapshots": (snapshots.crypto(PAIR), "/v1beta3/crypto/us/snapshots", {"symbols": "BTC/USD"}),
    "/v1beta1/options/snapshots": (
        snapshots.options([CALL], feed="opra", updated_since=datetime(2026, 3, 2, tzinfo=UTC), limit=1000, page_token="t"),
        "/v1beta1/options/snapshots",
        {"symbols": CALL, "feed": "opra", "updated_since": "2026-03-02T00:00:00Z", "limit": "1000", "page_token": "t"},
    ),
    "/v1beta1/options/snapshots/{underlying_symbol}": (
        snapshots.chain(
            "AAPL",
            contract_type=ContractType.PUT,
            strike_price_gte=Decimal("99.50"),
            strike_price_lte=Decimal(101),
            expiration_date=date(2026, 3, 20),
            expiration_date_gte=date(2026, 3, 1),
            expiration_date_lte=date(2026, 4, 1),
            root_symbol="AAPL1",
            feed="indicative",
        ),
        "/v1beta1/options/snapshots/AAPL",
        {"type": "put", "strike_price_gte": "99.50", "strike_price_lte": "101", "expiration_date": "2026-03-20", "root_symbol": "AAPL1"}
        | {"expiration_date_gte": "2026-03-01", "expiration_date_lte": "2026-04-01", "feed": "indicative"},
    ),
    "/v2/stocks/auctions": (auctions.stocks(TWO, **STOCKS), "/v2/stocks/auctions", {"symbols": "AAPL,BRK.B", **SENT_OF_STOCKS}),
    "/v2/stocks/{symbol}/auctions": (auctions.stock("A", **STOCKS), "/v2/stocks/A/auctions", SENT_OF_STOCKS),
    "/v1beta3/crypto/{loc}/latest/orderbooks": (
        order_books.latest_crypto(PAIR),
        "/v1beta3/crypto/us/latest/orderbooks",
        {"symbols": "BTC/USD"},
    ),
    "/v1beta1/crypto-perps/{loc}/latest/orderbooks": (
        order_books.latest_perpetuals(["X"]),
        "/v1beta1/crypto-perps/global/latest/orderbooks",
        {"symbols": "X"},
    ),
    "/v1beta1/crypto-perps/{loc}/latest/pricing": (
        perpetuals.pricing(["X"]),
        "/v1beta1/crypto-perps/global/latest/pricing",
        {"symbols": "X"},
    ),
    "/v1beta1/news": (
        news.page(["BTCUSD"], start=date(2026, 3, 1), limit=50, sort=Sort.ASC, include_content=True, exclude_contentless=False),
        "/v1beta1/news",
        {"symbols": "BTCUSD", "start": "2026-03-01T05:00:00Z", "limit": "50", "sort": "asc"}
        | {"include_content": "true", "exclude_contentless": "false"},
    ),
    "/v1beta1/screener/stocks/most-actives": (
        screener.most_actives(screener.By.TRADES, top=100),
        "/v1beta1/screener/stocks/most-actives",
        {"by": "trades", "top": "100"},
    ),
    "/v1beta1/screener/{market_type}/movers": (
        screener.movers(screener.Market.CRYPTO, top=50),
        "/v1beta1/screener/crypto/movers",
        {"top": "50"},
    ),
    "/v1/corporate-actions": (
        corporate_actions.page(
            TWO, types=["cash_dividend", "spin_off"], start=date(2026, 3, 1), end=date(2026, 3, 2), region="us", limit=1000, page_token="t"
        ),
        "/v1/corporate-actions",
        {"symbols": "AAPL,BRK.B", "types": "cash_dividend,spin_off", "start": "2026-03-01", "end": "2026-03-02", "region": "us"}
        | {"limit": "1000", "page_token": "t"},
    ),
    "/v2/stocks/meta/conditions/{ticktype}": (
        market_codes.stock_conditions(market_codes.TickType.TRADE, market_codes.Tape.A),
        "/v2/stocks/meta/conditions/trade",
        {"tape": "A"},
    ),
    "/v2/stocks/meta/exchanges": (market_codes.stock_exchanges(), "/v2/stocks/meta/exchanges", {}),
    "/v1beta1/options/meta/conditions/{ticktype}": (
        market_codes.option_conditions(market_codes.TickType.QUOTE),
        "/v1beta1/options/meta/conditions/quote",
        {},
    ),
    "/v1beta1/options/meta/exchanges": (market_codes.option_exchanges(), "/v1beta1/options/meta/exchanges", {}),
    "/v1beta1/forex/latest/rates": (forex.latest(["USDJPY", "EURUSD"]), "/v1beta1/forex/latest/rates", {"currency_pairs": "USDJPY,EURUSD"}),
    "/v1beta1/forex/rates": (
        forex.rates(["USDJPY"], timeframe="1Day", **RANGE),
        "/v1beta1/forex/rates",
        {"currency_pairs": "USDJPY", "timeframe": "1Day", **SENT},
    ),
    "/v1beta1/logos/{symbol}": (logos.get("A/B", placeholder=False), "/v1beta1/logos/A%2FB", {"placeholder": "false"}),
    "/v1beta1/indices/latest/values": (indices.latest(["SPX"]), "/v1beta1/indices/latest/values", {"symbols": "SPX"}),
    "/v1beta1/indices/values": (indices.values(["SPX", "VIX"], **RANGE), "/v1beta1/indices/values", {"symbols": "SPX,VIX", **SENT}),
    "/v1beta1/fixed_income/latest/prices": (
        fixed_income.latest_prices(["US912797KJ59"]),
        "/v1beta1/fixed_income/latest/prices",
        {"isins": "US912797KJ59"},
    ),
    "/v1beta1/fixed_income/latest/quotes": (
        fixed_income.latest_quotes(["US912797KJ59"], trade_size=-1),
        "/v1beta1/fixed_income/latest/quotes",
        {"isins": "US912797KJ59", "trade_size": "-1"},
    ),
}
TRADING: dict[str, tuple[Call[Any], str, Mapping[str, str]]] = {
    "an asset": (assets.get("BTC/USD"), "/v2/assets/BTC%2FUSD", {}),
    "all assets": (
        assets.list_all(status=assets.Status.ACTIVE, asset_class="crypto", exchange="CRYPTO", attributes=["has_options", "ipo"]),
        "/v2/assets",
        {"status": "active", "asset_class": "crypto", "exchange": "CRYPTO", "attributes": "has_options,ipo"},
    ),
    "the clock": (clock.get(), "/v2/clock", {}),
    "the calendar": (
        clock.calendar(date(2026, 3, 1), date(2026, 3, 2), date_type=clock.DateType.SETTLEMENT),
        "/v2/calendar",
        {"start": "2026-03-01", "end": "2026-03-02", "date_type": "SETTLEMENT"},
    ),
    "clocks of markets": (
        clock.of_markets(["NYSE", "XNAS"], at=datetime(2026, 3, 1, tzinfo=UTC)),
        "/v3/clock",
        {"markets": "NYSE,XNAS", "time": "2026-03-01T00:00:00Z"},
    ),
    "calendar of a market": (
        clock.calendar_of("NYSE", date(2026, 3, 1), date(2026, 3, 2)),
        "/v3/calendar/NYSE",
        {"start": "2026-03-01", "end": "2026-03-02"},
    ),
}


@pytest.mark.parametrize("name", [*CALLS, *TRADING])
def test_request_is_what_the_documentation_says(name: str):
    """Method, host, path and query are the documented ones; nothing is sent that was not given."""
    call, path, query = {**CALLS, **TRADING}[name]

    assert (call.method, call.body, call.is_read) == ("GET", None, True)
    assert call.host is (Host.DATA if name in CALLS else Host.TRADING)
    assert (call.path, dict(call.query)) == (path, dict(query))


def test_every_documented_endpoint_has_a_call():
    """Every endpoint of the published description can be asked, and with no member of a query that it does not have."""
    if not OPENAPI.is_file():
        pytest.skip("the published description is not beside the project")
    whole = json.loads(OPENAPI.read_text(encoding="utf-8"))
    described = {path: operations["get"] for path, operations in whole["paths"].items()}

    assert set(CALLS) == set(described)
    for template, (call, path, _) in CALLS.items():
        assert re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path)
        given = [*whole["paths"][template].get("parameters", ()), *described[template].get("parameters", ())]
        named = [whole["components"]["parameters"][one["$ref"].rpartition("/")[2]] if "$ref" in one else one for one in given]
        assert set(call.query) <= {one["name"] for one in named}, template


def test_described_answers_are_read_without_surprise():
    """The example of every answer in the published description is read whole."""
    if not OPENAPI.is_file():
        pytest.skip("the published description is not beside the project")
    count = 0
    for path, operations in json.loads(OPENAPI.read_text(encoding="utf-8"))["paths"].items():
        content = operations["get"]["responses"]["200"].get("content", {}).get("application/json", {})
        for example in [content.get("example"), *(one.get("value") for one in content.get("examples", {}).values())]:
            if example is None:
                continue
            drift = Drift()
            found = CALLS[path][0].read(json.dumps(example).encode(), drift)
            assert not drift.counts, path
            assert not getattr(found, "unreadable", 0), path
            count += 1
    assert count > 30


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: bars.stocks([], "1Day"), "symbols: none given"),
        (lambda: bars.stocks(["A"], "1Day", limit=10_001), "limit: 10001 is not from 1 to 10000"),
        (lambda: trades.crypto(PAIR, limit=0), "limit: 0 is not from 1 to 10000"),
        (lambda: snapshots.options([CALL], limit=1001), "limit: 1001 is not from 1 to 1000"),
        (lambda: news.page(limit=51), "limit: 51 is not from 1 to 50"),
        (lambda: corporate_actions.page(limit=1001), "limit: 1001 is not from 1 to 1000"),
        (lambda: screener.most_actives(top=101), "top: 101 is not from 1 to 100"),
        (lambda: screener.movers(top=0), "top: 0 is not from 1 to 50"),
        (lambda: bars.stock("", "1Day"), "cannot be a part of an address"),
        (lambda: bars.stocks(["A"], "1Day", start=datetime(2026, 3, 2)), "has no time zone"),  # noqa: DTZ001  # that is the point
    ],
)
def test_what_makes_no_sense_is_refused_before_it_is_sent(ask: Callable[[], object], words: str):
    """An empty list, a page of no allowed size and a moment without a zone are ValueErrors that name the rule."""
    with pytest.raises(ValueError, match=words):
        ask()


def test_news_of_all_symbols():
    """Without symbols news are of all of them; an empty list means the same."""
    assert dict(news.page().query) == dict(news.page([]).query) == {}


def test_logo_is_handed_over_as_it_came():
    """A picture is bytes, whatever they are."""
    assert logos.get("AAPL").read(b"\x89PNG\r\n", Drift()) == b"\x89PNG\r\n"


def test_codes_that_are_no_text_are_left_out():
    """The meaning of a code is a text; anything else is counted, and the other codes stay."""
    drift = Drift()
    call = market_codes.stock_exchanges()

    assert call.read(b'{"N": "New York Stock Exchange", "Q": null, "V": 7}', drift) == {"N": "New York Stock Exchange"}
    assert len(drift.counts) == 2
    with pytest.raises(WireError):
        call.read(b"[]", drift)
