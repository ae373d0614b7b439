"""Groups of orders, in which the fate of one decides that of the others."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from broker_core.orders import Order, State
from broker_core.requests import LimitOrder, MarketOrder, OrderClass, OrderRequest, OrderType, Side, StopLoss, TakeProfit, TimeInForce
from broker_core.testing.contract.laws import check_steps
from broker_core.testing.contract.suite import Suite
from broker_core.testing.contract.trader import Trader


def _other(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY


async def _bracket(trader: Trader, side: Side = Side.BUY, *, is_near: bool = False, at_once: bool = True) -> OrderRequest:
    """An entry with two exits: out of reach, or a few ticks away on both sides so that one is reached soon."""
    trader.needs(OrderClass.BRACKET, OrderType.MARKET, OrderType.LIMIT, OrderType.STOP)
    if side is Side.SELL:
        trader.needs("short")
    subject, price = trader.subject, await trader.price()
    away = subject.tick * 4
    sign = 1 if side is Side.BUY else -1
    gain = subject.rounded(price + sign * away) if is_near else subject.far(_other(side), price)
    loss = subject.rounded(price - sign * away) if is_near else subject.far_stop(_other(side), price)
    terms: dict[str, Any] = {
        "qty": subject.qty,
        "order_class": OrderClass.BRACKET,
        "take_profit": TakeProfit(gain),
        "stop_loss": StopLoss(loss),
        "time_in_force": TimeInForce.GTC if trader.can(TimeInForce.GTC) else TimeInForce.DAY,
    }
    if at_once:
        return MarketOrder(subject.symbol, side, **terms)
    limit = subject.far(side, price)
    distance = price * Decimal("0.05")
    terms["take_profit"] = TakeProfit(subject.rounded(limit + sign * distance))
    terms["stop_loss"] = StopLoss(subject.rounded(limit - sign * distance))
    return LimitOrder(subject.symbol, side, limit_price=limit, **terms)


async def _oco(trader: Trader, *, is_near: bool = False) -> OrderRequest:
    """Two exits of a long position."""
    trader.needs(OrderClass.OCO, OrderType.LIMIT, OrderType.STOP)
    await trader.bought()
    subject, price = trader.subject, await trader.price()
    away = subject.tick * 4
    gain = subject.rounded(price + away) if is_near else subject.far(Side.SELL, price)
    loss = subject.rounded(price - away) if is_near else subject.far_stop(Side.SELL, price)
    return LimitOrder(
        subject.symbol,
        Side.SELL,
        qty=subject.qty,
        limit_price=gain,
        order_class=OrderClass.OCO,
        stop_loss=StopLoss(loss),
        time_in_force=trader.day,
    )


async def _position(trader: Trader) -> Decimal:
    state = await trader.sync.refresh()
    position = state.positions.get(trader.subject.symbol)
    return Decimal(0) if position is None else position.qty


class TestOrderClasses(Suite):
    """Brackets, one-cancels-the-other, one-triggers-the-other."""

    async def _with_exits(self, trader: Trader, request: OrderRequest, count: int) -> tuple[Order, list[Order]]:
        order = await trader.submit(request)
        await trader.until(lambda: len(trader.exits(order)) == count, f"{count} exits of {order}")
        return order, trader.exits(order)

    @pytest.mark.parametrize("side", list(Side))
    async def test_a_bracket_comes_with_two_exits_that_rest(self, trader: Trader, side: Side) -> None:
        """They go the other way, with the entry's quantity, and know whose exits they are."""
        entry, _ = await self._with_exits(trader, await _bracket(trader, side), 2)
        assert (await trader.end_of(entry)).state is State.FILLED
        exits = trader.exits(entry)
        assert [leg.state for leg in exits] == [State.ACCEPTED] * 2
        assert {leg.side for leg in exits} == {_other(side)}
        assert {leg.qty for leg in exits} == {trader.subject.qty}
        assert {leg.request.order_type for leg in exits} == {OrderType.LIMIT, OrderType.STOP}
        assert {leg.parent_id for leg in exits} == {entry.local_id}

    async def test_exits_are_orders_like_others(self, trader: Trader) -> None:
        """They are among the open ones, here and at the broker, with the prices that were asked for."""
        request = await _bracket(trader)
        entry, _ = await self._with_exits(trader, request, 2)
        await trader.end_of(entry)
        exits = trader.exits(entry)
        open_ids = {order.local_id for order in trader.orders.open()}
        assert open_ids == {leg.local_id for leg in exits}
        assert {found.client_order_id for leg in exits if (found := await trader.at_broker(leg)) is not None} == open_ids
        assert request.take_profit is not None
        assert request.stop_loss is not None
        assert {leg.request.limit_price for leg in exits} - {None} == {request.take_profit.limit_price}
        assert {leg.request.stop_price for leg in exits} - {None} == {request.stop_loss.stop_price}

    @pytest.mark.parametrize("side", list(Side))
    async def test_one_exit_filled_ends_the_other(self, trader: Trader, side: Side) -> None:
        """Exactly one of them closes the position; the other is cancelled with nothing filled."""
        entry, _ = await self._with_exits(trader, await _bracket(trader, side, is_near=True), 2)
        await trader.until(lambda: all(leg.is_terminal for leg in trader.exits(entry)), "the end of both exits")
        exits = trader.exits(entry)
        assert sorted(leg.state.value for leg in exits) == ["canceled", "filled"]
        assert sorted(leg.filled_qty for leg in exits) == [0, trader.subject.qty]
        assert await _position(trader) == 0
        assert trader.orders.open() == []

    async def test_a_bracket_whose_entry_is_cancelled_leaves_no_exit(self, trader: Trader) -> None:
        """All three end, none is filled."""
        entry, _ = await self._with_exits(trader, await _bracket(trader, at_once=False), 2)
        assert (await trader.ended(entry)).state is State.CANCELED
        await trader.until(lambda: not trader.orders.open(), "the end of the exits")
        assert {leg.state for leg in trader.exits(entry)} == {State.CANCELED}
        assert await trader.open_at_broker() == set()

    async def test_exits_wait_for_their_entry(self, trader: Trader) -> None:
        """While the entry rests, no exit is filled, wherever the price is."""
        entry, _ = await self._with_exits(trader, await _bracket(trader, at_once=False), 2)
        for _ in range(3):
            await trader.subject.pass_time(1)
        assert trader.now(entry).state is State.ACCEPTED
        assert {leg.state for leg in trader.exits(entry)} == {State.ACCEPTED}
        assert trader.orders.positions_from_fills() == {}

    async def test_cancelling_one_exit_ends_the_group(self, trader: Trader) -> None:
        """The other exit goes with it; the position stays."""
        entry, _ = await self._with_exits(trader, await _bracket(trader), 2)
        await trader.end_of(entry)
        await trader.orders.cancel(trader.exits(entry)[0])
        await trader.until(lambda: not trader.orders.open(), "the end of both exits")
        assert {leg.state for leg in trader.exits(entry)} == {State.CANCELED}
        assert await _position(trader) == trader.subject.qty

    async def test_cancelling_everything_ends_a_whole_bracket(self, trader: Trader) -> None:
        """Although the exits go with each other."""
        entry, _ = await self._with_exits(trader, await _bracket(trader), 2)
        await trader.end_of(entry)
        await trader.orders.cancel_all()
        await trader.until(lambda: not trader.orders.open(), "the end of all")
        assert await trader.open_at_broker() == set()

    @pytest.mark.parametrize("kind", ["take_profit", "stop_loss"])
    async def test_one_that_triggers_another_comes_with_one_exit(self, trader: Trader, kind: str) -> None:
        """It rests once the entry is filled, and can be cancelled."""
        trader.needs(OrderClass.OTO, OrderType.MARKET, OrderType.LIMIT if kind == "take_profit" else OrderType.STOP)
        price = await trader.price()
        gain = TakeProfit(trader.subject.far(Side.SELL, price)) if kind == "take_profit" else None
        loss = StopLoss(trader.subject.far_stop(Side.SELL, price)) if kind == "stop_loss" else None
        request = await trader.request(order_class=OrderClass.OTO, take_profit=gain, stop_loss=loss)
        entry, _ = await self._with_exits(trader, request, 1)
        assert (await trader.end_of(entry)).state is State.FILLED
        (leg,) = trader.exits(entry)
        assert leg.state is State.ACCEPTED
        assert (leg.side, leg.qty) == (Side.SELL, trader.subject.qty)
        await trader.orders.cancel(leg)
        await trader.until(lambda: trader.now(leg).is_terminal, "the end of the exit")
        assert trader.now(leg).state is State.CANCELED
        assert await _position(trader) == trader.subject.qty

    async def test_a_pair_of_exits_rests(self, trader: Trader) -> None:
        """The order itself is the gain's side, and the loss's side comes with it."""
        order, (leg,) = await self._with_exits(trader, await _oco(trader), 1)
        await trader.settled()
        assert trader.now(order).state is State.ACCEPTED
        assert trader.now(leg).state is State.ACCEPTED
        assert leg.request.stop_price is not None
        assert leg.side is Side.SELL

    async def test_of_a_pair_one_is_filled_and_the_other_ends(self, trader: Trader) -> None:
        """The shares are sold once."""
        order, (leg,) = await self._with_exits(trader, await _oco(trader, is_near=True), 1)
        await trader.until(lambda: trader.now(order).is_terminal and trader.now(leg).is_terminal, "the end of both")
        states = sorted((trader.now(order).state.value, trader.now(leg).state.value))
        assert states == ["canceled", "filled"]
        assert await _position(trader) == 0

    @pytest.mark.parametrize("which", ["gain", "loss"])
    async def test_cancelling_one_of_a_pair_ends_both(self, trader: Trader, which: str) -> None:
        """The position stays."""
        order, (leg,) = await self._with_exits(trader, await _oco(trader), 1)
        await trader.orders.cancel(order if which == "gain" else leg)
        await trader.until(lambda: not trader.orders.open(), "the end of both")
        assert (trader.now(order).state, trader.now(leg).state) == (State.CANCELED, State.CANCELED)
        assert await _position(trader) == trader.subject.qty

    async def test_history_of_a_group_is_lawful(self, trader: Trader) -> None:
        """Every member has its own, without a step back."""
        entry, _ = await self._with_exits(trader, await _bracket(trader, is_near=True), 2)
        await trader.until(lambda: not trader.orders.open(), "the end of all")
        await trader.check(entry)
        for leg in trader.exits(entry):
            check_steps(await trader.orders.history(leg.local_id))
