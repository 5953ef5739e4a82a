"""Corners of the engine that random small clusters seldom reach, each found by changing the engine there and seeing every other test pass."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import numpy as np
import pytest

from evidence.cluster.calico import Calico, CalicoPolicy
from evidence.cluster.model import Direction, Namespace, NetworkPolicy, Node, Pod, PodPeer, Protocol
from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.cluster.parse_calico import calico_policy
from evidence.cluster.policies import Action, ClusterPolicyPort, NodePeer
from evidence.cluster.selectors import LabelSelector, Operator, Requirement
from evidence.reach.classes import IPV4, IPV6
from evidence.reach.engine import Reachability, analyse
from evidence.reach.peers import distinct
from evidence.reach.ports import PortSet
from tests.builders import NAME_LABEL, block, cluster, named_port, namespace, peer, pod, policy, port, rule, selector
from tests.oracle.naive import may_connect
from tests.reach.build import answered, cluster_policy, does, pods_of


def allowed(reach: Reachability, source: str, destination: str, number: int = 80) -> bool:
    return answered(reach, source, destination, number).allowed


def outside(reach: Reachability) -> list[str]:
    return [f"{found.first}-{found.last}" for found in reach.external]


def test_a_selector_across_namespaces_tells_pods_there_apart() -> None:
    pods = [pod("db"), pod("a", "other", {"app": "a"}), pod("b", "other", {"app": "b"})]
    by_both = policy("p", pods={}, ingress=[rule([peer({"app": "a"}, namespaces={"team": "x"})])])
    reach = analyse(cluster(pods, [by_both], [namespace("other", team="x")]))
    assert allowed(reach, "other/a", "default/db")
    assert not allowed(reach, "other/b", "default/db")


def test_the_subject_of_a_cluster_wide_policy_tells_pods_of_every_namespace_apart() -> None:
    pods = [pod("a", "other", {"app": "a"}), pod("b", "other", {"app": "b"}), pod("web")]
    guard = cluster_policy("guard", does(Action.DENY), subject=pods_of({}, {"app": "a"}))
    reach = analyse(replace(cluster(pods), cluster_policies=(guard,)))
    assert not allowed(reach, "default/web", "other/a")
    assert allowed(reach, "default/web", "other/b")


@pytest.mark.parametrize("count", [63, 64, 65, 130])
@pytest.mark.parametrize(
    "need",
    [
        Requirement("n", Operator.IN, ("0", "62", "63", "64", "129")),
        Requirement("n", Operator.NOT_IN, ("0", "63", "64")),
        Requirement("n", Operator.EXISTS),
        Requirement("odd", Operator.EXISTS),
        Requirement("odd", Operator.DOES_NOT_EXIST),
    ],
    ids=str,
)
def test_a_namespace_may_have_any_number_of_classes(count: int, need: Requirement) -> None:
    pods = [pod(f"p{n:03}", labels={"n": str(n)} | ({"odd": ""} if n % 2 else {})) for n in range(count)]
    splits = [policy(f"split-{n:03}", pods={"n": str(n)}, egress=[rule()]) for n in range(count)]
    asks = policy("db", "data", ingress=[rule([PodPeer(selector({}), LabelSelector((need,)))])])
    found = cluster([*pods, pod("db", "data")], [*splits, asks])
    reach = analyse(found)
    assert len(reach.classes) == count + 1
    db = found.pods[-1]
    for each in pods:
        assert allowed(reach, each.key, "data/db") == may_connect(found, each, db, Protocol.TCP, 80)


@pytest.mark.parametrize("given", [[], [4], [4, 4], [3, 1, 3, 2, 1, 2]])
def test_distinct_numbers_are_sorted_and_each_there_once(given: list[int]) -> None:
    assert distinct(np.array(given, dtype=np.int32)).tolist() == sorted(set(given))


def test_the_address_of_a_finished_pod_is_outside_again() -> None:
    pods = [pod("web", ip="10.0.0.1"), pod("done", ip="10.0.0.2", phase="Succeeded")]
    reach = analyse(cluster(pods, [policy("p", ingress=[rule([block("10.0.0.2/32")])])]))
    assert "10.0.0.2-10.0.0.2" in outside(reach)


def test_the_only_address_of_the_only_pod_is_not_outside() -> None:
    reach = analyse(cluster([pod("web", ip="10.0.0.1")], [policy("p", ingress=[rule([block("10.0.0.1/32")])])]))
    assert "10.0.0.1-10.0.0.1" not in outside(reach)


def test_neighbouring_addresses_that_one_rule_names_are_one_range() -> None:
    nodes = tuple(Node(f"n{n}", {}, (ip_address(f"172.16.0.{n}"),), ready=True) for n in (1, 2, 3))
    out = cluster_policy("out", does(Action.DENY, NodePeer(LabelSelector())), direction=Direction.EGRESS)
    reach = analyse(replace(cluster([pod("web", ip="10.0.0.1")]), nodes=nodes, cluster_policies=(out,)))
    assert "172.16.0.1-172.16.0.3" in outside(reach)


def test_a_zones_network_tells_no_pods_apart() -> None:
    pods = [pod("in", ip="10.0.0.1"), pod("out", ip="10.1.0.1")]
    unrelated = policy("p", "data", ingress=[rule([block("192.168.0.0/16")])])
    reach = analyse(cluster([*pods, pod("db", "data", ip="10.2.0.1")], [unrelated]), [ip_network("10.0.0.0/16")])
    assert [len(found.pods) for found in reach.classes] == [1, 2]


def test_port_names_that_no_policy_asks_for_tell_no_pods_apart() -> None:
    pods = [pod("a", ports=[named_port("http", 80)]), pod("b", ports=[named_port("web", 8080)])]
    asks = policy("p", "data", ingress=[rule([], [port("sql")])])
    reach = analyse(cluster([*pods, pod("db", "data")], [asks]))
    assert [len(found.pods) for found in reach.classes] == [1, 2]


@pytest.mark.parametrize(("number", "beside"), [(65535, 65534), (1, 2)])
def test_the_first_and_the_last_port_are_ports_like_others(number: int, beside: int) -> None:
    reach = analyse(cluster([pod("a"), pod("b")], [policy("p", ingress=[rule([], [port(number)])])]))
    assert allowed(reach, "default/a", "default/b", number)
    assert not allowed(reach, "default/a", "default/b", beside)


def test_a_range_of_ports_is_whole_where_others_name_ports_inside_it() -> None:
    wide = policy("wide", pods={"app": "a"}, ingress=[rule([], [port(79, end_port=81)])])
    inside = policy("inside", "data", ingress=[rule([], [port(80), port(90)])])
    reach = analyse(cluster([pod("a", labels={"app": "a"}), pod("b"), pod("db", "data")], [wide, inside]))
    assert [allowed(reach, "default/b", "default/a", number) for number in (78, 79, 80, 81, 82, 90)] == [
        False, True, True, True, False, False
    ]  # fmt: skip


def test_a_name_is_the_port_of_every_pod_although_another_policy_decides_first_for_some() -> None:
    pods = [
        pod("a"),
        *(pod(n, labels={"app": n}, ports=[named_port("http", p)]) for n, p in (("b", 8080), ("c", 9090))),
    ]
    first = cluster_policy("first", does(Action.ACCEPT), priority=1, subject=pods_of({}, {"app": "b"}))
    http = cluster_policy("http", does(Action.DENY, ports=[ClusterPolicyPort(None, "http")]), priority=2)
    reach = analyse(replace(cluster(pods), cluster_policies=(first, http)))
    assert allowed(reach, "default/a", "default/b", 8080)
    assert not allowed(reach, "default/a", "default/c", 9090)
    assert allowed(reach, "default/a", "default/c", 8080)


def test_a_port_name_means_the_port_of_that_name_alone() -> None:
    ports = [named_port("http", 80), named_port("sql", 5432), named_port("sql", 5432, "UDP")]
    both = [policy("p", ingress=[rule([], [port("sql")])]), policy("q", "data", ingress=[rule([], [port("http")])])]
    reach = analyse(cluster([pod("a", ports=ports), pod("b"), pod("db", "data")], both))
    assert str(reach.ports(reach.peer_of("default/b"), reach.peer_of("default/a"))) == "TCP 5432"


def test_addresses_of_pods_are_left_out_of_the_outside_in_whatever_order_their_pods_stand() -> None:
    pods = [pod("a", ip="10.0.0.9"), pod("b", ip="10.0.0.2"), pod("c", ip="10.0.0.3")]
    reach = analyse(cluster(pods, [policy("p", ingress=[rule([block("10.0.0.2/31")])])]))
    assert "10.0.0.2-10.0.0.3" not in outside(reach)


def test_a_block_of_one_family_gives_a_pod_of_both_no_way_in_the_other() -> None:
    both = pod("web", ip=("10.0.0.1", "fd00::1"))
    reach = analyse(
        cluster([both, pod("db", "data", ip="10.0.0.2")], [policy("p", "data", ingress=[rule([block("fd00::/64")])])])
    )
    [web] = [found for found in reach.classes if found.namespace == "default"]
    assert sorted(families for _, families in web.ways) == [IPV4, IPV6]
    assert not allowed(reach, "default/web", "data/db")


def test_a_rule_that_matches_nothing_is_no_other_decision_of_equal_priority() -> None:
    nobody = does(Action.DENY, pods_of({"team": "none"}))
    both = (cluster_policy("one", does(Action.ACCEPT)), cluster_policy("two", nobody, does(Action.ACCEPT)))
    assert analyse(replace(cluster([pod("a")]), cluster_policies=both)).equal_priorities == ()


LETTERS = tuple(pod(name, labels={"app": name}) for name in "abc")
UNREAD = (
    Namespace("east", {NAME_LABEL: "east"}, declared=False),
    Namespace("west", {NAME_LABEL: "west"}, declared=False),
)


def calico(name: str = "p", home: str = "", **spec: Any) -> CalicoPolicy:
    """A global policy, or one of a namespace."""
    key = ObjectKey("projectcalico.org", "NetworkPolicy" if home else "GlobalNetworkPolicy", home, name)
    return calico_policy(CollectedObject.of(key, {"apiVersion": "projectcalico.org/v3", "spec": spec}, "f:1"))


def under_calico(
    *policies: CalicoPolicy, pods: Iterable[Pod] = LETTERS, namespaces: Iterable[Namespace] = ()
) -> Reachability:
    """Pods, by default a, b and c of the app of their name, under Calico's policies."""
    return analyse(replace(cluster(pods, (), namespaces), calico=Calico(policies)))


