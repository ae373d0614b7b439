"""The account and its configuration.

Source: https://docs.alpaca.markets/reference/getaccount-1, .../getaccountconfig-1. Only ``id`` and ``status`` are promised; the members of
the pattern day trader rules are gone from the newest bodies and stay here for older ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import attrs

from broker_alpaca.wire import reading
from broker_alpaca.wire.call import Call, members
from broker_alpaca.wire.reading import Moment, Record, word
from broker_core.models import Account

STATUSES = frozenset(
    {"INACTIVE", "PAPER_ONLY", "ONBOARDING", "SUBMISSION_FAILED", "SUBMITTED", "ACCOUNT_UPDATED", "APPROVAL_PENDING", "ACTIVE"}
    | {"REJECTED", "ACCOUNT_CLOSED", "APPROVED", "ACCOUNT_CLOSED_PENDING", "ACTION_REQUIRED", "LIMITED"}
)
_ZERO = Decimal(0)


@attrs.frozen(kw_only=True)
class AlpacaAccount(Record):
    """The account with everything Alpaca says of it. Amounts in ``currency``."""

    id: str
    status: str = word(STATUSES)
    account_number: str | None = None
    crypto_status: str | None = word(STATUSES, default=None)
    currency: str = "USD"
    cash: Decimal | None = None
    equity: Decimal | None = None
    last_equity: Decimal | None = None
    portfolio_value: Decimal | None = None
    buying_power: Decimal | None = None
    regt_buying_power: Decimal | None = None
    non_marginable_buying_power: Decimal | None = None
    options_buying_power: Decimal | None = None
    effective_buying_power: Decimal | None = None
    daytrading_buying_power: Decimal | None = None
    initial_margin: Decimal | None = None
    maintenance_margin: Decimal | None = None
    last_maintenance_margin: Decimal | None = None
    long_market_value: Decimal | None = None
    short_market_value: Decimal | None = None
    position_market_value: Decimal | None = None
    sma: Decimal | None = None
    accrued_fees: Decimal | None = None
    pending_reg_taf_fees: Decimal | None = None
    intraday_adjustments: Decimal | None = None
    pending_transfer_in: Decimal | None = None
    pending_transfer_out: Decimal | None = None
    multiplier: Decimal | None = None
    balance_asof: date | None = None
    """The day of the ``last_…`` figures."""
    created_at: Moment | None = None
    trading_blocked: bool = False
    transfers_blocked: bool = False
    account_blocked: bool = False
    trade_suspended_by_user: bool = False
    shorting_enabled: bool = False
    options_approved_level: int | None = None
    options_trading_level: int | None = None
    crypto_tier: int | None = None
    pattern_day_trader: bool | None = None
    daytrade_count: int | None = None
    admin_configurations: Mapping[str, Any] | None = None
    user_configurations: Mapping[str, Any] | None = None


@attrs.frozen(kw_only=True)
class AccountConfiguration(Record):
    """What the account's owner may set."""

    disable_overnight_trading: bool | None = None
    dtbp_check: str | None = word(frozenset({"entry", "exit", "both"}), default=None)
    fractional_trading: bool | None = None
    max_margin_multiplier: Decimal | None = None
    max_options_trading_level: int | None = None
    no_shorting: bool | None = None
    pdt_check: str | None = word(frozenset({"entry", "exit", "both"}), default=None)
    ptp_no_exception_entry: bool | None = None
    suspend_trade: bool | None = None
    trade_confirm_email: str | None = word(frozenset({"all", "none"}), default=None)


def get() -> Call[AlpacaAccount]:
    """The account."""
    return Call(method="GET", path="/v2/account", read=reading.one(AlpacaAccount, "account"))


def to_account(found: AlpacaAccount) -> Account:
    """The account in the core's words: figures that are missing count as nothing."""
    is_blocked = found.trading_blocked or found.account_blocked or found.trade_suspended_by_user or found.status != "ACTIVE"
    return Account(
        account_id=found.account_number or found.id,
        currency=found.currency,
        cash=found.cash or _ZERO,
        equity=found.equity or found.portfolio_value or _ZERO,
        buying_power=found.buying_power or _ZERO,
        status=found.status,
        shorting_enabled=found.shorting_enabled,
        trading_blocked=is_blocked,
        last_equity=found.last_equity,
    )


def configuration() -> Call[AccountConfiguration]:
    """What the owner has set."""
    return Call(method="GET", path="/v2/account/configurations", read=reading.one(AccountConfiguration, "account configuration"))


def configure(
    *,
    disable_overnight_trading: bool | None = None,
    fractional_trading: bool | None = None,
    max_margin_multiplier: int | None = None,
    max_options_trading_level: int | None = None,
    no_shorting: bool | None = None,
    ptp_no_exception_entry: bool | None = None,
    suspend_trade: bool | None = None,
    trade_confirm_email: str | None = None,
) -> Call[AccountConfiguration]:
    """Set some of it; what is not given stays. Answers the whole configuration."""
    given: dict[str, Any] = {
        "disable_overnight_trading": disable_overnight_trading,
        "fractional_trading": fractional_trading,
        "max_options_trading_level": max_options_trading_level,
        "no_shorting": no_shorting,
        "ptp_no_exception_entry": ptp_no_exception_entry,
        "suspend_trade": suspend_trade,
        **members(max_margin_multiplier=max_margin_multiplier, trade_confirm_email=trade_confirm_email),
    }
    return Call(
        method="PATCH",
        path="/v2/account/configurations",
        body={name: value for name, value in given.items() if value is not None},
        read=reading.one(AccountConfiguration, "account configuration"),
    )
