"""The one place that knows which kinds are collected and which of their fields are kept.

1. An allow-list: a field that is not named here is not kept, whatever it is called.
2. No Secret and no ConfigMap is ever collected; no environment value, no volume, no annotation but the network plugins' own and the two
   that choose an ingress class (so no last-applied-configuration, which repeats all of these).
3. Of command lines only those flags that say what a network plugin enforces, and only in the namespaces where plugins live.
4. Policies keep their whole spec, which is the evidence, and of managedFields who changed them by what and when.
5. Of roles only the rules by which segmentation can be changed (evidence/cluster/access.py); roles without such rules are counted, not kept.
6. What changes without anything having changed (resourceVersion, heartbeats, transition times) is not kept, so that an unchanged cluster
   costs the store nothing.

The collector's ClusterRole (`deploy/clusterrole.yaml`) is made from KINDS.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from evidence.cluster.rbac import GROUP as RBAC
from evidence.cluster.rbac import ROLE_KINDS


class Keep(Enum):
    """How much of a field is kept where it is not an object (or a list of objects) with named fields."""

    SCALAR = "text, number or boolean, or a list of these"
    WHOLE = "everything"


Fields = Mapping[str, "Keep | Fields"]

_ONE, _ALL = Keep.SCALAR, Keep.WHOLE


def _scalars(*names: str) -> dict[str, "Keep | Fields"]:
    return dict.fromkeys(names, _ONE)


_OWNERS: Fields = _scalars("apiVersion", "kind", "name", "uid", "controller")
_METADATA: Fields = {
    **_scalars("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp"),
    "labels": _ALL,
    "ownerReferences": _OWNERS,
}
_POLICY_METADATA: Fields = {**_METADATA, **_scalars("generation")}
_SECURITY: Fields = {**_scalars("privileged"), "capabilities": _scalars("add", "drop")}
_PORTS: Fields = _scalars("name", "containerPort", "hostPort", "protocol")
_CONTAINER: Fields = {**_scalars("name", "image", "restartPolicy"), "ports": _PORTS, "securityContext": _SECURITY}
_POD_SPEC: Fields = {
    **_scalars("nodeName", "hostNetwork", "serviceAccountName"),
    "containers": _CONTAINER,
    "initContainers": _CONTAINER,
    "ephemeralContainers": _CONTAINER,
}
_TEMPLATE: Fields = {"metadata": {"labels": _ALL}, "spec": _POD_SPEC}
_CONDITIONS: Fields = _scalars("type", "status")
_SELECTOR: Fields = {"matchLabels": _ALL, "matchExpressions": _scalars("key", "operator", "values")}
_WORKLOAD: Fields = {
    "metadata": _METADATA,
    "spec": {**_scalars("replicas"), "selector": _SELECTOR, "template": _TEMPLATE},
    "status": _scalars("replicas", "readyReplicas"),
}
_POLICY: Fields = {"metadata": _POLICY_METADATA, "spec": _ALL}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind that is collected. `versions`: those that are understood, preferred first; empty: whichever the server prefers."""

    group: str
    kind: str
    plural: str
    versions: tuple[str, ...]
    namespaced: bool
    fields: Fields

    @property
    def name(self) -> str:
        """The resource with its group, as kubectl and RBAC messages write it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def is_policy(self) -> bool:
        return self.fields is _POLICY or self.fields is _OTHER_POLICY


_OTHER_POLICY: Fields = {**_POLICY, "specs": _ALL}  # CiliumNetworkPolicy has both spellings


def _workload(group: str, kind: str, plural: str, fields: Fields = _WORKLOAD) -> Kind:
    return Kind(group, kind, plural, ("v1",), True, fields)


def _other(group: str, kind: str, plural: str, *, namespaced: bool = True) -> Kind:
    return Kind(group, kind, plural, (), namespaced, _OTHER_POLICY)


_CALICO = (
    "NetworkPolicy",
    "GlobalNetworkPolicy",
    "NetworkSet",
    "GlobalNetworkSet",
    "Tier",
    "HostEndpoint",
)


def _calico(kind: str) -> Kind:
    """A kind of crd.projectcalico.org. What its policies mean hangs on its tiers and sets, kept like them. Staged ones enforce nothing."""
    plural = f"{kind.lower()[:-1]}ies" if kind.endswith("Policy") else f"{kind.lower()}s"
    namespaced = kind in ("NetworkPolicy", "NetworkSet")
    return Kind("crd.projectcalico.org", kind, plural, (), namespaced, _OTHER_POLICY)


_JOB: Fields = {
    "metadata": _METADATA,
    "spec": {"template": _TEMPLATE},
    "status": {"conditions": _CONDITIONS},
}
_DAEMON_SET: Fields = {
    **_WORKLOAD,
    "status": _scalars("desiredNumberScheduled", "currentNumberScheduled", "numberReady"),
}
_POLICY_GROUP = "policy.networking.k8s.io"
_GATEWAY_GROUP = "gateway.networking.k8s.io"
_BACKEND: Fields = _scalars("group", "kind", "namespace", "name", "port", "weight")
_FILTERS: Fields = {**_scalars("type"), "requestMirror": {"backendRef": _BACKEND}}


def _gateway_kind(
    kind: str, plural: str, spec: Fields, *, namespaced: bool = True, status: Fields | None = None
) -> Kind:
    fields: Fields = {"metadata": _METADATA, "spec": spec, **({"status": status} if status else {})}
    return Kind(_GATEWAY_GROUP, kind, plural, (), namespaced, fields)


def _route(kind: str) -> Kind:
    spec: Fields = {
        **_scalars("hostnames"),
        "parentRefs": _scalars("group", "kind", "namespace", "name", "sectionName", "port"),
        "rules": {**_scalars("name"), "filters": _FILTERS, "backendRefs": {**_BACKEND, "filters": _FILTERS}},
    }
    return _gateway_kind(kind, f"{kind.lower()}s", spec)


_LISTENERS: Fields = {
    **_scalars("name", "hostname", "port", "protocol"),
    "allowedRoutes": {
        "namespaces": {**_scalars("from"), "selector": _SELECTOR},
        "kinds": _scalars("group", "kind"),
    },
}
# Paths, headers and certificates of routes and listeners do not change who can be reached, and are not kept.
_GATEWAY_API = (
    _gateway_kind("GatewayClass", "gatewayclasses", _scalars("controllerName"), namespaced=False),
    _gateway_kind(
        "Gateway",
        "gateways",
        {**_scalars("gatewayClassName"), "addresses": _scalars("type", "value"), "listeners": _LISTENERS},
        status={"addresses": _scalars("type", "value")},
    ),
    *map(_route, ("GRPCRoute", "HTTPRoute", "TCPRoute", "TLSRoute", "UDPRoute")),
    _gateway_kind(
        "ReferenceGrant",
        "referencegrants",
        {"from": _scalars("group", "kind", "namespace"), "to": _scalars("group", "kind", "name")},
    ),
)

_ROLE: Fields = {"metadata": _METADATA}  # and its rules, see kept_rules
_BINDING: Fields = {
    "metadata": _METADATA,
    "roleRef": _scalars("apiGroup", "kind", "name"),
    "subjects": _scalars("apiGroup", "kind", "name", "namespace"),
}

KINDS: tuple[Kind, ...] = (
    Kind("", "Namespace", "namespaces", ("v1",), False, {"metadata": _METADATA}),
    Kind(
        "",
        "Node",
        "nodes",
        ("v1",),
        False,
        {
            "metadata": _METADATA,
            "spec": _scalars("podCIDR", "podCIDRs", "providerID"),
            "status": {
                "addresses": _scalars("type", "address"),
                "conditions": _CONDITIONS,
                "nodeInfo": _scalars("kubeletVersion", "operatingSystem", "architecture", "osImage", "kernelVersion"),
            },
        },
    ),
    Kind(
        "",
        "Pod",
        "pods",
        ("v1",),
        True,
        {
            "metadata": _METADATA,
            "spec": _POD_SPEC,
            "status": {
                **_scalars("phase", "podIP", "hostIP"),
                "podIPs": _scalars("ip"),
                "hostIPs": _scalars("ip"),
                "conditions": _CONDITIONS,
            },
        },
    ),
    _workload("apps", "Deployment", "deployments"),
    _workload("apps", "StatefulSet", "statefulsets"),
    _workload("apps", "DaemonSet", "daemonsets", _DAEMON_SET),
    _workload("apps", "ReplicaSet", "replicasets"),
    _workload("", "ReplicationController", "replicationcontrollers"),
    _workload("batch", "Job", "jobs", _JOB),
    _workload(
        "batch",
        "CronJob",
        "cronjobs",
        {
            "metadata": _METADATA,
            "spec": {**_scalars("schedule", "suspend"), "jobTemplate": {"spec": {"template": _TEMPLATE}}},
        },
    ),
    Kind(
        "",
        "Service",
        "services",
        ("v1",),
        True,
        {
            "metadata": _METADATA,
            "spec": {
                **_scalars(
                    "type", "clusterIP", "clusterIPs", "externalIPs", "externalName", "loadBalancerSourceRanges"
                ),
                **_scalars("externalTrafficPolicy", "internalTrafficPolicy", "publishNotReadyAddresses"),
                "selector": _ALL,
                "ports": _scalars("name", "protocol", "port", "targetPort", "nodePort"),
            },
            "status": {"loadBalancer": {"ingress": _scalars("ip", "hostname")}},
        },
    ),
    Kind(
        "discovery.k8s.io",
        "EndpointSlice",
        "endpointslices",
        ("v1",),
        True,
        {
            "metadata": _METADATA,
            "addressType": _ONE,
            "endpoints": {
                **_scalars("addresses", "nodeName"),
                "conditions": _scalars("ready", "serving", "terminating"),
                "targetRef": _scalars("kind", "namespace", "name"),
            },
            "ports": _scalars("name", "protocol", "port"),
        },
    ),
    Kind(
        "networking.k8s.io",
        "Ingress",
        "ingresses",
        ("v1",),
        True,
        {
            "metadata": _METADATA,
            "spec": {
                **_scalars("ingressClassName"),
                "defaultBackend": {"service": {**_scalars("name"), "port": _scalars("number", "name")}},
                "backend": _scalars("serviceName", "servicePort"),
                "tls": _scalars("hosts"),
                "rules": {
                    **_scalars("host"),
                    "http": {
                        "paths": {
                            **_scalars("path", "pathType"),
                            "backend": {
                                **_scalars("serviceName", "servicePort"),
                                "service": {**_scalars("name"), "port": _scalars("number", "name")},
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
        {"metadata": _METADATA, "spec": _scalars("controller")},
    ),
    *_GATEWAY_API,
    Kind("networking.k8s.io", "NetworkPolicy", "networkpolicies", ("v1",), True, _POLICY),
    Kind(_POLICY_GROUP, "AdminNetworkPolicy", "adminnetworkpolicies", ("v1alpha1",), False, _POLICY),
    Kind(_POLICY_GROUP, "BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies", ("v1alpha1",), False, _POLICY),
    Kind(_POLICY_GROUP, "ClusterNetworkPolicy", "clusternetworkpolicies", ("v1alpha2",), False, _POLICY),
    Kind(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        ("v1",),
        False,
        {"metadata": _scalars("name", "uid", "creationTimestamp")},
    ),
    Kind(
        "cilium.io",
        "CiliumCIDRGroup",
        "ciliumcidrgroups",
        (),
        False,
        {"metadata": _METADATA, "spec": _scalars("externalCIDRs")},
    ),
    *(_calico(kind) for kind in _CALICO),
    *(replace(_calico(kind), group="projectcalico.org") for kind in _CALICO),
    # Policies of other makers: kept as they are and named wherever they could change a verdict.
    _other("cilium.io", "CiliumNetworkPolicy", "ciliumnetworkpolicies"),
    _other("cilium.io", "CiliumClusterwideNetworkPolicy", "ciliumclusterwidenetworkpolicies", namespaced=False),
    _other("crd.antrea.io", "NetworkPolicy", "networkpolicies"),
    _other("crd.antrea.io", "ClusterNetworkPolicy", "clusternetworkpolicies", namespaced=False),
    _other("networking.k8s.aws", "ClusterNetworkPolicy", "clusternetworkpolicies", namespaced=False),
    _other("networking.k8s.aws", "ApplicationNetworkPolicy", "applicationnetworkpolicies"),
    _other("security.istio.io", "AuthorizationPolicy", "authorizationpolicies"),
    _other("policy.linkerd.io", "AuthorizationPolicy", "authorizationpolicies"),
    _other("policy.linkerd.io", "ServerAuthorization", "serverauthorizations"),
    _other("k8s.ovn.org", "EgressFirewall", "egressfirewalls"),
    _other("network.openshift.io", "EgressNetworkPolicy", "egressnetworkpolicies"),
    _other("network.openshift.io", "NetNamespace", "netnamespaces", namespaced=False),
    _other("kubeovn.io", "SecurityGroup", "security-groups", namespaced=False),
    _other("k8s.cni.cncf.io", "MultiNetworkPolicy", "multi-networkpolicies"),
    _other("networking.gke.io", "FQDNNetworkPolicy", "fqdnnetworkpolicies"),
    _other("crd.nsx.vmware.com", "SecurityPolicy", "securitypolicies"),
    Kind(
        RBAC,
        "ClusterRole",
        "clusterroles",
        ("v1",),
        False,
        {**_ROLE, "aggregationRule": {"clusterRoleSelectors": _SELECTOR}},
    ),
    Kind(RBAC, "ClusterRoleBinding", "clusterrolebindings", ("v1",), False, _BINDING),
    Kind(RBAC, "Role", "roles", ("v1",), True, _ROLE),
    Kind(RBAC, "RoleBinding", "rolebindings", ("v1",), True, _BINDING),
)

BY_GROUP_KIND: Mapping[tuple[str, str], Kind] = {(kind.group, kind.kind): kind for kind in KINDS}

# Groups of servers before 1.16 in which these kinds were served too; the objects are the same.
_OLD_GROUPS: Mapping[tuple[str, str], str] = {
    **{("extensions", kind): "apps" for kind in ("Deployment", "DaemonSet", "ReplicaSet")},
    **{("extensions", kind): "networking.k8s.io" for kind in ("NetworkPolicy", "Ingress")},
}

_NEVER = frozenset({("", "Secret"), ("", "ConfigMap")})
_OF_A_POLICY = re.compile(r"(NetworkPolicy|AuthorizationPolicy|FirewallPolicy)$")


def kind_of(group: str, kind: str) -> Kind | None:
    """The kind to collect, None for one that is passed over. A policy kind nobody has heard of is collected as another maker's."""
    known = BY_GROUP_KIND.get((_OLD_GROUPS.get((group, kind), group), kind))
    if known is not None or not group or not _OF_A_POLICY.search(kind) or kind.startswith("Staged"):
        return known
    return Kind(group, kind, f"{kind.lower()[:-1]}ies", (), True, _OTHER_POLICY)


