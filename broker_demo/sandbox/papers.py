"""The account's own papers as values: all that is kept of a profile."""

from __future__ import annotations

from typing import Annotated, Literal

import attrs
import msgspec

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


@attrs.frozen(kw_only=True)
class Configurations:
    """What the account's owner has chosen.

    ``suspend_trade``, ``no_shorting`` and ``fractional_trading`` bind orders; the others are only kept.
    """

    disable_overnight_trading: bool = False
    dtbp_check: Literal["entry", "exit", "both"] = "entry"
    fractional_trading: bool = True
    max_margin_multiplier: Literal["1", "2", "4"] = "1"
    max_options_trading_level: Literal[0, 1, 2, 3] | None = 0
    no_shorting: bool = False
    pdt_check: Literal["entry", "exit", "both"] = "entry"
    ptp_no_exception_entry: bool = False
    suspend_trade: bool = False
    trade_confirm_email: Literal["all", "none"] = "all"


@attrs.frozen(kw_only=True)
class Watchlist:
    """A named list of symbols, in the order its owner gave. Moments are integer nanoseconds since the Unix epoch."""

    watchlist_id: str
    name: _Name
    symbols: tuple[str, ...] = ()
    created_at_ns: int
    updated_at_ns: int


@attrs.frozen(kw_only=True)
class Papers:
    """All of them. ``account_id`` is the exchange's account they belong to."""

    account_id: str
    account_number: str
    created_at_ns: int
    configurations: Configurations = attrs.field(factory=Configurations)
    watchlists: tuple[Watchlist, ...] = ()
