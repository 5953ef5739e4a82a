"""cilium.io/v2 (CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy) in the engine's form of rules.

1. Whatever allows adds up with Kubernetes NetworkPolicies, whatever denies comes first, over any of them (deny.rst): a rule object is one form
   among NetworkPolicies, and one in a tier right before theirs for its deny rules.
2. A pod is isolated in a direction when some rule object, or NetworkPolicy, puts it into default deny there. Deny rules without default
   deny only take away (intro.rst, EnableDefaultDeny).
3. No peers and ports: any peer. Neither peers nor ports ("- {}"): nothing (L3-only rules in pkg/policy/rule.go; the documentation's
   example of default deny is written so).
4. Identity, not address: networks and names never mean pods of the cluster (layer3.rst, CIDR based). Nodes, with the pods on their network, are
   meant by the entities host and remote-node, and by a network only where policy-cidr-match-mode says so.
5. Ports are those of the destination after translation of Service ports (layer4.rst); ICMP has none. ANY is TCP, UDP and SCTP where it allows,
   TCP and UDP where it denies: not every version counts SCTP.

Where a version, a setting or something that is not in the source decides, what allows is read broadly and what denies narrowly, so that a
mistake shows more as reachable:

6. Allowing, a network means nodes too; denying, only the outside. `host` and `remote-node` mean every node when they allow. Denying egress they mean
   none, since which node is the pod's own differs from pod to pod; denying ingress remote-node means every node: the own one reaches its pods anyway.
7. `world` is the outside but for addresses that are known as a node's. kube-apiserver is what its Service leads to;
   where that was not read it is on nodes of the control plane, and perhaps elsewhere.
   `ingress` and `unmanaged` may be anything or any pod; `init` and `health` are nothing that is looked at here.
8. toServices means the pods that the Service selects; without a selector the addresses of its endpoint slices, outside the cluster. Where neither
   is in the source, and for Services by label, what it means is not known; nor is it for groups that are not in the source.
9. A rule that is not known whole allows what is known of it and perhaps everything, and denies nothing. A rule object that may not be in
   force, or whose subject is not known, isolates nobody, denies nothing and perhaps allows everything.

Source: Documentation/security/policy (intro, layer3, layer4, deny) and pkg/policy of cilium/cilium.
"""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network

