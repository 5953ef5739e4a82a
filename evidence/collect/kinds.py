"""Every kind that is collected. The collector's ClusterRole (`deploy/clusterrole.yaml`) is made from KINDS."""

import re
from collections.abc import Mapping

from evidence.cluster.rbac import GROUP as RBAC
from evidence.collect.entrances import ENTRANCE_KINDS
from evidence.collect.fields import METADATA, OTHER_POLICY, SELECTOR, Fields, Kind, scalars
from evidence.collect.pluginsettings import PLUGIN_KINDS
from evidence.collect.policies import POLICY_KINDS
from evidence.collect.workloads import WORKLOAD_KINDS

_ROLE: Fields = {"metadata": METADATA}  # and its rules, see kept_rules
_BINDING: Fields = {
    "metadata": METADATA,
    "roleRef": scalars("apiGroup", "kind", "name"),
    "subjects": scalars("apiGroup", "kind", "name", "namespace"),
}


KINDS: tuple[Kind, ...] = (
    *WORKLOAD_KINDS,
    *ENTRANCE_KINDS,
    *POLICY_KINDS,
    *PLUGIN_KINDS,
    Kind(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        ("v1",),
        False,
        {"metadata": scalars("name", "uid", "creationTimestamp")},
    ),
    Kind(
        RBAC,
        "ClusterRole",
        "clusterroles",
        ("v1",),
        False,
        {**_ROLE, "aggregationRule": {"clusterRoleSelectors": SELECTOR}},
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
_OF_A_POLICY = r"(NetworkPolicy|AuthorizationPolicy|FirewallPolicy)$"


def kind_of(group: str, kind: str) -> Kind | None:
    """The kind to collect, None for one that is passed over. A policy kind nobody has heard of is collected as another maker's."""
    known = BY_GROUP_KIND.get((_OLD_GROUPS.get((group, kind), group), kind))
    if known is not None or not group or not re.search(_OF_A_POLICY, kind) or kind.startswith("Staged"):
        return known
    return Kind(group, kind, f"{kind.lower()[:-1]}ies", (), True, OTHER_POLICY)


def why_not_kept(group: str, kind: str) -> str:
    """Why objects of a kind are passed over, for a person."""
    return "never collected: it may hold secrets" if (group, kind) in _NEVER else "no analysis looks at this kind"
