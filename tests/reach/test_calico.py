"""Calico's policies, rule by rule of evidence/reach/calico.py."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from evidence.cluster.calico import Calico, CalicoPolicy, CalicoTier, NetworkSet
from evidence.cluster.model import Cluster, ContainerPort, Direction, Namespace, NetworkPolicy, Pod, Protocol, Rule
from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.cluster.parse_calico import calico_policy
from evidence.cluster.policies import Action, Tier
from evidence.cluster.routes import Endpoint, EndpointPort, EndpointSlice
from evidence.cni.model import CniReport, Enforcement
from evidence.cni.support import heeded
from evidence.reach.engine import Reachability, analyse
from evidence.reach.explain import Explanation
from evidence.reach.incremental import updated
from evidence.reach.matrix import computed_on
from evidence.reach.query import address_point, pod_point
from tests.builders import NAME_LABEL, namespace, pod, selector
from tests.reach.build import cluster_policy, does, explained

WEB = pod("web", "front", {"app": "web"}, ip="10.0.0.1")
API = pod("api", "front", {"app": "api"}, ip="10.0.0.2", ports=[ContainerPort("http", Protocol.TCP, 8080)])
DB = replace(pod("db", "back", {"app": "db", "tier": "data"}, ip="10.0.0.3"), service_account="keeper")
NODE = pod("agent", "back", {"app": "agent"}, ip="172.16.0.1", host_network=True)
NEAR = pod("near", "back", {"app": "near"}, ip="10.0.0.4")
OUTSIDE = "203.0.113.7"

ENDS: Mapping[str, Pod | str] = {"web": WEB, "api": API, "agent": NODE, "outside": OUTSIDE, "office": "198.51.100.9"}

ALLOW: Mapping[str, Any] = {"action": "Allow"}
DENY: Mapping[str, Any] = {"action": "Deny"}
PASS: Mapping[str, Any] = {"action": "Pass"}
LOG: Mapping[str, Any] = {"action": "Log"}


def np(name: str, *ingress: Mapping[str, Any], namespace: str = "back", **spec: Any) -> CalicoPolicy:
    return policy(ObjectKey("projectcalico.org", "NetworkPolicy", namespace, name), *ingress, **spec)


def gnp(name: str, *ingress: Mapping[str, Any], **spec: Any) -> CalicoPolicy:
    return policy(ObjectKey("projectcalico.org", "GlobalNetworkPolicy", "", name), *ingress, **spec)


def policy(key: ObjectKey, *ingress: Mapping[str, Any], **spec: Any) -> CalicoPolicy:
    spec = {**spec, "ingress": list(ingress)} if ingress else spec
    return calico_policy(CollectedObject.of(key, {"apiVersion": "projectcalico.org/v3", "spec": spec}, "f:1"))


def cluster(
    *policies: CalicoPolicy,
    tiers: Iterable[CalicoTier] = (),
    sets: Iterable[NetworkSet] = (),
    pods: Iterable[Pod] = (WEB, API, DB, NODE),
    **more: Any,
) -> Cluster:
    return Cluster(
        namespaces={"back": namespace("back", zone="cde"), "front": namespace("front", zone="dmz")},
        pods=tuple(sorted(pods, key=lambda pod: (pod.namespace, pod.name))),
        calico=Calico(tuple(sorted(policies, key=lambda policy: policy.key)), tuple(tiers), tuple(sets)),
        **more,
    )


def ask(
    found: Cluster | Reachability, source: Pod | str, destination: Pod | str, port: int = 80, protocol: str = "TCP"
) -> Explanation:
    reach = analyse(found) if isinstance(found, Cluster) else found
    start, end = (
        pod_point(reach, one) if isinstance(one, Pod) else address_point(reach, ip_address(one))
        for one in (source, destination)
    )
    return explained(reach, start, end, port, protocol)


def allows(found: Cluster, source: Pod | str, destination: Pod | str, port: int = 80, protocol: str = "TCP") -> bool:
    return ask(found, source, destination, port, protocol).allowed


def knp(*rules: Rule, labels: Mapping[str, str] | None = None) -> NetworkPolicy:
    return NetworkPolicy("back", "kube", selector(labels), frozenset({Direction.INGRESS}), rules)


# -- isolation, actions, order ------------------------------------------------------------------------------------------


def test_a_pod_that_no_policy_selects_is_open_and_one_that_a_policy_selects_is_closed_in_its_directions() -> None:
    found = cluster(np("p", selector="app == 'db'"))
    assert allows(found, WEB, API)
    assert not allows(found, WEB, DB)
    assert allows(found, DB, WEB)


def test_the_first_rule_that_matches_decides_and_log_decides_nothing() -> None:
    rules = [LOG, {**DENY, "source": {"selector": "app == 'web'", "namespaceSelector": "all()"}}, ALLOW]
    found = cluster(np("p", *rules))
    assert not allows(found, WEB, DB)
    assert allows(found, API, DB)
    assert not analyse(found).unevaluated


@pytest.mark.parametrize(("order", "allowed"), [(1, True), (3, False), (None, False)])
def test_lower_orders_are_asked_first_and_none_is_last(order: float | None, allowed: bool) -> None:
    spec = {} if order is None else {"order": order}
    assert allows(cluster(gnp("z", ALLOW, **spec), gnp("a", DENY, order=2)), WEB, DB) is allowed


@pytest.mark.parametrize("order", [{}, {"order": 5}])
def test_equal_orders_of_one_kind_are_asked_by_name(order: dict[str, Any]) -> None:
    assert not allows(cluster(gnp("b", ALLOW, **order), gnp("a", DENY, **order)), WEB, DB)
    assert not allows(cluster(gnp("default.b", ALLOW, **order), gnp("default.a", DENY, **order)), WEB, DB)


@pytest.mark.parametrize("names", [("a", "default.b"), ("default.a", "b"), ("b", "default.a"), ("default.b", "a")])
def test_a_name_with_the_tiers_before_it_and_one_without_are_judged_permissively_and_reported(
    names: tuple[str, str],
) -> None:
    found = analyse(cluster(gnp(names[0], ALLOW), gnp(names[1], DENY)))
    assert ask(found, WEB, DB).allowed
    assert [" have no order in the default tier" in text for text in found.equal_priorities] == [True]


def test_a_namespaced_and_a_global_policy_of_one_order_are_judged_permissively_and_reported() -> None:
    found = analyse(cluster(gnp("a", DENY, order=5), np("b", ALLOW, order=5)))
    assert ask(found, WEB, DB).allowed
    assert ask(found, WEB, DB).ingress.reason == (
        "allowed by Calico NetworkPolicy back/b spec.ingress[0] (of equal priority and otherwise: Calico GlobalNetworkPolicy a)"
    )
    assert [text.split(" have ")[0] for text in found.equal_priorities] == [
        "Calico GlobalNetworkPolicy a and Calico NetworkPolicy back/b"
    ]


@pytest.mark.parametrize(
    ("one", "other", "later", "allowed"),
    [(ALLOW, PASS, DENY, True), (ALLOW, DENY, DENY, True), (PASS, DENY, ALLOW, True), (PASS, PASS, DENY, False)],
)
@pytest.mark.parametrize("turned", [False, True])
def test_among_policies_of_one_order_what_lets_more_pass_has_its_way(
    one: Mapping[str, Any], other: Mapping[str, Any], later: Mapping[str, Any], allowed: bool, turned: bool
) -> None:
    first, second = (other, one) if turned else (one, other)
    late = gnp("z", later, tier="late")
    found = cluster(gnp("a", first), np("b", second), late, tiers=[CalicoTier("late", None)])
    assert allows(found, WEB, DB) is allowed


# -- tiers ------------------------------------------------------------------------------------------------------------------


def test_a_tier_is_asked_in_its_place_and_denies_what_it_does_not_decide() -> None:
    early = CalicoTier("early", 10)
    assert not allows(cluster(gnp("x", tier="early"), np("p", ALLOW), tiers=[early]), WEB, DB)
    assert allows(cluster(gnp("x", PASS, tier="early"), np("p", ALLOW), tiers=[early]), WEB, DB)
    assert allows(cluster(gnp("x", ALLOW, tier="early"), np("p"), tiers=[early]), WEB, DB)


def test_a_tier_whose_default_action_is_pass_leaves_to_the_next_one() -> None:
    early = CalicoTier("early", 10, passes=True)
    assert allows(cluster(gnp("x", tier="early"), np("p", ALLOW), tiers=[early]), WEB, DB)


def test_a_tier_after_the_default_one_is_asked_only_for_what_that_passes_or_does_not_concern() -> None:
    late = CalicoTier("late", None)
    assert not allows(cluster(np("p"), gnp("x", ALLOW, tier="late"), tiers=[late]), WEB, DB)
    assert allows(cluster(np("p", PASS), gnp("x", ALLOW, tier="late"), tiers=[late]), WEB, DB)
    assert not allows(cluster(gnp("x", DENY, tier="late"), tiers=[late]), WEB, DB)


def test_what_every_tier_passes_is_allowed_by_the_profile_of_the_namespace() -> None:
    assert allows(cluster(np("p", PASS)), WEB, DB)


def test_tiers_of_one_order_are_asked_by_name() -> None:
    tiers = [CalicoTier("a", 7), CalicoTier("b", 7)]
    assert not allows(cluster(gnp("x", DENY, tier="a"), gnp("y", ALLOW, tier="b"), tiers=tiers), WEB, DB)


@pytest.mark.parametrize(("name", "allowed"), [("a", False), ("z", True)])
def test_a_tier_of_the_default_tiers_order_is_asked_before_or_after_it_by_name(name: str, allowed: bool) -> None:
    found = cluster(gnp("x", DENY, tier=name), np("p", ALLOW), tiers=[CalicoTier(name, 1_000_000)])
    assert allows(found, WEB, DB) is allowed


def test_a_policy_of_a_tier_that_is_not_in_the_source_is_named_and_left_out() -> None:
    found = analyse(cluster(gnp("x", DENY, tier="nowhere")))
    assert [str(policy.key) for policy in found.unevaluated] == ["Calico GlobalNetworkPolicy x"]
    assert computed_on(found) == "computed on 0 of 1 policies; not evaluated: 1 GlobalNetworkPolicy"


@pytest.mark.parametrize(
    "tier", [CalicoTier("default", 5), CalicoTier("default", None, passes=True), CalicoTier("kube-admin", 1000)]
)
def test_a_tier_of_the_apis_own_that_the_api_would_refuse_is_not_placed(tier: CalicoTier) -> None:
    assert len(analyse(cluster(gnp("x", DENY, tier=tier.name), tiers=[tier])).unevaluated) == 1
    kept = CalicoTier(tier.name, None, passes=tier.name != "default")
    assert not analyse(cluster(gnp("x", DENY, tier=tier.name), tiers=[kept])).unevaluated


@pytest.mark.parametrize("name", ["kube-admin", "adminnetworkpolicy", "kube-baseline", "baselineadminnetworkpolicy"])
def test_the_tiers_of_admin_policies_have_their_place_whether_or_not_their_objects_are_in_the_source(name: str) -> None:
    baseline = "baseline" in name
    found = cluster(gnp("x", DENY, tier=name), np("p", ALLOW))
    assert not analyse(found).unevaluated
    assert allows(found, WEB, DB) is baseline
    assert not allows(found, WEB, API)


# -- beside Kubernetes' policies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("order", "allowed"), [(999, False), (1000, True), (1001, True)])
def test_network_policies_stand_at_order_1000_of_the_default_tier(order: float, allowed: bool) -> None:
    found = cluster(gnp("x", DENY, order=order, selector="app == 'db'"), policies=(knp(Rule((), ())),))
    assert allows(found, WEB, DB) is allowed


@pytest.mark.parametrize("order", [999, 1001])
def test_a_policy_of_the_default_tier_may_allow_what_a_network_policy_isolates(order: float) -> None:
    found = cluster(gnp("x", ALLOW, order=order), policies=(knp(),))
    assert allows(found, WEB, DB)
    assert not allows(cluster(policies=(knp(),)), WEB, DB)


def test_admin_policies_come_before_tiers_above_1000_and_after_those_below() -> None:
    admin = (cluster_policy("adm", does(Action.DENY)),)
    for order, allowed in ((999, True), (1001, False)):
        found = cluster(gnp("x", ALLOW, tier="t"), tiers=[CalicoTier("t", order)], cluster_policies=admin)
        assert allows(found, WEB, DB) is allowed


def test_baseline_policies_come_after_the_default_tier() -> None:
    baseline = (cluster_policy("base", does(Action.DENY), tier=Tier.BASELINE),)
    assert allows(cluster(np("p", ALLOW), cluster_policies=baseline), WEB, DB)
    assert not allows(cluster(np("p", PASS), cluster_policies=baseline), WEB, DB)


@pytest.mark.parametrize(("order", "tier"), [(1_000, Tier.ADMIN), (10_000_000, Tier.BASELINE)])
def test_a_tier_of_the_very_order_of_admin_policies_is_not_placed_beside_them(order: float, tier: Tier) -> None:
    tiers, unplaced = [CalicoTier("t", order)], ["Calico GlobalNetworkPolicy x"]
    found = cluster(gnp("x", ALLOW, tier="t"), tiers=tiers, cluster_policies=(cluster_policy("adm", tier=tier),))
    assert [str(policy.key) for policy in analyse(found).unevaluated] == unplaced
    found = cluster(gnp("x", ALLOW, tier="t"), gnp("y", DENY, tier="kube-baseline"), tiers=tiers)
    assert [str(policy.key) for policy in analyse(found).unevaluated] == unplaced
    alone = cluster(gnp("x", ALLOW, tier="t"), tiers=tiers)
    assert not analyse(alone).unevaluated
    assert [form.policy.key.name for form in updated(analyse(alone), found).after.forms] == ["y"]


# -- whom rules mean ----------------------------------------------------------------------------------------------------------

SETS = (
    NetworkSet(
        ObjectKey("projectcalico.org", "GlobalNetworkSet", "", "partners"),
        {"kind": "partner"},
        (ip_network("203.0.113.0/24"),),
    ),
    NetworkSet(
        ObjectKey("projectcalico.org", "NetworkSet", "front", "office"),
        {"kind": "office"},
        (ip_network("198.51.100.0/24"),),
    ),
)


@pytest.mark.parametrize(
    ("source", "who"),
    [
        ({}, {"web", "api", "agent", "outside", "office"}),
        ({"selector": "all()"}, set()),  # pods of the policy's own namespace
        ({"namespaceSelector": "all()"}, {"web", "api", "office"}),
        ({"namespaceSelector": "all()", "selector": "app == 'web'"}, {"web"}),
        ({"namespaceSelector": "zone == 'dmz'"}, {"web", "api", "office"}),
        ({"namespaceSelector": "projectcalico.org/name == 'front'", "notSelector": "app == 'web'"}, {"api", "office"}),
        ({"namespaceSelector": "global()"}, {"outside"}),
        ({"namespaceSelector": "global()", "selector": "kind == 'partner'"}, {"outside"}),
        ({"namespaceSelector": "all()", "selector": "kind == 'office'"}, {"office"}),
        ({"notSelector": "has(nothing)"}, set()),
        ({"nets": ["10.0.0.0/31", "203.0.113.7"]}, {"web", "outside"}),
        ({"nets": ["10.0.0.0/29"], "notNets": ["10.0.0.1/32"]}, {"api"}),
        ({"notNets": ["10.0.0.0/29"]}, {"agent", "outside", "office"}),
        ({"notNets": ["0.0.0.0/0"]}, set()),
        ({"notNets": ["fd00::/8"]}, set()),  # nothing of IPv4
        ({"namespaceSelector": "all()", "serviceAccounts": {"names": ["default"]}}, {"web", "api"}),
        (
            {"namespaceSelector": "all()", "serviceAccounts": {"selector": "projectcalico.org/name != 'default'"}},
            {"office"},
        ),
    ],
)
def test_whom_the_source_of_a_namespaced_policys_rule_means(source: dict[str, Any], who: set[str]) -> None:
    found = cluster(np("p", {**ALLOW, "source": source}, selector="app == 'db'"), sets=SETS)
    assert {name for name, end in ENDS.items() if allows(found, end, DB)} == who


@pytest.mark.parametrize(
    ("source", "who"),
    [
        ({"selector": "all()"}, {"web", "api", "outside", "office"}),
        ({"selector": "has(app)"}, {"web", "api"}),
        ({"notSelector": "has(app)"}, {"agent", "outside", "office"}),
        ({"selector": "projectcalico.org/namespace == 'front'"}, {"web", "api", "office"}),
        ({"selector": "pcns.zone == 'dmz' && app contains 'p'"}, {"api"}),
        ({"selector": "app starts with 'w' || kind ends with 'ner'"}, {"web", "outside"}),
        ({"selector": "pcns.zone != 'dmz'"}, {"outside"}),  # a global set has no namespace, and so no label of one
        ({"domains": ["example.com"]}, set()),
    ],
)
def test_whom_the_source_of_a_global_policys_rule_means(source: dict[str, Any], who: set[str]) -> None:
    found = cluster(gnp("p", {**ALLOW, "source": source}, selector="app == 'db'"), sets=SETS)
    assert {name for name, end in ENDS.items() if allows(found, end, DB)} == who


@pytest.mark.parametrize(
    ("spec", "selected"),
    [
        ({}, {"web", "api", "db"}),
        ({"selector": "app in {'web', 'agent'}"}, {"web"}),
        ({"namespaceSelector": "zone == 'cde'"}, {"db"}),
        ({"namespaceSelector": "zone != 'cde'", "selector": "app != 'api'"}, {"web"}),
        ({"serviceAccountSelector": "projectcalico.org/name == 'keeper'"}, {"db"}),
        ({"doNotTrack": True, "applyOnForward": True}, set()),
        ({"preDNAT": True, "applyOnForward": True}, set()),
        ({"applyOnForward": True}, {"web", "api", "db"}),
        ({"performanceHints": ["AssumeNeededOnEveryNode"]}, {"web", "api", "db"}),
    ],
)
def test_whom_a_global_policy_is_about(spec: dict[str, Any], selected: set[str]) -> None:
    found = cluster(gnp("p", **spec))
    assert {end.name for end in (WEB, API, DB, NODE) if not allows(found, OUTSIDE, end)} == selected


def test_an_ingress_rule_may_limit_its_own_end_and_an_egress_rule_too() -> None:
    inward = cluster(gnp("p", {**ALLOW, "destination": {"selector": "app == 'db'"}}))
    assert allows(inward, WEB, DB)
    assert not allows(inward, WEB, API)
    outward = cluster(gnp("p", egress=[{**ALLOW, "source": {"nets": ["10.0.0.1/32"]}}]))
    assert allows(outward, WEB, DB)
    assert not allows(outward, API, DB)


def test_ip_version_limits_a_rule() -> None:
    assert not allows(cluster(np("p", {**ALLOW, "ipVersion": 6})), WEB, DB)
    assert allows(cluster(np("p", {**ALLOW, "ipVersion": 4})), WEB, DB)


# -- ports ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "passing"),
    [
        ({"protocol": "TCP"}, {"TCP 80", "TCP 8080"}),
        ({"notProtocol": "TCP"}, {"UDP 80"}),
        ({"protocol": "ICMP"}, set()),
        ({"protocol": "TCP", "destination": {"ports": ["1:80"]}}, {"TCP 80"}),
        ({"protocol": "TCP", "destination": {"ports": ["http"]}}, {"TCP 8080"}),
        ({"protocol": "UDP", "destination": {"ports": ["http"]}}, set()),
        ({"protocol": "TCP", "destination": {"notPorts": [80]}}, {"TCP 8080"}),
        ({"protocol": "TCP", "destination": {"notPorts": ["http"]}}, {"TCP 80"}),
        ({"protocol": "TCP", "destination": {"ports": ["1:9000"], "notPorts": ["8000:8999"]}}, {"TCP 80"}),
        ({"protocol": "TCP", "source": {"ports": [9999]}}, {"TCP 80", "TCP 8080"}),
        ({"protocol": "TCP", "http": {"methods": ["GET"]}}, {"TCP 80", "TCP 8080"}),
    ],
)
def test_ports_and_protocols_of_a_rule_that_allows(limits: dict[str, Any], passing: set[str]) -> None:
    found = analyse(cluster(np("p", {**ALLOW, **limits}, namespace="front")))
    asked = (("TCP", 80), ("TCP", 8080), ("UDP", 80))
    assert {f"{protocol} {port}" for protocol, port in asked if ask(found, DB, API, port, protocol).allowed} == passing
    assert not found.unevaluated


def test_a_rule_that_looks_at_requests_is_an_upper_bound_and_says_so() -> None:
    found = ask(cluster(np("p", {**ALLOW, "protocol": "TCP", "http": {"methods": ["GET"]}})), WEB, DB)
    assert found.ingress.reason.endswith("spec.ingress[0] (at most: http may let less pass)")


# -- services and service accounts ------------------------------------------------------------------------------------------

SQL = EndpointSlice(
    "back",
    "sql-x",
    "sql",
    (
        Endpoint((ip_address("10.0.0.3"),), "db"),
        Endpoint((ip_address(OUTSIDE),)),
        Endpoint((ip_address("172.16.0.1"),)),
    ),
    (EndpointPort("sql", Protocol.TCP, 5432), EndpointPort("any", Protocol.UDP, None)),
)
NAMED = {"services": {"name": "sql", "namespace": "back"}}


@pytest.mark.parametrize(
    ("rule", "passing"),
    [
        ({"destination": NAMED}, {"db TCP 5432", "outside TCP 5432", "agent TCP 5432"}),
        ({"destination": NAMED, "protocol": "UDP"}, set()),
        ({"destination": {**NAMED, "notPorts": [5432]}, "protocol": "TCP"}, set()),
        ({"destination": {"services": {"name": "empty", "namespace": "back"}}}, set()),
        ({"destination": {"services": {"name": "sql"}}}, set()),  # of the policy's namespace, where no slice was read
    ],
)
def test_a_service_as_a_destination_is_its_endpoints_with_their_ports(rule: dict[str, Any], passing: set[str]) -> None:
    slices = (replace(SQL, name="e", service="empty", endpoints=()), replace(SQL, namespace="front", name="f"), SQL)
    other = replace(slices[1], endpoints=())
    found = analyse(
        cluster(np("p", egress=[{**ALLOW, **rule}], namespace="front"), endpoint_slices=(slices[0], other, SQL))
    )
    asked = [(port, protocol) for protocol in ("TCP", "UDP") for port in (80, 5432)]
    ends: dict[str, Pod | str] = {"db": DB, "api": API, "outside": OUTSIDE, "agent": NODE}
    assert {
        f"{name} {protocol} {port}"
        for name, end in ends.items()
        for port, protocol in asked
        if ask(found, WEB, end, port, protocol).allowed
    } == passing
    assert not found.unevaluated


def test_a_service_as_a_source_is_the_addresses_of_its_endpoints() -> None:
    found = cluster(gnp("p", {**ALLOW, "source": NAMED}, selector="app == 'api'"), endpoint_slices=(SQL,))
    ends: dict[str, Pod | str] = {"web": WEB, "db": DB, "agent": NODE, "outside": OUTSIDE, "office": "198.51.100.9"}
    assert {name for name, end in ends.items() if allows(found, end, API)} == {"db", "outside", "agent"}


def test_endpoints_of_one_service_that_differ_in_ports_are_told_apart() -> None:
    other = replace(SQL, name="y", endpoints=(Endpoint(WEB.addresses),), ports=(EndpointPort("", Protocol.TCP, 80),))
    found = cluster(np("p", egress=[{**ALLOW, "destination": NAMED}]), endpoint_slices=(SQL, other))
    assert [allows(found, DB, WEB, port) for port in (80, 5432)] == [True, False]
    assert [allows(found, DB, OUTSIDE, port) for port in (80, 5432)] == [False, True]


def test_an_address_in_several_slices_of_a_service_has_the_ports_of_all() -> None:
    other = replace(SQL, name="y", ports=(EndpointPort("", Protocol.TCP, 80),))
    found = cluster(np("p", egress=[{**ALLOW, "destination": NAMED}]), endpoint_slices=(SQL, other))
    assert [allows(found, DB, OUTSIDE, port) for port in (80, 5432, 8080)] == [True, True, False]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"endpoint_slices": (SQL,), "unread_kinds": ("EndpointSlice",)},
        {"endpoint_slices": (replace(SQL, service="x"),)},
    ],
)
def test_a_service_without_a_slice_that_was_read_is_named_and_limits_nothing(more: dict[str, Any]) -> None:
    for end in ("source", "destination"):
        found = analyse(cluster(np("p", {**DENY, end: NAMED}, {**ALLOW, end: NAMED}), **more))
        assert ask(found, WEB, DB).allowed
        assert len(found.unevaluated) == 1


def test_a_service_without_a_namespace_limits_what_allows_and_is_named_where_it_would_deny() -> None:
    near = {"services": {"name": "sql"}}
    slices = (replace(SQL, endpoints=(Endpoint(WEB.addresses),)),)
    allowing = analyse(cluster(np("p", {**ALLOW, "source": near}), endpoint_slices=slices))
    assert (ask(allowing, WEB, DB).allowed, ask(allowing, API, DB).allowed, len(allowing.unevaluated)) == (
        True,
        False,
        0,
    )
    denying = analyse(cluster(np("p", {**DENY, "source": near}, ALLOW), endpoint_slices=slices))
    assert (ask(denying, WEB, DB).allowed, len(denying.unevaluated)) == (True, 1)


TEAMS = (
    replace(WEB, account_labels={"team": "shop"}),
    replace(API, account_labels={}),
    replace(DB, account_labels={"team": "x"}),
)


@pytest.mark.parametrize(
    ("source", "who"),
    [
        ({"serviceAccounts": {"selector": "team == 'shop'"}}, {"web"}),
        ({"serviceAccounts": {"selector": "has(team)", "names": ["keeper"]}}, {"db"}),
        ({"serviceAccounts": {"selector": "team != 'shop'"}}, {"api", "db", "office"}),
        ({"selector": "pcsa.team == 'shop' || app == 'api'"}, {"web", "api"}),
    ],
)
def test_labels_of_service_accounts_select(source: dict[str, Any], who: set[str]) -> None:
    rule = {**ALLOW, "source": {"namespaceSelector": "all()", **source}}
    found = analyse(cluster(np("p", rule), pods=(*TEAMS, NODE), sets=SETS))
    ends = {**ENDS, "web": TEAMS[0], "api": TEAMS[1], "db": TEAMS[2]}
    assert {name for name, end in ends.items() if ask(found, end, TEAMS[2]).ingress.allowed} - {"db"} == who - {"db"}
    assert not found.unevaluated


def test_a_policy_is_about_pods_by_the_labels_of_their_accounts() -> None:
    found = cluster(gnp("p", serviceAccountSelector="team == 'x'"), pods=(*TEAMS, NODE))
    assert [allows(found, OUTSIDE, end) for end in TEAMS] == [True, True, False]


def test_an_account_whose_name_is_too_long_for_a_label_is_none_to_a_global_policy() -> None:
    odd = replace(DB, service_account="x" * 63)
    assert allows(cluster(gnp("p", serviceAccountSelector="all()"), pods=(WEB, odd)), WEB, odd)
    assert not allows(cluster(gnp("p", serviceAccountSelector="all()"), pods=(WEB, DB)), WEB, DB)


def test_labels_of_accounts_are_not_known_where_one_pods_account_was_not_read() -> None:
    found = cluster(gnp("p", serviceAccountSelector="team == 'x'"), pods=(*TEAMS[:2], DB))
    assert len(analyse(found).unevaluated) == 1
    assert allows(found, OUTSIDE, DB)


def host(ports: Iterable[tuple[str, Protocol, int]], net: str = "172.16.0.0/24") -> NetworkSet:
    key = ObjectKey("projectcalico.org", "HostEndpoint", "", "node-eth0")
    return NetworkSet(key, {"role": "node"}, (ip_network(net),), ports=tuple(ports))


def test_a_name_means_a_host_endpoints_port_too() -> None:
    rule = {**ALLOW, "protocol": "TCP", "destination": {"ports": ["metrics"]}}
    sets = [host([("metrics", Protocol.TCP, 9100), ("metrics", Protocol.UDP, 53), ("other", Protocol.TCP, 80)])]
    for limit, passing in (({}, True), ({"selector": "role == 'node'"}, True), ({"selector": "role == 'x'"}, False)):
        found = cluster(gnp("p", egress=[{**rule, "destination": {**rule["destination"], **limit}}]), sets=sets)
        assert allows(found, WEB, NODE, 9100) is passing
        assert not any(allows(found, WEB, *asked) for asked in ((NODE, 80), (NODE, 53), (OUTSIDE, 9100)))


def test_a_rule_that_denies_all_but_a_name_leaves_a_host_endpoints_port_open() -> None:
    rule = {**DENY, "protocol": "TCP", "destination": {"notPorts": ["metrics"]}}
    found = cluster(gnp("p", egress=[rule, ALLOW]), sets=[host([("metrics", Protocol.TCP, 9100)])])
    assert allows(found, WEB, NODE, 9100)
    assert not allows(found, WEB, NODE, 9101)


def test_other_ports_that_such_a_rule_leaves_out_stay_open_too() -> None:
    rule = {**DENY, "protocol": "TCP", "destination": {"notPorts": [80, "metrics"]}}
    found = cluster(gnp("p", egress=[rule, ALLOW]), sets=[host([("metrics", Protocol.TCP, 9100)])])
    assert [allows(found, WEB, NODE, port) for port in (80, 9100, 9101)] == [True, True, False]


def test_the_number_of_a_host_endpoints_port_is_closed_on_pods_and_open_elsewhere() -> None:
    """Its name is the host endpoint's, not that of whatever has the number."""
    sets = [host([("metrics", Protocol.TCP, 9100)])]
    but_metrics = {"protocol": "TCP", "destination": {"notPorts": ["metrics"]}}
    assert not allows(cluster(gnp("p", {**DENY, **but_metrics}, ALLOW), sets=sets), WEB, DB, 9100)
    assert allows(cluster(gnp("p", egress=[{**ALLOW, **but_metrics}]), sets=sets), WEB, OUTSIDE, 9100)


