"""What happened in the account: fills, and everything that is no trade (dividends, fees, transfers, …).

Source: https://docs.alpaca.markets/reference/getaccountactivities-2, .../getaccountactivitiesbyactivitytype-1. A page has no token: the
next one is asked for with the id of the last record. The ids begin with New York's time; the moments are UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeAlias

import attrs

from broker_alpaca.wire import reading
from broker_alpaca.wire.call import Call, members, segment
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.moments import midnight
from broker_alpaca.wire.reading import Moment, Page, Record, word
from broker_core.errors import WireError

FILL = "FILL"
LARGEST_PAGE = 100

_NON_TRADE = """
ACATC ACATS CFEE CGD CSD CSW DIV DIVCGL DIVCGS DIVFEE DIVFT DIVNRA DIVROC DIVTW DIVTXEX FEE FOPT INT INTNRA INTTW JNL JNLC JNLS MA MISC NC
OCT OPASN OPCA OPCSH OPEXC OPEXP OPTRD PTC PTR REORG SPIN SPLIT TRANS
"""
NON_TRADE_TYPES = frozenset(_NON_TRADE.split())
"""The types of what is no trade. As a filter ``TRANS`` means CSD and CSW, and ``MISC`` the rest of the money's movements."""


class Category(StrEnum):
    """Two halves of all activities."""

    TRADE = "trade_activity"
    NON_TRADE = "non_trade_activity"


class Direction(StrEnum):
    """Which comes first."""

    OLDEST_FIRST = "asc"
    NEWEST_FIRST = "desc"


@attrs.frozen(kw_only=True)
class TradeActivity(Record):
    """One execution. Several of one order in the same millisecond come in no certain order: ``cum_qty`` says which was first."""

    id: str
    order_id: str
    qty: Decimal
    """Of this execution, never below zero; ``side`` says the direction."""
    price: Decimal
    transaction_time: Moment
    activity_type: str = FILL
    symbol: str = ""
    """As the broker has it here: a crypto pair may lack its slash."""
    side: str = word(frozenset({"buy", "sell", "sell_short"}), default="")
    type: str = word(frozenset({"fill", "partial_fill"}), default="")
    cum_qty: Decimal | None = None
    """Of the order, with this execution."""
    leaves_qty: Decimal | None = None
    order_status: str | None = None
    swap_rate: Decimal | None = None


@attrs.frozen(kw_only=True)
class NonTradeActivity(Record):
    """A movement of money or assets that is no trade. ``net_amount`` is signed, in ``currency``."""

    id: str
    activity_type: str = word(NON_TRADE_TYPES)
    activity_sub_type: str | None = None
    date: str | None = None
    """Of the settlement: a day, or a moment."""
    created_at: Moment | None = None
    net_amount: Decimal | None = None
    qty: Decimal | None = None
    """Below zero for what left the account, such as a fee in coins."""
    price: Decimal | None = None
    per_share_amount: Decimal | None = None
    symbol: str | None = None
    cusip: str | None = None
    description: str | None = None
    status: str | None = word(frozenset({"executed", "correct", "canceled"}), default=None)
    currency: str | None = None
    group_id: str | None = None


Activity: TypeAlias = TradeActivity | NonTradeActivity


def page(
    activity_type: str | None = None,
    *,
    types: Sequence[str] | None = None,
    category: Category | None = None,
    order_id: str | None = None,
    day: date | None = None,
    after: date | datetime | None = None,
    until: date | datetime | None = None,
    direction: Direction = Direction.NEWEST_FIRST,
    page_size: int = LARGEST_PAGE,
    page_token: str | None = None,
) -> Call[Page[Activity]]:
    """One page: of one type, of several ``types``, or of a ``category``; ``after`` and ``until`` are not included.

    A date is its midnight in UTC. Raises ValueError where two filters contradict each other, or for a page of no allowed size.
    """
    if sum(given is not None for given in (activity_type, types, category)) > 1:
        raise ValueError("activities: give one of activity_type, types and category")
    if not 1 <= page_size <= LARGEST_PAGE:
        raise ValueError(f"page_size: {page_size} is not from 1 to {LARGEST_PAGE}")
    return Call(
        method="GET",
        path="/v2/account/activities" + (f"/{segment(activity_type)}" if activity_type is not None else ""),
        query=members(
            activity_types=types,
            category=category,
            order_id=order_id,
            date=day and midnight(day),
            after=after and midnight(after),
            until=until and midnight(until),
            direction=direction,
            page_size=page_size,
            page_token=page_token,
        ),
        read=_reader(page_size),
    )


def _reader(page_size: int) -> Callable[[bytes, Drift], Page[Activity]]:
    def read(body: bytes, drift: Drift) -> Page[Activity]:
        found = reading.parse(body, "activities")
        if not isinstance(found, list):
            raise WireError(f"alpaca: activities: the answer is no list: {body[:80]!r}")
        records = [_record(item, drift) for item in found]
        read_well = tuple(record for record in records if record is not None)
        return Page(read_well, unreadable=len(records) - len(read_well), next_token=_token(found, page_size))

    return read


def _record(item: Any, drift: Drift) -> Activity | None:
    if isinstance(item, dict) and item.get("activity_type") == FILL:
        return reading.value_of(TradeActivity, item, "fill activity", drift)
    return reading.value_of(NonTradeActivity, item, "activity", drift)


def _token(found: Sequence[Any], page_size: int) -> str | None:
    """The last id of a full page, whether its record could be read or not; None after a page that is not full, which is the last."""
    if len(found) < page_size:
        return None
    identities = (item.get("id") for item in reversed(found) if isinstance(item, dict))
    # Where the last record has no id, the next page begins with it once more.
    token = next((identity for identity in identities if isinstance(identity, str) and identity), None)
    if token is None:
        raise WireError("alpaca: activities: no record of a full page has an id, so the next page cannot be asked for")
    return token
