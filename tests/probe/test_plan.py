"""`evidence probe plan`: few connections, both ways of the answer, the same for the same seed."""

import json
from dataclasses import replace
from ipaddress import ip_address

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.cluster.model import Protocol
from evidence.errors import UsageError
from evidence.probe.cells import port_groups
from evidence.probe.document import plan_json
from evidence.probe.model import Budget, Plan, Planned, Share, Target
from evidence.probe.plan import plan
from evidence.probe.targets import parse_target
from evidence.reach.ports import PortSet
from evidence.reach.query import Answering, Query
from evidence.resources import package_file
from tests.builders import cluster, peer, pod, policy, port, rule
from tests.probe.shop import BATCH, DB, ONLY_WEB, SHOP, WEB, analysed, many


def made(seed: int = 1, **wishes: object) -> Plan:
    reach, zones = analysed()
    return plan(reach, zones, seed=seed, **wishes)  # type: ignore[arg-type]


def between(found: Plan, source: str, destination: str) -> list[Planned]:
    return [p for p in found.probes if p.source.name == source and p.destination.name == destination]


def test_every_pair_of_classes_is_tried_both_ways_of_its_answer() -> None:
    found = between(made(), "shop/web-1", "vault/db-1")
    assert {(p.protocol.value, p.port, p.allowed) for p in found} >= {("TCP", 5432, True)}
    assert {p.allowed for p in found} == {True, False}


def test_every_group_of_ports_is_tried_on_the_border_of_a_zone_with_regulated_data() -> None:
    found = between(made(), "batch/batch-1", "vault/db-1")
    assert {(p.protocol, p.ports) for p in found} == {
        (Protocol.TCP, "TCP 5432"),
        (Protocol.TCP, "TCP 1-5431, TCP 5433-65535"),
        (Protocol.UDP, "every UDP port"),
    }


def test_what_is_planned_is_what_is_computed() -> None:
    reach, _ = analysed()
    answering = Answering(reach)
    for p in made().probes:
        if p.source.name != p.destination.name:
            query = Query(p.source.name, p.destination.name, p.protocol, p.port)
            assert answering.answer(query).allowed is p.allowed, str(p)


def test_a_pod_is_tried_against_a_second_one_like_it_not_against_itself() -> None:
    reach, zones = analysed(cluster([DB], [policy("closed", "vault", ingress=[])]))
    found = plan(reach, zones, seed=1).probes
    assert found
    assert not any(p.allowed for p in found)


def test_a_declared_port_is_tried_at_the_real_pod_beside_a_connection_that_may_pass() -> None:
    real = [p for p in made().probes if not p.stand_in]
    assert {(p.destination.name, p.port) for p in real} == {("vault/db-1", 5432), ("shop/web-1", 8080)}
    for p in real:
        assert any(q.allowed for q in real if (q.destination, q.port) == (p.destination, p.port))


def test_a_declared_port_that_nobody_may_reach_is_tried_at_a_stand_in() -> None:
    reach, zones = analysed(cluster([WEB, DB], [policy("closed", "vault", ingress=[])]))
    assert all(p.stand_in for p in plan(reach, zones, seed=1).probes if p.destination.name == "vault/db-1")


@given(st.integers(min_value=0, max_value=1 << 32))
def test_the_same_seed_gives_the_same_plan_and_any_seed_the_same_coverage(seed: int) -> None:
    reach, zones = analysed(cluster(many([WEB, DB, BATCH], 3), [ONLY_WEB]))
    found = plan(reach, zones, seed=seed)
    again = plan(*analysed(cluster(many([WEB, DB, BATCH], 3), [ONLY_WEB])), seed=seed)
    assert found == again
    assert found.coverage.pairs == Share(9, 9)
    assert found.coverage.zone_pairs.covered == found.coverage.zone_pairs.total


def test_seeds_take_different_pods_of_a_class() -> None:
    reach, zones = analysed(cluster(many([WEB, DB], 5), [ONLY_WEB]))
    assert len({plan(reach, zones, seed=seed).probes[0].source.name for seed in range(20)}) > 2


@given(st.integers(min_value=2, max_value=40), st.integers(min_value=0, max_value=9))
def test_a_budget_of_connections_holds_with_what_shows_that_somebody_listens(connections: int, seed: int) -> None:
    found = made(seed, budget=Budget(connections=connections))
    assert 0 < found.cost.connections <= connections


def test_connections_between_zones_come_first_and_both_ways() -> None:
    found = made(budget=Budget(connections=4)).probes
    assert all(p.crossing for p in found[:4])
    assert {p.allowed for p in found[:4]} == {True, False}


def test_a_small_budget_of_pods_keeps_the_zones_with_regulated_data() -> None:
    found = made(budget=Budget(pods=4))
    assert {p.source.name for p in found.probes} == {"shop/web-1", "vault/db-1"}
    assert any("--pods" in left.reason and left.count == 1 for left in found.coverage.left)
    assert found.cost.pods <= 4


