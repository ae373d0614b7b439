"""A market whose every tick is written by the test, and a demo broker whose clock is."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from broker_core.clock import CountingIds, StillClock, seeded, to_ns
from broker_core.errors import Unavailable
from broker_core.lifecycle import create
from broker_core.models import Account, Asset, BarColumns
from broker_core.orders import Order, OrderEvent, ReplaceTerms
from broker_core.requests import MarketOrder, OrderRequest
from broker_core.timeframe import Timeframe
from broker_demo.account import AccountState, SeededIds
from broker_demo.exchange import Exchange
from broker_demo.ledger import Ledger
from broker_demo.paper_order import PaperOrder
from broker_demo.plugin import DemoPlugin
from broker_demo.prices import Tick
from broker_demo.trading_hours import ListedHours, Sessions

SECOND_NS = 1_000_000_000
DAYS = [date(2026, 3, 2) + timedelta(days=count) for count in range(5)]


def moment_ns(day: int, hour: int, minute: int = 0, second: int = 0) -> int:
    """A moment of March 2026, in UTC."""
    return to_ns(datetime(2026, 3, day, hour, minute, second, tzinfo=UTC))


def listed_hours() -> ListedHours:
    """Five days of 2 to 6 March 2026, each open from 14:30 to 21:00 UTC."""
    opens = [moment_ns(day.day, 14, 30) for day in DAYS]
    return ListedHours(Sessions(DAYS, opens, [at_ns + 6 * 3600 * SECOND_NS + 1800 * SECOND_NS for at_ns in opens]))


class ScriptedPrices:
    """Ticks written down one by one. ``ABC`` and ``XYZ`` are ordinary shares; others are listed with ``list_asset``."""

    def __init__(self) -> None:
        self.hours = listed_hours()
        self._assets = {}
        self._ticks: dict[str, list[Tick]] = {}
        for symbol in ("ABC", "XYZ"):
            self.list_asset(symbol)

    def list_asset(self, symbol: str, **terms) -> None:
        terms = {"shortable": True, "fractionable": True, **terms}
        self._assets[symbol] = Asset(symbol=symbol, name=symbol, **terms)
        self._ticks[symbol] = []

    def add(self, symbol: str, tick: Tick) -> None:
        assert not self._ticks[symbol] or tick.timestamp_ns > self._ticks[symbol][-1].timestamp_ns
        self._ticks[symbol].append(tick)

    def asset(self, symbol: str) -> Asset | None:
        return self._assets.get(symbol)

    def symbols(self) -> Sequence[str]:
        return sorted(self._assets)

    def _after(self, symbol: str, at_ns: int) -> int:
        return bisect_right(self._ticks.get(symbol, []), at_ns, key=lambda tick: tick.timestamp_ns)

    def tick(self, symbol: str, at_ns: int) -> Tick | None:
        place = self._after(symbol, at_ns)
        return self._ticks[symbol][place - 1] if place else None

    def next_tick_ns(self, symbol: str, after_ns: int) -> int | None:
        place = self._after(symbol, after_ns)
        return self._ticks[symbol][place].timestamp_ns if place < len(self._ticks.get(symbol, [])) else None

    def ticks(self, symbol: str, after_ns: int, until_ns: int) -> Iterator[Tick]:
        yield from self._ticks.get(symbol, [])[self._after(symbol, after_ns) : self._after(symbol, until_ns)]

    def columns(self, symbol: str, timeframe: Timeframe, start_ns: int, end_ns: int, now_ns: int) -> BarColumns:
        raise NotImplementedError


class Market:
    """An exchange over scripted ticks, begun a second after the open of 2 March with ABC and XYZ at 100."""

    def __init__(self, *, cash: str = "100000", shorting: bool = True, seed: int = 1) -> None:
        self.prices = ScriptedPrices()
        self.state = AccountState(account_id="DEMO-TEST", ids=SeededIds(seed), now_ns=moment_ns(2, 14, 30, 1), ledger=Ledger(Decimal(cash)))
        for symbol in ("ABC", "XYZ"):
            self.write(100, symbol=symbol, at_ns=moment_ns(2, 14, 30))
        self.events: list[OrderEvent] = []
        self.shorting = shorting
        self.restart()

    def restart(self) -> None:
        """Put a new exchange in the place of the present one, over the same account."""
        self.exchange = Exchange(self.prices, self.state, shorting=self.shorting)
        self.exchange.listen(self.events.append)

    def write(self, price, *, symbol="ABC", at_ns=None, bid=None, ask=None, size=1000, bid_size=None, ask_size=None) -> int:
        """Write a tick, a second from now unless told otherwise; five cents on each side. Nobody sees it yet."""
        at_ns = self.exchange.now_ns + SECOND_NS if at_ns is None else at_ns
        bid = round(price - 0.05, 4) if bid is None else bid
        ask = round(price + 0.05, 4) if ask is None else ask
        self.prices.add(
            symbol, Tick(at_ns, price, 10, bid, ask, size if bid_size is None else bid_size, size if ask_size is None else ask_size)
        )
        # The floor trusts prices to be fixed beforehand; these are written while time goes on.
        if hasattr(self, "exchange"):
            self.exchange._floor._quiet_until_ns = 0
        return at_ns

    def tick(self, price, **terms) -> None:
        """Write a tick and let time come to it."""
        self.exchange.advance(self.write(price, **terms))

    def settle(self) -> None:
        """Let orders meet the standing quote."""
        self.exchange.advance(self.exchange.now_ns)

    def submit(self, request: OrderRequest, client_order_id: str | None = None) -> PaperOrder:
        client_order_id = client_order_id or f"C{len(self.state.orders)}"
        return self.exchange.submit(request, client_order_id, self.exchange.now_ns)

    def cancel(self, order: PaperOrder) -> None:
        self.exchange.cancel(order.order_id, self.exchange.now_ns)

    def replace(self, order: PaperOrder, **terms) -> PaperOrder:
        return self.exchange.replace(order.order_id, ReplaceTerms(**terms), self.exchange.now_ns)

    def hold(self, qty, symbol="ABC") -> None:
        """Come to hold shares: bought, or sold short for a number below zero."""
        order = self.submit(MarketOrder(symbol, "buy" if qty > 0 else "sell", qty=abs(qty)))
        self.settle()
        assert order.filled_qty == abs(qty)

    def words(self, order: PaperOrder) -> list[str]:
        """What was told of one order: each time its status."""
        return [event.raw_status for event in self.events if event.broker_order_id == order.order_id]

    @property
    def fills(self) -> list[tuple[Decimal, Decimal]]:
        """Quantity and price of every execution told."""
        return [(event.qty, event.price) for event in self.events if event.kind == "fill"]

    @property
    def position(self) -> Decimal:
        return self.state.ledger.holding("ABC").qty


@pytest.fixture
def market() -> Market:
    return Market()


@pytest.fixture(scope="session")
def new_market() -> type[Market]:
    """For tests that need terms of their own, or many markets."""
    return Market


@pytest.fixture(scope="session")
def at():
    """``at(day, hour, minute, second)``: a moment of March 2026 in nanoseconds, UTC."""
    return moment_ns


class DemoBroker:
    """A demo client over invented prices and a still clock, with its families."""

    def __init__(self, clock: StillClock, ids: CountingIds, environ: dict[str, str]) -> None:
        plugin = DemoPlugin(clock=clock, ids=ids, random=seeded(3))
        self.clock = clock
        self.opened: Account | None = None
        self.client = plugin.broker_client(environ)
        self.orders = plugin.broker_orders(self.client)
        self.sync = plugin.broker_sync(self.client)
        self.market_data = plugin.broker_market_data(self.client)
        self.trading, self.data = plugin.broker_stream(self.client).feeds
        self._sent = 0
        self._readers: list[asyncio.Task[None]] = []

    def order(self, request: OrderRequest, local_id: str | None = None) -> Order:
        """An order as the core would hand it over."""
        self._sent += 1
        order, _ = create(local_id or f"L{self._sent}", request, self.clock.now())
        return order

    async def submit(self, request: OrderRequest, local_id: str | None = None) -> OrderEvent:
        return await self.orders.submit(self.order(request, local_id))

    def listen(self, feed) -> list:
        """Everything that comes over a feed from the next turn of the loop on; the error that ends the connection is the last item."""
        heard: list = []

        async def read() -> None:
            try:
                async for batch in feed.connect():
                    heard.extend(batch)
            except Unavailable as error:
                heard.append(error)

        self._readers.append(asyncio.create_task(read()))
        return heard

    async def turn(self) -> None:
        """Let everything happen that needs no time."""
        await self.clock.advance(0)

    async def close(self) -> None:
        await self.client.close()
        await asyncio.gather(*self._readers)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def open_broker(clock):
    """``await open_broker(NAME=value)``: an open demo broker with these settings; closed after the test."""
    brokers: list[DemoBroker] = []

    async def open_one(**settings: object) -> DemoBroker:
        environ = {f"BROKER_DEMO_{name}": str(value) for name, value in {"SEED": 7, **settings}.items()}
        broker = DemoBroker(clock, CountingIds(f"A{len(brokers)}"), environ)
        brokers.append(broker)
        broker.opened = await broker.client.open()
        return broker

    yield open_one
    for broker in brokers:
        await broker.close()
