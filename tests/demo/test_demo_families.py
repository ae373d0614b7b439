"""The demo broker as a session meets it: orders, stream, account, over a still clock."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import attrs
import pytest

from broker_core.errors import DuplicateOrder, InDoubt, RequestRefused, StorageError, Unavailable
from broker_core.families import Feed, Orders, Stream, Sync
from broker_core.models import SignedIn
from broker_core.orders import EventKind, ReplaceTerms, Source, State
from broker_core.requests import LimitOrder, MarketOrder, StopLoss, TakeProfit
from broker_demo.families import DemoStream

D = Decimal


def words(heard):
    """What order events say: their status."""
    return [item.raw_status for item in heard if not isinstance(item, SignedIn | Unavailable)]


async def test_families_are_what_the_core_asks_for(open_broker):
    """Each family object has all that its protocol names, and the stream has one feed for orders and one for data."""
    broker = await open_broker()

    assert isinstance(broker.orders, Orders)
    assert isinstance(broker.sync, Sync)
    stream = DemoStream(broker.client)
    assert isinstance(stream, Stream)
    assert all(isinstance(feed, Feed) for feed in stream.feeds)
    assert [feed.name for feed in stream.feeds] == ["trading", "data"]
    assert not stream.feeds[0].channels & stream.feeds[1].channels


async def test_order_is_answered_and_then_filled(open_broker):
    """The answer says new; the fill comes over the stream without any time passing."""
    broker = await open_broker()
    heard = broker.listen(broker.trading)
    await broker.turn()

    answer = await broker.submit(MarketOrder("AAPL", "buy", qty=10), "mine")
    assert (answer.kind, answer.source, answer.raw_status) == (EventKind.SNAPSHOT, Source.ANSWER, "new")
    assert (answer.client_order_id, answer.status) == ("mine", State.ACCEPTED)
    await broker.turn()

    assert words(heard) == ["new", "filled"]
    assert {event.source for event in heard[1:]} == {Source.STREAM}
    assert {event.broker_order_id for event in heard[1:]} == {answer.broker_order_id}


async def test_refusals_come_from_the_exchange(open_broker):
    """A refused order and a used id raise what the broker says, and leave nothing."""
    broker = await open_broker()
    with pytest.raises(RequestRefused, match="could not find asset"):
        await broker.submit(MarketOrder("NOPE", "buy", qty=1))
    with pytest.raises(RequestRefused, match="refuses every order"):
        await broker.submit(MarketOrder("DEMO.REFUSE", "buy", qty=1))
    await broker.submit(MarketOrder("AAPL", "buy", qty=1), "mine")
    with pytest.raises(DuplicateOrder):
        await broker.submit(MarketOrder("AAPL", "buy", qty=1), "mine")

    assert len(broker.client.venue.exchange.orders()) == 1


async def test_order_is_found_by_our_id(open_broker):
    """A look-up tells the order as it stands; an unknown id is the broker's own word that there is none."""
    broker = await open_broker()
    await broker.submit(MarketOrder("AAPL", "buy", qty=1), "mine")

    found = await broker.orders.find("mine")

    assert (found.source, found.raw_status, found.filled_qty) == (Source.LOOKUP, "filled", 1)
    assert await broker.orders.find("other") is None


async def test_replaced_order_is_found_under_its_first_id(open_broker):
    """However often an order was replaced, a look-up under the first id tells the present order under that id."""
    broker = await open_broker()
    order = broker.order(LimitOrder("AAPL", "buy", qty=2, limit_price="100"), "mine")
    answer = await broker.orders.submit(order)
    for price in (101, 102):
        order = attrs.evolve(order, broker_ids=(*order.broker_ids, answer.broker_order_id))
        answer = await broker.orders.replace(order, ReplaceTerms(limit_price=D(price)), f"mine-{price}")
        assert (answer.replaces, answer.client_order_id) == (order.broker_order_id, f"mine-{price}")

    found = await broker.orders.find("mine")

    assert (found.client_order_id, found.broker_order_id) == ("mine", answer.broker_order_id)
    assert found.request.limit_price == 102


