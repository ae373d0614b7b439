"""alpaca-py's streams hear the sandbox's order events and market data, and read all of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, TypeVar

import attrs
import pytest
from accounts import SDK_MISSING
from hosted_sandbox import SPEED, HostedSandbox
from sandboxes import KEY, SECRET

pytest.importorskip("alpaca", reason=SDK_MISSING)

from alpaca.data.live import CryptoDataStream, NewsDataStream, StockDataStream
from alpaca.data.requests import CryptoBarsRequest, NewsRequest, StockBarsRequest, StockQuotesRequest, StockTradesRequest
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.enums import OrderSide, OrderStatus, TimeInForce, TradeEvent
from alpaca.trading.models import Order, TradeUpdate
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest, ReplaceOrderRequest
from alpaca.trading.stream import TradingStream
from alpaca_py import AlpacaPy, until

_T = TypeVar("_T")


@attrs.frozen
class Live:
    """A sandbox, alpaca-py's clients of it, and its streams running beside them."""

    box: HostedSandbox
    sdk: AlpacaPy
    run: Callable[[Any], None]
    """Run a stream until the test is over."""


@pytest.fixture
def speed() -> int:
    """How many seconds of the market pass in one."""
    return SPEED


@pytest.fixture
def live(caplog: pytest.LogCaptureFixture, speed: int) -> Iterator[Live]:
    """What a stream cannot read it only logs, so that nothing may be in the log."""
    streams: list[Any] = []
    threads: list[threading.Thread] = []

    def run(stream: Any) -> None:
        streams.append(stream)
        threads.append(threading.Thread(target=stream.run, name="alpaca-py stream"))
        threads[-1].start()

    with HostedSandbox(speed=Fraction(speed)) as box:
        with AlpacaPy(box.addresses.trading_url, box.addresses.data_url) as sdk:
            yield Live(box, sdk, run)
            complaints = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        for stream in streams:
            # It sees that it is to stop when its connection ends, which is when the sandbox does.
            stream.stop()
    for thread in threads:
        thread.join()
    assert complaints == []


class Tape:
    """What a stream has heard, by kind."""

    def __init__(self) -> None:
        self.heard: dict[str, list[Any]] = {}
        self._news = threading.Condition()

    def of(self, kind: str) -> Callable[[Any], Any]:
        """A handler for one kind."""
        heard = self.heard[kind] = []

        async def take(item: Any) -> None:
            with self._news:
                heard.append(item)
                self._news.notify_all()

        return take

    def wait_for(self, find: Callable[[], _T]) -> _T:
        """What this function finds, once it finds something. What never comes is ended by the test's time limit."""
        with self._news:
            return self._news.wait_for(find)

    def wait(self, **counts: int) -> None:
        """Return when so many of each kind were heard."""
        self.wait_for(lambda: all(len(self.heard[kind]) >= count for kind, count in counts.items()))


@pytest.fixture
def updates(live: Live) -> Tape:
    """What the trading stream has heard, which is listening already."""
    tape = Tape()
    stream = TradingStream(KEY, SECRET, url_override=live.box.addresses.trading_stream_url)
    stream.subscribe_trade_updates(tape.of("updates"))
    live.run(stream)
    # Nothing says that it is listening but that it hears something.
    until(lambda: resting(live.sdk) and tape.heard["updates"], bool)
    return tape


def resting(sdk: AlpacaPy) -> Order:
    """An order that stays in the market."""
    asked = LimitOrderRequest(symbol="AAPL", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.GTC, limit_price=1)
    return sdk.trading.submit_order(asked)


def events(tape: Tape, order: Order, last: TradeEvent) -> list[TradeUpdate]:
    """What was heard of an order, once it was told of this event."""

    def found() -> list[TradeUpdate]:
        heard = [update for update in tape.heard["updates"] if update.order.id == order.id]
        # alpaca-py gives the event as the text that it is on the wire, though its own word for it is at hand.
        return heard if heard and heard[-1].event == last else []

    return tape.wait_for(found)


