"""A naive evaluator of reachability: one connection at a time, straight from the API's words, sharing nothing with the engine.

No classes, no tables, no port sets: for one source address, one destination address, one protocol and one port it walks the policies in
the order in which a cluster would. Where the order is undefined (equal priorities) it tries every order and takes the most permissive.
It is slow and meant to be read beside docs/reachability.md.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from ipaddress import ip_network
from itertools import permutations

from evidence.cluster.model import (
    Cluster,
    Direction,
    IPAddress,
    IpBlock,
    NetworkPolicy,
    Pod,
    PodPeer,
    PolicyPort,
    Protocol,
)
from evidence.cluster.policies import (
    Action,
    ClusterPolicy,
    ClusterPolicyPort,
    ClusterRule,
    DomainNamesPeer,
    NetworksPeer,
    NodePeer,
    Tier,
)
from evidence.cluster.selectors import LabelSelector


@dataclass(frozen=True)
class Connection:
    """One attempt. A pod's address is None when it is not known; `source` or `destination` None is an address outside."""

    source: Pod | None
    source_address: IPAddress | None
    destination: Pod | None
    destination_address: IPAddress | None
    protocol: Protocol
    port: int


class Word(Enum):
    YES = "yes"
    NO = "no"
    GO_ON = "go on"


def may_connect(
    cluster: Cluster,
    source: Pod | IPAddress,
    destination: Pod | IPAddress,
    protocol: Protocol,
    port: int,
    family: int | None = None,
    *,
    own_node: bool = True,
) -> bool:
    """True when some pair of addresses of one family lets the connection through."""
    if any(isinstance(end, Pod) and end.phase in ("Succeeded", "Failed") for end in (source, destination)):
        return False
    if isinstance(source, Pod) and source is destination:
        return True
    for here in addresses(cluster, source):
        for there in addresses(cluster, destination):
            versions = {a.version for a in (here, there) if a is not None}
            if len(versions) == 2 or (family and versions and family not in versions):
                continue
            attempt = Connection(
                source if isinstance(source, Pod) else None,
                here,
                destination if isinstance(destination, Pod) else None,
                there,
                protocol,
                port,
            )
            let_in = passes(cluster, attempt, Direction.INGRESS) or (own_node and from_own_node(cluster, attempt))
            if let_in and passes(cluster, attempt, Direction.EGRESS):
                return True
    return False


def addresses(cluster: Cluster, end: Pod | IPAddress) -> Sequence[IPAddress | None]:
    if not isinstance(end, Pod):
        return [end]
    known = list(end.addresses)
    if end.host_network:
        known += end.node_addresses
        known += [a for node in cluster.nodes if node.name == end.node for a in node.addresses]
    return known or [None]


def from_own_node(cluster: Cluster, attempt: Connection) -> bool:
    pod = attempt.destination
    if pod is None or pod.host_network:
        return False
    if attempt.source is not None:
        return attempt.source.host_network and pod.node != "" and attempt.source.node == pod.node
    of_node = [a for node in cluster.nodes if node.name == pod.node for a in node.addresses]
    return attempt.source_address in [*pod.node_addresses, *of_node]


def passes(cluster: Cluster, attempt: Connection, direction: Direction) -> bool:
    """One side of the connection: Admin tier, NetworkPolicy, Baseline tier, then yes."""
    if cluster.calico is not None:
        from tests.oracle import calico

        return calico.passes(cluster, attempt, direction)
    subject = attempt.source if direction is Direction.EGRESS else attempt.destination
    if subject is None or subject.host_network:
        return True
    word = tier_says(cluster, attempt, direction, subject, Tier.ADMIN)
    if word is not Word.GO_ON:
        return word is Word.YES
    selecting = [
        policy
        for policy in cluster.policies
        if policy.namespace == subject.namespace
        and holds(policy.pod_selector, subject.labels)
        and direction in policy.policy_types
    ]
    if selecting:
        return any(
            admits(cluster, attempt, direction, policy, number)
            for policy in selecting
            for number in range(len(policy.rules(direction)))
        )
    return tier_says(cluster, attempt, direction, subject, Tier.BASELINE) is not Word.NO


