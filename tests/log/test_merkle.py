"""The trees of RFC 9162, against its definitions word for word and against known roots."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.log.merkle import is_consistent, leaf_hash, root_from_inclusion, tree_hash
from evidence.log.tree import tree_of

# The inputs and roots that Certificate Transparency's implementations test themselves with.
LEAVES = [
    bytes.fromhex(h)
    for h in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
SIZES = range(20)


def hashed(count: int) -> list[bytes]:
    return [leaf_hash(bytes([number])) for number in range(count)]


def by_definition(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162 section 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + by_definition(leaves[:split]) + by_definition(leaves[split:])).digest()


def test_known_roots() -> None:
    for size, root in ROOTS.items():
        assert tree_hash([leaf_hash(leaf) for leaf in LEAVES[:size]]).hex() == root


@given(st.lists(st.binary(max_size=4), max_size=40))
def test_level_by_level_is_the_recursive_definition(leaves: list[bytes]) -> None:
    assert tree_hash([leaf_hash(leaf) for leaf in leaves]) == by_definition(leaves)


def test_a_known_inclusion_proof() -> None:
    """Leaf 5 of seven: the path is its sibling's leaf, the pair on the right that is carried up, the four on the left (the RFC's figure)."""
    leaves = hashed(7)
    expected = (leaves[4], leaves[6], tree_hash(leaves[:4]))
    assert tree_of(leaves).inclusion_proof(5) == expected


def test_every_leaf_is_shown_to_be_in_every_tree_and_nowhere_else() -> None:
    for size in SIZES:
        leaves, root = hashed(size), tree_hash(hashed(size))
        for index in range(size):
            proof = tree_of(leaves).inclusion_proof(index)
            assert root_from_inclusion(leaves[index], index, size, proof) == root
            for other in range(size + 1):
                if other != index:
                    assert root_from_inclusion(leaves[index], other, size, proof) != root
            assert root_from_inclusion(leaves[index], index, size, (*proof, root)) != root
            if proof:
                assert root_from_inclusion(leaves[index], index, size, proof[1:]) != root


def test_every_tree_is_shown_to_begin_with_every_smaller_one() -> None:
    for size in SIZES:
        leaves, root = hashed(size), tree_hash(hashed(size))
        for first in range(size + 1):
            proof = tree_of(leaves).consistency_proof(first)
            assert is_consistent(first, tree_hash(leaves[:first]), size, root, proof)
            assert not is_consistent(first, leaf_hash(b"other"), size, root, proof)
            if first:
                assert not is_consistent(first, tree_hash(leaves[:first]), size, leaf_hash(b"other"), proof)
            for node in range(len(proof)):
                changed = (*proof[:node], leaf_hash(b"other"), *proof[node + 1 :])
                assert not is_consistent(first, tree_hash(leaves[:first]), size, root, changed)
                assert not is_consistent(first, tree_hash(leaves[:first]), size, root, proof[:node])


@given(st.integers(1, 40), st.data())
def test_a_tree_in_which_an_old_leaf_was_changed_is_no_continuation(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, size))
    place = data.draw(st.integers(0, first - 1))
    before = hashed(first)
    forged = [*hashed(size)[:place], leaf_hash(b"forged"), *hashed(size)[place + 1 :]]
    assert not is_consistent(
        first, tree_hash(before), size, tree_hash(forged), tree_of(forged).consistency_proof(first)
    )


def test_what_is_not_there_has_no_proof() -> None:
    with pytest.raises(IndexError, match="no leaf 3 among 3"):
        tree_of(hashed(3)).inclusion_proof(3)
    with pytest.raises(IndexError, match="4 leaves are no beginning of 3"):
        tree_of(hashed(3)).consistency_proof(4)
    assert not is_consistent(4, b"", 3, b"", ())
    assert root_from_inclusion(leaf_hash(b""), 1, 1, ()) is None
