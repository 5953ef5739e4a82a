"""Merkle trees over SHA-256 as RFC 9162 section 2.1 defines them: tree hash, and the check of inclusion and consistency proofs.

A leaf is hashed behind a byte 0 and a node behind a byte 1, so that no leaf can pass for a node. All functions take leaves that are hashed
already, in their order. Verification never needs the tree: a leaf or an older root, the proof, and the root are enough. Proofs are made in tree.py.
"""

import hashlib
from collections.abc import Sequence


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_hash(leaf_hashes: Sequence[bytes]) -> bytes:
    """Root over leaves that are hashed already, in order; of none at all it is the hash of the empty string.

    Works level by level with an odd last node carried up as it is: the same tree as the recursive definition, which splits at the
    largest power of two below the number of leaves.
    """
    if not leaf_hashes:
        return hashlib.sha256().digest()
    level = list(leaf_hashes)
    while len(level) > 1:
        level = _above(level)
    return level[0]


def _above(level: Sequence[bytes]) -> list[bytes]:
    sha256 = hashlib.sha256
    pairs = [sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
    return [*pairs, *level[len(level) & ~1 :]]


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """The root that a proof leads to from a leaf's hash (section 2.1.3.2); None when its length does not fit index and size."""
    if not 0 <= index < size:
        return None
    place, last, root = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return None
        if place & 1 or place == last:
            root = node_hash(sibling, root)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        place, last = place >> 1, last >> 1
    return root if last == 0 else None


def is_consistent(first: int, first_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the tree of `size` leaves with `root` begins with that of `first` and `first_root` (section 2.1.4.2).

    An empty older tree is the beginning of every tree and needs no proof.
    """
    if not 0 <= first <= size:
        return False
    if first == 0:
        return not proof and first_root == tree_hash(())
    if first == size:
        return not proof and first_root == root
    nodes = list(proof)
    if first & (first - 1) == 0:
        nodes.insert(0, first_root)
    if not nodes:
        return False
    place, last = first - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    older = newer = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            older, newer = node_hash(node, older), node_hash(node, newer)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            newer = node_hash(newer, node)
        place, last = place >> 1, last >> 1
    return last == 0 and older == first_root and newer == root
