"""Readers for the members of a request's body. Amounts come as numbers or texts, flags as booleans or words in any letters.

All raise ``Refused`` in the trading host's words. A member that is null or an empty text counts as absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from broker_demo.sandbox.answers import Refused
from broker_demo.sandbox.numbers import read_number

BAD_FIELD = 40010001
_LONGEST_ID = 128
_FLAGS = {"true": True, "false": False}

Body = Mapping[str, Any]
_Word = TypeVar("_Word", bound=StrEnum)


def bad_member(message: str) -> Refused:
    """The refusal of a member that makes no sense."""
    return Refused(422, message, code=BAD_FIELD)


def given(body: Body, name: str) -> Any:
    """A member of any type; None where it is absent."""
    value = body.get(name)
    return None if value == "" else value


def word(body: Body, name: str, kind: type[_Word]) -> _Word:
    """A member that must be there, out of a list."""
    value = given(body, name)
    if value is None:
        raise bad_member(f"{name} is required")
    try:
        return kind(value)
    except ValueError:
        raise bad_member(f"invalid {name}") from None


def amount(body: Body, name: str, path: str = "") -> Decimal | None:
    """A member that is a number above zero, as exact as it was written. ``path`` is how the refusal calls it."""
    value = given(body, name)
    if value is None:
        return None
    try:
        number = read_number(str(value)) if isinstance(value, int | float | str) else None
    except ValueError:
        number = None
    if number is None:
        raise bad_member(f"invalid {path or name}")
    if number <= 0:
        raise bad_member(f"{path or name.replace('_', ' ')} must be > 0")
    return number


def flag(body: Body, name: str) -> bool:
    """A member that is true or false; false where it is absent."""
    value = given(body, name)
    if value is None or isinstance(value, bool):
        return bool(value)
    found = _FLAGS.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        raise bad_member(f"invalid {name}")
    return found


def part(body: Body, name: str) -> Body:
    """A member that is an object; an empty one where it is absent."""
    value = given(body, name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_member(f"invalid {name}")
    return value


def client_order_id(body: Body) -> str | None:
    """The client's own id of an order; None where one is to be made up."""
    value = given(body, "client_order_id")
    if value is None:
        return None
    if not isinstance(value, str):
        raise bad_member("invalid client_order_id")
    if len(value) > _LONGEST_ID:
        raise bad_member(f"client_order_id must be no more than {_LONGEST_ID} characters")
    return value
