"""Rules in their place, and the evaluation of tiers whose rules have an order, on a small table of groups of ends.

Ends that the same rules name are one group, so that a tier of few rules over many pods costs as little as it says.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, pairwise
from operator import is_
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from evidence.cluster.model import Direction
from evidence.reach.peers import Ends, distinct
from evidence.reach.portids import ALL_PORTS, NO_PORTS, Ids, PortIds
from evidence.reach.rules import Action, PolicyForm, RuleForm
from evidence.values import value

if TYPE_CHECKING:
    from evidence.reach.spread import Spread

Groups = npt.NDArray[np.intp]


@value(eq=False)
class Part:
    """The cells of a rule that get the same ports. `peers` None: every peer."""

    subjects: Ends
    peers: Ends | None
    ports: int


@value(eq=False)
class PlacedRule:
    """A rule in its policy, with the ends and ports that it means. Its parts do not overlap."""

    form: PolicyForm
    rule: RuleForm
    direction: Direction
    subjects: Ends
    parts: tuple[Part, ...]


@value(eq=False)
class PlacedPolicy:
    """A policy with the ends that it selects and its rules of one direction."""

    form: PolicyForm
    subjects: Ends
    rules: tuple[PlacedRule, ...]

    def moved(self, spread: "Spread") -> "PlacedPolicy":
        """The same on ends that are parts of those here; itself where nothing changes."""
        subjects = spread(self.subjects)
        if not len(subjects):
            return PlacedPolicy(self.form, subjects, ()) if len(self.subjects) else self
        rules = tuple([_moved(rule, spread) for rule in self.rules])
        if subjects is self.subjects and all(map(is_, rules, self.rules)):
            return self
        return PlacedPolicy(self.form, subjects, rules)


def _moved(rule: PlacedRule, spread: "Spread") -> PlacedRule:
    subjects = spread(rule.subjects)
    parts = []
    for part in rule.parts:
        these, peers = spread(part.subjects), None if part.peers is None else spread(part.peers)
        if these is part.subjects and peers is part.peers:
            parts.append(part)
        elif len(these) and (peers is None or len(peers)):
            parts.append(Part(these, peers, part.ports))
    if subjects is rule.subjects and len(parts) == len(rule.parts) and all(map(is_, parts, rule.parts)):
        return rule
    return PlacedRule(rule.form, rule.rule, rule.direction, subjects, tuple(parts))


class Ordered:
    """Evaluation of tiers with order on a small table of groups, tier by tier: ask its policies, then leave it."""

    def __init__(
        self, ports: PortIds, shape: tuple[int, int], cells: Mapping[int, tuple[Groups, Groups | None]]
    ) -> None:
        """`cells`: for each part by its identity the groups of its subjects and of its peers (None: all)."""
        self._ports = ports
        self._cells = cells
        self.accepted: Ids = np.full(shape, NO_PORTS, dtype=np.int32)
        self.left: Ids = np.full(shape, ALL_PORTS, dtype=np.int32)  # to the next policy
        self.passed: Ids = np.full(shape, NO_PORTS, dtype=np.int32)  # to the next tier

    def copy(self) -> "Ordered":
        """The same state, to go on from in another way."""
        other = Ordered(self._ports, (0, 0), self._cells)
        other.accepted, other.left, other.passed = self.accepted.copy(), self.left.copy(), self.passed.copy()
        return other

    def ask(self, policies: Iterable[PlacedPolicy]) -> None:
        """Ask policies of one tier, sorted by place."""
        for _, equals in groupby(policies, key=lambda policy: policy.form.priority):
            listed = [policy for policy in equals if any(rule.parts for rule in policy.rules)]
            if listed:
                self._side_by_side(listed)

    def leave(self, closed: Groups | None = None) -> None:
        """End a tier: what its policies left over goes to the next one, but is denied for the groups of subjects in `closed`."""
        if closed is not None:
            self.left[closed] = NO_PORTS
        if self.passed.any():
            self.left = self._ports.pairwise(self._ports.union, self.left, self.passed)
            self.passed = np.full(self.left.shape, NO_PORTS, dtype=np.int32)

    def finally_open(self) -> Ids:
        """What passes after the last tier: what was accepted, and what nothing has decided."""
        return self._ports.pairwise(self._ports.union, self.accepted, self.left)

    def _side_by_side(self, policies: Sequence[PlacedPolicy]) -> None:
        """Policies of one priority: a lane decides by the first rule that matches; what one lane accepts is accepted, whatever others do."""
        ports = self._ports
        touched = [self._cells[id(part)][0] for policy in policies for rule in policy.rules for part in rule.parts]
        rows = distinct(np.concatenate(touched))  # of one policy among many namespaces' these are few
        left = self.left[rows]
        accepts, passes, decided = (np.full(left.shape, NO_PORTS, dtype=np.int32) for _ in range(3))
        for _, lane in groupby(sorted(policies, key=_in_lane), key=lambda policy: policy.form.lane):
            undecided = left.copy()
            for rule in (rule for policy in lane for rule in policy.rules):
                for part in rule.parts:
                    subjects, peers = self._cells[id(part)]
                    here = np.searchsorted(rows, subjects)
                    where = (here,) if peers is None else np.ix_(here, peers)
                    before = undecided[where]
                    if not before.any():
                        continue
                    matched = ports.each(ports.meet, before, part.ports)
                    undecided[where] = ports.each(ports.minus, before, part.ports)
                    if rule.rule.action is Action.ACCEPT:
                        accepts[where] = ports.pairwise(ports.union, accepts[where], matched)
                    elif rule.rule.action is Action.PASS:
                        passes[where] = ports.pairwise(ports.union, passes[where], matched)
            decided = ports.pairwise(ports.union, decided, ports.pairwise(ports.minus, left, undecided))
        self.accepted[rows] = ports.pairwise(ports.union, self.accepted[rows], accepts)
        self.passed[rows] = ports.pairwise(ports.union, self.passed[rows], passes)
        self.left[rows] = ports.pairwise(ports.minus, left, decided)


def _in_lane(policy: PlacedPolicy) -> tuple[str, str]:
    return policy.form.lane, policy.form.position


def grouped(count: int, sets: Sequence[Ends]) -> tuple[Groups, list[Groups]]:
    """Ends that lie in the same sets form a group: the group of each end, and the groups of each set."""
    if not sets:
        return np.zeros(count, dtype=np.intp), []
    members = np.concatenate(sets)
    order = np.argsort(members, kind="stable")
    lies_in = np.repeat(np.arange(len(sets), dtype=np.int32), [len(ends) for ends in sets])[order]
    bounds = np.searchsorted(members[order], np.arange(count + 1)).tolist()
    numbers: dict[bytes, int] = {}
    group = np.array(
        [numbers.setdefault(lies_in[a:b].tobytes(), len(numbers)) for a, b in pairwise(bounds)],
        dtype=np.intp,
    )
    return group, [distinct(group[ends]) for ends in sets]
