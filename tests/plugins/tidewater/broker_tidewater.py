"""A small broker with everything: orders, streams, account reads and market data. Prices rise and fall with a tide of one minute.

It sells nothing short, takes whole shares, knows three types of orders and no groups. ``Tidewater`` is the plugin as an object, for a
host or a test that brings a clock; the module is the plugin of the entry point.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import attrs

from broker_core.clock import Clock, SystemClock, from_ns, to_ns
from broker_core.errors import AuthError, DuplicateOrder, RequestRefused, Unavailable
from broker_core.families import HOOK_API
from broker_core.hookspecs import hookimpl
from broker_core.models import (
    Account,
    Asset,
    BarColumns,
    BarPage,
    BarQuery,
    Capabilities,
    Channel,
    Environment,
    MarketClock,
    MarketHours,
    Position,
    Quote,
    SignedIn,
    Snapshot,
    Trade,
    Wish,
)
from broker_core.orders import ZERO, EventKind, Order, OrderEvent, ReplaceTerms, Source, State
from broker_core.requests import LimitOrder, OrderRequest, OrderType, Side, StopOrder, TimeInForce
from broker_core.timeframe import Timeframe, Unit

BASES = {"EBB": 100, "FLOW": 250}
SWING = 0.002
PAGE = 5000
SECOND_NS = 1_000_000_000
MINUTE = Timeframe(1, Unit.MINUTE)
DAY = Timeframe(1, Unit.DAY)
CENT = Decimal("0.01")
STATES = {
    "working": State.ACCEPTED,
    "filled": State.FILLED,
    "cancelled": State.CANCELED,
    "expired": State.EXPIRED,
    "replaced": None,
}


def price(symbol: str, at_ns: int) -> Decimal:
    """The price of a symbol at a moment, in whole cents."""
    tide = math.sin(2 * math.pi * (at_ns // SECOND_NS % 60) / 60)
    return Decimal(str(round(BASES[symbol] * (1 + SWING * tide), 2)))


@attrs.define(eq=False)
class Held:
    """An order in the harbour's book."""

    broker_id: str
    client_id: str
    request: OrderRequest
    at_ns: int
    expires_ns: int | None
    status: str = "working"
    filled: Decimal = ZERO
    paid: Decimal = ZERO
    replaces: str | None = None
    replaced_by: str | None = None

    def event(self, kind: EventKind, source: Source, **details: Any) -> OrderEvent:
        """The order as it stands, as news."""
        return OrderEvent(
            kind=kind,
            source=source,
            at=from_ns(self.at_ns),
            status=STATES[self.status],
            raw_status=self.status,
            client_order_id=self.client_id,
            broker_order_id=self.broker_id,
            filled_qty=self.filled,
            filled_avg_price=self.paid / self.filled if self.filled else None,
            replaces=self.replaces,
            replaced_by=self.replaced_by,
            request=self.request,
            **details,
        )


class Line:
    """One feed: its open connections, and what was asked of it."""

    def __init__(self, name: str, *channels: Channel) -> None:
        self.name = name
        self.channels = frozenset(channels)
        self.wanted: Mapping[Channel, frozenset[str]] = {}
        self._open: set[asyncio.Queue[Any]] = set()

    def want(self, wish: Wish) -> None:
        """Take the whole wish."""
        self.wanted = {channel: symbols for channel, symbols in wish.symbols.items() if channel in self.channels}

    async def connect(self) -> AsyncIterator[Sequence[Any]]:
        """One connection."""
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self._open.add(queue)
        try:
            yield [SignedIn()]
            while True:
                batch = await queue.get()
                if isinstance(batch, Exception):
                    raise batch
                yield batch
        finally:
            self._open.discard(queue)

    async def probe(self) -> bool:
        """It is in this process."""
        return True

    def send(self, items: Sequence[Any]) -> None:
        """To everybody who listens now."""
        for queue in self._open if items else ():
            queue.put_nowait(items)

    def cut(self) -> None:
        """Break every connection."""
        for queue in self._open:
            queue.put_nowait(Unavailable("tidewater: the line is cut"))
        self._open.clear()


