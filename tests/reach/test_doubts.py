"""A denial that hangs on something unknown is uncertain, and says on what."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from evidence.cluster.model import Cluster, Direction, Namespace, Node, Protocol
from evidence.cluster.policies import Action, NetworksPeer, NodePeer
from evidence.cluster.selectors import LabelSelector
from evidence.reach.engine import Reachability, analyse
from evidence.reach.ports import PortSet
from tests.builders import NAME_LABEL, block, cluster, peer, pod, policy, port, rule
from tests.reach.build import cluster_policy, does, pods_of


def doubts(reach: Reachability, source: str, destination: str) -> tuple[str, ...]:
    return reach.uncertain(reach.peer_of(source), reach.peer_of(destination))


BY_ADDRESS = policy("p", pods={"app": "b"}, ingress=[rule([block("10.0.0.0/8")], [port(80)])])


def test_an_ip_block_may_cover_a_pod_without_a_known_address() -> None:
    reach = analyse(cluster([pod("a"), pod("b", labels={"app": "b"})], [BY_ADDRESS]))
    assert doubts(reach, "default/a", "default/b") == (
        "NetworkPolicy default/p spec.ingress[0]: the address of pod default/a is not known, so ipBlock 10.0.0.0/8 may cover it",
    )
    assert doubts(reach, "default/b", "default/a") == ()


def test_a_known_address_leaves_no_doubt() -> None:
    reach = analyse(cluster([pod("a", ip="192.168.0.1"), pod("b", labels={"app": "b"})], [BY_ADDRESS]))
    assert doubts(reach, "default/a", "default/b") == ()


def test_what_the_other_side_refuses_for_certain_is_certain() -> None:
    shut = policy("shut", egress=[])
    reach = analyse(cluster([pod("a"), pod("b", labels={"app": "b"})], [BY_ADDRESS, shut]))
    assert doubts(reach, "default/a", "default/b") == ()


def test_what_passes_anyway_is_certain() -> None:
    opened = policy("open", pods={"app": "b"}, ingress=[rule([peer({})])])
    reach = analyse(cluster([pod("a"), pod("b", labels={"app": "b"})], [BY_ADDRESS, opened]))
    assert doubts(reach, "default/a", "default/b") == ()


def test_doubts_can_be_asked_for_some_ports() -> None:
    reach = analyse(cluster([pod("a"), pod("b", labels={"app": "b"})], [BY_ADDRESS]))
    a, b = reach.peer_of("default/a"), reach.peer_of("default/b")
    assert reach.uncertain(a, b, PortSet.of(Protocol.TCP, 80))
    assert reach.uncertain(a, b, PortSet.of(Protocol.TCP, 81)) == ()


def test_labels_of_a_namespace_that_was_not_read_may_match() -> None:
    by_label = policy("p", ingress=[rule([peer(namespaces={"team": "x"})])])
    pods = [pod("a", "east"), pod("b")]
    unread = [Namespace("east", {NAME_LABEL: "east"}, declared=False)]
    assert doubts(analyse(cluster(pods, [by_label], unread)), "east/a", "default/b") == (
        "NetworkPolicy default/p spec.ingress[0]: the labels of namespace east are not known, so namespaceSelector team=x may match it",
    )
    assert doubts(analyse(cluster(pods, [by_label])), "east/a", "default/b") == ()


def test_the_name_of_a_namespace_is_known_even_if_it_was_not_read() -> None:
    by_name = policy("p", ingress=[rule([peer(namespaces={NAME_LABEL: "west", "team": "x"})])])
    unread = [Namespace("east", {NAME_LABEL: "east"}, declared=False)]
    assert doubts(analyse(cluster([pod("a", "east"), pod("b")], [by_name], unread)), "east/a", "default/b") == ()


def test_a_cluster_wide_policy_may_be_about_pods_of_a_namespace_that_was_not_read() -> None:
    unread = [Namespace("default", {NAME_LABEL: "default"}, declared=False)]
    state = cluster([pod("a"), pod("b")], [policy("deny", ingress=[])], unread)
    accepting = cluster_policy("c", does(Action.ACCEPT), subject=pods_of({"team": "x"}))
    assert doubts(analyse(replace(state, cluster_policies=(accepting,))), "default/a", "default/b") == (
        "the labels of namespace default are not known, so whether ClusterNetworkPolicy c is about its pods is not",
    )
    denying = cluster_policy("c", does(Action.DENY), subject=pods_of({"team": "x"}))
    assert doubts(analyse(replace(state, cluster_policies=(denying,))), "default/a", "default/b") == ()


def test_both_sides_may_hang_on_unknown_addresses_at_once() -> None:
    given = policy("both", ingress=[rule([block("10.0.0.0/8")])], egress=[rule([block("10.0.0.0/8")])])
    assert len(doubts(analyse(cluster([pod("a"), pod("b", "other")], [given])), "default/a", "other/b")) == 1
    both = [given, policy("both", "other", ingress=[rule([block("10.0.0.0/8")])], egress=[])]
    assert len(doubts(analyse(cluster([pod("a"), pod("b", "other")], both)), "default/a", "other/b")) == 2


def test_every_pod_of_a_class_counts_where_no_known_selector_tells_them_apart() -> None:
    by_label = policy("p", ingress=[rule([peer({"app": "web"}, namespaces={"team": "x"})])])
    unread = [Namespace("east", {NAME_LABEL: "east"}, declared=False)]
    pods = [pod("a", "east"), pod("w", "east", {"app": "web"}), pod("b")]
    reach = analyse(cluster(pods, [by_label], unread))
    assert reach.peer_of("east/a") == reach.peer_of("east/w")
    assert doubts(reach, "east/w", "default/b")


HOST = pod("agent", "kube-system", host_network=True, ip="192.168.0.1", node="n1")
NODE = Node("n1", {}, (ip_address("192.168.0.1"),), ready=True, pod_cidrs=(ip_network("10.9.1.0/24"),))
GUARDED = pod("b", labels={"app": "b"}, ip="10.9.2.2", node="n2")


def host(network: str, *nodes: Node, direction: Direction = Direction.INGRESS) -> tuple[str, ...]:
    """Doubts about a pod on the host network of n1 and a pod of another node, with a rule by address on the pod's side."""
    rules = [rule([block(network)])]
    ingress, egress = (rules, None) if direction is Direction.INGRESS else (None, rules)
    state = replace(
        cluster([HOST, GUARDED], [policy("p", pods={"app": "b"}, ingress=ingress, egress=egress)]), nodes=nodes
    )
    ends = ("kube-system/agent", "default/b")
    return doubts(analyse(state), *(ends if direction is Direction.INGRESS else ends[::-1]))


