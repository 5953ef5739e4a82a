"""The content that is carried from snapshot to snapshot is the one that each snapshot has by itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.cluster.objects import ObjectKey
from evidence.log.merkle import leaf_hash
from evidence.store.check_content import Content
from evidence.store.content import content_hash

keys = st.integers(0, 40).map(lambda number: ObjectKey("", "Pod", f"ns{number % 3}", f"pod{number}"))
leaves = st.sampled_from([leaf_hash(b"one"), leaf_hash(b"two")])
steps = st.lists(st.lists(st.tuples(keys, st.none() | leaves), max_size=30), max_size=6)


@pytest.mark.parametrize("block", [1, 4, 256])
@given(steps)
def test_its_hash_is_that_of_all_leaves_in_the_order_of_their_keys(
    block: int, history: list[list[tuple[ObjectKey, bytes | None]]]
) -> None:
    content, state = Content(block), dict[ObjectKey, bytes]()
    for changes in history:
        for key, leaf in changes:
            if key in state:
                assert content.take(key, state.pop(key))
            if leaf is not None:
                assert content.put(key, leaf)
                state[key] = leaf
        assert len(content) == len(state)
        assert content.hash() == content_hash(state[key] for key in sorted(state))


def test_what_does_not_fit_changes_nothing() -> None:
    content = Content()
    key, one, two = ObjectKey("", "Pod", "shop", "web"), leaf_hash(b"one"), leaf_hash(b"two")
    assert not content.take(key, one)
    assert content.put(key, one)
    assert not content.put(key, two)
    assert not content.take(key, two)
    assert content.hash() == content_hash([one])
