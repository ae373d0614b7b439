import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker_core.errors import AuthError
from broker_core.inbox import BookInbox, Inbox, NewestInbox, QuoteInbox
from broker_core.models import OrderBookUpdate, Quote


def quote(symbol, number):
    return Quote(symbol, number, 1.0, 1.0, 2.0, 1.0)


def taken(inbox):
    items = []
    while (item := inbox.take()) is not None:
        items.append(item)
    return items


def test_an_inbox_keeps_everything_in_order():
    """
    A plain inbox has no limit and gives its items back as they came.
    """
    inbox = Inbox()
    for number in range(5000):
        inbox.put(number)

    assert inbox.waiting == 5000
    assert taken(inbox) == list(range(5000))
    assert (inbox.delivered, inbox.dropped, inbox.waiting) == (5000, 0, 0)


@given(limit=st.integers(1, 20), count=st.integers(0, 60))
def test_the_newest_stay(limit, count):
    """
    A limited inbox keeps the newest items in order, and counts the others as dropped.
    """
    inbox = NewestInbox(limit)
    for number in range(count):
        inbox.put(number)

    assert inbox.dropped == max(count - limit, 0)
    assert taken(inbox) == list(range(count))[-limit:]


def test_a_reader_that_keeps_up_gets_every_quote():
    """
    Quotes of one symbol that come in one frame are all delivered while they are within the limit.
    """
    inbox = QuoteInbox(3)
    quotes = [quote("A", number) for number in range(3)]
    for item in quotes:
        inbox.put(item)

    assert taken(inbox) == quotes
    assert inbox.conflated == 0


def test_a_reader_that_falls_behind_gets_the_latest_of_each_symbol():
    """
    Beyond the limit only the latest quote of each symbol is left, each symbol in its first place in the line.
    """
    inbox = QuoteInbox(3)
    for item in (quote("A", 1), quote("B", 2), quote("A", 3), quote("C", 4), quote("A", 5), quote("B", 6)):
        inbox.put(item)

    assert inbox.conflated == 3
    assert taken(inbox) == [quote("A", 5), quote("B", 6), quote("C", 4)]


def test_quotes_conflate_until_the_reader_has_caught_up():
    """
    A reader that is behind never works through the past: it sees the present until nothing waits, and then every quote again.
    """
    inbox = QuoteInbox(2)
    for number in range(3):
        inbox.put(quote("A", number))
    inbox.put(quote("B", 3))
    assert inbox.take() == quote("A", 2)
    inbox.put(quote("B", 4))
    assert inbox.take() == quote("B", 4)

    inbox.put(quote("B", 5))
    inbox.put(quote("B", 6))

    assert taken(inbox) == [quote("B", 5), quote("B", 6)]


@given(
    limit=st.integers(1, 5),
    steps=st.lists(st.one_of(st.sampled_from("ABC"), st.just(None)), max_size=60),
)
def test_no_quote_is_unaccounted_for(limit, steps):
    """
    Whatever the pace of the reader: the last quote taken of a symbol is its latest, a symbol's quotes never go back in time, every quote is
    delivered or counted as conflated, and no more wait than the limit or the number of symbols.
    """
    inbox = QuoteInbox(limit)
    latest, seen, put = {}, {}, 0
    for number, symbol in enumerate(steps):
        if symbol is None:
            item = inbox.take()
            items = [] if item is None else [item]
        else:
            put += 1
            latest[symbol] = number
            inbox.put(quote(symbol, number))
            items = []
        for item in items:
            assert seen.get(item.symbol, -1) < item.timestamp_ns
            seen[item.symbol] = item.timestamp_ns
        assert inbox.waiting <= max(limit, 3)
    for item in taken(inbox):
        assert seen.get(item.symbol, -1) < item.timestamp_ns
        seen[item.symbol] = item.timestamp_ns

    assert seen == latest
    assert inbox.delivered + inbox.conflated == put


@pytest.mark.parametrize("kind", [NewestInbox, QuoteInbox])
def test_room_for_nothing_is_refused(kind):
    """
    A limit below one is an error that names it.
    """
    with pytest.raises(ValueError, match="limit: 0 is below 1"):
        kind(0)


async def test_waiting_ends_with_an_item():
    """
    A reader that waits is woken by the first item and finds it there.
    """
    inbox = Inbox()
    waiting = asyncio.create_task(inbox.wait())
    await asyncio.sleep(0)
    assert not waiting.done()

    inbox.put("x")

    assert await waiting is True
    assert inbox.take() == "x"


