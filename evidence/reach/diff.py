"""What changed between two clusters, or between two states of one: flows added and taken away.

1. The unit is a part (`refine`): pods that are alike before and after. Parts are compared with parts and with slices of the outside, never
   pods with pods; names are spelled out only for what changed.
2. A flow is added on the ports that pass after and did not before. What a new workload brings, or a gone one took with it, is a change as
   well, and told apart.
3. A doubt says that the change may be none: what was added may have passed before, what was taken away may still pass, for the reasons that
   `Reachability.uncertain` gives.
4. `possible` are pairs without an added flow of which the policies after leave open, for a reason that was not there before, whether more
   passes. Only parts with other rules than before are asked.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from evidence.cluster.model import Direction
from evidence.reach import refine
from evidence.reach.classes import PeerId
from evidence.reach.engine import FlowTable, Reachability
from evidence.reach.ports import PortSet
from evidence.reach.refine import Compared, Part, Presence, Slice

Numbers = npt.NDArray[np.int64]

MAX_PAIRS = 200_000  # beyond these, what is possible is not looked for

End = Part | tuple[Slice, ...]  # pods, or outside addresses


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """Ports that were added and taken away between the pods of two parts, or a part and the outside. `doubts`: why it may be none."""

    source: End
    destination: End
    added: PortSet
    removed: PortSet
    doubts: tuple[str, ...]

    @property
    def presence(self) -> Presence:
        """NEW or GONE when one end is, BOTH for what changed between workloads that both sides have."""
        found = {end.presence for end in (self.source, self.destination) if isinstance(end, Part)}
        return next((one for one in (Presence.NEW, Presence.GONE) if one in found), Presence.BOTH)


@dataclass(frozen=True, slots=True, eq=False)
class Possible:
    """A pair between which more may pass than before, though no more is computed."""

    source: Part
    destination: Part
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A change between two workloads (or the outside), by name."""

    source: str
    destination: str
    added: PortSet
    removed: PortSet
    presence: Presence
    doubts: tuple[str, ...]


