"""Random Cilium policies over the random clusters of `strategies`."""

from dataclasses import replace
from ipaddress import ip_network

from hypothesis import strategies as st

from evidence.cluster.cilium import (
    CidrGroup,
    CidrGroupPeer,
    CiliumPeer,
    CiliumPolicy,
    CiliumPort,
    CiliumRule,
    CiliumSpec,
    Endpoints,
    Entity,
    ForeignPeer,
    FqdnPeer,
    NoPods,
    ServicePeer,
)
from evidence.cluster.model import Cluster, Direction, IpBlock, Service
from evidence.cluster.objects import ObjectKey
from evidence.cluster.policies import Unknown
from evidence.cluster.routes import Endpoint, EndpointSlice
from evidence.cluster.selectors import SERVICE_ACCOUNT, LabelSelector, Operator, Requirement
from tests.oracle.strategies import (
    NETWORKS,
    NODE_ADDRESSES,
    OUTSIDE,
    POD_ADDRESSES_4,
    POD_ADDRESSES_6,
    SPACES,
    blocks,
    clusters,
    labels,
    policy_ports,
    protocols,
    selectors,
    space_selectors,
)

some_addresses = st.lists(
    st.sampled_from([*OUTSIDE, *NODE_ADDRESSES, *POD_ADDRESSES_4, *POD_ADDRESSES_6]), min_size=1, max_size=2
).map(tuple)
GROUP = "cilium.io"
GROUP_NAMES = ("g0", "g1", "missing")
SERVICE_NAMES = ("s0", "s1", "missing")


ACCOUNTS = ("default", "robot")
accounts = st.builds(
    lambda selector, operator, account: LabelSelector(
        tuple(sorted((*selector.requirements, Requirement(SERVICE_ACCOUNT, operator, (account,)))))
    ),
    selectors,
    st.sampled_from([Operator.IN, Operator.NOT_IN]),
    st.sampled_from(ACCOUNTS),
)


def endpoints(clusterwide: bool) -> st.SearchStrategy[Endpoints]:
    spaces = space_selectors if clusterwide else st.none() | space_selectors
    return st.builds(Endpoints, spaces, selectors | accounts)


@st.composite
def peers(draw: st.DrawFn, clusterwide: bool, direction: Direction) -> tuple[CiliumPeer, ...] | None:
    """All of one kind, as agents ask for; None now and then."""
    asking = selectors.filter(lambda found: not found.matches({}))  # a group without labels is none that was meant
    excepts = st.lists(st.sampled_from(NETWORKS), max_size=1).map(tuple)
    kinds: list[st.SearchStrategy[CiliumPeer]] = [
        endpoints(clusterwide),
        blocks(),
        st.builds(CidrGroupPeer, st.sampled_from(GROUP_NAMES), st.none(), excepts)
        | st.builds(CidrGroupPeer, st.just(""), asking, excepts),
        st.sampled_from(list(Entity)),
        st.just(Unknown("a peer of a newer version")),
        st.just(ForeignPeer("a security group")),
    ]
    if direction is Direction.EGRESS:
        kinds += [
            st.builds(ServicePeer, st.sampled_from(["", *SPACES]), st.sampled_from(SERVICE_NAMES)),
            st.builds(ServicePeer, st.sampled_from(["", *SPACES]), st.just(""), selectors),
            st.just(FqdnPeer(("example.com",))),
        ]
    if draw(st.integers(0, 5)) == 0:
        return None
    return tuple(draw(st.lists(draw(st.sampled_from(kinds)), max_size=2)))


@st.composite
def ports(draw: st.DrawFn) -> tuple[CiliumPort | Unknown, ...] | None:
    if draw(st.booleans()):
        return None
    found: list[CiliumPort | Unknown] = []
    for _ in range(draw(st.integers(0, 2))):
        port = draw(policy_ports())
        found.append(CiliumPort(draw(st.none() | protocols), port.port, port.end_port))
    if draw(st.integers(0, 9)) == 0:
        found.append(Unknown("a port of a newer version"))
    return tuple(found)


