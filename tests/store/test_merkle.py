import hashlib

from hypothesis import given
from hypothesis import strategies as st

from evidence.store.merkle import leaf_hash, tree_hash

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
