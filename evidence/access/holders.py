"""Subjects that RBAC lets change segmentation: by which binding and role, and in which namespaces.

1. Only what RBAC grants directly. Not followed: whoever can start pods in a namespace acts as its service accounts, whoever reads their
   tokens, too; other authorizers (webhook, ABAC); admission that forbids what RBAC allows.
2. system:masters passes RBAC whatever the bindings say.
3. A ClusterRole takes over the rules of those that its aggregationRule selects, as the controller does.
4. A right on what the cluster does not serve counts: the kind may be installed any day.
5. Rights on the labels of pods count in namespaces where labels of pods tell zones apart.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from evidence.cluster.access import ANY, AccessBinding, AccessRole, AccessRule, AccessSubject, Guarded, Power, granted
from evidence.cluster.model import Cluster
from evidence.cluster.objects import KindResult, KindStatus, ObjectKey
from evidence.cluster.rbac import KINDS
from evidence.intent.model import Intent
from evidence.values import value

NOT_FOLLOWED = (
    "Only what RBAC grants directly: whoever can start pods in a namespace also acts as its service accounts, and members of groups are "
    "known to the identity provider alone."
)
EVERY_RESOURCE = "every resource"
_EVERYBODY = frozenset({"system:authenticated", "system:unauthenticated", "system:serviceaccounts"})
_ACCOUNTS_OF = "system:serviceaccounts:"
_CONTROLLER = "system:controller:"
_SYSTEM_NAMESPACE = "kube-system"


class Standing(StrEnum):
    """What kind of subject it is."""

    EVERYBODY = "everybody"  # a group that nobody is put into: all users, all service accounts, those of a namespace
    PERSON = "user or group"
    WORKLOAD = "service account"
    CONTROL_PLANE = "control plane"  # users and groups whose names begin with system:, and accounts of its controllers


@value()
class Grant:
    """One power that one binding gives. `namespace` "": everywhere. `rights` say on what and by which verbs; `names`: only these objects."""

    power: Power
    namespace: str
    binding: ObjectKey
    role: ObjectKey
    rights: tuple[str, ...]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Holder:
    """A subject with everything that it may change, sorted."""

    subject: AccessSubject
    standing: Standing
    grants: tuple[Grant, ...]

    @property
    def powers(self) -> tuple[Power, ...]:
        held = {grant.power for grant in self.grants}
        return tuple(power for power in Power if power in held)

    def namespaces(self, power: Power) -> tuple[str, ...]:
        """Where it has the power; empty: everywhere."""
        found = {grant.namespace for grant in self.grants if grant.power is power}
        return () if "" in found else tuple(sorted(found))


@dataclass(frozen=True, slots=True)
class Access:
    """Who may change segmentation. `unread` are the kinds of RBAC that were not read whole: then there may be more. `unresolved`: bindings
    whose role is not there or was not read."""

    holders: tuple[Holder, ...]
    unread: tuple[str, ...]
    unresolved: tuple[AccessBinding, ...]
    bindings: int
    """Number of bindings that give any power."""


def who_may(cluster: Cluster, intent: Intent | None) -> Access:
    """Every subject that may change what segmentation hangs on, by standing and name."""
    roles = {role.key: role for role in cluster.access_roles}
    rules = {role.key: tuple(_all_rules(role, cluster.access_roles)) for role in cluster.access_roles}
    labelled = labelled_namespaces(cluster, intent)
    grants: dict[AccessSubject, list[Grant]] = defaultdict(list)
    unresolved, giving = [], 0
    for binding in cluster.access_bindings:
        if binding.role not in roles:
            unresolved.append(binding)
            continue
        found = tuple(_grants(binding, rules[binding.role], labelled))
        giving += bool(found and binding.subjects)
        for subject in dict.fromkeys(binding.subjects):
            grants[subject] += found
    controllers = _controllers(cluster.access_bindings)
    holders = [
        Holder(subject, standing(subject, controllers), tuple(sorted(found, key=_order)))
        for subject, found in grants.items()
        if found
    ]
    order = tuple(Standing)
    holders.sort(key=lambda holder: (order.index(holder.standing), holder.subject))
    unread = tuple(kind for kind in KINDS if kind in cluster.unread_kinds)
    return Access(tuple(holders), unread, tuple(unresolved), giving)


def standing(subject: AccessSubject, controllers: frozenset[AccessSubject] = frozenset()) -> Standing:
    """What kind of subject; `controllers` are the accounts that the control plane's own bindings name."""
    if subject.kind == "Group" and (subject.name in _EVERYBODY or subject.name.startswith(_ACCOUNTS_OF)):
        return Standing.EVERYBODY
    if subject in controllers or (subject.kind != "ServiceAccount" and subject.name.startswith("system:")):
        return Standing.EVERYBODY if subject.name == "system:anonymous" else Standing.CONTROL_PLANE
    return Standing.WORKLOAD if subject.kind == "ServiceAccount" else Standing.PERSON


