"""What an engine answers beside single connections: its table of flows, single sides, who isolates a pod."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from evidence.cluster.model import Cluster, Direction
from evidence.cluster.policies import Action, Tier
from evidence.reach import engine
from evidence.reach.engine import analyse
from evidence.reach.ports import PortSet
from evidence.reach.query import address_point
from tests.builders import block, cluster, peer, pod, policy, port, rule
from tests.reach.build import cluster_policy, does

INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS


def several_ways(*more: str) -> Cluster:
    """Pods of one and of both families, one of which lets others in by another port on each address. `more` are addresses of it."""
    ports = {"10.0.0.0/24": 80, "fd00::/64": 81, "10.0.1.0/24": 82}
    return cluster(
        [
            pod("a", labels={"app": "a"}, ip=["10.0.0.1", "fd00::1"]),
            pod("b", labels={"app": "b"}, ip=["10.0.0.2", *more, "fd00::2"]),
            pod("c", ip=["10.0.0.3"]),
            pod("d", ip=["fd00::4"]),
        ],
        [
            policy("to-b", pods={"app": "b"}, ingress=[rule([block(cidr)], [port(to)]) for cidr, to in ports.items()]),
            policy("from-b", pods={"app": "b"}, egress=[rule([block(cidr)], [port(to)]) for cidr, to in ports.items()]),
        ],
    )


@pytest.mark.parametrize(("more", "among"), [((), "TCP 80-81"), (("10.0.1.2",), "TCP 80-82")])
def test_a_flow_is_what_may_pass_between_any_addresses_of_its_two_peers(more: tuple[str, ...], among: str) -> None:
    reach = analyse(several_ways(*more))
    listed = {(flow.source, flow.destination): flow.ports for flow in reach.flows()}
    assert list(listed) == sorted(listed)
    peers = [found.id for found in reach.classes] + [found.id for found in reach.external]
    for source in peers:
        for destination in peers:
            if min(source, destination) < len(reach.classes):
                ports = reach.ports(source, destination)
                assert listed.get((source, destination), PortSet.none()) == ports
    b = reach.peer_of("default/b")
    assert str(listed[b, b]) == among
    assert str(listed[reach.peer_of("default/d"), b]) == "TCP 81"


def test_flows_are_the_same_however_many_are_looked_at_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(analyse(several_ways()).flows())
    monkeypatch.setattr(engine, "_CELLS_AT_ONCE", 1)
    assert list(analyse(several_ways()).flows()) == whole


def test_where_nothing_may_connect_there_are_no_flows() -> None:
    by_address = policy("nobody", pods={"app": "nobody"}, ingress=[rule([block("fd00::/64")])])
    shut = replace(several_ways(), policies=(policy("deny", ingress=[], egress=[]), by_address))
    assert list(analyse(shut).flows()) == []


def test_one_side_lets_pods_through_by_the_families_that_they_have() -> None:
    reach = analyse(several_ways())
    a, c, d = (reach.peer_of(f"default/{name}") for name in "acd")
    for outside in reach.external:
        version = outside.first.version
        assert reach.egress_ports(a, outside.id).is_all
        assert reach.egress_ports(c, outside.id).is_all is (version == 4)
        assert reach.egress_ports(d, outside.id).is_all is (version == 6)
        assert reach.ingress_ports(outside.id, d).is_all is (version == 6)
    assert not reach.egress_ports(c, d)


def test_in_a_cluster_without_pods_addresses_are_outside_all_the_same() -> None:
    reach = analyse(cluster())
    point = address_point(reach, ip_address("198.51.100.7"))
    assert point.peer == reach.external[0].id
    assert list(reach.flows()) == []


def test_isolated_is_who_a_policy_isolates_and_isolating_names_the_policies() -> None:
    pods = [pod("a", labels={"app": "a"}), pod("b")]
    given = replace(
        cluster(pods, [policy("p", pods={"app": "a"}, ingress=[rule([peer({"app": "a"})])])]),
        cluster_policies=(cluster_policy("allows", does(Action.ACCEPT), tier=Tier.ADMIN),),
    )
    reach = analyse(given)
    a, b, outside = reach.peer_of("default/a"), reach.peer_of("default/b"), reach.external[0].id
    told = {(end, side): reach.isolated(end, side) for end in (a, b, outside) for side in Direction}
    assert [pair for pair, isolated in told.items() if isolated] == [(a, INGRESS)]
    assert [found.key.name for found in reach.isolating(a, INGRESS)] == ["p"]
    assert [found.name for found in reach.isolating_policies(a, INGRESS)] == ["p"]
    for end, side in ((a, EGRESS), (b, INGRESS), (outside, INGRESS)):
        assert reach.isolating(end, side) == reach.isolating_policies(end, side) == ()
    assert [placed.form.policy.key.name for placed in reach.selecting(b, INGRESS)] == ["allows"]
    assert reach.selecting(outside, INGRESS) == ()
