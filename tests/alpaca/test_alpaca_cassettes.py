"""Whole conversations with Alpaca, replayed over both transports from the same cassettes; nothing goes over a network."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from accounts import KEY, SECRET, transport_of
from cassette_scenarios import SCENARIOS, Names
from vcr.errors import CannotOverwriteExistingCassetteException

from broker_alpaca.client import AlpacaClient
from broker_alpaca.config import AlpacaSettings, Mode
from broker_core.clock import SystemClock, seeded
from broker_core.errors import DuplicateOrder, RequestRefused
from broker_core.orders import EventKind, State
from broker_core.watchlists import Watchlist

FOLDER = Path(__file__).parents[2] / "cassettes" / "rest"
UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
MADE_UP = "00000000-0000-4000-8000-"


@cache
def interactions(name: str) -> list[dict[str, Any]]:
    """What a cassette holds."""
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))["interactions"]


@pytest.fixture(scope="module")
def vcr_cassette_dir() -> str:
    return str(FOLDER)


@pytest.fixture(scope="module")
def vcr_config() -> dict[str, Any]:
    return {"match_on": ["method", "scheme", "host", "port", "path", "query", "body"], "decode_compressed_response": True}


@pytest.fixture
async def client(mode: Mode) -> AsyncIterator[AlpacaClient]:
    """A paper account at Alpaca's own addresses, over either transport."""
    settings = AlpacaSettings(key=KEY, secret=SECRET)
    made = AlpacaClient(settings, transport_of(settings, mode), clock=SystemClock(), random=seeded(1))
    yield made
    await made.close()


def replays(name: str) -> Callable[[Any], Any]:
    """Mark a test as one that holds this scenario with its cassette."""

    def mark(test: Any) -> Any:
        return pytest.mark.vcr(pytest.mark.default_cassette(f"{name}.yaml")(test))

    return mark


@replays("account")
async def test_account_and_its_history(client: AlpacaClient, vcr: Any):
    """The account opens with exact amounts; its history keeps the place of a day that is not known."""
    found = await SCENARIOS["account"](client, Names())

    account, history = found["opened"], found["history"]
    assert (account.account_id, account.currency, account.trading_blocked) == ("PA0000000001", "USD", False)
    assert (account.cash, account.equity) == (Decimal("98470.28"), Decimal("100041.28"))
    assert found["configuration"].max_margin_multiplier == 4
    assert len(history) == 5
    assert history.equity[3] is None
    assert vcr.all_played
    assert not client.drift


@replays("positions")
async def test_positions(client: AlpacaClient, vcr: Any):
    """A stock and a crypto pair, the pair under the name that orders use; what is not held is refused with 404."""
    found = await SCENARIOS["positions"](client, Names())

    assert [(position.symbol, position.qty) for position in found["held"]] == [("AAPL", Decimal(5)), ("BTC/USD", Decimal("0.002493750"))]
    assert isinstance(found["refusal"], RequestRefused)
    assert (found["refusal"].status, found["refusal"].code) == (404, 40410000)
    assert vcr.all_played
    assert not client.drift


@replays("orders")
async def test_order_from_submission_to_cancellation(client: AlpacaClient, vcr: Any):
    """An order is taken, found and listed under our id; a second one of that id and a price between two ticks are refused; it ends."""
    found = await SCENARIOS["orders"](client, Names())

    submitted, ended = found["submitted"], found["ended"]
    assert (submitted.client_order_id, submitted.kind) == ("cassette-order", EventKind.SNAPSHOT)
    assert submitted.broker_order_id.startswith(MADE_UP)
    assert (found["found"].status, found["found"].raw_status) == (State.ACCEPTED, "new")
    assert [event.client_order_id for event in found["listed"]] == ["cassette-order"]
    assert isinstance(found["duplicate"], DuplicateOrder)
    assert (found["refusal"].status, found["refusal"].code) == (422, 42210000)
    assert "sub-penny" in str(found["refusal"])
    assert found["unknown"] is None
    assert (ended.status, ended.filled_qty) == (State.CANCELED, Decimal(0))
    assert vcr.all_played
    assert not client.drift


@replays("orders")
async def test_another_order_is_not_answered_by_the_cassette(client: AlpacaClient):
    """Bodies count: an order of another name finds no answer, instead of that of somebody else's order."""
    with pytest.raises(CannotOverwriteExistingCassetteException):
        await SCENARIOS["orders"](client, Names(order="another"))


@replays("watchlists")
async def test_watchlist_from_its_making_to_its_end(client: AlpacaClient, vcr: Any):
    """Each step answers with the list as it is then; at the end it is gone."""
    found = await SCENARIOS["watchlists"](client, Names())

    created: Watchlist = found["created"]
    steps = [found[step].symbols for step in ("created", "added", "removed", "shown")]
    assert steps == [("AAPL",), ("AAPL", "MSFT"), ("MSFT",), ("MSFT",)]
    assert {(found[step].watchlist_id, found[step].name) for step in ("created", "added", "shown")} == {
        (created.watchlist_id, created.name)
    }
    assert created.name in [listed.name for listed in found["all"]]
    assert found["gone"].status == 404
    assert vcr.all_played
    assert not client.drift


