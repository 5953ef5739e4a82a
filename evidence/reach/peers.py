"""Every possible end of a connection, numbered, and which of them a matcher of a rule means.

1. Ends 0 to n-1 are ways into pod classes (one for most; a dual-stack class whose addresses are matched differently has one a family),
   sorted by class. After them comes one end for each range of the address space.
2. Label selectors mean pods on the pod network only; ipBlocks and node selectors mean ends by address, pods and outside alike.
3. Matched ends are sorted arrays; None stands for every end.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from evidence.cluster.model import Labels, Namespace, Pod
from evidence.cluster.selectors import LabelSelector, Operator, Requirement
from evidence.reach.addresses import FAMILIES, AddressSpace, inside
from evidence.reach.classes import ExternalRange, NamedPort, PeerId, PodClass, family_bit
from evidence.reach.endpoints import given_labels, of_account, own_labels
from evidence.reach.rules import (
    AddressMatcher,
    Domains,
    Endpoints,
    Everything,
    HostPods,
    Matcher,
    Pods,
    Unplaced,
    Within,
)

if TYPE_CHECKING:
    from evidence.cluster.calico_selectors import Expression

Ends = npt.NDArray[np.int32]
N = TypeVar("N", bound=np.integer[Any])

NOBODY: Ends = np.empty(0, dtype=np.int32)
_WORD = 64


class Peers:
    """The ends of one analysis. `address_matchers` gives the number that each has in the address space."""

    def __init__(
        self,
        classes: Sequence[PodClass],
        namespaces: Mapping[str, Namespace],
        space: AddressSpace,
        address_matchers: Mapping[AddressMatcher, int],
    ) -> None:
        self.space = space
        self.class_of: list[int] = []
        self.first_end: list[int] = []
        self.named_ports: list[tuple[NamedPort, ...]] = [()]
        self._address_matchers = address_matchers
        named: dict[tuple[NamedPort, ...], int] = {(): 0}
        named_of: list[int] = []
        families: list[int] = []
        members: dict[int, list[int]] = defaultdict(list)
        on_hosts: list[int] = []
        spaces: dict[str, _Space] = {}
        for found in classes:
            self.first_end.append(len(self.class_of))
            number = named.setdefault(found.named_ports, len(named))
            if number == len(self.named_ports):
                self.named_ports.append(found.named_ports)
            for signature, family in found.ways:
                end = len(self.class_of)
                self.class_of.append(int(found.id))
                families.append(family)
                named_of.append(number)
                if signature:
                    members[signature].append(end)
                if found.host_network:
                    on_hosts.append(end)
                if found.namespace not in spaces:
                    spaces[found.namespace] = _Space(end)
                spaces[found.namespace].add(found)
        self.pods = len(self.class_of)
        self.first_end.append(self.pods)
        for position, outside in enumerate(space.ranges):
            families.append(family_bit(outside.family))
            if outside.signature:
                members[outside.signature].append(self.pods + position)
        self.count = self.pods + len(space.ranges)
        self.families: npt.NDArray[np.uint8] = np.array(families, dtype=np.uint8)
        self.named_of: npt.NDArray[np.int32] = np.array(named_of, dtype=np.int32)
        self._on_hosts: Ends = np.array(on_hosts, dtype=np.int32)
        self._spaces = spaces
        self._by_address = _by_matcher(space.signatures, members)
        self._namespaces = namespaces
        self._selected: dict[Pods | Endpoints, Ends] = {}
        self._given: dict[str, Labels] = {}
        self._spaces_known: dict[LabelSelector, tuple[_Space, ...]] = {}

    def meant(self, matchers: Iterable[Matcher]) -> Ends | None:
        """The ends that any of the matchers means; None for every end."""
        parts = []
        for matcher in matchers:
            if isinstance(matcher, Pods | Endpoints):
                parts.append(self.selected(matcher))
            elif isinstance(matcher, Everything):
                return None
            elif isinstance(matcher, Within):
                found = self._within(matcher)
                if found is None:
                    return None
                parts.append(found)
            elif isinstance(matcher, HostPods):
                parts.append(self._on_hosts)
            elif not isinstance(matcher, Domains | Unplaced):
                parts.append(self._by_address.get(self._address_matchers[matcher], NOBODY))
        if len(parts) == 1:
            return parts[0]
        return distinct(np.concatenate(parts)) if parts else NOBODY

    def _within(self, matcher: Within) -> Ends | None:
        found: Ends | None = None
        for union in matcher.every:
            meant = self.meant(union)
            if meant is not None:
                found = meant if found is None else common(found, meant)
        if matcher.none:
            without = self.meant(matcher.none)
            everyone = np.arange(self.count, dtype=np.int32) if found is None else found
            found = NOBODY if without is None else np.setdiff1d(everyone, without, assume_unique=True)
        return found

    def selected(self, matcher: Pods | Endpoints) -> Ends:
        """The ways into pods that a pair of selectors, or a selector of Calico's, means."""
        found = self._selected.get(matcher)
        if found is None:
            found = self._endpoints(matcher) if isinstance(matcher, Endpoints) else self._select(matcher)
            self._selected[matcher] = found
        return found

    def _endpoints(self, matcher: Endpoints) -> Ends:
        names = self._spaces if matcher.namespace is None else (matcher.namespace,)
        return np.array(
            [
                end
                for name in names
                if name in self._spaces
                for end in self._spaces[name].holding(matcher.selector, self._given_labels(name))
            ],
            dtype=np.int32,
        )

    def _given_labels(self, namespace: str) -> Labels:
        if namespace not in self._given:
            self._given[namespace] = given_labels(self._namespaces[namespace])
        return self._given[namespace]

    def _select(self, matcher: Pods) -> Ends:
        if matcher.namespace is None:
            where = self._in_namespaces(matcher.namespaces or LabelSelector())
        else:
            here = self._spaces.get(matcher.namespace)
            where = (here,) if here else ()
        if len(where) == 1:
            return np.array(where[0].ends(matcher.pods), dtype=np.int32)
        return np.array([end for space in where for end in space.ends(matcher.pods)], dtype=np.int32)

    def _in_namespaces(self, selector: LabelSelector) -> tuple["_Space", ...]:
        """The namespaces with pods that match, in the order of their ends."""
        if selector not in self._spaces_known:
            self._spaces_known[selector] = tuple(
                space for name, space in self._spaces.items() if selector.matches(self._namespaces[name].labels)
            )
        return self._spaces_known[selector]


