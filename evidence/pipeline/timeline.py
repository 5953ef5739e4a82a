"""A period of one cluster's history: what changed when, which findings opened and closed, failed runs, and the time that nobody looked.

Only what changed is evaluated again:
1. A snapshot with the same objects, the same things left out and the same intent file as the one before is not read.
2. The rules on findings ask for nothing but these, but for those that ask for the time or for records (`Rule.moves`). These are asked at every
   change, at the first snapshot of each day (UTC), for which the dates in an intent file count, and at the last snapshot.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from evidence.errors import UsageError
from evidence.observe.changes import object_changes
from evidence.observe.seen import RECENT
from evidence.pipeline.observations import Records
from evidence.pipeline.reports import other_cluster, policy_objects
from evidence.pipeline.snapshots import shortfalls
from evidence.pipeline.states import Assessed, assess, only_cluster, state_of

if TYPE_CHECKING:
    from evidence.findings.registry import Assessment
    from evidence.findings.spells import History, Turn
    from evidence.frameworks.coverage import Coverage
    from evidence.store import RunRecord, SnapshotInfo, SnapshotOutline, Store

KEPT = 2  # analysed states: a change that is taken back is the commonest that comes again


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
class Timeline:
    """`moments` and `failed` oldest first. `snapshots` is the number of all in the period, `read` of those that had to be read; `until` is the time
    of the last one, to which what is still open was seen. `coverage` reaches from `start` to `covered_until`."""

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


def period_timeline(
    db: str,
    *,
    cluster: str | None,
    period: tuple[datetime, datetime] | None,
    expect_every: timedelta,
    now: datetime,
) -> Timeline:
    """The timeline of a period, None for all that the store holds. Raises UsageError when there is no snapshot."""
    from evidence.findings.spells import Spells
    from evidence.frameworks.coverage import coverage_so_far
    from evidence.store import Store

    with Store.open(db, read_only=True) as store:
        name = only_cluster(store, cluster)
        start, end = period or (_first(store, name), now + timedelta(microseconds=1))
        outlines = store.outlines(name, start, end)
        if not outlines:
            raise UsageError(
                f"there is no snapshot of {name} between {start:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M} UTC; "
                "collect first, or give another --period"
            )
        failed = store.failed_runs(name, start, end)
        looks, spells = _Looks(store, name), Spells()
        moments = tuple(_moments(outlines, looks, spells.look))
    times = [outline.info.taken_at for outline in outlines]
    return Timeline(
        cluster=name,
        start=start,
        end=end,
        covered_until=min(end, max(now, times[-1])),
        expected_every=expect_every,
        snapshots=len(outlines),
        read=looks.read,
        until=times[-1],
        moments=moments,
        failed=failed,
        coverage=coverage_so_far(times, start, end, expect_every, now),
        findings=spells.histories(),
    )


def _first(store: "Store", cluster: str) -> datetime:
    summary = next(each for each in store.describe().clusters if each.name == cluster)
    assert summary.first_taken_at is not None  # noqa: S101  (only clusters with a snapshot are named)
    return summary.first_taken_at


def _moments(
    outlines: "Sequence[SnapshotOutline]", looks: "_Looks", look: "Callable[[datetime, Assessment], Turn]"
) -> Iterator[Moment]:
    last: SnapshotOutline | None = None
    before: Assessed | None = None
    for outline in outlines:
        info = outline.info
        changed = last is None or _key(last) != _key(outline)
        newest = outline is outlines[-1]
        if changed or newest or last is None or last.info.taken_at.date() != info.taken_at.date():
            now, whole = looks.at(outline, changed, newest)
            turn = look(info.taken_at, whole)
            if changed or turn.opened or turn.closed or turn.lost:
                yield _moment(info, before, now, turn)
            before = now
        last = outline


def _key(outline: "SnapshotOutline") -> object:
    """The same for snapshots from which the same cluster and intent are built (see `reads_alike`)."""
    return outline.content, outline.info.intent_digest, outline.kinds, outline.problems


def _moment(info: "SnapshotInfo", before: Assessed | None, now: Assessed, turn: "Turn") -> Moment:
    objects, policies = Counts(0, 0, 0), Counts(0, 0, 0)
    remarks = tuple(f"not read: {text}" for text in shortfalls(now.state.collection))
    if before is not None and before is not now:
        changes = object_changes(before.state.collection.objects, now.state.collection.objects)
        keys = {obj.key for each in (before, now) for obj in policy_objects(each.state)}
        objects = _counts([change.action for change in changes])
        policies = _counts([change.action for change in changes if change.key in keys])
        known = shortfalls(before.state.collection)
        remarks = (
            *(
                sentence.replace("the newest snapshot", "the one before")
                for sentence in other_cluster(now.state, before.state)
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


class _Looks:
    """Snapshots of one cluster assessed one after the other; a few analysed states are kept."""

    def __init__(self, store: "Store", cluster: str) -> None:
        from evidence.findings.registry import RULES

        self.read = 0
        self._store = store
        self._records = Records(store, cluster)
        self._seen_anything = self._records.any
        self._moving = [rule for rule in RULES.values() if rule.moves]
        self._still = [rule for rule in RULES.values() if not rule.moves]
        self._kept: OrderedDict[object, Assessed] = OrderedDict()  # by still rules alone

    def at(self, outline: "SnapshotOutline", changed: bool, newest: bool) -> "tuple[Assessed, Assessment]":
        """The analysed state of a snapshot, and its findings as of its own time. `changed`: since the snapshot asked for before."""
        from evidence.findings.registry import Assessment

        still = self._analysed(outline) if changed else next(reversed(self._kept.values()))
        moving = self._moved(still, outline.info, newest)
        runs = sorted((*still.assessment.runs, *moving.runs), key=lambda run: run.rule_id)
        findings = sorted(
            (*still.assessment.findings, *moving.findings),
            key=lambda finding: (finding.rule_id, finding.subject, finding.discriminator),
        )
        return still, Assessment(tuple(findings), tuple(runs))

    def _analysed(self, outline: "SnapshotOutline") -> Assessed:
        key = _key(outline)
        if key not in self._kept:
            before = next(reversed(self._kept.values()), None)
            state = state_of(self._store.read(outline.info.id), before.state if before else None)
            self._kept[key] = assess(state, outline.info.taken_at, before, rules=self._still)
            self.read += 1
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]

    def _moved(self, still: Assessed, info: "SnapshotInfo", newest: bool) -> "Assessment":
        """What time and records say of a state at one of its snapshots; as in a report, only the newest looks back far."""
        state = replace(still.state, info=info)
        around = self._records.around if newest else partial(self._records.around, look_back=RECENT)
        if not self._seen_anything:
            return assess(state, info.taken_at, still, rules=self._moving).assessment
        return assess(state, info.taken_at, still, around, self._records.probed, rules=self._moving).assessment
