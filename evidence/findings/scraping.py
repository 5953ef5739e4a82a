"""Family plumbing, metrics: scraping is a pull, and policies are about who opens the connection."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from evidence.cluster.model import Direction, Pod, PodPeer
from evidence.cluster.selectors import LabelSelector, Operator, Requirement
from evidence.findings.finding import Severity, shortened
from evidence.findings.index import (
    RuleAt,
    pods_of,
    policy_evidence,
    union,
    workload_names,
    workloads_of_pods,
)
from evidence.findings.onesided import declared
from evidence.findings.registry import Context, Hit, Looked, rule
from evidence.findings.selection import as_meant
from evidence.reach.classes import PeerId, PodClass
from evidence.reach.manifests import pods_in, policy_yaml, port_bodies, rule_body
from evidence.reach.ports import PortSet

# Values of `app` or `app.kubernetes.io/name` by which collectors that pull metrics go.
COLLECTORS = frozenset({"prometheus", "prometheus-server", "prometheus-agent", "vmagent", "grafana-agent", "alloy"})
NAME_LABELS = ("app.kubernetes.io/name", "app")


@rule(
    "NET-019",
    title="Metrics scraping opened from the wrong side",
    severity=Severity.LOW,
    family="plumbing",
    why="Prometheus and its like connect to the pods that they scrape. An egress rule from the pod to the collector opens the opposite connection, "
    "which nobody needs for scraping, while the pod's ingress refuses the collector: no metrics, and a hole more.",
    mend="Remove the egress rule to the collector and add an ingress rule from the collector to the pod's metrics port. A pod that queries the "
    "collector (a dashboard) needs its egress rule; the finding then says only that it is not scraped.",
    needs=("NetworkPolicy", "Pod", "Namespace"),
    hangs_on_policies=True,
)
def opened_from_the_wrong_side(context: Context) -> Looked:
    """Egress rules that name a collector's pods, for pods whose ingress lets no collector in on any port that they declare."""
    hits = []
    population = 0
    known: dict[str, list[tuple[PodClass, tuple[Pod, ...]]]] = defaultdict(list)
    for found in context.index.classes:
        if pulling := tuple(pod for pod in pods_of([found]) if _name(pod)):
            known[found.namespace].append((found, pulling))
    for at in context.index.rules(Direction.EGRESS) if known else ():
        for peer in at.rule.peers:
            if isinstance(peer, PodPeer) and peer.pod_selector is not None and peer.pod_selector.requirements:
                collectors = _collectors(context, at, peer, known)
                population += bool(collectors)
                selected = context.index.selected(at.policy) if collectors else ()
                shut = [pods for pods in selected if _shut(context, pods, collectors)]
                if shut:
                    hits.append(_hit(context, at, shut, [pod for pods in collectors.values() for pod in pods]))
    return Looked(population, tuple(hits))


def _collectors(
    context: Context, at: RuleAt, peer: PodPeer, known: Mapping[str, Sequence[tuple[PodClass, tuple[Pod, ...]]]]
) -> dict[PeerId, tuple[Pod, ...]]:
    """Collectors, by their class, that the peer matches, or would match if its namespace label were the one that namespaces carry."""
    selector = peer.namespace_selector
    if selector is not None and not context.index.namespaces(selector):
        selector = as_meant(context.index, selector) or selector
    spaces = [at.policy.namespace] if selector is None else context.index.namespaces(selector)
    found = {}
    for pods, pulling in (entry for name in spaces if name in known for entry in known[name]):
        matched = tuple(p for p in pulling if peer.pod_selector is None or peer.pod_selector.matches(p.labels))
        if matched:
            found[pods.id] = matched
    return found


def _name(pod: Pod) -> Requirement | None:
    """The label by which a pod shows itself to be a collector."""
    label = next((label for label in NAME_LABELS if pod.labels.get(label) in COLLECTORS), None)
    return Requirement(label, Operator.IN, (pod.labels[label],)) if label else None


def _metrics_ports(pods: PodClass) -> PortSet:
    """Ports that pods of the class declare; none when one of them declares nothing, and so may listen anywhere."""
    each = [declared(pod) for pod in pods_of([pods])]
    return union(each) if all(each) else PortSet.none()


def _shut(context: Context, pods: PodClass, collectors: Iterable[PeerId]) -> bool:
    """True when no collector gets in on a port that the pods declare (on any port, when they declare none)."""
    ports = _metrics_ports(pods) or PortSet.all()
    return not any(context.reach.ingress_ports(collector, pods.id) & ports for collector in collectors)


def _hit(context: Context, at: RuleAt, shut: list[PodClass], pulling: list[Pod]) -> Hit:
    scraped, pullers = context.index.names(shut), workload_names(workloads_of_pods(pulling))
    found = (policy for pods in shut for policy in context.reach.isolating(pods.id, Direction.INGRESS))
    refusers = sorted({policy.key: policy for policy in found}.values(), key=lambda policy: policy.key)
    each = [_metrics_ports(pods) for pods in shut]
    ports = union(each) if all(each) else PortSet.none()
    peers = {
        (pod.namespace, name): pods_in(pod.namespace, LabelSelector((name,)), at.policy.namespace)
        for pod in pulling
        if (name := _name(pod))
    }
    return Hit(
        subject=at.subject,
        message=f"{at.where} opens connections from {shortened(scraped)} to {shortened(pullers)}; scraping goes the other way, and the ingress of "
        f"{shortened(scraped)} refuses {shortened(pullers)} ({shortened([str(policy.key) for policy in refusers])})",
        evidence=(at.evidence, *(policy_evidence(policy, "isolates ingress") for policy in refusers)),
        pods=pods_of(shut),
        suggestion=policy_yaml(
            "allow-scraping",
            at.policy.namespace,
            at.policy.pod_selector,
            ingress=[rule_body(Direction.INGRESS, peers.values(), port_bodies(ports))],
        ),
        discriminator=at.content,
        details=scraped,
    )
