"""What rules ask of a cluster again and again, computed once: which classes a policy selects, which a peer matches, whose pods they are.

Everything here works on classes of pods that no policy can tell apart, so cost grows with classes and policies, not with pods.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, product
from operator import attrgetter

from evidence.cluster.model import (
    Cluster,
    Direction,
    IpBlock,
    NetworkPolicy,
    Pod,
    PodPeer,
    PolicyPort,
    Protocol,
    Rule,
    Service,
)
from evidence.cluster.objects import ObjectKey
from evidence.cluster.policies import DomainNamesPeer
from evidence.cluster.selectors import LabelSelector
from evidence.findings.finding import EvidenceRef, Subject
from evidence.findings.lasting import Lasting
from evidence.reach.classes import PeerId, PodClass
from evidence.reach.engine import Reachability
from evidence.reach.ports import PortSet
from evidence.reach.rules import Policy
from evidence.reach.services import ServiceIndex
from evidence.values import value

MAX_REASONS = 5  # as many as a reader takes in
ORDER = attrgetter("namespace", "name", "kind", "group")


@value()
class WorkloadPods:
    """Pods of one workload: all of them, or those that a question concerns."""

    key: ObjectKey
    pods: tuple[Pod, ...]

    @property
    def subject(self) -> Subject:
        return Subject("Workload", self.key.namespace, self.key.name)

    @property
    def evidence(self) -> tuple[EvidenceRef, ...]:
        return tuple(pod_evidence(pod) for pod in self.pods)


@dataclass(frozen=True)  # no slots: its words are kept in the instance, which lasts as long as the policy
class RuleAt:
    """A policy rule in its place. Only rules of a direction that policyTypes names count; the others mean nothing."""

    policy: NetworkPolicy
    direction: Direction
    number: int
    rule: Rule

    @cached_property
    def where(self) -> str:
        return f"spec.{self.direction.value.lower()}[{self.number}]"

    @cached_property
    def evidence(self) -> EvidenceRef:
        return policy_evidence(self.policy, self.where)

    @cached_property
    def subject(self) -> Subject:
        return policy_subject(self.policy)

    @cached_property
    def content(self) -> str:
        """What the rule says, in one line: tells the rules of a policy apart, wherever they stand in the list."""
        peers = "; ".join(peer_text(peer) for peer in self.rule.peers) or "any peer"
        return f"{self.direction.value} {peers}: {', '.join(port_names(self.rule)) or 'every port'}"

    def __str__(self) -> str:
        return f"{self.policy.key} {self.where}"


class ClusterIndex:
    """Look-ups over one cluster; answers are remembered, so that asking twice costs nothing."""

    def __init__(self, cluster: Cluster, reach: Reachability, services: ServiceIndex, lasting: Lasting) -> None:
        self.cluster = cluster
        self._services = services
        self._lasting = lasting
        self._rules: dict[tuple[Direction, ...], tuple[RuleAt, ...]] = {}
        self._reach = reach
        self.all_classes = reach.classes
        self.classes = tuple(found for found in self.all_classes if not found.host_network)
        by_namespace: dict[str, list[PodClass]] = defaultdict(list)
        for found in self.classes:
            by_namespace[found.namespace].append(found)
        self._by_namespace: Mapping[str, Sequence[PodClass]] = by_namespace
        self._matched: dict[tuple[str, int], tuple[PodPeer, tuple[PodClass, ...]]] = {}
        self._namespaces: dict[LabelSelector, tuple[str, ...]] = {}
        self._workloads: dict[PeerId, frozenset[ObjectKey]] = {}

    def in_namespace(self, name: str) -> Sequence[PodClass]:
        """Classes of a namespace's own pods; pods on the host network are left out, no policy selects them."""
        return self._by_namespace.get(name, ())

    def selected(self, policy: NetworkPolicy) -> tuple[PodClass, ...]:
        """Classes that a policy selects, as the engine placed it."""
        if id(policy) not in self._placed:  # isolates in no direction
            return tuple(c for c in self.in_namespace(policy.namespace) if policy.pod_selector.matches(labels_of(c)))
        return self._placed[id(policy)]

    @cached_property
    def _placed(self) -> Mapping[int, tuple[PodClass, ...]]:
        """Classes by the policy (its identity) that selects them."""
        class_of, classes = self._reach.peers.class_of, self._reach.classes
        found = {}
        for side in self._reach.sides.values():
            for placed in side.policies:
                ids = dict.fromkeys(class_of[end] for end in placed.subjects.tolist())
                found[id(placed.form.policy)] = tuple(classes[number] for number in sorted(ids))
        return found

    def namespaces(self, selector: LabelSelector) -> tuple[str, ...]:
        """Names of the namespaces that a selector matches."""
        if selector not in self._namespaces:
            self._namespaces[selector] = tuple(
                sorted(name for name, space in self.cluster.namespaces.items() if selector.matches(space.labels))
            )
        return self._namespaces[selector]

    def matched(self, policy: NetworkPolicy, peer: PodPeer) -> tuple[PodClass, ...]:
        """Classes that a peer of one of the policy's rules matches."""
        home = policy.namespace if peer.namespace_selector is None else ""
        key = home, id(peer)  # by its content the peer would be slow to hash
        known = self._matched.get(key)
        if known is None:
            names = [policy.namespace] if peer.namespace_selector is None else self.namespaces(peer.namespace_selector)
            matched = tuple(
                found
                for name in names
                for found in self.in_namespace(name)
                if peer.pod_selector is None or peer.pod_selector.matches(labels_of(found))
            )
            known = self._matched[key] = peer, matched
        return known[1]

    @cached_property
    def doubtful(self) -> frozenset[PeerId]:
        """Peers of which the engine may be unsure whether a rule means them: classes without a known address or in a namespace whose labels
        were not read, all of the outside where rules name domains, and everything where something is not known that may be anything."""
        unsure = {
            found.id
            for found in self.all_classes
            if not found.addressed or not self.cluster.namespaces[found.namespace].declared
        }
        rules = (rule for policy in self.cluster.cluster_policies for rule in policy.egress)
        if any(isinstance(peer, DomainNamesPeer) for rule in rules for peer in rule.peers):
            unsure |= {found.id for found in self._reach.external}
        if (self.cluster.calico_policies or self.cluster.cilium_policies) and any(
            self._reach.doubtful(direction) for direction in Direction
        ):
            unsure |= {found.id for found in self.all_classes} | {found.id for found in self._reach.external}
        return frozenset(unsure)

    def uncertain(self, sources: Iterable[PeerId], destinations: Iterable[PeerId]) -> tuple[str, ...]:
        """Why connections that are not computed may pass all the same; only pairs with a doubtful end are asked. Sorted sentences.

        One reason is enough for a doubt: after MAX_REASONS the rest are counted as "others", whoever asks about how many pairs.
        """
        starts, ends = frozenset(sources), frozenset(destinations)
        doubtful = product(sorted(starts & self.doubtful), sorted(ends))
        others = product(sorted(starts - self.doubtful), sorted(ends & self.doubtful))
        reasons: set[str] = set()
        for source, destination in chain(doubtful, others):
            reasons.update(self._reach.uncertain(source, destination))
            if len(reasons) > MAX_REASONS:
                return (*sorted(reasons)[:MAX_REASONS], "others for the like reasons")
        return tuple(sorted(reasons))

    @cached_property
    def workloads(self) -> tuple[WorkloadPods, ...]:
        """All that policies may select, by workload, sorted."""
        return workloads_of(self.classes)

    def workload_keys(self, found: PodClass) -> frozenset[ObjectKey]:
        """Workloads with pods in a class."""
        if found.id not in self._workloads:
            self._workloads[found.id] = frozenset(pod.workload for pod in found.pods)
        return self._workloads[found.id]

    def names(self, classes: Iterable[PodClass]) -> tuple[str, ...]:
        """ "namespace/name" of the workloads with pods in some classes, sorted."""
        keys = {key for found in classes for key in self.workload_keys(found)}
        return tuple(f"{key.namespace}/{key.name}" for key in sorted(keys, key=ORDER))

    def services(self, pod: Pod) -> list[Service]:
        """Services that select the pod, in the cluster's order."""
        return [leads.service for leads in self._services.selecting(pod)]

    def rules(self, *directions: Direction) -> tuple[RuleAt, ...]:
        """Every rule that has an effect, in the order of policies."""
        if directions not in self._rules:
            self._rules[directions] = tuple(at for at in self._every_rule if at.direction in directions)
        return self._rules[directions]

    @cached_property
    def _every_rule(self) -> tuple[RuleAt, ...]:
        return tuple(at for policy in self.cluster.policies for at in self._lasting.of(_rules_of, policy))

    def rules_of(self, policy: NetworkPolicy, direction: Direction) -> tuple[RuleAt, ...]:
        """The policy's rules of a direction, when policyTypes names it; as long as the policy stays, the same ones."""
        return tuple(at for at in self._lasting.of(_rules_of, policy) if at.direction is direction)

    def ports(self, rule: Rule, pod: Pod) -> PortSet:
        """Ports that a rule names on this destination pod (`rule_ports`)."""
        return self._lasting.of(rule_ports, rule, pod)


