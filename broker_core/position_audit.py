"""Opening position plus fills since is the broker's position: the arithmetic of that promise, without any I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

import attrs

from broker_core.models import Position
from broker_core.orders import ZERO


@attrs.frozen
class Mismatch:
    """What a symbol's position should be and what the broker says it is."""

    expected: Decimal
    actual: Decimal

    @property
    def difference(self) -> Decimal:
        """How much more the broker holds than expected; below zero, how much less."""
        return self.actual - self.expected


class PositionAudit:
    """Compares positions with an opening and the fills since; quantities are signed, below zero is short.

    ``open`` states where it begins. ``fills`` is always the net quantity filled per symbol since the session began, so those before
    the opening cancel out.
    """

    def __init__(self) -> None:
        self._opening: dict[str, Decimal] | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is an opening to compare with."""
        return self._opening is not None

    def open(self, positions: Iterable[Position], fills: Mapping[str, Decimal]) -> None:
        """Begin with these positions, of which these fills are already a part."""
        held = _quantities(positions)
        self._opening = {symbol: held.get(symbol, ZERO) - fills.get(symbol, ZERO) for symbol in held.keys() | fills.keys()}

    def compare(self, positions: Iterable[Position], fills: Mapping[str, Decimal], skip: Collection[str] = ()) -> dict[str, Mismatch]:
        """The symbols that do not agree, in alphabetical order; those to ``skip`` are not looked at. Empty before ``open``."""
        if self._opening is None:
            return {}
        held = _quantities(positions)
        mismatches = {}
        for symbol in sorted((self._opening.keys() | fills.keys() | held.keys()) - set(skip)):
            mismatch = Mismatch(self._opening.get(symbol, ZERO) + fills.get(symbol, ZERO), held.get(symbol, ZERO))
            if mismatch.difference:
                mismatches[symbol] = mismatch
        return mismatches


def _quantities(positions: Iterable[Position]) -> dict[str, Decimal]:
    held: dict[str, Decimal] = {}
    for position in positions:
        held[position.symbol] = held.get(position.symbol, ZERO) + position.qty
    return held
