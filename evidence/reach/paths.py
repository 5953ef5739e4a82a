"""Chains of allowed connections: how far one may come from some pods when every pod on the way can be taken over.

1. A hop is an allowed connection (some port of some protocol) between two different pods, or between a pod and an outside range. A hop through
   a pod presumes that the pod is taken over by what came before; nothing here says that it can be.
2. Outside ranges begin or end a path and are never in its middle: what the outside forwards is not the cluster's to say.
3. Finished pods are on no path. Services, Ingress and Gateway routes are no hops: they end at pods, whose own connections count.
4. A pod's own node always reaches it. Such hops, from a pod on the host network to the pods of its node, are left out unless `through_nodes` asks
   for them: policies do not govern them.

The search is breadth first over units: the pods of one class that are alike in what is asked. Pods of a unit are reached together, since policies
cannot tell them apart, so the number of hops is exact for every pod while the cost is that of classes.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np
import numpy.typing as npt

from evidence.cluster.model import Pod
from evidence.reach.classes import ExternalRange, PeerId
from evidence.reach.engine import Reachability
from evidence.reach.groups import Group
from evidence.reach.matrix import range_name
from evidence.reach.ports import PortSet
from evidence.values import value

Numbers = npt.NDArray[np.int64]

_NOT_REACHED = -1
_OWN_NODE = -1  # in place of a flow: the exception for a pod's own node


@value(eq=False)
class Stop:
    """Pods of one class that are alike in what was asked, or an outside range (`pods` empty)."""

    unit: int
    peer: PeerId
    pods: tuple[Pod, ...]
    outside: ExternalRange | None = None

    @property
    def workloads(self) -> tuple[str, ...]:
        """ "namespace/Kind/name" of the workloads that have pods here, sorted; the range for the outside."""
        if self.outside is not None:
            return (range_name(self.outside),)
        keys = sorted({pod.workload for pod in self.pods})
        return tuple(f"{key.namespace}/{key.kind}/{key.name}" for key in keys)


@value(eq=False)
class Hop:
    """One connection of a path. `own_node`: it passes as traffic from the destination's own node, whatever policies say."""

    source: Stop
    destination: Stop
    ports: PortSet
    own_node: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Reached:
    """What a search came to: for each unit the number of hops (-1: not reached), the unit before it, and the flow (a row of the table)."""

    hops: Numbers
    before: Numbers
    flow: Numbers

    def units(self, hops: int) -> list[int]:
        """Units that are reached in so many hops and no fewer."""
        found: list[int] = np.flatnonzero(self.hops == hops).tolist()
        return found

    @property
    def most(self) -> int:
        """The number of hops to what is farthest."""
        return int(self.hops.max(initial=0))


