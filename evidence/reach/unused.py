"""Policies and rules that change nothing: without one of them, the same connections would be allowed, on today's pods and addresses.

1. It selects no pod, or matches nothing: no pod has the labels, no address is in the block, no pod has the port name.
2. It is covered: others allow, or decide, the same before or beside it.
3. The other side lets nothing pass of what it alone allows: an egress rule towards pods whose ingress is closed to it, or the reverse.

A rule by domain names, by nodes where not every node was read, or by something else of which it is not known what it means, is never listed: it
may matter to any address.

Each entry holds on its own. Of rules that cover one another, one has to stay: after taking one away, ask again. A rule that is listed may be
needed by pods that are not there yet; whether that is so whatever is deployed is another question (finding NET-017 answers it from what is written).

Exact on the tables of the engine. NetworkPolicies add up, so what a rule alone adds is what it allows less what the others do, cell by cell;
a policy with order is taken out, and the sides are compared.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from evidence.cluster.model import Direction, NetworkPolicy
from evidence.cluster.objects import ObjectKey
from evidence.reach.engine import Reachability
from evidence.reach.peers import Ends, distinct
from evidence.reach.portids import ALL_PORTS, NO_PORTS, Ids
from evidence.reach.rules import Domains, Matcher, Nodes, Policy, PolicyForm, Unplaced
from evidence.reach.sides import Side
from evidence.reach.tiers import Part, PlacedPolicy, PlacedRule

_CELLS_AT_ONCE = 8_000_000


class Why(StrEnum):
    """Why a policy or rule changes nothing."""

    SELECTS_NOTHING = "selects no pod"
    MATCHES_NOTHING = "matches nothing"
    COVERED = "others decide the same"
    CLOSED = "the other side lets nothing pass of what only this allows"


@dataclass(frozen=True, slots=True)
class Unused:
    """One policy (`rule` "") or rule that changes nothing. `by`: what covers it, one entry where a single rule does so alone; () where nothing
    can be named, because the pods are open without it or later policies decide the same."""

    policy: ObjectKey
    rule: str
    why: Why
    by: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.policy} {self.rule}".rstrip()


@dataclass(slots=True)
class _Candidate:
    """A rule, or all rules of a policy in one direction, and what has been seen so far of what it alone does."""

    placed: PlacedPolicy
    where: str  # "" for all of the policy's rules
    rules: tuple[PlacedRule, ...]  # one rule of a policy may be several of the engine's
    opens: bool  # without it the policy no longer isolates in this direction
    symbols: tuple[type[Matcher], ...]  # kinds of peers that match nothing here, or not all that they mean
    needed: bool = False  # its own side would say otherwise without it
    effective: bool = False  # and a connection would be allowed or denied otherwise
    beyond: bool = False  # and so with an end that the policy does not select
    alone: set[str] | None = None  # rules of which each covers it for every subject so far
    beside: dict[str, None] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """True when nothing more can change the answer. What a whole policy does among its own pods hangs on both of its directions."""
        return self.effective if self.where else self.beyond

    @property
    def parts(self) -> Sequence[Part]:
        return [part for rule in self.rules for part in rule.parts]

    @property
    def known_in_part(self) -> bool:
        """True when something in the policy is not known here."""
        return _known_in_part(self.placed.form.policy)

    @property
    def symbolic(self) -> bool:
        """True when a rule has a peer that matches nothing here, or too little, and may mean something all the same."""
        return any(isinstance(peer, self.symbols) for rule in self.rules for peer in rule.rule.mentioned())


def unused(reach: Reachability) -> tuple[Unused, ...]:
    """Every policy and rule without effect, sorted by policy and rule; rules of a policy that is listed as a whole are left out."""
    found = [candidate for direction in Direction for candidate in _Looking(reach, direction).candidates()]
    whole: dict[ObjectKey, list[_Candidate]] = defaultdict(list)
    for candidate in found:
        if len(candidate.placed.subjects) and (candidate.symbolic or (not candidate.where and candidate.known_in_part)):
            candidate.effective = candidate.beyond = True
        if not candidate.where:
            whole[candidate.placed.form.policy.key].append(candidate)
    for candidates in whole.values():
        _weigh_together(reach, candidates)
    entries = [*_entries(found, whole), *_empty(reach.forms, whole)]
    return tuple(sorted(entries, key=lambda entry: (entry.policy, entry.rule)))


def _empty(forms: Iterable[PolicyForm], whole: Mapping[ObjectKey, object]) -> Iterator[Unused]:
    """Policies without any entry (of Cilium's kinds) isolate nobody either."""
    for policy in {form.policy.key: form.policy for form in forms if form.policy.key not in whole}.values():
        if not _known_in_part(policy):
            yield Unused(policy.key, "", Why.MATCHES_NOTHING)


def _known_in_part(policy: Policy) -> bool:
    """True when something in a policy is not known here."""
    return not isinstance(policy, NetworkPolicy) and any(policy.unknown())


def _weigh_together(reach: Reachability, candidates: Sequence[_Candidate]) -> None:
    """Settle what a policy does as a whole, where that does not follow from what each form does in each direction: several forms may cover
    one another, and among the policy's own pods its directions may."""
    several = len({id(each.placed.form) for each in candidates}) > 1
    if several and not any(each.symbolic or each.known_in_part for each in candidates):
        subjects = distinct(np.concatenate([each.placed.subjects for each in candidates]))
        peers: Ends = np.arange(reach.peers.count, dtype=np.int32)
    elif not several and not any(each.beyond for each in candidates) and sum(each.needed for each in candidates) > 1:
        subjects = peers = candidates[0].placed.subjects
    else:
        return
    needed, effective = _without_it(reach, candidates[0].placed.form.policy.key, subjects, peers)
    for each in candidates:
        each.needed, each.effective = needed, effective


def _without_it(reach: Reachability, key: ObjectKey, subjects: Ends, peers: Ends) -> tuple[bool, bool]:
    """Whether, without a whole policy, some side of its pods would let these peers do otherwise, and whether connections would."""
    forms = [form for form in reach.forms if form.policy.key != key]
    ports = reach.port_ids
    sides = {each: Side(each, forms, reach.peers, ports, earlier=reach.sides[each]) for each in Direction}
    shown = np.array([reach.peer_id_of_end(end) is not None for end in peers.tolist()], dtype=bool)
    pods = peers[peers < reach.peers.pods]
    step = max(1, _CELLS_AT_ONCE // max(1, len(peers)))
    needed = False
    for some in (subjects[first : first + step] for first in range(0, len(subjects), step)):
        families = reach.peers.families[some]
        possible = ((families[:, None] & reach.peers.families[peers]) != 0) & shown
        for own, other in (tuple(Direction), tuple(Direction)[::-1]):
            flows = []
            for by in (reach.sides, sides):
                lets = np.full((len(some), len(peers)), ALL_PORTS, dtype=np.int32)
                lets[:, : len(pods)] = by[other].among(pods, some).T
                flows.append((by[own].among(some, peers), lets))
            needed = needed or bool(((flows[0][0] != flows[1][0]) & possible).any())
            passing = [ports.pairwise(ports.meet, mine, lets) for mine, lets in flows]
            if ((passing[0] != passing[1]) & possible).any():
                return True, True
    return needed, False


def _entries(candidates: Sequence[_Candidate], whole: Mapping[ObjectKey, Sequence[_Candidate]]) -> Iterator[Unused]:
    dropped = {key for key, each in whole.items() if not any(candidate.effective for candidate in each)}
    for key in dropped:
        yield _entry(key, "", whole[key])
    for candidate in candidates:
        key = candidate.placed.form.policy.key
        if candidate.where and key not in dropped and not candidate.effective:
            yield _entry(key, candidate.where, [candidate])


def _entry(key: ObjectKey, rule: str, candidates: Sequence[_Candidate]) -> Unused:
    if not any(len(candidate.placed.subjects) for candidate in candidates):
        return Unused(key, rule, Why.SELECTS_NOTHING)
    if rule and not any(candidate.parts for candidate in candidates):
        return Unused(key, rule, Why.MATCHES_NOTHING)
    if any(candidate.needed for candidate in candidates):
        return Unused(key, rule, Why.CLOSED)
    by: dict[str, None] = {}
    for candidate in candidates:
        alone = sorted(name for name in candidate.alone or () if rule or not _is_of(name, key))
        by.update(dict.fromkeys(alone[:1]) if alone else candidate.beside)
    return Unused(key, rule, Why.COVERED, tuple(name for name in by if rule or not _is_of(name, key)))


def _is_of(name: str, key: ObjectKey) -> bool:
    """True when a rule's name is of this policy."""
    return name.startswith(f"{key} ")


class _Looking:
    """One direction of one cluster."""

    def __init__(self, reach: Reachability, direction: Direction) -> None:
        self._reach = reach
        self._direction = direction
        self._side = reach.sides[direction]
        other = Direction.EGRESS if direction is Direction.INGRESS else Direction.INGRESS
        self._other = reach.sides[other]
        self._shown = np.array([reach.peer_id_of_end(end) is not None for end in range(reach.peers.count)], dtype=bool)
        every_node = reach.cluster.nodes and "Node" not in reach.cluster.unread_kinds
        self._symbols: tuple[type[Matcher], ...] = (Domains, Unplaced) if every_node else (Domains, Unplaced, Nodes)
        self._isolating: dict[int, list[PlacedPolicy]] = defaultdict(list)
        for placed in self._side.policies:
            if placed.form.adds and direction in placed.form.isolates:
                for end in placed.subjects.tolist():
                    self._isolating[end].append(placed)

    def candidates(self) -> list[_Candidate]:
        """Every policy and every rule of this direction, looked at."""
        adding: list[_Candidate] = []
        ordered: list[_Candidate] = []
        for placed in self._side.policies:
            kind = adding if placed.form.adds else ordered
            kind.append(_Candidate(placed, "", placed.rules, opens=True, symbols=self._symbols))
            for where in dict.fromkeys(rule.where for rule in placed.form.rules[self._direction]):
                rules = tuple(rule for rule in placed.rules if rule.rule.where == where)
                opens = placed.form.kept_by.get(self._direction) == frozenset((where,))
                kind.append(_Candidate(placed, where, rules, opens, self._symbols))
        self._look_at_adding([candidate for candidate in adding if len(candidate.placed.subjects)])
        for candidate in ordered:
            if len(candidate.placed.subjects):
                self._look_at_ordered(candidate)
        return adding + ordered

    # -- policies that add ------------------------------------------------------------------------------------------

    def _look_at_adding(self, candidates: Sequence[_Candidate]) -> None:
        here: dict[int, list[_Candidate]] = defaultdict(list)
        for candidate in candidates:
            for end in candidate.placed.subjects.tolist():
                here[end].append(candidate)
        parts: dict[int, list[tuple[PlacedRule, Part]]] = defaultdict(list)
        for placed in self._side.policies:
            if placed.form.adds:
                for rule in placed.rules:
                    for part in rule.parts:
                        for end in part.subjects.tolist():
                            parts[end].append((rule, part))
        step = max(1, _CELLS_AT_ONCE // max(1, self._reach.peers.count))
        for first in range(0, self._reach.peers.pods, step):
            last = min(first + step, self._reach.peers.pods)
            lets = self._other.for_peers(first, last)
            for subject in range(first, last):
                pending = [candidate for candidate in here.get(subject, ()) if not candidate.settled]
                if pending:
                    self._at(subject, pending, parts.get(subject, ()), lets[subject - first])

    def _at(
        self, subject: int, pending: Iterable[_Candidate], parts: Sequence[tuple[PlacedRule, Part]], lets: Ids
    ) -> None:
        """What the candidates do for one subject. `lets`: what each pod's other side lets pass."""
        rows = self._rows(parts)
        lets = np.concatenate([lets, np.full(self._reach.peers.count - len(lets), ALL_PORTS, dtype=np.int32)])
        isolating = self._isolating.get(subject, [])
        for candidate in pending:
            others = [placed for placed in isolating if placed is not candidate.placed]
            if candidate.opens and isolating and not others:
                _, left = self._split(candidate, rows)
                then = self._passing(subject, self._joined([row for _, row in left]), isolated=False)
                self._compare(candidate, subject, self._side.row(subject), then, lets)
            else:
                self._alone(candidate, subject, rows, lets, bool(isolating))
            if not candidate.parts:
                names = {str(placed.form.policy.key) for placed in others}
                candidate.alone = names if candidate.alone is None else candidate.alone & names
                candidate.beside.update(dict.fromkeys(sorted(names)))

    def _rows(self, parts: Iterable[tuple[PlacedRule, Part]]) -> Mapping[int, tuple[PlacedRule, Ids]]:
        """By rule (its identity) the ports that it allows this subject with every peer."""
        rows: dict[int, tuple[PlacedRule, Ids]] = {}
        for rule, part in parts:
            if id(rule) not in rows:
                rows[id(rule)] = (rule, np.zeros(self._reach.peers.count, dtype=np.int32))
            rows[id(rule)][1][slice(None) if part.peers is None else part.peers] = part.ports
        return rows

    def _base(self, subject: int, isolated: bool) -> Ids:
        """What passes before NetworkPolicies add to it."""
        frame = self._side.frame
        if frame is None:
            return np.full(self._reach.peers.count, NO_PORTS if isolated else ALL_PORTS, dtype=np.int32)
        table = frame.closed if isolated else frame.open
        base: Ids = table[frame.subject_group[subject]][frame.peer_group]
        return base

    def _left_over(self, subject: int, ports: Ids) -> Ids:
        """The part of some ports, one set a peer, that policies with order leave to NetworkPolicies."""
        frame, ids = self._side.frame, self._reach.port_ids
        if frame is None:
            return ports
        return ids.pairwise(ids.meet, ports, frame.left[frame.subject_group[subject]][frame.peer_group])

    def _passing(self, subject: int, added: Ids, *, isolated: bool) -> Ids:
        """The side's answer where NetworkPolicies add these ports."""
        ids = self._reach.port_ids
        return ids.pairwise(ids.union, self._base(subject, isolated), self._left_over(subject, added))

    def _alone(
        self,
        candidate: _Candidate,
        subject: int,
        rows: Mapping[int, tuple[PlacedRule, Ids]],
        lets: Ids,
        isolated: bool,
    ) -> None:
        """What it allows that no other rule allows; where that is nothing, the rules that cover it."""
        own, others = self._split(candidate, rows)
        ports = self._reach.port_ids
        allowed = ports.pairwise(
            ports.minus, self._left_over(subject, self._joined(own)), self._base(subject, isolated)
        )
        cells = np.flatnonzero((allowed != NO_PORTS) & self._possible(subject))
        mine = allowed[cells]
        rest = mine
        covering = set()
        for rule, row in others:
            there = row[cells]
            if not there.any():
                continue
            name = f"{rule.form.policy.key} {rule.rule.where}"
            candidate.beside[name] = None
            if not ports.pairwise(ports.minus, mine, there).any():
                covering.add(name)
            rest = ports.pairwise(ports.minus, rest, there)
        if len(cells):
            candidate.alone = covering if candidate.alone is None else candidate.alone & covering
        if rest.any():
            candidate.needed = True
            self._effects(candidate, cells[ports.pairwise(ports.meet, rest, lets[cells]) != NO_PORTS])

    def _split(
        self, candidate: _Candidate, rows: Mapping[int, tuple[PlacedRule, Ids]]
    ) -> tuple[list[Ids], list[tuple[PlacedRule, Ids]]]:
        mine = set(map(id, candidate.rules))
        return [row for number, (_, row) in rows.items() if number in mine], [
            found for number, found in rows.items() if number not in mine
        ]

    def _joined(self, rows: Sequence[Ids]) -> Ids:
        joined: Ids = rows[0] if rows else np.zeros(self._reach.peers.count, dtype=np.int32)
        for row in rows[1:]:
            joined = self._reach.port_ids.pairwise(self._reach.port_ids.union, joined, row)
        return joined

    def _possible(self, subject: int) -> npt.NDArray[np.bool_]:
        """Peers of a family of the subject's that are listed in flows."""
        families = self._reach.peers.families
        possible: npt.NDArray[np.bool_] = ((families & families[subject]) != 0) & self._shown
        return possible

    def _compare(self, candidate: _Candidate, subject: int, now: Ids, then: Ids, lets: Ids) -> None:
        cells = np.flatnonzero((now != then) & self._possible(subject))
        if not len(cells):
            return
        ports = self._reach.port_ids
        candidate.needed = True
        for one, other in ((now, then), (then, now)):
            differ = ports.pairwise(ports.minus, one[cells], other[cells])
            self._effects(candidate, cells[ports.pairwise(ports.meet, differ, lets[cells]) != NO_PORTS])

    @staticmethod
    def _effects(candidate: _Candidate, peers: npt.NDArray[np.intp]) -> None:
        """Note that connections with these peers hang on it."""
        if len(peers):
            candidate.effective = True
            candidate.beyond |= not bool(np.isin(peers, candidate.placed.subjects).all())

    # -- policies with order ------------------------------------------------------------------------------------------

    def _look_at_ordered(self, candidate: _Candidate) -> None:
        """Take it out, and compare the side before and after for every pod that it selects."""
        reach = self._reach
        without = _without(reach.forms, candidate, self._direction)
        side = Side(self._direction, without, reach.peers, reach.port_ids, earlier=self._side)
        pods = np.arange(reach.peers.pods, dtype=np.int32)
        everywhere = np.full(reach.peers.count, ALL_PORTS, dtype=np.int32)
        for subject in candidate.placed.subjects.tolist():
            now, then = self._side.row(subject), side.row(subject)
            if (now != then).any():
                everywhere[: len(pods)] = self._other.among(pods, np.array([subject], dtype=np.int32))[:, 0]
                self._compare(candidate, subject, now, then, everywhere)
            if candidate.settled:
                return
        candidate.beside = dict.fromkeys(self._earlier(candidate))

    def _earlier(self, candidate: _Candidate) -> Iterator[str]:
        """Rules that are asked before it, or beside it, about some of the same connections."""
        for placed in self._side.ordered:
            if placed.form.place > candidate.placed.form.place:
                return
            for rule in placed.rules:
                if candidate.where and rule in candidate.rules:
                    break
                if (placed is not candidate.placed or candidate.where) and any(
                    _meet(one, other) for one in rule.parts for other in candidate.parts
                ):
                    yield f"{placed.form.policy.key} {rule.rule.where}"


def _without(forms: Iterable[PolicyForm], candidate: _Candidate, direction: Direction) -> Iterator[PolicyForm]:
    key, where = candidate.placed.form.policy.key, candidate.where
    for form in forms:
        if form is candidate.placed.form and not where:
            continue
        rules, isolates = form.rules, form.isolates
        if form is candidate.placed.form:
            rules = {**rules, direction: tuple(rule for rule in rules[direction] if rule.where != where)}
        if form.policy.key == key and form.kept_by.get(direction) == frozenset((where,)):
            isolates = isolates - {direction}
        changed = rules is not form.rules or isolates is not form.isolates
        yield replace(form, rules=rules, isolates=isolates) if changed else form


def _meet(one: Part, other: Part) -> bool:
    """True when two parts share subjects and peers."""
    if not len(np.intersect1d(one.subjects, other.subjects)):
        return False
    return one.peers is None or other.peers is None or bool(len(np.intersect1d(one.peers, other.peers)))
