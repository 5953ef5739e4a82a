"""Calico's policies in the engine against a naive evaluator that reads the raw objects, on random clusters."""

from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evidence.cluster.model import Cluster, IPAddress, Pod, Protocol
from evidence.reach.classes import ExternalRange, PeerId
from evidence.reach.engine import analyse
from evidence.reach.explain import explain
from evidence.reach.ports import PortSet
from tests.oracle.calico_crowded import OUTSIDE as STRANGERS
from tests.oracle.calico_crowded import crowded_clusters, with_gaps
from tests.oracle.calico_strategies import calico_clusters
from tests.oracle.naive import may_connect
from tests.oracle.strategies import completions
from tests.reach.test_against_oracle import PROBES, members, pairs, point

RELAXED = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@RELAXED
@given(calico_clusters(), st.sampled_from([None, 4, 6]))
def test_every_verdict_is_the_oracles(cluster: Cluster, family: int | None) -> None:
    reach = analyse(cluster)
    assert not reach.unevaluated
    for source, destination in pairs(cluster):
        for protocol, port in PROBES:
            found = explain(reach, point(reach, source), point(reach, destination), protocol, port, family)
            truth = may_connect(cluster, source, destination, protocol, port, family)
            assert found.allowed == truth, (source, destination, protocol, port)


@RELAXED
@given(calico_clusters())
def test_every_flow_is_the_oracles_and_none_is_missing(cluster: Cluster) -> None:
    reach = analyse(cluster)
    flows = {(flow.source, flow.destination): flow.ports for flow in reach.flows()}
    for source_id, source in members(reach):
        for destination_id, destination in members(reach):
            if source is destination or (source not in cluster.pods and destination not in cluster.pods):
                continue
            ports = flows.get((source_id, destination_id), PortSet.none())
            assert ports == reach.ports(source_id, destination_id)
            for protocol, port in PROBES:
                truth = may_connect(cluster, source, destination, protocol, port, own_node=False)
                assert ports.contains(protocol, port) == truth, (source, destination, protocol, port)


@RELAXED
@given(st.one_of(calico_clusters(), with_gaps()), st.data())
def test_what_may_pass_once_more_is_known_is_uncertain_until_then(cluster: Cluster, data: st.DataObject) -> None:
    known = data.draw(completions(cluster))
    reach = analyse(cluster)
    for before, after in zip(cluster.pods, known.pods, strict=True):
        for other_before, other_after in zip(cluster.pods, known.pods, strict=True):
            if before.finished or other_before.finished or before is other_before:
                continue
            source, destination = reach.peer_of(before.key), reach.peer_of(other_before.key)
            passing = reach.ports(source, destination)
            for protocol, port in PROBES:
                if not passing.contains(protocol, port) and may_connect(
                    known, after, other_after, protocol, port, own_node=False
                ):
                    assert reach.uncertain(source, destination, PortSet.of(protocol, port))


CROWDED = st.lists(st.sampled_from(PROBES), min_size=4, max_size=4, unique=True)


@settings(RELAXED, max_examples=120)
@given(crowded_clusters(), CROWDED)
def test_where_many_policies_meet_every_flow_is_the_oracles(
    cluster: Cluster, probes: list[tuple[Protocol, int]]
) -> None:
    reach = analyse(cluster)
    assert not reach.unevaluated
    flows = {(flow.source, flow.destination): flow.ports for flow in reach.flows()}
    pods: list[tuple[PeerId, Pod | IPAddress]] = [(reach.peer_of(pod.key), pod) for pod in cluster.pods]
    outside: list[tuple[PeerId, Pod | IPAddress]] = [
        (found.id, address) for found in reach.external for address in STRANGERS if holds(found, address)
    ]
    for (source_id, source), (destination_id, destination) in [*product(pods, pods + outside), *product(outside, pods)]:
        ports = flows.get((source_id, destination_id), PortSet.none())
        assert ports == reach.ports(source_id, destination_id)
        for protocol, port in probes if source is not destination else ():
            truth = may_connect(cluster, source, destination, protocol, port, own_node=False)
            assert ports.contains(protocol, port) == truth, (source, destination, protocol, port)


def holds(found: ExternalRange, address: IPAddress) -> bool:
    return found.first.version == address.version and int(found.first) <= int(address) <= int(found.last)


@pytest.mark.slow
@settings(RELAXED, max_examples=1500)
@given(crowded_clusters(), CROWDED)
def test_where_many_policies_meet_many_more_flows_are_the_oracles(
    cluster: Cluster, probes: list[tuple[Protocol, int]]
) -> None:
    test = test_where_many_policies_meet_every_flow_is_the_oracles
    test.hypothesis.inner_test(cluster, probes)  # type: ignore[attr-defined]


@pytest.mark.slow
@settings(RELAXED, max_examples=400)
@given(calico_clusters())
def test_many_more_flows_are_the_oracles(cluster: Cluster) -> None:
    test_every_flow_is_the_oracles_and_none_is_missing.hypothesis.inner_test(cluster)  # type: ignore[attr-defined]
