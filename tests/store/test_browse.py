"""What a reader of the store pages through: newest snapshots, headers without objects, places in the log."""

from dataclasses import replace

import pytest

from evidence.cluster.objects import Problem
from evidence.errors import StoreError
from evidence.log.entries import EntryKind
from evidence.store import LogPlace, Store
from tests.store.build import FORBIDDEN, LISTED, collection, hours, item, of, snapshot
from tests.store.rows import run


def test_the_newest_snapshots_come_first_a_page_at_a_time(store: Store) -> None:
    for number in (2, 0, 1):
        store.add_snapshot(snapshot(item(f"pod-{number}"), at=hours(number)))
    store.add_snapshot(snapshot(item("other"), at=hours(9), cluster="other"))
    assert [info.taken_at for info in store.newest("prod", 2)] == [hours(2), hours(1)]
    assert [info.taken_at for info in store.newest("prod", 2, skip=2)] == [hours(0)]
    assert store.newest("nobody", 2) == ()


def test_a_header_says_all_of_a_snapshot_but_its_objects(store: Store) -> None:
    content = collection(item("a"), kinds=[LISTED, FORBIDDEN], problems=[Problem("a.yaml:1", "bad", "Pod")])
    info = store.add_snapshot(of(content))
    header = store.header(info.id)
    assert header is not None
    assert (header.info, header.source) == (info, content.source)
    assert (header.kinds, header.problems) == (content.kinds, content.problems)
    assert store.header(info.id + 1) is None


@pytest.mark.parametrize("column", ["object_count", "partial", "received_at", "content"])
def test_a_header_that_was_changed_by_hand_is_not_given(db: str, column: str) -> None:
    with Store.open(db) as store:
        info = store.add_snapshot(snapshot(item("a")))
        to = {"object_count": 2, "partial": True, "received_at": hours(1), "content": b"\0" * 32}[column]
        run(db, f"UPDATE snapshots SET {column} = :to", {"to": str(to) if column == "received_at" else to})
        with pytest.raises(StoreError, match=f"snapshot {info.id} in the store .*changed|does not match"):
            store.header(info.id)


def test_a_snapshot_has_its_place_in_the_log_and_a_strange_one_none(store: Store) -> None:
    first = store.add_snapshot(snapshot(item("a")))
    second = store.add_snapshot(snapshot(item("a"), at=hours(1)))
    assert store.log_place(EntryKind.SNAPSHOT, first.root_digest) == LogPlace(0, 2)
    assert store.log_place(EntryKind.SNAPSHOT, second.root_digest) == LogPlace(1, 2)
    assert store.log_place(EntryKind.PACK, second.root_digest) == LogPlace(None, 2)
    assert store.log_size() == 2


def test_the_newest_checkpoint_is_the_one_that_was_kept_last(store: Store) -> None:
    assert store.newest_checkpoint() is None
    for note in ("one", "two"):
        store.add_checkpoint(note)
    assert store.newest_checkpoint() == "two"


def test_kinds_are_read_back_with_their_counts_and_messages(store: Store) -> None:
    info = store.add_snapshot(of(collection(item("a"), kinds=[replace(LISTED, count=1), FORBIDDEN])))
    header = store.header(info.id)
    assert header is not None
    assert [(kind.kind, kind.count, kind.message) for kind in header.kinds] == [
        ("Pod", 1, ""),
        ("Node", 0, "no right to list nodes"),
    ]