class Harbour:
    """The broker's own side: one account, its orders, its market. It outlives the sessions."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.cash = Decimal(1_000_000)
        self.orders: list[Held] = []
        self.executions: list[OrderEvent] = []
        self.news = Line("orders", Channel.ORDERS)
        self.ticker = Line("ticker", Channel.QUOTES, Channel.TRADES)
        self._told_ns = clock.now_ns()

    def submit(self, request: OrderRequest, client_id: str, replaces: Held | None = None) -> Held:
        """Take an order, or refuse it."""
        self.settle()
        now_ns = self.clock.now_ns()
        if request.symbol not in BASES:
            raise RequestRefused(f"we do not trade {request.symbol}", status=422)
        if any(held.client_id == client_id for held in self.orders):
            raise DuplicateOrder(f"we have order {client_id} already", status=422)
        if request.side is Side.SELL and request.qty > self.free(request.symbol, replaces):
            raise RequestRefused(f"you hold too few shares of {request.symbol}", status=403)
        if request.time_in_force is TimeInForce.IOC and request.order_type is OrderType.STOP:
            raise RequestRefused("a stop order cannot be ioc", status=422)
        expires = None if request.time_in_force is TimeInForce.GTC else DAY.following(DAY.floor(now_ns))
        held = Held(f"TW{len(self.orders) + 1:06d}", client_id, request, now_ns, expires)
        if replaces is not None:
            held.filled, held.paid, held.replaces = replaces.filled, replaces.paid, replaces.broker_id
            replaces.replaced_by, replaces.status, replaces.at_ns = held.broker_id, "replaced", now_ns
            self.tell(replaces, EventKind.REPLACED)
        self.orders.append(held)
        self.tell(held, EventKind.ACCEPTED)
        return held

    def cancel(self, broker_id: str) -> None:
        """End an order."""
        self.settle()
        self.end(self.working(broker_id), "cancelled", EventKind.CANCELED)

    def working(self, broker_id: str) -> Held:
        """The order of this id, which must work."""
        for held in self.orders:
            if held.broker_id == broker_id and held.status == "working":
                return held
        raise RequestRefused(f"order {broker_id} does not work here", status=422)

    def settle(self) -> None:
        """Let orders meet the present price, and tell what the market did since the last time."""
        now_ns = self.clock.now_ns()
        for second in range(self._told_ns // SECOND_NS + 1, now_ns // SECOND_NS + 1):
            self.meet(second * SECOND_NS)
        self._told_ns = max(self._told_ns, now_ns)
        self.meet(now_ns, told=False)

    def meet(self, at_ns: int, *, told: bool = True) -> None:
        """Everything that happens at one moment."""
        for held in [held for held in self.orders if held.status == "working"]:
            if held.expires_ns is not None and held.expires_ns <= at_ns:
                held.at_ns = at_ns
                self.end(held, "expired", EventKind.EXPIRED)
            elif self.trades(held.request, price(held.request.symbol, at_ns)):
                self.fill(held, at_ns)
            elif held.request.time_in_force is TimeInForce.IOC:
                self.end(held, "cancelled", EventKind.CANCELED)
        if told:
            wanted = self.ticker.wanted
            quotes = [quote(symbol, at_ns) for symbol in sorted(wanted.get(Channel.QUOTES, ()))]
            trades = [trade(symbol, at_ns) for symbol in sorted(wanted.get(Channel.TRADES, ()))]
            self.ticker.send([*quotes, *trades])

    @staticmethod
    def trades(request: OrderRequest, now: Decimal) -> bool:
        """Whether an order trades at this price."""
        if isinstance(request, LimitOrder):
            return now + CENT <= request.limit_price if request.side is Side.BUY else now - CENT >= request.limit_price
        if isinstance(request, StopOrder):
            return now >= request.stop_price if request.side is Side.BUY else now <= request.stop_price
        return True

    def fill(self, held: Held, at_ns: int) -> None:
        """The whole rest at once, a cent beside the price."""
        sign = 1 if held.request.side is Side.BUY else -1
        paid, qty = price(held.request.symbol, at_ns) + sign * CENT, held.request.qty - held.filled
        held.filled, held.paid, held.status, held.at_ns = held.filled + qty, held.paid + qty * paid, "filled", at_ns
        self.cash -= sign * qty * paid
        execution = f"X{len(self.executions) + 1:06d}"
        event = held.event(EventKind.FILL, Source.STREAM, execution_id=execution, qty=qty, price=paid)
        self.executions.append(event)
        self.news.send([event])

    def end(self, held: Held, status: str, kind: EventKind) -> None:
        """Without another fill."""
        held.status, held.at_ns = status, max(held.at_ns, self._told_ns)
        self.tell(held, kind)

    def tell(self, held: Held, kind: EventKind) -> None:
        """Over the stream."""
        self.news.send([held.event(kind, Source.STREAM)])

    def free(self, symbol: str, without: Held | None = None) -> Decimal:
        """The shares that no open order is to sell."""
        claimed = [
            held.request.qty - held.filled
            for held in self.orders
            if held.status == "working" and held.request.side is Side.SELL and held.request.symbol == symbol and held is not without
        ]
        return self.holding(symbol)[0] - sum(claimed, ZERO)

    def holding(self, symbol: str) -> tuple[Decimal, Decimal]:
        """The shares held, and what they cost on average."""
        qty = cost = ZERO
        for event in self.executions:
            if event.request.symbol == symbol:
                if event.request.side is Side.BUY:
                    qty, cost = qty + event.qty, cost + event.qty * event.price
                else:
                    qty, cost = qty - event.qty, cost - event.qty * cost / qty
        return qty, cost / qty if qty else ZERO

    def positions(self) -> list[Position]:
        """What is held, at the present price."""
        found = []
        for symbol in BASES:
            (qty, paid), now = self.holding(symbol), price(symbol, self.clock.now_ns())
            if qty:
                found.append(
                    Position(
                        symbol=symbol,
                        qty=qty,
                        avg_entry_price=paid,
                        current_price=now,
                        market_value=qty * now,
                        unrealized_pnl=qty * (now - paid),
                    )
                )
        return found

    def account(self) -> Account:
        """How the account stands: money that resting purchases claim cannot be spent twice."""
        claimed = [
            (held.request.qty - held.filled) * (held.request.limit_price or held.request.stop_price or ZERO)
            for held in self.orders
            if held.status == "working" and held.request.side is Side.BUY
        ]
        worth = sum((position.market_value for position in self.positions()), ZERO)
        power = self.cash - sum(claimed, ZERO)
        return Account(account_id="TW-1", currency="USD", cash=self.cash, equity=self.cash + worth, buying_power=power)


def quote(symbol: str, at_ns: int) -> Quote:
    """The book: a cent on each side."""
    now = float(price(symbol, at_ns))
    return Quote(symbol, at_ns // SECOND_NS * SECOND_NS, round(now - 0.01, 2), 500.0, round(now + 0.01, 2), 500.0)


def trade(symbol: str, at_ns: int) -> Trade:
    """The last print."""
    return Trade(symbol, at_ns // SECOND_NS * SECOND_NS, float(price(symbol, at_ns)), 10.0)


class Client:
    """The account, and all four families beside it: this broker is small."""

    name = "tidewater"
    mode = "memory"
    environment = Environment.PAPER
    hook_api = HOOK_API
    capabilities = Capabilities(
        order_types=frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.STOP}),
        times_in_force=frozenset({TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC}),
        channels=frozenset({Channel.ORDERS, Channel.QUOTES, Channel.TRADES}),
        timeframes=frozenset({Unit.MINUTE, Unit.HOUR, Unit.DAY}),
        replace=True,
    )

    def __init__(self, harbour: Harbour, key: str) -> None:
        self.harbour = harbour
        self.feeds = (harbour.news, harbour.ticker)
        self._key = key
        self._tide: asyncio.Task[None] | None = None

    async def open(self) -> Account:
        """Prove the key, and let the market run."""
        if not self._key.startswith("tw-"):
            raise AuthError("tidewater: the key is wrong; look at TIDEWATER_KEY")
        self._tide = asyncio.create_task(self._run(), name="tidewater")
        return self.harbour.account()

    async def close(self) -> None:
        """Leave the market to itself."""
        if self._tide is not None:
            self._tide.cancel()
            await asyncio.gather(self._tide, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self.harbour.settle()
            await self.harbour.clock.sleep(0.25)

    # Orders

    async def submit(self, order: Order) -> OrderEvent:
        """Send it."""
        return self.harbour.submit(order.request, order.local_id).event(EventKind.SNAPSHOT, Source.ANSWER)

    async def cancel(self, order: Order) -> None:
        """Ask for its end."""
        self.harbour.cancel(order.broker_order_id or "")

    async def find(self, client_order_id: str) -> OrderEvent | None:
        """The order of this id as it stands, or what has replaced it."""
        self.harbour.settle()
        found = next((held for held in self.harbour.orders if held.client_id == client_order_id), None)
        while found is not None and found.replaced_by is not None:
            found = next(held for held in self.harbour.orders if held.broker_id == found.replaced_by)
        return None if found is None else attrs.evolve(found.event(EventKind.SNAPSHOT, Source.LOOKUP), client_order_id=client_order_id)

    async def listing(self, since: datetime | None) -> Sequence[OrderEvent]:
        """Those that work, and with ``since`` those that moved after it."""
        self.harbour.settle()
        return [
            held.event(EventKind.SNAPSHOT, Source.LISTING)
            for held in self.harbour.orders
            if held.status == "working" or (since is not None and held.at_ns > to_ns(since))
        ]

    async def fills(self, since: datetime) -> Sequence[OrderEvent]:
        """Executions after a moment."""
        return [attrs.evolve(event, source=Source.ACTIVITY) for event in self.harbour.executions if event.at > since]

    async def replace(self, order: Order, terms: ReplaceTerms, client_order_id: str) -> OrderEvent:
        """Put an order with new terms in its place."""
        self.harbour.settle()
        old = self.harbour.working(order.broker_order_id or "")
        given = {"qty": terms.qty, "limit_price": terms.limit_price, "stop_price": terms.stop_price, "time_in_force": terms.time_in_force}
        changes = {name: value for name, value in given.items() if value is not None}
        try:
            request = attrs.evolve(old.request, **changes)
        except (TypeError, ValueError) as error:
            raise RequestRefused(f"these terms make no sense: {error}", status=422) from None
        return self.harbour.submit(request, client_order_id, replaces=old).event(EventKind.SNAPSHOT, Source.ANSWER)

    # Account reads

    async def account(self) -> Account:
        """The account."""
        self.harbour.settle()
        return self.harbour.account()

    async def positions(self) -> Sequence[Position]:
        """What is held."""
        self.harbour.settle()
        return self.harbour.positions()

    async def open_orders(self) -> Sequence[OrderEvent]:
        """Those that work."""
        return await self.listing(None)


class MarketData:
    """Prices out of the tide."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def bars(self, query: BarQuery, token: str | None) -> BarPage:
        """A page of bars, symbol by symbol."""
        self._check(query.symbols)
        symbol, _, begin = (token or f"{query.symbols[0]}|{to_ns(query.start)}").partition("|")
        at_ns, end_ns = query.timeframe.floor(int(begin)), min(to_ns(query.end), self._clock.now_ns() + 1)
        if at_ns < int(begin):
            at_ns = query.timeframe.following(at_ns)
        edges: list[int] = []
        while at_ns < end_ns and len(edges) < PAGE:
            edges.append(at_ns)
            at_ns = query.timeframe.following(at_ns)
        follower = symbol if at_ns < end_ns else next(iter(query.symbols[query.symbols.index(symbol) + 1 :]), None)
        next_token = None if follower is None else f"{follower}|{at_ns if follower == symbol else to_ns(query.start)}"
        return BarPage(columns={symbol: self._columns(symbol, query.timeframe, edges)} if edges else {}, next_token=next_token)

    @staticmethod
    def _columns(symbol: str, timeframe: Timeframe, edges: Sequence[int]) -> BarColumns:
        minute = [float(price(symbol, second * SECOND_NS)) for second in range(60)]
        minutes = {Unit.MINUTE: 1, Unit.HOUR: 60, Unit.DAY: 1440}[timeframe.unit] * timeframe.amount
        count = len(edges)
        return BarColumns(
            timestamp_ns=edges,
            open=[minute[0]] * count,
            high=[max(minute)] * count,
            low=[min(minute)] * count,
            close=[minute[-1]] * count,
            volume=[600.0 * minutes] * count,
            trade_count=[60 * minutes] * count,
            vwap=[sum(minute) / 60] * count,
        )

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """The book of each."""
        self._check(symbols)
        return {symbol: quote(symbol, self._clock.now_ns()) for symbol in symbols}

    async def trades(self, symbols: Sequence[str]) -> Mapping[str, Trade]:
        """The last print of each."""
        self._check(symbols)
        return {symbol: trade(symbol, self._clock.now_ns()) for symbol in symbols}

    async def snapshots(self, symbols: Sequence[str]) -> Mapping[str, Snapshot]:
        """Both."""
        quotes, trades = await self.quotes(symbols), await self.trades(symbols)
        return {symbol: Snapshot(symbol=symbol, quote=quotes[symbol], trade=trades[symbol]) for symbol in symbols}

    async def clock(self) -> MarketClock:
        """It never closes; a day ends at midnight in New York."""
        now_ns = self._clock.now_ns()
        midnight = from_ns(DAY.following(DAY.floor(now_ns)))
        return MarketClock(at=from_ns(now_ns), is_open=True, next_open=midnight, next_close=midnight)

    async def hours(self, start: date, end: date) -> Sequence[MarketHours]:
        """Every day, all day."""
        found = []
        for count in range((end - start).days + 1):
            day = start + timedelta(days=count)
            opens = DAY.floor(to_ns(datetime.fromisoformat(f"{day}T12:00:00+00:00")))
            found.append(MarketHours(day=day, open=from_ns(opens), close=from_ns(DAY.following(opens))))
        return found

    async def asset(self, symbol: str) -> Asset | None:
        """One of the two."""
        return Asset(symbol=symbol, name=symbol.title(), exchange="TIDE") if symbol in BASES else None

    @staticmethod
    def _check(symbols: Sequence[str]) -> None:
        unknown = [symbol for symbol in symbols if symbol not in BASES]
        if unknown:
            raise RequestRefused(f"we do not trade {' '.join(unknown)}", status=422)


