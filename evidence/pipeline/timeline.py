"""A period of one cluster's history: what changed when, which findings opened and closed, failed runs, and the time that nobody looked.

Only what changed is evaluated again (evidence/pipeline/looks.py): at every change, at the first snapshot of each day (UTC), for which the dates
in an intent file count, and at the last snapshot.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from evidence.observe.changes import object_changes
from evidence.observe.seen import LOOK_BACK, RECENT
from evidence.pipeline.looks import Looks, outlines_of
from evidence.pipeline.reports import other_cluster, policy_objects
from evidence.pipeline.snapshots import shortfalls
from evidence.pipeline.states import Assessed, only_cluster

if TYPE_CHECKING:
    from evidence.findings.registry import Assessment
    from evidence.findings.spells import History, Turn
    from evidence.frameworks.coverage import Coverage
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
        outlines = outlines_of(store, name, (start, end))
        failed = store.failed_runs(name, start, end)
        looks, spells = Looks(store, name, places=False), Spells()
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
    outlines: "Sequence[SnapshotOutline]", looks: Looks, look: "Callable[[datetime, Assessment], Turn]"
) -> Iterator[Moment]:
    last: SnapshotOutline | None = None
    before: Assessed | None = None
    for outline in outlines:
        info = outline.info
        changed = last is None or not looks.alike(last, outline)
        newest = outline is outlines[-1]
        if changed or newest or last is None or last.info.taken_at.date() != info.taken_at.date():
            now = looks.at(outline, LOOK_BACK if newest else RECENT)  # as in a report, only the newest looks back far
            turn = look(info.taken_at, now.assessment)
            if changed or turn.opened or turn.closed or turn.lost:
                yield _moment(info, before, now, turn)
            before = now
        last = outline


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
