"""Who may change segmentation, as far as RBAC says it: roles cut down to the rights that matter, and what binds them to whom.

A right matters when whoever holds it can change what segmentation hangs on (`Power`). `GUARDED` lists the resources; policy kinds of makers
nobody has heard of are known by their names, as when they are collected. Meanings of verbs, wildcards, resourceNames and subresources:
https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import field, replace
from enum import StrEnum
from functools import lru_cache

from evidence.cluster.model import Labels
from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.cluster.rbac import GROUP
from evidence.cluster.selectors import LabelSelector
from evidence.values import value

ANY = "*"


class Power(StrEnum):
    """What a right lets its holder do to segmentation, in the words of the report."""

    POLICIES = "change policies"
    NAMESPACE_LABELS = "change labels of namespaces"
    POD_LABELS = "change labels of pods"
    ENFORCEMENT = "change what the network plugin enforces"
    ROLES = "give out rights it does not have"
    IMPERSONATION = "act as somebody else"


@value()
class Guarded:
    """A resource that matters, and the verbs that change it. A RoleBinding grants nothing on one that is not `namespaced`, but for
    `own_namespace_verbs`: requests for a namespace by name are made in that namespace."""

    group: str
    resource: str
    power: Power
    verbs: frozenset[str]
    namespaced: bool = True
    own_namespace_verbs: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """As kubectl names it: "networkpolicies.networking.k8s.io"."""
        return f"{self.resource}.{self.group}" if self.group else self.resource


@value()
class AccessRule:
    """PolicyRule of a role, without everything that does not matter. `names` empty: every object."""

    groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()


@value()
class AccessRole:
    """A Role, or a ClusterRole with `namespace` "". `aggregates`: selectors of the ClusterRoles whose rules it takes over."""

    key: ObjectKey
    labels: Labels
    rules: tuple[AccessRule, ...]
    aggregates: tuple[LabelSelector, ...] = ()
    origin: CollectedObject | None = field(default=None, compare=False, repr=False)

    @property
    def matters(self) -> bool:
        """False when it grants nothing that matters and takes over no other role's rules."""
        return bool(self.rules or self.aggregates)


