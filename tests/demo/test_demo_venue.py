"""The exchange in time: what is written before it is told, and when the market wakes."""

from __future__ import annotations

import logging

import pytest

from broker_core.errors import RequestRefused, StorageError
from broker_core.models import Channel, Wish
from broker_core.requests import LimitOrder, MarketOrder
from broker_demo.state import StateFile


async def test_news_is_written_before_it_is_told(open_broker, tmp_path):
    """Whoever hears of an event finds it in the file, so that nobody knows more than a restart would."""
    path = tmp_path / "account.json"
    broker = await open_broker(STATE=path)
    found = []

    class Listener:
        def send(self, items):
            orders = StateFile(path).load().orders
            found.extend((item.raw_status, [order.status.value for order in orders]) for item in items)

    broker.trading._lines.append(Listener())
    await broker.submit(MarketOrder("AAPL", "buy", qty=1))
    await broker.turn()
    broker.trading._lines.clear()

    assert found == [("new", ["new"]), ("filled", ["filled"])]


async def test_refused_change_still_tells_what_time_has_brought(open_broker, clock):
    """A refused order lets time pass like any other, and events of that time are told."""
    broker = await open_broker()
    heard = broker.listen(broker.trading)
    await broker.turn()
    await broker.submit(MarketOrder("AAPL", "buy", qty=1))
    with pytest.raises(RequestRefused):
        await broker.submit(MarketOrder("NOPE", "buy", qty=1))

    await broker.turn()

    assert [event.raw_status for event in heard[1:]] == ["new", "filled"]


async def test_waiting_order_wakes_the_market_at_every_tick(open_broker, clock):
    """While an order waits the market sleeps until its symbol's next tick; when it has ended, until the next bell."""
    broker = await open_broker()
    await broker.submit(LimitOrder("AAPL", "buy", qty=1, limit_price="100"), "mine")
    await broker.turn()
    assert clock.sleeping == (1.0,)

    await broker.orders.cancel(broker.order(LimitOrder("AAPL", "buy", qty=1, limit_price="100"), "mine"))
    await broker.turn()

    assert clock.sleeping == (14 * 3600.0,)


async def test_wish_wakes_the_market(open_broker, clock):
    """A wish for data, while somebody listens, has the market stop at every tick; without a listener it sleeps on."""
    broker = await open_broker()
    broker.data.want(Wish({Channel.TRADES: frozenset({"AAPL"})}))
    await broker.turn()
    assert clock.sleeping == (14 * 3600.0,)

    broker.listen(broker.data)
    await broker.turn()

    assert clock.sleeping == (1.0,)


async def test_market_without_end_waits_for_a_change(open_broker, clock, tmp_path):
    """After a replay's last bar nothing happens by itself, and the market holds no timer; an order is still taken."""
    bars = tmp_path / "mine.csv"
    bars.write_text("timestamp,open,high,low,close,volume\n2026-01-05T15:00:00Z,1,1,1,1,9\n2026-01-05T15:01:00Z,1,1,1,1,9\n")
    broker = await open_broker(REPLAY=bars)
    await clock.advance(3600)
    assert clock.sleeping == ()

    answer = await broker.submit(MarketOrder("MINE", "buy", qty=1))
    await broker.turn()

    assert answer.raw_status == "accepted"


async def test_failing_disk_is_said_once(open_broker, tmp_path, monkeypatch, caplog):
    """A file that cannot be written is logged when it begins, not at every piece of news, and trading goes on."""
    broker = await open_broker(STATE=tmp_path / "account.json")
    heard = broker.listen(broker.trading)
    await broker.turn()

    def fail(*_):
        raise StorageError("the disk is full")

    with caplog.at_level(logging.ERROR, "broker_demo.venue"), monkeypatch.context() as patch:
        patch.setattr("broker_demo.state.StateFile.save", fail)
        for _ in range(3):
            with pytest.raises(Exception, match="the disk is full"):
                await broker.submit(MarketOrder("AAPL", "buy", qty=1))
            await broker.turn()

    assert caplog.text.count("the disk is full") == 1
    assert len(heard) == 7
