"""Merkle tree hash as RFC 9162 section 2.1.1 defines it, over SHA-256.

A leaf is hashed behind a byte 0 and a node behind a byte 1, so that no leaf can pass for a node. One tree covers the objects of a
snapshot: a single object can be shown to belong to it with a handful of digests and without the others.
"""

import hashlib
from collections.abc import Sequence


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def tree_hash(leaf_hashes: Sequence[bytes]) -> bytes:
    """Root over leaves that are hashed already, in order; of none at all it is the hash of the empty string.

    Works level by level with an odd last node carried up as it is: the same tree as the recursive definition, which splits at the
    largest power of two below the number of leaves.
    """
    if not leaf_hashes:
        return hashlib.sha256().digest()
    sha256 = hashlib.sha256
    level = list(leaf_hashes)
    while len(level) > 1:
        pairs = [sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) & ~1 :]
    return level[0]
