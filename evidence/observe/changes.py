"""What became of a cluster's objects from one time to another: which came, went and changed, in which fields, by whose hand.

1. Objects are the same when their digests are. Which fields differ is told without what the API server writes with every change
   (managedFields, resourceVersion …); so an object may have changed in no field: it was written again as it was.
2. `managedFields` name a program and the time of its last write; audit logs, where they were taken in, name who asked.
3. What came may have been there before where its kind was not read whole, and what went may still be there: that is a doubt, never left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from evidence.cluster.objects import CollectedObject, Collection, KindStatus, ObjectKey
from evidence.observe.audit import AuditedChange, TakenAudit

# Written by the API server with every change; they say that something changed, not what.
_BOOKKEEPING = frozenset({"managedFields", "resourceVersion", "generation", "uid"})


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """One object that is not on both sides as it was. `before` and `after` are digests, "" where it was not there; `doubts`: why it may be
    no change; `writes` of the time between, oldest first."""

    key: ObjectKey
    before: str
    after: str
    fields: tuple[str, ...]
    manager: str
    managed_at: str
    writes: tuple[AuditedChange, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def action(self) -> str:
        """ "added", "removed" or "changed"."""
        if self.before and self.after:
            return "changed"
        return "added" if self.after else "removed"


def collection_changes(
    before: Collection, after: Collection, writes: Sequence[AuditedChange] = ()
) -> tuple[ObjectChange, ...]:
    """What changed between two collections of one cluster, by key. `writes` are those of the time between (`writes_between`)."""
    by_object: dict[tuple[str, str], list[AuditedChange]] = {}
    for write in writes:
        by_object.setdefault((write.object.kind, write.object.namespace), []).append(write)
    not_whole = [_not_whole(each) for each in (before, after)]
    found = []
    for change in object_changes(before.objects, after.objects):
        key = change.key
        doubts: tuple[str, ...] = ()
        if change.action == "added":
            doubts = _doubts(key, not_whole[0], "may have been there before")
        elif change.action == "removed":
            doubts = _doubts(key, not_whole[1], "may still be there")
        about = tuple(write for write in by_object.get((key.kind, key.namespace), ()) if write.about(key))
        found.append(
            ObjectChange(
                key, change.before, change.after, change.fields, change.manager, change.managed_at, about, doubts
            )
        )
    return tuple(found)


def object_changes(before: Iterable[CollectedObject], after: Iterable[CollectedObject]) -> tuple[ObjectChange, ...]:
    """What changed between two sets of objects, by key, without asking how whole they are or who wrote."""
    old, new = ({obj.key: obj for obj in each} for each in (before, after))
    found = []
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key), new.get(key)
        if was and now and was.digest == now.digest:
            continue
        manager, managed_at = managed_by(now) if now else ("", "")
        found.append(
            ObjectChange(
                key=key,
                before=was.digest if was else "",
                after=now.digest if now else "",
                fields=changed_fields(was.body, now.body) if was and now else (),
                manager=manager,
                managed_at=managed_at,
            )
        )
    return tuple(found)


def _not_whole(collection: Collection) -> Mapping[tuple[str, str], str]:
    """Why nobody can say that an object of a kind was not there, by group and kind; under ("", "") what holds of all kinds."""
    asked = (KindStatus.LISTED, KindStatus.NOT_SERVED)
    found = {
        (
            kind.group,
            kind.kind,
        ): f"{kind.kind} was {'not read' if kind.status is KindStatus.NOT_KEPT else kind.status.value}"
        for kind in collection.kinds
        if kind.status not in asked
    }
    for problem in collection.problems:
        groups = [kind.group for kind in collection.kinds if kind.kind == problem.kind] if problem.kind else [""]
        found |= {(group, problem.kind): f"{problem.where} was left out" for group in groups}
    return found


def _doubts(key: ObjectKey, not_whole: Mapping[tuple[str, str], str], what: str) -> tuple[str, ...]:
    reasons = dict.fromkeys(not_whole[place] for place in ((key.group, key.kind), ("", "")) if place in not_whole)
    return tuple(f"{what}: {reason}" for reason in reasons)


def writes_between(start: datetime, end: datetime, audits: Iterable[TakenAudit]) -> tuple[AuditedChange, ...]:
    """The writes that succeeded after `start` and until `end`, oldest first; one that several logs hold once."""
    found = {
        change.id: change
        for taken in audits
        for change in taken.log.changes
        if change.done and start < change.at <= end
    }
    return tuple(sorted(found.values(), key=lambda change: (change.at, change.id)))


def audited(key: ObjectKey, start: datetime, end: datetime, audits: Iterable[TakenAudit]) -> tuple[str, ...]:
    """Who wrote an object from one time to another, in order, see `written_by`."""
    return tuple(written_by(change) for change in writes_between(start, end, audits) if change.about(key))


def written_by(change: AuditedChange) -> str:
    """ "alice: patch at 2026-07-01 09:00:00 UTC from 10.0.0.9 (kubectl/v1.36)"."""
    return f"{change.actor}: {change.verb} at {change.at:%Y-%m-%d %H:%M:%S} UTC from {', '.join(change.source_ips)} ({change.user_agent})"


def managed_by(obj: CollectedObject) -> tuple[str, str]:
    """Who wrote last, and when, as managedFields say (manager, RFC 3339 time); ("", "") where they were not kept."""
    entries = obj.body.get("metadata", {}).get("managedFields") or []
    dated = [entry for entry in entries if isinstance(entry, Mapping) and entry.get("time")]
    if not dated:
        return "", ""
    last = max(dated, key=lambda entry: str(entry["time"]))
    return str(last.get("manager", "")), str(last["time"])


def changed_fields(before: Any, after: Any, path: str = "") -> tuple[str, ...]:
    """Paths that differ, such as "spec.ingress[0].ports"; lists of unlike length differ as a whole."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return tuple(
            found
            for key in sorted(before.keys() | after.keys())
            if key not in _BOOKKEEPING
            for found in changed_fields(before.get(key), after.get(key), f"{path}.{key}" if path else key)
        )
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return tuple(
            found
            for index, (was, now) in enumerate(zip(before, after, strict=True))
            for found in changed_fields(was, now, f"{path}[{index}]")
        )
    return () if before == after else (path,)
