"""RBAC objects to the model. Rules are cut down here to what matters, so that whole and stored objects give the same roles."""

from evidence.cluster.access import AccessBinding, AccessRole, AccessRule, AccessSubject, reduced
from evidence.cluster.fields import FieldError, Raw, each, inside, labels, strings, text
from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.cluster.parse_policies import label_selector
from evidence.cluster.rbac import GROUP


def access_role(obj: CollectedObject, metadata: Raw) -> AccessRole:
    """A Role or ClusterRole with the rules that matter."""
    try:
        found = labels(metadata, "labels")
    except FieldError as error:
        raise error.under("metadata") from None
    return AccessRole(
        obj.key,
        found,
        reduced(access_rules(obj.body)),
        inside(obj.body, "aggregationRule", lambda raw: each(raw, "clusterRoleSelectors", label_selector)),
        obj,
    )


def access_rules(body: Raw) -> tuple[AccessRule, ...]:
    """All rules of a role; raises FieldError."""
    return each(body, "rules", _rule)


def access_binding(obj: CollectedObject) -> AccessBinding:
    """A RoleBinding or ClusterRoleBinding."""
    namespace = obj.key.namespace
    return AccessBinding(
        obj.key,
        inside(obj.body, "roleRef", lambda raw: _role_ref(raw, namespace)),
        each(obj.body, "subjects", lambda raw: _subject(raw, namespace)),
        obj,
    )


def _rule(raw: Raw) -> AccessRule:
    return AccessRule(
        strings(raw, "apiGroups"), strings(raw, "resources"), strings(raw, "verbs"), strings(raw, "resourceNames")
    )


def _role_ref(raw: Raw, namespace: str) -> ObjectKey:
    kind = text(raw, "kind")
    return ObjectKey(GROUP, kind, namespace if kind == "Role" else "", text(raw, "name"))


def _subject(raw: Raw, namespace: str) -> AccessSubject:
    """A user whose name is that of a service account is that account, as the authenticator names it."""
    kind, name = text(raw, "kind"), text(raw, "name")
    if kind == "ServiceAccount":
        return AccessSubject(kind, text(raw, "namespace") or namespace, name)
    parts = name.split(":")
    if kind == "User" and len(parts) == 4 and parts[:2] == ["system", "serviceaccount"]:
        return AccessSubject("ServiceAccount", parts[2], parts[3])
    return AccessSubject(kind, "", name)
