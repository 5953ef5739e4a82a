"""Computed connections by pairs of zones: the table that the rules of the families crossing and exposure read.

A class of pods may lie in several zones (zones may look at labels that no policy looks at) or in none; a range of outside addresses
likewise. Every computed flow is entered under each pair of zones that its ends lie in, "" standing for no zone.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from ipaddress import summarize_address_range

import numpy as np

from evidence.cluster.model import Direction, IPAddress, Pod
from evidence.findings.finding import EvidenceRef
from evidence.findings.index import WorkloadPods, policy_evidence, workload_names, workloads_of_pods
from evidence.intent.model import ApprovedFlow, Classification, Intent, Zone
from evidence.intent.zones import ZoneMap
from evidence.reach.classes import ExternalRange, PeerId, PodClass
from evidence.reach.engine import Reachability
from evidence.reach.ports import PortSet
from evidence.values import value

NO_ZONE = ""
Peer = PodClass | ExternalRange


@value()
class End:
    """The part of a peer that lies in one zone: some pods of a class, or a range of outside addresses. `names` are those of the workloads, or
    that of the range."""

    peer: Peer
    workloads: tuple[WorkloadPods, ...]
    names: tuple[str, ...]


@value()
class Crossing:
    """A computed connection between an end in one zone and an end in another."""

    source: End
    destination: End
    ports: PortSet


def end_of(peer: PodClass, pods: Iterable[Pod]) -> End:
    """The part of a class that some of its pods are."""
    workloads = workloads_of_pods(pods)
    return End(peer, workloads, workload_names(workloads))


def outside_name(found: ExternalRange) -> str:
    """An outside range in words: its networks when they are few, its bounds otherwise."""
    return _range_name(found.first, found.last)


@lru_cache(maxsize=1 << 12)  # a cluster's ranges are those of the state before
def _range_name(first: IPAddress, last: IPAddress) -> str:
    networks = tuple(summarize_address_range(first, last))
    return "+".join(map(str, networks)) if len(networks) <= 3 else f"{first}-{last}"


class Crossings:
    """All computed flows by pair of zones, with the zones by name."""

    def __init__(self, reach: Reachability, zones: ZoneMap, intent: Intent | None) -> None:
        self.zones: Mapping[str, Zone] = {zone.name: zone for zone in (intent.zones if intent else ())}
        self._reach = reach
        self._map = zones
        self._intent = intent
        self._ends: dict[PeerId, Mapping[str, End]] = {}
        self._evidence: dict[tuple[int, Direction], tuple[End, frozenset[EvidenceRef]]] = {}
        pairs: dict[tuple[str, str], list[Crossing]] = defaultdict(list)
        peers: list[Peer] = [*reach.classes, *reach.external]
        parts = [tuple(self.ends(peer.id).items()) for peer in peers]
        for source_id, destination_id, ports in self._crossing():
            for source_zone, source in parts[source_id]:
                for destination_zone, destination in parts[destination_id]:
                    if source_zone != destination_zone:
                        pairs[source_zone, destination_zone].append(Crossing(source, destination, ports))
        self.pairs: Mapping[tuple[str, str], Sequence[Crossing]] = {key: pairs[key] for key in sorted(pairs)}

    def _crossing(self) -> Iterator[tuple[PeerId, PeerId, PortSet]]:
        """The flows whose ends do not lie wholly in one and the same zone: mostly a small part of the table, picked by column."""
        table = self._reach.flow_table
        numbers: dict[tuple[str, ...], int] = {}
        peers: list[Peer] = [*self._reach.classes, *self._reach.external]
        zones = [tuple(self.ends(peer.id)) for peer in peers]
        number = np.array([numbers.setdefault(names, len(numbers)) for names in zones], dtype=np.intp)
        several = np.array([len(names) > 1 for names in zones], dtype=bool)
        rows = np.flatnonzero((number[table.sources] != number[table.destinations]) | several[table.sources])
        ports = map(self._reach.port_ids.port_set, table.ports[rows].tolist())
        return zip(table.sources[rows].tolist(), table.destinations[rows].tolist(), ports, strict=True)

    def ends(self, peer_id: PeerId) -> Mapping[str, End]:
        """The parts of a peer by zone."""
        if peer_id not in self._ends:
            self._ends[peer_id] = self._split(self._reach.peer(peer_id))
        return self._ends[peer_id]

    def _split(self, peer: Peer) -> Mapping[str, End]:
        if isinstance(peer, ExternalRange):
            names = [zone.name for zone in self._map.of_address(peer.first)]
            return dict.fromkeys(names or [NO_ZONE], End(peer, (), (outside_name(peer),)))
        pods = defaultdict(list)
        for pod in peer.pods:
            if not pod.finished:
                for name in [zone.name for zone in self._map.of_pod(pod.key)] or [NO_ZONE]:
                    pods[name].append(pod)
        return {name: end_of(peer, found) for name, found in sorted(pods.items())}

    @cached_property
    def members(self) -> Mapping[str, frozenset[PeerId]]:
        """Classes of pods with a part in each zone, NO_ZONE included."""
        found: dict[str, set[PeerId]] = defaultdict(set)
        for pods in self._reach.classes:
            for name in self.ends(pods.id):
                found[name].add(pods.id)
        return {name: frozenset(ids) for name, ids in found.items()}

    @cached_property
    def approved(self) -> Mapping[tuple[str, str], PortSet]:
        """Ports that approved flows cover, by the zones from and to which they lead."""
        found: dict[tuple[str, str], PortSet] = {}
        for flow in self._intent.flows if self._intent else ():
            pair = flow.source, flow.destination
            found[pair] = found.get(pair, PortSet.none()) | covered(flow)
        return found

    def evidence(self, crossings: Iterable[Crossing]) -> tuple[EvidenceRef, ...]:
        """What lets connections pass: the policies that isolate an end (and admit it), or the pods that none isolates."""
        found: set[EvidenceRef] = set()
        listed = tuple(crossings)
        for direction, ends in (
            (Direction.EGRESS, {id(crossing.source): crossing.source for crossing in listed}),
            (Direction.INGRESS, {id(crossing.destination): crossing.destination for crossing in listed}),
        ):
            for number, end in ends.items():
                known = self._evidence.get((number, direction))
                if known is None:  # most ends are of several crossings
                    known = end, frozenset(_admitting(self._reach, end, direction))
                    self._evidence[number, direction] = known
                found |= known[1]
        return tuple(sorted(found))

    def classification(self, name: str) -> Classification | None:
        """None for no zone."""
        return self.zones[name].classification if name in self.zones else None


def covered(flow: ApprovedFlow) -> PortSet:
    """Ports of an approved flow."""
    if not flow.ports:
        return PortSet.all()
    ports = PortSet.none()
    for port in flow.ports:
        ports = ports | PortSet.of(port.protocol, port.first, port.last)
    return ports


def _admitting(reach: Reachability, end: End, direction: Direction) -> Iterator[EvidenceRef]:
    if isinstance(end.peer, ExternalRange):
        return
    policies = reach.isolating(end.peer.id, direction)
    for policy in policies:
        yield policy_evidence(policy, f"admits by {direction.value.lower()}")
    if not policies:
        for workload in end.workloads:
            yield from workload.evidence


def lines(crossings: Sequence[Crossing]) -> tuple[str, ...]:
    """Every connection, once: "a, b → c TCP 5432", joined where the same sources reach the same ports."""
    sources: dict[tuple[str, str], set[str]] = defaultdict(set)
    texts: dict[int, str] = {}  # by the identity of ports, which crossings share
    for crossing in crossings:
        text = texts.get(id(crossing.ports))
        if text is None:
            text = texts[id(crossing.ports)] = str(crossing.ports)
        for destination in crossing.destination.names:
            sources[destination, text].update(crossing.source.names)
    joined: dict[tuple[tuple[str, ...], str], list[str]] = defaultdict(list)
    for (destination, ports), names in sorted(sources.items()):
        joined[tuple(sorted(names)), ports].append(destination)
    return tuple(
        sorted(f"{', '.join(names)} → {', '.join(targets)} {ports}" for (names, ports), targets in joined.items())
    )
