"""Family bypass: ways round NetworkPolicy."""

from collections import defaultdict
from collections.abc import Iterator

from evidence.cluster.model import Pod, Service
from evidence.cluster.objects import ObjectKey
from evidence.findings.enforcement import THE_CLUSTER
from evidence.findings.finding import EvidenceRef, Severity, count, shortened
from evidence.findings.index import WorkloadPods, workload_names, workloads_of_pods
from evidence.findings.registry import Context, Hit, Looked, rule, unlisted
from evidence.findings.services import service_evidence, service_subject

FORGING = ("NET_ADMIN", "NET_RAW", "ALL")


def _running(context: Context) -> list[Pod]:
    return [pod for pod in context.cluster.pods if not pod.finished]


@rule(
    "BYP-001",
    title="hostNetwork pod",
    severity=Severity.MEDIUM,
    family="bypass",
    why="A pod on the host network has the node's addresses. No podSelector selects it, so its traffic is not isolated, and other pods' policies "
    "see it as the node, whose traffic to its own pods always passes.",
    mend="Run the pod without hostNetwork. Where it must have it (plugin agents, node exporters), restrict the node with host rules and keep "
    "the list of such pods approved.",
    needs=("Pod",),
)
def host_network(context: Context) -> Looked:
    """Workloads with pods on the host network; low in kube-system, where node agents belong."""
    pods = _running(context)
    hits = tuple(
        _pod_hit(
            workload,
            f"{count(len(workload.pods), 'pod')} of {workload.key} on the node's network{_nodes(workload)}, where no policy isolates",
            Severity.LOW if workload.key.namespace == "kube-system" else None,
        )
        for workload in workloads_of_pods(pod for pod in pods if pod.host_network)
    )
    return Looked(len({pod.workload for pod in pods}), hits)


def _pod_hit(workload: WorkloadPods, message: str, severity: Severity | None = None) -> Hit:
    return Hit(
        subject=workload.subject,
        message=message,
        evidence=workload.evidence,
        pods=workload.pods,
        discriminator=workload.key.kind,
        severity=severity,
    )


def _nodes(workload: WorkloadPods) -> str:
    nodes = sorted({pod.node for pod in workload.pods if pod.node})
    return f" on {shortened(nodes)}" if nodes else ""


@rule(
    "BYP-002",
    title="hostPort or NodePort opens a side door",
    severity=Severity.MEDIUM,
    family="bypass",
    why="A node port or host port is open on every (or one) node's own address, beside the load balancer or ingress controller that is meant to be "
    "the way in, and often with the client's address replaced by the node's before policy sees it.",
    mend="Use a ClusterIP Service behind the ingress controller or load balancer (with allocateLoadBalancerNodePorts: false), and drop hostPort.",
    needs=("Pod", "Service"),
)
def side_door(context: Context) -> Looked:
    """NodePort Services with pods behind them, load balancers whose source ranges a node port walks round, and pods with host ports."""
    pods = _running(context)
    services = [service for service in context.cluster.services if any(port.node_port for port in service.ports)]
    targets: dict[tuple[str, str], list[Pod]] = defaultdict(list)
    spaces = {service.namespace for service in services}
    for pod in pods:
        for service in context.index.services(pod) if pod.namespace in spaces else ():
            targets[service.namespace, service.name].append(pod)
    hits = [hit for service in services for hit in _node_port(service, targets[service.namespace, service.name])]
    for workload in workloads_of_pods(
        pod for pod in pods if not pod.host_network and any(port.opens_node for port in pod.ports)
    ):
        ports = sorted({port.host_text for pod in workload.pods for port in pod.ports if port.opens_node})
        hits.append(
            _pod_hit(workload, f"{', '.join(ports)} of the node leads to {workload.key} (hostPort){_nodes(workload)}")
        )
    return Looked(len(services) + len({pod.workload for pod in pods}), tuple(hits))


def _node_port(service: Service, pods: list[Pod]) -> Iterator[Hit]:
    """A hit when the node ports of a Service lead to some pods."""
    if service.type != "NodePort" and not (service.type == "LoadBalancer" and service.load_balancer_source_ranges):
        return
    targets = tuple(pods)
    if not targets:
        return
    ports = ", ".join(
        f"{port.protocol} {port.node_port} (to {port.target_port})" for port in service.ports if port.node_port
    )
    round_it = "" if service.type == "NodePort" else ", round its loadBalancerSourceRanges"
    yield Hit(
        subject=service_subject(service),
        message=f"{ports} on every node leads to {shortened(workload_names(workloads_of_pods(targets)))}{round_it}",
        evidence=(service_evidence(service),),
        pods=targets,
        details=workload_names(workloads_of_pods(targets)),
    )


@rule(
    "BYP-003",
    title="Pod can forge or change traffic",
    severity=Severity.MEDIUM,
    family="bypass",
    why="With NET_RAW a pod can send packets under other pods' addresses, with NET_ADMIN or as privileged it can change the node's rules: policy "
    "by address or label then proves little.",
    mend="Drop all capabilities and run unprivileged; keep the few node agents that need them approved and apart from regulated workloads.",
    needs=("Pod",),
)
def can_forge(context: Context) -> Looked:
    """Workloads that are privileged or add a capability to forge or change traffic; low in kube-system."""
    pods = _running(context)
    hits = []
    for workload in workloads_of_pods(pod for pod in pods if pod.privileged or pod.capabilities & set(FORGING)):
        powers = sorted({name for pod in workload.pods for name in pod.capabilities if name in FORGING})
        powers += ["privileged"] if any(pod.privileged for pod in workload.pods) else []
        severity = Severity.LOW if workload.key.namespace == "kube-system" else None
        hits.append(
            _pod_hit(
                workload,
                f"{count(len(workload.pods), 'pod')} of {workload.key} running with {', '.join(powers)}",
                severity,
            )
        )
    return Looked(len({pod.workload for pod in pods}), tuple(hits))


@rule(
    "BYP-004",
    title="Policy of a kind that is not evaluated",
    severity=Severity.MEDIUM,
    family="bypass",
    why="Policies of other kinds (cluster-wide tiers, a plugin's own) can admit what a NetworkPolicy denies. These are present and were not "
    "evaluated, so no isolation that they could change is claimed.",
    mend="Show the assessor the named objects, or express them as NetworkPolicy.",
    needs=(),
)
def kinds_not_evaluated(context: Context) -> Looked:
    """One finding for each kind of policy that is present and not evaluated. It has no zone: what it opens is unknown."""
    kinds: dict[tuple[str, str], list[EvidenceRef]] = defaultdict(list)
    for policy in context.reach.unevaluated:
        kinds[policy.key.group, policy.key.kind].append(EvidenceRef(policy.key, policy.digest))
    hits = tuple(
        Hit(
            subject=THE_CLUSTER,
            message=f"{count(len(found), f'{kind}.{group}', f'{kind}.{group} objects')} not evaluated: "
            f"{shortened([_name(ref.key) for ref in found])}",
            evidence=tuple(found),
            discriminator=f"{group}/{kind}",
            details=tuple(_name(ref.key) for ref in found),
        )
        for (group, kind), found in sorted(kinds.items())
    )
    return Looked(len(context.cluster.policies) + len(context.reach.unevaluated), hits, tuple(unlisted(context)))


def _name(key: ObjectKey) -> str:
    return f"{key.namespace}/{key.name}" if key.namespace else key.name