@pytest.mark.parametrize("direction", list(Direction))
def test_a_node_may_be_met_by_an_address_of_its_pod_network(direction: Direction) -> None:
    (reason,) = host("10.9.0.0/16", NODE, direction=direction)
    assert "the node of pod kube-system/agent may be met by another address, which ipBlock 10.9.0.0/16 covers" in reason
    assert host("10.9.2.0/24", NODE, direction=direction) == ()
    assert host("192.168.0.0/16", NODE, direction=direction) == ()


def test_an_annotation_of_the_plug_in_names_further_addresses_of_a_node() -> None:
    tunnel = {"projectcalico.org/IPv4IPIPTunnelAddr": "10.9.7.7"}
    assert "ipBlock 10.9.7.7/32 covers" in host("10.9.7.7/32", replace(NODE, annotations=tunnel))[0]


def test_a_node_that_was_not_read_may_have_any_further_address() -> None:
    assert "the node of pod kube-system/agent was not read" in host("10.0.0.0/8")[0]
    assert host("192.168.0.0/16") == ()
    assert host("10.0.0.0/8", replace(NODE, pod_cidrs=())) == ()


def test_an_outside_address_may_be_of_a_node_that_was_not_read() -> None:
    accepting = cluster_policy(
        "c", does(Action.ACCEPT, NodePeer(LabelSelector())), does(Action.DENY, NetworksPeer((ip_network("0.0.0.0/0"),))),
        direction=Direction.EGRESS,
    )  # fmt: skip
    state = replace(cluster([GUARDED]), cluster_policies=(accepting,))

    def outside(found: Cluster) -> tuple[str, ...]:
        reach = analyse(found)
        return reach.uncertain(reach.peer_of("default/b"), reach.external[0].id)

    said = "ClusterNetworkPolicy c spec.egress[0]: not every node was read, so the node selector may mean it"
    assert outside(state) == (said,)
    assert outside(replace(state, nodes=(NODE,), unread_kinds=("Node",))) == (said,)
    assert outside(replace(state, nodes=(NODE,))) == ()
