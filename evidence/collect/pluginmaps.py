"""The ConfigMaps that hold settings of network plugins, read from a live cluster.

A ConfigMap is never listed. One is read by its name, where the plugin's agent was found, in the agent's namespace; the collector's role allows
no more than that.
"""

from collections.abc import Iterable

from evidence.cluster.objects import CollectedObject, KindResult, KindStatus, ObjectKey
from evidence.collect.connection import Connection, Refused, Unreachable
from evidence.collect.keep import kept
from evidence.collect.pluginsettings import AGENTS, CONFIG_MAP, PLUGIN_NAMESPACES


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
