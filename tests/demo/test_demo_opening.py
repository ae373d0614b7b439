"""What an opening client is given."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from broker_core.clock import CountingIds, to_ns
from broker_core.errors import ConfigError
from broker_core.requests import MarketOrder
from broker_demo.config import DemoSettings
from broker_demo.opening import prepare

D = Decimal
HOUR_NS = 3_600_000_000_000


@pytest.fixture
def opened(clock):
    """``opened(kept, NAME=value)``: exchange and time of a client with these settings."""
    return lambda kept=None, **terms: prepare(DemoSettings(**terms), 7, kept, clock=clock, ids=CountingIds("A"))


def test_new_account_begins_now(opened, clock):
    """Without anything kept there is a new account with the settings' cash, at the clock's moment, with ids out of the seed."""
    exchange, time = opened(cash=D(500))

    assert (exchange.account_id, exchange.state.ledger.cash, exchange.state.ids.seed) == ("DEMO-A000001", 500, 7)
    assert exchange.now_ns == time.now_ns() == clock.now_ns()
    assert exchange.shorting


def test_start_is_a_moment_of_choice(opened):
    """A start in the settings is where the market's time begins."""
    start_ns = to_ns(datetime(2026, 1, 5, 15, tzinfo=UTC))

    exchange, time = opened(start_ns=start_ns)

    assert exchange.now_ns == time.now_ns() == start_ns


def test_kept_account_is_brought_up_to_the_present(opened, clock):
    """An account from before is the same one, and all that was due since has happened."""
    first, _ = opened(start_ns=clock.now_ns() - HOUR_NS)
    first.submit(MarketOrder("AAPL", "buy", qty=1), "mine", first.now_ns)

    exchange, _ = opened(first.state)

    assert exchange.account_id == first.account_id
    assert exchange.order_by_client_id("mine").filled_qty == 1
    assert exchange.now_ns == clock.now_ns()


def test_kept_account_does_not_go_back(opened, clock):
    """An account whose market was ahead goes on from there, also when a start in the settings lies before it."""
    first, _ = opened(start_ns=clock.now_ns() + HOUR_NS)

    for terms in ({}, {"start_ns": clock.now_ns()}):
        exchange, time = opened(first.state, **terms)
        assert exchange.now_ns == time.now_ns() == clock.now_ns() + HOUR_NS


def test_extra_symbols_are_listed(opened):
    """Symbols of the settings can be traded."""
    exchange, _ = opened(symbols=("MINE",))

    assert exchange.prices.asset("MINE") is not None


def test_calendar_and_file_have_to_exist(opened, tmp_path):
    """A calendar nobody knows and a file that is not there raise ConfigError."""
    with pytest.raises(ConfigError, match="NOWHERE"):
        opened(calendar="NOWHERE")
    with pytest.raises(ConfigError, match=r"bars\.csv"):
        opened(replay=tmp_path / "bars.csv")
