"""An order's change as a row of the order log, and back.

The columns hold what people ask for: the order's terms, its state after the news, and what identifies the news. ``detail`` holds all
else, so that the two together give back the event in full, the rule, the booked execution and the order without its ledger::

    {"rule": …, "previous": …, "finding": …, "booked": {…},
     "event": {what the news says},
     "order": {what the columns do not say of the order},
     "request": {what the columns do not say of its terms}}

What has its default value is left out. Numbers are text, so none is ever rounded.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from operator import attrgetter
from typing import Any, TypeAlias

import attrs
import msgspec

from broker_core.order_terms import as_terms, from_terms
from broker_core.orders import Order, OrderChange, OrderEvent, State
from broker_core.records.fields import money_text, utc_text
from broker_core.requests import ForeignOrder, OrderClass, OrderRequest

Row: TypeAlias = tuple[str | None, ...]
"""The values of ``COLUMNS``, as text that both databases take."""

_TERMS = ("symbol", "side", "qty", "order_type", "time_in_force", "limit_price", "stop_price", "signal_id", "strategy")
"""The terms of a request that have columns, under the names that ``as_terms`` gives them."""

COLUMNS = (
    "connection_id",
    "local_id",
    "broker_order_id",
    "execution_id",
    *_TERMS,
    "status",
    "filled_qty",
    "filled_avg_price",
    "occurred_at",
    "detail",
)


def _form(kind: type, leave_out: frozenset[str] = frozenset(), **changed: Any) -> Any:
    """A struct with the attributes and defaults of an attrs class, some left out and some of another type.

    msgspec writes it without what has its default, which it cannot do for the class itself.
    """
    hints = typing.get_type_hints(kind) | changed
    fields = [field for field in attrs.fields(kind) if field.name not in leave_out]
    required = [(field.name, hints[field.name]) for field in fields if field.default is attrs.NOTHING]
    optional = [(field.name, hints[field.name], field.default) for field in fields if field.default is not attrs.NOTHING]
    added = [(name, hint, None) for name, hint in changed.items() if name not in attrs.fields_dict(kind)]
    return msgspec.defstruct(f"{kind.__name__}Form", [*required, *optional, *added], omit_defaults=True, module=__name__)


_ELSEWHERE = frozenset({"local_id", "request", "state", "filled_qty", "filled_avg_price", "ledger"})
"""Attributes of an order that columns hold, or that replaying the events makes anew."""

_Terms: TypeAlias = dict[str, Any] | None
OrderForm = _form(Order, leave_out=_ELSEWHERE, replacement=_Terms)
OrderEventForm = _form(OrderEvent, request=_Terms, legs="tuple[OrderEventForm, ...]")
OrderChangeForm = _form(OrderChange, order=OrderForm, event=OrderEventForm, request=_Terms)

_order_said = attrgetter(*OrderForm.__struct_fields__)
_event_said = attrgetter(*OrderEventForm.__struct_fields__)
_change_said = attrgetter("previous", "rule", "booked", "finding")
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(OrderChangeForm)

# What a request without a rest looks like.
_rest_said = attrgetter("notional", "trail_price", "trail_percent", "extended_hours", "order_class", "take_profit", "stop_loss")
_NO_REST = (None, None, None, False, OrderClass.SIMPLE, None, None)


def encode(connection_id: str, change: OrderChange) -> Row:
    """The row of one change. Raises ValueError or TypeError for values that no row can hold, such as a naive moment.

    Text never fails: characters that are none, or that a column has no room for, are replaced.
    """
    order, event, request = change.order, change.event, change.order.request
    detail = OrderChangeForm(_order_out(order), _event_out(event), *_change_said(change), _rest(request))
    return (
        connection_id,
        order.local_id,
        _for_column(order.broker_order_id),
        _for_column(event.execution_id),
        _for_column(request.symbol),
        request.side.value,
        _money_or_none(request.qty),
        request.order_type.value,
        request.time_in_force.value,
        _money_or_none(request.limit_price),
        _money_or_none(request.stop_price),
        _for_column(request.signal_id),
        _for_column(request.strategy),
        order.state.value,
        money_text(order.filled_qty),
        _money_or_none(order.filled_avg_price),
        utc_text(event.at),
        _text(detail),
    )


def decode(row: Mapping[str, Any]) -> OrderChange:
    """The change of one row, given the Python values of its columns and the text of its detail; its order has an empty ledger.

    Raises ValueError where the row says something this version does not understand.
    """
    detail = _decoder.decode(row["detail"])
    order = Order(
        local_id=row["local_id"],
        request=from_terms({name: row[name] for name in _TERMS if row[name] is not None} | (detail.request or {})),
        state=State(row["status"]),
        filled_qty=row["filled_qty"],
        filled_avg_price=row["filled_avg_price"],
        **_order_in(detail.order),
    )
    return OrderChange(
        order=order,
        event=_event_in(detail.event),
        previous=detail.previous,
        rule=detail.rule,
        booked=detail.booked,
        finding=detail.finding,
    )


def _order_out(order: Order) -> Any:
    form = OrderForm(*_order_said(order))
    if order.replacement is not None:
        form.replacement = as_terms(order.replacement)
    return form


def _order_in(form: Any) -> dict[str, Any]:
    said = _as_keywords(form)
    if form.replacement is not None:
        said["replacement"] = from_terms(form.replacement)
    return said


def _event_out(event: OrderEvent) -> Any:
    form = OrderEventForm(*_event_said(event))
    if event.request is not None:
        form.request = as_terms(event.request)
    if event.legs:
        form.legs = tuple(_event_out(leg) for leg in event.legs)
    return form


def _event_in(form: Any) -> OrderEvent:
    said = _as_keywords(form)
    if form.request is not None:
        said["request"] = from_terms(form.request)
    if form.legs:
        said["legs"] = tuple(_event_in(leg) for leg in form.legs)
    return OrderEvent(**said)


def _rest(request: OrderRequest) -> dict[str, Any] | None:
    """The terms that have no column."""
    if _rest_said(request) == _NO_REST and not isinstance(request, ForeignOrder):
        return None
    return {name: term for name, term in as_terms(request).items() if name not in _TERMS}


def _as_keywords(form: Any) -> dict[str, Any]:
    return {name: getattr(form, name) for name in form.__struct_fields__}


def _money_or_none(value: Any) -> str | None:
    return None if value is None else money_text(value)


def _text(detail: Any) -> str:
    try:
        return _encoder.encode(detail).decode()
    except UnicodeEncodeError:
        return _encoder.encode(_mended(msgspec.to_builtins(detail))).decode()


def _mended(plain: Any) -> Any:
    """A document without lone surrogates, which a careless JSON decoder lets through and which no encoding knows."""
    if isinstance(plain, str):
        return plain.encode(errors="replace").decode()
    if isinstance(plain, dict):
        return {name: _mended(value) for name, value in plain.items()}
    return [_mended(value) for value in plain] if isinstance(plain, list | tuple) else plain


def _for_column(text: str | None) -> str | None:
    """The text as a column takes it: PostgreSQL has no NUL in text. ``detail`` keeps it as it came."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return str(_mended(text)).replace("\0", "")
