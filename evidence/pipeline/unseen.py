"""Kinds of which nobody can say whether the cluster has objects, because they were not in the source.

1. A live API server answers for every kind. Files answer for those that they hold, were it as an empty list of the kind (`kubectl get
   --raw` writes one; `kubectl get -o json` does not, its lists do not say of what).
2. A kind of a CustomResourceDefinition is not there when the source holds definitions and its own is not among them. A source without any
   definition leaves all such kinds open, and is said so by the definitions' own kind.
3. A policy kind of a definition that is there and that the collector does not know was not asked for.
4. Settings of network plugins say what is enforced, and detection asks for those that it needs (evidence/cni/modes.py).
5. Staged policies enforce nothing. A policy that hangs on a service account that was not read is named as not evaluated.
"""

import re
from collections.abc import Iterator
from functools import cache

from evidence.cluster.calico_names import STAGED_KINDS
from evidence.cluster.objects import Collection, KindStatus
from evidence.cluster.plugins import POLICY_ENDPOINT, SETTINGS_KINDS
from evidence.collect.fields import Kind
from evidence.collect.kinds import BY_GROUP_KIND, KINDS

_BUILT_IN = frozenset(
    {"", "apps", "batch", "networking.k8s.io", "discovery.k8s.io", "apiextensions.k8s.io", "rbac.authorization.k8s.io"}
)
_DEFINITIONS = ("apiextensions.k8s.io", "CustomResourceDefinition")
_SAME_OBJECTS = {  # served twice; a definition or a list of either group speaks for both
    "projectcalico.org": "crd.projectcalico.org",
    "crd.projectcalico.org": "projectcalico.org",
}
_ELSEWHERE = frozenset((*SETTINGS_KINDS, POLICY_ENDPOINT, ("", "ServiceAccount")))
_OF_A_POLICY = re.compile(r"(?!staged)[^.]*(?:networkpolic|authorizationpolic|firewallpolic)ies\.")


def unseen_kinds(collection: Collection) -> tuple[str, ...]:
    """Kinds of the API itself by their kind ("Service"), of others by resource and group ("globalnetworkpolicies.crd.projectcalico.org")."""
    held = {(kind.group, kind.kind) for kind in collection.kinds if kind.status is not KindStatus.NOT_IN_SOURCE}
    defined = {obj.key.name for obj in collection.objects if (obj.key.group, obj.key.kind) == _DEFINITIONS}
    absent = [BY_GROUP_KIND.get(key) for key in _not_in_source(collection) if not _asked_for_elsewhere(*key)]
    found = [kind.kind for kind in absent if kind and kind.group in _BUILT_IN]
    found += [kind.name for kind in absent if kind and defined & {*_names(kind)} and not _answered(kind, held)]
    asked = {f"{kind.lower()[:-1]}ies.{group}" for group, kind in held}
    found += sorted(name for name in defined if _OF_A_POLICY.match(name) and name not in asked and name not in _asked())
    return tuple(found)


@cache
def _asked() -> frozenset[str]:
    """Names of the definitions of every kind that is asked for."""
    return frozenset(name for kind in KINDS for name in _names(kind))


def _asked_for_elsewhere(group: str, kind: str) -> bool:
    return (group, kind) in _ELSEWHERE or kind in STAGED_KINDS


def _not_in_source(collection: Collection) -> Iterator[tuple[str, str]]:
    for kind in collection.kinds:
        if kind.status is KindStatus.NOT_IN_SOURCE:
            yield kind.group, kind.kind


def _answered(kind: Kind, held: set[tuple[str, str]]) -> bool:
    """True when the same objects were read under their other name."""
    return (_SAME_OBJECTS.get(kind.group, ""), kind.kind) in held


def _names(kind: Kind) -> Iterator[str]:
    yield kind.name
    if kind.group in _SAME_OBJECTS:
        yield f"{kind.plural}.{_SAME_OBJECTS[kind.group]}"