class Tidewater:
    """The plugin as an object: one harbour, whoever connects."""

    name = "tidewater"

    def __init__(self, clock: Clock | None = None) -> None:
        self.harbour = Harbour(clock or SystemClock())

    @hookimpl
    def broker_client(self, environ: Mapping[str, str]) -> Client | None:
        """Offer the account of a key."""
        key = environ.get("TIDEWATER_KEY")
        return Client(self.harbour, key) if key else None

    @hookimpl
    def broker_orders(self, client: object) -> Client | None:
        """Offer its orders."""
        return client if isinstance(client, Client) else None

    @hookimpl
    def broker_stream(self, client: object) -> Client | None:
        """Offer its feeds."""
        return client if isinstance(client, Client) else None

    @hookimpl
    def broker_sync(self, client: object) -> Client | None:
        """Offer its account reads."""
        return client if isinstance(client, Client) else None

    @hookimpl
    def broker_market_data(self, client: object) -> MarketData | None:
        """Offer its prices."""
        return MarketData(client.harbour.clock) if isinstance(client, Client) else None


_plugin = Tidewater()
broker_client = _plugin.broker_client
broker_orders = _plugin.broker_orders
broker_stream = _plugin.broker_stream
broker_sync = _plugin.broker_sync
broker_market_data = _plugin.broker_market_data
