"""The engine on Cilium's policies against an evaluator that shares nothing with it, on random clusters."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.cluster.model import Cluster, Pod
from evidence.cluster.policies import ClusterPolicy
from evidence.reach.engine import analyse
from evidence.reach.explain import explain
from evidence.reach.ports import PortSet
from tests.oracle.cilium import may_connect
from tests.oracle.cilium_strategies import cilium_clusters, resolved
from tests.oracle.strategies import cluster_policies, completions
from tests.reach.test_against_oracle import PROBES, RELAXED, members, pairs, point

SOME = settings(RELAXED, max_examples=40)


@SOME
@given(cilium_clusters(), st.sampled_from([None, 4, 6]))
def test_every_verdict_is_the_oracles(cluster: Cluster, family: int | None) -> None:
    reach = analyse(cluster)
    for source, destination in pairs(cluster):
        for protocol, port in PROBES:
            found = explain(reach, point(reach, source), point(reach, destination), protocol, port, family)
            truth = may_connect(cluster, source, destination, protocol, port, family)
            assert found.allowed == truth, (source, destination, protocol, port)


@SOME
@given(cilium_clusters())
def test_every_flow_is_the_oracles_and_none_is_missing(cluster: Cluster) -> None:
    reach = analyse(cluster)
    flows = {(flow.source, flow.destination): flow.ports for flow in reach.flows()}
    for source_id, source in members(reach):
        for destination_id, destination in members(reach):
            if source is destination or not (isinstance(source, Pod) or isinstance(destination, Pod)):
                continue
            ports = flows.get((source_id, destination_id), PortSet.none())
            for protocol, port in PROBES:
                truth = may_connect(cluster, source, destination, protocol, port, own_node=False)
                assert ports.contains(protocol, port) == truth, (source, destination, protocol, port)


@SOME
@given(cilium_clusters(), cluster_policies())
def test_verdicts_and_flows_agree_beside_cluster_wide_policies(
    cluster: Cluster, admin: tuple[ClusterPolicy, ...]
) -> None:
    reach = analyse(replace(cluster, cluster_policies=admin))
    flows = {(flow.source, flow.destination): flow.ports for flow in reach.flows()}
    for source_id, source in members(reach):
        for destination_id, destination in members(reach):
            if not isinstance(source, Pod) or not isinstance(destination, Pod) or source is destination:
                continue
            for protocol, port in PROBES:
                found = explain(reach, point(reach, source), point(reach, destination), protocol, port)
                if found.ingress.reason != "a pod's own node always reaches it":
                    ports = flows.get((source_id, destination_id), PortSet.none())
                    assert ports.contains(protocol, port) == found.allowed


@SOME
@given(cilium_clusters(), st.data())
def test_what_may_pass_once_more_is_known_is_uncertain_until_then(cluster: Cluster, data: st.DataObject) -> None:
    known = data.draw(completions(data.draw(resolved(cluster))))
    reach = analyse(cluster)
    for before, after in zip(cluster.pods, known.pods, strict=True):
        for other_before, other_after in zip(cluster.pods, known.pods, strict=True):
            if before.finished or other_before.finished or before is other_before:
                continue
            source, destination = reach.peer_of(before.key), reach.peer_of(other_before.key)
            if reach.uncertain(source, destination):
                continue
            for protocol, port in PROBES:
                if may_connect(known, after, other_after, protocol, port, own_node=False):
                    assert reach.ports(source, destination).contains(protocol, port)
        for outside in () if before.finished else reach.external:
            if reach.uncertain(reach.peer_of(before.key), outside.id):
                continue
            for protocol, port in PROBES:
                for address in (outside.first, outside.last):
                    if may_connect(known, after, address, protocol, port, own_node=False):
                        assert reach.ports(reach.peer_of(before.key), outside.id).contains(protocol, port)


@pytest.mark.slow
@settings(RELAXED, max_examples=800)
@given(cilium_clusters())
def test_many_more_flows_are_the_oracles(cluster: Cluster) -> None:
    test_every_flow_is_the_oracles_and_none_is_missing.hypothesis.inner_test(cluster)  # type: ignore[attr-defined]
