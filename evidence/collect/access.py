"""Of RBAC only what can change segmentation: rules cut down, roles without such rules left out, and what binds those left out with them.

What was left out is counted in the result of its kind. A binding stays when its role was not read: nobody can say that it is harmless.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from evidence.cluster.access import AccessRule, reduced
from evidence.cluster.objects import CollectedObject, KindResult, ObjectKey
from evidence.cluster.parse_access import access_binding, access_rules
from evidence.cluster.rbac import BINDING_KINDS, GROUP, ROLE_KINDS


def kept_rules(body: Mapping[str, Any]) -> dict[str, list[dict[str, list[str]]]]:
    """The field `rules` of a role as far as its rules matter, as the API writes it; nothing when none does."""
    rules = [_written(rule) for rule in reduced(access_rules(body))]
    return {"rules": rules} if rules else {}


def _written(rule: AccessRule) -> dict[str, list[str]]:
    lists = {"apiGroups": rule.groups, "resources": rule.resources, "resourceNames": rule.names, "verbs": rule.verbs}
    return {name: list(values) for name, values in lists.items() if values}


def without_harmless(
    objects: Iterable[CollectedObject], kinds: Iterable[KindResult]
) -> tuple[tuple[CollectedObject, ...], tuple[KindResult, ...]]:
    """Kept objects without the roles and bindings that can change nothing, and the results of the kinds with how many these were."""
    found = tuple(objects)
    harmless = {obj.key for obj in found if _is_harmless_role(obj)}
    if not harmless:
        return found, tuple(kinds)
    left_out = {obj.key for obj in found if obj.key in harmless or _binds(obj, harmless)}
    counts = Counter(key.kind for key in left_out)
    return (
        tuple(obj for obj in found if obj.key not in left_out),
        tuple(_counted(kind, counts[kind.kind]) if kind.group == GROUP else kind for kind in kinds),
    )


def _is_harmless_role(obj: CollectedObject) -> bool:
    if obj.key.group != GROUP or obj.key.kind not in ROLE_KINDS:
        return False
    return not obj.body.get("rules") and not obj.body.get("aggregationRule")


def _binds(obj: CollectedObject, roles: set[ObjectKey]) -> bool:
    return obj.key.group == GROUP and obj.key.kind in BINDING_KINDS and access_binding(obj).role in roles


def _counted(kind: KindResult, number: int) -> KindResult:
    if not number:
        return kind
    message = f"{number} more cannot change segmentation and {'was' if number == 1 else 'were'} not kept"
    return replace(kind, count=kind.count - number, message=message)