@replays("activities")
async def test_activities_page_by_page(client: AlpacaClient, vcr: Any):
    """Fills come two by two, oldest first, none twice and none left out; money came and went besides."""
    found = await SCENARIOS["activities"](client, Names())

    fills = [fill for page in found["fills"] for fill in page]
    assert [len(page) for page in found["fills"]] == [2, 1]
    assert len({fill.id for fill in fills}) == 3
    assert [fill.transaction_time for fill in fills] == sorted(fill.transaction_time for fill in fills)
    assert fills[0].order_id == fills[1].order_id
    assert [record.activity_type for record in found["money"]] == ["CSD", "DIV"]
    assert vcr.all_played
    assert not client.drift


@replays("bars")
async def test_bars_page_by_page(client: AlpacaClient, vcr: Any):
    """A page holds points of all symbols together, so a symbol can be on two; a token leads to the next page."""
    found = await SCENARIOS["bars"](client, Names())

    first, second = (page.found for page in found["stocks"])
    assert [len(columns.close) for columns in first.values()] == [4, 1]
    assert list(first) == ["AAPL", "MSFT"]
    assert [len(columns.close) for columns in second.values()] == [3]
    assert datetime.fromtimestamp(first["AAPL"].timestamp_ns[0] / 1e9, UTC) == datetime(2024, 1, 2, 5, tzinfo=UTC)
    assert list(found["crypto"].found) == ["BTC/USD"]
    assert vcr.all_played
    assert not client.drift


@replays("snapshots")
async def test_snapshots_of_a_stock_and_a_pair(client: AlpacaClient, vcr: Any):
    """Both kinds of symbols in one question, whatever hosts and shapes their answers have."""
    found = (await SCENARIOS["snapshots"](client, Names()))["snapshots"]

    assert set(found) == {"AAPL", "BTC/USD"}
    for symbol, snapshot in found.items():
        assert snapshot.symbol == symbol
        assert snapshot.quote.bid_price < snapshot.quote.ask_price
        assert snapshot.trade.timestamp_ns > snapshot.previous_daily_bar.timestamp_ns
    assert vcr.all_played
    assert not client.drift


@replays("market")
async def test_clock_and_a_week_with_a_half_day(client: AlpacaClient, vcr: Any):
    """The clock's moments are UTC; the eve of the holiday ends early, the holiday is missing."""
    found = await SCENARIOS["market"](client, Names())

    clock, hours = found["clock"], found["hours"]
    assert clock.at.utcoffset() == clock.next_open.utcoffset() == clock.next_close.utcoffset()
    assert clock.is_open == (clock.next_close < clock.next_open)
    assert [day.day.day for day in hours] == [1, 2, 3, 5]
    assert [day.close.hour for day in hours] == [20, 20, 17, 20]
    assert vcr.all_played
    assert not client.drift


@replays("assets")
async def test_assets(client: AlpacaClient, vcr: Any):
    """A stock and a pair with their ticks, nothing for an unknown symbol, and every pair with its slash."""
    found = await SCENARIOS["assets"](client, Names())

    assert (found["stock"].symbol, found["stock"].asset_class, found["stock"].price_increment) == ("AAPL", "us_equity", Decimal("0.01"))
    assert (found["pair"].symbol, found["pair"].asset_class) == ("BTC/USD", "crypto")
    assert found["unknown"] is None
    assert len(found["pairs"]) > 1
    assert all("/" in pair.symbol for pair in found["pairs"])
    assert vcr.all_played
    assert not client.drift


def test_every_scenario_has_its_cassette():
    """There is a cassette for each scenario, and none that nobody plays."""
    assert {file.stem for file in FOLDER.iterdir()} == set(SCENARIOS)


@pytest.mark.parametrize("name", SCENARIOS)
def test_addresses_are_whole(name: str):
    """Every address names its scheme and host, so that no answer of one host can stand for another's, or paper for live."""
    uris = [interaction["request"]["uri"] for interaction in interactions(name)]

    assert uris
    for uri in uris:
        assert uri.startswith("https://")
        assert uri.startswith(("https://paper-api.alpaca.markets/v2/", "https://data.alpaca.markets/v"))


@pytest.mark.parametrize("name", SCENARIOS)
def test_cassettes_hold_nobodys_secrets(name: str):
    """No header that signs in or names somebody, no account's number, no id that is not made up."""
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")

    headers = [
        header.lower() for interaction in interactions(name) for side in ("request", "response") for header in interaction[side]["headers"]
    ]
    assert set(headers) <= {"accept", "content-type", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}
    assert all(found.startswith(MADE_UP) for found in UUID.findall(text))
    assert set(re.findall(r'"account_number":"(\w+)"', text)) <= {"PA0000000001"}
