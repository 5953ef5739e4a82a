"""Rules in their place, and the evaluation of tiers whose rules have an order, on a small table of groups of ends.

Ends that the same rules name are one group, so that a tier of few rules over many pods costs as little as it says.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from evidence.cluster.model import Direction
from evidence.reach.peers import Ends
from evidence.reach.portids import ALL_PORTS, NO_PORTS, Ids, Operation, PortIds
from evidence.reach.rules import Action, PolicyForm, RuleForm


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The cells of a rule that get the same ports. `peers` None: every peer."""

    subjects: Ends
    peers: Ends | None
    ports: int


@dataclass(frozen=True, slots=True, eq=False)
class PlacedRule:
    """A rule in its policy, with the ends and ports that it means. Its parts do not overlap."""

    form: PolicyForm
    rule: RuleForm
    direction: Direction
    subjects: Ends
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PlacedPolicy:
    """A policy with the ends that it selects and its rules of one direction."""

    form: PolicyForm
    subjects: Ends
    rules: tuple[PlacedRule, ...]


class Ordered:
    """Evaluation of tiers with order on a small table of groups."""

    def __init__(
        self,
        ports: PortIds,
        shape: tuple[int, int],
        cells: dict[int, tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]],
    ) -> None:
        self._ports = ports
        self._cells = cells
        self.accepted: Ids = np.full(shape, NO_PORTS, dtype=np.int32)
        self.left: Ids = np.full(shape, ALL_PORTS, dtype=np.int32)  # to the next tier

    def ask(self, policies: Iterable[PlacedPolicy]) -> None:
        """Ask tiers and priorities in order. What a tier leaves, by matching nothing or by Pass, the next one is asked."""
        listed = sorted(policies, key=place)
        for _, tier in groupby(listed, key=lambda policy: policy.form.tier):
            passed: Ids = np.full(self.left.shape, NO_PORTS, dtype=np.int32)
            for _, equals in groupby(list(tier), key=lambda policy: policy.form.priority):
                accepts, passes, decided = self._side_by_side(list(equals))
                self.accepted = self._of(self._ports.union, self.accepted, accepts)
                passed = self._of(self._ports.union, passed, passes)
                self.left = self._of(self._ports.minus, self.left, decided)
            self.left = self._of(self._ports.union, self.left, passed)

    def _side_by_side(self, policies: Sequence[PlacedPolicy]) -> tuple[Ids, Ids, Ids]:
        """What policies of one priority accept, pass, and decide at all. What one accepts is accepted, whatever others do with it."""
        ports = self._ports
        accepts, passes, decided = (np.full(self.left.shape, NO_PORTS, dtype=np.int32) for _ in range(3))
        for policy in policies:
            undecided = self.left.copy()
            for rule in policy.rules:
                for part in rule.parts:
                    where = np.ix_(*self._cells[id(part)])
                    matched = ports.each(ports.meet, undecided[where], part.ports)
                    undecided[where] = ports.each(ports.minus, undecided[where], part.ports)
                    if rule.rule.action is Action.ACCEPT:
                        accepts[where] = ports.pairwise(ports.union, accepts[where], matched)
                    elif rule.rule.action is Action.PASS:
                        passes[where] = ports.pairwise(ports.union, passes[where], matched)
                    decided[where] = ports.pairwise(ports.union, decided[where], matched)
        return accepts, passes, decided

    def _of(self, operation: Operation, a: Ids, b: Ids) -> Ids:
        return self._ports.pairwise(operation, a, b)


def place(policy: PlacedPolicy) -> tuple[int, int]:
    """Its place in the order in which policies are asked."""
    return policy.form.tier, policy.form.priority


def grouped(count: int, sets: Sequence[Ends | None]) -> tuple[npt.NDArray[np.intp], list[npt.NDArray[np.intp]]]:
    """Ends that lie in the same sets form a group: the group of each end, and the groups of each set."""
    lies_in: list[list[int]] = [[] for _ in range(count)]
    for number, ends in enumerate(sets):
        for end in range(count) if ends is None else ends.tolist():
            lies_in[end].append(number)
    numbers: dict[tuple[int, ...], int] = {}
    group = np.array([numbers.setdefault(tuple(found), len(numbers)) for found in lies_in], dtype=np.intp)
    groups: list[list[int]] = [[] for _ in sets]
    for found, number in numbers.items():
        for position in found:
            groups[position].append(number)
    return group, [np.array(found, dtype=np.intp) for found in groups]
