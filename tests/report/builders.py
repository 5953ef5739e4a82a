"""A report's value by hand: small, whole, and easy to change in one place."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Any

from evidence.canonical import object_digest
from evidence.cni.detect import Enforcement
from evidence.findings.finding import Severity
from evidence.findings.registry import RunStatus
from evidence.frameworks.judge import Strength, Verdict
from evidence.report.view import ReportView, ScheduledRun, SignerIdentity
from evidence.report.view.model import (
    FORMAT,
    AccessRow,
    AccessView,
    Action,
    ApprovedFlowView,
    CellState,
    Change,
    ClassFlow,
    ControlView,
    Cover,
    CoverageView,
    EvidenceItem,
    Exposure,
    FindingState,
    FindingStretch,
    FindingView,
    FlowCell,
    FlowGroup,
    FlowMatrix,
    Gap,
    KindView,
    Method,
    OpenDoor,
    PluginView,
    PolicyObject,
    Population,
    ReviewView,
    RuleView,
    SnapshotView,
    Summary,
    VerdictStretch,
    WaiverState,
    WaiverView,
    ZoneView,
)
from evidence.report.view.observed import AuditedWrite, LoggedFlow, LogSource, ObservedView, Stretch
from evidence.report.view.probes import ProbeRow, ProbeRunView

START, END = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)
TAKEN = tuple(datetime(2026, month, day, 6, tzinfo=UTC) for month, day in ((7, 1), (7, 15), (8, 1), (8, 20), (9, 15)))
GAP = Gap(TAKEN[3] + timedelta(days=14), TAKEN[4])
COVERAGE = CoverageView(14 * 86400, 5, 0.8587, 79 * 86400, GAP, (GAP,), "")
GENERATED = datetime(2026, 10, 2, 9, 30, tzinfo=UTC)
SUGGESTION = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny
  namespace: payments
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
"""


