from datetime import UTC, datetime

import attrs
import pytest

from broker_core.models import EVERY_SYMBOL, Bar, Channel, DailyBar, News, Quote, SignedIn, Trade, UpdatedBar
from broker_core.orders import EventKind, OrderEvent, Source
from broker_core.routing import Router

ORDER = OrderEvent(kind=EventKind.ACCEPTED, source=Source.STREAM, at=datetime(2026, 3, 2, tzinfo=UTC))
QUOTE = Quote("A", 1, 1.0, 1.0, 2.0, 1.0)
TRADE = Trade("A", 1, 1.5, 1.0)
BAR = Bar("A", 1, 1.0, 2.0, 1.0, 2.0, 10.0, 3, 1.5)


@attrs.define
class ExchangeQuote(Quote):
    exchange: str = "V"


@attrs.define
class SessionBar(DailyBar):
    session: str = "regular"


def news(*symbols):
    return News(symbols=symbols, timestamp_ns=1, id="1", headline="x", created_at=ORDER.at, updated_at=ORDER.at)


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


def test_kinds_of_bars_have_channels_of_their_own(desk):
    """
    Daily, updated and minute bars of one symbol go to those who asked for that kind, derived types included.
    """
    channels = (Channel.BARS, Channel.DAILY_BARS, Channel.UPDATED_BARS)
    minutes, days, updates = (desk.listen(channel, "A") for channel in channels)
    ohlc = (1.0, 2.0, 1.0, 2.0, 10.0, 3, 1.5)
    day, session, update = DailyBar("A", 1, *ohlc), SessionBar("A", 1, *ohlc), UpdatedBar("A", 1, *ohlc)

    desk.router.route([BAR, day, session, update])

    assert ([BAR], [day, session], [update]) == (minutes, days, updates)


def test_who_wants_every_symbol_has_every_symbol_once(desk):
    """
    ``*`` brings symbols that others want and symbols that nobody named, once each; the others get their own.
    """
    own, everything = desk.listen(Channel.QUOTES, "A"), desk.listen(Channel.QUOTES, "A", EVERY_SYMBOL)
    other, trades = Quote("B", 1, 1.0, 1.0, 2.0, 1.0), desk.listen(Channel.TRADES, "A")

    desk.router.route([QUOTE, other, TRADE])

    assert [QUOTE, other] == everything
    assert [QUOTE] == own
    assert [TRADE] == trades
    assert {"A", "*"} == desk.router.symbols(Channel.QUOTES)


def test_who_wants_every_symbol_may_come_and_go(desk):
    """
    ``*`` counts for symbols wanted before and after it, for derived types already seen, and for none once it is withdrawn.
    """
    everything, derived = [], ExchangeQuote("C", 1, 1.0, 1.0, 2.0, 1.0)
    first = desk.listen(Channel.QUOTES, "A")
    desk.router.route([derived])
    desk.router.add(Channel.QUOTES, (EVERY_SYMBOL,), everything.append)
    second = desk.listen(Channel.QUOTES, "B")
    other = Quote("B", 1, 1.0, 1.0, 2.0, 1.0)
    desk.router.route([QUOTE, other, derived])
    assert [QUOTE, other, derived] == everything

    desk.router.remove(Channel.QUOTES, (EVERY_SYMBOL,), everything.append)
    desk.router.route([QUOTE, other, derived])

    assert [QUOTE, other, derived] == everything
    assert [QUOTE, QUOTE] == first
    assert [other, other] == second
    assert {"A", "B"} == desk.router.symbols(Channel.QUOTES)


def test_a_named_symbol_goes_together_with_every_symbol(desk):
    """
    A consumer of ``*`` and a symbol that leaves gets nothing more of either.
    """
    items = []
    desk.router.add(Channel.QUOTES, ("A", EVERY_SYMBOL), items.append)
    desk.router.remove(Channel.QUOTES, ("A", EVERY_SYMBOL), items.append)

    desk.router.route([QUOTE])

    assert [] == items
    assert frozenset() == desk.router.symbols(Channel.QUOTES)


def test_news_goes_once_to_each_who_wants_one_of_its_symbols(desk):
    """
    An article about several symbols reaches each consumer once; one about none reaches those who want everything.
    """
    both, first, everything = (desk.listen(Channel.NEWS, *symbols) for symbols in (("A", "B"), ("A",), (EVERY_SYMBOL, "B")))

    desk.router.route([news("A", "B"), news("B"), news()])

    assert [news("A", "B"), news("B")] == both
    assert [news("A", "B")] == first
    assert [news("A", "B"), news("B"), news()] == everything
