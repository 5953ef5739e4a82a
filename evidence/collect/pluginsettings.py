"""Settings of network plugins, as they are kept (evidence/cluster/plugins.py says which and why)."""

from evidence.cluster.plugins import CONFIG_MAPS
from evidence.collect.fields import METADATA, Fields, Kind, scalars

# Where plugins live.
PLUGIN_NAMESPACES = frozenset(
    {
        "kube-system",
        "aci-containers-system",
        "calico-system",
        "tigera-operator",
        "cilium",
        "cilium-system",
        "kube-flannel",
        "kube-ovn",
        "kube-router",
        "ovn-kubernetes",
        "openshift-multus",
        "openshift-ovn-kubernetes",
        "openshift-sdn",
    }
)

# And known words of their settings, see kept_settings.
_NAMED: Fields = {"metadata": scalars("name", "namespace", "uid", "creationTimestamp")}
_SETTINGS: Fields = {"metadata": METADATA}
_ENDPOINT: Fields = {"metadata": METADATA, "spec": {"policyRef": scalars("namespace", "name")}}
CONFIG_MAP = Kind("", "ConfigMap", "configmaps", ("v1",), True, _NAMED)
AGENTS = {
    "aws-node": "amazon-vpc-cni",
    "azure-npm": "azure-npm-config",
    "cilium": "cilium-config",
}  # DaemonSet: its ConfigMap

PLUGIN_KINDS: tuple[Kind, ...] = (
    Kind("cilium.io", "CiliumNodeConfig", "ciliumnodeconfigs", (), True, _SETTINGS),
    Kind("crd.projectcalico.org", "FelixConfiguration", "felixconfigurations", (), False, _SETTINGS),
    Kind("projectcalico.org", "FelixConfiguration", "felixconfigurations", (), False, _SETTINGS),
    Kind("networking.k8s.aws", "PolicyEndpoint", "policyendpoints", (), True, _ENDPOINT),
    Kind("operator.tigera.io", "Installation", "installations", (), False, _SETTINGS),
)


def settings_map(group: str, kind: str, namespace: str, name: str) -> Kind | None:
    """The kind to keep a ConfigMap as when it holds a plugin's settings; None for every other."""
    if (group, kind) == ("", "ConfigMap") and name in CONFIG_MAPS and namespace in PLUGIN_NAMESPACES:
        return CONFIG_MAP
    return None
