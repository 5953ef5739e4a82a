"""What cluster-wide policies mean: tiers, priorities, Accept, Deny, Pass, and what is not known."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from evidence.cluster.model import Cluster, Direction, NetworkPolicy, Node, Protocol
from evidence.cluster.policies import (
    Action,
    ClusterPolicy,
    ClusterPolicyPort,
    DomainNamesPeer,
    NetworksPeer,
    NodePeer,
    Tier,
    Unknown,
)
from evidence.reach.engine import analyse
from evidence.reach.explain import Explanation
from tests.builders import cluster, named_port, peer, pod, policy, port, rule, selector
from tests.reach.build import EVERY_POD, answered, cluster_policy, does, pods_of

ACCEPT, DENY, PASS = Action.ACCEPT, Action.DENY, Action.PASS
DEFAULT_DENY = policy("deny", ingress=[])
ADMITS_A = policy("admit", pods={"app": "b"}, ingress=[rule([peer({"app": "a"})])])


def given(policies: list[ClusterPolicy], network_policies: list[NetworkPolicy] | None = None) -> Cluster:
    pods = [
        pod("a", labels={"app": "a"}, ip="10.0.0.1"),
        pod("b", labels={"app": "b"}, ip="10.0.0.2", ports=[named_port("http", 8080), named_port("http", 8081, "UDP")]),
        pod("h", host_network=True, node="n1"),
    ]
    node = Node("n1", {"role": "worker"}, (ip_address("172.16.0.1"),), ready=True)
    return replace(cluster(pods, network_policies or []), cluster_policies=tuple(policies), nodes=(node,))


def answer(state: Cluster, source: str = "default/a", destination: str = "default/b", number: int = 80) -> Explanation:
    return answered(state, source, destination, number)


def passes(state: Cluster, source: str = "default/a", destination: str = "default/b", number: int = 80) -> bool:
    return answer(state, source, destination, number).allowed


def test_admin_decides_before_network_policy() -> None:
    assert not passes(given([cluster_policy("c", does(DENY))], [ADMITS_A]))
    assert passes(given([cluster_policy("c", does(ACCEPT))], [DEFAULT_DENY]))


def test_pass_leaves_the_decision_to_network_policy_whatever_lower_priorities_say() -> None:
    later = cluster_policy("later", does(DENY), priority=20)
    passing = cluster_policy("first", does(PASS), priority=10)
    assert passes(given([passing, later], [ADMITS_A]))
    assert not passes(given([passing, later], [DEFAULT_DENY]))
    assert passes(given([passing, later]))


def test_what_several_priorities_pass_is_all_left_to_network_policy() -> None:
    passing = [
        cluster_policy(f"pass-{port}", does(PASS, ports=[ClusterPolicyPort(Protocol.TCP, port)]), priority=port)
        for port in (80, 81)
    ]
    reach = analyse(given([*passing, cluster_policy("rest", does(DENY), priority=100)], [ADMITS_A]))
    assert str(reach.ports(reach.peer_of("default/a"), reach.peer_of("default/b"))) == "TCP 80-81"


def test_baseline_decides_only_where_no_network_policy_isolates() -> None:
    baseline = cluster_policy("b", does(DENY), tier=Tier.BASELINE)
    assert not passes(given([baseline]))
    assert passes(given([baseline], [ADMITS_A]))
    assert passes(given([baseline, cluster_policy("pass", does(PASS), tier=Tier.BASELINE, priority=1)]))


def test_lower_numbers_come_first_and_the_first_matching_rule_decides() -> None:
    deny, accept = cluster_policy("d", does(DENY), priority=1), cluster_policy("a", does(ACCEPT), priority=2)
    assert not passes(given([accept, deny]))
    assert passes(given([cluster_policy("c", does(ACCEPT, pods_of(pods={"app": "a"})), does(DENY))]))


def test_a_rule_decides_only_for_its_ports() -> None:
    web = [ClusterPolicyPort(Protocol.TCP, 80, 90)]
    state = given([cluster_policy("c", does(DENY, ports=web))])
    assert not passes(state, number=90)
    assert passes(state, number=91)


def test_a_named_port_without_protocol_is_any_protocols() -> None:
    state = given([cluster_policy("c", does(DENY, ports=[ClusterPolicyPort(None, "http")]))])
    assert not passes(state, number=8080)
    assert passes(state, number=8081)
    reach = analyse(state)
    ports = reach.ports(reach.peer_of("default/a"), reach.peer_of("default/b"))
    assert not ports.contains(Protocol.UDP, 8081)


def test_host_network_pods_are_neither_subject_nor_peer_by_label() -> None:
    state = given([cluster_policy("c", does(DENY))])
    assert passes(state, "default/a", "default/h")
    assert passes(state, "default/h", "default/b")


def test_nodes_and_networks_match_by_address() -> None:
    to_nodes = cluster_policy("c", does(DENY, NodePeer(selector({"role": "worker"}))), direction=Direction.EGRESS)
    assert not passes(given([to_nodes]), "default/a", "172.16.0.1")
    assert not passes(given([to_nodes]), "default/a", "default/h")
    assert passes(given([to_nodes]), "default/a", "172.16.0.2")
    to_networks = cluster_policy(
        "c", does(DENY, NetworksPeer((ip_network("10.0.0.0/24"),))), direction=Direction.EGRESS
    )
    assert not passes(given([to_networks]))
    assert passes(given([to_networks]), "default/a", "10.0.1.1")


@pytest.mark.parametrize("first", [ACCEPT, DENY, PASS])
def test_of_equal_priorities_the_most_permissive_counts_and_is_reported(first: Action) -> None:
    second = {ACCEPT: DENY, DENY: ACCEPT, PASS: DENY}[first]
    state = given([cluster_policy("one", does(first)), cluster_policy("two", does(second))])
    found, reach = answer(state), analyse(state)
    assert found.allowed
    assert reach.ports(reach.peer_of("default/a"), reach.peer_of("default/b")).is_all
    if first is not PASS:
        assert found.ingress.reason.count("of equal priority and otherwise: ClusterNetworkPolicy ") == 1
    (told,) = reach.equal_priorities
    assert told.startswith("ClusterNetworkPolicy one and ClusterNetworkPolicy two have priority 10 in the Admin tier")


def test_equal_priorities_that_agree_or_select_other_pods_are_not_reported() -> None:
    same = [cluster_policy("one", does(DENY)), cluster_policy("two", does(DENY))]
    apart = [
        cluster_policy("one", does(DENY), subject=pods_of(pods={"app": "a"})),
        cluster_policy("two", does(ACCEPT), subject=pods_of(pods={"app": "b"})),
    ]
    assert analyse(given(same)).equal_priorities == ()
    assert analyse(given(apart)).equal_priorities == ()


# -- what is not known ------------------------------------------------------------------------------------------------------

NEW_PEER = Unknown("a peer of a newer API")


def test_an_unknown_peer_matches_nothing_in_accept_rules_and_denies_everything_in_others() -> None:
    assert not passes(given([cluster_policy("c", does(ACCEPT, NEW_PEER))], [DEFAULT_DENY]))
    assert passes(given([cluster_policy("c", does(ACCEPT, NEW_PEER, EVERY_POD))], [DEFAULT_DENY]))
    assert not passes(given([cluster_policy("c", does(DENY, NEW_PEER))]))
    assert not passes(given([cluster_policy("c", does(PASS, NEW_PEER))], [ADMITS_A]))


def test_an_unknown_port_is_not_every_port() -> None:
    assert not passes(given([cluster_policy("c", does(ACCEPT, ports=[Unknown("port")]))], [DEFAULT_DENY]))
    assert not passes(
        given([cluster_policy("c", does(DENY, ports=[Unknown("port"), ClusterPolicyPort(Protocol.TCP, 1)]))])
    )


@pytest.mark.parametrize(
    "unknown",
    [
        cluster_policy("c", does(ACCEPT, NEW_PEER)),
        cluster_policy("c", does(Unknown("Log"))),
        cluster_policy("c", does(DENY), subject=Unknown("subject")),
    ],
)
def test_a_policy_with_unknown_parts_is_named_as_not_evaluated(unknown: ClusterPolicy) -> None:
    assert [p.key.name for p in analyse(given([unknown, cluster_policy("whole", does(DENY))])).unevaluated] == ["c"]


def test_a_policy_whose_subject_is_unknown_is_not_evaluated_at_all() -> None:
    assert passes(given([cluster_policy("c", does(DENY), subject=Unknown("subject"))]))


def test_domain_names_match_no_address_and_leave_the_outside_uncertain() -> None:
    names = cluster_policy("c", does(ACCEPT, DomainNamesPeer(("api.example.com",))), direction=Direction.EGRESS)
    state = given([names], [policy("deny", egress=[])])
    reach = analyse(state)
    source, outside = reach.peer_of("default/a"), reach.external[0].id
    assert not reach.ports(source, outside)
    assert reach.uncertain(source, outside) == (
        "ClusterNetworkPolicy c spec.egress[0]: the addresses of api.example.com are not known",
    )
    assert reach.uncertain(source, reach.peer_of("default/b")) == ()
    assert answer(state, "default/a", "203.0.113.7").uncertain


def test_a_port_entry_of_the_network_policy_form_reads_the_same() -> None:
    assert passes(given([cluster_policy("c", does(ACCEPT, ports=[ClusterPolicyPort(Protocol.TCP)]))], [DEFAULT_DENY]))
    assert not passes(given([], [policy("p", ingress=[rule(ports=[port(None, "UDP")])])]))
