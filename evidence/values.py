"""How values are declared that are made by the ten thousand: the cluster's objects, policies and rules.

They are dataclasses with slots that compare and hash by their fields, and nothing changes one once it is made. The type checker holds to that, as it
does with `frozen=True`. At run time nothing watches over it, since Python's own frozen dataclasses set every field through a check and so take ten
times as long to make. The classes, too, are made in half the time, and a command makes some fifty when it starts.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(*, eq: bool = True, order: bool = False) -> Callable[[type[T]], type[T]]:
    """Like `dataclass(frozen=True, slots=True)` with the same options. Without `eq`, each value is equal to itself alone."""
    return dataclass(slots=True, eq=eq, order=order, unsafe_hash=eq)
