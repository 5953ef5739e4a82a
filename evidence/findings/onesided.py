"""Family plumbing, one-sided connections: one end's policies admit what the other end's refuse, so nothing passes.

A connection needs the egress side of its source and the ingress side of its destination. A rule that names its peer by label is taken
as the word of its author that the connection is wanted; where the other side refuses it, the word is not kept.

How findings are cut, so that a broad rule does not drown the precise ones:
1. A rule whose peer is addressed (a podSelector that matches at most MAX_ADDRESSED workloads) gives one finding for each pair of
   workloads and refusing side; several rules for the pair are joined.
2. A broad egress rule (no podSelector, or more workloads) gives one finding that lists the destinations which refuse; only those count
   that declare the port, or declare no ports at all.
3. A broad ingress rule promises nothing to each of its sources; it is reported when none of them can use it.
4. A rule without ports promises no particular one: it counts when nothing at all passes.
5. A rule for any peer or an ipBlock promises nothing to any pod.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from evidence.cluster.calico import CalicoPolicy
from evidence.cluster.cilium import CiliumPolicy
from evidence.cluster.model import Direction, NetworkPolicy, Pod, PodPeer
from evidence.cluster.objects import ObjectKey
from evidence.cluster.policies import ClusterPolicy
from evidence.cluster.selectors import LabelSelector
from evidence.findings.finding import EvidenceRef, Severity, count, shortened
from evidence.findings.index import (
    ORDER,
    RuleAt,
    WorkloadPods,
    pods_of,
    policy_evidence,
)
from evidence.findings.registry import Context, Hit, Looked, rule
from evidence.reach.classes import PodClass
from evidence.reach.manifests import pods_in, policy_yaml, port_bodies, rule_body
from evidence.reach.ports import PortSet
from evidence.values import value

MAX_ADDRESSED = 5
NEEDS = ("NetworkPolicy", "Pod", "Namespace")


@value()
class Refusal:
    """A rule admits `ports` from `source` to `destination`, and the other end's policies refuse them."""

    at: RuleAt
    peer: PodPeer
    source: PodClass
    destination: PodClass
    ports: PortSet

    @property
    def refusing(self) -> PodClass:
        return self.source if self.at.direction is Direction.INGRESS else self.destination

    @property
    def side(self) -> Direction:
        """The direction in which the other end refuses."""
        return Direction.EGRESS if self.at.direction is Direction.INGRESS else Direction.INGRESS


@rule(
    "NET-013",
    title="One-sided connection: one end allows it, the other does not",
    severity=Severity.MEDIUM,
    family="plumbing",
    why="A connection passes only when the source's egress and the destination's ingress both allow it. Here one policy opens it and the other "
    "end's policies (often a default deny that nothing opens again) refuse it: the file promises a connection that does not work.",
    mend="Open the refusing side with the suggested policy, or remove the rule if the connection is not wanted.",
    needs=NEEDS,
    hangs_on_policies=True,
)
def one_sided(context: Context) -> Looked:
    """Connections that a rule names and the other end refuses."""
    hits: list[Hit] = []
    pairs: dict[tuple[Direction, ObjectKey, ObjectKey], list[Refusal]] = defaultdict(list)
    population = 0
    for at in context.index.rules(Direction.INGRESS, Direction.EGRESS):
        for peer in at.rule.peers:
            if not isinstance(peer, PodPeer):
                continue
            population += 1
            if is_addressed(context, at, peer):
                for refusal in refusals(context, at, peer):
                    for source in context.index.workload_keys(refusal.source):
                        for destination in context.index.workload_keys(refusal.destination):
                            pairs[refusal.side, source, destination].append(refusal)
            elif at.direction is Direction.EGRESS:
                hits += _refused_destinations(context, at, peer)
            else:
                hits += _dead_for_all(context, at, peer)
    for (side, source, destination), found in sorted(pairs.items(), key=lambda item: str(item[0])):
        hits.append(_pair(context, side, source, destination, found))
    return Looked(population, tuple(hits))


def is_addressed(context: Context, at: RuleAt, peer: PodPeer) -> bool:
    """True when the peer names pods by label and means a handful of workloads."""
    if peer.pod_selector is None or not peer.pod_selector.requirements:
        return False
    workloads: set[ObjectKey] = set()
    for found in context.index.matched(at.policy, peer):
        workloads |= context.index.workload_keys(found)
    return len(workloads) <= MAX_ADDRESSED


