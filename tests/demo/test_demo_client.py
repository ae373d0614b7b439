"""Opening and closing the demo account: its seed, its time, its file."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from broker_core.clock import CountingIds, StillClock, seeded
from broker_core.errors import ConfigError, StorageError, Unavailable
from broker_core.families import HOOK_API, Client
from broker_core.models import Channel, Environment
from broker_core.requests import LimitOrder, MarketOrder, OrderClass, OrderType, TimeInForce
from broker_demo.client import DemoClient
from broker_demo.config import DemoSettings

D = Decimal


def make(settings=None, clock=None, chance=3):
    return DemoClient(settings or DemoSettings(), clock=clock or StillClock(), ids=CountingIds("A"), random=seeded(chance))


async def test_client_says_what_it_is():
    """It is a demo broker of the present hook API that can do everything a broker may declare."""
    client = make()

    assert isinstance(client, Client)
    assert (client.name, client.mode, client.environment, client.hook_api) == ("demo", "demo", Environment.DEMO, HOOK_API)
    can = client.capabilities
    assert can.order_types == set(OrderType)
    assert can.order_classes == set(OrderClass) - {OrderClass.MLEG}
    assert can.times_in_force == set(TimeInForce)
    assert can.channels == {Channel.ORDERS, Channel.TRADES, Channel.QUOTES, Channel.BARS}
    assert can.timeframes == {"Min", "Hour", "Day", "Week", "Month"}
    assert all((can.notional, can.fractional, can.short, can.extended_hours, can.replace))


async def test_new_account_holds_the_cash_of_the_settings():
    """A new account has the settings' cash and an id out of the id factory."""
    client = make(DemoSettings(cash=D("2500.50"), shorting=False))

    account = await client.open()
    await client.close()

    assert (account.account_id, account.cash, account.equity, account.buying_power) == (
        "DEMO-A000001",
        D("2500.50"),
        D("2500.50"),
        D("2500.50"),
    )
    assert not account.shorting_enabled


async def test_opened_and_closed_client_leaves_no_task():
    """After close nothing of the market runs on, and closing again, or without having opened, is no error."""
    before = asyncio.all_tasks()
    client = make()
    await client.open()
    assert len(asyncio.all_tasks()) > len(before)

    await client.close()
    await client.close()
    await make().close()

    assert asyncio.all_tasks() == before


async def test_seed_is_chosen_by_chance_and_can_be_read():
    """Without a seed one is taken from the passed-in chance, so that a run can be repeated with it."""
    assert make().seed == make().seed
    assert make().seed != make(chance=4).seed
    assert make(DemoSettings(seed=5)).seed == 5


async def test_same_seed_makes_the_same_day(open_broker, clock):
    """Two sessions with one seed and the same calls hear the same events, ids included; another seed's differ."""

    async def day(seed):
        broker = await open_broker(SEED=seed, START="2026-03-02T15:00:00Z")
        heard = broker.listen(broker.trading)
        await broker.turn()
        await broker.submit(MarketOrder("DEMO.PARTIAL", "buy", qty=9), "a")
        await broker.submit(LimitOrder("AAPL", "sell", qty=300, limit_price="1"), "b")
        await clock.advance(30)
        return heard

    first = await day(11)
    assert await day(11) == first
    assert await day(12) != first


async def test_market_time_begins_where_it_is_told(open_broker, clock):
    """A start moment and a speed decide what time it is at the market."""
    broker = await open_broker(START="2026-01-05T15:00:00Z", SPEED=60)
    await clock.advance(30)

    assert (await broker.market_data.clock()).at == datetime(2026, 1, 5, 15, 30, tzinfo=UTC)


