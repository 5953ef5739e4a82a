"""Label selectors (meta/v1 LabelSelector), as the API machinery evaluates them.

1. All clauses must hold (matchLabels and matchExpressions together); an empty selector matches everything.
2. In and Exists need the key; NotIn and DoesNotExist also hold when the key is missing.
3. A label with an empty value exists.
"""

from collections.abc import Mapping
from enum import StrEnum

from evidence.values import value

SERVICE_ACCOUNT = "k8s:io.cilium.k8s.policy.serviceaccount"
"""The key by which a selector asks for a pod's service account. The API server takes no label with a colon in its name."""


class Operator(StrEnum):
    """LabelSelectorRequirement.operator."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"

    __hash__ = str.__hash__  # an Enum's own is Python's, and takes five times as long: selectors are keys everywhere


@value(order=True)
class Requirement:
    """One clause. A matchLabels entry is `In` with one value; `values` is sorted and empty for Exists and DoesNotExist."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        match self.operator:
            case Operator.IN:
                return self.key in labels and labels[self.key] in self.values
            case Operator.NOT_IN:
                return self.key not in labels or labels[self.key] not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case Operator.DOES_NOT_EXIST:
                return self.key not in labels

    def __str__(self) -> str:
        match self.operator:
            case Operator.IN if len(self.values) == 1:
                return f"{self.key}={self.values[0]}"
            case Operator.EXISTS:
                return self.key
            case Operator.DOES_NOT_EXIST:
                return f"!{self.key}"
            case _:
                return f"{self.key} {self.operator.value.lower()} ({','.join(self.values)})"


@value()
class LabelSelector:
    """A conjunction of requirements, sorted; `str()` is kubectl's selector notation."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        for requirement in self.requirements:  # noqa: SIM110  (asked for each selector and namespace: `all` takes twice as long)
            if not requirement.matches(labels):
                return False
        return True

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(requirement.key for requirement in self.requirements)

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements) or "(everything)"
