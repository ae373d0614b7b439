"""Corporate actions as the trading host announces them. Alpaca keeps this for older programs; the data host has more.

Source: https://docs.alpaca.markets/reference/get-v2-corporate_actions-announcements-1. At most 90 days can be asked for at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum

import attrs

from broker_alpaca.wire import reading
from broker_alpaca.wire.call import Call, members, segment
from broker_alpaca.wire.reading import Page, Record

LONGEST_RANGE = 90
"""Days."""


class Kind(StrEnum):
    """What is announced."""

    DIVIDEND = "Dividend"
    MERGER = "Merger"
    SPINOFF = "Spinoff"
    SPLIT = "Split"


class DateType(StrEnum):
    """Which of an announcement's days must lie within the range."""

    DECLARATION = "declaration_date"
    EX = "ex_date"
    RECORD = "record_date"
    PAYABLE = "payable_date"


@attrs.frozen(kw_only=True)
class Announcement(Record):
    """One announcement. ``cash`` is for one share, in US dollars."""

    id: str | None = None
    ca_type: str | None = None
    """A word of ``Kind``; older answers write it small."""
    ca_sub_type: str | None = None
    corporate_action_id: str | None = None
    corporate_actions_id: str | None = None
    """The same, in some answers."""
    initiating_symbol: str | None = None
    initiating_original_cusip: str | None = None
    target_symbol: str | None = None
    target_original_cusip: str | None = None
    declaration_date: date | None = None
    effective_date: date | None = None
    expiration_date: date | None = None
    ex_date: date | None = None
    record_date: date | None = None
    payable_date: date | None = None
    cash: Decimal | None = None
    old_rate: Decimal | None = None
    new_rate: Decimal | None = None


def list_between(
    since: date,
    until: date,
    *,
    kinds: Sequence[Kind] = tuple(Kind),
    symbol: str | None = None,
    cusip: str | None = None,
    date_type: DateType | None = None,
) -> Call[Page[Announcement]]:
    """The announcements from ``since`` to ``until``, both days included. Raises ValueError for a range of more than 90 days, or none."""
    if not 0 <= (until - since).days <= LONGEST_RANGE:
        raise ValueError(f"announcements: from {since} to {until} is not a range of at most {LONGEST_RANGE} days")
    return Call(
        method="GET",
        path="/v2/corporate_actions/announcements",
        query=members(ca_types=kinds, since=since, until=until, symbol=symbol, cusip=cusip, date_type=date_type),
        read=reading.many(Announcement, "announcements"),
    )


def get(announcement_id: str) -> Call[Announcement]:
    """One announcement."""
    return Call(
        method="GET",
        path=f"/v2/corporate_actions/announcements/{segment(announcement_id)}",
        read=reading.one(Announcement, "announcement"),
    )
