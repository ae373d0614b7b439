"""Positions follow fills, and the two are held against each other."""

from __future__ import annotations

from decimal import Decimal

import pytest

from broker_core.models import Position
from broker_core.orders import ZERO
from broker_core.requests import Side
from broker_core.testing.contract.suite import Suite
from broker_core.testing.contract.trader import Trader


async def _position(trader: Trader, symbol: str | None = None) -> Position | None:
    state = await trader.sync.refresh()
    return state.positions.get(symbol or trader.subject.symbol)


class TestPositions(Suite):
    """Long, short, flat, and the audit."""

    async def test_a_new_account_is_flat(self, trader: Trader) -> None:
        """An empty answer means that, and the audit begins with it."""
        assert (await trader.sync.refresh()).positions == {}
        assert trader.sync.state.audited_since is not None
        assert trader.sync.state.audit == {}

    async def test_what_is_bought_is_held(self, trader: Trader) -> None:
        """The quantity filled, at the price paid."""
        order = await trader.bought()
        position = await _position(trader)
        assert position is not None
        assert (position.symbol, position.qty, position.side) == (order.symbol, order.filled_qty, "long")
        assert order.filled_avg_price is not None
        assert abs(position.avg_entry_price - order.filled_avg_price) < Decimal("0.0001")

    @pytest.mark.parametrize("figure", ["qty", "avg_entry_price", "current_price", "market_value", "unrealized_pnl"])
    async def test_figures_are_exact_decimals(self, trader: Trader, figure: str) -> None:
        """Or left out, where the broker does not say."""
        await trader.bought()
        position = await _position(trader)
        assert position is not None
        value = getattr(position, figure)
        assert value is None or isinstance(value, Decimal)
        assert figure not in ("qty", "avg_entry_price") or value is not None

    async def test_figures_belong_together(self, trader: Trader) -> None:
        """Value is quantity times price; gain is value less cost, up to what is rounded."""
        await trader.bought()
        position = await _position(trader)
        assert position is not None
        if position.market_value is not None and position.current_price is not None:
            assert abs(position.market_value - position.qty * position.current_price) <= Decimal("0.01")
        if position.market_value is not None and position.unrealized_pnl is not None:
            assert abs(position.unrealized_pnl - position.market_value + position.qty * position.avg_entry_price) <= Decimal("0.01")

    async def test_buying_more_adds_up(self, trader: Trader) -> None:
        """Quantities add, and the entry price is the mean of what was paid."""
        first, second = await trader.bought(2), await trader.bought(6)
        position = await _position(trader)
        assert position is not None
        assert position.qty == 8
        paid = 2 * (first.filled_avg_price or ZERO) + 6 * (second.filled_avg_price or ZERO)
        assert abs(position.avg_entry_price - paid / 8) < Decimal("0.01")

    async def test_selling_a_part_leaves_the_rest(self, trader: Trader) -> None:
        """At the price that was paid for it."""
        bought = await trader.bought()
        await trader.sold(1)
        position = await _position(trader)
        assert position is not None
        assert position.qty == trader.subject.qty - 1
        assert abs(position.avg_entry_price - (bought.filled_avg_price or ZERO)) < Decimal("0.01")

    async def test_what_is_sold_is_gone(self, trader: Trader) -> None:
        """A flat position is none."""
        await trader.bought()
        assert await _position(trader) is not None
        await trader.sold()
        assert await _position(trader) is None

    async def test_positions_are_apart(self, trader: Trader) -> None:
        """What happens to one changes nothing about the other."""
        other = trader.given("other_symbol")
        await trader.bought(2)
        await trader.bought(3, other)
        state = await trader.sync.refresh()
        assert {symbol: position.qty for symbol, position in state.positions.items()} == {trader.subject.symbol: 2, other: 3}
        await trader.sold(2)
        assert set((await trader.sync.refresh()).positions) == {other}

    async def test_what_is_sold_short_is_held_below_zero(self, trader: Trader) -> None:
        """Quantity and value are negative, and the side says so."""
        trader.needs("short")
        await trader.sold()
        position = await _position(trader)
        assert position is not None
        assert (position.qty, position.side) == (-trader.subject.qty, "short")
        assert position.avg_entry_price > 0
        assert position.market_value is None or position.market_value < 0

    async def test_a_short_position_is_closed_by_buying(self, trader: Trader) -> None:
        """Then there is none."""
        trader.needs("short")
        await trader.sold()
        await trader.bought()
        assert await _position(trader) is None
        assert (await trader.sync.refresh()).audit == {}

    @pytest.mark.parametrize("side", list(Side))
    async def test_fills_and_positions_agree(self, trader: Trader, side: Side) -> None:
        """Opening and fills make what the broker holds, and the audit finds no difference."""
        if side is Side.SELL:
            trader.needs("short")
        await trader.bought(side=side)
        await trader.bought(1, side=side)
        position = await _position(trader)
        assert position is not None
        assert trader.orders.positions_from_fills() == {trader.subject.symbol: position.qty}
        assert trader.sync.state.audit == {}
        assert list(trader.session.findings) == []

    async def test_pieces_add_up_to_a_position(self, trader: Trader) -> None:
        """While they come and afterwards, the audit finds no difference."""
        symbol = trader.given("pieces_symbol")
        order = await trader.submit(await trader.request(symbol=symbol, qty=8))
        await trader.until(lambda: trader.now(order).filled_qty > 0, "the first piece")
        await trader.sync.refresh()
        assert trader.sync.state.audit == {}
        await trader.end_of(order)
        position = await _position(trader, symbol)
        assert position is not None
        assert position.qty == 8
        assert trader.sync.state.audit == {}

    async def test_a_cancelled_order_leaves_no_position(self, trader: Trader) -> None:
        """What was not filled is not held."""
        await trader.ended(await trader.resting())
        assert await _position(trader) is None

    async def test_positions_are_read_again_by_themselves(self, trader: Trader) -> None:
        """What was bought shows up without a refresh."""
        sync = trader.sync
        await trader.bought()
        await trader.until(lambda: trader.subject.symbol in sync.state.positions, "the position", step=2)
        assert sync.state.positions[trader.subject.symbol].qty == trader.subject.qty
