"""The log over the store: everything enters it, and whatever is changed by hand anywhere in the database is found."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

from evidence.errors import StoreError
from evidence.log.checkpoint import signed_checkpoint
from evidence.log.entries import tree_head
from evidence.store import NewHold, NewRecord, RecordKind, Store, Term, migrate_store
from evidence.store.database import connect, parse_url
from evidence.store.schema import VERSION_TABLE, migrate
from evidence.store.tables import Base
from tests.log.build import KEY, OTHER_KEY, VERIFIER
from tests.store.build import NOON, RUN, hours, item, lengthen, snapshot
from tests.store.rows import everything, run

PACK = "ab" * 32


def fill(store: Store) -> None:
    """All that is collected, a pack, and a checkpoint over all of it."""
    collect(store)
    store.add_pack("prod", PACK)
    store.add_checkpoint(signed_checkpoint(tree_head(store.log_entries()), KEY))


def collect(store: Store) -> None:
    """Two clusters, two versions of an object, a failed run, two records."""
    store.add_snapshot(snapshot(item("web"), item("db"), intent=b"zones: []"))
    store.add_snapshot(snapshot(item("web"), item("db", image="db:2"), at=hours(1), intent=b"zones: []"))
    store.add_failed_run("prod", started_at=hours(2), finished_at=hours(2), message="no answer", run=RUN)
    store.add_snapshot(snapshot(item("db", image="db:2"), at=hours(3), cluster="test"))
    store.add_snapshot(snapshot(item("web"), at=hours(3)))
    store.add_record(NewRecord("prod", RecordKind.PROBE_RUN, NOON, hours(1), hours(1), {"attempts": []}, RUN))
    store.add_record(NewRecord("prod", RecordKind.FLOW_LOG, NOON, hours(2), hours(2), {"flows": []}, RUN))


@pytest.fixture
def filled(store: Store) -> Store:
    fill(store)
    return store


@pytest.fixture
def decided(filled: Store) -> Store:
    """With a hold that was released, and a prune of the first snapshot; all of it under a checkpoint, too."""
    filled.retention.add_hold(NewHold("case 12", "prod", NOON, hours(1)), hours(4), RUN)
    filled.retention.release_hold(1, "case 12 is closed", hours(5), RUN)
    assert filled.retention.prune(hours(1), timedelta(), [Term("own", 0, "our own")], hours(6), RUN) is not None
    filled.add_checkpoint(signed_checkpoint(tree_head(filled.log_entries()), KEY))
    return filled


def problems(store: Store) -> tuple[str, ...]:
    return store.check([VERIFIER]).problems


def test_everything_enters_the_log_in_its_order(filled: Store) -> None:
    entries = filled.log_entries()
    assert [(entry.kind, entry.cluster) for entry in entries] == [
        ("snapshot", "prod"),
        ("snapshot", "prod"),
        ("failed-run", "prod"),
        ("snapshot", "test"),
        ("snapshot", "prod"),
        ("record", "prod"),
        ("record", "prod"),
        ("pack", "prod"),
    ]
    assert entries[0].digest == filled.read(1).info.root_digest
    assert entries[-1].digest == PACK
    result = filled.check([VERIFIER])
    assert (result.log_entries, result.checkpoints, result.problems) == (8, 1, ())


def test_the_very_same_again_enters_nothing(filled: Store) -> None:
    before = filled.log_entries()
    filled.add_snapshot(snapshot(item("web"), item("db"), intent=b"zones: []"))
    filled.add_record(NewRecord("prod", RecordKind.PROBE_RUN, NOON, hours(1), hours(1), {"attempts": []}, RUN))
    filled.add_checkpoint(signed_checkpoint(tree_head(before), KEY))
    assert filled.log_entries() == before
    assert filled.check([VERIFIER]).checkpoints == 1


# -- changed by hand --------------------------------------------------------------------------------------------------

WHERE_THERE_IS_NONE = {
    "intervals.end_id": 99,
    "snapshots.intent_digest": bytes(32),
    "log_entries.row_id": 99,
    "log_entries.cluster_id": 99,
    "objects.body": b"\x00{}",
}
TABLES = {table.name: [column.name for column in table.columns] for table in Base.metadata.sorted_tables}


def by_hand(db: str, *statements: str, **parameters: Any) -> None:
    """Statements of somebody who may do everything in the database, references or not."""
    each_by_hand(db, [(statement, parameters) for statement in statements])


def each_by_hand(db: str, statements: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    engine = create_engine(parse_url(db))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET session_replication_role = replica"))
        for statement, parameters in statements:
            connection.execute(text(statement), parameters)
    engine.dispose()


def other(value: Any) -> Any:
    """A value of the same type."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1000
        case datetime():
            return value + timedelta(seconds=1)
        case bytes() | memoryview():
            return bytes([bytes(value)[0] ^ 1]) + bytes(value)[1:]
        case str() if value[:4].isdigit() and value[4:5] == "-":  # a time, as SQLite keeps it
            return "1" + value[1:]
        case str():
            return value + "x"
        case _:
            return None


