"""What a report says: one frozen value that HTML, PDF, JSON and CSV all render, so that they cannot disagree.

evidence.json is this value, field by field; `evidence.report.document` derives its JSON Schema from these classes, docstrings
included. Fields marked OUTSIDE_JSON are full rows that go into files of their own under data/. All times are UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from evidence.cni.detect import Enforcement
from evidence.findings.finding import Severity
from evidence.findings.registry import RunStatus
from evidence.frameworks.judge import Strength, Verdict
from evidence.report.view.inputs import ScheduledRun, SignerIdentity
from evidence.report.view.observed import ObservedView
from evidence.report.view.probes import ProbeRow, ProbeRunView

FORMAT = "evidence-pack/1"
OUTSIDE_JSON = {"outside_json": True}


# -- who, what, when --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cover:
    """Identity of the pack. `period_end` is exclusive; `sample` marks sample data that describes no real cluster."""

    pack_id: str
    framework_id: str
    framework: str
    framework_version: str
    framework_short: str
    baseline: str
    organisation: str
    system: str
    cluster: str
    cluster_uid: str
    server_version: str
    period_start: datetime
    period_end: datetime
    generated_at: datetime
    software_version: str
    sample: bool
    signer: SignerIdentity | None


@dataclass(frozen=True, slots=True)
class Summary:
    """One page for a reader in a hurry. `verdicts` counts controls, `open_findings` by severity; `worst_controls` are ids of refuted
    controls, `worst_findings` fingerprints, both worst first; `strengths` counts supported controls by strength."""

    verdicts: Mapping[str, int]
    open_findings: Mapping[str, int]
    closed_findings: int
    undetermined_findings: int
    accepted_findings: int
    strengths: Mapping[str, int]
    worst_controls: tuple[str, ...]
    worst_findings: tuple[str, ...]
    statements: tuple[str, ...]


# -- scope and method -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ZoneView:
    """A zone as its owner declared it; `pods` counts those in it in the newest snapshot."""

    name: str
    classification: str
    description: str
    members: tuple[str, ...]
    networks: tuple[str, ...]
    pods: int


@dataclass(frozen=True, slots=True)
class ApprovedFlowView:
    """A flow between zones that its owner approved. `overdue`: its review date lies before the end of the period."""

    id: str
    source: str
    destination: str
    ports: str
    justification: str
    owner: str
    review_by: date | None
    overdue: bool


@dataclass(frozen=True, slots=True)
class PluginView:
    """A network plug-in as recognised, with the signs it was recognised by. `agents` is "ready/desired", "" when unknown."""

    name: str
    version: str
    mode: str
    enforces: bool | None
    agents: str
    unready_nodes: tuple[str, ...]
    signals: tuple[str, ...]
    features: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Method:
    """How the results were reached and what they cannot show."""

    zones: tuple[ZoneView, ...]
    approved_flows: tuple[ApprovedFlowView, ...]
    pods_without_zone: int
    scope_problems: tuple[str, ...]
    enforcement: Enforcement
    enforcement_reasons: tuple[str, ...]
    plugins: tuple[PluginView, ...]
    unhealthy_nodes: tuple[str, ...]
    policies_evaluated: int
    policies_total: int
    not_evaluated: tuple[str, ...]
    qualifications: tuple[str, ...]


# -- population and completeness --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SnapshotView:
    """One snapshot of the period with its chain of custody. `taken_at_claimed`: somebody told the time, the collector did not see it.

    `spooled`: it waited on the collector's disk until the store took it in, at `received_at`.
    """

    id: int
    taken_at: datetime
    taken_at_claimed: bool
    received_at: datetime
    spooled: bool
    root_digest: str
    partial: bool
    objects: int
    policies: int
    pods: int
    namespaces: int
    findings: int
    shortfalls: tuple[str, ...]
    method: str
    location: str
    source_identity: str
    server_version: str
    software_version: str
    host: str
    identity: str
    command: str
    configuration_digest: str
    intent_digest: str


@dataclass(frozen=True, slots=True)
class KindView:
    """How the newest snapshot's listing of one kind went; `query` is what was asked."""

    kind: str
    group: str
    query: str
    status: str
    count: int
    resource_version: str
    message: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of the period without a snapshot for longer than one was due."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class CoverageView:
    """How much of the period the snapshots cover, from 0 to 1, when one is due every `expected_every_seconds`, as far as it was over when the
    report was made. `longest_gap`: the first one of several as long. `pruned`: a sentence on snapshots that were dropped by retention and cover
    nothing any more, "" without any."""

    expected_every_seconds: int
    snapshots: int
    share: float
    covered_seconds: int
    longest_gap: Gap | None
    gaps: tuple[Gap, ...]
    pruned: str


