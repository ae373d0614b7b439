"""The books: cash and holdings."""

from __future__ import annotations

from decimal import Decimal

import pytest

from broker_core.requests import Side
from broker_demo.ledger import Bust, Fill, Holding, Ledger

D = Decimal


def fill(number, side, qty, price, symbol="ABC"):
    return Fill(
        execution_id=f"E{number}",
        order_id="O",
        symbol=symbol,
        side=Side(side),
        qty=D(qty),
        price=D(price),
        at_ns=number,
        filled_qty=D(qty),
        filled_avg_price=D(price),
    )


def booked(*fills):
    ledger = Ledger(D(1000))
    for entry in fills:
        ledger.book(entry)
    return ledger


def bust(number):
    return Bust(bust_id=f"B{number}", execution_id=f"E{number}", at_ns=99)


def test_new_books_hold_the_opening_cash():
    """Without executions there is the opening cash and nothing else."""
    ledger = booked()

    assert (ledger.cash, dict(ledger.positions), ledger.realized_pnl) == (1000, {}, 0)
    assert ledger.holding("ABC") == Holding()


def test_purchases_average_their_prices():
    """Two purchases make a position at their average price, paid from the cash."""
    ledger = booked(fill(1, "buy", 10, 10), fill(2, "buy", 30, 12))

    assert ledger.holding("ABC").qty == 40
    assert ledger.holding("ABC").avg_entry_price == D("11.5")
    assert ledger.cash == 1000 - 100 - 360


def test_partial_sale_realises_its_share():
    """A partial sale earns the difference to the average price, which stays what it was."""
    ledger = booked(fill(1, "buy", 10, 10), fill(2, "sell", 4, 12))

    assert ledger.holding("ABC") == Holding(D(6), D(60), D(8))
    assert ledger.cash == 948


def test_whole_sale_leaves_no_rest():
    """A position bought at an average that cannot be written exactly is closed without a rest of cost."""
    ledger = booked(fill(1, "buy", 3, "10.01"), fill(2, "buy", 4, "10.02"), fill(3, "sell", 5, 11), fill(4, "sell", 2, 11))

    assert ledger.holding("ABC").cost == 0
    assert ledger.realized_pnl == 77 - 3 * D("10.01") - 4 * D("10.02")
    assert "ABC" not in ledger.positions


def test_short_position_earns_when_the_price_falls():
    """A short sale brings cash in at once, and earns when bought back below."""
    ledger = booked(fill(1, "sell", 10, 10))
    assert (ledger.cash, ledger.holding("ABC").qty, ledger.holding("ABC").avg_entry_price) == (1100, -10, 10)

    ledger.book(fill(2, "buy", 4, 8))

    assert ledger.holding("ABC") == Holding(D(-6), D(-60), D(8))


@pytest.mark.parametrize(("first", "second", "pnl"), [("buy", "sell", 10), ("sell", "buy", -10)])
def test_execution_through_zero_closes_and_opens(first, second, pnl):
    """An execution larger than the position closes it and opens one the other way at the execution's price."""
    ledger = booked(fill(1, first, 10, 10), fill(2, second, 15, 11))

    sign = 1 if second == "buy" else -1
    assert ledger.holding("ABC") == Holding(D(sign * 5), D(sign * 55), D(pnl))


def test_execution_taken_back_leaves_no_trace():
    """After a bust the books are those in which the execution had never been."""
    ledger = booked(fill(1, "buy", 10, 10), fill(2, "buy", 10, 20), fill(3, "sell", 5, 30), fill(4, "buy", 1, 7, "XYZ"))

    ledger.bust(bust(2))

    without = booked(fill(1, "buy", 10, 10), fill(3, "sell", 5, 30), fill(4, "buy", 1, 7, "XYZ"))
    assert ledger.cash == without.cash
    assert ledger.positions == without.positions
    assert ledger.realized_pnl == without.realized_pnl
    assert ledger.is_busted("E2")
    assert ledger.fill("E2") == fill(2, "buy", 10, 20)


@pytest.mark.parametrize("number", [1, 7])
def test_execution_is_taken_back_once(number):
    """An execution that is taken back already, or was never booked, cannot be taken back."""
    ledger = booked(fill(1, "buy", 10, 10))
    ledger.bust(bust(1))

    with pytest.raises(KeyError, match=f"E{number}"):
        ledger.bust(bust(number))


def test_shorts_are_the_positions_below_zero():
    """A short is known as one from the sale until it is bought back, also when that is taken back, and in books made anew."""
    ledger = booked(fill(1, "sell", 10, 10), fill(2, "buy", 1, 7, "XYZ"))
    assert ledger.shorts == {"ABC": ledger.holding("ABC")}

    ledger.book(fill(3, "buy", 10, 9))
    assert ledger.shorts == {}

    ledger.bust(bust(3))
    assert Ledger(ledger.opening_cash, ledger.fills, ledger.busts).shorts == ledger.shorts == {"ABC": ledger.holding("ABC")}


def test_books_are_rebuilt_from_their_entries():
    """Books made of the same executions and busts are the same books."""
    ledger = booked(fill(1, "buy", 10, 10), fill(2, "sell", 3, 20))
    ledger.bust(bust(1))

    again = Ledger(ledger.opening_cash, ledger.fills, ledger.busts)

    assert (again.cash, again.positions, again.realized_pnl) == (ledger.cash, ledger.positions, ledger.realized_pnl)
    assert again.is_busted("E1")
