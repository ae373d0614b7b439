import asyncio
import random
from datetime import timedelta

import pytest

from broker_core.clock import StillClock
from broker_core.errors import AuthError, NotSupported, PluginError, Unavailable
from broker_core.models import Bar, Channel, DailyBar, News, OrderBookUpdate, Quote, SignedIn, Trade, Wish
from broker_core.orders import EventKind, OrderEvent, Source
from broker_core.streaming import Streaming
from broker_core.testing.scripted import CLOSE, ScriptedFeed, ScriptedStream

IN = [SignedIn()]
DATA = (Channel.QUOTES, Channel.TRADES, Channel.BARS)


def quote(number=0, symbol="A"):
    return Quote(symbol, number, 1.0, 1.0, 2.0, 1.0)


def trade(number=0, symbol="A"):
    return Trade(symbol, number, 1.5, 1.0)


def bar(number=0, symbol="A"):
    return Bar(symbol, number, 1.0, 2.0, 1.0, 2.0, 10.0, 3, 1.5)


def order(number):
    return OrderEvent(
        kind=EventKind.ACCEPTED, source=Source.STREAM, at=StillClock().now() + timedelta(seconds=number), client_order_id=f"T{number}"
    )


class Host:
    """A session around a stream, as far as the stream can tell."""

    def __init__(self, *feeds, **options):
        self.clock = StillClock()
        self.orders = []
        self.log = []
        self.asked = []
        self.recovery = ((), ())
        self.streaming = Streaming(
            ScriptedStream(feeds),
            clock=self.clock,
            random=random.Random(1),
            on_order=self.on_order,
            recover=self.recover,
            changed=self.changed,
            gap=self.gap,
            **options,
        )

    async def on_order(self, event):
        self.orders.append(event)

    async def recover(self, feed, start, end):
        self.asked.append((feed, start, end))
        if isinstance(self.recovery, Exception):
            raise self.recovery
        return self.recovery

    async def changed(self, feed, state, reason):
        self.log.append((feed, str(state), reason))

    async def gap(self, gap):
        self.log.append(gap)

    async def turn(self):
        await self.clock.advance(0)

    async def wait_for_next_try(self):
        await self.clock.advance(self.clock.sleeping[0])


@pytest.fixture
async def host():
    """Makes hosts with running streams and closes them."""
    hosts = []

    async def make(*feeds, **options):
        host = Host(*feeds, **options)
        hosts.append(host)
        await host.streaming.start()
        await host.turn()
        return host

    yield make
    for each in hosts:
        await each.streaming.close()


@pytest.fixture
def data():
    return ScriptedFeed("data", DATA)


@pytest.fixture
def trading():
    return ScriptedFeed("trading", {Channel.ORDERS})


async def test_callbacks_get_their_channel_and_symbol(host, data):
    """
    Quotes, trades and bars reach the callbacks of their symbol, plain or async.
    """
    desk = await host(data)
    quotes, trades, bars = [], [], []

    async def on_bar(item):
        bars.append(item)

    desk.streaming.on_quote("A", quotes.append)
    desk.streaming.on_trade("A", trades.append)
    desk.streaming.on_bar("A", on_bar)
    await desk.turn()
    data.send(quote(1), trade(2), bar(3), quote(4, "B"))
    await desk.turn()

    assert (quotes, trades, bars) == ([quote(1)], [trade(2)], [bar(3)])


async def test_iterators_get_their_symbols(host, data):
    """
    An iterator gives the items of all its symbols, in order.
    """
    desk = await host(data)
    iterators = [desk.streaming.quotes("A", "B"), desk.streaming.trades("A"), desk.streaming.bars("B")]
    await desk.turn()
    data.send(quote(1), quote(2, "B"), trade(3), trade(4, "B"), bar(5, "B"))

    assert [await anext(iterators[0]), await anext(iterators[0])] == [quote(1), quote(2, "B")]
    assert await anext(iterators[1]) == trade(3)
    assert await anext(iterators[2]) == bar(5, "B")