def tier_says(cluster: Cluster, attempt: Connection, direction: Direction, subject: Pod, tier: Tier) -> Word:
    """The most permissive word over all orders of policies that respect their priorities (yes, go on, no)."""
    policies = [
        policy for policy in cluster.cluster_policies if policy.tier is tier and about(cluster, policy, subject)
    ]
    words = {first_word(cluster, attempt, direction, order) for order in orders(policies)}
    return next(word for word in (Word.YES, Word.GO_ON, Word.NO) if word in words)


def orders(policies: Sequence[ClusterPolicy]) -> Iterator[Sequence[ClusterPolicy]]:
    priorities = sorted({policy.priority for policy in policies})
    if not priorities:
        yield ()
        return
    first = [policy for policy in policies if policy.priority == priorities[0]]
    rest = [policy for policy in policies if policy.priority != priorities[0]]
    for head in permutations(first):
        for tail in orders(rest):
            yield (*head, *tail)


def first_word(cluster: Cluster, attempt: Connection, direction: Direction, policies: Iterable[ClusterPolicy]) -> Word:
    for policy in policies:
        for rule in policy.rules(direction):
            if matches(cluster, attempt, direction, rule):
                return {Action.ACCEPT: Word.YES, Action.DENY: Word.NO, Action.PASS: Word.GO_ON}[rule.action]  # type: ignore[index]
    return Word.GO_ON


def about(cluster: Cluster, policy: ClusterPolicy, pod: Pod) -> bool:
    assert isinstance(policy.subject, PodPeer)
    return pod_is_meant(cluster, policy.subject, pod, home="")


def matches(cluster: Cluster, attempt: Connection, direction: Direction, rule: ClusterRule) -> bool:
    other, address = other_end(attempt, direction)
    return any(peer_matches(cluster, peer, other, address) for peer in rule.peers) and (
        not rule.ports or any(port_matches(port, attempt) for port in rule.ports)
    )


def admits(cluster: Cluster, attempt: Connection, direction: Direction, policy: NetworkPolicy, number: int) -> bool:
    rule = policy.rules(direction)[number]
    other, address = other_end(attempt, direction)
    peers = not rule.peers or any(peer_matches(cluster, peer, other, address, policy.namespace) for peer in rule.peers)
    return peers and (not rule.ports or any(port_matches(port, attempt) for port in rule.ports))


def other_end(attempt: Connection, direction: Direction) -> tuple[Pod | None, IPAddress | None]:
    if direction is Direction.EGRESS:
        return attempt.destination, attempt.destination_address
    return attempt.source, attempt.source_address


def peer_matches(cluster: Cluster, peer: object, pod: Pod | None, address: IPAddress | None, home: str = "") -> bool:
    match peer:
        case PodPeer():
            return pod is not None and pod_is_meant(cluster, peer, pod, home)
        case IpBlock():
            return within(address, peer.cidr) and not any(within(address, gap) for gap in peer.excepts)
        case NetworksPeer():
            return any(within(address, network) for network in peer.networks)
        case NodePeer():
            return address is not None and any(
                address in node.addresses for node in cluster.nodes if holds(peer.selector, node.labels)
            )
        case DomainNamesPeer():
            return False
    raise AssertionError(peer)


def pod_is_meant(cluster: Cluster, peer: PodPeer, pod: Pod, home: str) -> bool:
    if pod.host_network:
        return False
    space = cluster.namespaces[pod.namespace]
    selector = peer.namespace_selector
    there = pod.namespace == home if selector is None else holds(selector, space.labels)
    return there and (peer.pod_selector is None or holds(peer.pod_selector, pod.labels))


def within(address: IPAddress | None, network: object) -> bool:
    net = _network(str(network))
    return address is not None and address.version == net.version and address in net


_network = lru_cache(maxsize=1 << 10)(ip_network)


def port_matches(port: object, attempt: Connection) -> bool:
    assert isinstance(port, PolicyPort | ClusterPolicyPort)
    if port.protocol is not None and port.protocol is not attempt.protocol:
        return False
    if port.port is None:
        return True
    if isinstance(port.port, str):
        return attempt.destination is not None and any(
            declared.name == port.port and declared.protocol is attempt.protocol and declared.number == attempt.port
            for declared in attempt.destination.ports
        )
    return port.port <= attempt.port <= (port.end_port or port.port)


def holds(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """meta/v1 LabelSelector, clause by clause."""
    for need in selector.requirements:
        value = labels.get(need.key)
        true = {
            "In": value is not None and value in need.values,
            "NotIn": value is None or value not in need.values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[need.operator.value]
        if not true:
            return False
    return True
