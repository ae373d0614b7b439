"""The account and its configurations over the wire."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest
from sandboxes import Visitor

from broker_core.clock import StillClock

FIGURES = ("cash", "equity", "last_equity", "portfolio_value", "buying_power", "long_market_value", "initial_margin", "maintenance_margin")


async def test_a_new_account_holds_its_opening_cash(visitor: Visitor):
    """All figures of an account without positions say what it began with, as texts, and it may trade."""
    account = (await visitor.get("/v2/account")).json

    assert [account[name] for name in FIGURES] == ["100000"] * 5 + ["0"] * 3
    assert (account["status"], account["trading_blocked"], account["multiplier"]) == ("ACTIVE", False, "1")
    assert account["account_number"].startswith("PA")
    assert str(UUID(account["id"])) == account["id"]
    assert (account["created_at"], account["balance_asof"]) == ("2026-03-02T15:00:00Z", "2026-03-01")


async def test_every_position_needs_its_whole_value(visitor: Visitor, clock: StillClock):
    """Longs, shorts and open orders are what the free money falls short of the equity by; the last close is dated."""
    await visitor.order(symbol="AAPL", qty="30")
    await visitor.order(symbol="MSFT", qty="20", side="sell")
    await clock.advance(86_400)
    await visitor.order(symbol="TSLA", qty="10", type="limit", limit_price="100", time_in_force="gtc")

    account = (await visitor.get("/v2/account")).json

    told = {name: Decimal(value) for name, value in account.items() if name in {*FIGURES, "short_market_value", "position_market_value"}}
    assert told["long_market_value"] > 0 > told["short_market_value"]
    assert told["maintenance_margin"] == told["long_market_value"] - told["short_market_value"]
    assert told["initial_margin"] == told["maintenance_margin"] + 1000
    assert told["buying_power"] == told["equity"] - told["initial_margin"]
    assert told["equity"] == told["cash"] + told["position_market_value"]
    assert account["balance_asof"] == "2026-03-02"


async def test_configurations_are_changed_one_by_one(visitor: Visitor):
    """A change names any of them, leaves the others alone, and is answered with all."""
    before = (await visitor.get("/v2/account/configurations")).json

    after = await visitor.ask("PATCH", "/v2/account/configurations", {"suspend_trade": True, "no_shorting": True, "unheard_of": 1})

    assert after.status == 200
    assert after.json == {**before, "suspend_trade": True, "no_shorting": True}
    assert (await visitor.get("/v2/account/configurations")).json == after.json
    account = (await visitor.get("/v2/account")).json
    assert (account["trade_suspended_by_user"], account["shorting_enabled"]) == (True, False)


@pytest.mark.parametrize("change", [{"suspend_trade": "yes"}, {"max_margin_multiplier": "3"}, {"max_options_trading_level": 4}])
async def test_a_configuration_out_of_its_bounds_is_refused(visitor: Visitor, change: dict[str, object]):
    """The refusal names the field, and nothing is changed, what was right in the same request included."""
    before = (await visitor.get("/v2/account/configurations")).json

    reply = await visitor.ask("PATCH", "/v2/account/configurations", {"no_shorting": True, **change})

    assert (reply.status, reply.json["code"]) == (422, 40010001)
    assert next(iter(change)) in reply.json["message"]
    assert (await visitor.get("/v2/account/configurations")).json == before
