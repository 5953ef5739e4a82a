"""Open doors as rows for people and programs: each workload that the outside can reach, by which door, from where, on which ports, and why.

A row is a workload's pods behind one door that policy leaves open to the same origins on the same ports. Rows are sorted by workload.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from evidence.cluster.model import Service
from evidence.cluster.objects import ObjectKey
from evidence.reach.doors import BehindDoor, Door
from evidence.reach.exposure import Exposure, Exposures
from evidence.reach.matrix import cell, computed_on, range_name
from evidence.reach.possible import not_looked_at

HEADER = ("workload", "door", "from", "ports", "admitted_by")


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One open door of one workload; `name` says how many of its pods are meant where not all are."""

    name: str
    exposure: Exposure
    admitted_by: tuple[str, ...]

    @property
    def cells(self) -> tuple[str, ...]:
        found = self.exposure
        return (
            self.name,
            found.behind.door.text,
            found.origin_text,
            str(found.ports),
            "; ".join(self.admitted_by),
        )


def rows(exposures: Exposures) -> Iterator[Row]:
    """Every open door, by workload."""
    sizes: Counter[ObjectKey] = Counter()
    for peers in exposures.reach.classes:
        sizes.update(pod.workload for pod in peers.pods)
    for found in sorted(
        exposures.open, key=lambda found: _place(found.behind.workload)
    ):  # stable: doors keep their order
        yield Row(_name(found.behind, sizes), found, exposures.admitted_by(found))


def _place(key: ObjectKey) -> tuple[str, str, str, str]:
    return key.namespace, key.name, key.kind, key.group


def _name(way: BehindDoor, sizes: Counter[ObjectKey]) -> str:
    key, pods = way.workload, way.pods
    name = f"{key.namespace}/{key.kind}/{key.name}"
    if len(pods) == sizes[key]:
        return name
    return f"{name} ({len(pods)} of {sizes[key]} pods: {pods[0].name}{' and others' if len(pods) > 1 else ''})"


def csv(exposures: Exposures) -> Iterator[str]:
    """The rows as CSV with a header, a line at a time."""
    yield ",".join(HEADER) + "\n"
    for row in rows(exposures):
        yield ",".join(map(cell, row.cells)) + "\n"


def about(exposures: Exposures) -> str:
    """What the rows were computed on, and how many doors they leave out."""
    shut = len(exposures.shut)
    return f"{shut} door{'s' * (shut != 1)} left shut by policy; {computed_on(exposures.reach)}; a pod's own node always reaches it"


def doubts(exposures: Exposures) -> tuple[str, ...]:
    """Why more may be open than the rows say."""
    return (*exposures.doubts, *not_looked_at(exposures.reach))


def document(exposures: Exposures) -> dict[str, Any]:
    """The whole result for JSON."""
    return {
        "computed_on": computed_on(exposures.reach),
        "not_evaluated": [str(policy.key) for policy in exposures.reach.unevaluated],
        "doubts": list(doubts(exposures)),
        "open": [_open(row) for row in rows(exposures)],
        "shut": [_behind(way) for way in exposures.shut],
    }


def _open(row: Row) -> dict[str, Any]:
    found = row.exposure
    return {
        **_behind(found.behind),
        "from": [kind.value for kind in sorted(found.origins)],
        "seen_as": found.seen_as.value,
        "admitted_ranges": [range_name(one) for one in found.ranges],
        "ports": str(found.ports),
        "admitted_by": list(row.admitted_by),
    }


def _behind(way: BehindDoor) -> dict[str, Any]:
    key = way.workload
    return {
        "workload": f"{key.namespace}/{key.kind}/{key.name}",
        "pods": [pod.key for pod in way.pods],
        "door": _door(way.door),
    }


def _door(door: Door) -> dict[str, Any]:
    return {
        "kind": door.kind.value,
        "name": door.text,
        "object": str(door.key),
        "addresses": list(door.of.external_addresses if isinstance(door.of, Service) else _front_addresses(door)),
        "source_ranges": [str(network) for network in door.source_ranges],
        "hides_client": door.hides_client,
        "through": str(door.front) if door.front is not None else "",
        "ports": str(door.ports),
    }


def _front_addresses(door: Door) -> tuple[str, ...]:
    return door.front.addresses if door.front is not None else ()
