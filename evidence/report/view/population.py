"""Population and completeness: what was looked at, by whom, when, and what could not be read; clean rules as well as hits."""

from collections import Counter
from collections.abc import Mapping, Sequence

from evidence.cluster.objects import KindResult, KindStatus
from evidence.findings.registry import RULES, RuleRun, RunStatus
from evidence.frameworks.coverage import coverage_so_far
from evidence.report.view.inputs import ReportInputs, SnapshotEvidence
from evidence.report.view.lifetimes import Lifetime
from evidence.report.view.model import (
    CoverageView,
    FindingState,
    Gap,
    KindView,
    Population,
    RuleView,
    SnapshotView,
)


def population(inputs: ReportInputs, lives: Sequence[Lifetime]) -> Population:
    newest = inputs.snapshots[-1]
    return Population(
        snapshots=tuple(snapshot_view(snapshot) for snapshot in inputs.snapshots),
        kinds=tuple(_kind(kind, newest.source.method) for kind in newest.kinds),
        coverage=_coverage(inputs),
        runs=inputs.runs,
        rules=_rules(inputs.snapshots, lives),
    )


def snapshot_view(snapshot: SnapshotEvidence) -> SnapshotView:
    return SnapshotView(
        id=snapshot.id,
        taken_at=snapshot.taken_at,
        taken_at_claimed=snapshot.taken_at_claimed,
        received_at=snapshot.received_at,
        spooled=snapshot.spooled,
        root_digest=snapshot.root_digest,
        partial=snapshot.partial,
        objects=snapshot.object_count,
        policies=len(snapshot.policies),
        pods=snapshot.pod_count,
        namespaces=snapshot.namespace_count,
        findings=len(snapshot.assessment.findings),
        shortfalls=shortfalls(snapshot),
        method=snapshot.source.method,
        location=snapshot.source.location,
        source_identity=snapshot.source.identity,
        server_version=snapshot.source.server_version,
        software_version=snapshot.run.software_version,
        host=snapshot.run.host,
        identity=snapshot.run.identity,
        command=snapshot.run.command,
        configuration_digest=snapshot.run.configuration_digest,
        intent_digest=snapshot.intent_digest,
    )


def shortfalls(snapshot: SnapshotEvidence) -> tuple[str, ...]:
    """One sentence for each thing that is known to be missing from a snapshot."""
    refused = tuple(
        f"{kind.kind}: {kind.status.value}{': ' + kind.message if kind.message else ''}"
        for kind in snapshot.kinds
        if kind.status in (KindStatus.FORBIDDEN, KindStatus.FAILED)
    )
    return refused + tuple(f"{problem.where}: {problem.message}" for problem in snapshot.problems)


def _kind(kind: KindResult, method: str) -> KindView:
    what = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    asked = f"list {what}, all namespaces" if method == "api" else f"every {what} in the files"
    return KindView(
        kind=kind.kind,
        group=kind.group,
        query="none" if kind.status is KindStatus.NOT_KEPT else asked,
        status=kind.status.value,
        count=kind.count,
        resource_version=kind.resource_version,
        message=kind.message,
    )


def _coverage(inputs: ReportInputs) -> CoverageView:
    times = [snapshot.taken_at for snapshot in inputs.snapshots]
    start, end = inputs.period_start, inputs.period_end
    found = coverage_so_far(times, start, end, inputs.expected_every, inputs.generated_at)
    longest = found.longest
    return CoverageView(
        expected_every_seconds=int(inputs.expected_every.total_seconds()),
        snapshots=len(times),
        share=round(found.share, 4),
        covered_seconds=int(found.covered.total_seconds()),
        longest_gap=Gap(longest.start, longest.end) if longest else None,
        gaps=tuple(Gap(gap.start, gap.end) for gap in found.gaps),
        pruned=inputs.gone,
    )


def _rules(snapshots: Sequence[SnapshotEvidence], lives: Sequence[Lifetime]) -> tuple[RuleView, ...]:
    newest: Mapping[str, RuleRun] = {run.rule_id: run for run in snapshots[-1].assessment.runs}
    ran = Counter(
        run.rule_id for snapshot in snapshots for run in snapshot.assessment.runs if run.status is RunStatus.RAN
    )
    every = Counter(life.finding.rule_id for life in lives)
    still_open = Counter(life.finding.rule_id for life in lives if life.state is FindingState.OPEN)
    return tuple(
        RuleView(
            id=rule_id,
            title=RULES[rule_id].title,
            family=RULES[rule_id].family,
            severity=RULES[rule_id].severity,
            status=run.status,
            population=run.population,
            open_findings=still_open[rule_id],
            period_findings=every[rule_id],
            snapshots_run=ran[rule_id],
            reason=run.reason,
        )
        for rule_id, run in sorted(newest.items())
    )
