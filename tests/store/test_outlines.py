"""Snapshots without their objects: what tells whether two hold the same."""

from dataclasses import replace

import pytest

from evidence.cluster.objects import Problem
from evidence.errors import StoreError
from evidence.store import Store
from tests.store.build import FORBIDDEN, LISTED, collection, hours, item, of, snapshot
from tests.store.rows import run


def test_snapshots_with_the_same_objects_have_the_same_content(store: Store) -> None:
    same = [item("a"), item("b")]
    for number, objects in enumerate((same, same, [item("a")], same)):
        kinds = [replace(LISTED, resource_version=str(number))]
        store.add_snapshot(of(collection(*objects, kinds=kinds), at=hours(number)))
    content = [outline.content for outline in store.outlines("prod", hours(0), hours(9))]
    assert content[0] == content[1] == content[3] != content[2]


def test_an_outline_says_what_the_snapshot_says_but_for_its_objects(store: Store) -> None:
    store.add_snapshot(
        of(collection(item("a"), kinds=[LISTED, FORBIDDEN], problems=[Problem("a.yaml:1", "bad", "Pod")]))
    )
    (outline,) = store.outlines("prod", hours(0), hours(1))
    whole = store.read(outline.info.id)
    assert outline.info == whole.info
    assert outline.kinds == tuple((kind.group, kind.kind, kind.status) for kind in whole.collection.kinds)
    assert outline.problems == (("a.yaml:1", "bad", "Pod"),)


def test_only_snapshots_of_the_cluster_and_the_period_are_outlined_oldest_first(store: Store) -> None:
    for number in (3, 1, 2):
        store.add_snapshot(snapshot(item("a"), at=hours(number)))
    store.add_snapshot(snapshot(item("a"), at=hours(1), cluster="other"))
    assert [outline.info.taken_at for outline in store.outlines("prod", hours(1), hours(3))] == [hours(1), hours(2)]


@pytest.mark.parametrize(("column", "to"), [("content", b"\x00" * 32), ("partial", True), ("object_count", 7)])
def test_an_outline_that_was_changed_by_hand_is_not_given(db: str, column: str, to: object) -> None:
    with Store.open(db) as store:
        store.add_snapshot(snapshot(item("a")))
        run(db, f"UPDATE snapshots SET {column} = :to", {"to": to})
        with pytest.raises(StoreError, match="snapshot 1"):
            store.outlines("prod", hours(0), hours(1))


def test_the_next_snapshot_is_the_first_one_taken_later(store: Store) -> None:
    for number in (4, 1, 2):
        store.add_snapshot(snapshot(item("a"), at=hours(number)))
    store.add_snapshot(snapshot(item("a"), at=hours(3), cluster="other"))
    found = store.next_after("prod", hours(2))
    assert found is not None
    assert found.taken_at == hours(4)
    assert store.next_after("prod", hours(4)) is None
