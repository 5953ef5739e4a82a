"""Family coverage: pods and namespaces that no policy isolates."""

from functools import lru_cache

from evidence.cluster.model import Direction
from evidence.cluster.objects import ObjectKey
from evidence.cluster.selectors import LabelSelector
from evidence.findings.beside import further_interfaces
from evidence.findings.finding import EvidenceRef, Severity, Subject, count, shortened
from evidence.findings.index import WorkloadPods, pods_of, policy_evidence, workloads_of
from evidence.findings.registry import Context, Hit, Looked, rule
from evidence.reach.classes import PodClass
from evidence.reach.manifests import policy_yaml

NEEDS = ("NetworkPolicy", "Pod")
EVERYTHING = LabelSelector()


@rule(
    "NET-001",
    title="Pod has no default deny inbound",
    severity=Severity.MEDIUM,
    family="coverage",
    why="A pod that no policy isolates for ingress accepts connections from every pod of the cluster and from wherever else a packet can "
    "come: one taken-over workload anywhere is enough to reach it.",
    mend="Add a policy with policyTypes Ingress that selects the pod; best is a default deny for the namespace, together with one allow rule "
    "for each connection that the pod must accept.",
    needs=NEEDS,
    hangs_on_policies=True,
)
def no_default_deny_inbound(context: Context) -> Looked:
    """Workloads with pods that no policy isolates for ingress."""
    return _not_isolated(context, Direction.INGRESS, "may take connections from anywhere")


@rule(
    "NET-002",
    title="Pod has no default deny outbound",
    severity=Severity.MEDIUM,
    family="coverage",
    why="A pod that no policy isolates for egress may open connections to every pod, to the node network, to the cloud's metadata service "
    "and to the internet: the way by which data leaves and tools come in.",
    mend="Add a policy with policyTypes Egress that selects the pod; best is a default deny for the namespace, together with an allow rule for "
    "DNS (UDP and TCP 53 to the cluster's resolver) and one for each connection that the pod must open.",
    needs=NEEDS,
    hangs_on_policies=True,
)
def no_default_deny_outbound(context: Context) -> Looked:
    """Workloads with pods that no policy isolates for egress."""
    return _not_isolated(context, Direction.EGRESS, "may open connections to anywhere")


def _not_isolated(context: Context, direction: Direction, consequence: str) -> Looked:
    everyone = {workload.key: len(workload.pods) for workload in context.index.workloads}
    bare = [found for found in context.index.classes if not context.reach.isolated(found.id, direction)]
    hits = tuple(
        _bare_workload(context, workload, everyone[workload.key], direction, consequence)
        for workload in workloads_of(bare)
    )
    return Looked(len(everyone), hits, context.lasting.of(further_interfaces, context.cluster.pods))


def _bare_workload(context: Context, workload: WorkloadPods, total: int, direction: Direction, consequence: str) -> Hit:
    names = [pod.key for pod in workload.pods]
    which = f"{len(names)} of {total} pods"
    if len(names) == total:
        which = "the pod" if total == 1 else f"all {total} pods"
    elsewhere = _other_direction_only(context, workload, direction)
    if context.cluster.cluster_policies or context.cluster.calico_policies or context.cluster.cilium_policies:
        elsewhere += "; cluster-wide policies may restrict them"
    return Hit(
        subject=workload.subject,
        message=f"{which} of {workload.key} {consequence}: isolated for {direction.value.lower()} by no "
        f"NetworkPolicy{elsewhere} ({shortened(names)})",
        evidence=workload.evidence,
        pods=workload.pods,
        suggestion=_default_deny(workload.key.namespace, direction),
        discriminator=workload.key.kind,
        details=tuple(names) if len(names) != total else (),
    )


def _other_direction_only(context: Context, workload: WorkloadPods, direction: Direction) -> str:
    """Words for the commonest cause: a policy selects the pods, with the other direction in policyTypes."""
    other = Direction.EGRESS if direction is Direction.INGRESS else Direction.INGRESS
    peers = {context.reach.peer_of(pod.key) for pod in workload.pods}
    policies = sorted({str(policy.key) for peer in peers for policy in context.reach.isolating_policies(peer, other)})
    return f"; {shortened(policies)} covers {other.value.lower()} only" if policies else ""


