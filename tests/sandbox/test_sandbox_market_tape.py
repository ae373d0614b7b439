"""What the data sockets are sent: every tick and every bar, once, to those who asked for it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from sandboxes import sandbox
from wires import DataWire

from broker_core.clock import StillClock
from broker_core.timeframe import Timeframe, Unit
from broker_demo.feeds import bars_of
from broker_demo.sandbox.data.articles import EVERY_NS, article
from broker_demo.sandbox.data.records import bar_record, book_record, quote_record, trade_record
from broker_demo.sandbox.moments import moment_ns, moment_text
from broker_demo.sandbox.server import Sandbox
from broker_demo.trading_hours import NEVER_NS

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS


def kinds(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What each message is about."""
    return [(message["T"], message["S"]) for message in messages]


async def test_ticks_arrive_as_trades_and_quotes(box: Sandbox, clock: StillClock):
    """Each second brings the trades and the quotes that were subscribed to, with the figures of the tick, and nothing else."""
    async with DataWire(box) as wire:
        await wire.sign_in()
        await wire.subscribe(trades=["AAPL"], quotes=["AAPL", "MSFT"])
        await clock.advance(2)
        messages = await wire.messages(6)

    prices, at_ns = box.desk.prices, clock.now_ns() - SECOND_NS
    first, second = messages[:3], messages[3:]
    assert sorted(kinds(first)) == sorted(kinds(second)) == [("q", "AAPL"), ("q", "MSFT"), ("t", "AAPL")]
    trade = next(message for message in first if message["T"] == "t")
    quote = next(message for message in first if message["S"] == "MSFT")
    at = moment_text(at_ns)
    assert trade == {"T": "t", "S": "AAPL", **trade_record("AAPL", prices.tick("AAPL", at_ns)), "t": at}
    assert quote == {"T": "q", "S": "MSFT", **quote_record("MSFT", prices.tick("MSFT", at_ns)), "t": at}


async def test_nothing_of_before_the_subscription_is_sent(box: Sandbox, clock: StillClock):
    """Time that passed while nobody listened is not made up for."""
    await clock.advance(3600)
    async with DataWire(box) as wire:
        await wire.sign_in()
        await wire.subscribe(trades=["AAPL"])
        await clock.advance(1)

        assert [moment_ns(message["t"]) for message in await wire.hear()] == [clock.now_ns()]


async def test_leaving_a_channel_ends_it(box: Sandbox, clock: StillClock):
    """After an unsubscription only the rest arrives."""
    async with DataWire(box) as wire:
        await wire.sign_in()
        await wire.subscribe(trades=["AAPL"], quotes=["AAPL"])
        await wire.ask({"action": "unsubscribe", "quotes": ["AAPL"]})
        await clock.advance(1)

        assert kinds(await wire.hear()) == [("t", "AAPL")]


async def test_star_is_every_symbol_of_the_feed(box: Sandbox, clock: StillClock):
    """A star brings all shares on a feed of shares, and all pairs on one of pairs."""
    async with DataWire(box) as shares, DataWire(box, "/v1beta3/crypto/us") as pairs:
        for wire in (shares, pairs):
            await wire.sign_in()
            await wire.subscribe(trades=["*"])
        await clock.advance(1)
        for wire, has_slash in ((shares, False), (pairs, True)):
            expected = [name for name in box.desk.prices.symbols() if ("/" in name) is has_slash]

            assert [message["S"] for message in await wire.messages(len(expected))] == expected


async def test_lines_with_different_wishes_get_their_own(box: Sandbox, clock: StillClock):
    """Two lines hear what each has asked for, and one that has gone costs nothing."""
    box.desk.lines.limits.connections = None
    async with DataWire(box) as one:
        await one.sign_in()
        await one.subscribe(trades=["AAPL", "MSFT"])
        async with DataWire(box) as other:
            await other.sign_in()
            await other.subscribe(trades=["MSFT"], quotes=["TSLA"])
            await clock.advance(1)

            assert kinds(await one.hear()) == [("t", "AAPL"), ("t", "MSFT")]
            assert sorted(kinds(await other.hear())) == [("q", "TSLA"), ("t", "MSFT")]
    while len(box.desk.lines):
        await clock.advance(0)
    assert box.desk.tape.next_moment(box.desk.prices, clock.now_ns()) == NEVER_NS