@dataclass(frozen=True, slots=True)
class RuleView:
    """One finding rule in the newest snapshot (also when it found nothing), and over the period."""

    id: str
    title: str
    family: str
    severity: Severity
    status: RunStatus
    population: int
    open_findings: int
    period_findings: int
    snapshots_run: int
    reason: str


@dataclass(frozen=True, slots=True)
class Population:
    """What was looked at, how completely, and when."""

    snapshots: tuple[SnapshotView, ...]
    kinds: tuple[KindView, ...]
    coverage: CoverageView
    runs: tuple[ScheduledRun, ...]
    rules: tuple[RuleView, ...]


# -- results ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VerdictStretch:
    """From the first snapshot with a verdict to the first with another, or to the last one of the period."""

    verdict: Verdict
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class ControlView:
    """The period's result for one control. `findings` refute it, `related` are context (both fingerprints). The verdicts of its snapshots:
    the first one's, the last one's, the worst (for how many seconds in all, and in which stretches), and each, oldest first (`history`)."""

    id: str
    title: str
    summary: str
    cadence: str
    verdict: Verdict
    strength: Strength | None
    at_start: Verdict
    at_worst: Verdict
    at_end: Verdict
    worst_seconds: int
    worst_stretches: tuple[VerdictStretch, ...]
    reasons: tuple[str, ...]
    findings: tuple[str, ...]
    related: tuple[str, ...]
    also_needed: tuple[str, ...]
    tool_can_show: str
    tool_cannot_show: str
    history: tuple[Verdict, ...]


class FindingState(StrEnum):
    """Of a finding at the end of the period. NOT_DETERMINED: not hit, but its rule could not look at everything any more."""

    OPEN = "open"
    NOT_DETERMINED = "not determined"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """An object that a finding rests on; `file` is its path in the pack, "" for kinds that are not included."""

    object: str
    digest: str
    detail: str
    source: str
    file: str


@dataclass(frozen=True, slots=True)
class FindingStretch:
    """A time in which a finding was open: from the first snapshot that has it to the first whose rule looked at everything and did not hit it
    (`ended_at`, null while there is none). `since_before`: it may have been open before, nobody looked at everything."""

    opened_at: datetime
    since_before: bool
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class FindingView:
    """One finding over the period, by fingerprint. `since_start`: it was there in the period's first snapshot, so it may be older.
    `open_seconds`: how long it was open in all within the period, to the last snapshot where it is not closed."""

    fingerprint: str
    rule_id: str
    title: str
    family: str
    severity: Severity
    subject: str
    message: str
    details: tuple[str, ...]
    why: str
    mend: str
    suggestion: str
    zones: tuple[str, ...]
    classifications: tuple[str, ...]
    evidence: tuple[EvidenceItem, ...]
    state: FindingState
    first_seen: datetime
    since_start: bool
    last_seen: datetime
    closed_at: datetime | None
    times_seen: int
    open_seconds: int
    stretches: tuple[FindingStretch, ...]
    refutes: tuple[str, ...]
    waiver: str


class WaiverState(StrEnum):
    IN_FORCE = "in force"
    EXPIRED = "expired"
    UNUSED = "no such finding"


@dataclass(frozen=True, slots=True)
class WaiverView:
    """An accepted finding; always printed. `findings` are the fingerprints it covers, `state` is that at the end of the period."""

    id: str
    rule_id: str
    subject: str
    approver: str
    reason: str
    compensating_control: str
    expires: date
    state: WaiverState
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReviewView:
    """A review or test that the owner recorded."""

    id: str
    kind: str
    performed_on: date
    performed_by: str
    covers: str
    reference: str
    in_period: bool


# -- flows ------------------------------------------------------------------------------------------------------------


class CellState(StrEnum):
    """Of a pair of groups. UNCERTAIN: no flow was computed, but something that was not evaluated could allow one.
    NOT_COMPUTED: one side has no members, or both are addresses outside the cluster."""

    OPEN = "open"
    PARTLY = "partly open"
    NONE = "none computed"
    UNCERTAIN = "not certain"
    NOT_COMPUTED = "not computed"


