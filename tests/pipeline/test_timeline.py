"""A period's timeline says what assessing every snapshot in full says, and evaluates only what changed something."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evidence import pipeline
from evidence.errors import UsageError
from evidence.findings.spells import Spells
from evidence.pipeline.timeline import Counts, Timeline
from evidence.sample import intent_path, sample_dumps
from evidence.store import RunInfo, Store
from tests.pipeline.periods import assess_period

START = datetime(2026, 8, 21, tzinfo=UTC)  # after the newest dump that is used here
DUMPS = [str(dump.path) for dump in sample_dumps()]
PLAIN, DRIFTED = 2, 3
INTENT = intent_path()


def hour(number: float) -> datetime:
    return START + timedelta(hours=number)


Fill = Callable[..., str]


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    def filled(*taken: tuple[float, int], intent: Path | None = INTENT) -> str:
        """A store with a snapshot of these dumps, by number, at these hours."""
        db = str(tmp_path / "evidence.db")
        for number, dump in taken:
            pipeline.collect_snapshot(
                db,
                pipeline.FileSource([DUMPS[dump]]),
                cluster="shop",
                taken_at=hour(number),
                received_at=hour(number),
                intent_path=intent,
                keep_going=False,
            )
        return db

    return filled


def timeline(db: str, hours: float, every: float = 1) -> Timeline:
    period, due = (START, hour(hours)), timedelta(hours=every)
    return pipeline.period_timeline(db, cluster="shop", period=period, expect_every=due, now=hour(hours))


def whole(db: str, hours: float) -> Spells:
    """The same findings, from every snapshot assessed in full."""
    found = Spells()
    with Store.open(db, read_only=True) as store:
        for one in assess_period(store, "shop", (START, hour(hours))):
            assert one.state.taken_at
            found.look(one.state.taken_at, one.assessment)
    return found


def stretches(found: Sequence[object]) -> list[object]:
    return [
        (history.finding.fingerprint, [(s.opened_at, s.since_before, s.ended_at, s.state) for s in history.spells])  # type: ignore[attr-defined]
        for history in found
    ]


def test_only_snapshots_that_changed_something_are_evaluated(fill: Fill) -> None:
    found = timeline(fill(*((number, PLAIN) for number in range(4)), (4, DRIFTED), (5, DRIFTED), (6, PLAIN)), 7)
    assert (found.snapshots, found.evaluated) == (7, 2)  # what comes again at once is not evaluated again
    assert [moment.info.taken_at for moment in found.moments] == [hour(0), hour(4), hour(6)]
    first, drift, back = found.moments
    assert (first.first, drift.first) == (True, False)
    assert (drift.objects, drift.policies) == (Counts(2, 0, 0), Counts(1, 0, 0))
    assert (back.objects, back.policies, back.policy_count) == (Counts(0, 2, 0), Counts(0, 1, 0), first.policy_count)
    assert "SEG-001" in {finding.rule_id for finding in drift.turn.opened}
    assert drift.turn.opened == back.turn.closed


def test_findings_are_those_of_every_snapshot_assessed_in_full(fill: Fill) -> None:
    db = fill((0, PLAIN), (1, DRIFTED), (2, DRIFTED), (3, PLAIN), (4, 1), (5, DRIFTED))
    assert stretches(timeline(db, 6).findings) == stretches(whole(db, 6).histories())


def test_what_time_alone_opens_is_seen_on_the_day(fill: Fill, tmp_path: Path) -> None:
    intent = tmp_path / "segmentation.yaml"
    intent.write_text(
        "zones:\n  - {name: cde, classification: cde, members: [{namespaces: [payments]}]}\n"
        "waivers:\n  - {id: W-1, rule: NET-003, subject: Namespace batch, approver: Head of security, reason: Being shut down,\n"
        "     compensating_control: None of its pods runs, expires: 2026-08-22}\n"
    )
    db = fill(*((number, PLAIN) for number in range(0, 72, 6)), intent=intent)
    found = timeline(db, 72)
    assert found.evaluated == 1
    (expired,) = [history for history in found.findings if history.finding.rule_id == "PRT-004"]
    assert (expired.spells[0].opened_at, expired.spells[0].since_before) == (hour(48), False)
    assert [moment.info.taken_at for moment in found.moments] == [hour(0), hour(48)]
    assert stretches(found.findings) == stretches(whole(db, 72).histories())


def test_another_intent_file_is_a_change_of_the_same_objects(fill: Fill, tmp_path: Path) -> None:
    fill((0, PLAIN))
    found = timeline(fill((1, PLAIN), intent=None), 2)
    assert [moment.intent_changed for moment in found.moments] == [False, True]
    assert found.moments[1].objects == Counts(0, 0, 0)


def test_gaps_and_failed_runs_are_told(fill: Fill) -> None:
    db = fill((0, PLAIN), (1, PLAIN), (5, PLAIN))
    with Store.open(db) as store:
        custody = RunInfo("0.1.0", "host", "alice", "collect", "ab" * 32)
        store.add_failed_run("shop", started_at=hour(2), finished_at=hour(2.1), message="API server down", run=custody)
    found = timeline(db, 6)
    assert [(gap.start, gap.end) for gap in found.coverage.gaps] == [(hour(2), hour(5))]
    assert found.coverage.share == 0.5
    assert [run.message for run in found.failed] == ["API server down"]


def test_without_a_period_everything_up_to_now_is_told(fill: Fill) -> None:
    db = fill((0, PLAIN), (30, PLAIN))
    found = pipeline.period_timeline(db, cluster=None, period=None, expect_every=timedelta(days=2), now=hour(40))
    assert (found.start, found.covered_until, found.snapshots, found.coverage.gaps) == (hour(0), hour(40), 2, ())


def test_a_period_without_a_snapshot_is_an_error(fill: Fill) -> None:
    db = fill((5, PLAIN))
    with pytest.raises(UsageError, match="there is no snapshot of shop between 2026-08-21 00:00 and 2026-08-21 02:00"):
        timeline(db, 2)
