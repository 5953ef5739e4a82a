"""Sets of pods and outside addresses that people name: what FROM and TO of a path or an assertion stand for.

    zone:NAME         a declared zone: its pods and its outside addresses
    namespace:NAME    every pod of a namespace
    NAME              the zone of that name, or else the namespace
    NAMESPACE/NAME    a pod; where no pod has the name, the pods of the workloads that have (NAMESPACE/KIND/NAME: of that kind)
    NETWORK, ADDRESS  addresses outside the cluster, even where a pod has one of them

Finished pods are in no group. Ranges of outside addresses are the engine's: a network that was given to `analyse` as an extra network is made of
whole ranges, and one that was not may share a range with its neighbours, so callers give it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network

from evidence.cluster.model import IPNetwork, Pod
from evidence.errors import InputError
from evidence.reach.classes import ExternalRange, PeerId
from evidence.reach.engine import Reachability

ZONE, NAMESPACE = "zone:", "namespace:"


@dataclass(frozen=True, slots=True)
class Group:
    """`pods` by class and `ranges` of outside addresses that `name` stands for. Both empty: the name means nothing that is there."""

    name: str
    pods: Mapping[PeerId, frozenset[str]]
    ranges: frozenset[PeerId] = frozenset()

    @property
    def size(self) -> int:
        """How many pods."""
        return sum(map(len, self.pods.values()))

    def __bool__(self) -> bool:
        return bool(self.pods or self.ranges)


def group_of(reach: Reachability, name: str, pods: Iterable[Pod], ranges: Iterable[PeerId] = ()) -> Group:
    """A group of some of the cluster's pods."""
    found: dict[PeerId, set[str]] = {}
    for pod in pods:
        if not pod.finished:
            found.setdefault(reach.peer_of(pod.key), set()).add(pod.key)
    return Group(name, {number: frozenset(found[number]) for number in sorted(found)}, frozenset(ranges))


def workload_names(pod: Pod) -> tuple[str, str]:
    """The names of a pod's workload, with and without its kind."""
    key = pod.workload
    return f"{key.namespace}/{key.kind}/{key.name}", f"{key.namespace}/{key.name}"


def network_named(text: str) -> IPNetwork | None:
    """The network or address that a name is; None for any other name. Host bits are masked off."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def ranges_in(reach: Reachability, network: IPNetwork) -> frozenset[PeerId]:
    """The outside ranges that lie in a network, and a range that holds some of it."""
    return frozenset(found.id for found in reach.external if _meets(found, network))


def _meets(found: ExternalRange, network: IPNetwork) -> bool:
    return (
        found.first.version == network.version
        and int(found.first) <= int(network.broadcast_address)
        and int(found.last) >= int(network.network_address)
    )


class Names:
    """Looks names up in one cluster. `zones` are the declared ones: for each its pods, and whether an outside range lies in it."""

    def __init__(
        self, reach: Reachability, zones: Mapping[str, tuple[Iterable[Pod], Callable[[ExternalRange], bool]]]
    ) -> None:
        self._reach = reach
        self._zones = zones
        self._known: dict[str, Group] = {}

    @property
    def zones(self) -> tuple[str, ...]:
        """Names of the declared zones, sorted."""
        return tuple(sorted(self._zones))

    def group(self, name: str) -> Group:
        """Raises InputError when nothing in the cluster has the name."""
        if name not in self._known:
            self._known[name] = self._look_up(name)
        return self._known[name]

    def _look_up(self, name: str) -> Group:
        network = network_named(name)
        if network is not None:
            return self._outside(name, network)
        if name.startswith(ZONE):
            return self._zone(name.removeprefix(ZONE))
        if name.startswith(NAMESPACE):
            return self._namespace(name.removeprefix(NAMESPACE))
        if "/" in name:
            return self._named(name)
        if name in self._zones:
            return self._zone(name)
        if name in self._reach.cluster.namespaces:
            return self._namespace(name)
        declared = f"the zones are {', '.join(self.zones)}" if self._zones else "no zones are declared (--intent)"
        raise InputError(f"there is no zone or namespace {name} in the cluster; {declared}")

    def _outside(self, name: str, network: IPNetwork) -> Group:
        ranges = ranges_in(self._reach, network)
        if not ranges:
            raise InputError(
                f"{name} holds no address outside the cluster: name the pods that have its addresses instead"
            )
        return Group(name, {}, ranges)

    def _zone(self, name: str) -> Group:
        if name not in self._zones:
            declared = f"the zones are {', '.join(self.zones)}" if self._zones else "none are declared (--intent)"
            raise InputError(f"there is no zone {name}; {declared}")
        pods, holds = self._zones[name]
        ranges = [found.id for found in self._reach.external if holds(found)]
        return group_of(self._reach, f"{ZONE}{name}", pods, ranges)

    def _namespace(self, name: str) -> Group:
        if name not in self._reach.cluster.namespaces:
            raise InputError(f"there is no namespace {name} in the cluster")
        pods = [pod for pod in self._reach.cluster.pods if pod.namespace == name]
        return group_of(self._reach, f"{NAMESPACE}{name}", pods)

    def _named(self, name: str) -> Group:
        pods = [pod for pod in self._reach.cluster.pods if pod.key == name]
        pods = pods or [pod for pod in self._reach.cluster.pods if name in workload_names(pod)]
        if not pods:
            raise InputError(f"there is no pod or workload {name} in the cluster")
        found = group_of(self._reach, name, pods)
        if not found:
            raise InputError(f"{name} is finished: it is no endpoint")
        return found
