"""Changes of a decoded body or message to something that nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from broker_demo.sandbox.faults.terms import Kind, Terms

UNKNOWN = "unheard_of"
_ODD: Mapping[str, Any] = MappingProxyType({"nested": [1, "two", None]})


def changed(found: Any, terms: Terms, member: str) -> Any:
    """The value as an ``unknown_value`` or an ``extra_field`` has it; ``member`` is the one meant where the terms name none."""
    if terms.kind is Kind.UNKNOWN_VALUE:
        return with_value(found, terms.member or member, UNKNOWN if terms.value is None else terms.value)
    return with_member(found, terms.member or UNKNOWN, dict(_ODD) if terms.value is None else terms.value)


def with_value(found: Any, member: str, value: Any) -> Any:
    """The same with this value wherever a member of this name stands, however deep."""
    if isinstance(found, list):
        return [with_value(item, member, value) for item in found]
    if isinstance(found, dict):
        return {name: value if name == member else with_value(inner, member, value) for name, inner in found.items()}
    return found


def with_member(found: Any, member: str, value: Any) -> Any:
    """The same with one more member; a list, with one more in each of its items."""
    if isinstance(found, list):
        return [with_member(item, member, value) for item in found]
    return {**found, member: value} if isinstance(found, dict) else found
