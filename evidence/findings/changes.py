"""Findings that came and went from one assessment to another.

A finding is the same one while its fingerprint is. It came for certain only where its rule had looked at everything before, and went for certain
only where its rule looks at everything after; else a doubt says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from evidence.findings.finding import Finding
from evidence.findings.registry import Assessment, RuleRun, RunStatus


@dataclass(frozen=True, slots=True)
class FindingChange:
    """`came` or went; `doubt`: why that may be no change, "" for none."""

    finding: Finding
    came: bool
    doubt: str = ""


def finding_changes(before: Assessment, after: Assessment) -> tuple[FindingChange, ...]:
    """Those that came, then those that went; most severe first."""
    old, new = ({finding.fingerprint: finding for finding in each.findings} for each in (before, after))
    came = [
        FindingChange(found, True, _doubt(found, before, "may have been there before"))
        for fingerprint, found in new.items()
        if fingerprint not in old
    ]
    went = [
        FindingChange(found, False, _doubt(found, after, "may still be there"))
        for fingerprint, found in old.items()
        if fingerprint not in new
    ]
    return tuple(
        sorted(
            came + went,
            key=lambda change: (
                not change.came,
                -change.finding.severity.rank,
                change.finding.rule_id,
                change.finding.subject,
                change.finding.discriminator,
            ),
        )
    )


def _doubt(finding: Finding, assessment: Assessment, what: str) -> str:
    runs: Mapping[str, RuleRun] = {run.rule_id: run for run in assessment.runs}
    run = runs[finding.rule_id]
    return "" if run.status is RunStatus.RAN else f"{what}: the rule {_ran(run)}"


def _ran(run: RuleRun) -> str:
    return f"{'did not run' if run.status is RunStatus.NOT_RUN else 'ran in part'} ({run.reason})"
