"""The common refinement of two clusters: pods that are alike in both, and outside addresses likewise.

1. Workloads are matched by kind, namespace and name, their pods by name. Pods in both that are of one class before and of one class after are
   a part.
2. Pods that only one side has are replaced or scaled pods of their workload, and no change by themselves. One that is of the same class as a
   matched pod goes with it. Those left over on both sides are compared as a whole: what some of them may do. Left over on one side only, they
   are compared with all pods of the workload on the other, and can only add (or only take away).
3. A workload that one side does not have is new or gone. Finished pods are on neither side.
4. The outside is cut at the bounds of both. Ranges that neither side shows (pod addresses alone) are left out. A family that is outside on one side
   only because no pod's address is known there is not compared.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

from evidence.cluster.model import IPAddress
from evidence.cluster.objects import ObjectKey
from evidence.reach.addresses import FAMILIES, AddressRange
from evidence.reach.classes import PeerId
from evidence.reach.engine import Reachability


class Presence(Enum):
    """On which sides a workload is."""

    BOTH = "both"
    NEW = "new"
    GONE = "gone"


class Compared(Enum):
    """Which changes a part can show."""

    WHOLLY = "wholly"
    ONLY_ADDED = "only added"
    ONLY_REMOVED = "only removed"


Classes = tuple[PeerId, ...]


@dataclass(frozen=True, slots=True)
class Likeness:
    """What pods of one part have in common: their classes before and after, and what they can show."""

    before: Classes
    after: Classes
    compared: Compared = Compared.WHOLLY

    @property
    def presence(self) -> Presence:
        if self.before and self.after:
            return Presence.BOTH
        return Presence.GONE if self.before else Presence.NEW


@dataclass(frozen=True, slots=True)
class Member:
    """Pods of one workload in a part: `pods` names them (those after, or those before where none is left), `of` counts all there are then."""

    workload: ObjectKey
    pods: tuple[str, ...]
    of: int

    @property
    def name(self) -> str:
        """ "namespace/Kind/name", and how many of its pods where these are not all."""
        key = self.workload
        name = f"{key.namespace}/{key.kind}/{key.name}"
        if len(self.pods) >= self.of:
            return name
        more = " and others" if len(self.pods) > 1 else ""
        return f"{name} ({len(self.pods)} of {self.of} pods: {self.pods[0]}{more})"


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Pods that are alike in both clusters, by workload."""

    likeness: Likeness
    members: tuple[Member, ...]

    @property
    def presence(self) -> Presence:
        return self.likeness.presence


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """Outside addresses `first` to `last`; `before` and `after` are the ranges (their places in the address space) that they are part of."""

    family: int
    first: int
    last: int
    before: int
    after: int

    @property
    def ends(self) -> tuple[IPAddress, IPAddress]:
        make = IPv4Address if self.family == FAMILIES[0] else IPv6Address
        return make(self.first), make(self.last)


# -- pods -------------------------------------------------------------------------------------------------------------

_Pods = Mapping[str, PeerId]  # name -> class


def parts(before: Reachability, after: Reachability) -> tuple[Part, ...]:
    """All pods of both clusters, sorted by workload."""
    old, new = _by_workload(before), _by_workload(after)
    found: dict[Likeness, list[Member]] = {}
    for key in sorted({*old, *new}):
        mine, theirs = old.get(key, {}), new.get(key, {})
        for likeness, pods in _split(mine, theirs).items():
            earlier = not theirs or likeness.compared is Compared.ONLY_REMOVED
            found.setdefault(likeness, []).append(Member(key, tuple(sorted(pods)), len(mine if earlier else theirs)))
    return tuple(Part(likeness, tuple(members)) for likeness, members in found.items())


def _by_workload(reach: Reachability) -> dict[ObjectKey, dict[str, PeerId]]:
    found: dict[ObjectKey, dict[str, PeerId]] = defaultdict(dict)
    for alike in reach.classes:
        for pod in alike.pods:
            found[pod.workload][pod.name] = alike.id
    return found


