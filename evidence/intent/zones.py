"""Which pods and outside addresses lie in which declared zone, and what is doubtful about the declaration.

1. A pod lies in every zone of which a member selects its namespace and its labels. Finished pods lie in none.
2. A zone's networks are addresses outside the cluster: they never draw pods in. An address lies in the zone with the narrowest network
   that holds it, so that `internet` may be 0.0.0.0/0 beside a third party's own network; two zones with that same network both hold it.
3. Nothing is guessed: what no zone names lies in no zone.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from itertools import combinations

from evidence.cluster.model import Cluster, IPAddress, Pod
from evidence.intent.model import Intent, Zone, ZoneMember

_ALL_IPV4, _ALL_IPV6 = ip_network("0.0.0.0/0"), ip_network("::/0")
_IPV6 = 6


@dataclass(frozen=True, slots=True, order=True)
class ZoneProblem:
    """Something doubtful about a zone, or about two; `str()` is one sentence."""

    zones: tuple[str, ...]
    message: str

    def __str__(self) -> str:
        return f"{'zone' if len(self.zones) == 1 else 'zones'} {' and '.join(self.zones)}: {self.message}"


class ZoneMap:
    """Look-ups; without an intent nothing lies anywhere. `problems` are sorted."""

    def __init__(self, zones: tuple[Zone, ...], cluster: Cluster) -> None:
        self._zones = zones
        self._cluster = cluster
        self._networks = sorted(
            ((network, zone) for zone in zones for network in zone.cidrs), key=lambda entry: -entry[0].prefixlen
        )
        self._bounds = [
            (network.version, int(network.network_address), int(network.broadcast_address), network.prefixlen, zone)
            for network, zone in self._networks
        ]
        self._of_pod = _assigned(zones, cluster)

    def of_pod(self, key: str) -> tuple[Zone, ...]:
        """Zones of a pod by "namespace/name", in the order of the file."""
        return self._of_pod.get(key, ())

    def of_address(self, address: IPAddress) -> tuple[Zone, ...]:
        """Zones whose network holds an outside address, the narrowest only."""
        held: dict[str, Zone] = {}
        narrowest = 0
        version, number = address.version, int(address)
        for family, first, last, length, zone in self._bounds:
            if held and length < narrowest:
                break
            if family == version and first <= number <= last:
                held[zone.name], narrowest = zone, length
        return tuple(held.values())

    def pods(self, zone: str) -> tuple[Pod, ...]:
        """Pods of a zone by its name, in the cluster's order."""
        return self._by_zone.get(zone, ())

    @cached_property
    def population(self) -> int:
        """How many pods run or may run, in a zone or not."""
        return sum(not pod.finished for pod in self._cluster.pods)

    @cached_property
    def outside_undeclared(self) -> tuple[str, ...]:
        """The widest networks of which some address lies in no zone: 0.0.0.0/0, and ::/0 when pods have IPv6 addresses."""
        wanted = [_ALL_IPV4]
        if any(address.version == _IPV6 for pod in self._cluster.pods for address in pod.addresses):
            wanted.append(_ALL_IPV6)
        declared = {network for network, _ in self._networks}
        v4 = collapse_addresses(network for network in declared if isinstance(network, IPv4Network))
        v6 = collapse_addresses(network for network in declared if isinstance(network, IPv6Network))
        covered = {*v4, *v6}
        return tuple(str(network) for network in wanted if network not in covered)

    @cached_property
    def unassigned(self) -> tuple[str, ...]:
        """Keys of pods that run or may run and lie in no zone."""
        return tuple(pod.key for pod in self._cluster.pods if not pod.finished and pod.key not in self._of_pod)

    @cached_property
    def problems(self) -> tuple[ZoneProblem, ...]:
        """Zones that match nothing, name what is not there, or hold the same pods or addresses."""
        return tuple(sorted({*self._unmatched(), *self._overlapping(), *self._inside()}))

    @cached_property
    def _by_zone(self) -> Mapping[str, tuple[Pod, ...]]:
        found: dict[str, list[Pod]] = defaultdict(list)
        for pod in self._cluster.pods:
            for zone in self._of_pod.get(pod.key, ()):
                found[zone.name].append(pod)
        return {name: tuple(pods) for name, pods in found.items()}

    def _unmatched(self) -> Iterable[ZoneProblem]:
        for zone in self._zones:
            for name in dict.fromkeys(name for member in zone.members for name in member.namespaces):
                if name not in self._cluster.namespaces:
                    yield ZoneProblem((zone.name,), f"names namespace {name}, which the cluster does not have")
            if zone.members and not self.pods(zone.name):
                yield ZoneProblem((zone.name,), "matches no pod")

    def _overlapping(self) -> Iterable[ZoneProblem]:
        shared: dict[tuple[str, str], list[str]] = defaultdict(list)
        for key, zones in self._of_pod.items():
            for first, second in combinations(zones, 2):
                shared[first.name, second.name].append(key)
        for names, keys in shared.items():
            yield ZoneProblem(
                names, f"both hold {f'pod {keys[0]}' if len(keys) == 1 else f'{len(keys)} pods, such as {keys[0]}'}"
            )
        for first, second in combinations([zone for zone in self._zones if zone.cidrs], 2):
            for network in sorted({*first.cidrs} & {*second.cidrs}, key=str):
                yield ZoneProblem((first.name, second.name), f"both hold network {network}")

    def _inside(self) -> Iterable[ZoneProblem]:
        """Networks that hold addresses of pods of no zone: networks do not draw pods in, and the owner may think they do."""
        loose = set(self.unassigned) if self._networks else set()
        held: dict[str, list[str]] = defaultdict(list)
        for pod in self._cluster.pods:
            if pod.key in loose and not pod.host_network:
                for zone in {
                    zone.name: zone for address in pod.addresses for zone in self.of_address(address)
                }.values():
                    if all(network.prefixlen for network in zone.cidrs):  # 0.0.0.0/0 holds everything and means nothing
                        held[zone.name].append(pod.key)
        for name, keys in held.items():
            message = f"has networks that hold the address of pod {keys[0]}, which no member selects; networks are for addresses outside the cluster"
            yield ZoneProblem((name,), message)