def test_a_rule_that_denies_with_source_ports_denies_nothing() -> None:
    assert allows(cluster(np("p", {**DENY, "protocol": "TCP", "source": {"ports": [9999]}}, ALLOW)), WEB, DB)


# -- what is not known ------------------------------------------------------------------------------------------------------------


def test_a_rule_with_an_unknown_limit_allows_without_it_denies_nothing_and_is_named() -> None:
    services = {"source": {"services": {"name": "s"}}}
    found = analyse(cluster(np("p", {**DENY, **services}, {**ALLOW, **services})))
    assert ask(found, WEB, DB).allowed
    assert [str(policy.key) for policy in found.unevaluated] == ["Calico NetworkPolicy back/p"]


def test_a_rule_about_requests_that_would_deny_denies_nothing_and_is_named() -> None:
    found = analyse(cluster(np("p", {**DENY, "http": {"methods": ["GET"]}}, ALLOW)))
    assert ask(found, WEB, DB).allowed
    assert len(found.unevaluated) == 1


def test_a_policy_about_labels_of_service_accounts_is_named_and_left_out() -> None:
    found = analyse(cluster(np("p", serviceAccountSelector="team == 'x'")))
    assert ask(found, WEB, DB).allowed
    assert len(found.unevaluated) == 1


def test_names_leave_the_outside_uncertain() -> None:
    found = cluster(gnp("p", selector="app == 'db'", egress=[{**ALLOW, "destination": {"domains": ["example.com"]}}]))
    assert ask(found, DB, OUTSIDE).uncertain == (
        "Calico GlobalNetworkPolicy p spec.egress[0]: the addresses of example.com are not known",
    )


