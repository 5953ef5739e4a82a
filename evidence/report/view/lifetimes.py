"""Findings over the period: the same fingerprint in several snapshots is one finding with a lifetime.

A finding that is not hit any more is closed only if its rule looked at everything in the newest snapshot; otherwise its state at
the end is not determined.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from evidence.findings.finding import Finding
from evidence.findings.registry import RunStatus
from evidence.report.view.inputs import SnapshotEvidence
from evidence.report.view.model import FindingState


@dataclass(frozen=True, slots=True)
class Lifetime:
    """`finding` is its newest appearance; `closed_at` the first snapshot in which its rule ran in full and did not hit it again."""

    finding: Finding
    state: FindingState
    first_seen: datetime
    since_start: bool
    last_seen: datetime
    closed_at: datetime | None
    times_seen: int


def lifetimes(snapshots: Sequence[SnapshotEvidence]) -> tuple[Lifetime, ...]:
    """One for each fingerprint: open ones first, then not determined, then closed; most severe first."""
    appearances: dict[str, dict[int, Finding]] = {}
    ran: list[Mapping[str, RunStatus]] = []
    for index, snapshot in enumerate(snapshots):
        ran.append({run.rule_id: run.status for run in snapshot.assessment.runs})
        for finding in snapshot.assessment.findings:
            appearances.setdefault(finding.fingerprint, {})[index] = finding
    found = [_lifetime(seen, snapshots, ran) for seen in appearances.values()]
    states = list(FindingState)
    return tuple(
        sorted(
            found,
            key=lambda life: (
                states.index(life.state),
                -life.finding.severity.rank,
                life.finding.rule_id,
                life.finding.subject,
                life.finding.discriminator,
            ),
        )
    )


def _lifetime(
    seen: Mapping[int, Finding], snapshots: Sequence[SnapshotEvidence], ran: Sequence[Mapping[str, RunStatus]]
) -> Lifetime:
    first, last = min(seen), max(seen)
    finding = seen[last]
    looked_again = [
        index for index in range(last + 1, len(snapshots)) if ran[index].get(finding.rule_id) is RunStatus.RAN
    ]
    newest = len(snapshots) - 1
    # Clean once is not clean at the end: it may have come back unseen.
    unhit = FindingState.CLOSED if newest in looked_again else FindingState.NOT_DETERMINED
    return Lifetime(
        finding=finding,
        state=FindingState.OPEN if last == newest else unhit,
        first_seen=snapshots[first].taken_at,
        since_start=first == 0,
        last_seen=snapshots[last].taken_at,
        closed_at=snapshots[looked_again[0]].taken_at if looked_again else None,
        times_seen=len(seen),
    )
