"""Which pods a Service leads to, and on which of their ports.

Sources: API references of Service and EndpointSlice; kube-proxy's own rules where they leave something open.

1. A Service with a selector leads to the pods of its namespace that have all its labels, ready or not.
2. It leads to the endpoints of its slices, too, whoever made these: the only ones of a Service without a selector.
3. `targetPort` by name is the pod's port of that name and protocol, and may differ from pod to pod. A slice's ports are numbers.
4. A Service of type ExternalName is another name: one that ends in `.svc`, or is a Service's name and namespace, leads on to that Service, any
   other out of the cluster.

Services are found by the rarest label of their selectors and remembered for each set of labels that selectors of a namespace look at, so
that cost grows with pods and Services, not with their product.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

from evidence.cluster.model import Cluster, ContainerPort, IPAddress, Labels, Pod, Service, ServicePort
from evidence.cluster.routes import EndpointPort
from evidence.reach.ports import FIRST_PORT, LAST_PORT, PortSet
from evidence.values import value

ServicePorts = Sequence[ServicePort]


def behind(service: Service, pod: Pod) -> bool:
    """True when the Service selects the pod."""
    return (
        bool(service.selector)
        and service.namespace == pod.namespace
        and (service.selector or {}).items() <= pod.labels.items()
    )


def target_ports(ports: Iterable[ServicePort], pod: Pod) -> PortSet:
    """Ports of the pod that the Service's ports lead to."""
    return _targets(ports, pod.ports)


def _targets(ports: Iterable[ServicePort], of_pod: Iterable[ContainerPort]) -> PortSet:
    found = PortSet.none()
    for port in ports:
        numbers = (
            [port.target_port]
            if isinstance(port.target_port, int)
            else [p.number for p in of_pod if p.name == port.target_port and p.protocol is port.protocol]
        )
        for number in numbers:
            found = found | PortSet.of(port.protocol, number)
    return found


def is_public(service: Service) -> bool:
    """True when the Service has an address outside the cluster: LoadBalancer, NodePort or external addresses."""
    return service.type in ("LoadBalancer", "NodePort") or bool(service.external_addresses)


@value(eq=False)
class Leads:
    """One way from a Service to a pod: by selector (`ports` None), or by a slice with these ports."""

    service: Service
    ports: tuple[EndpointPort, ...] | None = None

    def to(self, pod: Pod, ports: ServicePorts) -> PortSet:
        """Ports of the pod that these ports of the Service lead to."""
        return target_ports(ports, pod) if self.ports is None else _sliced(self.ports, ports)


def _sliced(ports: Iterable[EndpointPort], asked: ServicePorts) -> PortSet:
    """The ports of a slice that these ports of its Service lead to."""
    found = PortSet.none()
    for port in ports:
        if any(one.name == port.name and one.protocol is port.protocol for one in asked):
            first, last = (port.number, port.number) if port.number else (FIRST_PORT, LAST_PORT)
            found = found | PortSet.of(port.protocol, first, last)
    return found


class _Slices(NamedTuple):
    """Ways to pods by their key, and what `ServiceIndex` says of the rest."""

    by_pod: Mapping[str, tuple[Leads, ...]]
    strangers: Sequence[tuple[Service, IPAddress]]
    services: frozenset[tuple[str, str]]