async def test_cancel_by_broker_id_or_by_ours(open_broker):
    """An order is cancelled by the broker's id where it is known, else by ours; an unknown one is refused."""
    broker = await open_broker()
    first = broker.order(LimitOrder("AAPL", "buy", qty=1, limit_price="100"))
    answer = await broker.orders.submit(first)
    second = broker.order(LimitOrder("AAPL", "buy", qty=1, limit_price="100"))
    await broker.orders.submit(second)

    await broker.orders.cancel(attrs.evolve(first, broker_ids=(answer.broker_order_id,)))
    await broker.orders.cancel(second)

    assert await broker.orders.listing(None) == []
    with pytest.raises(RequestRefused, match="order not found for nobody"):
        await broker.orders.cancel(broker.order(LimitOrder("AAPL", "buy", qty=1, limit_price="100"), "nobody"))


async def test_listing_and_fills_since_a_moment(open_broker, clock):
    """The listing has open orders and, with a moment, those that changed after it; fills are those after the moment."""
    broker = await open_broker()
    await broker.submit(MarketOrder("AAPL", "buy", qty=1), "early")
    await broker.turn()
    since = clock.now()
    await clock.advance(1)
    await broker.submit(MarketOrder("AAPL", "buy", qty=2), "late")
    await broker.submit(LimitOrder("AAPL", "buy", qty=3, limit_price="100"), "open")

    assert [event.client_order_id for event in await broker.orders.listing(None)] == ["open"]
    assert [event.client_order_id for event in await broker.orders.listing(since)] == ["late", "open"]
    assert [(event.client_order_id, event.qty) for event in await broker.orders.fills(since)] == [("late", 2)]
    assert len(await broker.orders.fills(since - timedelta(seconds=1))) == 2


async def test_reads_let_time_pass_first(open_broker, clock):
    """Positions, account and open orders are those of now, also when the market has not stirred by itself."""
    broker = await open_broker()
    await broker.submit(MarketOrder("AAPL", "buy", qty=10))

    assert [(position.symbol, position.qty) for position in await broker.sync.positions()] == [("AAPL", 10)]
    account = await broker.sync.account()
    assert account.cash < 100_000
    assert account.equity < 100_000
    assert await broker.sync.open_orders() == []


async def test_open_orders_hold_their_legs(open_broker):
    """A bracket is listed with its held exits inside."""
    broker = await open_broker()
    terms = {"order_class": "bracket", "take_profit": TakeProfit("200"), "stop_loss": StopLoss("90")}
    answer = await broker.submit(LimitOrder("AAPL", "buy", qty=1, limit_price="100", **terms))

    (listed,) = await broker.sync.open_orders()

    assert listed.broker_order_id == answer.broker_order_id
    assert listed.source is Source.LISTING
    assert [leg.raw_status for leg in listed.legs] == ["held", "held"]


async def test_fill_before_the_answer(open_broker):
    """The early symbol's fill has been read from the stream when its submission is answered, and the answer does not know of it."""
    broker = await open_broker()
    heard = broker.listen(broker.trading)
    await broker.turn()

    answer = await broker.submit(MarketOrder("DEMO.EARLY", "buy", qty=1))

    assert words(heard) == ["new", "filled"]
    assert answer.raw_status == "new"


async def test_answer_that_never_comes(open_broker):
    """The silent symbol's order takes effect and is told on the stream, though its submission is in doubt."""
    broker = await open_broker()
    heard = broker.listen(broker.trading)
    await broker.turn()
    order = broker.order(MarketOrder("DEMO.SILENT", "buy", qty=1), "mine")

    with pytest.raises(InDoubt) as caught:
        await broker.orders.submit(order)
    await broker.turn()

    assert caught.value.order is order
    assert words(heard) == ["new", "filled"]
    assert (await broker.orders.find("mine")).status is State.FILLED


