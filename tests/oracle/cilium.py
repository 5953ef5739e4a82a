"""A naive evaluator of Cilium's policies beside NetworkPolicies: one connection at a time, sharing nothing with the engine.

It reads the typed policies, and the choices of docs/reachability.md: what allows means all that it may mean, what denies only what it means for
certain. Clusters here have no policies of other kinds.
"""

from collections.abc import Iterator

from evidence.cluster.cilium import (
    CidrGroupPeer,
    CiliumPolicy,
    CiliumPort,
    CiliumRule,
    CiliumSpec,
    Endpoints,
    Entity,
    ForeignPeer,
    FqdnPeer,
    ServicePeer,
)
from evidence.cluster.model import Cluster, Direction, IPAddress, IpBlock, Pod, Protocol, Service
from evidence.cluster.policies import Unknown
from evidence.cluster.routes import EndpointSlice
from evidence.cluster.selectors import SERVICE_ACCOUNT
from tests.oracle.naive import Connection, addresses, admits, from_own_node, holds, other_end, within


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
    for attempt in attempts(cluster, source, destination, protocol, port, family):
        let_in = passes(cluster, attempt, Direction.INGRESS) or (own_node and from_own_node(cluster, attempt))
        if let_in and passes(cluster, attempt, Direction.EGRESS):
            return True
    return False


def attempts(
    cluster: Cluster,
    source: Pod | IPAddress,
    destination: Pod | IPAddress,
    protocol: Protocol,
    port: int,
    family: int | None,
) -> Iterator[Connection]:
    for here in addresses(cluster, source):
        for there in addresses(cluster, destination):
            versions = {a.version for a in (here, there) if a is not None}
            if len(versions) < 2 and not (family and versions and family not in versions):
                yield Connection(
                    source if isinstance(source, Pod) else None,
                    here,
                    destination if isinstance(destination, Pod) else None,
                    there,
                    protocol,
                    port,
                )


def passes(cluster: Cluster, attempt: Connection, direction: Direction) -> bool:
    """One side: denied by any, else allowed by any, else whether nobody put the pod into default deny."""
    subject = attempt.source if direction is Direction.EGRESS else attempt.destination
    if subject is None or subject.host_network:
        return True
    mine = [
        (policy, spec)
        for policy in cluster.cilium_policies
        for spec in policy.specs
        if not any(each.doubts for each in policy.specs)
        and isinstance(spec.subject, Endpoints)
        and is_about(cluster, policy, spec, subject)
    ]
    if any(
        denies(cluster, attempt, direction, policy, rule) for policy, spec in mine for rule in spec.denies[direction]
    ):
        return False
    network = [
        policy
        for policy in cluster.policies
        if policy.namespace == subject.namespace
        and holds(policy.pod_selector, subject.labels)
        and direction in policy.policy_types
    ]
    if not network and not any(direction in spec.default_deny for _, spec in mine):
        return True
    return any(
        admits(cluster, attempt, direction, policy, number)
        for policy in network
        for number in range(len(policy.rules(direction)))
    ) or any(
        allows(cluster, attempt, direction, policy, rule) for policy, spec in mine for rule in spec.allows[direction]
    )


def is_about(cluster: Cluster, policy: CiliumPolicy, spec: CiliumSpec, pod: Pod) -> bool:
    assert isinstance(spec.subject, Endpoints)
    return in_endpoints(cluster, policy, spec.subject, pod)


def in_endpoints(cluster: Cluster, policy: CiliumPolicy, endpoints: Endpoints, pod: Pod) -> bool:
    if pod.host_network:
        return False
    if endpoints.namespaces is None:
        there = pod.namespace == policy.key.namespace
    else:
        there = holds(endpoints.namespaces, cluster.namespaces[pod.namespace].labels)
    return there and holds(endpoints.pods, {**pod.labels, SERVICE_ACCOUNT: pod.service_account})


