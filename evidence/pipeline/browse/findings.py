"""Findings of one snapshot, as of its own time: a filtered list, and one with its explanation, what mends it, and what it rests on.

A waiver changes what is shown, never the result: an accepted finding stays open.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from evidence.errors import NotThereError
from evidence.findings.finding import Finding, Severity
from evidence.findings.registry import RULES, RunStatus
from evidence.intent.model import Intent, Waiver
from evidence.pipeline.browse.paging import Paging, page_of
from evidence.pipeline.browse.snapshots import SnapshotRow, snapshot_row
from evidence.pipeline.states import Assessed


@dataclass(frozen=True, slots=True)
class WaiverView:
    """Why a finding is accepted, by whom and until when (the end of the day `expires`)."""

    id: str
    approver: str
    reason: str
    compensating_control: str
    expires: date


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding in a list; `accepted` is the id of the waiver in force that accepts it, "" for none."""

    fingerprint: str
    rule_id: str
    title: str
    severity: Severity
    subject: str
    namespace: str
    zones: tuple[str, ...]
    message: str
    accepted: str


@dataclass(frozen=True, slots=True)
class RuleRunRow:
    """A rule that could not look at everything, and why: that it found nothing shows nothing."""

    rule_id: str
    title: str
    status: RunStatus
    reason: str


@dataclass(frozen=True, slots=True)
class FindingChoices:
    """What there is to filter by in this snapshot."""

    rules: tuple[str, ...]
    severities: tuple[str, ...]
    namespaces: tuple[str, ...]
    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FindingList:
    """Findings of a snapshot as of the time it was taken, most severe first. `by_severity` counts all of the snapshot's; `not_whole` are the
    rules that did not run or ran in part."""

    snapshot: SnapshotRow
    by_severity: Mapping[str, int]
    findings: tuple[FindingRow, ...]
    paging: Paging
    choices: FindingChoices
    not_whole: tuple[RuleRunRow, ...]


@dataclass(frozen=True, slots=True)
class RestsOn:
    """An object that a finding rests on; `detail` is which part of it, `source` where it was read."""

    object: str
    digest: str
    detail: str
    source: str


@dataclass(frozen=True, slots=True)
class FindingView:
    """One finding. `why` is what its rule is about, `mend` what mends it in general, `suggestion` a change that was computed, "" for none."""

    snapshot: SnapshotRow
    finding: FindingRow
    why: str
    mend: str
    details: tuple[str, ...]
    suggestion: str
    rests_on: tuple[RestsOn, ...]
    waiver: WaiverView | None


@dataclass(frozen=True, slots=True)
class FindingFilter:
    """None: any. `namespace` and `zone` are those of the subject."""

    rule: str | None = None
    severity: str | None = None
    namespace: str | None = None
    zone: str | None = None

    def takes(self, row: FindingRow) -> bool:
        return (
            self.rule in (None, row.rule_id)
            and self.severity in (None, row.severity.value)
            and self.namespace in (None, row.namespace)
            and (self.zone is None or self.zone in row.zones)
        )


def accepted_by(intent: Intent | None, at: datetime) -> Mapping[tuple[str, str], Waiver]:
    """Waivers in force at a time, by the rule and the subject that they accept."""
    waivers = intent.waivers if intent else ()
    return {(waiver.rule_id, waiver.subject): waiver for waiver in waivers if at.date() <= waiver.expires}


def finding_list(assessed: Assessed, asked: FindingFilter, page: int) -> FindingList:
    """Raises UsageError for a page beyond the last one."""
    every = _rows(assessed)
    rows, where = page_of([row for row in every if asked.takes(row)], page)
    severities = Counter(row.severity for row in every)
    return FindingList(
        snapshot=_snapshot(assessed),
        by_severity={severity.value: severities[severity] for severity in Severity},
        findings=rows,
        paging=where,
        choices=FindingChoices(
            rules=tuple(sorted({row.rule_id for row in every})),
            severities=tuple(severity.value for severity in Severity if severities[severity]),
            namespaces=tuple(sorted({row.namespace for row in every if row.namespace})),
            zones=tuple(sorted({zone for row in every for zone in row.zones})),
        ),
        not_whole=tuple(
            RuleRunRow(run.rule_id, RULES[run.rule_id].title, run.status, run.reason)
            for run in assessed.assessment.runs
            if run.status is not RunStatus.RAN
        ),
    )


def finding_view(assessed: Assessed, fingerprint: str) -> FindingView:
    """Raises NotThereError when no finding of the snapshot has the fingerprint."""
    snapshot = _snapshot(assessed)
    for finding in assessed.assessment.findings:
        if finding.fingerprint == fingerprint:
            break
    else:
        raise NotThereError(f"snapshot {snapshot.id} has no finding {fingerprint}")
    rule = RULES[finding.rule_id]
    waiver = accepted_by(assessed.state.intent, snapshot.taken_at).get((finding.rule_id, str(finding.subject)))
    return FindingView(
        snapshot=snapshot,
        finding=_row(finding, waiver),
        why=rule.why,
        mend=rule.mend,
        details=finding.details,
        suggestion=finding.suggestion,
        rests_on=tuple(RestsOn(str(one.key), one.digest, one.detail, one.source) for one in finding.evidence),
        waiver=None
        if waiver is None
        else WaiverView(waiver.id, waiver.approver, waiver.reason, waiver.compensating_control, waiver.expires),
    )


def _snapshot(assessed: Assessed) -> SnapshotRow:
    info = assessed.state.info
    assert info is not None  # noqa: S101  (only snapshots of the store are looked at)
    return snapshot_row(info)


def _rows(assessed: Assessed) -> list[FindingRow]:
    accepted = accepted_by(assessed.state.intent, _snapshot(assessed).taken_at)
    rows = [
        _row(finding, accepted.get((finding.rule_id, str(finding.subject)))) for finding in assessed.assessment.findings
    ]
    return sorted(rows, key=lambda row: -row.severity.rank)


def _row(finding: Finding, waiver: Waiver | None) -> FindingRow:
    subject = finding.subject
    return FindingRow(
        fingerprint=finding.fingerprint,
        rule_id=finding.rule_id,
        title=RULES[finding.rule_id].title,
        severity=finding.severity,
        subject=str(subject),
        namespace=subject.name if subject.kind == "Namespace" else subject.namespace,
        zones=finding.zones,
        message=finding.message,
        accepted=waiver.id if waiver else "",
    )
