"""Endpoint slices, ingress classes, and the Gateway API: what is read of them, and what is kept of them is enough."""

from ipaddress import ip_address
from typing import Any

import pytest

from evidence.cluster.gatewayapi import GATEWAY_GROUP
from evidence.cluster.model import Cluster, Protocol
from evidence.cluster.objects import Collection, KindResult, KindStatus, ObjectKey, SourceInfo
from evidence.cluster.parse import build_cluster
from evidence.cluster.routes import (
    BackendRef,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    GatewayClass,
    Grant,
    IngressClass,
    Listener,
    ParentRef,
)
from evidence.collect.keep import kept
from evidence.collect.kinds import kind_of
from evidence.errors import InputError
from tests.builders import selector
from tests.manifests import Body, body, cluster_of, collected

V1 = f"{GATEWAY_GROUP}/v1"


def both(raw: Body) -> Cluster:
    """The cluster of an object, which is that of what is kept of it."""
    group, kind = raw["apiVersion"].rpartition("/")[0], raw["kind"]
    known = kind_of(group, kind)
    assert known is not None
    small = kept(known, raw, namespace=raw["metadata"].get("namespace", ""), api_version=raw["apiVersion"])
    found = cluster_of(raw)
    assert cluster_of(small) == found
    return found


def slice_body(**more: Any) -> Body:
    labels = {"labels": {"kubernetes.io/service-name": "web"}}
    return body("discovery.k8s.io/v1", "EndpointSlice", "web-1", metadata=labels, **more)


def test_an_endpoint_slice() -> None:
    endpoints = [
        {"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "web-7"}, "conditions": {"ready": False}},
        {"addresses": ["10.0.0.2", "10.0.0.3"], "targetRef": {"kind": "Node", "name": "n"}},
    ]
    raw = slice_body(addressType="IPv4", endpoints=endpoints, ports=[{"name": "http", "port": 80}, {"protocol": "UDP"}])
    one, two, three = map(ip_address, ("10.0.0.1", "10.0.0.2", "10.0.0.3"))
    assert both(raw).endpoint_slices == (
        EndpointSlice(
            "default", "web-1", "web",
            (Endpoint((one,), "web-7"), Endpoint((two, three))),
            (EndpointPort("http", Protocol.TCP, 80), EndpointPort("", Protocol.UDP, None)),
        ),
    )  # fmt: skip


def test_a_slice_of_host_names_has_no_endpoints_and_one_without_label_no_service() -> None:
    raw = slice_body(addressType="FQDN", endpoints=[{"addresses": ["db.example.com"]}], ports=None)
    assert both(raw).endpoint_slices[0].endpoints == ()
    assert both(body("discovery.k8s.io/v1", "EndpointSlice", endpoints=None)).endpoint_slices[0].service == ""


def test_a_wrong_address_in_a_slice_is_named() -> None:
    raw = slice_body(addressType="IPv4", endpoints=[{"addresses": ["10.0.0.1", "10.0.0.256"]}])
    with pytest.raises(InputError, match=r"endpoints\[0\].addresses\[1\] '10.0.0.256' is not an IP address"):
        cluster_of(raw)


@pytest.mark.parametrize(("value", "default"), [("true", True), ("false", False), (None, False)])
def test_an_ingress_class(value: str | None, default: bool) -> None:
    annotations = {"ingressclass.kubernetes.io/is-default-class": value} if value else {}
    metadata = {"labels": {"app.kubernetes.io/instance": "front"}, "annotations": annotations}
    raw = body("networking.k8s.io/v1", "IngressClass", "nginx", metadata=metadata, spec={"controller": "k8s.io/x"})
    expected = IngressClass("nginx", "k8s.io/x", {"app.kubernetes.io/instance": "front"}, default)
    assert both(raw).ingress_classes == (expected,)


def test_the_field_for_an_ingresss_class_wins_over_the_annotation_of_old() -> None:
    def of(**spec: str) -> str:
        old = {"annotations": {"kubernetes.io/ingress.class": "old"}}
        return both(body("networking.k8s.io/v1", "Ingress", metadata=old, spec=spec)).ingresses[0].ingress_class

    assert (of(), of(ingressClassName="new")) == ("old", "new")


def test_what_services_say_beside_their_ports() -> None:
    plain = both(body("v1", "Service", spec={"clusterIP": "10.96.0.1", "externalIPs": ["203.0.113.9"]})).services[0]
    assert (plain.headless, plain.external_ips, plain.external_name) == (False, ("203.0.113.9",), "")
    assert both(body("v1", "Service", spec={"clusterIP": "None"})).services[0].headless
    named = body("v1", "Service", spec={"type": "ExternalName", "externalName": "db.example.com"})
    assert both(named).services[0].external_name == "db.example.com"


def test_a_gateway_class_and_a_gateway() -> None:
    raw = body(V1, "GatewayClass", "front", spec={"controllerName": "example.com/front"})
    assert both(raw).gateway_classes == (GatewayClass("front", "example.com/front"),)
    listeners = [
        {"name": "own", "port": 80, "protocol": "HTTP"},
        {"name": "all", "port": 443, "protocol": "HTTPS", "allowedRoutes": {"namespaces": {"from": "All"}}},
        {
            "name": "some",
            "port": 5432,
            "protocol": "TCP",
            "allowedRoutes": {
                "namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "shop"}}},
                "kinds": [{"kind": "TCPRoute"}, {"group": "example.com", "kind": "OtherRoute"}],
            },
        },
    ]
    spec = {"gatewayClassName": "front", "listeners": listeners, "addresses": [{"value": "203.0.113.9"}]}
    status = {"addresses": [{"type": "IPAddress", "value": "203.0.113.8"}]}
    (found,) = both(body(V1, "Gateway", "main", "edge", spec=spec, status=status)).gateways
    assert (str(found.key), found.gateway_class) == ("Gateway edge/main", "front")
    assert found.addresses == ("203.0.113.8", "203.0.113.9")
    assert found.listeners == (
        Listener("own", 80, "HTTP"),
        Listener("all", 443, "HTTPS", same_namespace=False),
        Listener("some", 5432, "TCP", selector({"team": "shop"}), same_namespace=False, kinds=frozenset({"TCPRoute"})),
    )


@pytest.mark.parametrize("kind", ["GRPCRoute", "HTTPRoute", "TCPRoute", "TLSRoute", "UDPRoute"])
def test_a_route_with_mirrors(kind: str) -> None:
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "copy", "port": 81}}}
    other = {"type": "RequestRedirect", "requestRedirect": {"hostname": "a.example"}}
    rules = [
        {"backendRefs": [{"name": "web", "port": 80, "weight": 0, "filters": [mirror]}], "filters": [other]},
        {"filters": [mirror], "backendRefs": [{"name": "db", "namespace": "data", "group": "g", "kind": "K"}]},
        {},
    ]
    parents = [
        {"name": "main", "namespace": "edge", "sectionName": "own", "port": 80},
        {"name": "web", "group": "", "kind": "Service"},
    ]
    (found,) = both(body(V1, kind, "web", "shop", spec={"parentRefs": parents, "rules": rules})).routes
    assert found.key == ObjectKey(GATEWAY_GROUP, kind, "shop", "web")
    assert found.parents == (
        ParentRef(GATEWAY_GROUP, "Gateway", "edge", "main", "own", 80),
        ParentRef("", "Service", "shop", "web"),
    )
    copy = BackendRef("", "Service", "shop", "copy", 81)
    assert found.backends == (
        BackendRef("", "Service", "shop", "web", 80, 0), copy, BackendRef("g", "K", "data", "db"), copy
    )  # fmt: skip


