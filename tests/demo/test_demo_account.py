"""The small parts of an account's state."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from broker_core.requests import Side
from broker_demo.account import Depth, SeededIds


def test_ids_follow_from_seed_and_count():
    """Ids look like UUIDs, never repeat, are the same for the same seed, and go on where a restart left off."""
    ids = SeededIds(5)
    made = [ids() for _ in range(1000)]

    assert len(set(made)) == 1000
    assert all(str(UUID(text)) == text and UUID(text).version == 4 for text in made)
    assert [SeededIds(5, made=400)() for _ in range(2)] == [made[400]] * 2
    assert SeededIds(6)() not in made


def test_depth_is_used_up_side_by_side():
    """Buys use up the ask and sells the bid, each on its own."""
    depth = Depth(1, bid=Decimal(10), ask=Decimal(20))

    depth.take(Side.BUY, Decimal(5))
    depth.take(Side.SELL, Decimal(1))

    assert (depth.left(Side.BUY), depth.left(Side.SELL)) == (15, 9)
