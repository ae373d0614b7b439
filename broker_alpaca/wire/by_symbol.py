"""The shape of nearly every answer of market data: rows by symbol.

A history holds a list of rows for each symbol and a page token, the latest values one row for each; where the address names one symbol,
the map around is missing and ``symbol`` stands beside. Rows are msgspec structs with the wire's names behind ours; the usual body is
decoded in one go. Where anything in it has another type than expected, it is read again row by row: a number given as text is a number,
what a row can do without becomes its default and is counted, and a row that lacks what it cannot be without is left out and counted; its
neighbours stay. Unknown members are ignored, null counts as missing, and so does a symbol that holds nothing.

Source: https://docs.alpaca.markets/reference (stockbars, cryptotrades, optionlatestquotes and their kin).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, Generic, TypeAlias, TypeVar, get_args, get_origin

import attrs
import msgspec

from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.reading import Unreadable
from broker_core.errors import WireError

T = TypeVar("T")
Row = TypeVar("Row", bound=msgspec.Struct)

Make: TypeAlias = Callable[[str, Row, Drift], T]
"""Makes a symbol's value of its row. Raises ValueError where the row holds what cannot be, like a time that is none."""

_UNREADABLE = (msgspec.DecodeError, ValueError, OverflowError, RecursionError)

MakeAll: TypeAlias = Callable[[Mapping[str, Sequence[Row]], Drift, Callable[[object], None]], Mapping[str, T]]
"""Makes the values of all rows by symbol, none of them empty. The last argument is told of each row that is left out."""


@attrs.frozen
class BySymbol(Generic[T]):
    """What was found, by symbol. A symbol of which nothing is known is missing."""

    found: Mapping[str, T]
    unreadable: int = 0
    """How many rows were left out."""
    next_token: str | None = None
    """Of the next page; None at the end. A page may be empty and not the last."""
    currency: str | None = None
    """Of the prices, where the request named one."""


@attrs.define
class _Reading(Generic[T]):
    """One answer as it is being read."""

    where: str
    drift: Drift
    found: dict[str, T] = attrs.field(factory=dict)
    unreadable: int = 0

    def leave_out(self, error: object) -> None:
        """Count a row that cannot be read."""
        self.unreadable += 1
        self.drift.count(f"{self.where} (left out)", error)

    def result(self, token: str | None, currency: str | None) -> BySymbol[T]:
        """What was read, with the token of the next page."""
        return BySymbol(self.found, self.unreadable, token or None, currency)


def history(row: type[Row], make: Make[Row, T], where: str, member: str) -> Callable[[bytes, Drift], BySymbol[tuple[T, ...]]]:
    """A reader of ``{member: {symbol: [row, …]}, next_page_token: …}``, or of ``{member: [row, …], symbol: …}``."""

    def of_all(rows: Mapping[str, Sequence[Row]], drift: Drift, leave_out: Callable[[object], None]) -> dict[str, tuple[T, ...]]:
        made = {symbol: tuple(_made(make, symbol, of_one, drift, leave_out)) for symbol, of_one in rows.items()}
        return {symbol: values for symbol, values in made.items() if values}

    return lists(row, of_all, where, member)


def lists(row: type[Row], make: MakeAll[Row, T], where: str, member: str) -> Callable[[bytes, Drift], BySymbol[T]]:
    """A reader of the same answers for a maker that takes all rows of an answer at once."""
    rows_of = dict[str, list[row] | None] | list[row]  # type: ignore[valid-type]  # made at run time; a list where there is one symbol

    def read(body: bytes, drift: Drift) -> BySymbol[T]:
        reading: _Reading[T] = _Reading(where, drift)
        rows_by_symbol: Mapping[str, Sequence[Row]]
        try:
            whole = _decoder(rows_of, member).decode(body)
            rows_by_symbol, token, currency = _sorted_out(whole.rows, whole.symbol), whole.next_page_token, whole.currency
        except _UNREADABLE:
            plain = parse(body, where)
            token, currency = _token(plain, where), _text(plain.get("currency"))
            groups = _groups(plain, member, reading)
            rows_by_symbol = {symbol: list(_mended(row, raw, reading)) for symbol, raw in groups.items()}
        reading.found |= make({symbol: rows for symbol, rows in rows_by_symbol.items() if rows}, drift, reading.leave_out)
        return reading.result(token, currency)

    return read


def latest(row: type[Row], make: Make[Row, T], where: str, member: str | None) -> Callable[[bytes, Drift], BySymbol[T]]:
    """A reader of ``{member: {symbol: row}}``; without a member of the bare ``{symbol: row}``."""
    rows_of = dict[str, row | None]  # type: ignore[valid-type]  # a type made at run time

    def read(body: bytes, drift: Drift) -> BySymbol[T]:
        reading: _Reading[T] = _Reading(where, drift)
        token = currency = None
        rows: Mapping[str, Row | None]
        try:
            whole = _decoder(rows_of, member).decode(body)
            if member is None:
                rows = whole
            else:
                rows, token, currency = whole.rows or {}, whole.next_page_token, whole.currency
        except _UNREADABLE:
            plain = parse(body, where)
            if member is not None:
                token, currency = _token(plain, where), _text(plain.get("currency"))
            raw = _map(plain if member is None else plain.get(member), reading)
            rows = {symbol: found for symbol, one in raw.items() for found in _mended(row, [one], reading) if one is not None}
        for symbol, one in rows.items():
            if one is not None:
                reading.found.update((symbol, value) for value in _made(make, symbol, [one], drift, reading.leave_out))
        return reading.result(token, currency)

    return read