def allows(cluster: Cluster, attempt: Connection, direction: Direction, policy: CiliumPolicy, rule: CiliumRule) -> bool:
    if rule.peers is None and rule.ports is None:
        return False
    meant = rule.peers is None or any(may_be(cluster, attempt, direction, policy, peer) for peer in rule.peers)
    return meant and (
        rule.ports is None
        or any(isinstance(p, CiliumPort) and allows_port(cluster, p, attempt, direction) for p in rule.ports)
    )


def denies(cluster: Cluster, attempt: Connection, direction: Direction, policy: CiliumPolicy, rule: CiliumRule) -> bool:
    if (rule.peers is None and rule.ports is None) or any(rule.unknown()):
        return False
    meant = rule.peers is None or any(surely_is(cluster, attempt, direction, policy, peer) for peer in rule.peers)
    return meant and (
        rule.ports is None
        or any(isinstance(p, CiliumPort) and denies_port(cluster, p, attempt, direction) for p in rule.ports)
    )


def allows_port(cluster: Cluster, port: CiliumPort, attempt: Connection, direction: Direction) -> bool:
    """For egress a name is any pod's number of that name, whoever the other end is."""
    if port.protocol not in (None, attempt.protocol):
        return False
    if not isinstance(port.port, str):
        return in_range(port, attempt)
    pods = cluster.pods if direction is Direction.EGRESS else [attempt.destination]
    return any(
        (port.port, attempt.protocol, attempt.port) in declared(pod)
        for pod in pods
        if pod is not None and pod.phase not in ("Succeeded", "Failed")
    )


def denies_port(cluster: Cluster, port: CiliumPort, attempt: Connection, direction: Direction) -> bool:
    """A name counts on a pod that has it, where no version of the agent takes it for another number."""
    if attempt.protocol not in ((port.protocol,) if port.protocol else (Protocol.TCP, Protocol.UDP)):
        return False
    if not isinstance(port.port, str):
        return in_range(port, attempt)
    if port.protocol is None or any(sum(name == port.port for name, *_ in declared(pod)) > 1 for pod in cluster.pods):
        return False
    pods = [pod for pod in cluster.pods if pod.phase not in ("Succeeded", "Failed")]
    meant_by = {
        n for pod in pods for name, protocol, n in declared(pod) if (name, protocol) == (port.port, port.protocol)
    }
    if direction is Direction.EGRESS and len(meant_by) != 1:
        return False
    return attempt.destination is not None and (port.port, attempt.protocol, attempt.port) in declared(
        attempt.destination
    )


def declared(pod: Pod) -> set[tuple[str, Protocol, int]]:
    return {(each.name, each.protocol, each.number) for each in pod.ports}


def in_range(port: CiliumPort, attempt: Connection) -> bool:
    return port.port is None or (
        isinstance(port.port, int) and port.port <= attempt.port <= (port.end_port or port.port)
    )


def on_a_node(cluster: Cluster, pod: Pod | None, address: IPAddress | None) -> bool:
    """A pod on the host network, or an address that is known as a node's."""
    if pod is not None:
        return pod.host_network
    return any(address in node.addresses for node in cluster.nodes)


def may_be(cluster: Cluster, attempt: Connection, direction: Direction, policy: CiliumPolicy, peer: object) -> bool:
    """Whether a peer of a rule that allows means the other end."""
    pod, address = other_end(attempt, direction)
    ordinary = pod is not None and not pod.host_network
    match peer:
        case Endpoints():
            return pod is not None and in_endpoints(cluster, policy, peer, pod)
        case IpBlock():
            return not ordinary and in_block(address, peer)
        case CidrGroupPeer():
            return not ordinary and any(in_block(address, one) for one in blocks(cluster, peer))
        case Entity():
            return may_be_entity(cluster, peer, pod, address)
        case ServicePeer():
            if pod is not None and in_service(cluster, peer, pod):
                return True
            return not ordinary and leads_to(cluster, peer, address)
        case FqdnPeer() | ForeignPeer() | Unknown():
            return False
    raise AssertionError(peer)


