"""Everything that could be probed: cells by pair of pod classes, and why some of the cluster gives none.

1. A class can be probed when a pod of it runs on a known Linux node with a known address. Pods on the host network cannot: nothing tells them
   from their node, and a stand-in there would take rights that Pod Security forbids. Nor can sources outside the cluster.
2. Ports of a destination fall into groups: those that no set of ports tells apart that any source is allowed to send to it, or that it
   admits from any. TCP and UDP always count whole; SCTP where a policy or a pod of the destination names it.
3. A group is probed on a port that the pod itself declares, else at an edge of the group, where enforcers make their mistakes.
4. A connection of which the computation itself is not certain (see `Reachability.uncertain`) is no cell.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from evidence.cluster.model import Pod, Protocol
from evidence.intent.model import SENSITIVE
from evidence.intent.zones import ZoneMap
from evidence.probe.model import Left
from evidence.reach.classes import PeerId, PodClass
from evidence.reach.engine import Reachability
from evidence.reach.ports import FIRST_PORT, LAST_PORT, PortRange, PortSet

_EVERY = (Protocol.TCP, Protocol.UDP)


@dataclass(frozen=True, slots=True)
class PortGroup:
    """Ports that are alike at one destination. `port` stands for them; `declared`: the pod says that it listens there."""

    protocol: Protocol
    ports: PortSet
    port: int
    declared: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """What one connection can test. `crossing`: its ends lie in different places (see `Place`)."""

    source: PeerId
    destination: PeerId
    group: PortGroup
    allowed: bool
    crossing: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A class that can be probed, the pod that stands for it, and where that lies: its declared zones, or its namespace.

    `regulated`: one of the zones holds regulated data."""

    id: PeerId
    pod: Pod
    zones: tuple[str, ...]
    regulated: bool

    @property
    def place(self) -> tuple[str, ...]:
        return self.zones or (f"namespace {self.pod.namespace}",)


@dataclass(frozen=True, slots=True)
class Field:
    """All candidates and cells. `classes` counts pod classes that run, probed or not."""

    candidates: Mapping[PeerId, Candidate]
    cells: tuple[Cell, ...]
    classes: int
    left: tuple[Left, ...]


def order(seed: int, *parts: object) -> bytes:
    """A place in an order that the seed alone decides: the same on every machine."""
    return sha256("|".join(map(str, (seed, *parts))).encode("utf-8", "surrogatepass")).digest()


def left_over(count: int, one: str, reason: str, several: str = "") -> Left:
    """What is not covered, in the number that it has."""
    return Left(one if count == 1 else several or f"{one}s", count, reason)


def survey(reach: Reachability, zones: ZoneMap, seed: int, not_in: frozenset[str]) -> Field:
    """The candidates and cells of a cluster. `not_in`: namespaces in which nothing of ours may run."""
    candidates, left = _candidates(reach, zones, seed, not_in)
    cells: list[Cell] = []
    uncertain = 0
    for destination in candidates.values():
        ports = {source: reach.ports(source, destination.id) for source in candidates}
        groups = port_groups(_sets(reach, candidates, destination.id), destination.pod, seed)
        for source, allowed in ports.items():
            crossing = candidates[source].place != destination.place
            for group in groups:
                passes = allowed.contains(group.protocol, group.port)
                if not passes and reach.uncertain(source, destination.id, PortSet.of(group.protocol, group.port)):
                    uncertain += 1
                    continue
                cells.append(Cell(source, destination.id, group, passes, crossing))
    if uncertain:
        left.append(left_over(uncertain, "cell", "the computation itself is not certain"))
    return Field(candidates, tuple(cells), len(reach.classes), tuple(left))


