"""Settings of network plugins, as they are kept and as they are read from a live cluster (evidence/cluster/plugins.py says which and why).

A ConfigMap is never listed. One is read by its name, where the plugin's agent was found, in the agent's namespace; the collector's role allows
no more than that.
"""

from collections.abc import Iterable

from evidence.cluster.objects import CollectedObject, KindResult, KindStatus, ObjectKey
from evidence.cluster.plugins import CONFIG_MAPS
from evidence.collect.connection import Connection, Refused, Unreachable
from evidence.collect.fields import METADATA, Fields, Kind, scalars
from evidence.collect.keep import PLUGIN_NAMESPACES, kept

# And known words of their settings, see kept_settings.
_NAMED: Fields = {"metadata": scalars("name", "namespace", "uid", "creationTimestamp")}
_SETTINGS: Fields = {"metadata": METADATA}
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
    Kind("operator.tigera.io", "Installation", "installations", (), False, _SETTINGS),
)


def settings_map(group: str, kind: str, namespace: str, name: str) -> Kind | None:
    """The kind to keep a ConfigMap as when it holds a plugin's settings; None for every other."""
    if (group, kind) == ("", "ConfigMap") and name in CONFIG_MAPS and namespace in PLUGIN_NAMESPACES:
        return CONFIG_MAP
    return None


def read_settings(
    connection: Connection, objects: Iterable[CollectedObject]
) -> tuple[tuple[CollectedObject, ...], tuple[KindResult, ...]]:
    """The ConfigMaps of the agents among `objects`, cut down, and how that went; nothing where there is no such agent.

    One that is not there is no failure: what it would say is then not known, which detection says.
    """
    wanted = sorted(
        (obj.key.namespace, AGENTS[obj.key.name])
        for obj in objects
        if (obj.key.group, obj.key.kind) == ("apps", "DaemonSet")
        and obj.key.name in AGENTS
        and obj.key.namespace in PLUGIN_NAMESPACES
    )
    found: list[CollectedObject] = []
    status, messages = KindStatus.LISTED, []
    for namespace, name in wanted:
        path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
        try:
            whole = connection.get(path)
        except Unreachable as error:
            status = KindStatus.FAILED
            messages.append(str(error))
        except Refused as error:
            if error.status == 403:
                status = KindStatus.FORBIDDEN
                messages.append(
                    f"{connection.identity or 'this user'} lacks the verb get on configmaps {namespace}/{name}"
                )
            elif error.status != 404:
                status = KindStatus.FAILED
                messages.append(f"configmaps {namespace}/{name} could not be read ({error.status}): {error.message}")
        else:
            key = ObjectKey("", "ConfigMap", namespace, name)
            body = kept(CONFIG_MAP, whole, namespace=namespace, api_version="v1")
            found.append(CollectedObject.of(key, body, path))
    if not wanted:
        return (), ()
    return tuple(found), (KindResult("", "ConfigMap", status, len(found), message="; ".join(messages)),)
