"""From inputs to the report's one value."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from evidence.errors import ReportError
from evidence.findings.finding import Severity
from evidence.findings.registry import RULES
from evidence.frameworks.course import courses
from evidence.frameworks.judge import ControlResult, Strength, Verdict
from evidence.intent.model import Review, Waiver
from evidence.report.view.access import access_view
from evidence.report.view.changes import changes
from evidence.report.view.exposure import exposure
from evidence.report.view.flows import class_flows, namespace_matrix, zone_matrix
from evidence.report.view.inputs import ReportInputs
from evidence.report.view.lifetimes import Lifetime, lifetimes
from evidence.report.view.method import OWN_NODE, computed_on, method
from evidence.report.view.model import (
    FORMAT,
    ControlView,
    Cover,
    EvidenceItem,
    FindingState,
    FindingStretch,
    FindingView,
    PolicyObject,
    ReportView,
    ReviewView,
    Summary,
    VerdictStretch,
    WaiverState,
    WaiverView,
)
from evidence.report.view.objects import policy_objects
from evidence.report.view.observed import observed_view
from evidence.report.view.population import population
from evidence.report.view.probes import probe_rows, probe_runs

WORST_CONTROLS = 8
WORST_FINDINGS = 6


def build_view(inputs: ReportInputs) -> ReportView:
    """What the report says. Raises ReportError when the period holds no snapshot."""
    if not inputs.snapshots:
        raise ReportError(
            f"cluster {inputs.cluster}: no snapshot was taken from {inputs.period_start:%Y-%m-%d} to {last_day(inputs.period_end)}; "
            "choose another period, or collect first"
        )
    lives = lifetimes(inputs.snapshots)
    policies = policy_objects(inputs.snapshots)
    waivers = _waivers(inputs, lives)
    findings = _findings(inputs, lives, policies, waivers)
    controls = tuple(_controls(inputs))
    intent = inputs.newest.intent
    period = inputs.period_start, inputs.period_end
    probes = probe_runs(inputs.probed, *period)
    return ReportView(
        format=FORMAT,
        cover=_cover(inputs),
        summary=_summary(inputs, controls, findings),
        method=method(
            inputs.snapshots[-1],
            inputs.newest,
            day_after(inputs.period_end),
            flow_logs=len(inputs.logs),
            probe_runs=len(probes),
            more=unfinished(inputs),
        ),
        population=population(inputs, lives),
        controls=controls,
        not_assessed=inputs.framework.not_assessed,
        findings=findings,
        waivers=waivers,
        reviews=tuple(_review(review, inputs) for review in intent.reviews) if intent else (),
        probes=probes,
        zone_flows=zone_matrix(inputs.newest.reach, inputs.newest.zones, intent) if intent else None,
        namespace_flows=namespace_matrix(inputs.newest.reach),
        exposure=exposure(inputs.newest.reach),
        observed=observed_view(inputs),
        access=access_view(inputs.newest.reach.cluster, intent, inputs.snapshots[-1].kinds),
        changes=changes(inputs.snapshots, inputs.audits),
        policies=policies,
        class_flows=class_flows(inputs.newest.reach),
        probe_rows=probe_rows(inputs.probed, *period),
    )


# -- cover and summary ------------------------------------------------------------------------------------------------


def last_day(period_end: datetime) -> date:
    """The last day inside a period whose end is exclusive."""
    return (period_end - timedelta(microseconds=1)).astimezone(UTC).date()


def day_after(period_end: datetime) -> date:
    return last_day(period_end) + timedelta(days=1)


def unfinished(inputs: ReportInputs) -> tuple[str, ...]:
    """What to say of a period that was not over when the report was made."""
    if inputs.generated_at >= inputs.period_end:
        return ()
    until = f"{inputs.generated_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return (f"The period was not over when this report was made: it says nothing of the time after {until}.",)


def pack_id(framework_short: str, cluster: str, start: datetime, end: datetime) -> str:
    """ "pci_prod_2026-07-01_2026-09-30": the pack's name and the name of its folder."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", cluster).strip(".-") or "cluster"
    return f"{framework_short}_{name}_{start.astimezone(UTC):%Y-%m-%d}_{last_day(end)}"


def _cover(inputs: ReportInputs) -> Cover:
    newest = inputs.snapshots[-1].source
    return Cover(
        pack_id=pack_id(inputs.framework.short, inputs.cluster, inputs.period_start, inputs.period_end),
        framework_id=inputs.framework.id,
        framework=inputs.framework.title,
        framework_version=inputs.framework.version,
        framework_short=inputs.framework.short,
        baseline=inputs.baseline or "",
        organisation=inputs.organisation,
        system=inputs.newest.intent.system.system if inputs.newest.intent else "",
        cluster=inputs.cluster,
        cluster_uid=newest.cluster_uid,
        server_version=newest.server_version,
        period_start=inputs.period_start,
        period_end=inputs.period_end,
        generated_at=inputs.generated_at,
        software_version=inputs.software_version,
        sample=inputs.sample,
        signer=inputs.signer,
    )


