"""Random small clusters in which much is equal, so that rules meet: few names, few values, few addresses, few ports."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

from hypothesis import strategies as st

from evidence.cluster.model import (
    Cluster,
    ContainerPort,
    Direction,
    IPAddress,
    IpBlock,
    Namespace,
    NetworkPolicy,
    Node,
    Pod,
    PodPeer,
    PolicyPort,
    Protocol,
    Rule,
)
from evidence.cluster.objects import ObjectKey
from evidence.cluster.policies import (
    GROUP,
    Action,
    ClusterPolicy,
    ClusterPolicyPort,
    ClusterRule,
    DomainNamesPeer,
    NetworksPeer,
    NodePeer,
    Tier,
)
from evidence.cluster.selectors import LabelSelector, Operator, Requirement
from tests.builders import NAME_LABEL

SPACES = ("east", "north", "west")
KEYS, VALUES = ("app", "tier"), ("a", "b", "")
POD_ADDRESSES_4: list[IPAddress] = [ip_address(f"10.0.0.{n}") for n in range(8)]
POD_ADDRESSES_6: list[IPAddress] = [ip_address(f"fd00::{n}") for n in range(4)]
NODE_ADDRESSES = [ip_address(a) for a in ("172.16.0.1", "172.16.0.2", "fd01::1")]
OUTSIDE = [ip_address(a) for a in ("9.255.255.255", "10.0.0.6", "10.0.0.9", "203.0.113.7", "2001:db8::1", "fd00::3")]
NETWORKS = [
    ip_network(n)
    for n in (
        "0.0.0.0/0", "10.0.0.0/29", "10.0.0.0/30", "10.0.0.2/31", "10.0.0.5/32", "172.16.0.0/24", "203.0.113.0/24",
        "::/0", "fd00::/126", "fd00::2/127", "2001:db8::/32",
    )
]  # fmt: skip
NUMBERS = (53, 79, 80, 81, 8080)
PORT_NAMES = ("http", "dns")

protocols = st.sampled_from(list(Protocol))
labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=2)


@st.composite
def requirements(draw: st.DrawFn) -> Requirement:
    operator = draw(st.sampled_from(list(Operator)))
    values: tuple[str, ...] = ()
    if operator in (Operator.IN, Operator.NOT_IN):
        values = tuple(sorted(draw(st.sets(st.sampled_from(VALUES), min_size=1, max_size=2))))
    return Requirement(draw(st.sampled_from(KEYS)), operator, values)


selectors = st.lists(requirements(), max_size=2).map(lambda found: LabelSelector(tuple(sorted(found))))
named_spaces = st.sampled_from(SPACES).map(lambda name: LabelSelector((Requirement(NAME_LABEL, Operator.IN, (name,)),)))
space_selectors = st.one_of(selectors, named_spaces)


@st.composite
def container_ports(draw: st.DrawFn) -> ContainerPort:
    return ContainerPort(draw(st.sampled_from(PORT_NAMES)), draw(protocols), draw(st.sampled_from(NUMBERS)))


@st.composite
def pod_addresses(draw: st.DrawFn, taken: set[IPAddress]) -> tuple[IPAddress, ...]:
    """None, one, or one of each family, that no other pod has."""
    found: list[IPAddress] = []
    for pool in (POD_ADDRESSES_4, POD_ADDRESSES_6):
        free = [address for address in pool if address not in taken]
        known = draw(st.integers(0, 3)) > 0
        if free and known:
            found.append(draw(st.sampled_from(free)))
    return tuple(found)


@st.composite
def pods(draw: st.DrawFn, nodes: tuple[Node, ...]) -> tuple[Pod, ...]:
    taken: set[IPAddress] = set()
    found = []
    for number in range(draw(st.integers(1, 5))):
        namespace, name = draw(st.sampled_from(SPACES)), f"p{number}"
        host = draw(st.integers(0, 5)) == 0
        node = draw(st.sampled_from(["", *(node.name for node in nodes)]))
        addresses = () if host else draw(pod_addresses(taken))
        taken.update(addresses)
        found.append(
            Pod(
                namespace=namespace,
                name=name,
                labels=draw(labels),
                workload=ObjectKey("", "Pod", namespace, name),
                addresses=addresses,
                node=node,
                host_network=host,
                ports=tuple(draw(st.lists(container_ports(), max_size=2))),
                phase=draw(st.sampled_from(["Running", "Running", "Running", "Pending", "Succeeded"])),
                template=draw(st.integers(0, 5)) == 0,
            )
        )
    return tuple(found)


@st.composite
def blocks(draw: st.DrawFn) -> IpBlock:
    return IpBlock(
        draw(st.sampled_from(NETWORKS)), tuple(draw(st.lists(st.sampled_from(NETWORKS), max_size=2, unique=True)))
    )


pod_peers = st.builds(PodPeer, st.none() | space_selectors, st.none() | selectors)


@st.composite
def policy_ports(draw: st.DrawFn) -> PolicyPort:
    port = draw(st.none() | st.sampled_from(NUMBERS) | st.sampled_from(PORT_NAMES))
    end = (
        draw(st.none() | st.sampled_from([n for n in (80, 81, 9000) if n >= port]))
        if isinstance(port, int) and port <= 9000
        else None
    )
    return PolicyPort(draw(protocols), port, end)


rules = st.builds(
    Rule,
    st.lists(st.one_of(pod_peers, blocks()), max_size=2).map(tuple),
    st.lists(policy_ports(), max_size=2).map(tuple),
)


@st.composite
def network_policies(draw: st.DrawFn) -> tuple[NetworkPolicy, ...]:
    return tuple(
        NetworkPolicy(
            namespace=draw(st.sampled_from(SPACES)),
            name=f"n{number}",
            pod_selector=draw(selectors),
            policy_types=draw(st.frozensets(st.sampled_from(list(Direction)), min_size=1)),
            ingress=tuple(draw(st.lists(rules, max_size=2))),
            egress=tuple(draw(st.lists(rules, max_size=2))),
        )
        for number in range(draw(st.integers(0, 4)))
    )


EVERY_POD = PodPeer(LabelSelector(), None)
whole_pod_peers = st.just(EVERY_POD) | st.builds(PodPeer, space_selectors, st.none() | selectors)


@st.composite
def cluster_rules(draw: st.DrawFn, direction: Direction) -> ClusterRule:
    outward = [
        st.builds(NodePeer, selectors),
        st.lists(st.sampled_from(NETWORKS), min_size=1, max_size=2).map(lambda found: NetworksPeer(tuple(found))),
    ]
    peers = st.one_of(whole_pod_peers, *(outward if direction is Direction.EGRESS else []))
    action = draw(st.sampled_from(list(Action)))
    found = draw(st.lists(peers, min_size=1, max_size=2))
    if direction is Direction.EGRESS and action is Action.ACCEPT and draw(st.integers(0, 5)) == 0:
        found.append(DomainNamesPeer(("example.com",)))
    return ClusterRule("", action, tuple(found), tuple(draw(st.lists(cluster_ports(), max_size=2))))


@st.composite
def cluster_ports(draw: st.DrawFn) -> ClusterPolicyPort:
    port = draw(policy_ports())
    protocol = None if isinstance(port.port, str) and draw(st.booleans()) else port.protocol
    return ClusterPolicyPort(protocol, port.port, port.end_port)


@st.composite
def cluster_policies(draw: st.DrawFn) -> tuple[ClusterPolicy, ...]:
    """Now and then all of one tier and priority, so that the order is left open."""
    crowded = draw(st.booleans())
    tier = draw(st.sampled_from(list(Tier)))
    return tuple(
        ClusterPolicy(
            key=ObjectKey(GROUP, "ClusterNetworkPolicy", "", f"c{number}"),
            api_version=f"{GROUP}/v1alpha2",
            tier=tier if crowded else draw(st.sampled_from(list(Tier))),
            priority=0 if crowded else draw(st.integers(0, 1)),
            subject=draw(whole_pod_peers),
            ingress=tuple(draw(st.lists(cluster_rules(Direction.INGRESS), max_size=2))),
            egress=tuple(draw(st.lists(cluster_rules(Direction.EGRESS), max_size=2))),
        )
        for number in range(draw(st.integers(0, 4)))
    )


@st.composite
def clusters(draw: st.DrawFn, admin: bool = True) -> Cluster:
    """Objects in their model's order. `admin` False: no cluster-wide policies."""
    nodes = tuple(
        Node(name, draw(labels), tuple(draw(st.sets(st.sampled_from(NODE_ADDRESSES[n::2]), max_size=2))), ready=True)
        for n, name in enumerate(("n1", "n2"))
    )
    names = {name: Namespace(name, {NAME_LABEL: name, **draw(labels)}) for name in SPACES}
    for name in SPACES:
        if draw(st.integers(0, 5)) == 0:
            names[name] = Namespace(name, {NAME_LABEL: name}, declared=False)
    return Cluster(
        namespaces=names,
        pods=tuple(sorted(draw(pods(nodes)), key=lambda pod: (pod.namespace, pod.name))),
        policies=draw(network_policies()),
        nodes=nodes,
        cluster_policies=draw(cluster_policies()) if admin else (),
    )


@st.composite
def completions(draw: st.DrawFn, cluster: Cluster) -> Cluster:
    """The same cluster with everything known that was not: addresses of pods and labels of namespaces."""
    taken = {address for pod in cluster.pods for address in pod.addresses}
    found = []
    for pod in cluster.pods:
        if not pod.addresses and not pod.host_network:
            pod = replace(pod, addresses=draw(pod_addresses(taken)) or (ip_address("10.0.0.100"),))  # noqa: PLW2901
            taken.update(pod.addresses)
        found.append(pod)
    names = {
        name: space if space.declared else Namespace(name, {NAME_LABEL: name, **draw(labels)})
        for name, space in cluster.namespaces.items()
    }
    return replace(cluster, pods=tuple(found), namespaces=names)
