import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker_core.backoff import Backoff

DOUBLING = (1, 2, 4, 8, 16, 32, 60, 60, 60)


def test_waits_double_up_to_the_cap():
    """
    Without jitter the waits are 1, 2, 4 … 32 and then 60 s for ever.
    """
    backoff = Backoff(random.Random(1), jitter=0)

    assert list(DOUBLING) == [backoff.next() for _ in DOUBLING]


@given(seed=st.integers(), jitter=st.floats(0, 1))
def test_jitter_only_shortens(seed, jitter):
    """
    Chance takes away at most its share of a wait and never adds to it.
    """
    backoff = Backoff(random.Random(seed), jitter=jitter)

    for full in DOUBLING:
        assert full * (1 - jitter) <= backoff.next() <= full


def test_jitter_spreads_clients():
    """
    Two clients that lost the same server do not come back at the same moment.
    """
    first, second = (Backoff(random.Random(seed)) for seed in (1, 2))

    assert [first.next() for _ in range(5)] != [second.next() for _ in range(5)]


def test_reset_begins_again():
    """
    After a reset the first wait is the first one again.
    """
    backoff = Backoff(random.Random(1), jitter=0)
    for _ in range(5):
        backoff.next()

    backoff.reset()

    assert [1, 2] == [backoff.next(), backoff.next()]


@pytest.mark.parametrize(("wish", "expected"), [(90, 90), (0.5, 1), (None, 1), (0, 1)])
def test_wish_is_a_lower_bound(wish, expected):
    """
    A wait the other side asks for is honoured beyond the cap, and never shortens ours.
    """
    assert expected == Backoff(random.Random(1), jitter=0).next(wish)


def test_wish_counts_as_a_try():
    """
    The wait after an asked-for one goes on growing.
    """
    backoff = Backoff(random.Random(1), jitter=0)
    backoff.next(90)

    assert backoff.next() == 2


def test_many_tries_do_not_overflow():
    """
    A broker that is away for years still gets a try a minute.
    """
    backoff = Backoff(random.Random(1), jitter=0)
    backoff.tries = 10_000_000

    assert backoff.next() == 60