async def test_the_wish_is_the_sum_of_all_subscriptions(host, data):
    """
    What the feed is told is always the whole wish, without symbols that nobody wants any more.
    """
    desk = await host(data)
    first = desk.streaming.on_quote("A", print)
    second = desk.streaming.on_quote("A", print)
    trades = desk.streaming.trades("B", "C", "B")
    await desk.turn()
    full = Wish({Channel.QUOTES: frozenset({"A"}), Channel.TRADES: frozenset({"B", "C"})})
    assert data.wishes == [full]

    first.cancel()
    await desk.turn()
    assert data.wishes == [full]
    second.cancel()
    await trades.aclose()
    await desk.turn()

    assert data.wishes == [full, Wish({})]
    assert desk.streaming.subscriptions == ()


async def test_subscriptions_before_the_start_count(data):
    """
    What was subscribed before the stream starts is in the first wish.
    """
    desk = Host(data)
    desk.streaming.on_quote("A", print)
    await desk.streaming.start()
    await desk.turn()

    assert data.wishes == [Wish({Channel.QUOTES: frozenset({"A"})})]
    await desk.streaming.close()


async def test_a_feed_hears_only_of_its_own_channels(host, data, trading):
    """
    The wish of one socket is not told to the other, and orders are wanted without asking.
    """
    desk = await host(data, trading)
    desk.streaming.on_quote("A", print)
    await desk.turn()

    assert trading.wishes == [Wish({Channel.ORDERS: frozenset()})]
    assert data.wishes == [Wish({Channel.QUOTES: frozenset({"A"})})]


async def test_after_cancel_nothing_is_delivered(host, data):
    """
    A callback that unsubscribes in the middle of a frame gets nothing more of it.
    """
    desk = await host(data)
    got = []

    def once(item):
        got.append(item)
        ticket.cancel()

    ticket = desk.streaming.on_quote("A", once)
    await desk.turn()
    data.send(quote(1), quote(2))
    await desk.turn()

    assert got == [quote(1)]


async def test_break_leaves_nothing_behind(host, data):
    """
    A loop that is left takes its symbols out of the wish.
    """
    desk = await host(data)

    got = []

    async def first():
        async for item in desk.streaming.quotes("A"):
            got.append(item)
            break

    reading = asyncio.create_task(first())
    await desk.turn()
    data.send(quote(1))
    await reading
    await desk.turn()
    assert got == [quote(1)]

    assert desk.streaming.subscriptions == ()
    assert data.wishes[-1] == Wish({})


async def test_a_slow_consumer_costs_the_others_nothing(host, data):
    """
    While one callback hangs and an iterator is not read, the others get every item; the slow ones keep the latest quote of each symbol and
    the newest trades and bars, and count the rest.
    """
    desk = await host(data, queue_size=4)
    gate, slow, fast = asyncio.Event(), [], []

    async def hanging(item):
        await gate.wait()
        slow.append(item)

    ticket = desk.streaming.on_quote("A", hanging)
    trades = desk.streaming.trades("A")
    bars = desk.streaming.bars("A", limit=2)
    desk.streaming.on_quote("A", fast.append)
    await desk.turn()
    for number in range(10):
        data.send(quote(number), trade(number), bar(number))
    await desk.turn()
    assert fast == [quote(number) for number in range(10)]
    gate.set()
    await desk.turn()

    assert slow == [quote(0), quote(9)]
    assert (ticket.counters.delivered, ticket.counters.conflated, ticket.counters.waiting) == (2, 8, 0)
    assert [(await anext(trades)).timestamp_ns for _ in range(4)] == [6, 7, 8, 9]
    assert (trades.counters.dropped, trades.counters.delivered) == (6, 4)
    assert [(await anext(bars)).timestamp_ns for _ in range(2)] == [8, 9]
    assert bars.counters.dropped == 8


async def test_a_raising_consumer_costs_the_others_nothing(host, data, caplog):
    """
    A callback that raises stays subscribed, is counted and logged once, and the others get their items.
    """
    desk = await host(data)
    got = []

    def broken(item):
        raise ValueError("cannot do this")

    ticket = desk.streaming.on_quote("A", broken)
    desk.streaming.on_quote("A", got.append)
    await desk.turn()
    data.send(quote(1), quote(2))
    await desk.turn()

    assert got == [quote(1), quote(2)]
    assert ticket.counters.raised == 2
    assert caplog.text.count("Traceback") == 1