def may_be_entity(cluster: Cluster, entity: Entity, pod: Pod | None, address: IPAddress | None) -> bool:
    on_node = on_a_node(cluster, pod, address)
    ordinary = pod is not None and not pod.host_network
    match entity:
        case Entity.ALL:
            return True
        case Entity.CLUSTER:
            return ordinary or on_node or may_be_entity(cluster, Entity.KUBE_APISERVER, pod, address)
        case Entity.HOST | Entity.REMOTE_NODE:
            return on_node
        case Entity.WORLD | Entity.WORLD_IPV4 | Entity.WORLD_IPV6:
            return pod is None and not on_node and of_family(address, entity)
        case Entity.KUBE_APISERVER if any(serves(each, "default", "kubernetes") for each in cluster.endpoint_slices):
            return not ordinary and address in behind(cluster, "default", "kubernetes")
        case Entity.KUBE_APISERVER:
            roles = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
            return not ordinary and any(
                address in node.addresses for node in cluster.nodes if any(role in node.labels for role in roles)
            )
        case _:
            return False


def surely_is(cluster: Cluster, attempt: Connection, direction: Direction, policy: CiliumPolicy, peer: object) -> bool:
    """Whether a peer of a rule that denies means the other end for certain."""
    pod, address = other_end(attempt, direction)
    outside = pod is None and not on_a_node(cluster, pod, address)
    match peer:
        case Endpoints() | Entity.ALL:
            return may_be(cluster, attempt, direction, policy, peer)
        case Entity.CLUSTER:
            return pod is not None or on_a_node(cluster, pod, address)
        case Entity.WORLD | Entity.WORLD_IPV4 | Entity.WORLD_IPV6:
            return may_be(cluster, attempt, direction, policy, peer)
        case IpBlock():
            return outside and in_block(address, peer)
        case CidrGroupPeer():
            return outside and any(in_block(address, one) for one in blocks(cluster, peer))
        case Entity.REMOTE_NODE:
            return direction is Direction.INGRESS and on_a_node(cluster, pod, address)
        case _:
            return False


def in_block(address: IPAddress | None, block: IpBlock) -> bool:
    return within(address, block.cidr) and not any(within(address, gap) for gap in block.excepts)


def blocks(cluster: Cluster, peer: CidrGroupPeer) -> Iterator[IpBlock]:
    for group in cluster.cidr_groups:
        if holds(peer.selector, group.labels) if peer.selector is not None else group.name == peer.name:
            yield from (IpBlock(network, peer.excepts) for network in group.networks)


def of_family(address: IPAddress | None, entity: object) -> bool:
    if address is None or entity is Entity.WORLD:
        return address is not None
    return address.version == (4 if entity is Entity.WORLD_IPV4 else 6)


def meant(cluster: Cluster, peer: ServicePeer) -> list[Service]:
    return [
        found
        for found in cluster.services
        if peer.namespace in ("", found.namespace)
        and (holds(peer.selector, found.labels) if peer.selector is not None else found.name == peer.name)
    ]


def in_service(cluster: Cluster, peer: ServicePeer, pod: Pod) -> bool:
    return not pod.host_network and any(
        bool(service.selector)
        and pod.namespace == service.namespace
        and all(pod.labels.get(key) == value for key, value in (service.selector or {}).items())
        for service in meant(cluster, peer)
    )


def serves(found: EndpointSlice, namespace: str, service: str) -> bool:
    return (found.namespace, found.service) == (namespace, service)


def behind(cluster: Cluster, namespace: str, service: str) -> set[IPAddress]:
    slices = [found for found in cluster.endpoint_slices if serves(found, namespace, service)]
    return {address for found in slices for end in found.endpoints for address in end.addresses}


def leads_to(cluster: Cluster, peer: ServicePeer, address: IPAddress | None) -> bool:
    """Whether a Service without a selector has the address among its endpoints."""
    return any(
        address in behind(cluster, found.namespace, found.name)
        for found in meant(cluster, peer)
        if not found.selector and found.type != "ExternalName"
    )
