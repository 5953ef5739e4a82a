"""Whatever is changed by hand in what digests cover, `check` names it and `read` does not hand it on."""

import pytest

from evidence.errors import StoreError
from evidence.store import Store
from tests.store.build import hours, item, snapshot
from tests.store.rows import run


@pytest.fixture
def filled(store: Store) -> Store:
    store.add_snapshot(snapshot(item("web"), item("db"), intent=b"zones: []"))
    store.add_snapshot(snapshot(item("web"), item("db", image="db:2"), at=hours(1), intent=b"zones: []"))
    store.add_snapshot(snapshot(item("db", image="db:2"), at=hours(2), cluster="test"))
    return store


def test_a_store_as_it_was_written_has_nothing_wrong(filled: Store) -> None:
    result = filled.check()
    assert (result.snapshots, result.objects, result.records, result.problems) == (3, 3, 0, ())


CUT = """
    INSERT INTO intervals (cluster_id, "group", kind, namespace, name, first_id, digest)
    SELECT cluster_id, "group", kind, namespace, name, 2, digest FROM intervals WHERE name = 'web'
"""

CHANGES = {
    "snapshots.cluster_id": "UPDATE snapshots SET cluster_id = 2 WHERE id = 2",
    "snapshots.taken_at": "UPDATE snapshots SET taken_at = '2026-07-02 00:00:00.000000' WHERE id = 2",
    "snapshots.taken_at_claimed": "UPDATE snapshots SET taken_at_claimed = NOT taken_at_claimed WHERE id = 2",
    "snapshots.received_at": "UPDATE snapshots SET received_at = '2026-07-02 00:00:00.000000' WHERE id = 2",
    "snapshots.started_at": "UPDATE snapshots SET started_at = '2026-07-02 00:00:00.000000' WHERE id = 2",
    "snapshots.finished_at": "UPDATE snapshots SET finished_at = '2026-07-02 00:00:00.000000' WHERE id = 2",
    "snapshots.root_digest": "UPDATE snapshots SET root_digest = content WHERE id = 2",
    "snapshots.content": "UPDATE snapshots SET content = root_digest WHERE id = 2",
    "snapshots.object_count": "UPDATE snapshots SET object_count = 3 WHERE id = 2",
    "snapshots.partial": "UPDATE snapshots SET partial = NOT partial WHERE id = 2",
    "snapshots.intent_digest": "UPDATE snapshots SET intent_digest = NULL WHERE id = 2",
    "snapshots.details": "UPDATE snapshots SET details = root_digest WHERE id = 2",
    "snapshots.software_version": "UPDATE snapshots SET software_version = '9' WHERE id = 2",
    "snapshots.host": "UPDATE snapshots SET host = 'other' WHERE id = 2",
    "snapshots.identity": "UPDATE snapshots SET identity = 'mallory' WHERE id = 2",
    "snapshots.command": "UPDATE snapshots SET command = 'other' WHERE id = 2",
    "snapshots.configuration_digest": "UPDATE snapshots SET configuration_digest = '' WHERE id = 2",
    "clusters.name": "UPDATE clusters SET name = 'renamed' WHERE id = 1",
    "objects.body": "UPDATE objects SET body = (SELECT body FROM intents)",
    "intents.body": "UPDATE intents SET body = (SELECT body FROM objects LIMIT 1)",
    "intervals.group": "UPDATE intervals SET \"group\" = 'apps' WHERE first_id = 2",
    "intervals.kind": "UPDATE intervals SET kind = 'Node' WHERE first_id = 2",
    "intervals.namespace": "UPDATE intervals SET namespace = 'other' WHERE first_id = 2",
    "intervals.name": "UPDATE intervals SET name = 'other' WHERE first_id = 2",
    "intervals.first_id": "UPDATE intervals SET first_id = 1, name = 'db2' WHERE first_id = 2",
    "intervals.end_id": "UPDATE intervals SET end_id = 2 WHERE name = 'web'",
    "intervals.digest": "UPDATE intervals SET digest = (SELECT digest FROM intervals WHERE name = 'web') WHERE first_id = 2",
    "sources.body": "UPDATE sources SET body = (SELECT body FROM intents)",
    "snapshots.sources_digest": "UPDATE snapshots SET sources_digest = (SELECT sources_digest FROM snapshots WHERE id = 3) WHERE id = 2",
    "an interval removed": "DELETE FROM intervals WHERE name = 'web'",
    "an interval reopened": "UPDATE intervals SET end_id = NULL WHERE end_id IS NOT NULL",
    "an interval added over another": CUT,
    "an object added": "INSERT INTO objects (digest, body) SELECT root_digest, NULL FROM snapshots WHERE id = 2",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_by_hand_is_found(filled: Store, db: str, change: str) -> None:
    run(db, CHANGES[change])
    assert filled.check().problems != ()


READ_TOO = [name for name in CHANGES if name != "an object added"]


@pytest.mark.parametrize("change", READ_TOO)
def test_a_changed_snapshot_is_not_handed_on(filled: Store, db: str, change: str) -> None:
    run(db, CHANGES[change])
    with pytest.raises(StoreError, match=r"snapshot \d in the store "):
        tuple(map(filled.read, (1, 2)))


def test_problems_name_what_is_wrong(filled: Store, db: str) -> None:
    digest = filled.read(1).collection.objects[1].digest
    run(db, CHANGES["objects.body"])
    run(db, CHANGES["snapshots.host"])
    problems = "\n".join(filled.check().problems)
    assert f"the body of object {digest} does not match its digest" in problems
    assert "snapshot 2 of prod: its root digest does not match its header" in problems
    assert "snapshot 1 of prod" not in problems


def test_an_interval_cut_in_two_is_found_though_every_snapshot_is_as_it_was(filled: Store, db: str) -> None:
    run(db, "UPDATE intervals SET end_id = 2 WHERE name = 'web'")
    run(db, CUT)
    assert filled.check().problems == (
        "cluster prod: Pod shop/web ends and begins at snapshot 2 without having changed",
    )


def test_an_interval_that_ends_at_no_snapshot_of_its_cluster_is_named(filled: Store, db: str) -> None:
    run(db, "UPDATE intervals SET end_id = 3 WHERE name = 'web'")
    assert filled.check().problems == (
        "cluster prod: objects begin or end at snapshot 3, which is not one of its snapshots",
    )


def test_a_body_that_no_prune_dropped_is_wrong_and_cannot_be_read(filled: Store, db: str) -> None:
    run(db, "UPDATE objects SET body = NULL")
    assert any("its body was removed, and not by a prune" in found for found in filled.check().problems)
    with pytest.raises(StoreError, match="was removed: `evidence db check`"):
        filled.read(1)


def test_a_removed_body_that_is_collected_again_is_put_back(filled: Store, db: str) -> None:
    digest = next(obj.digest for obj in filled.read(1).collection.objects if obj.key.name == "db")
    run(db, "UPDATE objects SET body = NULL WHERE digest = :digest", {"digest": bytes.fromhex(digest)})
    filled.add_snapshot(snapshot(item("web"), item("db"), at=hours(3)))
    assert len(filled.read(1).collection.objects) == 2
