"""Whether assertions about flows hold on one cluster.

1. "Must allow" holds when every pod (or outside range) of the source may connect to every other one of the destination, on every port.
2. "Must deny" holds when none may connect to any, on any port; with `indirectly`, when no chain of allowed connections leads there either.
3. A pod is not asked about itself, nor the outside about the outside.
4. Not determined, and never passed: an assertion of which an end stands for nothing that is there; a denial that something unknown could open; an
   allowance that is missing but may pass; and whatever would pass while policies are not evaluated or could not be read.
5. A pod's own node always reaches it; that is no violation of "must deny", because no policy could mend it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np

from evidence.cluster.model import Direction, Pod
from evidence.errors import InputError
from evidence.reach.classes import PeerId
from evidence.reach.engine import Reachability
from evidence.reach.explain import Point, explain
from evidence.reach.flowfile import Assertion, End, FlowFile, Must, Selected
from evidence.reach.groups import ZONE, Group, Names, group_of
from evidence.reach.matrix import range_name
from evidence.reach.paths import find
from evidence.reach.portids import NO_PORTS
from evidence.reach.ports import PortSet
from evidence.reach.possible import not_looked_at, path_doubts
from evidence.reach.query import address_point, pod_point


class Outcome(Enum):
    """What became of an assertion."""

    PASSED = "passed"
    FAILED = "failed"
    UNDETERMINED = "not determined"


@dataclass(frozen=True, slots=True)
class Violation:
    """A pair of ends that breaks the assertion. `because`: what decides on each side for the first of the ports, or the steps of a chain."""

    source: str
    destination: str
    ports: PortSet
    because: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.source} → {self.destination} {self.ports}"


@dataclass(frozen=True, slots=True)
class Result:
    """`violations` of a failed assertion; `reasons` why one is not determined. `pairs`: how many pairs of classes were looked at."""

    assertion: Assertion
    outcome: Outcome
    violations: tuple[Violation, ...] = ()
    reasons: tuple[str, ...] = ()
    pairs: int = 0


def check(reach: Reachability, names: Names, file: FlowFile) -> tuple[Result, ...]:
    """A result for each assertion, in the order of the file. Raises InputError for a zone that is not declared."""
    blind = not_looked_at(reach)
    return tuple(_checked(reach, names, file, assertion, blind) for assertion in file.assertions)


def _checked(reach: Reachability, names: Names, file: FlowFile, assertion: Assertion, blind: tuple[str, ...]) -> Result:
    source, missing = _group(reach, names, assertion.source, f"{file.source}:{assertion.line}: from")
    destination, also_missing = _group(reach, names, assertion.destination, f"{file.source}:{assertion.line}: to")
    missing = [*(f"from: {reason}" for reason in missing), *(f"to: {reason}" for reason in also_missing)]
    found = _asked_indirectly(reach, assertion, source, destination) if assertion.indirectly else None
    found = found or _asked_directly(reach, assertion, source, destination)
    if found.outcome is Outcome.FAILED:
        return found
    reasons = (*missing, *found.reasons, *blind)
    if not found.pairs and not reasons:
        reasons = ("there are no two different ends to ask about",)
    return Result(assertion, Outcome.UNDETERMINED if reasons else Outcome.PASSED, (), reasons, found.pairs)


# -- ends -------------------------------------------------------------------------------------------------------------


def _group(reach: Reachability, names: Names, end: End, where: str) -> tuple[Group, list[str]]:
    """What an end stands for, and what of it stands for nothing."""
    pods: dict[PeerId, frozenset[str]] = {}
    ranges: frozenset[PeerId] = frozenset()
    missing = []
    for part in end:
        try:
            found = names.group(part) if isinstance(part, str) else _selected(reach, part)
        except InputError as error:
            if isinstance(part, str) and part.startswith(ZONE):
                raise InputError(f"{where}: {error}") from None
            missing.append(str(error))
            continue
        if not found:
            missing.append(f"{part} matches nothing")
        ranges |= found.ranges
        for number, keys in found.pods.items():
            pods[number] = pods.get(number, frozenset()) | keys
    return Group(", ".join(map(str, end)), {number: pods[number] for number in sorted(pods)}, ranges), missing


def _selected(reach: Reachability, wanted: Selected) -> Group:
    spaces = {
        name
        for name, space in reach.cluster.namespaces.items()
        if (not wanted.namespaces or name in wanted.namespaces)
        and (wanted.namespace_selector is None or wanted.namespace_selector.matches(space.labels))
    }
    pods = (
        pod
        for pod in reach.cluster.pods
        if pod.namespace in spaces and (wanted.pod_selector is None or wanted.pod_selector.matches(pod.labels))
    )
    return group_of(reach, str(wanted), pods)


# -- pairs ------------------------------------------------------------------------------------------------------------


def _asked_directly(reach: Reachability, assertion: Assertion, source: Group, destination: Group) -> Result:
    allowed = _allowed(reach, source, destination)
    violations: list[Violation] = []
    doubts: set[str] = set()
    pairs = 0
    out, into = reach.doubtful(Direction.EGRESS), reach.doubtful(Direction.INGRESS)
    for start, end in _pairs(source, destination):
        pairs += 1
        passing = reach.port_ids.port_set(allowed.get((start, end), NO_PORTS))
        wrong = assertion.ports & passing if assertion.must is Must.DENY else assertion.ports - passing
        asked = wrong if assertion.must is Must.ALLOW else assertion.ports
        unsure = reach.uncertain(start, end, asked) if asked and (start in out or end in into) else ()
        if wrong and (assertion.must is Must.DENY or not unsure):
            violations.append(_violation(reach, source, destination, start, end, wrong))
        else:
            doubts.update(unsure)
    outcome = Outcome.FAILED if violations else Outcome.UNDETERMINED if doubts else Outcome.PASSED
    return Result(assertion, outcome, tuple(violations), tuple(sorted(doubts)), pairs)


def _pairs(source: Group, destination: Group) -> Iterator[tuple[PeerId, PeerId]]:
    """Pairs of peers between which there are two different ends to ask about."""
    for start in (*source.pods, *sorted(source.ranges)):
        for end in (*destination.pods, *sorted(destination.ranges)):
            if start in source.ranges and end in destination.ranges:
                continue
            if start == end and len(source.pods[start] | destination.pods[end]) == 1:
                continue
            yield start, end


def _allowed(reach: Reachability, source: Group, destination: Group) -> dict[tuple[int, int], int]:
    """Numbers of the ports that pass, for each pair of peers between which some do."""
    table = reach.flow_table
    starts, ends = (np.array([*group.pods, *group.ranges], dtype=np.int64) for group in (source, destination))
    rows = np.flatnonzero(np.isin(table.sources, starts) & np.isin(table.destinations, ends))
    pairs = zip(table.sources[rows].tolist(), table.destinations[rows].tolist(), strict=True)
    return dict(zip(pairs, table.ports[rows].tolist(), strict=True))


def _violation(
    reach: Reachability, source: Group, destination: Group, start: PeerId, end: PeerId, ports: PortSet
) -> Violation:
    first, second = next(
        (one, other)
        for one in _points(reach, source, start)
        for other in _points(reach, destination, end)
        if one.pod is None or one.pod is not other.pod
    )
    why = explain(reach, first, second, ports.ranges[0].protocol, ports.ranges[0].first)
    because = (f"egress: {why.egress.reason}", f"ingress: {why.ingress.reason}")
    return Violation(_named(reach, source, start), _named(reach, destination, end), ports, because)


def _points(reach: Reachability, group: Group, peer: PeerId) -> Iterator[Point]:
    """The ends of the peer that lie in the group; one address speaks for a range."""
    if peer >= len(reach.classes):
        yield address_point(reach, reach.external[peer - len(reach.classes)].first)
        return
    for pod in _members(reach, group, peer):
        yield pod_point(reach, pod)


def _members(reach: Reachability, group: Group, peer: PeerId) -> list[Pod]:
    return [pod for pod in reach.classes[peer].pods if pod.key in group.pods[peer]]


def _named(reach: Reachability, group: Group, peer: PeerId) -> str:
    if peer >= len(reach.classes):
        return range_name(reach.external[peer - len(reach.classes)])
    keys = sorted({pod.workload for pod in _members(reach, group, peer)})
    return ", ".join(f"{key.namespace}/{key.kind}/{key.name}" for key in keys)


# -- chains -----------------------------------------------------------------------------------------------------------


def _asked_indirectly(reach: Reachability, assertion: Assertion, source: Group, destination: Group) -> Result | None:
    """A chain of connections that leads there, or why there may be one; None when there is neither and nothing to ask."""
    paths = find(reach, source, destination)
    violations = [
        Violation(
            ", ".join(path[0].source.workloads),
            ", ".join(path[-1].destination.workloads),
            path[-1].ports,
            tuple(f"{hop.source.workloads[0]} → {hop.destination.workloads[0]} {hop.ports}" for hop in path),
        )
        for path in paths.shortest
    ]
    if violations:
        return Result(assertion, Outcome.FAILED, tuple(violations), (), len(violations))
    shared = tuple(f"{', '.join(stop.workloads)} lies in both" for stop in paths.shared)
    doubts = (*shared, *path_doubts(reach, source, destination)) if paths.unreached or shared else ()
    return Result(assertion, Outcome.UNDETERMINED, (), doubts, len(paths.unreached)) if doubts else None
