"""What the store does not take waits on disk, is taken in later, once and in its order, and is never passed over in silence."""

import multiprocessing
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.cluster.objects import Collection, SourceInfo
from evidence.errors import InputError, SpooledError, StoreError
from evidence.pipeline import spooling
from evidence.store import NewFailedRun, NewSnapshot, Store
from evidence.store.schema import VERSION, VERSION_TABLE
from evidence.store.spool import Spool, deposit, held, read_spooled, set_aside, spool_of, waiting
from tests.store.build import RUN, beside, hours, item, of, snapshot
from tests.store.rows import counts, run
from tests.store.test_properties import contents

EVER = (hours(-1000), hours(1000))
FIRST, SECOND, THIRD = (snapshot(item("web"), item("db", hour=hour), at=hours(hour)) for hour in (0, 1, 2))


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", "this store", shared=True)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooling, "PAUSES", ())


def leave(spool: Spool, *new: NewSnapshot | NewFailedRun) -> list[Path]:
    deposits = [deposit(spool, each) for each in new]
    for each in deposits:
        each.leave()
    return [each.path for each in deposits]


class Taken:
    """The pipeline's calls with a clock at a fixed hour, and what they said."""

    def __init__(self, db: str, spool: Spool, hour: float = 9) -> None:
        self.db, self.spool, self.hour = db, spool, hour
        self.said: list[str] = []

    def take_in(self) -> bool:
        return spooling.take_in(self.db, self.spool, lambda: hours(self.hour), self.said.append)

    def enter(self, new: NewSnapshot) -> spooling.Entered:
        return spooling.enter(self.db, self.spool, new, lambda: hours(self.hour), self.said.append)


# -- files ------------------------------------------------------------------------------------------------------------


@given(content=contents, intent=st.none() | st.binary(max_size=9), claimed=st.booleans())
def test_any_snapshot_is_read_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, content: Collection, intent: bytes | None, claimed: bool
) -> None:
    spool = Spool(tmp_path_factory.mktemp("any"), "db", shared=True)
    new = replace(of(content, intent=intent), taken_at_claimed=claimed, started_at=hours(-1), finished_at=hours(0.1))
    (path,) = leave(spool, new)
    assert read_spooled(path).new == new


def test_a_run_that_failed_is_read_back_as_it_was(spool: Spool) -> None:
    new = NewFailedRun("prod", hours(0), hours(1), 'refused: "no"\n', RUN)
    (path,) = leave(spool, new)
    assert read_spooled(path).new == new