from evidence.cluster.cilium import (
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
from evidence.cluster.model import Cluster, Direction, IpBlock, Protocol, Service
from evidence.cluster.policies import Unknown
from evidence.cluster.selectors import LabelSelector, Operator, Requirement
from evidence.reach.rules import (
    NETWORK_POLICY,
    NETWORK_POLICY_ORDER,
    Action,
    Domains,
    Everything,
    HostPods,
    Matcher,
    Nodes,
    Pods,
    PolicyForm,
    PortMatch,
    RuleForm,
    Tier,
    Unplaced,
    Within,
)

DENY = Tier(NETWORK_POLICY.order - 1, "Cilium deny")

_EVERY_POD = Pods(None, None, None)
_EVERY_NODE = Nodes(LabelSelector())
_ON_NODES: tuple[Matcher, ...] = (HostPods(), _EVERY_NODE)
_NOT_OUTSIDE: tuple[Matcher, ...] = (_EVERY_POD, *_ON_NODES)
_CONTROL_PLANE = tuple(
    Nodes(LabelSelector((Requirement(f"node-role.kubernetes.io/{role}", Operator.EXISTS),)))
    for role in ("control-plane", "master")
)
_IPV4, _IPV6 = IpBlock(ip_network("0.0.0.0/0")), IpBlock(ip_network("::/0"))


def translate(policy: CiliumPolicy, cluster: Cluster) -> Iterator[PolicyForm]:
    """The policy in the engine's form, one or two a rule object; none for one that is about no pod."""
    peers = _Peers(policy.key.namespace, cluster)
    for spec in policy.specs:
        if isinstance(spec.subject, NoPods):
            continue
        if isinstance(spec.subject, Unknown) or spec.doubts:
            yield _doubtful(policy, spec)
            continue
        subject = peers.pods(spec.subject)
        yield PolicyForm(
            policy=policy,
            tier=NETWORK_POLICY,
            priority=NETWORK_POLICY_ORDER,
            subject=subject,
            rules={
                direction: tuple(form for rule in rules for form in _allowing(rule, peers))
                for direction, rules in spec.allows.items()
                if rules or direction in spec.default_deny
            },
            isolates=spec.default_deny,
            adds=True,
        )
        if any(spec.denies.values()):
            yield PolicyForm(
                policy=policy,
                tier=DENY,
                priority=0,
                subject=subject,
                rules={
                    direction: tuple(form for rule in rules for form in _denying(rule, direction, peers))
                    for direction, rules in spec.denies.items()
                    if rules
                },
                isolates=frozenset(),
            )


def _doubtful(policy: CiliumPolicy, spec: CiliumSpec) -> PolicyForm:
    """What a rule object allows of which nothing certain can be said."""
    why = next(spec.unknown()).what
    anything = Unplaced(f"{why} is not known, so it may be allowed", outside=True, nodes=True, pods=True)
    home = policy.key.namespace or None
    return PolicyForm(
        policy=policy,
        tier=NETWORK_POLICY,
        priority=NETWORK_POLICY_ORDER,
        subject=Pods(home, None, None),
        rules={
            direction: tuple(RuleForm(Action.ACCEPT, (anything,), None, rule.where) for rule in rules)
            for direction, rules in spec.allows.items()
            if rules
        },
        isolates=frozenset(),
        adds=True,
    )


def _allowing(rule: CiliumRule, peers: "_Peers") -> Iterator[RuleForm]:
    if rule.peers is None:
        meant: tuple[Matcher, ...] = () if rule.ports is None else (Everything(),)
    else:
        meant = tuple(matcher for peer in rule.peers for matcher in peers.allowed(peer))
    if meant:
        yield RuleForm(Action.ACCEPT, meant, _ports(rule.ports, tuple(Protocol)), rule.where, limits=rule.limits)
    for unknown in rule.unknown():
        anything = Unplaced(f"{unknown.what} is not known", outside=True, nodes=True, pods=True)
        yield RuleForm(Action.ACCEPT, (anything,), None, rule.where)


def _denying(rule: CiliumRule, direction: Direction, peers: "_Peers") -> Iterator[RuleForm]:
    if any(rule.unknown()) or (rule.peers is None and rule.ports is None):
        return
    if rule.peers is None:
        meant: tuple[Matcher, ...] = (Everything(),)
    else:
        meant = tuple(matcher for peer in rule.peers for matcher in peers.denied(peer, direction))
    if meant:
        yield RuleForm(Action.DENY, meant, _ports(rule.ports, (Protocol.TCP, Protocol.UDP)), rule.where)


def _ports(ports: tuple[CiliumPort | Unknown, ...] | None, any_of: Iterable[Protocol]) -> tuple[PortMatch, ...] | None:
    if ports is None:
        return None
    return tuple(
        PortMatch(protocol, port.port, port.end_port)
        for port in ports
        if isinstance(port, CiliumPort)
        for protocol in ((port.protocol,) if port.protocol else any_of)
    )


class _Peers:
    """What the peers of one policy mean in one cluster. `home` is the policy's namespace, "" for a clusterwide one."""

    def __init__(self, home: str, cluster: Cluster) -> None:
        self._home = home
        self._cluster = cluster
        self._services: Mapping[tuple[str, str], Service] | None = None

    def pods(self, endpoints: Endpoints) -> Pods:
        if endpoints.namespaces is None:
            return Pods(self._home, None, endpoints.pods)
        return Pods(None, endpoints.namespaces, endpoints.pods)

    def allowed(self, peer: CiliumPeer) -> Iterator[Matcher]:
        """Everything that the peer may mean in a rule that allows."""
        match peer:
            case Endpoints():
                yield self.pods(peer)
            case IpBlock():
                yield Within(((peer,),), (_EVERY_POD,))
            case CidrGroupPeer():
                blocks = self._blocks(peer)
                for block in blocks or ():
                    yield Within(((block,),), (_EVERY_POD,))
                if blocks is None:
                    yield Unplaced(f"the networks of {_group(peer)} are not known", outside=True)
            case Entity():
                yield from self._entity(peer)
            case FqdnPeer():
                yield Domains(peer.names)
            case ServicePeer():
                yield from self._service(peer)
            case ForeignPeer():
                yield Unplaced(f"the addresses of {peer.what} are not known", outside=True)
            case Unknown():
                return

    def denied(self, peer: CiliumPeer, direction: Direction) -> Iterator[Matcher]:
        """What the peer means for certain in a rule that denies."""
        match peer:
            case Endpoints():
                yield self.pods(peer)
            case IpBlock():
                yield _outside(peer)
            case CidrGroupPeer():
                yield from map(_outside, self._blocks(peer) or ())
            case Entity.ALL:
                yield Everything()
            case Entity.WORLD | Entity.WORLD_IPV4 | Entity.WORLD_IPV6:
                yield from _world(peer)
            case Entity.CLUSTER:
                yield from (_EVERY_POD, *_ON_NODES)
            case Entity.REMOTE_NODE if direction is Direction.INGRESS:
                yield from _ON_NODES
            case ServicePeer():
                for found in self._service(peer):
                    if isinstance(found, Pods):
                        yield found
                    elif isinstance(found, Within):
                        yield Within(found.every, _NOT_OUTSIDE)
            case _:
                return

    def _entity(self, entity: Entity) -> Iterator[Matcher]:
        match entity:
            case Entity.ALL:
                yield Everything()
            case Entity.WORLD | Entity.WORLD_IPV4 | Entity.WORLD_IPV6:
                yield from _world(entity)
            case Entity.CLUSTER:
                yield _EVERY_POD
                yield from self._on_nodes()
                yield from self._api_server()
            case Entity.HOST | Entity.REMOTE_NODE:
                yield from self._on_nodes()
            case Entity.KUBE_APISERVER:
                yield from self._api_server()
            case Entity.INGRESS:
                yield Unplaced("Cilium's proxy may hand on what comes to it", outside=True, nodes=True, pods=True)
            case Entity.UNMANAGED:
                yield Unplaced("it may be a pod that Cilium does not manage", pods=True)
            case Entity.INIT | Entity.HEALTH | Entity.NONE:
                return

    def _on_nodes(self) -> Iterator[Matcher]:
        yield from _ON_NODES
        if not self._cluster.nodes:
            yield Unplaced("the addresses of the nodes are not known", outside=True)

    def _blocks(self, peer: CidrGroupPeer) -> tuple[IpBlock, ...] | None:
        """The networks of the groups that are meant; None when they were not read."""
        groups = [
            group
            for group in self._cluster.cidr_groups
            if (peer.selector.matches(group.labels) if peer.selector else group.name == peer.name)
        ]
        if not groups:
            return None
        return tuple(IpBlock(network, peer.excepts) for group in groups for network in group.networks)

    def _service(self, peer: ServicePeer) -> Iterator[Matcher]:
        """Its pods by selector; without one, the addresses of its endpoints, as networks outside the cluster."""
        if self._services is None:
            self._services = {(service.namespace, service.name): service for service in self._cluster.services}
        found = self._services.get((peer.namespace, peer.name))
        if found is None:
            which = f"Service {peer.namespace}/{peer.name} is" if peer.name else "Services by label are"
            yield Unplaced(f"{which} not known", outside=True, pods=True)
        elif found.selector:
            equal = (Requirement(key, Operator.IN, (value,)) for key, value in found.selector.items())
            yield Pods(found.namespace, None, LabelSelector(tuple(sorted(equal))))
        else:
            yield from self._behind(
                found.namespace, found.name, f"the addresses of Service {found.namespace}/{found.name}"
            )

    def _api_server(self) -> Iterator[Matcher]:
        """What the Service of the API server leads to; where that was not read, the control plane, and perhaps anything but pods."""
        for matcher in self._behind("default", "kubernetes", "the address of the API server"):
            if isinstance(matcher, Unplaced):
                yield from _CONTROL_PLANE
                yield Unplaced(matcher.why, outside=True, nodes=True)
            else:
                yield matcher

    def _behind(self, namespace: str, service: str, what: str) -> Iterator[Matcher]:
        """The addresses in the endpoint slices of a Service, as networks outside the cluster or of nodes."""
        slices = [
            each for each in self._cluster.endpoint_slices if (each.namespace, each.service) == (namespace, service)
        ]
        addresses = {address for each in slices for end in each.endpoints for address in end.addresses}
        if addresses:
            blocks = (IpBlock(ip_network(address)) for address in sorted(addresses, key=lambda a: (a.version, int(a))))
            yield Within((tuple(blocks),), (_EVERY_POD,))
        if not slices:
            yield Unplaced(f"{what} is not known" if what.endswith("server") else f"{what} are not known", outside=True)


def _outside(block: IpBlock) -> Matcher:
    return Within(((block,),), _NOT_OUTSIDE)


def _world(entity: Entity) -> Iterator[Matcher]:
    if entity is not Entity.WORLD_IPV6:
        yield _outside(_IPV4)
    if entity is not Entity.WORLD_IPV4:
        yield _outside(_IPV6)


def _group(peer: CidrGroupPeer) -> str:
    return f"CiliumCIDRGroup {peer.name}" if peer.name else f"CiliumCIDRGroups with {peer.selector}"
