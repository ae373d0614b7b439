from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from broker_core.models import Position
from broker_core.position_audit import Mismatch, PositionAudit

SYMBOLS = st.sampled_from(["A", "B", "C"])
QUANTITIES = st.decimals(-1000, 1000, places=4)
HOLDINGS = st.dictionaries(SYMBOLS, QUANTITIES)


def held(quantities):
    return [Position(symbol=symbol, qty=Decimal(qty), avg_entry_price=Decimal(10)) for symbol, qty in quantities.items() if qty]


@given(opening=HOLDINGS, earlier=HOLDINGS, fills=st.lists(st.tuples(SYMBOLS, QUANTITIES), max_size=20))
def test_a_broker_that_books_every_fill_agrees(opening, earlier, fills):
    """
    Whatever is filled, before the opening or after, long or short: a broker that books the same fills is never found to differ.
    """
    audit, ours, theirs = PositionAudit(), dict(earlier), dict(opening)
    audit.open(held(theirs), ours)
    for symbol, qty in fills:
        ours[symbol] = ours.get(symbol, Decimal(0)) + qty
        theirs[symbol] = theirs.get(symbol, Decimal(0)) + qty

        assert audit.compare(held(theirs), ours) == {}


@given(opening=HOLDINGS, symbol=SYMBOLS, missing=QUANTITIES.filter(bool))
def test_a_fill_that_one_side_lacks_is_the_difference(opening, symbol, missing):
    """
    A fill only the broker knows is the difference, with its sign; the other symbols still agree.
    """
    audit, theirs = PositionAudit(), dict(opening)
    audit.open(held(opening), {})
    theirs[symbol] = theirs.get(symbol, Decimal(0)) + missing

    assert {symbol: missing} == {name: mismatch.difference for name, mismatch in audit.compare(held(theirs), {}).items()}


def test_a_mismatch_says_both_sides():
    """
    A mismatch has what is expected and what the broker holds, also for positions that vanished or appeared.
    """
    audit = PositionAudit()
    audit.open(held({"A": "10", "B": "-5"}), {})

    found = audit.compare(held({"A": "10", "C": "3"}), {"A": Decimal(2)})

    assert found == {
        "A": Mismatch(Decimal(12), Decimal(10)),
        "B": Mismatch(Decimal(-5), Decimal(0)),
        "C": Mismatch(Decimal(0), Decimal(3)),
    }
    assert list(found) == ["A", "B", "C"]


def test_symbols_to_skip_are_not_looked_at():
    """
    A symbol about which nothing can be said now is neither right nor wrong.
    """
    audit = PositionAudit()
    audit.open([], {})

    assert audit.compare(held({"A": 1, "B": 1}), {}, skip={"A"}).keys() == {"B"}


def test_without_an_opening_nothing_is_found():
    """
    Before it is opened an audit has nothing to compare with.
    """
    audit = PositionAudit()
    assert not audit.is_open
    assert audit.compare(held({"A": 1}), {}) == {}

    audit.open([], {})

    assert audit.is_open


def test_two_positions_of_one_symbol_add_up():
    """
    A broker that lists a symbol twice holds the sum.
    """
    audit = PositionAudit()
    audit.open(held({"A": "3"}), {})

    assert audit.compare([*held({"A": "1"}), *held({"A": "2"})], {}) == {}
