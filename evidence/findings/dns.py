"""Family plumbing, DNS: pods that may open connections and cannot resolve a name."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from evidence.cluster.model import Direction, IpBlock, Pod, PodPeer, Protocol
from evidence.cluster.selectors import LabelSelector
from evidence.findings.finding import Severity, count, shortened
from evidence.findings.index import (
    ClusterIndex,
    RuleAt,
    pods_of,
    policy_evidence,
    workload_names,
    workloads_of,
    workloads_of_pods,
)
from evidence.findings.registry import Context, Hit, Looked, rule
from evidence.findings.resolvers import DNS_PORT, Resolver, marks
from evidence.reach.classes import PodClass
from evidence.reach.manifests import own_labels, pods_in, policy_yaml, rule_body

NEEDS = ("NetworkPolicy", "Pod")
NODE_LOCAL = "node-local-dns"


@rule(
    "NET-009",
    title="DNS egress missing",
    severity=Severity.LOW,
    family="plumbing",
    why="The pod may open connections, and no rule lets it ask the cluster's resolver: every connection by name fails before it starts. "
    "It is an operational fault, not a weakness.",
    mend="Allow UDP and TCP 53 to the resolver's pods (namespace kube-system, k8s-app: kube-dns in most distributions).",
    needs=NEEDS,
    hangs_on_policies=True,
)
def dns_missing(context: Context) -> Looked:
    """Egress-isolated workloads that may connect to something but not to a resolver. A pod that may open nothing needs no names."""
    index, reach = context.index, context.reach
    known = context.resolvers
    callers = [
        found for found in index.classes if reach.isolated(found.id, Direction.EGRESS) and _calls(context, found)
    ]
    doubts = list(_doubts(index, known))
    deaf = []
    for caller in callers:
        if not known:
            reached = _opens_dns(context, caller)
        else:
            reached = any(reach.egress_ports(caller.id, resolver.pods.id) & resolver.udp for resolver in known)
        if not reached:
            unsure = sorted({reason for resolver in known for reason in reach.uncertain(caller.id, resolver.pods.id)})
            doubts += unsure
            if not unsure:
                deaf.append(caller)
    hits = tuple(
        Hit(
            subject=workload.subject,
            message=f"{count(len(workload.pods), 'pod')} of {workload.key} may open connections, but none to "
            f"{_resolver_names(known)} on UDP 53: names cannot be resolved",
            evidence=(
                *workload.evidence,
                *(
                    policy_evidence(policy, "isolates egress")
                    for pod in workload.pods
                    for policy in reach.isolating_policies(reach.peer_of(pod.key), Direction.EGRESS)
                ),
            ),
            pods=workload.pods,
            suggestion=allow_dns(workload.key.namespace, own_labels(workload.pods), known),
            discriminator=workload.key.kind,
        )
        for workload in workloads_of(deaf)
    )
    return Looked(len({pod.workload for pod in pods_of(callers)}), hits, tuple(dict.fromkeys(doubts)))


def _egress_rules(context: Context, caller: PodClass) -> Iterator[RuleAt]:
    for policy in context.reach.isolating_policies(caller.id, Direction.EGRESS):
        yield from context.index.rules_of(policy, Direction.EGRESS)


def _calls(context: Context, caller: PodClass) -> bool:
    """True when an egress rule of the pods admits some destination."""
    return any(
        not at.rule.peers or any(isinstance(p, IpBlock) or context.index.matched(at.policy, p) for p in at.rule.peers)
        for at in _egress_rules(context, caller)
    )


def _opens_dns(context: Context, caller: PodClass) -> bool:
    """True when an egress rule of the pods opens UDP 53 to whatever it admits."""
    return any(
        context.index.ports(at.rule, caller.pods[0]).contains(Protocol.UDP, DNS_PORT)
        for at in _egress_rules(context, caller)
    )


def _doubts(index: ClusterIndex, known: tuple[Resolver, ...]) -> Iterable[str]:
    if not known:
        yield "no cluster resolver was recognised among the pods; looked for rules with UDP 53 to any destination"
    if any(pod.labels.get("k8s-app") == NODE_LOCAL for found in index.all_classes for pod in found.pods):
        yield "a node-local DNS cache is present; whether pods may ask its address on their node was not computed"


def _resolver_names(known: tuple[Resolver, ...]) -> str:
    return shortened(workload_names(workloads_of_pods(_answerers(known)))) if known else "any destination"


def _answerers(known: tuple[Resolver, ...]) -> Iterator[Pod]:
    for resolver in known:
        yield from (pod for pod in pods_of([resolver.pods]) if marks(pod))


def allow_dns(namespace: str, pods: LabelSelector, known: tuple[Resolver, ...]) -> str:
    """A policy that opens DNS over both protocols to the resolvers; "" when none is known."""
    if not known:
        return ""
    ports = [
        {"protocol": r.protocol.value, "port": r.first}
        for ports in dict.fromkeys((*(known_.udp for known_ in known), *(known_.tcp for known_ in known)))
        for r in ports.ranges
    ]
    peers = []
    for resolver in known:
        peer = pods_in(resolver.pods.namespace, LabelSelector(marks(resolver.pod)[:1]), namespace)
        if peer not in peers:
            peers.append(peer)
    return policy_yaml("allow-dns", namespace, pods, egress=[rule_body(Direction.EGRESS, peers, ports)])


@rule(
    "NET-014",
    title="DNS over TCP missing",
    severity=Severity.LOW,
    family="plumbing",
    why="The rule opens DNS over UDP only. Resolvers repeat a query over TCP when the answer does not fit in a datagram (RFC 7766 makes TCP a "
    "required transport): large answers, such as headless Services with many pods, then fail now and then.",
    mend="Add protocol TCP, port 53 beside UDP 53.",
    needs=NEEDS,
    hangs_on_policies=True,
)
def dns_over_tcp_missing(context: Context) -> Looked:
    """Egress rules that open UDP 53 to a resolver for pods that no rule lets reach it over TCP."""
    index, reach = context.index, context.reach
    known = context.resolvers
    found: dict[str, tuple[RuleAt, list[PodClass]]] = {}
    population = 0
    mute: dict[int, bool] = defaultdict(bool)
    for caller in index.classes:
        opened = ((reach.egress_ports(caller.id, resolver.pods.id), resolver) for resolver in known)
        mute[int(caller.id)] = any(ports & resolver.udp and not ports & resolver.tcp for ports, resolver in opened)
    for at in index.rules(Direction.EGRESS):
        if any(_opens(index, at, resolver) for resolver in known):
            population += 1
            callers = [caller for caller in index.selected(at.policy) if mute[int(caller.id)]]
            if callers:
                found[str(at)] = (at, callers)
    hits = tuple(_udp_only(index, at, callers, known) for at, callers in found.values())
    return Looked(population, hits, tuple(_doubts(index, known)))


def _opens(index: ClusterIndex, at: RuleAt, resolver: Resolver) -> bool:
    """True when the rule itself admits a resolver over UDP (by label, or as part of everything)."""
    if not index.ports(at.rule, resolver.pod) & resolver.udp:
        return False
    return not at.rule.peers or any(
        isinstance(peer, PodPeer) and any(found.id == resolver.pods.id for found in index.matched(at.policy, peer))
        for peer in at.rule.peers
    )


def _udp_only(index: ClusterIndex, at: RuleAt, callers: list[PodClass], known: tuple[Resolver, ...]) -> Hit:
    names = index.names(callers)
    return Hit(
        subject=at.subject,
        message=f"{at.where} opens UDP 53 to {_resolver_names(known)} and nothing opens TCP 53, for {shortened(names)}",
        evidence=(at.evidence,),
        pods=pods_of(callers),
        suggestion=allow_dns(at.policy.namespace, at.policy.pod_selector, known),
        discriminator=at.content,
        details=names,
    )