def test_an_order_filled_in_pieces(live: Live, updates: Tape):
    """New, every piece, and the whole: each with its size and price, and the order as it was at that moment."""
    asked = MarketOrderRequest(symbol="DEMO.PARTIAL", qty=3, side=OrderSide.BUY, time_in_force=TimeInForce.GTC)
    order = live.sdk.trading.submit_order(asked)

    heard = events(updates, order, TradeEvent.FILL)

    kinds = [update.event for update in heard]
    pieces = [update for update in heard if update.event in (TradeEvent.PARTIAL_FILL, TradeEvent.FILL)]
    assert kinds[-len(pieces) - 1 :] == [TradeEvent.NEW, *[TradeEvent.PARTIAL_FILL] * (len(pieces) - 1), TradeEvent.FILL]
    assert len(pieces) > 1
    assert sum(piece.qty for piece in pieces) == 3
    assert [piece.position_qty for piece in pieces] == [float(piece.order.filled_qty) for piece in pieces]
    assert {piece.order.status for piece in pieces[:-1]} == {OrderStatus.PARTIALLY_FILLED}
    assert pieces[-1].order.status is OrderStatus.FILLED
    paid = sum(piece.qty * piece.price for piece in pieces)
    assert float(live.sdk.trading.get_order_by_id(order.id).filled_avg_price) == pytest.approx(paid / 3)
    assert len({piece.execution_id for piece in pieces}) == len(pieces)
    moments = [update.timestamp for update in heard]
    assert moments == sorted(moments)


def test_an_order_cancelled_and_one_replaced(live: Live, updates: Tape):
    """Each ends with its own event, and the one in the other's place begins with one."""
    cancelled = live.sdk.once(resting(live.sdk), OrderStatus.NEW)
    live.sdk.trading.cancel_order_by_id(cancelled.id)
    replaced = live.sdk.once(resting(live.sdk), OrderStatus.NEW)
    following = live.sdk.trading.replace_order_by_id(replaced.id, ReplaceOrderRequest(limit_price=2))

    assert events(updates, cancelled, TradeEvent.CANCELED)[-1].order.canceled_at is not None
    assert events(updates, replaced, TradeEvent.REPLACED)[-1].order.replaced_by == following.id
    assert events(updates, following, TradeEvent.NEW)[-1].order.replaces == replaced.id


def test_an_order_that_the_exchange_rejects(live: Live, updates: Tape):
    """The answer took it, the stream says otherwise."""
    asked = MarketOrderRequest(symbol="DEMO.REJECT", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)

    heard = events(updates, live.sdk.trading.submit_order(asked), TradeEvent.REJECTED)

    assert (heard[-1].order.status, heard[-1].order.failed_at is not None) == (OrderStatus.REJECTED, True)


@pytest.mark.parametrize("speed", [400])
@pytest.mark.parametrize("feed", ["iex", "sip"])
def test_shares(live: Live, feed: str):
    """Quotes, trades and bars are heard in order, and are those that history tells."""
    tape = Tape()
    stream = StockDataStream(KEY, SECRET, url_override=f"{live.box.addresses.stream_url}/v2/{feed}")
    stream.subscribe_quotes(tape.of("quotes"), "AAPL", "MSFT")
    stream.subscribe_trades(tape.of("trades"), "AAPL")
    stream.subscribe_bars(tape.of("bars"), "*")

    live.run(stream)
    tape.wait(quotes=20, trades=20, bars=2)

    def told(ask: Any, request: Any, heard: list[Any], **terms: Any) -> list[Any]:
        span = {"start": heard[0].timestamp, "end": heard[-1].timestamp}
        return ask(request(symbol_or_symbols="AAPL", **span, **terms))["AAPL"]

    stocks = live.sdk.stocks
    quotes = [quote for quote in tape.heard["quotes"] if quote.symbol == "AAPL"]
    assert {quote.symbol for quote in tape.heard["quotes"]} == {"AAPL", "MSFT"}
    assert quotes == told(stocks.get_stock_quotes, StockQuotesRequest, quotes)
    trades = list(tape.heard["trades"])
    assert trades == told(stocks.get_stock_trades, StockTradesRequest, trades)
    bars = [bar for bar in tape.heard["bars"] if bar.symbol == "AAPL"] or tape.heard["bars"][:1]
    assert (
        bars
        == stocks.get_stock_bars(
            StockBarsRequest(symbol_or_symbols=bars[0].symbol, timeframe=TimeFrame.Minute, start=bars[0].timestamp, end=bars[-1].timestamp)
        )[bars[0].symbol]
    )