@value(order=True)
class AccessSubject:
    """User, Group or ServiceAccount; `namespace` is "" but for a ServiceAccount."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@value()
class AccessBinding:
    """A RoleBinding, or a ClusterRoleBinding with `namespace` "" in its key."""

    key: ObjectKey
    role: ObjectKey
    subjects: tuple[AccessSubject, ...]
    origin: CollectedObject | None = field(default=None, compare=False, repr=False)


_CHANGES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_LABELS = frozenset({"create", "update", "patch"})
_IN_PLACE = frozenset({"update", "patch"})


def _policies(group: str, *resources: str, namespaced: bool = True) -> Iterator[Guarded]:
    for resource in resources:
        yield Guarded(group, resource, Power.POLICIES, _CHANGES, namespaced)


def _calico(group: str) -> Iterator[Guarded]:
    yield from _policies(group, "networkpolicies", "networksets", "stagednetworkpolicies")
    yield from _policies(group, "stagedkubernetesnetworkpolicies")
    yield from _policies(
        group,
        "globalnetworkpolicies",
        "globalnetworksets",
        "hostendpoints",
        "stagedglobalnetworkpolicies",
        "tiers",
        namespaced=False,
    )


GUARDED: tuple[Guarded, ...] = (
    *_policies("networking.k8s.io", "networkpolicies"),
    *_policies(
        "policy.networking.k8s.io",
        "adminnetworkpolicies",
        "baselineadminnetworkpolicies",
        "clusternetworkpolicies",
        namespaced=False,
    ),
    *_calico("crd.projectcalico.org"),
    *_calico("projectcalico.org"),
    *_policies("cilium.io", "ciliumnetworkpolicies"),
    *_policies("cilium.io", "ciliumclusterwidenetworkpolicies", "ciliumcidrgroups", namespaced=False),
    *_policies("crd.antrea.io", "networkpolicies"),
    *_policies("crd.antrea.io", "clusternetworkpolicies", namespaced=False),
    *_policies("networking.k8s.aws", "applicationnetworkpolicies"),
    *_policies("networking.k8s.aws", "clusternetworkpolicies", namespaced=False),
    *_policies("security.istio.io", "authorizationpolicies"),
    *_policies("policy.linkerd.io", "authorizationpolicies", "serverauthorizations"),
    *_policies("k8s.ovn.org", "egressfirewalls"),
    *_policies("network.openshift.io", "egressnetworkpolicies"),
    *_policies("network.openshift.io", "netnamespaces", namespaced=False),
    *_policies("kubeovn.io", "security-groups", namespaced=False),
    *_policies("k8s.cni.cncf.io", "multi-networkpolicies"),
    *_policies("networking.gke.io", "fqdnnetworkpolicies"),
    *_policies("crd.nsx.vmware.com", "securitypolicies"),
    Guarded("cilium.io", "ciliumnodeconfigs", Power.ENFORCEMENT, _CHANGES),
    Guarded("crd.projectcalico.org", "felixconfigurations", Power.ENFORCEMENT, _CHANGES, False),
    Guarded("networking.k8s.aws", "policyendpoints", Power.ENFORCEMENT, _CHANGES),
    Guarded("operator.tigera.io", "installations", Power.ENFORCEMENT, _CHANGES, False),
    Guarded("projectcalico.org", "felixconfigurations", Power.ENFORCEMENT, _CHANGES, False),
    # A new namespace may carry the labels that policies admit. Writes to the status and to finalizers take labels along.
    Guarded("", "namespaces", Power.NAMESPACE_LABELS, _LABELS, False, _IN_PLACE),
    Guarded("", "namespaces/finalize", Power.NAMESPACE_LABELS, _IN_PLACE, False, _IN_PLACE),
    Guarded("", "namespaces/status", Power.NAMESPACE_LABELS, _IN_PLACE, False, _IN_PLACE),
    Guarded("", "pods", Power.POD_LABELS, _LABELS),
    Guarded("", "pods/status", Power.POD_LABELS, _IN_PLACE),
    Guarded("", "replicationcontrollers", Power.POD_LABELS, _LABELS),
    *(
        Guarded("apps", plural, Power.POD_LABELS, _LABELS)
        for plural in ("daemonsets", "deployments", "replicasets", "statefulsets")
    ),
    *(Guarded("batch", plural, Power.POD_LABELS, _LABELS) for plural in ("cronjobs", "jobs")),
    # RBAC lets nobody give out more than he has, but for these. A ClusterRole that a RoleBinding binds is asked for in its namespace.
    Guarded(GROUP, "clusterroles", Power.ROLES, frozenset({"bind", "escalate"}), False, frozenset({"bind"})),
    Guarded(GROUP, "roles", Power.ROLES, frozenset({"bind", "escalate"})),
    Guarded("", "groups", Power.IMPERSONATION, frozenset({"impersonate"}), False),
    Guarded("", "serviceaccounts", Power.IMPERSONATION, frozenset({"impersonate"})),
    Guarded("", "users", Power.IMPERSONATION, frozenset({"impersonate"}), False),
)
_KNOWN = frozenset((guarded.group, guarded.resource) for guarded in GUARDED)
_OF_A_POLICY = re.compile(r"(?:networkpolic|authorizationpolic|firewallpolic)ies$")


@lru_cache(maxsize=1 << 12)  # roles stay, and most clusters have the same ones
def granted(rule: AccessRule) -> tuple[tuple[Guarded, frozenset[str]], ...]:
    """What of a rule matters: each guarded resource with the verbs that the rule grants on it."""
    return tuple(_granted(rule))


def _granted(rule: AccessRule) -> Iterator[tuple[Guarded, frozenset[str]]]:
    for guarded in (*GUARDED, *_unknown_policies(rule)):
        if not any(group in (ANY, guarded.group) for group in rule.groups):
            continue
        if any(_covers(resource, guarded.resource) for resource in rule.resources):
            verbs = guarded.verbs if ANY in rule.verbs else guarded.verbs.intersection(rule.verbs)
            if verbs:
                yield guarded, verbs


def _covers(resource: str, guarded: str) -> bool:
    """A rule's resource is a name, a name with a subresource, or a wildcard for either ("*", "*/status")."""
    if resource in (ANY, guarded):
        return True
    return resource.startswith("*/") and guarded.endswith(resource[1:])


def _unknown_policies(rule: AccessRule) -> Iterator[Guarded]:
    """Policy kinds of other makers, by their names."""
    for group in rule.groups:
        for resource in rule.resources:
            if group and (group, resource) not in _KNOWN and _OF_A_POLICY.search(resource):
                yield Guarded(group, resource, Power.POLICIES, _CHANGES)


def reduced(rules: Iterable[AccessRule]) -> tuple[AccessRule, ...]:
    """Rules as far as they matter: no group, resource or verb that no right of these needs."""
    return tuple(small for rule in rules if (small := _reduced(rule)))


def _reduced(rule: AccessRule) -> AccessRule | None:
    found = granted(rule)
    if not found:
        return None
    groups = {guarded.group for guarded, _ in found}
    verbs = frozenset[str]().union(*(granted_verbs for _, granted_verbs in found))
    return replace(
        rule,
        groups=tuple(group for group in rule.groups if group == ANY or group in groups),
        resources=tuple(
            resource for resource in rule.resources if any(_covers(resource, guarded.resource) for guarded, _ in found)
        ),
        verbs=tuple(verb for verb in rule.verbs if verb == ANY or verb in verbs),
    )