@lru_cache(maxsize=1 << 12)  # one for each namespace, and again in the next snapshot
def _default_deny(namespace: str, direction: Direction) -> str:
    if direction is Direction.INGRESS:
        return policy_yaml("default-deny-ingress", namespace, EVERYTHING, ingress=())
    return policy_yaml("default-deny-egress", namespace, EVERYTHING, egress=())


@rule(
    "NET-003",
    title="Namespace without any policy",
    severity=Severity.MEDIUM,
    family="coverage",
    why="No NetworkPolicy selects any pod of the namespace: everything in it is open in both directions, and whatever is deployed there "
    "next will be, too.",
    mend="Start with a default deny for both directions in the namespace, then allow the connections that its workloads need.",
    needs=NEEDS,
    hangs_on_policies=True,
)
def namespace_without_policy(context: Context) -> Looked:
    """Namespaces with pods of their own, none of them selected by a policy."""
    covered = {policy.namespace for policy in context.cluster.policies if context.index.selected(policy)}
    if context.cluster.calico_policies or context.cluster.cilium_policies:
        covered |= {
            found.namespace
            for found in context.index.classes
            if any(context.reach.isolated(found.id, direction) for direction in Direction)
        }
    inhabited = sorted({found.namespace for found in context.index.classes})
    hits = tuple(_bare_namespace(context, name) for name in inhabited if name not in covered)
    return Looked(len(inhabited), hits)


def _bare_namespace(context: Context, name: str) -> Hit:
    classes = context.index.in_namespace(name)
    workloads = context.index.names(classes)
    pods = pods_of(classes)
    namespace = context.cluster.namespaces[name]
    idle = [policy for policy in context.cluster.policies if policy.namespace == name]
    present = f"; its {count(len(idle), 'policy selects', 'policies select')} no pod" if idle else ""
    return Hit(
        subject=Subject("Namespace", "", name),
        message=f"no NetworkPolicy selects any of its pods: {count(len(pods), 'pod')} in {count(len(workloads), 'workload')} "
        f"({shortened(workloads)}){present}",
        evidence=(
            EvidenceRef(ObjectKey("", "Namespace", "", name), namespace.digest),
            *(policy_evidence(policy) for policy in idle),
        ),
        pods=pods,
        suggestion=policy_yaml("default-deny-all", name, EVERYTHING, ingress=(), egress=()),
        details=workloads,
    )


@rule(
    "NET-008",
    title="Pod not covered in a covered namespace",
    severity=Severity.MEDIUM,
    family="coverage",
    why="Other pods of the namespace are selected by policies, this one by none: the namespace looks segmented and has a hole. It happens when "
    "policies are written per application and a new workload, or one with another label, arrives.",
    mend="Add a default deny that selects every pod of the namespace (podSelector: {}), so that what comes next is closed until it is opened.",
    needs=NEEDS,
    hangs_on_policies=True,
)
def pod_not_covered(context: Context) -> Looked:
    """Workloads that no policy selects, in namespaces where policies select others."""
    selected: dict[str, set[int]] = {}
    for policy in context.cluster.policies:
        selected.setdefault(policy.namespace, set()).update(int(found.id) for found in context.index.selected(policy))
    holes: list[PodClass] = []
    population = 0
    for namespace, covered in sorted(selected.items()):
        classes = context.index.in_namespace(namespace) if covered else ()
        population += len({pod.workload for pod in pods_of(classes)})
        holes += [found for found in classes if int(found.id) not in covered]
    hits = tuple(
        Hit(
            subject=workload.subject,
            message=f"no policy selects {count(len(workload.pods), 'pod')} of {workload.key} "
            f"({shortened([pod.key for pod in workload.pods])}), while policies of the namespace select others",
            evidence=workload.evidence,
            pods=workload.pods,
            suggestion=policy_yaml("default-deny-all", workload.key.namespace, EVERYTHING, ingress=(), egress=()),
            discriminator=workload.key.kind,
            details=tuple(pod.key for pod in workload.pods),
        )
        for workload in workloads_of(holes)
    )
    return Looked(population, hits)
