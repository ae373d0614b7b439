"""The account as it is read and kept up to date."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC
from decimal import Decimal
from typing import Any

import pytest

from broker_core.hookspecs import hookimpl
from broker_core.models import Account, Connection, Position
from broker_core.orders import ZERO
from broker_core.sync_state import Part
from broker_core.testing.contract.subject import Subject
from broker_core.testing.contract.suite import Suite
from broker_core.testing.contract.trader import Heard, Trader

_POLL = 31.0
"""Seconds after which each part was read again: the longest of the usual intervals is thirty."""


def _account(trader: Trader) -> Account:
    account = trader.sync.state.account
    assert account is not None
    return account


class TestAccount(Suite):
    """Figures that belong together, and how old they are."""

    @pytest.mark.parametrize("figure", ["cash", "equity", "buying_power"])
    async def test_figures_are_exact_decimals(self, trader: Trader, figure: str) -> None:
        """No figure of the account has been through a float, and the state shows the account's own."""
        value = getattr(_account(trader), figure)
        assert isinstance(value, Decimal)
        assert value.is_finite()
        assert getattr(trader.sync.state, figure) == value

    async def test_account_can_trade(self, trader: Trader) -> None:
        """It is not blocked, and says in a word how it stands."""
        account = _account(trader)
        assert account.trading_blocked is False
        assert account.status
        assert account.buying_power >= 0

    async def test_currency_is_a_code(self, trader: Trader) -> None:
        """Three capital letters."""
        currency = _account(trader).currency
        assert len(currency) == 3
        assert currency.isalpha()
        assert currency.isupper()

    async def test_equity_of_a_flat_account_is_its_cash(self, trader: Trader) -> None:
        """Nothing else is there to be worth something."""
        state = trader.sync.state
        assert state.positions == {}
        assert state.equity == state.cash

    async def test_equity_is_cash_and_positions_together(self, trader: Trader) -> None:
        """Up to what the market moves between two reads."""
        await trader.bought()
        state = await trader.sync.refresh()
        worth = sum((position.market_value or ZERO for position in state.positions.values()), ZERO)
        assert worth > 0
        assert abs(_account(trader).equity - _account(trader).cash - worth) <= worth / 100

    async def test_a_purchase_is_paid_in_cash(self, trader: Trader) -> None:
        """At least what the shares cost; what goes beyond it is a fee of less than a hundredth."""
        before = _account(trader).cash
        order = await trader.bought()
        await trader.sync.refresh()
        cost = order.filled_qty * (order.filled_avg_price or ZERO)
        assert cost <= before - _account(trader).cash <= cost * Decimal("1.01")

    async def test_a_sale_brings_cash(self, trader: Trader) -> None:
        """What was held and is sold again comes back, up to what the market took."""
        before = _account(trader).cash
        bought = await trader.bought()
        sold = await trader.sold()
        await trader.sync.refresh()
        earned = sold.filled_qty * (sold.filled_avg_price or ZERO) - bought.filled_qty * (bought.filled_avg_price or ZERO)
        assert abs(_account(trader).cash - before - earned) <= abs(bought.filled_qty * (bought.filled_avg_price or ZERO)) / 100

    async def test_an_order_that_rests_costs_nothing_yet(self, trader: Trader) -> None:
        """Cash stays; what can be bought for does not grow."""
        before = _account(trader)
        await trader.resting()
        await trader.sync.refresh()
        assert _account(trader).cash == before.cash
        assert _account(trader).buying_power <= before.buying_power

    async def test_a_cancelled_order_gives_back_what_it_claimed(self, trader: Trader) -> None:
        """What can be bought for is what it was."""
        before = _account(trader)
        await trader.ended(await trader.resting())
        await trader.sync.refresh()
        assert _account(trader).buying_power == before.buying_power

    @pytest.mark.parametrize("part", list(Part))
    async def test_every_part_is_read_at_the_start(self, trader: Trader, part: Part) -> None:
        """It is well, and says when it was read."""
        health = trader.sync.state.health[part]
        assert health.ok, health
        assert health.last_success is not None
        assert health.last_success.tzinfo is UTC
        assert 0 <= trader.sync.state.age(part) < math.inf

    @pytest.mark.parametrize("part", list(Part))
    async def test_every_part_is_read_again_by_itself(self, trader: Trader, part: Part) -> None:
        """Nobody has to ask."""
        sync = trader.sync
        first = sync.state.health[part].last_attempt
        await trader.until(lambda: sync.state.health[part].last_attempt != first, f"another read of {part}", step=_POLL / 4)
        await trader.until(lambda: sync.state.health[part].ok, f"a good read of {part}")

    async def test_refreshing_reads_all_parts(self, trader: Trader) -> None:
        """Each is younger than before, or read at the same moment, and well."""
        before = trader.sync.state
        state = await trader.sync.refresh()
        assert state.ok
        for part in Part:
            was, now = before.health[part].last_success, state.health[part].last_success
            assert was is not None
            assert now is not None
            assert now >= was

    async def test_a_state_is_a_value(self, trader: Trader) -> None:
        """What was read yesterday does not change today."""
        before = trader.sync.state
        cash = before.cash
        await trader.bought()
        after = await trader.sync.refresh()
        assert before.cash == cash
        assert before.positions == {}
        assert after.positions != {}

    async def test_those_who_asked_are_told_of_every_read(self, trader: Trader) -> None:
        """A callback gets the state after it, and nothing once it is cancelled."""
        heard = Heard()
        subscription = trader.sync.on_change(heard)
        state = await trader.sync.refresh()
        await trader.settled()
        assert heard.items[-1].account == state.account
        subscription.cancel()
        told = len(heard)
        await trader.sync.refresh()
        await trader.settled()
        assert len(heard) == told

    async def test_observers_are_told_account_and_positions(self, subject: Subject) -> None:
        """The hook hears what the state holds."""
        heard: list[tuple[Connection, Account, Sequence[Position]]] = []

        class Observer:
            @hookimpl
            def broker_synced(self, connection: Connection, account: Account, positions: Any) -> None:
                heard.append((connection, account, positions))

        async with subject.connect(Observer()) as session:
            trader = Trader(subject, session)
            await trader.sync.refresh()
            await trader.until(lambda: heard, "a call of the hook")
            connection, account, positions = heard[-1]
        assert connection == session.connection
        assert account.account_id == connection.account_id
        assert list(positions) == []

    @pytest.mark.parametrize("count", [0, 1, 3])
    async def test_open_orders_are_counted(self, trader: Trader, count: int) -> None:
        """Those that rest, and no others."""
        _ = trader.sync
        for _ in range(count):
            await trader.resting()
        assert (await trader.sync.refresh()).open_orders == count

    async def test_reading_again_and_again_finds_nothing_amiss(self, trader: Trader) -> None:
        """Positions, orders and fills agree with each other, and the broker says nothing that its plugin does not know."""
        await trader.bought()
        await trader.resting()
        for _ in range(3):
            state = await trader.sync.refresh()
            assert state.audit == {}
            assert state.drift == {}
        assert list(trader.session.findings) == []

    async def test_equity_of_the_last_close_is_a_decimal_or_unknown(self, trader: Trader) -> None:
        """``last_equity`` may be None, and is no float."""
        last = _account(trader).last_equity
        assert last is None or isinstance(last, Decimal)

    async def test_shorting_is_allowed_where_it_is_declared(self, trader: Trader) -> None:
        """The capability and the account do not contradict each other."""
        trader.needs("short")
        assert _account(trader).shorting_enabled