@pytest.mark.parametrize("chosen", ["app in {'a', 'b'}", "app != 'c'", "!(app == 'c')", "app == 'a' || app == 'b'"])
def test_a_selector_that_several_values_satisfy_means_the_pods_of_each(chosen: str) -> None:
    reach = under_calico(calico(selector=chosen))
    assert not allowed(reach, "default/c", "default/a")
    assert not allowed(reach, "default/c", "default/b")
    assert allowed(reach, "default/a", "default/c")


@pytest.mark.parametrize(("chosen", "open_pod"), [("has(app)", "bare"), ("!has(app)", "labelled")])
def test_that_a_label_is_there_tells_pods_apart_whatever_its_value(chosen: str, open_pod: str) -> None:
    pods = [pod("bare"), pod("labelled", labels={"app": "web"}), pod("x", "other", {"app": "x"})]
    reach = under_calico(calico(selector=chosen, namespaceSelector="projectcalico.org/name == 'default'"), pods=pods)
    assert [name for name in ("bare", "labelled") if allowed(reach, "other/x", f"default/{name}")] == [open_pod]


def test_parts_of_labels_from_the_service_account_tell_pods_apart() -> None:
    teams = {"web": {"team": "red"}, "api": {"team": "blue"}, "x": {}}
    pods = [replace(pod(name), service_account=name, account_labels=team) for name, team in teams.items()]
    reach = under_calico(calico(serviceAccountSelector="team starts with 'r'"), pods=pods)
    assert not allowed(reach, "default/x", "default/web")
    assert allowed(reach, "default/x", "default/api")


