"""The overview: for each cluster of the store its last snapshot, what that lacks, how well the last month is covered, and what was found.

Findings and control results take an analysis, which is made elsewhere and handed in: the overview itself reads rows only.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from evidence.findings.finding import Severity
from evidence.frameworks.coverage import coverage
from evidence.frameworks.judge import Verdict
from evidence.frameworks.load import Framework
from evidence.pipeline.browse.findings import accepted_by
from evidence.pipeline.browse.snapshots import SnapshotRow, header_of, missing_from, snapshot_row
from evidence.pipeline.judging import Judging
from evidence.pipeline.states import Assessed
from evidence.store import Store
from evidence.store.describe import ClusterSummary

COVERED_DAYS = 30


@dataclass(frozen=True, slots=True)
class FrameworkCounts:
    """Controls of one framework by verdict, as of one snapshot alone. A pack judges a whole period, by its worst moment."""

    framework: str
    title: str
    verdicts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ClusterOutcome:
    """What the analysis of a cluster's last snapshot came to. `open_findings` by severity, accepted ones among them; `problem` says why there is
    no result, "" otherwise."""

    snapshot: int
    open_findings: Mapping[str, int]
    accepted_findings: int
    controls: tuple[FrameworkCounts, ...]
    problem: str


@dataclass(frozen=True, slots=True)
class CoverageView:
    """How much of the last 30 days (or of the time since the first snapshot) the snapshots cover, from 0 to 1, when one is due every
    `expected_every_seconds`."""

    start: datetime
    end: datetime
    expected_every_seconds: float
    share: float
    gaps: int
    longest_gap_seconds: float


@dataclass(frozen=True, slots=True)
class ClusterView:
    """One cluster. `last` is its newest snapshot and `age_seconds` the time since it was taken; `outcome` is null while that snapshot has not
    been analysed."""

    name: str
    snapshots: int
    partial_snapshots: int
    failed_runs: int
    records: int
    last: SnapshotRow
    age_seconds: float
    shortfalls: tuple[str, ...]
    coverage: CoverageView
    outcome: ClusterOutcome | None


@dataclass(frozen=True, slots=True)
class Overview:
    """All clusters that have a snapshot, by name."""

    at: datetime
    clusters: tuple[ClusterView, ...]


def overview(store: Store, now: datetime, expect_every: timedelta, outcomes: Mapping[str, ClusterOutcome]) -> Overview:
    """`outcomes` by cluster; one of an older snapshot does not count."""
    found = [each for each in store.describe().clusters if each.last_taken_at is not None]
    return Overview(now, tuple(_cluster(store, each, now, expect_every, outcomes.get(each.name)) for each in found))


def _cluster(
    store: Store, summary: ClusterSummary, now: datetime, expect_every: timedelta, outcome: ClusterOutcome | None
) -> ClusterView:
    (last,) = store.newest(summary.name, 1)
    end = max(now, last.taken_at + timedelta(microseconds=1))
    start = max(summary.first_taken_at or last.taken_at, end - timedelta(days=COVERED_DAYS))
    times = [info.taken_at for info in store.snapshots(summary.name, start, end)]
    covered = coverage(times, start, end, expect_every)
    longest = max((gap.end - gap.start for gap in covered.gaps), default=timedelta())
    return ClusterView(
        name=summary.name,
        snapshots=summary.snapshots,
        partial_snapshots=summary.partial,
        failed_runs=summary.failed_runs,
        records=summary.records,
        last=snapshot_row(last),
        age_seconds=max(0.0, (now - last.taken_at).total_seconds()),
        shortfalls=missing_from(header_of(store, last.id)),
        coverage=CoverageView(
            start,
            end,
            expect_every.total_seconds(),
            covered.share,
            len(covered.gaps),
            longest.total_seconds(),
        ),
        outcome=outcome if outcome is not None and outcome.snapshot == last.id else None,
    )


def outcome_of(assessed: Assessed, frameworks: Iterable[Framework]) -> ClusterOutcome:
    """What an analysed snapshot came to."""
    info = assessed.state.info
    assert info is not None  # noqa: S101  (only snapshots of the store are looked at)
    findings = assessed.assessment.findings
    severities = Counter(finding.severity for finding in findings)
    accepted = accepted_by(assessed.state.intent, info.taken_at)
    counts = []
    for framework in frameworks:
        results = Judging(framework, None, assessed.state.collection.source).results(assessed)
        verdicts = Counter(result.verdict for result in results)
        title = f"{framework.title} {framework.version}"
        counts.append(
            FrameworkCounts(framework.short, title, {verdict.value: verdicts[verdict] for verdict in Verdict})
        )
    return ClusterOutcome(
        snapshot=info.id,
        open_findings={severity.value: severities[severity] for severity in Severity},
        accepted_findings=sum((finding.rule_id, str(finding.subject)) in accepted for finding in findings),
        controls=tuple(counts),
        problem="",
    )


def no_outcome(snapshot: int, problem: str) -> ClusterOutcome:
    """For a snapshot that could not be analysed."""
    return ClusterOutcome(snapshot, {}, 0, (), problem)
