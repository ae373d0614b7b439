"""What the books say, where the exchange's own tests do not look."""

from __future__ import annotations

from decimal import Decimal

from broker_core.orders import EventKind, State
from broker_core.requests import LimitOrder, MarketOrder
from broker_demo import statement

D = Decimal


def test_figures_of_longs_and_shorts(market):
    """Market values are told by side, gains apart by realised and open, and all of it adds up to the equity."""
    market.hold(10)
    market.submit(MarketOrder("XYZ", "sell", qty=5))
    market.settle()
    market.submit(MarketOrder("ABC", "sell", qty=4))
    market.tick(110)
    market.submit(LimitOrder("ABC", "buy", qty=2, limit_price="50"))

    figures = market.exchange.portfolio()

    assert (figures.long_market_value, figures.short_market_value) == (660, -500)
    assert figures.realized_pnl == 4 * (D("99.95") - D("100.05"))
    assert figures.unrealized_pnl == 6 * (110 - D("100.05")) - 5 * (100 - D("99.95"))
    assert figures.equity == 100_000 + figures.realized_pnl + figures.unrealized_pnl
    assert figures.claimed == 100
    assert figures.buying_power == figures.cash - 1000 - 100


def test_execution_is_told_with_the_status_it_made(market):
    """A fill out of the books says partial or filled as it was at its time, whatever became of the order."""
    market.tick(100, size=4)
    order = market.submit(LimitOrder("ABC", "buy", qty=10, limit_price="100.05"))
    market.tick(100)

    first, last = (statement.fill_event(fill, order) for fill in market.state.ledger.fills)

    assert (first.kind, first.status, last.status) == (EventKind.FILL, State.PARTIAL_FILL, State.FILLED)
    assert (first.execution_id, last.filled_qty) == (market.state.ledger.fills[0].execution_id, 10)


def test_flat_account_has_no_positions(market):
    """A position that was closed is not listed as one of nothing."""
    market.hold(10)
    market.submit(MarketOrder("ABC", "sell", qty=10))
    market.settle()

    assert statement.positions(market.state.ledger, lambda _: D(1)) == []