async def test_orders_are_processed_one_by_one_in_order(host, trading):
    """
    An order event is processed only when the one before it is done; none is dropped, however many come.
    """
    log = []
    desk = Host(trading)

    async def on_order(event):
        log.append(("begin", event.client_order_id))
        await asyncio.sleep(0)
        log.append(("end", event.client_order_id))

    desk.streaming._on_order = on_order
    await desk.streaming.start()
    await desk.turn()
    trading.send(*[order(number) for number in range(3000)])
    await desk.streaming.close()

    assert log == [(step, f"T{number}") for number in range(3000) for step in ("begin", "end")]


async def test_order_news_does_not_wait_for_market_data(host, data, trading):
    """
    Order events are processed while consumers of market data hang.
    """
    desk = await host(data, trading)

    async def hanging(item):
        await asyncio.Event().wait()

    desk.streaming.on_quote("A", hanging)
    await desk.turn()
    data.send(*[quote(number) for number in range(2000)])
    trading.send(order(1))
    await desk.turn()

    assert desk.orders == [order(1)]


async def test_a_slow_order_manager_holds_no_market_data(host):
    """
    On a socket that carries both, market data flows while an order event is being processed.
    """
    feed = ScriptedFeed("all", {Channel.ORDERS, Channel.QUOTES})
    desk, got, gate = Host(feed), [], asyncio.Event()
    desk.streaming._on_order = lambda event: gate.wait()
    desk.streaming.on_quote("A", got.append)
    await desk.streaming.start()
    await desk.turn()

    feed.send(order(1), quote(1))
    feed.send(quote(2))
    await desk.turn()

    assert got == [quote(1), quote(2)]
    gate.set()
    await desk.streaming.close()


async def test_a_gap_comes_first(host):
    """
    After a reconnect everyone who asked for gaps has the gap before anyone has an item of the new connection.
    """
    feed = ScriptedFeed("data", DATA, [IN, [quote(1)], CLOSE], [[SignedIn(), quote(2)], [quote(3)], CLOSE], [IN, [quote(4)]])
    desk = await host(feed)
    log = []

    async def slow_log(item):
        log.append(item)

    desk.streaming.on_quote("A", log.append)
    desk.streaming.on_quote("A", slow_log)
    desk.streaming.on_gap(slow_log)
    desk.streaming.on_gap(log.append)
    gaps = desk.streaming.gaps()
    await desk.turn()
    await desk.wait_for_next_try()
    await desk.wait_for_next_try()

    first, second = await anext(gaps), await anext(gaps)
    told = [item.timestamp_ns if isinstance(item, Quote) else item for item in log]
    assert told[:2] == [1, 1]
    assert told[2:4] == [first, first]
    assert sorted(told[4:8]) == [2, 2, 3, 3]
    assert told[8:10] == [second, second]
    assert told[10:] == [4, 4]
    assert [item for item in desk.log if item in (first, second)] == [first, second]


async def test_gaps_always_get_through(host):
    """
    A consumer of gaps that does not read for long loses none.
    """
    feed = ScriptedFeed("data", DATA, *[[IN, CLOSE]] * 20)
    desk = await host(feed, queue_size=2)
    desk.streaming.on_quote("A", print)
    gaps = desk.streaming.gaps()
    await desk.turn()
    for _ in range(20):
        await desk.wait_for_next_try()

    assert gaps.counters.waiting == 20


