"""How the fields to keep are written down, and those that many kinds share."""

from collections.abc import Mapping
from enum import Enum

from evidence.values import value


class Keep(Enum):
    """How much of a field is kept where it is not an object (or a list of objects) with named fields."""

    SCALAR = "text, number or boolean, or a list of these"
    WHOLE = "everything"


Fields = Mapping[str, "Keep | Fields"]

ONE, ALL = Keep.SCALAR, Keep.WHOLE


def scalars(*names: str) -> dict[str, "Keep | Fields"]:
    return dict.fromkeys(names, ONE)


_OWNERS: Fields = scalars("apiVersion", "kind", "name", "uid", "controller")
METADATA: Fields = {
    **scalars("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp"),
    "labels": ALL,
    "ownerReferences": _OWNERS,
}
POLICY_METADATA: Fields = {**METADATA, **scalars("generation")}
CONDITIONS: Fields = scalars("type", "status")
SELECTOR: Fields = {"matchLabels": ALL, "matchExpressions": scalars("key", "operator", "values")}
POLICY: Fields = {"metadata": POLICY_METADATA, "spec": ALL}
OTHER_POLICY: Fields = {**POLICY, "specs": ALL}  # CiliumNetworkPolicy has both spellings


@value()
class Kind:
    """A kind that is collected. `versions`: those that are understood, preferred first; empty: whichever the server prefers."""

    group: str
    kind: str
    plural: str
    versions: tuple[str, ...]
    namespaced: bool
    fields: Fields

    @property
    def name(self) -> str:
        """The resource with its group, as kubectl and RBAC messages write it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def is_policy(self) -> bool:
        return self.fields is POLICY or self.fields is OTHER_POLICY
