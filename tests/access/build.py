"""Small builders for RBAC objects, as manifests have them."""

from collections.abc import Sequence
from typing import Any

from tests.manifests import Body, body

VERSION = "rbac.authorization.k8s.io/v1"
WRITE = ("create", "patch", "update")
POLICIES = ("networking.k8s.io", "networkpolicies")


def rule(*resources: tuple[str, str], verbs: Sequence[str] = WRITE, names: Sequence[str] = ()) -> Body:
    """A rule on (group, resource) pairs."""
    found: Body = {
        "apiGroups": sorted({group for group, _ in resources}),
        "resources": [resource for _, resource in resources],
        "verbs": list(verbs),
    }
    return {**found, "resourceNames": list(names)} if names else found


def role(name: str, *rules: Body, namespace: str = "", **more: Any) -> Body:
    if namespace:
        return body(VERSION, "Role", name, namespace, rules=list(rules), **more)
    return body(VERSION, "ClusterRole", name, rules=list(rules), **more)


def user(name: str) -> Body:
    return {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name}


def group(name: str) -> Body:
    return {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": name}


def account(name: str, namespace: str) -> Body:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def bound(to: str, *subjects: Body, namespace: str = "", kind: str = "ClusterRole", name: str = "") -> Body:
    """A binding to a role; without a namespace it is a ClusterRoleBinding."""
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": to}
    sort = "RoleBinding" if namespace else "ClusterRoleBinding"
    return body(VERSION, sort, name or to, namespace or "default", roleRef=ref, subjects=list(subjects))