def test_parts_of_a_pods_own_label_in_the_place_of_its_namespaces_tell_pods_apart() -> None:
    pods = [pod(name, labels={"pcns.team": team}) for name, team in (("web", "red"), ("api", "blue"))]
    reach = under_calico(calico(selector="pcns.team contains 'ed'"), pods=pods)
    assert not allowed(reach, "default/api", "default/web")
    assert allowed(reach, "default/web", "default/api")


def test_ports_that_a_rule_leaves_out_are_left_out_of_all_ports_too() -> None:
    reach = under_calico(calico(ingress=[{"action": "Allow", "destination": {"notPorts": [80]}}]))
    assert allowed(reach, "default/a", "default/b", 81)
    assert not allowed(reach, "default/a", "default/b", 80)


@pytest.mark.parametrize("order", [999, 1000, 1001])
def test_policies_are_asked_whose_order_is_that_of_network_policies(order: int) -> None:
    reach = under_calico(
        calico("shut", order=5000),
        calico(order=order, ingress=[{"action": "Allow", "source": {"selector": "app == 'a'"}}]),
    )
    assert allowed(reach, "default/a", "default/b")
    assert not allowed(reach, "default/c", "default/b")


PAIR = (pod("a", "east"), pod("b", "west"))


def doubts(*policies: CalicoPolicy, namespaces: Iterable[Namespace] = UNREAD) -> tuple[str, ...]:
    """About a connection from east/a to west/b, of whose namespaces the labels are not known."""
    reach = under_calico(*policies, pods=PAIR, namespaces=namespaces)
    assert not allowed(reach, "east/a", "west/b")
    return reach.uncertain(reach.peer_of("east/a"), reach.peer_of("west/b"))


