"""A position as the trading host writes it (alpaca-api: Positions)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import attrs

from broker_core.orders import ZERO
from broker_demo.ledger import Holding, Ledger
from broker_demo.matching import exact
from broker_demo.prices import Prices
from broker_demo.sandbox.answers import decimal_text, optional_text
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.identity import identity
from broker_demo.sandbox.pairs import without_slash
from broker_demo.sandbox.trading.assets import exchange_code
from broker_demo.trading_hours import midnight_ns, new_york_day

_PRICE_STEP = Decimal("0.000000001")
_SHARE_STEP = Decimal("1E-16")


@attrs.frozen
class Morning:
    """How things stood when the day began in New York: the last prices before it, and what has been bought since."""

    prices: Prices
    at_ns: int
    bought: Mapping[str, Decimal]
    """By symbol; less what was sold."""

    @classmethod
    def of(cls, desk: Desk) -> Morning:
        """That of the exchange's present day."""
        at_ns = midnight_ns(new_york_day(desk.exchange.now_ns))
        return cls(desk.prices, at_ns, _bought_since(desk.exchange.state.ledger, at_ns))

    def price(self, symbol: str) -> Decimal | None:
        """The last price of the last session that had ended; None where there was none."""
        close_ns = self.prices.hours.previous_close(self.at_ns)
        tick = None if close_ns is None else self.prices.tick(symbol, close_ns - 1)
        return None if tick is None else exact(tick).price

    def kept(self, symbol: str, qty: Decimal) -> Decimal:
        """The part of a position of so many shares that was there already, signed as it is."""
        before = qty - self.bought.get(symbol, ZERO)
        if qty > 0:
            return max(min(before, qty), ZERO)
        return min(max(before, qty), ZERO)


def _bought_since(ledger: Ledger, at_ns: int) -> dict[str, Decimal]:
    bought: dict[str, Decimal] = {}
    for fill in reversed(ledger.fills):
        if fill.at_ns < at_ns:
            break
        if not ledger.is_busted(fill.execution_id):
            bought[fill.symbol] = bought.get(fill.symbol, ZERO) + fill.signed_qty
    return bought


def position_record(desk: Desk, symbol: str, held: Holding, morning: Morning) -> dict[str, Any]:
    """The position with all its members, as of the last time the exchange was settled. Amounts of short ones are below zero."""
    asset = desk.prices.asset(symbol)
    asset_class = "us_equity" if asset is None else asset.asset_class
    sign = 1 if held.qty > 0 else -1
    price, before = desk.exchange.mark(symbol), morning.price(symbol)
    value = held.qty * price
    kept = ZERO if before is None else morning.kept(symbol, held.qty)
    # What was bought today has gained since it was bought, the rest since yesterday's close.
    basis = held.cost if before is None or not kept else kept * before + (held.qty - kept) * held.avg_entry_price
    return {
        "asset_id": identity("asset", symbol),
        "symbol": without_slash(symbol),
        "exchange": "" if asset is None else exchange_code(asset),
        "asset_class": asset_class,
        "asset_marginable": asset_class != "crypto",
        "qty": decimal_text(held.qty),
        "qty_available": decimal_text(sign * desk.exchange.free_qty(symbol)),
        "side": "long" if sign > 0 else "short",
        "avg_entry_price": _price(held.avg_entry_price),
        "cost_basis": decimal_text(held.cost),
        "market_value": decimal_text(value),
        "current_price": decimal_text(price),
        "lastday_price": optional_text(before),
        "change_today": None if before is None else _share(price - before, before),
        "unrealized_pl": decimal_text(value - held.cost),
        "unrealized_plpc": _share(value - held.cost, held.cost),
        "unrealized_intraday_pl": _price(value - basis),
        "unrealized_intraday_plpc": _share(value - basis, basis),
    }


def _price(value: Decimal) -> str:
    return decimal_text(value.quantize(_PRICE_STEP))


def _share(part: Decimal, whole: Decimal) -> str:
    """A part of a whole, 0.01 for one percent, above zero for a gain."""
    return decimal_text((part / abs(whole)).quantize(_SHARE_STEP)) if whole else "0"
