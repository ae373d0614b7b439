"""A mapping that only grows, as a value: adding makes a new one in constant time, and every older one stays what it was.

Those that grew from one another share one store, where every entry has its place. A mapping is the store up to its own size: what newer
ones have added lies beyond that and is not seen. A place is taken once, in one step that no thread can split, so of two that grow from the
same mapping the first goes on in the shared store and the other in a copy of its part, which takes as long as that is large.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class AppendOnlyMap(Mapping[Key, Value]):
    """An immutable mapping in the order of its making; ``plus`` adds an entry. Equal to any mapping with equal entries."""

    __slots__ = ("_entries", "_places", "_size")

    def __init__(self, entries: dict[int, tuple[Key, Value]] | None = None, places: dict[Key, int] | None = None, size: int = 0) -> None:
        """Without arguments: an empty one. With them: what ``plus`` makes."""
        self._entries = {} if entries is None else entries
        self._places = {} if places is None else places
        self._size = size

    def plus(self, key: Key, value: Value) -> AppendOnlyMap[Key, Value]:
        """A new mapping with one entry more. Raises ValueError for a key that is there already."""
        entries, places, size = self._entries, self._places, self._size
        if places.get(key, size) < size:
            raise ValueError(f"key: {key!r} is there already; the entries of an append-only mapping stay as they are")
        entry = (key, value)
        if size == 0 or entries.setdefault(size, entry) is not entry:
            # Another one grew from this first. An empty one may be the beginning of many, and keeps nothing of any of them.
            entries = {place: entries[place] for place in range(size)}
            places = {known: place for place, (known, _) in entries.items()}
            entries[size] = entry
        places[key] = size
        return AppendOnlyMap(entries, places, size + 1)

    def __getitem__(self, key: Key) -> Value:
        place = self._places[key]
        if place >= self._size:
            raise KeyError(key)
        return self._entries[place][1]

    def __contains__(self, key: object) -> bool:
        # A key that is no ``Key`` is simply not there.
        return self._places.get(key, self._size) < self._size  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Key]:
        return (self._entries[place][0] for place in range(self._size))

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return f"AppendOnlyMap({dict(self)!r})"
