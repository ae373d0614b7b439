import math
from datetime import timedelta
from decimal import Decimal

import pytest

from broker_core.clock import StillClock
from broker_core.models import Account
from broker_core.sync_state import Part, PartHealth, SyncState

ACCOUNT = Account(account_id="1", currency="USD", cash=Decimal(1), equity=Decimal(2), buying_power=Decimal(3))


def test_a_new_state_knows_nothing_and_says_so():
    """
    Before anything was read there are no amounts, nothing is well, and every age is infinite.
    """
    state = SyncState(clock=StillClock())

    assert (state.equity, state.cash, state.buying_power) == (None, None, None)
    assert not state.ok
    assert [state.age(part) for part in Part] == [math.inf] * 3


def test_amounts_are_the_accounts():
    """
    Equity, cash and buying power are those of the account.
    """
    state = SyncState(clock=StillClock(), account=ACCOUNT)

    assert (state.equity, state.cash, state.buying_power) == (Decimal(2), Decimal(1), Decimal(3))


async def test_an_age_goes_on_growing():
    """
    The age is that of now, not of the moment the state was made; parts are known by their names.
    """
    clock = StillClock()
    state = SyncState(clock=clock, health={"account": PartHealth(ok=True, last_success=clock.now() - timedelta(seconds=2))})
    await clock.advance(3)

    assert state.age("account") == 5
    with pytest.raises(KeyError):
        state.age("weather")


def test_one_sick_part_is_enough():
    """
    A state is well only when every part is.
    """
    well = dict.fromkeys(Part, PartHealth(ok=True))

    assert SyncState(clock=StillClock(), health=well).ok
    for part in Part:
        assert not SyncState(clock=StillClock(), health=well | {part: PartHealth()}).ok


def test_states_compare_by_what_they_say():
    """
    Two states with the same content are equal, whatever clock they go by.
    """
    assert SyncState(clock=StillClock(), account=ACCOUNT) == SyncState(clock=StillClock(), account=ACCOUNT)
