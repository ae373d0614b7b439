"""No order twice, none forgotten, none with a wrong end, whatever the network does."""

from __future__ import annotations

import pytest
from accounts import MODES
from exactly_once import prove

from broker_alpaca.config import Mode


@pytest.mark.parametrize("mode", MODES)
async def test_orders_take_effect_exactly_once_whatever_the_network_does(mode: Mode):
    """A hundred orders through resets, lost answers, doubled and late requests: the session and the exchange agree on each of them."""
    outcome = await prove(100, seed=3, at_once=50, mode=mode)

    assert (list(outcome.duplicates), list(outcome.forgotten), list(outcome.wrong)) == ([], [], [])
    assert sum(outcome.states.values()) == outcome.orders == 100
    assert outcome.states["filled"] >= 40
    assert outcome.doubted >= 5
    assert sum(outcome.struck.values()) >= 30
