"""Doors: which ways in lead to which pods and ports, each with its near miss."""

from dataclasses import replace

import pytest

from evidence.cluster.gatewayapi import GATEWAY_GROUP
from evidence.cluster.model import Cluster, ContainerPort, Namespace, Pod, Protocol, Service, ServicePort
from evidence.cluster.routes import GatewayClass, Grant, IngressClass, Listener, ParentRef
from tests.builders import named_port, namespace, pod, selector
from tests.reach.doors import DB, PROXY, WEB, endpoints, exposures, gateway, ingress, published, route, service, to

BALANCER = service(kind="LoadBalancer")


def doors(state: Cluster) -> list[str]:
    """ "workload | door | ports" of every door, open or shut."""
    return [f"{way.workload.name} | {way.door.text} | {way.door.ports}" for way in exposures(state).doors.behind]


@pytest.mark.parametrize(
    ("found", "door"),
    [
        (service(kind="NodePort"), "NodePort Service shop/web"),
        (BALANCER, "LoadBalancer Service shop/web"),
        (service(external_ips=("203.0.113.9",), external_addresses=("203.0.113.9",)), "Service with external addresses shop/web"),
    ],
)  # fmt: skip
def test_a_public_service_is_a_door_to_its_target_port(found: Service, door: str) -> None:
    assert doors(published(services=(found,))) == [f"web-1 | {door} | TCP 8080"]


@pytest.mark.parametrize(
    "found",
    [
        service(),
        service(app="nobody", kind="LoadBalancer"),
        service(namespace="edge", kind="LoadBalancer"),
        service(kind="LoadBalancer", target="no-such-port"),
        service(headless=True, external_ips=("203.0.113.9",), external_addresses=("203.0.113.9",)),
        service(kind="ExternalName", external_name="web.example.com"),
    ],
    ids=["cluster IP", "selects nobody", "of another namespace", "a port nobody has", "headless", "external name"],
)
def test_a_service_that_leads_nowhere_from_outside_is_no_door(found: Service) -> None:
    assert doors(published(services=(found,))) == []


def test_a_named_target_port_is_that_of_each_pod() -> None:
    other = pod("web-2", "shop", {"app": "web"}, ip="10.1.0.9", ports=[named_port("http", 9090)])
    udp = pod("web-3", "shop", {"app": "web"}, ip="10.1.0.10", ports=[named_port("http", 53, "UDP")])
    state = published(pods=(WEB, other, udp), services=(service(kind="NodePort", target="http"),))
    assert doors(state) == [
        "web-1 | NodePort Service shop/web | TCP 8080",
        "web-2 | NodePort Service shop/web | TCP 9090",
    ]


def test_node_ports_go_round_the_source_ranges_of_a_balancer() -> None:
    limited = service(kind="LoadBalancer", ranges=["198.51.100.0/24"])
    assert doors(published(services=(limited,))) == [
        "web-1 | LoadBalancer Service shop/web (source ranges 198.51.100.0/24) | TCP 8080",
        "web-1 | node ports of LoadBalancer Service shop/web | TCP 8080",
    ]
    without = service(kind="LoadBalancer", ranges=["198.51.100.0/24"], node_port=0)
    assert len(doors(published(services=(without,)))) == 1


def test_endpoints_made_by_hand_are_followed_to_the_pods_that_have_their_addresses() -> None:
    loose = service(kind="LoadBalancer", selector=None)
    state = published(services=(loose,), endpoint_slices=(endpoints("web", "10.1.0.2", port=5432),))
    assert doors(state) == ["db-1 | LoadBalancer Service shop/web | TCP 5432"]
    assert exposures(state).doubts == ()


def test_an_endpoint_may_name_its_pod_and_every_port() -> None:
    loose = service(kind="LoadBalancer", selector=None)
    state = published(services=(loose,), endpoint_slices=(endpoints("web", "10.9.9.9", port=None, pod="db-1"),))
    assert doors(state) == ["db-1 | LoadBalancer Service shop/web | every TCP port"]


