"""What a report is made from, by hand around real parts: a small cluster analysed by the engine, an intent, a shipped framework."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

from evidence.cluster.model import Cluster, Protocol
from evidence.cluster.objects import CollectedObject, KindResult, KindStatus, ObjectKey, SourceInfo
from evidence.cni.model import CniReport, Enforcement
from evidence.findings.finding import EvidenceRef, Finding, Severity, Subject
from evidence.findings.registry import Assessment, RuleRun, RunStatus
from evidence.frameworks.judge import ControlResult, Verdict
from evidence.frameworks.load import load_frameworks
from evidence.frameworks.model import Framework
from evidence.intent.model import ApprovedFlow, Classification, FlowPort, Intent, Review, Waiver, Zone, ZoneMember
from evidence.intent.zones import assign
from evidence.reach.engine import analyse
from evidence.report.view import CurrentState, Custody, ReportInputs, SnapshotEvidence
from tests.builders import cluster, peer, pod, policy, port, rule

START, END = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)
DAYS = tuple(START + timedelta(days=days, hours=6) for days in (0, 30, 60))
EVERY_RULE_RAN = ("NET-001", "SEG-001")


@cache
def pci() -> Framework:
    return load_frameworks()["pci-dss-4.0.1"]


def collected(
    name: str = "allow-web", namespace: str = "pay", kind: str = "NetworkPolicy", **spec: Any
) -> CollectedObject:
    group = "networking.k8s.io" if kind == "NetworkPolicy" else "cilium.io"
    body = {
        "apiVersion": f"{group}/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec or {"podSelector": {}},
    }
    return CollectedObject.of(ObjectKey(group, kind, namespace, name), body, "dump.json:1")


def hit(
    rule_id: str = "SEG-001",
    name: str = "pay/vault",
    severity: Severity = Severity.HIGH,
    *,
    policy: CollectedObject | None = None,
) -> Finding:
    namespace, _, workload = name.rpartition("/")
    evidence = (EvidenceRef(policy.key, policy.digest, "spec.ingress[0]", policy.source),) if policy else ()
    return Finding(rule_id, severity, Subject("Workload", namespace, workload), "may be reached", evidence)


def assessed(
    *findings: Finding, partial: Iterable[str] = (), not_run: Iterable[str] = (), rules: Sequence[str] = EVERY_RULE_RAN
) -> Assessment:
    def status(rule_id: str) -> RunStatus:
        return RunStatus.PARTIAL if rule_id in partial else RunStatus.NOT_RUN if rule_id in not_run else RunStatus.RAN

    ids = sorted({*rules, *(finding.rule_id for finding in findings)})
    runs = tuple(
        RuleRun(one, status(one), 7, "" if status(one) is RunStatus.RAN else "not all was read") for one in ids
    )
    return Assessment(tuple(findings), runs)


def results(verdicts: Mapping[str, Verdict] | None = None, **findings: Sequence[str]) -> tuple[ControlResult, ...]:
    """A result for every control of the framework, not assessed unless said otherwise. `findings` by control id with "_" for "."."""
    given = verdicts or {}
    return tuple(
        ControlResult(
            control.id,
            given.get(control.id, Verdict.NOT_ASSESSED),
            None,
            ("so it was found",),
            findings=tuple(findings.get("c" + control.id.replace(".", "_"), ())),
        )
        for control in pci().controls
    )


def snapshot(number: int, taken: datetime, assessment: Assessment | None = None, **changes: Any) -> SnapshotEvidence:
    one = SnapshotEvidence(
        id=number,
        taken_at=taken,
        taken_at_claimed=False,
        spooled=False,
        received_at=taken,
        root_digest=f"{number:064x}",
        partial=False,
        object_count=40,
        kinds=(KindResult("networking.k8s.io", "NetworkPolicy", KindStatus.LISTED, 1, "77"),),
        problems=(),
        source=SourceInfo("api", "https://127.0.0.1:6443", "collector", "v1.31.2", "0a1b"),
        run=Custody("0.1.0", "runner", "evidence", "collect", "ee" * 32),
        assessment=assessment or assessed(),
        results=results(),
        cni=CniReport((), Enforcement.NOT_SHOWN, ("no plugin was recognised",)),
        policies=(collected(),),
        unevaluated=frozenset(),
        pod_count=4,
        namespace_count=3,
    )
    return replace(one, **changes)


def small_cluster() -> Cluster:
    """pay (isolated, reached from web on TCP 8443), web, and batch, which nothing isolates."""
    return cluster(
        pods=[
            pod("vault", "pay", {"app": "vault"}, ip="10.0.0.1"),
            pod("app", "web", {"app": "app"}, ip="10.0.0.2"),
            pod("app-2", "web", {"app": "other"}, ip="10.0.0.3"),
            pod("job", "batch", {"app": "job"}, ip="10.0.0.4"),
        ],
        policies=[
            policy(
                "allow-web",
                "pay",
                {},
                ingress=[rule([peer({"app": "app"}, namespaces={"kubernetes.io/metadata.name": "web"})], [port(8443)])],
                egress=[],
            )
        ],
    )


def intent(**changes: Any) -> Intent:
    def zone(name: str, classification: Classification, *namespaces: str) -> Zone:
        return Zone(name, classification, "", tuple(ZoneMember((namespace,)) for namespace in namespaces))

    declared = Intent(
        zones=(
            zone("cde", Classification.CDE, "pay"),
            zone("shop", Classification.CONNECTED_TO, "web"),
            zone("jobs", Classification.OUT_OF_SCOPE, "batch"),
        ),
        flows=(
            ApprovedFlow(
                id="F-1",
                source="shop",
                destination="cde",
                ports=(FlowPort(Protocol.TCP, 8443, 8443),),
                justification="checkout",
                owner="payments",
                review_by=date(2026, 9, 30),
            ),
        ),
        digest="dd" * 32,
    )
    return replace(declared, **changes)


def inputs(*snapshots: SnapshotEvidence, declared: Intent | None = None, **changes: Any) -> ReportInputs:
    analysed = small_cluster()
    one = ReportInputs(
        framework=pci(),
        cluster="prod",
        organisation="Example Ltd",
        period_start=START,
        period_end=END,
        expected_every=timedelta(days=31),
        generated_at=END,
        software_version="0.1.0",
        sample=False,
        signer=None,
        baseline=None,
        snapshots=snapshots or (snapshot(1, DAYS[0]),),
        runs=(),
        results=results(),
        newest=CurrentState(declared, analyse(analysed), assign(declared, analysed)),
    )
    return replace(one, **changes)


def waiver(**changes: Any) -> Waiver:
    return replace(
        Waiver("W-1", "SEG-001", "Workload pay/vault", "CISO", "migration", "reviews", date(2026, 12, 31)), **changes
    )


def review(performed_on: date) -> Review:
    return Review("R-1", "segmentation-test", performed_on, "somebody else", "cde", "report 7")
