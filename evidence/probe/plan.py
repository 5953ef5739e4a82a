"""A plan: which connections to try, what that costs and covers, before anything runs.

1. When the budget of pods does not reach, classes in zones with regulated data come first, then those in other declared zones; among equals
   those that bring a new zone, namespace or node, or that may talk to one that is chosen already.
2. A TCP port that a real pod declares is tried at that pod, if some source of the plan may connect to it: that connection is the proof that
   somebody listens, and is always part of the plan. Everything else is tried at a stand-in with the pod's labels, which answers.
3. Targets outside the cluster are tried from every source: only those that the operator names, never an address that a policy names.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from evidence.cluster.model import Pod, Protocol
from evidence.errors import UsageError
from evidence.intent.zones import ZoneMap
from evidence.probe.cells import Candidate, Cell, Field, left_over, order, survey
from evidence.probe.choose import cover
from evidence.probe.model import Budget, Cost, Coverage, Plan, Planned, ProbeEnd, Share, Target
from evidence.reach.classes import PeerId
from evidence.reach.engine import Reachability
from evidence.reach.explain import Explanation, Point, explain
from evidence.reach.query import address_point

START_SECONDS, SECONDS_A_POD, SECONDS_OF_SILENCE, AT_ONCE = 8, 0.4, 3, 64  # see deploy/probe/main.go for the last two

Spot = tuple[PeerId, Protocol, int]  # a port of a class that may be a real pod's


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The part of the field that is used."""

    kept: Mapping[PeerId, Candidate]
    cells: tuple[Cell, ...]
    real: frozenset[Spot]


def plan(
    reach: Reachability,
    zones: ZoneMap,
    *,
    seed: int,
    targets: Sequence[Target] = (),
    budget: Budget = Budget(),  # noqa: B008  (a frozen value)
    not_in: frozenset[str] = frozenset(),
) -> Plan:
    """Connections to try. Raises UsageError when the cluster has no pod to start from."""
    field = survey(reach, zones, seed, not_in)
    if not field.candidates:
        reasons = "; ".join(f"{left.count} {left.what}: {left.reason}" for left in field.left)
        raise UsageError(f"there is nothing to probe from: no pod runs that a probe can stand for ({reasons})")
    chosen = _choose(field, seed, budget, len(targets))
    probes = [_inside(reach, cell, chosen, number) for number, cell in enumerate(chosen.cells, 1)]
    for target in sorted(set(targets)):
        for source in chosen.kept.values():
            probes.append(_outside(reach, zones, source, target, len(probes) + 1))
    return Plan(seed, tuple(probes), _coverage(field, chosen, probes, budget), _cost(probes))


def _choose(field: Field, seed: int, budget: Budget, targets: int) -> _Chosen:
    kept = _affordable(field, seed, budget.pods)
    cells = [cell for cell in field.cells if cell.source in kept and cell.destination in kept]
    most = budget.connections - targets * len(kept)
    if most < 1:
        raise UsageError(
            f"{targets} targets from {len(kept)} sources leave nothing of {budget.connections} connections for the cluster itself; "
            "name fewer targets or give more --connections"
        )
    chosen = cover(cells, kept, seed, most)
    real, controls = _listeners(cells, chosen)
    while len(chosen) + len(controls) > most and len(chosen) > 1:  # what shows that somebody listens counts too
        chosen = chosen[: max(1, most - len(controls))] if len(controls) < most else chosen[:-1]
        real, controls = _listeners(cells, chosen)
    return _Chosen(kept, (*chosen, *controls), real)


