"""Endpoint slices, ingress classes and the objects of the Gateway API from their raw objects."""

from collections.abc import Iterator
from itertools import chain

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
    strings,
    text,
)
from evidence.cluster.gatewayapi import GATEWAY_GROUP
from evidence.cluster.model import Protocol
from evidence.cluster.objects import CollectedObject
from evidence.cluster.parse_policies import MAX_PORT, label_selector
from evidence.cluster.routes import (
    BackendRef,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    Gateway,
    GatewayClass,
    Grant,
    IngressClass,
    Listener,
    ParentRef,
    Route,
)

SERVICE_LABEL = "kubernetes.io/service-name"
DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
_PROTOCOLS = tuple(protocol.value for protocol in Protocol)
_LEFT_OUT = ("FQDN",)


def endpoint_slice(obj: CollectedObject, metadata: Raw) -> EndpointSlice:
    """The slice of one object; `service` is "" when no label names one."""
    named = _under("metadata", metadata, "labels")
    ports = each(obj.body, "ports", _endpoint_port)
    outside = text(obj.body, "addressType") in _LEFT_OUT
    endpoints = () if outside else each(obj.body, "endpoints", _endpoint)
    return EndpointSlice(obj.key.namespace, obj.key.name, named.get(SERVICE_LABEL, ""), endpoints, ports)


def _endpoint(raw: Raw) -> Endpoint:
    target = mapping(raw, "targetRef")
    found = tuple(address(f"addresses[{index}]", value) for index, value in enumerate(strings(raw, "addresses")))
    return Endpoint(found, text(target, "name") if target.get("kind") == "Pod" else "")


def _endpoint_port(raw: Raw) -> EndpointPort:
    return EndpointPort(
        text(raw, "name"),
        Protocol(choice(raw, "protocol", _PROTOCOLS, "TCP")),
        integer(raw, "port", 0, MAX_PORT) or None,
    )


def ingress_class(obj: CollectedObject, metadata: Raw) -> IngressClass:
    """The class of one object."""
    controller = inside(obj.body, "spec", lambda spec: text(spec, "controller"))
    default = _under("metadata", metadata, "annotations").get(DEFAULT_CLASS) == "true"
    return IngressClass(obj.key.name, controller, _under("metadata", metadata, "labels"), default)


def gateway_class(obj: CollectedObject, metadata: Raw) -> GatewayClass:
    """The class of one object."""
    controller = inside(obj.body, "spec", lambda spec: text(spec, "controllerName"))
    return GatewayClass(obj.key.name, controller, _under("metadata", metadata, "labels"))


def gateway(obj: CollectedObject) -> Gateway:
    """The Gateway of one object."""
    spec, status = mapping(obj.body, "spec"), mapping(obj.body, "status")
    try:
        wanted = each(spec, "addresses", _value)
        listeners = each(spec, "listeners", _listener)
        found_class = text(spec, "gatewayClassName")
    except FieldError as error:
        raise error.under("spec") from None
    try:
        given = each(status, "addresses", _value)
    except FieldError as error:
        raise error.under("status") from None
    found = tuple(dict.fromkeys(value for value in (*given, *wanted) if value))
    return Gateway(obj.key.namespace, obj.key.name, found_class, listeners, found, obj)


def _value(raw: Raw) -> str:
    return text(raw, "value")


def _listener(raw: Raw) -> Listener:
    allowed = mapping(raw, "allowedRoutes")
    try:
        kinds = each(allowed, "kinds", lambda kind: (text(kind, "group", GATEWAY_GROUP), text(kind, "kind")))
        spaces = mapping(allowed, "namespaces")
        try:
            where = text(spaces, "from", "Same")
            selector = inside(spaces, "selector", label_selector) if where == "Selector" else None
        except FieldError as error:
            raise error.under("namespaces") from None
    except FieldError as error:
        raise error.under("allowedRoutes") from None
    return Listener(
        name=text(raw, "name"),
        port=integer(raw, "port", 1, MAX_PORT) or 0,
        protocol=text(raw, "protocol"),
        namespaces=selector,
        same_namespace=where == "Same",
        kinds=frozenset(kind for group, kind in kinds if group == GATEWAY_GROUP) if kinds else None,
    )


def route(obj: CollectedObject) -> Route:
    """The route of one object, of whichever kind."""
    home = obj.key.namespace
    spec = mapping(obj.body, "spec")
    try:
        parents = each(spec, "parentRefs", lambda raw: _parent(raw, home))
        backends = tuple(chain.from_iterable(each(spec, "rules", lambda raw: tuple(_backends(raw, home)))))
    except FieldError as error:
        raise error.under("spec") from None
    return Route(obj.key, parents, backends, obj)


def _parent(raw: Raw, home: str) -> ParentRef:
    return ParentRef(
        text(raw, "group", GATEWAY_GROUP),
        text(raw, "kind") or "Gateway",
        text(raw, "namespace") or home,
        text(raw, "name"),
        text(raw, "sectionName"),
        integer(raw, "port", 1, MAX_PORT) or 0,
    )


def _backends(raw: Raw, home: str) -> Iterator[BackendRef]:
    """Backends of a rule, and where its filters (and those of its backends) mirror requests to."""
    yield from each(raw, "backendRefs", lambda ref: _backend(ref, home))
    yield from _mirrors(raw, home)
    for mirrors in each(raw, "backendRefs", lambda ref: tuple(_mirrors(ref, home))):
        yield from mirrors


def _mirrors(raw: Raw, home: str) -> Iterator[BackendRef]:
    for mirror in each(raw, "filters", lambda found: mapping(found, "requestMirror")):
        if mirror:
            yield inside(mirror, "backendRef", lambda ref: _backend(ref, home))


def _backend(raw: Raw, home: str) -> BackendRef:
    weight = integer(raw, "weight", 0, 1_000_000)
    return BackendRef(
        text(raw, "group"),
        text(raw, "kind") or "Service",
        text(raw, "namespace") or home,
        text(raw, "name"),
        integer(raw, "port", 1, MAX_PORT) or 0,
        1 if weight is None else weight,
    )


def grants(obj: CollectedObject) -> tuple[Grant, ...]:
    """Every pair of one ReferenceGrant."""
    spec = mapping(obj.body, "spec")
    try:
        sources = each(spec, "from", lambda raw: (text(raw, "group"), text(raw, "kind"), text(raw, "namespace")))
        targets = each(spec, "to", lambda raw: (text(raw, "group"), text(raw, "kind"), text(raw, "name")))
    except FieldError as error:
        raise error.under("spec") from None
    return tuple(Grant(obj.key.namespace, *source, *target) for source in sources for target in targets)


def _under(where: str, raw: Raw, key: str) -> dict[str, str]:
    try:
        return dict(labels(raw, key))
    except FieldError as error:
        raise error.under(where) from None
