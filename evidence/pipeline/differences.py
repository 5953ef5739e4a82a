"""Two snapshots of one cluster side by side: objects, effective flows, findings, and who wrote what in between."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from evidence.errors import UsageError
from evidence.observe.audit import AuditedChange, TakenAudit
from evidence.observe.changes import ObjectChange, collection_changes, writes_between
from evidence.pipeline.judging import other_cluster
from evidence.pipeline.observations import Records
from evidence.pipeline.snapshots import shortfalls
from evidence.pipeline.states import Assessed, assess, only_cluster, state_of

if TYPE_CHECKING:
    from evidence.findings.changes import FindingChange
    from evidence.reach.diff import Diff
    from evidence.store import Store, StoredSnapshot

Asked = int | datetime | None  # a snapshot by its number, the newest one at or before a time, or the newest of all


@dataclass(frozen=True, slots=True)
class Difference:
    """`before` and `after` are assessed as of their own times. `other_writes` succeeded in between and left no difference of their object;
    `audits` are the logs that tell of the time between; `remarks`: sentences on what else differs or is not comparable."""

    before: Assessed
    after: Assessed
    objects: tuple[ObjectChange, ...]
    flows: "Diff"
    findings: "tuple[FindingChange, ...]"
    audits: tuple[TakenAudit, ...]
    other_writes: tuple[AuditedChange, ...]
    remarks: tuple[str, ...]


def compare_snapshots(db: str, cluster: str | None, before: Asked, after: Asked) -> Difference:
    """What changed between two snapshots of one cluster. Raises UsageError where they are of two, or in the wrong order."""
    from evidence.findings.changes import finding_changes
    from evidence.reach.diff import Diff
    from evidence.store import Store

    with Store.open(db, read_only=True) as store:
        first, last = _snapshots(store, cluster, (before, after))
        records = Records(store, first.info.cluster)
        state = state_of(first)
        old = assess(state, first.info.taken_at, None, records.around, records.probed)
        new = assess(state_of(last, state), last.info.taken_at, old, records.around, records.probed)
        audits = records.audits(first.info.taken_at, last.info.taken_at)
    writes = writes_between(first.info.taken_at, last.info.taken_at, audits)
    objects = collection_changes(first.collection, last.collection, writes)
    told = {write.id for change in objects for write in change.writes}
    return Difference(
        before=old,
        after=new,
        objects=objects,
        flows=Diff(old.reach, new.reach),
        findings=finding_changes(old.assessment, new.assessment),
        audits=audits,
        other_writes=tuple(write for write in writes if write.id not in told),
        remarks=tuple(_remarks(old, new)),
    )


def _snapshots(
    store: "Store", cluster: str | None, asked: tuple[Asked, Asked]
) -> "tuple[StoredSnapshot, StoredSnapshot]":
    """Both, oldest first. A number says which cluster is meant, where none is named."""
    numbered = [store.read(one) for one in asked if isinstance(one, int)]
    name = cluster if cluster or not numbered else numbered[0].info.cluster
    name = only_cluster(store, name)
    for snapshot in numbered:
        if snapshot.info.cluster != name:
            raise UsageError(f"snapshot {snapshot.info.id} is of cluster {snapshot.info.cluster}, not of {name}")
    by_number = {snapshot.info.id: snapshot for snapshot in numbered}
    first, last = (
        by_number[one] if isinstance(one, int) else store.read(store.latest(name, at=one).id) for one in asked
    )
    if (first.info.taken_at, first.info.id) > (last.info.taken_at, last.info.id):
        raise UsageError(
            f"snapshot {first.info.id} ({first.info.taken_at:%Y-%m-%d %H:%M:%S} UTC) was taken after snapshot {last.info.id} "
            f"({last.info.taken_at:%Y-%m-%d %H:%M:%S} UTC): give the earlier one first"
        )
    return first, last


def _remarks(old: Assessed, new: Assessed) -> Iterator[str]:
    from evidence.report.view.changes import plugins_text

    for each, which in ((old, "earlier"), (new, "later")):
        for missing in shortfalls(each.state.collection):
            yield f"the {which} snapshot is partial: {missing}"
    for sentence in other_cluster(old.state.collection.source, new.state.collection.source):
        yield f"the earlier snapshot: {sentence.replace('the newest snapshot', 'the later one')}"
    plugins = [plugins_text(each.cni) for each in (old, new)]
    if plugins[0] != plugins[1]:
        yield f"network plug-in: {plugins[0]} before, {plugins[1]} after"
    intents = [each.state.intent.digest if each.state.intent else "" for each in (old, new)]
    if intents[0] != intents[1]:
        yield f"intent file: {intents[0][:16] or 'none'} before, {intents[1][:16] or 'none'} after; findings on each side are by its own"