def test_a_reference_grant_is_every_pair_of_its_ends() -> None:
    spec = {
        "from": [{"group": GATEWAY_GROUP, "kind": "HTTPRoute", "namespace": "edge"}],
        "to": [{"group": "", "kind": "Service", "name": "web"}, {"group": "", "kind": "Secret"}],
    }
    source = ("default", GATEWAY_GROUP, "HTTPRoute", "edge")
    assert both(body(f"{GATEWAY_GROUP}/v1beta1", "ReferenceGrant", spec=spec)).reference_grants == (
        Grant(*source, "", "Service", "web"),
        Grant(*source, "", "Secret"),
    )


def test_wrong_fields_are_named_by_their_path() -> None:
    wrong = body(V1, "HTTPRoute", spec={"rules": [{"backendRefs": [{"name": "web", "port": "80"}]}]})
    with pytest.raises(InputError, match=r"spec.rules\[0\].backendRefs\[0\].port must be a whole number"):
        cluster_of(wrong)
    loose = body(V1, "Gateway", spec={"listeners": [{"allowedRoutes": {"namespaces": {"from": 1}}}]})
    with pytest.raises(InputError, match=r"spec.listeners\[0\].allowedRoutes.namespaces.from must be a string"):
        cluster_of(loose)


def test_a_collector_that_did_not_know_of_the_gateway_api_left_its_kinds_unread() -> None:
    crd = body("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"httproutes.{GATEWAY_GROUP}")
    listed = tuple(KindResult(GATEWAY_GROUP, kind, KindStatus.LISTED) for kind in ("Gateway", "HTTPRoute"))

    def unread(*bodies: Body, kinds: tuple[KindResult, ...] = ()) -> tuple[str, ...]:
        objects = tuple(collected(raw) for raw in bodies)
        return build_cluster(Collection(SourceInfo("api", "x"), objects, kinds)).unread_kinds

    assert "HTTPRoute" in unread(crd)
    assert unread() == ()
    left = unread(crd, kinds=listed)
    assert "TCPRoute" in left
    assert not {"Gateway", "HTTPRoute"} & set(left)
