"""Settings of network plugins: which ones say what a plugin enforces, where they lie, and what is read of them.

1. A setting counts by its name, and its value only when it is one of the few words that mean something here. Any other value is read, kept
   and shown as `ANOTHER`: whatever a person may have put into it, it goes nowhere.
2. They lie in one ConfigMap a plugin (CONFIG_MAPS, by name and in the namespace of the plugin's agent), in the agent's environment, and in
   the plugin's own kinds (CiliumNodeConfig, FelixConfiguration, Installation).
3. A value that comes from somewhere else (`valueFrom`, `envFrom`) is not seen, and said so.

Sources: Cilium's and Calico's references of agent options, the Amazon VPC CNI's README, Azure's network policy manager (its configuration file).
"""

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from evidence.cluster.fields import Raw, inside, mapping, text
from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.values import value

ANOTHER = "another value"
FROM_ELSEWHERE = "envFrom"  # stands among an agent's environment for names that cannot be seen
SOURCES = "--source"  # so does this flag of an init container, by which Cilium is told to read its settings from further places

_YES_NO = frozenset({"true", "false"})
_CILIUM: Mapping[str, frozenset[str]] = {
    "enable-policy": frozenset({"default", "always", "never"}),
    "policy-audit-mode": _YES_NO,
    "enable-k8s-networkpolicy": _YES_NO,
    "enable-cilium-network-policy": _YES_NO,
    "enable-cilium-clusterwide-network-policy": _YES_NO,
    "enable-k8s-cluster-network-policy": _YES_NO,
    "enable-sctp": _YES_NO,
    "policy-cidr-match-mode": frozenset({"", "nodes"}),
    "cni-chaining-mode": frozenset({"none", "aws-cni", "azure", "flannel", "generic-veth", "portmap"}),
    "labels": frozenset({""}),
    "label-prefix-file": frozenset({""}),
}
_NPM_FILE, _NPM_LITE = (
    "azure-npm.json",
    "EnableNPMLite",
)  # a JSON text among the data, and the one switch in it that counts

CONFIG_MAPS: Mapping[str, Mapping[str, frozenset[str]]] = {
    "amazon-vpc-cni": {"enable-network-policy-controller": _YES_NO},
    "azure-npm-config": {_NPM_LITE: _YES_NO},
    "cilium-config": _CILIUM,
}
ENVIRONMENT: Mapping[str, frozenset[str]] = {
    **{f"CILIUM_{name.replace('-', '_').upper()}": words for name, words in _CILIUM.items()},
    "FELIX_BPFENABLED": _YES_NO,
    "NETWORK_POLICY_ENFORCING_MODE": frozenset({"standard", "strict"}),
    "POD_SECURITY_GROUP_ENFORCING_MODE": frozenset({"standard", "strict"}),
}
FELIX_FIELDS: Mapping[str, frozenset[str]] = {
    "bpfEnabled": _YES_NO,
    "defaultEndpointToHostAction": frozenset({"accept", "drop", "return"}),
}
INSTALLATION_FIELDS: Mapping[str, frozenset[str]] = {
    "linuxDataplane": frozenset({"iptables", "bpf", "nftables", "vpp"}),
    "type": frozenset({"calico", "gke", "amazonvpc", "azurevnet"}),
    "variant": frozenset({"calico", "tigerasecureenterprise", "calicoenterprise"}),
}
SETTINGS_KINDS = frozenset(
    {
        ("", "ConfigMap"),
        ("cilium.io", "CiliumNodeConfig"),
        ("crd.projectcalico.org", "FelixConfiguration"),
        ("operator.tigera.io", "Installation"),
        ("projectcalico.org", "FelixConfiguration"),
    }
)
POLICY_ENDPOINT = (
    "networking.k8s.aws",
    "PolicyEndpoint",
)  # what the Amazon VPC CNI's controller hands to its agents of one policy
DEFINED_BY = {  # kinds of which a source has to speak where their definition is there
    ("cilium.io", "CiliumNodeConfig"): "ciliumnodeconfigs.cilium.io",
    POLICY_ENDPOINT: "policyendpoints.networking.k8s.aws",
}


@value()
class PluginSettings:
    """One object's settings; `values` are lower-case words, or ANOTHER."""

    key: ObjectKey
    values: Mapping[str, str]
    origin: CollectedObject | None = field(default=None, compare=False, repr=False)


def known_words(values: Any, words: Mapping[str, frozenset[str]]) -> dict[str, str]:
    """Of `values` those settings that `words` names, each as the word it is, or ANOTHER."""
    if not isinstance(values, dict):
        return {}
    return {name: _word(values[name], words[name]) for name in sorted(words) if values.get(name) is not None}