async def test_orders_are_recovered_after_a_reconnect(host):
    """
    The stretch from the last frame to the new sign-in is recovered before the feed is healthy and the gap is told.
    """
    feed = ScriptedFeed("trading", {Channel.ORDERS}, [IN, [order(1)], CLOSE], [IN, [order(2)]])
    desk = await host(feed)
    start = desk.clock.now()
    desk.recovery = (("3 orders",), ("1 bust",))
    assert not desk.streaming.healthy(Channel.ORDERS)
    await desk.wait_for_next_try()

    assert desk.asked == [("trading", start, desk.clock.now())]
    assert desk.orders == [order(1), order(2)]
    gap = desk.log[-2]
    assert (gap.recovered, gap.lost) == (("3 orders",), ("1 bust",))
    assert desk.log[-1] == ("trading", "connected", None)
    assert desk.streaming.healthy(Channel.ORDERS)


async def test_a_failed_recovery_is_not_forgotten(host):
    """
    A recovery that fails is told as lost, leaves the feed unhealthy, and is tried until it succeeds.
    """
    feed = ScriptedFeed("trading", {Channel.ORDERS}, [IN, CLOSE])
    desk = await host(feed)
    gaps = desk.streaming.gaps()
    desk.recovery = Unavailable("no answer")
    await desk.wait_for_next_try()
    told = await anext(gaps)
    assert "recovery failed" in told.lost[0]
    assert not desk.streaming.healthy(Channel.ORDERS)

    desk.recovery = (("all of it",), ())
    await desk.wait_for_next_try()

    assert (await anext(gaps)).recovered == ("all of it",)
    assert desk.streaming.healthy(Channel.ORDERS)


async def test_an_order_event_that_fails_is_recovered(host, trading, caplog):
    """
    An order event whose processing raises is logged, the next one is processed, and what was missed is recovered from its moment on.
    """
    desk = Host(trading)

    async def on_order(event):
        if event == order(-5):
            raise OSError("disk full")
        desk.orders.append(event)

    desk.streaming._on_order = on_order
    await desk.streaming.start()
    await desk.turn()
    trading.send(order(-5), order(0))
    await desk.turn()

    assert desk.orders == [order(0)]
    assert desk.asked == [("trading", order(-5).at, desk.clock.now())]
    assert "disk full" in caplog.text
    assert desk.streaming.healthy(Channel.ORDERS)
    await desk.streaming.close()


async def test_refused_credentials_end_the_feeds_iterators(host, trading):
    """
    When one feed is refused, its iterators raise after their last item, waiting for it raises, subscribing raises; other feeds go on.
    """
    feed = ScriptedFeed("data", {Channel.QUOTES}, [IN, [quote(1)], AuthError("key revoked")])
    desk = await host(feed, trading)
    called = []
    quotes, gaps = desk.streaming.quotes("A"), desk.streaming.gaps()
    desk.streaming.on_quote("A", called.append)
    await desk.turn()

    assert await anext(quotes) == quote(1)
    for refused in (anext(quotes), desk.streaming.ready(Channel.QUOTES)):
        with pytest.raises(AuthError, match="key revoked"):
            await refused
    with pytest.raises(AuthError, match="key revoked"):
        desk.streaming.on_quote("A", print)
    assert called == [quote(1)]
    assert ("data", "stopped", "key revoked") in desk.log
    assert desk.streaming.healthy(Channel.ORDERS)
    assert gaps.counters.waiting == 0


async def test_ready_returns_when_the_feed_has_signed_in(host):
    """
    ``ready`` waits for the sign-in, through failed tries.
    """
    feed = ScriptedFeed("trading", {Channel.ORDERS}, [Unavailable("down")])
    desk = await host(feed)
    waiting = asyncio.create_task(desk.streaming.ready(Channel.ORDERS))
    await desk.turn()
    assert not waiting.done()

    await desk.wait_for_next_try()

    await waiting
    assert desk.streaming.healthy(Channel.ORDERS)


async def test_channels_nobody_carries_are_refused(host, trading):
    """
    Asking for what the broker does not stream is an error that says what it streams.
    """
    desk = await host(trading)
    for ask in (
        lambda: desk.streaming.on_quote("A", print),
        lambda: desk.streaming.bars("A"),
    ):
        with pytest.raises(NotSupported, match="stream carries orders"):
            ask()
    with pytest.raises(NotSupported):
        await desk.streaming.ready(Channel.TRADES)
    assert not desk.streaming.healthy(Channel.TRADES)
    assert [desk.streaming.carries(channel) for channel in (Channel.ORDERS, Channel.TRADES)] == [True, False]


