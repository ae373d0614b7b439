"""Finding orders."""

from __future__ import annotations

from decimal import Decimal

from broker_core.requests import LimitOrder, Side
from broker_demo.order_book import OrderBook
from broker_demo.paper_order import PaperOrder, Role, Status


def paper(number, symbol="ABC", side="buy", **terms):
    terms = {"status": Status.NEW, "opens": True, **terms}
    return PaperOrder(
        order_id=f"O{number}",
        client_order_id=f"C{number}",
        request=LimitOrder(symbol, side, qty=1, limit_price=1),
        created_ns=0,
        updated_ns=0,
        works_from_ns=0,
        expires_ns=None,
        reserve_price=Decimal(1),
        **terms,
    )


def group():
    shared = {"group_id": "O1"}
    entry = paper(1, **shared)
    gain = paper(2, role=Role.TAKE_PROFIT, is_leg=True, **shared)
    loss = paper(3, role=Role.STOP_LOSS, is_leg=True, **shared)
    return entry, gain, loss


def test_orders_are_found_by_both_ids():
    """Every order is found by the exchange's id and by its client order id, ended or not."""
    one, ended = paper(1), paper(2, status=Status.FILLED)
    book = OrderBook([one, ended])

    assert (book.get("O1"), book.get("O2"), book.get("O3")) == (one, ended, None)
    assert (book.by_client_id("C1"), book.by_client_id("C2"), book.by_client_id("C3")) == (one, ended, None)


def test_open_orders_are_kept_by_symbol_in_the_order_they_came():
    """Open orders are listed by symbol, the oldest first, until they are retired."""
    first, other, second = paper(1), paper(2, "AAA"), paper(3)
    book = OrderBook([first, other, second, paper(4, status=Status.CANCELED)])
    assert book.open_in("ABC") == (first, second)
    assert book.open() == [other, first, second]

    book.retire(other)

    assert book.open_symbols() == ["ABC"]
    assert book.open_in("AAA") == ()


def test_open_orders_are_kept_in_the_order_they_came_whatever_their_symbol():
    """The list over all symbols goes by time, in both directions, and changes with the orders."""
    first, other, third = paper(1, "ZZZ"), paper(2, "AAA"), paper(3, "ZZZ")
    book = OrderBook([first, paper(9, status=Status.FILLED), other, third])
    by_time = book.open_by_time()
    assert list(by_time) == [first, other, third]
    assert list(reversed(by_time)) == [third, other, first]

    book.retire(other)

    assert list(by_time) == [first, third]


def test_open_orders_are_found_by_the_way_they_go():
    """Those of one side, and those against it, in one symbol, until they are retired."""
    bought, sold, elsewhere = paper(1), paper(2, side="sell"), paper(3, "AAA", side="sell")
    book = OrderBook([bought, sold, elsewhere])
    assert book.open_on("ABC", Side.BUY) == book.open_against("ABC", Side.SELL) == (bought,)
    assert book.open_on("ABC", Side.SELL) == book.open_against("ABC", Side.BUY) == (sold,)

    book.retire(sold)

    assert book.open_against("ABC", Side.BUY) == ()


def test_group_members_know_each_other():
    """An order's companions are the other open members; its sibling is the other exit; an order alone has neither."""
    entry, gain, loss = group()
    alone = paper(9)
    book = OrderBook([entry, gain, loss, alone])

    assert book.companions(entry) == [gain, loss]
    assert (book.sibling(gain), book.sibling(loss), book.sibling(entry)) == (loss, gain, None)
    assert book.legs(entry) == [gain, loss]
    assert (book.companions(alone), book.legs(alone), book.legs(gain)) == ([], [], [])


def test_ended_and_replaced_members_drop_out():
    """A member that has ended is nobody's companion; a replaced one is no leg any more, and has none."""
    entry, gain, loss = group()
    book = OrderBook([entry, gain, loss])
    gain.end(Status.REPLACED, 1)
    new = paper(4, role=Role.TAKE_PROFIT, is_leg=True, group_id="O1")
    book.add(new)

    assert book.sibling(loss) is new
    assert book.legs(entry) == [loss, new]
    entry.end(Status.REPLACED, 2)
    assert book.legs(entry) == []