def assign(intent: Intent | None, cluster: Cluster) -> ZoneMap:
    """Zones of a cluster's pods and of outside addresses."""
    return ZoneMap(intent.zones if intent else (), cluster)


def _assigned(zones: tuple[Zone, ...], cluster: Cluster) -> Mapping[str, tuple[Zone, ...]]:
    """Zones by pod; pods of one namespace that no member tells apart are decided once."""
    with_members = tuple(zone for zone in zones if zone.members)
    if not with_members:
        return {}
    selectors = [member.pod_selector for zone in with_members for member in zone.members if member.pod_selector]
    keys = sorted({key for selector in selectors for key in selector.keys})
    decided: dict[tuple[str, tuple[str | None, ...]], tuple[Zone, ...]] = {}
    found: dict[str, tuple[Zone, ...]] = {}
    for pod in cluster.pods:
        if pod.finished:
            continue
        kind = (pod.namespace, tuple(map(pod.labels.get, keys)))
        if kind not in decided:
            decided[kind] = tuple(
                zone for zone in with_members if any(_selects(member, pod, cluster) for member in zone.members)
            )
        if decided[kind]:
            found[pod.key] = decided[kind]
    return found


def _selects(member: ZoneMember, pod: Pod, cluster: Cluster) -> bool:
    if member.namespaces and pod.namespace not in member.namespaces:
        return False
    if member.namespace_selector is not None:
        namespace = cluster.namespaces.get(pod.namespace)
        if namespace is None or not member.namespace_selector.matches(namespace.labels):
            return False
    return member.pod_selector is None or member.pod_selector.matches(pod.labels)
