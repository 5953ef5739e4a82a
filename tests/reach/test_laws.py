"""Laws that reachability keeps whatever the policies say, on random clusters."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from random import Random
from typing import TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evidence.cluster.model import (
    Cluster,
    Direction,
    IPAddress,
    IpBlock,
    IPNetwork,
    NetworkPolicy,
    Node,
    Pod,
    PodPeer,
    Rule,
)
from evidence.cluster.policies import ClusterPolicy, ClusterRule, NodePeer
from evidence.cluster.selectors import LabelSelector, Requirement
from evidence.reach import matrix
from evidence.reach.engine import Reachability, analyse
from evidence.reach.ports import PortSet
from tests.builders import NAME_LABEL
from tests.oracle.strategies import NETWORKS, NODE_ADDRESSES, clusters, rules

RELAXED = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
End = str | IPAddress
T = TypeVar("T")


def ends_of(reach: Reachability) -> dict[int, list[End]]:
    """For each peer its pods by name, or some of its outside addresses."""
    taken = {address for pod in reach.cluster.pods for address in pod.addresses}
    outside = {address for network in NETWORKS for address in (network[0], network[-1])}
    outside |= {network[-1] + 1 for network in NETWORKS if network.prefixlen}
    outside = (outside | set(NODE_ADDRESSES)) - taken
    ends: dict[int, list[End]] = {int(found.id): [pod.key for pod in found.pods] for found in reach.classes}
    for found in reach.external:
        first, last = int(found.first), int(found.last)
        version = found.first.version
        ends[int(found.id)] = [a for a in outside if a.version == version and first <= int(a) <= last]
    return ends


def by_pod(reach: Reachability) -> dict[tuple[End, End], PortSet]:
    """Flows between pods by name and single outside addresses, which can be compared across analyses that cut classes and ranges differently."""
    ends = ends_of(reach)
    return {
        (source, destination): flow.ports
        for flow in reach.flows()
        for source in ends[flow.source]
        for destination in ends[flow.destination]
    }


@RELAXED
@given(clusters(), rules, st.sampled_from(list(Direction)), st.data())
def test_a_further_rule_of_a_network_policy_never_removes_a_flow(
    cluster: Cluster, rule: Rule, direction: Direction, data: st.DataObject
) -> None:
    if not cluster.policies:
        return
    number = data.draw(st.integers(0, len(cluster.policies) - 1))
    policy = cluster.policies[number]
    field = direction.value.lower()
    wider = replace(policy, **{field: (*policy.rules(direction), rule)})  # type: ignore[arg-type]
    policies = (*cluster.policies[:number], wider, *cluster.policies[number + 1 :])
    before, after = by_pod(analyse(cluster)), by_pod(analyse(replace(cluster, policies=policies)))
    for pair, ports in before.items():
        assert not ports - after.get(pair, PortSet.none())


@RELAXED
@given(clusters())
def test_a_default_deny_everywhere_only_takes_flows_away(cluster: Cluster) -> None:
    denies = tuple(
        NetworkPolicy(name, "zz-deny", LabelSelector(), frozenset(Direction)) for name in sorted(cluster.namespaces)
    )
    before = by_pod(analyse(cluster))
    after = by_pod(analyse(replace(cluster, policies=(*cluster.policies, *denies))))
    for pair, ports in after.items():
        assert not ports - before.get(pair, PortSet.none())


@RELAXED
@given(clusters(), st.randoms(use_true_random=False))
def test_the_order_of_objects_changes_no_byte(cluster: Cluster, random: Random) -> None:
    shuffled = replace(
        cluster,
        pods=tuple(_shuffled(cluster.pods, random)),
        policies=tuple(_shuffled(cluster.policies, random)),
        cluster_policies=tuple(_shuffled(cluster.cluster_policies, random)),
        nodes=tuple(_shuffled(cluster.nodes, random)),
        namespaces=dict(_shuffled(cluster.namespaces.items(), random)),
    )
    one, other = analyse(cluster), analyse(shuffled)
    assert "".join(matrix.csv(one)) == "".join(matrix.csv(other))
    assert matrix.document(one, matrix.Unit.POD) == matrix.document(other, matrix.Unit.POD)


def _shuffled(items: Iterable[T], random: Random) -> list[T]:
    listed = list(items)
    random.shuffle(listed)
    return listed


@RELAXED
@given(clusters())
def test_splitting_policies_into_one_for_each_rule_changes_nothing(cluster: Cluster) -> None:
    """Each part keeps the policyTypes, so that it isolates as much as the whole."""
    parts = []
    for policy in cluster.policies:
        parts.append(replace(policy, ingress=(), egress=()))
        parts += [
            replace(policy, name=f"{policy.name}-i{n}", ingress=(r,), egress=()) for n, r in enumerate(policy.ingress)
        ]
        parts += [
            replace(policy, name=f"{policy.name}-e{n}", ingress=(), egress=(r,)) for n, r in enumerate(policy.egress)
        ]
    assert by_pod(analyse(cluster)) == by_pod(analyse(replace(cluster, policies=tuple(parts))))


@RELAXED
@given(clusters())
def test_splitting_rules_into_one_for_each_peer_changes_nothing(cluster: Cluster) -> None:
    def split(found: tuple[Rule, ...]) -> tuple[Rule, ...]:
        return tuple(Rule((peer,), rule.ports) for rule in found for peer in rule.peers) + tuple(
            rule for rule in found if not rule.peers
        )

    policies = tuple(replace(p, ingress=split(p.ingress), egress=split(p.egress)) for p in cluster.policies)
    assert by_pod(analyse(cluster)) == by_pod(analyse(replace(cluster, policies=policies)))


@RELAXED
@given(clusters())
def test_renaming_labels_everywhere_changes_nothing(cluster: Cluster) -> None:
    assert by_pod(analyse(cluster)) == by_pod(analyse(renamed(cluster)))


@RELAXED
@given(clusters(), st.data())
def test_labels_that_no_selector_looks_at_split_no_class(cluster: Cluster, data: st.DataObject) -> None:
    pods = tuple(
        replace(pod, labels={**pod.labels, "pod-template-hash": data.draw(st.sampled_from(["x", "y", "z"]))})
        for pod in cluster.pods
    )
    before, after = analyse(cluster), analyse(replace(cluster, pods=pods))
    assert [len(found.pods) for found in before.classes] == [len(found.pods) for found in after.classes]
    assert list(before.flows()) == list(after.flows())


@RELAXED
@given(clusters(), st.lists(st.sampled_from(NETWORKS), max_size=3))
def test_networks_of_zones_cut_the_outside_and_change_nothing_else(cluster: Cluster, networks: list[IPNetwork]) -> None:
    reach = analyse(cluster, extra_networks=networks)
    assert by_pod(reach) == by_pod(analyse(cluster))
    assert len(reach.classes) == len(analyse(cluster).classes)
    for outside in reach.external:
        for network in networks:
            if network.version == outside.first.version:
                assert (outside.first in network) == (outside.last in network)


@RELAXED
@given(clusters())
def test_windows_of_the_table_of_any_size_give_the_same_flows(cluster: Cluster) -> None:
    from evidence.reach import engine

    whole = list(analyse(cluster).flows())
    kept = engine._CELLS_AT_ONCE
    try:
        for cells in (1, 40, 100):
            engine._CELLS_AT_ONCE = cells
            assert list(analyse(cluster).flows()) == whole
    finally:
        engine._CELLS_AT_ONCE = kept


# -- renaming -----------------------------------------------------------------------------------------------------------


def renamed(cluster: Cluster) -> Cluster:
    """The cluster with another name for every label key and value but the namespaces' own name label."""
    return replace(
        cluster,
        namespaces={name: replace(space, labels=_labels(space.labels)) for name, space in cluster.namespaces.items()},
        pods=tuple(_pod(pod) for pod in cluster.pods),
        nodes=tuple(_node(node) for node in cluster.nodes),
        policies=tuple(
            replace(
                policy,
                pod_selector=_selector(policy.pod_selector),
                ingress=tuple(_rule(rule) for rule in policy.ingress),
                egress=tuple(_rule(rule) for rule in policy.egress),
            )
            for policy in cluster.policies
        ),
        cluster_policies=tuple(_cluster_policy(policy) for policy in cluster.cluster_policies),
    )


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {
        key if key == NAME_LABEL else f"x-{key}": value if key == NAME_LABEL else f"{value}z"
        for key, value in labels.items()
    }


