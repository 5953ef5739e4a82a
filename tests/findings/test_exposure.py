"""Family exposure: what the outside can reach, and where pods may go outside."""

from dataclasses import replace

import pytest

from evidence.cluster.gatewayapi import GATEWAY_GROUP
from evidence.cluster.model import (
    Cluster,
    ContainerPort,
    Ingress,
    IngressBackend,
    NetworkPolicy,
    Protocol,
    Service,
    ServicePort,
)
from evidence.cluster.objects import ObjectKey
from evidence.cluster.routes import BackendRef, Gateway, IngressClass, Listener, ParentRef, Route
from evidence.findings.finding import Severity
from evidence.findings.registry import RunStatus
from evidence.intent.model import ApprovedFlow, Classification, FlowPort, Intent
from tests.builders import block, cluster, named_port, peer, pod, policy, port, rule
from tests.findings.looking import clean, finding, findings, hit, look, near_miss, zone

DB = pod("db-1", "shop", {"app": "db"}, ports=[named_port("pg", 5432)], ip="10.1.0.1")
WEB = pod("web-1", "shop", {"app": "web"}, ports=[named_port("http", 8080)], ip="10.1.0.2")
PROXY = pod("proxy-1", "edge", {"app": "proxy"}, ports=[named_port("https", 443)], ip="10.1.0.3")
DENY = policy("deny", "shop", ingress=[], egress=[])
FROM_OUTSIDE = rule([block("0.0.0.0/0")], [port("pg"), port("http")])
SHOP_ZONE = zone("shop", Classification.CONNECTED_TO, "shop")
EDGE = zone("edge", Classification.CONNECTED_TO, "edge")
INTERNET = zone("internet", Classification.INTERNET, cidrs=["0.0.0.0/0"])
INTENT = Intent(zones=(SHOP_ZONE, EDGE, INTERNET))


def service(name: str, app: str, number: int, kind: str = "LoadBalancer", namespace: str = "shop") -> Service:
    return Service(namespace, name, kind, {"app": app}, (ServicePort("main", Protocol.TCP, number, number),))


def published(*policies: NetworkPolicy, services: tuple[Service, ...], ingresses: tuple[Ingress, ...] = ()) -> Cluster:
    return replace(cluster([DB, WEB, PROXY], policies), services=services, ingresses=ingresses)


def flow(source: str, destination: str, *ports: int) -> ApprovedFlow:
    listed = tuple(FlowPort(Protocol.TCP, number, number) for number in ports)
    return ApprovedFlow(f"{source}-{destination}", source, destination, listed, "public shop", "shop team")


DB_FRONT, WEB_FRONT = service("db", "db", 5432), service("web", "web", 8080)
PROXY_FRONT = service("proxy", "proxy", 443, namespace="edge")
WEB_INSIDE = service("web", "web", 8080, "ClusterIP")
SHOP_INGRESS = Ingress("shop", "shop", "nginx", (IngressBackend("web", 8080), IngressBackend("web", 8080, path="/api")))


@hit("EXP-001")
def test_a_database_behind_a_load_balancer_that_policy_leaves_open_is_exposed() -> None:
    open_db = policy("db", "shop", ingress=[FROM_OUTSIDE])
    found = finding("EXP-001", published(DENY, open_db, services=(DB_FRONT,)))
    assert found.message == (
        "PostgreSQL (TCP 5432) of Pod shop/db-1 is reachable from outside through LoadBalancer Service shop/db"
    )
    assert {str(ref.key) for ref in found.evidence} == {
        "Service shop/db", "NetworkPolicy shop/db", "NetworkPolicy shop/deny"
    }  # fmt: skip


@hit("EXP-001")
def test_a_host_port_in_front_of_a_database_that_no_policy_isolates_is_a_door() -> None:
    mapped = replace(DB, ports=(ContainerPort("pg", Protocol.TCP, 5432, host_port=5432),))
    assert "through hostPort TCP 5432" in finding("EXP-001", cluster([mapped])).message


@near_miss("EXP-001")
def test_a_database_whose_policy_refuses_the_outside_is_not_exposed_by_its_load_balancer() -> None:
    run, found = look("EXP-001", published(DENY, services=(DB_FRONT,)))
    assert (run.status, found) == (RunStatus.RAN, [])


@near_miss("EXP-001")
def test_a_web_server_or_a_database_without_a_door_is_no_exposed_data_store() -> None:
    inside = service("db", "db", 5432, "ClusterIP")
    assert clean("EXP-001", published(services=(WEB_FRONT, inside)))


