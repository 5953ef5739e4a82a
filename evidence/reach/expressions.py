"""Calico's selectors over all pods of a namespace at once, a bit a pod."""

from collections.abc import Callable, Mapping

from evidence.cluster.calico_selectors import Both, Either, Expression, LabelTest, Not
from evidence.cluster.model import Labels
from evidence.reach.endpoints import FORCED

Column = Mapping[str, int]  # for each value of a label, the pods that have it

_EVERYONE = -1


def satisfying(selector: Expression, column: Callable[[str], Column], given: Labels) -> int:
    """The pods whose labels satisfy a selector. `given` are labels that all have, some where they have none of their own.

    Bits beyond the last pod mean nothing.
    """
    match selector:
        case LabelTest(key=key):
            holders_of = {} if key in FORCED else column(key)
            mask = present = 0
            for value, holders in holders_of.items():
                present |= holders
                if selector.holds(value):
                    mask |= holders
            return mask | ~present if selector.holds(given.get(key)) else mask
        case Not():
            return ~satisfying(selector.operand, column, given)
        case Both():
            mask = _EVERYONE
            for operand in selector.operands:
                mask &= satisfying(operand, column, given)
            return mask
        case Either():
            mask = 0
            for operand in selector.operands:
                mask |= satisfying(operand, column, given)
            return mask
        case _:
            return _EVERYONE
