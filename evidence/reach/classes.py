"""Peers of a connection: classes of pods that no policy can tell apart, and ranges of outside addresses.

Two pods are in one class when all of these agree:
1. namespace, and whether they use the host network;
2. labels, as far as any selector that can see them looks: a value that no selector names counts as "some other value", and a label that no
   selector asks for does not count;
3. numbers of the named ports that some policy names;
4. which address matchers of the policies hold their addresses, family by family, or that their address is not known.

Finished pods (Succeeded, Failed) hold no address and accept nothing: they are in no class.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import summarize_address_range
from operator import attrgetter
from typing import TYPE_CHECKING, NewType

from evidence.cluster.calico_names import OF_ACCOUNT, OF_NAMESPACE
from evidence.cluster.model import Cluster, IPAddress, IPNetwork, Labels, Pod, Protocol
from evidence.cluster.selectors import SERVICE_ACCOUNT, LabelSelector, Operator
from evidence.reach.addresses import NOTHING, AddressSpace
from evidence.reach.endpoints import of_account, own_labels
from evidence.reach.outside import AddressKind, kinds_between
from evidence.values import value

if TYPE_CHECKING:
    from evidence.cluster.calico_selectors import Expression, LabelTest

PeerId = NewType("PeerId", int)

IPV4, IPV6 = 1, 2
BOTH_FAMILIES = IPV4 | IPV6
_FAMILY = {4: IPV4, 6: IPV6}
_OTHER_VALUE = object()  # stands for every value that no selector names

NamedPort = tuple[str, Protocol, int]
Ways = tuple[
    tuple[int | None, int], ...
]  # ways in: (signature of the addresses, None when not known; families, as bits)


@value(eq=False)
class PodClass:
    """Pods that no policy can tell apart, in the order of their names. `addressed` is False when their addresses are not known."""

    id: PeerId
    namespace: str
    pods: tuple[Pod, ...]
    host_network: bool
    named_ports: tuple[NamedPort, ...]
    ways: Ways

    @property
    def addressed(self) -> bool:
        return all(signature is not None for signature, _ in self.ways)


@value(eq=False)
class ExternalRange:
    """Addresses outside the cluster from `first` to `last` (both included) that no policy and no zone can tell apart."""

    id: PeerId
    first: IPAddress
    last: IPAddress

    @property
    def networks(self) -> tuple[IPNetwork, ...]:
        """The fewest networks that make up the range."""
        return _networks(self.first, self.last)

    @property
    def kinds(self) -> frozenset[AddressKind]:
        """Whether addresses of the internet, of private ranges, or of both lie in the range."""
        return kinds_between(self.first, self.last)


@lru_cache(maxsize=1 << 14)  # a cluster's ranges are those of the state before
def _networks(first: IPAddress, last: IPAddress) -> tuple[IPNetwork, ...]:
    return tuple(summarize_address_range(first, last))


class Looks:
    """What selectors look at in the pods of one namespace: for each label key the values that are named, and whether presence alone counts."""

    def __init__(self) -> None:
        self._values: dict[str, set[str]] = defaultdict(set)
        self._presence: set[str] = set()
        self._parts: dict[str, list[LabelTest]] = defaultdict(list)
        self.accounts = False  # whether service accounts are looked at
        self._known: dict[tuple[str | None, ...], tuple[object, ...]] = {}
        self._keys: tuple[str, ...] = ()

    def add(self, selector: LabelSelector) -> None:
        """Note a selector that is applied to pods of the namespace."""
        for need in selector.requirements:
            self._values[need.key].update(need.values)
            self.accounts = self.accounts or need.key == SERVICE_ACCOUNT
            if need.operator in (Operator.EXISTS, Operator.DOES_NOT_EXIST):
                self._presence.add(need.key)
        self._keys = tuple(self._values)

    def add_expression(self, selector: "Expression") -> None:
        """Note a selector of Calico's. Where a pod may have a label from elsewhere, that it has none of its own tells it apart."""
        from evidence.cluster.calico_selectors import Test, tests  # read for Calico's policies alone

        for test in tests(selector):
            self._values[test.key].update(test.values)
            if test.test is Test.HAS or test.key.startswith((OF_NAMESPACE, OF_ACCOUNT)):
                self._presence.add(test.key)
            if test.test not in (Test.IN, Test.NOT_IN, Test.HAS):
                self._parts[test.key].append(test)
            self.accounts = self.accounts or of_account(test.key)
        self._keys = tuple(self._values)

    def seen(self, labels: Labels) -> tuple[object, ...]:
        """The labels as selectors see them: equal for pods that no selector noted here can tell apart."""
        raw = tuple(map(labels.get, self._keys))
        known = self._known.get(raw)
        if known is None:
            known = self._known[raw] = tuple(map(self._value, self._keys, raw))
        return known

    def _value(self, key: str, value: str | None) -> object:
        if value in self._values[key]:
            return value
        # Without Exists or DoesNotExist, a missing key and a value that nobody names fail every In and hold every NotIn alike.
        other = _OTHER_VALUE if value is not None and key in self._presence else None
        if key not in self._parts or value is None:
            return other
        return other, tuple(test.holds(value) for test in self._parts[key])


