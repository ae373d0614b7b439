"""How long to wait before the next try: growth, cap, jitter, and the other side's own wish.

The wait doubles from ``first`` to ``cap``. Jitter takes away up to its share at random, never adds, so the cap is a promise and many
clients that lost the same server do not return at the same moment.
"""

from __future__ import annotations

import random

import attrs


@attrs.define
class Backoff:
    """Waits of 1, 2, 4 … 60 s by default. ``reset`` begins again; call it only after proof that the other side works."""

    random: random.Random
    first: float = 1.0
    cap: float = 60.0
    growth: float = 2.0
    jitter: float = 0.2
    """The largest share of a wait that chance may take away, 0 to 1."""
    tries: int = attrs.field(default=0, init=False)

    def next(self, wish: float | None = None) -> float:
        """Seconds to wait now. A ``wish`` of the other side is a lower bound that neither jitter nor cap may shorten."""
        wait = min(self.cap, self.first * self.growth ** min(self.tries, 64))
        self.tries += 1
        wait *= 1 - self.jitter * self.random.random()
        return wait if wish is None else max(wait, wish)

    def reset(self) -> None:
        """Begin again with the first wait."""
        self.tries = 0
