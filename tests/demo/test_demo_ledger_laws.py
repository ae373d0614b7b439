"""The exchange against a reference ledger that knows nothing but what it was told, through any sequence of calls."""

from __future__ import annotations

import contextlib
import tempfile
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from broker_core.errors import RequestRefused
from broker_core.orders import EventKind
from broker_core.requests import (
    LimitOrder,
    MarketOrder,
    OrderClass,
    Side,
    StopLimitOrder,
    StopLoss,
    StopOrder,
    TakeProfit,
    TimeInForce,
    TrailingStopOrder,
)
from broker_demo.paper_order import Role
from broker_demo.state import StateFile

OPENING_CASH = 20_000
SYMBOLS = ("ABC", "XYZ")
DAY_NS = 86_400_000_000_000
ENDS = {"filled", "canceled", "expired", "rejected", "replaced"}

cents = st.integers(9_000, 11_000)
sides = st.sampled_from(Side)
symbols = st.sampled_from(SYMBOLS)
quantities = st.one_of(st.integers(1, 60).map(Decimal), st.integers(1, 400).map(lambda number: Decimal(number) / 8))


def price(number: int) -> Decimal:
    return Decimal(number) / 100


class ReferenceLedger:
    """Positions, cash and average cost, in fractions, from told fills and busts alone."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, int, Fraction, Fraction]] = []
        self.busted: set[str] = set()

    def live(self):
        return [entry for entry in self.entries if entry[0] not in self.busted]

    @property
    def cash(self) -> Fraction:
        return OPENING_CASH - sum(sign * qty * at for _, _, sign, qty, at in self.live())

    def position(self, symbol: str) -> Fraction:
        return sum((sign * qty for _, other, sign, qty, _ in self.live() if other == symbol), start=Fraction(0))

    def realized(self) -> Fraction:
        earned = Fraction(0)
        for symbol in SYMBOLS:
            held = average = Fraction(0)
            for _, other, sign, qty, at in self.live():
                if other != symbol:
                    continue
                change = sign * qty
                if held * change < 0:
                    closed = min(abs(change), abs(held))
                    earned += closed * (at - average) * (1 if held > 0 else -1)
                    if abs(change) > abs(held):
                        average = at
                elif held + change:
                    average = (held * average + change * at) / (held + change)
                held += change
        return earned


class ExchangeLaws(RuleBasedStateMachine):
    """Any calls, in any order, at any prices."""

    market_type: type

    @initialize()
    def begin(self) -> None:
        self.market = self.market_type(cash=str(OPENING_CASH))
        self.reference = ReferenceLedger()
        self.told = 0
        self.ended: dict[str, str] = {}
        self.folder = tempfile.TemporaryDirectory()
        self.has_busts = False
        self.market.exchange.listen(self.check_affordable)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def check_affordable(self, event) -> None:
        """At the moment of an execution that opens, the account can pay for all it holds, short positions twice."""
        if event.kind is not EventKind.FILL or self.has_busts:
            return
        order = self.market.exchange.order(event.broker_order_id)
        if order.opens:
            ledger = self.market.state.ledger
            shorts = sum(
                -held.qty * Decimal(str(self.market.prices.tick(symbol, self.market.exchange.now_ns).price))
                for symbol, held in ledger.positions.items()
                if held.qty < 0
            )
            assert ledger.cash - 2 * shorts >= 0, "more is held than the account can pay for"

    def take_news(self) -> None:
        for event in self.market.events[self.told :]:
            order_id = event.broker_order_id
            if event.kind is EventKind.BUST:
                self.reference.busted.add(event.busts)
            else:
                assert order_id not in self.ended, f"{event.raw_status} after {self.ended[order_id]}"
                if event.raw_status in ENDS:
                    self.ended[order_id] = event.raw_status
            if event.kind is EventKind.FILL:
                self.take_fill(event)
        self.told = len(self.market.events)

    def take_fill(self, event) -> None:
        request = event.request
        buys = request.side is Side.BUY
        assert event.qty > 0
        assert request.limit_price is None or (event.price <= request.limit_price if buys else event.price >= request.limit_price)
        before = self.reference.position(request.symbol)
        self.reference.entries.append((event.execution_id, request.symbol, 1 if buys else -1, Fraction(event.qty), Fraction(event.price)))
        assert self.has_busts or before * self.reference.position(request.symbol) >= 0, "one execution closed and opened"

    # What anybody may do

    def attempt(self, call) -> None:
        with contextlib.suppress(RequestRefused):
            call()
        self.take_news()

    @rule(symbol=symbols, number=cents, spread=st.integers(1, 20), bid_size=st.integers(0, 40), ask_size=st.integers(0, 40))
    def tick(self, symbol, number, spread, bid_size, ask_size) -> None:
        bid, ask = (number - spread) / 100, (number + spread) / 100
        self.market.settle()
        before = len(self.market.events)
        self.market.tick(number / 100, symbol=symbol, bid=bid, ask=ask, bid_size=bid_size, ask_size=ask_size)
        for side, size in ((Side.BUY, ask_size), (Side.SELL, bid_size)):
            traded = sum(
                event.qty
                for event in self.market.events[before:]
                if event.kind is EventKind.FILL and event.request.symbol == symbol and event.request.side is side
            )
            assert traded <= size
        self.take_news()

    @rule(symbol=symbols, side=sides, qty=quantities, time_in_force=st.sampled_from(TimeInForce))
    def market_order(self, symbol, side, qty, time_in_force) -> None:
        self.attempt(lambda: self.market.submit(MarketOrder(symbol, side, qty=qty, time_in_force=time_in_force)))

    @rule(symbol=symbols, side=sides, amount=st.integers(100, 600_000).map(price))
    def order_by_amount(self, symbol, side, amount) -> None:
        self.attempt(lambda: self.market.submit(MarketOrder(symbol, side, notional=amount)))

    @rule(symbol=symbols, side=sides, qty=quantities, limit=cents, time_in_force=st.sampled_from(TimeInForce), extended=st.booleans())
    def limit_order(self, symbol, side, qty, limit, time_in_force, extended) -> None:
        terms = {"qty": qty, "limit_price": price(limit), "time_in_force": time_in_force, "extended_hours": extended}
        self.attempt(lambda: self.market.submit(LimitOrder(symbol, side, **terms)))

    @rule(symbol=symbols, side=sides, qty=quantities, stop=cents, limit=st.none() | cents)
    def stop_order(self, symbol, side, qty, stop, limit) -> None:
        if limit is None:
            self.attempt(lambda: self.market.submit(StopOrder(symbol, side, qty=qty, stop_price=price(stop))))
        else:
            self.attempt(
                lambda: self.market.submit(StopLimitOrder(symbol, side, qty=qty, stop_price=price(stop), limit_price=price(limit)))
            )

    @rule(symbol=symbols, side=sides, qty=st.integers(1, 60), trail=st.integers(1, 300).map(price))
    def trailing_stop(self, symbol, side, qty, trail) -> None:
        self.attempt(lambda: self.market.submit(TrailingStopOrder(symbol, side, qty=qty, trail_price=trail, time_in_force="gtc")))

    @rule(
        symbol=symbols,
        side=sides,
        qty=st.integers(1, 60),
        entry=st.none() | cents,
        gap=st.integers(1, 400),
        kind=st.sampled_from([OrderClass.BRACKET, OrderClass.OTO]),
        limited=st.booleans(),
    )
    def group(self, symbol, side, qty, entry, gap, kind, limited) -> None:
        base = entry or round(self.market.prices.tick(symbol, self.market.exchange.now_ns).price * 100)
        up = gap if side is Side.BUY else -gap
        loss = StopLoss(price(base - up), price(base - 2 * up) if limited else None)
        terms = {"qty": qty, "order_class": kind, "stop_loss": loss, "time_in_force": "gtc"}
        if kind is OrderClass.BRACKET:
            terms["take_profit"] = TakeProfit(price(base + up))
        if entry is None:
            self.attempt(lambda: self.market.submit(MarketOrder(symbol, side, **terms)))
        else:
            self.attempt(lambda: self.market.submit(LimitOrder(symbol, side, limit_price=price(entry), **terms)))

    @rule(symbol=symbols, side=sides, qty=st.integers(1, 60), limit=cents, gap=st.integers(1, 400))
    def one_cancels_other(self, symbol, side, qty, limit, gap) -> None:
        stop = limit - gap if side is Side.SELL else limit + gap
        terms = {"qty": qty, "limit_price": price(limit), "order_class": "oco", "stop_loss": StopLoss(price(stop))}
        self.attempt(lambda: self.market.submit(LimitOrder(symbol, side, **terms)))

    @precondition(lambda self: self.market.exchange.orders())
    @rule(data=st.data())
    def cancel(self, data) -> None:
        order = data.draw(st.sampled_from(self.market.exchange.orders()))
        self.attempt(lambda: self.market.cancel(order))

    @precondition(lambda self: self.market.exchange.orders())
    @rule(
        data=st.data(),
        qty=st.none() | st.integers(1, 60).map(Decimal),
        limit=st.none() | cents.map(price),
        stop=st.none() | cents.map(price),
    )
    def replace(self, data, qty, limit, stop) -> None:
        order = data.draw(st.sampled_from(self.market.exchange.orders()))
        self.attempt(lambda: self.market.replace(order, qty=qty, limit_price=limit, stop_price=stop))

    @precondition(lambda self: self.reference.entries)
    @rule(data=st.data())
    def bust(self, data) -> None:
        execution_id = data.draw(st.sampled_from([entry[0] for entry in self.reference.entries]))
        self.has_busts = True
        self.attempt(lambda: self.market.exchange.bust(execution_id, self.market.exchange.now_ns))

    @rule(hours=st.integers(1, 30))
    def wait(self, hours) -> None:
        now_ns = self.market.exchange.now_ns
        self.market.exchange.advance(min(now_ns + hours * DAY_NS // 24, self.market.prices.hours.closing(now_ns) + DAY_NS))
        self.take_news()

    @rule()
    def restart(self) -> None:
        """Put the account through its file and go on from there."""
        file = StateFile(Path(self.folder.name) / "account.json")
        file.save(self.market.state)
        file.release()
        self.market.state = file.load()
        self.market.restart()
        self.market.exchange.listen(self.check_affordable)

    # What must hold

    @invariant()
    def books_agree_with_what_was_told(self) -> None:
        """Opening position plus fills less busts is the position, and the cash is what those cost."""
        ledger = self.market.state.ledger
        assert Fraction(ledger.cash) == self.reference.cash
        for symbol in SYMBOLS:
            assert Fraction(ledger.holding(symbol).qty) == self.reference.position(symbol)

    @invariant()
    def money_is_neither_made_nor_lost(self) -> None:
        """Cash and cost less what was earned is the opening cash, exactly; equity is that and the open gain."""
        ledger, portfolio = self.market.state.ledger, self.market.exchange.portfolio()
        cost = sum(held.cost for held in ledger.positions.values())
        assert ledger.cash + cost - ledger.realized_pnl == OPENING_CASH
        assert portfolio.equity == OPENING_CASH + portfolio.realized_pnl + portfolio.unrealized_pnl
        assert portfolio.equity == portfolio.cash + portfolio.long_market_value + portfolio.short_market_value
        assert abs(Fraction(ledger.realized_pnl) - self.reference.realized()) < Fraction(1, 10**6)

    @invariant()
    def claims_make_sense(self) -> None:
        """Nothing claimed is below zero, and no more shares are claimed than are held."""
        exchange = self.market.exchange
        portfolio = exchange.portfolio()
        assert portfolio.claimed >= 0
        assert portfolio.buying_power >= 0
        for symbol in SYMBOLS:
            for side in Side:
                claimed, held = exchange._funds.claimed_qty(symbol, side), exchange._funds.held(symbol, side)
                assert claimed >= 0
                assert self.has_busts or claimed <= held

    @invariant()
    def orders_agree_with_their_executions(self) -> None:
        """An order's filled quantity is the sum of its chain's executions, and never above its quantity."""
        live = defaultdict(Decimal)
        for fill in self.market.state.ledger.fills:
            if not self.market.state.ledger.is_busted(fill.execution_id):
                live[fill.order_id] += fill.qty
        exchange = self.market.exchange
        for order in exchange.orders():
            total, link = Decimal(0), order
            while link is not None:
                total += live[link.order_id]
                link = exchange.order(link.replaces) if link.replaces else None
            assert order.filled_qty == total
            assert order.request.qty is None or order.filled_qty <= order.request.qty

    @invariant()
    def exits_sell_no_more_than_their_entry_bought(self) -> None:
        """The executions of a group's exits together are at most those of its entry."""
        if self.has_busts:
            return
        entered, left = defaultdict(Decimal), defaultdict(Decimal)
        for order in self.market.exchange.orders():
            if order.group_id is not None and order.replaced_by is None:
                (entered if order.role is Role.ENTRY else left)[order.group_id] += order.filled_qty
        for group_id, qty in left.items():
            if group_id in entered:
                assert qty <= entered[group_id]

    @invariant()
    def listing_is_what_is_open(self) -> None:
        """The listing names exactly the orders that have not been told as ended."""
        listed = {event.broker_order_id for event in self.market.exchange.listing()}
        listed |= {leg.broker_order_id for event in self.market.exchange.listing() for leg in event.legs}
        told = {event.broker_order_id for event in self.market.events if event.kind is not EventKind.BUST}
        assert {order_id for order_id in listed if order_id not in self.ended} == told - set(self.ended)


@pytest.mark.timeout(110)
def test_exchange_keeps_the_laws_of_a_ledger(new_market):
    """Through any sequence of orders, ticks, cancels, replacements, busts, closes and restarts the books agree with what was told."""
    ExchangeLaws.market_type = new_market
    run_state_machine_as_test(
        ExchangeLaws,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