def labelled_namespaces(cluster: Cluster, intent: Intent | None) -> frozenset[str]:
    """Namespaces in which labels of pods decide about a zone."""
    members = [m for zone in (intent.zones if intent else ()) for m in zone.members if m.pod_selector is not None]
    return frozenset(
        name
        for name, space in cluster.namespaces.items()
        for member in members
        if (not member.namespaces or name in member.namespaces)
        and (member.namespace_selector is None or member.namespace_selector.matches(space.labels))
    )


def _order(grant: Grant) -> tuple[int, str, str, str]:
    return tuple(Power).index(grant.power), grant.namespace, str(grant.binding), str(grant.role)


def _controllers(bindings: Iterable[AccessBinding]) -> frozenset[AccessSubject]:
    """Accounts in kube-system, to which only the control plane's own bindings refer: system:controller:NAME to account NAME."""
    return frozenset(
        subject
        for binding in bindings
        for subject in binding.subjects
        if subject.kind == "ServiceAccount"
        and subject.namespace == _SYSTEM_NAMESPACE
        and binding.key.name == binding.role.name == f"{_CONTROLLER}{subject.name}"
    )


def _all_rules(role: AccessRole, roles: Iterable[AccessRole]) -> Iterator[AccessRule]:
    """A role's rules and those of all roles that it takes over, each role once."""
    every = tuple(roles)
    seen, todo = {role.key}, [role]
    while todo:
        current = todo.pop()
        yield from current.rules
        for other in every:
            if other.key in seen or other.key.kind != "ClusterRole":
                continue
            if any(selector.matches(other.labels) for selector in current.aggregates):
                seen.add(other.key)
                todo.append(other)


def _grants(binding: AccessBinding, rules: Iterable[AccessRule], labelled: frozenset[str]) -> Iterator[Grant]:
    namespace = binding.key.namespace
    found: dict[tuple[Power, tuple[str, ...]], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for rule in rules:
        everything = ANY in rule.groups and ANY in rule.resources
        for guarded, verbs in granted(rule):
            if guarded.power is Power.POD_LABELS and not (namespace in labelled or (not namespace and labelled)):
                continue
            effective = _in_namespace(guarded, verbs) if namespace else verbs
            if effective:
                found[guarded.power, rule.names][EVERY_RESOURCE if everything else guarded.name] |= effective
    for (power, names), rights in found.items():
        yield Grant(power, namespace, binding.key, binding.role, _texts(rights), names)


def _in_namespace(guarded: Guarded, verbs: frozenset[str]) -> frozenset[str]:
    """What a RoleBinding gives of a right."""
    return verbs if guarded.namespaced else verbs & guarded.own_namespace_verbs


def _texts(rights: Mapping[str, set[str]]) -> tuple[str, ...]:
    """ "networkpolicies.networking.k8s.io: create, patch", one a resource."""
    return tuple(f"{name}: {', '.join(sorted(verbs))}" for name, verbs in sorted(rights.items()))


def not_told(kinds: Iterable[KindResult]) -> tuple[str, ...]:
    """Kinds of RBAC of which a source does not tell all: not listed, or not in the files; a server without RBAC tells all."""
    told = {kind.kind for kind in kinds if kind.status in (KindStatus.LISTED, KindStatus.NOT_SERVED)}
    return tuple(kind for kind in KINDS if kind not in told)
