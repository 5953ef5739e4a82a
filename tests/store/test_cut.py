"""A Postgres server that goes away at any moment of a transaction: the snapshot is stored once, at once or by way of the spool."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event

from evidence.errors import SpooledError, StoreAwayError
from evidence.pipeline import spooling
from evidence.store import NewSnapshot, Store
from evidence.store.spool import Spool, waiting
from tests.real.cutting import Proxy, proxy
from tests.store.build import hours, item, snapshot

pytestmark = pytest.mark.real

EVER = (hours(-1), hours(10_000))


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", "this store", shared=True)


def at_hour(hour: int) -> NewSnapshot:
    return snapshot(item("web"), item("db", hour=hour), at=hours(hour))


def enter(db: str, spool: Spool, hour: int) -> None:
    spooling.enter(db, spool, at_hour(hour), partial(hours, hour + 0.5), print)


def take_in(db: str, spool: Spool) -> bool:
    return spooling.take_in(db, spool, partial(hours, 9000), print)


def assert_stored_once(db: str, *spooled: bool) -> None:
    """The snapshots of the first hours, each once and whole, those that are `spooled` known as such."""
    with Store.open(db, read_only=True) as store:
        infos = store.snapshots("prod", *EVER)
        assert [(info.taken_at, info.spooled) for info in infos] == [
            (hours(hour), late) for hour, late in enumerate(spooled)
        ]
        assert store.read(infos[-1].id).collection == at_hour(len(spooled) - 1).collection
        assert store.check().problems == ()


class Cutter:
    """Has the server end the connection that is about to send a statement: the one with this number, or it and all after it."""

    def __init__(self, url: str) -> None:
        self._admin = psycopg.connect(url, autocommit=True)
        self.at, self.done, self.also_after = -1, 0, False

    def before(self, connection: Any, _cursor: Any, _sql: str, *_: Any) -> None:
        number, self.done = self.done, self.done + 1
        if number == self.at or (self.also_after and number > self.at >= 0):
            pid = connection.connection.driver_connection.info.backend_pid
            self._admin.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    def aim(self, at: int, *, also_after: bool = False) -> None:
        self.at, self.done, self.also_after = at, 0, also_after

    def close(self) -> None:
        self._admin.close()


@pytest.fixture
def cutter(postgres_url: str) -> Iterator[Cutter]:
    found = Cutter(postgres_url)
    event.listen(Engine, "before_cursor_execute", found.before)
    yield found
    event.remove(Engine, "before_cursor_execute", found.before)
    found.close()


def test_a_connection_that_is_cut_at_any_statement_is_made_again(
    postgres_url: str, spool: Spool, cutter: Cutter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spooling, "PAUSES", (0.0,))
    Store.open(postgres_url).close()
    statement = 0
    while True:
        cutter.aim(statement)
        enter(postgres_url, spool, statement)
        cut = cutter.done > statement
        cutter.aim(-1)
        assert waiting(spool) == ()
        if not cut:
            break
        statement += 1
    assert statement > 15
    assert_stored_once(postgres_url, *[False] * (statement + 1))


def test_a_server_that_stays_away_from_any_statement_on_leaves_the_snapshot_in_the_spool(
    postgres_url: str, spool: Spool, cutter: Cutter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spooling, "PAUSES", (0.0,))
    Store.open(postgres_url).close()
    statement, late = 0, []
    while True:
        cutter.aim(statement, also_after=True)
        try:
            enter(postgres_url, spool, statement)
            break
        except SpooledError:
            pass
        finally:
            cutter.aim(-1)
        assert len(waiting(spool)) == 1
        with Store.open(postgres_url, read_only=True) as store:
            committed = len(store.snapshots("prod", *EVER)) > statement
        late.append(not committed)
        assert take_in(postgres_url, spool)
        statement += 1
    assert late.count(True) > 10
    assert_stored_once(postgres_url, *late, False)


@contextmanager
def through_a_proxy(url: str) -> Iterator[Proxy]:
    with (
        tempfile.TemporaryDirectory(prefix="evidence-cut-") as folder,
        proxy(url, Path(folder)) as found,
    ):  # short: it holds a socket
        Store.open(found.url).close()
        yield found


def test_a_commit_whose_answer_is_lost_is_found_again_and_not_repeated(
    postgres_url: str, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spooling, "PAUSES", (0.0,))
    with through_a_proxy(postgres_url) as cut, Store.open(cut.url) as store:
        cut.commits = 1
        with pytest.raises(StoreAwayError, match="dropped the connection"):
            store.add_snapshot(at_hour(0))
        assert cut.lost == 1
        enter(cut.url, spool, 0)
    assert_stored_once(postgres_url, False)


def test_a_commit_whose_answer_is_always_lost_leaves_a_file_that_adds_nothing(
    postgres_url: str, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spooling, "PAUSES", ())
    real = Store.add_snapshot

    with through_a_proxy(postgres_url) as cut:

        def losing(store: Store, new: NewSnapshot) -> Any:
            cut.commits = 1
            return real(store, new)

        monkeypatch.setattr(Store, "add_snapshot", losing)
        with pytest.raises(SpooledError, match="dropped the connection"):
            enter(cut.url, spool, 0)
        assert cut.lost == 1
    monkeypatch.undo()
    assert len(waiting(spool)) == 1
    assert take_in(postgres_url, spool)
    assert waiting(spool) == ()
    assert_stored_once(postgres_url, False)
