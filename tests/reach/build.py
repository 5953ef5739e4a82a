"""Builders for cluster-wide policies."""

from collections.abc import Iterable, Mapping

from evidence.cluster.model import Direction, PodPeer
from evidence.cluster.objects import ObjectKey
from evidence.cluster.policies import GROUP, Action, ClusterPolicy, ClusterPolicyPort, ClusterRule, Peer, Tier, Unknown
from evidence.cluster.selectors import LabelSelector
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
