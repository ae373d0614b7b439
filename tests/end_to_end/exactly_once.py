"""Orders sent while the network misbehaves, and then two accounts of them that must agree: the session's and the exchange's.

Each order is sent over real sockets by the plugin for Alpaca while, by chance, a fault falls somewhere into the exchange of words about
it: before the connection, before the request takes effect, after it, into the answer, far too late; and into the look-ups that follow.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import attrs
from comparison import compare
from paired import Pair, pair

from broker_alpaca.config import Mode
from broker_core import LimitOrder, MarketOrder
from broker_core.clock import seeded
from broker_core.errors import OrderVetoed, RemoteError
from broker_core.orders import Order, OrderChange
from broker_core.requests import OrderRequest

SYMBOLS = ("AAPL", "AMD", "AMZN", "KO", "JPM", "MSFT", "NVDA", "SPY", "QQQ", "XOM")
_ORDERS = {"path": "/v2/orders"}
_ANY_ORDER = {"path": "/v2/orders*"}


def script(seed: int) -> list[dict[str, Any]]:
    """The faults of a run: about every second order meets one, and so do a tenth of all look-ups, listings and cancellations."""
    on_send: list[dict[str, Any]] = [
        {"kind": "reset", "when": "before", "probability": 0.06},
        {"kind": "reset", "when": "after", "probability": 0.06},
        {"kind": "reset", "when": "during", "probability": 0.06},
        {"kind": "error", "when": "before", "status": 503, "probability": 0.05},
        {"kind": "error", "when": "after", "status": 504, "probability": 0.05},
        {"kind": "html", "when": "after", "status": 502, "probability": 0.04},
        {"kind": "truncated", "probability": 0.04},
        {"kind": "empty", "probability": 0.03},
        {"kind": "rate_limit", "retry_after": 1, "limit": 100_000, "probability": 0.04},
        {"kind": "duplicate", "answer": "first", "probability": 0.03},
        {"kind": "duplicate", "answer": "second", "probability": 0.03},
        # Longer than anybody waits: the order takes effect when its sender has long begun to look for it.
        {"kind": "latency", "when": "before", "seconds": 20, "probability": 0.01},
        {"kind": "latency", "when": "after", "seconds": 20, "probability": 0.01},
    ]
    on_read: list[dict[str, Any]] = [
        {"kind": "reset", "when": "before", "probability": 0.03},
        {"kind": "error", "when": "before", "status": 500, "probability": 0.03},
        {"kind": "html", "when": "before", "status": 502, "probability": 0.02},
        {"kind": "truncated", "probability": 0.02},
    ]
    on_cancel: list[dict[str, Any]] = [
        {"kind": "reset", "when": "before", "probability": 0.05},
        {"kind": "reset", "when": "after", "probability": 0.05},
        {"kind": "error", "when": "after", "status": 504, "probability": 0.05},
        {"kind": "late_cancel", "seconds": 2, "probability": 0.05},
    ]
    faults = [{**fault, **_ORDERS, "method": "POST"} for fault in on_send]
    faults += [{**fault, **_ANY_ORDER, "method": "GET"} for fault in on_read]
    faults += [fault if fault["kind"] == "late_cancel" else {**fault, **_ANY_ORDER, "method": "DELETE"} for fault in on_cancel]
    faults += [
        {"kind": "refuse_connection", "probability": 0.03},
        {"kind": "lose", "socket": "trading", "probability": 0.02},
        {"kind": "duplicate", "socket": "trading", "probability": 0.02},
        {"kind": "reorder", "socket": "trading", "probability": 0.02},
        {"kind": "drop", "socket": "trading", "probability": 0.002},
    ]
    return [{**fault, "seed": seed * 1000 + number} for number, fault in enumerate(faults)]


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of the orders of one run. The three lists must be empty; each entry is one sentence."""

    orders: int
    states: dict[str, int]
    struck: dict[str, int]
    """How often each kind of fault has struck."""
    doubted: int
    """Orders that were in doubt for a while."""
    duplicates: Sequence[str]
    """Orders at the exchange beyond the one that was asked for."""
    forgotten: Sequence[str]
    """Orders or fills at the exchange that the session does not know."""
    wrong: Sequence[str]
    """Orders whose end the session states differently."""


async def prove(orders: int, *, seed: int = 1, at_once: int = 20, mode: Mode = Mode.HTTP) -> Outcome:
    """Send so many orders, take each to its end, and compare."""
    async with pair(script(seed), mode=mode, deadline=15.0) as both:
        lanes = asyncio.Semaphore(at_once)
        chance = seeded(seed)
        doubted: set[str] = set()

        def note(change: OrderChange) -> None:
            if change.order.in_doubt:
                doubted.add(change.order.local_id)

        both.session.orders.on_change(note)

        denied: list[OrderVetoed | RemoteError] = []

        async def one(request: OrderRequest) -> None:
            async with lanes:
                try:
                    await _to_its_end(both, request)
                except (OrderVetoed, RemoteError) as error:
                    denied.append(error)

        await asyncio.gather(*(one(_request(chance)) for _ in range(orders)))
        struck: Counter[str] = Counter()
        for fault in tuple(both.box.desk.faults):
            struck[fault.terms.kind] += fault.struck
            both.box.desk.faults.remove(fault.fault_id)
        # An order that was held up on its way longer than anybody waited for it may still arrive.
        await both.clock.sleep(45)
        await both.session.sync.refresh()
        duplicates, forgotten, wrong = compare(both, orders)
        held = {order.client_order_id for order in both.held}
        for order, error in [(error.order, error) for error in denied if error.order is not None]:
            if order.local_id in held:
                forgotten.append(f"{order.local_id} is held, and was denied: {error}")
        states = Counter(order.state.value for order in both.session.orders.book.orders())
        return Outcome(
            orders=orders,
            states=dict(states),
            struck=dict(struck),
            doubted=len(doubted),
            duplicates=duplicates,
            forgotten=forgotten,
            wrong=wrong,
        )


def _request(chance: Random) -> OrderRequest:
    symbol, qty = chance.choice(SYMBOLS), chance.randrange(1, 9)
    if chance.random() < 0.3:
        return LimitOrder(symbol, "buy", qty=qty, limit_price="1.5", time_in_force="gtc")
    return MarketOrder(symbol, "buy", qty=qty)


async def _to_its_end(both: Pair, request: OrderRequest) -> None:
    """Raises OrderVetoed and RemoteError, which say that there is no such order at the exchange."""
    orders = both.session.orders
    order = await orders.submit(request)
    if isinstance(request, LimitOrder):
        order = await both.call_off(await _settled(both, order))
    await orders.done(order)


async def _settled(both: Pair, order: Order) -> Order:
    book = both.session.orders.book
    while (present := book.get(order.local_id) or order).in_doubt:
        await book.wait(order.local_id)
    return present
