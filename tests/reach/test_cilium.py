"""What Cilium's policies let pass, rule by rule. Objects are read as from manifests, so that reading and meaning are tested together."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from evidence.cluster.cilium import CidrGroup, CiliumPolicy
from evidence.cluster.model import Cluster, Namespace, NetworkPolicy, Node, Pod, Service
from evidence.cluster.policies import Action, Tier, Unknown
from evidence.cluster.routes import Endpoint, EndpointSlice
from evidence.reach.engine import analyse
from evidence.reach.explain import Explanation
from evidence.reach.matrix import computed_on
from evidence.reach.unused import unused
from evidence.reach.wording import peers_text
from tests.builders import NAME_LABEL, cluster, named_port, namespace, pod, policy, rule
from tests.manifests import body, cluster_of
from tests.reach.build import answered, cluster_policy, does

OUTSIDE, ELSEWHERE, NODE_1, NODE_2 = "203.0.113.7", "198.51.100.1", "172.16.0.1", "172.16.0.2"
WEB, DB, OTHER, AGENT, FAR_AGENT = "shop/web", "shop/db", "bank/other", "kube-system/agent", "kube-system/far-agent"

PODS: tuple[Pod, ...] = (
    pod("web", "shop", {"app": "web"}, ip="10.0.0.1", node="n1", ports=[named_port("http", 8080)]),
    pod("db", "shop", {"app": "db"}, ip="10.0.0.2", node="n1", ports=[named_port("http", 9090)]),
    pod("other", "bank", {"app": "web"}, ip="10.0.1.1", node="n2"),
    pod("agent", "kube-system", ip=NODE_1, node="n1", host_network=True),
    pod("far-agent", "kube-system", ip=NODE_2, node="n2", host_network=True),
)
NODES = (
    Node("n1", {"node-role.kubernetes.io/control-plane": ""}, (ip_address(NODE_1),), ready=True),
    Node("n2", {}, (ip_address(NODE_2),), ready=True),
)
NAMESPACES = (namespace("bank", team="money"), namespace("shop"), namespace("kube-system"))


def cilium(spec: Mapping[str, Any] | None = None, *, clusterwide: bool = False, **more: Any) -> CiliumPolicy:
    """A policy about db in namespace shop, unless the spec says otherwise."""
    kind = "CiliumClusterwideNetworkPolicy" if clusterwide else "CiliumNetworkPolicy"
    whole = {} if spec is None else {"spec": {"endpointSelector": {"matchLabels": {"app": "db"}}, **spec}}
    return cluster_of(body("cilium.io/v2", kind, "p", "shop", **whole, **more)).cilium_policies[0]


def with_policies(*policies: CiliumPolicy, network: tuple[NetworkPolicy, ...] = (), **more: Any) -> Cluster:
    base = cluster(PODS, network, NAMESPACES)
    return replace(base, cilium_policies=policies, **{"nodes": NODES, **more})


def ask(found: Cluster, source: str, destination: str, port: int = 80, protocol: str = "TCP") -> Explanation:
    return answered(found, source, destination, port, protocol)


def sources(found: Cluster, port: int = 80, protocol: str = "TCP") -> set[str]:
    """Who may connect to db."""
    everyone = (WEB, OTHER, FAR_AGENT, OUTSIDE, ELSEWHERE, NODE_2)
    return {one for one in everyone if ask(found, one, DB, port, protocol).allowed}


def destinations(found: Cluster, port: int = 80, protocol: str = "TCP") -> set[str]:
    """Whom db may connect to."""
    everyone = (WEB, OTHER, AGENT, FAR_AGENT, OUTSIDE, ELSEWHERE, NODE_1, NODE_2)
    return {one for one in everyone if ask(found, DB, one, port, protocol).allowed}


def let_in(*entries: Mapping[str, Any], **more: Any) -> Cluster:
    return with_policies(cilium({"ingress": list(entries)}), **more)


def let_out(*entries: Mapping[str, Any], **more: Any) -> Cluster:
    return with_policies(cilium({"egress": list(entries)}), **more)


ANYBODY_IN = {WEB, OTHER, FAR_AGENT, OUTSIDE, ELSEWHERE, NODE_2}
ANYBODY_OUT = {WEB, OTHER, AGENT, FAR_AGENT, OUTSIDE, ELSEWHERE, NODE_1, NODE_2}
ON_NODES = {AGENT, FAR_AGENT, NODE_1, NODE_2}


# -- sections and default deny ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, ANYBODY_IN),
        ({"ingress": []}, ANYBODY_IN),
        ({"egress": [{}]}, ANYBODY_IN),
        ({"ingress": [{}]}, set()),
        ({"ingressDeny": [{}]}, set()),
        ({"ingress": [{}], "enableDefaultDeny": {"ingress": False}}, ANYBODY_IN),
        ({"egress": [{}], "enableDefaultDeny": {"ingress": True}}, ANYBODY_IN),
    ],
)
def test_a_section_with_an_entry_puts_into_default_deny(spec: Any, expected: set[str]) -> None:
    assert sources(with_policies(cilium(spec))) == expected


def test_directions_are_separate() -> None:
    assert destinations(let_in({})) == ANYBODY_OUT
    assert destinations(let_out({})) == set()


def test_any_policy_that_asks_for_default_deny_gets_it() -> None:
    mild = cilium({"ingress": [{"fromEndpoints": [{}]}], "enableDefaultDeny": {"ingress": False}})
    assert sources(with_policies(mild)) == ANYBODY_IN
    assert sources(with_policies(mild, cilium({"ingress": [{}]}))) == {WEB}


def test_specs_are_rule_objects_of_their_own() -> None:
    subject: dict[str, Any] = {"endpointSelector": {}}
    specs = [
        {**subject, "ingress": [{}]},
        {**subject, "ingress": [{"fromEndpoints": [{"matchLabels": {"app": "web"}}]}]},
    ]
    found = with_policies(cilium(None, specs=specs))
    assert sources(found) == {WEB}
    assert ask(found, WEB, DB).ingress.rule == "specs[1].ingress[0]"


@pytest.mark.parametrize(
    "first",
    [
        {"nodeSelector": {}, "ingress": [{}]},
        {"endpointSelector": {"matchLabels": {"container:x": "y"}}, "ingress": [{}]},
    ],
)
def test_a_rule_object_after_one_about_no_known_pods_counts_all_the_same(first: Any) -> None:
    second: dict[str, Any] = {"endpointSelector": {}, "ingress": [{"fromEndpoints": [{}]}]}
    assert sources(with_policies(cilium(None, clusterwide=True, specs=[first, second]))) == {WEB, OTHER}


def test_policies_select_in_their_own_namespace_only_and_clusterwide_ones_everywhere() -> None:
    everyone: dict[str, Any] = {"endpointSelector": {}, "ingress": [{}]}
    assert ask(with_policies(cilium(everyone)), WEB, OTHER).allowed
    assert not ask(with_policies(cilium(everyone, clusterwide=True)), WEB, OTHER).allowed


def test_pods_on_the_host_network_are_no_endpoints() -> None:
    found = with_policies(cilium({"endpointSelector": {}, "ingress": [{}], "egress": [{}]}, clusterwide=True))
    assert ask(found, OUTSIDE, FAR_AGENT).allowed
    assert ask(found, FAR_AGENT, OUTSIDE).allowed
    assert not ask(let_in({"fromEndpoints": [{}]}), FAR_AGENT, DB).allowed


# -- peers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"fromEndpoints": []}, set()),
        ({"fromEndpoints": [{}]}, {WEB}),
        ({"fromEndpoints": [{"matchLabels": {"app": "web"}}]}, {WEB}),
        ({"fromEndpoints": [{"matchLabels": {"k8s:io.kubernetes.pod.namespace": "bank"}}]}, {OTHER}),
        ({"fromEndpoints": [{"matchExpressions": [{"key": "io.kubernetes.pod.namespace", "operator": "Exists"}]}]}, {WEB, OTHER}),
        ({"fromEndpoints": [{"matchLabels": {"io.cilium.k8s.namespace.labels.team": "money"}}]}, {OTHER}),
        ({"fromEndpoints": [{"matchLabels": {"app": "db"}}, {"matchLabels": {"app": "web"}}]}, {WEB}),
        ({"fromEndpoints": [{"matchLabels": {"reserved:world": ""}}]}, {OUTSIDE, ELSEWHERE}),
        ({"fromCIDR": ["0.0.0.0/0"]}, {OUTSIDE, ELSEWHERE, FAR_AGENT, NODE_2}),
        ({"fromCIDR": ["10.0.0.0/8"]}, set()),
        ({"fromCIDR": [OUTSIDE]}, {OUTSIDE}),
        ({"fromCIDR": []}, set()),
        ({"fromCIDRSet": [{"cidr": "0.0.0.0/0", "except": ["198.51.100.0/24", "172.16.0.0/12"]}]}, {OUTSIDE}),
        ({"fromEntities": ["all"]}, ANYBODY_IN),
        ({"fromEntities": ["world"]}, {OUTSIDE, ELSEWHERE}),
        ({"fromEntities": ["world-ipv4"]}, {OUTSIDE, ELSEWHERE}),
        ({"fromEntities": ["world-ipv6"]}, set()),
        ({"fromEntities": ["cluster"]}, {WEB, OTHER, FAR_AGENT, NODE_2}),
        ({"fromEntities": ["remote-node"]}, {FAR_AGENT, NODE_2}),
        ({"fromEntities": ["host"]}, {FAR_AGENT, NODE_2}),
        ({"fromEntities": ["kube-apiserver"]}, set()),
        ({"fromEntities": ["init", "health", "none"]}, set()),
        ({"fromEntities": []}, set()),
    ],
)  # fmt: skip
def test_who_is_let_in(entry: Any, expected: set[str]) -> None:
    assert sources(let_in(entry)) == expected


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"toEndpoints": [{}]}, {WEB}),
        ({"toCIDR": ["203.0.113.0/24"]}, {OUTSIDE}),
        ({"toEntities": ["world"]}, {OUTSIDE, ELSEWHERE}),
        ({"toEntities": ["host"]}, ON_NODES),
        ({"toEntities": ["kube-apiserver"]}, {AGENT, NODE_1}),
        ({"toEntities": ["cluster"]}, {WEB, OTHER, *ON_NODES}),
        ({"toFQDNs": [{"matchName": "example.com"}]}, set()),
    ],
)
def test_who_may_be_reached(entry: Any, expected: set[str]) -> None:
    assert destinations(let_out(entry)) == expected


STRANGER = "2001:db8::7"


@pytest.mark.parametrize(
    ("entity", "reached"),
    [
        ("world", {OUTSIDE, STRANGER}),
        ("world-ipv4", {OUTSIDE}),
        ("world-ipv6", {STRANGER}),
        ("all", {OUTSIDE, STRANGER}),
    ],
)
def test_the_world_is_that_of_both_families_unless_one_is_named(entity: str, reached: set[str]) -> None:
    dual = tuple(
        replace(one, addresses=(*one.addresses, ip_address("fd00::2"))) if one.key == DB else one for one in PODS
    )
    allowing = replace(let_out({"toEntities": [entity]}), pods=dual)
    assert {one for one in (OUTSIDE, STRANGER) if ask(allowing, DB, one).allowed} == reached
    spec = {"egress": [{"toEntities": ["all"]}], "egressDeny": [{"toEntities": [entity]}]}
    denying = replace(with_policies(cilium(spec)), pods=dual)
    assert {one for one in (OUTSIDE, STRANGER) if not ask(denying, DB, one).allowed} == reached


@pytest.mark.parametrize("role", ["control-plane", "master"])
def test_the_api_server_is_on_nodes_of_the_control_plane_by_either_label(role: str) -> None:
    nodes = (replace(NODES[0], labels={f"node-role.kubernetes.io/{role}": ""}), NODES[1])
    assert destinations(let_out({"toEntities": ["kube-apiserver"]}, nodes=nodes)) == {AGENT, NODE_1}


def test_a_service_that_is_a_name_elsewhere_leads_to_nothing() -> None:
    named = Service("bank", "front", "ExternalName", None, ())
    found = let_out({"toServices": [{"k8sService": {"serviceName": "front", "namespace": "bank"}}]}, services=(named,))
    assert destinations(found) == set()
    assert ask(found, DB, OUTSIDE).uncertain == ()


@pytest.mark.parametrize("entity", ["init", "health", "none"])
def test_entities_that_stand_for_nothing_here_leave_nothing_open(entity: str) -> None:
    found = let_in({"fromEntities": [entity]})
    assert [ask(found, one, DB).uncertain for one in (WEB, OUTSIDE, FAR_AGENT)] == [()] * 3


def test_a_clusterwide_policy_with_an_empty_selector_lets_in_pods_and_nobody_else() -> None:
    found = with_policies(cilium({"ingress": [{"fromEndpoints": [{}]}]}, clusterwide=True))
    assert sources(found) == {WEB, OTHER}


def test_services_are_the_pods_that_they_select() -> None:
    service = Service("bank", "front", "ClusterIP", {"app": "web"}, ())
    entry = {"toServices": [{"k8sService": {"serviceName": "front", "namespace": "bank"}}]}
    assert destinations(let_out(entry, services=(service,))) == {OTHER}
    bare = replace(service, selector=None)
    assert destinations(let_out(entry, services=(bare,))) == set()
    assert "addresses of Service bank/front are not known" in str(
        ask(let_out(entry, services=(bare,)), DB, OUTSIDE).uncertain
    )
    inside, partner = (Endpoint((ip_address(address),)) for address in ("10.0.1.1", OUTSIDE))
    of_front = EndpointSlice("bank", "front-1", "front", (inside, partner), ())
    assert destinations(let_out(entry, services=(bare,), endpoint_slices=(of_front,))) == {OUTSIDE}
    assert ask(let_out(entry), DB, OTHER).uncertain
    assert not ask(let_out(entry, services=(bare,)), DB, OTHER).uncertain


FRONT = Service("bank", "front", "ClusterIP", {"app": "web"}, (), labels={"tier": "front"})
HOME = Service("shop", "front", "ClusterIP", {"app": "web"}, (), labels={"tier": "front"})


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        ({"k8sServiceSelector": {"selector": {"matchLabels": {"tier": "front"}}, "namespace": "bank"}}, {OTHER}),
        ({"k8sServiceSelector": {"selector": {"matchLabels": {"tier": "front"}}}}, {OTHER, WEB}),
        ({"k8sServiceSelector": {"selector": {"matchLabels": {"k8s:tier": "front"}}}}, {OTHER, WEB}),
        ({"k8sServiceSelector": {"selector": {}}}, {OTHER, WEB}),
        ({"k8sServiceSelector": {"selector": {"matchLabels": {"tier": "back"}}}}, set()),
        ({"k8sService": {"serviceName": "front"}}, {OTHER, WEB}),
        ({"k8sService": {"serviceName": "front", "namespace": "shop"}}, {WEB}),
    ],
)
def test_services_by_name_and_by_label_in_any_namespace_unless_one_is_named(services: Any, expected: set[str]) -> None:
    found = let_out({"toServices": [services]}, services=(FRONT, HOME))
    assert destinations(found) == expected
    assert ask(found, DB, OUTSIDE).uncertain == ()


def test_services_that_were_not_read_may_be_anything() -> None:
    entry = {"toServices": [{"k8sServiceSelector": {"selector": {"matchLabels": {"tier": "front"}}}}]}
    for anything in (WEB, OUTSIDE):
        assert "Services tier=front are not known" in str(ask(let_out(entry), DB, anything).uncertain)
    partly = let_out(entry, services=(FRONT,), unread_kinds=("Service",))
    assert destinations(partly) == {OTHER}
    assert "Services tier=front are not known" in str(ask(partly, DB, WEB).uncertain)


@pytest.mark.parametrize(
    ("kind", "entry", "who"),
    [
        ("CiliumCIDRGroup", {"toCIDRSet": [{"cidrGroupSelector": {"matchLabels": {"of": "partners"}}}]}, ELSEWHERE),
        ("EndpointSlice", {"toEntities": ["kube-apiserver"]}, OUTSIDE),
        ("Node", {"toEntities": ["remote-node"]}, OUTSIDE),
    ],
)
def test_what_was_read_in_part_may_mean_more(kind: str, entry: Any, who: str) -> None:
    of_api = EndpointSlice("default", "kubernetes", "kubernetes", (Endpoint((ip_address(NODE_1),)),), ())
    group = CidrGroup("partners", {"of": "partners"}, (ip_network("203.0.113.0/24"),))
    found = let_out(entry, cidr_groups=(group,), endpoint_slices=(of_api,))
    assert ask(found, DB, who).uncertain == ()
    assert ask(replace(found, unread_kinds=(kind,)), DB, who).uncertain != ()


def test_a_denied_service_denies_nothing_for_agents_resolve_services_where_they_allow() -> None:
    spec = {
        "egress": [{"toEntities": ["all"]}],
        "egressDeny": [{"toServices": [{"k8sService": {"serviceName": "front", "namespace": "bank"}}]}],
    }
    assert destinations(with_policies(cilium(spec), services=(FRONT,))) == ANYBODY_OUT


def test_service_accounts_are_peers_and_subjects() -> None:
    robot = tuple(replace(one, service_account="robot") if one.key in (OTHER, DB) else one for one in PODS)
    by_account = {"io.cilium.k8s.policy.serviceaccount": "robot"}
    anywhere = {"matchExpressions": [{"key": "io.kubernetes.pod.namespace", "operator": "Exists"}]}
    found = replace(let_in({"fromEndpoints": [{**anywhere, "matchLabels": by_account}]}), pods=robot)
    assert sources(found) == {OTHER}
    subject = cilium({"endpointSelector": {"matchLabels": by_account}, "ingress": [{}]})
    assert ask(replace(with_policies(subject), pods=robot), DB, WEB).allowed
    assert not ask(replace(with_policies(subject), pods=robot), WEB, DB).allowed


def test_a_pods_own_label_is_no_service_account() -> None:
    forged = tuple(replace(one, labels={**one.labels, "io.cilium.k8s.policy.serviceaccount": "robot"}) for one in PODS)
    found = replace(
        let_in({"fromEndpoints": [{"matchLabels": {"io.cilium.k8s.policy.serviceaccount": "robot"}}]}), pods=forged
    )
    assert sources(found) == set()


def test_the_api_server_is_where_its_service_leads() -> None:
    entry = {"toEntities": ["kube-apiserver"]}
    at = EndpointSlice(
        "default", "kubernetes", "kubernetes", (Endpoint((ip_address(ELSEWHERE), ip_address(NODE_2))),), ()
    )
    found = let_out(entry, endpoint_slices=(at,))
    assert destinations(found) == {ELSEWHERE, NODE_2, FAR_AGENT}
    assert ask(found, DB, OUTSIDE).uncertain == ()
    assert ask(let_out(entry), DB, OUTSIDE).uncertain


def test_groups_of_networks() -> None:
    group = CidrGroup("partners", {"of": "partners"}, (ip_network("203.0.113.0/24"), ip_network("198.51.100.0/24")))
    by_name = {"fromCIDRSet": [{"cidrGroupRef": "partners", "except": ["198.51.100.0/25"]}]}
    by_label = {"fromCIDRSet": [{"cidrGroupSelector": {"matchLabels": {"of": "partners"}}}]}
    assert sources(let_in(by_name, cidr_groups=(group,))) == {OUTSIDE}
    assert sources(let_in(by_label, cidr_groups=(group,))) == {OUTSIDE, ELSEWHERE}
    assert "networks of CiliumCIDRGroup partners are not known" in str(ask(let_in(by_name), OUTSIDE, DB).uncertain)


# -- ports --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ports", "opened"),
    [
        ([{"port": "80", "protocol": "TCP"}], {("TCP", 80)}),
        ([{"port": "80"}], {("TCP", 80), ("UDP", 80), ("SCTP", 80)}),
        ([{"port": "79", "endPort": 81, "protocol": "TCP"}], {("TCP", 79), ("TCP", 80), ("TCP", 81)}),
        ([{"port": "0", "protocol": "UDP"}], {("UDP", n) for n in (79, 80, 81, 9090)}),
        ([{"port": "http", "protocol": "TCP"}], {("TCP", 9090)}),
        ([{"port": "http", "protocol": "UDP"}], set()),
    ],
)
def test_ports_are_the_destinations(ports: Any, opened: set[tuple[str, int]]) -> None:
    found = let_in({"fromEndpoints": [{}], "toPorts": [{"ports": ports}]})
    probes = {(protocol, port) for protocol in ("TCP", "UDP", "SCTP") for port in (79, 80, 81, 9090)}
    assert {(protocol, port) for protocol, port in probes if ask(found, WEB, DB, port, protocol).allowed} == opened


def test_ports_of_what_a_pod_may_reach_are_numbers_ranges_and_any_protocol() -> None:
    ports = [{"port": "80", "protocol": "TCP"}, {"port": "8000", "endPort": 8090, "protocol": "TCP"}, {"port": "53"}]
    found = let_out({"toEntities": ["all"], "toPorts": [{"ports": ports}]})
    for port, protocol in ((80, "TCP"), (8080, "TCP"), (53, "UDP"), (53, "SCTP")):
        assert destinations(found, port, protocol) == ANYBODY_OUT
    assert not destinations(found, 81) | destinations(found, 80, "UDP")


HTTP = [{"ports": [{"port": "http", "protocol": "TCP"}]}]
AGREEING = tuple(replace(one, ports=(named_port("http", 8080),)) if one.ports else one for one in PODS)


def test_a_name_of_a_port_is_one_number_for_every_peer_of_an_egress_rule() -> None:
    """Agents look it up over all pods, and take it for those that have no port of the name, and for the outside."""
    everyone = replace(let_out({"toEntities": ["all"], "toPorts": HTTP}), pods=AGREEING)
    assert destinations(everyone, 8080) == ANYBODY_OUT
    assert destinations(everyone, 80) == set()
    differing = let_out({"toEndpoints": [{}], "toPorts": HTTP})
    assert (destinations(differing, 8080), destinations(differing, 9090)) == ({WEB}, {WEB})


def test_a_name_of_a_port_is_denied_only_where_it_has_one_meaning() -> None:
    spec = {"egress": [{"toEntities": ["all"]}], "egressDeny": [{"toEntities": ["all"], "toPorts": HTTP}]}
    agreeing = replace(with_policies(cilium(spec)), pods=AGREEING)
    assert destinations(agreeing, 8080) == ANYBODY_OUT - {WEB}
    assert destinations(with_policies(cilium(spec)), 8080) == ANYBODY_OUT
    into = {"ingress": [{"fromEntities": ["all"]}], "ingressDeny": [{"fromEntities": ["all"], "toPorts": HTTP}]}
    assert sources(with_policies(cilium(into)), 9090) == set()
    twice = tuple(
        replace(one, ports=(*one.ports, named_port("http", 9090, "UDP"))) if one.key == DB else one for one in PODS
    )
    assert sources(replace(with_policies(cilium(into)), pods=twice), 9090) == ANYBODY_IN


def test_other_names_of_a_pods_ports_leave_a_name_its_one_meaning() -> None:
    spec = {"ingress": [{"fromEntities": ["all"]}], "ingressDeny": [{"fromEntities": ["all"], "toPorts": HTTP}]}
    two = tuple(replace(one, ports=(*one.ports, named_port("metrics", 9100))) if one.key == DB else one for one in PODS)
    assert sources(replace(with_policies(cilium(spec)), pods=two), 9090) == set()


def test_ports_without_peers_are_open_to_anybody() -> None:
    assert sources(let_in({"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}]}]})) == ANYBODY_IN
    assert sources(let_in({"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}]}]}), 81) == set()


def test_only_icmp_opens_no_port() -> None:
    assert sources(let_in({"icmps": [{"fields": [{"type": 8}]}]})) == set()


def test_layer_7_rules_make_an_upper_bound_and_say_so() -> None:
    found = let_in(
        {"fromEndpoints": [{}], "toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": [{}]}}]}
    )
    answer = ask(found, WEB, DB)
    assert answer.allowed
    assert answer.ingress.reason.endswith("spec.ingress[0] (at most: layer 7 rules may let less pass)")
    assert analyse(found).unevaluated == ()


# -- deny ---------------------------------------------------------------------------------------------------------------


def deny(*entries: Mapping[str, Any], **more: Any) -> Cluster:
    """db lets everybody in, but for these."""
    spec = {"ingress": [{"fromEntities": ["all"]}], "ingressDeny": list(entries)}
    return with_policies(cilium(spec), **more)


@pytest.mark.parametrize(
    ("entry", "denied"),
    [
        ({}, set()),
        ({"fromEndpoints": []}, set()),
        ({"fromEndpoints": [{}]}, {WEB}),
        ({"fromEntities": ["world"]}, {OUTSIDE, ELSEWHERE}),
        ({"fromEntities": ["cluster"]}, {WEB, OTHER, FAR_AGENT, NODE_2}),
        ({"fromEntities": ["remote-node"]}, {FAR_AGENT, NODE_2}),
        ({"fromEntities": ["host"]}, set()),
        ({"fromEntities": ["all"]}, ANYBODY_IN),
        ({"fromCIDR": ["0.0.0.0/0"]}, {OUTSIDE, ELSEWHERE}),
        ({"fromCIDRSet": [{"cidr": "0.0.0.0/0", "except": ["203.0.113.0/24"]}]}, {ELSEWHERE}),
        ({"fromCIDRSet": [{"cidrGroupRef": "missing"}]}, set()),
        ({"toPorts": [{"ports": [{"port": "80"}]}]}, ANYBODY_IN),
        ({"toPorts": [{"ports": [{"port": "81"}]}]}, set()),
        ({"toPorts": [{}]}, set()),
        ({"fromMoon": ["x"], "fromEntities": ["all"]}, set()),
    ],
)
def test_who_is_denied(entry: Any, denied: set[str]) -> None:
    assert sources(deny(entry)) == ANYBODY_IN - denied


def test_denying_any_protocol_leaves_sctp() -> None:
    found = deny({"toPorts": [{"ports": [{"port": "80"}]}]})
    assert sources(found, 80, "UDP") == set()
    assert sources(found, 80, "SCTP") == ANYBODY_IN


def test_deny_is_over_allow_whoever_allows() -> None:
    denying = cilium({"ingressDeny": [{"fromEndpoints": [{"matchLabels": {"app": "web"}}]}]})
    allowing = cilium({"ingress": [{"fromEndpoints": [{}]}]})
    network = policy("open", "shop", {"app": "db"}, ingress=[rule()])
    found = with_policies(allowing, denying, network=(network,))
    answer = ask(found, WEB, DB)
    assert not answer.allowed
    assert (str(answer.ingress.policy), answer.ingress.rule) == ("CiliumNetworkPolicy shop/p", "spec.ingressDeny[0]")
    assert sources(found) == ANYBODY_IN - {WEB}


def test_deny_without_default_deny_only_takes_away() -> None:
    spec = {"ingressDeny": [{"fromEndpoints": [{}]}], "enableDefaultDeny": {"ingress": False}}
    assert sources(with_policies(cilium(spec))) == ANYBODY_IN - {WEB}


def test_denied_egress_to_nodes_leaves_the_pods_own() -> None:
    base = {"egress": [{"toEntities": ["all"]}]}
    for entity in ("host", "remote-node"):
        assert destinations(with_policies(cilium({**base, "egressDeny": [{"toEntities": [entity]}]}))) == ANYBODY_OUT
    gone = destinations(with_policies(cilium({**base, "egressDeny": [{"toEntities": ["cluster"]}]})))
    assert gone == {OUTSIDE, ELSEWHERE}


# -- beside others ------------------------------------------------------------------------------------------------------


def test_what_allows_adds_up_with_network_policies() -> None:
    network = policy("p", "shop", {"app": "db"}, ingress=[rule([], [])])
    assert sources(with_policies(cilium({"ingress": [{}]}), network=(network,))) == ANYBODY_IN
    closed = policy("p", "shop", {"app": "db"}, ingress=[])
    assert sources(with_policies(cilium({"ingress": [{"fromEndpoints": [{}]}]}), network=(closed,))) == {WEB}


def test_admin_policies_decide_first() -> None:
    found = with_policies(
        cilium({"ingressDeny": [{"fromEntities": ["all"]}]}),
        cluster_policies=(cluster_policy("a", does(Action.ACCEPT)),),
    )
    assert ask(found, WEB, DB).allowed


def test_what_allows_without_isolating_is_asked_before_the_baseline() -> None:
    mild = cilium({"ingress": [{"fromEndpoints": [{}]}], "enableDefaultDeny": {"ingress": False}})
    baseline = cluster_policy("b", does(Action.DENY), tier=Tier.BASELINE)
    found = with_policies(mild, cluster_policies=(baseline,))
    assert sources(found) & {WEB, OTHER} == {WEB}
    reach = analyse(found)
    web, other, db = (reach.peer_of(name) for name in (WEB, OTHER, DB))
    assert reach.ports(web, db).is_all
    assert (web, db) in {(flow.source, flow.destination) for flow in reach.flows()}
    assert not reach.ports(other, db)


def test_the_own_node_always_reaches_its_pods() -> None:
    found = let_in({})
    assert ask(found, AGENT, DB).ingress.reason == "a pod's own node always reaches it"
    assert ask(found, NODE_1, DB).allowed


# -- what is not known --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "source", "word"),
    [
        ({"fromEntities": ["kube-apiserver"]}, OUTSIDE, "the address of the API server is not known"),
        ({"fromEntities": ["kube-apiserver"]}, FAR_AGENT, "API server"),
        ({"fromEntities": ["ingress"]}, OTHER, "proxy"),
        ({"fromEntities": ["ingress"]}, OUTSIDE, "proxy"),
        ({"fromEntities": ["ingress"]}, FAR_AGENT, "proxy"),
        ({"fromEntities": ["unmanaged"]}, OTHER, "does not manage"),
        ({"fromMoon": ["x"]}, OTHER, "fromMoon"),
        ({"fromMoon": ["x"]}, OUTSIDE, "fromMoon"),
        ({"fromMoon": ["x"]}, FAR_AGENT, "fromMoon"),
        ({"fromEndpoints": [{"matchLabels": {"pod-template-hash": "x"}}]}, OTHER, "pod-template-hash"),
        ({"fromGroups": [{"aws": {}}]}, OUTSIDE, "fromGroups"),
        ({"fromEndpoints": [{}], "toPorts": [{"ports": [{"port": "80", "protocol": "QUIC"}]}]}, WEB, "QUIC"),
    ],
)
def test_a_denial_that_hangs_on_it_is_uncertain(entry: Any, source: str, word: str) -> None:
    answer = ask(let_in(entry), source, DB)
    assert not answer.allowed
    assert word in " ".join(answer.uncertain)


def test_the_outside_may_be_a_node_where_no_node_was_read() -> None:
    assert ask(let_in({"fromEntities": ["remote-node"]}, nodes=()), OUTSIDE, DB).uncertain
    assert not ask(let_in({"fromEntities": ["remote-node"]}), OUTSIDE, DB).uncertain


def test_an_unknown_address_matters_to_networks_on_nodes_only() -> None:
    lost = tuple(replace(one, addresses=()) for one in PODS)
    found = replace(let_in({"fromCIDR": ["172.16.0.0/12"]}, nodes=()), pods=lost)
    assert not ask(found, WEB, DB).uncertain
    assert ask(found, FAR_AGENT, DB).uncertain


def test_rules_by_names_and_unknown_things_are_never_called_unused() -> None:
    names, group = {"toFQDNs": [{"matchName": "a.example"}]}, {"toCIDRSet": [{"cidrGroupRef": "missing"}]}
    found = unused(analyse(let_out(names, group, {"toEndpoints": [{"matchLabels": {"app": "gone"}}]})))
    assert [str(entry) for entry in found] == ["CiliumNetworkPolicy shop/p spec.egress[2]"]


@pytest.mark.parametrize(
    "unread", [{"nodes": ()}, {"nodes": (replace(NODES[0], addresses=()),), "unread_kinds": ("Node",)}]
)
def test_rules_by_nodes_are_not_called_unused_where_not_every_node_was_read(unread: dict[str, Any]) -> None:
    apart = tuple(one for one in PODS if not one.host_network)
    found = replace(let_out({"toEntities": ["remote-node"]}, {}, **unread), pods=apart)
    assert [entry.rule for entry in unused(analyse(found))] == ["spec.egress[1]"]
    bare = replace(found, nodes=(replace(NODES[0], addresses=()),), unread_kinds=())
    assert [entry.rule for entry in unused(analyse(bare))] == ["spec.egress[0]", "spec.egress[1]"]


def test_peers_are_told_as_they_were_written() -> None:
    spec = {"ingress": [{"fromCIDR": ["10.0.0.0/8"]}], "ingressDeny": [{"fromCIDR": ["10.1.0.0/16"]}]}
    forms = analyse(with_policies(cilium(spec))).forms
    told = [peers_text(rule.peers) for form in forms for rules in form.rules.values() for rule in rules]
    assert told == ["10.1.0.0/16 outside the cluster", "10.0.0.0/8 outside the cluster or of nodes"]


def test_what_a_denial_cannot_tell_is_told_by_its_name() -> None:
    spec = {"egressDeny": [{"toFQDNs": [{"matchName": "a.example"}]}, {"toGroups": [{"aws": {}}]}]}
    forms = analyse(with_policies(cilium(spec))).forms
    told = [peers_text(rule.peers) for form in forms for rules in form.rules.values() for rule in rules]
    assert told == [
        "something not known here (what a.example means is not known)",
        "something not known here (what spec.egressDeny[1].toGroups (aws) means is not known)",
    ]


@pytest.mark.parametrize(
    "spec",
    [
        {"ingress": [{"fromEndpoints": [{}], "fromCIDR": ["10.0.0.0/8"]}]},
        {"endpointSelector": {"matchLabels": {"container:x": "y"}}, "ingress": [{}]},
        {"ingress": [{"fromNodes": [{"matchLabels": {"a": "b"}}]}]},
        {"ingress": [{}], "nodeSelector": {}},
        {"ingress": [{}], "egress": [{"toFQDNs": [{}]}]},
        {"ingress": [{"fromCIDRSet": [{"cidr": "10.0.0.1"}]}]},
        {"ingress": [{"fromCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}]}]},
        {"ingress": [{"fromCIDRSet": [{"cidr": "10.0.0.0/8", "cidrGroupRef": "x"}]}]},
        {"ingress": [{"toPorts": [{"ports": [{"port": "80"}], "rules": {"http": [{}]}}]}]},
        {"ingress": [{"toPorts": [{"ports": [{"port": "0", "protocol": "TCP"}], "rules": {"http": [{}]}}]}]},
        {"ingress": [{"toPorts": [{"ports": [{"port": "53", "protocol": "UDP"}], "rules": {"dns": [{}]}}]}]},
        {"ingress": [{"toPorts": [{"ports": [{"port": "080"}]}]}]},
        {"ingress": [{"toPorts": [{"ports": [{"port": "80"}] * 41}]}]},
        {"ingress": [{"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "listener": {}}]}]},
        {
            "ingress": [{}],
            "egress": [{"toServices": [{"k8sService": {"serviceName": "a"}}], "toPorts": [{"ports": [{"port": "1"}]}]}],
        },
    ],
)
def test_what_may_not_be_in_force_isolates_nobody_and_is_named(spec: Any) -> None:
    found = with_policies(cilium(spec))
    assert sources(found) == ANYBODY_IN
    assert computed_on(analyse(found)) == "computed on 0 of 1 policies; not evaluated: 1 CiliumNetworkPolicy"


def test_agents_refuse_a_policy_whole_so_that_no_other_rule_object_of_it_isolates() -> None:
    fine: dict[str, Any] = {"endpointSelector": {}, "ingress": [{}]}
    odd = {"endpointSelector": {}, "egress": [{"toEndpoints": [{}], "toCIDR": ["10.0.0.0/8"]}]}
    found = with_policies(cilium(None, specs=[fine, odd]))
    assert sources(found) == ANYBODY_IN
    assert sources(with_policies(cilium(None, specs=[fine]))) == set()


def test_what_may_not_be_in_force_leaves_other_isolation_uncertain() -> None:
    odd = cilium({"ingress": [{"fromEndpoints": [{}], "fromCIDR": ["10.0.0.0/8"]}]})
    for anybody in (OTHER, OUTSIDE, FAR_AGENT):
        answer = ask(with_policies(odd, cilium({"ingress": [{}]})), anybody, DB)
        assert not answer.allowed
        (doubt,) = answer.uncertain
        assert doubt.startswith(
            "CiliumNetworkPolicy shop/p spec.ingress[0]: whether this counts for the pod is not known ("
        )
        assert doubt.endswith(
            "(spec.ingress[0]: fromEndpoints beside fromCIDR, which agents refuse), so it may be allowed"
        )


def test_what_may_not_be_in_force_leaves_open_what_it_could_be_about_and_no_more() -> None:
    spec = {"ingress": [{"fromEndpoints": [{}], "fromCIDR": ["10.0.0.0/8"]}]}
    shut = cilium({"endpointSelector": {}, "ingress": [{}]}, clusterwide=True)
    assert ask(with_policies(cilium(spec, clusterwide=True), shut), WEB, OTHER).uncertain
    assert ask(with_policies(cilium(spec), shut), WEB, DB).uncertain
    assert not ask(with_policies(cilium(spec), shut), WEB, OTHER).uncertain


NOT_MONEY = {"key": "io.cilium.k8s.namespace.labels.team", "operator": "NotIn", "values": ["money"]}


@pytest.mark.parametrize(
    ("spec", "source", "destination"),
    [
        ({"endpointSelector": {"matchExpressions": [NOT_MONEY]}, "ingress": [{}]}, WEB, OTHER),
        ({"ingressDeny": [{"fromEndpoints": [{"matchExpressions": [NOT_MONEY]}]}], "ingress": [{"fromEntities": ["all"]}]}, OTHER, DB),
    ],
)  # fmt: skip
def test_what_closes_by_a_label_that_is_absent_is_uncertain_where_the_labels_were_not_read(
    spec: Any, source: str, destination: str
) -> None:
    unread = Namespace("bank", {NAME_LABEL: "bank"}, declared=False)
    closed = cilium(spec, clusterwide=True)
    known = with_policies(closed)
    found = replace(known, namespaces={**known.namespaces, "bank": unread})
    answer = ask(found, source, destination)
    assert not answer.allowed
    assert "the labels of namespace bank are not known" in " ".join(answer.uncertain)
    labelled = replace(known, namespaces={**known.namespaces, "bank": namespace("bank", team="other")})
    assert ask(labelled, source, destination).uncertain == ()


def test_host_firewall_is_named_and_touches_no_pod() -> None:
    host = cilium(None, clusterwide=True, specs=[{"nodeSelector": {}, "ingress": [{}]}])
    found = with_policies(host, cilium({"ingress": [{}]}))
    assert ask(found, OUTSIDE, FAR_AGENT).allowed
    assert ask(found, WEB, DB).uncertain == ()
    assert list(host.unknown()) == [Unknown("specs[0].nodeSelector (host firewall)")]
    assert computed_on(analyse(found)) == "computed on 1 of 2 policies; not evaluated: 1 CiliumClusterwideNetworkPolicy"


def test_a_policy_is_named_once_however_many_rule_objects_it_has() -> None:
    specs = [{"endpointSelector": {}, "ingress": [{}], "ingressDeny": [{"fromEntities": ["world"]}]}] * 2
    answer = ask(with_policies(cilium(None, specs=specs)), WEB, DB)
    assert [str(key) for key in answer.ingress.selecting] == ["CiliumNetworkPolicy shop/p"]
    assert answer.ingress.reason == "isolated by CiliumNetworkPolicy shop/p, which does not allow it"


def test_the_last_entry_of_a_direction_takes_default_deny_with_it_and_is_not_listed() -> None:
    alone = cilium({"ingress": [{"fromEndpoints": [{"matchLabels": {"app": "gone"}}]}]})
    assert unused(analyse(with_policies(alone))) == ()
    beside = cilium(
        {"ingress": [{"fromEndpoints": [{"matchLabels": {"app": "gone"}}]}, {}, {"fromEntities": ["world"]}]}
    )
    assert [entry.rule for entry in unused(analyse(with_policies(beside)))] == ["spec.ingress[0]", "spec.ingress[1]"]
    deny = cilium({"ingressDeny": [{"fromEndpoints": [{"matchLabels": {"app": "web"}}]}]})
    assert unused(analyse(with_policies(deny))) == ()


def test_a_policy_without_entries_and_one_that_says_twice_the_same_are_listed_as_a_whole() -> None:
    empty = cilium({})
    assert [str(entry) for entry in unused(analyse(with_policies(empty)))] == ["CiliumNetworkPolicy shop/p"]
    deny = cilium({"ingress": [{"fromEndpoints": [{}]}], "ingressDeny": [{"fromEndpoints": [{}]}]})
    isolated = policy("deny", "shop", {"app": "db"}, ingress=[])
    assert [str(entry) for entry in unused(analyse(with_policies(deny, network=(isolated,))))] == [
        "CiliumNetworkPolicy shop/p",
        "NetworkPolicy shop/deny",
    ]


def test_a_policy_known_in_part_is_never_listed_as_a_whole() -> None:
    isolated = policy("deny", "shop", {"app": "db"}, ingress=[])
    fresh = cilium({"ingressDeny": [{"fromEndpoints": [{}], "fresh": True}]})
    assert [e.policy.name for e in unused(analyse(with_policies(fresh, network=(isolated,))))] == ["deny"]