def refusals(context: Context, at: RuleAt, peer: PodPeer) -> Iterator[Refusal]:
    """Pairs of classes for which the rule opens ports that the other end refuses, with those ports."""
    here = context.index.selected(at.policy)
    there = context.index.matched(at.policy, peer)
    sources, destinations = (there, here) if at.direction is Direction.INGRESS else (here, there)
    by_name = any(isinstance(port.port, str) for port in at.rule.ports)
    promised = PortSet.none() if by_name or not destinations else context.index.ports(at.rule, destinations[0].pods[0])
    refused: dict[PortSet, PortSet] = {}  # by what passes: mostly one of two or three
    for destination in destinations:
        if by_name:
            promised, refused = context.index.ports(at.rule, destination.pods[0]), {}
        for source in sources if promised else ():
            passing = _other_side(context, at.direction, source, destination)
            if passing not in refused:
                refused[passing] = _refused(promised, passing)
            if refused[passing]:
                yield Refusal(at, peer, source, destination, refused[passing])


def _refused(promised: PortSet, passing: PortSet) -> PortSet:
    return PortSet.none() if promised.is_all and passing & promised else promised - passing


def _other_side(context: Context, direction: Direction, source: PodClass, destination: PodClass) -> PortSet:
    """What the end opposite to a rule of this direction lets pass."""
    if direction is Direction.INGRESS:
        return context.reach.egress_ports(source.id, destination.id)
    return context.reach.ingress_ports(source.id, destination.id)


def _pair(
    context: Context, side: Direction, source: ObjectKey, destination: ObjectKey, found: Sequence[Refusal]
) -> Hit:
    """One finding for a pair of workloads: the subject is the end that refuses, because it is mended there."""
    refusing = source if side is Direction.EGRESS else destination
    ports = PortSet.none()
    for refusal in found:
        ports = ports | refusal.ports
    workload = _only(refusing, [refusal.refusing for refusal in found])
    promises = list(dict.fromkeys(str(refusal.at) for refusal in found))
    refusers = isolating(context, [refusal.refusing for refusal in found], side)
    higher = cluster_wide_on(context, [refusal.refusing for refusal in found], side)
    whose = "the egress of" if side is Direction.EGRESS else "the ingress of"
    return Hit(
        subject=workload.subject,
        message=f"{source} → {destination} {ports} is allowed by {shortened(promises)}, but {whose} {refusing} refuses it "
        f"({_refusal_words(refusers, higher, side)}){_uncertainty(context, found)}",
        evidence=(
            *(refusal.at.evidence for refusal in found),
            *(policy_evidence(policy, f"isolates {side.value.lower()}") for policy in refusers),
            *(EvidenceRef(policy.key, policy.digest, f"spec.{side.value.lower()}", policy.source) for policy in higher),
        ),
        pods=workload.pods,
        # what a cluster-wide policy refuses no NetworkPolicy is sure to open
        suggestion="" if higher else _opening(found[0], side, source, destination, ports),
        discriminator=f"{side.value} {source} -> {destination}",
    )


def _only(key: ObjectKey, classes: Iterable[PodClass]) -> WorkloadPods:
    distinct = {found.id: found for found in classes}
    pods = [pod for found in distinct.values() for pod in found.pods if pod.workload == key]
    return WorkloadPods(key, tuple(sorted(pods, key=lambda pod: pod.name)))


def isolating(context: Context, classes: Iterable[PodClass], side: Direction) -> list[NetworkPolicy]:
    """Policies that isolate any of the classes in a direction, each once."""
    distinct = {one.id for one in classes}
    found = {id(policy): policy for peer in distinct for policy in context.reach.isolating_policies(peer, side)}
    return sorted(found.values(), key=lambda policy: policy.key)


def cluster_wide_on(
    context: Context, classes: Iterable[PodClass], side: Direction
) -> list[ClusterPolicy | CalicoPolicy | CiliumPolicy]:
    """Cluster-wide policies, and Calico's and Cilium's, that speak of any of the classes in a direction, each once."""
    placed = [found for peer in {one.id for one in classes} for found in context.reach.selecting(peer, side)]
    policies = {id(found.form.policy): found.form.policy for found in placed}
    found = (policy for policy in policies.values() if isinstance(policy, ClusterPolicy | CalicoPolicy | CiliumPolicy))
    return sorted(found, key=lambda policy: policy.key)


