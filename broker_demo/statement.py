"""What the account's books say: positions, figures, executions."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import attrs

from broker_core.clock import from_ns
from broker_core.models import Position
from broker_core.orders import ZERO, EventKind, OrderEvent, Source, State
from broker_demo.account import AccountState
from broker_demo.funds import Funds
from broker_demo.ledger import Bust, Fill, Ledger
from broker_demo.paper_order import PaperOrder


@attrs.frozen(kw_only=True)
class Portfolio:
    """The figures of the whole account, in its currency. ``short_market_value`` is below zero or zero."""

    cash: Decimal
    equity: Decimal
    last_equity: Decimal
    """At the last close, or at the beginning of the account."""
    buying_power: Decimal
    claimed: Decimal
    """What open orders keep for themselves."""
    long_market_value: Decimal
    short_market_value: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal


def positions(ledger: Ledger, mark: Callable[[str], Decimal]) -> list[Position]:
    """All positions, valued at ``mark``, by symbol."""
    found = []
    for symbol, held in ledger.positions.items():
        price = mark(symbol)
        value = held.qty * price
        found.append(
            Position(
                symbol=symbol,
                qty=held.qty,
                avg_entry_price=held.avg_entry_price,
                current_price=price,
                market_value=value,
                unrealized_pnl=value - held.cost,
            )
        )
    return found


def portfolio(state: AccountState, funds: Funds, mark: Callable[[str], Decimal]) -> Portfolio:
    """The figures of the whole account, valued at ``mark``."""
    ledger = state.ledger
    values = [(held.qty * mark(symbol), held.cost) for symbol, held in ledger.positions.items()]
    market_value = sum((value for value, _ in values), start=ZERO)
    return Portfolio(
        cash=ledger.cash,
        equity=ledger.cash + market_value,
        last_equity=state.closes[-1].equity if state.closes else ledger.opening_cash,
        buying_power=max(funds.buying_power(), ZERO),
        claimed=funds.claimed_amount(),
        long_market_value=sum((value for value, _ in values if value > 0), start=ZERO),
        short_market_value=sum((value for value, _ in values if value < 0), start=ZERO),
        realized_pnl=ledger.realized_pnl,
        unrealized_pnl=sum((value - cost for value, cost in values), start=ZERO),
    )


def executions(state: AccountState, order_of: Callable[[str], PaperOrder], since_ns: int) -> list[OrderEvent]:
    """Fills after ``since_ns``, and those taken back after it, in order of time."""
    ledger = state.ledger
    told = [(fill.at_ns, fill_event(fill, order_of(fill.order_id))) for fill in ledger.fills if fill.at_ns > since_ns]
    for bust in ledger.busts:
        fill = ledger.fill(bust.execution_id)
        if bust.at_ns > since_ns and fill is not None:
            event = bust_event(bust, fill, order_of(fill.order_id))
            told.append((bust.at_ns, attrs.evolve(event, source=Source.ACTIVITY)))
    return [event for _, event in sorted(told, key=lambda pair: pair[0])]


def fill_event(fill: Fill, order: PaperOrder) -> OrderEvent:
    """An execution out of the books, as it was told when it happened (source ``activity``)."""
    complete = order.request.qty is not None and fill.filled_qty >= order.request.qty
    return OrderEvent(
        kind=EventKind.FILL,
        source=Source.ACTIVITY,
        at=from_ns(fill.at_ns),
        status=State.FILLED if complete else State.PARTIAL_FILL,
        client_order_id=order.client_order_id,
        broker_order_id=order.order_id,
        execution_id=fill.execution_id,
        qty=fill.qty,
        price=fill.price,
        filled_qty=fill.filled_qty,
        filled_avg_price=fill.filled_avg_price,
        request=order.request,
    )


def bust_event(bust: Bust, fill: Fill, order: PaperOrder) -> OrderEvent:
    """An execution taken back (source ``stream``). The order's totals are those without it."""
    return order.event(
        EventKind.BUST,
        at=from_ns(bust.at_ns),
        status=None,
        execution_id=bust.bust_id,
        busts=bust.execution_id,
        qty=fill.qty,
        price=fill.price,
    )
