"""Corporate actions: dividends, splits, mergers and the like.

Source: https://docs.alpaca.markets/reference/corporateactions-1. The answer has a list for each kind, named in the plural; which members an
action has hangs on its kind. Without dates only today's are listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import attrs

from broker_alpaca.wire import reading
from broker_alpaca.wire.call import Call
from broker_alpaca.wire.data_host import Sort, get
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.moments import day_text
from broker_alpaca.wire.reading import Page, Record, word
from broker_core.errors import WireError

KINDS = frozenset(
    {"forward_split", "reverse_split", "unit_split", "cash_dividend", "stock_dividend", "spin_off", "rights_distribution"}
    | {"cash_merger", "stock_merger", "stock_and_cash_merger", "name_change", "redemption", "partial_call"}
    | {"reorganization", "worthless_removal"}
)
LARGEST_PAGE = 1_000
_WHERE = "corporate action"


@attrs.frozen(kw_only=True)
class StockMovement(Record):
    """What a reorganization gives for a share."""

    symbol: str
    cusip: str | None = None
    isin: str | None = None
    new_rate: Decimal | None = None
    source_rate: Decimal | None = None


@attrs.frozen(kw_only=True)
class CorporateAction(Record):
    """One action. Members that its kind does not have are None."""

    kind: str = word(KINDS)
    """In the singular, as requests name it: ``cash_dividend``."""
    id: str
    symbol: str | None = None
    cusip: str | None = None
    isin: str | None = None
    currency: str | None = None
    process_date: date | None = None
    ex_date: date | None = None
    record_date: date | None = None
    payable_date: date | None = None
    effective_date: date | None = None
    expiration_date: date | None = None
    due_bill_redemption_date: date | None = None
    due_bill_on_date: date | None = None
    due_bill_off_date: date | None = None
    rate: Decimal | None = None
    special: bool | None = None
    foreign: bool | None = None
    sub_type: str | None = None
    old_symbol: str | None = None
    old_cusip: str | None = None
    old_isin: str | None = None
    old_rate: Decimal | None = None
    new_symbol: str | None = None
    new_cusip: str | None = None
    new_isin: str | None = None
    new_rate: Decimal | None = None
    alternate_symbol: str | None = None
    alternate_cusip: str | None = None
    alternate_isin: str | None = None
    alternate_rate: Decimal | None = None
    source_symbol: str | None = None
    source_cusip: str | None = None
    source_isin: str | None = None
    source_rate: Decimal | None = None
    acquirer_symbol: str | None = None
    acquirer_cusip: str | None = None
    acquirer_isin: str | None = None
    acquirer_rate: Decimal | None = None
    acquiree_symbol: str | None = None
    acquiree_cusip: str | None = None
    acquiree_isin: str | None = None
    acquiree_rate: Decimal | None = None
    cash_rate: Decimal | None = None
    price: Decimal | None = None
    dividend_rate: Decimal | None = None
    lottery_date: date | None = None
    lottery_type: str | None = None
    results_publication_date: date | None = None
    stock_movements: tuple[StockMovement, ...] = ()


def _read(body: bytes, drift: Drift) -> Page[CorporateAction]:
    whole = reading.parse(body, _WHERE)
    groups = whole.get("corporate_actions") if isinstance(whole, dict) else None
    if not isinstance(whole, dict) or not isinstance(groups, dict | None):
        raise WireError(f"alpaca: {_WHERE}: the answer is no map of lists: {body[:80]!r}")
    records, unreadable = [], 0
    for plural, actions in (groups or {}).items():
        if not isinstance(actions, list | None):
            drift.count(f"{_WHERE}.{plural} (left out)", actions)
            unreadable += 1
            continue
        for raw in actions or ():
            named = {**raw, "kind": plural.removesuffix("s")} if isinstance(raw, dict) else raw
            record = reading.value_of(CorporateAction, named, _WHERE, drift)
            records += [] if record is None else [record]
            unreadable += record is None
    token = whole.get("next_page_token")
    return Page(tuple(records), unreadable=unreadable, next_token=str(token) if token else None)


def page(
    symbols: Sequence[str] | None = None,
    *,
    cusips: Sequence[str] | None = None,
    types: Sequence[str] | None = None,
    start: date | None = None,
    end: date | None = None,
    ids: Sequence[str] | None = None,
    region: str | None = None,
    data_quality: str | None = None,
    limit: int | None = None,
    sort: Sort | None = None,
    page_token: str | None = None,
) -> Call[Page[CorporateAction]]:
    """A page of actions processed from ``start`` to ``end``, both included. ``types`` out of ``KINDS``.

    ``region``: ``us``, ``non_us`` or ``all``; ``data_quality``: ``complete`` or ``all``; ``limit``: 1 to 1,000, 100 where none is given.
    """
    return get(
        "/v1/corporate-actions",
        _read,
        symbols or None,
        largest=LARGEST_PAGE,
        cusips=cusips,
        types=types,
        # Here days are meant, and Alpaca wants them as such.
        start=start and day_text(start),
        end=end and day_text(end),
        ids=ids,
        region=region,
        data_quality=data_quality,
        limit=limit,
        sort=sort,
        page_token=page_token,
    )