def test_only_the_owner_may_read_what_waits(spool: Spool) -> None:
    (path,) = leave(spool, FIRST)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_waits_by_the_time_at_which_its_snapshot_was_taken(spool: Spool) -> None:
    failed = NewFailedRun("prod", hours(0), hours(1.5), "refused", RUN)
    third, first, middle, second = leave(spool, THIRD, FIRST, failed, SECOND)
    assert waiting(spool) == (first, second, middle, third)


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_deposit_that_fails_leaves_nothing_behind(spool: Spool, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    with pytest.raises(OSError, match="No space left"):
        deposit(spool, FIRST)
    assert not spool.folder.exists()


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[1:], lambda _: b""], ids=["end", "start", "all"]
)
def test_a_damaged_file_is_named_and_kept_aside_and_those_behind_it_are_taken_in(
    spool: Spool, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    first, _ = leave(spool, FIRST, SECOND)
    whole = first.read_bytes()
    first.write_bytes(damage(whole))
    taken = Taken(str(tmp_path / "evidence.db"), spool)
    assert not taken.take_in()
    aside = first.with_suffix(".damaged")
    assert aside.read_bytes() == damage(whole)
    assert f"{aside}: what waits in the spool is damaged and was not taken in" in taken.said[0]
    assert "taken in from the spool" in taken.said[1]
    again = Taken(taken.db, spool)
    assert again.take_in()
    assert f"{aside} was set aside" in again.said[0]
    aside.write_bytes(whole)
    assert spooling.take_in_files(taken.db, (aside,), lambda: hours(9), again.said.append)
    with Store.open(taken.db) as store:
        assert [info.taken_at for info in store.snapshots("prod", *EVER)] == [hours(0), hours(1)]
    assert not spool.folder.exists()


def test_every_byte_of_a_file_counts(spool: Spool) -> None:
    (path,) = leave(spool, FIRST)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(StoreError):
            read_spooled(path)


def test_what_a_killed_process_did_not_finish_is_cleared_away(spool: Spool, tmp_path: Path) -> None:
    spool.folder.mkdir()
    (spool.folder / ".20260701T120000Z-ab.unfinished").write_bytes(b"half")
    assert Taken(str(tmp_path / "evidence.db"), spool).take_in()
    assert not spool.folder.exists()


@pytest.mark.parametrize(
    ("db", "folder", "store"),
    [
        ("data/evidence.db", "data/evidence.db-spool", f"{Path.cwd()}/data/evidence.db"),
        ("sqlite:////data/evidence.db", "/data/evidence.db-spool", "/data/evidence.db"),
        ("postgres://me:secret@db/e", "/state/spool/postgresql-db-5432-e", "postgresql://db:5432/e"),
        ("postgresql://db:6432/e?sslmode=require", "/state/spool/postgresql-db-6432-e", "postgresql://db:6432/e"),
        ("postgresql:///e?host=a&host=b", "/state/spool/postgresql-a-b-5432-e", "postgresql://a,b:5432/e"),
    ],
)
def test_each_store_has_a_spool_of_its_own_and_no_password_in_its_name(db: str, folder: str, store: str) -> None:
    assert spool_of(db, None, Path("/state")) == Spool(Path(folder), store, shared=False)


# -- into the store ---------------------------------------------------------------------------------------------------


def test_what_waits_is_taken_in_in_order_once_and_shown_to_have_waited(db: str, spool: Spool) -> None:
    leave(spool, SECOND, FIRST)
    taken = Taken(db, spool)
    info = taken.enter(THIRD).info
    assert not spool.folder.exists()
    assert taken.take_in()
    with Store.open(db) as store:
        found = store.snapshots("prod", *EVER)
        assert [(each.id, each.taken_at, each.spooled) for each in found] == [
            (1, hours(0), True), (2, hours(1), True), (3, hours(2), False)]  # fmt: skip
        assert [each.received_at for each in found] == [hours(9), hours(9), hours(2)]
        assert store.read(1).collection == FIRST.collection
        assert found[-1] == info
        assert store.check().problems == ()


def test_a_crash_between_commit_and_removal_stores_nothing_twice(db: str, spool: Spool) -> None:
    failed = NewFailedRun("prod", hours(0), hours(1), "refused", RUN)
    paths = leave(spool, FIRST, failed)
    contents = [path.read_bytes() for path in paths]
    assert Taken(db, spool).take_in()
    before = counts(db)
    spool.folder.mkdir()
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    assert Taken(db, spool, hour=10).take_in()
    assert counts(db) == before
    assert not spool.folder.exists()


def test_a_snapshot_that_the_store_has_already_is_not_stored_again_from_the_spool(db: str, spool: Spool) -> None:
    with Store.open(db) as store:
        stored = store.add_snapshot(FIRST)
    leave(spool, FIRST)
    assert Taken(db, spool).take_in()
    with Store.open(db) as store:
        assert store.snapshots("prod", *EVER) == (stored,)
        assert not stored.spooled


def test_a_store_of_a_newer_schema_leaves_the_snapshot_in_the_spool(db: str, spool: Spool) -> None:
    Store.open(db).close()
    run(db, f"UPDATE {VERSION_TABLE} SET version_num = '0999'")
    with pytest.raises(SpooledError, match=r"schema 0999, newer than .* waits in .*\.snapshot and is taken in"):
        Taken(db, spool).enter(FIRST)
    with pytest.raises(StoreError, match="newer than"):
        Taken(db, spool).take_in()
    assert len(waiting(spool)) == 1
    run(db, f"UPDATE {VERSION_TABLE} SET version_num = '{VERSION}'")
    assert Taken(db, spool).take_in()
    with Store.open(db) as store:
        assert len(store.snapshots("prod", *EVER)) == 1


def test_a_snapshot_that_no_store_takes_does_not_wait(db: str, spool: Spool) -> None:
    for wrong in (snapshot(item("a\x00b")), snapshot(item("web", size=float("nan"))), snapshot(cluster="a\nb")):
        with pytest.raises(InputError):
            Taken(db, spool).enter(wrong)
    assert waiting(spool) == ()


def test_one_that_the_store_refuses_is_set_aside_with_the_reason_and_keeps_nothing_back(db: str, spool: Spool) -> None:
    rebuilt = of(replace(SECOND.collection, source=SourceInfo("api", "here", cluster_uid="another")), at=hours(1))
    with Store.open(db) as store:
        store.add_snapshot(FIRST)
    path, _ = leave(spool, rebuilt, THIRD)
    taken = Taken(db, spool)
    assert not taken.take_in()
    assert set_aside(spool) == (path.with_suffix(".refused"),)
    assert "this is not the cluster whose snapshots are stored as prod" in taken.said[0]
    with Store.open(db) as store:
        assert [info.taken_at for info in store.snapshots("prod", *EVER)] == [hours(0), hours(2)]


def test_in_a_shared_folder_what_waits_for_another_store_is_named_and_left_alone(tmp_path: Path, spool: Spool) -> None:
    (path,) = leave(Spool(spool.folder, "postgresql://other:5432/e", shared=True), FIRST)
    taken = Taken(str(tmp_path / "evidence.db"), spool)
    assert taken.enter(SECOND).behind
    assert f"{path} waits for the store postgresql://other:5432/e, not for this store" in taken.said[0]
    assert spooling.take_in_files(taken.db, (path,), lambda: hours(9), taken.said.append)
    assert waiting(spool) == ()


def test_a_spool_that_cannot_be_written_does_not_keep_a_snapshot_from_the_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    nowhere = Spool(tmp_path / "file" / "spool", "this store", shared=True)
    assert Taken(str(tmp_path / "evidence.db"), nowhere).enter(FIRST).info.id == 1
    with pytest.raises(
        StoreError, match=r"kept nowhere, for it could not be spooled either .*Not a directory"
    ) as caught:
        Taken(str(tmp_path / "missing" / "evidence.db"), nowhere).enter(FIRST)
    assert not isinstance(caught.value, SpooledError)


def test_a_snapshot_whose_storing_is_interrupted_waits(
    tmp_path: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Store, "add_snapshot", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Taken(str(tmp_path / "evidence.db"), spool).enter(FIRST)
    taken = Taken(str(tmp_path / "evidence.db"), spool)
    assert taken.take_in()
    assert taken.said[0].startswith("snapshot 1 of prod: taken in from the spool")


def test_a_failed_run_waits_while_the_store_is_away(tmp_path: Path, spool: Spool) -> None:
    failed = NewFailedRun("prod", hours(0), hours(1), "refused", RUN)
    spooling.enter_failed_run(str(tmp_path / "missing" / "evidence.db"), spool, failed)
    taken = Taken(str(tmp_path / "evidence.db"), spool)
    assert taken.take_in()
    with Store.open(taken.db) as store:
        (found,) = store.failed_runs("prod", *EVER)
    assert (found.started_at, found.finished_at, found.message, found.run) == (hours(0), hours(1), "refused", RUN)


# -- several processes ------------------------------------------------------------------------------------------------


def test_what_a_running_process_is_storing_is_left_to_it(tmp_path: Path) -> None:
    spool = beside(str(tmp_path / "evidence.db"))
    mine = deposit(spool, FIRST)
    taken = Taken(str(tmp_path / "evidence.db"), spool)
    assert taken.take_in()
    assert taken.said == []
    assert waiting(spool) == (mine.path,)
    mine.leave()
    assert taken.take_in()
    assert waiting(spool) == ()


def _take(db: str, spool: Spool) -> None:
    Taken(db, spool).take_in()


@pytest.mark.slow
def test_collectors_that_take_in_the_same_spool_at_once_take_each_once(db: str, spool: Spool) -> None:
    Store.open(db).close()
    leave(spool, *(snapshot(item("web"), at=hours(hour)) for hour in range(8)))
    processes = [multiprocessing.get_context("spawn").Process(target=_take, args=(db, spool)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    with Store.open(db) as store:
        assert len(store.snapshots("prod", *EVER)) == 8
        assert store.check().problems == ()
    assert not spool.folder.exists()


def test_a_file_that_was_taken_in_meanwhile_is_not_held(spool: Spool) -> None:
    (path,) = leave(spool, FIRST)
    path.unlink()
    with held(path) as mine:
        assert not mine


def test_one_that_waited_is_known_as_such_also_after_the_clock_was_set_back(db: str, spool: Spool) -> None:
    leave(spool, replace(FIRST, finished_at=hours(0.5)))
    assert Taken(db, spool, hour=0.1).take_in()  # the clock now says less than then
    with Store.open(db) as store:
        (info,) = store.snapshots("prod", *EVER)
    assert info.spooled
    assert info.received_at - info.finished_at == timedelta(microseconds=1)
    assert info.started_at == hours(0)