@dataclass(frozen=True, slots=True)
class FlowGroup:
    """A zone, a namespace, or the outside; `pods` is 0 for the outside and for zones of networks alone."""

    name: str
    classification: str
    pods: int


@dataclass(frozen=True, slots=True)
class FlowCell:
    """What may flow from one group to another. `share` of pairs (0 to 1) that may talk on some port, `ports` over all of them;
    `uncovered`: what of it no approved flow names ("" when everything is covered, or nothing was declared)."""

    source: str
    destination: str
    state: CellState
    share: float
    ports: str
    uncovered: str
    reason: str


@dataclass(frozen=True, slots=True)
class FlowMatrix:
    """Computed flows between `groups`, which are "zones" or "namespaces". A pair without a cell: none computed, and certain."""

    of: str
    groups: tuple[FlowGroup, ...]
    cells: tuple[FlowCell, ...]


@dataclass(frozen=True, slots=True)
class ClassFlow:
    """A computed flow between two classes of pods or address ranges, `source_pods` and `destination_pods` in number (0: addresses)."""

    source: str
    source_namespace: str
    source_pods: int
    destination: str
    destination_namespace: str
    destination_pods: int
    ports: str


@dataclass(frozen=True, slots=True)
class OpenDoor:
    """Pods of a workload that can be reached from outside the cluster: by which door, from where (and as whom policy sees it), on which of
    their ports, and the rules that admit it."""

    workload: str
    pods: int
    door: str
    origin: str
    ports: str
    admitted_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the outside can reach in the newest snapshot. `shut`: number of doors that policy leaves shut; `doubts`: why more may be open."""

    open: tuple[OpenDoor, ...]
    shut: int
    doubts: tuple[str, ...]


# -- who may change the rules, changes and raw objects ------------------------------------------------------------------------------------------


class Action(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class AccessRow:
    """One power of one subject over segmentation: in which namespaces (empty: everywhere), by which bindings, and the rights themselves."""

    subject: str
    standing: str
    power: str
    namespaces: tuple[str, ...]
    granted_by: tuple[str, ...]
    rights: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccessView:
    """Who may change the rules, in the newest snapshot. `unknown`: sentences on what of it is not known; `about`: what is not followed."""

    rows: tuple[AccessRow, ...]
    unknown: tuple[str, ...]
    about: str


@dataclass(frozen=True, slots=True)
class Change:
    """One change between two neighbouring snapshots. `fields` are the paths that differ; `manager` and `managed_at` come from
    managedFields where kept, and `after`/`before` (digests or names) are "" when there was nothing. `audited`: who wrote it between the two, as
    imported audit logs say."""

    after_snapshot: int
    in_snapshot: int
    not_before: datetime
    not_after: datetime
    subject: str
    action: Action
    before: str
    after: str
    fields: tuple[str, ...]
    manager: str
    managed_at: str
    audited: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyObject:
    """A policy object as collected. The SHA-256 of `file` is `digest`. `current`: in the newest snapshot; `evaluated`: by the
    reachability analysis."""

    object: str
    kind: str
    group: str
    namespace: str
    name: str
    digest: str
    file: str
    current: bool
    evaluated: bool
    first_seen: datetime
    last_seen: datetime
    body: Mapping[str, Any] = field(metadata=OUTSIDE_JSON)


@dataclass(frozen=True, slots=True)
class ReportView:
    """Everything one report says about one cluster over one period, for one framework."""

    format: str
    cover: Cover
    summary: Summary
    method: Method
    population: Population
    controls: tuple[ControlView, ...]
    not_assessed: tuple[str, ...]
    findings: tuple[FindingView, ...]
    waivers: tuple[WaiverView, ...]
    reviews: tuple[ReviewView, ...]
    probes: tuple[ProbeRunView, ...]
    zone_flows: FlowMatrix | None
    namespace_flows: FlowMatrix
    exposure: Exposure
    observed: ObservedView | None
    access: AccessView
    changes: tuple[Change, ...]
    policies: tuple[PolicyObject, ...]
    class_flows: tuple[ClassFlow, ...] = field(metadata=OUTSIDE_JSON)
    probe_rows: tuple[ProbeRow, ...] = field(metadata=OUTSIDE_JSON)