@pytest.mark.parametrize("table", TABLES)
def test_no_column_can_be_changed_unseen(decided: Store, db: str, table: str) -> None:
    """Every value of every column in turn; each change is taken back before the next."""
    if table == "log_subtrees":
        lengthen(decided, 512)
        assert len(run(db, "SELECT * FROM log_subtrees")) == 2
    for column in TABLES[table]:
        for (value,) in set(run(db, f'SELECT "{column}" FROM "{table}"')):
            new, where = other(value), f'"{column}" = :old'
            if value is None:
                new, where = WHERE_THERE_IS_NONE[f"{table}.{column}"], f'"{column}" IS NULL'
            parameters = {"new": new} | ({} if value is None else {"old": value})
            before = everything(db)
            try:
                by_hand(db, f'UPDATE "{table}" SET "{column}" = :new WHERE {where}', **parameters)
            except IntegrityError:  # the database itself refuses it
                continue
            assert everything(db) != before
            assert problems(decided) != (), f"{column}: {value!r} became {new!r}"
            by_hand(db, f'UPDATE "{table}" SET "{column}" = :old WHERE "{column}" = :new', old=value, new=new)
    assert problems(decided) == ()


@pytest.mark.parametrize("table", ["objects", "intents", "sources", "documents"])
def test_no_body_can_be_removed_by_hand_and_pass_for_pruned(decided: Store, db: str, table: str) -> None:
    for digest, body in run(db, f"SELECT digest, body FROM {table} WHERE body IS NOT NULL"):
        by_hand(db, f"UPDATE {table} SET body = NULL WHERE digest = :digest", digest=digest)
        assert any("was removed, and not by a prune" in found for found in problems(decided))
        by_hand(db, f"UPDATE {table} SET body = :body WHERE digest = :digest", digest=digest, body=body)
    assert problems(decided) == ()


def test_no_table_can_be_emptied_unseen(decided: Store, db: str) -> None:
    """But for the checkpoints, which are therefore kept elsewhere, too."""
    lengthen(decided, 256)
    for table in TABLES.keys() - {"checkpoints"}:
        rows = run(db, f'SELECT * FROM "{table}"')
        by_hand(db, f'DELETE FROM "{table}"')
        assert problems(decided) != (), table
        names = ", ".join(f'"{column}"' for column in TABLES[table])
        values = ", ".join(f":{column}" for column in TABLES[table])
        put_back = f'INSERT INTO "{table}" ({names}) VALUES ({values})'
        each_by_hand(db, [(put_back, dict(zip(TABLES[table], row, strict=True))) for row in rows])
    assert problems(decided) == ()


def test_the_newest_snapshot_cannot_be_removed_with_all_its_traces_when_a_checkpoint_is_kept_elsewhere(
    filled: Store, db: str
) -> None:
    kept = signed_checkpoint(tree_head(filled.log_entries()), KEY)
    by_hand(
        db,
        "DELETE FROM checkpoints",
        "DELETE FROM log_entries WHERE position >= 6",
        "DELETE FROM records WHERE id = 2",
        "DELETE FROM documents WHERE digest NOT IN (SELECT document_digest FROM records)",
    )
    assert problems(filled) == ()
    assert any("entries were removed at its end" in found for found in filled.check([VERIFIER], [kept]).problems)


def test_a_log_that_was_signed_anew_with_another_key_is_not_believed(filled: Store, db: str) -> None:
    by_hand(db, "DELETE FROM checkpoints")
    filled.add_checkpoint(signed_checkpoint(tree_head(filled.log_entries()), OTHER_KEY))
    assert any("whose key was not given" in found for found in problems(filled))


def test_two_entries_that_changed_places_are_found_without_any_checkpoint(filled: Store, db: str) -> None:
    by_hand(
        db,
        "DELETE FROM checkpoints",
        "UPDATE log_entries SET position = -1 WHERE position = 0",
        "UPDATE log_entries SET position = 0 WHERE position = 1",
        "UPDATE log_entries SET position = 1 WHERE position = -1",
    )
    assert any("stand in another order than they came in" in found for found in problems(filled))


def test_a_schema_version_of_somebody_elses_is_refused(filled: Store, db: str) -> None:
    by_hand(db, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(Exception, match="newer than this version's"):
        Store.open(db)


# -- stores from before -----------------------------------------------------------------------------------------------


def test_a_store_from_before_the_log_gets_an_entry_for_all_that_it_holds(db: str) -> None:
    engine = connect(parse_url(db), 5)
    with Store.open(db) as store:
        collect(store)
        logged = store.log_entries()
    migrate(engine, db, 5, "0002")
    migrate_store(db)
    with Store.open(db) as store:
        kinds = ("snapshot", "failed-run", "record")
        expected = [entry for kind in kinds for entry in logged if entry.kind == kind]
        assert list(store.log_entries()) == expected
        assert problems(store) == ()
    engine.dispose()


def test_a_store_with_prunes_or_holds_cannot_go_back_to_a_schema_without_them(decided: Store, db: str) -> None:
    engine, before = connect(parse_url(db), 5), everything(db)
    with pytest.raises(StoreError, match="prunes or legal holds, which an older schema cannot"):
        migrate(engine, db, 5, "0003")
    engine.dispose()
    assert everything(db) == before
    assert problems(decided) == ()


def test_an_empty_store_has_an_empty_log(store: Store, tmp_path: Path) -> None:
    assert store.log_entries() == ()
    assert problems(store) == ()