def latest_of_one(row: type[Row], make: Make[Row, T], where: str, member: str | None) -> Callable[[bytes, Drift], BySymbol[T]]:
    """A reader of ``{symbol: …, member: row}``; without a member the row's own members stand beside the symbol."""

    def read(body: bytes, drift: Drift) -> BySymbol[T]:
        reading: _Reading[T] = _Reading(where, drift)
        plain = parse(body, where)
        symbol = plain.get("symbol")
        if not isinstance(symbol, str):
            raise WireError(f"alpaca: {where}: the answer names no symbol: {body[:80]!r}")
        raw = plain if member is None else plain.get(member)
        for one in _mended(row, [] if raw is None else [raw], reading):
            reading.found.update((symbol, value) for value in _made(make, symbol, [one], drift, reading.leave_out))
        return reading.result(None, _text(plain.get("currency")))

    return read


def part(make: Make[Row, T], symbol: str, row: Row | None, where: str, drift: Drift) -> T | None:
    """The value of a part that may be missing; one that cannot be counts as missing and is counted."""
    if row is None:
        return None
    made = _made(make, symbol, [row], drift, lambda error: drift.count(f"{where} (left out)", error))
    return made[0] if made else None


def parse(body: bytes, where: str) -> dict[str, Any]:
    """The body as plain values, and as forgiving as that goes: a number beyond all bounds is infinite. Raises WireError for no object."""
    try:
        plain = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError(f"alpaca: {where}: the answer is no JSON ({error}): {body[:80]!r}") from None
    if not isinstance(plain, dict):
        raise WireError(f"alpaca: {where}: the answer is no object: {body[:80]!r}")
    return plain


def mended(kind: type[Row], raw: object, where: str, drift: Drift) -> Row:
    """The row that ``raw`` stands for, read member by member. Raises Unreadable where it stands for none.

    A list is read element by element, and elements that cannot be read are left out and counted; a tuple stands or falls as a whole.
    """
    if not isinstance(raw, dict):
        raise Unreadable(f"{where}: {str(raw)[:80]}")
    values: dict[str, Any] = {}
    for field in _fields(kind):
        given = raw.get(field.encode_name)
        if given is None:
            if field.required:
                raise Unreadable(f"{where}.{field.encode_name} is missing")
            continue
        try:
            values[field.name] = _value(field.type, given, f"{where}.{field.encode_name}", drift)
        except Unreadable as error:
            if field.required:
                raise
            drift.count(f"{where}.{field.encode_name}", error)
    return kind(**values)


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind)


def _value(kind: Any, raw: Any, where: str, drift: Drift) -> Any:
    kind = _inner(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return mended(kind, raw, where, drift)
    if get_origin(kind) is list and isinstance(raw, list) and issubclass(get_args(kind)[0], msgspec.Struct):
        reading: _Reading[Any] = _Reading(where, drift)
        return list(_mended(get_args(kind)[0], raw, reading))
    try:
        value = msgspec.convert(raw, kind, strict=False)
    except _UNREADABLE:
        raise Unreadable(f"{where}: {str(raw)[:80]}") from None
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        raise Unreadable(f"{where}: {value}")
    return value


def _inner(kind: Any) -> Any:
    """The type without its None."""
    options = [option for option in get_args(kind) if option is not type(None)]
    return options[0] if type(None) in get_args(kind) and len(options) == 1 else kind


def _mended(row: type[Row], raw: Sequence[object], reading: _Reading[Any]) -> list[Row]:
    found = []
    for one in raw:
        try:
            found.append(mended(row, one, reading.where, reading.drift))
        except Unreadable as error:
            reading.leave_out(error)
    return found


def _made(make: Make[Row, T], symbol: str, rows: Sequence[Row], drift: Drift, leave_out: Callable[[object], None]) -> list[T]:
    found = []
    for row in rows:
        try:
            found.append(make(symbol, row, drift))
        except (ValueError, OverflowError) as error:
            leave_out(error)
    return found


@cache
def _decoder(rows: Any, member: str | None) -> msgspec.json.Decoder[Any]:
    """For these rows below a member with its companions; without a member for the rows alone."""
    if member is None:
        return msgspec.json.Decoder(rows)
    companions = [(name, str | None, None) for name in ("symbol", "next_page_token", "currency")]
    envelope = msgspec.defstruct("Envelope", [("rows", rows | None, None), *companions], rename={"rows": member}, gc=False)
    return msgspec.json.Decoder(envelope)


def _sorted_out(rows: Any, symbol: str | None) -> Mapping[str, Any]:
    if isinstance(rows, dict):
        return rows
    if rows and symbol is None:
        raise ValueError("rows of no symbol")
    return {symbol or "": rows or ()}


def _groups(plain: Mapping[str, Any], member: str, reading: _Reading[Any]) -> dict[str, list[Any]]:
    """Each symbol's raw rows."""
    raw = plain.get(member)
    symbol = plain.get("symbol")
    if isinstance(raw, list) and (isinstance(symbol, str) or not raw):
        return {symbol if isinstance(symbol, str) else "": raw}
    groups = {}
    for name, rows in _map(raw, reading).items():
        if isinstance(rows, list):
            groups[name] = rows
        elif rows is not None:
            reading.leave_out(f"{name}: {str(rows)[:80]}")
    return groups


def _map(raw: object, reading: _Reading[Any]) -> Mapping[str, Any]:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise WireError(f"alpaca: {reading.where}: the answer holds no map of symbols: {str(raw)[:80]}")
    return raw


def _token(plain: Mapping[str, Any], where: str) -> str | None:
    token = plain.get("next_page_token")
    if token is None or isinstance(token, str):
        return token
    if isinstance(token, int) and not isinstance(token, bool):
        return str(token)
    # Whatever it is, there may be more, and ending here would pass a part for the whole.
    raise WireError(f"alpaca: {where}: the page token is {str(token)[:80]}")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
