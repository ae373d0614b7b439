"""From bytes to records, tolerantly.

A record is an attrs class whose fields carry the wire's names. The usual body is read in one go. Where anything in it has another type
than expected, it is read again member by member: what cannot be read becomes the field's default and is counted, and a record that lacks
what it cannot be without (a field with no default) is left out of its list and counted; its neighbours stay. Unknown members are ignored,
null counts as missing.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, Generic, TypeAlias, TypeVar, Union, cast, get_args, get_origin

import attrs
import msgspec

from broker_alpaca.wire.drift import Drift
from broker_core.errors import WireError

T = TypeVar("T")

Moment: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
"""An aware moment; a record of type ``Record`` holds it in UTC, rounded to microseconds."""

_MISSING = object()


class Unreadable(ValueError):
    """A record without something it cannot be without."""


@attrs.frozen
class Record:
    """What every record of the wire has in common: its moments are in UTC, whatever offset the wire gave, and its amounts are numbers.

    Raises ValueError for an amount that is none: a decimal takes ``NaN``, and every comparison with it fails.
    """

    def __attrs_post_init__(self) -> None:
        kind: Any = type(self)
        amounts_of, moments_of = _checked(kind)
        for amount in amounts_of(self):
            if amount is not None and not amount.is_finite():
                raise ValueError(f"{amount} is not a finite number")
        for moment in moments_of(self):
            if moment is not None and moment.tzinfo is not UTC:
                self._tell_in_utc()
                return

    def _tell_in_utc(self) -> None:
        for name in _names(type(self), Moment):
            moment = getattr(self, name)
            if moment is not None:
                object.__setattr__(self, name, moment.astimezone(UTC))


@attrs.frozen
class Page(Generic[T]):
    """One page of a list: its records, how many could not be read, and the token of the next page or None at the end."""

    records: tuple[T, ...]
    unreadable: int = 0
    next_token: str | None = None

    def __iter__(self) -> Any:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)


@attrs.define
class _Mend:
    """Reads what is not as expected; counts what it had to leave out."""

    drift: Drift
    left_out: int = 0

    def value(self, kind: Any, raw: Any, where: str) -> Any:
        """The value of this type that ``raw`` stands for. Raises Unreadable where it stands for none."""
        if kind is Any or kind is object:
            return raw
        origin = get_origin(kind)
        if origin is Annotated:
            return self._plain(kind, raw, where)
        if origin in (Union, types.UnionType):
            inner = [option for option in get_args(kind) if option is not type(None)]
            if raw is None:
                return None
            return self.value(inner[0], raw, where) if len(inner) == 1 else self._plain(kind, raw, where)
        if origin is tuple and isinstance(raw, list):
            return tuple(self._each(get_args(kind)[0], raw, where))
        if origin in (dict, Mapping) and isinstance(raw, dict):
            element = get_args(kind)[1]
            return {name: value for name, item in raw.items() if (value := self._try(element, item, f"{where}.*")) is not _MISSING}
        if attrs.has(kind):
            return self._record(kind, raw, where)
        return self._plain(kind, raw, where)

    def _plain(self, kind: Any, raw: Any, where: str) -> Any:
        try:
            value = msgspec.convert(raw, kind, strict=False)
        except (msgspec.DecodeError, ValueError, OverflowError):
            raise Unreadable(f"{where}: {raw!r}") from None
        if isinstance(value, Decimal) and not value.is_finite():
            raise Unreadable(f"{where}: {raw!r}")
        return value

    def _each(self, kind: Any, raw: Sequence[Any], where: str) -> list[Any]:
        return [value for item in raw if (value := self._try(kind, item, where)) is not _MISSING]

    def _try(self, kind: Any, raw: Any, where: str) -> Any:
        try:
            return self.value(kind, raw, where)
        except Unreadable as error:
            self.left_out += 1
            self.drift.count(f"{where} (left out)", error)
            return _MISSING

    def _record(self, kind: Any, raw: Any, where: str) -> Any:
        if not isinstance(raw, dict):
            raise Unreadable(f"{where}: {raw!r}")
        values: dict[str, Any] = {}
        for field in _fields(kind):
            given = raw.get(field.name)
            if given is None:
                if field.default is attrs.NOTHING:
                    raise Unreadable(f"{where}.{field.name} is missing")
                continue
            try:
                values[field.name] = self.value(field.type, given, f"{where}.{field.name}")
            except Unreadable:
                if field.default is attrs.NOTHING:
                    raise
                self.drift.count(f"{where}.{field.name}", given)
        return kind(**values)


@cache
def _fields(kind: Any) -> tuple[Any, ...]:
    return tuple(attrs.fields(attrs.resolve_types(kind, include_extras=True)))


def _names(record: Any, kind: Any) -> tuple[str, ...]:
    """The fields of a record that hold a value of this type, or may."""
    return tuple(field.name for field in _fields(record) if field.type in (kind, kind | None))


@cache
def _checked(record: Any) -> tuple[Callable[[Any], tuple[Any, ...]], Callable[[Any], tuple[Any, ...]]]:
    """How to get a record's amounts and its moments, all at once."""
    return _getter(_names(record, Decimal)), _getter(_names(record, Moment))


