"""What changed between neighbouring snapshots of the period: policies, what they hang on, rights to change them, the intent file, the
network plug-in."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.cni.detect import CniReport
from evidence.observe.audit import TakenAudit
from evidence.report.view.inputs import SnapshotEvidence
from evidence.report.view.model import Action, Change

# Written by the API server with every change; they say that something changed, not what.
_BOOKKEEPING = frozenset({"managedFields", "resourceVersion", "generation", "uid"})


def changes(snapshots: Sequence[SnapshotEvidence], audits: Sequence[TakenAudit] = ()) -> tuple[Change, ...]:
    """All changes, oldest first; within a window objects by key, then intent and plug-in. `audits` tell who made them."""
    return tuple(change for before, after in pairwise(snapshots) for change in _between(before, after, audits))


def _between(before: SnapshotEvidence, after: SnapshotEvidence, audits: Sequence[TakenAudit]) -> Iterator[Change]:
    old, new = ({obj.key: obj for obj in (*each.policies, *each.beside)} for each in (before, after))
    policies = {policy.key for policy in (*before.policies, *after.policies)}
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key), new.get(key)
        if was and now and was.digest == now.digest:
            continue
        fields = changed_fields(was.body, now.body) if was and now else ()
        if was and now and not fields and key not in policies:
            continue  # written again as it was
        manager, managed_at = managed_by(now) if now else ("", "")
        yield Change(
            after_snapshot=before.id,
            in_snapshot=after.id,
            not_before=before.taken_at,
            not_after=after.taken_at,
            subject=str(key),
            action=_action(was, now),
            before=was.digest if was else "",
            after=now.digest if now else "",
            fields=fields,
            manager=manager,
            managed_at=managed_at,
            audited=audited(key, before.taken_at, after.taken_at, audits),
        )
    for subject, was_name, now_name in (
        ("Intent file", before.intent_digest, after.intent_digest),
        ("Network plug-in", _plugins(before.cni), _plugins(after.cni)),
    ):
        if was_name != now_name:
            yield Change(
                after_snapshot=before.id,
                in_snapshot=after.id,
                not_before=before.taken_at,
                not_after=after.taken_at,
                subject=subject,
                action=_action(was_name, now_name),
                before=was_name,
                after=now_name,
                fields=(),
                manager="",
                managed_at="",
            )


def audited(key: ObjectKey, start: datetime, end: datetime, audits: Sequence[TakenAudit]) -> tuple[str, ...]:
    """Who wrote an object from one time to another, in order: "alice: patch at 2026-07-01 09:00:00 UTC from 10.0.0.9 (kubectl/v1.36)"."""
    found = {
        change.id: change
        for taken in audits
        for change in taken.log.changes
        if change.done and start < change.at <= end and change.about(key)
    }
    return tuple(
        f"{change.actor}: {change.verb} at {change.at:%Y-%m-%d %H:%M:%S} UTC from {', '.join(change.source_ips)} ({change.user_agent})"
        for change in sorted(found.values(), key=lambda change: (change.at, change.id))
    )


def _action(before: object, after: object) -> Action:
    if before and after:
        return Action.CHANGED
    return Action.ADDED if after else Action.REMOVED


def _plugins(cni: CniReport) -> str:
    names = ", ".join(f"{plugin.name} {plugin.version}".strip() for plugin in cni.plugins)
    return f"{names or 'nothing recognised'}: {cni.enforcement.value}"


def managed_by(policy: CollectedObject) -> tuple[str, str]:
    """Who wrote last, and when, as managedFields say (manager, RFC 3339 time); ("", "") where they were not kept."""
    entries = policy.body.get("metadata", {}).get("managedFields") or []
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
