"""What rules of Calico's mean beside pods: network sets and host endpoints by selector, and endpoints of a Service by its name.

1. A selector means the addresses of the network sets and host endpoints whose labels satisfy it. A NetworkSet has its namespace's labels, too.
2. `services` means the addresses in the EndpointSlices of the Service, ready or not; as a destination with the ports there and no others
   (felix/serviceindex). Where no slice of it was read they are not known: only a slice tells a Service without endpoints from one that is not there.
3. A host endpoint may name ports of its own; to pods they are ports of an address.
4. Labels of service accounts are known when those of every pod's account are.

Source: projectcalico/calico, felix/serviceindex, felix/calc/rule_scanner.go.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import ip_network

from evidence.cluster.calico import Calico, CalicoPort, Known, NetworkSet
from evidence.cluster.calico_names import NAMESPACE, OF_NAMESPACE
from evidence.cluster.calico_selectors import Expression, holds
from evidence.cluster.model import Cluster, IPAddress, IPNetwork, Labels, Namespace, Protocol
from evidence.cluster.routes import EndpointSlice
from evidence.reach.addresses import joined
from evidence.reach.endpoints import given_labels, looks_beyond_names
from evidence.reach.rules import Addresses, Domains, Matcher, Unplaced


def known_beside(cluster: Cluster, calico: Calico) -> Known:
    """What the policies may rest on."""
    accounts = all(pod.account_labels is not None for pod in cluster.pods if not (pod.finished or pod.host_network))
    asked = {
        entity.service
        for policy in calico.policies
        for direction in policy.types
        for rule in policy.rules(direction)
        for entity in (rule.source, rule.destination)
        if entity.service
    }
    whole = bool(asked) and "EndpointSlice" not in cluster.unread_kinds
    read = {(found.namespace, found.service) for found in cluster.endpoint_slices} if whole else set()
    return Known(accounts, asked & read)


class Beside:
    """What rules mean beside pods: network sets by selector, Services by name. Each selector is asked once of all sets."""

    def __init__(self, cluster: Cluster, calico: Calico) -> None:
        self.known = known_beside(cluster, calico)
        self._sets = [
            (found, Addresses(joined(found.nets)), *_labels_of(found, cluster.namespaces)) for found in calico.sets
        ]
        self._selected: dict[Expression, tuple[Matcher, ...]] = {}
        self._slices: dict[tuple[str, str], list[EndpointSlice]] = {service: [] for service in self.known.services}
        for found in cluster.endpoint_slices if self._slices else ():
            if (found.namespace, found.service) in self._slices:
                self._slices[found.namespace, found.service].append(found)

    def sets(self, selector: Expression) -> tuple[Matcher, ...]:
        """The network sets that a selector means."""
        if selector not in self._selected:
            self._selected[selector] = tuple(self._matching(selector))
        return self._selected[selector]

    def _matching(self, selector: Expression) -> Iterator[Matcher]:
        for found, addresses, labels, known in self._sets:
            if not known and looks_beyond_names(selector):
                why = f"the labels of namespace {found.key.namespace} are not known, so {found.key} may be meant"
                yield Unplaced(why, True, True, True)
            elif holds(selector, labels):
                if addresses.intervals:
                    yield addresses
                if found.domains:
                    yield Domains(found.domains)

    def endpoints(self, service: tuple[str, str]) -> Addresses:
        """The addresses of a Service's endpoints."""
        return Addresses(joined(ip_network(a) for found in self._slices[service] for a in _addresses(found)))

    def by_ports(self, service: tuple[str, str]) -> Iterator[tuple[Addresses, tuple[tuple[Protocol, int], ...]]]:
        """The same, parted by the ports at which they are endpoints; a port without a number is none."""
        ports_of: dict[IPAddress, set[tuple[Protocol, int]]] = {}
        for found in self._slices[service]:
            ports = {(port.protocol, port.number) for port in found.ports if port.number is not None}
            for address in _addresses(found):
                ports_of.setdefault(address, set()).update(ports)
        alike: dict[tuple[tuple[Protocol, int], ...], list[IPNetwork]] = {}
        for address, wanted in ports_of.items():
            alike.setdefault(tuple(sorted(wanted)), []).append(ip_network(address))
        for listed, networks in sorted(alike.items()):
            yield Addresses(joined(networks)), listed

    def host_ports(
        self, ports: Iterable[CalicoPort], protocols: Collection[Protocol]
    ) -> Iterator[tuple[Addresses, Protocol, int]]:
        """The ports of host endpoints that have one of these names, with the addresses there."""
        names = {port.port for port in ports if isinstance(port.port, str)}
        for found, addresses, _, _ in self._sets if names else ():
            for name, protocol, number in found.ports:
                if name in names and protocol in protocols:
                    yield addresses, protocol, number


def _addresses(found: EndpointSlice) -> Iterator[IPAddress]:
    for endpoint in found.endpoints:
        yield from endpoint.addresses


def _labels_of(found: NetworkSet, namespaces: Mapping[str, Namespace]) -> tuple[Labels, bool]:
    """A set's labels, and whether they are all known: a NetworkSet has its namespace's, too."""
    if not found.key.namespace:
        return found.labels, True
    space = namespaces[found.key.namespace]
    given = {key: value for key, value in given_labels(space).items() if key.startswith(OF_NAMESPACE)}
    return {**given, **found.labels, NAMESPACE: space.name}, space.declared