def _summary(inputs: ReportInputs, controls: Sequence[ControlView], findings: Sequence[FindingView]) -> Summary:
    verdicts = Counter(control.verdict for control in controls)
    unsettled = [finding for finding in findings if finding.state is FindingState.OPEN]
    severities = Counter(finding.severity for finding in unsettled)
    strengths = Counter(control.strength for control in controls if control.verdict is Verdict.SUPPORTED)
    rank = {finding.fingerprint: finding.severity.rank for finding in findings}
    refuted = [control for control in controls if control.verdict is Verdict.REFUTED]
    refuted.sort(key=lambda control: -max((rank.get(fingerprint, 0) for fingerprint in control.findings), default=0))
    return Summary(
        verdicts={verdict.value: verdicts[verdict] for verdict in Verdict},
        open_findings={severity.value: severities[severity] for severity in Severity},
        closed_findings=sum(finding.state is FindingState.CLOSED for finding in findings),
        undetermined_findings=sum(finding.state is FindingState.NOT_DETERMINED for finding in findings),
        accepted_findings=sum(bool(finding.waiver) for finding in unsettled),
        strengths={strength.value: strengths[strength] for strength in Strength},
        worst_controls=tuple(control.id for control in refuted[:WORST_CONTROLS]),
        worst_findings=tuple(finding.fingerprint for finding in unsettled[:WORST_FINDINGS]),
        statements=(OWN_NODE, computed_on(inputs.snapshots[-1]), *unfinished(inputs)),
    )


# -- results ----------------------------------------------------------------------------------------------------------


def _controls(inputs: ReportInputs) -> Iterable[ControlView]:
    catalogue = {control.id: control for control in inputs.framework.controls}
    by_snapshot: list[Mapping[str, ControlResult]] = [
        {result.control_id: result for result in snapshot.results} for snapshot in inputs.snapshots
    ]
    course = courses([(snapshot.taken_at, snapshot.results) for snapshot in inputs.snapshots])
    for result in inputs.results:
        control = catalogue[result.control_id]
        over_time = course[control.id]
        yield ControlView(
            id=control.id,
            title=control.title,
            summary=control.summary,
            cadence=control.cadence,
            verdict=result.verdict,
            strength=result.strength,
            at_start=over_time.start,
            at_worst=over_time.worst[0].verdict,
            at_end=over_time.end,
            worst_seconds=int(over_time.worst_for.total_seconds()),
            worst_stretches=tuple(VerdictStretch(each.verdict, each.start, each.end) for each in over_time.worst),
            reasons=result.reasons,
            findings=result.findings,
            related=result.related,
            also_needed=result.also_needed,
            tool_can_show=control.tool_can_show,
            tool_cannot_show=control.tool_cannot_show,
            history=tuple(results[control.id].verdict for results in by_snapshot if control.id in results),
        )


def _findings(
    inputs: ReportInputs, lives: Iterable[Lifetime], policies: Iterable[PolicyObject], waivers: Iterable[WaiverView]
) -> tuple[FindingView, ...]:
    files = {(policy.group, policy.object, policy.digest): policy.file for policy in policies}
    refutes: dict[str, list[str]] = {}
    for result in inputs.results:
        for fingerprint in result.findings:
            refutes.setdefault(fingerprint, []).append(result.control_id)
    accepted = {
        fingerprint: waiver.id
        for waiver in waivers
        if waiver.state is WaiverState.IN_FORCE
        for fingerprint in waiver.findings
    }
    return tuple(_finding(life, files, refutes, accepted) for life in lives)


def _finding(
    life: Lifetime,
    files: Mapping[tuple[str, str, str], str],
    refutes: Mapping[str, Sequence[str]],
    accepted: Mapping[str, str],
) -> FindingView:
    finding, rule = life.finding, RULES[life.finding.rule_id]
    return FindingView(
        fingerprint=finding.fingerprint,
        rule_id=finding.rule_id,
        title=rule.title,
        family=rule.family,
        severity=finding.severity,
        subject=str(finding.subject),
        message=finding.message,
        details=finding.details,
        why=rule.why,
        mend=rule.mend,
        suggestion=finding.suggestion,
        zones=finding.zones,
        classifications=tuple(sorted(classification.value for classification in finding.classifications)),
        evidence=tuple(
            EvidenceItem(
                object=str(item.key),
                digest=item.digest,
                detail=item.detail,
                source=item.source,
                file=files.get((item.key.group, str(item.key), item.digest), ""),
            )
            for item in finding.evidence
        ),
        state=life.state,
        first_seen=life.first_seen,
        since_start=life.since_start,
        last_seen=life.last_seen,
        closed_at=life.closed_at,
        times_seen=life.times_seen,
        open_seconds=int(life.open_for.total_seconds()),
        stretches=tuple(FindingStretch(each.opened_at, each.since_before, each.ended_at) for each in life.spells),
        refutes=tuple(refutes.get(finding.fingerprint, ())),
        waiver=accepted.get(finding.fingerprint, ""),
    )


def _waivers(inputs: ReportInputs, lives: Sequence[Lifetime]) -> tuple[WaiverView, ...]:
    intent = inputs.newest.intent
    return tuple(_waiver(waiver, inputs, lives) for waiver in intent.waivers) if intent else ()


def _waiver(waiver: Waiver, inputs: ReportInputs, lives: Sequence[Lifetime]) -> WaiverView:
    covered = tuple(
        life.finding.fingerprint
        for life in lives
        if life.finding.rule_id == waiver.rule_id and str(life.finding.subject) == waiver.subject
    )
    unexpired = WaiverState.IN_FORCE if covered else WaiverState.UNUSED
    expired = waiver.expires < last_day(inputs.period_end)
    return WaiverView(
        id=waiver.id,
        rule_id=waiver.rule_id,
        subject=waiver.subject,
        approver=waiver.approver,
        reason=waiver.reason,
        compensating_control=waiver.compensating_control,
        expires=waiver.expires,
        state=WaiverState.EXPIRED if expired else unexpired,
        findings=covered,
    )


def _review(review: Review, inputs: ReportInputs) -> ReviewView:
    start, end = inputs.period_start.date(), last_day(inputs.period_end)
    return ReviewView(
        id=review.id,
        kind=review.kind,
        performed_on=review.performed_on,
        performed_by=review.performed_by,
        covers=review.covers,
        reference=review.reference,
        in_period=start <= review.performed_on <= end,
    )