async def test_a_broker_without_a_stream():
    """
    Without a stream everything is told so, gaps may be asked for and never come, and it starts and closes.
    """
    desk = Host()
    streaming = Streaming(
        None,
        clock=desk.clock,
        random=random.Random(1),
        on_order=desk.on_order,
        recover=desk.recover,
        changed=desk.changed,
        gap=desk.gap,
    )
    await streaming.start()
    gaps = streaming.gaps()
    with pytest.raises(NotSupported, match="stream carries nothing"):
        streaming.quotes("A")

    assert streaming.status == {}
    await streaming.close()
    assert [gap async for gap in gaps] == []


@pytest.mark.parametrize(
    ("second", "complaint"),
    [(("data", {Channel.ORDERS}), "two of this name"), (("more", {Channel.BARS, Channel.ORDERS}), "bars, all of which feed data carries")],
)
async def test_feeds_that_overlap_are_refused(data, second, complaint):
    """
    Two feeds of one name, or two that carry one channel without telling symbols apart, break the contract.
    """
    with pytest.raises(PluginError, match=complaint):
        Host(data, ScriptedFeed(*second))


@pytest.mark.parametrize("symbols", [(), ("",), (" ",), ("**",), ("* ",), (None,), ("A", "B\n")])
async def test_what_is_no_symbol_is_refused(host, data, symbols):
    """
    A subscription names at least one symbol, and each by its name.
    """
    desk = await host(data)
    with pytest.raises(ValueError, match="symbols: "):
        desk.streaming.quotes(*symbols)

    assert desk.streaming.subscriptions == ()


async def test_a_limit_below_one_is_refused(host, data):
    """
    A consumer without room for an item is refused.
    """
    desk = await host(data)
    with pytest.raises(ValueError, match="limit: 0"):
        desk.streaming.on_trade("A", print, limit=0)


async def test_the_status_has_every_feed(host, data, trading):
    """
    The status names every feed with its state.
    """
    desk = await host(data, trading)

    assert {name: str(status.state) for name, status in desk.streaming.status.items()} == {"data": "idle", "trading": "connected"}


async def test_observers_hold_nothing_up(host, trading):
    """
    An observer of the stream's state that hangs or raises delays neither the feed nor its order events, and news for it comes in order.
    """
    desk, gate, told = Host(trading), asyncio.Event(), []

    async def changed(feed, state, reason):
        if state == "stopped":
            for _ in range(10):
                await asyncio.sleep(0)
        told.append(str(state))
        if state == "connecting":
            await gate.wait()
            raise RuntimeError("the observer is broken")

    desk.streaming._changed = changed
    await desk.streaming.start()
    await desk.turn()
    trading.send(order(1))
    await desk.turn()
    assert desk.orders == [order(1)]
    assert told == ["connecting"]

    gate.set()
    await desk.streaming.close()

    assert told == ["connecting", "connected", "stopped"]


async def test_close_ends_in_order(host, data, trading):
    """
    Closing ends connections and iterators, processes the order events that have arrived, tells it, and leaves no task behind.
    """
    desk = Host(data, trading)

    async def slowly(event):
        await asyncio.sleep(0)
        desk.orders.append(event)

    async def hanging(item):
        await asyncio.Event().wait()

    desk.streaming._on_order = slowly
    await desk.streaming.start()
    quotes, gaps = desk.streaming.quotes("A"), desk.streaming.gaps()
    desk.streaming.on_quote("A", hanging)
    ticket = desk.streaming.on_quote("A", hanging)
    await desk.turn()
    data.send(quote(1))
    await desk.turn()
    ticket.cancel()
    trading.send(order(1), order(2), order(3))
    for _ in range(3):
        await asyncio.sleep(0)

    await desk.streaming.close()
    await desk.streaming.close()

    assert not data.connected
    assert not trading.connected
    assert desk.orders == [order(1), order(2), order(3)]
    assert [item async for item in quotes] == [quote(1)]
    assert [gap async for gap in gaps] == []
    assert {("data", "stopped", None), ("trading", "stopped", None)} <= set(desk.log)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    with pytest.raises(Unavailable, match="the stream is closed"):
        desk.streaming.on_gap(print)