class ServiceIndex:
    """Look-ups between the Services of a cluster and its pods."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.by_name: Mapping[tuple[str, str], Service] = {(s.namespace, s.name): s for s in cluster.services}
        spaces: dict[str, list[Service]] = defaultdict(list)
        for service in cluster.services:
            if service.selector and service.type != "ExternalName":
                spaces[service.namespace].append(service)
        self._spaces = {name: _Space(services) for name, services in spaces.items()}

    @property
    def strangers(self) -> Sequence[tuple[Service, IPAddress]]:
        """Endpoints that no pod is known to have."""
        return self._slices.strangers

    @property
    def with_endpoints(self) -> frozenset[tuple[str, str]]:
        """Services of which a slice was read."""
        return self._slices.services

    def selecting(self, pod: Pod) -> tuple[Leads, ...]:
        """The ways from Services that select the pod, in the cluster's order."""
        space = self._spaces.get(pod.namespace)
        return space.selecting(pod.labels) if space else ()

    def leading(self, pod: Pod) -> tuple[Leads, ...]:
        """Every way from a Service to the pod."""
        selected, by_pod = self.selecting(pod), self._slices.by_pod
        return selected + by_pod[pod.key] if by_pod and pod.key in by_pod else selected

    def meant(self, namespace: str, name: str, port: int | str) -> Iterator[tuple[Service, ServicePorts]]:
        """The Service that a backend means, with those of its ports that `port` (number, name, or 0 for any) means.

        Ports are compared with the target port, too, as ingress-nginx does.
        """
        seen: set[tuple[str, str]] = set()
        service = self.by_name.get((namespace, name))
        while service is not None and (service.namespace, service.name) not in seen:
            seen.add((service.namespace, service.name))
            asked = [p for p in service.ports if not port or port in (p.port, p.name, p.target_port)]
            if service.type != "ExternalName":
                yield service, asked
                return
            port = asked[0].port if asked else port
            found = service.external_name.rstrip(".").split(".")
            within = found[2:3] == ["svc"] or len(found) == 2  # the latter by the search domains of who asks
            service = self.by_name.get((found[1], found[0])) if within else None

    @cached_property
    def _slices(self) -> "_Slices":
        """What the slices say; of the ways to pods those that the selector does not give already."""
        found: dict[str, list[Leads]] = defaultdict(list)
        strangers: list[tuple[Service, IPAddress]] = []
        services: set[tuple[str, str]] = set()
        if not self._cluster.endpoint_slices:
            return _Slices({}, strangers, frozenset())
        pods = {pod.key: pod for pod in self._cluster.pods if not pod.finished}
        at: Mapping[IPAddress, Sequence[Pod]] | None = (
            None  # most endpoints name their pods, and addresses are slow to hash
        )
        for made in self._cluster.endpoint_slices:
            service = self.by_name.get((made.namespace, made.service))
            if service is None:
                continue
            services.add((service.namespace, service.name))
            leads = Leads(service, made.ports)
            alike: dict[tuple[int, ...], bool] = {}  # by the ports of pods, which share them
            for endpoint in made.endpoints:
                named = pods.get(f"{made.namespace}/{endpoint.pod}") if endpoint.pod else None
                if named is None and at is None:
                    at = _by_address(pods.values())
                holders = (
                    [named] if named else [pod for address in endpoint.addresses for pod in (at or {}).get(address, ())]
                )
                for pod in holders:
                    ports = tuple(map(id, pod.ports))
                    if ports not in alike:
                        alike[ports] = _lead_alike(made.ports, service.ports, pod.ports)
                    if not alike[ports] or not behind(service, pod):
                        found[pod.key].append(leads)
                if not holders and not endpoint.pod:
                    strangers += ((service, address) for address in endpoint.addresses)
        return _Slices(
            {key: tuple(dict.fromkeys(leads)) for key, leads in found.items()}, strangers, frozenset(services)
        )


def _by_address(pods: Iterable[Pod]) -> Mapping[IPAddress, Sequence[Pod]]:
    found: dict[IPAddress, list[Pod]] = defaultdict(list)
    for pod in pods:
        for address in (*pod.addresses, *(pod.node_addresses if pod.host_network else ())):
            found[address].append(pod)
    return found


@lru_cache(maxsize=1 << 12)  # the same few ports everywhere, and again in the cluster's next state
def _lead_alike(
    ports: tuple[EndpointPort, ...], of_service: tuple[ServicePort, ...], of_pod: tuple[ContainerPort, ...]
) -> bool:
    """True when a slice with these ports leads to no other ports of a pod than the Service's selector would."""
    return not _sliced(ports, of_service) - _targets(of_service, of_pod)


class _Space:
    """The Services with selectors of one namespace."""

    def __init__(self, services: Sequence[Service]) -> None:
        pairs = Counter(pair for service in services for pair in (service.selector or {}).items())
        self._leads = tuple(map(Leads, services))
        self._keys = tuple(sorted({key for key, _ in pairs}))
        self._known: dict[tuple[str | None, ...], tuple[Leads, ...]] = {}
        self._sets: dict[tuple[int, ...], tuple[Leads, ...]] = {}
        self._by_label: dict[tuple[str, str], list[int]] = defaultdict(list)
        for number, service in enumerate(services):
            rarest = min((service.selector or {}).items(), key=lambda pair: (pairs[pair], pair))
            self._by_label[rarest].append(number)

    def selecting(self, labels: Labels) -> tuple[Leads, ...]:
        raw = tuple(map(labels.get, self._keys))
        if raw not in self._known:
            found = tuple(
                sorted(
                    number
                    for pair in labels.items()
                    for number in self._by_label.get(pair, ())
                    if all(
                        labels.get(key) == value for key, value in (self._leads[number].service.selector or {}).items()
                    )
                )
            )
            self._known[raw] = self._sets.setdefault(found, tuple(self._leads[number] for number in found))
        return self._known[raw]