async def test_order_that_is_lost(open_broker):
    """The lost symbol's order is in doubt and exists nowhere."""
    broker = await open_broker()

    with pytest.raises(InDoubt):
        await broker.submit(MarketOrder("DEMO.LOST", "buy", qty=1), "mine")

    assert await broker.orders.find("mine") is None
    assert await broker.orders.listing(broker.clock.now() - timedelta(days=1)) == []


async def test_stream_that_breaks(open_broker, clock):
    """The dropping symbol's order is told as new, then the stream breaks; its fill is found by asking; a new connection works."""
    broker = await open_broker()
    heard = broker.listen(broker.trading)
    await broker.turn()
    before = clock.now()
    await clock.advance(1)

    answer = await broker.submit(MarketOrder("DEMO.DROP", "buy", qty=1))
    await broker.turn()

    assert words(heard) == ["new"]
    assert isinstance(heard[-1], Unavailable)
    again = broker.listen(broker.trading)
    await broker.turn()
    assert again == [SignedIn()]
    (fill,) = await broker.orders.fills(before)
    assert (fill.broker_order_id, fill.status) == (answer.broker_order_id, State.FILLED)
    await broker.submit(MarketOrder("AAPL", "buy", qty=1))
    await broker.turn()
    assert words(again) == ["new", "filled"]


async def test_rejection_after_acceptance(open_broker):
    """The rejected symbol's order is new and then rejected, with a reason."""
    broker = await open_broker()
    heard = broker.listen(broker.trading)
    await broker.turn()

    answer = await broker.submit(MarketOrder("DEMO.REJECT", "buy", qty=1))
    await broker.turn()

    assert answer.status is State.ACCEPTED
    assert (heard[-1].kind, heard[-1].status, heard[-1].raw_status) == (EventKind.REJECTED, State.REJECTED, "rejected")
    assert heard[-1].reason


async def test_pieces_with_time_between(open_broker, clock):
    """The symbol that fills in pieces fills a quarter at once and the others with every tick."""
    broker = await open_broker()
    heard = broker.listen(broker.trading)
    await broker.turn()
    await broker.submit(MarketOrder("DEMO.PARTIAL", "buy", qty=8))
    await broker.turn()
    assert words(heard) == ["new", "partially_filled"]

    await clock.advance(3)

    assert [event.filled_qty for event in heard[2:]] == [2, 4, 6, 8]
    assert words(heard)[-1] == "filled"


async def test_nothing_is_answered_while_closed(open_broker):
    """Before it is opened and after it was closed, every family raises Unavailable."""
    broker = await open_broker()
    order = broker.order(MarketOrder("AAPL", "buy", qty=1))
    await broker.client.close()

    for call in (
        lambda: broker.orders.submit(order),
        lambda: broker.orders.cancel(order),
        lambda: broker.orders.find("L1"),
        lambda: broker.orders.listing(None),
        lambda: broker.orders.fills(broker.clock.now()),
        lambda: broker.orders.replace(order, ReplaceTerms(qty=D(2)), "L2"),
        broker.sync.account,
        broker.sync.positions,
        broker.sync.open_orders,
        broker.market_data.clock,
    ):
        with pytest.raises(Unavailable, match="the client is not open"):
            await call()


async def test_order_that_could_not_be_written_down_is_in_doubt(open_broker, tmp_path, monkeypatch):
    """Where the account cannot be saved, what was done is in doubt; it is in the books, and told, and saved as soon as that works."""
    broker = await open_broker(STATE=tmp_path / "account.json")
    heard = broker.listen(broker.trading)
    await broker.turn()

    def fail(*_):
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("broker_demo.state.StateFile.save", fail)
        with pytest.raises(InDoubt, match="the disk is full"):
            await broker.submit(LimitOrder("AAPL", "buy", qty=1, limit_price="100"), "mine")
        await broker.turn()
        assert words(heard) == ["new"]
        assert (await broker.orders.find("mine")).raw_status == "new"
    await broker.orders.find("mine")

    assert broker.client.venue.unsaved is None
    await broker.orders.cancel(broker.order(LimitOrder("AAPL", "buy", qty=1, limit_price="100"), "mine"))
