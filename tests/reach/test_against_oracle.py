"""The engine against a naive evaluator that shares nothing with it, on random clusters."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evidence.cluster.model import Cluster, IPAddress, Pod, Protocol
from evidence.reach.classes import PeerId
from evidence.reach.engine import Reachability, analyse
from evidence.reach.explain import Point, explain
from evidence.reach.ports import PortSet
from evidence.reach.query import address_point, pod_point
from tests.oracle.naive import may_connect
from tests.oracle.strategies import NODE_ADDRESSES, OUTSIDE, clusters, completions

PROBES = [(protocol, port) for protocol in Protocol for port in (1, 53, 79, 80, 81, 8080, 65535)]
RELAXED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def pairs(cluster: Cluster) -> Iterator[tuple[Pod | IPAddress, Pod | IPAddress]]:
    outside = [*OUTSIDE, *NODE_ADDRESSES]
    for pod in cluster.pods:
        yield from ((pod, other) for other in (*cluster.pods, *outside))
        yield from ((address, pod) for address in outside)


def point(reach: Reachability, end: Pod | IPAddress) -> Point:
    return pod_point(reach, end) if isinstance(end, Pod) else address_point(reach, end)


@RELAXED
@given(clusters(), st.sampled_from([None, 4, 6]))
def test_every_verdict_is_the_oracles(cluster: Cluster, family: int | None) -> None:
    reach = analyse(cluster)
    for source, destination in pairs(cluster):
        for protocol, port in PROBES:
            found = explain(reach, point(reach, source), point(reach, destination), protocol, port, family)
            assert found.allowed == may_connect(cluster, source, destination, protocol, port, family), (
                source,
                destination,
                protocol,
                port,
            )
            assert found.allowed == (found.egress.allowed and found.ingress.allowed)


@RELAXED
@given(clusters())
def test_every_flow_is_the_oracles_and_none_is_missing(cluster: Cluster) -> None:
    reach = analyse(cluster)
    flows = {(flow.source, flow.destination): flow.ports for flow in reach.flows()}
    assert len(flows) == sum(1 for _ in reach.flows())
    assert list(flows) == sorted(flows)
    for source_id, source in members(reach):
        for destination_id, destination in members(reach):
            if source is destination or not (isinstance(source, Pod) or isinstance(destination, Pod)):
                continue
            ports = flows.get((source_id, destination_id), PortSet.none())
            assert ports == reach.ports(source_id, destination_id)
            for protocol, port in PROBES:
                truth = may_connect(cluster, source, destination, protocol, port, own_node=False)
                assert ports.contains(protocol, port) == truth, (source, destination, protocol, port)


def members(reach: Reachability) -> Iterator[tuple[PeerId, Pod | IPAddress]]:
    """Every pod of every class, and the first and last address of every outside range."""
    for found in reach.classes:
        yield from ((found.id, pod) for pod in found.pods)
    for outside in reach.external:
        yield from ((outside.id, address) for address in (outside.first, outside.last))


@RELAXED
@given(clusters(), st.data())
def test_what_may_pass_once_more_is_known_is_uncertain_until_then(cluster: Cluster, data: st.DataObject) -> None:
    known = data.draw(completions(cluster))
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


@RELAXED
@given(clusters())
def test_what_is_certain_has_no_doubts(cluster: Cluster) -> None:
    """Doubts need something that is not known."""
    reach = analyse(cluster)
    all_known = all(space.declared for space in cluster.namespaces.values()) and all(f.addressed for f in reach.classes)
    for source in reach.classes:
        for destination in reach.classes:
            if all_known or reach.ports(source.id, destination.id).is_all:
                assert reach.uncertain(source.id, destination.id) == ()


@pytest.mark.slow
@settings(RELAXED, max_examples=400)
@given(clusters())
def test_many_more_flows_are_the_oracles(cluster: Cluster) -> None:
    test_every_flow_is_the_oracles_and_none_is_missing.hypothesis.inner_test(cluster)  # type: ignore[attr-defined]
