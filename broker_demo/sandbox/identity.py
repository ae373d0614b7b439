"""Ids of things that are the same in every sandbox: a UUID that follows from what the thing is."""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID, uuid5

_NAMESPACE = UUID("6f9619ff-8b86-d011-b42d-00c04fc964ff")


@lru_cache(maxsize=4096)
def identity(kind: str, name: str) -> str:
    """The id of a thing, ``identity("asset", "AAPL")``."""
    return str(uuid5(_NAMESPACE, f"{kind}:{name}"))


def is_uuid(text: str) -> bool:
    """Whether a text has the shape of an id."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