def _split(before: _Pods, after: _Pods) -> Mapping[Likeness, Sequence[str]]:
    """The pods of one workload by likeness."""
    if not before or not after:
        gone = not after
        alike: dict[Likeness, list[str]] = defaultdict(list)
        for name, number in (before if gone else after).items():
            alike[Likeness((number,), ()) if gone else Likeness((), (number,))].append(name)
        return alike
    if (
        len(set(before.values())) == len(set(after.values())) == 1
    ):  # the most there are, and the others' rule for them, too
        return {Likeness(_classes(before), _classes(after)): list(after)}
    found: dict[Likeness, list[str]] = defaultdict(list)
    for name in sorted(before.keys() & after.keys()):
        found[Likeness((before[name],), (after[name],))].append(name)
    by_before, by_after = {one.before[0]: one for one in found}, {one.after[0]: one for one in found}
    old_rest = {name: number for name, number in before.items() if name not in after and number not in by_before}
    new_rest = {name: number for name, number in after.items() if name not in before and number not in by_after}
    for name, number in after.items():
        if name not in before and number in by_after:
            found[by_after[number]].append(name)
    if old_rest or new_rest:
        compared = (
            Compared.WHOLLY if old_rest and new_rest else Compared.ONLY_ADDED if new_rest else Compared.ONLY_REMOVED
        )
        rest = Likeness(_classes(old_rest or before), _classes(new_rest or after), compared)
        found[rest].extend(new_rest or old_rest)
    return found


def _classes(pods: _Pods) -> Classes:
    return tuple(sorted(set(pods.values())))


# -- the outside ------------------------------------------------------------------------------------------------------


def slices(before: Reachability, after: Reachability) -> tuple[Slice, ...]:
    """The outside addresses that at least one side shows, cut at the bounds of both; IPv4 first, ascending."""
    return tuple(
        found
        for family in FAMILIES
        if not incomparable(before, after, family)
        for found in _overlay(family, _places(before, family), _places(after, family))
        if shown(before, found.before) or shown(after, found.after)
    )


def incomparable(before: Reachability, after: Reachability, family: int) -> bool:
    """True when one side has no known address at all, so that it shows a family that the other one does not have."""
    has = [_shows(reach, family) for reach in (before, after)]
    return has[0] != has[1] and any(
        not any(pod.addresses for alike in reach.classes for pod in alike.pods) for reach in (before, after)
    )


def _shows(reach: Reachability, family: int) -> bool:
    return any(outside.first.version == family for outside in reach.external)


def shown(reach: Reachability, place: int) -> bool:
    """True when the range at this place of the address space is an outside peer."""
    return reach.peer_id_of_end(reach.peers.pods + place) is not None


def _places(reach: Reachability, family: int) -> Sequence[tuple[int, AddressRange]]:
    return [(place, found) for place, found in enumerate(reach.space.ranges) if found.family == family]


def _overlay(
    family: int, before: Sequence[tuple[int, AddressRange]], after: Sequence[tuple[int, AddressRange]]
) -> Iterator[Slice]:
    """Both lists cover the whole family, and end together; walk them side by side."""
    i = j = 0
    while i < len(before):
        (old, one), (new, other) = before[i], after[j]
        last = min(one.last, other.last)
        yield Slice(family, max(one.first, other.first), last, old, new)
        i += one.last == last
        j += other.last == last


def ranges_text(found: Iterable[Slice]) -> tuple[str, ...]:
    """Some slices as the fewest ranges: a network where a range is one, its bounds otherwise."""
    joined: list[tuple[int, int, int]] = []
    for one in sorted(found, key=lambda one: (one.family, one.first)):
        if joined and joined[-1][0] == one.family and joined[-1][2] + 1 == one.first:
            joined[-1] = (one.family, joined[-1][1], one.last)
        else:
            joined.append((one.family, one.first, one.last))
    texts = []
    for family, first, last in joined:
        size = last - first + 1
        low, high = Slice(family, first, last, 0, 0).ends
        whole = size & (size - 1) == 0 and first % size == 0
        texts.append(f"{low}/{low.max_prefixlen - size.bit_length() + 1}" if whole else f"{low}-{high}")
    return tuple(texts)
