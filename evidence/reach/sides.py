"""One side of all connections: what the policies of a direction let pass between each pod and each peer.

The answer of a side is a table of numbered port sets, subjects (the ways into pods that policies select) by peers, computed for any window
of it at a time:

1. NetworkPolicies only add: each rule joins its ports into the cells of its subjects and peers.
2. Policies with order are evaluated once (`evidence.reach.frames`) and laid over the window afterwards: what is left to NetworkPolicies, and
   what passes where these isolate and do not allow it, or do not isolate at all.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import combinations, groupby, product
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from evidence.cluster.model import Direction
from evidence.reach.peers import NOBODY, Ends, Peers, common
from evidence.reach.portids import ALL_PORTS, Ids, PortIds
from evidence.reach.rules import Policy, PolicyForm, PortMatch, RuleForm, Tier, priority_text
from evidence.reach.tiers import Part, PlacedPolicy, PlacedRule
from evidence.values import value

if TYPE_CHECKING:
    from evidence.reach.frames import Frame
    from evidence.reach.spread import Spread

_Wanted = tuple[int, tuple[PortMatch, ...]]  # ports by number, as bits, and by name


@value(eq=False)
class Undecided:
    """Two policies between which the order is not defined and could matter, and the ways into pods that both select."""

    first: Policy
    second: Policy
    tier: Tier
    priority: float
    direction: Direction
    subjects: Ends

    def __str__(self) -> str:
        return (
            f"{self.first.key} and {self.second.key} have {priority_text(self.priority)} in the {self.tier.name} tier, select the same pods "
            "and decide differently: which of them is asked first is undefined"
        )


class Side:
    """The tables of one direction."""

    def __init__(
        self,
        direction: Direction,
        forms: Iterable[PolicyForm],
        peers: Peers,
        ports: PortIds,
        earlier: "Side | None" = None,
        anew: Collection[int] = (),
    ) -> None:
        """`earlier` has the same peers and some of the same policies, whose places are taken over but for those (by identity) that are to
        be placed `anew`; its port sets have the same numbers."""
        self.direction = direction
        self._peers = peers
        self._ports = ports
        self.policies: list[PlacedPolicy] = []
        there = {id(placed.form): placed for placed in earlier.policies} if earlier else {}
        for form_id in anew:
            there.pop(form_id, None)
        for form in forms:
            if direction not in form.rules:
                continue
            placed = there.get(id(form))
            if placed is None:
                subjects = peers.selected(form.subject)
                placed = PlacedPolicy(form, subjects, tuple(self._place(form, subjects)))
            self.policies.append(placed)
        isolating = [placed for placed in self.policies if direction in placed.form.isolates]
        self.isolated = _any_of(peers.pods, [placed.subjects for placed in isolating])
        adding = [placed.subjects for placed in isolating if placed.form.adds]
        self._added_to = _any_of(peers.pods, adding)  # isolated by one that adds
        # Whether some policy adds without isolating: it lets pass what a later tier would deny.
        self._mild = any(placed.form.adds and direction not in placed.form.isolates for placed in self.policies)
        self._additive = _adding(self.policies)
        self.ordered = _with_order(self.policies, direction)
        self.frame: Frame | None = None
        if self.ordered:
            # A start with nothing but NetworkPolicies need not read it.
            from evidence.reach.frames import evaluated, evaluated_again

            known = earlier and earlier.frame
            if earlier and known:
                self.frame = evaluated_again(known, earlier.ordered, self.ordered, direction, peers, ports)
            else:
                self.frame = evaluated(self.ordered, direction, peers, ports)
        self._by_block: dict[int, dict[int, list[Part]]] = {}
        self._by_subject: dict[int, list[Part]] | None = None

    def moved(self, peers: Peers, ports: PortIds, spread: "Spread") -> "Side":
        """The same policies on other peers, of which each is a part of one here or new. What is new no policy means or isolates yet."""
        other = Side.__new__(Side)
        vars(other).update(vars(self), _peers=peers, _ports=ports, _by_block={}, _by_subject=None)
        if spread.stays:
            return other
        pods = spread.came_from[: peers.pods]
        policies = [policy.moved(spread) for policy in self.policies]
        complete = bool((spread.came_from >= 0).all())
        vars(other).update(
            isolated=np.append(self.isolated, False)[pods],
            _added_to=np.append(self._added_to, False)[pods],
            policies=policies,
            _additive=_adding(policies),
            ordered=_with_order(policies, self.direction),
            frame=self.frame.moved(pods, spread.came_from) if self.frame and complete else None,
        )
        return other

    # -- rules in their place ---------------------------------------------------------------------------------------

    def _place(self, form: PolicyForm, subjects: Ends) -> Iterator[PlacedRule]:
        if not len(subjects):
            return
        for rule in form.rules[self.direction]:
            meant = self._peers.meant(rule.peers)
            limited = subjects if rule.subjects is None else common(subjects, self._peers.meant(rule.subjects))
            parts = tuple(self._parts(rule, limited, meant)) if (meant is None or len(meant)) and len(limited) else ()
            yield PlacedRule(form, rule, self.direction, limited, parts)

    def _parts(self, rule: RuleForm, subjects: Ends, meant: Ends | None) -> Iterator[Part]:
        """Named ports are those of the destination: of the subject for ingress, of the peer for egress."""
        if rule.ports is None and not rule.but_ports:
            yield Part(subjects, meant, ALL_PORTS)
            return
        fixed, names = (self._ports.all_bits, ()) if rule.ports is None else self._bits(rule.ports)
        without, except_names = self._bits(rule.but_ports) if rule.but_ports else (0, ())
        if not names and not except_names:
            if fixed & ~without:
                yield Part(subjects, meant, self._ports.number(fixed & ~without))
        elif self.direction is Direction.INGRESS:
            for destinations, ports in self._resolved((fixed, names), (without, except_names), subjects):
                yield Part(destinations, meant, ports)
        else:
            everyone: Ends = np.arange(self._peers.count, dtype=np.int32) if meant is None else meant
            for destinations, ports in self._resolved((fixed, names), (without, except_names), everyone):
                yield Part(subjects, destinations, ports)

    def _bits(self, ports: tuple[PortMatch, ...]) -> tuple[int, tuple[PortMatch, ...]]:
        """Ports given by number, as bits, and those given by name."""
        bits, names = 0, []
        for port in ports:
            if isinstance(port.port, str):
                names.append(port)
            elif port.protocol is None:
                bits |= self._ports.all_bits
            elif port.port is None:
                bits |= self._ports.bits(port.protocol)
            else:
                bits |= self._ports.bits(port.protocol, port.port, port.end_port or port.port)
        return bits, tuple(names)

    def _resolved(self, ports: _Wanted, but_ports: _Wanted, destinations: Ends) -> Iterator[tuple[Ends, int]]:
        """The destinations split by what the names mean on them; an address has no named ports."""
        pods = destinations[destinations < self._peers.pods]
        kinds = self._peers.named_of[pods]
        ends: dict[int, list[Ends]] = defaultdict(list)
        for kind in sorted(set(kinds.tolist())):
            ends[self._on(kind, ports) & ~self._on(kind, but_ports)].append(pods[kinds == kind])
        if len(pods) < len(destinations):
            ends[ports[0] & ~but_ports[0]].append(destinations[len(pods) :])
        for bits, found in ends.items():
            if bits:
                yield np.sort(np.concatenate(found)) if len(found) > 1 else found[0], self._ports.number(bits)

    def _on(self, kind: int, wanted: _Wanted) -> int:
        """Ports by number and by name, on pods with one set of named ports."""
        bits, names = wanted
        for name, protocol, number in self._peers.named_ports[kind] if names else ():
            if any(want.port == name and want.protocol in (None, protocol) for want in names):
                bits |= self._ports.bits(protocol, number, number)
        return bits

    # -- policies with order ------------------------------------------------------------------------------------------

    def undecided(self) -> Iterator[Undecided]:
        """Pairs of policies of one tier and priority that select the same pod and do not do the same with everything they match."""
        ordered = sorted((policy for policy in self.policies if policy.rules), key=lambda policy: policy.form.place)
        for (tier, priority), members in groupby(ordered, key=lambda policy: policy.form.place):
            lanes: dict[str, list[PlacedPolicy]] = defaultdict(list)
            for policy in members:
                lanes[policy.form.lane].append(policy)
            for first_lane, second_lane in combinations(lanes.values(), 2):
                for one, other in product(first_lane, second_lane):
                    actions = {rule.rule.action for policy in (one, other) for rule in policy.rules if rule.parts}
                    both = common(one.subjects, other.subjects) if len(actions) > 1 else NOBODY
                    if len(both):
                        first, second = sorted((one.form.policy, other.form.policy), key=attrgetter("key"))
                        yield Undecided(first, second, tier, priority, self.direction, both)

    # -- windows of the table -----------------------------------------------------------------------------------------

    def for_subjects(self, first: int, last: int) -> Ids:
        """Cells of subjects first to last-1 (rows) by all peers (columns)."""
        cells = np.zeros((last - first, self._peers.count), dtype=np.int32)
        whole = (first, last) == (0, self._peers.pods)
        parts = self._additive if whole else self._near(first, last, by_peer=False)
        for part in parts:
            rows = part.subjects if whole else _between(part.subjects, first, last) - first
            self._join(cells, rows, part.peers, part.ports)
        return self._finish(cells, slice(first, last), slice(None))

    def for_peers(self, first: int, last: int) -> Ids:
        """Cells of peers first to last-1 (rows) by all subjects (columns): the same table, turned."""
        turned = np.zeros((last - first, self._peers.pods), dtype=np.int32)
        cells = turned.T
        whole = (first, last) == (0, self._peers.count)
        parts = self._additive if whole else self._near(first, last, by_peer=True)
        for part in parts:
            columns = part.peers
            if columns is not None and not whole:
                columns = _between(columns, first, last) - first
            self._join(cells, part.subjects, columns, part.ports)
        return self._finish(cells, slice(None), slice(first, last)).T

    def row(self, subject: int) -> Ids:
        """What one subject's side lets pass to or from every peer."""
        cells = np.zeros((1, self._peers.count), dtype=np.int32)
        zero = np.zeros(1, dtype=np.int32)
        for part in self._of_subject(subject):
            self._join(cells, zero, part.peers, part.ports)
        finished: Ids = self._finish(cells, slice(subject, subject + 1), slice(None))[0]
        return finished

    def among(self, subjects: Ends, peers: Ends) -> Ids:
        """Cells of any subjects (rows) by any peers (columns), both sorted."""
        cells = np.zeros((len(subjects), len(peers)), dtype=np.int32)
        row_of = _places(subjects, self._peers.pods)
        column_of = _places(peers, self._peers.count)
        for part in self._additive:
            rows = row_of[part.subjects]
            rows = rows[rows >= 0]
            if len(rows):
                columns = part.peers
                if columns is not None:
                    columns = column_of[columns]
                    columns = columns[columns >= 0]
                self._join(cells, rows, columns, part.ports)
        return self._finish(cells, subjects, peers)

    def _join(self, cells: Ids, rows: Ends, columns: Ends | None, ports: int) -> None:
        if columns is None:
            where = (rows, slice(None))
            present = cells[rows]
        else:
            if not len(columns) or not len(rows):
                return
            where = (rows[:, None], columns)  # type: ignore[assignment]
            present = cells[where]
        if ports == ALL_PORTS or not present.any():
            cells[where] = ports
        else:
            cells[where] = self._ports.each(self._ports.union, present, ports)

    def _finish(self, cells: Ids, subjects: slice | Ends, peers: slice | Ends) -> Ids:
        """Lay the policies with order, and what isolates nobody, over what NetworkPolicies add up to."""
        isolated = self._added_to[subjects]
        frame = self.frame
        if frame is None:
            cells[~isolated] = ALL_PORTS
            return cells
        where = np.ix_(frame.subject_group[subjects], frame.peer_group[peers])
        accepted, passing = frame.closed[where], frame.open[where]
        added = np.nonzero(cells)
        if len(added[0]):
            ports, left = self._ports, frame.left[where]
            joined = ports.pairwise(ports.meet, cells[added], left[added])
            accepted[added] = ports.pairwise(ports.union, accepted[added], joined)
            if self._mild:
                passing[added] = ports.pairwise(ports.union, passing[added], joined)
        cells[:] = np.where(isolated[:, None], accepted, passing)
        return cells

    def _near(self, first: int, last: int, *, by_peer: bool) -> Sequence[Part]:
        """Parts with a peer (or subject) in a window. Windows come in equal steps, so that one look at all parts sorts them for every window."""
        size = last - first
        key = -size if by_peer else size
        if first % size:
            return self._additive
        if key not in self._by_block:
            blocks: dict[int, list[Part]] = defaultdict(list)
            everywhere = range(-(-self._peers.count // size))
            for part in self._additive:
                ends = part.peers if by_peer else part.subjects
                for block in everywhere if ends is None else sorted(set((ends // size).tolist())):
                    blocks[block].append(part)
            self._by_block[key] = blocks
        return self._by_block[key].get(first // size, [])

    def _of_subject(self, subject: int) -> Sequence[Part]:
        if self._by_subject is None:
            self._by_subject = defaultdict(list)
            for part in self._additive:
                for end in part.subjects.tolist():
                    self._by_subject[end].append(part)
        return self._by_subject.get(subject, [])


def _adding(policies: Iterable[PlacedPolicy]) -> list[Part]:
    return [part for policy in policies if policy.form.adds for rule in policy.rules for part in rule.parts]


def _with_order(policies: Iterable[PlacedPolicy], direction: Direction) -> list[PlacedPolicy]:
    """Policies that do more than add, and can change anything."""
    return [
        policy
        for policy in policies
        if not policy.form.adds and len(policy.subjects) and (policy.rules or direction in policy.form.isolates)
    ]


def _any_of(count: int, sets: Sequence[Ends]) -> npt.NDArray[np.bool_]:
    """Which of `count` ends are in any of some sets."""
    found = np.zeros(count, dtype=bool)
    if sets:
        found[np.concatenate(sets)] = True
    return found


def _between(ends: Ends, first: int, last: int) -> Ends:
    """The ends from first to last-1 of a sorted array."""
    if not len(ends):
        return NOBODY
    low, high = np.searchsorted(ends, (first, last))
    return ends[low:high]


def _places(ends: Ends, count: int) -> Ends:
    """For each of `count` ends its place in a sorted array, -1 where it is not in it."""
    found: Ends = np.full(count, -1, dtype=np.int32)
    found[ends] = np.arange(len(ends), dtype=np.int32)
    return found
