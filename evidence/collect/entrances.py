"""Services, Ingresses and the Gateway API, as they are kept: the ways by which traffic comes to pods."""

from evidence.collect.fields import ALL, METADATA, ONE, SELECTOR, Fields, Kind, scalars

_GATEWAY_GROUP = "gateway.networking.k8s.io"
_BACKEND: Fields = scalars("group", "kind", "namespace", "name", "port", "weight")
_FILTERS: Fields = {**scalars("type"), "requestMirror": {"backendRef": _BACKEND}}


def _gateway_kind(
    kind: str, plural: str, spec: Fields, *, namespaced: bool = True, status: Fields | None = None
) -> Kind:
    fields: Fields = {"metadata": METADATA, "spec": spec, **({"status": status} if status else {})}
    return Kind(_GATEWAY_GROUP, kind, plural, (), namespaced, fields)


def _route(kind: str) -> Kind:
    spec: Fields = {
        **scalars("hostnames"),
        "parentRefs": scalars("group", "kind", "namespace", "name", "sectionName", "port"),
        "rules": {**scalars("name"), "filters": _FILTERS, "backendRefs": {**_BACKEND, "filters": _FILTERS}},
    }
    return _gateway_kind(kind, f"{kind.lower()}s", spec)


_LISTENERS: Fields = {
    **scalars("name", "hostname", "port", "protocol"),
    "allowedRoutes": {
        "namespaces": {**scalars("from"), "selector": SELECTOR},
        "kinds": scalars("group", "kind"),
    },
}
# Paths, headers and certificates of routes and listeners do not change who can be reached, and are not kept.
_GATEWAY_API = (
    _gateway_kind("GatewayClass", "gatewayclasses", scalars("controllerName"), namespaced=False),
    _gateway_kind(
        "Gateway",
        "gateways",
        {**scalars("gatewayClassName"), "addresses": scalars("type", "value"), "listeners": _LISTENERS},
        status={"addresses": scalars("type", "value")},
    ),
    *map(_route, ("GRPCRoute", "HTTPRoute", "TCPRoute", "TLSRoute", "UDPRoute")),
    _gateway_kind(
        "ReferenceGrant",
        "referencegrants",
        {"from": scalars("group", "kind", "namespace"), "to": scalars("group", "kind", "name")},
    ),
)


ENTRANCE_KINDS: tuple[Kind, ...] = (
    Kind(
        "",
        "Service",
        "services",
        ("v1",),
        True,
        {
            "metadata": METADATA,
            "spec": {
                **scalars("type", "clusterIP", "clusterIPs", "externalIPs", "externalName", "loadBalancerSourceRanges"),
                **scalars("externalTrafficPolicy", "internalTrafficPolicy", "publishNotReadyAddresses"),
                "selector": ALL,
                "ports": scalars("name", "protocol", "port", "targetPort", "nodePort"),
            },
            "status": {"loadBalancer": {"ingress": scalars("ip", "hostname")}},
        },
    ),
    Kind(
        "discovery.k8s.io",
        "EndpointSlice",
        "endpointslices",
        ("v1",),
        True,
        {
            "metadata": METADATA,
            "addressType": ONE,
            "endpoints": {
                **scalars("addresses", "nodeName"),
                "conditions": scalars("ready", "serving", "terminating"),
                "targetRef": scalars("kind", "namespace", "name"),
            },
            "ports": scalars("name", "protocol", "port"),
        },
    ),
    Kind(
        "networking.k8s.io",
        "Ingress",
        "ingresses",
        ("v1",),
        True,
        {
            "metadata": METADATA,
            "spec": {
                **scalars("ingressClassName"),
                "defaultBackend": {"service": {**scalars("name"), "port": scalars("number", "name")}},
                "backend": scalars("serviceName", "servicePort"),
                "tls": scalars("hosts"),
                "rules": {
                    **scalars("host"),
                    "http": {
                        "paths": {
                            **scalars("path", "pathType"),
                            "backend": {
                                **scalars("serviceName", "servicePort"),
                                "service": {**scalars("name"), "port": scalars("number", "name")},
                            },
                        }
                    },
                },
            },
        },
    ),
    Kind(
        "networking.k8s.io",
        "IngressClass",
        "ingressclasses",
        ("v1",),
        False,
        {"metadata": METADATA, "spec": scalars("controller")},
    ),
    *_GATEWAY_API,
)
