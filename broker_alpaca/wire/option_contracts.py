"""Option contracts: which there are, and what each is about.

Source: https://docs.alpaca.markets/reference/get-options-contracts, .../get-option-contract-symbol_or_id. Unless dates of expiration are
given, only contracts that expire before the coming weekend are listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum

import attrs

from broker_alpaca.wire import reading
from broker_alpaca.wire.call import Call, members, segment
from broker_alpaca.wire.reading import Page, Record, word

LARGEST_PAGE = 10_000


class ContractType(StrEnum):
    """The right to buy, or the right to sell."""

    CALL = "call"
    PUT = "put"


class Style(StrEnum):
    """When it may be exercised: at any time, or at the end."""

    AMERICAN = "american"
    EUROPEAN = "european"


class Status(StrEnum):
    """Whether the contract can still be traded."""

    ACTIVE = "active"
    INACTIVE = "inactive"


@attrs.frozen(kw_only=True)
class Deliverable(Record):
    """One thing that changes hands when the contract is exercised."""

    type: str | None = None
    symbol: str | None = None
    asset_id: str | None = None
    amount: Decimal | None = None
    allocation_percentage: Decimal | None = None
    settlement_type: str | None = None
    settlement_method: str | None = None
    delayed_settlement: bool | None = None


@attrs.frozen(kw_only=True)
class OptionContract(Record):
    """One contract. Prices in US dollars for one share; ``multiplier`` says how many shares a price is for."""

    id: str
    symbol: str
    """In OCC's form: ``AAPL250620C00100000``."""
    underlying_symbol: str
    expiration_date: date
    strike_price: Decimal
    type: str | None = word(frozenset(ContractType), default=None)
    name: str | None = None
    status: str | None = word(frozenset(Status), default=None)
    tradable: bool = False
    root_symbol: str | None = None
    underlying_asset_id: str | None = None
    style: str | None = word(frozenset(Style), default=None)
    multiplier: Decimal | None = None
    size: Decimal | None = None
    """Shares that are delivered; not a multiplier."""
    open_interest: Decimal | None = None
    open_interest_date: date | None = None
    close_price: Decimal | None = None
    close_price_date: date | None = None
    ppind: bool | None = None
    """Whether its price may move in pennies."""
    deliverables: tuple[Deliverable, ...] | None = None
    """None where they were not asked for."""


def page(
    underlying_symbols: Sequence[str] | None = None,
    *,
    status: Status | None = None,
    expiration_date: date | None = None,
    expiration_date_gte: date | None = None,
    expiration_date_lte: date | None = None,
    root_symbol: str | None = None,
    contract_type: ContractType | None = None,
    style: Style | None = None,
    strike_price_gte: Decimal | None = None,
    strike_price_lte: Decimal | None = None,
    show_deliverables: bool | None = None,
    ppind: bool | None = None,
    limit: int = LARGEST_PAGE,
    page_token: str | None = None,
) -> Call[Page[OptionContract]]:
    """One page of contracts; bounds are included. Raises ValueError for a page of no allowed size."""
    if not 1 <= limit <= LARGEST_PAGE:
        raise ValueError(f"limit: {limit} is not from 1 to {LARGEST_PAGE}")
    return Call(
        method="GET",
        path="/v2/options/contracts",
        query=members(
            underlying_symbols=underlying_symbols,
            status=status,
            expiration_date=expiration_date,
            expiration_date_gte=expiration_date_gte,
            expiration_date_lte=expiration_date_lte,
            root_symbol=root_symbol,
            type=contract_type,
            style=style,
            strike_price_gte=strike_price_gte,
            strike_price_lte=strike_price_lte,
            show_deliverables=show_deliverables,
            ppind=ppind,
            limit=limit,
            page_token=page_token,
        ),
        read=reading.many(OptionContract, "option contracts", "option_contracts"),
    )


def get(symbol_or_id: str) -> Call[OptionContract]:
    """One contract, by its symbol or its id."""
    return Call(method="GET", path=f"/v2/options/contracts/{segment(symbol_or_id)}", read=reading.one(OptionContract, "option contract"))