async def test_waiting_ends_with_the_end():
    """
    After its end an inbox still gives what is in it, and then says that there is no more.
    """
    inbox = Inbox()
    inbox.put("x")
    inbox.end()

    assert await inbox.wait() is True
    inbox.take()
    assert await inbox.wait() is False


async def test_a_refusal_is_raised_after_the_last_item():
    """
    An inbox ended by a refusal raises it, every time anew, once nothing is left; a later end changes nothing.
    """
    inbox = Inbox()
    inbox.put("x")
    inbox.end(AuthError("wrong key"))
    inbox.end()

    assert await inbox.wait() is True
    inbox.take()
    for _ in range(2):
        with pytest.raises(AuthError, match="wrong key"):
            await inbox.wait()


async def test_an_impatient_reader_may_come_back():
    """
    A wait that was cancelled loses nothing and leaves the inbox fit to be waited on again.
    """
    inbox = Inbox()
    waiting = asyncio.create_task(inbox.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    again = asyncio.create_task(inbox.wait())
    await asyncio.sleep(0)
    inbox.put("x")

    assert await again is True


def test_an_alarm_rings_once():
    """
    An alarm rings at the next item, or at once where one is waiting or none will ever come, and not again.
    """
    inbox, rung = Inbox(), []
    inbox.alert(lambda: rung.append("first item"))
    inbox.put(1)
    inbox.put(2)
    assert rung == ["first item"]

    inbox.alert(lambda: rung.append("items here"))
    inbox.take(), inbox.take()
    inbox.end()
    inbox.alert(lambda: rung.append("the end"))

    assert rung == ["first item", "items here", "the end"]


async def test_two_readers_are_one_too_many():
    """
    A second task that waits for the same inbox is told so instead of stealing from the first.
    """
    inbox = Inbox()
    waiting = asyncio.create_task(inbox.wait())
    await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="two readers"):
        await inbox.wait()
    inbox.end()
    assert await waiting is False


@pytest.mark.parametrize("inbox", [Inbox(), NewestInbox(2), QuoteInbox(1)])
async def test_a_shut_inbox_forgets(inbox):
    """
    What is in a shut inbox is gone, and so is whatever is still put in.
    """
    for number in range(3):
        inbox.put(quote("A", number))
    inbox.shut()
    inbox.put(quote("A", 9))

    assert inbox.take() is None
    assert await inbox.wait() is False


LEVELS = st.lists(st.tuples(st.sampled_from([1.0, 2.0, 3.0]), st.sampled_from([0.0, 1.0, 2.0])), max_size=3).map(tuple)
BOOKS = st.builds(OrderBookUpdate, st.sampled_from("AB"), st.just(1), LEVELS, LEVELS, st.booleans())


def book_after(updates, symbol):
    """What somebody knows of a book who applies updates one by one."""
    sides = ({}, {})
    for update in updates:
        if update.symbol != symbol:
            continue
        for side, levels in zip(sides, (update.bids, update.asks), strict=True):
            if update.is_reset:
                side.clear()
            side.update(levels)
    return [{price: size for price, size in side.items() if size} for side in sides]


@given(updates=st.lists(BOOKS, max_size=12), limit=st.integers(1, 5), reads=st.sets(st.integers(0, 11)))
def test_a_slow_reader_of_order_books_misses_nothing(updates, limit, reads):
    """
    Whatever a reader falls behind, the updates it gets make the same book as all of them; what was merged is counted.
    """
    inbox, got = BookInbox(limit), []
    for number, update in enumerate(updates):
        inbox.put(update)
        assert inbox.waiting <= max(limit, 2)
        if number in reads and (item := inbox.take()) is not None:
            got.append(item)
    got += taken(inbox)

    assert [book_after(got, symbol) for symbol in "AB"] == [book_after(updates, symbol) for symbol in "AB"]
    assert inbox.conflated == len(updates) - len(got)
    assert inbox.dropped == 0


def test_a_whole_book_makes_what_came_before_void():
    """
    Merged updates say that they are the whole book when one of them is.
    """
    inbox = BookInbox(1)
    for update in (
        OrderBookUpdate("A", 1, ((1.0, 1.0),), ()),
        OrderBookUpdate("A", 2, ((2.0, 1.0),), (), True),
        OrderBookUpdate("A", 3, ((2.0, 0.0),), ((3.0, 1.0),)),
    ):
        inbox.put(update)

    assert taken(inbox) == [OrderBookUpdate("A", 3, ((2.0, 0.0),), ((3.0, 1.0),), True)]
