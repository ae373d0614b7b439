"""Every published body of the trading host, as it is and with everything that can be wrong in it.

A mutation drops a member, nulls it, gives it another type, another word, or company it does not know. Reading must end in a value or in
WireError, and in a list the neighbours of a mutated record must come out as they went in.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from conftest import PAYLOADS
from mutations import mutants

from broker_alpaca.wire import account, activities, announcements, assets, clock, option_contracts, orders, portfolio, positions, watchlists
from broker_alpaca.wire.answers import Answer, error_of
from broker_alpaca.wire.call import Call
from broker_alpaca.wire.drift import Drift
from broker_core.errors import BrokerError, RemoteError, WireError

Payload = Callable[[str], bytes]

A_DAY = date(2026, 3, 2)

ONE: dict[str, Call[Any]] = {
    "account.json": account.get(),
    "account_older_fields.json": account.get(),
    "account_with_pdt_fields.json": account.get(),
    "account_configurations.json": account.configuration(),
    "account_configurations_older.json": account.configuration(),
    "asset_crypto_2022.json": assets.get("x"),
    "asset_spec.json": assets.get("x"),
    "clock.json": clock.get(),
    "close_position_order.json": positions.close("AAPL"),
    "option_contract_spec.json": option_contracts.get("x"),
    "order_crypto_pending_new.json": orders.get("x"),
    "order_equity_accepted.json": orders.get("x"),
    "order_ipo.json": orders.get("x"),
    "order_market_new.json": orders.get("x"),
    "order_mleg_filled.json": orders.get("x"),
    "order_option.json": orders.get("x"),
    "order_position_intent.json": orders.get("x"),
    "order_replaced_response.json": orders.get("x"),
    "portfolio_history_1.json": portfolio.history(),
    "portfolio_history_3.json": portfolio.history(),
    "watchlist.json": watchlists.get("x"),
}
MANY: dict[str, Call[Any]] = {
    "activity_crypto_fee.json": activities.page(),
    "activity_dividend.json": activities.page(),
    "activity_fill.json": activities.page(),
    "assets_list.json": assets.list_all(),
    "calendar.json": clock.calendar(),
    "cancel_all_orders_207.json": orders.cancel_all(),
    "close_all_positions_207.json": positions.close_all(),
    "corporate_announcements.json": announcements.list_between(A_DAY, A_DAY),
    "positions_spec.json": positions.list_all(),
    "positions_with_usd.json": positions.list_all(),
    "watchlists_list.json": watchlists.list_all(),
}
CONVERTERS: dict[str, Callable[[Any], object]] = {
    "account.json": account.to_account,
    "calendar.json": lambda day: clock.to_hours(day, Drift()),
    "clock.json": clock.to_clock,
    "positions_spec.json": positions.to_position,
    "positions_with_usd.json": positions.to_position,
}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of warnings would only be slow."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


TWINS: dict[str, Call[Any]] = {
    "cancel_all_orders_207_spec.json": orders.cancel_all(),
    "close_all_positions_207_spec.json": positions.close_all(),
    "option_contracts.json": option_contracts.page(),
    "portfolio_history_2.json": portfolio.history(),
}
READERS = {**ONE, **MANY, **TWINS}


@pytest.mark.parametrize("name", READERS)
def test_published_body_is_read_without_surprise(payload: Payload, name: str):
    """A published body is read whole: nothing in it is unknown, and nothing is left out."""
    drift = Drift()

    found = READERS[name].read(payload(f"trading/{name}"), drift)

    # The document's own example of assets has made-up words among their attributes.
    assert not drift.counts or name == "assets_list.json"
    assert getattr(found, "unreadable", 0) == 0


def test_every_published_body_has_its_reader():
    """No body of the trading host is left without a test here."""
    if not PAYLOADS.is_dir():
        pytest.skip("the published payloads are not beside the project")
    assert {file.name for file in (PAYLOADS / "trading").iterdir()} == set(READERS)


def outcome(read: Callable[[], Any]) -> Any:
    """What reading came to: its value, or the only error that it may end in."""
    try:
        return read()
    except WireError as error:
        failure = error
    assert "\n" not in str(failure)
    return failure


def test_no_mutation_of_a_record_breaks_its_reader(payload: Payload):
    """Whatever is wrong in a body of one record, reading it ends in a value or in WireError; so does turning it into the core's words."""
    count = 0
    for name, call in ONE.items():
        for mutant in mutants(json.loads(payload(f"trading/{name}"))):
            body = json.dumps(mutant).encode()
            found = outcome(lambda call=call, body=body: call.read(body, Drift()))
            if name in CONVERTERS and not isinstance(found, WireError):
                outcome(lambda name=name, found=found: CONVERTERS[name](found))
            count += 1
    assert count > 2000


def test_no_mutation_of_a_record_costs_its_neighbours(payload: Payload):
    """Whatever is wrong with one record of a list, those before and after it come out as they went in."""
    count = 0
    for name, call in MANY.items():
        records = json.loads(payload(f"trading/{name}"))
        whole = call.read(json.dumps(records).encode(), Drift()).records
        for mutant in mutants(records[-1]):
            page = call.read(json.dumps([*records, mutant, *records]).encode(), Drift())
            assert page.records[: len(whole)] == whole
            assert page.records[-len(whole) :] == whole
            assert len(page) + page.unreadable == 2 * len(whole) + 1
            for record in page.records if name in CONVERTERS else ():
                outcome(lambda name=name, record=record: CONVERTERS[name](record))
            count += 1
    assert count > 1000


@pytest.mark.parametrize("call", [account.get(), orders.cancel("x"), positions.close_all()])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 422, 429, 500, 504])
def test_no_mutation_of_an_error_hides_it(payload: Payload, call: Call[Any], status: int):
    """Whatever a refusal's body says, it becomes one error of the broker's side, in one line."""
    for file in sorted((PAYLOADS / "errors").iterdir()) if PAYLOADS.is_dir() else [payload("")]:
        whole = json.loads(file.read_bytes())
        bodies = [*(json.dumps(mutant).encode() for mutant in mutants(whole)), b"", b"{", b"<html><title>502 Bad Gateway</title>", b"\xff"]
        for body in bodies:
            error = error_of(call, Answer(status, {}, body), 1.0)
            assert isinstance(error, RemoteError)
            assert isinstance(error, BrokerError)
            assert "\n" not in str(error)


def test_published_errors_say_what_is_wrong(payload: Payload):
    """The broker's code and words reach whoever asked, and so do the figures beside them."""
    refused = error_of(positions.close_all(), Answer(422, {}, payload("errors/422_sub_penny_limit_price.json")), 0.0)
    wash = error_of(orders.cancel("x"), Answer(403, {}, payload("composed/error_wash_trade_403.json")), 0.0)

    assert "42210000 invalid limit_price 290.123. sub-penny increment" in str(refused)
    assert "existing_order_id 11111111-1111-4111-8111-1111111111ff" in str(wash)