def why_not_kept(group: str, kind: str) -> str:
    """Why objects of a kind are passed over, for a person."""
    return "never collected: it may hold secrets" if (group, kind) in _NEVER else "no analysis looks at this kind"


# -- annotations, managedFields and arguments: too fine for a table of fields ------------------------------------------

_ANNOTATION = re.compile(
    r"(?!.*(?:password|secret|token))"  # kube-router keeps BGP passwords in one of its own
    r"(?:projectcalico\.org/|cni\.projectcalico\.org/(?:ipv4pools|ipv6pools|podIP|podIPs)$|network\.cilium\.io/|io\.cilium\."
    r"|flannel\.alpha\.coreos\.com/|kube-router\.io/|k8s\.v1\.cni\.cncf\.io/networks$|k3s\.io/node-args$"
    r"|kubernetes\.io/ingress\.class$|ingressclass\.kubernetes\.io/is-default-class$)"
)
_SERVER_ARGUMENTS = "k3s.io/node-args"
_STORED_METADATA = "projectcalico.org/metadata"
PLUGIN_NAMESPACES = frozenset(
    {
        "kube-system",
        "calico-system",
        "tigera-operator",
        "cilium",
        "cilium-system",
        "kube-flannel",
        "kube-ovn",
        "kube-router",
        "ovn-kubernetes",
        "openshift-ovn-kubernetes",
        "openshift-sdn",
    }
)
PLUGIN_FLAGS = frozenset(
    {
        "disable-network-policy",
        "enable-k8s-networkpolicy",
        "enable-network-policy",
        "enable-np",
        "enable-policy",
        "np-enforcement",
        "policy-audit-mode",
        "run-firewall",
    }
)


