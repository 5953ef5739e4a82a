"""What changed between neighbouring snapshots of the period: policies, what they hang on, rights to change them, the intent file, the
network plug-in."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from evidence.cni.detect import CniReport
from evidence.observe.audit import TakenAudit
from evidence.observe.changes import audited, object_changes
from evidence.report.view.inputs import SnapshotEvidence
from evidence.report.view.model import Action, Change


def changes(snapshots: Sequence[SnapshotEvidence], audits: Sequence[TakenAudit] = ()) -> tuple[Change, ...]:
    """All changes, oldest first; within a window objects by key, then intent and plug-in. `audits` tell who made them."""
    return tuple(change for before, after in pairwise(snapshots) for change in _between(before, after, audits))


def _between(before: SnapshotEvidence, after: SnapshotEvidence, audits: Sequence[TakenAudit]) -> Iterator[Change]:
    policies = {policy.key for policy in (*before.policies, *after.policies)}
    for change in object_changes((*before.policies, *before.beside), (*after.policies, *after.beside)):
        if change.action == "changed" and not change.fields and change.key not in policies:
            continue  # written again as it was
        yield Change(
            after_snapshot=before.id,
            in_snapshot=after.id,
            not_before=before.taken_at,
            not_after=after.taken_at,
            subject=str(change.key),
            action=Action(change.action),
            before=change.before,
            after=change.after,
            fields=change.fields,
            manager=change.manager,
            managed_at=change.managed_at,
            audited=audited(change.key, before.taken_at, after.taken_at, audits),
        )
    for subject, was_name, now_name in (
        ("Intent file", before.intent_digest, after.intent_digest),
        ("Network plug-in", plugins_text(before.cni), plugins_text(after.cni)),
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


def _action(before: object, after: object) -> Action:
    if before and after:
        return Action.CHANGED
    return Action.ADDED if after else Action.REMOVED


def plugins_text(cni: CniReport) -> str:
    """The plugins that were recognised, and whether they enforce."""
    names = ", ".join(f"{plugin.name} {plugin.version}".strip() for plugin in cni.plugins)
    return f"{names or 'nothing recognised'}: {cni.enforcement.value}"
