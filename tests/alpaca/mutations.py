"""Everything that can be wrong with a body, one thing at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

OTHERS = ("no such word", "", "NaN", 7, -1.5, True, [], [None], {}, {"x": [1]}, 10**30)
"""What stands in a member's place."""


def mutants(value: Any) -> Iterator[Any]:
    """Copies of a value with one thing wrong in each, at every depth."""
    if isinstance(value, dict):
        yield value | {"novelty": {"deep": [1, None]}}
        for name, member in value.items():
            rest = {other: kept for other, kept in value.items() if other != name}
            yield rest
            yield from ({**value, name: other} for other in (None, *OTHERS) if other != member)
            if isinstance(member, dict | list):
                yield from ({**value, name: inner} for inner in mutants(member))
    elif isinstance(value, list):
        for place in range(min(len(value), 2)):
            yield [*value[:place], *value[place + 1 :]]
            yield from ([*value[:place], inner, *value[place + 1 :]] for inner in (None, *OTHERS))
            yield from ([*value[:place], inner, *value[place + 1 :]] for inner in mutants(value[place]))
