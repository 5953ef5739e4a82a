"""Namespace, Node, Service and Ingress from their raw objects."""

from collections.abc import Iterator
from typing import Any

from evidence.cluster.fields import (
    FieldError,
    Raw,
    address,
    choice,
    each,
    inside,
    integer,
    labels,
    mapping,
    networks,
    strings,
    text,
)
from evidence.cluster.model import (
    Ingress,
    IngressBackend,
    IPAddress,
    IPNetwork,
    Labels,
    Namespace,
    Node,
    Protocol,
    Service,
    ServicePort,
)
from evidence.cluster.objects import CollectedObject
from evidence.cluster.parse_pods import condition
from evidence.cluster.parse_policies import MAX_PORT, port_or_name

NAME_LABEL = "kubernetes.io/metadata.name"
CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_PROTOCOLS = tuple(protocol.value for protocol in Protocol)
_SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")


def namespace(obj: CollectedObject, metadata: Raw) -> Namespace:
    """The API server sets the name label itself, whatever the manifest says."""
    name = obj.key.name
    found = _labels(metadata)
    return Namespace(name, found if found.get(NAME_LABEL) == name else {**found, NAME_LABEL: name}, origin=obj)


def undeclared_namespace(name: str) -> Namespace:
    """A namespace that other objects name and that was not read: only the label that the API server sets is known."""
    return Namespace(name, {NAME_LABEL: name}, declared=False)


def _labels(metadata: Raw) -> Labels:
    try:
        return labels(metadata, "labels")
    except FieldError as error:
        raise error.under("metadata") from None


def node(obj: CollectedObject, metadata: Raw, annotations: Labels) -> Node:
    """The node of one object."""
    found = _labels(metadata)
    spec, status = mapping(obj.body, "spec"), mapping(obj.body, "status")
    try:
        pod_cidrs, provider_id = _pod_cidrs(spec), text(spec, "providerID")
    except FieldError as error:
        raise error.under("spec") from None
    try:
        info = mapping(status, "nodeInfo")
        system = text(info, "operatingSystem") or found.get("kubernetes.io/os") or "linux"
        return Node(
            name=obj.key.name,
            labels=found,
            addresses=tuple(_node_addresses(status)),
            ready=condition(status, "Ready"),
            operating_system=system,
            kubelet_version=text(info, "kubeletVersion"),
            provider_id=provider_id,
            annotations=annotations,
            pod_cidrs=pod_cidrs,
            origin=obj,
        )
    except FieldError as error:
        raise error.under("status") from None


def _pod_cidrs(spec: Raw) -> tuple[IPNetwork, ...]:
    if spec.get("podCIDRs"):
        return networks(spec, "podCIDRs")
    return networks({"podCIDR": [spec["podCIDR"]]}, "podCIDR") if spec.get("podCIDR") else ()


def _node_addresses(status: Raw) -> Iterator[IPAddress]:
    """Every address that is an IP, of whatever type; host names are none."""
    for index, (kind, value) in enumerate(
        each(status, "addresses", lambda raw: (text(raw, "type"), text(raw, "address")))
    ):
        if "DNS" not in kind and kind != "Hostname":
            yield address(f"addresses[{index}].address", value)


def service(obj: CollectedObject) -> Service:
    """The service of one object."""
    spec, status = mapping(obj.body, "spec"), mapping(obj.body, "status")
    try:
        external_ips = tuple(value for value in strings(spec, "externalIPs") if value)
        selector = labels(spec, "selector")
        kind = choice(spec, "type", _SERVICE_TYPES, "ClusterIP")
        ports = each(spec, "ports", _service_port)
        ranges = networks(spec, "loadBalancerSourceRanges")
        policy = choice(spec, "externalTrafficPolicy", ("Cluster", "Local"), "Cluster")
        headless = text(spec, "clusterIP") == "None"
        external_name = text(spec, "externalName")
    except FieldError as error:
        raise error.under("spec") from None
    try:
        external = (*external_ips, *inside(status, "loadBalancer", lambda raw: each(raw, "ingress", _balancer)))
    except FieldError as error:
        raise error.under("status") from None
    return Service(
        namespace=obj.key.namespace,
        name=obj.key.name,
        type=kind,
        selector=selector or None,
        ports=ports,
        external_addresses=tuple(dict.fromkeys(value for value in external if value)),
        load_balancer_source_ranges=ranges,
        external_traffic_policy=policy,
        external_ips=external_ips,
        external_name=external_name,
        headless=headless,
        labels=inside(obj.body, "metadata", lambda meta: labels(meta, "labels")),
        origin=obj,
    )


def _balancer(raw: Raw) -> str:
    return text(raw, "ip") or text(raw, "hostname")


def _service_port(raw: Raw) -> ServicePort:
    port = integer(raw, "port", 1, MAX_PORT)
    if port is None:
        raise FieldError("port", "is missing")
    target = raw.get("targetPort") or None  # 0 and "" are the zero value: the same port
    return ServicePort(
        name=text(raw, "name"),
        protocol=Protocol(choice(raw, "protocol", _PROTOCOLS, "TCP")),
        port=port,
        target_port=(port_or_name(raw, "targetPort") if target is not None else None) or port,
        node_port=integer(raw, "nodePort", 0, MAX_PORT) or 0,
    )


def ingress(obj: CollectedObject, annotations: Labels) -> Ingress:
    """The ingress of one object; backends that are no Service (a storage bucket, say) are left out. The field for the class wins over the
    annotation of old."""
    spec = mapping(obj.body, "spec")
    try:
        found = [_backend(mapping(spec, key), "", "") for key in ("defaultBackend", "backend") if spec.get(key)]
        for of_rule in each(spec, "rules", _ingress_rule):
            found += of_rule
        ingress_class = text(spec, "ingressClassName") or annotations.get(CLASS_ANNOTATION, "")
    except FieldError as error:
        raise error.under("spec") from None
    backends = tuple(backend for backend in found if backend is not None)
    return Ingress(obj.key.namespace, obj.key.name, ingress_class, backends, obj)


def _ingress_rule(raw: Raw) -> tuple[IngressBackend | None, ...]:
    host = text(raw, "host")
    return inside(
        raw,
        "http",
        lambda http: each(
            http, "paths", lambda path: inside(path, "backend", lambda b: _backend(b, host, text(path, "path")))
        ),
    )


def _backend(raw: Raw, host: str, path: str) -> IngressBackend | None:
    if raw.get("serviceName"):  # the v1beta1 spelling
        return IngressBackend(text(raw, "serviceName"), _port(raw.get("servicePort")), host, path)
    target = mapping(raw, "service")
    if not target:
        return None
    port = mapping(target, "port")
    return IngressBackend(text(target, "name"), _port(port.get("number") or port.get("name")), host, path)


def _port(value: Any) -> int | str:
    """A service port by number or name; 0 when none is given (a service with one port)."""
    return port_or_name({"port": value}, "port") or 0
