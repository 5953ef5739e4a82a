"""Who may change segmentation, as JSON and as rows of a table."""

from collections.abc import Sequence
from typing import Any

from evidence.access.holders import Access, Grant, Holder
from evidence.cluster.access import AccessBinding

HEADER = ("Subject", "What kind", "May", "Where", "By")


def document(access: Access, not_told: Sequence[str]) -> dict[str, Any]:
    """The whole answer. `not_told`: kinds of RBAC of which the source does not tell all."""
    return {
        "holders": [_holder(holder) for holder in access.holders],
        "not_told": list(not_told),
        "bindings_to_roles_not_found": [
            {"binding": str(binding.key), "role": str(binding.role), "subjects": _names(binding)}
            for binding in access.unresolved
        ],
    }


def rows(access: Access) -> list[tuple[str, str, str, str, str]]:
    """One row a subject and power."""
    return [
        (str(holder.subject), holder.standing.value, power.value, where(holder.namespaces(power)), by(of_power))
        for holder in access.holders
        for power in holder.powers
        for of_power in [[grant for grant in holder.grants if grant.power is power]]
    ]


def where(namespaces: Sequence[str]) -> str:
    return ", ".join(namespaces) or "everywhere"


def by(grants: Sequence[Grant]) -> str:
    """ "ClusterRoleBinding ops (ClusterRole cluster-admin)", each once."""
    return ", ".join(dict.fromkeys(f"{grant.binding} ({grant.role})" for grant in grants))


def _holder(holder: Holder) -> dict[str, Any]:
    subject = holder.subject
    return {
        "subject": {"kind": subject.kind, "namespace": subject.namespace, "name": subject.name},
        "standing": holder.standing.value,
        "grants": [_grant(grant) for grant in holder.grants],
    }


def _grant(grant: Grant) -> dict[str, Any]:
    return {
        "may": grant.power.value,
        "namespace": grant.namespace or None,
        "binding": str(grant.binding),
        "role": str(grant.role),
        "rights": list(grant.rights),
        "only_objects": list(grant.names),
    }


def _names(binding: AccessBinding) -> list[str]:
    return [str(subject) for subject in binding.subjects]
