from datetime import UTC, datetime

import attrs
import pytest

from broker_core.models import Bar, Channel, Quote, SignedIn, Trade
from broker_core.orders import EventKind, OrderEvent, Source
from broker_core.routing import Router

ORDER = OrderEvent(kind=EventKind.ACCEPTED, source=Source.STREAM, at=datetime(2026, 3, 2, tzinfo=UTC))
QUOTE = Quote("A", 1, 1.0, 1.0, 2.0, 1.0)
TRADE = Trade("A", 1, 1.5, 1.0)
BAR = Bar("A", 1, 1.0, 2.0, 1.0, 2.0, 10.0, 3, 1.5)


@attrs.define
class ExchangeQuote(Quote):
    exchange: str = "V"


class Desk:
    def __init__(self):
        self.orders = []
        self.changes = []
        self.router = Router(self.orders.append, self.changes.append)

    def listen(self, channel, *symbols):
        items = []
        self.router.add(channel, symbols, items.append)
        return items


@pytest.fixture
def desk():
    return Desk()


def test_items_go_by_kind_and_symbol(desk):
    """
    A consumer gets what it asked for: its channel, its symbols, in order, and nothing else.
    """
    quotes, trades, bars = (desk.listen(channel, "A") for channel in (Channel.QUOTES, Channel.TRADES, Channel.BARS))
    other = Quote("B", 1, 1.0, 1.0, 2.0, 1.0)

    desk.router.route([SignedIn(), QUOTE, TRADE, other, BAR, ORDER, QUOTE])

    assert [QUOTE, QUOTE] == quotes
    assert [TRADE] == trades
    assert [BAR] == bars
    assert [ORDER] == desk.orders


def test_everybody_gets_a_copy(desk):
    """
    Several consumers of one symbol all get its items.
    """
    first, second = desk.listen(Channel.QUOTES, "A"), desk.listen(Channel.QUOTES, "B", "A")

    desk.router.route([QUOTE])

    assert [QUOTE] == first == second


def test_the_wish_changes_with_the_first_and_the_last(desk):
    """
    Only the first consumer of a symbol and the last change what is wanted of the broker.
    """
    first, second = [], []
    desk.router.add(Channel.QUOTES, ("A",), first.append)
    desk.router.add(Channel.QUOTES, ("A",), second.append)
    assert [Channel.QUOTES] == desk.changes

    desk.router.remove(Channel.QUOTES, ("A",), first.append)
    assert frozenset({"A"}) == desk.router.symbols(Channel.QUOTES)
    assert [Channel.QUOTES] == desk.changes

    desk.router.remove(Channel.QUOTES, ("A",), second.append)
    desk.router.route([QUOTE])
    assert frozenset() == desk.router.symbols(Channel.QUOTES)
    assert [Channel.QUOTES, Channel.QUOTES] == desk.changes
    assert [] == first == second


def test_removing_somebody_unknown_changes_nothing(desk):
    """
    Unsubscribing twice does not take anybody else's items away.
    """
    items = desk.listen(Channel.QUOTES, "A")

    desk.router.remove(Channel.QUOTES, ("A", "B"), [].append)
    desk.router.route([QUOTE])

    assert [QUOTE] == items


def test_a_plugins_own_kind_of_quote_is_a_quote(desk):
    """
    Types that a plugin derives from ours are routed like ours, the first time and later.
    """
    items = desk.listen(Channel.QUOTES, "A")
    derived = ExchangeQuote("A", 1, 1.0, 1.0, 2.0, 1.0)

    desk.router.route([derived])
    desk.router.route([derived, QUOTE])

    assert [derived, derived, QUOTE] == items


def test_what_is_no_item_costs_its_neighbours_nothing(desk, caplog):
    """
    Something that is no item of a stream is left out and logged once, and its neighbours arrive.
    """
    items = desk.listen(Channel.QUOTES, "A")

    desk.router.route([QUOTE, {"symbol": "A"}, QUOTE, {"symbol": "A"}])

    assert [QUOTE, QUOTE] == items
    assert len([record for record in caplog.records if "dict" in record.getMessage()]) == 1


def test_a_consumer_may_leave_in_the_middle_of_a_frame(desk):
    """
    A consumer that unsubscribes while a frame is routed gets no further item of it, and the others get theirs.
    """
    got = []

    def once(item):
        got.append(item)
        desk.router.remove(Channel.QUOTES, ("A",), once)

    desk.router.add(Channel.QUOTES, ("A",), once)
    others = desk.listen(Channel.QUOTES, "A")

    desk.router.route([QUOTE, QUOTE])

    assert [QUOTE] == got
    assert [QUOTE, QUOTE] == others
