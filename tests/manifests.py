"""Small builders for raw objects, as they stand in manifests and dumps, and for reading them."""

from collections.abc import Mapping, Sequence
from typing import Any

from evidence.cluster.model import Cluster
from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.cluster.parse import parse, refuse

Body = dict[str, Any]

CLUSTER_SCOPED = frozenset(
    {
        "Namespace",
        "Node",
        "AdminNetworkPolicy",
        "CiliumCIDRGroup",
        "CiliumClusterwideNetworkPolicy",
        "BaselineAdminNetworkPolicy",
        "ClusterNetworkPolicy",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "GatewayClass",
        "IngressClass",
    }
)


def body(api_version: str, kind: str, name: str = "a", namespace: str = "default", **more: Any) -> Body:
    """An object. `more` are its fields besides metadata; `metadata` adds to the name and namespace."""
    where = {} if kind in CLUSTER_SCOPED else {"namespace": namespace}
    metadata = {"name": name, **where, **more.pop("metadata", {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}


def pod_body(name: str = "a", namespace: str = "default", **more: Any) -> Body:
    return body("v1", "Pod", name, namespace, **more)


def policy_body(spec: Any, name: str = "a", namespace: str = "default") -> Body:
    return body("networking.k8s.io/v1", "NetworkPolicy", name, namespace, spec=spec)


def workload_body(kind: str, name: str = "web", labels: Mapping[str, str] | None = None, **more: Any) -> Body:
    """A workload whose pods carry `labels`."""
    template = {"template": {"metadata": {"labels": dict(labels or {})}, "spec": {"containers": []}}}
    match kind:
        case "CronJob":
            return body("batch/v1", kind, name, spec={"jobTemplate": {"spec": template}}, **more)
        case "Job":
            return body("batch/v1", kind, name, spec=template, **more)
        case "ReplicationController":
            return body("v1", kind, name, spec=template, **more)
        case _:
            return body("apps/v1", kind, name, spec=template, **more)


def owned_by(kind: str, name: str, api_version: str = "apps/v1") -> Body:
    return {
        "ownerReferences": [{"apiVersion": api_version, "kind": kind, "name": name, "uid": "u", "controller": True}]
    }


def collected(raw: Body, source: str = "test.yaml:1") -> CollectedObject:
    """The object as a source would hand it on, not cut down."""
    metadata = raw["metadata"]
    group = raw["apiVersion"].rpartition("/")[0]
    key = ObjectKey(group, raw["kind"], metadata.get("namespace", ""), metadata["name"])
    return CollectedObject(key, raw, source, kept=False)


def cluster_of(*bodies: Body) -> Cluster:
    """The cluster that the bodies make; raises what is wrong with them."""
    return parsed_cluster(bodies)


def parsed_cluster(bodies: Sequence[Body]) -> Cluster:
    parsed = parse(collected(raw) for raw in bodies)
    refuse(wrong.error for wrong in parsed.errors)
    return parsed.cluster()
