"""Why flows pass: for each, what decides on either side, port by port, and joined where the same rules decide.

Asked of one pod of each end, which speaks for its class, and of one port of each interval that rules can tell apart.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from evidence.reach.classes import PeerId, PodClass
from evidence.reach.engine import Flow, Reachability
from evidence.reach.explain import Explanation, Point, SideReason, explain
from evidence.reach.groups import Group
from evidence.reach.ports import PortRange, PortSet
from evidence.reach.query import address_point, pod_point


@dataclass(frozen=True, slots=True)
class Reason:
    """Ports of a flow that the same two reasons let pass."""

    ports: PortSet
    egress: SideReason
    ingress: SideReason


@dataclass(frozen=True, slots=True)
class FlowReasons:
    """A flow, with the reasons that together cover its ports."""

    flow: Flow
    reasons: tuple[Reason, ...]


def flows_between(reach: Reachability, source: Group, destination: Group) -> Iterator[Flow]:
    """Computed flows from one group to another, in the engine's order."""
    senders, receivers = _peers(source), _peers(destination)
    for flow in reach.flows():
        if flow.source in senders and flow.destination in receivers:
            yield flow


def _peers(group: Group) -> frozenset[PeerId]:
    return frozenset((*group.pods, *group.ranges))


def why(reach: Reachability, flows: Iterable[Flow]) -> Iterator[FlowReasons]:
    """The reasons of each flow."""
    for flow in flows:
        source, destination = _points(reach, flow)
        joined: dict[tuple[str, str], tuple[PortSet, Explanation]] = {}
        for ports in _intervals(reach, flow.ports):
            found = explain(reach, source, destination, ports.protocol, ports.first)
            key = (found.egress.reason, found.ingress.reason)
            before = joined[key][0] if key in joined else PortSet.none()
            joined[key] = (before | PortSet((ports,)), found)
        yield FlowReasons(flow, tuple(Reason(ports, e.egress, e.ingress) for ports, e in joined.values()))


def _points(reach: Reachability, flow: Flow) -> tuple[Point, Point]:
    """One end of each peer; two pods where a class is asked about itself, if it has two."""
    points = []
    for number, nth in ((flow.source, 0), (flow.destination, -1)):
        peer = reach.peer(number)
        points.append(
            pod_point(reach, peer.pods[nth]) if isinstance(peer, PodClass) else address_point(reach, peer.first)
        )
    return points[0], points[1]


def _intervals(reach: Reachability, ports: PortSet) -> Iterator[PortRange]:
    """The ports, cut wherever a rule could tell two of them apart."""
    for found in ports.ranges:
        first = found.first
        while first <= found.last:
            atom = reach.port_ids.port_set(reach.port_ids.number(reach.port_ids.bits(found.protocol, first, first)))
            last = min(atom.ranges[0].last, found.last)
            yield PortRange(found.protocol, first, last)
            first = last + 1