def test_what_a_denial_excepts_is_uncertain_while_an_address_is_not_known() -> None:
    pending = replace(WEB, addresses=())
    rules = [{**DENY, "source": {"notNets": ["10.0.0.0/31", "fd00::/8"]}}, ALLOW]
    found = ask(cluster(np("p", *rules), pods=(pending, DB)), pending, DB)
    assert not found.allowed
    assert len(found.uncertain) == 1


def test_labels_of_a_namespace_that_was_not_read_leave_its_pods_uncertain() -> None:
    found = cluster(np("p", {**DENY, "source": {"namespaceSelector": "zone != 'cde'"}}, ALLOW))
    unread = replace(
        found, namespaces={**found.namespaces, "front": Namespace("front", {NAME_LABEL: "front"}, declared=False)}
    )
    assert not ask(found, WEB, DB).uncertain
    assert ask(unread, WEB, DB).uncertain


def test_a_network_set_of_a_namespace_that_was_not_read_may_be_meant_wherever_its_addresses_are() -> None:
    found = cluster(
        np("p", {**ALLOW, "source": {"namespaceSelector": "zone == 'dmz'"}}), sets=SETS, pods=(DB, NODE, NEAR)
    )
    assert not any(ask(found, end, DB).uncertain for end in (NEAR, OUTSIDE))
    unread = replace(
        found, namespaces={**found.namespaces, "front": Namespace("front", {NAME_LABEL: "front"}, declared=False)}
    )
    for end in (NODE, NEAR, OUTSIDE):
        assert not ask(unread, end, DB).allowed
        assert "the labels of namespace front are not known, so Calico NetworkSet front/office may be meant" in str(
            ask(unread, end, DB).uncertain
        )


