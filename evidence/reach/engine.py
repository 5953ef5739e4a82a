"""Reachability of one cluster: which class of pods or outside range may connect to which, on which ports.

1. A connection needs the source's egress side and the destination's ingress side; replies need nothing. Nothing restricts what the outside
   sends or accepts.
2. Addresses are of one family: a pod with several addresses is reachable by each of them on its own, by the union over all.
3. Pods on the host network count as their node: no policy selects them, no pod selector matches them, their node's addresses do count.
4. A class is also asked about itself: the answer is what its pods may do to one another (a pod always reaches itself).
5. A pod's own node always reaches it; that is said once, not in every flow.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from evidence.cluster.model import (
    Cluster,
    Direction,
    IPAddress,
    IPNetwork,
    NetworkPolicy,
    OtherPolicy,
)
from evidence.errors import InputError
from evidence.reach import networkpolicy
from evidence.reach.addresses import AddressSpace
from evidence.reach.classes import ExternalRange, PeerId, PodClass, group
from evidence.reach.mentions import address_matchers, addresses_of, label_looks, port_bounds, port_names
from evidence.reach.peers import Ends, Peers, numbered, shown_ranges
from evidence.reach.portids import ALL_PORTS, NO_PORTS, Ids, PortIds
from evidence.reach.ports import PortSet
from evidence.reach.rules import AddressMatcher, OtherKind, Policy, PolicyForm
from evidence.reach.sides import Side, Undecided
from evidence.reach.tiers import PlacedPolicy
from evidence.values import value

if TYPE_CHECKING:
    from evidence.cluster.calico import CalicoPolicy
    from evidence.cluster.cilium import CiliumPolicy
    from evidence.cluster.policies import ClusterPolicy
    from evidence.reach.doubts import Doubts

ALL = PortSet.all()
_CELLS_AT_ONCE = 16_000_000
_ROWS_KEPT = 64 * 1024 * 1024  # bytes of single rows that are remembered
_FEW_ROWS = 8  # of which each is computed by itself
_SMALL = 1 << 18  # cells of a table that is computed at once as soon as more rows are asked for

_MADE_OF = (
    "address_matchers",
    "classes",
    "cluster",
    "external",
    "extra_networks",
    "former",
    "forms",
    "peer_ids",
    "peers",
    "port_ids",
    "port_names",
    "sides",
    "space",
)

Unevaluated: TypeAlias = "OtherPolicy | ClusterPolicy | CalicoPolicy | CiliumPolicy"


class Flow(NamedTuple):
    """Connections that are allowed from a source to a destination; the ports are the destination's."""

    source: PeerId
    destination: PeerId
    ports: PortSet


@value()
class FlowTable:
    """All allowed connections as columns: row i allows `sources[i]` to `destinations[i]` on the ports numbered `ports[i]`.

    Rows are sorted by source and destination, each pair once.
    """

    sources: Ends
    destinations: Ends
    ports: Ids


def analyse(cluster: Cluster, extra_networks: Iterable[IPNetwork] = ()) -> "Reachability":
    """Reachability of a cluster. `extra_networks` (the zones') cut the outside, too, so that each range lies wholly in or out of each."""
    return Reachability(cluster, forms_of(cluster), tuple(extra_networks))


def forms_of(cluster: Cluster) -> list[PolicyForm]:
    """All policies that are evaluated, in the engine's form, in the order in which they are asked."""
    return sorted(translated(policies_of(cluster), cluster), key=in_order)


def policies_of(cluster: Cluster) -> Iterator[Policy]:
    """The policies of every kind that is evaluated."""
    return chain(cluster.policies, cluster.cluster_policies, cluster.calico_policies, cluster.cilium_policies)


def translated(policies: Iterable[Policy], cluster: Cluster) -> Iterator[PolicyForm]:
    """Some of a cluster's policies in the engine's form: none, one or several for each."""
    others: list[OtherKind] = []
    for policy in policies:
        if isinstance(policy, NetworkPolicy):
            yield networkpolicy.translate(policy)
        else:
            others.append(policy)
    if others:
        from evidence.reach import otherkinds  # a start with nothing but NetworkPolicies need not read it

        yield from otherkinds.translated(others, cluster)


def in_order(form: PolicyForm) -> tuple[Any, ...]:
    """Sorts policies as they are asked."""
    return *form.place, form.lane, form.position, form.policy.key


