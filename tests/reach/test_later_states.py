"""States of a cluster one after another: an engine carried over answers as one made anew, change by change."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from evidence.cluster.calico import Calico, CalicoTier
from evidence.cluster.cilium import CidrGroup
from evidence.cluster.model import Cluster, Direction, Node, Pod
from evidence.cluster.objects import CollectedObject
from evidence.cluster.policies import Action, ClusterPolicy
from evidence.errors import InputError
from evidence.reach import incremental
from evidence.reach.diff import Diff
from evidence.reach.engine import Reachability, analyse
from evidence.reach.incremental import changed, updated
from evidence.reach.ports import PortSet
from evidence.reach.query import address_point
from tests.builders import block, cluster, named_port, namespace, peer, pod, policy, port, rule
from tests.manifests import body, cluster_of
from tests.reach.build import cluster_policy, does, pods_of
from tests.reach.test_calico import ALLOW, DENY, gnp
from tests.reach.test_incremental import doubts_by_pod, rows_of, sides_by_pod
from tests.reach.test_laws import by_pod

NODES = tuple(Node(f"n{number}", {}, (ip_address(f"10.1.0.{number}"),), ready=True) for number in (1, 2))


def account(one: Pod, name: str, labels: Mapping[str, str] | None = None) -> Pod:
    return replace(one, service_account=name, account_labels=labels)


PODS = [
    pod("web", "shop", {"app": "web"}, ip="10.0.0.1"),
    pod("db", "shop", {"app": "db"}, ip="10.0.0.2", ports=[named_port("pg", 5432)]),
    pod("cache", "shop", {"app": "db", "tier": "fast"}, ip="10.0.0.3", ports=[named_port("pg", 5433)]),
    pod("both", "shop", {"app": "both"}, ip=["10.0.0.5", "fd00::5"]),
    pod("plain", "shop", {"app": "plain"}, ip=["10.9.0.9", "fd01::9"]),
    pod("six", "shop", {"app": "six"}, ip="fd00::6"),
    pod("prometheus", "ops", {"app": "prometheus"}, ip="10.0.0.4"),
    *(account(pod(f"mail-{name}", "ops", {"app": "mail"}, ip=f"10.0.3.{n}"), name) for n, name in enumerate("xy", 1)),
    *(pod(f"agent-{node.name}", "ops", node=node.name, host_network=True) for node in NODES),
]
CLOSED = policy("db", "shop", {"app": "db"}, ingress=[rule([peer({"app": "web"})], [port(80)])])
ABOUT_WEB = policy(
    "web", "shop", {"app": "web"}, egress=[rule([block("10.0.0.0/29")]), rule([peer({"app": "nobody"})])]
)
SIX = policy("six", "shop", {"app": "six"}, ingress=[rule([block("fd00::/64")])])
TO_MAIL = policy("mail", "ops", {"app": "mail"}, ingress=[rule([peer({"app": "web"}, namespaces={})], [port(25)])])
KNOWN = replace(
    cluster(PODS, [TO_MAIL, ABOUT_WEB, CLOSED, SIX], [namespace("shop", team="a"), namespace("ops", team="b")]),
    nodes=NODES,
)


def with_pod(name: str, **fields: Any) -> Cluster:
    return replace(KNOWN, pods=tuple(replace(one, **fields) if one.name == name else one for one in KNOWN.pods))


def with_policies(*more: Any) -> Cluster:
    return replace(KNOWN, policies=tuple(sorted((*KNOWN.policies, *more), key=lambda one: one.key)))


def calico(*policies: Any, tiers: tuple[CalicoTier, ...] = ()) -> Calico:
    return Calico(tuple(sorted(policies, key=lambda one: one.key)), tiers)


LOOKS_EVERYWHERE = gnp("everywhere", {**ALLOW, "source": {"selector": "tier == 'fast'", "namespaceSelector": "all()"}})
ABOUT_ACCOUNT = gnp("account", DENY, selector="app == 'mail'", serviceAccountSelector="projectcalico.org/name == 'x'")
ADMIN = cluster_policy("any", does(Action.DENY), subject=pods_of({}, {"tier": "fast"}))

STATES = {
    "a pod with another label": with_pod("cache", labels={"app": "web"}),
    "a pod with another address": with_pod("db", addresses=(ip_address("192.0.2.9"),)),
    "a pod with another port": with_pod("db", ports=(named_port("pg", 1),)),
    "a pod before those that a rule is about": replace(
        KNOWN,
        pods=tuple(sorted((*KNOWN.pods, pod("a", "shop", {"app": "a"})), key=lambda one: (one.namespace, one.name))),
    ),
    "a pod on a node's network": replace(
        KNOWN, pods=(*KNOWN.pods, pod("proxy", "ops", {"app": "mail"}, node="n1", host_network=True))
    ),
    "networks of which one is a node's": with_policies(
        policy("n", "shop", {"app": "db"}, ingress=[rule([block("10.1.0.1/32"), block("192.0.2.0/24")])])
    ),
    "networks of which the first is some pods'": with_policies(
        policy("n", "shop", {"app": "db"}, ingress=[rule([block("10.0.3.2/32"), block("192.0.2.0/24")])])
    ),
    "a network of the second family": with_policies(
        policy("n", "shop", {"app": "six"}, ingress=[rule([block("fd00::5/128")], [port(443)])])
    ),
    "a network of one family of a pod": with_policies(
        policy("n", "shop", {"app": "six"}, ingress=[rule([block("fd01::/64")], [port(443)])])
    ),
    "a name that is two ports": with_policies(policy("n", "shop", {"app": "db"}, ingress=[rule([], [port("pg")])])),
    "two policies": with_policies(policy("n", "ops", ingress=[]), policy("m", "shop", {"app": "both"}, ingress=[])),
    "a policy for pods of any namespace": replace(KNOWN, cluster_policies=(ADMIN,)),
    "a policy of Calico's for every namespace": replace(KNOWN, calico=calico(LOOKS_EVERYWHERE)),
    "a policy of Calico's for service accounts": replace(KNOWN, calico=calico(ABOUT_ACCOUNT)),
    "a namespace that is gone": replace(
        KNOWN,
        pods=tuple(one for one in KNOWN.pods if one.namespace == "shop"),
        namespaces={"shop": KNOWN.namespaces["shop"]},
    ),
}


def same(carried: Reachability, state: Cluster) -> None:
    anew = analyse(state)
    assert by_pod(carried) == by_pod(anew)
    assert sides_by_pod(carried) == sides_by_pod(anew)
    assert doubts_by_pod(carried) == doubts_by_pod(anew)
    listed = {(flow.source, flow.destination): flow.ports for flow in carried.flows()}
    for one in carried.classes:
        for other in carried.classes:
            assert carried.ports(one.id, other.id) == listed.get((one.id, other.id), PortSet.none())


@pytest.mark.parametrize("name", STATES)
def test_an_engine_is_carried_over_to(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unwanted(*_: object) -> None:
        raise AssertionError("a whole analysis")

    monkeypatch.setattr(incremental, "analyse", unwanted)
    state = STATES[name]
    found = updated(analyse(KNOWN), state)
    same(found.after, state)
    assert rows_of(found) == rows_of(Diff(analyse(KNOWN), analyse(state)))
    same(updated(found.after, KNOWN).after, KNOWN)


def test_a_node_with_another_address_is_asked_about_anew() -> None:
    by_node = policy("n", "shop", {"app": "db"}, ingress=[rule([block("10.1.0.1/32")])])
    before = with_policies(by_node)
    state = replace(before, nodes=(replace(NODES[0], addresses=(ip_address("10.1.0.9"),)), NODES[1]))
    same(updated(analyse(before), state).after, state)


def test_the_address_of_a_pod_that_is_gone_is_outside_again() -> None:
    before = with_policies(policy("n", "ops", ingress=[rule([block("10.0.0.4/32")])]))
    state = replace(before, pods=tuple(one for one in before.pods if one.name != "prometheus"))
    reach = analyse(before)
    assert address_point(reach, ip_address("10.0.0.4")).peer is None
    assert address_point(updated(reach, state).after, ip_address("10.0.0.4")).peer is not None


def test_policies_with_order_that_changed_are_asked_again_about_whom_they_name() -> None:
    def denies(name: str, about: str, *others: str) -> ClusterPolicy:
        rules = (does(Action.DENY, pods_of({}, {"app": app})) for app in others)
        return cluster_policy(name, *rules, subject=pods_of({}, {"app": about}))

    stays = denies("stays", "plain", "web", "six")
    befores, afters = ("web",), ("mail", "prometheus", "six")
    for one, other in ((befores, afters), (afters, befores)):
        before, state = (
            replace(KNOWN, cluster_policies=(stays, denies("turns", "both", *apps))) for apps in (one, other)
        )
        same(updated(analyse(before), state).after, state)


# -- what else policies of Calico's and Cilium's rest on ----------------------------------------------------------------


def test_policies_of_calicos_move_with_their_tier() -> None:
    policies = (gnp("late", DENY, tier="t"), gnp("early", {**ALLOW}), gnp("same", {**ALLOW}, selector="app == 'six'"))
    before = replace(KNOWN, calico=calico(*policies, tiers=(CalicoTier("t", None),)))
    for again in (policies, copy.deepcopy(policies)):
        state = replace(before, calico=calico(*again, tiers=(CalicoTier("t", 1),)))
        found = updated(analyse(before), state).after
        same(found, state)
        assert not by_pod(found).keys() & {("shop/web", "shop/db")}


def test_what_calicos_policies_know_of_accounts_and_services_is_looked_at_again() -> None:
    by_label = gnp("labels", DENY, serviceAccountSelector="team == 'x'")
    gone = account(pod("gone", "shop", phase="Failed"), "x")
    known = [account(one, "x", {"team": "x"}) for one in KNOWN.pods]
    half = [*known[1:], replace(known[0], account_labels=None)]
    before, after = (
        replace(
            KNOWN, pods=tuple(sorted((*pods, gone), key=lambda one: (one.namespace, one.name))), calico=calico(by_label)
        )
        for pods in (known, half)
    )
    for one, other in ((before, after), (after, before)):
        found = updated(analyse(one), other).after
        same(found, other)
        assert [len(found.forms), len(found.unevaluated)] == [
            len(analyse(other).forms),
            len(analyse(other).unevaluated),
        ]


def test_endpoints_of_a_service_that_are_not_read_whole_any_more_are_not_known() -> None:
    by_service = gnp(
        "service", {**ALLOW, "destination": {"services": {"name": "db", "namespace": "shop"}}}, types=["Egress"]
    )
    to_service = replace(by_service, ingress=(), egress=by_service.ingress)
    before = replace(KNOWN, calico=calico(to_service), endpoint_slices=cluster_of(SLICE).endpoint_slices)
    state = replace(before, unread_kinds=("EndpointSlice",))
    found = updated(analyse(before), state).after
    same(found, state)
    assert [str(one.key) for one in found.unevaluated] == [str(one.key) for one in analyse(state).unevaluated] != []


SLICE = body(
    "discovery.k8s.io/v1", "EndpointSlice", "db-1", "shop", metadata={"labels": {"kubernetes.io/service-name": "db"}},
    addressType="IPv4", endpoints=[{"addresses": ["10.0.0.2"]}], ports=[{"port": 5432, "protocol": "TCP"}],
)  # fmt: skip


def cilium(**spec: Any) -> Any:
    whole = {"endpointSelector": {"matchLabels": {"app": "db"}}, **spec}
    return cluster_of(body("cilium.io/v2", "CiliumNetworkPolicy", "p", "shop", spec=whole)).cilium_policies


def test_networks_of_a_group_that_changed_are_looked_up_again() -> None:
    by_group = cilium(ingress=[{"fromCIDRSet": [{"cidrGroupRef": "partners"}]}])
    groups = [(CidrGroup("partners", {}, (ip_network(network),)),) for network in ("172.16.0.0/24", "203.0.113.0/24")]
    one, other = (replace(KNOWN, cilium_policies=by_group, cidr_groups=group) for group in groups)
    found = updated(analyse(one), other).after
    same(found, other)
    assert (ip_address("203.0.113.0"), "shop/db") in by_pod(found)


def test_what_a_name_of_a_port_stands_for_is_looked_at_again() -> None:
    to_name = cilium(egress=[{"toPorts": [{"ports": [{"port": "pg", "protocol": "TCP"}]}]}])
    before = replace(with_pod("cache", ports=()), cilium_policies=to_name)
    state = replace(KNOWN, cilium_policies=to_name)
    same(updated(analyse(before), state).after, state)
    same(updated(analyse(state), before).after, before)


def test_labels_of_a_namespace_that_a_selector_of_calicos_looks_at() -> None:
    from_team = gnp("team", {**ALLOW, "source": {"namespaceSelector": "team == 'b'"}}, selector="app == 'db'")
    before = replace(KNOWN, calico=calico(from_team))
    state = replace(before, namespaces={**before.namespaces, "ops": namespace("ops", team="c")})
    same(updated(analyse(before), state).after, state)


# -- single policies ------------------------------------------------------------------------------------------------------


def test_a_policy_is_found_by_its_name_where_it_was_read_again() -> None:
    found = changed(analyse(KNOWN), copy.deepcopy(CLOSED), replace(CLOSED, ingress=()))
    assert not found.reach.ports(found.reach.peer_of("shop/web"), found.reach.peer_of("shop/db"))
    with pytest.raises(InputError, match="NetworkPolicy shop/web cannot be added"):
        changed(analyse(KNOWN), CLOSED, replace(CLOSED, name="web"))


def test_a_policy_of_calicos_comes_to_a_cluster_without_and_leaves_the_tiers_of_one_with() -> None:
    late = gnp("late", DENY, tier="t")
    tiers = (CalicoTier("t", 1),)
    for before in (KNOWN, replace(KNOWN, calico=calico(tiers=tiers))):
        found = changed(analyse(before), None, late).reach
        assert found.cluster.calico == calico(late, tiers=before.calico.tiers if before.calico else ())
        same(found, found.cluster)


def test_a_policy_that_was_read_again_elsewhere_is_cited_from_there() -> None:
    def read(source: str) -> Cluster:
        origin = CollectedObject.of(CLOSED.key, {}, source)
        return replace(KNOWN, policies=tuple(replace(one, origin=origin) for one in KNOWN.policies))

    after = updated(analyse(read("a.yaml:1")), read("b.yaml:1")).after
    assert {form.policy.source for form in after.forms} == {"b.yaml:1"}
    assert after.isolated(after.peer_of("shop/db"), Direction.INGRESS)
