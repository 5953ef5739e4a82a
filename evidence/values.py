"""How values are declared that are made by the ten thousand: the cluster's objects, policies and rules.

They are dataclasses with slots that compare and hash by their fields, and nothing changes one once it is made. The type checker holds to that, as it
does with `frozen=True`. At run time nothing watches over it, since Python's own frozen dataclasses set every field through a check and so take ten
times as long to make.

A command makes some fifty such classes when it starts. Python's dataclasses write and compile each of their methods, which pays for `__init__`; the
others are closures over the fields here, and a class is made in less than half the time.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")

_ORDER = ("__lt__", "__le__", "__gt__", "__ge__")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(*, eq: bool = True, order: bool = False) -> Callable[[type[T]], type[T]]:
    """Like `dataclass(frozen=True, slots=True)` with the same options. Without `eq`, each value is equal to itself alone."""

    def made(declared: type[T]) -> type[T]:
        kind: Any = dataclass(slots=True, eq=False, repr=False)(declared)
        methods = {"__repr__": _shown([one.name for one in fields(kind) if one.repr])}
        if eq:
            methods |= _compared(
                [one.name for one in fields(kind) if one.compare], ("__eq__", *_ORDER) if order else ("__eq__",)
            )
        for name in methods.keys() - vars(declared).keys():  # what a class says itself stands
            setattr(kind, name, methods[name])
        made_kind: type[T] = kind
        return made_kind

    return made


def _shown(names: list[str]) -> Callable[[Any], str]:
    def show(this: Any) -> str:
        return f"{type(this).__qualname__}({', '.join(f'{name}={getattr(this, name)!r}' for name in names)})"

    return show


def _compared(names: list[str], operators: tuple[str, ...]) -> dict[str, Callable[..., Any]]:
    """Operators, and the hash, over some fields; values of different classes are neither equal nor in any order."""
    content: Callable[[Any], Any] = operator.attrgetter(*names) if names else lambda _: ()

    def comparison(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
        return lambda one, other: compare(content(one), content(other)) if type(one) is type(other) else NotImplemented

    return {"__hash__": lambda this: hash(content(this))} | {
        name: comparison(getattr(operator, name)) for name in operators
    }