def _word(value: Any, words: frozenset[str]) -> str:
    if isinstance(value, bool):
        value = str(value)
    text = value.strip().lower() if isinstance(value, str) else ANOTHER
    return text if text in words else ANOTHER


def is_settings_map(name: str) -> bool:
    """Whether a ConfigMap of this name is one of those few."""
    return name in CONFIG_MAPS


def config_map_values(name: str, data: Any) -> dict[str, str]:
    """The settings in a ConfigMap's data, whole or already cut down."""
    words = CONFIG_MAPS.get(name, {})
    if isinstance(data, dict) and _NPM_LITE in words and isinstance(data.get(_NPM_FILE), str):
        data = _npm_toggles(data[_NPM_FILE])
    return known_words(data, words)


def _npm_toggles(text: str) -> Any:
    """The switches of Azure's configuration file; where it cannot be read, that the one that counts has another value."""
    try:
        toggles = json.loads(text).get("Toggles", {})
    except (ValueError, AttributeError, RecursionError):
        return {_NPM_LITE: ANOTHER}
    found = toggles.get(_NPM_LITE, False) if isinstance(toggles, dict) else ANOTHER
    return {_NPM_LITE: found}


def kept_settings(kind: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of an object of one of SETTINGS_KINDS beside its metadata; `plugin_settings` reads the same out of it as out of the whole."""
    if kind == "ConfigMap":
        return {"data": config_map_values(name, body.get("data"))}
    whole = body.get("spec")
    spec: Mapping[str, Any] = whole if isinstance(whole, dict) else {}
    match kind:
        case "CiliumNodeConfig":
            return {"spec": {"defaults": known_words(spec.get("defaults"), _CILIUM)}}
        case "FelixConfiguration":
            return {"spec": known_words(spec, FELIX_FIELDS)}
        case _:
            of_calico, of_cni = spec.get("calicoNetwork"), spec.get("cni")
            return {
                "spec": {
                    "calicoNetwork": known_words(of_calico, INSTALLATION_FIELDS),
                    "cni": known_words(of_cni, INSTALLATION_FIELDS),
                    **known_words(spec, {"variant": INSTALLATION_FIELDS["variant"]}),
                }
            }


def plugin_settings(obj: CollectedObject) -> PluginSettings:
    """The settings of an object of one of SETTINGS_KINDS."""
    body, kind = obj.body, obj.key.kind
    if kind == "ConfigMap":
        return PluginSettings(obj.key, config_map_values(obj.key.name, body.get("data")), obj)
    spec = mapping(body, "spec")
    match kind:
        case "CiliumNodeConfig":
            values = known_words(spec.get("defaults"), _CILIUM)
        case "FelixConfiguration":
            values = known_words(spec, FELIX_FIELDS)
        case _:
            flat = {**mapping(spec, "calicoNetwork"), **mapping(spec, "cni"), "variant": spec.get("variant")}
            values = known_words(flat, INSTALLATION_FIELDS)
    return PluginSettings(obj.key, values, obj)


def policy_handed_over(obj: CollectedObject) -> tuple[str, str]:
    """Namespace and name of the policy that a PolicyEndpoint carries (a part of)."""
    policy = inside(obj.body, "spec", lambda spec: mapping(spec, "policyRef"))
    return text(policy, "namespace") or obj.key.namespace, text(policy, "name")


def environment(pod_spec: Raw) -> dict[str, str]:
    """What the containers' environment says of the settings; of several containers the last that says it."""
    found: dict[str, str] = {}
    first = pod_spec.get("initContainers")
    if any(
        isinstance(container, dict) and has_sources(container)
        for container in (first if isinstance(first, list) else ())
    ):
        found[SOURCES] = ANOTHER
    containers = pod_spec.get("containers")
    for container in containers if isinstance(containers, list) else ():
        if isinstance(container, dict):
            found.update(container_environment(container))
    return found


def has_sources(container: Mapping[str, Any]) -> bool:
    """Whether a command line names the places to read settings from."""
    lines = (container.get("command"), container.get("args"))
    return any(str(word).startswith(SOURCES) for line in lines if isinstance(line, list) for word in line)


def container_environment(container: Mapping[str, Any]) -> dict[str, str]:
    """As `environment`, of one container."""
    found: dict[str, str] = {}
    entries = container.get("env")
    for entry in entries if isinstance(entries, list) else ():
        name = entry.get("name") if isinstance(entry, dict) else None
        if name == FROM_ELSEWHERE:  # of an object that was cut down
            found[FROM_ELSEWHERE] = ANOTHER
        elif isinstance(name, str) and name in ENVIRONMENT:
            value = ANOTHER if entry.get("valueFrom") else entry.get("value", "")
            found[name] = _word(value, ENVIRONMENT[name])
    if container.get("envFrom"):
        found[FROM_ELSEWHERE] = ANOTHER
    return found