class Reachability:
    """The answers about one cluster. Single answers are computed when they are asked for, and remembered."""

    def __init__(self, cluster: Cluster, forms: Sequence[PolicyForm], extra_networks: Sequence[IPNetwork]) -> None:
        self.cluster = cluster
        self.forms = forms
        self.extra_networks = extra_networks
        self.former: Sequence[PolicyForm] = ()  # which decide no more, and may tell peers apart all the same
        self.address_matchers: Mapping[AddressMatcher, int] = address_matchers(forms)
        self.port_names = port_names(forms)
        self.space = AddressSpace([addresses_of(matcher, cluster) for matcher in self.address_matchers], extra_networks)
        self.classes: tuple[PodClass, ...] = group(cluster, label_looks(cluster, forms), self.port_names, self.space)
        self.peers = Peers(self.classes, cluster.namespaces, self.space, self.address_matchers)
        self.port_ids = PortIds(port_bounds(forms, self.classes))
        shown = shown_ranges(cluster.pods, self.space)
        self.external, self.peer_ids = numbered(self.peers, len(self.classes), shown)
        self.sides: Mapping[Direction, Side] = {
            direction: Side(direction, forms, self.peers, self.port_ids) for direction in Direction
        }
        self._rows: dict[tuple[Direction, int], Ids] = {}
        self._tables: dict[Direction, Ids] = {}

    def replaced(self, **parts: Any) -> "Reachability":
        """An engine made of other parts where some are given (`evidence.reach.carry`). What was computed on demand is left behind."""
        other = Reachability.__new__(Reachability)
        vars(other).update({name: vars(self)[name] for name in _MADE_OF}, _rows={}, _tables={})
        vars(other).update(parts)
        return other

    # -- peers ----------------------------------------------------------------------------------------------------------

    def peer(self, peer_id: PeerId) -> PodClass | ExternalRange:
        """The class of pods or outside range with this id."""
        if peer_id < len(self.classes):
            return self.classes[peer_id]
        return self.external[peer_id - len(self.classes)]

    def peer_of(self, pod_key: str) -> PeerId:
        """The class of a pod ("namespace/name"). Raises InputError when no pod of that name runs or may run."""
        if pod_key not in self._class_of_pod:
            raise InputError(f"pod {pod_key}: no pod of this name runs in the cluster")
        return self._class_of_pod[pod_key]

    @cached_property
    def _class_of_pod(self) -> Mapping[str, PeerId]:
        return {pod.key: found.id for found in self.classes for pod in found.pods}

    def ends(self, peer_id: PeerId) -> Sequence[int]:
        """The ends of connections that make up a peer: the ways into a class, or the one of an outside range."""
        if peer_id < len(self.classes):
            return range(self.peers.first_end[peer_id], self.peers.first_end[peer_id + 1])
        return (self._ends_of_range[peer_id],)

    def peer_id_of_end(self, end: int) -> PeerId | None:
        """The peer that an end belongs to; None for addresses that are no outside peer."""
        number = int(self.peer_ids[end])
        return PeerId(number) if number >= 0 else None

    @cached_property
    def _ends_of_range(self) -> Mapping[int, int]:
        return {number: end for end, number in enumerate(self.peer_ids.tolist()) if number >= len(self.classes)}

    @cached_property
    def node_addresses(self) -> Mapping[str, tuple[IPAddress, ...]]:
        """Addresses of each node by its name."""
        return {node.name: node.addresses for node in self.cluster.nodes}

    # -- flows ----------------------------------------------------------------------------------------------------------

    def flows(self) -> Iterator[Flow]:
        """All allowed connections, sorted by source and destination."""
        table, port_set = self.flow_table, self.port_ids.port_set
        for source, destination, ports in zip(
            table.sources.tolist(), table.destinations.tolist(), table.ports.tolist(), strict=True
        ):
            yield Flow(source, destination, port_set(ports))

    @cached_property
    def flow_table(self) -> FlowTable:
        """All allowed connections as columns of peer ids and port set numbers (see `port_ids.port_set`)."""
        count = self.peers.count
        step = max(1, _CELLS_AT_ONCE // max(1, count))
        pieces = [piece for first in range(0, count, step) for piece in self._block(first, min(first + step, count))]
        sources, destinations, ports = (np.concatenate(columns) for columns in zip(*pieces, strict=True))
        if self.peers.pods > len(self.classes) and len(sources):
            sources, destinations, ports = self.merged(sources, destinations, ports)
        return FlowTable(sources, destinations, ports)

    def _block(self, first: int, last: int) -> Iterator[tuple[Ends, Ends, Ids]]:
        """Allowed connections from ends first to last-1, as columns; a pair of peers may occur once for each pair of ends."""
        pods, ports = self.peers.pods, self.port_ids
        whole = self._small and (first, last) == (0, self.peers.count)
        admitted = self._table(Direction.INGRESS).T if whole else self.sides[Direction.INGRESS].for_peers(first, last)
        inside = max(0, min(last, pods) - first)  # so many of the ends are of pods
        if inside:
            cells = (
                self._table(Direction.EGRESS).copy()
                if whole
                else self.sides[Direction.EGRESS].for_subjects(first, first + inside)
            )
            sent, let_in = cells[:, :pods], admitted[:inside]
            both = np.nonzero((sent != NO_PORTS) & (let_in != NO_PORTS))
            out, into = sent[both], let_in[both]
            met = np.where(out == ALL_PORTS, into, out)
            mixed = (out != ALL_PORTS) & (into != ALL_PORTS) & (out != into)
            met[mixed] = ports.pairwise(ports.meet, out[mixed], into[mixed])
            sent[:] = NO_PORTS
            sent[both] = met
            yield self._listed(cells, first)
        if inside < last - first:
            yield self._listed(admitted[inside:], first + inside)

    def _listed(self, cells: Ids, first: int) -> tuple[Ends, Ends, Ids]:
        """The cells that hold ports, as columns; the first row is that of the end `first`."""
        rows, columns = np.nonzero(cells)
        found = cells[rows, columns]
        rows += first
        families, ids = self.peers.families, self.peer_ids
        possible = ((families[rows] & families[columns]) != 0) & (ids[rows] >= 0) & (ids[columns] >= 0)
        if not possible.all():
            rows, columns, found = rows[possible], columns[possible], found[possible]
        return ids[rows], ids[columns], found

    def merged(self, sources: Ends, destinations: Ends, ports: Ids) -> tuple[Ends, Ends, Ids]:
        """One row for each pair of peers: ports of its pairs of ends united."""
        keys = sources.astype(np.int64) << 32 | destinations
        order = np.argsort(keys, kind="stable")
        keys, ports = keys[order], ports[order]
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
        united = ports[starts]
        group_of = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(keys)]))
        rank = np.arange(len(keys)) - starts[group_of]
        for nth in range(1, int(rank.max(initial=0)) + 1):
            more = np.flatnonzero(rank == nth)
            here = group_of[more]
            united[here] = self.port_ids.pairwise(self.port_ids.union, united[here], ports[more])
        kept = keys[starts]
        return (kept >> 32).astype(np.int32), (kept & 0xFFFFFFFF).astype(np.int32), united

    # -- one side, one pair -----------------------------------------------------------------------------------------------

    def egress_ports(self, source: PeerId, destination: PeerId) -> PortSet:
        """Ports that the source's egress side lets through to the destination; all for an outside source."""
        return self._one_side(Direction.EGRESS, source, destination)

    def ingress_ports(self, source: PeerId, destination: PeerId) -> PortSet:
        """Ports that the destination's ingress side lets in from the source; all for an outside destination."""
        return self._one_side(Direction.INGRESS, destination, source)

    def ports(self, source: PeerId, destination: PeerId) -> PortSet:
        """Ports on which the source may connect to the destination."""
        total = NO_PORTS
        outside = len(self.classes)
        for start in self.ends(source):
            for end in self.ends(destination):
                if self.peers.families[start] & self.peers.families[end]:
                    sent = ALL_PORTS if source >= outside else int(self.row(Direction.EGRESS, start)[end])
                    admitted = ALL_PORTS if destination >= outside else int(self.row(Direction.INGRESS, end)[start])
                    total = self.port_ids.union(total, self.port_ids.meet(sent, admitted))
        return self.port_ids.port_set(total)

    def _one_side(self, direction: Direction, subject: PeerId, other: PeerId) -> PortSet:
        if subject >= len(self.classes):
            return PortSet.all()
        families = self._families
        row = self.row(direction, self.peers.first_end[subject])
        mine = 0
        for end in self.ends(subject):
            mine |= families[end]
        total = NO_PORTS
        for end in self.ends(other):
            if families[end] & mine:
                total = self.port_ids.union(total, int(row[end])) if total else int(row[end])
        return self.port_ids.port_set(total)

    @cached_property
    def _families(self) -> list[int]:
        """Families of each end's addresses, as bits."""
        found: list[int] = self.peers.families.tolist()
        return found

    def row(self, direction: Direction, subject: int) -> Ids:
        """One side's answers for one subject and every peer."""
        row: Ids
        if direction in self._tables:
            row = self._tables[direction][subject]
            return row
        key = (direction, subject)
        if key not in self._rows:
            if len(self._rows) >= _FEW_ROWS and self._small:
                row = self._table(direction)[subject]
                return row
            row = self.sides[direction].row(subject)
            while len(self._rows) * row.nbytes > _ROWS_KEPT:
                del self._rows[next(iter(self._rows))]
            self._rows[key] = row
        return self._rows[key]

    @property
    def _small(self) -> bool:
        return self.peers.pods * self.peers.count <= _SMALL

    def _table(self, direction: Direction) -> Ids:
        """Every subject's row; nobody writes to it."""
        if direction not in self._tables:
            self._tables[direction] = self.sides[direction].for_subjects(0, self.peers.pods)
        return self._tables[direction]

    # -- policies -------------------------------------------------------------------------------------------------------

    def isolated(self, peer_id: PeerId, direction: Direction) -> bool:
        """True when some NetworkPolicy isolates the class in this direction; never for the outside."""
        return peer_id < len(self.classes) and bool(self.sides[direction].isolated[self.peers.first_end[peer_id]])

    def isolating_policies(self, peer_id: PeerId, direction: Direction) -> tuple[NetworkPolicy, ...]:
        """The NetworkPolicies that isolate the class in this direction, sorted."""
        return tuple(
            placed.form.policy
            for placed in self.selecting(peer_id, direction)
            if isinstance(placed.form.policy, NetworkPolicy)
        )

    def isolating(self, peer_id: PeerId, direction: Direction) -> tuple[Policy, ...]:
        """All policies, of whatever kind, that isolate the class in this direction, each once, sorted."""
        found = [placed.form for placed in self.selecting(peer_id, direction)]
        policies = {form.policy.key: form.policy for form in found if direction in form.isolates}
        return tuple(policies[key] for key in sorted(policies))

    def selecting(self, peer_id: PeerId, direction: Direction) -> Sequence[PlacedPolicy]:
        """Every policy that selects the class and speaks of this direction, in the order in which they are asked."""
        if peer_id >= len(self.classes):
            return ()
        return self._policies_of[direction].get(self.peers.first_end[peer_id], ())

    @cached_property
    def _policies_of(self) -> Mapping[Direction, Mapping[int, Sequence[PlacedPolicy]]]:
        found: dict[Direction, dict[int, list[PlacedPolicy]]] = {direction: {} for direction in Direction}
        for direction, side in self.sides.items():
            for placed in side.policies:
                for end in placed.subjects.tolist():
                    found[direction].setdefault(end, []).append(placed)
        return found

    @cached_property
    def unevaluated(self) -> tuple[Unevaluated, ...]:
        """Policies that were not evaluated, or not whole: of other kinds, or with parts that this program does not know."""
        kinds: tuple[OtherKind, ...] = (
            *self.cluster.cluster_policies,
            *self.cluster.cilium_policies,
        )
        found = (*self.cluster.other_policies, *(policy for policy in kinds if any(policy.unknown())))
        if not self.cluster.calico:
            return found
        from evidence.reach import calico  # not read for clusters without it

        return (*found, *calico.unevaluated(self.cluster))

    @cached_property
    def equal_priorities(self) -> tuple[str, ...]:
        """One sentence for each pair of policies between which the order is undefined and could matter. Such pairs are judged permissively."""
        return tuple(sorted({str(pair) for pair in self.undecided}))

    @cached_property
    def undecided(self) -> tuple[Undecided, ...]:
        """The same pairs, for each direction."""
        return tuple(pair for side in self.sides.values() for pair in side.undecided())

    def uncertain(self, source: PeerId, destination: PeerId, ports: PortSet = ALL) -> tuple[str, ...]:
        """Why connections on some of these ports that are not among the flows may pass all the same. Sorted sentences; none: it is certain."""
        return self._doubts.between(source, destination, ports)

    def doubtful(self, direction: Direction) -> frozenset[PeerId]:
        """Classes whose egress (as sources) or ingress (as destinations) `uncertain` may have something to say about."""
        return self._doubts.concerned(direction)

    @cached_property
    def _doubts(self) -> "Doubts":
        from evidence.reach.doubts import Doubts

        return Doubts(self)