class Diff:
    """The changes from one analysed cluster to another."""

    def __init__(
        self, before: Reachability, after: Reachability, among: tuple[FlowTable, FlowTable] | None = None
    ) -> None:
        """`among`: of two engines of the same peers, the rows of either flow table that may differ; None: any."""
        self.before, self.after = before, after
        self._among = among
        self._sets: list[PortSet] = [PortSet.none()]
        self._numbers: dict[PortSet, int] = {PortSet.none(): 0}

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The pods of both sides, by what they are alike in."""
        return refine.parts(self.before, self.after)

    @cached_property
    def slices(self) -> tuple[Slice, ...]:
        """The outside addresses of both sides, cut at the bounds of both."""
        return refine.slices(self.before, self.after)

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """All changes; between pods first, in the order of parts."""
        changed = list(self._changed())
        pods = len(self.parts)
        found = [
            self._change(self.parts[source], self.parts[destination], *ports)
            for source, destination, *ports in changed
            if source < pods and destination < pods
        ]
        outside: dict[tuple[int, bool, int, int], list[Slice]] = defaultdict(list)
        for source, destination, old, new in changed:
            if source >= pods:
                outside[destination, False, old, new].append(self.slices[source - pods])
            elif destination >= pods:
                outside[source, True, old, new].append(self.slices[destination - pods])
        for (part, leaving, old, new), where in outside.items():
            ends: tuple[End, End] = (self.parts[part], tuple(where))
            found.append(self._change(*(ends if leaving else ends[::-1]), old, new))
        return tuple(change for change in found if change.added or change.removed)

    @property
    def added(self) -> bool:
        return any(change.added for change in self.changes)

    def rows(self) -> Iterator[Row]:
        """The changes by pairs of workloads, sorted; a pod that is its own workload has no flow to itself."""
        listed = [
            Row(source, destination, change.added, change.removed, change.presence, change.doubts)
            for change in self.changes
            for source in names(change.source)
            for destination in names(change.destination)
            if source != destination or "/Pod/" not in source
        ]
        yield from sorted(listed, key=lambda row: (row.source, row.destination, str(row.added), str(row.removed)))

    # -- comparing --------------------------------------------------------------------------------------------------

    def _changed(self) -> Iterator[tuple[int, int, int, int]]:
        """(source, destination, ports before, ports after) of every pair whose ports differ; ends and sets by number."""
        (old_keys, old_ports), (new_keys, new_ports) = self._flows(self.before, True), self._flows(self.after, False)
        keys = np.sort(np.concatenate((old_keys, new_keys)), kind="stable")  # two runs that are sorted
        keys = keys[_firsts(keys)]
        old, new = np.zeros(len(keys), dtype=np.int64), np.zeros(len(keys), dtype=np.int64)
        old[np.searchsorted(keys, old_keys)] = old_ports
        new[np.searchsorted(keys, new_keys)] = new_ports
        differ = np.flatnonzero(old != new)
        keys = keys[differ]
        yield from zip(
            (keys >> 32).tolist(), (keys & 0xFFFFFFFF).tolist(), old[differ].tolist(), new[differ].tolist(), strict=True
        )

    def _flows(self, reach: Reachability, earlier: bool) -> tuple[Numbers, Numbers]:
        """Allowed connections between parts and slices: sorted pairs, each once, and the numbers of their ports."""
        table = reach.flow_table if self._among is None else self._among[0 if earlier else 1]
        numbers = self._port_numbers(reach, table)
        starts, members = self._ends_of(reach, earlier)
        counts = np.diff(starts)
        sources = _spread(table.sources.astype(np.int64), counts)
        targets = _spread(table.destinations[sources].astype(np.int64), counts)
        rows = sources[targets]
        first = members[starts[table.sources[rows]] + _rank(sources)[targets]]
        second = members[starts[table.destinations[rows]] + _rank(targets)]
        keys = first << 32 | second
        ports = numbers[table.ports[rows]]
        hidden_keys, hidden_ports = self._hidden(reach, earlier)
        return self._united(np.r_[keys, hidden_keys], np.r_[ports, hidden_ports])

    def _port_numbers(self, reach: Reachability, table: FlowTable) -> Numbers:
        """Our number of each of the analysis's port sets that occurs."""
        times = np.bincount(table.ports)
        found = np.zeros(len(times), dtype=np.int64)
        for number in np.flatnonzero(times).tolist():
            found[number] = self._number(reach.port_ids.port_set(number))
        return found

    def _number(self, ports: PortSet) -> int:
        found = self._numbers.setdefault(ports, len(self._sets))
        if found == len(self._sets):
            self._sets.append(ports)
        return found

    def _ends_of(self, reach: Reachability, earlier: bool) -> tuple[Numbers, Numbers]:
        """For each peer the parts or slices that it falls into, as places in one list."""
        found: list[list[int]] = [[] for _ in range(len(reach.classes) + len(reach.external))]
        for number, part in enumerate(self.parts):
            for peer in part.likeness.before if earlier else part.likeness.after:
                found[peer].append(number)
        for number, one in enumerate(self.slices, len(self.parts)):
            outside = reach.peer_id_of_end(reach.peers.pods + (one.before if earlier else one.after))
            if outside is not None:
                found[outside].append(number)
        starts = np.r_[0, np.cumsum([len(each) for each in found], dtype=np.int64)]
        return starts, np.array([number for each in found for number in each], dtype=np.int64)

    def _hidden(self, reach: Reachability, earlier: bool) -> tuple[Numbers, Numbers]:
        """Connections with addresses that this side does not show as outside, but the other one does."""
        places = [
            (number, reach.peers.pods + place)
            for number, one in enumerate(self.slices, len(self.parts))
            if not refine.shown(reach, place := one.before if earlier else one.after)
        ]
        keys, ports = [], []
        for number, part in enumerate(self.parts if places else ()):
            for peer in part.likeness.before if earlier else part.likeness.after:
                for end in reach.ends(peer):
                    for other, place in places:
                        if reach.peers.families[end] & reach.peers.families[place]:
                            for direction in Direction:
                                pair = (number, other) if direction is Direction.EGRESS else (other, number)
                                keys.append(pair[0] << 32 | pair[1])
                                allowed = int(reach.row(direction, end)[place])
                                ports.append(self._number(reach.port_ids.port_set(allowed)))
        return np.array(keys, dtype=np.int64), np.array(ports, dtype=np.int64)

    def _united(self, keys: Numbers, ports: Numbers) -> tuple[Numbers, Numbers]:
        """Each pair once, with the ports of its several classes together."""
        order = np.argsort(keys, kind="stable")
        keys, ports = keys[order], ports[order]
        starts = _firsts(keys)
        counts = np.diff(np.r_[starts, len(keys)])
        found = ports[starts]
        for place in np.flatnonzero(counts > 1).tolist():
            total = PortSet.none()
            for number in set(ports[starts[place] : starts[place] + counts[place]].tolist()):
                total = total | self._sets[number]
            found[place] = self._number(total)
        return keys[starts], found

    def _change(self, source: End, destination: End, old: int, new: int) -> Change:
        compared = {end.likeness.compared for end in (source, destination) if isinstance(end, Part)}
        added, removed = self._sets[new] - self._sets[old], self._sets[old] - self._sets[new]
        if Compared.ONLY_ADDED in compared:
            removed = PortSet.none()
        if Compared.ONLY_REMOVED in compared:
            added = PortSet.none()
        doubts = [
            *(f"may have passed before: {text}" for text in self._uncertain(source, destination, True, added)),
            *(f"may still pass: {text}" for text in self._uncertain(source, destination, False, removed)),
        ]
        return Change(source, destination, added, removed, tuple(doubts))

    # -- doubts -----------------------------------------------------------------------------------------------------

    def _uncertain(self, source: End, destination: End, earlier: bool, ports: PortSet) -> Sequence[str]:
        reach = self.before if earlier else self.after
        if not ports:
            return ()
        found: set[str] = set()
        out, into = reach.doubtful(Direction.EGRESS), reach.doubtful(Direction.INGRESS)
        for start in self._peers(source, earlier):
            for end in self._peers(destination, earlier):
                if start in out or end in into:
                    found.update(reach.uncertain(start, end, ports))
        return sorted(found)

    def _peers(self, end: End, earlier: bool) -> Iterable[PeerId]:
        if isinstance(end, Part):
            return end.likeness.before if earlier else end.likeness.after
        reach = self.before if earlier else self.after
        places = (reach.peers.pods + (one.before if earlier else one.after) for one in end)
        return dict.fromkeys(peer for place in places if (peer := reach.peer_id_of_end(place)) is not None)

    @cached_property
    def possible(self) -> tuple[Possible, ...]:
        """Pairs of pods between which more may pass than before."""
        found = []
        told = {(id(c.source), id(c.destination)) for c in self.changes if c.added}
        for asked, (source, destination) in enumerate(self._questionable()):
            if asked == MAX_PAIRS:
                found.append(Possible(source, destination, (f"the pairs after the first {asked} were not looked at",)))
                break
            if (id(source), id(destination)) not in told:
                now = self._uncertain(source, destination, False, PortSet.all())
                fresh = set(now) - set(self._uncertain(source, destination, True, PortSet.all())) if now else set()
                if fresh:
                    found.append(Possible(source, destination, tuple(sorted(fresh))))
        return tuple(found)

    def _questionable(self) -> Iterator[tuple[Part, Part]]:
        """Pairs with an end whose own rules could be widened by something unknown and are not those of before."""
        there = [part for part in self.parts if part.presence is not Presence.GONE]
        out, into = (
            {id(part) for part in there if self._asked(part, direction)}
            for direction in (Direction.EGRESS, Direction.INGRESS)
        )
        if out or into:
            for source in there:
                for destination in there:
                    if id(source) in out or id(destination) in into:
                        yield source, destination

    def _asked(self, part: Part, direction: Direction) -> bool:
        return bool(self.after.doubtful(direction) & set(part.likeness.after)) and (
            self._rules(self.before, part.likeness.before, direction)
            != self._rules(self.after, part.likeness.after, direction)
        )

    @staticmethod
    def _rules(reach: Reachability, peers: Iterable[PeerId], direction: Direction) -> Mapping[object, object]:
        """What the policies that select some classes say in a direction, by policy."""
        return {
            placed.form.policy.key: placed.form.rules[direction]
            for peer in peers
            for placed in reach.selecting(peer, direction)
        }


def names(end: End) -> tuple[str, ...]:
    """The workloads of a part; outside addresses as one name."""
    if isinstance(end, Part):
        return tuple(member.name for member in end.members)
    return (", ".join(refine.ranges_text(end)),)


def _spread(ends: Numbers, counts: Numbers) -> Numbers:
    """Every row as often as its end has members."""
    return np.repeat(np.arange(len(ends)), counts[ends])


def _rank(rows: Numbers) -> Numbers:
    """How many times the same (sorted) value came before each."""
    starts = _firsts(rows)
    return np.arange(len(rows)) - np.repeat(starts, np.diff(np.r_[starts, len(rows)]))


def _firsts(numbers: Numbers) -> Numbers:
    """The places in a sorted list where a number comes first."""
    return np.flatnonzero(np.r_[True, numbers[1:] != numbers[:-1]][: len(numbers)])
