"""A period of one cluster's history: what changed when, which findings opened and closed, failed runs, and the time that nobody looked.

Only what changed is evaluated again (evidence/pipeline/looks.py): at every change, at the first snapshot of each day (UTC), for which the dates
in an intent file count, and at the last snapshot.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from evidence.observe.changes import object_changes
from evidence.observe.seen import LOOK_BACK, RECENT
from evidence.pipeline.judging import Judging, other_cluster
from evidence.pipeline.looks import Looks, outlines_of
from evidence.pipeline.reports import chosen_frameworks, policy_objects
from evidence.pipeline.retention import Gone, gone_in
from evidence.pipeline.snapshots import shortfalls
from evidence.pipeline.states import Assessed, only_cluster

if TYPE_CHECKING:
    from evidence.findings.spells import History, Turn
    from evidence.frameworks.course import Course
    from evidence.frameworks.coverage import Coverage
    from evidence.frameworks.model import Control, ControlResult, Framework
    from evidence.intent.model import Intent
    from evidence.store import RunRecord, SnapshotInfo, SnapshotOutline, Store


@dataclass(frozen=True, slots=True)
class Counts:
    """Objects by what became of them since the snapshot before."""

    added: int
    removed: int
    changed: int


@dataclass(frozen=True, slots=True)
class Moment:
    """A snapshot at which something changed. `objects` counts all of them, policies too; `policy_count` those that are there then."""

    info: "SnapshotInfo"
    first: bool
    objects: Counts
    policies: Counts
    policy_count: int
    intent_changed: bool
    turn: "Turn"
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ControlHistory:
    """One control over the period: `result` as a report of the period gives it, `course` by snapshot."""

    control: "Control"
    result: "ControlResult"
    course: "Course"


@dataclass(frozen=True, slots=True)
class FrameworkHistory:
    """All controls of a framework, in its order. `baseline`: "" for none."""

    framework: "Framework"
    baseline: str
    controls: tuple[ControlHistory, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """`moments` and `failed` oldest first. `snapshots` is the number of those in the period that are there, `read` of those that had to be read;
    `until` is the time of the last one, to which what is still open was seen. `coverage` reaches from `start` to `covered_until`; `gone` are
    snapshots that a prune dropped: nothing is known of their time any more, so they cover nothing. `frameworks` are those asked for."""

    cluster: str
    start: datetime
    end: datetime
    covered_until: datetime
    expected_every: timedelta
    snapshots: int
    read: int
    until: datetime
    moments: tuple[Moment, ...]
    failed: "tuple[RunRecord, ...]"
    coverage: "Coverage"
    findings: "tuple[History, ...]"
    gone: Gone | None
    frameworks: "tuple[FrameworkHistory, ...]" = ()


def period_timeline(
    db: str,
    *,
    cluster: str | None,
    period: tuple[datetime, datetime] | None,
    expect_every: timedelta,
    now: datetime,
    frameworks: Sequence[str] = (),
    baseline: str | None = None,
    controls_folders: Sequence[Path] = (),
) -> Timeline:
    """The timeline of a period, None for all that the store holds, with the controls of some frameworks (short names or ids).

    Raises UsageError when there is no snapshot, no such framework, or no such baseline of one.
    """
    from evidence.frameworks.coverage import coverage_so_far
    from evidence.frameworks.load import load_frameworks
    from evidence.store import Store, collection_of

    chosen = chosen_frameworks(load_frameworks(controls_folders), frameworks) if frameworks else ()
    with Store.open(db, read_only=True) as store:
        name = only_cluster(store, cluster)
        start, end = period or (_first(store, name), now + timedelta(microseconds=1))
        outlines = outlines_of(store, name, (start, end))
        gone = gone_in(store, name, (start, end))
        failed = store.failed_runs(name, start, end)
        newest = collection_of(outlines[-1], ()).source
        telling = _Telling(Looks(store, name, places=False), [Judging(each, baseline, newest) for each in chosen])
        moments = tuple(telling.moments(outlines))
    times = [outline.info.taken_at for outline in outlines]
    coverage = coverage_so_far(times, start, end, expect_every, now)
    return Timeline(
        cluster=name,
        start=start,
        end=end,
        covered_until=min(end, max(now, times[-1])),
        expected_every=expect_every,
        snapshots=len(outlines),
        read=telling.looks.read,
        until=times[-1],
        moments=moments,
        failed=failed,
        coverage=coverage,
        findings=telling.spells.histories(),
        gone=gone,
        frameworks=telling.frameworks(outlines, coverage, gone),
    )


def _first(store: "Store", cluster: str) -> datetime:
    summary = next(each for each in store.describe().clusters if each.name == cluster)
    assert summary.first_taken_at is not None  # noqa: S101  (only clusters with a snapshot are named)
    return summary.first_taken_at


class _Telling:
    """Goes from snapshot to snapshot once, and keeps what it saw of findings and controls."""

    def __init__(self, looks: Looks, judgings: "Sequence[Judging]") -> None:
        from evidence.findings.spells import Spells

        self.looks = looks
        self.spells = Spells()
        self._judgings = judgings
        self._judged: list[tuple[tuple[ControlResult, ...], ...]] = []  # for each snapshot, by judging
        self._intent: Intent | None = None

    def moments(self, outlines: "Sequence[SnapshotOutline]") -> Iterator[Moment]:
        """Those at which something changed."""
        last: SnapshotOutline | None = None
        before: Assessed | None = None
        for outline in outlines:
            info = outline.info
            changed = last is None or not self.looks.alike(last, outline)
            newest = outline is outlines[-1]
            if changed or newest or last is None or last.info.taken_at.date() != info.taken_at.date():
                # As in a report, only the newest looks back far.
                now = self.looks.at(outline, LOOK_BACK if newest else RECENT)
                turn = self.spells.look(info.taken_at, now.assessment)
                self._judged.append(tuple(judging.results(now) for judging in self._judgings))
                self._intent = now.state.intent
                if changed or turn.opened or turn.closed or turn.lost:
                    yield _moment(info, before, now, turn)
                before = now
            else:
                self._judged.append(self._judged[-1])
            last = outline

    def frameworks(
        self, outlines: "Sequence[SnapshotOutline]", coverage: "Coverage", gone: Gone | None
    ) -> tuple[FrameworkHistory, ...]:
        """What was judged of the same snapshots; `gone` are others of the period."""
        from evidence.frameworks.course import courses
        from evidence.frameworks.judge import baseline_of, worst

        found = []
        intents = [outline.info.intent_digest for outline in outlines]
        for number, judging in enumerate(self._judgings):
            snapshots = [
                (outline.info.taken_at, judged[number]) for outline, judged in zip(outlines, self._judged, strict=True)
            ]
            course = courses(snapshots)
            results = {result.control_id: result for result in worst(snapshots, coverage, intents, str(gone or ""))}
            framework = judging.framework
            controls = tuple(
                ControlHistory(control, results[control.id], course[control.id]) for control in framework.controls
            )
            found.append(FrameworkHistory(framework, baseline_of(framework, self._intent, judging.baseline), controls))
        return tuple(found)


def _moment(info: "SnapshotInfo", before: Assessed | None, now: Assessed, turn: "Turn") -> Moment:
    objects, policies = Counts(0, 0, 0), Counts(0, 0, 0)
    remarks: tuple[str, ...] = ()
    if before is None:
        remarks = tuple(f"not read: {text}" for text in shortfalls(now.state.collection))
    elif before.state.collection is not now.state.collection:
        changes = object_changes(before.state.collection.objects, now.state.collection.objects)
        keys = {obj.key for each in (before, now) for obj in policy_objects(each.state)}
        objects = _counts([change.action for change in changes])
        policies = _counts([change.action for change in changes if change.key in keys])
        known = shortfalls(before.state.collection)
        remarks = (
            *(
                sentence.replace("the newest snapshot", "the one before")
                for sentence in other_cluster(now.state.collection.source, before.state.collection.source)
            ),
            *(f"not read: {text}" for text in shortfalls(now.state.collection) if text not in known),
        )
    was, here = (each.state.intent.digest if each and each.state.intent else "" for each in (before, now))
    return Moment(
        info=info,
        first=before is None,
        objects=objects,
        policies=policies,
        policy_count=len(policy_objects(now.state)),
        intent_changed=before is not None and was != here,
        turn=turn,
        remarks=remarks,
    )


def _counts(actions: Sequence[str]) -> Counts:
    return Counts(*(actions.count(action) for action in ("added", "removed", "changed")))