def _rules_of(policy: NetworkPolicy) -> tuple[RuleAt, ...]:
    return tuple(
        RuleAt(policy, direction, number, rule)
        for direction in Direction
        if direction in policy.policy_types
        for number, rule in enumerate(policy.rules(direction))
    )


def labels_of(found: PodClass) -> Mapping[str, str]:
    """Labels of a class, for selectors that policies apply to its namespace: those of its first pod. Other labels may differ within it."""
    return found.pods[0].labels


def pods_of(classes: Iterable[PodClass]) -> tuple[Pod, ...]:
    """All pods of some classes; those that are finished are in none."""
    return tuple(chain.from_iterable(found.pods for found in classes))


def workloads_of(classes: Iterable[PodClass]) -> tuple[WorkloadPods, ...]:
    """The pods of some classes by workload, sorted."""
    return workloads_of_pods(pods_of(classes))


def workloads_of_pods(pods: Iterable[Pod]) -> tuple[WorkloadPods, ...]:
    """Pods by workload, sorted."""
    grouped: dict[ObjectKey, list[Pod]] = defaultdict(list)
    for pod in pods:
        grouped[pod.workload].append(pod)
    return tuple(
        WorkloadPods(key, tuple(sorted(grouped[key], key=attrgetter("namespace", "name"))))
        for key in sorted(grouped, key=ORDER)
    )


