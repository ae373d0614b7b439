"""The mapping that only grows: a value that shares with the older ones it grew from, and never changes them."""

import copy
import pickle
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker_core.append_only import AppendOnlyMap


def grown(*keys: object) -> AppendOnlyMap:
    mapping = AppendOnlyMap()
    for key in keys:
        mapping = mapping.plus(key, f"value of {key}")
    return mapping


def test_adding_makes_a_new_mapping():
    """The new one has the entry, the old one does not."""
    old = grown("a")

    new = old.plus("b", 2)

    assert (new["b"], len(new), "b" in new, new.get("b")) == (2, 2, True, 2)
    assert (len(old), "b" in old, old.get("b"), list(old)) == (1, False, None, ["a"])
    with pytest.raises(KeyError, match="'b'"):
        old["b"]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12), st.integers()), max_size=40))
def test_every_mapping_of_a_tree_stays_what_it_was(steps: list[tuple[int, int, int]]):
    """Whatever grows from whatever, in any order, each mapping equals the dict made beside it, order of entries and all."""
    made = [(AppendOnlyMap[int, int](), dict[int, int]())]
    for parent, key, value in steps:
        mapping, reference = made[parent % len(made)]
        if key not in reference:
            made.append((mapping.plus(key, value), {**reference, key: value}))

    for mapping, reference in made:
        assert mapping == reference
        assert list(mapping.items()) == list(reference.items())
        assert [key in mapping for key in range(13)] == [key in reference for key in range(13)]


def test_an_entry_cannot_be_replaced():
    """A key that is there already is refused; one that only a newer mapping has is not."""
    old = grown("a")
    new = old.plus("b", 1)

    with pytest.raises(ValueError, match="key: 'b' is there already"):
        new.plus("b", 2)
    assert old.plus("b", 2) == {"a": "value of a", "b": 2}
    assert new["b"] == 1


def test_adding_takes_as_long_to_a_large_mapping_as_to_a_small_one():
    """One more entry looks at one key, however many are there."""
    hashed = []

    class Key:
        def __hash__(self) -> int:
            hashed.append(self)
            return id(self)

    mapping = grown(*(Key() for _ in range(1000)))
    hashed.clear()

    mapping.plus(added := Key(), None)

    assert {added} == set(hashed[:2])
    assert len(hashed) < 10


def test_growing_while_it_is_read():
    """Reading an old mapping is not disturbed by what grows from it meanwhile."""
    old = grown("a", "b", "c")
    new = old

    for key in old:
        new = new.plus(key + "!", None)

    assert list(new) == ["a", "b", "c", "a!", "b!", "c!"]


def test_growing_from_one_mapping_in_many_threads():
    """Each thread gets what it added and nothing of the others'."""
    base, results = grown("a", "b"), {}
    together = threading.Barrier(8)

    def grow(name: int) -> None:
        together.wait()
        mapping = base
        for number in range(200):
            mapping = mapping.plus((name, number), name)
        results[name] = mapping

    threads = [threading.Thread(target=grow, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for name, mapping in results.items():
        assert list(mapping) == ["a", "b", *((name, number) for number in range(200))]
    assert len(results) == 8
    assert list(base) == ["a", "b"]


def test_an_empty_one_keeps_nothing_of_what_grew_from_it():
    """A beginning shared by everyone does not hold on to anybody's entries."""
    empty = AppendOnlyMap()

    empty.plus("a", 1).plus("b", 2)

    assert pickle.dumps(AppendOnlyMap()) == pickle.dumps(empty)


def test_equality_and_text():
    """Equal entries make equal mappings, whatever grew from them; the text shows them; there is no hash, as of any mapping."""
    one, other = grown("a", "b"), grown("a", "b")
    one.plus("c", 3)

    assert one == other
    assert one != grown("a")
    assert repr(grown("a")) == "AppendOnlyMap({'a': 'value of a'})"
    assert "c" not in repr(one)
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


def test_copies():
    """Copies are equal and grow on their own."""
    mapping = grown("a", "b")

    for twin in (copy.copy(mapping), copy.deepcopy(mapping)):
        assert twin == mapping
        assert twin.plus("c", 1) == {**mapping, "c": 1}
