"""Calico's selectors: what is asked of labels, and whether labels satisfy it.

1. `!=` and `not in` also hold where the label is missing; every other test but `all()` and `global()` needs it. An empty set is allowed.
2. `global()` holds of everything by itself; in a namespaceSelector it means what is in no namespace (see evidence/reach/calico.py).

`parse_calico_selectors` reads them from text. Source: libcalico-go/lib/selector/parser of projectcalico/calico; "Selectors" in the reference of
NetworkPolicy at docs.tigera.io.
"""

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum

from evidence.values import value


class Test(StrEnum):
    """What is asked of one label."""

    __test__ = False  # no test class, whatever pytest makes of the name

    IN = "in"
    NOT_IN = "not in"
    CONTAINS = "contains"
    STARTS_WITH = "starts with"
    ENDS_WITH = "ends with"
    HAS = "has"


@value()
class LabelTest:
    """One test of one label. `values`: sorted for IN and NOT_IN (== and != have one), one for the tests of a part, none for HAS."""

    key: str
    test: Test
    values: tuple[str, ...] = ()

    def holds(self, value: str | None) -> bool:
        """True for a label with this value; None is a missing label."""
        if value is None:
            return self.test is Test.NOT_IN
        match self.test:
            case Test.IN:
                return value in self.values
            case Test.NOT_IN:
                return value not in self.values
            case Test.CONTAINS:
                return self.values[0] in value
            case Test.STARTS_WITH:
                return value.startswith(self.values[0])
            case Test.ENDS_WITH:
                return value.endswith(self.values[0])
            case Test.HAS:
                return True

    def __str__(self) -> str:
        if self.test is Test.HAS:
            return f"has({self.key})"
        if self.test in (Test.IN, Test.NOT_IN):
            if len(self.values) == 1:
                return f"{self.key} {'==' if self.test is Test.IN else '!='} {_quoted(self.values[0])}"
            return f"{self.key} {self.test} {{{', '.join(map(_quoted, self.values))}}}"
        return f"{self.key} {self.test} {_quoted(self.values[0])}"


@value()
class Everything:
    """all()."""

    def __str__(self) -> str:
        return "all()"


@value()
class Global:
    """global()."""

    def __str__(self) -> str:
        return "global()"


@value()
class Not:
    """What the operand does not hold of."""

    operand: "Expression"

    def __str__(self) -> str:
        return f"!{self.operand}"


@value()
class Both:
    """All of the operands; there are two at least."""

    operands: "tuple[Expression, ...]"

    def __str__(self) -> str:
        return f"({' && '.join(map(str, self.operands))})"


@value()
class Either:
    """Any of the operands; there are two at least."""

    operands: "tuple[Expression, ...]"

    def __str__(self) -> str:
        return f"({' || '.join(map(str, self.operands))})"


Expression = LabelTest | Everything | Global | Not | Both | Either


def holds(expression: Expression, labels: Mapping[str, str]) -> bool:
    """True when the labels satisfy the expression."""
    match expression:
        case LabelTest():
            return expression.holds(labels.get(expression.key))
        case Everything() | Global():
            return True
        case Not():
            return not holds(expression.operand, labels)
        case Both():
            return all(holds(operand, labels) for operand in expression.operands)
        case Either():
            return any(holds(operand, labels) for operand in expression.operands)


def tests(expression: Expression) -> Iterator[LabelTest]:
    """Every test of a label in an expression."""
    match expression:
        case LabelTest():
            yield expression
        case Not():
            yield from tests(expression.operand)
        case Both() | Either():
            for operand in expression.operands:
                yield from tests(operand)


def both(*expressions: Expression) -> Expression:
    """What all of the expressions hold of."""
    found = tuple(expression for expression in expressions if not isinstance(expression, Everything))
    return Both(found) if len(found) > 1 else found[0] if found else Everything()


def rewritten(expression: Expression, change: Callable[[Expression], Expression]) -> Expression:
    """The expression with each part that has no parts of its own replaced by what `change` makes of it."""
    match expression:
        case Not():
            return Not(rewritten(expression.operand, change))
        case Both():
            return Both(tuple(rewritten(operand, change) for operand in expression.operands))
        case Either():
            return Either(tuple(rewritten(operand, change) for operand in expression.operands))
        case _:
            return change(expression)


def _quoted(text: str) -> str:
    return f"'{text}'" if '"' in text else f'"{text}"'
