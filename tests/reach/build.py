"""Builders for cluster-wide policies, and questions whose answers are held against the table of flows."""

from collections.abc import Iterable, Mapping

from evidence.cluster.model import Cluster, Direction, PodPeer, Protocol
from evidence.cluster.objects import ObjectKey
from evidence.cluster.policies import GROUP, Action, ClusterPolicy, ClusterPolicyPort, ClusterRule, Peer, Tier, Unknown
from evidence.cluster.selectors import LabelSelector
from evidence.reach.engine import Reachability, analyse
from evidence.reach.explain import OWN_NODE, Explanation, Point, explain
from evidence.reach.ports import PortSet
from evidence.reach.query import Answering, Query
from tests.builders import selector

EVERY_POD = PodPeer(LabelSelector(), None)


def pods_of(namespaces: Mapping[str, str] | None = None, pods: Mapping[str, str] | None = None) -> PodPeer:
    return PodPeer(selector(namespaces), None if pods is None else selector(pods))


def does(action: Action | Unknown, *peers: Peer, ports: Iterable[ClusterPolicyPort | Unknown] = ()) -> ClusterRule:
    return ClusterRule("", action, peers or (EVERY_POD,), tuple(ports))


def cluster_policy(
    name: str,
    *rules: ClusterRule,
    tier: Tier = Tier.ADMIN,
    priority: int = 10,
    subject: PodPeer | Unknown = EVERY_POD,
    direction: Direction = Direction.INGRESS,
) -> ClusterPolicy:
    """A policy with rules of one direction."""
    inward = direction is Direction.INGRESS
    return ClusterPolicy(
        key=ObjectKey(GROUP, "ClusterNetworkPolicy", "", name),
        api_version=f"{GROUP}/v1alpha2",
        tier=tier,
        priority=priority,
        subject=subject,
        ingress=rules if inward else (),
        egress=() if inward else rules,
    )


def answered(
    state: Cluster | Reachability, source: str, destination: str, port: int = 80, protocol: str = "TCP"
) -> Explanation:
    """The answer to one question, held against the flows."""
    reach = analyse(state) if isinstance(state, Cluster) else state
    start, end, _ = Answering(reach).decisive(Query(source, destination, Protocol(protocol), port))
    return explained(reach, start, end, port, protocol)


def explained(reach: Reachability, start: Point, end: Point, port: int = 80, protocol: str = "TCP") -> Explanation:
    """The explanation of one connection. All flows of the cluster, and those of the two peers alone, must say the same."""
    found = explain(reach, start, end, Protocol(protocol), port)
    of_policies = found.pair is not None and found.ingress.reason != OWN_NODE
    if of_policies and start.peer is not None and end.peer is not None and (start.pod or end.pod):
        table = reach.flow_table
        rows = (table.sources == start.peer) & (table.destinations == end.peer)
        listed = [reach.port_ids.port_set(number) for number in table.ports[rows].tolist()] or [PortSet.none()]
        assert len(listed) == 1
        for ports in (*listed, reach.ports(start.peer, end.peer)):
            assert ports.contains(Protocol(protocol), port) is found.allowed
    return found
