"""The flow picture: computed reachability between zones, between namespaces, and class by class."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evidence.cluster.model import Protocol
from evidence.findings.finding import shortened
from evidence.intent.model import ApprovedFlow, Intent
from evidence.intent.zones import ZoneMap
from evidence.reach.classes import ExternalRange, PeerId, PodClass
from evidence.reach.engine import Reachability
from evidence.reach.ports import PortSet
from evidence.report.view.model import CellState, ClassFlow, FlowCell, FlowGroup, FlowMatrix

OUTSIDE = "outside the cluster"
NO_ZONE = "in no zone"
_NAMED_NETWORKS = 3
_EVERYTHING = 0.9999999

Weights = Mapping[str, int]  # group name -> pods (1 for addresses)


@dataclass(slots=True)
class _Pair:
    """What was seen between two groups. Addresses count as one, however many ranges they are cut into."""

    open_pods: int = 0
    open_with_outside: dict[tuple[bool, PeerId], int] = field(default_factory=dict)
    ports: set[PortSet] = field(default_factory=set)

    @property
    def open(self) -> int:
        return self.open_pods + sum(self.open_with_outside.values())


def zone_matrix(reach: Reachability, zones: ZoneMap, intent: Intent) -> FlowMatrix:
    """Flows between the declared zones, what is in no zone, and the outside."""

    def groups_of(peer: PodClass | ExternalRange) -> Weights:
        if isinstance(peer, ExternalRange):
            return dict.fromkeys((zone.name for zone in zones.of_address(peer.first)), 1) or {OUTSIDE: 1}
        weights: dict[str, int] = defaultdict(int)
        for pod in peer.pods:
            for name in [zone.name for zone in zones.of_pod(pod.key)] or [NO_ZONE]:
                weights[name] += 1
        return weights

    classification = {zone.name: zone.classification.value for zone in intent.zones}
    approved = {
        (source.name, destination.name): approved_ports(intent.flows, source.name, destination.name)
        for source in intent.zones
        for destination in intent.zones
    }

    def uncovered(source: str, destination: str, ports: PortSet) -> PortSet:
        if source == destination or not {source, destination} & classification.keys():
            return PortSet.none()
        return ports - approved.get((source, destination), PortSet.none())

    return _matrix("zones", reach, groups_of, classification, uncovered)


def namespace_matrix(reach: Reachability) -> FlowMatrix:
    """Flows between namespaces and the outside."""

    def groups_of(peer: PodClass | ExternalRange) -> Weights:
        return {OUTSIDE: 1} if isinstance(peer, ExternalRange) else {peer.namespace: len(peer.pods)}

    return _matrix("namespaces", reach, groups_of, {}, lambda *_: PortSet.none())


def approved_ports(flows: Iterable[ApprovedFlow], source: str, destination: str) -> PortSet:
    """The union of what is approved from one zone to another; a flow without ports approves all."""
    ports = PortSet.none()
    for flow in flows:
        if (flow.source, flow.destination) == (source, destination):
            for port in flow.ports:
                ports |= PortSet.of(port.protocol, port.first, port.last)
            if not flow.ports:
                ports |= PortSet.all()
    return ports


def _peers(reach: Reachability) -> tuple[PodClass | ExternalRange, ...]:
    return (*reach.classes, *reach.external)


def _matrix(
    of: str,
    reach: Reachability,
    groups_of: Callable[[PodClass | ExternalRange], Weights],
    classification: Mapping[str, str],
    uncovered: Callable[[str, str, PortSet], PortSet],
) -> FlowMatrix:
    peers: dict[PeerId, Weights] = {peer.id: groups_of(peer) for peer in _peers(reach)}
    outside = {peer.id for peer in reach.external}
    pods: dict[str, int] = defaultdict(int)
    addresses: set[str] = set()
    for peer, weights in peers.items():
        for name, weight in weights.items():
            if peer in outside:
                addresses.add(name)
            else:
                pods[name] += weight
    names = sorted(pods.keys() | addresses | classification.keys(), key=lambda name: (name in (OUTSIDE, NO_ZONE), name))
    pairs = _pairs(reach, peers, outside)
    doubts = _doubts(reach, peers, pairs.keys())
    cells = []
    for source in names:
        for destination in names:
            pair = pairs.get((source, destination))
            ends = (pods[source] + (source in addresses), pods[destination] + (destination in addresses))
            if not all(ends) or not (pods[source] or pods[destination]):
                state, share, ports = CellState.NOT_COMPUTED, 0.0, PortSet.none()
            elif pair is None:
                state = CellState.UNCERTAIN if (source, destination) in doubts else CellState.NONE
                share, ports = 0.0, PortSet.none()
            else:
                possible = ends[0] * ends[1] - (source in addresses) * (destination in addresses)
                share, ports = min(pair.open / possible, 1.0), _union(pair.ports)
                state = CellState.OPEN if share > _EVERYTHING else CellState.PARTLY
            if state is CellState.NONE:
                continue
            beyond = uncovered(source, destination, ports)
            cells.append(
                FlowCell(
                    source=source,
                    destination=destination,
                    state=state,
                    share=round(share, 4),
                    ports=str(ports) if ports else "",
                    uncovered=str(beyond) if beyond else "",
                    reason=doubts.get((source, destination), "") if state is CellState.UNCERTAIN else "",
                )
            )
    groups = tuple(FlowGroup(name, classification.get(name, ""), pods[name]) for name in names)
    return FlowMatrix(of, groups, tuple(cells))


def _pairs(reach: Reachability, peers: Mapping[PeerId, Weights], outside: set[PeerId]) -> dict[tuple[str, str], _Pair]:
    pairs: dict[tuple[str, str], _Pair] = defaultdict(_Pair)
    for flow in reach.flows():
        for source, source_weight in peers[flow.source].items():
            for destination, destination_weight in peers[flow.destination].items():
                pair = pairs[source, destination]
                pair.ports.add(flow.ports)
                if flow.source in outside:
                    pair.open_with_outside[True, flow.destination] = destination_weight
                elif flow.destination in outside:
                    pair.open_with_outside[False, flow.source] = source_weight
                else:
                    pair.open_pods += source_weight * destination_weight
    return pairs


def _doubts(
    reach: Reachability, peers: Mapping[PeerId, Weights], flowing: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """For each pair of groups without any computed flow, why that is not certain; pairs that are certain are left out."""
    members: dict[str, list[PeerId]] = defaultdict(list)
    for peer, weights in peers.items():
        for name in weights:
            members[name].append(peer)
    known = set(flowing)
    doubts: dict[tuple[str, str], str] = {}
    for source, senders in members.items():
        for destination, receivers in members.items():
            if (source, destination) not in known:
                reason = next(_reasons(reach, senders, receivers), "") or _not_evaluated(reach, (*senders, *receivers))
                if reason:
                    doubts[source, destination] = reason
    return doubts


def _reasons(reach: Reachability, senders: Sequence[PeerId], receivers: Sequence[PeerId]) -> Iterator[str]:
    for sender in senders:
        for receiver in receivers:
            yield from reach.uncertain(sender, receiver)


def _not_evaluated(reach: Reachability, members: Iterable[PeerId]) -> str:
    """Policies that nobody evaluated and that are about pods of these namespaces, or of any: one of them could allow a flow."""
    namespaces = {reach.classes[member].namespace for member in members if member < len(reach.classes)}
    concerned = [
        str(policy.key)
        for policy in reach.unevaluated
        if not policy.key.namespace or policy.key.namespace in namespaces
    ]
    verb = "was" if len(concerned) == 1 else "were"
    return f"{shortened(concerned)} {verb} not evaluated and could allow it" if concerned else ""


def _union(sets: Iterable[PortSet]) -> PortSet:
    ports = PortSet.none()
    for one in sets:
        ports |= one
    return ports


# -- class by class ---------------------------------------------------------------------------------------------------


def class_flows(reach: Reachability) -> tuple[ClassFlow, ...]:
    """Every computed flow, one row a pair of classes or address ranges, in the engine's order."""
    named = {peer.id: (peer_name(peer), *_namespace_and_pods(peer)) for peer in _peers(reach)}
    return tuple(ClassFlow(*named[flow.source], *named[flow.destination], str(flow.ports)) for flow in reach.flows())


def _namespace_and_pods(peer: PodClass | ExternalRange) -> tuple[str, int]:
    return ("", 0) if isinstance(peer, ExternalRange) else (peer.namespace, len(peer.pods))


def peer_name(peer: PodClass | ExternalRange) -> str:
    """The workloads of a class, or the networks of a range of addresses."""
    if isinstance(peer, PodClass):
        workloads = sorted({f"{pod.workload.kind} {pod.workload.name}" for pod in peer.pods})
        return ", ".join(workloads) + (" (host network)" if peer.host_network else "")
    if len(peer.networks) <= _NAMED_NETWORKS:
        return ", ".join(str(network) for network in peer.networks)
    return f"{peer.first} to {peer.last}"


def ports_text(ports: Iterable[tuple[Protocol, int, int]]) -> str:
    """Declared ports as they are written for people: "TCP 443, UDP 53", "all ports" when none are named."""
    named = [
        f"{protocol} {first}" if first == last else f"{protocol} {first}-{last}" for protocol, first, last in ports
    ]
    return ", ".join(named) or "all ports"