def kept(kind: Kind, body: Mapping[str, Any], *, namespace: str, api_version: str) -> dict[str, Any]:
    """The kept part of an object's body. The caller has checked the fields that the model reads."""
    found: dict[str, Any] = {"apiVersion": api_version, "kind": kind.kind, **_cut(body, kind.fields)}
    metadata = body.get("metadata")
    if isinstance(metadata, dict):
        annotations = _annotations(metadata.get("annotations"))
        if annotations:
            found["metadata"]["annotations"] = annotations
        if kind.is_policy and metadata.get("managedFields"):
            found["metadata"]["managedFields"] = _managers(metadata["managedFields"])
    if kind.group == RBAC and kind.kind in ROLE_KINDS:
        from evidence.collect.access import kept_rules  # only where there are roles

        found.update(kept_rules(body))
    if namespace in PLUGIN_NAMESPACES and kind.kind in ("DaemonSet", "Deployment", "StatefulSet"):
        _add_arguments(found, body)
    return found


def _cut(value: Mapping[str, Any], fields: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, inner in fields.items():
        content = value.get(name)
        if content is None:
            continue
        if inner is _ALL:
            found[name] = content
        elif inner is _ONE:
            if not isinstance(content, dict | list):
                found[name] = content
            elif isinstance(content, list):
                found[name] = [item for item in content if not isinstance(item, dict | list)]
        elif isinstance(content, dict):
            found[name] = _cut(content, inner)  # type: ignore[arg-type]
        elif isinstance(content, list):
            found[name] = [_cut(item, inner) for item in content if isinstance(item, dict)]  # type: ignore[arg-type]
    return found


def _annotations(annotations: Any) -> dict[str, str]:
    if not isinstance(annotations, dict):
        return {}
    reduce = {_SERVER_ARGUMENTS: _server_arguments, _STORED_METADATA: _stored_labels}
    return {
        name: reduce[name](value) if name in reduce else value
        for name, value in annotations.items()
        if isinstance(value, str) and _ANNOTATION.match(name)
    }


def _stored_labels(annotation: str) -> str:
    """Only the name and labels of the metadata that Calico stores in an annotation: its annotations may hold anything."""
    try:
        stored = json.loads(annotation)
    except (ValueError, RecursionError):
        return "{}"
    if not isinstance(stored, dict):
        return "{}"
    return json.dumps({name: stored[name] for name in ("labels", "name") if name in stored}, sort_keys=True)


def _managers(entries: Any) -> list[dict[str, Any]]:
    """Who changed the object by what operation when; status updates are the plugins' own business."""
    names = ("manager", "operation", "time")
    return [
        {name: entry[name] for name in names if isinstance(entry.get(name), str)}
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and entry.get("subresource") != "status"
    ]


def _server_arguments(annotation: str) -> str:
    """The JSON list of a k3s server's arguments with its first word and the plugin's flags only."""
    try:
        words = json.loads(annotation)
    except ValueError:
        return "[]"
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return "[]"
    return json.dumps([*words[:1], *plugin_arguments(words[1:])])


def plugin_arguments(words: Iterable[str]) -> list[str]:
    """The flags of PLUGIN_FLAGS with their values, in both spellings (`--flag=value`, `--flag value`)."""
    found: list[str] = []
    value_follows = False
    for word in words:
        if word.startswith("-"):
            name, separator, _ = word.lstrip("-").partition("=")
            value_follows = name in PLUGIN_FLAGS and not separator
            if name in PLUGIN_FLAGS:
                found.append(word)
        elif value_follows:
            found.append(word)
            value_follows = False
    return found


def _add_arguments(found: dict[str, Any], body: Mapping[str, Any]) -> None:
    """Put the plugin's flags back into the containers of the pod template, in which nothing else of the command line was kept."""
    small, whole = found, body
    for name in ("spec", "template", "spec"):
        small, whole = small.get(name) or {}, whole.get(name) or {}
    for container, source in zip(small.get("containers") or (), whole.get("containers") or (), strict=True):
        arguments = plugin_arguments([*(source.get("command") or ()), *(source.get("args") or ())])
        if arguments:
            container["args"] = arguments