def test_a_slice_adds_to_what_a_selector_gives() -> None:
    more = endpoints("web", "10.1.0.1", "10.1.0.2")
    assert doors(published(services=(BALANCER,), endpoint_slices=(more,))) == [
        "db-1 | LoadBalancer Service shop/web | TCP 8080",
        "web-1 | LoadBalancer Service shop/web | TCP 8080",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        endpoints("other", "10.1.0.2"),
        endpoints("web", "10.1.0.2", namespace="edge"),
        endpoints("web", "203.0.113.50"),
        replace(endpoints("web", "10.1.0.2"), ports=()),
    ],
    ids=["of another Service", "of another namespace", "outside the cluster", "without ports"],
)
def test_a_slice_that_is_not_the_services_or_leads_out_makes_no_door(wrong: object) -> None:
    loose = service(kind="LoadBalancer", selector=None)
    assert doors(published(services=(loose,), endpoint_slices=(wrong,))) == []


def test_a_public_service_without_selector_and_slices_was_not_followed() -> None:
    loose = service(kind="LoadBalancer", selector=None)
    assert exposures(published(services=(loose,))).doors.unfollowed == (
        "public Services without a selector were not followed to their endpoints: shop/web",
    )
    assert exposures(published(services=(replace(loose, type="ClusterIP"),))).doors.unfollowed == ()


def test_an_endpoint_whose_address_nobody_is_known_to_have_may_be_a_pods() -> None:
    loose = service(kind="LoadBalancer", selector=None)
    made = (endpoints("web", "10.1.0.77"),)
    pending = pod("new-1", "shop")
    assert exposures(published(services=(loose,), endpoint_slices=made)).doors.unfollowed == ()
    (doubt,) = exposures(published(pods=(WEB, pending), services=(loose,), endpoint_slices=made)).doors.unfollowed
    assert doubt == "endpoints of Services may be those of pods whose address is not known: shop/web 10.1.0.77"


def test_host_ports_and_the_host_network_are_doors() -> None:
    mapped = replace(DB, ports=(ContainerPort("pg", Protocol.TCP, 5432, 15432), ContainerPort("", Protocol.TCP, 9187)))
    agent = pod("agent-1", "edge", host_network=True, ip="192.168.0.1")
    assert doors(published(pods=(mapped, agent))) == [
        "agent-1 | the host network | all ports",
        "db-1 | hostPort TCP 15432 | TCP 5432",
    ]
    assert doors(published(pods=(DB,))) == []


@pytest.mark.parametrize(
    ("host_ip", "found"),
    [
        ("192.168.0.1", ["db-1 | hostPort TCP 15432 at 192.168.0.1 | TCP 5432"]),
        ("not-an-address", ["db-1 | hostPort TCP 15432 at not-an-address | TCP 5432"]),
        ("127.0.0.1", []),
        ("::1", []),
    ],
)
def test_a_host_port_is_open_at_its_host_ip_alone_and_not_from_outside_at_loopback(
    host_ip: str, found: list[str]
) -> None:
    mapped = replace(DB, ports=(ContainerPort("pg", Protocol.TCP, 5432, 15432, host_ip),))
    assert doors(published(pods=(mapped,))) == found


def test_a_controller_behind_a_host_port_at_loopback_lets_nobody_in() -> None:
    """It would forward to web, if anybody from outside came to it."""
    for host_ip, count in (("", 1), ("127.0.0.1", 0)):
        proxy = replace(
            PROXY,
            labels={"app.kubernetes.io/name": "ingress-nginx"},
            images=("registry.k8s.io/ingress-nginx/controller:v1",),
            ports=(ContainerPort("http", Protocol.TCP, 80, 80, host_ip),),
        )
        state = published(pods=(WEB, proxy), services=(service(),), ingresses=(ingress(("web", 80)),))
        opened = [found for found in doors(state) if found.startswith("proxy-1 | hostPort")]
        assert len(opened) == count


def test_finished_pods_are_behind_no_door() -> None:
    assert doors(published(pods=(replace(WEB, phase="Succeeded"),), services=(BALANCER,))) == []


# -- Ingress --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("port", [80, "http", 8080, 0], ids=["by number", "by name", "by target port", "any"])
def test_an_ingress_is_a_door_to_its_backends(port: int | str) -> None:
    state = published(services=(service(),), ingresses=(ingress(("web", port)),))
    assert doors(state) == ["web-1 | Ingress shop/shop | TCP 8080"]


@pytest.mark.parametrize("wrong", [("web", 81), ("web", "https"), ("nothing", 80)])
def test_a_backend_that_no_service_offers_is_no_door(wrong: tuple[str, int | str]) -> None:
    assert doors(published(services=(service(),), ingresses=(ingress(wrong),))) == []


def test_an_ingress_never_reaches_into_another_namespace() -> None:
    assert doors(published(services=(service(),), ingresses=(ingress(("web", 80), namespace="edge"),))) == []


