"""What is kept of the log's tree: it makes heads and proofs cheap, follows from the entries, and nothing that is wrong with it goes unseen."""

import io
from pathlib import Path

import pytest
from sqlalchemy import insert

from evidence.log.checkpoint import signed_checkpoint
from evidence.log.entries import EntryKind, TreeHead, tree_head
from evidence.log.merkle import root_from_inclusion
from evidence.store import Store, migrate_store
from evidence.store.database import connect, parse_url, writing
from evidence.store.schema import migrate
from evidence.store.subtrees import keep_all
from evidence.store.tables import LogEntryRow
from tests.log.build import KEY, VERIFIER
from tests.store.build import hours, item, lengthen, snapshot
from tests.store.rows import everything, run
from tests.store.test_crash import failing_at


def by_entries(store: Store) -> TreeHead:
    """The head by the definition: over all entries."""
    return tree_head(store.log_entries())


def kept(db: str) -> list[tuple[int, int]]:
    return sorted((height, number) for height, number in run(db, "SELECT height, number FROM log_subtrees"))


def problems(store: Store) -> list[str]:
    return [found for found in store.check([VERIFIER]).problems if "kept" in found and "elsewhere" not in found]


@pytest.fixture
def long(store: Store) -> Store:
    """A snapshot and packs, two runs of 256 and some more, under no checkpoint."""
    store.add_snapshot(snapshot(item("web")))
    lengthen(store, 530)
    return store


def sign(store: Store) -> None:
    store.add_checkpoint(signed_checkpoint(by_entries(store), KEY))


# -- written and read -------------------------------------------------------------------------------------------------


def test_a_hash_is_kept_with_the_entry_that_fills_its_run(store: Store, db: str) -> None:
    store.add_snapshot(snapshot(item("web")))
    for size, runs in ((255, []), (256, [(8, 0)]), (257, [(8, 0)]), (512, [(8, 0), (8, 1)])):
        lengthen(store, size)
        assert kept(db) == runs
        assert store.log_head() == by_entries(store)
    assert store.check().problems == ()


def test_a_head_reads_no_entry_of_a_run_whose_hash_is_kept(long: Store, db: str) -> None:
    before = long.log_head()
    run(db, "DELETE FROM log_entries WHERE position < 512")
    assert long.log_head() == before


def test_a_proof_reads_the_entries_of_the_runs_that_it_touches_and_no_others(long: Store, db: str) -> None:
    leaf, root = long.log_entries()[300].hash, bytes.fromhex(long.log_head().root)
    run(db, "DELETE FROM log_entries WHERE position < 256")
    with long.log_tree() as tree:
        assert root_from_inclusion(leaf, 300, 530, tree.inclusion_proof(300)) == root


def test_a_run_of_runs_is_kept_too(store: Store, db: str) -> None:
    store.add_snapshot(snapshot(item("web")))
    with writing(store._engine, store.url, "cluster/prod", 5) as connection:
        rows = [
            {"position": position, "kind": EntryKind.PACK.value, "cluster_id": 1, "row_id": None, "digest": "ab" * 32}
            for position in range(1, 65_535)
        ]
        connection.execute(insert(LogEntryRow), rows)
        keep_all(connection)
    assert kept(db)[-1] == (8, 254)
    store.add_pack("prod", "cd" * 32)
    assert kept(db)[-2:] == [(8, 255), (16, 0)]
    assert store.log_head() == by_entries(store)
    store.add_pack("prod", "ef" * 32)
    assert store.log_head() == by_entries(store)
    assert store.check().problems == ()


def test_an_error_at_any_statement_of_the_snapshot_that_fills_a_run_leaves_the_store_as_before(
    store: Store, db: str
) -> None:
    store.add_snapshot(snapshot(item("web")))
    lengthen(store, 255)
    before = everything(db)
    for statement in range(100):
        with failing_at(store, statement) as done:
            try:
                store.add_snapshot(snapshot(item("db"), at=hours(1)))
                break
            except RuntimeError:
                pass
        assert everything(db) == before
    assert any("INTO log_subtrees" in sql for sql in done)
    assert kept(db) == [(8, 0)]
    assert store.check().problems == ()


