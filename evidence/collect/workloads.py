"""Namespaces, nodes, pods, their service accounts and what makes pods, as they are kept."""

from evidence.collect.fields import ALL, CONDITIONS, METADATA, SELECTOR, Fields, Kind, scalars

_SECURITY: Fields = {**scalars("privileged"), "capabilities": scalars("add", "drop")}
_PORTS: Fields = scalars("name", "containerPort", "hostPort", "hostIP", "protocol")
_CONTAINER: Fields = {**scalars("name", "image", "restartPolicy"), "ports": _PORTS, "securityContext": _SECURITY}
POD_SPEC: Fields = {
    **scalars("nodeName", "hostNetwork", "serviceAccountName"),
    "containers": _CONTAINER,
    "initContainers": _CONTAINER,
    "ephemeralContainers": _CONTAINER,
}
TEMPLATE: Fields = {"metadata": {"labels": ALL}, "spec": POD_SPEC}
WORKLOAD: Fields = {
    "metadata": METADATA,
    "spec": {**scalars("replicas"), "selector": SELECTOR, "template": TEMPLATE},
    "status": scalars("replicas", "readyReplicas"),
}
_JOB: Fields = {
    "metadata": METADATA,
    "spec": {"template": TEMPLATE},
    "status": {"conditions": CONDITIONS},
}
_DAEMON_SET: Fields = {
    **WORKLOAD,
    "status": scalars("desiredNumberScheduled", "currentNumberScheduled", "numberReady"),
}


def _workload(group: str, kind: str, plural: str, fields: Fields = WORKLOAD) -> Kind:
    return Kind(group, kind, plural, ("v1",), True, fields)


WORKLOAD_KINDS: tuple[Kind, ...] = (
    Kind("", "Namespace", "namespaces", ("v1",), False, {"metadata": METADATA}),
    Kind(
        "",
        "Node",
        "nodes",
        ("v1",),
        False,
        {
            "metadata": METADATA,
            "spec": scalars("podCIDR", "podCIDRs", "providerID"),
            "status": {
                "addresses": scalars("type", "address"),
                "conditions": CONDITIONS,
                "nodeInfo": scalars("kubeletVersion", "operatingSystem", "architecture", "osImage", "kernelVersion"),
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
            "metadata": METADATA,
            "spec": POD_SPEC,
            "status": {
                **scalars("phase", "podIP", "hostIP"),
                "podIPs": scalars("ip"),
                "hostIPs": scalars("ip"),
                "conditions": CONDITIONS,
            },
        },
    ),
    Kind("", "ServiceAccount", "serviceaccounts", ("v1",), True, {"metadata": METADATA}),
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
            "metadata": METADATA,
            "spec": {**scalars("schedule", "suspend"), "jobTemplate": {"spec": {"template": TEMPLATE}}},
        },
    ),
)