async def test_minute_bars_come_with_the_minute_and_corrected_ones_half_a_minute_later(box: Sandbox, clock: StillClock):
    """A minute's bar and the day's bar so far are sent at its end; a few bars are sent once more thirty seconds later."""
    async with DataWire(box) as wire:
        await wire.sign_in()
        await wire.subscribe(bars=["AAPL"], dailyBars=["AAPL"], updatedBars=["*"])
        start_ns = clock.now_ns()
        await clock.advance(120)
        messages: list[dict[str, Any]] = []
        while sum(message["T"] == "d" for message in messages) < 2:
            messages += await wire.hear()

    prices = box.desk.prices
    bars = [message for message in messages if message["T"] == "b"]
    days = [message for message in messages if message["T"] == "d"]
    updated = [message for message in messages if message["T"] == "u"]
    expected = bars_of(prices, "AAPL", Timeframe(1, Unit.MINUTE), start_ns, start_ns + 2 * MINUTE_NS, start_ns + 2 * MINUTE_NS)
    assert bars == [{"T": "b", "S": "AAPL", **bar_record(bar), "t": moment_text(bar.timestamp_ns)} for bar in expected]
    assert [day["c"] for day in days] == [bar["c"] for bar in bars]
    assert days[1]["v"] - days[0]["v"] == bars[1]["v"]
    assert [day["t"] for day in days] == ["2026-03-02T05:00:00Z"] * 2
    assert 0 < len(updated) < len(prices.symbols())
    assert {moment_ns(bar["t"]) for bar in updated} <= {start_ns - MINUTE_NS, start_ns}


async def test_pairs_have_order_books(box: Sandbox, clock: StillClock):
    """A subscription begins with the full book; changes follow, and applied to it they make the next one."""
    async with DataWire(box, "/v1beta3/crypto/us") as wire:
        await wire.sign_in()
        await wire.subscribe(orderbooks=["BTC/USD"])
        (full,) = await wire.hear()
        await clock.advance(3)
        changes = await wire.messages(3)

    assert full["r"] is True
    sides = {side: {level["p"]: level["s"] for level in full[side]} for side in ("b", "a")}
    for change in changes:
        assert "r" not in change
        for side, levels in sides.items():
            levels.update((level["p"], level["s"]) for level in change[side])
    now = book_record(box.desk.prices.tick("BTC/USD", clock.now_ns()))
    for side, levels in sides.items():
        assert {price: size for price, size in levels.items() if size} == {level["p"]: level["s"] for level in now[side]}


async def test_test_feed_has_one_symbol_round_the_clock(clock: StillClock):
    """While the exchange is closed the test feed goes on, with its one symbol."""
    await clock.advance(12 * 3600)
    async with sandbox(clock, calendar="XNYS") as box, DataWire(box, "/v2/test") as wire, DataWire(box) as closed:
        for each in (wire, closed):
            await each.sign_in()
            await each.subscribe(trades=["*"], bars=["*"])
        await clock.advance(1)

        assert kinds(await wire.hear()) == [("t", "FAKEPACA")]
        assert (await closed.subscribe())["trades"] == ["*"]


async def test_delayed_feed_is_a_quarter_of_an_hour_late(box: Sandbox, clock: StillClock):
    """The delayed feed tells what happened fifteen minutes ago."""
    async with DataWire(box, "/v2/delayed_sip") as wire:
        await wire.sign_in()
        await wire.subscribe(trades=["AAPL"], bars=["AAPL"])
        await clock.advance(60)
        messages = await wire.messages(61)

    assert {clock.now_ns() - moment_ns(message["t"]) for message in messages[-2:]} == {15 * MINUTE_NS, 16 * MINUTE_NS}


