from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

from evidence.errors import StoreError
from evidence.store import NewHold, NewRecord, RecordKind, Store, migrate_store
from evidence.store.database import connect, parse_url
from evidence.store.schema import VERSION, VERSION_TABLE, alembic_config, migrate
from evidence.store.tables import TABLES, Base
from tests.store.build import NOON, RUN, hours, item, snapshot
from tests.store.rows import everything, run


def test_the_version_is_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == VERSION


def test_migrations_make_the_mapped_tables(db: str) -> None:
    Store.open(db).close()
    engine = create_engine(parse_url(db))
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_an_empty_database_gets_its_tables_when_it_is_opened(db: str) -> None:
    with Store.open(db) as store:
        assert store.clusters() == ()
        assert store.describe().schema_version == VERSION
    assert migrate_store(db) == (VERSION, VERSION)


VERSIONS = [script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()][::-1]


def move(db: str, target: str) -> None:
    """Bring the store to a version, up or down."""
    engine = connect(parse_url(db), 5)
    try:
        migrate(engine, db, 5, target)
    finally:
        engine.dispose()


def rows(db: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the tables that are there, whichever version they are of."""
    engine = create_engine(parse_url(db))
    names = set(inspect(engine).get_table_names()) - {VERSION_TABLE}
    engine.dispose()
    return {
        name: sorted((tuple(row) for row in run(db, f'SELECT * FROM "{name}"')), key=repr) for name in sorted(names)
    }


def test_every_migration_keeps_every_row_on_the_way_down_and_up_again(db: str) -> None:
    with Store.open(db) as store:
        store.add_snapshot(snapshot(item("web"), intent=b"zones: []"))
        store.add_snapshot(snapshot(item("web", image="web:2"), at=hours(1)))
        store.add_failed_run("prod", started_at=hours(2), finished_at=hours(2), message="refused", run=snapshot().run)
    at = {VERSIONS[-1]: rows(db)}
    for version in VERSIONS[-2::-1]:
        move(db, version)
        at[version] = rows(db)
        assert {name: at[VERSIONS[-1]][name] for name in at[version]} == at[version]
    assert len(at[VERSIONS[0]]["snapshots"]) == 2
    for version in VERSIONS[1:]:
        move(db, version)
        assert rows(db) == at[version]
    with Store.open(db) as store:
        assert store.check().problems == ()
        assert store.read(1).intent == b"zones: []"
        assert store.add_snapshot(snapshot(item("web"), at=hours(3))).object_count == 1


def holding(what: str, db: str) -> None:
    """Put something into a store that an older schema cannot hold."""
    with Store.open(db) as store:
        match what:
            case "snapshot":
                store.add_snapshot(snapshot(item("web")))
            case "run that failed":
                store.add_failed_run("prod", started_at=NOON, finished_at=NOON, message="refused", run=RUN)
            case "record":
                store.add_record(NewRecord("prod", RecordKind.FLOW_LOG, NOON, NOON, NOON, {}, RUN))
            case "checkpoint":
                store.add_checkpoint("a note")
            case "pack":
                store.add_pack("prod", "ab" * 32)
            case "hold":
                store.retention.add_hold(NewHold("a case"), NOON, RUN)


@pytest.mark.parametrize(
    ("what", "target", "reason"),
    [
        ("snapshot", "base", "the store holds snapshots"),
        ("run that failed", "base", "the store holds runs that failed"),
        ("record", "0001", "the store holds records of probes or logs"),
        ("checkpoint", "0002", "the store's log has checkpoints, or packs in it"),
        ("pack", "0002", "the store's log has checkpoints, or packs in it"),
        ("hold", "0003", "the store holds prunes or legal holds"),
    ],
)
def test_a_migration_that_would_lose_something_is_refused_with_the_reason(
    db: str, what: str, target: str, reason: str
) -> None:
    holding(what, db)
    before = everything(db)
    with pytest.raises(StoreError, match=f"{reason}.*it stays as it is"):
        move(db, target)
    assert everything(db) == before
    with Store.open(db) as store:
        assert store.describe().schema_version == VERSION


def test_an_empty_store_goes_all_the_way_down_and_up_again(db: str) -> None:
    Store.open(db).close()
    move(db, "base")
    assert migrate_store(db) == ("", VERSION)


def test_a_store_of_an_older_schema_asks_for_a_migration_and_is_left_alone(db: str) -> None:
    with Store.open(db) as store:
        store.add_snapshot(snapshot(item("web")))
    run(db, f"UPDATE {VERSION_TABLE} SET version_num = '0000'")
    before = everything(db)
    with pytest.raises(StoreError, match=f"is of schema 0000 and this version needs {VERSION}.*evidence db migrate"):
        Store.open(db)
    assert everything(db) == before


def test_a_store_of_a_newer_schema_is_refused_also_by_migrate(db: str) -> None:
    Store.open(db).close()
    run(db, f"UPDATE {VERSION_TABLE} SET version_num = '0999'")
    for attempt in (Store.open, migrate_store):
        with pytest.raises(StoreError, match=f"schema 0999, newer than this version's {VERSION}"):
            attempt(db)


def test_a_version_that_is_none_of_ours_is_refused(db: str) -> None:
    Store.open(db).close()
    run(db, f"UPDATE {VERSION_TABLE} SET version_num = 'ae1027a6acf'")
    with pytest.raises(StoreError, match="schema version 'ae1027a6acf' is not one of this program"):
        Store.open(db)


def test_another_programs_database_is_not_filled_without_being_asked(db: str) -> None:
    run(db, "CREATE TABLE bookmarks (id integer)")
    with pytest.raises(StoreError, match="holds another program's tables"):
        Store.open(db)
    assert migrate_store(db) == ("", VERSION)
    with Store.open(db) as store:
        assert store.add_snapshot(snapshot(item("web"))).object_count == 1
    assert run(db, "SELECT count(*) FROM bookmarks") == [(0,)]


def test_a_migration_that_fails_leaves_nothing_behind(db: str) -> None:
    run(db, "CREATE TABLE intervals (id integer)")  # one that a migration wants to make itself
    with pytest.raises(StoreError, match="already exists"):
        migrate_store(db)
    run(db, "DROP TABLE intervals")
    with Store.open(db) as store:  # still empty, so it is filled
        assert store.clusters() == ()


def test_reading_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no store .*typo\.db; run `evidence collect` first"):
        Store.open(str(tmp_path / "typo.db"), read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_reading_an_empty_database_says_what_to_do(db: str) -> None:
    run(db, "SELECT 1")
    with pytest.raises(StoreError, match="is empty; run `evidence collect`"):
        Store.open(db, read_only=True)


def test_every_table_has_a_line_in_the_description_of_the_tables() -> None:
    from evidence.store import tables

    assert tables.__doc__ is not None
    assert all(f"\n    {table} " in tables.__doc__ for table in TABLES)
