"""Findings over the period: the same fingerprint in several snapshots is one finding with a lifetime.

When it was open, and its state at the end, are those of a history (`evidence.findings.spells`): a finding that is not hit any more is closed
only if its rule looked at everything in the newest snapshot; otherwise its state at the end is not determined.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from evidence.findings.finding import Finding
from evidence.findings.registry import Assessment
from evidence.findings.spells import Spell, Spells
from evidence.report.view.inputs import SnapshotEvidence
from evidence.report.view.model import FindingState


@dataclass(frozen=True, slots=True)
class Lifetime:
    """`finding` is its newest appearance; `closed_at` the first snapshot after it in which its rule ran in full and did not hit it again;
    `open_for`: all of `spells` together, to the newest snapshot where they are not closed."""

    finding: Finding
    state: FindingState
    first_seen: datetime
    since_start: bool
    last_seen: datetime
    closed_at: datetime | None
    times_seen: int
    open_for: timedelta
    spells: tuple[Spell, ...]


def lifetimes(snapshots: Sequence[SnapshotEvidence]) -> tuple[Lifetime, ...]:
    """One for each fingerprint: open ones first, then not determined, then closed; most severe first."""
    spells = Spells()
    for snapshot in snapshots:
        spells.look(snapshot.taken_at, snapshot.assessment)
    seen = _times_seen(snapshots)
    start, end = snapshots[0].taken_at, snapshots[-1].taken_at
    return tuple(
        Lifetime(
            finding=history.finding,
            state=FindingState(history.state.value),
            first_seen=history.spells[0].opened_at,
            since_start=history.spells[0].opened_at == start,
            last_seen=history.spells[-1].last_seen,
            closed_at=history.spells[-1].ended_at,
            times_seen=seen[history.finding.fingerprint],
            open_for=history.open_for(end),
            spells=history.spells,
        )
        for history in spells.histories()
    )


def _times_seen(snapshots: Sequence[SnapshotEvidence]) -> dict[str, int]:
    """Snapshots by the fingerprint that they have. Neighbours mostly share their assessment."""
    seen: dict[str, int] = {}
    fingerprints: list[str] = []
    before: Assessment | None = None
    for snapshot in snapshots:
        if snapshot.assessment is not before:
            before = snapshot.assessment
            fingerprints = [finding.fingerprint for finding in before.findings]
        for fingerprint in dict.fromkeys(fingerprints):
            seen[fingerprint] = seen.get(fingerprint, 0) + 1
    return seen
