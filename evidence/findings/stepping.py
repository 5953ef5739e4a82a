"""Family crossing: zones with regulated data that are closed to out-of-scope pods, and open to pods that these can come to.

The paths are those of `evidence.reach.paths`: each hop an allowed connection, the outside never in the middle, a pod's own node left out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from evidence.findings.crossing import IN_SCOPE, NEEDS, approved, zone_label
from evidence.findings.crossings import NO_ZONE, Crossing, Crossings, end_of
from evidence.findings.finding import Severity, Subject, count
from evidence.findings.index import workload_names, workloads_of_pods
from evidence.findings.registry import Context, Hit, Looked, rule
from evidence.intent.model import SENSITIVE
from evidence.reach.classes import PeerId
from evidence.reach.groups import Group
from evidence.reach.paths import Graph, Hop, Stop
from evidence.reach.possible import path_doubts

MAX_PAIRS = 50_000  # connections that are asked about for doubts, for each regulated zone

Path = tuple[Hop, ...]


@rule(
    "SEG-006",
    title="Regulated zone reachable in several hops",
    severity=Severity.LOW,
    family="crossing",
    why="No pod outside the assessed scope can connect to the zone, and yet a chain of allowed connections leads there: whoever takes over the pods "
    "on the way, one after the other, comes to the regulated data. What can gain access through a connected system is not out of scope by being "
    "one hop further away.",
    mend="Close the hop that has the least reason to be open: isolate the pods in the middle for ingress and admit only who needs them, or close the "
    "source's egress. Where every hop is needed, harden the pods on the way, and review whether the source belongs in scope.",
    needs=NEEDS,
    needs_intent=True,
    hangs_on_policies=True,
)
def reachable_in_several_hops(context: Context) -> Looked:
    """Pairs (zone out of scope or none, cde / ephi / fedramp-boundary zone) without a connection, but with a chain of two or more.

    Pairs with a connection of their own are SEG-001's. A hop through a pod presumes that the pod is taken over. Info when approved flows cover every
    hop between zones.
    """
    table = context.crossings
    groups = _groups(table)
    hits: list[Hit] = []
    apart: dict[str, list[str]] = {}
    population = 0
    for source, destination, paths in _searched(context, table, groups):
        population += 1
        if not paths:
            apart.setdefault(destination, []).append(source)
        elif len(paths[0]) > 1:
            hits.append(_hit(context, table, source, destination, paths))
    doubts: dict[str, None] = {}
    for name in filter(apart.__contains__, groups):
        doubts.update(dict.fromkeys(_doubts(context, [groups[source] for source in apart[name]], groups[name])))
    return Looked(population, tuple(hits), tuple(doubts))


def paths_of(context: Context, pair: Subject) -> Sequence[Path]:
    """The paths that the finding about this pair of zones tells of, shortest first."""
    table = context.crossings
    found = _searched(context, table, _groups(table))
    return next((paths for source, destination, paths in found if _pair(source, destination) == pair), ())


def _groups(table: Crossings) -> dict[str, Group]:
    """Zones out of scope, then those with regulated data."""
    outer = [name for name in table.members if table.classification(name) not in IN_SCOPE]
    inner = [name for name, zone in table.zones.items() if zone.classification in SENSITIVE and name in table.members]
    return {name: _group(table, name) for name in (*outer, *inner)}


def _searched(
    context: Context, table: Crossings, groups: Mapping[str, Group]
) -> Iterator[tuple[str, str, Sequence[Path]]]:
    """Each pair of a zone out of scope and one with regulated data, and a shortest path to every part of the latter that has one."""
    graph = Graph(context.reach, list(groups.values()))
    place = {name: number for number, name in enumerate(groups)}
    regulated = [name for name in groups if table.classification(name) in SENSITIVE]
    for source in filter(lambda name: name not in regulated, groups):
        reached = graph.search(graph.members(place[source]))
        for destination in regulated:
            ends = [unit for unit in graph.members(place[destination]) if reached.hops[unit] > 0]
            yield source, destination, sorted((graph.path(reached, unit) for unit in ends), key=len)


def _pair(source: str, destination: str) -> Subject:
    return Subject("ZonePair", "", f"{zone_label(source)} -> {zone_label(destination)}")


def _group(table: Crossings, name: str) -> Group:
    pods = {
        number: frozenset(pod.key for workload in table.ends(number)[name].workloads for pod in workload.pods)
        for number in sorted(table.members[name])
    }
    return Group(zone_label(name), pods)


def _doubts(context: Context, sources: Sequence[Group], destination: Group) -> tuple[str, ...]:
    """Why there may be a path from one of the zones from which there is none."""
    together: dict[PeerId, frozenset[str]] = {}
    for group in sources:
        for peer, keys in group.pods.items():
            together[peer] = together.get(peer, frozenset()) | keys
    return path_doubts(context.reach, Group("out of scope", together), destination, max_pairs=MAX_PAIRS)


def _hit(context: Context, table: Crossings, source: str, destination: str, paths: Sequence[Path]) -> Hit:
    shortest = paths[0]
    zones = tuple(table.zones[name] for name in (source, destination) if name in table.zones)
    kinds = " → ".join(
        f"{zone_label(name)} ({table.classification(name) or 'not classified'})" for name in (source, destination)
    )
    covered = _covered(context, shortest)
    note = "; approved flows cover every hop between zones" if covered else ""
    return Hit(
        subject=_pair(source, destination),
        message=f"{kinds} in {count(len(shortest), 'hop')}: {_told(shortest)}{note}",
        evidence=table.evidence([_crossing(context, hop) for hop in shortest]),
        zones=zones,
        details=tuple(_told(path) for path in paths),
        severity=Severity.INFO if covered else None,
    )


def _told(path: Path) -> str:
    """ "batch/report → shop/web TCP 8080 → payments/card TCP 8443"."""
    steps = "".join(f" → {_name(hop.destination)} {hop.ports}" for hop in path)
    return f"{_name(path[0].source)}{steps}"


def _name(stop: Stop) -> str:
    names = workload_names(workloads_of_pods(stop.pods))
    return names[0] + (f" (or {len(names) - 1} more alike)" if len(names) > 1 else "")


def _crossing(context: Context, hop: Hop) -> Crossing:
    ends = [end_of(context.reach.classes[stop.peer], stop.pods) for stop in (hop.source, hop.destination)]
    return Crossing(ends[0], ends[1], hop.ports)


def _covered(context: Context, path: Iterable[Hop]) -> bool:
    """True when each hop stays in a zone, or approved flows between its zones cover its ports."""
    return all(
        source == destination
        or (NO_ZONE not in (source, destination) and not hop.ports - approved(context, source, destination))
        for hop in path
        for source in _zones(context, hop.source)
        for destination in _zones(context, hop.destination)
    )


def _zones(context: Context, stop: Stop) -> frozenset[str]:
    """Names of the zones that pods of a stop lie in, NO_ZONE for pods of none."""
    return frozenset(
        name for pod in stop.pods for name in [zone.name for zone in context.zones.of_pod(pod.key)] or [NO_ZONE]
    )
