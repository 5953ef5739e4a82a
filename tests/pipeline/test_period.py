"""A period of snapshots: what did not change is analysed once, and gives the same result as analysing it again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from evidence import pipeline
from evidence.cluster.objects import SourceInfo
from evidence.pipeline.judging import other_cluster
from evidence.sample import intent_path, sample_dumps
from evidence.store import Store
from tests.pipeline.periods import assess_period

START = datetime(2026, 8, 21, tzinfo=UTC)  # after the newest dump that is used here
DUMPS = [str(dump.path) for dump in sample_dumps()]


def store_with(tmp_path: Path, dumps: list[str]) -> str:
    """A store with one snapshot a day, of these dumps."""
    db = str(tmp_path / "evidence.db")
    for day, dump in enumerate(dumps):
        pipeline.collect_snapshot(
            db,
            pipeline.FileSource([dump]),
            cluster="shop",
            taken_at=START + timedelta(days=day),
            received_at=START + timedelta(days=day),
            intent_path=intent_path(),
            keep_going=False,
        )
    return db


def test_an_unchanged_cluster_is_analysed_once_and_a_changed_one_again(tmp_path: Path) -> None:
    with Store.open(store_with(tmp_path, [DUMPS[2], DUMPS[2], DUMPS[3], DUMPS[2]])) as store:
        assessed = assess_period(store, "shop", (START, START + timedelta(days=30)))
    first, same, drift, back = assessed
    assert same.reach is first.reach
    assert same.zones is first.zones
    assert drift.reach is not first.reach
    assert back.reach is not drift.reach
    assert back.assessment.findings == first.assessment.findings


def test_what_is_shared_changes_no_result(tmp_path: Path) -> None:
    db = store_with(tmp_path, [DUMPS[3], DUMPS[3]])
    with Store.open(db) as store:
        shared = assess_period(store, "shop", (START, START + timedelta(days=30)))[-1]
    alone = pipeline.load_state([], db=db, cluster="shop", at=None)
    assert shared.state.info == alone.info
    assert shared.state.collection == alone.collection
    assert shared.assessment == pipeline.assess(alone, START + timedelta(days=1)).assessment


def test_a_snapshot_of_another_cluster_under_the_same_name_is_told_apart() -> None:
    def source(uid: str) -> SourceInfo:
        return SourceInfo("files", "dump.json", cluster_uid=uid)

    assert other_cluster(source("one"), source("two")) == (
        "it is of another cluster than the newest snapshot: the UID of namespace kube-system is one, not two",
    )
    assert other_cluster(source("one"), source("one")) == ()
    assert other_cluster(source(""), source("two")) == other_cluster(source("one"), source("")) == ()