def _getter(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    # Of one name alone ``attrgetter`` makes no tuple.
    return attrgetter(*names, names[0]) if names else lambda _: ()


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


@cache
def _words(kind: Any) -> tuple[tuple[str, frozenset[str]], ...]:
    return tuple((field.name, field.metadata["words"]) for field in _fields(kind) if "words" in field.metadata)


def word(known: frozenset[str], **arguments: Any) -> Any:
    """A field that holds one of the broker's words as it is; a word that is not among the known ones is counted."""
    return attrs.field(metadata={"words": known}, **arguments)


def _noted(kind: Any, value: Any, where: str, drift: Drift) -> Any:
    for name, known in _words(kind):
        word = getattr(value, name)
        if word not in known:
            drift.word(f"{where}.{name}", word, known)
    return value


def parse(body: bytes, where: str) -> Any:
    """The body as plain values. Raises WireError for what is no JSON: nothing, a page, half an answer."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"alpaca: {where}: the answer is no JSON ({error}): {body[:80]!r}") from None


def one(kind: type[T], where: str) -> Callable[[bytes, Drift], T]:
    """A reader of one record. It raises WireError where the record cannot be read."""
    decoder = _decoder(cast("Any", kind))

    def read(body: bytes, drift: Drift) -> T:
        try:
            value = decoder.decode(body)
        except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
            try:
                value = _Mend(drift).value(kind, parse(body, where), where)
            except Unreadable as error:
                raise WireError(f"alpaca: {where}: cannot be read: {error}") from None
        noted: T = _noted(kind, value, where, drift)
        return noted

    return read


def many(kind: type[T], where: str, member: str | None = None) -> Callable[[bytes, Drift], Page[T]]:
    """A reader of a list of records: a bare array, or the member of an object that also carries ``next_page_token``."""
    shape = tuple[kind, ...] if member is None else _enclosed(cast("Any", kind), member)  # type: ignore[valid-type]  # made at run time
    decoder = _decoder(cast("Any", shape))

    def read(body: bytes, drift: Drift) -> Page[T]:
        try:
            found = decoder.decode(body)
        except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
            return mend(parse(body, where), drift)
        records, token = (found, None) if member is None else (found.records or (), found.next_page_token or None)
        return Page(tuple(_noted(kind, record, where, drift) for record in records), next_token=token)

    def mend(whole: Any, drift: Drift) -> Page[T]:
        if member is None:
            return _mended(kind, whole, None, where, drift)
        if not isinstance(whole, dict):
            raise WireError(f"alpaca: {where}: the answer is no object: {str(whole)[:80]}")
        token = whole.get("next_page_token")
        return _mended(kind, whole.get(member), str(token) if token else None, where, drift)

    return read


@cache
def _enclosed(kind: Any, member: str) -> Any:
    """The type of an object with a list of records under this name and a token."""
    fields = [("records", tuple[kind, ...] | None, None), ("next_page_token", str | None, None)]
    return msgspec.defstruct("Enclosed", fields, rename={"records": member})


def _mended(kind: Any, raw: Any, token: str | None, where: str, drift: Drift) -> Page[Any]:
    if raw is None:
        return Page((), next_token=token)
    if not isinstance(raw, list):
        raise WireError(f"alpaca: {where}: the answer is no list: {str(raw)[:80]}")
    mend = _Mend(drift)
    records = tuple(_noted(kind, record, where, drift) for record in mend._each(kind, raw, where))
    return Page(records, unreadable=mend.left_out, next_token=token)


def value_of(kind: type[T], raw: Any, where: str, drift: Drift) -> T | None:
    """One record out of plain values; None, and counted, where it cannot be read."""
    mended = _Mend(drift)._try(kind, raw, where)
    noted: T | None = None if mended is _MISSING else _noted(kind, mended, where, drift)
    return noted


def nothing(body: bytes, drift: Drift) -> None:
    """The reader of an answer that has no content (204)."""