def test_all_backends_of_an_ingress_are_one_door_a_workload() -> None:
    twice = replace(service(), ports=(*service().ports, ServicePort("admin", Protocol.TCP, 81, 9000)))
    state = published(services=(twice,), ingresses=(ingress(("web", 80), ("web", 81), ("web", 80)),))
    assert doors(state) == ["web-1 | Ingress shop/shop | TCP 8080, TCP 9000"]


def test_a_headless_service_leads_an_ingress_to_its_pods() -> None:
    assert doors(published(services=(service(headless=True),), ingresses=(ingress(("web", 80)),))) != []


@pytest.mark.parametrize(
    "name", ["web.shop.svc.cluster.local", "web.shop.svc", "web.shop.svc.cluster.local.", "web.shop"]
)
def test_an_external_name_in_the_cluster_leads_on(name: str) -> None:
    alias = service("alias", kind="ExternalName", namespace="edge", external_name=name, selector=None)
    state = published(services=(alias, service()), ingresses=(ingress(("alias", 80), namespace="edge"),))
    assert doors(state) == ["web-1 | Ingress edge/shop | TCP 8080"]


@pytest.mark.parametrize("name", ["web.shop.example.com", "nothing.shop.svc", "alias.edge.svc", ""])
def test_an_external_name_that_leads_out_or_in_a_circle_leads_to_no_pod(name: str) -> None:
    alias = service("alias", kind="ExternalName", namespace="edge", external_name=name, selector=None)
    assert doors(published(services=(alias, service()), ingresses=(ingress(("alias", 80), namespace="edge"),))) == []


def test_an_external_name_that_is_an_address_may_lead_to_a_pod() -> None:
    alias = service("alias", kind="ExternalName", namespace="edge", external_name="10.1.0.1", selector=None)
    through = published(services=(alias,), ingresses=(ingress(("alias", 80), namespace="edge"),))
    assert exposures(through).doors.unfollowed == (
        "ExternalName Services that are addresses may lead Ingresses and routes to pods: edge/alias (10.1.0.1)",
    )
    assert exposures(published(services=(alias,))).doors.unfollowed == ()


# -- the Gateway API ------------------------------------------------------------------------------------------------------

SPACES = [namespace("shop", team="shop"), namespace("edge")]


def routed(*, listener: Listener | None = None, grants: tuple[Grant, ...] = (), **more: object) -> Cluster:
    """Service shop/web behind a route on Gateway edge/front."""
    kind, backends = str(more.pop("kind", "HTTPRoute")), more.pop("backends", (to("web"),))
    parents, home = more.pop("parents", None), str(more.pop("namespace", "shop"))
    found = route(*backends, kind=kind, parents=parents, namespace=home)  # type: ignore[arg-type,misc]
    listeners = (listener,) if listener else ()
    state = published(services=(service(),), gateways=(gateway(*listeners),), routes=(found,), reference_grants=grants)
    spaces: dict[str, Namespace] = {space.name: space for space in SPACES}
    return replace(state, namespaces={**state.namespaces, **spaces}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "protocol"),
    [("HTTPRoute", "HTTP"), ("GRPCRoute", "HTTPS"), ("TLSRoute", "TLS"), ("TCPRoute", "TCP"), ("UDPRoute", "UDP"), ("TCPRoute", "x.io/y")],
)  # fmt: skip
def test_a_route_of_each_kind_is_a_door(kind: str, protocol: str) -> None:
    state = routed(kind=kind, listener=Listener("any", 80, protocol, same_namespace=False))
    assert doors(state) == [f"web-1 | {kind} shop/web on Gateway edge/front | TCP 8080"]


@pytest.mark.parametrize(
    "listener",
    [
        Listener("http", 80, "HTTP"),
        Listener("http", 80, "UDP", same_namespace=False),
        Listener("http", 80, "HTTP", selector({"team": "bank"}), same_namespace=False),
        Listener("http", 80, "HTTP", same_namespace=False, kinds=frozenset({"GRPCRoute"})),
        Listener("http", 80, "HTTP", same_namespace=False, kinds=frozenset()),
    ],
    ids=[
        "own namespace only",
        "another protocol",
        "another team's namespaces",
        "another kind",
        "kinds of somebody else",
    ],
)
def test_a_route_that_no_listener_takes_in_is_no_door(listener: Listener) -> None:
    assert doors(routed(listener=listener)) == []