def test_a_rule_that_may_be_about_the_pod_once_its_namespace_is_known_leaves_a_doubt() -> None:
    limited = calico(ingress=[{"action": "Allow", "destination": {"namespaceSelector": "team == 'x'"}}])
    [told] = doubts(limited)
    assert "the labels of namespace west are not known" in told
    assert not doubts(limited, namespaces=[namespace("east"), namespace("west")])


@pytest.mark.parametrize(("home", "doubted"), [("", True), ("west", True), ("east", False)])
def test_any_policy_that_may_be_about_the_pod_leaves_a_doubt(home: str, doubted: bool) -> None:
    opens = calico("b", home, order=2, selector="pcns.team == 'x'", ingress=[{"action": "Allow"}])
    told = doubts(calico("a", order=1, types=["Ingress"]), opens)
    assert [f"whether {opens.key} is about its pods is not" in reason for reason in told] == [True] * doubted


def test_doubts_of_the_sending_side_are_about_its_ports_and_about_what_the_other_side_lets_in() -> None:
    sends = policy("out", pods={"app": "a"}, egress=[rule([block("10.0.0.0/8")], [port(80)])])
    pods = [pod("a", labels={"app": "a"}), pod("b", labels={"app": "b"})]

    def told(*more: NetworkPolicy, number: int = 80) -> tuple[str, ...]:
        reach = analyse(cluster(pods, [sends, *more]))
        return reach.uncertain(reach.peer_of("default/a"), reach.peer_of("default/b"), PortSet.of(Protocol.TCP, number))

    assert told()
    assert told(number=81) == ()
    assert told(policy("in", pods={"app": "b"}, ingress=[rule([], [port(81)])])) == ()
    assert told(policy("in", pods={"app": "b"}, ingress=[rule([], [port(80)])]))


@pytest.mark.parametrize("direction", list(Direction))
def test_a_doubt_is_about_the_named_port_of_the_destination(direction: Direction) -> None:
    web, client = pod("web", labels={"app": "web"}, ports=[named_port("http", 8080)]), pod("x", labels={"app": "x"})
    rules = [rule([block("10.0.0.0/8")], [port("http")])]
    given = (
        policy("p", pods={"app": "web"}, ingress=rules)
        if direction is Direction.INGRESS
        else policy("p", pods={"app": "x"}, egress=rules)
    )
    reach = analyse(cluster([web, client], [given]))
    ends = reach.peer_of("default/x"), reach.peer_of("default/web")
    assert reach.uncertain(*ends, PortSet.of(Protocol.TCP, 8080))
    assert not reach.uncertain(*ends, PortSet.of(Protocol.TCP, 8081))


def test_a_rule_that_may_pass_the_connection_on_leaves_a_doubt() -> None:
    passing = cluster_policy("pass", does(Action.PASS, pods_of({"team": "x"})), priority=1)
    rest = cluster_policy("rest", does(Action.DENY), priority=2)
    reach = analyse(replace(cluster(PAIR, (), UNREAD), cluster_policies=(passing, rest)))
    assert reach.uncertain(reach.peer_of("east/a"), reach.peer_of("west/b"))
    named = cluster_policy("pass", does(Action.PASS, pods_of({NAME_LABEL: "other"})), priority=1)
    reach = analyse(replace(cluster(PAIR, (), UNREAD), cluster_policies=(named, rest)))
    assert not reach.uncertain(reach.peer_of("east/a"), reach.peer_of("west/b"))


def test_what_a_denial_means_is_certain_where_the_labels_are_known() -> None:
    denies = cluster_policy("c", does(Action.DENY, pods_of({"team": "x"})))
    state = cluster([*PAIR, pod("c", "known")], (), [*UNREAD, namespace("known", team="x")])
    reach = analyse(replace(state, cluster_policies=(denies,)))
    assert not allowed(reach, "known/c", "west/b")
    assert reach.uncertain(reach.peer_of("known/c"), reach.peer_of("west/b")) == ()
