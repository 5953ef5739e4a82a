"""What becomes of sets and pairs of numbered things that fell into parts, against the plain reading of it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evidence.reach.peers import Ends
from evidence.reach.spread import Spread, keys_of


def array(numbers: list[int]) -> Ends:
    return np.array(numbers, dtype=np.int32)


@st.composite
def partings(draw: st.DrawFn) -> tuple[list[int], int]:
    """For each part what it was part of (-1: nothing), and how many things there were: often the same things, some of them apart or gone."""
    count = draw(st.integers(0, 6))
    came_from = list(range(count))
    if draw(st.booleans()):
        came_from += draw(st.lists(st.integers(-1, count - 1), max_size=4))
    if draw(st.booleans()):
        came_from = draw(st.permutations(came_from))
    gone = draw(st.sets(st.integers(0, 5), max_size=2))
    return [number for number in came_from if number not in gone], count


def sets_below(count: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, count - 1), unique=True).map(sorted) if count else st.just([])


@given(partings(), st.data())
def test_a_set_becomes_all_parts_of_what_is_in_it(parting: tuple[list[int], int], data: st.DataObject) -> None:
    came_from, count = parting
    spread = Spread(array(came_from), count)
    assert spread.stays is (came_from == list(range(count)))
    for _ in range(2):
        ends = array(data.draw(sets_below(count)))
        found = [part for part, number in enumerate(came_from) if number in ends.tolist()]
        assert spread(ends).tolist() == found
        assert spread(ends) is spread(ends) or not found
        if spread.stays:
            assert spread(ends) is ends


@given(partings(), st.data())
def test_a_pair_becomes_every_pair_of_parts(parting: tuple[list[int], int], data: st.DataObject) -> None:
    came_from, count = parting
    ends = st.integers(0, count - 1)
    pairs = data.draw(st.lists(st.tuples(ends, ends), max_size=5)) if count else []
    places, ones, others = Spread(array(came_from), count).pairs(
        array([one for one, _ in pairs]), array([other for _, other in pairs])
    )
    parts = list(enumerate(came_from))
    expected = [
        (place, a, b)
        for place, (one, other) in enumerate(pairs)
        for a, n in parts
        if n == one
        for b, m in parts
        if m == other
    ]
    found = list(zip(places.tolist(), ones.tolist(), others.tolist(), strict=True))
    assert sorted(found) == expected
    single = [
        came_from.count(one) == came_from.count(other) == 1 for one, other in (pairs[place] for place, _, _ in found)
    ]
    assert single == sorted(single, reverse=True), "pairs of single parts come first"


def test_what_stays_before_the_first_that_moved_is_the_same_array() -> None:
    spread = Spread(array([0, 1, 2, 2, -1]), 4)
    stays, moves = array([0, 1]), array([1, 2, 3])
    assert not spread.stays
    assert spread(stays) is stays
    assert spread(moves).tolist() == [1, 2, 3]
    assert spread(array([3])).tolist() == []


def test_pairs_sort_by_their_first_and_then_their_second() -> None:
    keys = keys_of(array([0, 1, 2**31 - 1, 1]), array([2**31 - 1, 0, 5, 7]))
    assert keys.tolist() == [2**31 - 1, 1 << 32, (2**31 - 1 << 32) + 5, (1 << 32) + 7]