async def test_a_callback_may_close_the_stream(host, data):
    """
    A callback that closes the stream it is called by comes back from closing.
    """
    desk = await host(data)
    done = []

    async def last(item):
        await desk.streaming.close()
        done.append(item)

    desk.streaming.on_quote("A", last)
    await desk.turn()
    data.send(quote(1))
    await desk.turn()

    assert done == [quote(1)]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_closing_what_never_started(data):
    """
    A stream that was never started closes without a word.
    """
    desk = Host(data)
    quotes = desk.streaming.quotes("A")

    await desk.streaming.close()

    assert [item async for item in quotes] == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


class PickyFeed(ScriptedFeed):
    """One that takes only some symbols, and every symbol of some channels."""

    def __init__(self, name, channels, *connections, letters="", stars=()):
        super().__init__(name, channels, *connections)
        self.letters = letters
        self.star_channels = frozenset(stars)

    def accepts(self, symbol):
        return symbol[0] in self.letters


@pytest.fixture
def stocks():
    return PickyFeed("stocks", DATA, letters="AB", stars=[Channel.BARS])


@pytest.fixture
def coins():
    return PickyFeed("coins", {*DATA, Channel.ORDERBOOKS}, letters="BC", stars=[Channel.BARS, Channel.TRADES])


async def test_a_symbol_goes_to_the_first_feed_that_accepts_it(host, stocks, coins):
    """
    Feeds that carry one channel are each told their own symbols; news of both reaches one consumer.
    """
    desk = await host(stocks, coins)
    got = []
    desk.streaming.on(Channel.QUOTES, ["A", "B", "C"], got.append)
    await desk.turn()
    stocks.send(quote(1, "A"))
    coins.send(quote(2, "C"))
    await desk.turn()

    assert stocks.wishes == [Wish({Channel.QUOTES: frozenset("AB")})]
    assert coins.wishes == [Wish({Channel.QUOTES: frozenset("C")})]
    assert sorted(item.symbol for item in got) == ["A", "C"]


async def test_a_feed_of_which_nothing_is_wanted_stays_idle(host, stocks, coins):
    """
    A symbol of one feed connects that feed alone.
    """
    desk = await host(stocks, coins)
    desk.streaming.on_quote("C", print)
    await desk.turn()

    assert (stocks.connects, coins.connects) == (0, 1)


async def test_a_symbol_that_no_feed_accepts_is_refused(host, stocks, coins):
    """
    A symbol that is nobody's is named in the refusal, and nothing is subscribed.
    """
    desk = await host(stocks, coins)
    with pytest.raises(NotSupported, match=r"quotes of Z: no feed .* stocks, coins"):
        desk.streaming.quotes("A", "Z")
    with pytest.raises(NotSupported, match="orderbooks of A"):
        desk.streaming.on(Channel.ORDERBOOKS, "A", print)

    assert desk.streaming.subscriptions == ()


async def test_the_last_feed_of_a_channel_may_take_the_rest(host, stocks, data):
    """
    After one that tells its symbols, a feed may take all others; before it, it would leave the other nothing.
    """
    desk = await host(stocks, data)
    desk.streaming.on(Channel.QUOTES, ("A", "Z"), print)
    await desk.turn()

    assert [feed.wishes[-1].symbols[Channel.QUOTES] for feed in (stocks, data)] == [{"A"}, {"Z"}]
    with pytest.raises(PluginError, match="feed stocks: carries bars"):
        Host(data, stocks)


async def test_order_news_has_one_feed():
    """
    Orders have no symbols to tell feeds apart by.
    """
    with pytest.raises(PluginError, match="carries orders"):
        Host(PickyFeed("one", {Channel.ORDERS}), PickyFeed("two", {Channel.ORDERS}))


