"""``broker orders``: list, why, submit, cancel."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import click

from broker_core.cli.exits import Exit
from broker_core.cli.invocation import Invocation, shared_options
from broker_core.cli.items import CHANGE_COLUMNS, ORDER_COLUMNS, change_item, change_row, order_item
from broker_core.cli.output import Output, number
from broker_core.cli.running import ask, run
from broker_core.clock import SystemClock, within
from broker_core.errors import OrderVetoed, RemoteError
from broker_core.models import Environment
from broker_core.order_terms import order_request
from broker_core.orders import Order, OrderChange, State
from broker_core.requests import OrderClass, OrderRequest, OrderType, Side, StopLoss, TakeProfit, TimeInForce

if TYPE_CHECKING:
    from broker_core.session import Session

_SECONDS = click.FloatRange(min=0, min_open=True)


def _words_of(kind: type[StrEnum]) -> click.Choice[str]:
    # As plain texts, because versions of click differ in whether an enum's names or values are the words.
    return click.Choice([word.value for word in kind])


# An order of several option legs is more than a line of options can say.
_CLASSES = click.Choice([word.value for word in OrderClass if word is not OrderClass.MLEG])


@click.group()
@shared_options
def orders() -> None:
    """List, explain, submit and cancel orders."""


@orders.command("list")
@shared_options
@click.pass_obj
def list_orders(invocation: Invocation) -> None:
    """Show the orders that have not ended."""
    run(invocation, _list(invocation))


async def _list(invocation: Invocation) -> None:
    async with invocation.session() as session:
        items = [order_item(order) for order in session.orders.open()]
        invocation.output.items(items, title="open orders", columns=ORDER_COLUMNS, empty="no open orders")


@orders.command()
@click.argument("order_id", metavar="ID")
@shared_options
@click.pass_obj
def why(invocation: Invocation, order_id: str) -> None:
    """Explain an order: every piece of news, where it came from, and the rule that let it through."""
    run(invocation, _why(invocation, order_id))


async def _why(invocation: Invocation, order_id: str) -> None:
    async with invocation.session() as session:
        changes = await session.orders.history(order_id)
        if not changes:
            raise ValueError(f"there is no order {order_id} in {session.database or 'this session'}")
        output = invocation.output
        items = [change_item(change) if output.as_json else change_row(change) for change in changes]
        output.items(items, title=f"order {order_id}: {_words(changes[-1].order)}", columns=CHANGE_COLUMNS)


@orders.command()
@click.argument("symbol")
@click.argument("side", type=_words_of(Side))
@click.argument("qty", required=False)
@click.option("--notional", metavar="AMOUNT", help="Trade this amount of the account's currency instead of a quantity.")
@click.option("--type", "order_type", type=_words_of(OrderType), help="By default the one that the given prices make it.")
@click.option("--limit-price", metavar="PRICE")
@click.option("--stop-price", metavar="PRICE")
@click.option("--trail-price", metavar="AMOUNT", help="Distance of a trailing stop, as an amount.")
@click.option("--trail-percent", metavar="PERCENT", help="Distance of a trailing stop, in percent.")
@click.option("--tif", "time_in_force", type=_words_of(TimeInForce), default=TimeInForce.DAY.value, show_default=True)
@click.option("--class", "order_class", type=_CLASSES, help="By default bracket with both exits, oto with one.")
@click.option("--take-profit", metavar="PRICE", help="Exit with a gain at this price.")
@click.option("--stop-loss", metavar="PRICE", help="Exit with a loss once this price is reached.")
@click.option("--stop-loss-limit", metavar="PRICE", help="The worst price of the exit with a loss.")
@click.option("--extended-hours", is_flag=True, help="Trade outside regular hours as well.")
@click.option("--strategy", metavar="TEXT", help="Your own label, kept in every record of the order.")
@click.option("--signal-id", metavar="TEXT", help="Your own label, kept in every record of the order.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the order has ended.")
@click.option("--timeout", metavar="SECONDS", type=_SECONDS, default=30.0, show_default=True, help="Wait no longer than this.")
@click.option("--yes-live", metavar="ACCOUNT", help="Confirm an order with real money by the account's number.")
@shared_options
@click.pass_obj
def submit(invocation: Invocation, /, symbol: str, side: str, *, wait: bool, timeout: float, yes_live: str | None, **terms: Any) -> None:
    """Submit an order: SYMBOL buy|sell QTY.

    Each change of the order is shown as it happens. The exit code tells how it ended; an order that is still working after --timeout
    goes on working.
    """
    request = _request(symbol, side, **terms)
    run(invocation, _submit(invocation, request, timeout if wait else None, yes_live))


def _request(
    symbol: str,
    side: str,
    *,
    order_type: str | None,
    order_class: str | None,
    take_profit: str | None,
    stop_loss: str | None,
    stop_loss_limit: str | None,
    **terms: Any,
) -> OrderRequest:
    if stop_loss_limit is not None and stop_loss is None:
        raise ValueError("--stop-loss-limit stands beside --stop-loss, never alone")
    exits = sum(price is not None for price in (take_profit, stop_loss))
    return order_request(
        order_type or _implied_type(terms),
        symbol,
        side,
        order_class=order_class or (OrderClass.SIMPLE, OrderClass.OTO, OrderClass.BRACKET)[exits],
        take_profit=None if take_profit is None else TakeProfit(take_profit),
        stop_loss=None if stop_loss is None else StopLoss(stop_loss, stop_loss_limit),
        **terms,
    )


def _implied_type(terms: dict[str, Any]) -> OrderType:
    if terms["trail_price"] is not None or terms["trail_percent"] is not None:
        return OrderType.TRAILING_STOP
    if terms["stop_price"] is not None:
        return OrderType.STOP if terms["limit_price"] is None else OrderType.STOP_LIMIT
    return OrderType.MARKET if terms["limit_price"] is None else OrderType.LIMIT


async def _submit(invocation: Invocation, request: OrderRequest, timeout: float | None, yes_live: str | None) -> None:
    async with invocation.session() as session:
        if session.connection.environment is Environment.LIVE:
            await _confirm_live(session, request, yes_live)
        changes = session.orders.changes()
        try:
            order = await session.orders.submit(request)
        except (OrderVetoed, RemoteError) as error:
            if error.order is not None:
                _show(invocation.output, error.order)
            raise
        if timeout is not None:
            with suppress(TimeoutError):
                await within(SystemClock(), timeout, _follow(invocation.output, changes, order))
        order = session.orders.get(order.local_id) or order
        if timeout is None:
            _show(invocation.output, order)
        invocation.exit = _exit(order, waited=timeout is not None)


async def _follow(output: Output, changes: AsyncIterator[OrderChange], order: Order) -> None:
    async for change in changes:
        if change.order.local_id == order.local_id:
            _show(output, change.order)
            if change.order.is_terminal:
                return


async def _confirm_live(session: Session, request: OrderRequest, given: str | None) -> None:
    account_id = session.connection.account_id
    if given is None and sys.stdin.isatty():
        given = await ask(
            f"REAL MONEY: {request.side} {_amount(request)} {request.symbol} in account {account_id}.\n"
            "Type the account's number to confirm: "
        )
    if given != account_id:
        raise ValueError(f"an order with real money needs --yes-live {account_id}, the number of the account it is for")


def _amount(request: OrderRequest) -> str:
    return f"for {request.notional:f}" if request.qty is None else f"{request.qty:f}"


def _show(output: Output, order: Order) -> None:
    if output.as_json:
        output.item(order_item(order))
    else:
        output.line(f"{order.local_id}  {order.side} {_amount(order.request)} {order.symbol}  {_words(order)}")


def _words(order: Order) -> str:
    words = str(order.state).replace("_", " ")
    if order.in_doubt:
        words += ", in doubt"
    if order.filled_qty:
        words += f", {number(order.filled_qty)} at {number(order.filled_avg_price or order.filled_qty * 0)}"
    return f"{words}: {order.reason}" if order.reason else words


def _exit(order: Order, *, waited: bool) -> Exit:
    if order.state is State.REJECTED:
        return Exit.REFUSED
    if order.state is State.FAILED:
        return Exit.BROKER
    if order.in_doubt or (waited and not order.is_terminal):
        return Exit.UNKNOWN
    return Exit.DONE


@orders.command()
@click.argument("order_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Cancel every open order.")
@click.option("--timeout", metavar="SECONDS", type=_SECONDS, default=10.0, show_default=True, help="Wait no longer for their end.")
@shared_options
@click.pass_obj
def cancel(invocation: Invocation, order_ids: tuple[str, ...], *, every: bool, timeout: float) -> None:
    """Cancel orders, and wait for their end: a fill may still win."""
    if bool(order_ids) == every:
        raise click.UsageError("name the orders to cancel, or give --all")
    run(invocation, _cancel(invocation, order_ids, timeout))


async def _cancel(invocation: Invocation, order_ids: tuple[str, ...], timeout: float) -> None:
    async with invocation.session() as session:
        chosen = [_known(session, order_id) for order_id in order_ids] or session.orders.open()
        asked = [await session.orders.cancel(order) for order in chosen]
        with suppress(TimeoutError):
            await within(SystemClock(), timeout, asyncio.gather(*(session.orders.done(order) for order in asked)))
        ended = [session.orders.get(order.local_id) or order for order in asked]
        items = [order_item(order) for order in ended]
        invocation.output.items(items, title="cancelled", columns=ORDER_COLUMNS, empty="no open orders")
        if not all(order.is_terminal for order in ended):
            invocation.exit = Exit.UNKNOWN


def _known(session: Session, order_id: str) -> Order:
    order = session.orders.get(order_id)
    if order is None:
        raise ValueError(f"there is no order {order_id} among the open ones; `broker orders list` shows them")
    return order
