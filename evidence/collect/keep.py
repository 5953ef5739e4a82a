"""The one place that cuts objects down to what is kept.

1. An allow-list: a field that is not named in the table of its kind (kinds.py) is not kept, whatever it is called.
2. No Secret is ever collected, no volume, no annotation but the network plugins' own and the two that choose an ingress class (so no
   last-applied-configuration, which repeats all of these).
3. Of command lines only those flags that say what a network plugin enforces, and only in the namespaces where plugins live. Of ConfigMaps and
   of environments only the few settings of evidence/cluster/plugins.py, and of their values only known words.
4. Policies keep their whole spec, which is the evidence; they, namespaces and rights keep of managedFields who changed them by what and when.
5. Of roles only the rules by which segmentation can be changed (evidence/cluster/access.py); roles without such rules are counted, not kept.
6. What changes without anything having changed (resourceVersion, heartbeats, transition times) is not kept, so that an unchanged cluster
   costs the store nothing.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from evidence.cluster.plugins import SETTINGS_KINDS, SOURCES, container_environment, has_sources, kept_settings
from evidence.cluster.rbac import GROUP as RBAC
from evidence.cluster.rbac import ROLE_KINDS
from evidence.collect.fields import ALL, ONE, Fields, Kind
from evidence.collect.pluginsettings import PLUGIN_NAMESPACES

_ANNOTATION = re.compile(
    r"(?!.*(?:password|secret|token))"  # kube-router keeps BGP passwords in one of its own
    r"(?:projectcalico\.org/|cni\.projectcalico\.org/(?:ipv4pools|ipv6pools|podIP|podIPs)$|network\.cilium\.io/|io\.cilium\."
    r"|k8s\.ovn\.org/(?:node-chassis-id|node-subnets|zone-name)$|opflex\.cisco\.com/pod-network-ranges$"
    r"|flannel\.alpha\.coreos\.com/|kube-router\.io/|k8s\.v1\.cni\.cncf\.io/networks$|k3s\.io/node-args$"
    r"|kubernetes\.io/ingress\.class$|ingressclass\.kubernetes\.io/is-default-class$)"
)
_SERVER_ARGUMENTS = "k3s.io/node-args"
_STORED_METADATA = "projectcalico.org/metadata"
PLUGIN_FLAGS = frozenset(
    {
        "disable-network-policy",
        "enable-anp",
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
        if _says_who(kind) and metadata.get("managedFields"):
            found["metadata"]["managedFields"] = _managers(metadata["managedFields"])
    if kind.group == RBAC and kind.kind in ROLE_KINDS:
        from evidence.collect.access import kept_rules  # only where there are roles

        found.update(kept_rules(body))
    if (kind.group, kind.kind) in SETTINGS_KINDS:
        found.update(kept_settings(kind.kind, found["metadata"]["name"], body))
    if namespace in PLUGIN_NAMESPACES and kind.kind in ("DaemonSet", "Deployment", "StatefulSet"):
        _add_arguments(found, body)
    return found


def _says_who(kind: Kind) -> bool:
    """Whether it is kept who changed an object: policies, namespaces (zones and policies hang on their labels), and rights."""
    return kind.is_policy or kind.group == RBAC or (kind.group, kind.kind) == ("", "Namespace")


def _cut(value: Mapping[str, Any], fields: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, inner in fields.items():
        content = value.get(name)
        if content is None:
            continue
        if inner is ALL:
            found[name] = content
        elif inner is ONE:
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
    """Put the plugin's flags and settings back into the containers of the pod template, in which nothing else of these was kept."""
    small, whole = found, body
    for name in ("spec", "template", "spec"):
        small, whole = small.get(name) or {}, whole.get(name) or {}
    for container, source in zip(small.get("containers") or (), whole.get("containers") or (), strict=True):
        arguments = plugin_arguments([*(source.get("command") or ()), *(source.get("args") or ())])
        if arguments:
            container["args"] = arguments
        if settings := container_environment(source):
            container["env"] = [{"name": name, "value": value} for name, value in sorted(settings.items())]
    for container, source in zip(small.get("initContainers") or (), whole.get("initContainers") or (), strict=True):
        if has_sources(source):
            container["args"] = [SOURCES]