def _refusal_words(
    refusers: Sequence[NetworkPolicy], higher: Sequence[ClusterPolicy | CalicoPolicy | CiliumPolicy], side: Direction
) -> str:
    names = shortened([str(policy.key) for policy in refusers])
    if higher:
        return f"{shortened([str(policy.key) for policy in higher])} and {names or 'no NetworkPolicy'} decide there"
    if not any(policy.rules(side) for policy in refusers):
        return f"isolated by {names}, and no policy opens it again"
    return f"isolated by {names}, none of which allows it"


def _uncertainty(context: Context, found: Iterable[Refusal]) -> str:
    reasons = sorted(
        {reason for refusal in found for reason in context.reach.uncertain(refusal.source.id, refusal.destination.id)}
    )
    return f"; not certain: {'; '.join(reasons)}" if reasons else ""


def _opening(refusal: Refusal, side: Direction, source: ObjectKey, destination: ObjectKey, ports: PortSet) -> str:
    """The missing half: the selectors of the rule that promises the connection, seen from the other end."""
    policy, named = refusal.at.policy, refusal.peer.pod_selector or LabelSelector()
    here, there = policy.namespace, refusal.refusing.namespace
    name = f"allow-{source.name}-to-{destination.name}-{side.value.lower()}"
    body = rule_body(side, [pods_in(here, policy.pod_selector, there)], port_bodies(ports))
    if side is Direction.EGRESS:
        return policy_yaml(name, there, named, egress=[body])
    return policy_yaml(name, there, named, ingress=[body])


def _refused_destinations(context: Context, at: RuleAt, peer: PodPeer) -> list[Hit]:
    """A broad egress rule: one finding that lists the destinations which refuse a port that they declare."""
    refused: dict[ObjectKey, PortSet] = {}
    pods: list[PodClass] = []
    unsure: list[Refusal] = []
    for refusal in refusals(context, at, peer):
        for pod in refusal.destination.pods:
            ports = refusal.ports & declared(pod) if pod.ports else refusal.ports
            if ports and refusal.source.id != refusal.destination.id:
                refused[pod.workload] = refused.get(pod.workload, PortSet.none()) | ports
                pods.append(refusal.destination)
                unsure.append(refusal)
    if not refused:
        return []
    lines = tuple(f"{key.namespace}/{key.name} {refused[key]}" for key in sorted(refused, key=ORDER))
    refusers = isolating(context, {found.id: found for found in pods}.values(), Direction.INGRESS)
    sources = context.index.names(context.index.selected(at.policy))
    return [
        Hit(
            subject=at.subject,
            message=f"{at.where} lets {shortened(sources)} connect to {count(len(lines), 'workload')} whose ingress refuses it: "
            f"{shortened(lines)}{_uncertainty(context, unsure)}",
            evidence=(at.evidence, *(policy_evidence(policy, "isolates ingress") for policy in refusers)),
            pods=pods_of(context.index.selected(at.policy)),
            discriminator=at.content,
            details=lines,
            severity=Severity.LOW,
        )
    ]


def declared(pod: Pod) -> PortSet:
    """Ports that the pod's containers declare."""
    ports = PortSet.none()
    for port in pod.ports:
        ports = ports | PortSet.of(port.protocol, port.number)
    return ports


def _dead_for_all(context: Context, at: RuleAt, peer: PodPeer) -> list[Hit]:
    """A broad ingress rule that none of its sources can use on any port."""
    sources = context.index.matched(at.policy, peer)
    targets = context.index.selected(at.policy)
    if not sources or not targets:
        return []
    for destination in targets:
        promised = context.index.ports(at.rule, destination.pods[0])
        if any(promised & context.reach.egress_ports(source.id, destination.id) for source in sources):
            return []
    if not any(context.index.ports(at.rule, destination.pods[0]) for destination in targets):
        return []
    refusers = isolating(context, sources, Direction.EGRESS)
    names = context.index.names(sources)
    return [
        Hit(
            subject=at.subject,
            message=f"{at.where} admits {count(len(names), 'workload')}, and the egress of every one of them refuses it: {shortened(names)}",
            evidence=(at.evidence, *(policy_evidence(policy, "isolates egress") for policy in refusers)),
            pods=pods_of(targets),
            discriminator=at.content,
            details=names,
            severity=Severity.LOW,
        )
    ]
