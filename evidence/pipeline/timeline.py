"""A period of one cluster's history: what changed when, which findings opened and closed, failed runs, and the time that nobody looked.

Each snapshot that is asked (evidence/pipeline/asking.py) has an answer, kept or evaluated. What became of objects is told by the store's intervals.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from evidence.cluster.objects import Collection
from evidence.pipeline.answers import Answer
from evidence.pipeline.asking import Advance, answers, keys_of
from evidence.pipeline.judging import Judging, other_cluster
from evidence.pipeline.kept import kept_answers
from evidence.pipeline.looks import outlines_of, state_key
from evidence.pipeline.reports import chosen_frameworks
from evidence.pipeline.retention import Gone, gone_in
from evidence.pipeline.snapshots import shortfalls
from evidence.pipeline.software import software_digest
from evidence.pipeline.sources import parsed_intent
from evidence.pipeline.states import only_cluster

if TYPE_CHECKING:
    from evidence.findings.spells import History, Turn
    from evidence.frameworks.course import Course
    from evidence.frameworks.coverage import Coverage
    from evidence.frameworks.model import Control, ControlResult, Framework
    from evidence.intent.model import Intent
    from evidence.store import RunRecord, SnapshotInfo, SnapshotOutline, Store
    from evidence.store.changes import Changes


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
    """`moments` and `failed` oldest first. `snapshots` is the number of those in the period that are there, `evaluated` of the states that had to
    be, `kept` of the snapshots for which a kept answer stood; `until` is the time of the last one, to which what is still open was seen.
    `coverage` reaches from `start` to `covered_until`; `gone` are snapshots that a prune dropped: nothing is known of their time any more, so
    they cover nothing. `frameworks` are those asked for."""

    cluster: str
    start: datetime
    end: datetime
    covered_until: datetime
    expected_every: timedelta
    snapshots: int
    evaluated: int
    kept: int
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
    afresh: bool = False,
    processes: int = 1,
    advance: Advance = lambda _done, _all: None,
) -> Timeline:
    """The timeline of a period, None for all that the store holds, with the controls of some frameworks (short names or ids).

    `afresh`: every snapshot that is asked is evaluated, also where its answer was kept; `processes`: by how many at most; `advance` hears how
    far that is.

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
        kept = (
            {}
            if afresh
            else {each.key: each.answer for each in kept_answers(store, name, (start, end), software_digest())}
        )
        last = outlines[-1].info.id
        keys = keys_of(store, outlines, last)
        answered = answers(store, db, outlines, keys, kept, last, processes, advance)
        newest = collection_of(outlines[-1], ()).source
        telling = _Telling(store, answered.answers, [Judging(each, baseline, newest) for each in chosen])
        moments = telling.moments(outlines)
    times = [outline.info.taken_at for outline in outlines]
    coverage = coverage_so_far(times, start, end, expect_every, now)
    return Timeline(
        cluster=name,
        start=start,
        end=end,
        covered_until=min(end, max(now, times[-1])),
        expected_every=expect_every,
        snapshots=len(outlines),
        evaluated=answered.evaluated,
        kept=answered.kept,
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

    def __init__(self, store: "Store", answers: Mapping[int, Answer], judgings: "Sequence[Judging]") -> None:
        from evidence.findings.spells import Spells

        self.spells = Spells()
        self._store = store
        self._answers = answers
        self._judgings = judgings
        self._judged: list[tuple[tuple[ControlResult, ...], ...]] = []  # for each snapshot, by judging
        self._intents: dict[str, Intent | None] = {"": None}  # by digest
        self._intent: Intent | None = None

    def moments(self, outlines: "Sequence[SnapshotOutline]") -> tuple[Moment, ...]:
        """Those at which something changed."""
        pairs = [(one, other) for one, other in pairwise(outlines) if state_key(one) != state_key(other)]
        counted = self._store.changes(outlines[0].info.cluster, [(one.info.id, other.info.id) for one, other in pairs])
        changes = {other.info.id: (one, found) for (one, other), found in zip(pairs, counted, strict=True)}
        return tuple(self._told(outlines, changes))

    def _told(
        self, outlines: "Sequence[SnapshotOutline]", changes: "Mapping[int, tuple[SnapshotOutline, Changes]]"
    ) -> Iterator[Moment]:
        from evidence.store import collection_of

        before: Answer | None = None
        for outline in outlines:
            info = outline.info
            now = self._answers.get(info.id)
            if now is None:
                self._judged.append(self._judged[-1])
                continue
            turn = self.spells.look(info.taken_at, now.assessment)
            self._intent = self._intent_of(info.intent_digest)
            collection = collection_of(outline, ())
            self._judged.append(tuple(judging.judged(now, self._intent, collection) for judging in self._judgings))
            changed = changes.get(info.id)
            if before is None or changed or turn.opened or turn.closed or turn.lost:
                yield _moment(info, collection, before, now, changed, turn)
            before = now

    def _intent_of(self, digest: str) -> "Intent | None":
        if digest not in self._intents:
            self._intents[digest] = parsed_intent(self._store.intent(digest), f"intent file {digest[:16]} of the store")
        return self._intents[digest]

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


def _moment(
    info: "SnapshotInfo",
    read: Collection,
    before: Answer | None,
    now: Answer,
    changed: "tuple[SnapshotOutline, Changes] | None",
    turn: "Turn",
) -> Moment:
    """`read`: how the snapshot was read; `changed`: the one before and what became of its objects, None where the state is the same."""
    from evidence.store import collection_of

    objects, policies = Counts(0, 0, 0), Counts(0, 0, 0)
    remarks: tuple[str, ...] = ()
    if before is None:
        remarks = tuple(f"not read: {text}" for text in shortfalls(read))
    elif changed:
        last = collection_of(changed[0], ())
        objects = _counts(changed[1])
        policies = _counts(changed[1], before.policies.kinds | now.policies.kinds)
        known = shortfalls(last)
        remarks = (
            *(
                sentence.replace("the newest snapshot", "the one before")
                for sentence in other_cluster(read.source, last.source)
            ),
            *(f"not read: {text}" for text in shortfalls(read) if text not in known),
        )
    return Moment(
        info=info,
        first=before is None,
        objects=objects,
        policies=policies,
        policy_count=now.policies.count,
        intent_changed=changed is not None and changed[0].info.intent_digest != info.intent_digest,
        turn=turn,
        remarks=remarks,
    )


def _counts(changes: "Changes", kinds: AbstractSet[tuple[str, str]] | None = None) -> Counts:
    """Of all kinds, or of some."""
    return Counts(
        *(
            sum(number for kind, number in found.items() if kinds is None or kind in kinds)
            for found in (changes.added, changes.removed, changes.changed)
        )
    )