def _candidates(
    reach: Reachability, zones: ZoneMap, seed: int, not_in: frozenset[str]
) -> tuple[dict[PeerId, Candidate], list[Left]]:
    found: dict[PeerId, Candidate] = {}
    why: dict[str, int] = defaultdict(int)
    nodes: dict[str, int] = defaultdict(int)
    windows = frozenset(node.name for node in reach.cluster.nodes if node.operating_system == "windows")
    for one in reach.classes:
        reason = _no_candidate(one, not_in, windows)
        if reason:
            why[reason] += 1
            continue
        able = [pod for pod in one.pods if _runs(pod, windows)]
        pod = min(able, key=lambda pod: (nodes[pod.node], order(seed, "pod", pod.key)))
        nodes[pod.node] += 1  # so that every node is the place of some probe, as far as classes allow
        declared = zones.of_pod(pod.key)
        regulated = any(zone.classification in SENSITIVE for zone in declared)
        found[one.id] = Candidate(one.id, pod, tuple(zone.name for zone in declared), regulated)
    left = [left_over(count, "class of pods", reason, "classes of pods") for reason, count in sorted(why.items())]
    outside = "a probe starts in a pod; what comes in from outside is computed only"
    left.append(
        left_over(
            len(reach.external),
            "range of addresses outside as a source",
            outside,
            "ranges of addresses outside as sources",
        )
    )
    return found, left


def _no_candidate(found: PodClass, not_in: frozenset[str], windows: frozenset[str]) -> str:
    if found.host_network:
        return "on the host network: not told from their node, and no stand-in can be had"
    if found.namespace in not_in:
        return "in a namespace that was left out"
    if not any(_runs(pod, windows) for pod in found.pods):
        return "no pod of it runs on a known Linux node with a known address"
    return ""


def _runs(pod: Pod, windows: frozenset[str]) -> bool:
    placed = bool(pod.addresses) and bool(pod.node) and pod.node not in windows
    return pod.phase == "Running" and not pod.template and placed


# -- groups of ports --------------------------------------------------------------------------------------------------


def _sets(reach: Reachability, sources: Iterable[PeerId], destination: PeerId) -> Sequence[PortSet]:
    """The sets of ports that some side of some connection to the destination lets through, each once."""
    found = {reach.ingress_ports(source, destination) for source in sources}
    found |= {reach.egress_ports(source, destination) for source in sources}
    return sorted(found, key=lambda ports: ports.ranges)


def port_groups(sets: Sequence[PortSet], pod: Pod, seed: int) -> tuple[PortGroup, ...]:
    """The groups of ports at a destination that the sets tell apart, in the order of their first ports."""
    named = {ports.ranges for ports in sets if ports and not ports.is_all}
    declared = sorted({(port.protocol, port.number) for port in pod.ports})
    protocols = [
        protocol
        for protocol in sorted(Protocol)
        if protocol in _EVERY
        or any(protocol is found for found, _ in declared)
        or any(_cuts(ranges, protocol) for ranges in named)
    ]
    groups = []
    for protocol in protocols:
        alike: dict[tuple[bool, ...], list[PortRange]] = defaultdict(list)
        for piece in _pieces(protocol, sets):
            alike[tuple(ports.contains(protocol, piece.first) for ports in sets)].append(piece)
        groups += [_group(protocol, pieces, declared, pod, seed) for pieces in alike.values()]
    return tuple(groups)


def _cuts(ranges: tuple[PortRange, ...], protocol: Protocol) -> bool:
    """True when a set names some of a protocol's ports and not all of them."""
    here = [found for found in ranges if found.protocol is protocol]
    return bool(here) and here != [PortRange(protocol, FIRST_PORT, LAST_PORT)]


def _pieces(protocol: Protocol, sets: Iterable[PortSet]) -> Iterator[PortRange]:
    starts = {FIRST_PORT}
    for ports in sets:
        for found in ports.ranges:
            if found.protocol is protocol:
                starts |= {found.first, found.last + 1}
    ordered = sorted(start for start in starts if start <= LAST_PORT)
    for first, following in zip(ordered, [*ordered[1:], LAST_PORT + 1], strict=True):
        yield PortRange(protocol, first, following - 1)


def _group(
    protocol: Protocol, pieces: Sequence[PortRange], declared: Sequence[tuple[Protocol, int]], pod: Pod, seed: int
) -> PortGroup:
    ports = PortSet.joined(pieces)
    listens = [number for found, number in declared if ports.contains(found, number)]
    edges = sorted({edge for found in ports.ranges for edge in (found.first, found.last)})
    port = min(listens or edges, key=lambda number: order(seed, "port", pod.key, protocol.value, number))
    return PortGroup(protocol, ports, port, bool(listens))
