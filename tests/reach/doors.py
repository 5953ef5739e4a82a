"""Builders for what leads to pods from outside, and the doors of a small cluster in one line each."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

from evidence.cluster.gatewayapi import GATEWAY_GROUP
from evidence.cluster.model import (
    Cluster,
    Ingress,
    IngressBackend,
    NetworkPolicy,
    Node,
    Pod,
    Protocol,
    Service,
    ServicePort,
)
from evidence.cluster.objects import ObjectKey
from evidence.cluster.routes import (
    BackendRef,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    Gateway,
    Listener,
    ParentRef,
    Route,
)
from evidence.reach.engine import analyse
from evidence.reach.exposure import Exposures
from tests.builders import cluster, named_port, pod

WEB = pod("web-1", "shop", {"app": "web"}, ip="10.1.0.1", ports=[named_port("http", 8080)], node="n1")
DB = pod("db-1", "shop", {"app": "db"}, ip="10.1.0.2", ports=[named_port("pg", 5432)], node="n1")
PROXY = pod("proxy-1", "edge", {"app": "proxy"}, ip="10.1.0.3", ports=[named_port("https", 8443)], node="n2")
NODES = (Node("n1", {}, (ip_address("192.168.0.1"),), True), Node("n2", {}, (ip_address("192.168.0.2"),), True))


def service(
    name: str = "web", app: str = "web", kind: str = "ClusterIP", namespace: str = "shop", **more: Any
) -> Service:
    """Port 80 ("http") leads to TCP 8080, and so does node port 30080 of a public Service. `ranges` are its source ranges."""
    target: int | str = more.pop("target", 8080)
    ranges = tuple(map(ip_network, more.pop("ranges", ())))
    node_port = 30080 if kind in ("NodePort", "LoadBalancer") else 0
    ports = (ServicePort("http", Protocol.TCP, 80, target, more.pop("node_port", node_port)),)
    selector = more.pop("selector", {"app": app})
    return Service(namespace, name, kind, selector, ports, load_balancer_source_ranges=ranges, **more)


def ingress(*backends: tuple[str, int | str], name: str = "shop", namespace: str = "shop", of: str = "") -> Ingress:
    return Ingress(namespace, name, of, tuple(IngressBackend(*backend) for backend in backends))


def gateway(*listeners: Listener, name: str = "front", namespace: str = "edge", of: str = "") -> Gateway:
    return Gateway(namespace, name, of, listeners or (Listener("http", 80, "HTTP", same_namespace=False),))


def route(
    *backends: BackendRef, kind: str = "HTTPRoute", parents: Iterable[ParentRef] | None = None, namespace: str = "shop"
) -> Route:
    """A route called "web" on Gateway edge/front."""
    own = (ParentRef(GATEWAY_GROUP, "Gateway", "edge", "front"),) if parents is None else tuple(parents)
    return Route(ObjectKey(GATEWAY_GROUP, kind, namespace, "web"), own, backends or (to("web"),))


def to(
    name: str, port: int = 80, namespace: str = "shop", kind: str = "Service", group: str = "", weight: int = 1
) -> BackendRef:
    return BackendRef(group, kind, namespace, name, port, weight)


def endpoints(
    service: str, *addresses: str, port: int | None = 8080, pod: str = "", namespace: str = "shop"
) -> EndpointSlice:
    found = tuple(Endpoint((ip_address(address),), pod) for address in addresses)
    return EndpointSlice(namespace, f"{service}-1", service, found, (EndpointPort("http", Protocol.TCP, port),))


def published(
    *policies: NetworkPolicy, pods: Iterable[Pod] = (WEB, DB, PROXY), nodes: tuple[Node, ...] = NODES, **more: Any
) -> Cluster:
    """A cluster of web, db and proxy, with whatever else is given by the cluster's field."""
    return replace(cluster(pods, policies), nodes=nodes, **more)


def exposures(state: Cluster) -> Exposures:
    return Exposures(analyse(state))


def seen(state: Cluster) -> list[str]:
    """ "workload | door | from | ports" of every open door."""
    return [
        f"{found.behind.workload.name} | {found.behind.door.text} | {found.origin_text} | {found.ports}"
        for found in exposures(state).open
    ]