def test_nodes_that_hide_the_client_open_a_door_as_outside_addresses_do() -> None:
    nodes = policy("db", "shop", {"app": "db"}, ingress=[rule([block("10.0.0.9/32")])])
    agent = pod("agent-1", "kube-system", host_network=True, ip="10.0.0.9")
    open_to_node = replace(cluster([DB, WEB, PROXY, agent], [DENY, nodes]), services=(DB_FRONT,))
    assert findings("EXP-001", open_to_node)


def test_a_node_without_a_known_address_may_hide_the_client_of_a_door_that_seems_shut() -> None:
    nodes = policy("db", "shop", {"app": "db"}, ingress=[rule([block("10.0.0.9/32")])])
    agent = pod("agent-1", "kube-system", host_network=True)
    unsure = replace(cluster([DB, WEB, PROXY, agent], [DENY, nodes]), services=(DB_FRONT,))
    outside_only = replace(unsure, policies=(DENY, policy("db", "shop", {"app": "db"}, ingress=[])))
    assert look("EXP-001", outside_only)[0].status is RunStatus.RAN
    run, _ = look("EXP-001", unsure)
    assert "the address of pod kube-system/agent-1 is not known" in run.reason


def test_ways_in_that_cannot_be_followed_keep_the_rules_from_looking_clean() -> None:
    loose = replace(DB_FRONT, name="loose", selector=None)
    others = frozenset({"httproutes.gateway.networking.k8s.io", "ingressroutes.traefik.io"})
    run, _ = look("EXP-001", replace(published(DENY, services=(loose,)), crds=others))
    assert run.status is RunStatus.PARTIAL
    assert "public Services without a selector were not followed to their endpoints: shop/loose" in run.reason
    assert run.reason.endswith("ways in of kinds that are not read may exist: Traefik IngressRoute")


def test_definitions_of_the_gateway_api_are_no_doubt_where_routes_are_read() -> None:
    gateways = frozenset({"httproutes.gateway.networking.k8s.io"})
    run, _ = look("EXP-001", replace(published(DENY, services=(DB_FRONT,)), crds=gateways))
    assert run.status is RunStatus.RAN
    unread = replace(published(DENY, services=(DB_FRONT,)), unread_kinds=("HTTPRoute",))
    assert "could not be read (whole), and may be ways in: HTTPRoute" in look("EXP-001", unread)[0].reason


@hit("EXP-001")
def test_a_database_published_by_a_route_is_exposed() -> None:
    key = ObjectKey(GATEWAY_GROUP, "TCPRoute", "shop", "db")
    parent = ParentRef(GATEWAY_GROUP, "Gateway", "shop", "front")
    route = Route(key, (parent,), (BackendRef("", "Service", "shop", "db", 5432),))
    front = Gateway("shop", "front", "any", (Listener("pg", 5432, "TCP"),))
    state = published(services=(replace(DB_FRONT, type="ClusterIP"),))
    found = finding("EXP-001", replace(state, routes=(route,), gateways=(front,)))
    assert "through TCPRoute shop/db on Gateway shop/front" in found.message
    assert key in {ref.key for ref in found.evidence}


@near_miss("EXP-001")
def test_a_database_that_the_recognised_controller_may_not_reach_is_not_exposed_by_its_ingress() -> None:
    nginx = replace(PROXY, images=("registry.k8s.io/ingress-nginx/controller:v1.12.0",))
    inside = replace(DB_FRONT, type="ClusterIP")
    from_web = policy("db", "shop", {"app": "db"}, ingress=[rule([peer({"app": "web"})], [port("pg")])])
    state = replace(
        cluster([DB, WEB, nginx], [DENY, from_web]),
        services=(inside, PROXY_FRONT),
        ingresses=(Ingress("shop", "db", "nginx", (IngressBackend("db", 5432),)),),
    )
    known = replace(state, ingress_classes=(IngressClass("nginx", "k8s.io/ingress-nginx"),))
    assert clean("EXP-001", known)
    assert findings("EXP-001", state)  # without the class, any pod may be the controller


@hit("EXP-002")
def test_a_public_workload_without_an_approved_flow_is_found() -> None:
    open_web = policy("web", "shop", {"app": "web"}, ingress=[rule([block("0.0.0.0/0")], [port(8080)])])
    found = finding("EXP-002", published(DENY, open_web, services=(WEB_FRONT,)), INTENT)
    assert found.message == (
        "TCP 8080 of Pod shop/web-1 is reachable from outside through LoadBalancer Service shop/web, and no approved flow covers it"
    )
    assert found.severity is Severity.HIGH


@near_miss("EXP-002")
def test_an_approved_flow_from_the_internet_covers_it() -> None:
    open_web = policy("web", "shop", {"app": "web"}, ingress=[rule([block("0.0.0.0/0")], [port(8080)])])
    approved = replace(INTENT, flows=(flow("internet", "shop", 8080),))
    assert clean("EXP-002", published(DENY, open_web, services=(WEB_FRONT,)), approved)