async def test_moments_never_go_back(box: Sandbox, clock: StillClock):
    """Over any stretch of time told at once, ticks come in the order in which they happened."""
    async with DataWire(box) as wire:
        await wire.sign_in()
        await wire.subscribe(trades=["*"], quotes=["*"])
        now_ns = clock.now_ns()
        box.desk.tape.tell(box.desk.prices, now_ns, now_ns + 5 * SECOND_NS)
        messages = await wire.messages(5 * 2 * sum("/" not in name for name in box.desk.prices.symbols()))

    assert all(before["t"] <= after["t"] for before, after in pairwise(messages))


async def test_session_opens_with_a_status(clock: StillClock):
    """Whoever follows statuses is told when trading resumes."""
    async with sandbox(clock, calendar="XNYS") as box, DataWire(box) as wire:
        await wire.sign_in()
        await wire.subscribe(statuses=["AAPL"])
        await clock.advance(24 * 3600)
        (status,) = await wire.hear()

    assert (status["T"], status["S"], status["sc"], status["t"]) == ("s", "AAPL", "T", "2026-03-03T14:30:00Z")


@pytest.mark.parametrize(("kind", "channel"), [("s", "statuses"), ("l", "lulds"), ("i", "imbalances"), ("c", "trades"), ("x", "trades")])
async def test_announced_message_reaches_those_who_asked_for_its_kind(box: Sandbox, clock: StillClock, kind: str, channel: str):
    """Halts, bands, corrections and cancellations can be announced; the last two go to those who follow trades."""
    async with DataWire(box) as wire, DataWire(box, "/v2/sip") as other:
        for each in (wire, other):
            await each.sign_in()
        await wire.subscribe(**{channel: ["AAPL"]})
        await other.subscribe(**{channel: ["MSFT"]})
        box.desk.tape.announce(kind, "AAPL", {"z": "C"}, clock.now_ns())

        assert await wire.hear() == [{"T": kind, "S": "AAPL", "z": "C", "t": "2026-03-02T15:00:00Z"}]
        assert (await other.subscribe())["T"] == "subscription"


async def test_frames_stay_small(box: Sandbox):
    """However much there is to tell, no frame comes near the megabyte that some clients refuse."""
    async with DataWire(box) as wire:
        await wire.sign_in()
        await wire.subscribe(quotes=["*"])
        now_ns = box.desk.now_ns()
        box.desk.tape.tell(box.desk.prices, now_ns, now_ns + 20 * SECOND_NS)
        frame = (await wire.socket.receive()).data

    assert len(msgspec.json.decode(frame)) > 1
    assert len(frame) < 1 << 16


async def test_news_appear_every_five_minutes(box: Sandbox, clock: StillClock):
    """Articles are sent once, when they appear, to those who follow one of their symbols; the pictures are left out."""
    box.desk.lines.limits.connections = None
    number = clock.now_ns() // EVERY_NS
    first, second = (article(box.desk.prices, number + later) for later in (1, 2))
    for each in (first, second):
        each.pop("images")
    async with DataWire(box, "/v1beta1/news") as every, DataWire(box, "/v1beta1/news") as one:
        await every.sign_in()
        await every.subscribe(news=["*"])
        await one.sign_in()
        await one.subscribe(news=second["symbols"])
        await clock.advance(600)

        assert await every.messages(2) == [{"T": "n", **first}, {"T": "n", **second}]
        assert await one.hear() == [{"T": "n", **second}]


async def test_market_is_woken_for_the_next_tick_and_no_sooner(box: Sandbox, clock: StillClock):
    """After each tick the next one is looked for; a new subscription has it looked for anew."""
    tape, prices = box.desk.tape, box.desk.prices
    async with DataWire(box) as wire:
        await wire.sign_in()
        await wire.subscribe(trades=["UNHEARD.OF"])
        assert tape.next_moment(prices, clock.now_ns()) == NEVER_NS
        await wire.subscribe(trades=["AAPL"])
        for _ in range(3):
            assert tape.next_moment(prices, clock.now_ns()) == clock.now_ns() + SECOND_NS
            await clock.advance(1)
            assert kinds(await wire.hear()) == [("t", "AAPL")]
