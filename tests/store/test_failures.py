"""What goes wrong with a database is said in one sentence that names the store and what to do."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from evidence.errors import StoreError
from evidence.store import Store
from evidence.store.database import hidden, parse_url
from evidence.store.failures import sentence
from tests.store.build import hours, item, snapshot

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_locked_sqlite_file(tmp_path: Path) -> None:
    db = str(tmp_path / "evidence.db")
    Store.open(db).close()
    other = sqlite3.connect(db, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"evidence\.db is locked by another process; try again"):
        Store.open(db, wait_seconds=0.1)
    other.close()
    Store.open(db, wait_seconds=0.1).close()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database\n" * 100, encoding="utf-8")
    with pytest.raises(StoreError, match=r"notes\.txt is not a database file"):
        Store.open(str(path))
    assert path.read_text(encoding="utf-8").startswith("not a database")


def test_a_folder_given_as_the_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        Store.open(str(tmp_path))


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="its folder is missing or may not be written"):
        Store.open(str(tmp_path / "nowhere" / "evidence.db"))


OPEN = """
import os, sqlite3, sys
import alembic.command, sqlalchemy.dialects.sqlite.pysqlite  # now, as the user who may read them
from evidence.errors import StoreError
from evidence.store import Store
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    Store.open(sys.argv[1])
except StoreError as error:
    print(error)
"""


def opened_by_nobody(path: Path) -> str:
    """What opening says to a user without rights (root has them all, so root becomes somebody else first)."""
    result = subprocess.run(
        [sys.executable, "-c", OPEN, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return result.stdout


@pytest.fixture
def readable_folder() -> "Path":
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="evidence-"))  # pytest's own folders are closed to other users
    folder.chmod(0o755)
    return folder


def test_a_folder_that_may_not_be_written(readable_folder: Path) -> None:
    readable_folder.chmod(0o555)
    assert "its folder is missing or may not be written" in opened_by_nobody(readable_folder / "evidence.db")


def test_a_file_that_may_not_be_written(readable_folder: Path) -> None:
    db = readable_folder / "evidence.db"
    Store.open(str(db)).close()
    db.chmod(0o444)
    readable_folder.chmod(0o555)
    assert f"the store {db} cannot be" in opened_by_nobody(db)


def test_a_damaged_file_is_never_read_as_if_it_were_whole(tmp_path: Path) -> None:
    db = tmp_path / "evidence.db"
    with Store.open(str(db)) as store:
        for hour in range(3):
            store.add_snapshot(
                snapshot(*(item(f"pod-{n}", note=os.urandom(60).hex()) for n in range(100)), at=hours(hour))
            )
        info = store.latest("prod")
    content = bytearray(db.read_bytes())
    for offset in range(4096, len(content) - 200, 4096):
        content[offset : offset + 200] = b"\xff" * 200
    db.write_bytes(content)
    with pytest.raises(StoreError), Store.open(str(db), read_only=True) as store:
        store.read(info.id)


def test_a_driver_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"driver for postgresql://host/name is not installed.*evidence\[postgres\]"):
        Store.open("postgresql://host/name")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://user:secret@host/name", "neither SQLite nor Postgres"),
        ("nonsense://x", "neither SQLite nor Postgres"),
        ("postgresql://host:port/name", "not a database URL"),
        ("://", "not a database URL"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("postgresql://localhost:1/name", "cannot be opened"),
    ],
)
def test_a_wrong_url(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        Store.open(url, wait_seconds=1)
    assert "secret" not in str(caught.value)


def test_a_password_is_never_shown() -> None:
    assert hidden(parse_url("postgres://user:secret@host/name")) == "postgresql://user:***@host/name"


def test_a_bare_path_is_shown_as_it_was_given() -> None:
    assert hidden(parse_url("data/evidence.db")) == "data/evidence.db"
    assert hidden(parse_url("sqlite:////data/evidence.db")) == "/data/evidence.db"


@pytest.mark.real
def test_a_postgres_database_that_is_not_there(postgres_url: str) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        Store.open(postgres_url.replace("/test_", "/other_"))


@pytest.mark.real
def test_a_postgres_server_that_only_reads(postgres_url: str) -> None:
    Store.open(postgres_url).close()
    with (
        Store.open(f"{postgres_url}&options=-c%20default_transaction_read_only%3Don", read_only=True) as store,
        pytest.raises(StoreError, match="is read-only"),
    ):
        store.add_snapshot(snapshot(item("web")))


@pytest.mark.real
def test_a_postgres_user_without_rights(postgres_url: str) -> None:
    from tests.store.rows import run

    Store.open(postgres_url).close()
    run(postgres_url, "DROP ROLE IF EXISTS auditor")
    run(postgres_url, "CREATE ROLE auditor LOGIN")
    with pytest.raises(StoreError, match="denies this user what is needed"):
        Store.open(postgres_url.replace("postgres:@", "auditor:@"))


class DriverError(Exception):
    sqlstate = ""


@pytest.mark.parametrize(
    ("state", "meaning"),
    [
        ("53100", "the server's disk is full"),
        ("53200", "out of resources"),
        ("40P01", "had to give way"),
        ("28P01", "refuses this user or password"),
        ("57P01", "is shutting down"),
        ("08006", "dropped the connection"),
        ("XX000", "failed: "),
    ],
)
def test_sqlstates_that_no_test_server_gives(state: str, meaning: str) -> None:
    original = DriverError("details")
    original.sqlstate = state
    assert meaning in sentence(OperationalError("SELECT 1", {}, original), "db")


def test_statements_and_parameters_are_not_part_of_the_sentence() -> None:
    original = DriverError("odd\n  thing")
    original.sqlstate = "XX000"
    assert sentence(OperationalError("SELECT secret", {"a": "b"}, original), "db") == "the store db failed: odd thing"