@hit("EXP-002")
def test_an_ingress_publishes_what_its_controller_may_reach() -> None:
    open_web = policy("web", "shop", {"app": "web"}, ingress=[rule([peer(namespaces={})], [port(8080)])])
    state = published(DENY, open_web, services=(WEB_INSIDE, PROXY_FRONT), ingresses=(SHOP_INGRESS,))
    edge = replace(INTENT, flows=(flow("internet", "edge", 443),))
    assert "through Ingress shop/shop" in finding("EXP-002", state, edge).message


@near_miss("EXP-002")
@pytest.mark.parametrize("source", ["edge", "internet"])
def test_a_flow_from_the_controllers_zone_or_the_internet_approves_an_ingress(source: str) -> None:
    open_web = policy("web", "shop", {"app": "web"}, ingress=[rule([peer(namespaces={})], [port(8080)])])
    state = published(DENY, open_web, services=(WEB_INSIDE, PROXY_FRONT), ingresses=(SHOP_INGRESS,))
    assert clean("EXP-002", state, replace(INTENT, flows=(flow("internet", "edge", 443), flow(source, "shop", 8080))))


def test_an_ingress_whose_controller_is_not_to_be_seen_is_a_doubt() -> None:
    state = published(services=(WEB_INSIDE,), ingresses=(SHOP_INGRESS,))
    run, found = look("EXP-002", state, INTENT)
    assert (run.status, found) == (RunStatus.PARTIAL, [])
    assert "no pod was recognised that could be its controller" in run.reason


@hit("EXP-004")
def test_egress_to_addresses_of_no_zone_goes_to_an_unregistered_endpoint() -> None:
    out = policy("out", "shop", egress=[rule([block("203.0.113.0/24")], [port(443)])])
    intent = Intent(zones=(SHOP_ZONE,))
    found = finding("EXP-004", cluster([DB, WEB], [DENY, out]), intent)
    assert str(found.subject) == "Zone shop"
    assert "203.0.113.0/24 TCP 443" in found.message


@near_miss("EXP-004")
def test_egress_to_a_declared_third_party_is_registered() -> None:
    out = policy("out", "shop", egress=[rule([block("203.0.113.0/24")], [port(443)])])
    party = zone("psp", Classification.THIRD_PARTY, cidrs=["203.0.113.0/24"])
    assert clean("EXP-004", cluster([DB, WEB], [DENY, out]), Intent(zones=(SHOP_ZONE, party)))


CDE = Intent(zones=(zone("cde", Classification.CDE, "shop"), EDGE))


@hit("PRT-001")
def test_a_clear_text_port_across_the_border_of_a_regulated_zone_is_found() -> None:
    plain = policy(
        "web",
        "shop",
        {"app": "web"},
        ingress=[rule([peer(namespaces={"kubernetes.io/metadata.name": "edge"})], [port(8080)])],
    )
    found = finding("PRT-001", cluster([DB, WEB, PROXY], [DENY, plain]), CDE)
    assert found.message == "spec.ingress[0] allows HTTP (TCP 8080) from outside the zone: cde | edge"
    assert found.severity is Severity.HIGH


@hit("PRT-001")
@pytest.mark.parametrize("ports", [[], [port(None)], [port(1, end_port=30)]])
def test_a_rule_that_leaves_every_port_open_allows_clear_text_too(ports: list[object]) -> None:
    wide = policy("web", "shop", egress=[rule([block("192.0.2.0/24")], ports)])  # type: ignore[arg-type]
    assert "cde | outside addresses" in finding("PRT-001", cluster([DB, WEB], [DENY, wide]), CDE).message


@near_miss("PRT-001")
@pytest.mark.parametrize(
    ("peers", "ports"),
    [([peer({"app": "db"})], [port(8080)]), ([peer(namespaces={})], [port(8443)]), ([peer(namespaces={})], [port(69)])],
    ids=["within the zone", "an encrypted port", "the number, for another protocol"],
)
def test_clear_text_within_the_zone_and_encrypted_ports_across_it_are_no_finding(
    peers: list[object], ports: list[object]
) -> None:
    narrow = policy("web", "shop", {"app": "web"}, ingress=[rule(peers, ports)])  # type: ignore[arg-type]
    assert clean("PRT-001", cluster([DB, WEB, PROXY], [DENY, narrow]), CDE)


def test_regulated_pods_that_no_rule_limits_keep_the_clear_text_rule_from_looking_clean() -> None:
    run, found = look("PRT-001", cluster([WEB]), CDE)
    assert (run.status, found) == (RunStatus.PARTIAL, [])
    assert "1 pod of regulated zones not isolated in both directions" in run.reason