def _affordable(field: Field, seed: int, pods: int) -> Mapping[PeerId, Candidate]:
    """The candidates whose stand-ins the budget allows: one as a source, one as a destination.

    Regulated zones first, then other declared zones; among equals one from a place or on a node that none is from yet, or that may talk to one.
    """
    most = max(1, pods // 2)
    if len(field.candidates) <= most:
        return field.candidates
    talks: dict[PeerId, set[PeerId]] = defaultdict(set)
    for cell in field.cells:
        if cell.allowed:
            talks[cell.source].add(cell.destination)
            talks[cell.destination].add(cell.source)
    waiting = sorted(field.candidates.values(), key=lambda candidate: order(seed, "class", candidate.pod.key))
    kept: dict[PeerId, Candidate] = {}
    places: set[tuple[str, ...]] = set()
    nodes: set[str] = set()
    while len(kept) < most:
        best = max(
            waiting,
            key=lambda candidate: (
                candidate.regulated,
                bool(candidate.zones),
                (candidate.place not in places)
                + (candidate.pod.node not in nodes)
                + bool(talks[candidate.id] & kept.keys()),
            ),
        )
        waiting.remove(best)
        kept[best.id] = best
        places.add(best.place)
        nodes.add(best.pod.node)
    return {number: kept[number] for number in sorted(kept)}


def _listeners(cells: Iterable[Cell], chosen: Sequence[Cell]) -> tuple[frozenset[Spot], list[Cell]]:
    """The declared ports to try at the real pods, and the connections to add that show that somebody listens there."""
    wanted = {spot for cell in chosen if (spot := _spot(cell))}
    shown = {spot for cell in chosen if cell.allowed and (spot := _spot(cell))}
    controls: dict[Spot, Cell] = {}
    for cell in cells:
        spot = _spot(cell)
        if spot is not None and spot in wanted - shown and cell.allowed:
            controls.setdefault(spot, cell)
    return frozenset(shown | controls.keys()), list(controls.values())


def _spot(cell: Cell) -> Spot | None:
    group = cell.group
    if not group.declared or group.protocol is not Protocol.TCP:
        return None
    return cell.destination, group.protocol, group.port


# -- the probes -------------------------------------------------------------------------------------------------------


def _inside(reach: Reachability, cell: Cell, chosen: _Chosen, number: int) -> Planned:
    source, destination = chosen.kept[cell.source], chosen.kept[cell.destination]
    group = cell.group
    found = explained(reach, point(reach, source.pod), point(reach, destination.pod), group.protocol, group.port)
    return Planned(
        number=number,
        source=_end(source),
        destination=_end(destination),
        protocol=group.protocol,
        port=group.port,
        ports=str(group.ports),
        allowed=found.allowed,
        stand_in=_spot(cell) not in chosen.real,
        crossing=cell.crossing,
        egress=found.egress.reason,
        ingress=found.ingress.reason,
    )


def _outside(reach: Reachability, zones: ZoneMap, source: Candidate, target: Target, number: int) -> Planned:
    there = address_point(reach, target.address)
    found = explained(reach, point(reach, source.pod), there, target.protocol, target.port)
    there_zones = tuple(zone.name for zone in zones.of_address(target.address))
    return Planned(
        number=number,
        source=_end(source),
        destination=ProbeEnd(str(target.address), "", there_zones),
        protocol=target.protocol,
        port=target.port,
        ports=f"{target.protocol.value} {target.port}",
        allowed=found.allowed,
        stand_in=False,
        crossing=True,
        egress=found.egress.reason,
        ingress=found.ingress.reason,
    )


def _end(candidate: Candidate) -> ProbeEnd:
    pod = candidate.pod
    return ProbeEnd(
        pod.key, f"{pod.workload.namespace}/{pod.workload.kind}/{pod.workload.name}", candidate.zones, pod.node
    )


def point(reach: Reachability, pod: Pod) -> Point:
    """A pod of the pod's class that is not the pod itself, as an end of a question: its stand-in."""
    peer = reach.peer_of(pod.key)
    return Point(pod.key, replace(pod), None, tuple(reach.ends(peer)), peer)


def explained(reach: Reachability, source: Point, destination: Point, protocol: Protocol, port: int) -> Explanation:
    """The computed answer, for the family of the destination's first address, which is what is tried."""
    address = destination.address or (destination.pod.addresses[0] if destination.pod else None)
    return explain(reach, source, destination, protocol, port, address.version if address else None)


# -- what it covers and costs -----------------------------------------------------------------------------------------


def _coverage(field: Field, chosen: _Chosen, probes: Sequence[Planned], budget: Budget) -> Coverage:
    picked = set(chosen.cells)
    left = list(field.left)
    if beyond := len(field.candidates) - len(chosen.kept):
        reason = f"the budget of {budget.pods} stand-in pods does not reach (--pods)"
        left.append(left_over(beyond, "class of pods", reason, "classes of pods"))
    crossings = [cell for cell in field.cells if cell.crossing]
    if unpicked := sum(
        1 for cell in field.cells if cell not in picked and {cell.source, cell.destination} <= chosen.kept.keys()
    ):
        alike = "not chosen: the pair, the ports and the nodes are covered by others, or --connections is used up"
        left.append(left_over(unpicked, "cell", alike))
    places = {id_: candidate.place for id_, candidate in field.candidates.items()}
    return Coverage(
        pairs=Share(len({(cell.source, cell.destination) for cell in picked}), field.classes**2),
        cells=Share(len(picked), len(field.cells)),
        crossings=Share(sum(cell in picked for cell in crossings), len(crossings)),
        zone_pairs=Share(
            len({(places[cell.source], places[cell.destination]) for cell in picked if cell.crossing}),
            len({(places[cell.source], places[cell.destination]) for cell in crossings}),
        ),
        nodes=Share(
            len({end.node for probe in probes for end in (probe.source, probe.destination) if end.node}),
            len({candidate.pod.node for candidate in field.candidates.values()}),
        ),
        allowed=sum(probe.allowed for probe in probes),
        denied=sum(not probe.allowed for probe in probes),
        left=tuple(left),
    )


def _cost(probes: Sequence[Planned]) -> Cost:
    sources = {probe.source.name for probe in probes}
    stand_ins = {probe.destination.name for probe in probes if probe.stand_in}
    pods = len(sources) + len(stand_ins)
    denied = max(
        (sum(not probe.allowed for probe in probes if probe.source.name == source) for source in sources), default=0
    )
    rounds = -(-denied // AT_ONCE)
    return Cost(pods, len(probes), round(START_SECONDS + SECONDS_A_POD * pods + SECONDS_OF_SILENCE * rounds))
