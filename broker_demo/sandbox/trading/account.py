"""The account and its configurations (alpaca-api: Account).

Nothing is bought on margin at the demo exchange: the multiplier is 1, every position needs its whole value, and so the money that is
free is what the equity exceeds the value of all positions and the claims of open orders by.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import attrs
import msgspec

from broker_demo.exchange import Exchange
from broker_demo.sandbox.answers import Answer, decimal_text, found
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.moments import moment_text
from broker_demo.sandbox.papers import Configurations
from broker_demo.sandbox.profile import Profile
from broker_demo.sandbox.route import Route
from broker_demo.trading_hours import new_york_day


def get_account(desk: Desk, call: Call) -> Answer:  # noqa: ARG001  # every address is answered by a function of both
    """``GET /v2/account``."""
    return found(account_record(desk.settled(), desk.profile))


def account_record(exchange: Exchange, profile: Profile) -> dict[str, Any]:
    """The account with all its members, those that only older clients know included."""
    figures = exchange.portfolio()
    choices = profile.configurations
    gross = figures.long_market_value - figures.short_market_value
    buying_power, equity, margin = decimal_text(figures.buying_power), decimal_text(figures.equity), decimal_text(gross)
    return {
        "id": profile.account_id,
        "account_number": profile.account_number,
        "status": "ACTIVE",
        "crypto_status": "ACTIVE",
        "currency": "USD",
        "cash": decimal_text(figures.cash),
        "equity": equity,
        "last_equity": decimal_text(figures.last_equity),
        "portfolio_value": equity,
        "buying_power": buying_power,
        "regt_buying_power": buying_power,
        "daytrading_buying_power": "0",
        "non_marginable_buying_power": buying_power,
        "options_buying_power": buying_power,
        "effective_buying_power": buying_power,
        "bod_dtbp": "0",
        "initial_margin": decimal_text(gross + figures.claimed),
        "maintenance_margin": margin,
        "last_maintenance_margin": "0",
        "long_market_value": decimal_text(figures.long_market_value),
        "short_market_value": decimal_text(figures.short_market_value),
        "position_market_value": decimal_text(figures.long_market_value + figures.short_market_value),
        "sma": "0",
        "accrued_fees": "0",
        "pending_reg_taf_fees": "0",
        "intraday_adjustments": "0",
        "pending_transfer_in": "0",
        "pending_transfer_out": "0",
        "multiplier": "1",
        "balance_asof": _balance_day(exchange, profile),
        "created_at": moment_text(profile.created_at_ns),
        "trading_blocked": False,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": choices.suspend_trade,
        "shorting_enabled": exchange.shorting and not choices.no_shorting,
        "options_approved_level": 0,
        "options_trading_level": 0,
        "crypto_tier": 1,
        "pattern_day_trader": False,
        "daytrade_count": 0,
        "admin_configurations": {},
        "user_configurations": None,
    }


def _balance_day(exchange: Exchange, profile: Profile) -> str:
    """The trading day of the last close; before the first, the day before the account began."""
    closes = exchange.state.closes
    if closes:
        return new_york_day(closes[-1].at_ns - 1).isoformat()
    return (new_york_day(profile.created_at_ns) - timedelta(days=1)).isoformat()


def get_configurations(desk: Desk, call: Call) -> Answer:  # noqa: ARG001  # every address is answered by a function of both
    """``GET /v2/account/configurations``."""
    return found(attrs.asdict(desk.profile.configurations))


def change_configurations(desk: Desk, call: Call) -> Answer:
    """``PATCH /v2/account/configurations``: any of them; names that are not known are passed over."""
    told = {**attrs.asdict(desk.profile.configurations), **call.json()}
    try:
        changed = msgspec.convert(told, Configurations)
    except msgspec.ValidationError as error:
        raise call.bad(f"invalid configuration: {error}") from None
    desk.profile.configure(changed)
    return get_configurations(desk, call)


ROUTES: Sequence[Route] = (
    Route("GET", "/v2/account", get_account),
    Route("GET", "/v2/account/configurations", get_configurations),
    Route("PATCH", "/v2/account/configurations", change_configurations),
)
