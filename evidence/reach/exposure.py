"""Exposure: which doors policy leaves open, from where, to which ports of the pods behind them, and the rules that admit it.

1. A door is open where the ingress side of the pods admits somebody who may come through it: the client (outside ranges, as far as the
   door's own source ranges let them), a node, where the door may hide the client behind one, or the controller that forwards.
2. A node is any address of a node that is known: of Node objects, of pods' statuses, of host-network pods, the first two of a node's pod
   network and those in the plug-ins' annotations (bridges and tunnels send from these).
3. A recognised controller must reach the pods by both sides, and lets in whoever its own doors let in. One that is not recognised may be any
   other pod, a node or an outside address, from anywhere.
4. A range of outside addresses that holds some of the internet is the internet (`evidence.reach.outside`).
5. A pod's own node always reaches it; that is said once, and is not an open door here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from evidence.cluster.model import Direction, IPAddress, IPNetwork
from evidence.reach.classes import ExternalRange, PeerId, PodClass
from evidence.reach.controllers import Front
from evidence.reach.doors import BehindDoor, Doors
from evidence.reach.engine import Reachability
from evidence.reach.explain import side
from evidence.reach.nodes import beside
from evidence.reach.outside import ANYWHERE, AddressKind, kinds_of, kinds_within
from evidence.reach.ports import PortSet
from evidence.reach.rules import Action
from evidence.values import value

MAX_REASONS = 5
MAX_PAIRS = 200_000  # beyond these a doubt is assumed rather than looked for
_NONE = PortSet.none()


class SeenAs(StrEnum):
    """Whom policy sees when somebody comes through a door."""

    CLIENT = "client"
    NODE = "node"
    CONTROLLER = "controller"


@value(eq=False)
class Exposure:
    """An open door: from `origins` to `ports` of the pods. `ranges`: outside ranges that policy admits (none for a node or recognised
    controller). `sources` are ends of connections (see `peers`) that policy admits."""

    behind: BehindDoor
    seen_as: SeenAs
    origins: frozenset[AddressKind]
    ports: PortSet
    ranges: tuple[ExternalRange, ...]
    sources: tuple[int, ...]

    @property
    def origin(self) -> str:
        """ "internet and private ranges"."""
        return " and ".join(kind.value for kind in AddressKind if kind in self.origins)

    @property
    def origin_text(self) -> str:
        """Where from, and as whom policy sees it."""
        match self.seen_as:
            case SeenAs.CLIENT:
                return self.origin
            case SeenAs.NODE:
                return f"{self.origin}, as a node"
            case SeenAs.CONTROLLER:
                return f"{self.origin}, through {self.behind.door.front}"


class Exposures:
    """The open doors of one cluster. `open` is in the order of `doors.behind`."""

    def __init__(self, reach: Reachability) -> None:
        self.reach = reach
        self.doors = Doors(reach.cluster, reach.classes)
        self._admitted: dict[PeerId, _Admitted] = {}

    @cached_property
    def open(self) -> tuple[Exposure, ...]:
        """Every door that policy leaves open, in one entry for each way in which it is."""
        direct: dict[int, tuple[Exposure, ...]] = {
            number: tuple(self._direct(way)) for number, way in enumerate(self.doors.behind) if way.door.front is None
        }
        origins: dict[str, frozenset[AddressKind]] = {}
        for found in direct.values():
            for exposure in found:
                for pod in exposure.behind.pods:
                    origins[pod.key] = origins.get(pod.key, frozenset()) | exposure.origins
        every: list[Exposure] = []
        for number, way in enumerate(self.doors.behind):
            front = way.door.front
            every += direct[number] if front is None else self._forwarded(way, front, origins)
        return tuple(every)

    @cached_property
    def shut(self) -> tuple[BehindDoor, ...]:
        """Doors that policy leaves shut."""
        opened = {id(exposure.behind) for exposure in self.open}
        return tuple(way for way in self.doors.behind if id(way) not in opened)

    # -- who is let in ------------------------------------------------------------------------------------------------

    def _direct(self, way: BehindDoor) -> Iterator[Exposure]:
        door, admitted = way.door, self._of(way.peers)
        to_clients: dict[AddressKind, PortSet] = {}
        by_kind: dict[AddressKind, list[tuple[ExternalRange, int]]] = {}
        for ports, ranges in admitted.outside:
            open_ports = ports & door.ports
            if open_ports:
                for found, end in ranges:
                    for kind in _kinds(found, door.source_ranges):
                        to_clients[kind] = to_clients.get(kind, _NONE) | open_ports
                        by_kind.setdefault(kind, []).append((found, end))
        yield from _together(way, SeenAs.CLIENT, to_clients, by_kind)
        if door.hides_client:
            to_nodes = admitted.nodes & door.ports
            beyond = {
                kind: to_nodes - to_clients.get(kind, _NONE)
                for kind in (kinds_of(door.source_ranges) if door.source_ranges else ANYWHERE)
            }
            yield from _together(way, SeenAs.NODE, beyond, {}, tuple(self._node_ends.tolist()))

    def _forwarded(
        self, way: BehindDoor, front: Front, origins: Mapping[str, frozenset[AddressKind]]
    ) -> Iterator[Exposure]:
        door, admitted, reach = way.door, self._of(way.peers), self.reach
        ends: list[int] = []
        if front.pods is not None:
            ports = _NONE
            for peer in sorted({reach.peer_of(pod.key) for pod in front.pods}):
                passing = reach.ports(peer, way.peers.id) & door.ports
                if passing:
                    ports, ends = ports | passing, [*ends, *reach.ends(peer)]
            kinds = frozenset().union(*(origins.get(pod.key, frozenset()) for pod in front.pods))
            if ports and kinds:
                yield Exposure(way, SeenAs.CONTROLLER, kinds, ports, (), tuple(ends))
            return
        ports = admitted.nodes if front.outside else admitted.nodes | admitted.others
        ranges: list[tuple[ExternalRange, int]] = []
        ends = self._node_ends.tolist() if front.outside else [*self._node_ends.tolist(), *range(reach.peers.pods)]
        for passing, found in admitted.outside:
            if passing & door.ports:
                ports = ports | passing
                ranges += found
        if ports & door.ports:
            ends += [end for _, end in ranges]
            yield Exposure(
                way, SeenAs.CONTROLLER, ANYWHERE, ports & door.ports, tuple(one for one, _ in ranges), tuple(ends)
            )

    def _of(self, peers: PodClass) -> "_Admitted":
        if peers.id not in self._admitted:
            self._admitted[peers.id] = self._look(peers)
        return self._admitted[peers.id]

    def _look(self, peers: PodClass) -> "_Admitted":
        reach = self.reach
        families = reach.peers.families
        own = 0
        for end in reach.ends(peers.id):
            own |= int(families[end])
        row = reach.row(Direction.INGRESS, reach.ends(peers.id)[0])
        fitting = (families & own) != 0
        admitted = np.where(fitting, row, 0)
        by_ports: dict[int, list[tuple[ExternalRange, int]]] = {}
        for found, end, ports in zip(reach.external, self._outside_ends, admitted[self._outside].tolist(), strict=True):
            if ports:
                by_ports.setdefault(ports, []).append((found, end))
        others = admitted[: reach.peers.pods][self._class_of != peers.id]
        port_set = reach.port_ids.port_set
        return _Admitted(
            tuple((port_set(ports), tuple(found)) for ports, found in by_ports.items()),
            _union(map(port_set, set(admitted[self._node_ends].tolist()))),
            _union(map(port_set, set(others.tolist()))),
        )

    @cached_property
    def _outside(self) -> npt.NDArray[np.intp]:
        """The end of each outside range."""
        return np.array(self._outside_ends, dtype=np.intp)

    @cached_property
    def _outside_ends(self) -> list[int]:
        return [self.reach.ends(found.id)[0] for found in self.reach.external]

    @cached_property
    def _class_of(self) -> npt.NDArray[np.int64]:
        """Class of each way into a pod."""
        return np.array(self.reach.peers.class_of[: self.reach.peers.pods], dtype=np.int64)

    @cached_property
    def _node_ends(self) -> npt.NDArray[np.intp]:
        """The ends behind which a node may stand: its addresses, and pods on the host network."""
        reach = self.reach
        ends = {end for found in reach.classes if found.host_network for end in reach.ends(found.id)}
        ends |= {reach.peers.pods + reach.space.position(address) for address in node_addresses(reach)}
        return np.array(sorted(ends), dtype=np.intp)

    # -- why ----------------------------------------------------------------------------------------------------------

    def admitted_by(self, exposure: Exposure) -> tuple[str, ...]:
        """The rules that admit it ("NetworkPolicy shop/web spec.ingress[0]"), or that none has to."""
        reach, peers = self.reach, exposure.behind.peers
        if peers.host_network:
            return ("no policy is about the host network",)
        subject = reach.ends(peers.id)[0]
        sources = np.array(sorted(set(exposure.sources)), dtype=np.intp)
        row = reach.row(Direction.INGRESS, subject)
        sources = sources[row[sources] != 0]
        if not len(sources):
            return ()
        found: dict[str, None] = {}
        for source, ports in self._samples(peers, subject, sources, exposure.ports):
            for one in ports.ranges:
                reason = side(reach, Direction.INGRESS, subject, source, one.protocol, one.first)
                if reason.allowed:
                    found[f"{reason.policy} {reason.rule}".strip() if reason.policy else reason.reason] = None
        return tuple(found)

    def _samples(
        self, peers: PodClass, subject: int, sources: npt.NDArray[np.intp], ports: PortSet
    ) -> Iterator[tuple[int, PortSet]]:
        """For each rule that may admit some source one of those, with the ports; the first source where no rule does."""
        reach = self.reach
        any_rule = False
        for placed in reach.selecting(peers.id, Direction.INGRESS):
            for rule in placed.rules:
                if rule.rule.action is not Action.ACCEPT:
                    continue
                for part in rule.parts:
                    meant = ports & reach.port_ids.port_set(part.ports)
                    if not meant or subject not in part.subjects:
                        continue
                    met = sources if part.peers is None else sources[np.isin(sources, part.peers)]
                    if len(met):
                        any_rule = True
                        yield int(met[0]), meant
        if not any_rule:
            yield int(sources[0]), ports

    # -- what is not known --------------------------------------------------------------------------------------------

    @cached_property
    def doubts(self) -> tuple[str, ...]:
        """Why a door that seems shut, or to lead nowhere, may be open: sentences, the many of one sort cut short."""
        return (*self.doors.unfollowed, *self._hidden(), *self._uncertain())

    def _hidden(self) -> Iterator[str]:
        """Doors that hide the client where nobody knows the nodes' addresses: one that policy admits may be a node's, and so anybody's."""
        if node_addresses(self.reach) or any(found.host_network and found.addressed for found in self.reach.classes):
            return
        names = sorted(
            {
                f"{way.workload.namespace}/{way.workload.name}"
                for way in self.doors.behind
                if way.door.hides_client and self._of(way.peers).private_only & way.door.ports
            }
        )
        if names:
            more = f" and {len(names) - MAX_REASONS} more" if len(names) > MAX_REASONS else ""
            yield (
                "no node's address is known: addresses that policy admits may be those of nodes, behind which a door hides its clients "
                f"({', '.join(names[:MAX_REASONS])}{more})"
            )

    def _uncertain(self) -> Iterator[str]:
        """Who else may be let in, for reasons that are not known: for each class behind a door the first."""
        reasons: dict[str, None] = {}
        asked = 0
        for destination, sources, ports in self._open_questions():
            for source in sources:
                asked += 1
                if asked > MAX_PAIRS:
                    yield f"more than {MAX_PAIRS} connections through doors hang on what is not known"
                    return
                found = self.reach.uncertain(source, destination, ports)
                if found:
                    reasons.update(dict.fromkeys(found))
                    break
            if len(reasons) > MAX_REASONS:
                yield from (*list(reasons)[:MAX_REASONS], "others for the like reasons")
                return
        yield from reasons

    def _open_questions(self) -> Iterator[tuple[PeerId, Sequence[PeerId], PortSet]]:
        """Classes behind a door with who may come through it, and the ports that are not open to the internet anyway."""
        reach = self.reach
        widening, sending = reach.doubtful(Direction.INGRESS), reach.doubtful(Direction.EGRESS)
        opened: dict[int, PortSet] = {}
        for exposure in self.open:
            if AddressKind.INTERNET in exposure.origins:
                number = id(exposure.behind)
                opened[number] = opened.get(number, _NONE) | exposure.ports
        outside = tuple(found.id for found in reach.external)
        behind_nodes = (*outside, *(found.id for found in reach.classes if found.host_network))
        everybody = (*outside, *(found.id for found in reach.classes))
        wanted: dict[tuple[PeerId, tuple[PeerId, ...]], PortSet] = {}
        for way in self.doors.behind:
            left = way.door.ports - opened.get(id(way), _NONE)
            front = way.door.front
            if front is None:
                sources = behind_nodes if way.door.hides_client else outside
            elif front.pods is None:
                sources = behind_nodes if front.outside else everybody
            else:
                sources = tuple(sorted({reach.peer_of(pod.key) for pod in front.pods}))
            if way.peers.id not in widening:
                sources = () if front is None or front.pods is None else tuple(one for one in sources if one in sending)
            if left and sources:
                key = way.peers.id, sources
                wanted[key] = wanted.get(key, _NONE) | left
        for (destination, sources), ports in wanted.items():
            yield destination, sources, ports