async def test_every_symbol_goes_to_the_first_feed_that_offers_it(host, stocks, coins):
    """
    ``*`` is told to a feed that offers it for the channel, and refused where none does.
    """
    desk = await host(stocks, coins)
    desk.streaming.on(Channel.BARS, "*", print)
    desk.streaming.on(Channel.TRADES, ("*", "A"), print)
    with pytest.raises(NotSupported, match=r"quotes: .* cannot carry every symbol"):
        desk.streaming.quotes("*")
    await desk.turn()

    assert stocks.wishes[-1] == Wish({Channel.BARS: frozenset("*"), Channel.TRADES: frozenset("A")})
    assert coins.wishes[-1] == Wish({Channel.TRADES: frozenset("*")})


async def test_health_is_asked_by_symbol_or_for_all_that_is_wanted(host, stocks, coins):
    """
    Readiness and health are those of the symbol's feed, or of all feeds of which the channel is wanted.
    """
    coins._scripts.append([Unavailable("down")])
    desk = await host(stocks, coins)
    streaming = desk.streaming
    assert not streaming.healthy(Channel.QUOTES)
    streaming.on_quote("A", print)
    await desk.turn()
    await streaming.ready(Channel.QUOTES)
    assert streaming.healthy(Channel.QUOTES)

    streaming.on_quote("C", print)
    await desk.turn()
    waiting = asyncio.create_task(streaming.ready(Channel.QUOTES))
    await streaming.ready(Channel.QUOTES, "A")
    await desk.turn()
    assert [streaming.healthy(Channel.QUOTES, *symbol) for symbol in (["A"], ["C"], [])] == [True, False, False]
    assert not waiting.done()
    assert not streaming.healthy(Channel.QUOTES, "Z")

    await desk.wait_for_next_try()
    await waiting
    assert streaming.healthy(Channel.QUOTES)


async def test_a_refused_feed_ends_only_its_own_symbols(host, stocks, coins):
    """
    Of two feeds of one channel, the refusal of one ends the iterators of its symbols; the other goes on and may be asked for more.
    """
    coins._scripts.append([AuthError("not in the plan")])
    desk = await host(stocks, coins)
    mine, theirs = desk.streaming.quotes("A"), desk.streaming.quotes("C")
    await desk.turn()
    stocks.send(quote(1))

    with pytest.raises(AuthError, match="not in the plan"):
        await anext(theirs)
    with pytest.raises(AuthError, match="not in the plan"):
        desk.streaming.quotes("B", "C")
    assert await anext(mine) == quote(1)
    desk.streaming.quotes("B")


async def test_any_channel_can_be_asked_for(host):
    """
    ``on`` and ``updates`` take any channel of market data; what waits for a slow reader is kept in the channel's own way.
    """
    feed = ScriptedFeed("data", set(Channel) - {Channel.ORDERS})
    desk = await host(feed, queue_size=2)
    at = desk.clock.now()
    article = News(symbols=("A", "B"), timestamp_ns=1, id="1", headline="x", created_at=at, updated_at=at)
    days = [DailyBar("A", number, 1.0, 2.0, 1.0, 2.0, 10.0, 3, 1.5) for number in range(3)]
    books = [OrderBookUpdate("A", number, ((float(number), 1.0),), ()) for number in range(3)]
    got = []
    desk.streaming.on(Channel.NEWS, "B", got.append)
    daily, book = desk.streaming.updates(Channel.DAILY_BARS, "A"), desk.streaming.updates(Channel.ORDERBOOKS, "A")
    await desk.turn()
    feed.send(article, *days, *books)
    await desk.turn()

    assert got == [article]
    assert [await anext(daily), await anext(daily)] == days[1:]
    assert (await anext(book)).bids == ((0.0, 1.0), (1.0, 1.0), (2.0, 1.0))
    assert (daily.counters.dropped, book.counters.dropped, book.counters.conflated) == (1, 0, 2)


async def test_order_news_is_no_market_data(host, trading):
    """
    Who asks for the channel of orders is told where their news is.
    """
    desk = await host(trading)
    with pytest.raises(NotSupported, match=r"session\.orders"):
        desk.streaming.updates(Channel.ORDERS, "A")