async def test_replay_begins_at_its_first_bar(open_broker, clock, tmp_path):
    """A replay's market opens with the first bar of the file and trades its prices."""
    bars = tmp_path / "mine.csv"
    rows = [f"2026-01-05T15:{minute:02}:00Z,{100 + minute},{101 + minute},{99 + minute},{100 + minute},1000" for minute in range(5)]
    bars.write_text("timestamp,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    broker = await open_broker(REPLAY=bars, SYMBOL="MINE")
    assert (await broker.market_data.clock()).at == datetime(2026, 1, 5, 15, tzinfo=UTC)
    assert (await broker.market_data.trades(["MINE"]))["MINE"].price == 100

    await broker.submit(MarketOrder("MINE", "buy", qty=1), "mine")
    await clock.advance(180)

    assert (await broker.orders.find("mine")).filled_qty == 1
    assert (await broker.market_data.trades(["MINE"]))["MINE"].price == 103


async def test_calendar_is_asked_by_name(open_broker):
    """The name of an exchange gives its trading hours."""
    broker = await open_broker(CALENDAR="XNYS")

    clock = await broker.market_data.clock()

    assert clock.is_open
    assert clock.next_close == datetime(2026, 3, 2, 21, tzinfo=UTC)


async def test_settings_that_fail_at_the_opening_leave_nothing_held(tmp_path, clock):
    """A calendar that does not exist raises ConfigError at open, and the account's file is free after the close."""
    path = tmp_path / "account.json"
    client = make(DemoSettings(calendar="NOWHERE", state=path), clock)
    with pytest.raises(ConfigError, match="NOWHERE"):
        await client.open()
    await client.close()

    other = make(DemoSettings(state=path), clock)
    await other.open()
    await other.close()


async def test_account_goes_on_after_a_restart(open_broker, clock, tmp_path):
    """A later session has the account of the former one: its id, seed, orders and positions, and what happened in between."""
    path = tmp_path / "account.json"
    first = await open_broker(STATE=path)
    await first.submit(MarketOrder("AAPL", "buy", qty=10), "bought")
    price = (await first.market_data.trades(["AAPL"]))["AAPL"].price
    await first.submit(LimitOrder("AAPL", "sell", qty=10, limit_price=round(price + 0.01, 2), time_in_force="gtc"), "waiting")
    account = await first.sync.account()
    await first.close()
    await clock.advance(3600)

    second = await open_broker(STATE=path)

    assert second.opened.account_id == account.account_id
    assert second.opened.cash > 99_000, "the waiting order was filled before the account was told"
    assert second.client.seed == first.client.seed
    assert (await second.orders.find("bought")).filled_qty == 10
    assert (await second.orders.find("waiting")).raw_status == "filled"
    assert await second.sync.positions() == []


async def test_account_of_another_seed_is_not_opened(open_broker, tmp_path):
    """A seed in the settings that is not the account's would change prices under its positions, and is refused."""
    path = tmp_path / "account.json"
    await (await open_broker(STATE=path, SEED=7)).close()

    with pytest.raises(ConfigError, match="BROKER_DEMO_SEED: 8 differs from 7"):
        await open_broker(STATE=path, SEED=8)


async def test_account_is_used_by_one_session_at_a_time(open_broker, tmp_path):
    """A second session with the same file is refused until the first is closed."""
    path = tmp_path / "account.json"
    first = await open_broker(STATE=path)
    with pytest.raises(ConfigError, match="in use by another session"):
        await open_broker(STATE=path)

    await first.close()

    await open_broker(STATE=path)


async def test_accelerated_account_does_not_go_back_in_time(open_broker, clock, tmp_path):
    """An account whose market was ahead of the clock resumes where it had come to."""
    path = tmp_path / "account.json"
    first = await open_broker(STATE=path, SPEED=3600)
    await clock.advance(10)
    at = (await first.market_data.clock()).at
    await first.sync.account()
    await first.close()

    second = await open_broker(STATE=path)

    assert (await second.market_data.clock()).at == at


async def test_account_that_cannot_be_written_is_not_opened(tmp_path, monkeypatch):
    """Where the first save fails, opening raises StorageError rather than trading without a memory."""

    def fail(*_):
        raise StorageError("the disk is full")

    monkeypatch.setattr("broker_demo.state.StateFile.save", fail)
    client = make(DemoSettings(state=tmp_path / "account.json"))

    with pytest.raises(StorageError, match="the disk is full"):
        await client.open()
    await client.close()


async def test_market_that_breaks_is_loud(open_broker, monkeypatch, caplog):
    """An error inside the running market ends both feeds with Unavailable and is logged when the client closes."""
    broker = await open_broker()
    heard = [broker.listen(broker.trading), broker.listen(broker.data)]
    await broker.turn()

    def fail(_):
        raise ZeroDivisionError("broken")

    monkeypatch.setattr(broker.client.venue.exchange, "advance", fail)
    broker.client.venue.wake()
    await broker.turn()

    assert all(isinstance(told[-1], Unavailable) and "the market has stopped: broken" in str(told[-1]) for told in heard)
    with caplog.at_level(logging.ERROR, "broker_demo.client"):
        await broker.client.close()
    assert "the market had stopped" in caplog.text


async def test_market_sleeps_when_there_is_nothing_to_do(open_broker, clock):
    """Without orders and wishes the market waits for the next bell, not for every tick."""
    broker = await open_broker()
    await broker.turn()

    assert clock.sleeping == (14 * 3600.0,)
