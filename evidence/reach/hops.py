"""Why a hop of a path passes: for each range of its ports, what decides on either side.

Asked of one pod of each end, which speaks for its class, and of the first port of each range.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from evidence.reach.engine import Reachability
from evidence.reach.explain import Explanation, Point, explain
from evidence.reach.paths import Hop, Stop
from evidence.reach.ports import PortRange
from evidence.reach.query import address_point, pod_point


@dataclass(frozen=True, slots=True)
class HopReason:
    """What decides for some ports of a hop."""

    ports: PortRange
    explanation: Explanation


def reasons(reach: Reachability, hop: Hop) -> Iterator[HopReason]:
    """One reason for each range of ports; none for a hop from the destination's own node, which no rule decides."""
    if hop.own_node:
        return
    source, destination = _point(reach, hop.source), _point(reach, hop.destination)
    for found in hop.ports.ranges:
        yield HopReason(found, explain(reach, source, destination, found.protocol, found.first))


def _point(reach: Reachability, stop: Stop) -> Point:
    return address_point(reach, stop.outside.first) if stop.outside else pod_point(reach, stop.pods[0])
