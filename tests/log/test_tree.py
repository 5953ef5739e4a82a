"""Heads and proofs from hashes of whole subtrees that were kept are those that all leaves give."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.errors import SealError
from evidence.log.merkle import is_consistent, leaf_hash, root_from_inclusion, tree_hash
from evidence.log.tree import RUN, Growth, Tree, ended

LEAVES = [leaf_hash(number.to_bytes(4)) for number in range(RUN * RUN + 3 * RUN)]
SIZES = st.integers(0, 3 * RUN) | st.integers(RUN * RUN - 300, len(LEAVES))


def grown() -> tuple[list[bytes], dict[tuple[int, int], bytes]]:
    """The root at each size, and the hash of each whole subtree, as they come up while the tree grows."""
    tree, kept = Growth(), dict[tuple[int, int], bytes]()
    roots = [tree.root()]
    for leaf in LEAVES:
        kept |= tree.add(leaf)
        roots.append(tree.root())
    return roots, kept


ROOTS, KEPT = grown()


class Reading:
    """A tree over the first `size` leaves that counts how many leaves are read."""

    def __init__(self, size: int) -> None:
        self.leaves = 0
        self.tree = Tree(size, self._leaves, self._kept)

    def _leaves(self, first: int, last: int) -> Sequence[bytes]:
        self.leaves += last - first
        return LEAVES[first:last]

    def _kept(self, height: int, first: int, last: int) -> Mapping[int, bytes]:
        return {number: KEPT[height, number] for number in range(first, last)}


@given(SIZES)
def test_a_head_is_that_of_all_leaves_and_reads_less_than_a_run_of_them(size: int) -> None:
    read = Reading(size)
    assert read.tree.root() == ROOTS[size]
    assert read.leaves < RUN


@given(SIZES, st.data())
def test_every_smaller_tree_has_its_root_and_its_proof(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, size) | st.sampled_from([0, size // RUN * RUN, max(0, size - 1), size]))
    read = Reading(size)
    proof = read.tree.consistency_proof(first)
    assert is_consistent(first, ROOTS[first], size, ROOTS[size], proof)
    assert read.tree.root(first) == ROOTS[first]
    assert read.leaves <= 3 * RUN


@given(SIZES.filter(bool), st.data())
def test_every_leaf_is_shown_to_be_in_the_tree_from_two_runs_of_leaves(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    read = Reading(size)
    proof = read.tree.inclusion_proof(index)
    assert root_from_inclusion(LEAVES[index], index, size, proof) == ROOTS[size]
    assert read.leaves <= 2 * RUN


def test_what_becomes_whole_with_a_leaf_is_each_run_and_each_run_of_runs() -> None:
    assert [list(ended(size)) for size in (0, 1, RUN - 1, RUN, RUN + 1)] == [[], [], [], [(8, 0)], []]
    assert list(ended(3 * RUN)) == [(8, 2)]
    assert list(ended(RUN * RUN)) == [(8, RUN - 1), (16, 0)]
    assert {at for size in range(len(LEAVES) + 1) for at in ended(size)} == KEPT.keys()
    assert KEPT[8, 1] == tree_hash(LEAVES[RUN : 2 * RUN])
    assert KEPT[16, 0] == tree_hash(LEAVES[: RUN * RUN])


@given(st.integers(0, 3 * RUN) | st.sampled_from([RUN * RUN - 1, RUN * RUN, RUN * RUN + 1, len(LEAVES)]))
def test_a_tree_that_grows_has_the_root_of_its_leaves_at_each_size(size: int) -> None:
    assert ROOTS[size] == tree_hash(LEAVES[:size])


def test_a_hash_that_is_not_kept_is_computed_from_those_below_it() -> None:
    lost = {(8, 3), (16, 0)}

    def kept(height: int, first: int, last: int) -> Mapping[int, bytes]:
        return {number: KEPT[height, number] for number in range(first, last) if (height, number) not in lost}

    assert Tree(len(LEAVES), lambda first, last: LEAVES[first:last], kept).root() == tree_hash(LEAVES)


def test_the_hash_of_a_whole_subtree_is_not_taken_from_what_is_kept_of_it() -> None:
    tree = Tree(RUN, lambda first, last: LEAVES[first:last], lambda *_: {0: bytes(32)})
    assert tree.whole(8, 0) == tree_hash(LEAVES[:RUN])
    assert tree.root() == bytes(32)


def test_leaves_that_are_missing_are_said_to_be() -> None:
    tree = Tree(10, lambda first, last: LEAVES[first : last - 1])
    with pytest.raises(SealError, match="lacks some of its entries 0 to 9"):
        tree.root()
