"""Laws of a whole session over the demo exchange: whatever is done and whatever is lost on the way, the books agree in the end."""

import asyncio
from collections import Counter
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import broker_core
from broker_core import (
    BrokerError,
    CountingIds,
    Environment,
    LimitOrder,
    MarketOrder,
    OrderClass,
    OrderRequest,
    ReplaceTerms,
    Session,
    Side,
    State,
    StillClock,
    StopLoss,
    StopOrder,
    TakeProfit,
    Unavailable,
)
from broker_core.clock import seeded
from broker_core.config import Settings
from broker_demo.plugin import DemoPlugin

SYMBOLS = st.sampled_from(["AAPL", "MSFT", "DEMO.PARTIAL", "DEMO.EARLY", "DEMO.SILENT", "DEMO.DROP", "DEMO.REJECT"])
QUANTITIES = st.sampled_from([1, 7, 250, 4000])
STEPS = st.one_of(
    st.tuples(st.just("market"), SYMBOLS, st.sampled_from(Side), QUANTITIES),
    st.tuples(st.just("limit"), SYMBOLS, st.sampled_from(Side), QUANTITIES),
    st.tuples(st.just("stop"), SYMBOLS, st.sampled_from(Side), QUANTITIES),
    st.tuples(st.just("bracket"), SYMBOLS, st.sampled_from(Side), QUANTITIES),
    st.tuples(st.just("wait"), st.integers(1, 40)),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("replace"), st.integers(0, 9), QUANTITIES),
    st.tuples(st.just("bust"), st.integers(0, 9)),
    st.tuples(st.just("drop")),
)


class Desk:
    """A session with the demo exchange on a still clock, and the steps it can be put through."""

    def __init__(self, session: Session, clock: StillClock) -> None:
        self.session, self.clock = session, clock
        self.exchange: Any = session._client.venue.exchange  # type: ignore[attr-defined]
        self.feed: Any = session._client.trading  # type: ignore[attr-defined]
        self.busted: set[str] = set()

    def request(self, kind: str, symbol: str, side: Side, qty: int) -> OrderRequest:
        tick = self.exchange.prices.tick(symbol, self.exchange.now_ns)
        price = Decimal(str(round(tick.price, 2)))
        away = Decimal("0.05") if side is Side.BUY else Decimal("-0.05")
        match kind:
            case "limit":
                return LimitOrder(symbol, side, qty=qty, limit_price=price - away)
            case "stop":
                return StopOrder(symbol, side, qty=qty, stop_price=price + away)
            case "bracket":
                exits = {"take_profit": TakeProfit(price + away * 4), "stop_loss": StopLoss(price - away * 4)}
                return MarketOrder(symbol, side, qty=qty, order_class=OrderClass.BRACKET, **exits)
        return MarketOrder(symbol, side, qty=qty)

    async def do(self, step: tuple) -> None:
        match step:
            case ("wait", seconds):
                await self.clock.advance(seconds)
            case ("drop",):
                self.feed.drop(Unavailable("the test broke the stream"))
            case ("cancel", index):
                if (order := self._pick(self.session.orders.open(), index)) is not None:
                    await self._call(self.session.orders.cancel(order))
            case ("replace", index, qty):
                if (order := self._pick(self.session.orders.open(), index)) is not None:
                    await self._call(self.session.orders.replace(order, ReplaceTerms(qty=Decimal(qty))))
            case ("bust", index):
                fills = [fill for fill in self.exchange.state.ledger.fills if fill.execution_id not in self.busted]
                if (fill := self._pick(fills, index)) is not None:
                    self.busted.add(fill.execution_id)
                    self.exchange.bust(fill.execution_id, self.session._client.venue.now_ns())  # type: ignore[attr-defined]
                    self.session._client.venue._publish()  # type: ignore[attr-defined]
            case (kind, symbol, side, qty):
                await self._call(self.session.orders.submit(self.request(kind, symbol, side, qty)))

    async def _call(self, call: Any) -> None:
        """A host's call, with time going on meanwhile; what the broker refuses is refused."""
        task = asyncio.ensure_future(call)
        for _ in range(80):
            if task.done():
                break
            await self.clock.advance(0.5)
        try:
            await task
        except (BrokerError, ValueError):
            return

    @staticmethod
    def _pick(things: list[Any], index: int) -> Any:
        return things[index % len(things)] if things else None

    def disagreements(self) -> list[object]:
        """Where the session and the exchange differ."""
        found: list[object] = []
        held: Counter[str] = Counter()
        for order in self.session.orders.book.orders():
            held[order.symbol] += order.filled_qty if order.side is Side.BUY else -order.filled_qty
            if not order.broker_ids:
                if order.state not in (State.REJECTED, State.FAILED):
                    found.append(order)
                continue
            theirs = self.exchange.order(order.broker_order_id)
            if (order.state, order.filled_qty) != (self._state(theirs), theirs.filled_qty):
                found.append((order, theirs))
        positions = {position.symbol: position.qty for position in self.exchange.positions()}
        found += [(symbol, qty, positions.get(symbol)) for symbol, qty in held.items() if qty != positions.get(symbol, 0)]
        return found

    def _state(self, theirs: Any) -> State | None:
        return self.exchange.snapshot(theirs, broker_core.Source.LOOKUP).status


async def go_through(steps: list[tuple]) -> None:
    clock = StillClock()
    plugin = DemoPlugin(clock=clock, ids=CountingIds("A"), random=seeded(1))
    opening = broker_core.connect(
        environment=Environment.DEMO,
        plugins=[plugin],
        environ={"BROKER_DEMO_SEED": "5", "BROKER_DEMO_CASH": "100000000"},
        settings=Settings(disable=("demo", "records")),
        clock=clock,
        ids=CountingIds("L"),
        random=seeded(2),
    )
    async with opening as session:
        await clock.advance(0.1)
        desk = Desk(session, clock)
        for step in steps:
            await desk.do(step)
        # Everything settles: the longest backoff, a poll of the orders, the proof of an absence.
        await clock.advance(150)
        assert desk.disagreements() == []
        assert dict(session.sync.state.audit) == {}


@given(st.lists(STEPS, min_size=1, max_size=8))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_session_and_exchange_agree_in_the_end(steps: list[tuple]):
    """Orders, fills and positions are the same on both sides after any steps, losses of the stream and busts among them."""
    asyncio.run(go_through(steps))
