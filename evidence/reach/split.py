"""The classes of an engine on a later state of its cluster, cut where policies tell pods apart that were one class so far.

1. A pod that is new, or differs from what it was, joins the class of a pod that nothing can tell it from: same namespace, same values of all
   labels that any selector looks at, same ports of the names that any policy asks for, addresses in the same networks. Where there is no
   such pod, it starts a class of its own.
2. A class comes apart by a selector that means some of its pods only, by the numbers of a port whose name was not asked for before, and by
   a network or a node selector that was not there before and holds the addresses of some only.

What is asked of a class is what makes it the one peer that it was; nothing that held the classes apart is asked again.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from operator import attrgetter, is_
from typing import NamedTuple

from evidence.cluster.calico_selectors import holds, tests
from evidence.cluster.model import Cluster, Namespace, Pod
from evidence.cluster.selectors import LabelSelector
from evidence.reach.addresses import FAMILIES, AddressSpace, united
from evidence.reach.classes import NamedPort, PeerId, PodClass, Ways, host_addresses, named_ports, ways_of
from evidence.reach.endpoints import FORCED, given_labels, of_account, own_labels
from evidence.reach.engine import Reachability
from evidence.reach.mentions import address_matchers, addresses_of, matchers_of, port_names
from evidence.reach.rules import AddressMatcher, Endpoints, Matcher, Pods, PolicyForm

NEW = -1  # in the place of the class that a class is a part of


@dataclass(frozen=True, slots=True)
class Split:
    """Classes, each with the one before that it is a part of (or NEW), and what they are told apart by. `whole`: they are those before."""

    classes: tuple[PodClass, ...]
    came_from: Sequence[int]
    address_matchers: Mapping[AddressMatcher, int]
    space: AddressSpace
    port_names: frozenset[str]
    whole: bool


class _Lot(NamedTuple):
    """Pods that are one class before any further policy looks at them; `origin` is that class or NEW."""

    origin: int
    pods: tuple[Pod, ...]
    likeness: PodClass  # what they have in common


def split(reach: Reachability, cluster: Cluster, forms: Sequence[PolicyForm]) -> Split:
    """Classes for a cluster with the same nodes, in which the given policies are asked beside those of the engine."""
    lots = _lots(reach, cluster)
    matchers = dict(reach.address_matchers)
    for matcher in address_matchers(forms):
        matchers.setdefault(matcher, len(matchers))
    fresh = list(matchers)[len(reach.address_matchers) :]
    space = reach.space
    if fresh:
        known = (addresses_of(matcher, cluster) for matcher in matchers)
        space = AddressSpace(list(known), reach.extra_networks, reach.space)
    names = reach.port_names | port_names(forms)
    tellers = _Tellers(forms, cluster, names, names - reach.port_names, space, fresh)
    parts = [part for lot in lots for part in _parts(lot, tellers)]
    if len(parts) == len(reach.classes) and all(
        part.likeness is found and part.pods is found.pods for part, found in zip(parts, reach.classes, strict=True)
    ):
        return Split(reach.classes, range(len(parts)), matchers, space, names, whole=True)
    parts.sort(key=lambda part: (part.likeness.namespace, part.pods[0].name))
    classes = [
        found if found.id == number and found.pods is pods else replace(found, id=PeerId(number), pods=pods)
        for number, (_, pods, found) in enumerate(parts)
    ]
    return Split(tuple(classes), [part.origin for part in parts], matchers, space, names, whole=False)


# -- pods that came, went or changed -----------------------------------------------------------------------------------


def _lots(reach: Reachability, cluster: Cluster) -> list[_Lot]:
    before, after = reach.cluster.pods, cluster.pods
    if before is after or (len(before) == len(after) and all(map(is_, before, after))):
        return [_Lot(int(found.id), found.pods, found) for found in reach.classes]
    now = {(pod.namespace, pod.name): pod for pod in after if not pod.finished}
    members: list[list[Pod]] = []
    for found in reach.classes:
        stay = []
        for pod in found.pods:
            other = now.get((pod.namespace, pod.name))
            if other is not None and (other is pod or _alike(pod, other)):
                stay.append(other)
                del now[pod.namespace, pod.name]
        members.append(stay)
    lots = []
    if now:
        look = _Look(reach, cluster)
        homes = {pod.namespace for pod in now.values()}
        class_of = {
            look(pod): int(found.id) for found in reach.classes if found.namespace in homes for pod in found.pods
        }
        started: dict[_Seen, list[Pod]] = defaultdict(list)
        for pod in now.values():
            seen = look(pod)
            if seen in class_of:
                members[class_of[seen]].append(pod)
            else:
                started[seen].append(pod)
        for seen, pods in started.items():
            first = pods[0]
            like = PodClass(PeerId(NEW), first.namespace, (), first.host_network, seen.named, seen.ways)
            lots.append(_Lot(NEW, _by_name(pods), like))
    for found, pods in zip(reach.classes, members, strict=True):
        if pods:
            same = len(pods) == len(found.pods) and all(map(is_, pods, found.pods))
            lots.append(_Lot(int(found.id), found.pods if same else _by_name(pods), found))
    return lots


def _by_name(pods: Iterable[Pod]) -> tuple[Pod, ...]:
    return tuple(sorted(pods, key=attrgetter("name")))


_NO_MATTER = frozenset(
    ("workload", "phase", "ready", "template", "privileged", "capabilities", "images", "created", "origin")
)
_OF_CLASSES = attrgetter(*(field.name for field in fields(Pod) if field.name not in _NO_MATTER))


def _alike(pod: Pod, other: Pod) -> bool:
    """True when nothing differs that a class can depend on."""
    return bool(_OF_CLASSES(pod) == _OF_CLASSES(other))


class _Seen(NamedTuple):
    namespace: str
    host_network: bool
    labels: tuple[str | None, ...]
    named: tuple[NamedPort, ...]
    ways: Ways


class _Look:
    """Everything that any policy of an engine can look at in a pod."""

    def __init__(self, reach: Reachability, cluster: Cluster) -> None:
        keys = {key for matcher in matchers_of([*reach.forms, *reach.former]) for key in _keys(matcher)}
        self._keys = sorted(keys)
        self._names = reach.port_names
        self._space = reach.space
        self._nodes = {node.name: node.addresses for node in cluster.nodes}

    def __call__(self, pod: Pod) -> _Seen:
        addresses = host_addresses(pod, self._nodes) if pod.host_network else pod.addresses
        labels: tuple[str | None, ...] = () if pod.host_network else tuple(map(own_labels(pod).get, self._keys))
        return _Seen(
            pod.namespace,
            pod.host_network,
            labels,
            named_ports(pod, self._names),
            ways_of(addresses, self._space),
        )


def _keys(matcher: Matcher) -> Iterable[str]:
    match matcher:
        case Pods(pods=LabelSelector() as selector):
            return selector.keys
        case Endpoints():
            return [test.key for test in tests(matcher.selector)]
        case _:
            return ()


# -- what further policies tell apart ----------------------------------------------------------------------------------


class _Tellers:
    """What is asked of the pods of a class beside what they have in common."""

    def __init__(
        self,
        forms: Sequence[PolicyForm],
        cluster: Cluster,
        names: frozenset[str],
        fresh_names: frozenset[str],
        space: AddressSpace,
        fresh: Sequence[AddressMatcher],
    ) -> None:
        self.names = names
        self.space = space
        self.nodes = {node.name: node.addresses for node in cluster.nodes}
        self._spaces = cluster.namespaces
        self._selectors = [
            matcher
            for matcher in dict.fromkeys(matchers_of(forms))
            if isinstance(matcher, Pods | Endpoints) and any(True for _ in _keys(matcher))
        ]
        self._readers: dict[str, _Reader | None] = {}
        self._naming = {
            id(pod.ports)
            for pod in (cluster.pods if fresh_names else ())
            if any(port.name in fresh_names for port in pod.ports)
        }
        self._bounds: dict[int, list[int]] = {family: [] for family in FAMILIES}
        for family, low, high in united(interval for matcher in fresh for interval in addresses_of(matcher, cluster)):
            self._bounds[family] += (low, high)
        self._are_fresh = bool(fresh)

    def reader(self, namespace: str) -> "_Reader | None":
        """What the selectors that are applied to pods of a namespace say of them; None without any."""
        if namespace not in self._readers:
            space = self._spaces[namespace]
            found = [matcher for matcher in self._selectors if _looks_into(matcher, space)]
            self._readers[namespace] = _Reader(found, space) if found else None
        return self._readers[namespace]

    def names_port_of(self, pods: Iterable[Pod]) -> bool:
        """Whether a pod has a port whose name was not asked for before."""
        return bool(self._naming) and any(id(pod.ports) in self._naming for pod in pods)

    def may_hold(self, pods: Iterable[Pod]) -> bool:
        """Whether an address of a pod may lie in a network that was not named before."""
        bounds = self._bounds  # what is inside begins at their even places and ends at the odd ones
        if not self._are_fresh:
            return False
        for pod in pods:
            if pod.host_network:
                return True
            for address in pod.addresses:
                if bisect_right(bounds[address.version], int(address)) & 1:
                    return True
        return False


def _looks_into(matcher: Pods | Endpoints, space: Namespace) -> bool:
    """Whether pods of the namespace are asked for their labels."""
    if matcher.namespace is not None:
        return matcher.namespace == space.name
    return isinstance(matcher, Endpoints) or matcher.namespaces is None or matcher.namespaces.matches(space.labels)


class _Reader:
    """Which of some selectors mean single pods of a namespace."""

    def __init__(self, matchers: Sequence[Pods | Endpoints], space: Namespace) -> None:
        self._matchers = matchers
        self._keys = tuple({key for matcher in matchers for key in _keys(matcher)})
        self._given = given_labels(space)
        self._accounts = any(map(of_account, self._keys))
        self._known: dict[tuple[str | None, ...], tuple[bool, ...]] = {}

    def __call__(self, pod: Pod) -> tuple[bool, ...]:
        own = own_labels(pod) if self._accounts else pod.labels
        seen = tuple(map(own.get, self._keys))
        found = self._known.get(seen)
        if found is None:
            labels = {**self._given, **own, **{key: self._given[key] for key in FORCED}}
            found = self._known[seen] = tuple(
                holds(matcher.selector, labels)
                if isinstance(matcher, Endpoints)
                else matcher.pods is None or matcher.pods.matches(own)
                for matcher in self._matchers
            )
        return found


def _parts(lot: _Lot, tellers: _Tellers) -> Iterator[_Lot]:
    """The lot, or what it falls into."""
    origin, pods, like = lot
    reader = tellers.reader(like.namespace) if len(pods) > 1 and not like.host_network else None
    means = list(map(reader, pods)) if reader else [()] * len(pods)
    named, placed = tellers.names_port_of(pods), tellers.may_hold(pods)
    if not named and not placed and (not reader or len(set(means)) == 1):
        yield lot
        return
    found: dict[tuple[tuple[bool, ...], tuple[NamedPort, ...], Ways], list[Pod]] = defaultdict(list)
    for pod, meant in zip(pods, means, strict=True):
        ways = like.ways
        if placed:
            ways = ways_of(host_addresses(pod, tellers.nodes) if pod.host_network else pod.addresses, tellers.space)
        found[meant, named_ports(pod, tellers.names) if named else like.named_ports, ways].append(pod)
    for (_, ports, ways), members in found.items():
        same = ports == like.named_ports and ways == like.ways
        yield _Lot(
            origin,
            pods if len(members) == len(pods) else tuple(members),
            like if same else replace(like, named_ports=ports, ways=ways),
        )