def test_a_small_budget_of_pods_goes_to_many_namespaces_and_nodes_and_to_pods_that_talk() -> None:
    pods = [
        pod(f"{name}-{number}", name, {"n": str(number)}, ip=f"10.1.{space}.{number}", node=f"node-{space}")
        for space, name in enumerate("abc")
        for number in range(1, 4)
    ]
    apart = [policy(f"p-{number}", name, {"n": str(number)}, ingress=[]) for name in "abc" for number in range(1, 4)]
    reach, zones = analysed(cluster(pods, apart), None)
    found = plan(reach, zones, seed=4, budget=Budget(pods=6))
    assert {p.source.name[0] for p in found.probes} == {"a", "b", "c"}
    assert str(found.coverage.nodes) == "3 of 3 (100 %)"


def test_a_pod_on_the_host_network_is_left_out_and_said_so() -> None:
    node_pod = pod("agent", "kube-system", host_network=True, ip="10.9.0.1", node="node-a")
    reach, zones = analysed(cluster([WEB, node_pod]))
    found = plan(reach, zones, seed=1)
    assert not any("agent" in p.source.name + p.destination.name for p in found.probes)
    assert any("host network" in left.reason for left in found.coverage.left)
    assert str(found.coverage.pairs) == "1 of 4 (25 %)"


def test_a_cluster_without_a_pod_that_runs_is_an_error_that_says_why() -> None:
    reach, zones = analysed(cluster([replace(WEB, node="")]))
    with pytest.raises(UsageError, match="no pod of it runs on a known Linux node"):
        plan(reach, zones, seed=1)


def test_a_namespace_that_is_left_out_has_no_end_of_any_probe() -> None:
    found = made(not_in=frozenset({"batch"}))
    assert not any("batch/" in str(p) for p in found.probes)
    assert any("left out" in left.reason for left in found.coverage.left)


def test_outside_addresses_are_tried_only_where_the_operator_says_so() -> None:
    assert all("/" in p.destination.name for p in made().probes)
    target = Target(ip_address("203.0.113.7"), Protocol.TCP, 443)
    outside = [p for p in made(targets=[target]).probes if p.destination.name == "203.0.113.7"]
    assert {(p.source.name, p.allowed, p.destination.zones) for p in outside} == {
        (name, True, ("internet",)) for name in ("batch/batch-1", "shop/web-1", "vault/db-1")
    }


def test_targets_that_use_up_the_connections_are_an_error() -> None:
    target = Target(ip_address("203.0.113.7"), Protocol.TCP, 443)
    with pytest.raises(UsageError, match="--connections"):
        made(targets=[target], budget=Budget(connections=3))


def test_what_the_computation_is_not_certain_of_is_not_probed() -> None:
    by_team = policy("by-team", "vault", ingress=[rule([peer({}, namespaces={"team": "shop"})], [port(5432)])])
    unread = {name: replace(space, declared=name != "shop") for name, space in SHOP.namespaces.items()}
    reach, zones = analysed(replace(SHOP, policies=(by_team,), namespaces=unread))
    found = plan(reach, zones, seed=1)
    assert not any(p.port == 5432 for p in between(found, "shop/web-1", "vault/db-1"))
    assert any(p.port == 5432 for p in between(found, "batch/batch-1", "vault/db-1"))
    assert any(left.reason == "the computation itself is not certain" for left in found.coverage.left)


def test_ports_that_no_set_tells_apart_are_one_group_with_an_edge_as_its_port() -> None:
    groups = port_groups([PortSet.of(Protocol.TCP, 80, 90), PortSet.all()], replace(WEB, ports=()), 1)
    assert [str(group.ports) for group in groups] == ["TCP 1-79, TCP 91-65535", "TCP 80-90", "every UDP port"]
    assert [
        group.port in edges for group, edges in zip(groups, [(1, 79, 91, 65535), (80, 90), (1, 65535)], strict=True)
    ] == [True] * 3
    assert not any(group.declared for group in groups)


def test_sctp_counts_where_a_policy_names_it() -> None:
    groups = port_groups([PortSet.of(Protocol.SCTP, 3868)], WEB, 1)
    assert {group.protocol for group in groups} == {Protocol.SCTP, Protocol.TCP, Protocol.UDP}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.7:443", "203.0.113.7 TCP 443"),
        ("203.0.113.7:53/udp", "203.0.113.7 UDP 53"),
        ("[2001:db8::1]:443", "2001:db8::1 TCP 443"),
    ],
)
def test_targets_are_an_address_a_port_and_a_protocol(text: str, expected: str) -> None:
    assert str(parse_target(text)) == expected


@pytest.mark.parametrize(
    "text", ["", "example.org:443", "203.0.113.7", "203.0.113.7:0", "203.0.113.7:70000", "203.0.113.7:1/ICMP"]
)
def test_anything_else_is_no_target(text: str) -> None:
    with pytest.raises(UsageError, match="is not a target such as"):
        parse_target(text)


def test_the_json_of_a_plan_is_as_its_schema_says() -> None:
    schema = json.loads(package_file("probe", "plan.schema.json").read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    target = Target(ip_address("203.0.113.7"), Protocol.TCP, 443)
    jsonschema.validate(json.loads(json.dumps(plan_json(made(targets=[target])))), schema)