def _pod(pod: Pod) -> Pod:
    return replace(pod, labels=_labels(pod.labels))


def _node(node: Node) -> Node:
    return replace(node, labels=_labels(node.labels))


def _selector(selector: LabelSelector) -> LabelSelector:
    return LabelSelector(
        tuple(
            need
            if need.key == NAME_LABEL
            else Requirement(f"x-{need.key}", need.operator, tuple(f"{value}z" for value in need.values))
            for need in selector.requirements
        )
    )


def _peer(peer: object) -> object:
    match peer:
        case PodPeer():
            return PodPeer(
                None if peer.namespace_selector is None else _selector(peer.namespace_selector),
                None if peer.pod_selector is None else _selector(peer.pod_selector),
            )
        case NodePeer():
            return NodePeer(_selector(peer.selector))
    return peer


def _rule(rule: Rule) -> Rule:
    peers: tuple[IpBlock | PodPeer, ...] = tuple(_peer(peer) for peer in rule.peers)  # type: ignore[misc]
    return replace(rule, peers=peers)


def _cluster_policy(policy: ClusterPolicy) -> ClusterPolicy:
    def changed(rule: ClusterRule) -> ClusterRule:
        return replace(rule, peers=tuple(_peer(peer) for peer in rule.peers))  # type: ignore[misc]

    return replace(
        policy,
        subject=_peer(policy.subject),  # type: ignore[arg-type]
        ingress=tuple(changed(rule) for rule in policy.ingress),
        egress=tuple(changed(rule) for rule in policy.egress),
    )