@st.composite
def specs(draw: st.DrawFn, clusterwide: bool, where: str = "spec") -> CiliumSpec:
    def rules(direction: Direction, section: str) -> tuple[CiliumRule, ...]:
        return tuple(
            CiliumRule(draw(peers(clusterwide, direction)), draw(ports()), f"{where}.{section}[{number}]")
            for number in range(draw(st.sampled_from([0, 0, 1, 2])))
        )

    allows = {direction: rules(direction, direction.value.lower()) for direction in Direction}
    denies = {direction: rules(direction, f"{direction.value.lower()}Deny") for direction in Direction}
    closing = frozenset(d for d in Direction if (allows[d] or denies[d]) and draw(st.integers(0, 4)) > 0)
    subject: Endpoints | NoPods | Unknown = Endpoints(
        draw(space_selectors) if clusterwide else None, draw(selectors | accounts | st.just(LabelSelector()))
    )
    odd = draw(st.integers(0, 19))
    if odd == 0:
        subject = NoPods("spec.nodeSelector (host firewall)")
    elif odd == 1:
        subject = Unknown("spec.endpointSelector by container:x")
    doubts = (Unknown("two kinds of peers"),) if odd == 2 else ()
    return CiliumSpec(subject, allows, denies, closing, doubts)


@st.composite
def cilium_policies(draw: st.DrawFn) -> tuple[CiliumPolicy, ...]:
    found = []
    for number in range(draw(st.integers(1, 4))):
        clusterwide = draw(st.booleans())
        kind = "CiliumClusterwideNetworkPolicy" if clusterwide else "CiliumNetworkPolicy"
        key = ObjectKey(GROUP, kind, "" if clusterwide else draw(st.sampled_from(SPACES)), f"c{number}")
        places = draw(st.sampled_from([("spec",), ("specs[0]", "specs[1]")]))
        found.append(CiliumPolicy(key, f"{GROUP}/v2", tuple(draw(specs(clusterwide, where)) for where in places)))
    return tuple(sorted(found, key=lambda policy: policy.key))


@st.composite
def cilium_clusters(draw: st.DrawFn) -> Cluster:
    """Clusters with NetworkPolicies, Cilium's policies, groups of networks and Services. Some nodes are of the control plane."""
    cluster = draw(clusters(admin=False))
    nodes = tuple(
        replace(
            node, labels={**node.labels, **draw(st.sampled_from([{}, {"node-role.kubernetes.io/control-plane": ""}]))}
        )
        for node in draw(st.sampled_from([cluster.nodes, ()]))
    )
    groups = tuple(
        CidrGroup(name, draw(labels), tuple(draw(st.lists(st.sampled_from(NETWORKS), max_size=2))))
        for name in ("g0", "g1")
    )
    services = tuple(
        Service(
            space, name, "ClusterIP", draw(st.none() | labels.map(lambda found: found or None)), (), labels=draw(labels)
        )
        for space in SPACES
        for name in ("s0", "s1")
    )
    slices = tuple(
        EndpointSlice(
            space, f"{name}-x", name, tuple(draw(st.lists(st.builds(Endpoint, some_addresses), max_size=2))), ()
        )
        for space, name in draw(
            st.sets(st.sampled_from([*((space, "s0") for space in SPACES), ("default", "kubernetes")]))
        )
    )
    return replace(
        cluster,
        pods=tuple(replace(pod, service_account=draw(st.sampled_from(ACCOUNTS))) for pod in cluster.pods),
        nodes=nodes,
        cilium_policies=draw(cilium_policies()),
        cidr_groups=groups,
        services=services,
        endpoint_slices=slices,
    )


@st.composite
def resolved(draw: st.DrawFn, cluster: Cluster) -> Cluster:
    """The same cluster where names, foreign groups and missing objects have turned out to be something."""
    addresses = [IpBlock(ip_network(address)) for address in OUTSIDE]

    def known(rule: CiliumRule) -> CiliumRule:
        if rule.peers is None:
            return rule
        found = tuple(
            draw(st.sampled_from(addresses)) if isinstance(peer, FqdnPeer | ForeignPeer) else peer
            for peer in rule.peers
        )
        return replace(rule, peers=found)

    policies = tuple(
        replace(
            policy,
            specs=tuple(
                replace(spec, allows={direction: tuple(map(known, rules)) for direction, rules in spec.allows.items()})
                for spec in policy.specs
            ),
        )
        for policy in cluster.cilium_policies
    )
    missing = CidrGroup(
        "missing", {"no": "selector asks for this"}, tuple(draw(st.lists(st.sampled_from(NETWORKS), max_size=2)))
    )
    services = tuple(Service(space, "missing", "ClusterIP", draw(labels), ()) for space in SPACES)
    return replace(
        cluster,
        cilium_policies=policies,
        cidr_groups=(*cluster.cidr_groups, missing),
        services=(*cluster.services, *services),
    )