@dataclass(frozen=True, slots=True)
class _Admitted:
    """What the ingress side of a class admits: outside ranges (with their ends) by ports, nodes, and any other class of pods."""

    outside: tuple[tuple[PortSet, tuple[tuple[ExternalRange, int], ...]], ...]
    nodes: PortSet
    others: PortSet

    @property
    def private_only(self) -> PortSet:
        """Ports that some private address may use and no address of the internet."""
        by_kind = dict.fromkeys(AddressKind, _NONE)
        for ports, ranges in self.outside:
            for kind in frozenset[AddressKind]().union(*(found.kinds for found, _ in ranges)):
                by_kind[kind] = by_kind[kind] | ports
        return by_kind[AddressKind.PRIVATE] - by_kind[AddressKind.INTERNET]


def node_addresses(reach: Reachability) -> frozenset[IPAddress]:
    """Every address from which a node may send."""
    found: set[IPAddress] = set()
    for node in reach.cluster.nodes:
        found.update(node.addresses)
        found.update(beside(node))
    for pod in reach.cluster.pods:
        found.update(pod.node_addresses)
    return frozenset(found)


def _kinds(found: ExternalRange, limits: Sequence[IPNetwork]) -> frozenset[AddressKind]:
    return kinds_within(found.first, found.last, limits) if limits else found.kinds


def _union(sets: Iterable[PortSet]) -> PortSet:
    found = _NONE
    for ports in sets:
        found = found | ports
    return found


def _together(
    way: BehindDoor,
    seen_as: SeenAs,
    by_kind: Mapping[AddressKind, PortSet],
    ranges: Mapping[AddressKind, Sequence[tuple[ExternalRange, int]]],
    sources: tuple[int, ...] = (),
) -> Iterator[Exposure]:
    """One entry for all kinds of origins with the same ports."""
    kinds: dict[PortSet, list[AddressKind]] = {}
    for kind in AddressKind:
        if by_kind.get(kind):
            kinds.setdefault(by_kind[kind], []).append(kind)
    for ports, same in kinds.items():
        met = dict(sorted({int(one.id): (one, end) for kind in same for one, end in ranges.get(kind, ())}.items()))
        ends = tuple(end for _, end in met.values())
        yield Exposure(way, seen_as, frozenset(same), ports, tuple(one for one, _ in met.values()), (*ends, *sources))
