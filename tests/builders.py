"""Small builders for the model, so that tests read as sentences rather than as YAML."""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network

from evidence.cluster.model import (
    Cluster,
    ContainerPort,
    Direction,
    IpBlock,
    Namespace,
    NetworkPolicy,
    Pod,
    PodPeer,
    PolicyPort,
    Protocol,
    Rule,
)
from evidence.cluster.objects import ObjectKey
from evidence.cluster.selectors import LabelSelector, Operator, Requirement

NAME_LABEL = "kubernetes.io/metadata.name"


def selector(labels: Mapping[str, str] | None = None, *requirements: Requirement) -> LabelSelector:
    equal = [Requirement(key, Operator.IN, (value,)) for key, value in (labels or {}).items()]
    return LabelSelector(tuple(sorted([*equal, *requirements])))


def namespace(name: str, **labels: str) -> Namespace:
    return Namespace(name, {NAME_LABEL: name, **labels})


def pod(
    name: str,
    namespace: str = "default",
    labels: Mapping[str, str] | None = None,
    *,
    ip: str | Sequence[str] = (),
    ports: Iterable[ContainerPort] = (),
    host_network: bool = False,
    node: str = "",
    phase: str = "Running",
) -> Pod:
    addresses = (ip,) if isinstance(ip, str) else ip
    return Pod(
        namespace=namespace,
        name=name,
        labels=dict(labels or {}),
        workload=ObjectKey("", "Pod", namespace, name),
        addresses=tuple(ip_address(address) for address in addresses),
        host_network=host_network,
        node=node,
        ports=tuple(ports),
        phase=phase,
    )


def port(number: int | str | None, protocol: str = "TCP", end_port: int | None = None) -> PolicyPort:
    return PolicyPort(Protocol(protocol), number, end_port)


def named_port(name: str, number: int, protocol: str = "TCP") -> ContainerPort:
    return ContainerPort(name, Protocol(protocol), number)


def peer(pods: Mapping[str, str] | None = None, *, namespaces: Mapping[str, str] | None = None) -> PodPeer:
    """None leaves the selector out; {} is the empty selector, which matches everything."""
    return PodPeer(
        None if namespaces is None else selector(namespaces),
        None if pods is None else selector(pods),
    )


def block(cidr: str, *excepts: str) -> IpBlock:
    return IpBlock(ip_network(cidr), tuple(ip_network(e) for e in excepts))


def rule(peers: Iterable[PodPeer | IpBlock] = (), ports: Iterable[PolicyPort] = ()) -> Rule:
    return Rule(tuple(peers), tuple(ports))


def policy(
    name: str,
    namespace: str = "default",
    pods: Mapping[str, str] | None = None,
    *,
    ingress: Iterable[Rule] | None = None,
    egress: Iterable[Rule] | None = None,
) -> NetworkPolicy:
    """A direction that is given (even as an empty list) is in policyTypes."""
    types = [Direction.INGRESS] if ingress is not None else []
    types += [Direction.EGRESS] if egress is not None else []
    return NetworkPolicy(
        namespace=namespace,
        name=name,
        pod_selector=selector(pods),
        policy_types=frozenset(types),
        ingress=tuple(ingress or ()),
        egress=tuple(egress or ()),
    )


def cluster(
    pods: Iterable[Pod] = (), policies: Iterable[NetworkPolicy] = (), namespaces: Iterable[Namespace] = ()
) -> Cluster:
    """A cluster in which every namespace that a pod or policy names exists."""
    pods, policies = tuple(pods), tuple(policies)
    known = {n.name: n for n in namespaces}
    for name in [p.namespace for p in pods] + [p.namespace for p in policies]:
        known.setdefault(name, namespace(name))
    return Cluster(namespaces=known, pods=pods, policies=policies)
