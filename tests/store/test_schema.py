from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from evidence.errors import StoreError
from evidence.store import Store, migrate_store
from evidence.store.database import connect, parse_url
from evidence.store.schema import VERSION, VERSION_TABLE, alembic_config, migrate
from evidence.store.tables import TABLES, Base
from tests.store.build import hours, item, snapshot
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


def test_migrations_go_down_and_up_again_with_data(db: str) -> None:
    with Store.open(db) as store:
        store.add_snapshot(snapshot(item("web"), intent=b"zones: []"))
        store.add_snapshot(snapshot(item("web", image="web:2"), at=hours(1)))
        store.add_failed_run("prod", started_at=hours(2), finished_at=hours(2), message="refused", run=snapshot().run)
    engine = connect(parse_url(db), 5)
    versions = [script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()]
    for target in [*versions[1:], "base"]:  # newest first
        migrate(engine, db, 5, target)
    engine.dispose()
    assert migrate_store(db) == ("", VERSION)
    with Store.open(db) as store:
        assert store.clusters() == ()
        assert store.add_snapshot(snapshot(item("web"))).object_count == 1


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