def workload_names(workloads: Iterable[WorkloadPods]) -> tuple[str, ...]:
    """ "namespace/name" of each."""
    return tuple(f"{workload.key.namespace}/{workload.key.name}" for workload in workloads)


def pod_evidence(pod: Pod) -> EvidenceRef:
    """A pod by its digest, or the workload whose template stands for pods."""
    key = pod.workload if pod.template else ObjectKey("", "Pod", pod.namespace, pod.name)
    return EvidenceRef(key, pod.digest)


def policy_evidence(policy: Policy, detail: str = "") -> EvidenceRef:
    return EvidenceRef(policy.key, policy.digest, detail, policy.source)


def policy_subject(policy: NetworkPolicy) -> Subject:
    return Subject("NetworkPolicy", policy.namespace, policy.name)


def rule_ports(rule: Rule, pod: Pod) -> PortSet:
    """Ports that a rule names, on this destination pod: named ports resolve there, a name it lacks gives nothing."""
    return union(port_set(port, pod) for port in rule.ports) if rule.ports else PortSet.all()


def union(sets: Iterable[PortSet]) -> PortSet:
    """All ports of some sets together."""
    found = PortSet.none()
    for ports in sets:
        found = found | ports
    return found


def port_set(port: PolicyPort, pod: Pod) -> PortSet:
    """One port entry on a destination pod."""
    if port.port is None:
        return PortSet.of(port.protocol, 1, 65535)
    if isinstance(port.port, int):
        return PortSet.of(port.protocol, port.port, port.end_port or port.port)
    return union(
        PortSet.of(declared.protocol, declared.number)
        for declared in pod.ports
        if declared.name == port.port and declared.protocol is port.protocol
    )


def port_names(rule: Rule) -> list[str]:
    """Ports of a rule as a reader expects them: "TCP 443", "UDP 5000-5010", "TCP http", "every TCP port"; empty for every port."""
    names = []
    for port in rule.ports:
        if port.port is None:
            names.append(f"every {port.protocol} port")
        else:
            names.append(f"{port.protocol} {port.port}{f'-{port.end_port}' if port.end_port else ''}")
    return names


def names_port(rule: Rule, number: int, protocol: Protocol) -> bool:
    """True when an entry of `ports` names this number (alone or in a range), not when the rule is about every port."""
    return any(
        isinstance(port.port, int) and port.protocol is protocol and port.port <= number <= (port.end_port or port.port)
        for port in rule.ports
    )


def peer_text(peer: PodPeer | IpBlock) -> str:
    """A peer in words, with kubectl's selector notation."""
    if isinstance(peer, IpBlock):
        return f"{peer.cidr}{' except ' + ', '.join(str(e) for e in peer.excepts) if peer.excepts else ''}"
    pods = f"pods {peer.pod_selector}" if peer.pod_selector is not None else "all pods"
    return pods if peer.namespace_selector is None else f"{pods} of namespaces {peer.namespace_selector}"


def is_every_namespace(peer: object) -> bool:
    """True for `namespaceSelector: {}` without (or with an empty) podSelector: every pod of the cluster, nothing outside it."""
    if not isinstance(peer, PodPeer) or peer.namespace_selector is None or peer.namespace_selector.requirements:
        return False
    return peer.pod_selector is None or not peer.pod_selector.requirements
