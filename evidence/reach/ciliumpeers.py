"""What the peers of Cilium's rules mean in one cluster: broadly where they allow, narrowly where they deny (see `evidence.reach.cilium`)."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from ipaddress import ip_network

from evidence.cluster.cilium import (
    CidrGroupPeer,
    CiliumPeer,
    Endpoints,
    Entity,
    ForeignPeer,
    FqdnPeer,
    ServicePeer,
)
from evidence.cluster.model import Cluster, Direction, IpBlock, Pod, Protocol
from evidence.cluster.policies import Unknown
from evidence.cluster.selectors import LabelSelector, Operator, Requirement
from evidence.reach.rules import Domains, Everything, HostPods, Matcher, Nodes, Pods, Unplaced, Within

_EVERY_POD = Pods(None, None, None)
_EVERY_NODE = Nodes(LabelSelector())
_ON_NODES: tuple[Matcher, ...] = (HostPods(), _EVERY_NODE)
_NOT_OUTSIDE: tuple[Matcher, ...] = (_EVERY_POD, *_ON_NODES)
_CONTROL_PLANE = tuple(
    Nodes(LabelSelector((Requirement(f"node-role.kubernetes.io/{role}", Operator.EXISTS),)))
    for role in ("control-plane", "master")
)
_IPV4, _IPV6 = IpBlock(ip_network("0.0.0.0/0")), IpBlock(ip_network("::/0"))


class NamedPorts:
    """What the names of ports stand for in one cluster."""

    def __init__(self, pods: Iterable[Pod]) -> None:
        self._pods = pods

    def numbers(self, name: str, protocol: Protocol) -> Sequence[int]:
        """The numbers of all pods' ports of this name and protocol."""
        return self._numbers.get((name, protocol), ())

    @cached_property
    def _numbers(self) -> Mapping[tuple[str, Protocol], Sequence[int]]:
        found: dict[tuple[str, Protocol], set[int]] = defaultdict(set)
        for pod in self._pods:
            for port in () if pod.finished else pod.ports:
                found[port.name, port.protocol].add(port.number)
        return {key: sorted(numbers) for key, numbers in found.items()}

    @cached_property
    def repeated(self) -> frozenset[str]:
        """Names that one pod has for several ports, of which agents keep one."""
        found: set[str] = set()
        for pod in self._pods:
            if len(pod.ports) > 1:
                count = Counter(name for name, *_ in {(port.name, port.protocol, port.number) for port in pod.ports})
                found.update(name for name, times in count.items() if times > 1)
        return frozenset(found)


class CiliumPeers:
    """What the peers of one policy mean in one cluster. `home` is the policy's namespace, "" for a clusterwide one."""

    def __init__(self, home: str, cluster: Cluster) -> None:
        self._home = home
        self._cluster = cluster

    def pods(self, endpoints: Endpoints) -> Pods:
        """Pods by label, in the policy's own namespace unless the selector says otherwise."""
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
                if blocks is None or "CiliumCIDRGroup" in self._cluster.unread_kinds:
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
        """What the peer means for certain in a rule that denies; `Unplaced` says that it may mean more, which denies nothing here."""
        match peer:
            case Endpoints():
                yield self.pods(peer)
            case IpBlock():
                yield _outside(peer)
            case CidrGroupPeer():
                for found in self.allowed(peer):
                    if isinstance(found, Within):
                        yield Within(found.every, _NOT_OUTSIDE)
                    else:
                        yield Unplaced(found.why) if isinstance(found, Unplaced) else found
            case Entity():
                yield from _denied_entity(peer, direction)
            case ServicePeer():
                yield Unplaced("agents resolve Services where they allow only")
            case FqdnPeer() | ForeignPeer() | Unknown():
                what = ", ".join(peer.names) if isinstance(peer, FqdnPeer) else peer.what
                yield Unplaced(f"what {what} means is not known")

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
        if not self._cluster.nodes or "Node" in self._cluster.unread_kinds:
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
        """Pods by selector; for a Service without one, the addresses of its endpoints, as networks outside the cluster."""
        found = [
            service
            for service in self._cluster.services
            if peer.namespace in ("", service.namespace)
            and (peer.selector.matches(service.labels) if peer.selector else service.name == peer.name)
        ]
        for service in found:
            if service.selector:
                equal = (Requirement(key, Operator.IN, (value,)) for key, value in service.selector.items())
                yield Pods(service.namespace, None, LabelSelector(tuple(sorted(equal))))
            elif service.type != "ExternalName":
                name = f"{service.namespace}/{service.name}"
                yield from self._behind(service.namespace, service.name, f"the addresses of Service {name}")
        if "Service" in self._cluster.unread_kinds or not (found or (peer.selector and self._cluster.services)):
            where = f" in namespace {peer.namespace}" if peer.namespace else ""
            which = f"Service {peer.name}{where} is" if not peer.selector else f"Services {peer.selector}{where} are"
            yield Unplaced(f"{which} not known", outside=True, pods=True)

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
        if not slices or "EndpointSlice" in self._cluster.unread_kinds:
            yield Unplaced(f"{what} is not known" if what.endswith("server") else f"{what} are not known", outside=True)


def _denied_entity(entity: Entity, direction: Direction) -> Iterator[Matcher]:
    match entity:
        case Entity.ALL:
            yield Everything()
        case Entity.WORLD | Entity.WORLD_IPV4 | Entity.WORLD_IPV6:
            yield from _world(entity)
        case Entity.CLUSTER:
            yield from (_EVERY_POD, *_ON_NODES)
        case Entity.REMOTE_NODE if direction is Direction.INGRESS:
            yield from _ON_NODES
        case Entity.INIT | Entity.HEALTH | Entity.NONE:
            return
        case _:
            yield Unplaced(f"what {entity} means to each pod is not known")


def _outside(block: IpBlock) -> Matcher:
    return Within(((block,),), _NOT_OUTSIDE)


def _world(entity: Entity) -> Iterator[Matcher]:
    if entity is not Entity.WORLD_IPV6:
        yield _outside(_IPV4)
    if entity is not Entity.WORLD_IPV4:
        yield _outside(_IPV6)


def _group(peer: CidrGroupPeer) -> str:
    return f"CiliumCIDRGroup {peer.name}" if peer.name else f"CiliumCIDRGroups with {peer.selector}"