# -- follows from the entries -----------------------------------------------------------------------------------------


def test_a_store_that_is_migrated_gets_the_hashes_of_the_entries_that_it_has(long: Store, db: str) -> None:
    sign(long)
    before = everything(db)
    engine = connect(parse_url(db), 5)
    migrate(engine, db, 5, "0004")
    engine.dispose()
    migrate_store(db)
    assert everything(db) == before
    assert kept(db) == [(8, 0), (8, 1)]
    assert long.check([VERIFIER]).problems == ()


def test_an_import_makes_the_hashes_anew_also_where_they_were_wrong(long: Store, db: str, tmp_path: Path) -> None:
    sign(long)
    before = everything(db)["log_subtrees"]
    run(db, "UPDATE log_subtrees SET number = number + 7")
    file = io.BytesIO()
    long.export_to(file, lambda head: signed_checkpoint(head, KEY))
    copy = str(tmp_path / "copy.db")
    with Store.open(copy) as store:
        assert store.import_from(file, [VERIFIER]).signed
        assert [tuple(row) for row in everything(copy)["log_subtrees"]] == before
        assert store.log_head() == by_entries(long)
        lengthen(store, 768)
        assert store.check([VERIFIER]).problems == ()


# -- changed by hand --------------------------------------------------------------------------------------------------


def test_a_kept_hash_that_was_changed_is_named_and_the_head_is_signed_from_the_entries(long: Store, db: str) -> None:
    sign(long)
    run(db, "UPDATE log_subtrees SET hash = (SELECT digest FROM log_entries WHERE position = 1) WHERE number = 1")
    assert long.log_head() == by_entries(long)
    assert problems(long) == [
        "the log: the kept hash of its entries 256 to 511 is not that of these entries: it or they were changed"
    ]


def test_the_first_checkpoint_is_over_the_entries_whatever_is_kept(long: Store, db: str) -> None:
    run(db, "UPDATE log_subtrees SET hash = (SELECT digest FROM log_entries WHERE position = 1)")
    assert long.log_head(to_sign=True) == by_entries(long) != long.log_head()


def test_kept_hashes_that_were_removed_are_named_once_and_missed_by_nobody(long: Store, db: str) -> None:
    run(db, "DELETE FROM log_subtrees")
    assert problems(long) == ["the log: the kept hash of its entries 0 to 255 was removed (and 1 more like it)"]
    assert long.log_head() == by_entries(long)


def test_a_kept_hash_of_entries_that_are_not_there_is_named(long: Store, db: str) -> None:
    run(db, "DELETE FROM log_entries WHERE position >= 500")
    assert problems(long) == [
        "the log: a hash is kept of entries 256 to 511, which it does not have: the hash was added, or they were removed"
    ]
    lengthen(long, 512, "test")  # it gives way to that of the entries that took the place of theirs
    assert problems(long) == []
    assert long.log_head() == by_entries(long)


def test_an_entry_that_was_changed_in_a_whole_run_shows_in_its_kept_hash_without_any_checkpoint(
    long: Store, db: str
) -> None:
    run(db, "UPDATE log_entries SET digest = (SELECT digest FROM log_entries WHERE position = 1) WHERE position = 9")
    assert problems(long) == [
        "the log: the kept hash of its entries 0 to 255 is not that of these entries: it or they were changed"
    ]


def test_a_log_with_a_gap_goes_on(store: Store, db: str) -> None:
    store.add_snapshot(snapshot(item("web")))
    lengthen(store, 255)
    run(db, "DELETE FROM log_entries WHERE position = 9")
    store.add_pack("prod", "cd" * 32)
    assert store.log_head() == by_entries(store)
    assert kept(db) == []
    assert any("do not count from 0 without a gap" in found for found in store.check().problems)