def policy_object(
    namespace: str = "payments",
    name: str = "default-deny",
    *,
    current: bool = True,
    spec: Mapping[str, Any] | None = None,
) -> PolicyObject:
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "labels": {"team": "platform"}},
        "spec": dict(spec or {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
    }
    digest = object_digest(body)
    return PolicyObject(
        object=f"NetworkPolicy {namespace}/{name}",
        kind="NetworkPolicy",
        group="networking.k8s.io",
        namespace=namespace,
        name=name,
        digest=digest,
        file=f"data/objects/NetworkPolicy.networking.k8s.io/{digest[:24]}.json",
        current=current,
        evaluated=True,
        first_seen=TAKEN[1],
        last_seen=TAKEN[-1],
        body=body,
    )


POLICY = policy_object()
LOGGED = LoggedFlow(
    source="Deployment batch/report-runner",
    destination="StatefulSet payments/card-vault",
    port="TCP 8443",
    outcome="allowed",
    side="destination",
    connections=3,
    first=TAKEN[1],
    last=TAKEN[2],
    verdict="passed, computed as denied",
    reason="ingress: isolated by NetworkPolicy payments/default-deny, which does not allow it",
    rules=("NetworkPolicy payments/default-deny spec.ingress[0]",),
    log_policies=("CiliumNetworkPolicy payments/vault",),
)
PROBED = ProbeRunView(
    id="0a1b2c3d",
    started_at=TAKEN[2],
    finished_at=TAKEN[2],
    identity="system:serviceaccount:evidence:evidence-prober",
    tool_version="0.1.0",
    image="localhost/evidence-probe:0.1.0",
    seed=20260801,
    snapshot_root="ab" * 32,
    digest="cd" * 32,
    connections=211,
    as_computed=209,
    contradicting=1,
    not_determined=1,
    longest_passed_ms=420,
    class_pairs="100 of 121 (82 %)",
    cells="211 of 700 (30 %)",
    zone_pairs="6 of 6 (100 %)",
    nodes="3 of 3 (100 %)",
    not_covered=("1 classes of pods: on the host network",),
)
TRIED = ProbeRow(
    run="0a1b2c3d",
    source="batch/report-runner-1",
    destination="payments/card-vault-0",
    protocol="TCP",
    port=8443,
    ports="TCP 8443",
    allowed=False,
    egress="not isolated",
    ingress="isolated by NetworkPolicy payments/default-deny, which does not allow it",
    sent_by="stand-in pod",
    stand_in=False,
    attempts=31,
    seen="answered after 1 ms, 6001 ms after the start",
    outcome="open",
    judgement="contradicts",
    reason="",
    source_control="its node reached it from 10.0.0.1",
    listener_control="production/web-1 got through to it",
)
OBSERVED = ObservedView(
    sources=(
        LogSource(
            record=7,
            digest="cd" * 32,
            kind="flow log",
            title="Cilium Hubble",
            files=("flows.log (100 bytes, SHA-256 abab)",),
            starts_at=TAKEN[1],
            ends_at=TAKEN[3],
            taken_in_at=TAKEN[4],
            lines=12,
            used=8,
            left_out={"replies": 4},
            losses=("12 events (HUBBLE_RING_BUFFER) lost by the source",),
            notes=("Hubble shows what its export filter let through.",),
        ),
    ),
    stretches=(Stretch(TAKEN[1], TAKEN[3]),),
    connections={"allowed": 3},
    verdicts={"passed, computed as denied": 3},
    shown=(LOGGED,),
    flows=(LOGGED, replace(LOGGED, verdict="as computed", port="TCP 5432")),
    writes=(
        AuditedWrite(
            at=TAKEN[2],
            actor="alice as root",
            groups=("admins",),
            verb="patch",
            object="NetworkPolicy payments/default-deny",
            code=403,
            source_ips=("10.0.0.9",),
            user_agent="kubectl/v1.36",
        ),
    ),
)


def finding(
    fingerprint: str = "00112233445566aa",
    *,
    rule_id: str = "SEG-001",
    severity: Severity = Severity.HIGH,
    state: FindingState = FindingState.OPEN,
    subject: str = "Workload payments/card-vault",
    message: str = "4 pods of namespace batch may connect to TCP 8443, which no approved flow covers",
    **changes: Any,
) -> FindingView:
    one = FindingView(
        fingerprint=fingerprint,
        rule_id=rule_id,
        title="Flow between zones that nobody approved",
        family="crossing",
        severity=severity,
        subject=subject,
        message=message,
        details=(
            "batch/report-runner → payments/card-vault: TCP 8443",
            "batch/cleanup → payments/card-vault: TCP 8443",
        ),
        why="A connection that crosses zones without an approval is not part of the declared segmentation.",
        mend="Close the connection with a policy, or have the flow approved in segmentation.yaml.",
        suggestion=SUGGESTION,
        zones=("cde",),
        classifications=("cde",),
        evidence=(EvidenceItem(POLICY.object, POLICY.digest, "spec.ingress[0]", "dump.json:12", POLICY.file),),
        state=state,
        first_seen=TAKEN[0],
        since_start=True,
        last_seen=TAKEN[-1],
        closed_at=TAKEN[-1] if state is FindingState.CLOSED else None,
        times_seen=5,
        open_seconds=int((TAKEN[-1] - TAKEN[0]).total_seconds()),
        stretches=(FindingStretch(TAKEN[0], True, TAKEN[-1] if state is FindingState.CLOSED else None),),
        refutes=("1.3.1",),
        waiver="",
    )
    return replace(one, **changes)


def control(
    control_id: str = "1.3.1",
    verdict: Verdict = Verdict.REFUTED,
    *,
    findings: Sequence[str] = (),
    title: str = "Inbound traffic to the card data environment is limited",
    **changes: Any,
) -> ControlView:
    one = ControlView(
        id=control_id,
        title=title,
        summary="Only traffic that is needed may enter the card data environment; everything else is denied.",
        cadence="always",
        verdict=verdict,
        strength=Strength.COMPUTED if verdict is Verdict.SUPPORTED else None,
        at_start=verdict,
        at_worst=verdict,
        at_end=verdict,
        worst_seconds=int((TAKEN[-1] - TAKEN[0]).total_seconds()),
        worst_stretches=(VerdictStretch(verdict, TAKEN[0], TAKEN[-1]),),
        reasons=("a computed flow from batch reaches pods of zone cde",),
        findings=tuple(findings),
        related=(),
        also_needed=("the rule set's approval, examined by the assessor",),
        tool_can_show="which pods may connect to which, over all policies",
        tool_cannot_show="routers and firewalls outside the cluster",
        history=(verdict,) * len(TAKEN),
    )
    return replace(one, **changes)


def snapshot(number: int, taken: datetime, *, partial: bool = False) -> SnapshotView:
    return SnapshotView(
        id=number,
        taken_at=taken,
        taken_at_claimed=number % 2 == 1,
        spooled=number % 3 == 2,
        received_at=taken + timedelta(hours=2),
        root_digest=f"{number:064x}",
        partial=partial,
        objects=180 + number,
        policies=12 + number,
        pods=46,
        namespaces=9,
        findings=31,
        shortfalls=("CiliumNetworkPolicy: forbidden: list is not granted",) if partial else (),
        method="api",
        location="https://127.0.0.1:6443",
        source_identity="system:serviceaccount:evidence:collector",
        server_version="v1.31.2",
        software_version="0.1.0",
        host="runner-1",
        identity="evidence",
        command="collect",
        configuration_digest="ab" * 32,
        intent_digest="cd" * 32,
    )


def zone_matrix() -> FlowMatrix:
    return FlowMatrix(
        "zones",
        (
            FlowGroup("cde", "cde", 6),
            FlowGroup("shop", "connected-to", 18),
            FlowGroup("batch", "out-of-scope", 4),
            FlowGroup("outside the cluster", "", 0),
        ),
        (
            FlowCell("shop", "cde", CellState.PARTLY, 0.25, "TCP 8443", "", ""),
            FlowCell("batch", "cde", CellState.PARTLY, 0.1, "TCP 8443", "TCP 8443", ""),
            FlowCell("outside the cluster", "shop", CellState.OPEN, 1.0, "TCP 443", "TCP 443", ""),
            FlowCell("cde", "outside the cluster", CellState.PARTLY, 0.3333, "TCP 443", "", ""),
        ),
    )


def namespace_matrix() -> FlowMatrix:
    names = ("analytics", "batch", "ingress-nginx", "kube-system", "monitoring", "payments", "production")
    cells = tuple(
        FlowCell(a, b, CellState.PARTLY, round(((i * 7 + j * 3) % 10) / 10 + 0.05, 2), "TCP 443", "", "")
        for i, a in enumerate(names)
        for j, b in enumerate(names)
        if (i + j) % 3
    )
    doubt = FlowCell(
        "batch",
        "production",
        CellState.UNCERTAIN,
        0.0,
        "",
        "",
        "1 policy of kind CiliumNetworkPolicy was not evaluated",
    )
    shown = tuple(cell for cell in cells if (cell.source, cell.destination) != ("batch", "production"))
    return FlowMatrix("namespaces", tuple(FlowGroup(name, "", 5) for name in names), (*shown, doubt))


def view(
    *, findings: Iterable[FindingView] | None = None, controls: Iterable[ControlView] | None = None, **changes: Any
) -> ReportView:
    """A whole report of one quarter. `changes` replace fields of the view itself."""
    found = (
        tuple(findings) if findings is not None else (finding(), finding("ffeeddccbbaa9988", state=FindingState.CLOSED))
    )
    judged = (
        tuple(controls)
        if controls is not None
        else (
            control(findings=("00112233445566aa",)),
            control("1.2.7", Verdict.SUPPORTED, title="Rule sets are reviewed every six months"),
            control("11.4.5", Verdict.NOT_DETERMINED, title="Segmentation is tested every twelve months"),
            control("A1.1.2", Verdict.NOT_APPLICABLE, title="Customers of a hosting provider are separated"),
            control("9.1.1", Verdict.NOT_ASSESSED, title="Physical access is governed"),
        )
    )
    snapshots = tuple(snapshot(number, taken, partial=number == 4) for number, taken in enumerate(TAKEN, start=1))
    whole = ReportView(
        format=FORMAT,
        cover=Cover(
            pack_id="pci_shop_2026-07-01_2026-09-30",
            framework_id="pci-dss-4.0.1",
            framework="PCI DSS",
            framework_version="4.0.1",
            framework_short="pci",
            baseline="",
            organisation="Example Shop a. s.",
            system="Card payments",
            cluster="shop",
            cluster_uid="3f2b1c9e-0000-4000-8000-6d1f0e2a9b77",
            server_version="v1.31.2",
            period_start=START,
            period_end=END,
            generated_at=GENERATED,
            software_version="0.1.0",
            sample=True,
            signer=SignerIdentity("Example Shop evidence", "5c" * 32, self_signed=True),
        ),
        summary=Summary(
            verdicts={verdict.value: sum(one.verdict is verdict for one in judged) for verdict in Verdict},
            open_findings={
                severity.value: sum(one.severity is severity and one.state is FindingState.OPEN for one in found)
                for severity in Severity
            },
            closed_findings=sum(one.state is FindingState.CLOSED for one in found),
            undetermined_findings=sum(one.state is FindingState.NOT_DETERMINED for one in found),
            accepted_findings=sum(bool(one.waiver) for one in found),
            strengths={strength.value: int(strength is Strength.COMPUTED) for strength in Strength},
            worst_controls=tuple(one.id for one in judged if one.verdict is Verdict.REFUTED),
            worst_findings=tuple(one.fingerprint for one in found if one.state is FindingState.OPEN)[:6],
            statements=(
                "Traffic to a pod from its own node is outside NetworkPolicy.",
                "Computed on 13 of 14 policies.",
            ),
        ),
        method=Method(
            zones=(
                ZoneView("cde", "cde", "Where card numbers are stored", ("payments",), (), 6),
                ZoneView("shop", "connected-to", "The web shop", ("production: pods with app=web",), (), 18),
                ZoneView("batch", "out-of-scope", "Night jobs", ("batch",), ("10.20.0.0/16",), 4),
            ),
            approved_flows=(
                ApprovedFlowView(
                    "shop-to-vault",
                    "shop",
                    "cde",
                    "TCP 8443",
                    "checkout",
                    "Payments team",
                    date(2026, 9, 1),
                    overdue=True,
                ),
            ),
            pods_without_zone=3,
            scope_problems=(),
            enforcement=Enforcement.ENFORCED,
            enforcement_reasons=("Calico v3.28.1 runs on 4 of 4 nodes",),
            plugins=(
                PluginView(
                    "Calico",
                    "v3.28.1",
                    "iptables",
                    enforces=True,
                    agents="4/4",
                    unready_nodes=(),
                    signals=("DaemonSet kube-system/calico-node (strong)",),
                    features={"endPort": "full"},
                ),
            ),
            unhealthy_nodes=(),
            policies_evaluated=13,
            policies_total=14,
            not_evaluated=("CiliumNetworkPolicy production/l7",),
            qualifications=("Results hold for the moments at which snapshots were taken.",),
        ),
        population=Population(
            snapshots=snapshots,
            kinds=(
                KindView(
                    "NetworkPolicy",
                    "networking.k8s.io",
                    "list NetworkPolicy.networking.k8s.io, all namespaces",
                    "listed",
                    13,
                    "4711",
                    "",
                ),
                KindView(
                    "CiliumNetworkPolicy",
                    "cilium.io",
                    "list CiliumNetworkPolicy.cilium.io, all namespaces",
                    "forbidden",
                    0,
                    "",
                    "the verb list is not granted",
                ),
            ),
            coverage=COVERAGE,
            runs=(
                ScheduledRun(TAKEN[0], TAKEN[0] + timedelta(seconds=9), "stored", "", 1),
                ScheduledRun(
                    TAKEN[3] + timedelta(days=14),
                    TAKEN[3] + timedelta(days=14, seconds=3),
                    "failed",
                    "https://127.0.0.1:6443: connection refused",
                    None,
                ),
            ),
            rules=(
                RuleView(
                    "SEG-001",
                    "Flow between zones that nobody approved",
                    "crossing",
                    Severity.HIGH,
                    RunStatus.RAN,
                    46,
                    1,
                    2,
                    5,
                    "",
                ),
                RuleView("DNS-001", "DNS is denied", "plumbing", Severity.MEDIUM, RunStatus.RAN, 46, 0, 0, 5, ""),
                RuleView(
                    "OBS-001",
                    "Denied flows are logged",
                    "observation",
                    Severity.LOW,
                    RunStatus.NOT_RUN,
                    0,
                    0,
                    0,
                    0,
                    "no flow log was read",
                ),
            ),
        ),
        controls=judged,
        not_assessed=("Everything outside the cluster: firewalls, routers, physical access.",),
        findings=found,
        waivers=(
            WaiverView(
                "W-7",
                "SEG-001",
                "Workload payments/card-vault",
                "J. Doe, CISO",
                "migration until October",
                "manual review every day",
                date(2026, 10, 31),
                WaiverState.IN_FORCE,
                ("00112233445566aa",),
            ),
        ),
        reviews=(
            ReviewView(
                "R-3", "segmentation test", date(2026, 8, 3), "Red Team Ltd.", "cde", "report 2026-08", in_period=True
            ),
        ),
        probes=(PROBED,),
        zone_flows=zone_matrix(),
        namespace_flows=namespace_matrix(),
        exposure=Exposure(
            (
                OpenDoor(
                    "production/Deployment/web",
                    3,
                    "Ingress production/shop",
                    "internet and private ranges, through edge/proxy",
                    "TCP 8443",
                    ("NetworkPolicy production/web spec.ingress[0]",),
                ),
            ),
            2,
            ("ways in of kinds that are not read may exist: Istio VirtualService",),
        ),
        observed=OBSERVED,
        access=AccessView(
            (
                AccessRow(
                    "Group shop:developers",
                    "user or group",
                    "change policies",
                    ("production",),
                    ("RoleBinding production/developers (ClusterRole edit)",),
                    ("networkpolicies.networking.k8s.io: create, delete, patch, update",),
                ),
            ),
            ("ClusterRoleBinding old names ClusterRole gone, which is not there or was not read",),
            "Only what RBAC grants directly.",
        ),
        changes=(
            Change(
                3,
                4,
                TAKEN[2],
                TAKEN[3],
                POLICY.object,
                Action.CHANGED,
                "11" * 32,
                POLICY.digest,
                ("spec.ingress[0].from",),
                "kubectl-edit",
                "2026-08-19T16:20:11Z",
            ),
            Change(3, 4, TAKEN[2], TAKEN[3], "Intent file", Action.CHANGED, "22" * 32, "33" * 32, (), "", ""),
        ),
        policies=(
            POLICY,
            policy_object(
                name="vault-ingress", spec={"podSelector": {"matchLabels": {"app": "vault"}}, "ingress": [{}]}
            ),
        ),
        class_flows=(
            ClassFlow("Deployment web", "production", 3, "StatefulSet card-vault", "payments", 2, "TCP 8443"),
        ),
        probe_rows=(TRIED,),
    )
    return replace(whole, **changes)


# What programs decide by, or what is hexadecimal or a path by construction; everything else may hold whatever somebody wrote.
_NOT_WRITTEN_BY_PEOPLE = frozenset(
    {"format", "digest", "file", "fingerprint", "findings", "worst_findings", "outcome", "before", "after"}
)


def poisoned(value: Any, poison: str, name: str = "") -> Any:
    """The same value with `poison` at the end of every text that people or a cluster could have written."""
    if isinstance(value, Enum) or (
        name in _NOT_WRITTEN_BY_PEOPLE and not is_dataclass(value) and not _holds_dataclasses(value)
    ):
        return value
    if isinstance(value, str):
        return value + poison if value else value
    if isinstance(value, tuple):
        return tuple(poisoned(one, poison, name) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        if isinstance(value, PolicyObject):
            return value  # its body has a digest; its names are checked where they are made
        return replace(
            value, **{one.name: poisoned(getattr(value, one.name), poison, one.name) for one in fields(value)}
        )
    return value


def _holds_dataclasses(value: Any) -> bool:
    return isinstance(value, tuple) and any(is_dataclass(one) for one in value)
