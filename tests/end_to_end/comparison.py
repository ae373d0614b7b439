"""The session's book against the exchange's: every order, every fill, every position."""

from __future__ import annotations

from typing import Any

from paired import Pair

from broker_core import State
from broker_demo.paper_order import Status

_ENDS = {
    Status.FILLED: State.FILLED,
    Status.CANCELED: State.CANCELED,
    Status.EXPIRED: State.EXPIRED,
    Status.REJECTED: State.REJECTED,
}


def compare(both: Pair, asked: int) -> tuple[list[str], list[str], list[str]]:
    """What is at the exchange twice, what the session has forgotten, and what it states wrongly: a sentence each, none where they agree.

    ``asked`` is how many orders the session was asked for.
    """
    known = {order.local_id: order for order in both.session.orders.book.orders()}
    held: dict[str, list[Any]] = {}
    for paper in both.held:
        held.setdefault(paper.client_order_id, []).append(paper)
    duplicates = [f"{name} stands {len(same)} times at the exchange" for name, same in held.items() if len(same) > 1]
    if len(known) > asked:
        duplicates.append(f"the session knows {len(known)} orders, and was asked for {asked}")
    forgotten = [
        f"{name} is {same[0].status} at the exchange and unknown to the session" for name, same in held.items() if name not in known
    ]
    wrong = []
    for name, order in known.items():
        paper = held.get(name, [None])[0]
        if paper is None:
            if order.state not in (State.FAILED, State.REJECTED):
                wrong.append(f"{name} is {order.state} in the session and not at the exchange")
        elif order.state is not _ENDS.get(paper.status):
            told = f"{name} is {paper.status} at the exchange and {order.state} in the session"
            (forgotten if order.state is State.FAILED else wrong).append(told)
        elif order.filled_qty != paper.filled_qty:
            forgotten.append(f"{name} is filled with {paper.filled_qty}, the session knows of {order.filled_qty}")
    filled = both.session.orders.positions_from_fills()
    for symbol, holding in both.box.desk.exchange.state.ledger.positions.items():
        if filled.get(symbol) != holding.qty:
            wrong.append(f"{symbol}: {holding.qty} held at the exchange, {filled.get(symbol)} filled in the session")
    return duplicates, forgotten, wrong
