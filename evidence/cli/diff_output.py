"""How `evidence diff` writes: a table for people, JSON (evidence/pipeline/diff.schema.json) for machines."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import click

from evidence.cli import reach_diff
from evidence.cli.json_output import write_json
from evidence.cli.terminal import columns, line, wrapped
from evidence.findings.changes import FindingChange
from evidence.findings.registry import RULES
from evidence.observe.audit import AuditedChange
from evidence.observe.changes import ObjectChange, written_by
from evidence.pipeline import Difference, State

SIGNS = {"added": "+", "removed": "-", "changed": "~"}
INDENT = 4  # of what belongs to the line above


def write(found: Difference, output: str) -> None:
    if output == "json":
        write_json(document(found))
    else:
        for text in table(found):
            click.echo(text)


def table(found: Difference) -> Iterator[str]:
    """Four parts: objects, flows, findings, writes that left no difference; each with its counts."""
    width = columns()
    yield f"from {_snapshot_text(found.before.state)}"
    yield f"to   {_snapshot_text(found.after.state)}"
    for remark in found.remarks:
        yield wrapped(f"! {remark}", width, 2)
    yield ""
    yield f"Objects: {_counts(change.action for change in found.objects)}"
    for change in found.objects:
        yield from _object_lines(change, width)
    yield ""
    yield "Flows:"
    yield from reach_diff.table(found.flows, list(found.flows.rows()))
    yield ""
    yield f"Findings: {_counts('came' if change.came else 'went' for change in found.findings)}"
    for finding in found.findings:
        yield from _finding_lines(finding, width)
    yield ""
    yield from _audit_lines(found, width)


def _object_lines(change: ObjectChange, width: int) -> Iterator[str]:
    by = f"  (last written by {change.manager} at {change.managed_at})" if change.manager else ""
    yield line(f"{SIGNS[change.action]} {change.key}{by}")
    fields = ", ".join(change.fields) or "no field: it was written again as it was"
    said = [fields] if change.action == "changed" else []
    said += [written_by(write) for write in change.writes]
    said += [f"not certain: {doubt}" for doubt in change.doubts]
    for text in said:
        yield wrapped(" " * INDENT + line(text), width, INDENT)


def _finding_lines(change: FindingChange, width: int) -> Iterator[str]:
    finding = change.finding
    head = f"{'+' if change.came else '-'} {finding.severity.value:8} {finding.rule_id}  {finding.subject}"
    yield wrapped(head, width, INDENT)
    yield wrapped(" " * INDENT + line(finding.message), width, INDENT)
    if change.doubt:
        yield wrapped(" " * INDENT + line(f"not certain: {change.doubt}"), width, INDENT)


def _audit_lines(found: Difference, width: int) -> Iterator[str]:
    if not found.audits:
        yield "Audit logs: none of the time between was taken in (evidence import audit), so who asked is not known"
        return
    yield f"Audit logs: {len(found.audits)}, and {len(found.other_writes)} writes in them that left no difference"
    for write in found.other_writes:
        yield wrapped(f"{' ' * INDENT}{line(write.object)}: {line(written_by(write))}", width, INDENT)


def _counts(words: Iterator[str]) -> str:
    counted = Counter(words)
    return ", ".join(f"{number} {word}" for word, number in sorted(counted.items())) or "no change"


def _snapshot_text(state: State) -> str:
    info = state.info
    assert info is not None  # noqa: S101  (both are of the store)
    claimed = ", as claimed" if info.taken_at_claimed else ""
    partial = ", partial" if info.partial else ""
    spooled = f", spooled until {info.received_at:%Y-%m-%d %H:%M:%S}" if info.spooled else ""
    text = (
        f"snapshot {info.id} of {info.cluster}, taken {info.taken_at:%Y-%m-%d %H:%M:%S} UTC{claimed}{spooled}{partial}"
    )
    return line(f"{text}, {info.object_count} objects, root {info.root_digest[:16]}")


def document(found: Difference) -> dict[str, Any]:
    """The whole difference for JSON."""
    flows = reach_diff.document(found.flows, list(found.flows.rows()), "before", "after")
    return {
        "before": _snapshot(found.before.state),
        "after": _snapshot(found.after.state),
        "remarks": list(found.remarks),
        "objects": [
            {
                "object": _key(change.key),
                "change": change.action,
                "before": change.before or None,
                "after": change.after or None,
                "fields": list(change.fields),
                "manager": change.manager or None,
                "managed_at": change.managed_at or None,
                "writes": [_write(write) for write in change.writes],
                "doubts": list(change.doubts),
            }
            for change in found.objects
        ],
        "flows": {
            "computed_on": {side: flows[side]["computed_on"] for side in ("before", "after")},
            "changes": flows["changes"],
            "possible": flows["possible"],
        },
        "findings": [_finding(change) for change in found.findings],
        "audit_logs": [
            {
                "record": taken.record,
                "digest": taken.digest,
                "starts_at": taken.starts_at.isoformat(),
                "ends_at": taken.ends_at.isoformat(),
            }
            for taken in found.audits
        ],
        "other_writes": [{"object": _key(write.object), **_write(write)} for write in found.other_writes],
    }


def _snapshot(state: State) -> dict[str, Any]:
    info = state.info
    assert info is not None  # noqa: S101  (both are of the store)
    return {
        "id": info.id,
        "cluster": info.cluster,
        "taken_at": info.taken_at.isoformat(),
        "taken_at_claimed": info.taken_at_claimed,
        "spooled": info.spooled,
        "partial": info.partial,
        "objects": info.object_count,
        "root_digest": info.root_digest,
        "intent_digest": info.intent_digest or None,
    }


def _key(key: Any) -> dict[str, str]:
    return {"group": key.group, "kind": key.kind, "namespace": key.namespace, "name": key.name}


def _write(write: AuditedChange) -> dict[str, Any]:
    return {
        "user": write.user,
        "as_user": write.as_user or None,
        "verb": write.verb,
        "at": write.at.isoformat(),
        "source_ips": list(write.source_ips),
        "user_agent": write.user_agent,
    }


def _finding(change: FindingChange) -> dict[str, Any]:
    finding = change.finding
    return {
        "change": "came" if change.came else "went",
        "rule": finding.rule_id,
        "title": RULES[finding.rule_id].title,
        "severity": finding.severity.value,
        "subject": str(finding.subject),
        "message": finding.message,
        "zones": list(finding.zones),
        "fingerprint": finding.fingerprint,
        "doubt": change.doubt or None,
    }
