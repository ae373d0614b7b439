"""``broker demo``: the main job by itself, with a broker that needs no account."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from broker_core.cli.demo_faces import Face, JsonFace, TextFace
from broker_core.cli.invocation import Invocation, shared_options
from broker_core.cli.replay_file import ReplayFile, look
from broker_core.cli.running import first_of, run
from broker_core.clock import SystemClock, within
from broker_core.errors import RequestRefused, Unavailable
from broker_core.models import Connection, Environment, Quote
from broker_core.orders import Order, OrderChange, State
from broker_core.requests import LimitOrder, MarketOrder, OrderClass, Side, StopLoss, TakeProfit, TimeInForce
from broker_core.sync_state import Part

if TYPE_CHECKING:
    from broker_core.session import Session

_PREFIX = "BROKER_DEMO_"
_REFRESH = 0.25
_FIRST_QUOTES = 6
_PATIENCE = 5.0
"""Seconds to wait for what should happen, before going on without it."""
_TRIES = 5
_SHARE = Decimal("0.4")
"""Of the buying power, for the first order."""
# Not for the day alone: in a replay of daily bars a day is four prices long.
_TERMS: dict[str, Any] = {"time_in_force": TimeInForce.GTC, "strategy": "demo"}
_NEAR, _FAR = Decimal("0.0004"), Decimal("0.10")
"""How far from the price the exits of the bracket are, and the limit that is not meant to be reached."""


@click.command()
@click.option("--replay", metavar="FILE", type=click.Path(path_type=Path), help="Take prices from your own bars: .csv or .parquet.")
@click.option("--seed", metavar="N", type=click.IntRange(min=0), help="Make prices and ids the same in every run.")
@click.option("--speed", metavar="X", type=click.FloatRange(min=0, min_open=True), help="Market seconds in a second.")
@shared_options
@click.pass_obj
def demo(invocation: Invocation, *, replay: Path | None, seed: int | None, speed: float | None) -> None:
    """Run the main job by itself: quotes, orders, positions, bars and records, on a paper broker that needs no account.

    It takes some ten seconds. No real broker is asked, whatever credentials there are. The account is made for the run and gone with
    it; the rows stay.
    """
    told = invocation.plugin_environ
    if replay is None and told.get(f"{_PREFIX}REPLAY"):
        replay = Path(told[f"{_PREFIX}REPLAY"])
    plan = Plan() if replay is None else Plan.of(look(replay))
    options = {"REPLAY": replay, "SEED": seed, "SPEED": speed, "STATE": "memory"}
    environ = {
        f"{_PREFIX}SPEED": str(plan.speed),
        f"{_PREFIX}CASH": str(plan.cash),
        **told,
        **{f"{_PREFIX}{name}": str(value) for name, value in options.items() if value is not None},
    }
    output = invocation.output
    face: Face = JsonFace(output) if output.as_json else TextFace(output)
    run(invocation, _Run(invocation, environ, plan, face).all())


@attrs.frozen(kw_only=True)
class Plan:
    """What a run works with."""

    symbols: tuple[str, ...] = ("AAPL", "MSFT", "SPY")
    timeframe: str = "1Day"
    speed: float = 60.0
    """Market seconds in a second: by default fast enough for exits close to the price to be reached."""
    cash: int = 10_000_000

    @classmethod
    def of(cls, file: ReplayFile) -> Plan:
        """What suits a file that is replayed."""
        return cls(symbols=file.symbols, timeframe=file.timeframe, speed=file.speed, cash=file.cash)


class _Run:
    """One run, from the connection to the summary."""

    def __init__(self, invocation: Invocation, environ: Mapping[str, str], plan: Plan, face: Face) -> None:
        self._environ = environ
        self._settings = invocation.settings
        self._plan = plan
        self._face = face
        self._clock = SystemClock()
        self._quotes: dict[str, Quote] = {}
        self._largest = 0.0
        self._refreshes = 0
        self._orders: dict[str, Order] = {}
        self._changes = 0
        self._fills = 0
        self._news = asyncio.Condition()

    async def all(self) -> None:
        """Run it all."""
        from broker_core.session import connect

        start = self._clock.monotonic()
        async with connect(environment=Environment.DEMO, environ=self._environ, settings=self._settings) as session:
            equity = self._begin(session)
            with self._face.live():
                changes = session.orders.changes()
                await first_of(self._trade(session), self._watch_quotes(session), self._watch_orders(changes))
            state = await session.sync.refresh()
            self._face.positions(list(state.positions.values()), session.connection)
            symbol = self._plan.symbols[0]
            frame = await session.market_data.ohlcv(symbol, self._plan.timeframe, limit=30)
            self._face.bars(symbol, self._plan.timeframe, frame.tail(5))
        rows = 0 if session.database is None else await asyncio.to_thread(self._read_back, session.connection)
        orders = [order for order in self._orders.values() if order.parent_id is None]
        self._face.summary(
            {
                "kind": "summary",
                "orders": len(orders),
                "canceled": sum(order.state is State.CANCELED for order in orders),
                "fills": self._fills,
                "positions": len(state.positions),
                "equity": state.equity,
                "pnl": None if state.equity is None else state.equity - equity,
                "rows": rows,
                "database": session.database or "no database",
                "seconds": round(self._clock.monotonic() - start, 2),
            }
        )

    def _begin(self, session: Session) -> Decimal:
        state = session.sync.state
        if state.account is None:
            raise Unavailable(f"account: {state.health[Part.ACCOUNT].error or 'not read'}")
        self._face.connection(session.connection, state.account)
        return state.account.equity

    async def _watch_quotes(self, session: Session) -> None:
        shown_at = -math.inf
        async for quote in session.stream.quotes(*self._plan.symbols):
            self._quotes[quote.symbol] = quote
            if quote.symbol == self._plan.symbols[0]:
                self._largest = max(self._largest, quote.ask_size)
            if self._clock.monotonic() - shown_at >= _REFRESH:
                shown_at = self._clock.monotonic()
                self._face.quotes(self._quotes)
                self._refreshes += 1
            await self._tell()

    async def _watch_orders(self, changes: AsyncIterator[OrderChange]) -> None:
        async for change in changes:
            self._orders[change.order.local_id] = change.order
            self._changes += 1
            self._fills += change.booked is not None
            self._face.order(change.order)
            await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def _until(self, is_so: Callable[[], bool]) -> None:
        """Return when news has made it so, or when patience ends."""
        with suppress(TimeoutError):
            async with self._news:
                await within(self._clock, _PATIENCE, self._news.wait_for(is_so))

    async def _trade(self, session: Session) -> None:
        first, second, third = (self._plan.symbols * 3)[:3]
        await self._until(lambda: self._refreshes >= _FIRST_QUOTES)
        await self._buy_more_than_is_displayed(session, first)
        await self._cancel_a_limit(session, second)
        await self._bracket(session, third)

    async def _buy_more_than_is_displayed(self, session: Session, symbol: str) -> None:
        quote = await session.market_data.quote(symbol)
        affordable = (session.sync.state.buying_power or Decimal(0)) * _SHARE / Decimal(str(quote.ask_price))
        # No quote displays three times the largest size seen, so that it takes more than one to fill the order.
        qty = max(1, min(3 * int(max(self._largest, quote.ask_size)), int(affordable)))
        order = await session.orders.submit(MarketOrder(symbol, Side.BUY, qty=qty, **_TERMS))
        await self._until(lambda: self._has_ended(order))

    async def _cancel_a_limit(self, session: Session, symbol: str) -> None:
        quote = await session.market_data.quote(symbol)
        price = await self._price(session, symbol, quote.bid_price, -_FAR)
        order = await session.orders.submit(LimitOrder(symbol, Side.BUY, qty=10, limit_price=price, **_TERMS))
        await session.orders.cancel(order)
        await self._until(lambda: self._has_ended(order))

    async def _bracket(self, session: Session, symbol: str) -> None:
        for _ in range(_TRIES):
            with suppress(RequestRefused):
                order = await session.orders.submit(await self._bracket_at_the_price(session, symbol))
                break
        else:
            return
        await self._until(lambda: self._has_ended(order))
        for exit_order in self._exits(order):
            await session.orders.cancel(exit_order)
        await self._until(lambda: self._has_ended(order))

    async def _bracket_at_the_price(self, session: Session, symbol: str) -> MarketOrder:
        """A bracket around the price. Where time runs fast the price may leave it before it arrives, and the broker refuses it."""
        known = self._quotes.get(symbol)
        await self._until(lambda: self._quotes.get(symbol) is not known)
        quote = await session.market_data.quote(symbol)
        gain = await self._price(session, symbol, quote.ask_price, _NEAR)
        loss = await self._price(session, symbol, quote.bid_price, -_NEAR)
        exits: dict[str, Any] = {"order_class": OrderClass.BRACKET, "take_profit": TakeProfit(gain), "stop_loss": StopLoss(loss)}
        return MarketOrder(symbol, Side.BUY, qty=10, **exits, **_TERMS)

    async def _price(self, session: Session, symbol: str, price: float, change: Decimal) -> Decimal:
        """The price moved by a share of it, but by three ticks at least, and on a tick."""
        asset = await session.market_data.asset(symbol)
        tick = Decimal("0.01") if asset is None else asset.price_increment
        exact = Decimal(str(price))
        distance = max(abs(exact * change), 3 * tick).copy_sign(change)
        return ((exact + distance) / tick).quantize(Decimal(1)) * tick

    def _exits(self, order: Order) -> list[Order]:
        return [other for other in self._orders.values() if other.parent_id == order.local_id and not other.is_terminal]

    def _has_ended(self, order: Order) -> bool:
        shown = self._orders.get(order.local_id)
        return shown is not None and shown.is_terminal and not self._exits(order)

    def _read_back(self, connection: Connection) -> int:
        """Show what this run wrote, table by table, as another connection to the database finds it; how many rows."""
        from broker_core.records import status, tail

        environ = self._settings.plugin_environ(self._environ)
        total = 0
        for tables in status(environ).brokers:
            for kind in tables.rows if tables.prefix == connection.broker else ():
                name = f"{tables.prefix}_{kind}"
                rows = [row for row in tail(environ, name, 2 * self._changes + 200) if self._is_ours(row, connection)]
                total += len(rows)
                self._face.record(name, kind, len(rows), rows[-3:])
        return total

    def _is_ours(self, row: Mapping[str, Any], connection: Connection) -> bool:
        if "local_id" in row:
            return row["local_id"] in self._orders
        return bool(
            row["connection_id"] == connection.connection_id and row.get("snapshot_at", connection.opened_at) >= connection.opened_at
        )
