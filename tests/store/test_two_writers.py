"""Several collectors at once: none is lost, none is doubled, none is mixed up with another."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from evidence.errors import StoreError
from evidence.store import Store
from evidence.store.database import writing
from tests.store.build import collection, hours, item, lengthen, snapshot
from tests.store.rows import run

ROOT = Path(__file__).resolve().parent.parent.parent

WRITER = """
import sys
from evidence.store import Store
from tests.store.build import hours, item, snapshot

db, cluster, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for hour in range(first, last):
    with Store.open(db) as store:
        store.add_snapshot(snapshot(item("web"), item("db", hour=hour % 10), item(f"job-{hour}"), at=hours(hour), cluster=cluster))
"""


def start(db: str, cluster: str, first: int, last: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, db, cluster, str(first), str(last)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )


def finish(writers: list["subprocess.Popen[str]"]) -> None:
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors


def assert_all_stored(db: str, clusters: Sequence[str], each: int) -> None:
    with Store.open(db) as store:
        assert store.check().problems == ()
        found = {
            (cluster, info.taken_at): store.read(info.id).collection
            for cluster in set(clusters)
            for info in store.snapshots(cluster, hours(0), hours(100))
        }
    assert found == {
        (cluster, hours(hour)): collection(item("web"), item("db", hour=hour % 10), item(f"job-{hour}"))
        for index, cluster in enumerate(clusters)
        for hour in range(index * 10, index * 10 + each)
    }


@pytest.mark.slow
def test_collectors_of_one_cluster_that_start_together_on_an_empty_store(db: str) -> None:
    finish([start(db, "prod", first, first + 8) for first in (0, 10, 20)])
    assert_all_stored(db, ["prod"] * 3, 8)


@pytest.mark.slow
@pytest.mark.real
def test_ten_clusters_at_once_into_one_postgres(postgres_url: str) -> None:
    """They have many objects in common, and put them in at the same time: whoever waits must not wait in a circle. One of them fills a run of
    the log."""
    with Store.open(postgres_url) as store:
        lengthen(store, 240)
    clusters = [f"cluster-{number}" for number in range(10)]
    finish([start(postgres_url, cluster, index * 10, index * 10 + 3) for index, cluster in enumerate(clusters)])
    assert_all_stored(postgres_url, clusters, 3)
    assert run(postgres_url, "SELECT height, number FROM log_subtrees") == [(8, 0)]


@pytest.mark.slow
def test_two_collectors_that_store_the_same_snapshots_store_each_once(db: str) -> None:
    finish([start(db, "prod", 0, 8), start(db, "prod", 0, 8)])
    with Store.open(db) as store:
        assert len(store.snapshots("prod", hours(0), hours(100))) == 8
        assert store.check().problems == ()


def test_a_store_that_another_writer_holds_is_said_to_be_locked(store: Store, db: str) -> None:
    with (
        writing(store._engine, store.url, "cluster/prod", 30),
        Store.open(db, read_only=True, wait_seconds=0.1) as other,
        pytest.raises(StoreError, match="is locked"),
    ):
        other.add_snapshot(snapshot(item("web")))


def test_readers_go_on_while_a_writer_writes(store: Store, db: str) -> None:
    info = store.add_snapshot(snapshot(item("web")))
    with writing(store._engine, store.url, "cluster/prod", 30), Store.open(db, read_only=True) as reader:
        assert reader.read(info.id).info == info


@pytest.mark.real
def test_on_postgres_two_clusters_do_not_wait_for_each_other(postgres_url: str) -> None:
    with (
        Store.open(postgres_url) as store,
        writing(store._engine, store.url, "cluster/one", 30),
        Store.open(postgres_url, wait_seconds=1) as other,
    ):
        assert other.add_snapshot(snapshot(item("web"), cluster="two")).cluster == "two"
