"""What the rules of a cluster mention: addresses, labels, names and numbers of ports. Nothing else can tell two peers or two ports apart."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from evidence.cluster.model import Cluster, IpBlock, Protocol
from evidence.cluster.selectors import LabelSelector
from evidence.reach.addresses import Interval, interval_of_address, intervals_of
from evidence.reach.classes import Looks, PodClass
from evidence.reach.rules import Addresses, AddressMatcher, Endpoints, Matcher, Nodes, Pods, PolicyForm


def address_matchers(forms: Iterable[PolicyForm]) -> dict[AddressMatcher, int]:
    """Every ipBlock, set of addresses and node selector of the rules, numbered."""
    numbers: dict[AddressMatcher, int] = {}
    for form in forms:
        for rules in form.rules.values():
            for rule in rules:
                for peer in rule.mentioned():
                    if isinstance(peer, IpBlock | Addresses | Nodes):
                        numbers.setdefault(peer, len(numbers))
    return numbers


def addresses_of(matcher: AddressMatcher, cluster: Cluster) -> Sequence[Interval]:
    """The addresses that a matcher holds: a block's, those of a set, or those of the nodes that match."""
    if isinstance(matcher, IpBlock):
        return intervals_of(matcher)
    if isinstance(matcher, Addresses):
        return matcher.intervals
    return [
        interval_of_address(address)
        for node in cluster.nodes
        if matcher.nodes.matches(node.labels)
        for address in node.addresses
    ]


def matchers_of(forms: Iterable[PolicyForm]) -> Iterator[Matcher]:
    """Everything by which policies say whom they are about and what they match, parts of compound matchers included."""
    for form in forms:
        yield form.subject
        for rules in form.rules.values():
            for rule in rules:
                yield from rule.mentioned()


def label_looks(cluster: Cluster, forms: Iterable[PolicyForm]) -> dict[str, Looks]:
    """For each namespace, what the selectors that are applied to its pods look at."""
    looks: dict[str, Looks] = defaultdict(Looks)
    holding: dict[LabelSelector | None, list[str]] = {}  # names of the namespaces that a selector means
    for pair in {matcher for matcher in matchers_of(forms) if isinstance(matcher, Pods | Endpoints)}:
        if isinstance(pair, Endpoints):
            for name in (pair.namespace,) if pair.namespace is not None else cluster.namespaces:
                looks[name].add_expression(pair.selector)
            continue
        if not pair.pods or not pair.pods.requirements:
            continue
        if pair.namespace is not None:
            looks[pair.namespace].add(pair.pods)
            continue
        meant = pair.namespaces
        if meant not in holding:
            spaces = cluster.namespaces.items()
            holding[meant] = [name for name, space in spaces if meant is None or meant.matches(space.labels)]
        for name in holding[meant]:
            looks[name].add(pair.pods)
    return looks


def port_names(forms: Iterable[PolicyForm]) -> frozenset[str]:
    """Every port name that some rule asks for."""
    return frozenset(
        port.port
        for form in forms
        for rules in form.rules.values()
        for rule in rules
        for port in (*(rule.ports or ()), *rule.but_ports)
        if isinstance(port.port, str)
    )


def port_bounds(forms: Iterable[PolicyForm], classes: Iterable[PodClass]) -> dict[Protocol, set[int]]:
    """For each protocol the port numbers at which something changes."""
    cuts: dict[Protocol, set[int]] = {}
    for form in forms:
        for rules in form.rules.values():
            for rule in rules:
                for port in (*(rule.ports or ()), *rule.but_ports):
                    if isinstance(port.port, int) and port.protocol is not None:
                        cuts.setdefault(port.protocol, set()).update((port.port, (port.end_port or port.port) + 1))
    for found in classes:
        for _, protocol, number in found.named_ports:
            cuts.setdefault(protocol, set()).update((number, number + 1))
    return cuts
