"""The path of an invented price."""

from __future__ import annotations

import math
from itertools import pairwise

import attrs
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from broker_demo.price_path import LEAST, SECONDS, Minute, PricePath, book, draw, draw_many, symbol_key

KEYS = st.integers(0, 2**64 - 1)
MINUTES = st.integers(-(10**7), 10**8)
SPAN = 6 * 10**5

PATHS = st.builds(
    PricePath,
    KEYS,
    base=st.integers(LEAST, 2**27),
    volatility=st.floats(0.001, 0.05),
    shares=st.integers(0, 2**20),
)


def the_path(key: int = 1) -> PricePath:
    return PricePath(key, base=20_000, volatility=0.02, shares=10_000)


@settings(deadline=None, max_examples=60)
@given(KEYS, st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=20))
def test_one_draw_is_the_same_as_many(key: int, indices: list[int]) -> None:
    """An array of numbers draws what each of them draws alone."""
    assert draw_many(key, np.array(indices)).tolist() == [draw(key, index) for index in indices]


def test_the_draw_is_splitmix64() -> None:
    """The draws of a key of zero are the published sequence of SplitMix64 seeded with zero, without the lowest bit."""
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]
    assert [draw(0, index) for index in range(1, 5)] == [number >> 1 for number in published]


@settings(deadline=None, max_examples=60)
@given(PATHS, MINUTES, st.integers(1, 50))
def test_one_minute_is_the_same_as_many(path: PricePath, minute: int, count: int) -> None:
    """Python's integers and NumPy's arrays give the same minutes to the last bit, whatever the symbol."""
    many = path.minutes(np.arange(minute, minute + count))
    for place in range(count):
        one = path.minute(minute + place)
        for field in attrs.fields(Minute):
            assert getattr(many, field.name)[place] == getattr(one, field.name)
        assert many.notional[place] == one.notional


@settings(deadline=None, max_examples=60)
@given(PATHS, MINUTES)
def test_the_seconds_of_a_minute_add_up_to_it(path: PricePath, minute: int) -> None:
    """Open, high, low, close, volume and notional of a minute are those of its sixty seconds, and every second trades."""
    shape = path.minute(minute)
    prices, sizes, *_ = zip(*(path.second(minute * SECONDS + second) for second in range(SECONDS)), strict=True)
    assert (prices[0], max(prices), min(prices), prices[-1]) == (shape.open, shape.high, shape.low, shape.close)
    assert sum(sizes) == shape.volume
    assert sum(price * size for price, size in zip(prices, sizes, strict=True)) == shape.notional
    assert min(sizes) >= 1
    assert min(prices) >= LEAST


@settings(deadline=None, max_examples=60)
@given(PATHS, MINUTES)
def test_a_minute_opens_where_the_one_before_closed(path: PricePath, minute: int) -> None:
    """The path has no jumps between minutes."""
    assert path.minute(minute).close == path.minute(minute + 1).open


@settings(deadline=None, max_examples=60)
@given(st.integers(LEAST, 2**31), st.integers(0, 2**20), st.integers(0, 2**63 - 1))
def test_the_book_holds_the_print(price: int, depth: int, bits: int) -> None:
    """The price lies between bid and ask, both included, these differ, and each size is from half the depth to one and a half."""
    bid, ask, bid_size, ask_size = book(price, depth, bits)
    assert 0 < bid <= price <= ask
    assert bid < ask
    assert ask - bid <= 2 + price // 2**15
    assert 1 <= 1 + depth // 2 <= bid_size <= 1 + depth * 3 // 2
    assert 1 <= 1 + depth // 2 <= ask_size <= 1 + depth * 3 // 2


def test_the_walk_is_a_random_walk() -> None:
    """A minute's and a day's moves have the deviation that was asked for, and a move says nothing about the next one."""
    path = PricePath(7, base=2**26, volatility=0.02, shares=0)
    logs = np.log(path.minutes(np.arange(28 * 10**6, 28 * 10**6 + SPAN)).open)
    for length in (1, 60, 1440):
        moves = np.diff(logs[::length])
        assert 0.85 < moves.std() / (0.02 * math.sqrt(length / 1440)) < 1.15
        assert abs(np.corrcoef(moves[1:], moves[:-1])[0, 1]) < 0.1


def test_the_price_stays_around_its_base() -> None:
    """Over years it wanders, but never to another order of magnitude."""
    opens = the_path().minutes(np.arange(28 * 10**6, 28 * 10**6 + SPAN, 60)).open
    assert 20_000 / 3 < opens.min() < 20_000 < opens.max() < 20_000 * 3


def test_the_volume_varies() -> None:
    """Minutes are quiet and busy by turns, and their mean is about what was given."""
    volume = the_path().minutes(np.arange(28 * 10**6, 28 * 10**6 + 20_000)).volume
    assert 8_000 < volume.mean() < 12_000
    assert volume.min() < 1_000 < 30_000 < volume.max()


def test_either_extreme_may_come_first() -> None:
    """In about half of all minutes the high comes before the low, and the extremes lie anywhere in the minute."""
    minutes = the_path().minutes(np.arange(28 * 10**6, 28 * 10**6 + 5_000))
    assert 0.4 < (minutes.first == minutes.low).mean() < 0.6
    assert set(minutes.before.tolist()) == set(range(14))
    assert set(minutes.between.tolist()) == set(range(1, 15))


def test_seconds_differ_in_price_and_size() -> None:
    """Within a minute neither price nor size nor book stands still."""
    path = PricePath(1, base=2**20, volatility=0.02, shares=10_000)
    columns = list(zip(*map(path.second, range(28 * 10**6 * 60, 28 * 10**6 * 60 + 60)), strict=True))
    assert min(len(set(column)) for column in columns) > 20
    assert sum(later != earlier for earlier, later in pairwise(columns[0])) > 30


def test_the_key_depends_on_seed_and_symbol() -> None:
    """Another seed or another symbol is another path."""
    keys = {symbol_key(seed, symbol) for seed in range(-5, 20) for symbol in ("A", "B", "1:A")}
    assert len(keys) == 25 * 3
    assert the_path(1).minute(5) != the_path(2).minute(5)