class Graph:
    """Who may connect to whom, as far as some groups ask: every unit lies wholly inside or outside of each group."""

    def __init__(self, reach: Reachability, groups: Sequence[Group], *, through_nodes: bool = False) -> None:
        self.reach = reach
        self.through_nodes = through_nodes
        self.stops: list[Stop] = []
        self._inside: list[frozenset[int]] = []
        first: list[int] = []
        for found in reach.classes:
            first.append(len(self.stops))
            touched = [group.pods.get(found.id, frozenset()) for group in groups]
            if not through_nodes and all(len(keys) in (0, len(found.pods)) for keys in touched):
                self._add(Stop(len(self.stops), found.id, found.pods), (n for n, keys in enumerate(touched) if keys))
                continue
            parts: dict[tuple[str, tuple[int, ...]], list[Pod]] = defaultdict(list)
            for pod in found.pods:
                place = tuple(n for n, keys in enumerate(touched) if pod.key in keys)
                parts[pod.node if through_nodes else "", place].append(pod)
            for (_, place), pods in parts.items():
                self._add(Stop(len(self.stops), found.id, tuple(pods)), place)
        for outside in reach.external:
            first.append(len(self.stops))
            place = tuple(n for n, group in enumerate(groups) if outside.id in group.ranges)
            self._add(Stop(len(self.stops), outside.id, (), outside), place)
        self._first = [*first, len(self.stops)]
        self._peer = [stop.peer for stop in self.stops]

    def _add(self, stop: Stop, place: Iterable[int]) -> None:
        self.stops.append(stop)
        self._inside.append(frozenset(place))

    def members(self, group: int) -> list[int]:
        """Units of the group with this number."""
        return [unit for unit, place in enumerate(self._inside) if group in place]

    @cached_property
    def _bounds(self) -> list[int]:
        """Where each peer's flows begin in the table."""
        peers = len(self.reach.classes) + len(self.reach.external)
        found: list[int] = np.searchsorted(self.reach.flow_table.sources, np.arange(peers + 1)).tolist()
        return found

    @cached_property
    def _of_node(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for stop in self.stops:
            if stop.pods and stop.pods[0].node:
                found[stop.pods[0].node].append(stop.unit)
        return found

    def search(self, starts: Iterable[int], max_hops: int | None = None) -> Reached:
        """Everything that can be reached from some units; outside ranges are left only where a path starts there."""
        hops = [_NOT_REACHED] * len(self.stops)
        before, flow = hops.copy(), hops.copy()
        peers = len(self._first) - 1
        expanded, seen = bytearray(peers), bytearray(peers)
        frontier, level = sorted(starts), 0
        for unit in frontier:
            hops[unit] = level
        while frontier and (max_hops is None or level < max_hops):
            level += 1
            found = self._next(frontier, hops, before, flow, expanded, seen)
            if self.through_nodes:
                found += self._own_nodes(frontier, hops, before, found)
            for unit in found:
                hops[unit] = level
            frontier = sorted(unit for unit in found if self._peer[unit] < len(self.reach.classes))
        return Reached(*(np.array(numbers, dtype=np.int64) for numbers in (hops, before, flow)))

    def _next(
        self,
        frontier: Sequence[int],
        hops: Sequence[int],
        before: list[int],
        flow: list[int],
        expanded: bytearray,
        seen: bytearray,
    ) -> list[int]:
        """Units one flow away. Each class is left once: what its pods may do, the first one that was reached may. All units of a peer are reached
        as soon as one flow leads to it."""
        found = []
        for unit in frontier:
            peer = self._peer[unit]
            if expanded[peer]:
                continue
            expanded[peer] = True
            start, end = self._bounds[peer], self._bounds[peer + 1]
            for row, destination in enumerate(self.reach.flow_table.destinations[start:end].tolist(), start):
                if seen[destination]:
                    continue
                seen[destination] = True
                for reached in range(self._first[destination], self._first[destination + 1]):
                    if hops[reached] == _NOT_REACHED:
                        before[reached], flow[reached] = unit, row
                        found.append(reached)
        return found

    def _own_nodes(
        self, frontier: Sequence[int], hops: Sequence[int], before: list[int], found: Sequence[int]
    ) -> list[int]:
        """Units on the nodes whose host-network pods were reached, beyond those that flows reach."""
        known, more = set(found), []
        for unit in frontier:
            stop = self.stops[unit]
            if stop.pods and stop.pods[0].host_network:
                for other in self._of_node.get(stop.pods[0].node, ()):
                    if hops[other] == _NOT_REACHED and other not in known:
                        before[other] = unit
                        known.add(other)
                        more.append(other)
        return more

    def path(self, reached: Reached, unit: int) -> tuple[Hop, ...]:
        """A shortest path to a unit that was reached, from its start; always the same one."""
        table, port_set = self.reach.flow_table, self.reach.port_ids.port_set
        found: list[Hop] = []
        while reached.hops[unit] > 0:
            origin, row = int(reached.before[unit]), int(reached.flow[unit])
            own_node = row == _OWN_NODE
            ports = PortSet.all() if own_node else port_set(int(table.ports[row]))
            found.append(Hop(self.stops[origin], self.stops[unit], ports, own_node))
            unit = origin
        return tuple(reversed(found))


@dataclass(frozen=True, slots=True, eq=False)
class Paths:
    """How two groups are connected. `shortest`: a shortest path to each unit of the destination that can be reached, nearest first, "inside" ones
    (in both groups) left out; `unreached` the rest of the destination; `shared` what lies in both."""

    source: tuple[Stop, ...]
    destination: tuple[Stop, ...]
    shortest: tuple[tuple[Hop, ...], ...]
    unreached: tuple[Stop, ...]
    shared: tuple[Stop, ...]

    @property
    def hops(self) -> int | None:
        """The fewest hops from the source to the destination: 0 when they share something, None when there is no path."""
        if self.shared:
            return 0
        return len(self.shortest[0]) if self.shortest else None


def find(
    reach: Reachability, source: Group, destination: Group, *, max_hops: int | None = None, through_nodes: bool = False
) -> Paths:
    """Shortest paths from one group to another."""
    graph = Graph(reach, (source, destination), through_nodes=through_nodes)
    starts, ends = graph.members(0), graph.members(1)
    reached = graph.search(starts, max_hops)
    inside = frozenset(starts)
    others = [unit for unit in ends if unit not in inside]
    paths = [graph.path(reached, unit) for unit in others if reached.hops[unit] > 0]
    return Paths(
        tuple(graph.stops[unit] for unit in starts),
        tuple(graph.stops[unit] for unit in ends),
        tuple(sorted(paths, key=len)),
        tuple(graph.stops[unit] for unit in others if reached.hops[unit] == _NOT_REACHED),
        tuple(graph.stops[unit] for unit in ends if unit in inside),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Contact:
    """What can be reached, with the number of hops. `ports` are those of the last hop; for one hop those of all sources together."""

    hops: int
    stop: Stop
    ports: PortSet
    via: Stop  # the stop before
    own_node: bool = False


def blast(
    reach: Reachability, source: Group, *, max_hops: int | None = None, through_nodes: bool = False
) -> tuple[Contact, ...]:
    """Everything that a group can reach, nearest first: its blast radius. The group's own pods are not in it."""
    graph = Graph(reach, (source,), through_nodes=through_nodes)
    starts = graph.members(0)
    reached = graph.search(starts, max_hops)
    direct = _direct_ports(reach, [graph.stops[unit].peer for unit in starts])
    found = []
    for unit, hops in enumerate(reached.hops.tolist()):
        if hops > 0:
            last = graph.path(reached, unit)[-1]
            ports = direct.get(int(last.destination.peer), last.ports) if hops == 1 else last.ports
            found.append(Contact(hops, last.destination, ports, last.source, last.own_node))
    return tuple(sorted(found, key=lambda contact: (contact.hops, contact.stop.unit)))


def _direct_ports(reach: Reachability, sources: Iterable[PeerId]) -> dict[int, PortSet]:
    """Ports on which any of the sources may connect to each peer."""
    table, ids = reach.flow_table, reach.port_ids
    rows = np.flatnonzero(np.isin(table.sources, np.array(sorted(set(sources)), dtype=np.int64)))
    pairs = sorted(zip(table.destinations[rows].tolist(), table.ports[rows].tolist(), strict=True))
    found: dict[int, PortSet] = {}
    for peer, members in groupby(pairs, key=lambda pair: pair[0]):
        total = 0
        for _, ports in members:
            total = ids.union(total, ports)
        found[peer] = ids.port_set(total)
    return found