def test_subscriptions_come_and_go(live: Live):
    """A symbol is added while the stream runs, and nothing is heard of one that was taken away."""
    tape = Tape()
    stream = StockDataStream(KEY, SECRET, url_override=f"{live.box.addresses.stream_url}/v2/iex")
    stream.subscribe_quotes(tape.of("first"), "AAPL")
    live.run(stream)
    tape.wait(first=1)

    stream.subscribe_quotes(tape.of("second"), "SPY")
    tape.wait(second=1)
    stream.unsubscribe_quotes("AAPL")
    tape.wait(second=len(tape.heard["second"]) + 2)
    heard = len(tape.heard["first"])
    tape.wait(second=len(tape.heard["second"]) + 5)

    assert len(tape.heard["first"]) == heard


@pytest.mark.parametrize("speed", [400])
def test_pairs(live: Live):
    """Quotes, trades, bars and order books of pairs are heard, the bars as history tells them."""
    tape = Tape()
    stream = CryptoDataStream(KEY, SECRET, url_override=f"{live.box.addresses.stream_url}/v1beta3/crypto/us")
    stream.subscribe_quotes(tape.of("quotes"), "BTC/USD")
    stream.subscribe_trades(tape.of("trades"), "BTC/USD")
    stream.subscribe_bars(tape.of("bars"), "BTC/USD")
    stream.subscribe_orderbooks(tape.of("books"), "BTC/USD")

    live.run(stream)
    tape.wait(quotes=3, trades=3, bars=1, books=2)

    (bar, *_) = tape.heard["bars"]
    span = {"start": bar.timestamp, "end": bar.timestamp}
    told = live.sdk.crypto.get_crypto_bars(CryptoBarsRequest(symbol_or_symbols="BTC/USD", timeframe=TimeFrame.Minute, **span))
    assert told["BTC/USD"] == [bar]
    assert tape.heard["books"][0].bids
    assert all(trade.price > 0 for trade in tape.heard["trades"])


@pytest.mark.parametrize("speed", [400])
def test_days_so_far_and_bars_that_were_changed(live: Live):
    """The day's bar comes anew with every minute, and now and then a minute comes a second time."""
    symbols = ("AAPL", "AMZN", "GOOGL", "MSFT", "NVDA", "SPY", "TSLA")
    tape = Tape()
    stream = StockDataStream(KEY, SECRET, url_override=f"{live.box.addresses.stream_url}/v2/sip")
    stream.subscribe_daily_bars(tape.of("days"), "AAPL")
    stream.subscribe_bars(tape.of("bars"), *symbols)
    stream.subscribe_updated_bars(tape.of("updated"), *symbols)

    live.run(stream)
    tape.wait(days=2, bars=1)
    # A minute that was over before the stream began may come a second time too.
    changed = tape.wait_for(lambda: [bar for bar in tape.heard["updated"] if bar.timestamp >= tape.heard["bars"][0].timestamp])[0]

    first, second = tape.heard["days"][:2]
    assert first.timestamp == second.timestamp
    assert second.volume > first.volume
    assert (changed.symbol, changed.timestamp) in {(bar.symbol, bar.timestamp) for bar in tape.heard["bars"]}


@pytest.mark.parametrize("speed", [5000])
def test_news(live: Live):
    """Articles are heard as they appear, with their moments, and are those that history tells."""
    tape = Tape()
    stream = NewsDataStream(KEY, SECRET, url_override=f"{live.box.addresses.stream_url}/v1beta1/news")
    stream.subscribe_news(tape.of("news"), "*")

    live.run(stream)
    tape.wait(news=2)

    first, second = tape.heard["news"][:2]
    assert first.created_at < second.created_at
    told = live.sdk.news.get_news(NewsRequest(start=first.updated_at, end=second.updated_at, sort="asc", include_content=True))
    assert [(one.id, one.headline, one.symbols, one.updated_at) for one in told.data["news"]] == [
        (one.id, one.headline, one.symbols, one.updated_at) for one in (first, second)
    ]