class _Space:
    """The ends of one namespace and their labels, a bit an end, so that a selector is a few operations on integers."""

    def __init__(self, first: int) -> None:
        self.first = first
        self._size = 0
        self._selectable = 0
        self._pods: list[Pod] = []
        self._columns: dict[str, dict[str, int]] = {}

    def add(self, found: PodClass) -> None:
        if not found.host_network:
            self._selectable |= 1 << self._size
        self._pods.append(found.pods[0])
        self._size += 1

    def ends(self, selector: LabelSelector | None) -> list[int]:
        mask = self._selectable
        for need in selector.requirements if selector else ():
            mask &= self._holds(need)
        return _numbers(mask, self.first)

    def holding(self, selector: "Expression", given: Labels) -> list[int]:
        """Ends whose labels satisfy a selector of Calico's; `given` are labels that all pods here have, some where they have no own."""
        from evidence.reach.expressions import satisfying  # a start without Calico's policies need not read it

        return _numbers(satisfying(selector, self._column, given) & self._selectable, self.first)

    def _holds(self, need: Requirement) -> int:
        column = self._column(need.key)
        match need.operator:
            case Operator.IN | Operator.NOT_IN:
                mask = 0
                for value in need.values:
                    mask |= column.get(value, 0)
            case Operator.EXISTS | Operator.DOES_NOT_EXIST:
                mask = 0
                for present in column.values():
                    mask |= present
        return mask if need.operator in (Operator.IN, Operator.EXISTS) else ~mask

    def _column(self, key: str) -> dict[str, int]:
        """For each value of a label, the ends that have it."""
        if key not in self._columns:
            column: dict[str, int] = {}
            for place, pod in enumerate(self._pods):
                labels = own_labels(pod) if of_account(key) else pod.labels
                if key in labels:
                    column[labels[key]] = column.get(labels[key], 0) | 1 << place
            self._columns[key] = column
        return self._columns[key]


def distinct(numbers: npt.NDArray[N]) -> npt.NDArray[N]:
    """The numbers sorted, each once. (numpy's `unique` imports its masked arrays for this, at a tenth of the program's start.)"""
    found = np.sort(numbers)
    first = np.ones(len(found), dtype=bool)
    first[1:] = found[1:] != found[:-1]
    return found[first]


def common(ends: Ends, others: Ends | None) -> Ends:
    """The ends of a sorted array that are among others (sorted; None: all)."""
    return ends if others is None else np.intersect1d(ends, others, assume_unique=True)


def _numbers(mask: int, offset: int) -> list[int]:
    """The places of the set bits, in order, each plus the offset."""
    size = mask.bit_length()
    if size > _WORD:
        bits = np.unpackbits(np.frombuffer(mask.to_bytes((size + 7) // 8, "little"), dtype=np.uint8), bitorder="little")
        found: list[int] = (np.flatnonzero(bits) + offset).tolist()
        return found
    places = []
    while mask:
        lowest = mask & -mask
        places.append(lowest.bit_length() - 1 + offset)
        mask ^= lowest
    return places


def _by_matcher(signatures: Sequence[frozenset[int]], members: Mapping[int, Sequence[int]]) -> dict[int, Ends]:
    found: dict[int, list[int]] = defaultdict(list)
    for signature, ends in members.items():
        for matcher in signatures[signature]:
            found[matcher].extend(ends)
    return {matcher: np.array(sorted(ends), dtype=np.int32) for matcher, ends in found.items()}


def shown_ranges(pods: Iterable[Pod], space: AddressSpace) -> Sequence[bool]:
    """Which ranges are outside peers: not those that hold nothing but addresses of pods, nor those of a family that no pod is known to have
    while others are known."""
    held: dict[int, set[int]] = {family: set() for family in FAMILIES}
    for pod in pods:
        if not pod.finished:
            for address in pod.addresses:
                held[address.version].add(int(address))
    known = {family: sorted(addresses) for family, addresses in held.items()}
    present = {family for family in FAMILIES if known[family]} or set(FAMILIES)
    return [found.family in present and not inside(found, known[found.family]) for found in space.ranges]


def numbered(peers: Peers, classes: int, shown: Sequence[bool]) -> tuple[tuple[ExternalRange, ...], Ends]:
    """The outside peers, numbered after the classes, and the peer of every end (-1: none)."""
    external: list[ExternalRange] = []
    ids = list(peers.class_of)
    for found, is_shown in zip(peers.space.ranges, shown, strict=True):
        ids.append(classes + len(external) if is_shown else -1)
        if is_shown:
            external.append(ExternalRange(PeerId(ids[-1]), *found.ends))
    return tuple(external), np.array(ids, dtype=np.int32)
