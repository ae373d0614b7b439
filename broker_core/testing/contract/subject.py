"""What the suites have to be told about one broker, and how they reach its market."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TypeAlias

from broker_core.clock import SystemClock
from broker_core.requests import OrderRequest, Side
from broker_core.session import Session

Hook: TypeAlias = Callable[[], Awaitable[None]]


class Subject:
    """One broker under test. ``connect`` and ``symbol`` are needed, the rest has a default or may stay None.

    A suite asks for a new subject for every test. What stays None turns off the tests that need it, and they say so.
    """

    symbol: str
    """Its orders are filled at once and whole, in quantities of a few ``qty``."""
    other_symbol: str | None = None
    """Another of this kind."""
    pieces_symbol: str | None = None
    """Its orders of eight are filled in several pieces, with time between them."""
    rejecting_symbol: str | None = None
    """Its orders are accepted, and rejected a moment later."""
    unknown_symbol: str | None = "NOSUCHTHING"
    """Nothing is traded under this name, and orders in it are refused."""
    qty: Decimal = Decimal(4)
    """How much a test usually trades: a whole, even number."""
    tick: Decimal = Decimal("0.01")
    """Prices are whole multiples of this."""
    lots_of_time: float = 120.0
    """Seconds of the market within which whatever must happen by itself has happened; a minute bar needs more than sixty."""

    cut_orders: Hook | None = None
    """Break the connection of the order stream, once, from the broker's side; it may be opened again at once."""
    cut_data: Hook | None = None
    """The same of market data."""
    end_day: Hook | None = None
    """Let time pass until the trading day of orders sent in this test has ended."""
    lose_answer: Callable[[], Awaitable[str]] | None = None
    """Have the next order take effect and its submission never be answered; returns the symbol in which it is to be placed."""
    lose_order: Callable[[], Awaitable[str]] | None = None
    """Have the next order never arrive, and its submission never be answered; returns the symbol in which it is to be placed."""
    place_elsewhere: Callable[[OrderRequest], Awaitable[str]] | None = None
    """Place an order behind the session's back and return its client order id."""

    def connect(self, *plugins: object, database: str = "off") -> AbstractAsyncContextManager[Session]:
        """A session with this broker; ``plugins`` and the records' ``database`` are to be passed on to ``broker_core.connect``.

        Called again, it reaches the account of the call before. Where ``database`` is "off" nobody relies on that.
        """
        raise NotImplementedError(f"{type(self).__name__}.connect: say how a session with this broker is opened")

    async def pass_time(self, seconds: float) -> None:
        """Let this many seconds of the market pass. Real ones, unless the broker under test has a clock that can be moved."""
        await SystemClock().sleep(seconds)

    async def price(self, session: Session, symbol: str) -> Decimal:
        """About what a symbol costs now: by default the latest trade's price."""
        prices = await session.market_data.latest_prices(symbol)
        return Decimal(str(prices[symbol]))

    def rounded(self, price: Decimal) -> Decimal:
        """The nearest price that the broker takes."""
        return (price / self.tick).quantize(Decimal(1), ROUND_HALF_EVEN) * self.tick

    def far(self, side: Side, price: Decimal) -> Decimal:
        """A limit at which an order of this side rests for as long as any test lasts."""
        return self.rounded(price * (Decimal("0.7") if side is Side.BUY else Decimal("1.3")))

    def near(self, side: Side, price: Decimal) -> Decimal:
        """A limit at which an order of this side is filled at once."""
        return self.rounded(price * (Decimal("1.01") if side is Side.BUY else Decimal("0.99")))

    def far_stop(self, side: Side, price: Decimal) -> Decimal:
        """A stop price that is not reached for as long as any test lasts."""
        return self.rounded(price * (Decimal("1.3") if side is Side.BUY else Decimal("0.7")))

    def reached_stop(self, side: Side, price: Decimal) -> Decimal:
        """A stop price that is reached at once, or within ``lots_of_time``."""
        return self.rounded(price * (Decimal("0.99") if side is Side.BUY else Decimal("1.01")))
