"""A snapshot is there whole or not at all, wherever the writer stops."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from evidence.errors import StoreError
from evidence.store import NewSnapshot, Store
from tests.store.build import hours, item, snapshot
from tests.store.rows import everything

FIRST = snapshot(item("web"), item("db"), item("cache"), intent=b"zones: []")
SECOND = snapshot(item("web"), item("db", image="db:2"), item("queue"), intent=b"zones: [] # 2", at=hours(1))


@contextmanager
def failing_at(store: Store, statement: int) -> Iterator[list[str]]:
    """Raises in place of the statement with this number, counted from 0; gives the statements that came through."""
    done: list[str] = []

    def count(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        if len(done) == statement:
            raise RuntimeError(f"stopped before {sql}")
        done.append(sql)

    event.listen(store._engine, "before_cursor_execute", count)
    try:
        yield done
    finally:
        event.remove(store._engine, "before_cursor_execute", count)


def test_an_error_at_any_statement_leaves_the_store_as_before(store: Store, db: str) -> None:
    store.add_snapshot(FIRST)
    before = everything(db)
    for statement in range(100):
        with failing_at(store, statement) as done:
            try:
                store.add_snapshot(SECOND)
                break
            except RuntimeError:
                pass
        assert everything(db) == before
        assert store.check().problems == ()
    assert len(done) >= 8
    assert store.read(store.latest("prod").id).collection == SECOND.collection


def test_an_error_at_the_commit_leaves_the_store_as_before(store: Store, db: str) -> None:
    store.add_snapshot(FIRST)
    before = everything(db)

    def refuse(_connection: Any) -> None:
        raise RuntimeError("stopped at the commit")

    event.listen(store._engine, "commit", refuse)
    with pytest.raises(RuntimeError, match="at the commit"):
        store.add_snapshot(SECOND)
    event.remove(store._engine, "commit", refuse)
    assert everything(db) == before


ROOT = Path(__file__).resolve().parent.parent.parent


KILLED_WHILE_MIGRATING = """
import os, signal, sys
from evidence.store import Store, schema

real, calls = schema.read_schema, []
def read(connection):
    calls.append(connection)
    if len(calls) == 2:  # once under the lock, once after the migrations and before the commit
        os.kill(os.getpid(), signal.SIGKILL)
    return real(connection)
schema.read_schema = read
Store.open(sys.argv[1])
"""


@pytest.mark.slow
def test_a_first_opening_that_is_killed_can_be_done_again(db: str) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_MIGRATING, db], cwd=ROOT, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    with Store.open(db) as store:
        assert store.add_snapshot(FIRST).object_count == 3


def add(db: str, new: NewSnapshot) -> None:
    with Store.open(db) as store:
        store.add_snapshot(new)


def test_an_object_that_cannot_be_stored_stores_nothing(store: Store, db: str) -> None:
    add(db, FIRST)
    before = everything(db)
    with pytest.raises(Exception, match="canonical JSON"):
        add(db, snapshot(item("a"), item("web", size=float("inf")), at=hours(1)))
    assert everything(db) == before


def test_a_full_disk_stores_nothing_and_says_so(tmp_path: Path) -> None:
    """SQLite's own limit on pages gives the same error as a disk without room."""
    db = str(tmp_path / "evidence.db")
    with Store.open(db) as store:
        store.add_snapshot(FIRST)
        before = everything(db)

        def limit(connection: Any, _record: Any) -> None:
            connection.execute("PRAGMA max_page_count = 1")  # rounded up to what the file has

        event.listen(store._engine, "connect", limit)
        store._engine.dispose()
        large = snapshot(*(item(f"pod-{number}", note="x" * number) for number in range(2000)), at=hours(1))
        with pytest.raises(StoreError, match=r"evidence\.db cannot grow: the disk is full"):
            store.add_snapshot(large)
    assert everything(db) == before
