"""All flows as rows for people and programs: who may connect to whom, on which ports.

1. Unit `workload`: a row is a pair of workloads or outside ranges. A workload whose pods differ (labels that a selector looks at, named ports,
   addresses in an ipBlock) is several, each named with its pods' number and the first of them; so no row is true of half a workload.
   A workload towards itself is what its pods may do to one another.
2. Unit `pod`: a row is a pair of different pods, or a pod and an outside range.
3. Rows are sorted by source and destination, the outside last; the same cluster gives the same bytes.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import numpy as np

from evidence.cluster.model import Pod
from evidence.cluster.objects import ObjectKey
from evidence.reach.classes import ExternalRange, PodClass
from evidence.reach.engine import Reachability

HEADER = ("source", "destination", "ports")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Unit(StrEnum):
    """What a row is about."""

    WORKLOAD = "workload"
    POD = "pod"


Names = Sequence[Sequence[str]]


def peer_names(reach: Reachability, unit: Unit = Unit.WORKLOAD) -> Names:
    """For each peer by its id, the names under which rows list it."""
    if unit is Unit.POD:
        pods: list[Sequence[str]] = [[pod.key for pod in found.pods] for found in reach.classes]
    else:
        sizes: Counter[ObjectKey] = Counter()
        for found in reach.classes:
            sizes.update(pod.workload for pod in found.pods)
        pods = [_workload_names(found, sizes) for found in reach.classes]
    return [*pods, *([range_name(found)] for found in reach.external)]


def range_name(found: ExternalRange) -> str:
    """A network where the range is one, its bounds otherwise."""
    first, last = int(found.first), int(found.last)
    size = last - first + 1
    if size & (size - 1) == 0 and first % size == 0:
        return f"{found.first}/{found.first.max_prefixlen - size.bit_length() + 1}"
    return f"{found.first}-{found.last}"


def _workload_names(found: PodClass, sizes: Counter[ObjectKey]) -> list[str]:
    members: dict[ObjectKey, list[Pod]] = {}
    for pod in found.pods:
        members.setdefault(pod.workload, []).append(pod)
    names = []
    for key in sorted(members):
        pods = members[key]
        name = f"{key.namespace}/{key.kind}/{key.name}"
        if len(pods) < sizes[key]:
            more = " and others" if len(pods) > 1 else ""
            name += f" ({len(pods)} of {sizes[key]} pods: {pods[0].name}{more})"
        names.append(name)
    return names


def rows(reach: Reachability, unit: Unit = Unit.WORKLOAD) -> Iterator[tuple[str, str, str]]:
    """Every row as (source, destination, ports)."""
    names = peer_names(reach, unit)
    for source, destinations, ports in _by_source(reach):
        for name in names[source]:
            for destination, number in zip(destinations, ports, strict=True):
                text = str(reach.port_ids.port_set(number))
                for other in names[destination]:
                    if unit is Unit.WORKLOAD or name != other:
                        yield name, other, text


def csv(reach: Reachability, unit: Unit = Unit.WORKLOAD) -> Iterator[str]:
    """The rows as CSV with a header, some thousand characters at a time. Cells that a spreadsheet would run as a formula are quoted with '."""
    yield ",".join(HEADER) + "\n"
    names = [[f"{cell(name)}," for name in found] for found in peer_names(reach, unit)]
    texts: dict[int, str] = {}
    for source, destinations, ports in _by_source(reach):
        for number in set(ports) - texts.keys():
            texts[number] = f"{cell(str(reach.port_ids.port_set(number)))}\n"
        told = [texts[number] for number in ports]
        for name in names[source]:
            if unit is Unit.WORKLOAD:
                yield "".join(
                    [
                        name + other + text
                        for there, text in zip(destinations, told, strict=True)
                        for other in names[there]
                    ]
                )
            else:
                yield "".join(
                    [
                        name + other + text
                        for there, text in zip(destinations, told, strict=True)
                        for other in names[there]
                        if other != name
                    ]
                )


def cell(text: str) -> str:
    """One CSV cell (RFC 4180)."""
    if text.startswith(_FORMULA):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n\r') else text


def _by_source(reach: Reachability) -> Iterator[tuple[int, list[int], list[int]]]:
    """For each source the destinations and the numbers of the port sets."""
    table = reach.flow_table
    bounds = np.searchsorted(table.sources, np.arange(len(reach.classes) + len(reach.external) + 1))
    for source, (first, last) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        if first < last:
            yield source, table.destinations[first:last].tolist(), table.ports[first:last].tolist()


def computed_on(reach: Reachability) -> str:
    """ "computed on 41 of 44 policies; not evaluated: 2 CiliumNetworkPolicy, 1 AuthorizationPolicy"; staged ones are none of them."""
    left_out = Counter(policy.key.kind for policy in reach.unevaluated)
    cluster = reach.cluster
    total = (
        len(cluster.policies)
        + len(cluster.cluster_policies)
        + len(cluster.calico_policies)
        + len(cluster.cilium_policies)
        + len(cluster.other_policies)
    )
    sentence = f"computed on {total - left_out.total()} of {total} policies"
    if left_out:
        sentence += f"; not evaluated: {_counted(left_out)}"
    staged = Counter(policy.key.kind for policy in cluster.staged_policies)
    return f"{sentence}; staged and not enforced: {_counted(staged)}" if staged else sentence


def _counted(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def document(reach: Reachability, unit: Unit = Unit.WORKLOAD) -> dict[str, Any]:
    """The whole result for JSON: what it was computed on, the peers by id, and the flows between them."""
    names = peer_names(reach, unit)
    table, port_set = reach.flow_table, reach.port_ids.port_set
    return {
        "unit": unit.value,
        "computed_on": computed_on(reach),
        "not_evaluated": [str(policy.key) for policy in reach.unevaluated],
        "peers": [
            *(
                {"id": found.id, "names": list(names[found.id]), "pods": [pod.key for pod in found.pods]}
                for found in reach.classes
            ),
            *(
                {"id": found.id, "names": list(names[found.id]), "first": str(found.first), "last": str(found.last)}
                for found in reach.external
            ),
        ],
        "flows": [
            {"source": source, "destination": destination, "ports": str(port_set(ports))}
            for source, destination, ports in zip(
                table.sources.tolist(), table.destinations.tolist(), table.ports.tolist(), strict=True
            )
        ],
    }
