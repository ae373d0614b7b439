"""What the broker said that is not in the book: unknown words, values of another type, records that cannot be read.

Nothing of this stops anything; it is counted, so that a person sees the wire drift away from what this code knows.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType

log = logging.getLogger(__name__)

_KINDS = 500
"""How many different things are counted one by one; a broker that says something new each time must not fill the memory."""
_SHOWN = 40
REST = "(other)"
"""Where everything beyond that is counted."""


class Drift:
    """Counts of surprises. One object serves one account for as long as it is open."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each surprise was met, by a text like ``order.status: halted``."""
        return MappingProxyType(self._counts)

    def count(self, where: str, value: object) -> None:
        """Count one surprise; the first of its kind is logged.

        ``where`` names the record and its member; of ``value`` only the beginning is kept.
        """
        shown = str(value)
        key = f"{where}: {shown[:_SHOWN]}{'…' if len(shown) > _SHOWN else ''}"
        if key not in self._counts:
            if len(self._counts) >= _KINDS:
                key = REST
            else:
                log.warning("alpaca says something unknown, which is kept as it is: %s", key)
        self._counts[key] = self._counts.get(key, 0) + 1

    def word(self, where: str, value: str | None, known: frozenset[str]) -> None:
        """Count a word that is not among the known ones; nothing said (None, or an empty text) is always known."""
        if value and value not in known:
            self.count(where, value)