@pytest.mark.parametrize(("plugin", "named"), [("calico", 0), ("flannel-like", 1)])
def test_where_another_plugin_enforces_calicos_policies_count_as_not_evaluated(plugin: str, named: int) -> None:
    found = heeded(_report(plugin), cluster(np("p")))
    assert len(analyse(found).unevaluated) == named


def _report(plugin: str) -> CniReport:
    class Enforcer:
        id = plugin
        ignored_kinds = frozenset[str]()

    class Report:
        enforcers = (Enforcer(),)
        verdict = Enforcement.ENFORCED

    return Report()  # type: ignore[return-value]


# -- explained -----------------------------------------------------------------------------------------------------------------------


def test_an_explanation_names_calicos_policy_and_rule() -> None:
    found = ask(cluster(np("p", LOG, {**DENY, "source": {"nets": ["10.0.0.1/32"]}}, ALLOW)), WEB, DB)
    assert found.ingress.reason == "denied by Calico NetworkPolicy back/p spec.ingress[1]"
    assert (found.ingress.policy, found.ingress.rule, found.ingress.action) == (
        ObjectKey("projectcalico.org", "NetworkPolicy", "back", "p"),
        "spec.ingress[1]",
        "Deny",
    )
    assert (
        ask(cluster(np("p")), WEB, DB).ingress.reason
        == "isolated by Calico NetworkPolicy back/p, which does not allow it"
    )