def test_a_listener_may_select_namespaces_and_kinds() -> None:
    chosen = Listener("h", 80, "HTTP", selector({"team": "shop"}), same_namespace=False, kinds=frozenset({"HTTPRoute"}))
    assert len(doors(routed(listener=chosen))) == 1


@pytest.mark.parametrize(
    ("section", "port", "open_"), [("http", 0, True), ("", 80, True), ("https", 0, False), ("", 443, False)]
)
def test_a_route_may_ask_for_one_listener(section: str, port: int, open_: bool) -> None:
    parent = ParentRef(GATEWAY_GROUP, "Gateway", "edge", "front", section, port)
    assert bool(doors(routed(parents=(parent,)))) is open_


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ((), []),
        ((ParentRef("", "Service", "shop", "web"),), []),
        ((ParentRef(GATEWAY_GROUP, "Gateway", "edge", "elsewhere"),), ["Gateway edge/elsewhere"]),
        ((ParentRef(GATEWAY_GROUP, "ListenerSet", "edge", "more"),), ["ListenerSet edge/more"]),
    ],
    ids=["no parent", "a mesh's", "a Gateway that was not read", "a parent of a kind that is not read"],
)
def test_a_parent_that_was_not_read_may_take_the_route_in(parents: tuple[ParentRef, ...], expected: list[str]) -> None:
    assert doors(routed(parents=parents)) == [f"web-1 | HTTPRoute shop/web on {name} | TCP 8080" for name in expected]


@pytest.mark.parametrize(
    "backend",
    [to("web", weight=0), to("web", port=81), to("nothing"), to("web", kind="ServiceImport", group="multicluster.x-k8s.io")],
)  # fmt: skip
def test_a_backend_without_weight_port_or_service_is_no_door(backend: object) -> None:
    assert doors(routed(backends=(backend,))) == []


def test_a_backend_that_is_no_service_is_a_doubt() -> None:
    state = routed(backends=(to("web", kind="ServiceImport", group="multicluster.x-k8s.io"),))
    assert exposures(state).doubts == (
        "routes to backends that are no Service were not followed: HTTPRoute shop/web (ServiceImport shop/web)",
    )


GRANT = Grant("shop", GATEWAY_GROUP, "HTTPRoute", "edge", "", "Service")


@pytest.mark.parametrize("grant", [GRANT, replace(GRANT, name="web")])
def test_a_grant_lets_a_route_lead_into_another_namespace(grant: Grant) -> None:
    state = routed(namespace="edge", grants=(grant,))
    assert doors(state) == ["web-1 | HTTPRoute edge/web on Gateway edge/front | TCP 8080"]


@pytest.mark.parametrize(
    "grants",
    [
        (),
        (replace(GRANT, name="db"),),
        (replace(GRANT, namespace="edge"),),
        (replace(GRANT, from_kind="TCPRoute"),),
        (replace(GRANT, from_namespace="bank"),),
        (replace(GRANT, to_kind="Secret"),),
    ],
    ids=["none", "another name", "given elsewhere", "another kind", "another namespace", "to something else"],
)
def test_without_the_right_grant_it_does_not(grants: tuple[Grant, ...]) -> None:
    assert doors(routed(namespace="edge", grants=grants)) == []


def test_grants_that_could_not_be_read_may_be_there() -> None:
    assert doors(routed(namespace="edge", unread_kinds=("ReferenceGrant",))) != []


# -- who forwards -----------------------------------------------------------------------------------------------------------

NGINX = replace(PROXY, images=("registry.k8s.io/ingress-nginx/controller:v1.12.0@sha256:0",))
FRONT = service("proxy", "proxy", "LoadBalancer", "edge")
INSIDE = (service(), FRONT)


def fronts(state: Cluster) -> set[str]:
    return {str(way.door.front) for way in exposures(state).doors.behind if way.door.front is not None}


def test_the_controller_of_an_ingress_is_known_by_its_image() -> None:
    known = (IngressClass("nginx", "k8s.io/ingress-nginx"),)
    state = published(
        pods=(WEB, NGINX), services=INSIDE, ingresses=(ingress(("web", 80), of="nginx"),), ingress_classes=known
    )
    assert fronts(state) == {"edge/proxy-1"}


