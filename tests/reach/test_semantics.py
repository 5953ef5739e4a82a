"""What NetworkPolicies mean, point by point (see docs/reachability.md), and where other programs go wrong."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from evidence.cluster.model import Cluster, Namespace, NetworkPolicy, Node, PolicyPort, Protocol
from evidence.cluster.selectors import Operator, Requirement
from evidence.reach.engine import Reachability, analyse
from evidence.reach.ports import PortSet
from tests.builders import NAME_LABEL, block, cluster, named_port, peer, pod, policy, port, rule, selector
from tests.reach.build import answered

DENY_ALL = policy("deny", ingress=[], egress=[])


def allowed(given: Cluster, source: str, destination: str, number: int = 80, protocol: str = "TCP") -> bool:
    return answered(given, source, destination, number, protocol).allowed


def ports(reach: Reachability, source: str, destination: str) -> str:
    return str(reach.ports(reach.peer_of(source), reach.peer_of(destination)))


def two(*policies: NetworkPolicy) -> Cluster:
    """Pods a and b in `default`."""
    return cluster(
        [pod("a", labels={"app": "a"}, ip="10.0.0.1"), pod("b", labels={"app": "b"}, ip="10.0.0.2")], policies
    )


def test_without_a_policy_everything_passes() -> None:
    assert ports(analyse(two()), "default/a", "default/b") == "all ports"


def test_a_policy_without_rules_isolates_the_pods_that_it_selects_and_no_other() -> None:
    given = two(policy("deny", pods={"app": "b"}, ingress=[]))
    assert not allowed(given, "default/a", "default/b")
    assert allowed(given, "default/b", "default/a")


def test_both_sides_must_allow() -> None:
    opens_ingress = policy("in", pods={"app": "b"}, ingress=[rule([peer({"app": "a"})])])
    assert not allowed(two(DENY_ALL, opens_ingress), "default/a", "default/b")
    opens_egress = policy("out", pods={"app": "a"}, egress=[rule([peer({"app": "b"})])])
    assert allowed(two(DENY_ALL, opens_ingress, opens_egress), "default/a", "default/b")


@pytest.mark.parametrize(
    ("sent", "let_in", "both"),
    [
        ([port(80, end_port=90)], [port(85, end_port=95)], "TCP 85-90"),
        ([port(80, end_port=90)], [port(80, end_port=90)], "TCP 80-90"),
        ([port(80, end_port=90)], [], "TCP 80-90"),
        ([], [port(85, end_port=95)], "TCP 85-95"),
        ([port(80, end_port=90)], [port(91)], "no ports"),
    ],
)
def test_what_may_pass_is_what_both_sides_allow(sent: list[PolicyPort], let_in: list[PolicyPort], both: str) -> None:
    out = policy("out", pods={"app": "a"}, egress=[rule([peer({"app": "b"})], sent)])
    into = policy("in", pods={"app": "b"}, ingress=[rule([peer({"app": "a"})], let_in)])
    reach = analyse(two(out, into))
    assert ports(reach, "default/a", "default/b") == both
    a, b = reach.peer_of("default/a"), reach.peer_of("default/b")
    listed = [str(flow.ports) for flow in reach.flows() if (flow.source, flow.destination) == (a, b)]
    assert listed == ([] if both == "no ports" else [both])


def test_a_policy_of_another_namespace_selects_nothing_here() -> None:
    assert allowed(two(policy("deny", "other", ingress=[])), "default/a", "default/b")


def test_rules_of_a_direction_that_policy_types_leaves_out_mean_nothing() -> None:
    egress_only = replace(policy("p", egress=[]), ingress=(rule([peer({"app": "a"})]),))
    given = cluster([pod("a", labels={"app": "a"}), pod("b")], [policy("deny", ingress=[]), egress_only])
    assert not allowed(given, "default/a", "default/b")


def test_every_namespace_is_never_the_outside() -> None:
    given = two(policy("p", ingress=[rule([peer(namespaces={})])]))
    assert allowed(given, "default/a", "default/b")
    assert not allowed(given, "203.0.113.7", "default/b")


def test_no_peers_is_the_outside_too() -> None:
    assert allowed(two(policy("p", ingress=[rule()])), "203.0.113.7", "default/b")


def test_a_pod_selector_alone_stays_in_the_policys_namespace() -> None:
    pods = [pod("a", labels={"app": "a"}), pod("a", "other", {"app": "a"}), pod("b")]
    given = cluster(pods, [policy("p", ingress=[rule([peer({"app": "a"})])])])
    assert allowed(given, "default/a", "default/b")
    assert not allowed(given, "other/a", "default/b")


def test_a_name_label_exists_only_where_somebody_put_it() -> None:
    pods = [pod("a", "east"), pod("b")]
    by_name = policy("p", ingress=[rule([peer(namespaces={"name": "east"})])])
    by_set_name = policy("p", ingress=[rule([peer(namespaces={"kubernetes.io/metadata.name": "east"})])])
    assert not allowed(cluster(pods, [by_name]), "east/a", "default/b")
    assert allowed(cluster(pods, [by_set_name]), "east/a", "default/b")
    assert allowed(
        cluster(pods, [by_name], [Namespace("east", {NAME_LABEL: "east", "name": "east"})]), "east/a", "default/b"
    )


# -- ports --------------------------------------------------------------------------------------------------------------


def test_a_named_port_is_the_destination_pods_own() -> None:
    pods = [
        pod("a", ip="10.0.0.1"),
        pod("b", labels={"app": "b"}, ports=[named_port("http", 80)]),
        pod("c", labels={"app": "b"}, ports=[named_port("http", 8080)]),
        pod("d", labels={"app": "b"}),
        pod("e", labels={"app": "b"}, ports=[named_port("http", 80, "UDP")]),
    ]
    reach = analyse(cluster(pods, [policy("p", pods={"app": "b"}, ingress=[rule(ports=[port("http")])])]))
    assert [ports(reach, "default/a", f"default/{name}") for name in "bcde"] == [
        "TCP 80",
        "TCP 8080",
        "no ports",
        "no ports",
    ]


def test_a_named_port_of_an_egress_rule_means_nothing_outside() -> None:
    given = cluster(
        [pod("a"), pod("b", ports=[named_port("http", 80)])], [policy("p", egress=[rule(ports=[port("http")])])]
    )
    reach = analyse(given)
    assert ports(reach, "default/a", "default/b") == "TCP 80"
    assert not allowed(given, "default/a", "203.0.113.7")


def test_a_number_beside_a_named_port_holds_outside_too() -> None:
    reach = analyse(cluster([pod("a", ip="10.0.0.1")], [policy("p", egress=[rule(ports=[port("http"), port(443)])])]))
    (outside,) = reach.external
    assert str(reach.ports(reach.peer_of("default/a"), outside.id)) == "TCP 443"


def test_several_containers_with_one_port_name_all_count() -> None:
    pods = [pod("a"), pod("b", labels={"app": "b"}, ports=[named_port("http", 80), named_port("http", 81)])]
    reach = analyse(cluster(pods, [policy("p", pods={"app": "b"}, ingress=[rule(ports=[port("http")])])]))
    assert ports(reach, "default/a", "default/b") == "TCP 80-81"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (port(80), "TCP 80"),
        (port(80, end_port=90), "TCP 80-90"),
        (port(None, "UDP"), "every UDP port"),
        (port(3868, "SCTP"), "SCTP 3868"),
        (port(1, end_port=65535), "every TCP port"),
    ],
)
def test_numbered_ports(entry: PolicyPort, words: str) -> None:
    assert (
        ports(analyse(two(policy("p", pods={"app": "b"}, ingress=[rule(ports=[entry])]))), "default/a", "default/b")
        == words
    )


# -- addresses ------------------------------------------------------------------------------------------------------------


def test_an_ip_block_matches_pods_by_their_address() -> None:
    given = two(policy("p", pods={"app": "b"}, ingress=[rule([block("10.0.0.0/30", "10.0.0.2/32")])]))
    assert allowed(given, "default/a", "default/b")
    shut = two(policy("p", pods={"app": "b"}, ingress=[rule([block("10.0.0.0/30", "10.0.0.1/32")])]))
    assert not allowed(shut, "default/a", "default/b")


def test_another_peer_may_give_back_what_an_exception_took() -> None:
    given = two(policy("p", ingress=[rule([block("10.0.0.0/8", "10.0.0.0/16"), block("10.0.0.1/32")])]))
    assert allowed(given, "default/a", "default/b")


def test_an_ipv6_block_opens_nothing_for_ipv4() -> None:
    given = two(policy("p", pods={"app": "b"}, ingress=[rule([block("::/0")])]))
    assert not allowed(given, "203.0.113.7", "default/b")
    reach = analyse(given)
    shown = {flow.source for flow in reach.flows() if flow.destination == reach.peer_of("default/b")}
    assert shown == set()


def test_each_address_of_a_dual_stack_pod_is_a_way_of_its_own() -> None:
    pods = [
        pod("a", labels={"app": "a"}, ip=["10.0.0.1", "fd00::1"]),
        pod("b", labels={"app": "b"}, ip=["10.0.0.2", "fd00::2"]),
        pod("c", ip=["10.0.0.3"]),
    ]
    given = cluster(
        pods,
        [
            policy(
                "p",
                pods={"app": "b"},
                ingress=[rule([block("fd00::/64")], [port(80)]), rule([block("10.0.0.0/24")], [port(81)])],
            )
        ],
    )
    reach = analyse(given)
    assert ports(reach, "default/a", "default/b") == "TCP 80-81"
    assert ports(reach, "default/c", "default/b") == "TCP 81"


def test_outside_ranges_are_cut_where_policies_name_networks_and_nowhere_else() -> None:
    reach = analyse(two(policy("p", ingress=[rule([block("203.0.113.0/24", "203.0.113.8/32")])])))
    assert [(str(r.first), str(r.last)) for r in reach.external] == [
        ("0.0.0.0", "203.0.112.255"),
        ("203.0.113.0", "203.0.113.7"),
        ("203.0.113.8", "203.0.113.8"),
        ("203.0.113.9", "203.0.113.255"),
        ("203.0.114.0", "255.255.255.255"),
    ]
    assert str(reach.external[3].networks[0]) == "203.0.113.9/32"


def test_without_any_network_the_outside_is_one_range_a_family() -> None:
    assert len(analyse(two()).external) == 1
    unknown = analyse(cluster([pod("a")]))
    assert [str(r.first) for r in unknown.external] == ["0.0.0.0", "::"]


def test_a_range_of_nothing_but_pod_addresses_is_not_outside() -> None:
    reach = analyse(two(policy("p", ingress=[rule([block("10.0.0.2/32")])])))
    assert "10.0.0.2" not in [str(r.first) for r in reach.external]


# -- pods that are none ---------------------------------------------------------------------------------------------------


def test_policies_neither_select_nor_match_pods_on_the_host_network() -> None:
    pods = [
        pod("h", labels={"app": "a"}, ip="172.16.0.1", host_network=True),
        pod("b", labels={"app": "b"}, ip="10.0.0.2"),
    ]
    by_label = cluster(pods, [policy("p", ingress=[rule([peer({"app": "a"})])], egress=[])])
    assert not allowed(by_label, "default/h", "default/b")
    assert allowed(by_label, "203.0.113.7", "default/h")
    by_address = cluster(pods, [policy("p", ingress=[rule([block("172.16.0.0/24")])])])
    assert allowed(by_address, "default/h", "default/b")


def test_a_host_network_pod_has_its_nodes_addresses() -> None:
    host = pod("h", host_network=True, node="n1")
    given = cluster([host, pod("b", labels={"app": "b"})], [policy("p", ingress=[rule([block("172.16.0.0/24")])])])
    node = Node("n1", {}, (ip_address("172.16.0.9"),), ready=True)
    assert allowed(replace(given, nodes=(node,)), "default/h", "default/b")
    assert not allowed(given, "default/h", "default/b")


def test_a_pods_own_node_always_reaches_it() -> None:
    given = cluster(
        [
            pod("h", host_network=True, node="n1", ip="172.16.0.1"),
            pod("i", host_network=True, node="n2"),
            pod("b", node="n1"),
        ],
        [policy("deny", ingress=[])],
    )
    given = replace(given, nodes=(Node("n1", {}, (ip_address("172.16.0.1"),), ready=True),))
    assert allowed(given, "default/h", "default/b")
    assert allowed(given, "172.16.0.1", "default/b")
    assert not allowed(given, "default/i", "default/b")
    assert not allowed(given, "172.16.0.2", "default/b")


def test_finished_pods_are_no_endpoints() -> None:
    given = cluster([pod("a"), pod("done", phase="Succeeded", ip="10.0.0.9")])
    assert not allowed(given, "default/a", "default/done")
    assert not allowed(given, "default/done", "default/a")
    assert [found.pods[0].name for found in analyse(given).classes] == ["a"]


def test_a_pod_reaches_itself_and_its_class_is_asked_like_any_other() -> None:
    given = cluster([pod("a", ip="10.0.0.1"), pod("b", ip="10.0.0.2")], [DENY_ALL])
    assert allowed(given, "default/a", "default/a")
    assert not allowed(given, "default/a", "default/b")
    assert ports(analyse(given), "default/a", "default/b") == "no ports"


# -- classes ----------------------------------------------------------------------------------------------------------------


def test_labels_split_classes_only_where_a_selector_that_can_see_them_looks() -> None:
    pods = [
        pod("a", labels={"app": "x", "hash": "1"}),
        pod("b", labels={"app": "y", "hash": "2"}),
        pod("c", labels={"app": "web", "hash": "3"}),
        pod("d", "other", {"app": "web"}),
        pod("e", "other", {"app": "x"}),
    ]
    reach = analyse(cluster(pods, [policy("p", pods={"app": "web"}, ingress=[])]))
    assert [[p.key for p in found.pods] for found in reach.classes] == [
        ["default/a", "default/b"],
        ["default/c"],
        ["other/d", "other/e"],
    ]


def test_presence_alone_splits_where_a_selector_asks_for_it() -> None:
    pods = [pod("a", labels={"track": "x"}), pod("b", labels={"track": "y"}), pod("c")]
    there = Requirement("track", Operator.EXISTS)
    given = replace(policy("p", ingress=[]), pod_selector=selector({}, there))
    assert [len(found.pods) for found in analyse(cluster(pods, [given])).classes] == [2, 1]


def test_flows_name_each_pair_once_and_sorted() -> None:
    reach = analyse(two(policy("p", pods={"app": "b"}, ingress=[rule([block("10.0.0.0/8")], [port(80)])])))
    pairs = [(flow.source, flow.destination) for flow in reach.flows()]
    assert pairs == sorted(set(pairs))
    assert all(flow.ports for flow in reach.flows())
    assert all(reach.peer(flow.source).id == flow.source for flow in reach.flows())


def test_sides_are_asked_on_their_own() -> None:
    reach = analyse(two(policy("p", pods={"app": "b"}, ingress=[rule([peer({"app": "a"})], [port(80)])])))
    a, b = reach.peer_of("default/a"), reach.peer_of("default/b")
    assert reach.egress_ports(a, b) == PortSet.all()
    assert reach.ingress_ports(a, b) == PortSet.of(Protocol.TCP, 80)
    outside = reach.external[0].id
    assert reach.egress_ports(outside, b) == PortSet.all()
    assert reach.ingress_ports(outside, b) == PortSet.none()
    assert reach.ingress_ports(b, outside) == PortSet.all()
