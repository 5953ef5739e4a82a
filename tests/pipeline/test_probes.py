"""Probe runs in the store: read back beside the snapshots of their time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evidence import pipeline
from evidence.findings.finding import Finding
from evidence.intent.model import Classification
from evidence.pipeline.assessing import assess_history
from evidence.pipeline.observations import agreements, assess_stored
from evidence.pipeline.probes import Wishes, policies_digest
from evidence.pipeline.states import Assessed, State
from evidence.probe.document import run_json
from evidence.probe.model import ProbeRun
from evidence.sample import intent_path, sample_dumps
from evidence.store import NewRecord, RecordKind, RunInfo, Store
from tests.probe.shop import carried_out

TAKEN = datetime(2026, 9, 15, 10, tzinfo=UTC)
DUMP = sample_dumps()[-1].path


@pytest.fixture
def db(tmp_path: Path) -> str:
    path = str(tmp_path / "evidence.db")
    pipeline.collect_snapshot(
        path,
        pipeline.FileSource([str(DUMP)]),
        cluster="prod",
        taken_at=TAKEN,
        received_at=TAKEN + timedelta(hours=1),
        intent_path=intent_path(),
        keep_going=False,
    )
    return path


def state(db: str) -> State:
    return pipeline.load_state((), db=db, cluster="prod", at=None)


def keep(db: str, run: ProbeRun) -> None:
    with Store.open(db) as store:
        store.add_record(
            NewRecord(
                "prod", RecordKind.PROBE_RUN, run.started_at, run.finished_at, run.finished_at, run_json(run),
                RunInfo("0.1.0", "host", "prober", "probe run", "ab" * 32),
            )
        )  # fmt: skip


def assessed(db: str) -> Assessed:
    return assess_stored(state(db), TAKEN, db)


def found(said: Assessed, rule: str) -> list[Finding]:
    return [finding for finding in said.assessment.findings if finding.rule_id == rule]


def run_of(db: str, *, against: bool = False, at: datetime = TAKEN) -> ProbeRun:
    here = state(db)
    plan = pipeline.plan_probes(here, Wishes(seed=1, pods=100))
    return carried_out(plan, lambda probe: probe.allowed or against, at=at, policies=policies_digest(here))


def test_a_run_that_agrees_backs_the_zones_whose_border_it_tried(db: str) -> None:
    keep(db, run_of(db))
    said = assessed(db)
    assert found(said, "ENF-003") == []
    backed = {zone for agreement in agreements(said) for zone in agreement.zones}
    assert Classification.CDE in backed


def test_a_run_that_contradicts_backs_nothing_and_is_found(db: str) -> None:
    keep(db, run_of(db, against=True))
    said = assessed(db)
    assert found(said, "ENF-003")
    assert agreements(said) == ()


def test_an_assessment_that_was_kept_before_the_run_does_not_stand_for_it(db: str) -> None:
    assess_history(db, cluster=None, since=None, processes=1, clock=lambda: TAKEN)
    keep(db, run_of(db, against=True))
    told = pipeline.period_timeline(db, cluster=None, period=None, expect_every=timedelta(days=1), now=TAKEN)
    assert "ENF-003" in {history.finding.rule_id for history in told.findings}


def test_a_run_on_a_later_snapshot_says_nothing_of_this_one(db: str) -> None:
    keep(db, run_of(db, against=True, at=TAKEN + timedelta(minutes=1)))
    said = assessed(db)
    assert (said.probed, found(said, "ENF-003")) == (None, [])


def test_without_a_run_nothing_is_backed(db: str) -> None:
    assert agreements(assessed(db)) == ()