def test_the_controller_of_an_ingress_is_known_by_its_chart_release() -> None:
    labels = {"app.kubernetes.io/instance": "front"}
    proxy = replace(PROXY, labels={**PROXY.labels, **labels})
    known = (IngressClass("own", "example.com/own", labels),)
    state = published(
        pods=(WEB, proxy), services=INSIDE, ingresses=(ingress(("web", 80), of="own"),), ingress_classes=known
    )
    assert fronts(state) == {"edge/proxy-1"}


def test_an_ingress_without_a_class_is_the_default_classs() -> None:
    known = (IngressClass("nginx", "k8s.io/ingress-nginx", default=True), IngressClass("other", "example.com/own"))
    state = published(pods=(WEB, NGINX), services=INSIDE, ingresses=(ingress(("web", 80)),), ingress_classes=known)
    assert fronts(state) == {"edge/proxy-1"}
    none = tuple(replace(found, default=False) for found in known)
    assert fronts(replace(state, ingress_classes=none)) == {"a controller that is not recognised (no ingress class)"}


@pytest.mark.parametrize(
    ("proxy", "services", "classes"),
    [
        (NGINX, INSIDE, ()),
        (NGINX, (service(),), (IngressClass("nginx", "k8s.io/ingress-nginx"),)),
        (PROXY, INSIDE, (IngressClass("nginx", "k8s.io/ingress-nginx"),)),
        (replace(NGINX, images=("example.com/not-ingress-nginx/controllers:1",)), INSIDE, (IngressClass("nginx", "k8s.io/ingress-nginx"),)),
    ],
    ids=["no such class was read", "it has no door of its own", "another image", "an image of nearly that name"],
)  # fmt: skip
def test_a_controller_that_is_not_recognised_is_said_to_be_unknown(
    proxy: Pod, services: tuple[Service, ...], classes: tuple[IngressClass, ...]
) -> None:
    state = published(
        pods=(WEB, proxy),
        services=services,
        ingresses=(ingress(("web", 80), of="nginx"),),
        ingress_classes=classes,
    )
    assert fronts(state) == {"a controller that is not recognised (ingress class nginx)"}


@pytest.mark.parametrize("of", ["alb", "gce", "own"])
def test_a_cloud_forwards_from_outside_the_cluster(of: str) -> None:
    classes = (IngressClass("own", "ingress.k8s.aws/alb"),)
    state = published(services=INSIDE, ingresses=(ingress(("web", 80), of=of),), ingress_classes=classes)
    assert fronts(state) == {f"a balancer outside the cluster (ingress class {of})"}


@pytest.mark.parametrize(
    "labels",
    [
        {"gateway.networking.k8s.io/gateway-name": "front"},
        {
            "gateway.envoyproxy.io/owning-gateway-name": "front",
            "gateway.envoyproxy.io/owning-gateway-namespace": "edge",
        },
    ],
)
def test_the_pods_of_a_gateway_are_known_by_their_labels(labels: dict[str, str]) -> None:
    state = routed()
    proxy = replace(PROXY, labels={"app": "proxy", **labels})
    assert fronts(replace(state, pods=(WEB, proxy), services=INSIDE)) == {"edge/proxy-1"}


def test_the_pods_of_a_gateway_are_known_by_the_controller_of_its_class() -> None:
    traefik = replace(PROXY, images=("docker.io/library/traefik:v3.1",))
    state = replace(routed(), pods=(WEB, traefik), services=INSIDE, gateways=(gateway(of="traefik"),))
    assert fronts(replace(state, gateway_classes=(GatewayClass("traefik", "traefik.io/gateway-controller"),))) == {
        "edge/proxy-1"
    }
    gke = replace(state, gateway_classes=(GatewayClass("traefik", "networking.gke.io/gateway"),))
    assert fronts(gke) == {"a balancer outside the cluster (Gateway edge/front)"}
    assert fronts(state) == {"a controller that is not recognised (Gateway edge/front)"}


def test_ways_in_of_other_makers_are_named() -> None:
    others = frozenset(
        {"ingressroutes.traefik.io", "httproutes.gateway.networking.k8s.io", "virtualservices.networking.istio.io"}
    )
    assert exposures(published(crds=others)).doubts == (
        "ways in of kinds that are not read may exist: Istio VirtualService, Traefik IngressRoute",
    )


def test_kinds_of_doors_that_could_not_be_read_are_named() -> None:
    assert exposures(published(unread_kinds=("HTTPRoute", "Pod", "Service"))).doubts == (
        "could not be read (whole), and may be ways in: HTTPRoute, Service",
    )