def group(
    cluster: Cluster, looks: Mapping[str, Looks], port_names: frozenset[str], space: AddressSpace
) -> tuple[PodClass, ...]:
    """Classes of all pods that run or may run, sorted by namespace and first pod."""
    found: dict[tuple[str, bool, tuple[object, ...], tuple[NamedPort, ...], Ways], list[Pod]] = {}
    nothing = Looks()
    node_addresses = {node.name: node.addresses for node in cluster.nodes}
    plain = len(space.signatures) == 1
    for pod in sorted(cluster.pods, key=attrgetter("namespace", "name")):
        if pod.finished:
            continue
        named = named_ports(pod, port_names) if port_names and pod.ports else ()
        addresses = host_addresses(pod, node_addresses) if pod.host_network else pod.addresses
        here = looks.get(pod.namespace, nothing)
        labels = () if pod.host_network else here.seen(own_labels(pod) if here.accounts else pod.labels)
        if plain and len(addresses) == 1:
            ways: Ways = ((NOTHING, _FAMILY[addresses[0].version]),)
        else:
            ways = ways_of(addresses, space)
        found.setdefault((pod.namespace, pod.host_network, labels, named, ways), []).append(pod)
    return tuple(
        PodClass(PeerId(number), namespace, tuple(pods), host_network, named, ways)
        for number, ((namespace, host_network, _, named, ways), pods) in enumerate(found.items())
    )


def named_ports(pod: Pod, names: frozenset[str]) -> tuple[NamedPort, ...]:
    """The pod's ports that have one of the names. Several of one name: all of them."""
    if len(pod.ports) == 1:
        (only,) = pod.ports
        return ((only.name, only.protocol, only.number),) if only.name in names else ()
    return tuple(sorted({(p.name, p.protocol, p.number) for p in pod.ports if p.name in names}))


def host_addresses(pod: Pod, node_addresses: Mapping[str, Sequence[IPAddress]]) -> tuple[IPAddress, ...]:
    """Addresses of a host-network pod: those of its node, as the pod's status or the Node object gives them."""
    return tuple(dict.fromkeys((*pod.addresses, *pod.node_addresses, *node_addresses.get(pod.node, ()))))


def ways_of(addresses: Sequence[IPAddress], space: AddressSpace) -> Ways:
    """The ways in that some addresses give; addresses of both families that no matcher holds are one way."""
    if len(addresses) == 1:
        (only,) = addresses
        return ((space.signature(only), _FAMILY[only.version]),)
    families: dict[int, int] = {}
    for address in addresses:
        signature = space.signature(address)
        families[signature] = families.get(signature, 0) | _FAMILY[address.version]
    return tuple(sorted(families.items())) or ((None, BOTH_FAMILIES),)


def family_bit(family: int) -> int:
    return _FAMILY[family]
