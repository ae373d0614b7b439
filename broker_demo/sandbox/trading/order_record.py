"""An order as the trading host writes it (alpaca-api: the order object), in answers and in trade updates alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from broker_core.requests import OrderClass
from broker_demo.matching import stop_price
from broker_demo.paper_order import PaperOrder, Status
from broker_demo.sandbox.answers import decimal_text, optional_text
from broker_demo.sandbox.identity import identity
from broker_demo.sandbox.moments import moment_text
from broker_demo.sandbox.pairs import is_pair

_LIFE_NS = 90 * 24 * 3600 * 1_000_000_000
"""After so long a good-till-cancelled order is taken out of the market."""
_ENDS: Mapping[Status, str] = MappingProxyType(
    {
        Status.FILLED: "filled_at",
        Status.EXPIRED: "expired_at",
        Status.CANCELED: "canceled_at",
        Status.REJECTED: "failed_at",
        Status.REPLACED: "replaced_at",
    }
)
_NEVER: Mapping[str, None] = MappingProxyType(dict.fromkeys(_ENDS.values()))
_AVERAGE_STEP = Decimal("0.000000001")
_text_of = lru_cache(maxsize=1024)(moment_text)
"""An order is told of several times in a row, each time with moments it had before."""


def order_record(order: PaperOrder, *, legs: Sequence[PaperOrder] | None = None, status: str | None = None) -> dict[str, Any]:
    """The order with all its members. ``legs`` stand inside where they are asked for; ``status`` is another word than the exchange's."""
    request = order.request
    average = order.filled_avg_price
    kind = request.order_type.value
    record: dict[str, Any] = {
        "id": order.order_id,
        "client_order_id": order.client_order_id,
        "created_at": _text_of(order.created_ns),
        "updated_at": _text_of(order.updated_ns),
        "submitted_at": _text_of(order.submitted_ns or order.created_ns),
        **_NEVER,
        "expires_at": _text_of(order.expires_ns or order.created_ns + _LIFE_NS),
        "replaced_by": order.replaced_by,
        "replaces": order.replaces,
        "asset_id": identity("asset", order.symbol),
        "symbol": order.symbol,
        "asset_class": asset_class(order.symbol),
        "qty": optional_text(request.qty),
        "notional": optional_text(request.notional),
        "filled_qty": decimal_text(order.filled_qty),
        "filled_avg_price": None if average is None else decimal_text(average.quantize(_AVERAGE_STEP)),
        "order_class": "" if order.group_class is OrderClass.SIMPLE else order.group_class.value,
        "order_type": kind,
        "type": kind,
        "side": request.side.value,
        "position_intent": _intent(order),
        "time_in_force": request.time_in_force.value,
        "limit_price": optional_text(request.limit_price),
        "stop_price": optional_text(stop_price(request, order.watermark)),
        "trail_price": optional_text(request.trail_price),
        "trail_percent": optional_text(request.trail_percent),
        "hwm": optional_text(order.watermark),
        "extended_hours": request.extended_hours,
        "status": status or order.status.value,
        "legs": None if legs is None else [order_record(leg) for leg in legs] or None,
        "source": None,
        "subtag": None,
    }
    if order.ended_ns is not None and order.status in _ENDS:
        record[_ENDS[order.status]] = moment_text(order.ended_ns)
    return record


def asset_class(symbol: str) -> str:
    """The class of what is traded under a symbol: pairs have a slash."""
    return "crypto" if is_pair(symbol) else "us_equity"


def _intent(order: PaperOrder) -> str:
    return f"{order.side.value}_to_{'open' if order.opens else 'close'}"
