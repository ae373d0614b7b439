"""Positions: what is held, closing it, and the exercise of options.

Source: https://docs.alpaca.markets/reference/getallopenpositions, .../deleteallopenpositions-1, .../deleteopenposition-1,
.../optionexercise. A position that is closed is gone from the list; there are no rows of zero.
"""

from __future__ import annotations

from decimal import Decimal

import attrs

from broker_alpaca.wire import orders, reading
from broker_alpaca.wire.call import Call, Lane, members, segment
from broker_alpaca.wire.orders import BulkResult, OrderRecord
from broker_alpaca.wire.reading import Page, Record, word
from broker_alpaca.wire.symbols import normal
from broker_core.models import Position

ASSET_CLASSES = frozenset({"us_equity", "us_option", "crypto", "crypto_perp", "ipo", "treasury", "corporate", "global_equity"})
_WHOLE = Decimal(100)
_ZERO = Decimal(0)


@attrs.frozen(kw_only=True)
class FiguresInUsd(Record):
    """A position's figures in US dollars, for accounts in another currency."""

    avg_entry_price: Decimal | None = None
    market_value: Decimal | None = None
    cost_basis: Decimal | None = None
    unrealized_pl: Decimal | None = None
    unrealized_plpc: Decimal | None = None
    unrealized_intraday_pl: Decimal | None = None
    unrealized_intraday_plpc: Decimal | None = None
    current_price: Decimal | None = None
    lastday_price: Decimal | None = None
    change_today: Decimal | None = None


@attrs.frozen(kw_only=True)
class AlpacaPosition(Record):
    """One holding as Alpaca states it. What needs a price is None while there is none; ``…plpc`` and ``change_today`` are fractions."""

    symbol: str
    """A crypto pair has no slash here; ``to_position`` gives it one."""
    qty: Decimal
    """Of a short it may be signed or not: ``side`` decides."""
    side: str | None = word(frozenset({"long", "short"}), default=None)
    asset_id: str | None = None
    """Of an option the id of its contract."""
    asset_class: str = word(ASSET_CLASSES, default="us_equity")
    exchange: str | None = None
    asset_marginable: bool | None = None
    qty_available: Decimal | None = None
    """Without what open orders hold."""
    avg_entry_price: Decimal | None = None
    cost_basis: Decimal | None = None
    market_value: Decimal | None = None
    current_price: Decimal | None = None
    lastday_price: Decimal | None = None
    change_today: Decimal | None = None
    unrealized_pl: Decimal | None = None
    unrealized_plpc: Decimal | None = None
    unrealized_intraday_pl: Decimal | None = None
    unrealized_intraday_plpc: Decimal | None = None
    swap_rate: Decimal | None = None
    avg_entry_swap_rate: Decimal | None = None
    prev_swap_rate: Decimal | None = None
    usd: FiguresInUsd | None = None


def list_all() -> Call[Page[AlpacaPosition]]:
    """All positions; none means flat."""
    return Call(method="GET", path="/v2/positions", read=reading.many(AlpacaPosition, "positions"))


def get(symbol_or_asset_id: str) -> Call[AlpacaPosition]:
    """One position; refused with 404 where nothing is held."""
    return Call(method="GET", path=f"/v2/positions/{segment(symbol_or_asset_id)}", read=reading.one(AlpacaPosition, "position"))


def close(symbol_or_asset_id: str, *, qty: Decimal | None = None, percentage: Decimal | None = None) -> Call[OrderRecord]:
    """Close a position, or a quantity or percentage of it, with a market order, which is the answer.

    Alpaca gives that order its client order id. Refused with 403 while open orders hold the shares. Raises ValueError where both are
    given, or one that makes no sense.
    """
    if qty is not None and percentage is not None:
        raise ValueError("close: give qty or percentage, not both")
    if qty is not None and not (qty.is_finite() and qty > 0):
        raise ValueError(f"qty: {qty} is not above zero")
    if percentage is not None and not (percentage.is_finite() and 0 < percentage <= _WHOLE):
        raise ValueError(f"percentage: {percentage} is not above zero and at most 100")
    return Call(
        method="DELETE",
        path=f"/v2/positions/{segment(symbol_or_asset_id)}",
        query=members(qty=qty, percentage=percentage),
        lane=Lane.ORDER,
        read=orders.read_order,
    )


def close_all(*, cancel_orders: bool = False) -> Call[Page[BulkResult]]:
    """Close all positions with market orders, cancelling all open orders first where that is asked for.

    The call succeeds whatever becomes of each position: look at every result. A position whose orders are still being cancelled may be
    refused; ask again then.
    """
    return Call(method="DELETE", path="/v2/positions", query=members(cancel_orders=cancel_orders), lane=Lane.CANCEL, read=orders.read_bulk)


def exercise(symbol_or_contract_id: str) -> Call[None]:
    """Exercise all that is held of an option; refused between the market's close and midnight."""
    return _instruct(symbol_or_contract_id, "exercise")


def do_not_exercise(symbol_or_contract_id: str) -> Call[None]:
    """Keep an option from being exercised when it expires in the money."""
    return _instruct(symbol_or_contract_id, "do-not-exercise")


def _instruct(symbol_or_contract_id: str, instruction: str) -> Call[None]:
    return Call(
        method="POST",
        path=f"/v2/positions/{segment(symbol_or_contract_id)}/{instruction}",
        lane=Lane.ORDER,
        read=reading.nothing,
    )


def to_position(found: AlpacaPosition) -> Position:
    """The position in the core's words: signed by its side, under the symbol that orders use."""
    is_short = found.side == "short" or (found.side != "long" and found.qty < 0)
    sign = -1 if is_short else 1
    return Position(
        symbol=normal(found.symbol, found.asset_class),
        qty=sign * abs(found.qty),
        avg_entry_price=_entry_price(found),
        current_price=found.current_price,
        market_value=None if found.market_value is None else sign * abs(found.market_value),
        unrealized_pnl=found.unrealized_pl,
    )


def _entry_price(found: AlpacaPosition) -> Decimal:
    if found.avg_entry_price is not None:
        return found.avg_entry_price
    if found.cost_basis is not None and found.qty:
        return abs(found.cost_basis / found.qty)
    return _ZERO
